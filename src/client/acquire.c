/*-------------------------------------------------------------------------
 *
 * acquire.c
 *		Getting a lease: an idle connection at once, or waiting in the pool's
 *		queue.
 *
 * The way of a wait: under one hold of the pool's lock this process sees that
 * no idle connection is for it and joins the queue (queue.c says why no
 * wake-up is lost).  From then on a connection may be assigned to it at any
 * time, LEASED in its name.  Every way out of the queue (success, refusal,
 * error, cancel, exit) goes through the lock once more and uses the connection
 * or gives it on; the list of stands tells the abort and exit callbacks where
 * that is to be done (ep_acquire_abandon).
 *
 * Who has something else to do meanwhile waits in steps (EpAcquire), for as
 * many connections as there are entries to be had (queue.c).  A step waits for
 * nobody but, when a descriptor must be fetched, the worker, which never blocks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "client/acquire.h"
#include "compat.h"
#include "shared/events.h"
#include "shared/stats.h"

/* A worker that ended is waited for that long: it is started again. */
#define WORKER_AWAY_US		(5 * 1000000)

/* Fetching a descriptor is no wait for a connection: it gets this much time in any case. */
#define FETCH_GRACE_US		2000000

/* Longer than that is no limit. */
#define MAX_TIMEOUT_S		1e9

/* The acquire_timeout that holds for this session, as ep_lease_acquire takes it. */
double
ep_ref_acquire_timeout(const EpPoolRef *ref)
{
	return ref->acquire_timeout > 0 ? ref->acquire_timeout : -1;
}

static void
start_clock(Attempt *a)
{
	if (a->begin_us != 0)
		return;
	a->begin_us = ep_now_us();
	a->deadline_us = a->timeout_s < 0 ? PG_UINT64_MAX : a->begin_us + (uint64) (a->timeout_s * 1e6);
}

/* ---------------------------------------------------------------- refusals */

/* Has the pool's worker been away for so long that it will hardly come back by itself? */
bool
ep_worker_is_away(const EpPool *pool)
{
	EpWorkerShared *w = &ep_control->workers[pool->worker];
	uint64		since;

	if (pg_atomic_read_u64(&w->epoch) != 0)
		return false;
	since = pg_atomic_read_u64(&w->ended_us);
	if (since == 0)
		since = ep_control->started_us;
	return ep_now_us() > since + WORKER_AWAY_US;
}

/* Caller holds the pool's lock. */
static void
take_picture(const EpPool *pool, Picture *p)
{
	uint64		now = ep_now_us();

	ep_event_pool(pool, &p->whose);
	p->size = ep_pool_size(pool);
	p->active = pool->n_leased;
	p->waiting = pool->n_waiting;
	p->max_waiting = EP_INT(&pool->def.set, EP_S_MAX_WAITING);
	p->any_live = ep_pool_any_live(pool);
	p->full = now < pool->bound_until_us;
	p->capped = pool->n_connecting == 0 && !pool->failing && p->size < ep_pool_most(pool);
	p->sessions = pool->n_sessions;
	p->max_sessions = ep_sessions_limit(pool);
	p->kept = pool->n_kept_idle > 0;
	p->half_open = pool->breaker.state == EP_BREAKER_HALF_OPEN;
	p->probe_in_us = pool->breaker.probe_at_us > now ? pool->breaker.probe_at_us - now : 0;
	p->sqlstate = pool->failing ? pool->last_sqlstate : 0;
	strlcpy(p->error, pool->failing || pool->breaker.state != EP_BREAKER_CLOSED ? pool->last_error : "",
			sizeof(p->error));
	strlcpy(p->hint, pool->failing ? pool->last_hint : "", sizeof(p->hint));
	p->longest_lease = 0;
	for (int i = 0; i < ep_control->max_connections && pool->n_leased > 0; i++)
	{
		const EpConn *conn = &ep_conns[i];

		if (conn->pool == (int) (pool - ep_pools) && conn->state == EP_LEASED && now > conn->leased_us)
			p->longest_lease = Max(p->longest_lease, (now - conn->leased_us) / 1e6);
	}
}

