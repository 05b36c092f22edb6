/*-------------------------------------------------------------------------
 *
 * admin.c
 *		What administrators do to pools: configure, pause, recycle, close, fill
 *		them, end a connection, begin to count anew, check their health.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "client/admin.h"
#include "functions/target.h"
#include "functions/view.h"

PG_FUNCTION_INFO_V1(enhanced_pool_configure_pool);
PG_FUNCTION_INFO_V1(enhanced_pool_pause);
PG_FUNCTION_INFO_V1(enhanced_pool_resume);
PG_FUNCTION_INFO_V1(enhanced_pool_recycle);
PG_FUNCTION_INFO_V1(enhanced_pool_close_pool);
PG_FUNCTION_INFO_V1(enhanced_pool_prewarm);
PG_FUNCTION_INFO_V1(enhanced_pool_terminate_connection);
PG_FUNCTION_INFO_V1(enhanced_pool_reset_stats);
PG_FUNCTION_INFO_V1(enhanced_pool_reset_breaker);
PG_FUNCTION_INFO_V1(enhanced_pool_health_check);

/* The pools that the first argument and one of type name mean, for the current user to administer or only to look at. */
static void
find_target(FunctionCallInfo fcinfo, int role_arg, bool looks, EpAdminTarget *target)
{
	char	   *pool = ep_arg_text(fcinfo, 0, "pool");
	char	   *role = PG_ARGISNULL(role_arg) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(role_arg)));

	ep_admin_target(target, pool, role, looks);
}

static void
get_target(FunctionCallInfo fcinfo, int role_arg, EpAdminTarget *target)
{
	find_target(fcinfo, role_arg, false, target);
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

/* reset_breaker(pool text, role name) */
Datum
enhanced_pool_reset_breaker(PG_FUNCTION_ARGS)
{
	EpAdminTarget target;

	get_target(fcinfo, 1, &target);
	ep_admin_reset_breaker(&target);
	PG_RETURN_VOID();
}

/* What went wrong names hosts and users: not everybody who may ask may know those. */
static void
put_check_error(EpView *view, const EpCheckResult *result)
{
	EpPoolIdent ident = {
		.database = result->key.database, .server = result->key.server,
		.other_server = result->other_server, .mapping_role = result->mapping_role
	};

	if (result->error[0] != '\0' && (result->outcome == EP_CHECK_SKIPPED || ep_may_use_pool(&ident)))
		ep_put_text(view, result->error);
	else
		ep_put_null(view);
}

/* health_check(pool text, role name) TABLE(role, healthy, latency, error) */
Datum
enhanced_pool_health_check(PG_FUNCTION_ARGS)
{
	EpAdminTarget target;
	EpCheckResult *results;
	EpView		view;
	int			n;

	find_target(fcinfo, 1, true, &target);
	ep_view_begin(&view, fcinfo);
	results = ep_admin_health_check(&target, &n);
	for (int i = 0; i < n; i++)
	{
		const EpCheckResult *result = &results[i];

		ep_put_text(&view, result->role);
		if (result->outcome == EP_CHECK_SKIPPED)
			ep_put_null(&view);
		else
			ep_put_bool(&view, result->outcome == EP_CHECK_PASSED);
		if (result->outcome == EP_CHECK_PASSED)
			ep_put_ms(&view, result->latency_us);
		else
			ep_put_null(&view);
		put_check_error(&view, result);
		ep_view_end_row(&view);
	}
	ep_view_end(&view);
	return (Datum) 0;
}
