/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *		Finding backends that wait for each other's connections.
 *
 * A pool is live if it can grow, or if some connection of it will come back
 * without anybody's waiting: it is idle or in the worker's hands, or held by a
 * backend that does not wait or waits for a live pool.  Everything starts as
 * not live and is marked until nothing changes; who waits for a pool that is
 * left over can never be served.
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

/*
 * Marks what is live and returns the index of the youngest waiter that is
 * not, or -1.  Indexes must be within their arrays; every waiter is there
 * once.
 */
int
ep_deadlock_victim(EpDeadPool *pools, int npools, EpDeadWaiter *waiters, int nwaiters,
				   const EpDeadHold *holds, int nholds)
{
	bool		changed = true;
	int			victim = -1;

	while (changed)
	{
		changed = false;
		for (int i = 0; i < nholds; i++)
		{
			const EpDeadWaiter *waiter = waiter_of(waiters, nwaiters, holds[i].proc);

			if (!pools[holds[i].pool].live && (waiter == NULL || pools[waiter->pool].live))
			{
				pools[holds[i].pool].live = true;
				changed = true;
			}
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
