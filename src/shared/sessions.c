/*-------------------------------------------------------------------------
 *
 * sessions.c
 *		How many sessions a pool may have open, and which connections it keeps
 *		for them.
 *
 * A session is a lease of kind EP_KIND_SESSION.  Its connection is kept
 * (EpConn.kept) from the moment it gets it.  When it comes back, ep_keep_settle
 * decides whether it stays kept; the worker does the same for idle ones, when
 * settings, time or waiters say so (worker/sessions.c).  What is to be kept is
 * decided in brain/sessions.c.
 *
 * All of this is under the pool's lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shared/shared.h"

static uint64
limit_us(const EpPool *pool, EpSettingId id)
{
	return (uint64) (EP_NUM(&pool->def.set, id) * 1000000.0);
}

/* How many sessions may be open at once.  Caller holds the pool's lock. */
int
ep_sessions_limit(const EpPool *pool)
{
	int			limit = EP_INT(&pool->def.set, EP_S_MAX_SESSIONS);

	return limit > 0 ? limit : EP_INT(&pool->def.set, EP_S_MAX_SIZE);
}

/* Are so many open?  Caller holds the pool's lock. */
bool
ep_sessions_full(const EpPool *pool)
{
	return pool->n_sessions >= ep_sessions_limit(pool);
}

/*
 * How many wait who could have a connection if there was one: not those whom
 * max_sessions holds up.  Caller holds the pool's lock.
 */
int
ep_pool_waiting(const EpPool *pool)
{
	int			room = Max(ep_sessions_limit(pool) - pool->n_sessions, 0);

	return pool->lines[EP_LINE_OTHERS].n + Min(pool->lines[EP_LINE_SESSIONS].n, room);
}

/* Is anything kept, or to be kept?  Caller holds the pool's lock, or may live with an answer of a moment ago. */
bool
ep_keep_acts(const EpPool *pool)
{
	return pool->n_kept > 0 || EP_INT(&pool->def.set, EP_S_MIN_SESSIONS) > 0 ||
		EP_INT(&pool->def.set, EP_S_TARGET_FREE_SESSIONS) > 0;
}

/* Is the pool one of which sessions are made use?  Caller holds the pool's lock. */
static bool
used_of_late(const EpPool *pool, uint64 now_us)
{
	uint64		timeout = limit_us(pool, EP_S_SESSION_IDLE_TIMEOUT);

	return pool->n_sessions > 0 || timeout == 0 || now_us < pool->last_session_us + timeout;
}

/*
 * What brain/sessions.c decides by.  others are those whom no idle connection
 * is there for; the worker subtracts what is on its way.  More is not kept than
 * sessions may have.  Caller holds the pool's lock.
 */
void
ep_keep_read(const EpPool *pool, uint64 now_us, EpKeepInput *in)
{
	const EpSettings *set = &pool->def.set;
	int			limit = ep_sessions_limit(pool);

	memset(in, 0, sizeof(EpKeepInput));
	in->open = pool->n_sessions;
	in->kept = pool->n_kept;
	in->kept_idle = pool->n_kept_idle;
	in->idle = pool->n_idle - pool->n_kept_idle;
	in->usable = ep_pool_size(pool) - pool->n_connecting - pool->n_ending;
	in->min_sessions = Min(EP_INT(set, EP_S_MIN_SESSIONS), limit);
	in->target_free = Max(Min(EP_INT(set, EP_S_TARGET_FREE_SESSIONS), limit - in->open), 0);
	in->most = Min(EP_INT(set, EP_S_MAX_SIZE), ep_pool_most(pool));
	if (pool->ration != EP_NO_RATION)
		in->most = Min(in->most, pool->ration);
	in->recent = used_of_late(pool, now_us);
	in->others = Max(pool->lines[EP_LINE_OTHERS].n - in->idle, 0);
	in->can_grow = true;
}

/* Are fewer kept than are wanted, so that the worker has to open some?  Caller holds the pool's lock. */
bool
ep_keep_short(const EpPool *pool)
{
	EpKeepInput in;

	if (!ep_keep_acts(pool))
		return false;
	ep_keep_read(pool, ep_now_us(), &in);
	return ep_keep_plan(&in).open > 0;
}

/* Has the connection been kept for longer than session_max_lifetime?  Caller holds the pool's lock. */
bool
ep_keep_over(const EpPool *pool, const EpConn *conn, uint64 now_us)
{
	uint64		lifetime = limit_us(pool, EP_S_SESSION_MAX_LIFETIME);

	return conn->kept && lifetime > 0 && now_us >= conn->kept_us + lifetime;
}

/*
 * A connection that nobody has any more is to be lent again: is it kept for
 * sessions?  Caller holds the pool's lock.
 */
void
ep_keep_settle(EpPool *pool, EpConn *conn)
{
	EpKeepInput in;
	uint64		now_us;

	if (!conn->kept && !ep_keep_acts(pool))
		return;
	now_us = ep_now_us();
	if (ep_keep_over(pool, conn, now_us))
	{
		ep_conn_let_go(conn);
		conn->spent_us = now_us;
		return;
	}
	ep_keep_read(pool, now_us, &in);
	if (conn->state == EP_CONNECTING)
		in.usable++;
	if (conn->overflow || !ep_keep_stays(&in, conn->kept))
		ep_conn_let_go(conn);
	else if (conn->spent_us == 0)
		ep_conn_keep(conn);
}
