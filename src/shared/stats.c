/*-------------------------------------------------------------------------
 *
 * stats.c
 *		Histograms and history of each pool.
 *
 * They lie in an array of their own, so that what an acquire touches of EpPool
 * stays together.  Everything here is written under the pool's lock by those who
 * hold it anyway: an acquire, the end of a lease, the worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "shared/stats.h"

EpRecord   *ep_records = NULL;

static const char *const timed_names[EP_NTIMED] = {
	[EP_TIMED_ACQUIRE] = "acquire",
	[EP_TIMED_QUERY] = "query",
	[EP_TIMED_LEASE] = "lease",
	[EP_TIMED_CONNECT] = "connect"
};

/* The word that the view uses. */
const char *
ep_timed_name(EpTimed what)
{
	return timed_names[what];
}

/* Bytes in shared memory. */
Size
ep_stats_size(void)
{
	return MAXALIGN(mul_size(ep_max_pools, sizeof(EpRecord)));
}

/* They are in that area from now on, for this process. */
void
ep_stats_attach(char *area)
{
	ep_records = (EpRecord *) area;
}

/* Of the pool in the same place. */
EpRecord *
ep_record_of(const EpPool *pool)
{
	return &ep_records[pool - ep_pools];
}

/* Nothing is known of the pool: it is opened at this moment.  Caller holds its lock. */
void
ep_stats_begin(EpPool *pool)
{
	EpRecord   *record = ep_record_of(pool);

	memset(record, 0, offsetof(EpRecord, history));
	ep_history_begin(&record->history, GetCurrentTimestamp());
}

/*
 * Counting begins at zero; called before the pool's counters are cleared.  What
 * the last hour was like stays known.  Caller holds the pool's lock.
 */
void
ep_stats_reset(EpPool *pool)
{
	EpRecord   *record = ep_record_of(pool);

	ep_history_reset(&record->history, pool->stats.query_count, pool->stats.total_query_us);
	memset(record, 0, offsetof(EpRecord, history));
}

/* Something has taken that long.  Caller holds the pool's lock, and has asked ep_stats_on(). */
void
ep_stats_time(EpPool *pool, EpTimed what, uint64 us)
{
	EpBucket   *bucket = &ep_record_of(pool)->timed[what][ep_bucket_of(us)];

	bucket->count++;
	bucket->sum_us += us;
}

/* The same for what counts for the last minutes; now_us is monotonic. */
void
ep_stats_time_lately(EpPool *pool, EpLately what, uint64 us, uint64 now_us)
{
	ep_window_add(&ep_record_of(pool)->lately[what], us, now_us);
}
