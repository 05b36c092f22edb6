/*-------------------------------------------------------------------------
 *
 * test_load.c
 *		The averages of a pool's load.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/load.h"
#include "unit.h"

#define SECOND	UINT64CONST(1000000)

static const double span_s[EP_NLOADS] = {60, 300, 900};

static bool
near_to(double a, double b, double tolerance)
{
	return fabs(a - b) <= tolerance;
}

/* A load that never changes is its own average, however often it is looked at. */
static void
test_constant(void)
{
	EpLoad		load = {0};
	uint64		now = 7 * SECOND;

	CHECK(near_to(ep_load_average(&load, 0.5, now, EP_LOAD_1M), 0.5, 1e-9), "nothing known");
	for (int i = 0; i < 5000; i++)
	{
		ep_load_advance(&load, 0.5, now);
		now += 1 + unit_random(400000);
		for (int span = 0; span < EP_NLOADS; span++)
			CHECK(near_to(ep_load_average(&load, 0.5, now, span), 0.5, 1e-6), "round %d, span %d", i, span);
	}
}

/* From 0 to 1 in one step: 1 - exp(-t / span), as of an average that has always been there. */
static void
test_step(void)
{
	EpLoad		load = {0};
	uint64		now = 1;

	ep_load_advance(&load, 0, now);
	now += 100000 * SECOND;
	ep_load_advance(&load, 0, now);
	for (int t = 1; t <= 1800; t++)
	{
		now += SECOND;
		ep_load_advance(&load, 1, now);
		for (int span = 0; span < EP_NLOADS; span++)
			CHECK(near_to(ep_load_average(&load, 1, now, span), 1 - exp(-t / span_s[span]), 0.01), "after %d s, span %d", t, span);
	}
}

/* A burst between two looks counts with its whole length. */
static void
test_burst(void)
{
	EpLoad		often = {0};
	EpLoad		rarely = {0};
	uint64		now = SECOND;

	ep_load_advance(&often, 0, now);
	ep_load_advance(&rarely, 0, now);
	for (int i = 0; i < 600; i++)
	{
		/* 30 ms busy, 70 ms idle; the other is told of the mean alone */
		ep_load_advance(&often, 1, now + 30000);
		ep_load_advance(&often, 0, now + 100000);
		now += 100000;
	}
	ep_load_advance(&rarely, 0.3, now);
	for (int span = 0; span < EP_NLOADS; span++)
	{
		CHECK(near_to(ep_load_average(&often, 0, now, span), 0.3, 0.003), "bursts, span %d", span);
		CHECK(near_to(ep_load_average(&rarely, 0, now, span), 0.3, 1e-9), "their mean, span %d", span);
	}
}

/* An average lies between the values it is made of, and time that stands still or goes back changes nothing. */
static void
test_laws(void)
{
	for (int round = 0; round < 200; round++)
	{
		EpLoad		load = {0};
		uint64		now = SECOND;
		double		low = 1;
		double		high = 0;

		for (int i = 0; i < 50; i++)
		{
			double		value = unit_random(101) / 100.0;

			ep_load_advance(&load, value, now);
			if (i > 0)
			{
				low = Min(low, value);
				high = Max(high, value);
				for (int span = 0; span < EP_NLOADS; span++)
				{
					double		average = ep_load_average(&load, value, now, span);

					CHECK(average >= low - 1e-9 && average <= high + 1e-9, "round %d, step %d, span %d", round, i, span);
					ep_load_advance(&load, 1000, now - unit_random(1000));
					CHECK(near_to(ep_load_average(&load, value, now, span), average, 1e-12), "round %d, step %d: time", round, i);
				}
			}
			now += 1 + unit_random(2000000);
		}
	}
}

/* The most of a span that ends now, against a plain record of all changes. */
static void
test_peak(void)
{
	EpPeak		peak = {0};
	uint64		now = 1000 * SECOND;
	uint64		span = 50 * SECOND;
	int			values[3000];
	uint64		since[3000];
	int			value = 0;

	CHECK_INT(ep_peak_of(&peak, 3, span, now), 3, "nothing but the present");
	for (int i = 0; i < 3000; i++)
	{
		int			least = value;
		int			most = value;

		values[i] = value;
		since[i] = now;
		now += unit_random(unit_random(20) == 0 ? 100 * SECOND : 3 * SECOND);
		/* within the span it must be seen, beyond a part more it must not */
		for (int j = i; j >= 0; j--)
		{
			uint64		until = j == i ? now : since[j + 1];

			if (until + span >= now)
				least = Max(least, values[j]);
			if (until + span + 2 * (span / (EP_PEAK_PARTS - 1)) >= now)
				most = Max(most, values[j]);
		}
		CHECK(ep_peak_of(&peak, value, span, now) >= least && ep_peak_of(&peak, value, span, now) <= most,
			  "round %d: %d, not %d to %d", i, ep_peak_of(&peak, value, span, now), least, most);
		ep_peak_advance(&peak, value, span, now);
		value = unit_random(unit_random(10) == 0 ? 100 : 10);
	}
	ep_peak_advance(&peak, 90, span, now);
	CHECK_INT(ep_peak_of(&peak, 1, span, now), 90, "just now");
	CHECK_INT(ep_peak_of(&peak, 1, span / 2, now), 1, "another span begins anew");
	CHECK_INT(ep_peak_of(&peak, 1, 0, now), 1, "no span at all");
	CHECK_INT(ep_peak_of(&peak, 1, span, now + 1000 * SECOND), 1, "long ago");
	CHECK_INT(ep_peak_of(&peak, 1, span, now - SECOND), 90, "a clock that goes back");
}

void
test_load(void)
{
	test_peak();
	test_constant();
	test_step();
	test_burst();
	test_laws();
}
