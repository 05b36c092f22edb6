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
	bool		live;			/* in: has a connection for anybody that is not a backend's;
								 * out: fixed point */
	bool		kept_live;		/* the same for a connection that is kept for sessions */
	bool		session_live;	/* the same for a place under max_sessions */
	bool		grows;			/* its own limits allow one more */
	int			caps[EP_DEAD_CAPS]; /* indexes of those it is under, or EP_DEAD_NO_CAP */
} EpDeadPool;

typedef struct EpDeadWaiter
{
	int			pool;			/* index into pools */
	int			proc;
	bool		session;		/* waits for a session */
	bool		busy;			/* its process has other things under way, and will give connections back */
	uint64		since_us;
	bool		live;			/* out */
	bool		deadlocked;		/* out: is not live, and holds what another one that is not lacks */
} EpDeadWaiter;

/* A connection of a pool held by a backend. */
typedef struct EpDeadHold
{
	int			pool;
	int			proc;
	bool		session;		/* it is a session: its end lets in another one */
	bool		kept;			/* the connection stays kept for sessions after it */
} EpDeadHold;

extern int	ep_deadlock_victim(EpDeadPool *pools, int npools, EpDeadCap *caps, EpDeadWaiter *waiters, int nwaiters,
							   const EpDeadHold *holds, int nholds);

#endif							/* EP_DEADLOCK_H */
