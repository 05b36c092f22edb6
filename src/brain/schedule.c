/*-------------------------------------------------------------------------
 *
 * schedule.c
 *		When to try again, and when to retire.
 *
 * Pure: the caller brings the time and a random number in [0, 1).  Jitter
 * keeps the connections of many pools and servers from failing, retrying and
 * expiring together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/schedule.h"

/* The spacing after one more failure: base seconds at first, then double up to a cap; 0: none. */
double
ep_schedule_backoff(double base_s, double last_s)
{
	double		next = last_s > 0 ? last_s * 2 : base_s;

	if (base_s <= 0)
		return 0;
	return Min(next, Max(base_s, EP_BACKOFF_CAP));
}

/* The pause for a spacing: between 75 and 100 per cent of it. */
uint64
ep_schedule_delay_us(double backoff_s, double random)
{
	return (uint64) (backoff_s * (0.75 + 0.25 * random) * 1000000.0);
}

/* When a connection is too old: between 90 and 100 per cent of its lifetime; 0 for no limit. */
uint64
ep_schedule_expiry_us(uint64 created_us, double lifetime_s, double random)
{
	if (lifetime_s <= 0)
		return 0;
	return created_us + (uint64) (lifetime_s * (0.9 + 0.1 * random) * 1000000.0);
}
