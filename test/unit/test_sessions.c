/*-------------------------------------------------------------------------
 *
 * test_sessions.c
 *		How many connections are kept for sessions, and when the time of a
 *		session is over.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/sessions.h"
#include "unit.h"

typedef struct Case
{
	const char *about;
	EpKeepInput in;
	int			keep;
	int			let_go;
	int			open;
} Case;

/* A pool of 10 connections at most, that grows if somebody waits, and of which sessions are made use. */
#define POOL	.most = 10, .recent = true, .can_grow = true
#define UNUSED	.most = 10, .can_grow = true
#define STUCK	.most = 10, .recent = true

static const Case cases[] = {
	{"by default nothing is kept", {POOL, .idle = 5, .usable = 5}, 0, 0, 0},
	{"but what sessions have", {POOL, .open = 2, .kept = 2, .idle = 3, .usable = 5}, 0, 0, 0},
	{"min_sessions", {POOL, .min_sessions = 2, .idle = 5, .usable = 5}, 2, 0, 0},
	{"which are there", {POOL, .min_sessions = 2, .kept = 2, .kept_idle = 2, .idle = 3, .usable = 5}, 0, 0, 0},
	{"some are idle, the rest is opened", {POOL, .min_sessions = 4, .kept = 1, .kept_idle = 1, .idle = 2, .usable = 3}, 2, 0, 1},
	{"what sessions have counts", {POOL, .min_sessions = 3, .open = 2, .kept = 2, .idle = 3, .usable = 5}, 1, 0, 0},
	{"min_sessions is kept if nobody uses it", {UNUSED, .min_sessions = 2, .idle = 5, .usable = 5}, 2, 0, 0},
	{"spare ones", {POOL, .target_free = 2, .open = 1, .kept = 1, .idle = 1, .usable = 2}, 1, 0, 1},
	{"spare ones before the first session", {POOL, .target_free = 2, .idle = 5, .usable = 5}, 2, 0, 0},
	{"not if sessions are not used any more", {UNUSED, .target_free = 2, .idle = 5, .usable = 5}, 0, 0, 0},
	{"then they are let go", {UNUSED, .target_free = 2, .kept = 2, .kept_idle = 2, .idle = 3, .usable = 5}, 0, 2, 0},
	{"down to min_sessions", {UNUSED, .min_sessions = 1, .target_free = 2, .kept = 3, .kept_idle = 3, .usable = 3}, 0, 2, 0},
	{"the larger one of both", {POOL, .min_sessions = 3, .target_free = 1, .open = 1, .kept = 1, .idle = 9, .usable = 10}, 2, 0, 0},
	{"fewer sessions, fewer kept", {POOL, .target_free = 1, .open = 1, .kept = 4, .kept_idle = 3, .usable = 4}, 0, 2, 0},
	{"one is left for others", {POOL, .min_sessions = 10, .kept = 8, .kept_idle = 8, .idle = 2, .usable = 10}, 1, 0, 0},
	{"and of the spare ones", {POOL, .target_free = 10, .open = 2, .kept = 8, .kept_idle = 6, .idle = 2, .usable = 10}, 1, 0, 0},
	{"unless all are sessions'", {POOL, .target_free = 10, .open = 10, .kept = 10, .usable = 10}, 0, 0, 0},
	{"of a single connection none is kept", {.most = 1, .recent = true, .can_grow = true, .min_sessions = 1, .idle = 1, .usable = 1}, 0, 0, 0},
	{"max_size was lowered", {.most = 3, .recent = true, .can_grow = true, .min_sessions = 3, .kept = 6, .kept_idle = 6, .usable = 6}, 0, 4, 0},
	/* others wait */
	{"while the pool grows they wait for that", {POOL, .target_free = 3, .kept = 3, .kept_idle = 3, .usable = 5, .others = 2}, 0, 0, 0},
	{"else they get what is spare", {STUCK, .target_free = 3, .kept = 3, .kept_idle = 3, .usable = 5, .others = 2}, 0, 2, 0},
	{"all of it", {STUCK, .target_free = 3, .kept = 3, .kept_idle = 3, .usable = 5, .others = 9}, 0, 3, 0},
	{"but not min_sessions", {STUCK, .min_sessions = 2, .kept = 3, .kept_idle = 3, .usable = 5, .others = 9}, 0, 1, 0},
	{"no spare ones are made meanwhile", {POOL, .target_free = 3, .usable = 5, .others = 1}, 0, 0, 0},
	{"min_sessions are", {POOL, .min_sessions = 2, .usable = 5, .others = 1}, 0, 0, 2},
	{"a pool that is small for other reasons: one for others", {STUCK, .min_sessions = 4, .kept = 2, .kept_idle = 2, .usable = 2, .others = 1}, 0, 1, 0},
	{"and no more", {STUCK, .min_sessions = 4, .kept = 1, .kept_idle = 1, .usable = 2, .others = 1}, 0, 0, 0},
};

