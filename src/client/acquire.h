/*-------------------------------------------------------------------------
 *
 * acquire.h
 *		Between acquire.c, which looks for connections and waits for one, and
 *		waits.c, which waits for several at once.  For these two alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_ACQUIRE_H
#define EP_ACQUIRE_H

#include "postgres.h"

#include "client/lease.h"
#include "shared/events.h"

/* How often a waiter looks for what no event announces. */
#define EP_POLL_MS			1000

typedef enum Verdict
{
	GOT,						/* a connection: the lease is registered */
	QUEUED,						/* in the queue, nothing yet */
	NOT_NOW,					/* none idle, and no place in the queue */
	AGAIN,						/* the pool was closed or altered meanwhile: begin anew */
	OUTDATED,					/* the same; the pool must be registered first */
	STALE,						/* in the queue; the pool must be registered anew */
	/* refusals */
	NONE_FREE,					/* time is up */
	TOO_MANY_WAIT,
	CANNOT_CONNECT,
	BREAKER_OPEN,
	POOL_PAUSED,
	POOL_CLOSED,
	POOL_DEADLOCK,
	WORKER_AWAY
} Verdict;

/* An entry with which this process stands in a queue, or may. */
typedef struct Stand
{
	dlist_node	node;			/* in stands, or in unused_stands */
	int			entry;			/* in ep_backends */
	int			pool;			/* place of the pool in whose queue it stands, or -1 */
	SubTransactionId subid;		/* in which it was taken */
} Stand;

/* One call of ep_lease_acquire, or a wait in steps. */
typedef struct Attempt
{
	EpPoolRef  *ref;
	Stand	   *stand;			/* NULL: there is no entry to wait with */
	EpLeaseKind kind;
	bool		optional;		/* no place in a queue of limited length is no reason to fail */
	double		timeout_s;		/* < 0: no limit */
	uint64		begin_us;		/* 0: nothing was waited for yet */
	uint64		deadline_us;
	uint64		failed_walks;	/* of the pool when the wait began */
	bool		counting_walks;
} Attempt;

/* What an error says of the pool; copied under its lock. */
typedef struct Picture
{
	int			size;
	int			active;
	int			waiting;
	int			max_waiting;
	double		longest_lease;	/* seconds */
	bool		any_live;
	bool		full;			/* the remote takes no more connections */
	bool		capped;			/* it could have more by its own settings, but none is being made */
	bool		half_open;
	int			sessions;		/* open ones */
	int			max_sessions;
	bool		kept;			/* connections that are kept for sessions are idle */
	uint64		probe_in_us;	/* while the breaker is open */
	EpEventPool whose;
	int			sqlstate;
	char		error[EP_ERROR_SIZE];
	char		hint[EP_ERROR_SIZE / 2];
} Picture;


extern Verdict ep_attempt_join(Attempt *a, EpLease *lease, Picture *picture);
extern Verdict ep_attempt_look(Attempt *a, EpLease *lease, bool may_take, Picture *picture);
extern Verdict ep_attempt_renew(Attempt *a);
extern void ep_attempt_refuse(const Attempt *a, Verdict verdict, const Picture *p);
extern bool ep_attempt_make_ready(Attempt *a, EpLease *lease);
extern void ep_stand_leave(Stand *stand);

/* waits.c */
extern Stand *ep_own_stand(void);
extern void ep_stand_take_own(void);
extern void ep_stand_return(Stand *stand);

#endif							/* EP_ACQUIRE_H */
