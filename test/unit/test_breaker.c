/*-------------------------------------------------------------------------
 *
 * test_breaker.c
 *		When a circuit breaker opens, tries, and closes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/breaker.h"
#include "unit.h"

#define SECOND	UINT64CONST(1000000)

typedef enum Deed
{
	FAIL,						/* an attempt that began a moment ago fails */
	FAIL_OLD,					/* one fails that began before everything */
	SUCCEED,
	TICK
} Deed;

typedef struct Step
{
	Deed		deed;
	int			at_s;			/* seconds */
	int			success_s;		/* when anything last succeeded, 0: never */
	EpBreakerChange change;
	EpBreakerState state;
} Step;

typedef struct Story
{
	const char *about;
	EpBreakerRule rule;
	Step		steps[16];		/* the first with at_s 0 ends it */
} Story;

#define C	EP_BREAKER_CLOSED
#define O	EP_BREAKER_OPEN
#define H	EP_BREAKER_HALF_OPEN

/* Random numbers are 1, so that a pause is as long as it says. */
static const Story stories[] = {
	{"opens at the threshold", {3, 10}, {
		{FAIL, 1, 0, EP_BREAKER_SAME, C}, {FAIL, 2, 0, EP_BREAKER_SAME, C}, {FAIL, 3, 0, EP_BREAKER_TRIPPED, O},
	{FAIL, 4, 0, EP_BREAKER_SAME, O}}},
	{"at the first failure", {1, 10}, {{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}}},
	{"no breaker", {0, 10}, {
		{FAIL, 1, 0, EP_BREAKER_SAME, C}, {FAIL, 2, 0, EP_BREAKER_SAME, C}, {TICK, 99, 0, EP_BREAKER_SAME, C}}},
	{"a success between", {2, 10}, {
		{FAIL, 1, 0, EP_BREAKER_SAME, C}, {SUCCEED, 2, 0, EP_BREAKER_SAME, C}, {FAIL, 3, 0, EP_BREAKER_SAME, C},
	{FAIL, 4, 0, EP_BREAKER_TRIPPED, O}}},
	{"a statement's success between", {2, 10}, {
		{FAIL, 1, 0, EP_BREAKER_SAME, C}, {FAIL, 3, 2, EP_BREAKER_SAME, C}, {FAIL, 4, 2, EP_BREAKER_TRIPPED, O}}},
	{"attempts of one time count as one", {2, 10}, {
		{FAIL, 1, 0, EP_BREAKER_SAME, C}, {FAIL_OLD, 1, 0, EP_BREAKER_SAME, C}, {FAIL_OLD, 2, 0, EP_BREAKER_SAME, C},
	{FAIL, 3, 0, EP_BREAKER_TRIPPED, O}}},
	{"half-open after the pause, closed by a success", {1, 10}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {TICK, 10, 0, EP_BREAKER_SAME, O}, {TICK, 11, 0, EP_BREAKER_PROBES, H},
		{TICK, 12, 0, EP_BREAKER_SAME, H}, {SUCCEED, 13, 0, EP_BREAKER_RESET, C}, {TICK, 14, 0, EP_BREAKER_SAME, C}}},
	{"pauses double, and begin anew after a success", {1, 10}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {TICK, 11, 0, EP_BREAKER_PROBES, H}, {FAIL, 12, 0, EP_BREAKER_REOPENED, O},
		{TICK, 31, 0, EP_BREAKER_SAME, O}, {TICK, 32, 0, EP_BREAKER_PROBES, H}, {FAIL, 33, 0, EP_BREAKER_REOPENED, O},
		{TICK, 72, 0, EP_BREAKER_SAME, O}, {TICK, 73, 0, EP_BREAKER_PROBES, H}, {SUCCEED, 74, 0, EP_BREAKER_RESET, C},
		{FAIL, 75, 0, EP_BREAKER_TRIPPED, O}, {TICK, 84, 0, EP_BREAKER_SAME, O}, {TICK, 85, 0, EP_BREAKER_PROBES, H}}},
	{"the pause grows to four times the first", {1, 2}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {TICK, 3, 0, EP_BREAKER_PROBES, H}, {FAIL, 4, 0, EP_BREAKER_REOPENED, O},
		{TICK, 8, 0, EP_BREAKER_PROBES, H}, {FAIL, 9, 0, EP_BREAKER_REOPENED, O},
		{TICK, 16, 0, EP_BREAKER_SAME, O}, {TICK, 17, 0, EP_BREAKER_PROBES, H}, {FAIL, 18, 0, EP_BREAKER_REOPENED, O},
		{TICK, 25, 0, EP_BREAKER_SAME, O}, {TICK, 26, 0, EP_BREAKER_PROBES, H}, {FAIL, 27, 0, EP_BREAKER_REOPENED, O},
	{TICK, 34, 0, EP_BREAKER_SAME, O}, {TICK, 35, 0, EP_BREAKER_PROBES, H}}},
	{"the pause has a cap", {1, 200}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {TICK, 201, 0, EP_BREAKER_PROBES, H}, {FAIL, 202, 0, EP_BREAKER_REOPENED, O},
	{TICK, 501, 0, EP_BREAKER_SAME, O}, {TICK, 502, 0, EP_BREAKER_PROBES, H}}},
	{"a longer setting is its own cap", {1, 1000}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {TICK, 1001, 0, EP_BREAKER_PROBES, H}, {FAIL, 1002, 0, EP_BREAKER_REOPENED, O},
	{TICK, 2001, 0, EP_BREAKER_SAME, O}, {TICK, 2002, 0, EP_BREAKER_PROBES, H}}},
	{"what began before it opened decides nothing", {1, 10}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {TICK, 11, 0, EP_BREAKER_PROBES, H}, {FAIL_OLD, 12, 0, EP_BREAKER_SAME, H},
	{FAIL, 13, 0, EP_BREAKER_REOPENED, O}}},
	{"a statement's success does not close it", {1, 10}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {TICK, 5, 4, EP_BREAKER_SAME, O}, {TICK, 11, 4, EP_BREAKER_PROBES, H},
	{FAIL, 12, 4, EP_BREAKER_REOPENED, O}}},
	{"a success while it is open", {1, 10}, {
		{FAIL, 1, 0, EP_BREAKER_TRIPPED, O}, {SUCCEED, 2, 0, EP_BREAKER_RESET, C}, {TICK, 50, 0, EP_BREAKER_SAME, C}}},
};