/* Raise 55000: nothing can be expected of the worker. */
void
ep_raise_worker_away(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the enhanced_pool worker is not running"),
			 errhint("See the server log for why it ended; max_worker_processes must leave room for it.")));
}

/* There may be connections, but no more sessions. */
static void
raise_no_session(const Attempt *a, const Picture *p)
{
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 a->timeout_s > 0 ?
			 errmsg("no session on pool \"%s\" within %g s", a->ref->name, a->timeout_s) :
			 errmsg("no session on pool \"%s\" is free", a->ref->name),
			 errdetail("%d of %d sessions (max_sessions) are open; size %d, active %d, waiting %d, longest lease %.3f s.",
					   p->sessions, p->max_sessions, p->size, p->active, p->waiting, p->longest_lease),
			 errhint("Raise max_sessions or acquire_timeout, or end transactions that have sessions sooner.")));
}

static void
raise_none_free(const Attempt *a, Verdict verdict, const Picture *p)
{
	const char *name = a->ref->name;

	if (verdict != TOO_MANY_WAIT && a->kind == EP_KIND_SESSION && p->sessions >= p->max_sessions)
		raise_no_session(a, p);
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 verdict == TOO_MANY_WAIT ?
			 errmsg("too many sessions wait for a connection of pool \"%s\"", name) :
			 a->timeout_s > 0 ?
			 errmsg("no connection of pool \"%s\" within %g s", name, a->timeout_s) :
			 errmsg("no connection of pool \"%s\" is free", name),
			 errdetail("Size %d, active %d, waiting %d, longest lease %.3f s.",
					   p->size, p->active, p->waiting, p->longest_lease),
			 verdict == TOO_MANY_WAIT ?
			 errhint("At most %d may wait (max_waiting).", p->max_waiting) :
			 p->full ?
			 errhint("The remote server takes no more connections at present. Hold leases for a shorter time, or raise its limits.") :
			 p->capped && a->timeout_s > 0 ?
			 errhint("Other pools have what max_server_connections or enhanced_pool.max_connections allows. Hold leases for a shorter time, or raise these.") :
			 p->kept ?
			 errhint("Connections that are kept for sessions are idle. Raise max_size, lower min_sessions, or hold leases for a shorter time.") :
			 errhint("Raise max_size or acquire_timeout, or hold leases for a shorter time.")));
}

static void
raise_cannot_connect(const Attempt *a, const Picture *p)
{
	ereport(ERROR,
			(errcode(p->sqlstate != 0 ? p->sqlstate : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to pool \"%s\"", a->ref->name),
			 p->error[0] != '\0' ? errdetail_internal("%s", p->error) :
			 errdetail("No connection was established in time."),
			 p->hint[0] != '\0' ? errhint("%s", p->hint) : 0));
}

/* Nothing is tried until the remote has had time to recover. */
static void
raise_breaker_open(const Attempt *a, const Picture *p)
{
	TimestampTz probe_at = GetCurrentTimestamp() + (int64) p->probe_in_us;

	ereport(ERROR,
			(errcode(ERRCODE_CANNOT_CONNECT_NOW),
			 errmsg("circuit breaker of pool \"%s\" is open", a->ref->name),
			 errdetail_internal("%s", p->error),
			 p->half_open || p->probe_in_us == 0 ?
			 errhint("An attempt to connect is under way; if it succeeds the pool works again.") :
			 errhint("The next attempt to connect is made in %.1f s, at %s.",
					 p->probe_in_us / 1e6, timestamptz_to_str(probe_at))));
}

/* Time was up: note it, no more than one event a second. */
static void
note_timeout(const Attempt *a, const Picture *p)
{
	EpDetail	detail = {0};

	if (a->timeout_s >= 0)
		ep_detail_number(&detail, "timeout", a->timeout_s);
	ep_detail_int(&detail, "size", p->size);
	ep_detail_int(&detail, "active", p->active);
	ep_detail_int(&detail, "waiting", p->waiting);
	ep_detail_number(&detail, "longest_lease", p->longest_lease);
	ep_detail_int(&detail, "pid", MyProcPid);
	ep_event_burst(&p->whose, EP_BURST_ACQUIRE_TIMEOUT, 0, &detail,
				   "process %d got no connection within %g s", MyProcPid, Max(a->timeout_s, 0));
}

