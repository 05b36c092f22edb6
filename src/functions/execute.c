/*-------------------------------------------------------------------------
 *
 * execute.c
 *		execute, execute_as, execute_json and exec: one remote statement with
 *		parameters.
 *
 * Each C function serves all signatures: pool or lease, without parameters,
 * with VARIADIC "any" and with VARIADIC text[].
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "client/exchange.h"
#include "client/params.h"
#include "client/receive.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_execute);
PG_FUNCTION_INFO_V1(enhanced_pool_execute_as);
PG_FUNCTION_INFO_V1(enhanced_pool_execute_json);
PG_FUNCTION_INFO_V1(enhanced_pool_exec);

/*
 * Rows of a call in a select list, which are returned one by one.  Lives in a
 * memory context of its own below that of the call site.
 */
typedef struct EpPendingRows
{
	MemoryContext context;
	Tuplestorestate *store;
	TupleTableSlot *slot;		/* NULL: the statement returned no rows */
} EpPendingRows;

/*
 * Runs the statement whose target is argument number first, its text the one
 * after that and its parameters the rest.  Everything that the arguments can
 * get wrong is found before a connection is taken.
 */
static void
run(FunctionCallInfo fcinfo, int first, EpReceiver *receiver, EpOutcome *outcome)
{
	char	   *sql;
	EpParams   *params;
	EpTarget	target;

	ep_target_check(fcinfo, first);
	sql = ep_arg_text(fcinfo, first + 1, "sql");
	params = ep_params_from_call(fcinfo, first + 2);
	target = ep_target_open(fcinfo, first);
	ep_exchange_execute(target.lease, sql, params, receiver, outcome);
	ep_receive_done(receiver);
	ep_target_close(&target);
}

/* --------------------------------------------------- execute in a select list */

/*
 * In a select list nothing says which columns there will be, and they may
 * differ from call to call.  The executor keeps the first description of a
 * set that it is handed as a whole, so that each row is returned by itself
 * there, as a record that carries its own.
 */

static void
end_rows(EpCallSite *site)
{
	EpPendingRows *rows = site->pending;

	site->pending = NULL;
	if (rows->slot)
		ExecDropSingleTupleTableSlot(rows->slot);
	tuplestore_end(rows->store);
	MemoryContextDelete(rows->context);
}

/* Called when the query ends before it has asked for all rows. */
static void
abandon_rows(Datum arg)
{
	EpCallSite *site = (EpCallSite *) DatumGetPointer(arg);

	if (site->pending)
		end_rows(site);
}

static TupleTableSlot *
make_slot(TupleDesc remote, MemoryContext context)
{
	MemoryContext caller = MemoryContextSwitchTo(context);
	TupleTableSlot *slot;

	slot = MakeSingleTupleTableSlot(BlessTupleDesc(CreateTupleDescCopy(remote)), &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(caller);
	return slot;
}

/* Runs the statement and keeps its rows. */
static void
begin_rows(FunctionCallInfo fcinfo, EpCallSite *site, ReturnSetInfo *rsinfo)
{
	MemoryContext context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "enhanced_pool rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EpPendingRows *rows = palloc0(sizeof(EpPendingRows));
	EpReceiver *receiver;
	EpOutcome	outcome;

	rows->context = context;
	rows->store = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(caller);
	receiver = ep_receive_by_position(NULL, rows->store);
	run(fcinfo, 0, receiver, &outcome);
	if (ep_receive_desc(receiver))
		rows->slot = make_slot(ep_receive_desc(receiver), context);
	site->pending = rows;
	RegisterExprContextCallback(rsinfo->econtext, abandon_rows, PointerGetDatum(site));
}

/*
 * Fetches the next row into the slot.  One that comes from a file is allocated
 * in the context of the moment and freed with the next one, so that it must not
 * be the caller's, which is reset in between.
 */
static bool
next_row(EpPendingRows *rows)
{
	MemoryContext caller = MemoryContextSwitchTo(rows->context);
	bool		found = rows->slot != NULL && tuplestore_gettupleslot(rows->store, true, false, rows->slot);

	MemoryContextSwitchTo(caller);
	return found;
}

static Datum
execute_row_by_row(FunctionCallInfo fcinfo, ReturnSetInfo *rsinfo)
{
	EpCallSite *site = ep_call_site(fcinfo);

	if (site->pending == NULL)
		begin_rows(fcinfo, site, rsinfo);
	if (next_row(site->pending))
	{
		rsinfo->isDone = ExprMultipleResult;
		return ExecFetchSlotHeapTupleDatum(site->pending->slot);
	}
	UnregisterExprContextCallback(rsinfo->econtext, abandon_rows, PointerGetDatum(site));
	end_rows(site);
	rsinfo->isDone = ExprEndResult;
	PG_RETURN_NULL();
}

/* --------------------------------------------------------------- functions */

static ReturnSetInfo *
set_info(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	return rsinfo;
}

/* execute(P, sql, ...) SETOF record */
Datum
enhanced_pool_execute(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = set_info(fcinfo);
	EpOutcome	outcome;

	if (rsinfo->expectedDesc == NULL)
		return execute_row_by_row(fcinfo, rsinfo);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	run(fcinfo, 0, ep_receive_by_position(rsinfo->setDesc, rsinfo->setResult), &outcome);
	return (Datum) 0;
}

/*
 * The receiver for execute_as: by name for a row type, by position for any
 * other, whose rows have one column.
 */
EpReceiver *
ep_receiver_for_type(FunctionCallInfo fcinfo, ReturnSetInfo *rsinfo)
{
	Oid			type;

	switch (get_call_result_type(fcinfo, &type, NULL))
	{
		case TYPEFUNC_SCALAR:
			return ep_receive_by_position(rsinfo->setDesc, rsinfo->setResult);
		case TYPEFUNC_COMPOSITE_DOMAIN:
			return ep_receive_by_name(rsinfo->setDesc, rsinfo->setResult, type);
		default:
			return ep_receive_by_name(rsinfo->setDesc, rsinfo->setResult, InvalidOid);
	}
}

/* Begin the set of a function that returns SETOF anyelement. */
ReturnSetInfo *
ep_receive_set_begin(FunctionCallInfo fcinfo, const char *function)
{
	ReturnSetInfo *rsinfo = set_info(fcinfo);

	if (rsinfo->expectedDesc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row type of %s has no known columns", function),
				 errhint("Pass a null of a table's type or of another composite type, or use enhanced_pool.execute.")));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	return rsinfo;
}

/* execute_as(row_type anyelement, P, sql, ...) SETOF anyelement */
Datum
enhanced_pool_execute_as(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = ep_receive_set_begin(fcinfo, "execute_as");
	EpOutcome	outcome;

	run(fcinfo, 1, ep_receiver_for_type(fcinfo, rsinfo), &outcome);
	return (Datum) 0;
}

/* execute_json(P, sql, ...) SETOF jsonb */
Datum
enhanced_pool_execute_json(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = set_info(fcinfo);
	EpOutcome	outcome;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	run(fcinfo, 0, ep_receive_json(rsinfo->setResult, rsinfo->setDesc), &outcome);
	return (Datum) 0;
}

/* exec(P, sql, ...) bigint: rows affected; rows that come back are dropped */
Datum
enhanced_pool_exec(PG_FUNCTION_ARGS)
{
	EpOutcome	outcome;

	run(fcinfo, 0, ep_receive_nothing(), &outcome);
	PG_RETURN_INT64(outcome.rows);
}
