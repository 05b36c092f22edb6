/*-------------------------------------------------------------------------
 *
 * test_deadlock.c
 *		Who waits for connections that only waiters could give back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/deadlock.h"
#include "unit.h"

#define MAX_POOLS	5
#define MAX_PROCS	8
#define MAX_CAPS	3

/* Added to the number of a pool. */
#define SESSION		16			/* it is a session that is waited for, or held */
#define KEPT		(SESSION + 32)	/* held by a session, and kept for sessions after it */

typedef struct Case
{
	const char *about;
	const char *live;			/* a letter for each pool: y, n, or what is live of it, k kept ones, s sessions, b both;
								 * g: its own limits let it grow, under the first cap; G: under both caps */
	struct
	{
		int			pool;
		int			proc;
		int			since;
	}			waits[MAX_PROCS];	/* ends with proc 0 */
	struct
	{
		int			pool;
		int			proc;
	}			holds[MAX_PROCS];
	int			victim;			/* proc, 0: none */
	int			busy;			/* proc that has statements under way, 0: none */
	const char *caps;			/* y or n for each of two caps */
} Case;

static const Case cases[] = {
	{"nobody waits", "n", {{0}}, {{0, 1}}, 0, 0, NULL},
	{"the holder does not wait", "n", {{0, 2, 10}}, {{0, 1}}, 0, 0, NULL},
	{"waits for what it holds", "n", {{0, 1, 10}}, {{0, 1}}, 1, 0, NULL},
	{"one of two connections is held by somebody who works", "n", {{0, 1, 10}}, {{0, 1}, {0, 2}}, 0, 0, NULL},
	{"the pool can grow", "y", {{0, 1, 10}}, {{0, 1}}, 0, 0, NULL},
	{"two wait for each other, the younger one is chosen", "nn", {{1, 1, 10}, {0, 2, 20}}, {{0, 1}, {1, 2}}, 2, 0, NULL},
	{"whatever the order", "nn", {{1, 1, 20}, {0, 2, 10}}, {{0, 1}, {1, 2}}, 1, 0, NULL},
	{"three in a ring", "nnn", {{1, 1, 30}, {2, 2, 20}, {0, 3, 10}}, {{0, 1}, {1, 2}, {2, 3}}, 1, 0, NULL},
	{"a chain has an end", "nnn", {{1, 1, 30}, {2, 2, 20}}, {{0, 1}, {1, 2}, {2, 3}}, 0, 0, NULL},
	{"who waits behind a ring and holds nothing is not chosen", "nn",
	{{1, 1, 10}, {0, 2, 20}, {0, 3, 30}}, {{0, 1}, {1, 2}}, 2, 0, NULL},
	{"nor who holds what nobody waits for", "nnn",
	{{1, 1, 10}, {0, 2, 20}, {0, 3, 30}}, {{0, 1}, {1, 2}, {2, 3}}, 2, 0, NULL},
	{"nor who holds what only such a one waits for", "nnn",
	{{1, 1, 10}, {0, 2, 20}, {0, 3, 30}, {2, 4, 40}}, {{0, 1}, {1, 2}, {2, 3}}, 2, 0, NULL},
	{"who holds what a ring waits for is in the way, ring or not", "nnn",
	{{0, 1, 10}, {1, 2, 30}, {2, 3, 20}}, {{0, 1}, {0, 2}, {1, 2}, {2, 3}}, 2, 0, NULL},
	{"a ring beside a pool that works", "nnn", {{1, 1, 10}, {0, 2, 20}, {2, 4, 99}}, {{0, 1}, {1, 2}, {2, 3}}, 2, 0, NULL},
	{"the way out is another pool", "nyn", {{1, 1, 10}, {0, 2, 20}}, {{0, 1}, {2, 2}}, 0, 0, NULL},
	{"all connections of a pool held by its own waiters", "n",
	{{0, 1, 10}, {0, 2, 30}, {0, 3, 20}}, {{0, 1}, {0, 2}, {0, 3}}, 2, 0, NULL},
	{"a pool without connections that cannot grow", "n", {{0, 1, 10}}, {{0}}, 1, 0, NULL},
	{"waits for what it holds, with statements under way", "n", {{0, 1, 10}}, {{0, 1}}, 0, 1, NULL},
	{"who waits behind somebody with statements under way", "nn", {{1, 1, 10}, {0, 2, 20}}, {{0, 1}, {1, 2}}, 0, 2, NULL},
	{"waits for two pools, and one is live", "ny", {{0, 1, 10}, {1, 1, 10}}, {{0, 1}}, 0, 0, NULL},
	{"so does another that holds what it waits for", "nyn", {{0, 1, 10}, {1, 1, 10}, {2, 1, 10}, {0, 2, 20}}, {{0, 1}, {2, 2}}, 0, 0, NULL},
	{"waits for two pools, and both are dead", "nn", {{0, 1, 10}, {1, 1, 20}}, {{0, 1}, {1, 1}}, 1, 0, NULL},
	{"waits twice for one pool", "nn", {{1, 1, 10}, {1, 1, 11}, {0, 2, 5}}, {{0, 1}, {1, 2}}, 1, 0, NULL},
	/* sessions */
	{"two sessions of one backend where one may be open", "k", {{0 + SESSION, 1, 10}}, {{0 + KEPT, 1}}, 1, 0, NULL},
	{"another backend's ends", "k", {{0 + SESSION, 1, 10}}, {{0 + SESSION, 1}, {0 + SESSION, 2}}, 0, 0, NULL},
	{"a place, and a connection for sessions", "b", {{0 + SESSION, 1, 10}}, {{0 + SESSION, 1}}, 0, 0, NULL},
	{"a place, but no connection", "s", {{0 + SESSION, 1, 10}}, {{0 + SESSION, 1}}, 1, 0, NULL},
	{"a lease that ends is no place for a session", "k", {{0 + SESSION, 1, 10}}, {{0 + SESSION, 1}, {0, 2}}, 1, 0, NULL},
	{"what is kept is not for others", "b", {{0, 1, 10}}, {{0, 1}}, 1, 0, NULL},
	{"nor when the session that has it ends", "n", {{0, 1, 10}}, {{0, 1}, {0 + KEPT, 2}}, 1, 0, NULL},
	{"one beyond min_sessions is", "n", {{0, 1, 10}}, {{0, 1}, {0 + SESSION, 2}}, 0, 0, NULL},
	{"a lease is not what who has no place for a session lacks", "kn", {{0 + SESSION, 1, 10}, {0 + SESSION, 2, 20}}, {{0 + KEPT, 1}, {0, 2}}, 1, 0, NULL},
	{"each has a session and waits for one on the other pool", "kk", {{1 + SESSION, 1, 10}, {0 + SESSION, 2, 20}},
	{{0 + KEPT, 1}, {1 + KEPT, 2}}, 2, 0, NULL},
	{"one of them for a lease, of which there are more", "ky", {{1, 1, 10}, {0 + SESSION, 2, 20}}, {{0 + KEPT, 1}, {1 + SESSION, 2}}, 0, 0, NULL},
	/* caps */
	{"the cap leaves a place", "gg", {{0, 1, 10}, {1, 2, 20}}, {{0, 1}, {1, 2}}, 0, 0, "yn"},
	{"all its places are held by those who wait for more", "gg", {{0, 1, 10}, {1, 2, 20}}, {{0, 1}, {1, 2}}, 2, 0, "nn"},
	{"who holds nothing waits behind them", "gg", {{0, 1, 10}, {1, 2, 20}, {1, 3, 30}}, {{0, 1}, {1, 2}}, 2, 0, "nn"},
	{"nor is who holds a connection under another cap", "ggn", {{0, 1, 10}, {1, 2, 20}, {1, 3, 30}}, {{0, 1}, {1, 2}, {2, 3}}, 2, 0, "nn"},
	{"one holder works", "ggg", {{0, 1, 10}, {1, 2, 20}}, {{0, 1}, {1, 2}, {2, 3}}, 0, 0, "nn"},
	{"but not under that cap", "ggn", {{0, 1, 10}, {1, 2, 20}}, {{0, 1}, {1, 2}, {2, 3}}, 2, 0, "nn"},
	{"one waits for a pool that works", "ggn", {{0, 1, 10}, {2, 2, 20}}, {{0, 1}, {1, 2}, {2, 3}}, 0, 0, "nn"},
	{"a pool at its own limit has nothing of a place", "gnn", {{1, 1, 10}, {1, 2, 20}}, {{1, 1}, {1, 2}, {0, 3}}, 2, 0, "nn"},
	{"both caps must have one", "GG", {{0, 1, 10}, {1, 2, 20}}, {{0, 1}, {1, 2}}, 2, 0, "yn"},
	{"and do", "GG", {{0, 1, 10}, {1, 2, 20}}, {{0, 1}, {1, 2}}, 0, 0, "yy"},
	{"who works under both frees a place of both", "GG", {{0, 1, 10}}, {{0, 1}, {1, 2}}, 0, 0, "nn"},
};

