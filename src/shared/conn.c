/*-------------------------------------------------------------------------
 *
 * conn.c
 *		Connection slots and their states.
 *
 * A state is a place: IDLE is the idle list, FREE the free list, and the
 * counters of the pool are the lengths of the others.  So every change of
 * state goes through move() below, which keeps lists and counters true and
 * refuses a transition that has no business to happen.  doc/architecture.md
 * has the table of who enters and leaves each state.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/backend_status.h"

#include "brain/scaling.h"
#include "shared/shared.h"

#define BIT(state) (1 << (state))

/* Which states may follow each state. */
static const uint32 may_follow[EP_NSTATES] = {
	[EP_FREE] = BIT(EP_CONNECTING),
	[EP_CONNECTING] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_RESETTING) | BIT(EP_VALIDATING) | BIT(EP_BROKEN) | BIT(EP_CLOSING) |
	BIT(EP_FREE),
	[EP_IDLE] = BIT(EP_LEASED) | BIT(EP_VALIDATING) | BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
	[EP_LEASED] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_CANCELLING) | BIT(EP_RESETTING) | BIT(EP_VALIDATING) | BIT(EP_BROKEN) |
	BIT(EP_FREE),
	[EP_CANCELLING] = BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
	[EP_RESETTING] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_RESETTING) | BIT(EP_VALIDATING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
	[EP_VALIDATING] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_RESETTING) | BIT(EP_VALIDATING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
	[EP_BROKEN] = BIT(EP_CLOSING) | BIT(EP_FREE),
	[EP_CLOSING] = BIT(EP_FREE),
};

static const char *const state_names[EP_NSTATES] = {
	"free", "connecting", "idle", "leased", "cancelling", "resetting", "validating", "broken", "closing"
};

/* The name that views and documents use for a state. */
const char *
ep_conn_state_name(EpConnState state)
{
	return ((int) state >= 0 && state < EP_NSTATES) ? state_names[state] : "unknown";
}

/* Index of a connection in ep_conns. */
int
ep_conn_slot(const EpConn *conn)
{
	return (int) (conn - ep_conns);
}

/*
 * Is there a connection of that pool in the slot?  Caller holds the pool's lock,
 * so what is true stays true.  A slot that is free may be taken for another
 * pool at this very moment: that sets pool first and state last.
 */
bool
ep_conn_belongs(const EpConn *conn, const EpPool *pool)
{
	const volatile EpConn *look = conn;
	int			place = (int) (pool - ep_pools);

	if (look->pool != place)
		return false;
	pg_read_barrier();
	if (look->state == EP_FREE)
		return false;
	pg_read_barrier();
	return look->pool == place;
}

/* ------------------------------------------------- text of the last query */

/*
 * The text that the lease holder sent last, one for each connection.  Only the
 * holder writes, without a lock, and so does whoever lends the connection,
 * before it has a holder.  changes is odd while somebody writes: a reader
 * copies the text and looks whether the number is even and the same as before.
 */
typedef struct EpQueryText
{
	volatile uint32 changes;
	char		text[FLEXIBLE_ARRAY_MEMBER];	/* track_activity_query_size bytes */
} EpQueryText;

/* How many attempts to read a text while it changes are made. */
#define READ_ATTEMPTS	1000

/* Bytes in shared memory for one connection's text. */
Size
ep_query_text_size(void)
{
	return MAXALIGN(offsetof(EpQueryText, text) + pgstat_track_activity_query_size);
}

static EpQueryText *
query_text_of(const EpConn *conn)
{
	return (EpQueryText *) (ep_query_texts + (Size) ep_conn_slot(conn) * ep_query_text_size());
}

static void
write_query(EpConn *conn, const char *sql, Size len)
{
	EpQueryText *query = query_text_of(conn);

	query->changes++;
	pg_write_barrier();
	memcpy(query->text, sql, len);
	query->text[len] = '\0';
	pg_write_barrier();
	query->changes++;
}

/*
 * Show what is sent now, and since when.  The caller holds the lease; no lock
 * is needed.  Cut at a character to track_activity_query_size bytes.
 */
