/*-------------------------------------------------------------------------
 *
 * failover.h
 *		Does a server still fit target_session_attrs, and when is that to be
 *		looked at again?  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_FAILOVER_H
#define EP_FAILOVER_H

#include "postgres.h"

#define EP_RECHECK_SPACING_US	1000000

/* target_session_attrs */
typedef enum EpSessionAttrs
{
	EP_ATTRS_ANY = 0,
	EP_ATTRS_READ_WRITE,
	EP_ATTRS_READ_ONLY,
	EP_ATTRS_PRIMARY,
	EP_ATTRS_STANDBY,
	EP_ATTRS_PREFER_STANDBY
} EpSessionAttrs;

/* What a server says of itself. */
typedef struct EpHostState
{
	bool		hot_standby;	/* in_hot_standby */
	bool		read_only;		/* default_transaction_read_only */
} EpHostState;

/* When a pool's connections are looked at again. */
typedef struct EpRecheck
{
	bool		wanted;			/* something has happened since the last round began */
	uint64		round_us;		/* when that was; what was looked at before is in doubt */
} EpRecheck;

extern EpSessionAttrs ep_failover_attrs(const char *name);
extern EpHostState ep_failover_assumed(EpSessionAttrs attrs);
extern bool ep_failover_fits(EpSessionAttrs attrs, EpHostState state);
extern bool ep_recheck_begin(EpRecheck *recheck, uint64 now_us, uint64 *due_us);

#endif							/* EP_FAILOVER_H */
