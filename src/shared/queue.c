/*-------------------------------------------------------------------------
 *
 * queue.c
 *		The queue of waiters and who gets a connection that became available.
 *
 * Why no wake-up is lost: a waiter joins the queue under the pool's lock
 * after it has seen, under the same lock, that no idle connection is for it.
 * Whoever makes a connection available does so under that lock and looks at
 * the queue first, so between the two there is no moment at which an idle
 * connection and a waiter for it do not know of each other.
 *
 * A connection that becomes available while somebody waits goes one of two
 * ways.  If the first waiter has waited for as long as the strategy lets others
 * pass it (brain/strategy.c; not at all where hand-over is strict), it is
 * handed over: written into the waiter's entry (assigned), LEASED in its name,
 * before its latch is set.  The waiter looks at its entry under the lock before
 * each sleep and once more when it gives up for whatever reason, and then uses
 * the connection or gives it on.  Before that time it goes to the idle list, and
 * the first waiter is told to look there (woken): whoever runs at that moment may
 * be quicker.  Which way is chosen anew each time, and may change with the
 * strategy or with what the pool sees: both ways keep what is said here, so they
 * may follow each other in any order.  Nobody is passed for longer than that
 * bound plus the time until a connection comes back; waiters among themselves
 * are served in their order.
 *
 * A connection that is validated on its way back (strategy low_latency) is in
 * the worker's hands meanwhile, as one that is reset, and becomes available
 * when that is over.  It only goes there while nobody waits.
 *
 * Not every waiter may have every connection: one that is kept for sessions
 * (sessions.c) is for them alone, and a session is served only while fewer than
 * max_sessions are open.  So those who wait for a session stand in one line, and
 * all others in another, and "the first waiter" for a connection is the one of
 * the two heads who came first, of those that may have it (ep_queue_first).
 * Nobody is held up by one who may not.  Who has to wait for max_sessions to let
 * it in is not among the waiters meant above, until a session ends.
 *
 * A process may stand in several queues at once, and several times in one: each
 * time with an entry of its own (EpBackend), of which it takes more from a
 * supply.  All that is said here of a waiter is said of an entry.  What an entry
 * is given is LEASED in the name of the process that has it, and that process's
 * latch is set; being woken it looks at each of its entries, each under the lock
 * of the pool in whose queue it stands.  It never holds two pools' locks.
 * Which process has an entry changes only while the entry is in no queue, so
 * under the lock of the pool in whose queue it is found it does not change.
 *
 * While strategy "dynamic" compares two sizes, the connections that the smaller one
 * does not have are set aside, by the smaller one's turn: idle, and nobody's
 * (ep_queue_set_aside).
 *
 * What must hold: while an idle connection and a waiter that may have it are
 * there together, the first of these waiters is woken.  Whoever adds an idle
 * connection (ep_conn_give), takes a waiter away (ep_queue_leave), or changes who
 * may have what (a session begins or ends, an idle connection is kept or set
 * aside, or not any more) sees to it through ep_queue_next.  Note the end of a session: its
 * connection may be reset or ended first, while the place it had under
 * max_sessions is free at once, and another connection may be idle.  The woken
 * one clears the mark when it looks, and then either takes a connection, or there
 * is none for it, and it is as if it had just joined.
 *
 * A raised max_sessions is the one thing that makes a waiter served without an
 * event of the pool's: he looks once a second.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "shared/shared.h"

/* By which strategy connections change hands at present.  Caller holds the pool's lock. */
static EpStrategy
hand_over(const EpPool *pool)
{
	EpStrategy	strategy = (EpStrategy) EP_INT(&pool->def.set, EP_S_STRATEGY);

	return strategy == EP_STRATEGY_DYNAMIC ? pool->tuner.hand_over : strategy;
}

/*
 * Must the connection be reset before this local role may have it?  True if
 * it may carry another role's state and the pool does not say reset 'never'.
 * Caller holds the pool's lock.
 */
bool
ep_role_must_reset(const EpPool *pool, const EpConn *conn, Oid role)
{
	return OidIsValid(conn->last_role) && conn->last_role != role &&
		EP_INT(&pool->def.set, EP_S_RESET) != EP_RESET_NEVER;
}

/* ------------------------------------------------------- the supply of entries */