static void
run_case(const Case *c)
{
	EpDeadPool	pools[MAX_POOLS];
	EpDeadCap	caps[MAX_CAPS];
	EpDeadWaiter waiters[MAX_PROCS];
	EpDeadHold	holds[MAX_PROCS];
	int			npools = strlen(c->live);
	int			nwaiters = 0;
	int			nholds = 0;
	int			victim;

	for (int i = 0; i < npools; i++)
	{
		pools[i].live = c->live[i] == 'y';
		pools[i].kept_live = strchr("ykb", c->live[i]) != NULL;
		pools[i].session_live = strchr("ysb", c->live[i]) != NULL;
		pools[i].grows = c->live[i] == 'g' || c->live[i] == 'G';
		pools[i].caps[0] = pools[i].grows ? 0 : EP_DEAD_NO_CAP;
		pools[i].caps[1] = c->live[i] == 'G' ? 1 : EP_DEAD_NO_CAP;
	}
	for (int i = 0; i < MAX_CAPS; i++)
		caps[i].live = c->caps != NULL && c->caps[i] == 'y';
	for (; c->waits[nwaiters].proc != 0; nwaiters++)
	{
		waiters[nwaiters].pool = c->waits[nwaiters].pool % SESSION;
		waiters[nwaiters].proc = c->waits[nwaiters].proc;
		waiters[nwaiters].busy = c->busy == waiters[nwaiters].proc;
		waiters[nwaiters].since_us = c->waits[nwaiters].since;
		waiters[nwaiters].session = (c->waits[nwaiters].pool & SESSION) != 0;
	}
	for (; c->holds[nholds].proc != 0; nholds++)
	{
		holds[nholds].pool = c->holds[nholds].pool % SESSION;
		holds[nholds].proc = c->holds[nholds].proc;
		holds[nholds].session = (c->holds[nholds].pool & SESSION) != 0;
		holds[nholds].kept = (c->holds[nholds].pool & KEPT) == KEPT;
	}
	victim = ep_deadlock_victim(pools, npools, caps, waiters, nwaiters, holds, nholds);
	CHECK_INT(victim < 0 ? 0 : waiters[victim].proc, c->victim, "%s", c->about);
}

