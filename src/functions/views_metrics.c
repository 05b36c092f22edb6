/*-------------------------------------------------------------------------
 *
 * views_metrics.c
 *		The functions behind the views pool_metrics and connection_metrics.
 *
 * What is not counted yet is NULL, and so is a rate or an average of nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "functions/view.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_pool_metrics);
PG_FUNCTION_INFO_V1(enhanced_pool_connection_metrics);

/* ------------------------------------------------------------ pool_metrics */

typedef struct PoolCopy
{
	EpPoolIdent ident;
	EpPoolStats stats;
	int			size;
	int			active;
	int			idle;
	bool		usable;			/* there are connections that the load is measured by */
	double		current_load;
	EpLoad		load;
	TimestampTz opened_at;
	TimestampTz stats_reset;
} PoolCopy;

/* Caller holds the pool's lock. */
static void
copy_pool(const EpPool *pool, PoolCopy *copy)
{
	ep_pool_ident(&pool->def, &copy->ident);
	copy->stats = pool->stats;
	copy->size = pool->size;
	copy->active = pool->n_leased;
	copy->idle = pool->n_idle;
	copy->usable = ep_pool_size(pool) - pool->n_connecting - pool->n_ending > 0;
	copy->current_load = ep_pool_load(pool);
	copy->load = pool->load;
	copy->opened_at = pool->opened_at;
	copy->stats_reset = pool->stats_reset;
}

static void
put_waits_and_leases(EpView *view, const EpPoolStats *stats)
{
	ep_put_bigint(view, stats->total_created);
	ep_put_bigint(view, stats->total_closed);
	ep_put_bigint(view, stats->acquire_count);
	ep_put_bigint(view, stats->acquire_timeouts);
	ep_put_bigint(view, stats->wait_count);
	ep_put_ms(view, stats->total_wait_us);
	ep_put_ratio(view, stats->total_wait_us / 1000.0, stats->wait_count);
	ep_put_ms(view, stats->max_wait_us);
	ep_put_nulls(view, 3);		/* percentiles of wait_time */
	ep_put_bigint(view, stats->lease_count);
	ep_put_ms(view, stats->total_lease_us);
	ep_put_ms(view, stats->max_lease_us);
}

static void
put_queries(EpView *view, const EpPoolStats *stats)
{
	ep_put_bigint(view, stats->query_count);
	ep_put_bigint(view, stats->query_errors);
	ep_put_ms(view, stats->total_query_us);
	ep_put_ratio(view, stats->total_query_us / 1000.0, stats->query_count);
	ep_put_ms(view, stats->max_query_us);
	ep_put_nulls(view, 3);		/* percentiles of query_time */
	ep_put_bigint(view, stats->rows_returned);
	ep_put_bigint(view, stats->bytes_sent);
	ep_put_bigint(view, stats->bytes_received);
}

static void
put_upkeep(EpView *view, const EpPoolStats *stats)
{
	ep_put_bigint(view, stats->transaction_count);
	ep_put_bigint(view, stats->transaction_rollbacks);
	ep_put_bigint(view, stats->reset_count);
	ep_put_bigint(view, stats->validation_count);
	ep_put_bigint(view, stats->validation_failures);
	ep_put_bigint(view, stats->connection_errors);
	ep_put_bigint(view, stats->health_check_count);
	ep_put_bigint(view, stats->health_check_failures);
	ep_put_ratio(view, stats->health_check_failures, stats->health_check_count);
	ep_put_bigint(view, stats->breaker_trips);
	ep_put_bigint(view, stats->breaker_resets);
	ep_put_bigint(view, stats->scale_ups);
	ep_put_bigint(view, stats->scale_downs);
	ep_put_time(view, stats->last_scaling_at);
}

static void
put_load(EpView *view, const PoolCopy *copy)
{
	if (copy->usable)
		ep_put_double(view, copy->current_load);
	else
		ep_put_null(view);
	for (int span = 0; span < EP_NLOADS; span++)
	{
		if (copy->load.since_us != 0)
			ep_put_double(view, ep_load_average(&copy->load, copy->current_load, ep_now_us(), span));
		else
			ep_put_null(view);
	}
}

