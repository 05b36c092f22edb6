/*-------------------------------------------------------------------------
 *
 * test_histogram.c
 *		The buckets of histograms, percentiles from them, and the last minutes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/histogram.h"
#include "unit.h"

#define SECOND	UINT64CONST(1000000)
#define MINUTE	(60 * SECOND)

/* Every bucket begins where the one before ends, both of its ends are in it, and it is narrow. */
static void
test_bounds(void)
{
	CHECK_INT(EP_NBUCKETS, 465, "number of buckets");
	CHECK_INT(ep_bucket_lower(0), 0, "the first");
	for (int i = 0; i < EP_NBUCKETS - 1; i++)
	{
		uint64		lower = ep_bucket_lower(i);
		uint64		upper = ep_bucket_upper(i);

		CHECK(lower < upper, "bucket %d", i);
		CHECK_INT(ep_bucket_lower(i + 1), upper, "bucket %d", i);
		CHECK_INT(ep_bucket_of(lower), i, "lower bound of bucket %d", i);
		CHECK_INT(ep_bucket_of(upper - 1), i, "upper bound of bucket %d", i);
		CHECK_INT(ep_bucket_of(upper), i + 1, "beyond bucket %d", i);
		CHECK(upper - lower == 1 || (upper - lower) * 16 <= lower, "width of bucket %d", i);
	}
	CHECK_INT(ep_bucket_lower(EP_NBUCKETS - 1), INT64CONST(1) << 32, "the open one");
	CHECK(ep_bucket_upper(EP_NBUCKETS - 1) == PG_UINT64_MAX, "the open one");
	CHECK_INT(ep_bucket_of(PG_UINT64_MAX), EP_NBUCKETS - 1, "the longest");
	CHECK_INT(ep_bucket_of(16), 16, "where they begin to widen");
	CHECK_INT(ep_bucket_of(32), 32, "at the first that is wider");
	CHECK_INT(ep_bucket_of(33), 32, "in the first that is wider");
}

/* Numbers of all sizes alike. */
static uint64
random_value(int bits)
{
	uint64		value = ((uint64) unit_random(1 << 30) << 30) | (uint64) unit_random(1 << 30);

	return value >> (60 - 1 - unit_random(bits));
}

static void
test_monotonic(void)
{
	for (int i = 0; i < 20000; i++)
	{
		uint64		a = random_value(40);
		uint64		b = random_value(40);

		CHECK(ep_bucket_lower(ep_bucket_of(a)) <= a && a < ep_bucket_upper(ep_bucket_of(a)), "%lld", (long long) a);
		CHECK((a < b) <= (ep_bucket_of(a) <= ep_bucket_of(b)), "%lld and %lld", (long long) a, (long long) b);
	}
}

static int
compare(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

#define MOST	3000

/* Against the exact percentile of a sample: the value of that rank. */
static void
test_percentiles(void)
{
	static const double parts[] = {0, 0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
	static uint64 values[MOST];

	for (int round = 0; round < 200; round++)
	{
		uint64		counts[EP_NBUCKETS] = {0};
		int			n = 1 + unit_random(round % 2 ? 20 : MOST);
		int			bits = 1 + unit_random(32);

		for (int i = 0; i < n; i++)
		{
			values[i] = random_value(bits);
			counts[ep_bucket_of(values[i])]++;
		}
		qsort(values, n, sizeof(uint64), compare);
		for (Size i = 0; i < lengthof(parts); i++)
		{
			uint64		exact = values[Max((int) ceil(parts[i] * n), 1) - 1];
			double		found = ep_percentile(counts, parts[i]);

			CHECK(fabs(found - exact) <= (exact < 32 ? 0 : exact / 16.0), "round %d: %g of %d values up to 2^%d: %g, exactly %lld",
				  round, parts[i], n, bits, found, (long long) exact);
			CHECK(i == 0 || found >= ep_percentile(counts, parts[i - 1]), "round %d: %g", round, parts[i]);
		}
	}
}

static void
test_special(void)
{
	uint64		counts[EP_NBUCKETS] = {0};

	CHECK(ep_percentile(counts, 0.5) < 0, "of nothing");
	counts[0] = 99;
	CHECK(ep_percentile(counts, 0.99) == 0, "of zeros");
	counts[EP_NBUCKETS - 1] = 1;
	CHECK(ep_percentile(counts, 0.99) == 0, "99 zeros of 100");
	CHECK(ep_percentile(counts, 1) == 4294967296.0, "what is longer than all buckets");
}

/* What happened at some time is there for five minutes, and not for more than six. */
static void
test_window(void)
{
	for (int round = 0; round < 500; round++)
	{
		EpWindow	window = {0};
		uint64		counts[EP_NBUCKETS];
		uint64		began = 1 + unit_random(1000) * SECOND;

		CHECK_INT(ep_window_counts(&window, began, counts), 0, "nothing yet");
		ep_window_add(&window, 100, began);
		CHECK_INT(ep_window_counts(&window, began, counts), 1, "at once");
		CHECK_INT(counts[ep_bucket_of(100)], 1, "in its bucket");
		CHECK_INT(ep_window_counts(&window, began + 5 * MINUTE, counts), 1, "began %lld: after 5 minutes", (long long) began);
		CHECK_INT(ep_window_counts(&window, began + 6 * MINUTE, counts), 0, "began %lld: after 6 minutes", (long long) began);
		CHECK_INT(ep_window_counts(&window, began + 10000 * MINUTE, counts), 0, "a week later");
		CHECK_INT(counts[ep_bucket_of(100)], 0, "nor in its bucket");
	}
}

/* Much that happens, against a list of all of it. */
static void
test_window_full(void)
{
	static uint64 at[MOST];
	EpWindow	window = {0};
	uint64		counts[EP_NBUCKETS];
	uint64		now = 7 * SECOND;

	for (int i = 0; i < MOST; i++)
	{
		uint64		expected = 0;

		now += unit_random(i % 100 == 0 ? 400 : 4) * SECOND;
		at[i] = now;
		ep_window_add(&window, random_value(30), now);
		for (int j = 0; j <= i; j++)
			expected += at[j] / MINUTE + 5 >= now / MINUTE;
		CHECK_INT(ep_window_counts(&window, now, counts), expected, "at %lld", (long long) now);
	}
}

void
test_histogram(void)
{
	test_bounds();
	test_monotonic();
	test_percentiles();
	test_special();
	test_window();
	test_window_full();
}