/*
 * Take an entry of the supply for this process, or return -1 if it is used up.
 * No lock is held.  Whoever takes one gives it back with ep_waiter_return,
 * whatever happens.
 */
int
ep_waiter_take(void)
{
	int			entry;

	SpinLockAcquire(&ep_control->waiter_lock);
	entry = ep_control->spare_waiter;
	if (entry >= 0)
		ep_control->spare_waiter = ep_backends[entry].next;
	SpinLockRelease(&ep_control->waiter_lock);
	if (entry < 0)
		return -1;
	ep_backends[entry].next = -1;
	ep_backends[entry].pid = MyProcPid;
	ep_backends[entry].proc = ep_my_procno_compat();
	return entry;
}

/* Give back an entry that stands in no queue, and that nothing is assigned to. */
void
ep_waiter_return(int entry)
{
	Assert(entry >= ep_control->n_backends && ep_backends[entry].waiting_pool < 0 &&
		   ep_backends[entry].assigned == EP_NO_SLOT);
	SpinLockAcquire(&ep_control->waiter_lock);
	ep_backends[entry].next = ep_control->spare_waiter;
	ep_control->spare_waiter = entry;
	SpinLockRelease(&ep_control->waiter_lock);
}

/* ---------------------------------------------------------------- the queue */

static EpLine *
line_of(EpPool *pool, const EpBackend *backend)
{
	return &pool->lines[backend->kind == EP_KIND_SESSION ? EP_LINE_SESSIONS : EP_LINE_OTHERS];
}

static void
line_join(EpLine *line, int entry)
{
	EpBackend  *me = &ep_backends[entry];

	me->line_prev = line->tail;
	me->line_next = -1;
	if (line->tail >= 0)
		ep_backends[line->tail].line_next = entry;
	else
		line->head = entry;
	line->tail = entry;
	line->n++;
}

static void
line_leave(EpLine *line, int entry)
{
	EpBackend  *me = &ep_backends[entry];

	if (me->line_prev >= 0)
		ep_backends[me->line_prev].line_next = me->line_next;
	else
		line->head = me->line_next;
	if (me->line_next >= 0)
		ep_backends[me->line_next].line_prev = me->line_prev;
	else
		line->tail = me->line_prev;
	me->line_prev = me->line_next = -1;
	line->n--;
}

/* Put an entry at the end of the queue.  Caller holds the pool's lock. */
void
ep_queue_join(EpPool *pool, int entry, EpLeaseKind kind)
{
	EpBackend  *me = &ep_backends[entry];

	Assert(me->waiting_pool < 0 && me->assigned == EP_NO_SLOT);
	me->waiting_pool = (int) (pool - ep_pools);
	me->ticket = pool->next_ticket++;
	me->woken = false;
	me->prev = pool->wait_tail;
	me->next = -1;
	if (pool->wait_tail >= 0)
		ep_backends[pool->wait_tail].next = entry;
	else
		pool->wait_head = entry;
	pool->wait_tail = entry;
	pool->n_waiting++;
	me->kind = kind;
	line_join(line_of(pool, me), entry);
}

/*
 * Take an entry out of the queue, wherever it stands; harmless if it is in
 * none.  Caller holds the pool's lock, and calls ep_queue_next afterwards.
 */
void
ep_queue_leave(EpPool *pool, int entry)
{
	EpBackend  *me = &ep_backends[entry];

	if (me->waiting_pool != (int) (pool - ep_pools))
		return;
	if (me->prev >= 0)
		ep_backends[me->prev].next = me->next;
	else
		pool->wait_head = me->next;
	if (me->next >= 0)
		ep_backends[me->next].prev = me->prev;
	else
		pool->wait_tail = me->prev;
	me->prev = me->next = -1;
	me->waiting_pool = -1;
	pool->n_waiting--;
	line_leave(line_of(pool, me), entry);
}

/*
 * Let every waiter look again, for example at the pool's last error.  Called
 * without the pool's lock, after what they are to see was written under it: who
 * queued before that is found here, who queues later sees it by himself.
 */
void
ep_queue_wake_all(const EpPool *pool)
{
	int			place = (int) (pool - ep_pools);

	pg_memory_barrier();
	for (int entry = 0; entry < ep_control->n_waiters; entry++)
	{
		if (*(volatile int *) &ep_backends[entry].waiting_pool != place)
			continue;

		/*
		 * one who has left meanwhile may be anybody: he looks once for
		 * nothing
		 */
		pg_read_barrier();
		ep_wake_proc(*(volatile int *) &ep_backends[entry].proc);
	}
}

