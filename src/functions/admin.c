/*-------------------------------------------------------------------------
 *
 * admin.c
 *		What administrators do to pools: configure, pause, recycle, close, fill
 *		them, end a connection, begin to count anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "client/admin.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_configure_pool);
PG_FUNCTION_INFO_V1(enhanced_pool_pause);
PG_FUNCTION_INFO_V1(enhanced_pool_resume);
PG_FUNCTION_INFO_V1(enhanced_pool_recycle);
PG_FUNCTION_INFO_V1(enhanced_pool_close_pool);
PG_FUNCTION_INFO_V1(enhanced_pool_prewarm);
PG_FUNCTION_INFO_V1(enhanced_pool_terminate_connection);
PG_FUNCTION_INFO_V1(enhanced_pool_reset_stats);

/* The pools that the first argument and one of type name mean, for the current user to administer. */
static void
get_target(FunctionCallInfo fcinfo, int role_arg, EpAdminTarget *target)
{
	char	   *pool = ep_arg_text(fcinfo, 0, "pool");
	char	   *role = PG_ARGISNULL(role_arg) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(role_arg)));

	ep_admin_target(target, pool, role);
}

/* Does something at once to every open pool that is meant. */
static void
do_to_open(FunctionCallInfo fcinfo, EpPoolAction act, EpEventKind kind)
{
	EpAdminTarget target;

	get_target(fcinfo, 1, &target);
	ep_require_preload();
	ep_pool_each(&target.set, act, kind);
}

/* configure_pool(pool text, options jsonb, role name) */
Datum
enhanced_pool_configure_pool(PG_FUNCTION_ARGS)
{
	EpAdminTarget target;

	if (!PG_ARGISNULL(0) && PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("options must not be null")));
	get_target(fcinfo, 2, &target);
	ep_configure_pool(&target, PG_GETARG_JSONB_P(1));
	PG_RETURN_VOID();
}

/* pause(pool text, timeout interval, role name) int: how many leases are still out */
Datum
enhanced_pool_pause(PG_FUNCTION_ARGS)
{
	EpAdminTarget target;
	double		timeout = PG_ARGISNULL(1) ? -1 : ep_arg_seconds(fcinfo, 1, "Pass '0' to not wait at all, or null to wait without limit.");

	get_target(fcinfo, 2, &target);
	PG_RETURN_INT32(ep_admin_pause(&target, timeout));
}

/* resume(pool text, role name) */
Datum
enhanced_pool_resume(PG_FUNCTION_ARGS)
{
	do_to_open(fcinfo, ep_pool_resume, EP_EVENT_RESUME);
	PG_RETURN_VOID();
}

/* recycle(pool text, role name) */
Datum
enhanced_pool_recycle(PG_FUNCTION_ARGS)
{
	do_to_open(fcinfo, ep_pool_recycle, EP_EVENT_RECYCLE);
	PG_RETURN_VOID();
}

/* close_pool(pool text, role name) */
Datum
enhanced_pool_close_pool(PG_FUNCTION_ARGS)
{
	do_to_open(fcinfo, ep_pool_close, EP_EVENT_CLOSE_POOL);
	PG_RETURN_VOID();
}

/* prewarm(pool text, n int, role name) int: how many connections there are then */
Datum
enhanced_pool_prewarm(PG_FUNCTION_ARGS)
{
	EpAdminTarget target;
	int			n = PG_ARGISNULL(1) ? -1 : PG_GETARG_INT32(1);

	if (!PG_ARGISNULL(1) && n < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of connections must not be negative")));
	get_target(fcinfo, 2, &target);
	PG_RETURN_INT32(ep_admin_prewarm(&target, n));
}

/* terminate_connection(conn_id bigint) boolean: false if there is none of that number */
Datum
enhanced_pool_terminate_connection(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("conn_id must not be null")));
	PG_RETURN_BOOL(ep_admin_terminate(PG_GETARG_INT64(0)));
}

/* reset_stats(pool text, role name): with no pool those of every database */
Datum
enhanced_pool_reset_stats(PG_FUNCTION_ARGS)
{
	EpPoolSet	all = {.every_role = true};

	if (!PG_ARGISNULL(0))
		do_to_open(fcinfo, ep_pool_reset_stats, EP_EVENT_NONE);
	else
	{
		if (!superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to reset the statistics of all pools"),
					 errhint("Name a pool that you may administer.")));
		if (!PG_ARGISNULL(1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a role without a pool names nothing")));
		ep_require_preload();
		ep_pool_each(&all, ep_pool_reset_stats, EP_EVENT_NONE);
	}
	PG_RETURN_VOID();
}
