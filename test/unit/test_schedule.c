/*-------------------------------------------------------------------------
 *
 * test_schedule.c
 *		When to try again, and when to retire.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/schedule.h"
#include "unit.h"

static void
test_backoff(void)
{
	static const double doubling[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
	double		spacing = 0;

	for (Size i = 0; i < lengthof(doubling); i++)
	{
		spacing = ep_schedule_backoff(1, spacing);
		CHECK(spacing == doubling[i], "failure %zu: %g", i + 1, spacing);
	}
	CHECK(ep_schedule_backoff(0, 0) == 0, "0: no pause");
	CHECK(ep_schedule_backoff(0, 8) == 0, "switched off meanwhile");
	CHECK(ep_schedule_backoff(0.2, 0) == 0.2, "fractions of a second");
	CHECK(ep_schedule_backoff(300, 0) == 300, "a longer setting is its own cap");
	CHECK(ep_schedule_backoff(300, 300) == 300, "a longer setting is its own cap");
}

static void
test_jitter(void)
{
	CHECK_INT(ep_schedule_delay_us(2, 0), 1500000, "least");
	CHECK_INT(ep_schedule_delay_us(2, 0.5), 1750000, "middle");
	CHECK(ep_schedule_delay_us(2, 0.999999) <= 2000000, "never more than the spacing");
	CHECK_INT(ep_schedule_delay_us(0, 0.7), 0, "no pause");

	CHECK_INT(ep_schedule_expiry_us(1000, 3600, 0), 1000 + UINT64CONST(3240000000), "earliest");
	CHECK_INT(ep_schedule_expiry_us(1000, 3600, 0.5), 1000 + UINT64CONST(3420000000), "middle");
	CHECK(ep_schedule_expiry_us(1000, 3600, 0.999999) <= 1000 + UINT64CONST(3600000000), "never older than max_lifetime");
	CHECK_INT(ep_schedule_expiry_us(1000, 0, 0.5), 0, "off");
	CHECK(ep_schedule_expiry_us(1000, 86400.0 * 30, 0.5) > UINT64CONST(86400) * 27 * 1000000, "30 days");
}

void
test_schedule(void)
{
	test_backoff();
	test_jitter();
}
