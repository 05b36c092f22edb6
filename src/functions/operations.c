/*-------------------------------------------------------------------------
 *
 * operations.c
 *		op, op_on, and operations as arguments and results.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "client/params.h"
#include "functions/group.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_op);
PG_FUNCTION_INFO_V1(enhanced_pool_op_on);

/* ---------------------------------------------------------------- building one */

/* The columns of type operation. */
enum
{
	OPERATION_SQL,
	OPERATION_PARAMS,
	OPERATION_POOL,
	OPERATION_NCOLS
};

/* Argument number first is the statement, the rest its parameters. */
static Datum
make_operation(FunctionCallInfo fcinfo, int first, const char *pool)
{
	char	   *sql = ep_arg_text(fcinfo, first, "sql");
	ArrayType  *params = ep_params_as_texts(fcinfo, first + 1);
	Datum		values[OPERATION_NCOLS] = {0};
	bool		nulls[OPERATION_NCOLS] = {0};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != OPERATION_NCOLS)
		elog(ERROR, "return type is not enhanced_pool.operation");
	values[OPERATION_SQL] = CStringGetTextDatum(sql);
	nulls[OPERATION_PARAMS] = params == NULL;
	values[OPERATION_PARAMS] = PointerGetDatum(params);
	nulls[OPERATION_POOL] = pool == NULL;
	if (pool)
		values[OPERATION_POOL] = CStringGetTextDatum(pool);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* op(sql, ...) operation */
Datum
enhanced_pool_op(PG_FUNCTION_ARGS)
{
	return make_operation(fcinfo, 0, NULL);
}

/* op_on(pool, sql, ...) operation */
Datum
enhanced_pool_op_on(PG_FUNCTION_ARGS)
{
	char	   *pool = ep_arg_text(fcinfo, 0, "pool");

	return make_operation(fcinfo, 1, pool);
}

/* ---------------------------------------------------------------- as arguments */

static void
raise_null_operation(int number, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%soperation %d must not be null", what, number)));
}

/* From a value of type operation. */
static void
read_operation(Datum value, int number, EpGivenOperation *op)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
	TupleDesc	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	Datum		values[OPERATION_NCOLS];
	bool		nulls[OPERATION_NCOLS];

	if (desc->natts != OPERATION_NCOLS)
		elog(ERROR, "type enhanced_pool.operation has %d columns", desc->natts);
	heap_deform_tuple(&tuple, desc, values, nulls);
	ReleaseTupleDesc(desc);
	if (nulls[OPERATION_SQL])
		raise_null_operation(number, "sql of ");
	op->sql = TextDatumGetCString(values[OPERATION_SQL]);
	op->params = ep_params_from_texts(nulls[OPERATION_PARAMS] ? NULL :
									  DatumGetArrayTypeP(values[OPERATION_PARAMS]));
	op->pool = nulls[OPERATION_POOL] ? NULL : TextDatumGetCString(values[OPERATION_POOL]);
}

/*
 * The operations of an argument of type text[] or operation[], in storage
 * order, in the current memory context.  Raises 22004 if it is null, or one of
 * them or its statement.
 */
EpGivenOperation *
ep_arg_operations(FunctionCallInfo fcinfo, int arg, int *n)
{
	EpGivenOperation *ops;
	ArrayType  *array;
	Datum	   *values;
	bool	   *nulls;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("operations must not be null")));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign, &values, &nulls, n);
	ops = palloc0(Max(*n, 1) * sizeof(EpGivenOperation));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			raise_null_operation(i + 1, "");
		if (ARR_ELEMTYPE(array) == TEXTOID)
			ops[i].sql = TextDatumGetCString(values[i]);
		else
			read_operation(values[i], i + 1, &ops[i]);
	}
	return ops;
}

/* The seconds that a group may take, less than 0: no limit.  Raises 22023 if it is negative. */
double
ep_arg_deadline(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		return -1;
	return ep_arg_seconds(fcinfo, arg, "Leave it out for no limit.");
}

/* ------------------------------------------------------------------ as rows */

enum
{
	RESULT_OPERATION,
	RESULT_POOL,
	RESULT_SUCCESS,
	RESULT_COMMAND,
	RESULT_ROW_COUNT,
	RESULT_ROWS,
	RESULT_SQLSTATE,
	RESULT_ERROR,
	RESULT_ELAPSED,
	RESULT_NCOLS
};

/* What went wrong; of a connection that was not to be had also why. */
static const char *
error_text(const EpOperationRow *row)
{
	if (row->started || row->error->detail == NULL)
		return row->error->message;
	return psprintf("%s: %s", row->error->message, row->error->detail);
}

/* Add a row of type operation_result to the set that fcinfo's function returns. */
void
ep_put_operation(FunctionCallInfo fcinfo, const EpOperationRow *row)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[RESULT_NCOLS] = {0};
	bool		nulls[RESULT_NCOLS] = {0};

	values[RESULT_OPERATION] = Int32GetDatum(row->operation);
	nulls[RESULT_POOL] = row->pool == NULL;
	if (row->pool)
		values[RESULT_POOL] = CStringGetTextDatum(row->pool);
	values[RESULT_SUCCESS] = BoolGetDatum(row->error == NULL);
	nulls[RESULT_COMMAND] = nulls[RESULT_ROW_COUNT] = row->error != NULL;
	nulls[RESULT_ROWS] = row->rows == NULL || row->error != NULL;
	nulls[RESULT_SQLSTATE] = nulls[RESULT_ERROR] = row->error == NULL;
	if (row->error)
	{
		values[RESULT_SQLSTATE] = CStringGetTextDatum(unpack_sql_state(row->error->sqlerrcode));
		values[RESULT_ERROR] = CStringGetTextDatum(error_text(row));
	}
	else
	{
		values[RESULT_COMMAND] = PointerGetDatum(ep_command_of(row->outcome->tag));
		values[RESULT_ROW_COUNT] = Int64GetDatum(row->outcome->rows);
		if (row->rows)
			values[RESULT_ROWS] = JsonbPGetDatum(row->rows);
	}
	nulls[RESULT_ELAPSED] = !row->started;
	values[RESULT_ELAPSED] = Float8GetDatum(row->elapsed_ms);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