/* Raise what a refusal means.  No lock held, not in a queue. */
void
ep_attempt_refuse(const Attempt *a, Verdict verdict, const Picture *p)
{
	const char *name = a->ref->name;

	if (verdict == NONE_FREE || verdict == POOL_PAUSED)
		note_timeout(a, p);
	switch (verdict)
	{
		case POOL_PAUSED:
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("pool \"%s\" is paused", name),
					 errdetail("It was not resumed within the time allowed for a wait."),
					 errhint("An administrator opens it again with enhanced_pool.resume.")));
			break;
		case POOL_CLOSED:
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("pool \"%s\" was closed while this session waited for a connection", name)));
			break;
		case POOL_DEADLOCK:
			ereport(ERROR,
					(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
					 errmsg("deadlock detected while waiting for a connection of pool \"%s\"", name),
					 errdetail("Every connection that could be waited for is held by a session that waits for a connection itself."),
					 errhint("Acquire all connections in one place and in one order, or raise max_size.")));
			break;
		case WORKER_AWAY:
			ep_raise_worker_away();
			break;
		case CANNOT_CONNECT:
			raise_cannot_connect(a, p);
			break;
		case BREAKER_OPEN:
			raise_breaker_open(a, p);
			break;
		case NONE_FREE:
			if (!p->any_live)
				raise_cannot_connect(a, p);
			/* FALLTHROUGH */
		default:
			raise_none_free(a, verdict, p);
	}
}

/* ------------------------------------------------------------- the queue */

/* Caller holds the pool's lock. */
static void
count_wait(EpPool *pool, uint64 waited, uint64 now_us)
{
	ep_observe_wait(&pool->observed, waited);
	if (!ep_stats_on(pool))
		return;
	pool->stats.total_wait_us += waited;
	pool->stats.max_wait_us = Max(pool->stats.max_wait_us, waited);
	ep_stats_time_lately(pool, EP_LATELY_WAIT, waited, now_us);
}

/*
 * The connection is this lease's, after that wait.  Caller holds the pool's lock.  Returns
 * whether the worker is to be woken because the pool is so busy now that it
 * should grow, or sessions should have more spare ones; nobody else wakes it for
 * the first until it has looked.
 */
static bool
adopt(EpPool *pool, EpLease *lease, EpConn *conn, uint64 waited_us)
{
	ep_lease_register(lease, conn);
	if (likely(ep_stats_on(pool)))
	{
		pool->stats.acquire_count++;
		ep_stats_time(pool, EP_TIMED_ACQUIRE, waited_us);
	}
	pool->last_acquire_us = conn->leased_us;
	if (likely(pool->n_leased <= pool->grow_above))
		return lease->kind == EP_KIND_SESSION && ep_keep_short(pool);
	pool->grow_above = PG_INT32_MAX;
	return true;
}

/* Caller holds the pool's lock; no idle connection is for this process. */
static void
join(Attempt *a, EpPool *pool)
{
	Stand	   *stand = a->stand;
	EpBackend  *me;

	if (stand->entry < 0)
		ep_stand_take_own();
	me = &ep_backends[stand->entry];
	if (!a->counting_walks)
	{
		a->counting_walks = true;
		a->failed_walks = pool->failed_walks;
	}
	me->role = a->ref->role;
	me->retry_backoff = a->ref->retry_backoff;
	if (pool->failing &&
		(me->retry_backoff <= 0 || me->retry_backoff < EP_NUM(&pool->def.set, EP_S_RETRY_BACKOFF)) &&
		pool->next_try_at > ep_now_us() + (uint64) (me->retry_backoff * 1e6))
	{
		/* this session wants a shorter spacing than the one under way */
		pool->backoff = me->retry_backoff;
		pool->next_try_at = ep_now_us() + (uint64) (me->retry_backoff * 1e6);
	}
	me->wait_start = GetCurrentTimestamp();
	me->wait_start_us = ep_now_us();
	me->deadlock = false;
	stand->pool = (int) (pool - ep_pools);
	ep_queue_join(pool, stand->entry, a->kind);
	pool->stats.wait_count += ep_stats_on(pool);
	pool->last_acquire_us = me->wait_start_us;
}

