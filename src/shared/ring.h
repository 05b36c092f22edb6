/*-------------------------------------------------------------------------
 *
 * ring.h
 *		Which of the numbered things that were put into a ring are still there,
 *		and where.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_RING_H
#define EP_RING_H

#include "postgres.h"

typedef struct EpRing
{
	int			size;			/* how many have room */
	uint64		newest;			/* number of the one put last, from 1; 0: none yet */
} EpRing;

extern uint64 ep_ring_add(EpRing *ring);
extern int	ep_ring_place(const EpRing *ring, uint64 number);
extern int	ep_ring_before(const EpRing *ring, uint64 below, int limit, uint64 *first);

#endif							/* EP_RING_H */
