/*-------------------------------------------------------------------------
 *
 * group.c
 *		run_parallel, run_in_transaction, broadcast and broadcast_as.
 *
 * What the arguments alone get wrong is raised before anything runs, whatever
 * on_error says: a pool that does not exist or that the caller may not use is
 * no failure of an operation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "client/batch.h"
#include "client/group.h"
#include "client/notify.h"
#include "client/params.h"
#include "client/receive.h"
#include "client/session.h"
#include "functions/group.h"
#include "functions/rows.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_run_parallel);
PG_FUNCTION_INFO_V1(enhanced_pool_run_in_transaction);
PG_FUNCTION_INFO_V1(enhanced_pool_broadcast);
PG_FUNCTION_INFO_V1(enhanced_pool_broadcast_as);

/* ------------------------------------------------------------------ arguments */

/* Whether errors become rows. */
static bool
arg_captures(FunctionCallInfo fcinfo, int arg)
{
	char	   *value = ep_arg_text(fcinfo, arg, "on_error");

	if (strcmp(value, "raise") == 0)
		return false;
	if (strcmp(value, "capture") == 0)
		return true;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for on_error: \"%s\"", value),
			 errhint("It is \"raise\" or \"capture\".")));
}

static int
arg_max_parallel(FunctionCallInfo fcinfo, int arg)
{
	int			value;

	if (PG_ARGISNULL(arg))
		return PG_INT32_MAX;
	value = PG_GETARG_INT32(arg);
	if (value < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_parallel must be at least 1"),
				 errhint("Leave it out for as many as the pool may have.")));
	return value;
}

/* One operation a pool, all with the same statement.  Raises 22004 for nulls. */
static void
arg_broadcast(FunctionCallInfo fcinfo, int first, EpGroup *group)
{
	char	   *sql = ep_arg_text(fcinfo, first + 1, "sql");
	EpParams   *params = ep_params_from_texts(PG_ARGISNULL(first + 2) ? NULL : PG_GETARG_ARRAYTYPE_P(first + 2));
	Datum	   *values;
	bool	   *nulls;

	if (PG_ARGISNULL(first))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("pools must not be null")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(first), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &group->n);
	group->ops = palloc0(Max(group->n, 1) * sizeof(EpOperation));
	for (int i = 0; i < group->n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("pool %d must not be null", i + 1)));
		group->ops[i].sql = sql;
		group->ops[i].params = params;
		group->ops[i].ref = ep_pool_ref(TextDatumGetCString(values[i]));
	}
}

/* ------------------------------------------------------------------- results */

static EpReceiver *
receive_json(EpOperation *op)
{
	return ep_receive_json_array();
}

static void
collect_json(EpOperation *op)
{
	op->rows = ep_receive_json_rows(op->receiver);
}

static void
put_results(FunctionCallInfo fcinfo, const EpGroup *group)
{
	for (int i = 0; i < group->n; i++)
	{
		const EpOperation *op = &group->ops[i];
		EpOperationRow row = {
			.operation = i + 1,
			.pool = op->ref->name,
			.outcome = &op->outcome,
			.rows = op->rows,
			.error = op->caught ? op->caught->error : NULL,
			.started = op->started,
			.elapsed_ms = op->elapsed_ms
		};

		ep_put_operation(fcinfo, &row);
	}
}

static void
run_group(FunctionCallInfo fcinfo, EpGroup *group, bool capture)
{
	group->make_receiver = receive_json;
	group->collect = collect_json;
	ep_group_check(group);
	if (!capture)
		ep_group_raise(group, true);
	ep_group_run(group);
	if (!capture)
		ep_group_raise(group, false);
	put_results(fcinfo, group);
}

/* ------------------------------------------------------------------- functions */

/* run_parallel(pool, operations, max_parallel, timeout, name, on_error) SETOF operation_result */
Datum
enhanced_pool_run_parallel(PG_FUNCTION_ARGS)
{
	EpGroup		group = {.command = EP_COMMAND_PARALLEL};
	EpGivenOperation *given;
	EpPoolRef  *ref;
	bool		capture;

	ep_target_check(fcinfo, 0);
	given = ep_arg_operations(fcinfo, 1, &group.n);
	group.max_parallel = arg_max_parallel(fcinfo, 2);
	group.timeout_s = ep_arg_deadline(fcinfo, 3);
	group.name = ep_arg_lease_name(fcinfo, 4);
	capture = arg_captures(fcinfo, 5);
	InitMaterializedSRF(fcinfo, 0);
	ref = ep_arg_pool(fcinfo, 0);
	group.ops = palloc0(Max(group.n, 1) * sizeof(EpOperation));
	for (int i = 0; i < group.n; i++)
	{
		group.ops[i].sql = given[i].sql;
		group.ops[i].params = given[i].params;
		group.ops[i].ref = given[i].pool ? ep_pool_ref(given[i].pool) : ref;
	}
	run_group(fcinfo, &group, capture);
	return (Datum) 0;
}

/* Where the statements of a transaction run. */
typedef struct Place
{
	EpPoolRef  *ref;
	EpLease    *lease;			/* NULL: of the pool, not taken yet */
	bool		by_name;		/* lease is the session that the pool's name stands for */
} Place;

/* With autocommit off a pool's name stands for a session, of the name that argument name_arg gives. */
static Place
arg_place(FunctionCallInfo fcinfo, int arg, int name_arg, double timeout)
{
	Place		place = {NULL, NULL, false};

	if (ep_call_argtype(fcinfo, arg) == INT8OID)
	{
		place.lease = ep_lease_find(ep_arg_lease(fcinfo, arg));
		place.ref = place.lease->ref;
		/* what was given up on it may have begun or ended a transaction */
		ep_notify_settle(place.lease);
	}
	else
		place.ref = ep_arg_pool(fcinfo, arg);
	place.by_name = place.lease == NULL && !place.ref->autocommit;
	if (place.by_name)
	{
		double		wait = ep_ref_acquire_timeout(place.ref);

		if (timeout >= 0 && (wait < 0 || wait > timeout))
			wait = timeout;
		place.lease = ep_session_open(place.ref, -1, -1, wait, ep_arg_lease_name(fcinfo, name_arg));
	}
	return place;
}

