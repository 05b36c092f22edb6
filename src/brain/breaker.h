/*-------------------------------------------------------------------------
 *
 * breaker.h
 *		The circuit breaker of a pool: when to stop connecting to a remote that
 *		does not answer, and when to try it again.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_BREAKER_H
#define EP_BREAKER_H

#include "postgres.h"

/* The longest pause is so many times circuit_breaker_recovery, but no more seconds than that. */
#define EP_BREAKER_GROWTH	4.0
#define EP_BREAKER_CAP		300.0	/* a longer circuit_breaker_recovery is its own cap */

typedef enum EpBreakerState
{
	EP_BREAKER_CLOSED = 0,		/* all is well: connect as you like */
	EP_BREAKER_OPEN,			/* connect not at all */
	EP_BREAKER_HALF_OPEN		/* one attempt decides */
} EpBreakerState;

typedef struct EpBreaker
{
	EpBreakerState state;
	int			failures;		/* in a row */
	double		recovery_s;		/* the present pause, 0 while closed */
	uint64		probe_at_us;	/* while open: when it will be half-open */
	uint64		last_failure_us;	/* of those that counted, 0: none */
} EpBreaker;

/* The settings. */
typedef struct EpBreakerRule
{
	int			threshold;		/* failures in a row that open it, 0: no breaker */
	double		recovery_s;		/* the first pause */
} EpBreakerRule;

typedef enum EpBreakerChange
{
	EP_BREAKER_SAME = 0,
	EP_BREAKER_TRIPPED,			/* closed to open */
	EP_BREAKER_REOPENED,		/* half-open to open */
	EP_BREAKER_PROBES,			/* open to half-open */
	EP_BREAKER_RESET			/* open or half-open to closed */
} EpBreakerChange;

extern EpBreakerChange ep_breaker_failure(EpBreaker *breaker, const EpBreakerRule *rule, uint64 began_us,
										  uint64 last_success_us, uint64 now_us, double random);
extern EpBreakerChange ep_breaker_clear(EpBreaker *breaker);
extern EpBreakerChange ep_breaker_tick(EpBreaker *breaker, const EpBreakerRule *rule, uint64 now_us);
extern bool ep_breaker_may_connect(EpBreakerState state, int under_way);
extern double ep_breaker_longest(double recovery_s);
extern const char *ep_breaker_name(EpBreakerState state);

#endif							/* EP_BREAKER_H */