/* ---------------------------------------------------------------- at random */

typedef struct World
{
	EpDeadPool	pools[MAX_POOLS];
	EpDeadCap	caps[MAX_CAPS];
	EpDeadWaiter waiters[3 * MAX_PROCS];
	int			nwaiters;
	EpDeadHold	holds[2 * MAX_PROCS];
	int			nholds;
} World;

static void
random_world(World *w)
{
	w->nwaiters = w->nholds = 0;
	for (int i = 0; i < MAX_POOLS; i++)
	{
		w->pools[i].live = unit_random(8) == 0;
		w->pools[i].kept_live = unit_random(8) == 0;
		w->pools[i].session_live = unit_random(4) == 0;
		w->pools[i].grows = unit_random(2) == 0;
		w->pools[i].caps[0] = 0;
		w->pools[i].caps[1] = unit_random(MAX_CAPS) == 0 ? EP_DEAD_NO_CAP : 1 + unit_random(MAX_CAPS - 1);
	}
	for (int i = 0; i < MAX_CAPS; i++)
		w->caps[i].live = unit_random(6) == 0;
	for (int proc = 1; proc <= MAX_PROCS; proc++)
	{
		int			n = unit_random(3);

		for (int i = 0; i < n; i++)
		{
			w->holds[w->nholds].pool = unit_random(MAX_POOLS);
			w->holds[w->nholds].session = unit_random(2) == 0;
			w->holds[w->nholds].kept = w->holds[w->nholds].session && unit_random(2) == 0;
			w->holds[w->nholds++].proc = proc;
		}
		if (unit_random(3) != 0)
		{
			bool		busy = unit_random(10) == 0;

			/* mostly one, and sometimes two or three */
			for (int i = Max(unit_random(9) - 5, 1); i > 0; i--)
			{
				w->waiters[w->nwaiters].pool = unit_random(MAX_POOLS);
				w->waiters[w->nwaiters].session = unit_random(2) == 0;
				w->waiters[w->nwaiters].proc = proc;
				w->waiters[w->nwaiters].busy = busy;
				w->waiters[w->nwaiters++].since_us = unit_random(1000);
			}
		}
	}
}

