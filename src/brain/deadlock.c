/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *		Finding backends that wait for each other's connections.
 *
 * A pool is live if it can grow, or if some connection of it will come back
 * without anybody's waiting: it is idle or in the worker's hands, or held by a
 * backend that does not wait, or waits for something live among others, or has
 * statements under way while it waits.  Everything starts as not live and is
 * marked until nothing changes; who waits for what is left over, and for nothing
 * else, can never be served.
 *
 * A backend that waits for several connections goes on with whichever comes, and
 * waits for fewer then; so one of them is enough for now, and what it waits for
 * in vain is found out in the end.
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

/* Can that backend go on? */
static bool
goes_on(const EpDeadPool *pools, const EpDeadWaiter *waiters, int nwaiters, int proc)
{
	bool		waits = false;

	for (int i = 0; i < nwaiters; i++)
	{
		if (waiters[i].proc != proc)
			continue;
		if (waiters[i].busy || can_be_served(&pools[waiters[i].pool], waiters[i].session))
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
			if (goes_on(pools, waiters, nwaiters, holds[i].proc))
				changed |= come_back(&pools[holds[i].pool], &holds[i]);
		}
	}
	for (int i = 0; i < nwaiters; i++)
	{
		Assert(waiters[i].pool >= 0 && waiters[i].pool < npools);
		waiters[i].live = waiters[i].busy || can_be_served(&pools[waiters[i].pool], waiters[i].session) ||
			goes_on(pools, waiters, nwaiters, waiters[i].proc);
		if (!waiters[i].live && (victim < 0 || waiters[i].since_us > waiters[victim].since_us))
			victim = i;
	}
	return victim;
}
