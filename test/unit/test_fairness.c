/*-------------------------------------------------------------------------
 *
 * test_fairness.c
 *		Who gets the places that several pools share.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/fairness.h"
#include "unit.h"

#define MAX_POOLS	12

typedef struct Case
{
	const char *about;
	int			capacity;
	int			n;
	EpFairPool	pools[MAX_POOLS];
	int			shares[MAX_POOLS];
	int			rations[MAX_POOLS];
} Case;

#define NO		EP_NO_RATION
#define P(min, most, size, unused, missed, wanted, since) \
	{.min_size = min, .limit = most, .alive = size, .idle = unused, .missing = missed, .demand = wanted, .since_us = since}

static const Case cases[] = {
	{"enough for all", 10, 2, {P(0, 20, 4, 0, 2, 6, 1), P(0, 20, 3, 3, 0, 1, 0)}, {6, 1}, {NO, NO}},
	{"nobody waits", 10, 2, {P(0, 20, 6, 2, 0, 4, 0), P(0, 20, 4, 4, 0, 0, 0)}, {4, 0}, {NO, NO}},
	{"idle ones make room", 10, 2, {P(0, 20, 3, 0, 2, 5, 1), P(0, 20, 7, 5, 0, 2, 0)}, {5, 2}, {5, 5}},
	{"no more of them than are missed", 10, 2, {P(0, 20, 3, 0, 1, 4, 1), P(0, 20, 7, 7, 0, 0, 0)}, {4, 0}, {4, 6}},
	{"min_size is kept", 10, 2, {P(0, 20, 4, 0, 5, 9, 1), P(6, 20, 6, 6, 0, 0, 0)}, {4, 6}, {NO, NO}},
	{"down to min_size", 10, 2, {P(0, 20, 4, 0, 6, 10, 1), P(2, 20, 6, 6, 0, 0, 0)}, {8, 2}, {8, 2}},
	{"places that are going to be free are theirs who miss them", 10, 2, {P(0, 20, 4, 0, 2, 6, 1), {.limit = 20, .alive = 4, .idle = 4, .ending = 1}}, {6, 0}, {6, 4}},
	{"a greedy one gives, when they come back", 4, 2, {P(0, 20, 4, 0, 16, 20, 1), P(0, 20, 0, 0, 1, 1, 9)}, {3, 1}, {3, 1}},
	{"down to its fair share", 4, 2, {P(0, 20, 4, 0, 16, 20, 1), P(0, 20, 0, 0, 9, 9, 9)}, {2, 2}, {2, 2}},
	{"one greedy, many small ones", 10, 5, {P(0, 20, 8, 0, 12, 20, 1), P(0, 20, 1, 0, 0, 1, 0), P(0, 20, 1, 0, 0, 1, 0),
			P(0, 20, 0, 0, 1, 1, 5), P(0, 20, 0, 0, 2, 2, 5)}, {5, 1, 1, 1, 2}, {5, 1, 1, 1, 2}},
	{"small ones that are content leave the rest", 10, 3, {P(0, 20, 9, 0, 5, 14, 1), P(0, 20, 1, 1, 0, 0.6, 0), P(0, 20, 0, 0, 0, 0, 0)},
	{9, 1, 0}, {NO, NO, NO}},
	{"idle ones before busy ones", 10, 3, {P(0, 20, 6, 0, 0, 6, 0), P(0, 20, 4, 4, 0, 0, 0), P(0, 20, 0, 0, 2, 2, 1)}, {6, 0, 2}, {6, 2, 2}},
	{"even if busy ones are as far above", 10, 3, {P(0, 20, 8, 0, 0, 8, 0), P(0, 20, 2, 2, 0, 0, 0), P(0, 20, 0, 0, 2, 4, 1)}, {6, 0, 4}, {8, 0, 4}},
	{"of several the one with most to spare", 12, 3, {P(0, 20, 8, 8, 0, 0, 0), P(0, 20, 4, 4, 0, 0, 0), P(0, 20, 0, 0, 5, 5, 1)}, {0, 0, 5}, {3, 4, 5}},
	{"what does not go round stays where it is", 5, 2, {P(0, 20, 2, 0, 5, 7, 1), P(0, 20, 3, 0, 5, 8, 9)}, {2, 3}, {NO, NO}},
	{"fewer places than pools: turns", 1, 3, {P(0, 20, 1, 0, 4, 5, 30), P(0, 20, 0, 0, 4, 4, 20), P(0, 20, 0, 0, 4, 4, 10)}, {0, 0, 1}, {0, 0, 1}},
	{"min_sizes do not fit: shares of them", 4, 2, {P(8, 20, 4, 0, 4, 8, 1), P(8, 20, 0, 0, 1, 1, 2)}, {2, 2}, {3, 2}},
	{"the limit of a pool's own", 10, 2, {P(0, 3, 3, 0, 9, 12, 1), P(0, 20, 7, 0, 0, 7, 0)}, {3, 7}, {NO, NO}},
	{"the cap was lowered", 4, 2, {P(0, 20, 4, 4, 0, 1, 0), P(0, 20, 4, 0, 0, 4, 0)}, {1, 3}, {1, 3}},
	{"zero demand", 4, 3, {P(0, 20, 0, 0, 0, 0, 0), P(0, 20, 4, 4, 0, 0, 0), P(0, 20, 0, 0, 0, 0, 0)}, {0, 0, 0}, {NO, NO, NO}},
	{"not all at once", 200, 2, {P(0, 200, 200, 200, 0, 0, 0), P(0, 200, 0, 0, 100, 100, 1)}, {0, 100}, {136, 100}},
	{"alone", 4, 1, {P(2, 20, 4, 0, 9, 13, 1)}, {4}, {NO}},
};

static void
test_cases(void)
{
	for (Size i = 0; i < lengthof(cases); i++)
	{
		Case		c = cases[i];
		bool		rationed = false;

		for (int p = 0; p < c.n; p++)
			rationed |= c.rations[p] != NO;
		CHECK_INT(ep_fair_divide(c.pools, c.n, c.capacity), rationed, "%s", c.about);
		for (int p = 0; p < c.n; p++)
		{
			CHECK_INT(c.pools[p].share, c.shares[p], "%s: share of %d", c.about, p);
			CHECK_INT(c.pools[p].ration, c.rations[p], "%s: ration of %d", c.about, p);
		}
	}
}

static int
has_use_for(const EpFairPool *pool)
{
	return Max(Min(pool->min_size, pool->limit), (int) Min(pool->demand + 0.5, pool->limit));
}

/* What must hold whatever the numbers. */
static void
test_laws(void)
{
	for (int round = 0; round < 5000; round++)
	{
		EpFairPool	pools[MAX_POOLS];
		int			n = 1 + unit_random(MAX_POOLS);
		int			capacity = unit_random(60);
		int			sum = 0;
		int			sum_min = 0;
		bool		rationed;

		for (int i = 0; i < n; i++)
		{
			EpFairPool *p = &pools[i];

			memset(p, 0, sizeof(EpFairPool));
			p->limit = 1 + unit_random(20);
			p->min_size = unit_random(3) == 0 ? unit_random(p->limit + 1) : 0;
			p->alive = unit_random(p->limit + 1);
			p->idle = unit_random(p->alive + 1);
			p->missing = unit_random(2) == 0 ? unit_random(20) : 0;
			p->demand = p->alive - p->idle + p->missing;
			p->since_us = p->missing > 0 ? 1 + unit_random(100) : 0;
			sum_min += p->min_size;
		}
		rationed = ep_fair_divide(pools, n, capacity);
		for (int i = 0; i < n; i++)
		{
			const EpFairPool *p = &pools[i];

			sum += p->share;
			CHECK(p->share >= 0 && p->share <= has_use_for(p), "round %d: more than it has use for", round);
			CHECK(sum_min > capacity || p->share >= p->min_size, "round %d: min_size", round);
			CHECK(!rationed == (p->ration == NO), "round %d: all or none", round);
			CHECK(!rationed || p->ration >= Min(p->share, p->alive), "round %d: below its share", round);
			for (int j = 0; sum_min <= capacity && j < n; j++)
				CHECK(p->share >= has_use_for(p) || pools[j].share <= Max(p->share + 1, pools[j].min_size),
					  "round %d: %d has more than %d, which wants it", round, j, i);
		}
		CHECK(sum <= capacity, "round %d: more shares than places", round);
		for (int i = 0; i < n && sum < capacity; i++)
			CHECK(sum_min > capacity || pools[i].share == has_use_for(&pools[i]), "round %d: a place is left", round);
	}
}