/*
 * Is the connection of the past, because the definition that it was made from
 * was altered, or the pool recycled, paused or closed?  Caller holds the
 * pool's lock.
 */
bool
ep_conn_outdated(const EpPool *pool, const EpConn *conn)
{
	return conn->conn_hash != pool->def.conn_hash || conn->conn_id < pool->keep_from;
}

/*
 * Has strategy dynamic found that the remote has no use for so many?  A health
 * check's is none of them.  Caller holds the pool's lock.
 */
static bool
one_too_many(const EpPool *pool, const EpConn *conn)
{
	return pool->tuner.limit > 0 && !conn->probe && ep_pool_is_tuned(pool) &&
		ep_pool_size(pool) - pool->n_ending > ep_pool_most(pool);
}

/*
 * Is the connection to be ended as soon as nobody uses it?  Caller holds the
 * pool's lock.
 */
bool
ep_conn_must_go(const EpPool *pool, const EpConn *conn)
{
	return ep_conn_reason_to_go(pool, conn) != EP_END_NONE;
}

/* Why it is to be ended, EP_END_NONE: it is not.  Caller holds the pool's lock. */
EpEndReason
ep_conn_reason_to_go(const EpPool *pool, const EpConn *conn)
{
	if (conn->dead)
		return conn->terminated ? EP_END_TERMINATED : EP_END_LOST;
	if (pool->closing)
		return EP_END_POOL_CLOSED;
	if (ep_conn_outdated(pool, conn))
	{
		if (pool->paused)
			return EP_END_PAUSED;
		return conn->conn_hash != pool->def.conn_hash ? EP_END_CONFIG_CHANGE : EP_END_RECYCLED;
	}
	if (conn->overflow && ep_queue_first(pool, false) < 0)
		return EP_END_OVERFLOW;
	if (one_too_many(pool, conn))
		return EP_END_SURPLUS;
	if (conn->expires_us != 0 && ep_now_us() >= conn->expires_us)
		return EP_END_MAX_LIFETIME;
	return EP_END_NONE;
}

/*
 * Does the pool have connections that are other pools' due?  Whichever comes
 * back next is ended then, even if somebody waits for it: a pool whose queue is
 * never empty would otherwise never give one.  Caller holds the pool's lock.
 */
static inline bool
over_ration(const EpPool *pool)
{
	return pool->ration != EP_NO_RATION && ep_pool_size(pool) - pool->n_ending > pool->ration;
}

/*
 * The entry of the waiter whose turn it is for a connection, which is kept for
 * sessions or not; -1: nobody may have it.  Caller holds the pool's lock.
 */
int
ep_queue_first(const EpPool *pool, bool kept)
{
	int			session = ep_sessions_full(pool) ? -1 : pool->lines[EP_LINE_SESSIONS].head;
	int			other = kept ? -1 : pool->lines[EP_LINE_OTHERS].head;

	if (session < 0 || other < 0)
		return Max(session, other);
	return ep_backends[session].ticket < ep_backends[other].ticket ? session : other;
}

/* Of which idle connections is it this waiter's turn to take one?  EP_IDLE_ bits.  Caller holds the pool's lock. */
int
ep_queue_may_take(const EpPool *pool, int entry)
{
	return (ep_queue_first(pool, false) == entry ? EP_IDLE_GENERAL : 0) |
		(ep_queue_first(pool, true) == entry ? EP_IDLE_KEPT : 0);
}

static int
wake(int entry)
{
	if (entry < 0 || ep_backends[entry].woken)
		return -1;
	ep_backends[entry].woken = true;
	return ep_backends[entry].proc;
}

/*
 * The waiters that are to be woken because connections are idle, if any, go
 * into given->wake_next.  Caller holds the pool's lock, and passes given to
 * ep_wake_given after releasing it.
 */
void
ep_queue_next(EpPool *pool, EpGiven *given)
{
	int			general = pool->n_idle - pool->n_aside > pool->n_kept_idle ? wake(ep_queue_first(pool, false)) : -1;
	int			kept = pool->n_kept_idle > 0 ? wake(ep_queue_first(pool, true)) : -1;

	if (general >= 0)
		given->wake_next[EP_LINE_OTHERS] = general;
	if (kept >= 0)
		given->wake_next[EP_LINE_SESSIONS] = kept;
}

