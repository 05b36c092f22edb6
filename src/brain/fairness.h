/*-------------------------------------------------------------------------
 *
 * fairness.h
 *		Who gets the places that several pools share.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_FAIRNESS_H
#define EP_FAIRNESS_H

#include "postgres.h"

/* A pool may have as many as it likes. */
#define EP_NO_RATION	(-1)

typedef struct EpFairPool
{
	/* in */
	int			min_size;
	int			limit;			/* most that it can have by its own settings */
	int			alive;			/* connections that are not being ended */
	int			ending;			/* those that are, and a health check's: their places are free soon */
	int			idle;			/* of alive */
	int			missing;		/* waiters for whom none is on its way */
	double		demand;			/* leased and waiters, of late */
	uint64		since_us;		/* the first waiter waits since; 0: nobody does */

	/* out */
	int			share;			/* what is its due */
	int			ration;			/* most that it may have for now, or EP_NO_RATION */
} EpFairPool;

extern double ep_fair_demand(double before, int present, double passed_s);
extern void ep_fair_shares(EpFairPool *pools, int n, int capacity);
extern bool ep_fair_divide(EpFairPool *pools, int n, int capacity);

#endif							/* EP_FAIRNESS_H */
