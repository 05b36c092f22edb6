/*-------------------------------------------------------------------------
 *
 * sessions.c
 *		Connections that are kept for sessions, and sessions whose time is over.
 *
 * What is decided by numbers is in brain/sessions.c, what backends do of it in
 * shared/sessions.c and client/lease.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "compat.h"
#include "shared/events.h"
#include "worker/kept.h"

/* ----------------------------------------------------- kept for sessions */

/*
 * Gives back what has been kept for longer than session_max_lifetime.  Caller
 * holds the pool's lock, as for all of the following.
 */
static void
let_go_aged(EpPool *pool, uint64 now_us)
{
	for (int slot = pool->idle_tail; slot != EP_NO_SLOT && pool->n_kept_idle > 0; slot = ep_conns[slot].prev)
	{
		if (!ep_keep_over(pool, &ep_conns[slot], now_us))
			continue;
		ep_conn_let_go(&ep_conns[slot]);
		ep_conns[slot].spent_us = now_us;
	}
}

/* Gives back so many, those unused for longest first. */
static void
let_go(EpPool *pool, int n)
{
	for (int slot = pool->idle_tail; slot != EP_NO_SLOT && n > 0; slot = ep_conns[slot].prev)
	{
		if (!ep_conns[slot].kept)
			continue;
		ep_conn_let_go(&ep_conns[slot]);
		n--;
	}
}

/*
 * The idle connection to keep next: the one unused for longest, which others
 * miss least.  What was given back for its age is not taken for as long again,
 * unless the pool has no room for a new one.
 */
static EpConn *
find_to_keep(const EpPool *pool, uint64 now_us)
{
	uint64		pause = (uint64) (EP_NUM(&pool->def.set, EP_S_SESSION_MAX_LIFETIME) * 1000000.0);
	EpConn	   *spent = NULL;

	for (int slot = pool->idle_tail; slot != EP_NO_SLOT; slot = ep_conns[slot].prev)
	{
		EpConn	   *conn = &ep_conns[slot];

		if (conn->kept || conn->overflow || ep_conn_must_go(pool, conn))
			continue;
		if (conn->spent_us == 0 || now_us >= conn->spent_us + pause)
			return conn;
		if (spent == NULL || conn->spent_us < spent->spent_us)
			spent = conn;
	}
	return ep_pool_size(pool) < EP_INT(&pool->def.set, EP_S_MAX_SIZE) ? NULL : spent;
}

/* Keeps so many; returns how many could not be found. */
static int
keep(EpPool *pool, int n, uint64 now_us)
{
	EpConn	   *conn;

	while (n > 0 && (conn = find_to_keep(pool, now_us)) != NULL)
	{
		ep_conn_keep(conn);
		n--;
	}
	return n;
}

/*
 * Keeps idle connections for sessions, or gives them back to everybody, as
 * numbers and time say.  stuck: nothing is opened for those who wait, so they
 * get what is spare.  Returns how many connections are to be opened because
 * there is none to keep.  Called with no lock held.
 */
int
ep_sessions_keep(EpPool *pool, uint64 now_us, bool stuck)
{
	EpKeepInput in;
	EpGiven		given = EP_GIVEN_TO_NOBODY;
	int			lacking = 0;

	/* a first look without the lock: most pools keep none */
	if (!ep_keep_acts(pool) || (stuck && (pool->n_kept_idle == 0 || pool->lines[EP_LINE_OTHERS].n == 0)))
		return 0;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->in_use && !pool->closing && !pool->paused && !pool->checked_only)
	{
		EpKeepPlan	plan;

		let_go_aged(pool, now_us);
		ep_keep_read(pool, now_us, &in);
		in.others = Max(in.others - pool->n_connecting - pool->n_tended, 0);
		in.can_grow = !stuck;
		plan = ep_keep_plan(&in);
		let_go(pool, plan.let_go);
		lacking = keep(pool, plan.keep, now_us) + plan.open;
		ep_queue_next(pool, &given);
	}
	LWLockRelease(&pool->lock);
	ep_wake_given(pool, given);
	return lacking;
}

/* ------------------------------------------------------------- time-outs */

/* What is said of a session whose time is over; copied under the pool's lock. */
typedef struct Strike
{
	EpEventPool whose;
	EpStruck	struck;
	char		name[EP_LEASE_NAME_SIZE];
	int64		lease;
	uint64		conn_id;
	int			remote_pid;
	double		limit;			/* seconds */
	double		held_for;
	int			pid;
} Strike;

static const char *
setting_of(EpStruck struck)
{
	return struck == EP_STRUCK_IDLE ? "idle_in_session_timeout" : "session_timeout";
}

/* A session that no time-out has met, and whose connection works.  Caller holds the pool's lock, or looks again. */
static bool
may_be_struck(const EpConn *conn)
{
	return conn->state == EP_LEASED && conn->kind == EP_KIND_SESSION && conn->lease != 0 &&
		!conn->dead && !conn->sealed && conn->struck == EP_STRUCK_NOT;
}

