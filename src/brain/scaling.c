/*-------------------------------------------------------------------------
 *
 * scaling.c
 *		What follows from a pool's load for its size.
 *
 * Growing is quick: the present load alone is enough, because whoever comes
 * next would have to wait for a connect.  Shrinking is slow: the average of
 * five minutes must be low, and half of what is too much goes at a time, since
 * a connection costs more to make again than to keep for a while.  Between two
 * scalings in opposite directions lies the cool-down, so that the two do not
 * chase each other; that the first fill counts as growing gives a new pool
 * time to be used.  The mean may be low and the peaks high, as chance has it: no
 * pool shrinks to a size from which the peak of late would have it grow again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/scaling.h"

/* For so many cool-downs, but no longer than that, the peak of the load is remembered. */
#define MEMORY			10
#define MOST_MEMORY_US	UINT64CONST(300000000)

/* Thresholds are decimal fractions: 4 / 0.8 is 5, whatever the last bit says. */
#define EPSILON		1e-9

static bool
cooling(const EpSizingInput *in, uint64 since_us)
{
	return since_us != 0 && in->now_us < since_us + in->cool_down_us;
}

/* Would that many leased be too many for that size? */
static bool
too_many(const EpSizingInput *in, int leased, int size)
{
	return leased > in->up * size + EPSILON;
}

/*
 * Of the present load, what is on its way counts as there.  A scaling up that
 * can open only a few at a time goes on until it has what it began for.
 */
static bool
is_busy(const EpSizingInput *in)
{
	return in->up > 0 && (too_many(in, in->leased, in->size - in->ending) ||
						  in->load_1m > in->up + EPSILON || in->growing);
}

/*
 * The size that the load asks for, within max_size; 0 if it asks for nothing
 * or has to wait for the end of the cool-down.
 */
int
ep_scaling_up(const EpSizingInput *in)
{
	if (!in->scaling || !is_busy(in) || cooling(in, in->down_at_us))
		return 0;
	return Min((int) ceil(in->leased / in->up - EPSILON) + in->target_free, in->max_size);
}

/* How many more the strategy wants to have ready; none until the end of the cool-down. */
int
ep_scaling_ready(const EpSizingInput *in, int alive)
{
	if (!in->scaling || cooling(in, in->down_at_us))
		return 0;
	return Max(in->ready - alive, 0);
}

/* Why ep_scaling_up() asked for more. */
const char *
ep_scaling_why_up(const EpSizingInput *in)
{
	return in->load > in->up + EPSILON || in->growing ? "the load is above scale_up_threshold" :
		"the 1-minute load is above scale_up_threshold";
}

/* How long the most leased at a time is remembered, for EpSizingInput.leased_peak. */
uint64
ep_scaling_memory_us(uint64 cool_down_us)
{
	return Min(cool_down_us, MOST_MEMORY_US / MEMORY) * MEMORY;
}

/* Where scaling down ends: from a smaller size the peak of late would scale up again. */
int
ep_scaling_floor(const EpSizingInput *in, int floor)
{
	int			kept = in->up > 0 ? (int) ceil(in->leased_peak / in->up - EPSILON) : 0;

	return Max(floor, Min(kept, in->max_size));
}

/*
 * How many idle connections are to be ended because of low load: half of what
 * is above the floor, rounded up, or it would never get there.  While it is
 * not sure that they could be made again they are kept.
 */
int
ep_scaling_down(const EpSizingInput *in, int alive, int floor)
{
	int			surplus = Min(alive - ep_scaling_floor(in, floor), in->idle);

	if (!in->scaling || in->closing || surplus <= 0 || in->load_5m >= in->down || is_busy(in))
		return 0;
	if (in->waiting > 0 || in->connecting > 0 || in->failing || in->breaker != EP_BREAKER_CLOSED)
		return 0;
	if (cooling(in, in->up_at_us) || cooling(in, in->down_at_us))
		return 0;
	return (surplus + 1) / 2;
}

/*
 * As long as no more than this are leased, ep_scaling_up() would ask for
 * nothing new, so whoever takes a connection need not wake the worker.  opening
 * are about to be opened.  PG_INT32_MAX while something else keeps the pool
 * from growing: the end of that is an event or found by a timer.
 */
int
ep_scaling_grow_above(const EpSizingInput *in, int alive, int opening)
{
	int			size = alive + opening;

	if (!in->scaling || in->up <= 0 || in->failing || in->rationed || cooling(in, in->down_at_us) ||
		size >= in->max_size || (in->bound > 0 && size >= in->bound) ||
		in->connecting + opening >= in->waiting + in->target_free ||
		(in->asking && in->connecting + opening > 0))
		return PG_INT32_MAX;
	return (int) floor(in->up * size + EPSILON);
}
