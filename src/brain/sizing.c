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

#include "brain/scaling.h"

/*
 * The size at which idle expiry and scaling down stop: enough for those who work now and a
 * few more, but never more than max_size; min_size alone for a pool that
 * nobody has used for long.  What is kept for sessions is as good as in use.
 */
static int
floor_of(const EpSizingInput *in)
{
	int			floor = Max(in->min_size, in->reserved);

	if (!in->unused)
		floor = Max(floor, in->leased + in->reserved + in->target_free);
	return Min(floor, in->max_size);
}

/*
 * How many connects may be under way at once.  Filling a pool is not bound by
 * that.  At least one: a pool below min_size, or that lost a connection, wants
 * it even if nobody waits and no free ones are wanted.
 */
static int
herd_limit(const EpSizingInput *in, int alive)
{
	if (in->fill_target > alive)
		return PG_INT32_MAX;
	return Max(in->waiting + in->target_free, 1);
}

/* How many connections are missing without regard to waiters. */
static int
missing(const EpSizingInput *in, int alive)
{
	int			n = Max(Max(in->fill_target, in->min_size) - alive, 0);

	n = Max(n, in->lacking - in->connecting);
	if (in->lost && !in->failing && in->connecting == 0)
		n = Max(n, 1);
	return Min(n, Max(herd_limit(in, alive) - in->connecting, 0));
}

static const char *
why_open(const EpSizingInput *in, int for_waiters, int for_size, int ahead, int ready, int alive)
{
	if (for_waiters > 0)
		return "backends are waiting";
	if (for_size == 0)
		return ahead >= ready ? ep_scaling_why_up(in) : "the strategy keeps more connections ready";
	if (alive < in->min_size)
		return in->tuned ? "strategy dynamic has use for more" : "below min_size";
	if (alive < in->fill_target)
		return "first fill";
	return in->lacking > 0 ? "sessions are to have one ready" : "a connection was lost";
}

/*
 * While attempts fail, while the breaker is half-open, and while it is not known
 * whether a remote that was full takes more again, there is one at a time.
 */
static void
one_at_a_time(const EpSizingInput *in, EpSizing *out)
{
	int			one = in->connecting == 0 ? 1 : 0;

	out->open = Min(out->open, one);
	out->open_overflow = Min(out->open_overflow, one - out->open);
}

/* Is opening these a scaling?  Trying again what failed is not, nor is going on with one. */
static EpScaling
scaling_of(const EpSizingInput *in, int for_waiters, int ahead, int ready, int alive)
{
	bool		found = in->tuned && alive < in->min_size;

	if (in->fill_target > alive)
		return EP_SCALING_FILL;
	if (!in->scaling || in->failing || in->breaker != EP_BREAKER_CLOSED)
		return EP_SCALING_NONE;
	return for_waiters > 0 || found || ready > 0 || (ahead > 0 && !in->growing) ? EP_SCALING_UP : EP_SCALING_NONE;
}

/* What is to be ended. */
static void
decide_end(const EpSizingInput *in, int alive, EpSizing *out)
{
	int			limit = in->rationed ? Min(in->max_size, in->ration) : in->max_size;

	out->floor = floor_of(in);
	out->surplus = Min(Max(alive - limit, 0), in->idle);
	if (out->open + out->open_overflow > 0)
		return;
	if (out->surplus > 0 && in->tuned && limit == in->max_size)
	{
		out->shrink = out->surplus;
		out->surplus = 0;
		out->scaling = EP_SCALING_DOWN;
		out->target = in->max_size;
		out->reason = "strategy dynamic has no use for so many";
	}
	else if (out->surplus > 0)
		out->reason = limit < in->max_size ? "another pool needs the place" : "above max_size";
	else
	{
		out->shrink = ep_scaling_down(in, alive, out->floor);
		if (out->shrink > 0)
		{
			out->scaling = EP_SCALING_DOWN;
			out->target = ep_scaling_floor(in, out->floor);
			out->reason = "the 5-minute load is below scale_down_threshold";
		}
	}
}

/* What is to be opened. */
static void
decide_open(const EpSizingInput *in, int alive, EpSizing *out)
{
	int			for_waiters = Max(in->waiting - in->connecting - in->tended - in->idle, 0);
	int			for_size = missing(in, alive);
	int			target = ep_scaling_up(in);
	int			herd = Max(in->waiting + in->target_free - in->connecting, 0);
	int			ahead = Min(Max(target - alive, 0), herd);
	int			ready = Min(ep_scaling_ready(in, alive), herd);
	int			bound = in->bound > 0 ? in->bound : PG_INT32_MAX;
	int			room = Max(Min(in->max_size, bound) - in->size, 0);
	int			room_overflow = Max(Min(in->max_size + in->max_overflow, bound) - Max(in->size, in->max_size), 0);
	int			due = in->rationed ? Max(in->ration - alive, 0) : PG_INT32_MAX;

	out->open = Min(Max(Max(for_waiters, for_size), Max(ahead, ready)), room);
	out->open_overflow = Min(Max(for_waiters - out->open, 0), room_overflow);
	if (in->size + out->open < in->max_size)
		out->open_overflow = 0;
	out->open = Min(out->open, due);
	out->open_overflow = Min(out->open_overflow, due - out->open);
	if (in->failing || in->asking || in->breaker == EP_BREAKER_HALF_OPEN)
		one_at_a_time(in, out);
	out->growing = target > alive + out->open;
	if (out->open + out->open_overflow == 0)
		return;
	out->reason = why_open(in, for_waiters, for_size, ahead, ready, alive);
	out->scaling = scaling_of(in, for_waiters, ahead, ready, alive);
	out->target = Max(target, alive + out->open + out->open_overflow);
}

/*
 * Decides from what a pool has and wants.  Every connection counts against
 * the limits until the remote has let go of it, so that the remote never sees
 * more than max_size + max_overflow.  For waiters, what is being opened or is
 * in the worker's hands counts as on its way; so no more connects are under
 * way than there are waiters, and target_free for what is opened ahead of them.
 */
EpSizing
ep_sizing_decide(const EpSizingInput *in)
{
	EpSizing	out = {.grow_above = PG_INT32_MAX};
	int			alive = in->size - in->ending;

	if (!in->closing && ep_breaker_may_connect(in->breaker, in->connecting + in->probing))
		decide_open(in, alive, &out);
	decide_end(in, alive, &out);
	if (in->closing)
		return out;
	if (in->breaker == EP_BREAKER_CLOSED)
		out.grow_above = ep_scaling_grow_above(in, alive, out.open + out.open_overflow);
	else if (in->breaker == EP_BREAKER_HALF_OPEN && out.open + out.open_overflow == 0 &&
			 ep_breaker_may_connect(in->breaker, in->connecting + in->probing))
	{
		out.probe = true;
		if (out.surplus == 0)
			out.reason = "the breaker is half-open";
	}
	return out;
}