/*
 * Leave the queue, with the pool's lock held.  Returns the connection that was
 * assigned meanwhile, LEASED in this process's name, or NULL, and how long this
 * process has waited.
 */
static EpConn *
leave(EpPool *pool, Stand *stand, uint64 *waited_us)
{
	EpBackend  *me = &ep_backends[stand->entry];
	int			slot = me->assigned;
	uint64		now = ep_now_us();

	ep_queue_leave(pool, stand->entry);
	me->assigned = EP_NO_SLOT;
	me->deadlock = false;
	stand->pool = -1;
	*waited_us = now - me->wait_start_us;
	count_wait(pool, *waited_us, now);
	if (slot == EP_NO_SLOT)
		return NULL;
	ep_observe_handover(&pool->observed, now - ep_conns[slot].leased_us);
	return &ep_conns[slot];
}

/*
 * Give on a connection that was assigned but is not wanted.  Nothing was done
 * with it, and this process has no descriptor of it in use.  Caller holds the
 * pool's lock, and passes ended to ep_event_closed after releasing it.
 */
static EpGiven
pass_on(EpPool *pool, EpConn *conn, EpEnded *ended)
{
	EpGiven		given = EP_GIVEN_TO_WORKER;
	uint64		word = pg_atomic_exchange_u64(&conn->lease_word, 0);

	ep_conn_set_kind(conn, EP_KIND_STATEMENT);
	if (!ep_worker_has(pool->worker, conn->epoch))
	{
		ep_conn_blame(conn, EP_END_WORKER_EXIT);
		ep_event_ending(conn, ended);
		ep_conn_to_free(conn);
	}
	else if (EP_LW_BITS(word) == EP_LW_REVOKED)
		ep_conn_to_broken(conn);
	else
		given = ep_conn_give(pool, conn);
	return given;
}

/* Leave the queue and give on what was assigned; harmless if it stands in none.  Raises nothing. */
void
ep_stand_leave(Stand *stand)
{
	EpPool	   *pool;
	EpConn	   *conn;
	EpGiven		given = EP_GIVEN_TO_NOBODY;
	EpEnded		ended = {.announced = false};
	uint64		waited_us;

	if (stand->pool < 0)
		return;
	pool = &ep_pools[stand->pool];
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	conn = leave(pool, stand, &waited_us);
	if (conn)
		given = pass_on(pool, conn, &ended);
	ep_queue_next(pool, &given);
	LWLockRelease(&pool->lock);
	ep_event_closed(&ended, "");
	ep_wake_given(pool, given);
}

/* ------------------------------------------------------------ one look */

/* Does the reference still name the pool in that place?  Caller holds its lock. */
static inline bool
is_same_pool(const EpPool *pool, const EpPoolRef *ref)
{
	return pool->in_use && pool->generation == ref->generation;
}

/* Will waiting for a connect end in nothing?  Caller holds the pool's lock. */
static bool
connecting_is_hopeless(const Attempt *a, const EpPool *pool)
{
	uint64		failed = pool->failed_walks - a->failed_walks;

	if (ep_pool_any_live(pool))
		return false;
	/* the same would come out at the next walk, which is not due yet */
	if (pool->fatal_error && (failed > 0 || pool->next_try_at > ep_now_us()))
		return true;
	return failed >= (uint64) a->ref->retry_attempts;
}