void
ep_conn_set_query(EpConn *conn, const char *sql)
{
	Size		size = pgstat_track_activity_query_size;
	Size		len = strnlen(sql, size);

	if (len >= size)
		len = pg_mbcliplen(sql, len, size - 1);
	conn->query_start = GetCurrentTimestamp();
	write_query(conn, sql, len);
}

/*
 * Copy the text last shown for a connection to buf, which has room for
 * track_activity_query_size bytes.  No lock is needed; whether it is still the
 * same holder's is for the caller to find out.  Returns false if the text
 * changed all the time.
 */
bool
ep_conn_read_query(const EpConn *conn, char *buf)
{
	EpQueryText *query = query_text_of(conn);

	for (int i = 0; i < READ_ATTEMPTS; i++)
	{
		uint32		before = query->changes;

		pg_read_barrier();
		memcpy(buf, query->text, pgstat_track_activity_query_size);
		pg_read_barrier();
		if ((before & 1) == 0 && query->changes == before)
		{
			buf[pgstat_track_activity_query_size - 1] = '\0';
			return true;
		}
		pg_spin_delay();
	}
	return false;
}

/* ------------------------------------------------------------------ states */

static void
idle_unlink(EpPool *pool, EpConn *conn)
{
	if (conn->prev != EP_NO_SLOT)
		ep_conns[conn->prev].next = conn->next;
	else
		pool->idle_head = conn->next;
	if (conn->next != EP_NO_SLOT)
		ep_conns[conn->next].prev = conn->prev;
	else
		pool->idle_tail = conn->prev;
	conn->prev = conn->next = EP_NO_SLOT;
}

static void
idle_push(EpPool *pool, EpConn *conn)
{
	conn->prev = EP_NO_SLOT;
	conn->next = pool->idle_head;
	if (pool->idle_head != EP_NO_SLOT)
		ep_conns[pool->idle_head].prev = ep_conn_slot(conn);
	else
		pool->idle_tail = ep_conn_slot(conn);
	pool->idle_head = ep_conn_slot(conn);
}

/* The counter of the pool that the connection is counted by in that state. */
static int *
counter_of(EpPool *pool, const EpConn *conn, EpConnState state)
{
	if (conn->probe)
		return &pool->n_probing;
	switch (state)
	{
		case EP_IDLE:
			return &pool->n_idle;
		case EP_LEASED:
			return &pool->n_leased;
		case EP_CONNECTING:
			return &pool->n_connecting;
		case EP_BROKEN:
		case EP_CLOSING:
			return &pool->n_ending;
		default:
			return &pool->n_tended;
	}
}

/* How long the pool's peak is remembered. */
uint64
ep_pool_memory_us(const EpPool *pool)
{
	return ep_scaling_memory_us((uint64) (EP_NUM(&pool->def.set, EP_S_SCALING_COOL_DOWN) * 1000000.0));
}

/*
 * The part of a pool's connections that is leased, of those that could be:
 * 0 to 1.  Caller holds the pool's lock.
 */
double
ep_pool_load(const EpPool *pool)
{
	int			usable = ep_pool_size(pool) - pool->n_connecting - pool->n_ending;

	return usable > 0 ? (double) pool->n_leased / usable : 0;
}

/*
 * Change the state of a connection; the caller holds its pool's lock.  An
 * impossible transition ends the connection instead: better one connection
 * fewer than one in two hands.  Returns the time of it (monotonic us).
 */
