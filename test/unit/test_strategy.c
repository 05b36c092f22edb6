/*-------------------------------------------------------------------------
 *
 * test_strategy.c
 *		What the setting "strategy" changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/strategy.h"
#include "unit.h"

#define BALANCED	EP_STRATEGY_BALANCED
#define THROUGHPUT	EP_STRATEGY_HIGH_THROUGHPUT
#define LATENCY		EP_STRATEGY_LOW_LATENCY

typedef struct Barge
{
	const char *about;
	EpStrategy	strategy;
	double		wait_us;
	double		lease_us;
	double		handover_us;
	int64		bound;
} Barge;

static const Barge barges[] = {
	{"nothing known: in order", BALANCED, 0, 0, 0, 0},
	{"hand-over costs next to nothing: in order", BALANCED, 15000, 5000, 100, 0},
	{"a tenth is next to nothing", BALANCED, 15000, 5000, 500, 0},
	{"hand-over costs: one and a half waits", BALANCED, 3000, 1000, 300, 4500},
	{"but nobody is passed for ever", BALANCED, 200000, 1000, 300, 50000},
	{"nobody waits", BALANCED, 0, 1000, 300, 0},
	{"always for a while", THROUGHPUT, 0, 0, 0, 10000},
	{"also with long leases", THROUGHPUT, 1000, 5000, 100, 10000},
	{"four waits", THROUGHPUT, 15000, 5000, 100, 60000},
	{"and no more than that", THROUGHPUT, 200000, 5000, 100, 100000},
	{"strictly in order", LATENCY, 0, 0, 0, 0},
	{"whatever it costs", LATENCY, 3000, 1000, 900, 0},
};

static void
test_barge(void)
{
	for (Size i = 0; i < lengthof(barges); i++)
	{
		const Barge *b = &barges[i];
		EpObserved	seen = {.wait_us = b->wait_us, .lease_us = b->lease_us, .handover_us = b->handover_us};

		CHECK_INT(ep_strategy_barge_us(b->strategy, &seen), b->bound, "%s", b->about);
	}
}

typedef struct Plan
{
	EpStrategy	strategy;
	int			target_free;
	EpPlan		plan;
} Plan;

static const Plan plans[] = {
	{BALANCED, 3, {3, false, false, 1}},
	{BALANCED, 0, {0, false, false, 1}},
	{THROUGHPUT, 3, {3, false, false, 4}},
	{LATENCY, 3, {6, true, true, 1}},
	{LATENCY, 0, {2, true, true, 1}},
	{EP_STRATEGY_DYNAMIC, 3, {3, false, false, 1}},
};

static void
test_plan(void)
{
	for (Size i = 0; i < lengthof(plans); i++)
	{
		EpPlan		plan = ep_strategy_plan(plans[i].strategy, plans[i].target_free);

		CHECK_INT(plan.free, plans[i].plan.free, "plan %zu", i);
		CHECK_INT(plan.ready, plans[i].plan.ready, "plan %zu", i);
		CHECK_INT(plan.validate, plans[i].plan.validate, "plan %zu", i);
		CHECK(plan.patience == plans[i].plan.patience, "plan %zu", i);
	}
}

/* Means come near what they are of, whatever was before; one lease of an hour does not hide the others. */
static void
test_means(void)
{
	EpObserved	seen = {0};

	for (int i = 0; i < 1000; i++)
	{
		ep_observe_wait(&seen, i % 2 ? 4000 : 0);
		ep_observe_lease(&seen, 1000);
		ep_observe_handover(&seen, 200);
	}
	CHECK(fabs(seen.wait_us - 2000) < 100, "wait %f", seen.wait_us);
	CHECK(fabs(seen.lease_us - 1000) < 1, "lease %f", seen.lease_us);
	CHECK(fabs(seen.handover_us - 200) < 1, "hand-over %f", seen.handover_us);
	CHECK_INT(seen.completed, 1000, "leases");
	ep_observe_lease(&seen, UINT64CONST(3600000000));
	for (int i = 0; i < 500; i++)
		ep_observe_lease(&seen, 1000);
	CHECK(seen.lease_us < 1100, "lease after a long one %f", seen.lease_us);
}

static void
test_sums(void)
{
	EpObserved	seen = {0};

	ep_observe_advance(&seen, 9, 9, 1000);
	CHECK(seen.leased_area == 0 && seen.waiting_area == 0, "nothing is known of the time before");
	ep_observe_advance(&seen, 3, 1, 2000);
	ep_observe_advance(&seen, 5, 0, 2500);
	CHECK(seen.leased_area == 5500 && seen.waiting_area == 1000, "%f, %f", seen.leased_area, seen.waiting_area);
	ep_observe_advance(&seen, 5, 7, 2500);
	ep_observe_advance(&seen, 5, 7, 1);
	CHECK(seen.leased_area == 5500 && seen.waiting_area == 1000 && seen.at_us == 2500, "time that stands still or goes back");
}

/*
 * A queue in which everybody who comes back within the bound passes: sessions
 * without think time, leases of the same length.  What the bound is made for:
 * the longest wait is less than three times the median over all acquires.
 */
#define SESSIONS	64
#define CONNECTIONS	16
#define LEASE_US	1000
#define ROUNDS		20000

static int
by_value(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return x < y ? -1 : x > y;
}

static void
test_queue(EpStrategy strategy, double most)
{
	static double waits[ROUNDS];
	double		queued[SESSIONS] = {0};	/* since when, in order */
	int			first = 0;
	int			waiting = SESSIONS - CONNECTIONS;
	EpObserved	seen = {.lease_us = LEASE_US, .handover_us = LEASE_US / 2.0};

	for (int i = 0; i < ROUNDS; i++)
	{
		/* some connection comes back, and its session wants one again at once */
		double		now = (double) i * LEASE_US / CONNECTIONS;
		double		waited = now - queued[first];

		if (waited < ep_strategy_barge_us(strategy, &seen))
			waited = 0;
		else
		{
			queued[(first + waiting) % SESSIONS] = now;
			first = (first + 1) % SESSIONS;
		}
		ep_observe_wait(&seen, (uint64) waited);
		waits[i] = waited;
	}
	qsort(waits + ROUNDS / 2, ROUNDS / 2, sizeof(double), by_value);
	CHECK(waits[ROUNDS - 1] <= most * Max(waits[ROUNDS * 3 / 4], 1), "strategy %d: median %f, longest %f",
		  strategy, waits[ROUNDS * 3 / 4], waits[ROUNDS - 1]);
}

void
test_strategy(void)
{
	test_barge();
	test_plan();
	test_means();
	test_sums();
	test_queue(BALANCED, 3);
	test_queue(LATENCY, 1.1);
}
