/*-------------------------------------------------------------------------
 *
 * strategy.c
 *		What the setting "strategy" changes: who gets a connection that came
 *		back, how many are kept, and whether they are validated on their way.
 *
 * Pure: numbers in, numbers out.  What strategy "dynamic" finds out about the
 * number of connections is in tuner.c; here it has the values of whichever of
 * the others it has chosen.
 *
 * Who gets a connection.  While somebody waits, a connection that comes back
 * can be handed over to the first waiter.  Then waits are as even as can be, but
 * the connection is of no use until that process, which sleeps, has got a
 * processor; and when there are more runnable processes than processors
 * everybody ends up in the queue, a convoy.  Or the backends that run at that
 * moment may take it, and pass the first waiter, for a bounded time.
 *
 * How long that time may be follows from a conservation law: whatever the
 * order of service, the mean wait over all acquires is given by the number of
 * sessions and the throughput (Little, "A proof for the queuing formula
 * L = lambda W", Operations Research 9, 1961).  If those who wait do so for k
 * times that mean, then a part of 1 - 1/k of all acquires passes them and waits
 * for nothing.  So with k = 1.5 a third passes, the median acquire is one that
 * has waited, and the longest waits are near the median; with k = 4 three
 * quarters pass.  The mean must be that of all acquires: the one of those who
 * waited would grow with the bound that is made from it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/strategy.h"

/* Weight of one acquire or release in the means. */
#define WEIGHT				(1.0 / 64)

/* One sample counts for no more: a single long lease must not hide a thousand short ones. */
#define LONGEST_US			1e6

/* A part of lease time lost by hand-over that is not worth passing anybody. */
#define NEGLIGIBLE_LOSS		0.1

#define BALANCED_FACTOR		1.5
#define BALANCED_MOST_US	50000
#define THROUGHPUT_FACTOR	4.0
#define THROUGHPUT_LEAST_US	10000
#define THROUGHPUT_MOST_US	100000

static void
fold(double *mean, uint64 sample_us)
{
	*mean += (Min((double) sample_us, LONGEST_US) - *mean) * WEIGHT;
}

/* Somebody has got a connection after that time, 0 if one was idle, or given up. */
void
ep_observe_wait(EpObserved *seen, uint64 waited_us)
{
	fold(&seen->wait_us, waited_us);
}

/* A lease has ended. */
void
ep_observe_lease(EpObserved *seen, uint64 held_us)
{
	fold(&seen->lease_us, held_us);
	seen->completed++;
}

/* A waiter goes on, that time after a connection was handed over to it. */
void
ep_observe_handover(EpObserved *seen, uint64 delay_us)
{
	fold(&seen->handover_us, delay_us);
}

/* So many were leased, and so many waited, since the call before. */
void
ep_observe_advance(EpObserved *seen, int leased, int waiting, uint64 now_us)
{
	double		passed;

	if (seen->at_us == 0)
		seen->at_us = now_us;
	if (now_us <= seen->at_us)
		return;
	passed = (double) (now_us - seen->at_us);
	seen->leased_area += leased * passed;
	seen->waiting_area += waiting * passed;
	seen->at_us = now_us;
}

/*
 * How a pool's connections are kept, with that target_free_connections.
 * For "dynamic" the tuner says how many there are.
 */
EpPlan
ep_strategy_plan(EpStrategy strategy, int target_free)
{
	EpPlan		plan = {.free = target_free, .patience = 1};

	switch (strategy)
	{
		case EP_STRATEGY_HIGH_THROUGHPUT:
			plan.patience = 4;
			break;
		case EP_STRATEGY_LOW_LATENCY:
			plan.free = target_free + Max(target_free, 2);
			plan.ready = true;
			plan.validate = true;
			break;
		default:
			break;
	}
	return plan;
}

/*
 * For how long (us) the first waiter may be passed by backends that run; 0: not
 * at all, whatever comes back is handed over in the order of the queue.
 *
 * "balanced" passes nobody as long as hand-over costs next to nothing, which
 * is so wherever leases are longer than the time to get a processor.
 */
uint64
ep_strategy_barge_us(EpStrategy strategy, const EpObserved *seen)
{
	switch (strategy)
	{
		case EP_STRATEGY_HIGH_THROUGHPUT:
			return (uint64) Min(Max(THROUGHPUT_FACTOR * seen->wait_us, THROUGHPUT_LEAST_US), THROUGHPUT_MOST_US);
		case EP_STRATEGY_LOW_LATENCY:
			return 0;
		default:
			if (seen->handover_us <= NEGLIGIBLE_LOSS * seen->lease_us)
				return 0;
			return (uint64) Min(BALANCED_FACTOR * seen->wait_us, BALANCED_MOST_US);
	}
}

/* Have a pool sized as its strategy says, where that does not find the size by itself. */
void
ep_strategy_apply(EpStrategy strategy, EpSizingInput *in)
{
	EpPlan		plan = ep_strategy_plan(strategy, in->target_free);

	in->target_free = Min(plan.free, in->max_size);
	if (plan.ready && !in->unused)
		in->ready = Min(in->leased + in->target_free, in->max_size);
}