/* May this waiter, the first, be passed by somebody who comes now?  Caller holds the pool's lock. */
static bool
may_barge(const EpPool *pool, const EpConn *conn, int entry)
{
	uint64		bound = ep_strategy_barge_us(hand_over(pool), &pool->observed);

	return bound > 0 && !conn->overflow && ep_now_us() < ep_backends[entry].wait_start_us + bound;
}

/*
 * Is the connection, which nobody waits for, to be validated before it is idle
 * again?  Only if it was used since the last time, and while more connections
 * are idle than in the worker's hands: nobody who comes is to wait for that.
 * The worker catches up on the others (upkeep.c).  Caller holds the pool's lock.
 */
static bool
must_validate(const EpPool *pool, const EpConn *conn)
{
	return (conn->state == EP_LEASED || conn->state == EP_RESETTING) &&
		ep_strategy_plan((EpStrategy) EP_INT(&pool->def.set, EP_S_STRATEGY), 0).validate &&
		conn->last_used_us > conn->last_validated_us &&
		pool->n_idle > pool->n_tended - (conn->state == EP_RESETTING ? 1 : 0);
}

static bool
may_set_aside(const EpConn *conn)
{
	return !conn->kept && !conn->overflow;
}

/*
 * From now on so many connections are not to be lent: idle ones at once, others
 * when they come back.  If there are fewer of them than before, those who wait get the
 * rest: caller holds the pool's lock, and passes given to ep_wake_given after
 * releasing it.
 */
void
ep_queue_set_aside(EpPool *pool, int n, EpGiven *given)
{
	pool->aside_wanted = n;
	for (int slot = pool->idle_tail; slot != EP_NO_SLOT && pool->n_aside != n; slot = ep_conns[slot].prev)
	{
		bool		aside = pool->n_aside < n;

		if (ep_conns[slot].aside != aside && (!aside || may_set_aside(&ep_conns[slot])))
			ep_conn_set_aside(&ep_conns[slot], aside);
	}
	ep_queue_next(pool, given);
}

/*
 * A connection is clean enough to be used again: give it to the first waiter
 * or put it on the idle list.  Caller holds the pool's lock, and passes what is
 * returned to ep_wake_given after releasing it.  A connection that is to go
 * (outdated, beyond limits or ration, pool closing) becomes BROKEN for the worker to
 * end, one whose host may not be the wanted one any more VALIDATING, one that
 * carries another role's state than the first waiter's RESETTING, and one that
 * the strategy wants validated VALIDATING.
 */
EpGiven
ep_conn_give(EpPool *pool, EpConn *conn)
{
	EpGiven		given = EP_GIVEN_TO_NOBODY;
	int			entry;

	if (ep_conn_must_go(pool, conn) || over_ration(pool))
	{
		ep_conn_blame(conn, ep_conn_reason_to_go(pool, conn));
		ep_conn_blame(conn, EP_END_SURPLUS);
		ep_conn_to_broken(conn);
		return EP_GIVEN_TO_WORKER;
	}
	if (ep_conn_in_doubt(pool, conn))
	{
		ep_conn_to_validating(conn);
		return EP_GIVEN_TO_WORKER;
	}
	ep_keep_settle(pool, conn);
	if (unlikely(pool->n_aside < pool->aside_wanted) && may_set_aside(conn))
	{
		ep_conn_to_idle(conn);
		ep_conn_set_aside(conn, true);
		ep_queue_next(pool, &given);
		return given;
	}
	entry = ep_queue_first(pool, conn->kept);
	if (entry >= 0 && ep_role_must_reset(pool, conn, ep_backends[entry].role))
	{
		ep_conn_to_resetting(conn);
		return EP_GIVEN_TO_WORKER;
	}
	if (entry < 0 && must_validate(pool, conn))
	{
		ep_conn_to_validating(conn);
		return EP_GIVEN_TO_WORKER;
	}

	/*
	 * while the definition is stale nobody can tell whether this connection
	 * fits it: the waiter reads it first, and then looks at the idle list
	 */
	if (entry < 0 || pool->stale || may_barge(pool, conn, entry))
	{
		ep_conn_to_idle(conn);
		ep_queue_next(pool, &given);
		return given;
	}
	ep_queue_leave(pool, entry);
	ep_conn_to_leased(conn, ep_backends[entry].proc);
	ep_conn_set_kind(conn, ep_backends[entry].kind);
	conn->lease_role = ep_backends[entry].role;
	ep_backends[entry].assigned = ep_conn_slot(conn);
	ep_queue_next(pool, &given);
	given.wake_proc = ep_backends[entry].proc;
	return given;
}

