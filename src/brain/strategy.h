/*-------------------------------------------------------------------------
 *
 * strategy.h
 *		What the setting "strategy" changes.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_STRATEGY_H
#define EP_STRATEGY_H

#include "postgres.h"

#include "brain/sizing.h"

/* The values of the setting; the order is that of their names in settings.c. */
typedef enum EpStrategy
{
	EP_STRATEGY_BALANCED = 0,
	EP_STRATEGY_HIGH_THROUGHPUT,
	EP_STRATEGY_LOW_LATENCY,
	EP_STRATEGY_DYNAMIC
} EpStrategy;

/*
 * What was seen of a pool.  Plain data that lives in shared memory; all zero is
 * a pool that nothing is known of.  Times are us.
 */
typedef struct EpObserved
{
	/* weighted means over the last acquires and releases */
	double		wait_us;		/* of an acquire; those that found an idle connection count as 0 */
	double		lease_us;		/* of a lease, from the moment at which it was lent */
	double		handover_us;	/* from a hand-over until the waiter goes on */

	/* sums that only grow */
	uint64		at_us;			/* up to when the following reach; monotonic */
	double		leased_area;	/* leased connections x us */
	double		waiting_area;	/* waiters x us */
	uint64		completed;		/* leases that have ended */
} EpObserved;

extern void ep_observe_wait(EpObserved *seen, uint64 waited_us);
extern void ep_observe_lease(EpObserved *seen, uint64 held_us);
extern void ep_observe_handover(EpObserved *seen, uint64 delay_us);
extern void ep_observe_advance(EpObserved *seen, int leased, int waiting, uint64 now_us);

/* How a pool's connections are kept. */
typedef struct EpPlan
{
	int			free;			/* idle connections to keep beside those in use */
	bool		ready;			/* they are opened ahead */
	bool		validate;		/* a connection is validated before it is idle again */
	double		patience;		/* idle_timeout is multiplied by this */
} EpPlan;

extern EpPlan ep_strategy_plan(EpStrategy strategy, int target_free);
extern void ep_strategy_apply(EpStrategy strategy, EpSizingInput *in);
extern uint64 ep_strategy_barge_us(EpStrategy strategy, const EpObserved *seen);

#endif							/* EP_STRATEGY_H */
