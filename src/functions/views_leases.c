/*-------------------------------------------------------------------------
 *
 * views_leases.c
 *		The functions behind the views leases and waiters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/backend_status.h"

#include "functions/view.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_leases);
PG_FUNCTION_INFO_V1(enhanced_pool_waiters);

/* ----------------------------------------------------------------- leases */

/* The name that views use for a kind. */
const char *
ep_lease_kind_name(EpLeaseKind kind)
{
	switch (kind)
	{
		case EP_KIND_STATEMENT:
			return "statement";
		case EP_KIND_LEASE:
			return "lease";
		case EP_KIND_SESSION:
			return "session";
	}
	return NULL;
}

/* The words of pg_stat_activity. */
static const char *
lease_state(const EpConnCopy *copy)
{
	if (copy->bits == EP_LW_IN_EXCHANGE)
		return "active";
	return copy->conn.tx_status == 'I' ? "idle" : "idle in transaction";
}

/*
 * The query that the holder of a lease sent last, in buf, or NULL.  The text is
 * read without the pool's lock; if the connection has changed hands meanwhile
 * it may be the next holder's, whose role was not looked at.
 */
static const char *
read_query(const EpConnCopy *copy, int slot, char *buf)
{
	EpConn	   *conn = &ep_conns[slot];
	EpPool	   *pool = &ep_pools[copy->conn.pool];
	bool		same;

	if (copy->conn.query_start == 0 || !ep_may_read_role(copy->conn.lease_role) ||
		!ep_conn_read_query(conn, buf))
		return NULL;
	LWLockAcquire(&pool->lock, LW_SHARED);
	same = conn->state == EP_LEASED && conn->conn_id == copy->conn.conn_id &&
		conn->owner == copy->conn.owner && conn->leased_us == copy->conn.leased_us &&
		conn->lease_role == copy->conn.lease_role;
	LWLockRelease(&pool->lock);
	return same ? buf : NULL;
}

static void
put_lease(EpView *view, const EpConnCopy *copy, int slot, char *buf)
{
	const EpConn *conn = &copy->conn;
	const char *query = read_query(copy, slot, buf);

	ep_put_ident(view, &copy->ident);
	if (conn->lease != 0)
		ep_put_bigint(view, conn->lease);
	else
		ep_put_null(view);
	ep_put_int(view, copy->pid);
	ep_put_bigint(view, conn->conn_id);
	ep_put_int(view, conn->remote_pid);
	ep_put_text(view, ep_lease_kind_name(conn->kind));
	ep_put_text(view, conn->lease_name[0] != '\0' ? conn->lease_name : NULL);
	ep_put_text(view, lease_state(copy));
	ep_put_time(view, conn->leased_at);
	ep_put_interval(view, (int64) (ep_now_us() - conn->leased_us));
	ep_put_bool(view, conn->hold);
	ep_put_time(view, conn->query_start);
	ep_put_text(view, query);
	ep_view_end_row(view);
}

/*
 * leases(): one row for each connection that a backend holds.  Queries are
 * NULL for those who are no member of the holder's role.
 */
Datum
enhanced_pool_leases(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpConnCopy *copy = palloc(sizeof(EpConnCopy));
	char	   *buf;

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	buf = palloc(pgstat_track_activity_query_size);
	for (int slot = 0; slot < ep_control->max_connections; slot++)
	{
		if (ep_copy_conn(slot, copy) && copy->conn.state == EP_LEASED)
			put_lease(&view, copy, slot, buf);
	}
	ep_view_end(&view);
	pfree(buf);
	pfree(copy);
	return (Datum) 0;
}

/* ---------------------------------------------------------------- waiters */

typedef struct WaiterCopy
{
	int			pid;
	TimestampTz since;
	uint64		since_us;
} WaiterCopy;

/* Copies the queue, first come first; returns how many wait.  Caller holds the pool's lock. */
static int
copy_queue(const EpPool *pool, WaiterCopy *waiters)
{
	int			n = 0;

	for (int entry = pool->wait_head; entry >= 0 && n < ep_control->n_waiters; entry = ep_backends[entry].next)
	{
		waiters[n].pid = ep_backends[entry].pid;
		waiters[n].since = ep_backends[entry].wait_start;
		waiters[n].since_us = ep_backends[entry].wait_start_us;
		n++;
	}
	return n;
}

static void
put_waiters(EpView *view, const EpPoolIdent *ident, const WaiterCopy *waiters, int n)
{
	uint64		now_us = ep_now_us();

	for (int i = 0; i < n; i++)
	{
		ep_put_ident(view, ident);
		ep_put_int(view, waiters[i].pid);
		ep_put_time(view, waiters[i].since);
		ep_put_interval(view, (int64) (now_us - waiters[i].since_us));
		ep_put_int(view, i + 1);
		ep_view_end_row(view);
	}
}

/* waiters(): one row for each connection that a backend waits for. */
Datum
enhanced_pool_waiters(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPlace    *places;
	WaiterCopy *waiters;
	int			nplaces;

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	waiters = palloc(sizeof(WaiterCopy) * ep_control->n_waiters);
	places = ep_open_places(&nplaces);
	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);
		EpPoolIdent ident;
		int			n;

		if (pool == NULL)
			continue;
		ep_pool_ident(&pool->def, &ident);
		n = copy_queue(pool, waiters);
		LWLockRelease(&pool->lock);
		put_waiters(&view, &ident, waiters, n);
	}
	ep_view_end(&view);
	pfree(waiters);
	return (Datum) 0;
}
