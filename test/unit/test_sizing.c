/*-------------------------------------------------------------------------
 *
 * test_sizing.c
 *		How many connections a pool opens or lets go.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/sizing.h"
#include "unit.h"

/* A pool with the default settings; min_size 2, max_size 20, target_free_connections 3. */
#define DEFAULTS	.min_size = 2, .max_size = 20, .target_free = 3

typedef struct Case
{
	const char *about;
	EpSizingInput in;
	int			open;
	int			open_overflow;
	int			floor;
	int			surplus;
	const char *reason;
} Case;

#define HALF_OPEN	"the breaker is half-open"

static const Case cases[] = {
	{"first fill", {DEFAULTS, .fill_target = 5}, 5, 0, 3, 0, "below min_size"},
	{"first fill, some there", {DEFAULTS, .fill_target = 5, .size = 3, .idle = 3}, 2, 0, 3, 0, "first fill"},
	{"nothing to do", {DEFAULTS, .size = 3, .idle = 3}, 0, 0, 3, 0, NULL},
	{"below min_size", {DEFAULTS, .size = 1, .idle = 1}, 1, 0, 3, 0, "below min_size"},
	{"what is ending does not count as there", {DEFAULTS, .size = 3, .idle = 1, .ending = 2}, 1, 0, 3, 0, "below min_size"},
	{"one opens for each waiter", {DEFAULTS, .size = 4, .leased = 4, .waiting = 3}, 3, 0, 7, 0, "backends are waiting"},
	{"what is on its way is not opened again", {DEFAULTS, .size = 7, .leased = 4, .connecting = 2, .tended = 1, .waiting = 3}, 0, 0, 7, 0, NULL},
	{"only the missing ones", {DEFAULTS, .size = 5, .leased = 4, .connecting = 1, .waiting = 3}, 2, 0, 7, 0, "backends are waiting"},
	{"max_size is the limit", {DEFAULTS, .size = 19, .leased = 19, .waiting = 5}, 1, 0, 20, 0, "backends are waiting"},
	{"full", {DEFAULTS, .size = 20, .leased = 20, .waiting = 5}, 0, 0, 20, 0, NULL},
	{"what is ending still takes a place", {DEFAULTS, .size = 20, .leased = 18, .ending = 2, .waiting = 5}, 0, 0, 20, 0, NULL},
	{"overflow when full", {DEFAULTS, .max_overflow = 2, .size = 20, .leased = 20, .waiting = 5}, 0, 2, 20, 0, "backends are waiting"},
	{"the last place and overflow", {DEFAULTS, .max_overflow = 2, .size = 19, .leased = 19, .waiting = 5}, 1, 2, 20, 0, "backends are waiting"},
	{"overflow used up", {DEFAULTS, .max_overflow = 2, .size = 22, .leased = 22, .waiting = 5}, 0, 0, 20, 0, NULL},
	{"no overflow without waiters", {DEFAULTS, .max_overflow = 2, .size = 20, .leased = 20}, 0, 0, 20, 0, NULL},
	{"no overflow while max_size leaves room", {DEFAULTS, .max_overflow = 9, .size = 4, .leased = 4, .waiting = 2}, 2, 0, 7, 0, "backends are waiting"},
	{"closing opens nothing", {DEFAULTS, .closing = true, .size = 1, .leased = 1, .waiting = 3, .fill_target = 5}, 0, 0, 4, 0, NULL},
	{"one attempt at a time while it fails", {DEFAULTS, .failing = true, .size = 4, .leased = 4, .waiting = 3}, 1, 0, 7, 0, "backends are waiting"},
	{"and none while that is under way", {DEFAULTS, .failing = true, .size = 5, .leased = 4, .connecting = 1, .waiting = 3}, 0, 0, 7, 0, NULL},
	{"one beyond max_size while it fails", {DEFAULTS, .max_overflow = 3, .failing = true, .size = 20, .leased = 20, .waiting = 3}, 0, 1, 20, 0, "backends are waiting"},
	{"floor follows the load", {DEFAULTS, .size = 12, .leased = 6, .idle = 6}, 0, 0, 9, 0, NULL},
	{"floor within max_size", {DEFAULTS, .size = 20, .leased = 19, .idle = 1}, 0, 0, 20, 0, NULL},
	{"unused: min_size alone", {DEFAULTS, .unused = true, .size = 5, .idle = 5}, 0, 0, 2, 0, NULL},
	{"min_size 0", {.max_size = 20, .unused = true, .size = 1, .idle = 1}, 0, 0, 0, 0, NULL},
	{"what is kept for sessions is no use to others", {DEFAULTS, .size = 4, .leased = 2, .reserved = 2, .waiting = 2}, 2, 0, 7, 0, "backends are waiting"},
	{"it is as good as in use", {DEFAULTS, .size = 9, .leased = 1, .reserved = 3, .idle = 5}, 0, 0, 7, 0, NULL},
	{"and stays if nobody uses the pool", {DEFAULTS, .unused = true, .size = 9, .reserved = 4, .idle = 5}, 0, 0, 4, 0, NULL},
	{"some are missing for sessions", {DEFAULTS, .lacking = 2, .size = 3, .leased = 3}, 2, 0, 6, 0, "sessions are to have one ready"},
	{"on their way", {DEFAULTS, .lacking = 2, .size = 5, .leased = 3, .connecting = 2}, 0, 0, 6, 0, NULL},
	{"within max_size", {DEFAULTS, .lacking = 2, .size = 19, .leased = 19}, 1, 0, 20, 0, "sessions are to have one ready"},
	{"max_size was lowered", {DEFAULTS, .size = 25, .leased = 1, .idle = 24}, 0, 0, 4, 5, "above max_size"},
	{"only idle ones can go", {DEFAULTS, .size = 25, .leased = 23, .idle = 2}, 0, 0, 20, 2, "above max_size"},
	{"a connection was lost: one is opened at once", {DEFAULTS, .lost = true, .size = 6, .idle = 4, .ending = 2}, 1, 0, 3, 0, "a connection was lost"},
	{"not if one is under way", {DEFAULTS, .lost = true, .size = 5, .idle = 4, .connecting = 1}, 0, 0, 3, 0, NULL},
	{"nor if it is known to fail", {DEFAULTS, .lost = true, .failing = true, .size = 4, .idle = 4}, 0, 0, 3, 0, NULL},
	{"nor beyond max_size", {DEFAULTS, .lost = true, .size = 20, .leased = 19, .ending = 1}, 0, 0, 20, 0, NULL},
	{"the remote takes no more", {DEFAULTS, .bound = 4, .size = 4, .leased = 4, .waiting = 3, .fill_target = 5}, 0, 0, 7, 0, NULL},
	{"but as many as before", {DEFAULTS, .bound = 4, .size = 3, .leased = 3, .waiting = 3}, 1, 0, 6, 0, "backends are waiting"},
	{"nothing is closed for that", {DEFAULTS, .bound = 4, .size = 6, .idle = 6}, 0, 0, 3, 0, NULL},
	{"no overflow either", {DEFAULTS, .bound = 20, .max_overflow = 4, .size = 20, .leased = 20, .waiting = 1}, 0, 0, 20, 0, NULL},
	{"open: nothing", {DEFAULTS, .breaker = EP_BREAKER_OPEN, .waiting = 3, .fill_target = 5}, 0, 0, 3, 0, NULL},
	{"open: what is too much goes", {DEFAULTS, .breaker = EP_BREAKER_OPEN, .size = 21, .idle = 21}, 0, 0, 3, 1, "above max_size"},
	{"half-open: one", {DEFAULTS, .breaker = EP_BREAKER_HALF_OPEN, .waiting = 3}, 1, 0, 3, 0, "backends are waiting"},
	{"half-open: one alone", {DEFAULTS, .breaker = EP_BREAKER_HALF_OPEN, .size = 1, .connecting = 1, .waiting = 3}, 0, 0, 3, 0, NULL},
	{"half-open: not beside a test", {DEFAULTS, .breaker = EP_BREAKER_HALF_OPEN, .probing = 1, .waiting = 3}, 0, 0, 3, 0, NULL},
	{"half-open: a test if nothing is wanted", {DEFAULTS, .breaker = EP_BREAKER_HALF_OPEN, .size = 3, .idle = 3}, 0, 0, 3, 0, HALF_OPEN},
	{"half-open: a test if all are there", {DEFAULTS, .breaker = EP_BREAKER_HALF_OPEN, .size = 20, .leased = 20}, 0, 0, 20, 0, HALF_OPEN},
	{"half-open: no test of a closed pool", {DEFAULTS, .breaker = EP_BREAKER_HALF_OPEN, .closing = true}, 0, 0, 3, 0, NULL},
	{"below min_size no more are connecting than free ones are wanted", {.max_size = 20, .target_free = 3, .min_size = 10, .size = 1, .idle = 1}, 3, 0, 10, 0, "below min_size"},
	{"and no further ones meanwhile", {.max_size = 20, .target_free = 3, .min_size = 10, .size = 4, .idle = 1, .connecting = 3}, 0, 0, 10, 0, NULL},
	{"but one at least", {.min_size = 10, .max_size = 20, .size = 1, .idle = 1}, 1, 0, 10, 0, "below min_size"},
	{"a fill is not bound by that", {DEFAULTS, .fill_target = 15, .size = 5, .connecting = 5}, 10, 0, 3, 0, "first fill"},
	{"rationed: none beyond what is its due", {DEFAULTS, .rationed = true, .ration = 4, .size = 4, .leased = 4, .waiting = 3}, 0, 0, 7, 0, NULL},
	{"rationed: that much", {DEFAULTS, .rationed = true, .ration = 5, .size = 5, .leased = 4, .ending = 1, .waiting = 3}, 1, 0, 7, 0, "backends are waiting"},
	{"rationed: idle ones make room", {DEFAULTS, .rationed = true, .ration = 4, .size = 9, .leased = 2, .idle = 7}, 0, 0, 5, 5, "another pool needs the place"},
	{"rationed: no overflow", {DEFAULTS, .rationed = true, .ration = 20, .max_overflow = 9, .size = 20, .leased = 20, .waiting = 3}, 0, 0, 20, 0, NULL},
	{"what is ending has gone", {DEFAULTS, .size = 25, .idle = 20, .ending = 5}, 0, 0, 3, 0, NULL},
};

