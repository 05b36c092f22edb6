/*-------------------------------------------------------------------------
 *
 * stats.h
 *		Histograms and history of each pool, beside EpPool in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_STATS_H
#define EP_STATS_H

#include "postgres.h"

#include "brain/histogram.h"
#include "brain/history.h"
#include "shared/shared.h"

/* What is timed. */
typedef enum EpTimed
{
	EP_TIMED_ACQUIRE = 0,		/* the wait of each that got a connection, 0 if one was idle */
	EP_TIMED_QUERY,				/* each statement */
	EP_TIMED_LEASE,				/* each lease that has ended */
	EP_TIMED_CONNECT,			/* from the beginning of the attempt until the connection is fit for use */
	EP_NTIMED
} EpTimed;

/* What is known of the last minutes. */
typedef enum EpLately
{
	EP_LATELY_WAIT = 0,			/* the waits that have ended, with a connection or without */
	EP_LATELY_QUERY,
	EP_NLATELY
} EpLately;

typedef struct EpBucket
{
	uint64		count;
	uint64		sum_us;
} EpBucket;

/*
 * Under the lock of the pool that has the same place in ep_pools.  A place that
 * was never used is never written: until then its pages take no memory.
 */
typedef struct EpRecord
{
	EpBucket	timed[EP_NTIMED][EP_NBUCKETS];	/* since the counters were reset */
	EpWindow	lately[EP_NLATELY];
	EpHistory	history;
} EpRecord;

extern EpRecord *ep_records;	/* max_pools of them; NULL without preload */

/* Are use and times of the pool counted?  Caller holds its lock. */
static inline bool
ep_stats_on(const EpPool *pool)
{
	return EP_BOOL(&pool->def.set, EP_S_STATS_ENABLED);
}

extern Size ep_stats_size(void);
extern void ep_stats_attach(char *area);
extern EpRecord *ep_record_of(const EpPool *pool);
extern void ep_stats_begin(EpPool *pool);
extern void ep_stats_reset(EpPool *pool);
extern void ep_stats_time(EpPool *pool, EpTimed what, uint64 us);
extern void ep_stats_time_lately(EpPool *pool, EpLately what, uint64 us, uint64 now_us);
extern const char *ep_timed_name(EpTimed what);

#endif							/* EP_STATS_H */
