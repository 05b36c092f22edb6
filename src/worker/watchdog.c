/*-------------------------------------------------------------------------
 *
 * watchdog.c
 *		Finds backends that wait for each other's connections.
 *
 * The picture is taken pool by pool, so it may be of no single moment.  A
 * backend is therefore chosen only if two pictures, half a second apart, name
 * it, waiting with the same ticket: what stands still for that long is no
 * artefact.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "brain/deadlock.h"
#include "worker/kept.h"

/* What else is to be known of a pool. */
typedef struct Place
{
	bool		in_use;
	Oid			database;
	Oid			server;
	int			cap;			/* max_server_connections, 0: none */
	int			size;			/* health checks' included: they take places */
	int			leased;
	int			held;			/* of leased, those whose holder is in the picture */
} Place;

/* The cap of all pools; those of servers follow, at the place of their first pool. */
#define ALL_POOLS		0
#define SERVER_CAP(i)	((i) + 1)

typedef struct Picture
{
	EpDeadPool *pools;
	EpDeadCap  *caps;
	Place	   *places;
	EpDeadWaiter *waiters;
	EpDeadHold *holds;
	int		   *entries;		/* by waiter */
	uint64	   *tickets;
	int			nwaiters;
	int			nholds;
} Picture;

static Picture *
make_picture(void)
{
	Picture    *picture = MemoryContextAllocZero(TopMemoryContext, sizeof(Picture));

	picture->pools = MemoryContextAllocZero(TopMemoryContext, sizeof(EpDeadPool) * ep_control->max_pools);
	picture->waiters = MemoryContextAllocZero(TopMemoryContext, sizeof(EpDeadWaiter) * ep_control->n_waiters);
	picture->entries = MemoryContextAllocZero(TopMemoryContext, sizeof(int) * ep_control->n_waiters);
	picture->tickets = MemoryContextAllocZero(TopMemoryContext, sizeof(uint64) * ep_control->n_waiters);
	picture->caps = MemoryContextAllocZero(TopMemoryContext, sizeof(EpDeadCap) * SERVER_CAP(ep_control->max_pools));
	picture->places = MemoryContextAllocZero(TopMemoryContext, sizeof(Place) * ep_control->max_pools);
	picture->holds = MemoryContextAllocZero(TopMemoryContext, sizeof(EpDeadHold) * ep_control->max_connections);
	return picture;
}

/*
 * Are connections that are kept for sessions for nobody else, even if others
 * wait?  Caller holds the pool's lock.
 */
static bool
stays_kept(const EpPool *pool)
{
	EpKeepInput in;

	ep_keep_read(pool, ep_now_us(), &in);
	return in.kept <= ep_keep_floor(&in);
}

/* Caller holds the pool's lock. */
static void
add_pool(Picture *picture, int place)
{
	const EpPool *pool = &ep_pools[place];
	int			limit = EP_INT(&pool->def.set, EP_S_MAX_SIZE) + EP_INT(&pool->def.set, EP_S_MAX_OVERFLOW);
	int			available = ep_pool_size(pool) - pool->n_leased;

	if (stays_kept(pool))
		available -= pool->n_kept_idle;
	picture->places[place] = (Place)
	{
		.in_use = true, .database = pool->def.key.database, .server = pool->def.key.server,
		.cap = EP_INT(&pool->def.set, EP_S_MAX_SERVER_CONNECTIONS), .size = pool->size, .leased = pool->n_leased
	};
	picture->pools[place].live = available > 0;
	picture->pools[place].grows = ep_pool_size(pool) < limit;
	picture->pools[place].kept_live = pool->n_kept_idle > 0;
	picture->pools[place].session_live = !ep_sessions_full(pool);
	for (int entry = pool->wait_head; entry >= 0 && picture->nwaiters < ep_control->n_waiters;
		 entry = ep_backends[entry].next)
	{
		EpDeadWaiter *waiter = &picture->waiters[picture->nwaiters];

		waiter->pool = place;
		waiter->proc = ep_backends[entry].proc;
		waiter->busy = ((volatile EpBackend *) &ep_backends[waiter->proc])->under_way > 0;
		waiter->session = ep_backends[entry].kind == EP_KIND_SESSION;
		waiter->since_us = ep_backends[entry].wait_start_us;
		picture->entries[picture->nwaiters] = entry;
		picture->tickets[picture->nwaiters++] = ep_backends[entry].ticket;
	}
}

