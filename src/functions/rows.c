/*-------------------------------------------------------------------------
 *
 * rows.c
 *		Returning the rows of a remote statement from a SQL function.
 *
 * What runs the statement, or takes the result of one that was sent, is the
 * caller's (EpRowSource); here is what becomes of its rows.
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

#include "client/params.h"
#include "client/receive.h"
#include "functions/rows.h"

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

/* ---------------------------------------------------- records in a select list */

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

/* Has the statement run and keeps its rows. */
static void
begin_rows(FunctionCallInfo fcinfo, EpCallSite *site, ReturnSetInfo *rsinfo, EpRowSource source)
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
	source(fcinfo, 0, receiver, &outcome);
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
return_row_by_row(FunctionCallInfo fcinfo, ReturnSetInfo *rsinfo, EpRowSource source)
{
	EpCallSite *site = ep_call_site(fcinfo);

	if (site->pending == NULL)
		begin_rows(fcinfo, site, rsinfo, source);
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

/* --------------------------------------------------------------- interface */

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

/*
 * SETOF record: by position into the column list of FROM, or without one in a
 * select list.  The target is argument 0.  Raises 42804 for columns that do
 * not fit.
 */
Datum
ep_return_records(FunctionCallInfo fcinfo, EpRowSource source)
{
	ReturnSetInfo *rsinfo = set_info(fcinfo);
	EpOutcome	outcome;

	if (rsinfo->expectedDesc == NULL)
		return return_row_by_row(fcinfo, rsinfo, source);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	source(fcinfo, 0, ep_receive_by_position(rsinfo->setDesc, rsinfo->setResult), &outcome);
	return (Datum) 0;
}

/*
 * The receiver for a row type that is an argument: by name for a row type, by position for any
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

/*
 * Begin a set of the type of argument 0, of the function of that name.  Raises
 * 0A000 if nothing is known of its columns.
 */
ReturnSetInfo *
ep_return_typed_begin(FunctionCallInfo fcinfo, const char *name)
{
	ReturnSetInfo *rsinfo = set_info(fcinfo);

	if (rsinfo->expectedDesc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row type of %s has no known columns", name),
				 errhint("Pass a null of a table's type or of another composite type, or use a function that returns records.")));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	return rsinfo;
}

/*
 * SETOF anyelement, whose type is that of argument 0; the target is argument 1.
 * name is the function's, for messages.
 */
Datum
ep_return_typed(FunctionCallInfo fcinfo, EpRowSource source, const char *name)
{
	ReturnSetInfo *rsinfo = ep_return_typed_begin(fcinfo, name);
	EpOutcome	outcome;

	source(fcinfo, 1, ep_receiver_for_type(fcinfo, rsinfo), &outcome);
	return (Datum) 0;
}

/* SETOF jsonb: one object a row.  The target is argument 0. */
Datum
ep_return_json(FunctionCallInfo fcinfo, EpRowSource source)
{
	ReturnSetInfo *rsinfo = set_info(fcinfo);
	EpOutcome	outcome;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	source(fcinfo, 0, ep_receive_json(rsinfo->setResult, rsinfo->setDesc), &outcome);
	return (Datum) 0;
}
