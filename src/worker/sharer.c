/*-------------------------------------------------------------------------
 *
 * sharer.c
 *		Places that several pools share: max_server_connections of a server's
 *		pools, enhanced_pool.max_connections of all.
 *
 * Two things that do not depend on each other.  A cap is kept by whoever opens
 * a connection: under cap_lock he counts the server's, and takes a slot of the
 * free list only if there is a place.  Who gets places that are not enough is
 * decided by brain/fairness.c from a picture of all pools, taken pool by pool, when
 * somebody was refused one and twice a second; it is carried out by each pool's
 * own worker, which opens no more and ends what is above the ration that the
 * pool was given.  Every worker makes pictures and sets rations for all pools:
 * one that is of no single moment costs a connection more than needed at worst,
 * and is replaced by the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "worker/kept.h"

/* Pictures that are not the timer's are at least that far apart. */
#define SPACING_US	50000

/* A pool in the picture. */
typedef struct Member
{
	EpPool	   *pool;
	uint32		generation;
	Oid			database;
	Oid			server;
	int			cap;			/* max_server_connections, 0: none */
	EpFairPool	fair;
	int			ration;
} Member;

static bool refused = false;

/* -------------------------------------------------------------------- caps */

/* Caller holds cap_lock. */
static int
count_server(Oid database, Oid server)
{
	int			n = 0;

	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];

		/* the key of a pool that has connections does not change */
		if (!pool->in_use || pool->def.key.server != server)
			continue;
		LWLockAcquire(&pool->lock, LW_SHARED);
		if (pool->in_use && pool->def.key.database == database && pool->def.key.server == server)
			n += pool->size;
		LWLockRelease(&pool->lock);
	}
	return n;
}

/*
 * Does max_server_connections leave a place for one more connection of this
 * pool?  If so nobody else takes it until ep_sharer_reserved() is called, which
 * must be soon.  No lock is held.
 */
bool
ep_sharer_reserve(EpPool *pool)
{
	EpPoolKey	key;
	int			cap;

	LWLockAcquire(&ep_control->cap_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_SHARED);
	key = pool->def.key;
	cap = EP_INT(&pool->def.set, EP_S_MAX_SERVER_CONNECTIONS);
	LWLockRelease(&pool->lock);
	if (cap == 0 || count_server(key.database, key.server) < cap)
		return true;
	LWLockRelease(&ep_control->cap_lock);
	return false;
}

/* The place was taken, or is not needed. */
void
ep_sharer_reserved(void)
{
	LWLockRelease(&ep_control->cap_lock);
}

/* ----------------------------------------------------------------- picture */

/* How many waiters have no connection on the way.  Caller holds the pool's lock. */
static int
count_missing(const EpPool *pool)
{
	int			idle = pool->n_idle - pool->n_kept_idle;
	int			missing = Max(ep_pool_waiting(pool) - idle - pool->n_connecting - pool->n_tended, 0);

	if (pool->closing || pool->paused || pool->wiped || pool->breaker.state == EP_BREAKER_OPEN)
		return 0;
	if (pool->breaker.state == EP_BREAKER_HALF_OPEN)	/* the one attempt */
		return pool->n_connecting + pool->n_probing == 0 ? 1 : 0;
	return pool->failing ? Min(missing, 1) : missing;
}

/* Caller holds the pool's lock, exclusively if update. */
static void
take_member(EpPool *pool, uint64 now_us, bool update, Member *member)
{
	const EpSettings *set = &pool->def.set;
	EpFairPool *fair = &member->fair;
	int			present;
	int			first = ep_queue_first(pool, false);

	memset(member, 0, sizeof(Member));
	member->pool = pool;
	member->generation = pool->generation;
	member->database = pool->def.key.database;
	member->server = pool->def.key.server;
	member->cap = EP_INT(set, EP_S_MAX_SERVER_CONNECTIONS);
	fair->alive = ep_pool_size(pool) - pool->n_ending;
	fair->ending = pool->n_ending + pool->n_probing;
	fair->idle = pool->n_idle;
	fair->missing = count_missing(pool);
	fair->min_size = pool->closing || pool->paused || pool->checked_only ? 0 : EP_INT(set, EP_S_MIN_SIZE);
	/* places that its strategy would not use are nothing that others should give it */
	fair->limit = ep_pool_most(pool);
	if (now_us < pool->bound_until_us)
		fair->limit = Min(fair->limit, pool->bound);
	fair->since_us = fair->missing > 0 && first >= 0 ? ep_backends[first].wait_start_us : 0;

	/* waiters that are served soon count as well: they are going to have a connection */
	present = pool->n_leased + Max(fair->missing, pool->breaker.state == EP_BREAKER_CLOSED && !pool->failing && !pool->paused ? ep_pool_waiting(pool) : 0);
	if (update)
	{
		pool->demand = ep_fair_demand(pool->demand, present, (now_us - pool->demand_us) / 1e6);
		pool->demand_us = now_us;
	}
	fair->demand = Max(pool->demand, present);
}

