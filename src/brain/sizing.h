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
	int			idle;			/* for whoever wants one */
	int			reserved;		/* idle, but kept for sessions */
	int			lacking;		/* missing for sessions */
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
	int			ready;			/* the strategy wants so many, ahead of any load; 0: does not care */
	int			bound;			/* the remote takes no more than this for the moment, 0: not known */
	bool		asking;			/* it did not, and has not shown since that it does */
	int			ration;			/* most while others that share a cap miss theirs; if rationed */
	bool		rationed;

	EpBreakerState breaker;
	bool		lost;			/* the remote ended a connection: see at once what a new one does */
	bool		closing;		/* no new connections */
	bool		failing;		/* the last walk failed: one attempt at a time */
	bool		unused;			/* nobody took a connection for 10 minutes */
	bool		tuned;			/* min_size and max_size are what strategy dynamic has found */

	/* how busy it is and was, and what is to follow from that: scaling.c */
	bool		scaling;		/* dynamic_scaling_enabled */
	bool		growing;		/* a scaling up has not reached its size yet */
	double		up;				/* scale_up_threshold, 0: off */
	double		down;			/* scale_down_threshold, 0: off */
	double		load;
	double		load_1m;
	double		load_5m;
	int			leased_peak;	/* most leased at a time of late: ep_scaling_memory_us() */
	uint64		cool_down_us;
	uint64		up_at_us;		/* the last scaling up, 0: none */
	uint64		down_at_us;		/* and down */
	uint64		now_us;
} EpSizingInput;

/* What a decision means for scaling_cool_down and for who counts scalings. */
typedef enum EpScaling
{
	EP_SCALING_NONE = 0,
	EP_SCALING_FILL,			/* not counted, but it is no time to shrink */
	EP_SCALING_UP,
	EP_SCALING_DOWN
} EpScaling;

typedef struct EpSizing
{
	int			open;			/* connections to open within max_size */
	int			open_overflow;	/* and beyond it */
	bool		probe;			/* a test connection, to close the breaker: nothing else is to be opened */
	int			floor;			/* idle expiry and scaling down stop at this size */
	int			surplus;		/* idle connections above max_size or ration, to be ended now */
	int			shrink;			/* idle connections that the load does not need, to be ended now */
	const char *reason;			/* of open, open_overflow, probe, surplus or shrink; NULL if all are 0 */
	EpScaling	scaling;
	int			target;			/* the size that is wanted in the end, if scaling says up or down */
	bool		growing;		/* go on next time */
	int			grow_above;		/* decide again as soon as more than this are leased; PG_INT32_MAX: no need */
} EpSizing;

extern EpSizing ep_sizing_decide(const EpSizingInput *in);

#endif							/* EP_SIZING_H */