/* BEGIN for an argument of that name; only one of our own can be chosen how to begin. */
static const char *
arg_isolation(FunctionCallInfo fcinfo, int arg, const Place *place)
{
	const char *begin;

	if (PG_ARGISNULL(arg))
		return ep_batch_isolation(NULL);
	begin = ep_batch_isolation(text_to_cstring(PG_GETARG_TEXT_PP(arg)));
	if (place->lease && (place->lease->kind == EP_KIND_SESSION || ep_conns[place->lease->slot].tx_status != 'I'))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("isolation of a transaction that is open cannot be chosen"),
				 errdetail("The operations run in a savepoint of it.")));
	return begin;
}

static const char *
arg_name(FunctionCallInfo fcinfo, int arg, const Place *place)
{
	const char *name = ep_arg_lease_name(fcinfo, arg);

	if (name && place->lease && !place->by_name)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a lease cannot be given another name"),
				 errhint("Name it with enhanced_pool.acquire.")));
	return name;
}

static EpBatchStatement *
make_statements(const EpGivenOperation *given, int n, const Place *place)
{
	EpBatchStatement *statements = palloc0(Max(n, 1) * sizeof(EpBatchStatement));

	for (int i = 0; i < n; i++)
	{
		if (given[i].pool && strcmp(given[i].pool, place->ref->name) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("operation %d is for pool \"%s\", not for \"%s\"", i + 1, given[i].pool, place->ref->name),
					 errhint("One transaction runs on one connection. Use enhanced_pool.run_parallel for several pools.")));
		statements[i].sql = given[i].sql;
		statements[i].params = given[i].params;
	}
	return statements;
}

static void
put_statements(FunctionCallInfo fcinfo, const char *pool, const EpBatchStatement *statements, int n)
{
	for (int i = 0; i < n; i++)
	{
		EpOperationRow row = {
			.operation = i + 1,
			.pool = pool,
			.outcome = &statements[i].outcome,
			.rows = statements[i].rows,
			.started = true,
			.elapsed_ms = statements[i].elapsed_ms
		};

		ep_put_operation(fcinfo, &row);
	}
}

/* run_in_transaction(P, operations, isolation, timeout, name) SETOF operation_result */
Datum
enhanced_pool_run_in_transaction(PG_FUNCTION_ARGS)
{
	EpGivenOperation *given;
	EpBatchStatement *statements;
	Place		place;
	EpLease    *lease;
	const char *begin;
	const char *name;
	double		timeout;
	uint64		deadline;
	int			n;

	ep_target_check(fcinfo, 0);
	given = ep_arg_operations(fcinfo, 1, &n);
	timeout = ep_arg_deadline(fcinfo, 3);
	deadline = timeout < 0 ? PG_UINT64_MAX : ep_now_us() + (uint64) (timeout * 1e6);
	InitMaterializedSRF(fcinfo, 0);
	place = arg_place(fcinfo, 0, 4, timeout);
	begin = arg_isolation(fcinfo, 2, &place);
	name = arg_name(fcinfo, 4, &place);
	statements = make_statements(given, n, &place);
	ep_batch_check(place.ref->name, place.lease ? place.lease->kind : EP_KIND_STATEMENT, statements, n);
	if (n == 0)
		return (Datum) 0;

	lease = place.lease ? place.lease : ep_batch_acquire(place.ref, name, deadline);
	ep_batch_run(lease, statements, n, begin, deadline);
	put_statements(fcinfo, place.ref->name, statements, n);
	if (place.lease == NULL)
		ep_lease_release(lease);
	return (Datum) 0;
}

/* broadcast(pools, sql, params, timeout, on_error) SETOF operation_result */
Datum
enhanced_pool_broadcast(PG_FUNCTION_ARGS)
{
	EpGroup		group = {.command = EP_COMMAND_BROADCAST, .max_parallel = PG_INT32_MAX};
	bool		capture;

	group.timeout_s = ep_arg_deadline(fcinfo, 3);
	capture = arg_captures(fcinfo, 4);
	InitMaterializedSRF(fcinfo, 0);
	arg_broadcast(fcinfo, 0, &group);
	run_group(fcinfo, &group, capture);
	return (Datum) 0;
}

/* broadcast_as(row_type, pools, sql, params, timeout) SETOF anyelement */
Datum
enhanced_pool_broadcast_as(PG_FUNCTION_ARGS)
{
	EpGroup		group = {.command = EP_COMMAND_BROADCAST, .max_parallel = PG_INT32_MAX};
	ReturnSetInfo *rsinfo;

	group.timeout_s = ep_arg_deadline(fcinfo, 4);
	rsinfo = ep_return_typed_begin(fcinfo, "broadcast_as");
	arg_broadcast(fcinfo, 1, &group);
	for (int i = 0; i < group.n; i++)
		group.ops[i].receiver = ep_receive_spool();
	ep_group_check(&group);
	ep_group_raise(&group, true);
	ep_group_run(&group);
	ep_group_raise(&group, false);

	/* now users' code may run, and raise what it likes */
	for (int i = 0; i < group.n; i++)
	{
		EpReceiver *receiver = ep_receiver_for_type(fcinfo, rsinfo);

		ep_spool_deliver(group.ops[i].receiver, receiver);
		ep_receive_done(receiver);
	}
	return (Datum) 0;
}