/* Wake those whom a connection was given to.  No lock is needed. */
void
ep_wake_given(const EpPool *pool, EpGiven given)
{
	if (given.wake_proc >= 0)
		ep_wake_proc(given.wake_proc);
	for (int i = 0; i < EP_NLINES; i++)
	{
		if (given.wake_next[i] >= 0)
			ep_wake_proc(given.wake_next[i]);
	}
	if (given.wake_worker)
		ep_wake_worker(pool->worker);
}

/*
 * May an idle connection be lent?  Not if it is set aside.  The worker ends those that are outdated, but
 * only when its turn comes: until then they are not for use.
 */
static inline bool
may_lend(const EpPool *pool, const EpConn *conn)
{
	return !conn->aside && !conn->dead && !ep_conn_outdated(pool, conn);
}

/*
 * An idle connection for a role, of those that are kept for sessions or of the
 * others: the preferred one (used last by this backend), else the first whose
 * descriptor is warm in this process, else the most recently used.  *foreign is
 * set to one of another role's that was seen.
 */
static EpConn *
find_idle(EpPool *pool, Oid role, bool kept, int preferred, bool (*warm) (int slot, uint64 conn_id),
		  EpConn **foreign)
{
	int			looked = 0;

	if (preferred >= 0 && ep_conns[preferred].state == EP_IDLE && ep_conns[preferred].kept == kept &&
		ep_conns[preferred].pool == (int) (pool - ep_pools) &&
		may_lend(pool, &ep_conns[preferred]) && !ep_role_must_reset(pool, &ep_conns[preferred], role))
		return &ep_conns[preferred];

	for (int slot = pool->idle_head; slot != EP_NO_SLOT && looked < 64; slot = ep_conns[slot].next, looked++)
	{
		EpConn	   *conn = &ep_conns[slot];

		if (!may_lend(pool, conn) || conn->kept != kept)
			continue;
		if (ep_role_must_reset(pool, conn, role))
			*foreign = conn;	/* the least recently used one in the end */
		else if (warm(slot, conn->conn_id))
			return conn;
	}
	for (int slot = pool->idle_head; slot != EP_NO_SLOT; slot = ep_conns[slot].next)
	{
		EpConn	   *conn = &ep_conns[slot];

		if (may_lend(pool, conn) && conn->kept == kept && !ep_role_must_reset(pool, conn, role))
			return conn;
	}
	return NULL;
}

/*
 * Take an idle connection for a role, for a lease of that kind.  which are the
 * EP_IDLE_ bits of those that may be taken; what is kept for sessions is for
 * them first, and for nobody else, and no session gets one beyond max_sessions.
 * Caller holds the pool's lock, and calls ep_queue_next afterwards for a session.
 * Returns it LEASED, or NULL; then *other_role tells that one of another role's
 * was sent to be reset instead, so the worker must be woken.
 */
EpConn *
ep_idle_take(EpPool *pool, int procno, EpLeaseKind kind, Oid role, int which, int preferred,
			 bool (*warm) (int slot, uint64 conn_id), bool *other_role)
{
	EpConn	   *found = NULL;
	EpConn	   *foreign = NULL;

	*other_role = false;
	if (kind == EP_KIND_SESSION && ep_sessions_full(pool))
		return NULL;
	if (kind == EP_KIND_SESSION && (which & EP_IDLE_KEPT) != 0 && pool->n_kept_idle > 0)
		found = find_idle(pool, role, true, preferred, warm, &foreign);
	if (found == NULL && (which & EP_IDLE_GENERAL) != 0)
		found = find_idle(pool, role, false, preferred, warm, &foreign);
	if (found != NULL)
	{
		ep_conn_to_leased(found, procno);
		ep_conn_set_kind(found, kind);
		found->lease_role = role;
	}
	else if (foreign != NULL)
	{
		ep_conn_to_resetting(foreign);
		*other_role = true;
	}
	return found;
}
