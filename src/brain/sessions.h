/*-------------------------------------------------------------------------
 *
 * sessions.h
 *		How many connections a pool keeps for sessions, and when the time of a
 *		session is over.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SESSIONS_H
#define EP_SESSIONS_H

#include "postgres.h"

typedef struct EpKeepInput
{
	int			min_sessions;
	int			target_free;	/* target_free_sessions */
	int			most;			/* connections that the pool may have at present */
	int			open;			/* sessions open; the connections of all of them count in kept */
	int			kept;			/* connections kept for sessions */
	int			kept_idle;		/* those of them that are idle */
	int			idle;			/* idle ones that are not kept */
	int			usable;			/* connections that are neither being opened nor ended */
	bool		recent;			/* a session has used the pool of late */
	int			others;			/* waiters who may have no kept connection, and have none on the way */
	bool		can_grow;		/* connections are opened for those */
} EpKeepInput;

/* What the worker is to do, one or the other. */
typedef struct EpKeepPlan
{
	int			keep;			/* idle connections to keep from now on */
	int			let_go;			/* kept ones that are idle to give back to everybody */
	int			open;			/* connections to open because there is none to keep */
} EpKeepPlan;

extern int	ep_keep_floor(const EpKeepInput *in);
extern bool ep_keep_stays(const EpKeepInput *in, bool kept);
extern EpKeepPlan ep_keep_plan(const EpKeepInput *in);

/* The time-out that a session has met. */
typedef enum EpStruck
{
	EP_STRUCK_NOT = 0,
	EP_STRUCK_IDLE,				/* idle_in_session_timeout */
	EP_STRUCK_TOTAL				/* session_timeout */
} EpStruck;

typedef struct EpSessionTimes
{
	uint64		open_us;		/* since when it is open, monotonic */
	uint64		idle_us;		/* since when it is idle, 0: it is not */
	uint64		idle_limit_us;	/* 0: none */
	uint64		total_limit_us;
} EpSessionTimes;

extern EpStruck ep_session_struck(const EpSessionTimes *times, uint64 now_us, uint64 *due_us);

#endif							/* EP_SESSIONS_H */
