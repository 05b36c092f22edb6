/*-------------------------------------------------------------------------
 *
 * target.h
 *		The first arguments of the functions that run something: a pool's
 *		name or the number of a lease, and a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_TARGET_H
#define EP_TARGET_H

#include "postgres.h"
#include "fmgr.h"
#include "client/catalog.h"
#include "client/exchange.h"
#include "client/lease.h"
#include "nodes/execnodes.h"

/* Where a statement runs. */
typedef struct EpTarget
{
	EpLease    *lease;
	bool		one_shot;		/* taken for this statement alone */
} EpTarget;

extern EpTarget ep_target_open(FunctionCallInfo fcinfo, int arg);
extern void ep_target_close(EpTarget *target);
extern void ep_target_check(FunctionCallInfo fcinfo, int arg);
extern char *ep_arg_text(FunctionCallInfo fcinfo, int arg, const char *what);
extern double ep_arg_seconds(FunctionCallInfo fcinfo, int arg, const char *hint);
extern EpPoolRef *ep_arg_pool(FunctionCallInfo fcinfo, int arg);
extern text *ep_command_of(const char *tag);	/* run.c */
extern int64 ep_arg_lease(FunctionCallInfo fcinfo, int arg);
extern const char *ep_arg_lease_name(FunctionCallInfo fcinfo, int arg);

#endif							/* EP_TARGET_H */