static void
test_cases(void)
{
	for (Size i = 0; i < lengthof(cases); i++)
	{
		const Case *c = &cases[i];
		EpSizing	out = ep_sizing_decide(&c->in);

		CHECK_INT(out.open, c->open, "%s", c->about);
		CHECK_INT(out.open_overflow, c->open_overflow, "%s", c->about);
		CHECK_INT(out.floor, c->floor, "%s", c->about);
		CHECK_INT(out.surplus, c->surplus, "%s", c->about);
		CHECK_STRING(out.reason, c->reason, "%s", c->about);
		CHECK_INT(out.probe, c->reason && strcmp(c->reason, HALF_OPEN) == 0, "%s", c->about);
	}
}

static EpSizingInput
random_input(void)
{
	EpSizingInput in = {
		.idle = unit_random(8), .leased = unit_random(12), .connecting = unit_random(4),
		.tended = unit_random(4), .ending = unit_random(4), .waiting = unit_random(12),
		.max_size = 1 + unit_random(20), .max_overflow = unit_random(6),
		.closing = unit_random(8) == 0, .failing = unit_random(4) == 0, .unused = unit_random(4) == 0,
		.lost = unit_random(4) == 0, .probing = unit_random(4) == 0 ? 1 : 0,
		.breaker = unit_random(4) == 0 ? EP_BREAKER_OPEN + unit_random(2) : EP_BREAKER_CLOSED,
		.bound = unit_random(4) == 0 ? 1 + unit_random(20) : 0,
		.rationed = unit_random(4) == 0, .ration = unit_random(20)
	};

	in.size = in.idle + in.leased + in.connecting + in.tended + in.ending;
	in.min_size = unit_random(in.max_size + 1);
	in.target_free = unit_random(in.max_size + 1);
	in.fill_target = unit_random(in.max_size + 1);
	in.scaling = unit_random(2) == 0;
	in.growing = unit_random(4) == 0;
	in.up = unit_random(4) == 0 ? 0 : 0.01 * (1 + unit_random(100));
	in.down = unit_random(4) == 0 ? 0 : 0.01 * (1 + unit_random(100));
	in.load = in.size > in.connecting + in.ending ? (double) in.leased / (in.size - in.connecting - in.ending) : 0;
	in.load_1m = unit_random(101) / 100.0;
	in.load_5m = unit_random(101) / 100.0;
	in.cool_down_us = unit_random(30);
	in.up_at_us = unit_random(100);
	in.down_at_us = unit_random(100);
	in.now_us = 100;
	return in;
}