/* Caller holds the pool's lock. */
static EpStruck
look_at(const EpPool *pool, EpConn *conn, uint64 now_us, uint64 *due_us)
{
	EpLeaseBits bits = EP_LW_BITS(pg_atomic_read_u64(&conn->lease_word));
	EpSessionTimes times = {
		.open_us = conn->leased_us,
		.idle_limit_us = (uint64) (EP_NUM(&pool->def.set, EP_S_IDLE_IN_SESSION_TIMEOUT) * 1000000.0),
		.total_limit_us = (uint64) (EP_NUM(&pool->def.set, EP_S_SESSION_TIMEOUT) * 1000000.0)
	};

	if (bits == EP_LW_REVOKED)
		return EP_STRUCK_NOT;
	pg_read_barrier();			/* rested_us was written before the word */
	if (bits == EP_LW_RESTING)
		times.idle_us = conn->rested_us;
	else
		times.idle_us = conn->cut_us;
	return ep_session_struck(&times, now_us, due_us);
}

/* Strikes the session of a connection if its time is over; *due_us as for ep_session_struck(). */
static bool
strike(EpConn *conn, uint64 now_us, uint64 *due_us, Strike *done)
{
	EpPool	   *pool = &ep_pools[((volatile EpConn *) conn)->pool];
	const EpSettings *set = &pool->def.set;
	bool		found = false;

	/* a first look without the lock: most pools have no time-out */
	if (!may_be_struck(conn) || pool->worker != ep_keeper_worker() ||
		(EP_NUM(set, EP_S_IDLE_IN_SESSION_TIMEOUT) <= 0 && EP_NUM(set, EP_S_SESSION_TIMEOUT) <= 0))
		return false;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->in_use && may_be_struck(conn) && &ep_pools[conn->pool] == pool)
	{
		done->struck = look_at(pool, conn, now_us, due_us);
		found = done->struck != EP_STRUCK_NOT;
	}
	if (found)
	{
		if (!ep_conn_strike(conn, done->struck))
			ep_signal_holder(conn->owner);
		ep_event_pool(pool, &done->whose);
		strlcpy(done->name, conn->lease_name, sizeof(done->name));
		done->lease = conn->lease;
		done->conn_id = conn->conn_id;
		done->remote_pid = conn->remote_pid;
		done->limit = EP_NUM(set, done->struck == EP_STRUCK_IDLE ? EP_S_IDLE_IN_SESSION_TIMEOUT : EP_S_SESSION_TIMEOUT);
		done->held_for = (now_us - conn->leased_us) / 1e6;
		done->pid = ep_backends[conn->owner].pid;
	}
	LWLockRelease(&pool->lock);
	return found;
}

static void
report(const Strike *done)
{
	EpDetail	detail = {0};
	const char *what = done->struck == EP_STRUCK_IDLE ? "idle" : "open";

	ereport(LOG,
			(errcode(done->struck == EP_STRUCK_IDLE ? ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT : EP_ERRCODE_SESSION_TIMEOUT),
			 errmsg("pool \"%s\": session %lld of process %d was rolled back: %s for longer than %g s (%s)",
					done->whose.ident.name, (long long) done->lease, done->pid, what, done->limit,
					setting_of(done->struck)),
			 errdetail("Connection %llu, remote process %d.", (unsigned long long) done->conn_id, done->remote_pid)));
	ep_detail_text(&detail, "reason", setting_of(done->struck));
	ep_detail_number(&detail, "timeout", done->limit);
	ep_detail_int(&detail, "lease", done->lease);
	ep_detail_number(&detail, "held_for", done->held_for);
	ep_detail_int(&detail, "pid", done->pid);
	ep_event_of(&done->whose, EP_EVENT_TIMEOUT, done->conn_id, &detail,
				"session %lld of process %d%s%s%s was %s for longer than %g s", (long long) done->lease, done->pid,
				done->name[0] ? " as \"" : "", done->name, done->name[0] ? "\"" : "", what, done->limit);
}

/*
 * Rolls back sessions of this worker's pools whose time is over.  A new session
 * is found by the timer, twice a second, and from then on its time-outs are
 * kept to the moment.  Called at each round, with no lock held.
 */
void
ep_sessions_tick(uint64 now_us, bool timer)
{
	static uint64 next_look = 0;
	Strike		done;

	if (timer || now_us >= next_look)
	{
		next_look = PG_UINT64_MAX;
		for (int i = 0; i < ep_control->max_connections; i++)
		{
			if (!strike(&ep_conns[i], now_us, &next_look, &done))
				continue;
			SetLatch(MyLatch);	/* the next round says goodbye, or cancels */
			report(&done);
		}
	}
	if (next_look != PG_UINT64_MAX)
		ep_loop_wake_at(next_look);
}
