/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *		Finding backends that wait for each other's connections.
 *
 * A pool is live if some connection of it will come back without anybody's
 * waiting: it is idle or in the worker's hands, or held by a backend that does
 * not wait or waits for a live pool.  It is live as well if it can grow: its own
 * limits allow that, and so does each cap that it shares with others.  A cap is
 * live if it leaves a place, or if some connection under it will come back, of
 * whatever pool: its place may be given to another one.  Everything starts as not
 * live and is marked until nothing changes; who waits for a pool that is left
 * over can never be served.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/deadlock.h"

static const EpDeadWaiter *
waiter_of(const EpDeadWaiter *waiters, int nwaiters, int proc)
{
	for (int i = 0; i < nwaiters; i++)
	{
		if (waiters[i].proc == proc)
			return &waiters[i];
	}
	return NULL;
}

/* A connection of that pool will come back.  Returns whether that is news. */
static bool
mark(EpDeadPool *pool, EpDeadCap *caps)
{
	bool		changed = !pool->live;

	pool->live = true;
	for (int i = 0; i < EP_DEAD_CAPS; i++)
	{
		if (pool->caps[i] == EP_DEAD_NO_CAP || caps[pool->caps[i]].live)
			continue;
		caps[pool->caps[i]].live = true;
		changed = true;
	}
	return changed;
}

static bool
can_grow(const EpDeadPool *pool, const EpDeadCap *caps)
{
	for (int i = 0; i < EP_DEAD_CAPS; i++)
	{
		if (pool->caps[i] != EP_DEAD_NO_CAP && !caps[pool->caps[i]].live)
			return false;
	}
	return pool->grows;
}

/*
 * Marks what is live and returns the index of the youngest waiter that is
 * not, or -1.  Indexes must be within their arrays; every waiter is there
 * once.
 */
int
ep_deadlock_victim(EpDeadPool *pools, int npools, EpDeadCap *caps, EpDeadWaiter *waiters, int nwaiters,
				   const EpDeadHold *holds, int nholds)
{
	bool		changed = true;
	int			victim = -1;

	while (changed)
	{
		changed = false;
		for (int i = 0; i < npools; i++)
		{
			if (pools[i].live || !can_grow(&pools[i], caps))
				continue;
			pools[i].live = true;
			changed = true;
		}
		for (int i = 0; i < nholds; i++)
		{
			const EpDeadWaiter *waiter = waiter_of(waiters, nwaiters, holds[i].proc);

			if (waiter == NULL || pools[waiter->pool].live)
				changed = mark(&pools[holds[i].pool], caps) || changed;
		}
	}
	for (int i = 0; i < nwaiters; i++)
	{
		Assert(waiters[i].pool >= 0 && waiters[i].pool < npools);
		waiters[i].live = pools[waiters[i].pool].live;
		if (!waiters[i].live && (victim < 0 || waiters[i].since_us > waiters[victim].since_us))
			victim = i;
	}
	return victim;
}