/* Each of three pools that share one place has its turn. */
static void
test_turns(void)
{
	int			served[3] = {0};

	for (int turn = 0, holder = 0; turn < 30; turn++)
	{
		EpFairPool	pools[3];

		for (int i = 0; i < 3; i++)
			pools[i] = (EpFairPool)
			{
				.limit = 20, .alive = i == holder, .missing = 5, .demand = 5 + (i == holder),
				/* who was served has a younger waiter in front */
				.since_us = 1 + (uint64) served[i] * 3 + i
			};
		(void) ep_fair_divide(pools, 3, 1);
		for (int i = 0; i < 3; i++)
		{
			if (pools[i].share == 1)
				holder = i;
		}
		served[holder]++;
	}
	for (int i = 0; i < 3; i++)
		CHECK_INT(served[i], 10, "pool %d", i);
}

static void
test_demand(void)
{
	double		demand = ep_fair_demand(0, 10, 0.5);

	CHECK(demand == 10, "what is wanted now counts at once");
	for (int i = 0; i < 10; i++)
	{
		double		next = ep_fair_demand(demand, 2, 0.1);

		CHECK(next < demand && next > 2, "it is forgotten bit by bit");
		demand = next;
	}
	CHECK(demand < 5.5 && demand > 4.5, "most of it after a second");
	CHECK(ep_fair_demand(demand, 0, 60) < 0.01, "nothing is left after a minute");
}

void
test_fairness(void)
{
	test_cases();
	test_laws();
	test_turns();
	test_demand();
}