static bool
cooling(const EpSizingInput *in, uint64 since_us)
{
	return since_us != 0 && in->now_us < since_us + in->cool_down_us;
}

/* Those laws that are about scaling and the number of connects under way. */
static void
check_scaling(int i, const EpSizingInput *in, const EpSizing *out)
{
	int			opened = out->open + out->open_overflow;
	int			alive = in->size - in->ending;
	int			herd = Max(in->waiting + in->target_free, 1);
	EpSizingInput later = *in;

	CHECK(opened == 0 || in->fill_target > alive || in->connecting + opened <= herd, "round %d: a herd", i);
	CHECK(out->shrink >= 0 && out->shrink <= in->idle, "round %d: shrinks by what is idle", i);
	CHECK(out->shrink == 0 || alive - out->shrink >= out->floor, "round %d: shrinks to the floor", i);
	CHECK(out->shrink == 0 || 2 * out->shrink <= alive - out->floor + 1, "round %d: shrinks by half", i);
	CHECK(out->shrink == 0 || opened + out->surplus + in->waiting == 0, "round %d: shrinks while it grows", i);
	CHECK(out->shrink == 0 || (!cooling(in, in->up_at_us) && !cooling(in, in->down_at_us)), "round %d: cool-down", i);
	CHECK(in->scaling || (out->shrink == 0 && out->grow_above == PG_INT32_MAX), "round %d: switched off", i);
	CHECK(in->scaling || (out->scaling != EP_SCALING_UP && out->scaling != EP_SCALING_DOWN), "round %d: not counted", i);
	CHECK((out->scaling == EP_SCALING_DOWN) == (out->shrink > 0), "round %d: counted as down", i);

	/* whoever takes a connection wakes the worker if that would make it open more, but not otherwise */
	if (in->closing || in->failing || opened > 0 || in->breaker != EP_BREAKER_CLOSED || in->bound > 0 || in->idle == 0 || in->lost || in->growing || in->rationed)
		return;
	later.leased++;
	later.idle--;
	later.load = (double) later.leased / (in->size - in->connecting - in->ending);
	later.load_1m = 0;
	if (ep_sizing_decide(&later).open > 0 && later.leased > in->leased)
		CHECK(later.waiting > 0 || later.leased > out->grow_above, "round %d: nobody would tell", i);
}

