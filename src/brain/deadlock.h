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

typedef struct EpDeadPool
{
	bool		live;			/* in: can grow, or has a connection for anybody that is not a backend's;
								 * out: fixed point */
	bool		kept_live;		/* the same for a connection that is kept for sessions */
	bool		session_live;	/* the same for a place under max_sessions */
} EpDeadPool;

typedef struct EpDeadWaiter
{
	int			pool;			/* index into pools */
	int			proc;
	bool		session;		/* waits for a session */
	bool		busy;			/* its process has other things under way, and will give connections back */
	uint64		since_us;
	bool		live;			/* out */
} EpDeadWaiter;

/* A connection of a pool held by a backend. */
typedef struct EpDeadHold
{
	int			pool;
	int			proc;
	bool		session;		/* it is a session: its end lets in another one */
	bool		kept;			/* the connection stays kept for sessions after it */
} EpDeadHold;

extern int	ep_deadlock_victim(EpDeadPool *pools, int npools, EpDeadWaiter *waiters, int nwaiters,
							   const EpDeadHold *holds, int nholds);

#endif							/* EP_DEADLOCK_H */