/* Has a pool a connection to give, or a place for one? */
static bool
can_give(const World *w, const EpDeadPool *pool)
{
	bool		place = w->caps[pool->caps[0]].live && (pool->caps[1] == EP_DEAD_NO_CAP || w->caps[pool->caps[1]].live);

	return pool->live || (pool->grows && place);
}

/* Its connections come back. */
static void
give_up(World *w, int proc)
{
	int			n = 0;

	for (int i = 0; i < w->nholds; i++)
	{
		EpDeadPool *pool = &w->pools[w->holds[i].pool];

		if (w->holds[i].proc == proc)
		{
			pool->session_live |= w->holds[i].session;
			if (w->holds[i].kept)
				pool->kept_live = true;
			else
				pool->live = true;
			w->caps[pool->caps[0]].live = true;
			if (pool->caps[1] != EP_DEAD_NO_CAP)
				w->caps[pool->caps[1]].live = true;
		}
		else
			w->holds[n++] = w->holds[i];
	}
	w->nholds = n;
	n = 0;
	for (int i = 0; i < w->nwaiters; i++)
	{
		if (w->waiters[i].proc != proc)
			w->waiters[n++] = w->waiters[i];
	}
	w->nwaiters = n;
}

/* Is there what that waiter waits for? */
static bool
is_served(const World *w, const EpDeadWaiter *waiter)
{
	const EpDeadPool *pool = &w->pools[waiter->pool];

	if (!waiter->session)
		return can_give(w, pool);
	return pool->session_live && (can_give(w, pool) || pool->kept_live);
}

/*
 * Let things take their course: who does not wait, or has statements under way,
 * gives back what it holds; a waiter one of whose pools has a connection to give
 * gets one, works and gives it back.  Those who still wait at the end are the dead ones.
 */
static void
play(World *w)
{
	bool		changed = true;

	while (changed)
	{
		changed = false;
		for (int proc = 1; proc <= MAX_PROCS; proc++)
		{
			bool		waits = false;
			bool		goes_on = false;
			int			before = w->nholds + w->nwaiters;

			for (int i = 0; i < w->nwaiters; i++)
			{
				if (w->waiters[i].proc != proc)
					continue;
				waits = true;
				goes_on = goes_on || w->waiters[i].busy || is_served(w, &w->waiters[i]);
			}
			if (!waits || goes_on)
				give_up(w, proc);
			changed = changed || w->nholds + w->nwaiters != before;
		}
	}
}

static void
check_world(const World *start, int round)
{
	World		found = *start;
	World		played = *start;
	int			victim = ep_deadlock_victim(found.pools, MAX_POOLS, found.caps, found.waiters, found.nwaiters,
											found.holds, found.nholds);
	World		rest = *start;
	int			ndead = 0;
	bool		deadlock = false;

	play(&played);
	for (int i = 0; i < found.nwaiters; i++)
		ndead += !found.waiters[i].live;
	for (int i = 0; i < found.nwaiters; i++)
		deadlock |= found.waiters[i].deadlocked;
	CHECK_INT(ndead, played.nwaiters, "round %d: who can never be served", round);
	CHECK_INT(victim >= 0, played.nwaiters > 0, "round %d: a victim if there is need", round);
	for (int i = 0; i < found.nwaiters; i++)
	{
		if (!found.waiters[i].live && found.waiters[i].deadlocked == deadlock)
			CHECK_INT(found.waiters[i].since_us <= found.waiters[victim].since_us, true, "round %d: the youngest", round);
	}
	if (!deadlock)
		return;

	/* with none of them there is nothing that anybody's giving up could help against */
	for (int i = 0; i < found.nwaiters; i++)
	{
		if (found.waiters[i].deadlocked)
			give_up(&rest, found.waiters[i].proc);
	}
	(void) ep_deadlock_victim(rest.pools, MAX_POOLS, rest.caps, rest.waiters, rest.nwaiters, rest.holds, rest.nholds);
	for (int i = 0; i < rest.nwaiters; i++)
		CHECK_INT(rest.waiters[i].deadlocked, false, "round %d: all who are in the way", round);
}

void
test_deadlock(void)
{
	World		world;

	for (Size i = 0; i < lengthof(cases); i++)
		run_case(&cases[i]);
	for (int i = 0; i < 5000; i++)
	{
		random_world(&world);
		check_world(&world, i);
	}
}