static void
check_stays(void)
{
	EpKeepInput in = {POOL, .usable = 5, .kept = 1};

	CHECK(!ep_keep_stays(&in, true), "by default a session's connection is anybody's when it comes back");
	CHECK(!ep_keep_stays(&in, false), "and others are as ever");
	in.target_free = 1;
	CHECK(ep_keep_stays(&in, true), "it is the spare one");
	CHECK(!ep_keep_stays(&in, false), "so another one is not");
	in.kept = 2;
	CHECK(!ep_keep_stays(&in, true), "one spare one is enough");
	in.open = 1;
	CHECK(ep_keep_stays(&in, true), "beside the one of an open session");
	in.others = 1;
	CHECK(!ep_keep_stays(&in, true), "but not while others wait");
	in.min_sessions = 2;
	CHECK(ep_keep_stays(&in, true), "unless it is one of min_sessions");
	in.kept = 1;
	CHECK(ep_keep_stays(&in, false), "which is made complete even then");
	in.usable = 1;
	CHECK(!ep_keep_stays(&in, true), "but the only connection is for others");
	in.others = 0;
	in.recent = false;
	in.open = in.min_sessions = 0;
	CHECK(!ep_keep_stays(&in, true), "no spare one if sessions are not used any more");
}

/* Whatever the numbers: neither are others shut out nor do marks go to and fro. */
static void
check_random(int round)
{
	EpKeepInput in = {
		.min_sessions = unit_random(8), .target_free = unit_random(5), .most = 1 + unit_random(8),
		.open = unit_random(5), .kept_idle = unit_random(5), .idle = unit_random(5),
		.recent = unit_random(2), .others = unit_random(3), .can_grow = unit_random(2)
	};
	EpKeepPlan	plan;
	EpKeepInput after;

	if (in.others > 0)
		in.idle = 0;
	in.kept = in.open + in.kept_idle;
	in.usable = in.kept + in.idle + unit_random(4);
	plan = ep_keep_plan(&in);
	CHECK(plan.keep >= 0 && plan.keep <= in.idle, "round %d: only idle ones can be kept", round);
	CHECK(plan.let_go >= 0 && plan.let_go <= in.kept_idle, "round %d: only idle ones can be let go", round);
	CHECK(plan.let_go == 0 || plan.keep + plan.open == 0, "round %d: not both at once", round);
	CHECK(in.kept + plan.keep + plan.open <= Max(in.most - 1, in.kept), "round %d: one is left for others", round);
	after = in;
	after.kept += plan.keep - plan.let_go;
	after.kept_idle += plan.keep - plan.let_go;
	after.idle += plan.let_go - plan.keep;
	after.others = Max(in.others - plan.let_go, 0);
	if ((after.others > 0) == (in.others > 0))
	{
		plan = ep_keep_plan(&after);
		CHECK(plan.keep == 0 && plan.let_go == 0, "round %d: nothing is left to do", round);
	}
	if (in.others > 0 && !in.can_grow && in.usable == in.kept && in.kept_idle > 0 && in.open == 0)
		CHECK(after.kept < in.usable, "round %d: who waits gets one", round);
}

static void
check_times(void)
{
	EpSessionTimes times = {.open_us = 1000, .idle_us = 5000};
	uint64		due = 99999;

	CHECK_INT(ep_session_struck(&times, PG_UINT64_MAX - 1, &due), EP_STRUCK_NOT, "no time-outs by default");
	CHECK_INT(due, 99999, "and nothing to look at");
	times.idle_limit_us = 100;
	CHECK_INT(ep_session_struck(&times, 5099, &due), EP_STRUCK_NOT, "not idle for long enough");
	CHECK_INT(due, 5100, "when it will be");
	CHECK_INT(ep_session_struck(&times, 5100, &due), EP_STRUCK_IDLE, "idle for long enough");
	times.idle_us = 0;
	CHECK_INT(ep_session_struck(&times, 999999, &due), EP_STRUCK_NOT, "one that works is not idle");
	times.total_limit_us = 4200;
	CHECK_INT(ep_session_struck(&times, 5199, &due), EP_STRUCK_NOT, "not open for long enough");
	CHECK_INT(due, 5100, "another is to be looked at earlier");
	CHECK_INT(ep_session_struck(&times, 5200, &due), EP_STRUCK_TOTAL, "open for long enough, though it works");
	times.idle_us = 5000;
	CHECK_INT(ep_session_struck(&times, 5300, &due), EP_STRUCK_IDLE, "both: what was first");
	times.idle_limit_us = 201;
	CHECK_INT(ep_session_struck(&times, 5300, &due), EP_STRUCK_TOTAL, "both: what was first, the other one");
}

void
test_sessions(void)
{
	for (Size i = 0; i < lengthof(cases); i++)
	{
		EpKeepPlan	plan = ep_keep_plan(&cases[i].in);

		CHECK_INT(plan.keep, cases[i].keep, "%s", cases[i].about);
		CHECK_INT(plan.let_go, cases[i].let_go, "%s", cases[i].about);
		CHECK_INT(plan.open, cases[i].open, "%s", cases[i].about);
	}
	check_stays();
	for (int i = 0; i < 20000; i++)
		check_random(i);
	check_times();
}
