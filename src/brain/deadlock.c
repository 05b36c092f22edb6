/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *		Finding backends that wait for each other's connections.
 *
 * A pool is live if it can grow, or if some connection of it will come back
 * without anybody's waiting: it is idle or in the worker's hands, or held by a
 * backend that does not wait or waits for something live.  Everything starts as
 * not live and is marked until nothing changes; who waits for what is left over
 * can never be served.
 *
 * Who waits for a session needs two things: a place under max_sessions, which
 * comes back with a session of that pool alone, and a connection, which may be
 * one that is kept for sessions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/deadlock.h"

static bool
can_be_served(const EpDeadPool *pool, bool session)
{
	return session ? pool->session_live && (pool->live || pool->kept_live) : pool->live;
}

/* The holder goes on, so this comes back.  Returns whether that was not known. */
static bool
come_back(EpDeadPool *pool, const EpDeadHold *hold)
{
	EpDeadPool	before = *pool;

	if (hold->kept)
		pool->kept_live = true;
	else
		pool->live = true;
	if (hold->session)
		pool->session_live = true;
	return pool->live != before.live || pool->kept_live != before.kept_live ||
		pool->session_live != before.session_live;
}

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

			if (waiter == NULL || can_be_served(&pools[waiter->pool], waiter->session))
				changed |= come_back(&pools[holds[i].pool], &holds[i]);
		}
	}
	for (int i = 0; i < nwaiters; i++)
	{
		Assert(waiters[i].pool >= 0 && waiters[i].pool < npools);
		waiters[i].live = can_be_served(&pools[waiters[i].pool], waiters[i].session);
		if (!waiters[i].live && (victim < 0 || waiters[i].since_us > waiters[victim].since_us))
			victim = i;
	}
	return victim;
}