static uint64
move(EpConn *conn, EpConnState to)
{
	EpPool	   *pool = &ep_pools[conn->pool];
	uint64		now = ep_now_us();

	Assert(LWLockHeldByMeInMode(&pool->lock, LW_EXCLUSIVE));
	if ((may_follow[conn->state] & BIT(to)) == 0)
	{
		Assert(false);
		if (conn->state == EP_FREE || conn->state == EP_BROKEN || conn->state == EP_CLOSING)
			return now;
		to = EP_BROKEN;
	}

	ep_load_advance(&pool->load, ep_pool_load(pool), now);
	ep_peak_advance(&pool->peak, pool->n_leased, ep_pool_memory_us(pool), now);
	ep_observe_advance(&pool->observed, pool->n_leased, ep_pool_waiting(pool), now);
	if (conn->state == EP_IDLE)
	{
		idle_unlink(pool, conn);
		ep_conn_set_aside(conn, false);
		pool->n_kept_idle -= conn->kept;
	}
	if (conn->state == EP_LEASED)
	{
		ep_conn_set_kind(conn, EP_KIND_STATEMENT);
		conn->owner = -1;
		pg_atomic_write_u64(&conn->lease_word, 0);
	}
	if (conn->state != EP_FREE)
		(*counter_of(pool, conn, conn->state))--;
	if (to == EP_BROKEN)
	{
		ep_conn_blame(conn, ep_conn_reason_to_go(pool, conn));
		ep_conn_blame(conn, EP_END_LOST);
	}
	conn->state = to;
	if (to == EP_BROKEN || to == EP_CLOSING || to == EP_FREE)
		ep_conn_let_go(conn);
	if (to != EP_FREE)
		(*counter_of(pool, conn, to))++;
	if (to == EP_IDLE)
	{
		idle_push(pool, conn);
		pool->n_kept_idle += conn->kept;
	}
	return now;
}

/*
 * Take a free slot for a new connection of a pool and put it into CONNECTING.
 * The caller is the pool's worker and holds the pool's lock.  NULL if there
 * is none, or descriptors do not allow one more.  A probe is a health check's.
 */
EpConn *
ep_conn_alloc(EpPool *pool, uint64 epoch, bool overflow, bool probe)
{
	EpConn	   *conn = NULL;
	int			usable = (int) pg_atomic_read_u32(&ep_control->usable_connections);

	SpinLockAcquire(&ep_control->slot_lock);
	if (ep_control->free_head != EP_NO_SLOT &&
		ep_control->max_connections - ep_control->n_free < usable)
	{
		conn = &ep_conns[ep_control->free_head];
		ep_control->free_head = conn->next;
		ep_control->n_free--;
	}
	SpinLockRelease(&ep_control->slot_lock);
	if (conn == NULL)
		return NULL;

	/* everything but the lease word, which is atomic, starts anew */
	memset(conn, 0, offsetof(EpConn, lease_word));
	conn->pool = (int) (pool - ep_pools);
	conn->prev = conn->next = EP_NO_SLOT;
	conn->owner = -1;
	conn->conn_id = pg_atomic_fetch_add_u64(&ep_control->next_conn_id, 1);
	conn->epoch = epoch;
	conn->overflow = overflow;
	conn->probe = probe;
	conn->tx_status = 'I';
	pg_atomic_write_u64(&conn->lease_word, 0);
	memset(ep_conn_stmts(conn), 0, sizeof(EpStmtSlot) * ep_control->max_statements);
	(void) move(conn, EP_CONNECTING);
	pool->size++;
	return conn;
}

/* How often a pool's lock is looked at before sleeping, and the delays between two looks. */
#define LOCK_LOOKS		20
#define LOCK_DELAYS		10

/*
 * Take the pool's lock exclusively, as each acquire and release does.  It is held
 * for so short a time that whoever has it and runs is done before we could be
 * asleep: look again a few times first, some microseconds in all.  A holder that
 * had to give up its processor is not to be waited for like that, so it ends in
 * LWLockAcquire.
 */
void
ep_pool_lock(EpPool *pool)
{
	for (int looks = 0; looks < LOCK_LOOKS; looks++)
	{
		if (LWLockConditionalAcquire(&pool->lock, LW_EXCLUSIVE))
			return;
		for (int i = 0; i < LOCK_DELAYS; i++)
			pg_spin_delay();
	}
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
}

/*
 * How many connections the pool has for its users, in whatever state: a health
 * check's is not one of them.  Caller holds the pool's lock.
 */
int
ep_pool_size(const EpPool *pool)
{
	return pool->size - pool->n_probing;
}

