/*-------------------------------------------------------------------------
 *
 * load.c
 *		How busy a pool is and was.
 *
 * The load is leased / usable connections.  It changes at each acquire and
 * release and is constant in between, so its integral is known exactly: no
 * sampling misses a burst.  The integral is folded into exponentially weighted
 * averages a few times a second: that costs an exp() for each, and the caller
 * holds a lock.
 *
 * An average of a pool that is younger than the span is that of its life so
 * far: the weights of the time before are taken off again when it is read.
 *
 * Beside the averages there is the peak of late, so that a pool does not shrink
 * to a size which the next peak of the same kind would make too small.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/load.h"

#define FOLD_US		UINT64CONST(200000)

static const double span_us[EP_NLOADS] = {60e6, 300e6, 900e6};

static void
fold(EpLoad *load)
{
	double		passed = (double) (load->at_us - load->folded_us);
	double		mean;

	if (passed <= 0)
		return;
	mean = load->area / passed;
	for (int i = 0; i < EP_NLOADS; i++)
	{
		double		keep = exp(-passed / span_us[i]);

		load->weighted[i] = load->weighted[i] * keep + mean * (1 - keep);
	}
	load->folded_us = load->at_us;
	load->area = 0;
}

/*
 * The load is about to change, and was value since the call before.  now_us is
 * monotonic; a time before the last one counts as that.
 */
void
ep_load_advance(EpLoad *load, double value, uint64 now_us)
{
	if (load->since_us == 0)
	{
		load->since_us = load->at_us = load->folded_us = now_us;
		return;
	}
	if (now_us <= load->at_us)
		return;
	load->area += value * (double) (now_us - load->at_us);
	load->at_us = now_us;
	if (now_us - load->folded_us >= FOLD_US)
		fold(load);
}

/* The average up to now_us of a load that is value since the last change; value itself if nothing is known. */
double
ep_load_average(const EpLoad *load, double value, uint64 now_us, EpLoadSpan span)
{
	EpLoad		copy = *load;
	double		life;

	ep_load_advance(&copy, value, now_us);
	fold(&copy);
	life = (double) (copy.at_us - copy.since_us);
	if (life <= 0)
		return value;
	return copy.weighted[span] / (1 - exp(-life / span_us[span]));
}

/*
 * What is counted is about to change, and was value since the call before.  A
 * span other than before begins anew: what happened then is forgotten.
 */
void
ep_peak_advance(EpPeak *peak, int value, uint64 span_us, uint64 now_us)
{
	uint64		width_us = Max(span_us / (EP_PEAK_PARTS - 1), 1);
	uint64		part = now_us / width_us;
	int		   *present;

	if (peak->width_us != width_us)
	{
		memset(peak, 0, sizeof(EpPeak));
		peak->width_us = width_us;
		peak->part = part;
	}
	present = &peak->most[peak->part % EP_PEAK_PARTS];
	*present = Max(*present, value);
	if (part <= peak->part)
		return;
	if (part - peak->part > EP_PEAK_PARTS)
		peak->part = part - EP_PEAK_PARTS;
	while (peak->part < part)
		peak->most[++peak->part % EP_PEAK_PARTS] = value;
}

/* The most over the span that ends now, and a part of it more at most; value is what there is since the last change. */
int
ep_peak_of(const EpPeak *peak, int value, uint64 span_us, uint64 now_us)
{
	EpPeak		copy = *peak;
	int			most = 0;

	ep_peak_advance(&copy, value, span_us, now_us);
	for (int i = 0; i < EP_PEAK_PARTS; i++)
		most = Max(most, copy.most[i]);
	return most;
}
