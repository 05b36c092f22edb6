/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *		Finding backends that wait for each other's connections.
 *
 * A pool is live if some connection of it will come back without anybody's
 * waiting: it is idle or in the worker's hands, or held by a backend that does
 * not wait, or waits for something live among others, or has statements under way
 * while it waits.  It is live as well if it can grow: its own limits allow that,
 * and so does each cap that it shares with others.  A cap is live if it leaves a
 * place, or if some connection under it will come back, of whatever pool: its
 * place may be given to another one.  Everything starts as not live and is marked
 * until nothing changes; who waits for what is left over, and for nothing else,
 * can never be served.
 *
 * A backend that waits for several connections goes on with whichever comes, and
 * waits for fewer then; so one of them is enough for now, and what it waits for
 * in vain is found out in the end.
 *
 * Not each of these would help by giving up: who holds nothing, or only what
 * nobody of them waits for, stands behind the deadlock and is not a part of it.
 * It is served when that is over.  So those are chosen from who hold what another
 * one of them lacks.
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
come_back(EpDeadPool *pool, EpDeadCap *caps, const EpDeadHold *hold)
{
	EpDeadPool	before = *pool;
	bool		changed = false;

	if (hold->kept)
		pool->kept_live = true;
	else
		pool->live = true;
	if (hold->session)
		pool->session_live = true;
	for (int i = 0; i < EP_DEAD_CAPS; i++)
	{
		if (pool->caps[i] == EP_DEAD_NO_CAP || caps[pool->caps[i]].live)
			continue;
		caps[pool->caps[i]].live = changed = true;
	}
	return changed || pool->live != before.live || pool->kept_live != before.kept_live ||
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

/* Would that connection bring the waiter nearer to what it waits for in vain? */
static bool
is_lacked(const EpDeadWaiter *waiter, const EpDeadPool *pools, const EpDeadCap *caps, const EpDeadHold *hold)
{
	const EpDeadPool *pool = &pools[waiter->pool];

	if (hold->pool == waiter->pool)
	{
		if (waiter->session)
			return (hold->session && !pool->session_live) || !(pool->live || pool->kept_live);
		return !hold->kept;
	}
	if (!pool->grows)
		return false;
	for (int i = 0; i < EP_DEAD_CAPS; i++)
	{
		int			cap = pool->caps[i];

		if (cap == EP_DEAD_NO_CAP || caps[cap].live)
			continue;
		for (int j = 0; j < EP_DEAD_CAPS; j++)
		{
			if (pools[hold->pool].caps[j] == cap)
				return true;
		}
	}
	return false;
}

/* Does its backend hold what one of those in the deadlock lacks? */
static bool
is_in_the_way(const EpDeadWaiter *waiter, const EpDeadPool *pools, const EpDeadCap *caps,
			  const EpDeadWaiter *waiters, int nwaiters, const EpDeadHold *holds, int nholds)
{
	for (int i = 0; i < nholds; i++)
	{
		if (holds[i].proc != waiter->proc)
			continue;
		for (int j = 0; j < nwaiters; j++)
		{
			if (waiters[j].deadlocked && is_lacked(&waiters[j], pools, caps, &holds[i]))
				return true;
		}
	}
	return false;
}

/* Of those that are not live, leave out who only stands behind. */
static void
find_deadlocked(const EpDeadPool *pools, const EpDeadCap *caps, EpDeadWaiter *waiters, int nwaiters,
				const EpDeadHold *holds, int nholds)
{
	bool		changed = true;

	for (int i = 0; i < nwaiters; i++)
		waiters[i].deadlocked = !waiters[i].live;
	while (changed)
	{
		changed = false;
		for (int i = 0; i < nwaiters; i++)
		{
			if (!waiters[i].deadlocked ||
				is_in_the_way(&waiters[i], pools, caps, waiters, nwaiters, holds, nholds))
				continue;
			waiters[i].deadlocked = false;
			changed = true;
		}
	}
}

/*
 * Marks what is live and who is in a deadlock, and returns the index of the
 * youngest waiter that is.  If none is, the youngest one that can never be served
 * (its pool has no connection and cannot grow), or -1.  Indexes must be within
 * their arrays; a backend is there once for each connection that it waits for.
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
			if (goes_on(pools, waiters, nwaiters, holds[i].proc))
				changed |= come_back(&pools[holds[i].pool], caps, &holds[i]);
		}
	}
	for (int i = 0; i < nwaiters; i++)
	{
		Assert(waiters[i].pool >= 0 && waiters[i].pool < npools);
		waiters[i].live = waiters[i].busy || can_be_served(&pools[waiters[i].pool], waiters[i].session) ||
			goes_on(pools, waiters, nwaiters, waiters[i].proc);
	}
	find_deadlocked(pools, caps, waiters, nwaiters, holds, nholds);
	for (int i = 0; i < nwaiters; i++)
	{
		if (waiters[i].live)
			continue;
		if (victim < 0 || waiters[i].deadlocked > waiters[victim].deadlocked ||
			(waiters[i].deadlocked == waiters[victim].deadlocked && waiters[i].since_us > waiters[victim].since_us))
			victim = i;
	}
	return victim;
}
