/*-------------------------------------------------------------------------
 *
 * scaling.h
 *		Whether a pool's load asks for more connections or for fewer.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SCALING_H
#define EP_SCALING_H

#include "postgres.h"

typedef struct EpScalingInput
{
	/* settings; a threshold of 0 is off */
	bool		enabled;
	double		up_threshold;
	double		down_threshold;
	double		cool_down;		/* seconds */
	int			max_size;
	int			target_free;

	/* what there is; alive: all but those that are ending */
	int			active;
	int			alive;
	int			idle;
	int			floor;			/* of idle expiry */
	double		load;
	double		load_1m;
	double		load_5m;

	/* monotonic us; 0: never */
	uint64		now_us;
	uint64		last_up_us;
	uint64		last_down_us;
} EpScalingInput;

typedef struct EpScaling
{
	int			target;			/* open connections until there are so many; 0: as it is */
	int			let_go;			/* idle connections to be ended, the longest unused first */
	const char *reason;			/* NULL if both are 0 */
} EpScaling;

extern EpScaling ep_scaling_decide(const EpScalingInput *in);

#endif							/* EP_SCALING_H */