/* Is there a connection that is, or will be, of use?  Caller holds the pool's lock. */
bool
ep_pool_any_live(const EpPool *pool)
{
	return pool->n_idle + pool->n_leased + pool->n_tended > 0;
}

/* The following: caller holds the pool's lock; see EpConnState for the meaning of each state. */

void
ep_conn_to_idle(EpConn *conn)
{
	(void) move(conn, EP_IDLE);
}

/*
 * The connection, which is IDLE, is lent to nobody, or to anybody again: then
 * the caller calls ep_queue_next.  It ends by itself when it is not idle any more, or
 * kept for sessions.  Caller holds the pool's lock.
 */
void
ep_conn_set_aside(EpConn *conn, bool aside)
{
	if (conn->aside == aside)
		return;
	conn->aside = aside;
	ep_pools[conn->pool].n_aside += aside ? 1 : -1;
}

/* The connection is kept for sessions from now on.  Caller holds the pool's lock. */
void
ep_conn_keep(EpConn *conn)
{
	EpPool	   *pool = &ep_pools[conn->pool];

	if (conn->kept)
		return;
	ep_conn_set_aside(conn, false);
	conn->kept = true;
	conn->kept_us = ep_now_us();
	conn->spent_us = 0;
	pool->n_kept++;
	pool->n_kept_idle += conn->state == EP_IDLE;
}

/*
 * It is anybody's again.  Caller holds the pool's lock, and calls ep_queue_next
 * if it is idle.
 */
void
ep_conn_let_go(EpConn *conn)
{
	EpPool	   *pool = &ep_pools[conn->pool];

	if (!conn->kept)
		return;
	conn->kept = false;
	pool->n_kept--;
	pool->n_kept_idle -= conn->state == EP_IDLE;
}

/*
 * What the connection, which is LEASED, is lent for.  A session counts from here
 * until it is lent for something else or comes back: who ends that calls
 * ep_queue_next, as the first session in the queue may be the next.  Caller
 * holds the pool's lock.
 */
void
ep_conn_set_kind(EpConn *conn, EpLeaseKind kind)
{
	EpPool	   *pool = &ep_pools[conn->pool];

	if (conn->kind == kind)
		return;
	if (conn->kind == EP_KIND_SESSION || kind == EP_KIND_SESSION)
	{
		pool->n_sessions += kind == EP_KIND_SESSION ? 1 : -1;
		pool->last_session_us = ep_now_us();
	}
	conn->kind = kind;
	if (kind == EP_KIND_SESSION)
		ep_conn_keep(conn);
}

/* Lend the connection to a backend: it may send from now on, nobody else. */
void
ep_conn_to_leased(EpConn *conn, int procno)
{
	uint64		now = move(conn, EP_LEASED);

	if (conn->state != EP_LEASED)
		return;
	conn->owner = procno;
	conn->leased_us = now;
	conn->leased_at = GetCurrentTimestamp();
	conn->lease = 0;
	conn->hold = false;
	conn->struck = EP_STRUCK_NOT;
	conn->sealed = false;
	conn->rested_us = now;
	conn->cut_us = 0;
	conn->leak_reported = false;
	conn->lease_name[0] = '\0';
	conn->query_start = 0;
	write_query(conn, "", 0);	/* the last holder's is not the next one's to see */
	conn->stats.usage_count++;
	pg_atomic_write_u64(&conn->lease_word, EP_LW(conn->conn_id, procno, EP_LW_RESTING));
}

/* Leave an unfinished exchange to the worker; unfinished is copied. */
void
ep_conn_to_cancelling(EpConn *conn, const EpUnfinished *unfinished)
{
	conn->unfinished = *unfinished;
	(void) move(conn, EP_CANCELLING);
}

void
ep_conn_to_resetting(EpConn *conn)
{
	(void) move(conn, EP_RESETTING);
}

void
ep_conn_to_validating(EpConn *conn)
{
	(void) move(conn, EP_VALIDATING);
}

/* Who knows why calls ep_conn_blame before; else the pool's state tells, or it was lost. */
void
ep_conn_to_broken(EpConn *conn)
{
	(void) move(conn, EP_BROKEN);
}

