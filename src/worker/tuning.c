/*-------------------------------------------------------------------------
 *
 * tuning.c
 *		The worker's part of the setting "strategy": what it changes in the
 *		numbers by which a pool is sized and its idle connections are kept.
 *
 * The decisions are in brain/strategy.c and brain/tuner.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "worker/tuning.h"

static EpStrategy
strategy_of(const EpPool *pool)
{
	return (EpStrategy) EP_INT(&pool->def.set, EP_S_STRATEGY);
}

/* Caller holds the pool's lock. */
static void
read_input(EpPool *pool, uint64 now_us, EpTunerInput *in)
{
	const EpSettings *set = &pool->def.set;

	ep_observe_advance(&pool->observed, pool->n_leased, ep_pool_waiting(pool), now_us);
	in->seen = pool->observed;
	in->present = ep_pool_size(pool) - pool->n_connecting - pool->n_ending - pool->n_aside;
	in->min_size = EP_INT(set, EP_S_MIN_SIZE);
	in->max_size = EP_INT(set, EP_S_MAX_SIZE);
	in->asked = pool->fill_target;
	/* at the first look, what is on its way was asked for, too */
	if (pool->tuner.limit == 0)
		in->asked = Max(in->asked, ep_pool_size(pool) - pool->n_ending);
	in->asked = Min(in->asked, in->max_size);
	in->now_us = now_us;
}

static void
report(const char *name, const EpObserved *seen, const EpTuner *before, const EpTuner *after)
{
	if (before->limit == after->limit && before->wanted == after->wanted)
		return;
	ereport(DEBUG1,
			(errmsg_internal("pool \"%s\": %d connections are wanted, %d are the limit: %s",
							 name, after->wanted, after->limit, after->reason),
			 errdetail_internal("%d would be needed; mean lease %.0f us, mean wait %.0f us.",
								after->peak, seen->lease_us, seen->wait_us)));
}

/* Caller holds the pool's lock. */
static void
set_aside(EpPool *pool, EpGiven *given)
{
	int			connections = ep_pool_size(pool) - pool->n_connecting - pool->n_ending;
	int			n = ep_tuner_aside(&pool->tuner, connections);

	if (n > 0 || pool->n_aside > 0 || pool->aside_wanted > 0)
		ep_queue_set_aside(pool, n, given);
}

/*
 * Lets strategy dynamic look at the pool's numbers.  Called by the timer, with
 * no lock held.  Erlang's formula is computed without it: the worker is the
 * only one that writes the tuner.
 */
void
ep_tuning_tick(EpPool *pool, uint64 now_us)
{
	EpTuner		tuner;
	EpTuner		before;
	EpTunerInput in;
	char		name[NAMEDATALEN];
	EpGiven		given = EP_GIVEN_TO_NOBODY;
	uint32		generation;
	bool		wanted;

	if (pool->tuner.limit == 0 && strategy_of(pool) != EP_STRATEGY_DYNAMIC)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	before = tuner = pool->tuner;
	generation = pool->generation;
	strlcpy(name, pool->def.name, sizeof(name));
	wanted = ep_pool_is_tuned(pool) && !pool->closing && !pool->paused;
	if (wanted)
		read_input(pool, now_us, &in);
	LWLockRelease(&pool->lock);

	if (wanted)
		ep_tuner_step(&tuner, &in);
	else
		memset(&tuner, 0, sizeof(EpTuner));

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->in_use && pool->generation == generation)
	{
		pool->tuner = tuner;
		set_aside(pool, &given);
	}
	LWLockRelease(&pool->lock);
	ep_wake_given(pool, given);
	if (wanted)
		report(name, &in.seen, &before, &tuner);
}

/*
 * Changes what a pool is sized by as its strategy says.  Called when all of in
 * is set but the averages.  Caller holds the pool's lock.  Without
 * dynamic_scaling_enabled it changes nothing, nor for a pool that is open for a
 * health check alone, which keeps no connection.
 */
void
ep_tuning_apply(const EpPool *pool, EpSizingInput *in)
{
	if (!EP_BOOL(&pool->def.set, EP_S_DYNAMIC_SCALING_ENABLED) || pool->checked_only)
		return;
	if (pool->tuner.limit > 0 && ep_pool_is_tuned(pool))
		ep_tuner_apply(&pool->tuner, in);
	else
		ep_strategy_apply(strategy_of(pool), in);
}

/* idle_timeout as the strategy has it, in seconds.  Caller holds the pool's lock. */
double
ep_tuning_idle_timeout(const EpPool *pool)
{
	double		timeout = EP_NUM(&pool->def.set, EP_S_IDLE_TIMEOUT);

	if (ep_pool_is_tuned(pool) && timeout > 0)
		return Min(timeout, EP_TUNER_KEEP_US / 1e6);
	return timeout * ep_strategy_plan(strategy_of(pool), 0).patience;
}

/*
 * Is an idle connection to be validated because it was used, and could not be
 * validated on its way back?  Not the last idle one: somebody might come.
 * Caller holds the pool's lock.
 */
bool
ep_tuning_validation_due(const EpPool *pool, const EpConn *conn)
{
	return ep_strategy_plan(strategy_of(pool), 0).validate &&
		conn->last_used_us > conn->last_validated_us && pool->n_idle > 1;
}
