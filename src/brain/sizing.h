/*-------------------------------------------------------------------------
 *
 * sizing.h
 *		How many connections a pool should open or let go.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SIZING_H
#define EP_SIZING_H

#include "postgres.h"

#include "brain/breaker.h"

typedef struct EpSizingInput
{
	/* what there is; a health check's connection is counted in probing alone */
	int			size;			/* all, ending ones included */
	int			idle;
	int			leased;
	int			connecting;
	int			tended;			/* in the worker's hands, to come back */
	int			ending;
	int			probing;
	int			waiting;

	/* what is wanted */
	int			min_size;
	int			max_size;
	int			max_overflow;
	int			target_free;
	int			fill_target;	/* first fill, 0 when it is done */
	int			bound;			/* the remote takes no more than this for the moment, 0: not known */

	EpBreakerState breaker;
	bool		lost;			/* the remote ended a connection: see at once what a new one does */
	bool		closing;		/* no new connections */
	bool		failing;		/* the last walk failed: one attempt at a time */
	bool		unused;			/* nobody took a connection for 10 minutes */
} EpSizingInput;

typedef struct EpSizing
{
	int			open;			/* connections to open within max_size */
	int			open_overflow;	/* and beyond it */
	bool		probe;			/* a test connection, to close the breaker: nothing else is to be opened */
	int			floor;			/* idle expiry stops at this size */
	int			surplus;		/* idle connections above max_size, to be ended now */
	const char *reason;			/* of open, open_overflow, probe or surplus; NULL if all are 0 */
} EpSizing;

extern EpSizing ep_sizing_decide(const EpSizingInput *in);

#endif							/* EP_SIZING_H */
