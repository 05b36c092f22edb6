/*-------------------------------------------------------------------------
 *
 * scaling.h
 *		What follows from a pool's load for its size.  Pure; part of sizing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SCALING_H
#define EP_SCALING_H

#include "postgres.h"

#include "brain/sizing.h"

extern uint64 ep_scaling_memory_us(uint64 cool_down_us);
extern int	ep_scaling_up(const EpSizingInput *in);
extern int	ep_scaling_ready(const EpSizingInput *in, int alive);
extern const char *ep_scaling_why_up(const EpSizingInput *in);
extern int	ep_scaling_floor(const EpSizingInput *in, int floor);
extern int	ep_scaling_down(const EpSizingInput *in, int alive, int floor);
extern int	ep_scaling_grow_above(const EpSizingInput *in, int alive, int opening);

#endif							/* EP_SCALING_H */
