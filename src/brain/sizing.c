/*-------------------------------------------------------------------------
 *
 * sizing.c
 *		How many connections a pool should open or let go.
 *
 * Pure: numbers in, numbers and a reason out.  The worker carries it out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/sizing.h"

/*
 * The size at which idle expiry stops: enough for those who work now and a
 * few more, but never more than max_size; min_size alone for a pool that
 * nobody has used for long.
 */
static int
floor_of(const EpSizingInput *in)
{
	int			floor = in->min_size;

	if (!in->unused)
		floor = Max(floor, in->leased + in->target_free);
	return Min(floor, in->max_size);
}

/* How many connections are missing without regard to waiters. */
static int
missing(const EpSizingInput *in, int alive)
{
	int			n = Max(Max(in->fill_target, in->min_size) - alive, 0);

	if (in->lost && !in->failing && in->connecting == 0)
		n = Max(n, 1);
	return n;
}

static const char *
why_open(const EpSizingInput *in, int for_waiters, int alive)
{
	if (for_waiters > 0)
		return "backends are waiting";
	if (alive < in->min_size)
		return "below min_size";
	return alive < in->fill_target ? "first fill" : "a connection was lost";
}

/*
 * While attempts fail, and while the breaker is half-open, there is one at a
 * time.
 */
static void
one_at_a_time(const EpSizingInput *in, EpSizing *out)
{
	int			one = in->connecting == 0 ? 1 : 0;

	out->open = Min(out->open, one);
	out->open_overflow = Min(out->open_overflow, one - out->open);
}

/*
 * Decides from what a pool has and wants.  Every connection counts against
 * the limits until the remote has let go of it, so that the remote never sees
 * more than max_size + max_overflow.  For waiters, what is being opened or is
 * in the worker's hands counts as on its way; so no more connects are under
 * way than there are waiters.
 */
EpSizing
ep_sizing_decide(const EpSizingInput *in)
{
	EpSizing	out = {0};
	int			alive = in->size - in->ending;
	int			for_waiters = Max(in->waiting - in->connecting - in->tended - in->idle, 0);
	int			for_size = missing(in, alive);
	int			bound = in->bound > 0 ? in->bound : PG_INT32_MAX;
	int			room = Max(Min(in->max_size, bound) - in->size, 0);
	int			room_overflow = Max(Min(in->max_size + in->max_overflow, bound) - Max(in->size, in->max_size), 0);

	out.floor = floor_of(in);
	out.surplus = Min(Max(alive - in->max_size, 0), in->idle);
	if (out.surplus > 0)
		out.reason = "above max_size";
	if (in->closing || !ep_breaker_may_connect(in->breaker, in->connecting + in->probing))
		return out;

	out.open = Min(Max(for_waiters, for_size), room);
	out.open_overflow = Min(Max(for_waiters - out.open, 0), room_overflow);
	if (in->size + out.open < in->max_size)
		out.open_overflow = 0;
	if (in->failing || in->breaker == EP_BREAKER_HALF_OPEN)
		one_at_a_time(in, &out);
	if (out.open + out.open_overflow > 0)
		out.reason = why_open(in, for_waiters, alive);
	else if (in->breaker == EP_BREAKER_HALF_OPEN)
	{
		out.probe = true;
		if (out.surplus == 0)
			out.reason = "the breaker is half-open";
	}
	return out;
}