/* May this process begin to wait, or go on waiting?  Caller holds the pool's lock. */
static Verdict
judge(const Attempt *a, const EpPool *pool)
{
	if (ep_worker_is_away(pool))
		return WORKER_AWAY;
	if (a->counting_walks && !pool->paused && connecting_is_hopeless(a, pool))
		return CANNOT_CONNECT;
	if (pool->breaker.state != EP_BREAKER_CLOSED)
		return BREAKER_OPEN;
	if (a->timeout_s >= 0 && ep_now_us() >= a->deadline_us)
		return pool->paused ? POOL_PAUSED : NONE_FREE;
	return QUEUED;
}

/*
 * The first look: take an idle connection or join the queue.  Wakes the worker
 * when there is something for it to do.
 */
Verdict
ep_attempt_join(Attempt *a, EpLease *lease, Picture *picture)
{
	EpPoolRef  *ref = a->ref;
	EpPool	   *pool = &ep_pools[ref->pool];
	EpConn	   *conn = NULL;
	bool		other_role = false;
	EpGiven		given = EP_GIVEN_TO_NOBODY;
	Verdict		verdict = GOT;

	ep_pool_lock(pool);
	if (!is_same_pool(pool, ref) || pool->closing || pool->stale)
	{
		LWLockRelease(&pool->lock);
		return OUTDATED;
	}
	if (pool->breaker.state == EP_BREAKER_CLOSED)
		conn = ep_idle_take(pool, ep_my_procno_compat(), a->kind, ref->role, EP_IDLE_GENERAL | EP_IDLE_KEPT,
							ref->last_slot, ep_descriptor_is_warm, &other_role);
	if (conn)
	{
		ep_observe_wait(&pool->observed, 0);
		given.wake_worker = adopt(pool, lease, conn, 0);
		/* a session that waits first may be held up by this one, and what it was woken for be another's */
		if (a->kind == EP_KIND_SESSION)
			ep_queue_next(pool, &given);
	}
	else
	{
		int			max_waiting = EP_INT(&pool->def.set, EP_S_MAX_WAITING);

		start_clock(a);
		verdict = judge(a, pool);
		if (verdict == QUEUED && max_waiting > 0 && pool->n_waiting >= max_waiting)
			verdict = a->optional ? NOT_NOW : TOO_MANY_WAIT;
		if (verdict == QUEUED && a->stand == NULL)
			verdict = NOT_NOW;
		if (verdict == QUEUED)
		{
			join(a, pool);

			/*
			 * a pool of full size has nothing to do for a waiter, unless
			 * something is kept that it may have; deadlocks are looked for
			 * by a timer
			 */
			given.wake_worker = ep_pool_size(pool) < ep_pool_most(pool) || pool->n_kept_idle > 0;
		}
		else if (verdict != NOT_NOW)
		{
			take_picture(pool, picture);
			pool->stats.acquire_timeouts += verdict == NONE_FREE || verdict == POOL_PAUSED;
		}
	}
	LWLockRelease(&pool->lock);
	given.wake_worker |= other_role;
	ep_wake_given(pool, given);
	return verdict;
}

/*
 * A look while waiting.  Whose turn it is also looks at the idle list if it was
 * told to (woken), and with may_take, which is set now and then: a connection of
 * another role's that was to be reset for it may have broken, while others of
 * that role are idle, or max_sessions was raised.
 */
