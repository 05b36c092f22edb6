/*-------------------------------------------------------------------------
 *
 * histogram.c
 *		How long things take, in buckets.
 *
 * The buckets are those of HDR histograms: linear within each power of two.
 * The number of a bucket is made of the position of a value's highest bit and
 * the bits behind it, so finding it costs a few instructions, and the relative
 * error of whatever is said about a value by its bucket is bounded, from
 * microseconds to an hour.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "port/pg_bitutils.h"

#include "brain/histogram.h"

#define MINUTE_US	UINT64CONST(60000000)

/* The bucket of a value. */
int
ep_bucket_of(uint64 us)
{
	int			shift;

	if (us < EP_HISTOGRAM_PARTS)
		return (int) us;
	if (us >= UINT64CONST(1) << EP_HISTOGRAM_TOP)
		return EP_NBUCKETS - 1;
	shift = pg_leftmost_one_pos64(us) - EP_HISTOGRAM_BITS;
	return EP_HISTOGRAM_PARTS * shift + (int) (us >> shift);
}

/* The least value of a bucket. */
uint64
ep_bucket_lower(int bucket)
{
	int			shift = bucket / EP_HISTOGRAM_PARTS - 1;

	if (bucket < EP_HISTOGRAM_PARTS)
		return (uint64) bucket;
	return (uint64) (EP_HISTOGRAM_PARTS + bucket % EP_HISTOGRAM_PARTS) << shift;
}

/* The least value that is too large for it; PG_UINT64_MAX for the last one. */
uint64
ep_bucket_upper(int bucket)
{
	return bucket == EP_NBUCKETS - 1 ? PG_UINT64_MAX : ep_bucket_lower(bucket + 1);
}

/*
 * The value below or at which that part (0 to 1) of all is, from the counts of
 * the EP_NBUCKETS buckets: it is in the same bucket as the true one, at a place
 * that goes by its rank there.  -1 if nothing was counted.  In the open bucket
 * no place is known but its lower bound.
 */
double
ep_percentile(const uint64 *counts, double part)
{
	uint64		total = 0;
	uint64		before = 0;
	uint64		rank;
	int			bucket = 0;
	double		place;

	for (int i = 0; i < EP_NBUCKETS; i++)
		total += counts[i];
	if (total == 0)
		return -1;
	rank = (uint64) ceil(part * (double) total);
	rank = Min(Max(rank, 1), total);
	while (before + counts[bucket] < rank)
		before += counts[bucket++];
	if (bucket == EP_NBUCKETS - 1)
		return (double) ep_bucket_lower(bucket);

	/*
	 * values are whole numbers: the largest of a bucket is one less than its
	 * upper bound
	 */
	place = ((double) (rank - before) - 0.5) / (double) counts[bucket];
	return (double) ep_bucket_lower(bucket) +
		place * (double) (ep_bucket_upper(bucket) - ep_bucket_lower(bucket) - 1);
}

/* One more.  now_us is monotonic; the first of a minute empties the slice of that of six before. */
void
ep_window_add(EpWindow *window, uint64 us, uint64 now_us)
{
	uint64		minute = now_us / MINUTE_US + 1;
	EpSlice    *slice = &window->slices[minute % EP_WINDOW_SLICES];

	if (unlikely(slice->minute != minute))
	{
		memset(slice, 0, sizeof(EpSlice));
		slice->minute = minute;
	}
	slice->counts[ep_bucket_of(us)]++;
}

/*
 * What was counted in the present minute and the five before it, so in five to
 * six minutes, into counts[EP_NBUCKETS].  Returns the total.
 */
uint64
ep_window_counts(const EpWindow *window, uint64 now_us, uint64 *counts)
{
	uint64		minute = now_us / MINUTE_US + 1;
	uint64		total = 0;

	memset(counts, 0, sizeof(uint64) * EP_NBUCKETS);
	for (int i = 0; i < EP_WINDOW_SLICES; i++)
	{
		const EpSlice *slice = &window->slices[i];

		if (slice->minute == 0 || slice->minute + EP_WINDOW_MINUTES < minute)
			continue;
		for (int j = 0; j < EP_NBUCKETS; j++)
		{
			counts[j] += slice->counts[j];
			total += slice->counts[j];
		}
	}
	return total;
}
