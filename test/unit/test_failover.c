/*-------------------------------------------------------------------------
 *
 * test_failover.c
 *		What fits target_session_attrs, and when it is looked at again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/failover.h"
#include "unit.h"

#define SECOND	UINT64CONST(1000000)

/* A server that is a primary, one that refuses to write, a standby, and one that is both. */
static const EpHostState servers[] = {{false, false}, {false, true}, {true, false}, {true, true}};

typedef struct Case
{
	const char *name;
	EpSessionAttrs attrs;
	bool		fits[4];
} Case;

static const Case cases[] = {
	{"any", EP_ATTRS_ANY, {true, true, true, true}},
	{"read-write", EP_ATTRS_READ_WRITE, {true, false, false, false}},
	{"read-only", EP_ATTRS_READ_ONLY, {false, true, true, true}},
	{"primary", EP_ATTRS_PRIMARY, {true, true, false, false}},
	{"standby", EP_ATTRS_STANDBY, {false, false, true, true}},
	{"prefer-standby", EP_ATTRS_PREFER_STANDBY, {false, false, true, true}},
};

static void
test_fits(void)
{
	for (Size i = 0; i < lengthof(cases); i++)
	{
		const Case *c = &cases[i];

		CHECK_INT(ep_failover_attrs(c->name), c->attrs, "%s", c->name);
		for (int n = 0; n < 4; n++)
			CHECK_INT(ep_failover_fits(c->attrs, servers[n]), c->fits[n], "%s, server %d", c->name, n);
		/* what libpq has let through fits, unless that says nothing */
		CHECK_INT(ep_failover_fits(c->attrs, ep_failover_assumed(c->attrs)), c->attrs != EP_ATTRS_PREFER_STANDBY,
				  "%s, assumed", c->name);
	}
	CHECK_INT(ep_failover_attrs(NULL), EP_ATTRS_ANY, "not given");
	CHECK_INT(ep_failover_attrs("master"), EP_ATTRS_ANY, "not known");
}

static void
test_rounds(void)
{
	EpRecheck	recheck = {0};
	uint64		due = 1;

	CHECK(!ep_recheck_begin(&recheck, 5 * SECOND, &due), "nothing has happened");
	CHECK_INT(due, 0, "so nothing is due");
	recheck.wanted = true;
	CHECK(ep_recheck_begin(&recheck, 5 * SECOND, &due), "the first is not delayed");
	CHECK(!recheck.wanted && recheck.round_us == 5 * SECOND && due == 0, "it has begun");
	CHECK(!ep_recheck_begin(&recheck, 9 * SECOND, &due), "once for each event");
	recheck.wanted = true;
	CHECK(ep_recheck_begin(&recheck, 9 * SECOND, &due), "the next event");
	recheck.wanted = true;
	CHECK(!ep_recheck_begin(&recheck, 10 * SECOND - 1, &due), "too soon after the last");
	CHECK_INT(due, 10 * SECOND, "a second after it");
	CHECK(recheck.wanted && recheck.round_us == 9 * SECOND, "but not forgotten");
	CHECK(ep_recheck_begin(&recheck, 10 * SECOND, &due), "then it is time");
}

void
test_failover(void)
{
	test_fits();
	test_rounds();
}
