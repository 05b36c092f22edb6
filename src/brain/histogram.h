/*-------------------------------------------------------------------------
 *
 * histogram.h
 *		How long things take: log-linear buckets, percentiles from their
 *		counts, and counts of the last minutes.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_HISTOGRAM_H
#define EP_HISTOGRAM_H

#include "postgres.h"

/*
 * Values are us.  Below 16 there is a bucket for each; from there on 16 for
 * each power of two, up to 2^32 us (71 minutes); the last one is open.  So a
 * bucket is no wider than a sixteenth of its lower bound, or 1.
 */
#define EP_HISTOGRAM_BITS	4
#define EP_HISTOGRAM_PARTS	(1 << EP_HISTOGRAM_BITS)
#define EP_HISTOGRAM_TOP	32
#define EP_NBUCKETS			(EP_HISTOGRAM_PARTS * (EP_HISTOGRAM_TOP - EP_HISTOGRAM_BITS + 1) + 1)

extern int	ep_bucket_of(uint64 us);
extern uint64 ep_bucket_lower(int bucket);
extern uint64 ep_bucket_upper(int bucket);
extern double ep_percentile(const uint64 *counts, double part);

/*
 * Counts of late: one slice for each minute.  Plain data that lives in shared
 * memory; all zero: nothing has happened.
 */
#define EP_WINDOW_MINUTES	5
#define EP_WINDOW_SLICES	(EP_WINDOW_MINUTES + 1)

typedef struct EpSlice
{
	uint64		minute;			/* counted from 1; 0: nothing was written yet */
	uint32		counts[EP_NBUCKETS];
} EpSlice;

typedef struct EpWindow
{
	EpSlice		slices[EP_WINDOW_SLICES];
} EpWindow;

extern void ep_window_add(EpWindow *window, uint64 us, uint64 now_us);
extern uint64 ep_window_counts(const EpWindow *window, uint64 now_us, uint64 *counts);

#endif							/* EP_HISTOGRAM_H */
