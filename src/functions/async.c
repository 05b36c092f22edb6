/*-------------------------------------------------------------------------
 *
 * async.c
 *		send, is_busy, cancel, get_result, get_result_as, get_result_json,
 *		get_count, wait_any and get_notify.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "client/async.h"
#include "client/notify.h"
#include "client/params.h"
#include "client/receive.h"
#include "functions/rows.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_send);
PG_FUNCTION_INFO_V1(enhanced_pool_is_busy);
PG_FUNCTION_INFO_V1(enhanced_pool_cancel);
PG_FUNCTION_INFO_V1(enhanced_pool_get_result);
PG_FUNCTION_INFO_V1(enhanced_pool_get_result_as);
PG_FUNCTION_INFO_V1(enhanced_pool_get_result_json);
PG_FUNCTION_INFO_V1(enhanced_pool_get_count);
PG_FUNCTION_INFO_V1(enhanced_pool_wait_any);
PG_FUNCTION_INFO_V1(enhanced_pool_get_notify);

/* ----------------------------------------------------------- send and its result */

/*
 * send(lease, sql, ...) void.  Raises 55006 if the lease has a statement whose
 * result was not taken, and what execute raises before the answer comes.
 */
Datum
enhanced_pool_send(PG_FUNCTION_ARGS)
{
	char	   *sql;
	EpParams   *params;

	ep_target_check(fcinfo, 0);
	sql = ep_arg_text(fcinfo, 1, "sql");
	params = ep_params_from_call(fcinfo, 2);
	ep_async_send(ep_lease_find(ep_arg_lease(fcinfo, 0)), sql, params);
	PG_RETURN_VOID();
}

/* is_busy(lease) boolean: would the result of what was sent have to be waited for? */
Datum
enhanced_pool_is_busy(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ep_async_is_busy(ep_lease_find(ep_arg_lease(fcinfo, 0))));
}

/* cancel(lease) boolean: false if nothing is pending or running */
Datum
enhanced_pool_cancel(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(ep_async_cancel(ep_lease_find(ep_arg_lease(fcinfo, 0))));
}

/* The source of rows for the functions below. */
static void
take_result(FunctionCallInfo fcinfo, int first, EpReceiver *receiver, EpOutcome *outcome)
{
	ep_async_get(ep_lease_find(ep_arg_lease(fcinfo, first)), receiver, outcome);
	ep_receive_done(receiver);
}

/* get_result(lease) SETOF record */
Datum
enhanced_pool_get_result(PG_FUNCTION_ARGS)
{
	return ep_return_records(fcinfo, take_result);
}

/* get_result_as(row_type anyelement, lease) SETOF anyelement */
Datum
enhanced_pool_get_result_as(PG_FUNCTION_ARGS)
{
	return ep_return_typed(fcinfo, take_result, "get_result_as");
}

/* get_result_json(lease) SETOF jsonb */
Datum
enhanced_pool_get_result_json(PG_FUNCTION_ARGS)
{
	return ep_return_json(fcinfo, take_result);
}

/* get_count(lease) bigint: rows affected; rows that come back are dropped */
Datum
enhanced_pool_get_count(PG_FUNCTION_ARGS)
{
	EpOutcome	outcome;

	take_result(fcinfo, 0, ep_receive_nothing(), &outcome);
	PG_RETURN_INT64(outcome.rows);
}

/* ------------------------------------------------------------------ waiting */

/* The wait that an argument says: seconds, 0 for none at all, negative for one without limit, as NULL is. */
static double
arg_timeout(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		return -1;
	return ep_arg_seconds(fcinfo, arg, "Pass '0' to not wait at all, or null to wait without limit.");
}

/* The leases of an array of their numbers.  Raises 22004 for a null, and what ep_lease_find raises. */
static EpLease **
arg_leases(FunctionCallInfo fcinfo, int arg, int *n)
{
	ArrayType  *array;
	EpLease   **leases;
	Datum	   *numbers;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("leases must not be null")));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("lease must not be null")));
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &numbers, NULL, n);
	leases = palloc(Max(*n, 1) * sizeof(EpLease *));
	for (int i = 0; i < *n; i++)
		leases[i] = ep_lease_find(DatumGetInt64(numbers[i]));
	return leases;
}

/* wait_any(leases bigint[], timeout interval) bigint: NULL at the timeout */
Datum
enhanced_pool_wait_any(PG_FUNCTION_ARGS)
{
	double		timeout = arg_timeout(fcinfo, 1);
	int			n;
	EpLease   **leases = arg_leases(fcinfo, 0, &n);
	EpLease    *ready = ep_async_wait_any(leases, n, timeout);

	if (ready == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(ready->number);
}

/* ------------------------------------------------------------- notifications */

static void
put_notification(void *arg, const EpNotification *notification)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	values[0] = CStringGetTextDatum(notification->channel);
	values[1] = Int32GetDatum(notification->pid);
	values[2] = CStringGetTextDatum(notification->payload);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* get_notify(lease, timeout) TABLE(notify_name text, be_pid int, extra text) */
Datum
enhanced_pool_get_notify(PG_FUNCTION_ARGS)
{
	double		timeout = arg_timeout(fcinfo, 1);
	EpLease    *lease = ep_lease_find(ep_arg_lease(fcinfo, 0));

	InitMaterializedSRF(fcinfo, 0);
	ep_notify_await(lease, timeout);
	ep_notify_hand_over(lease, put_notification, fcinfo->resultinfo);
	return (Datum) 0;
}