static EpBreakerChange
act(EpBreaker *breaker, const EpBreakerRule *rule, const Step *step)
{
	uint64		now = step->at_s * SECOND;
	uint64		began = step->deed == FAIL ? now - 1 : 0;

	switch (step->deed)
	{
		case SUCCEED:
			return ep_breaker_clear(breaker);
		case TICK:
			return ep_breaker_tick(breaker, rule, now);
		default:
			return ep_breaker_failure(breaker, rule, began, step->success_s * SECOND, now, 1);
	}
}

static void
test_stories(void)
{
	for (Size i = 0; i < lengthof(stories); i++)
	{
		const Story *story = &stories[i];
		EpBreaker	breaker = {0};

		for (int n = 0; n < 16 && story->steps[n].at_s != 0; n++)
		{
			const Step *step = &story->steps[n];

			CHECK_INT(act(&breaker, &story->rule, step), step->change, "%s, step %d", story->about, n + 1);
			CHECK_INT(breaker.state, step->state, "%s, step %d", story->about, n + 1);
		}
	}
}

static void
test_settings_change(void)
{
	EpBreaker	breaker = {0};
	EpBreakerRule rule = {2, 10};
	EpBreakerRule off = {0, 10};

	(void) ep_breaker_failure(&breaker, &rule, 1, 0, 1 * SECOND, 1);
	CHECK_INT(ep_breaker_tick(&breaker, &off, 2 * SECOND), EP_BREAKER_SAME, "switched off while closed");
	CHECK_INT(breaker.failures, 0, "the count is forgotten");
	(void) ep_breaker_failure(&breaker, &rule, 3 * SECOND, 0, 3 * SECOND, 1);
	(void) ep_breaker_failure(&breaker, &rule, 4 * SECOND, 0, 4 * SECOND, 1);
	CHECK_INT(breaker.state, EP_BREAKER_OPEN, "open");
	CHECK_INT(ep_breaker_tick(&breaker, &off, 5 * SECOND), EP_BREAKER_RESET, "switched off while open");
	CHECK_INT(breaker.state, EP_BREAKER_CLOSED, "closes it");
}

static void
test_jitter(void)
{
	EpBreaker	breaker = {0};
	EpBreakerRule rule = {1, 8};

	(void) ep_breaker_failure(&breaker, &rule, 1, 0, 1 * SECOND, 0);
	CHECK_INT(breaker.probe_at_us, 7 * SECOND, "three quarters of the pause at least");
}

static void
test_may_connect(void)
{
	CHECK(ep_breaker_may_connect(C, 0) && ep_breaker_may_connect(C, 7), "closed: as you like");
	CHECK(!ep_breaker_may_connect(O, 0), "open: not at all");
	CHECK(ep_breaker_may_connect(H, 0) && !ep_breaker_may_connect(H, 1), "half-open: one");
}

static void
test_longest(void)
{
	CHECK(ep_breaker_longest(0.5) == 2, "four times");
	CHECK(ep_breaker_longest(30) == 120, "the default");
	CHECK(ep_breaker_longest(100) == 300, "five minutes");
	CHECK(ep_breaker_longest(1000) == 1000, "its own");
}

void
test_breaker(void)
{
	test_longest();
	test_stories();
	test_settings_change();
	test_jitter();
	test_may_connect();
}
