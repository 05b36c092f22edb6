/*-------------------------------------------------------------------------
 *
 * ring.c
 *		Which of the numbered things that were put into a ring are still there,
 *		and where.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shared/ring.h"

/* Makes room for one more, in the place of the oldest if the ring is full.  Returns its number. */
uint64
ep_ring_add(EpRing *ring)
{
	return ++ring->newest;
}

/* The place, from 0, of the thing of that number, which is still there. */
int
ep_ring_place(const EpRing *ring, uint64 number)
{
	return (int) ((number - 1) % (uint64) ring->size);
}

/*
 * Those with the highest numbers below a limit that are still there, limit of
 * them at most: returns how many, and sets first to the lowest number.  Who
 * calls this again with that as below, and so on, gets numbers without a gap,
 * whatever is put into the ring meanwhile.
 */
int
ep_ring_before(const EpRing *ring, uint64 below, int limit, uint64 *first)
{
	uint64		oldest = ring->newest > (uint64) ring->size ? ring->newest - ring->size + 1 : 1;
	uint64		end = Min(below, ring->newest + 1);

	if (end <= oldest)
		return 0;
	*first = end - oldest > (uint64) limit ? end - limit : oldest;
	return (int) (end - *first);
}
