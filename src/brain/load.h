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

extern void ep_load_advance(EpLoad *load, double value, uint64 now_us);
extern double ep_load_average(const EpLoad *load, double value, uint64 now_us, EpLoadSpan span);

#endif							/* EP_LOAD_H */
