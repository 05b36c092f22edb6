/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *		Finding backends that wait for each other's connections.
 *
 * A pool is live if it can grow, or if some connection of it will come back
 * without anybody's waiting: it is idle or in the worker's hands, or held by a
 * backend that does not wait, or waits for a live pool among others, or has
 * statements under way while it waits.  Everything starts as not live and is
 * marked until nothing changes; who waits for pools that are left over, and for
 * no other, can never be served.
 *
 * A backend that waits for several pools goes on with whichever comes, and waits
 * for fewer then; so one of them is enough for now, and what it waits for in
 * vain is found out in the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/deadlock.h"

/* Can that backend go on? */
static bool
goes_on(const EpDeadPool *pools, const EpDeadWaiter *waiters, int nwaiters, int proc)
{
	bool		waits = false;

	for (int i = 0; i < nwaiters; i++)
	{
		if (waiters[i].proc != proc)
			continue;
		if (waiters[i].busy || pools[waiters[i].pool].live)
			return true;
		waits = true;
	}
	return !waits;
}

/*
 * Marks what is live and returns the index of the youngest waiter that is
 * not, or -1.  Indexes must be within their arrays; a backend is there once for
 * each connection that it waits for.
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
			if (!pools[holds[i].pool].live && goes_on(pools, waiters, nwaiters, holds[i].proc))
			{
				pools[holds[i].pool].live = true;
				changed = true;
			}
		}
	}
	for (int i = 0; i < nwaiters; i++)
	{
		Assert(waiters[i].pool >= 0 && waiters[i].pool < npools);
		waiters[i].live = waiters[i].busy || pools[waiters[i].pool].live ||
			goes_on(pools, waiters, nwaiters, waiters[i].proc);
		if (!waiters[i].live && (victim < 0 || waiters[i].since_us > waiters[victim].since_us))
			victim = i;
	}
	return victim;
}
