/*-------------------------------------------------------------------------
 *
 * deadlock.h
 *		Finding backends that wait for connections which only others that wait
 *		as well could give back.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_DEADLOCK_H
#define EP_DEADLOCK_H

#include "postgres.h"

/* A cap that some pools share. */
typedef struct EpDeadCap
{
	bool		live;			/* in: leaves a place, or something under it is not a backend's; out: fixed point */
} EpDeadCap;

#define EP_DEAD_NO_CAP	(-1)
#define EP_DEAD_CAPS	2

typedef struct EpDeadPool
{
	bool		live;			/* in: has a connection that is not a backend's; out: fixed point */
	bool		grows;			/* its own limits allow one more */
	int			caps[EP_DEAD_CAPS]; /* indexes of those it is under, or EP_DEAD_NO_CAP */
} EpDeadPool;

typedef struct EpDeadWaiter
{
	int			pool;			/* index into pools */
	int			proc;
	uint64		since_us;
	bool		live;			/* out */
} EpDeadWaiter;

/* A connection of a pool held by a backend. */
typedef struct EpDeadHold
{
	int			pool;
	int			proc;
} EpDeadHold;

extern int	ep_deadlock_victim(EpDeadPool *pools, int npools, EpDeadCap *caps, EpDeadWaiter *waiters, int nwaiters,
							   const EpDeadHold *holds, int nholds);

#endif							/* EP_DEADLOCK_H */