Verdict
ep_attempt_look(Attempt *a, EpLease *lease, bool may_take, Picture *picture)
{
	EpPool	   *pool = &ep_pools[a->stand->pool];
	int			entry = a->stand->entry;
	EpBackend  *me = &ep_backends[entry];
	EpConn	   *conn = NULL;
	bool		other_role = false;
	int			which;
	Verdict		verdict;
	EpGiven		given = EP_GIVEN_TO_NOBODY;

	ep_pool_lock(pool);
	may_take |= me->woken;
	me->woken = false;
	which = may_take && me->assigned == EP_NO_SLOT ? ep_queue_may_take(pool, entry) : 0;
	if (which != 0 && !pool->closing && !pool->stale && pool->breaker.state == EP_BREAKER_CLOSED)
		conn = ep_idle_take(pool, ep_my_procno_compat(), a->kind, a->ref->role, which, a->ref->last_slot,
							ep_descriptor_is_warm, &other_role);

	if (conn || me->assigned != EP_NO_SLOT)
		verdict = GOT;
	else if (me->deadlock)
		verdict = POOL_DEADLOCK;
	else if (pool->closing || me->ticket < pool->refused_below)
		verdict = POOL_CLOSED;
	else
		verdict = judge(a, pool);
	if (verdict == QUEUED && pool->stale)
		verdict = STALE;
	if (verdict != QUEUED && verdict != STALE)
	{
		uint64		waited_us;
		EpConn	   *assigned = leave(pool, a->stand, &waited_us);

		if (verdict == GOT)
			given.wake_worker = adopt(pool, lease, conn ? conn : assigned, waited_us);
		else
			take_picture(pool, picture);
		pool->stats.acquire_timeouts += verdict == NONE_FREE || verdict == POOL_PAUSED;
		ep_queue_next(pool, &given);
	}
	LWLockRelease(&pool->lock);
	given.wake_worker |= other_role;
	ep_wake_given(pool, given);
	return verdict;
}

/*
 * The pool's definition was changed: register it anew, without leaving the
 * queue.  If that makes it another pool, begin anew.
 */
Verdict
ep_attempt_renew(Attempt *a)
{
	int			place = a->stand->pool;
	uint32		generation = a->ref->generation;

	ep_pool_ref_refresh(a->ref);
	if (a->ref->pool == place && a->ref->generation == generation)
		return QUEUED;
	ep_stand_leave(a->stand);
	return AGAIN;
}

/*
 * A look while waiting, at the pool as it is defined now.  *next_take is when the
 * idle list is to be looked at again.
 */
static Verdict
look_again(Attempt *a, EpLease *lease, uint64 *next_take, Picture *picture)
{
	Verdict		verdict;

	do
	{
		uint64		now = ep_now_us();
		bool		may_take = now >= *next_take;

		if (may_take)
			*next_take = now + EP_POLL_MS * 1000;
		verdict = ep_attempt_look(a, lease, may_take, picture);
		if (verdict != STALE)
			return verdict;
		verdict = ep_attempt_renew(a);
		*next_take = 0;			/* what was idle could not be looked at */
	} while (verdict == QUEUED);
	return verdict;
}

/*
 * Wait in the queue until there is something else to say than QUEUED.  The first
 * look comes after the first sleep: the queue has just been joined, under the lock,
 * and whoever has something for us since then sets the latch.  Not announced again
 * is that connecting has ended in what no retry can mend.
 */
static Verdict
wait_in_queue(Attempt *a, EpLease *lease, Picture *picture)
{
	static uint32 wait_event = 0;
	Verdict		verdict = QUEUED;
	uint64		next_take = ep_now_us() + EP_POLL_MS * 1000;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolAcquire");
	/* read without the lock: whoever sets it from now on sets the latch, too */
	if (ep_pools[a->stand->pool].fatal_error)
		verdict = look_again(a, lease, &next_take, picture);
	while (verdict == QUEUED)
	{
		uint64		now = ep_now_us();
		long		ms = EP_POLL_MS;

		if (a->deadline_us < now + EP_POLL_MS * 1000)
			ms = a->deadline_us > now ? (long) ((a->deadline_us - now) / 1000 + 1) : 0;
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		verdict = look_again(a, lease, &next_take, picture);
	}
	return verdict;
}

/* ----------------------------------------------------- making it usable */

/*
 * A connection that was authenticated by something else than the mapping's
 * password lends its user the server's own identity.
 */
static void
check_password_rule(const EpPoolRef *ref, EpLease *lease)
{
	if (!ref->password_required || ep_conns[lease->slot].password_used || superuser_arg(ref->role))
		return;
	ep_lease_give_back(lease);
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required"),
			 errdetail("Non-superusers cannot use a connection of pool \"%s\" for which the remote server did not ask for a password.",
					   ref->name),
			 errhint("Remote server's authentication method must be changed or password_required=false set in the user mapping.")));
}

