/*-------------------------------------------------------------------------
 *
 * views_times.c
 *		The functions behind the views latency_histogram and load_history.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "functions/view.h"
#include "shared/stats.h"

PG_FUNCTION_INFO_V1(enhanced_pool_latency_histogram);
PG_FUNCTION_INFO_V1(enhanced_pool_load_history);

/* ------------------------------------------------------- latency_histogram */

static void
put_buckets(EpView *view, const EpPoolIdent *ident, EpTimed what, const EpBucket *buckets)
{
	for (int i = 0; i < EP_NBUCKETS; i++)
	{
		if (buckets[i].count == 0)
			continue;
		ep_put_ident(view, ident);
		ep_put_text(view, ep_timed_name(what));
		ep_put_ms(view, ep_bucket_lower(i));
		if (i == EP_NBUCKETS - 1)
			ep_put_double(view, INFINITY);
		else
			ep_put_ms(view, ep_bucket_upper(i));
		ep_put_bigint(view, buckets[i].count);
		ep_put_ms(view, buckets[i].sum_us);
		ep_view_end_row(view);
	}
}

/*
 * latency_histogram(): the buckets of each open pool that have something in
 * them, of whatever database, in order.
 */
Datum
enhanced_pool_latency_histogram(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPlace    *places;
	int			nplaces;
	EpBucket	(*timed)[EP_NBUCKETS];

	ep_require_preload();
	timed = palloc(sizeof(EpBucket) * EP_NTIMED * EP_NBUCKETS);
	ep_view_begin(&view, fcinfo);
	places = ep_open_places(&nplaces);
	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);
		EpPoolIdent ident;

		if (pool == NULL)
			continue;
		ep_pool_ident(&pool->def, &ident);
		memcpy(timed, ep_record_of(pool)->timed, sizeof(EpBucket) * EP_NTIMED * EP_NBUCKETS);
		LWLockRelease(&pool->lock);
		for (int what = 0; what < EP_NTIMED; what++)
			put_buckets(&view, &ident, what, timed[what]);
	}
	ep_view_end(&view);
	pfree(timed);
	return (Datum) 0;
}

/* ------------------------------------------------------------ load_history */

static void
put_history_row(EpView *view, const EpPoolIdent *ident, const EpHistoryRow *row)
{
	ep_put_ident(view, ident);
	ep_put_time(view, row->step * EP_HISTORY_STEP_US);
	ep_put_int(view, row->size);
	ep_put_int(view, row->active);
	ep_put_int(view, row->waiting);
	ep_put_bigint(view, row->queries);
	ep_put_ratio(view, row->query_us / 1000.0, row->queries);
	ep_view_end_row(view);
}

/*
 * load_history(): the last hour of each open pool, of whatever database, the
 * oldest row first.
 */
Datum
enhanced_pool_load_history(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPlace    *places;
	int			nplaces;
	EpHistoryRow *rows;

	ep_require_preload();
	rows = palloc(sizeof(EpHistoryRow) * EP_HISTORY_ROWS);
	ep_view_begin(&view, fcinfo);
	places = ep_open_places(&nplaces);
	for (int i = 0; i < nplaces; i++)
	{
		TimestampTz now = GetCurrentTimestamp();
		EpPool	   *pool = ep_lock_place(&places[i]);
		EpPoolIdent ident;
		int			n;

		if (pool == NULL)
			continue;
		ep_pool_ident(&pool->def, &ident);
		n = ep_history_read(&ep_record_of(pool)->history, now, rows);
		LWLockRelease(&pool->lock);
		for (int j = 0; j < n; j++)
			put_history_row(&view, &ident, &rows[j]);
	}
	ep_view_end(&view);
	pfree(rows);
	return (Datum) 0;
}
