/*-------------------------------------------------------------------------
 *
 * scaling.c
 *		Whether a pool's load asks for more connections or for fewer.
 *
 * Up at once, when the load of now or of the last minute is high: waiting is
 * what a pool is there to avoid.  Down slowly, when the load of the last five
 * minutes is low, half of what is too much at a time: opening a connection
 * again costs more than keeping it for a while.  Between two changes of
 * opposite direction lies the cool-down, so that the size does not swing.
 *
 * What waiters need is not decided here: they never wait for a cool-down.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/scaling.h"

static bool
cooled_down(const EpScalingInput *in, uint64 last_us)
{
	return last_us == 0 || (double) (in->now_us - Min(last_us, in->now_us)) >= in->cool_down * 1e6;
}

/* The size at which active connections would be just the threshold, and the free ones on top. */
static int
wanted_size(const EpScalingInput *in)
{
	double		busy = ceil((double) in->active / in->up_threshold - 1e-9);

	return (int) Min(busy + in->target_free, (double) in->max_size);
}

/* Decides from the load of a pool.  last_up_us and last_down_us are when it was scaled by this. */
EpScaling
ep_scaling_decide(const EpScalingInput *in)
{
	EpScaling	out = {0};
	int			surplus;

	if (!in->enabled)
		return out;
	if (in->up_threshold > 0 && (in->load > in->up_threshold || in->load_1m > in->up_threshold) &&
		cooled_down(in, in->last_down_us))
	{
		int			target = wanted_size(in);

		if (target > in->alive)
		{
			out.target = target;
			out.reason = in->load > in->up_threshold ? "load above scale_up_threshold" :
				"load of the last minute above scale_up_threshold";
			return out;
		}
	}
	surplus = Min(in->alive - in->floor, in->idle);
	if (in->down_threshold > 0 && in->load_5m < in->down_threshold && surplus >= 2 &&
		cooled_down(in, in->last_up_us) && cooled_down(in, in->last_down_us))
	{
		out.let_go = surplus / 2;
		out.reason = "load of the last five minutes below scale_down_threshold";
	}
	return out;
}