/* Returns how many pools there are. */
static int
take_picture(Member *members, uint64 now_us, bool timer)
{
	int			n = 0;

	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		bool		update = timer && pool->worker == ep_keeper_worker();

		if (!pool->in_use)
			continue;
		LWLockAcquire(&pool->lock, update ? LW_EXCLUSIVE : LW_SHARED);
		if (pool->in_use)
			take_member(pool, now_us, update, &members[n++]);
		LWLockRelease(&pool->lock);
	}
	return n;
}

/* ----------------------------------------------------------------- rations */

static int
by_server(const void *a, const void *b)
{
	const Member *left = a;
	const Member *right = b;

	if (left->database != right->database)
		return left->database < right->database ? -1 : 1;
	if (left->server != right->server)
		return left->server < right->server ? -1 : 1;
	return 0;
}

/*
 * Divides places among some members.  What they are due by this cap is the
 * most that they can be due by the next.
 */
static void
divide(Member *members, int n, int capacity, EpFairPool *scratch)
{
	for (int i = 0; i < n; i++)
		scratch[i] = members[i].fair;
	if (!ep_fair_divide(scratch, n, capacity))
		return;
	for (int i = 0; i < n; i++)
	{
		Member	   *member = &members[i];

		member->ration = member->ration == EP_NO_RATION ? scratch[i].ration : Min(member->ration, scratch[i].ration);
		member->fair.limit = Min(member->fair.limit, Max(scratch[i].share, 1));
	}
}

static void
divide_all(Member *members, int n, EpFairPool *scratch)
{
	for (int i = 0; i < n; i++)
		members[i].ration = EP_NO_RATION;
	qsort(members, n, sizeof(Member), by_server);
	for (int first = 0, next; first < n; first = next)
	{
		int			cap = members[first].cap;

		for (next = first + 1; next < n && by_server(&members[first], &members[next]) == 0; next++)
		{
			if (members[next].cap > 0)
				cap = cap > 0 ? Min(cap, members[next].cap) : members[next].cap;
		}
		if (cap > 0)
			divide(&members[first], next - first, cap, scratch);
	}
	divide(members, n, (int) pg_atomic_read_u32(&ep_control->usable_connections), scratch);
}

static void
set_ration(const Member *member)
{
	EpPool	   *pool = member->pool;
	bool		changed;

	if (((volatile EpPool *) pool)->ration == member->ration)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	changed = pool->in_use && pool->generation == member->generation;
	if (changed)
		pool->ration = member->ration;
	LWLockRelease(&pool->lock);
	if (changed)
		ep_wake_worker(pool->worker);
}

/* A pool in which somebody waits found no place. */
void
ep_sharer_refused(void)
{
	refused = true;
}

/* Sets and lifts rations, if it is time to look.  Called in each round, with no lock held. */
void
ep_sharer_tick(uint64 now_us, bool timer)
{
	static Member *members = NULL;
	static EpFairPool *scratch;
	static uint64 last_us = 0;
	int			n;

	if (!timer && !refused)
		return;
	if (!timer && now_us < last_us + SPACING_US)
	{
		ep_loop_wake_at(last_us + SPACING_US);
		return;
	}
	if (members == NULL)
	{
		members = MemoryContextAlloc(TopMemoryContext, sizeof(Member) * ep_control->max_pools);
		scratch = MemoryContextAlloc(TopMemoryContext, sizeof(EpFairPool) * ep_control->max_pools);
	}
	refused = false;
	last_us = now_us;
	n = take_picture(members, now_us, timer);
	divide_all(members, n, scratch);
	for (int i = 0; i < n; i++)
		set_ration(&members[i]);
}