/* pool_metrics(): the counters of each open pool, of whatever database. */
Datum
enhanced_pool_pool_metrics(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPlace    *places;
	int			nplaces;
	TimestampTz now;

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	places = ep_open_places(&nplaces);
	now = GetCurrentTimestamp();
	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);
		PoolCopy	copy;

		if (pool == NULL)
			continue;
		copy_pool(pool, &copy);
		LWLockRelease(&pool->lock);

		ep_put_ident(&view, &copy.ident);
		ep_put_int(&view, copy.size);
		ep_put_int(&view, copy.active);
		ep_put_int(&view, copy.idle);
		put_waits_and_leases(&view, &copy.stats);
		put_queries(&view, &copy.stats);
		put_upkeep(&view, &copy.stats);
		put_load(&view, &copy);
		ep_put_interval(&view, now - copy.opened_at);
		ep_put_time(&view, copy.stats_reset);
		ep_view_end_row(&view);
	}
	ep_view_end(&view);
	return (Datum) 0;
}

/* ------------------------------------------------------ connection_metrics */

/*
 * How many statements are prepared on the connection in that slot.  The lease
 * holder adds and removes them without a lock, so this may be off by one.
 */
static int
count_statements(int slot)
{
	const EpStmtSlot *stmts = ep_conn_stmts(&ep_conns[slot]);
	int			n = 0;

	for (int i = 0; i < ep_control->max_statements; i++)
		n += stmts[i].number != 0;
	return n;
}

static void
put_times(EpView *view, const EpConn *conn, uint64 now_us)
{
	ep_put_time(view, conn->created_at);
	if (conn->created_us != 0)
		ep_put_interval(view, (int64) (now_us - conn->created_us));
	else
		ep_put_null(view);
	ep_put_time(view, conn->last_used_at);
	if (conn->state == EP_IDLE && conn->created_us != 0)
		ep_put_interval(view, (int64) (now_us - Max(conn->last_used_us, conn->created_us)));
	else
		ep_put_null(view);
	ep_put_time(view, conn->last_validated_at);
}

static void
put_conn_stats(EpView *view, const EpConnStats *stats)
{
	ep_put_bigint(view, stats->usage_count);
	ep_put_bigint(view, stats->query_count);
	ep_put_bigint(view, stats->error_count);
	ep_put_ms(view, stats->total_query_us);
	ep_put_ratio(view, stats->total_query_us / 1000.0, stats->query_count);
	ep_put_ms(view, stats->max_query_us);
	ep_put_bigint(view, stats->validation_count);
	ep_put_bigint(view, stats->validation_failures);
	ep_put_ratio(view, stats->validation_failures, stats->validation_count);
	ep_put_bigint(view, stats->reset_count);
	ep_put_bigint(view, stats->transaction_count);
	ep_put_bigint(view, stats->transaction_rollbacks);
	ep_put_ratio(view, stats->transaction_rollbacks, stats->transaction_count);
}

static void
put_conn(EpView *view, const EpConnCopy *copy, int slot, uint64 now_us)
{
	const EpConn *conn = &copy->conn;
	bool		connected = conn->state != EP_CONNECTING;

	ep_put_ident(view, &copy->ident);
	ep_put_bigint(view, conn->conn_id);
	ep_put_text(view, ep_conn_state_name(conn->state));
	if (conn->remote_pid != 0)
		ep_put_int(view, conn->remote_pid);
	else
		ep_put_null(view);
	ep_put_text(view, conn->host[0] != '\0' && ep_may_use_pool(&copy->ident) ? conn->host : NULL);
	ep_put_text(view, !connected ? NULL : conn->tls ? "relay" : "direct");
	if (connected)
		ep_put_bool(view, conn->tls);
	else
		ep_put_null(view);
	put_times(view, conn, now_us);
	put_conn_stats(view, &conn->stats);
	ep_put_int(view, count_statements(slot));
	ep_view_end_row(view);
}

/*
 * connection_metrics(): one row for each connection of an open pool, of
 * whatever database.  Hosts are NULL for those who may not use the pool.
 */
Datum
enhanced_pool_connection_metrics(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpConnCopy *copy = palloc(sizeof(EpConnCopy));

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	for (int slot = 0; slot < ep_control->max_connections; slot++)
	{
		if (ep_copy_conn(slot, copy))
			put_conn(&view, copy, slot, ep_now_us());
	}
	ep_view_end(&view);
	pfree(copy);
	return (Datum) 0;
}
