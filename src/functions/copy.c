/*-------------------------------------------------------------------------
 *
 * copy.c
 *		copy_to and copy_from.
 *
 * One C function serves a pool's name and the number of a lease.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "client/copy.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_copy_to);
PG_FUNCTION_INFO_V1(enhanced_pool_copy_from);

static void
raise_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", what)));
}

/*
 * The columns that an argument of type text[] names, as they are: a list of
 * strings, NIL if it is NULL.  Raises 22004 for a name that is null, 22023 for
 * none at all.
 */
static List *
arg_columns(FunctionCallInfo fcinfo, int arg)
{
	List	   *columns = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (PG_ARGISNULL(arg))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			raise_null("name of a column");
		columns = lappend(columns, makeString(TextDatumGetCString(values[i])));
	}
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("columns must not be empty"),
				 errhint("Leave the argument out for all columns.")));
	return columns;
}

/* copy_to(P, remote_table text, query text, columns text[]) bigint */
Datum
enhanced_pool_copy_to(PG_FUNCTION_ARGS)
{
	char	   *table;
	char	   *query;
	List	   *columns;
	EpCopyTo   *copy;
	EpTarget	target;
	int64		rows;

	ep_target_check(fcinfo, 0);
	table = ep_arg_text(fcinfo, 1, "remote_table");
	query = ep_arg_text(fcinfo, 2, "query");
	columns = arg_columns(fcinfo, 3);
	copy = ep_copy_to_prepare(table, query, columns);
	target = ep_target_open(fcinfo, 0);
	rows = ep_copy_to_run(copy, target.lease);
	ep_target_close(&target);
	PG_RETURN_INT64(rows);
}

/* copy_from(P, remote_query text, local_table regclass, columns text[]) bigint */
Datum
enhanced_pool_copy_from(PG_FUNCTION_ARGS)
{
	char	   *query;
	EpCopyFrom *copy;
	EpTarget	target;
	int64		rows;

	ep_target_check(fcinfo, 0);
	query = ep_arg_text(fcinfo, 1, "remote_query");
	if (PG_ARGISNULL(2))
		raise_null("local_table");
	copy = ep_copy_from_prepare(query, PG_GETARG_OID(2), arg_columns(fcinfo, 3));
	target = ep_target_open(fcinfo, 0);
	rows = ep_copy_from_run(copy, target.lease);
	ep_target_close(&target);
	PG_RETURN_INT64(rows);
}