static void
add_holds(Picture *picture)
{
	for (int i = 0; i < ep_control->max_connections; i++)
	{
		EpConn	   *conn = &ep_conns[i];
		EpPool	   *pool = &ep_pools[conn->pool];

		if (conn->state != EP_LEASED)
			continue;
		LWLockAcquire(&pool->lock, LW_SHARED);
		if (conn->state == EP_LEASED && conn->owner >= 0 && conn->pool == (int) (pool - ep_pools))
		{
			EpDeadHold *hold = &picture->holds[picture->nholds++];

			hold->pool = conn->pool;
			hold->proc = conn->owner;
			hold->session = conn->kind == EP_KIND_SESSION;
			hold->kept = conn->kept && stays_kept(pool);
			picture->places[conn->pool].held++;
		}
		LWLockRelease(&pool->lock);
	}
}

/*
 * The caps that a pool is under.  One is used up in earnest only if all its
 * places are leased: whatever is idle, connecting, ending or in the worker's
 * hands may make room.
 */
static void
add_caps(Picture *picture)
{
	int			n = ep_control->max_pools;
	int			used = 0;
	bool		all_leased = true;

	for (int i = 0; i < n; i++)
	{
		const Place *own = &picture->places[i];
		int			server_used = 0;
		bool		server_leased = true;
		int			first = -1;

		picture->pools[i].caps[0] = ALL_POOLS;
		picture->pools[i].caps[1] = EP_DEAD_NO_CAP;
		used += own->size;
		all_leased = all_leased && own->held >= own->size;
		if (!own->in_use || own->cap == 0)
			continue;
		for (int j = 0; j < n; j++)
		{
			const Place *other = &picture->places[j];

			if (!other->in_use || other->database != own->database || other->server != own->server)
				continue;
			if (first < 0)
				first = j;
			server_used += other->size;
			server_leased = server_leased && other->held >= other->size;
		}
		picture->pools[i].caps[1] = SERVER_CAP(first);
		picture->caps[SERVER_CAP(first)].live |= server_used < own->cap || !server_leased;
	}
	picture->caps[ALL_POOLS].live = used < (int) pg_atomic_read_u32(&ep_control->usable_connections) || !all_leased;
}

/* Returns whether anybody waits. */
static bool
take_picture(Picture *picture)
{
	picture->nwaiters = picture->nholds = 0;
	memset(picture->caps, 0, sizeof(EpDeadCap) * SERVER_CAP(ep_control->max_pools));
	memset(picture->places, 0, sizeof(Place) * ep_control->max_pools);
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		picture->pools[i].live = picture->pools[i].kept_live = picture->pools[i].session_live = true;
		picture->pools[i].grows = false;
		if (!ep_pools[i].in_use)
			continue;
		LWLockAcquire(&ep_pools[i].lock, LW_SHARED);
		if (ep_pools[i].in_use)
			add_pool(picture, i);
		LWLockRelease(&ep_pools[i].lock);
	}
	if (picture->nwaiters == 0)
		return false;
	add_holds(picture);
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		/* one of them was given back, or handed on, since it was counted */
		if (picture->places[i].held < picture->places[i].leased)
			picture->pools[i].live = picture->pools[i].kept_live = picture->pools[i].session_live = true;
	}
	add_caps(picture);
	return true;
}

static void
end_wait(const EpDeadWaiter *waiter, int entry, uint64 ticket)
{
	EpPool	   *pool = &ep_pools[waiter->pool];
	EpBackend  *backend = &ep_backends[entry];
	bool		waits;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	waits = backend->waiting_pool == waiter->pool && backend->ticket == ticket;
	if (waits)
		backend->deadlock = true;
	LWLockRelease(&pool->lock);
	if (waits)
		ep_wake_proc(waiter->proc);
}

/* Looks once; called twice a second by the first worker. */
void
ep_watchdog_tick(void)
{
	static Picture *picture = NULL;
	static int	suspect = -1;
	static uint64 suspect_ticket;
	int			victim;

	if (picture == NULL)
		picture = make_picture();
	victim = !take_picture(picture) ? -1 :
		ep_deadlock_victim(picture->pools, ep_control->max_pools, picture->caps, picture->waiters,
						   picture->nwaiters, picture->holds, picture->nholds);
	if (victim < 0)
	{
		suspect = -1;
		return;
	}
	if (suspect == picture->entries[victim] && suspect_ticket == picture->tickets[victim])
	{
		end_wait(&picture->waiters[victim], picture->entries[victim], picture->tickets[victim]);
		suspect = -1;
		return;
	}
	suspect = picture->entries[victim];
	suspect_ticket = picture->tickets[victim];
}
