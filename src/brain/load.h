/*-------------------------------------------------------------------------
 *
 * load.h
 *		How busy a pool is and was.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_LOAD_H
#define EP_LOAD_H

#include "postgres.h"

/* The averages that are kept. */
typedef enum EpLoadSpan
{
	EP_LOAD_1M,
	EP_LOAD_5M,
	EP_LOAD_15M,
	EP_NLOADS
} EpLoadSpan;

/*
 * Plain data that lives in shared memory; all zero is a load that nothing is
 * known of.  Times are monotonic us.
 */
typedef struct EpLoad
{
	uint64		since_us;		/* when it was first looked at */
	uint64		at_us;			/* up to when area reaches */
	uint64		folded_us;		/* up to when the averages reach */
	double		area;			/* load x us from folded_us to at_us */
	double		weighted[EP_NLOADS];	/* averages, as yet weighted with nothing before since_us */
} EpLoad;

/*
 * The most of something at a time over a span that ends now, in steps of a
 * part of it.  Plain data; all zero: nothing was there.
 */
#define EP_PEAK_PARTS	6

typedef struct EpPeak
{
	uint64		width_us;		/* of a part */
	uint64		part;			/* the present one, counted from time 0 */
	int			most[EP_PEAK_PARTS];	/* in part p at p % EP_PEAK_PARTS */
} EpPeak;

extern void ep_load_advance(EpLoad *load, double value, uint64 now_us);
extern double ep_load_average(const EpLoad *load, double value, uint64 now_us, EpLoadSpan span);
extern void ep_peak_advance(EpPeak *peak, int value, uint64 span_us, uint64 now_us);
extern int	ep_peak_of(const EpPeak *peak, int value, uint64 span_us, uint64 now_us);

#endif							/* EP_LOAD_H */
