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

#include "shared/shared.h"

#define BIT(state) (1 << (state))

/* Which states may follow each state. */
static const uint32 may_follow[EP_NSTATES] = {
	[EP_FREE] = BIT(EP_CONNECTING),
	[EP_CONNECTING] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_CLOSING) | BIT(EP_FREE),
	[EP_IDLE] = BIT(EP_LEASED) | BIT(EP_VALIDATING) | BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
	[EP_LEASED] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_CANCELLING) | BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_FREE),
	[EP_CANCELLING] = BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
	[EP_RESETTING] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
	[EP_VALIDATING] = BIT(EP_IDLE) | BIT(EP_LEASED) | BIT(EP_RESETTING) | BIT(EP_BROKEN) | BIT(EP_CLOSING),
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

/*
 * Change the state of a connection; the caller holds its pool's lock.  An
 * impossible transition ends the connection instead: better one connection
 * fewer than one in two hands.
 */
static void
move(EpConn *conn, EpConnState to)
{
	EpPool	   *pool = &ep_pools[conn->pool];

	Assert(LWLockHeldByMeInMode(&pool->lock, LW_EXCLUSIVE));
	if ((may_follow[conn->state] & BIT(to)) == 0)
	{
		Assert(false);
		if (conn->state == EP_FREE || conn->state == EP_BROKEN || conn->state == EP_CLOSING)
			return;
		to = EP_BROKEN;
	}

	switch (conn->state)
	{
		case EP_IDLE:
			idle_unlink(pool, conn);
			pool->n_idle--;
			break;
		case EP_LEASED:
			pool->n_leased--;
			conn->owner = -1;
			pg_atomic_write_u64(&conn->lease_word, 0);
			break;
		case EP_CONNECTING:
			pool->n_connecting--;
			break;
		default:
			break;
	}
	conn->state = to;
	switch (to)
	{
		case EP_IDLE:
			idle_push(pool, conn);
			pool->n_idle++;
			break;
		case EP_LEASED:
			pool->n_leased++;
			break;
		case EP_CONNECTING:
			pool->n_connecting++;
			break;
		default:
			break;
	}
}

/*
 * Take a free slot for a new connection of a pool and put it into CONNECTING.
 * The caller is the pool's worker and holds the pool's lock.  NULL if there
 * is none, or descriptors do not allow one more.
 */
EpConn *
ep_conn_alloc(EpPool *pool, uint64 epoch, bool overflow)
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
	conn->tx_status = 'I';
	pg_atomic_write_u64(&conn->lease_word, 0);
	memset(ep_conn_stmts(conn), 0, sizeof(EpStmtSlot) * ep_control->max_statements);
	pool->size++;
	move(conn, EP_CONNECTING);
	return conn;
}

/* The following: caller holds the pool's lock; see EpConnState for the meaning of each state. */

void
ep_conn_to_idle(EpConn *conn)
{
	move(conn, EP_IDLE);
}

/* Lend the connection to a backend: it may send from now on, nobody else. */
void
ep_conn_to_leased(EpConn *conn, int procno)
{
	move(conn, EP_LEASED);
	if (conn->state != EP_LEASED)
		return;
	conn->owner = procno;
	conn->leased_us = ep_now_us();
	conn->lease = 0;
	conn->kind = EP_KIND_STATEMENT;
	conn->lease_name[0] = '\0';
	conn->stats.usage_count++;
	pg_atomic_write_u64(&conn->lease_word, EP_LW(conn->conn_id, procno, EP_LW_RESTING));
}

/* Leave an unfinished exchange to the worker; unfinished is copied. */
void
ep_conn_to_cancelling(EpConn *conn, const EpUnfinished *unfinished)
{
	conn->unfinished = *unfinished;
	move(conn, EP_CANCELLING);
}

void
ep_conn_to_resetting(EpConn *conn)
{
	move(conn, EP_RESETTING);
}

void
ep_conn_to_validating(EpConn *conn)
{
	move(conn, EP_VALIDATING);
}

void
ep_conn_to_broken(EpConn *conn)
{
	move(conn, EP_BROKEN);
}

void
ep_conn_to_closing(EpConn *conn)
{
	move(conn, EP_CLOSING);
}

/* Give the slot back; the remote has let go of the connection, or never had it. */
void
ep_conn_to_free(EpConn *conn)
{
	EpPool	   *pool = &ep_pools[conn->pool];

	move(conn, EP_FREE);
	if (conn->state != EP_FREE)
		return;
	pool->size--;
	pool->stats.total_closed++;
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
