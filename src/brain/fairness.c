/*-------------------------------------------------------------------------
 *
 * fairness.c
 *		Who gets the places that several pools share.
 *
 * Max-min fair shares: nobody gets more than it has use for, and nobody gets
 * less than another one that has more than its min_size, unless that is all it
 * has use for.  They matter only while some pool misses connections that are
 * its due and there is no place for them.  Then every pool gets a ration: who
 * has more than its share opens none, and those furthest above their share
 * give as many as are missed, idle ones first, busy ones when they come back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/fairness.h"

/*
 * Demand of the past is forgotten with this time constant.  Long enough for
 * the moments between the statements of a busy pool, short enough that others
 * need not wait for long for what is idle.
 */
#define MEMORY_S	1.0

/* No more places than that change hands by one decision. */
#define MAX_GIVEN	64

/*
 * The demand of late: its average, or the present one if that is higher, so
 * that who needs something need not wait until it shows in the average.
 * before is what this returned passed_s ago.
 */
double
ep_fair_demand(double before, int present, double passed_s)
{
	double		keep = exp(-Max(passed_s, 0) / MEMORY_S);

	return Max((double) present, before * keep + present * (1 - keep));
}

static int
least(const EpFairPool *pool, bool with_min)
{
	return with_min ? Min(pool->min_size, pool->limit) : 0;
}

/* What a pool has use for, min_size at least; that alone if not even that is to be had by all. */
static int
most(const EpFairPool *pool, bool with_min)
{
	int			min = Min(pool->min_size, pool->limit);
	double		demand = Min(floor(pool->demand + 0.5), pool->limit);

	return with_min ? Max(min, (int) demand) : min;
}

static int
at_level(const EpFairPool *pool, bool with_min, int level)
{
	return Min(Max(level, least(pool, with_min)), most(pool, with_min));
}

static int64
sum_at_level(const EpFairPool *pools, int n, bool with_min, int level)
{
	int64		sum = 0;

	for (int i = 0; i < n; i++)
		sum += at_level(&pools[i], with_min, level);
	return sum;
}

/*
 * Is a more entitled than b to one of the places that do not go round?  Where
 * there is not one for each, who has waited longest, so that all have their
 * turn; else who has one already, so that connections are not made in vain.
 */
static bool
before(const EpFairPool *a, const EpFairPool *b, int level)
{
	if (level == 0)
	{
		uint64		a_since = a->since_us ? a->since_us : PG_UINT64_MAX;
		uint64		b_since = b->since_us ? b->since_us : PG_UINT64_MAX;

		if (a_since != b_since)
			return a_since < b_since;
	}
	return a->alive - a->share > b->alive - b->share;
}

/* Sets each pool's share of so many places. */
void
ep_fair_shares(EpFairPool *pools, int n, int capacity)
{
	bool		with_min = sum_at_level(pools, n, true, 0) <= capacity;
	int			low = 0;
	int			high = capacity + 1;
	int64		rest;

	/* the highest level that all can have; level 0 always can */
	while (high - low > 1)
	{
		int			middle = low + (high - low) / 2;

		if (sum_at_level(pools, n, with_min, middle) <= capacity)
			low = middle;
		else
			high = middle;
	}
	rest = capacity;
	for (int i = 0; i < n; i++)
	{
		pools[i].share = at_level(&pools[i], with_min, low);
		rest -= pools[i].share;
	}

	/* one more for some of those that this level cut */
	for (; rest > 0; rest--)
	{
		int			next = -1;

		for (int i = 0; i < n; i++)
		{
			if (pools[i].share == low && most(&pools[i], with_min) > low &&
				(next < 0 || before(&pools[i], &pools[next], low)))
				next = i;
		}
		if (next < 0)
			break;
		pools[next].share++;
	}
}

/*
 * Takes one place off the ration of the pool that is furthest above its share;
 * idle tells to take only what is idle.  Returns false if there is none.
 */
static bool
take_one(EpFairPool *pools, int n, bool idle)
{
	int			victim = -1;
	int			most_above = 0;

	for (int i = 0; i < n; i++)
	{
		int			given = pools[i].alive - pools[i].ration;
		int			above = pools[i].ration - pools[i].share;

		if (above > most_above && (!idle || given < pools[i].idle))
		{
			victim = i;
			most_above = above;
		}
	}
	if (victim < 0)
		return false;
	pools[victim].ration--;
	return true;
}

/*
 * Sets each pool's share and ration of so many places.  Returns whether
 * rations are needed: there is a pool with waiters below its share and no
 * place for it at this moment, or there are more connections than places.  Otherwise all have none.
 */
bool
ep_fair_divide(EpFairPool *pools, int n, int capacity)
{
	int64		alive = 0;
	int64		ending = 0;
	int64		missed = 0;
	int64		give;
	bool		needed;

	ep_fair_shares(pools, n, capacity);
	for (int i = 0; i < n; i++)
	{
		alive += pools[i].alive;
		ending += pools[i].ending;
		missed += Min(pools[i].missing, Max(pools[i].share - pools[i].alive, 0));
	}
	give = alive + missed - capacity;
	needed = give > 0 || missed > Max(capacity - alive - ending, 0);
	for (int i = 0; i < n; i++)
		pools[i].ration = needed ? Max(pools[i].alive, pools[i].share) : EP_NO_RATION;
	if (!needed)
		return false;

	/* what is ending is nobody's but theirs who miss it */
	give = Min(give, MAX_GIVEN);
	while (give > 0 && take_one(pools, n, true))
		give--;
	while (give > 0 && take_one(pools, n, false))
		give--;
	return true;
}