/* The connection is to be ended for that reason, unless there was one before. */
void
ep_conn_blame(EpConn *conn, EpEndReason reason)
{
	if (conn->end_reason == EP_END_NONE)
		conn->end_reason = reason;
}

void
ep_conn_to_closing(EpConn *conn)
{
	(void) move(conn, EP_CLOSING);
}

/*
 * An administrator wants the connection ended, whatever it is doing.  What is
 * idle is BROKEN after this.  A holder sees the flag when it uses the
 * connection next or, in an exchange, when it looks for the answer; the caller
 * wakes it.  The statement is to be cancelled in any case, for it may be one of
 * which nobody looks for the answer.  The rest is up to the worker, which the
 * caller wakes, too.  The pool gets another connection in its place.  Returns
 * false if it is being ended already.  Caller holds the pool's lock.
 */
bool
ep_conn_terminate(EpConn *conn)
{
	EpPool	   *pool = &ep_pools[conn->pool];

	if (conn->state == EP_FREE || conn->state == EP_BROKEN || conn->state == EP_CLOSING || conn->terminated)
		return false;
	ep_pool_refill(pool);
	conn->terminated = conn->dead = true;
	conn->terminated_us = ep_now_us();
	if (conn->state == EP_LEASED)
	{
		uint64		word = EP_LW(conn->conn_id, conn->owner, EP_LW_RESTING);

		if (!pg_atomic_compare_exchange_u64(&conn->lease_word, &word,
											EP_LW(conn->conn_id, conn->owner, EP_LW_REVOKED)) &&
			EP_LW_BITS(word) == EP_LW_IN_EXCHANGE)
			conn->cancel_wanted = conn->cancel_busy = true;
	}
	else if (conn->state == EP_IDLE)
		ep_conn_to_broken(conn);
	return true;
}

/*
 * A session's time is over: from now on its holder can only abort.  One that
 * rests is revoked, and true is returned: the worker ends the connection at
 * once, and with it the remote transaction and its locks.  Of one in an
 * exchange the statement is to be cancelled; its holder sees the mark when it
 * looks for the answer, and the caller wakes it.  Caller holds the pool's lock;
 * the connection is LEASED.
 */
bool
ep_conn_strike(EpConn *conn, EpStruck struck)
{
	uint64		resting = EP_LW(conn->conn_id, conn->owner, EP_LW_RESTING);

	Assert(conn->state == EP_LEASED && !conn->sealed);
	conn->struck = struck;
	conn->struck_us = ep_now_us();
	if (pg_atomic_compare_exchange_u64(&conn->lease_word, &resting,
									   EP_LW(conn->conn_id, conn->owner, EP_LW_REVOKED)))
	{
		ep_conn_blame(conn, EP_END_SESSION_STRUCK);
		return true;
	}
	conn->cancel_wanted = conn->cancel_busy = true;
	return false;
}

/* Give the slot back; the remote has let go of the connection, or never had it. */
void
ep_conn_to_free(EpConn *conn)
{
	EpPool	   *pool = &ep_pools[conn->pool];

	(void) move(conn, EP_FREE);
	if (conn->state != EP_FREE)
		return;
	pool->size--;
	if (conn->conn_id < pool->keep_from)
		pool->n_outdated--;
	ep_pool_check_filled(pool);
	if (conn->created_us != 0 && !conn->probe)
		pool->stats.total_closed++; /* what never was a connection is a connection_error */
	conn->conn_id = 0;
	pg_atomic_fetch_add_u32(&pool->closed_epoch, 1);
	SpinLockAcquire(&ep_control->slot_lock);
	conn->next = ep_control->free_head;
	ep_control->free_head = ep_conn_slot(conn);
	ep_control->n_free++;
	SpinLockRelease(&ep_control->slot_lock);
}

/* The remote has dropped its prepared statements (reset).  Caller owns the connection. */
void
ep_conn_forget_statements(EpConn *conn)
{
	EpStmtSlot *stmts = ep_conn_stmts(conn);

	for (int i = 0; i < ep_control->max_statements; i++)
		stmts[i].number = 0;
}