/*
 * Did the remote say goodbye while the connection was idle?  Looks at what has
 * come without taking it: end of file or an error message mean that it did,
 * and anything else that is no notice would be taken for the next answer.
 */
static bool
is_alive(const EpDescriptor *desc)
{
	char		type;
	ssize_t		n = recv(desc->fd, &type, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	return n == 1 && ep_message_is_async(type);
}

/*
 * Get the descriptor of a connection just leased.  Returns false if it is of
 * no use and has been given back: try another one.
 */
bool
ep_attempt_make_ready(Attempt *a, EpLease *lease)
{
	EpPool	   *pool = &ep_pools[lease->pool];
	int			slot = lease->slot;
	EpDescriptor *desc;

	check_password_rule(a->ref, lease);
	desc = ep_descriptor_lookup(slot, lease->conn_id);
	if (desc == NULL)
	{
		uint64		deadline;

		start_clock(a);
		deadline = Max(a->deadline_us, ep_now_us() + FETCH_GRACE_US);
		desc = ep_descriptor_fetch(pool, slot, lease->conn_id, deadline);
		if (desc == NULL && ep_now_us() >= deadline &&
			ep_worker_has(pool->worker, ep_conns[slot].epoch))
		{
			ep_lease_give_back(lease);
			ereport(ERROR,
					(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
					 errmsg("no connection of pool \"%s\" within the time allowed", a->ref->name),
					 errdetail("The enhanced_pool worker did not answer in time.")));
		}
	}
	if (desc)
	{
		desc->pinned = true;
		lease->desc = desc;
		ep_wire_reset(&desc->wire, desc->fd);
		lease->bytes_received = desc->wire.bytes_in;
		lease->bytes_sent = desc->wire.bytes_out;
	}
	if (desc == NULL || ep_conns[slot].terminated || !is_alive(desc))
	{
		lease->broken = true;
		ep_lease_give_back(lease);
		return false;
	}
	if (a->ref->pool == lease->pool)
		a->ref->last_slot = slot;
	return true;
}

/* ----------------------------------------------------------------- acquire */

/*
 * Lease a connection of a pool, of ep_pool_ref's role.  timeout_s is how long
 * to wait for one, in seconds: 0 does not wait, less than 0 waits without
 * limit.  name may be NULL.  Called in a transaction with no lock held.  The
 * result belongs to the current subtransaction (ep_lease_install).
 *
 * A session that would be one more than max_sessions waits for the end of
 * another.
 *
 * Raises 53300 when none is to be had in time, 08001 (or what the last attempt
 * said) when none can be connected, 57P03 when its breaker is open, it is paused for longer or closed
 * meanwhile, 40P01 for a deadlock over pools, 55000 when the worker is away or the
 * library not preloaded, 2F003 by the password rule, what ep_pool_ref_refresh
 * raises, and what interrupts raise.
 */
EpLease *
ep_lease_acquire(EpPoolRef *ref, EpLeaseKind kind, double timeout_s, bool hold, const char *name)
{
	Attempt		a = {.ref = ref, .stand = ep_own_stand(), .kind = kind,
	.timeout_s = timeout_s > MAX_TIMEOUT_S ? -1 : timeout_s};

	for (;;)
	{
		EpLease    *lease = ep_lease_prepare(ref, kind, hold, name);
		Picture		picture;
		Verdict		verdict;

		ep_descriptor_sweep(&ep_pools[ref->pool]);
		verdict = ep_attempt_join(&a, lease, &picture);
		if (verdict == QUEUED)
		{
			verdict = wait_in_queue(&a, lease, &picture);
			ep_stand_return(a.stand);
		}
		if (verdict == GOT)
		{
			if (ep_attempt_make_ready(&a, lease))
				return lease;
		}
		else if (verdict == OUTDATED)
			ep_pool_ref_refresh(ref);
		else if (verdict != AGAIN)
			ep_attempt_refuse(&a, verdict, &picture);
		CHECK_FOR_INTERRUPTS();
	}
}
