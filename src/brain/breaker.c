/*-------------------------------------------------------------------------
 *
 * breaker.c
 *		The circuit breaker of a pool: when to stop connecting to a remote that
 *		does not answer, and when to try it again.
 *
 * Pure: the caller brings the time and a random number in [0, 1).  Times are
 * monotonic microseconds.
 *
 *		closed		failures in a row are counted; at the threshold it opens
 *		open		nothing is tried; when the pause is over it is half-open
 *		half-open	one attempt is made: success closes it, failure opens it
 *					again for twice as long, up to a cap that is a
 *					few times the first pause: who wants to know soon that the
 *					remote is back says so by that
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/breaker.h"
#include "brain/schedule.h"

/* How long a pause becomes, with that first one. */
double
ep_breaker_longest(double recovery_s)
{
	return Max(recovery_s, Min(recovery_s * EP_BREAKER_GROWTH, EP_BREAKER_CAP));
}

/* Open it until the pause, which grows with each time, is over. */
static void
open_it(EpBreaker *breaker, double base_s, uint64 now_us, double random)
{
	double		pause = breaker->recovery_s > 0 ? breaker->recovery_s * 2 : base_s;

	breaker->state = EP_BREAKER_OPEN;
	breaker->recovery_s = Min(pause, ep_breaker_longest(base_s));
	breaker->probe_at_us = now_us + ep_schedule_delay_us(breaker->recovery_s, random);
}

/*
 * An attempt that began at began_us has failed.  Attempts that were under way
 * at the same time met the same trouble and count as one: what began before
 * the last failure is not counted.  last_success_us is when anything last
 * succeeded: failures before that are no longer in a row with this one.
 */
EpBreakerChange
ep_breaker_failure(EpBreaker *breaker, const EpBreakerRule *rule, uint64 began_us,
				   uint64 last_success_us, uint64 now_us, double random)
{
	EpBreakerState before = breaker->state;

	if (rule->threshold <= 0 || before == EP_BREAKER_OPEN || began_us < breaker->last_failure_us)
		return EP_BREAKER_SAME;
	if (before == EP_BREAKER_CLOSED && last_success_us > breaker->last_failure_us)
		breaker->failures = 0;
	breaker->last_failure_us = now_us;
	breaker->failures++;
	if (before == EP_BREAKER_CLOSED && breaker->failures < rule->threshold)
		return EP_BREAKER_SAME;
	open_it(breaker, rule->recovery_s, now_us, random);
	return before == EP_BREAKER_CLOSED ? EP_BREAKER_TRIPPED : EP_BREAKER_REOPENED;
}

/* An attempt has succeeded, or everything is to begin anew. */
EpBreakerChange
ep_breaker_clear(EpBreaker *breaker)
{
	bool		was_closed = breaker->state == EP_BREAKER_CLOSED;

	memset(breaker, 0, sizeof(EpBreaker));
	return was_closed ? EP_BREAKER_SAME : EP_BREAKER_RESET;
}

/* Time has passed, or the settings are others. */
EpBreakerChange
ep_breaker_tick(EpBreaker *breaker, const EpBreakerRule *rule, uint64 now_us)
{
	if (rule->threshold <= 0)
		return ep_breaker_clear(breaker);
	if (breaker->state != EP_BREAKER_OPEN || now_us < breaker->probe_at_us)
		return EP_BREAKER_SAME;
	breaker->state = EP_BREAKER_HALF_OPEN;
	return EP_BREAKER_PROBES;
}

/* May one more attempt begin while that many are under way? */
bool
ep_breaker_may_connect(EpBreakerState state, int under_way)
{
	return state == EP_BREAKER_CLOSED || (state == EP_BREAKER_HALF_OPEN && under_way == 0);
}

/* The name that views use for a state. */
const char *
ep_breaker_name(EpBreakerState state)
{
	switch (state)
	{
		case EP_BREAKER_OPEN:
			return "open";
		case EP_BREAKER_HALF_OPEN:
			return "half_open";
		default:
			return "closed";
	}
}