/* What must hold whatever the numbers. */
static void
test_laws(void)
{
	for (int i = 0; i < 20000; i++)
	{
		EpSizingInput in = random_input();
		EpSizing	out = ep_sizing_decide(&in);
		int			limit = in.max_size + in.max_overflow;
		int			opened = out.open + out.open_overflow;
		int			served = in.idle + in.connecting + in.tended + out.open + out.open_overflow;

		CHECK(out.open >= 0 && out.open_overflow >= 0 && out.surplus >= 0, "round %d", i);
		CHECK(out.open == 0 || in.size + out.open <= in.max_size, "round %d: max_size", i);
		CHECK(out.open_overflow == 0 || in.size + out.open + out.open_overflow <= limit, "round %d: max_overflow", i);
		CHECK(out.open_overflow == 0 || (in.waiting > 0 && in.size + out.open >= in.max_size), "round %d: overflow without need", i);
		CHECK(out.surplus <= in.idle, "round %d: only idle ones can go", i);
		CHECK(out.floor >= in.min_size && out.floor <= in.max_size, "round %d: floor", i);
		CHECK((out.reason == NULL) == (opened + out.probe + out.surplus + out.shrink == 0), "round %d: a reason for each deed", i);
		check_scaling(i, &in, &out);
		CHECK(!in.closing || out.open + out.open_overflow == 0, "round %d: closing", i);
		CHECK(!in.failing || in.connecting + out.open + out.open_overflow <= Max(in.connecting, 1), "round %d: failing", i);
		CHECK(in.breaker != EP_BREAKER_OPEN || opened + out.probe == 0, "round %d: open breaker", i);
		CHECK(in.breaker != EP_BREAKER_HALF_OPEN || opened + out.probe <= 1, "round %d: half-open breaker", i);
		CHECK(in.breaker != EP_BREAKER_HALF_OPEN || in.connecting + in.probing == 0 || opened + out.probe == 0, "round %d: beside the one", i);
		CHECK(!out.probe || in.breaker == EP_BREAKER_HALF_OPEN, "round %d: a test without need", i);
		CHECK(in.bound == 0 || opened == 0 || in.size + opened <= in.bound, "round %d: the remote is full", i);
		CHECK(!in.rationed || opened == 0 || in.size - in.ending + opened <= in.ration, "round %d: ration", i);
		CHECK(in.closing || in.failing || in.breaker != EP_BREAKER_CLOSED || in.bound > 0 || in.rationed ||
			  served >= in.waiting || in.size + opened >= limit,
			  "round %d: a waiter is left without a connection on its way", i);
	}
}

/* Where strategy dynamic has found the size, the way there is a scaling. */
static void
test_tuned(void)
{
	EpSizingInput in = {
		.size = 6, .leased = 3, .idle = 3, .min_size = 9, .max_size = 12, .tuned = true, .scaling = true,
		.load = 0.5, .load_1m = 0.5, .load_5m = 0.5, .target_free = 4, .now_us = 1000000
	};
	EpSizing	out = ep_sizing_decide(&in);

	CHECK_INT(out.open, 3, "more");
	CHECK_INT(out.scaling, EP_SCALING_UP, "more");
	CHECK_STRING(out.reason, "strategy dynamic has use for more", "more");

	in.min_size = in.max_size = 5;
	out = ep_sizing_decide(&in);
	CHECK_INT(out.shrink, 1, "fewer");
	CHECK_INT(out.surplus, 0, "fewer");
	CHECK_INT(out.scaling, EP_SCALING_DOWN, "fewer");
	CHECK_STRING(out.reason, "strategy dynamic has no use for so many", "fewer");
}

void
test_sizing(void)
{
	test_tuned();
	test_cases();
	test_laws();
}
