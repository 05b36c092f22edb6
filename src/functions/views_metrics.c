/*-------------------------------------------------------------------------
 *
 * views_metrics.c
 *		The functions behind the views pool_metrics and connection_metrics.
 *
 * A rate, an average or a percentile of nothing is NULL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "functions/view.h"
#include "shared/stats.h"

PG_FUNCTION_INFO_V1(enhanced_pool_pool_metrics);
PG_FUNCTION_INFO_V1(enhanced_pool_connection_metrics);
PG_FUNCTION_INFO_V1(enhanced_pool_pool_percentiles);

/* ------------------------------------------------------------ pool_metrics */

typedef struct PoolCopy
{
	EpPoolIdent ident;
	EpPoolStats stats;
	uint64		lately[EP_NLATELY][EP_NBUCKETS];
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
copy_pool(const EpPool *pool, uint64 now_us, PoolCopy *copy)
{
	ep_pool_ident(&pool->def, &copy->ident);
	copy->stats = pool->stats;
	for (int i = 0; i < EP_NLATELY; i++)
		(void) ep_window_counts(&ep_record_of(pool)->lately[i], now_us, copy->lately[i]);
	copy->size = pool->size;
	copy->active = pool->n_leased;
	copy->idle = pool->n_idle;
	copy->usable = ep_pool_size(pool) - pool->n_connecting - pool->n_ending > 0;
	copy->current_load = ep_pool_load(pool);
	copy->load = pool->load;
	copy->opened_at = pool->opened_at;
	copy->stats_reset = pool->stats_reset;
}

/*
 * Three percentiles of the last minutes.  What stands for a bucket may be more
 * than anything in it was; the longest of all, max_us, is known exactly.
 */
static void
put_percentiles(EpView *view, const uint64 *counts, uint64 max_us)
{
	static const double parts[] = {0.5, 0.95, 0.99};

	for (Size i = 0; i < lengthof(parts); i++)
	{
		double		us = ep_percentile(counts, parts[i]);

		if (us < 0)
			ep_put_null(view);
		else
			ep_put_double(view, Min(us, (double) max_us) / 1000.0);
	}
}

static void
put_waits_and_leases(EpView *view, const PoolCopy *copy)
{
	const EpPoolStats *stats = &copy->stats;

	ep_put_bigint(view, stats->total_created);
	ep_put_bigint(view, stats->total_closed);
	ep_put_bigint(view, stats->acquire_count);
	ep_put_bigint(view, stats->acquire_timeouts);
	ep_put_bigint(view, stats->wait_count);
	ep_put_ms(view, stats->total_wait_us);
	ep_put_ratio(view, stats->total_wait_us / 1000.0, stats->wait_count);
	ep_put_ms(view, stats->max_wait_us);
	put_percentiles(view, copy->lately[EP_LATELY_WAIT], stats->max_wait_us);
	ep_put_bigint(view, stats->lease_count);
	ep_put_ms(view, stats->total_lease_us);
	ep_put_ms(view, stats->max_lease_us);
}

static void
put_queries(EpView *view, const PoolCopy *copy)
{
	const EpPoolStats *stats = &copy->stats;

	ep_put_bigint(view, stats->query_count);
	ep_put_bigint(view, stats->query_errors);
	ep_put_ms(view, stats->total_query_us);
	ep_put_ratio(view, stats->total_query_us / 1000.0, stats->query_count);
	ep_put_ms(view, stats->max_query_us);
	put_percentiles(view, copy->lately[EP_LATELY_QUERY], stats->max_query_us);
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
	uint64		now_us;

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	places = ep_open_places(&nplaces);
	now = GetCurrentTimestamp();
	now_us = ep_now_us();
	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);
		PoolCopy	copy;

		if (pool == NULL)
			continue;
		copy_pool(pool, now_us, &copy);
		LWLockRelease(&pool->lock);

		ep_put_ident(&view, &copy.ident);
		ep_put_int(&view, copy.size);
		ep_put_int(&view, copy.active);
		ep_put_int(&view, copy.idle);
		put_waits_and_leases(&view, &copy);
		put_queries(&view, &copy);
		put_upkeep(&view, &copy.stats);
		put_load(&view, &copy);
		ep_put_interval(&view, now - copy.opened_at);
		ep_put_time(&view, copy.stats_reset);
		ep_view_end_row(&view);
	}
	ep_view_end(&view);
	return (Datum) 0;
}

/* --------------------------------------------------------- _pool_percentiles */

/* What a row is made of: a server's open pools together. */
typedef struct Sums
{
	uint64		lately[EP_NLATELY][EP_NBUCKETS];
	uint64		max_us[EP_NLATELY];
} Sums;

/* Adds the pool in a place, if it is still that server's. */
static void
add_place(const EpPlace *place, const EpPoolIdent *server, uint64 now_us, Sums *sums)
{
	EpPool	   *pool = ep_lock_place(place);
	uint64		counts[EP_NBUCKETS];

	if (pool == NULL)
		return;
	if (pool->def.key.database == server->database && pool->def.key.server == server->server)
	{
		for (int i = 0; i < EP_NLATELY; i++)
		{
			(void) ep_window_counts(&ep_record_of(pool)->lately[i], now_us, counts);
			for (int j = 0; j < EP_NBUCKETS; j++)
				sums->lately[i][j] += counts[j];
		}
		sums->max_us[EP_LATELY_WAIT] = Max(sums->max_us[EP_LATELY_WAIT], pool->stats.max_wait_us);
		sums->max_us[EP_LATELY_QUERY] = Max(sums->max_us[EP_LATELY_QUERY], pool->stats.max_query_us);
	}
	LWLockRelease(&pool->lock);
}

static bool
same_server(const EpPoolIdent *a, const EpPoolIdent *b)
{
	return a->database == b->database && a->server == b->server;
}

/* Whose pools are in these places; database is InvalidOid where there is none any more. */
static EpPoolIdent *
idents_of(const EpPlace *places, int n)
{
	EpPoolIdent *idents = palloc0(sizeof(EpPoolIdent) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);

		if (pool == NULL)
			continue;
		ep_pool_ident(&pool->def, &idents[i]);
		LWLockRelease(&pool->lock);
	}
	return idents;
}

/*
 * _pool_percentiles(): the percentiles of pool_metrics over all roles of each
 * server that has an open pool, of whatever database.
 */
Datum
enhanced_pool_pool_percentiles(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPlace    *places;
	EpPoolIdent *idents;
	int			nplaces;
	uint64		now_us = ep_now_us();

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	places = ep_open_places(&nplaces);
	idents = idents_of(places, nplaces);
	for (int i = 0; i < nplaces; i++)
	{
		Sums		sums = {0};
		bool		again = !OidIsValid(idents[i].database);

		for (int j = 0; j < i && !again; j++)
			again = same_server(&idents[j], &idents[i]);
		if (again)
			continue;
		for (int j = i; j < nplaces; j++)
		{
			if (same_server(&idents[j], &idents[i]))
				add_place(&places[j], &idents[i], now_us, &sums);
		}
		ep_put_text(&view, idents[i].datname);
		ep_put_text(&view, idents[i].name);
		put_percentiles(&view, sums.lately[EP_LATELY_WAIT], sums.max_us[EP_LATELY_WAIT]);
		put_percentiles(&view, sums.lately[EP_LATELY_QUERY], sums.max_us[EP_LATELY_QUERY]);
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
