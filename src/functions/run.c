/*-------------------------------------------------------------------------
 *
 * run.c
 *		run_script, describe and last_remote_error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/transam.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "client/exchange.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_run_script);
PG_FUNCTION_INFO_V1(enhanced_pool_describe);
PG_FUNCTION_INFO_V1(enhanced_pool_last_remote_error);

/* -------------------------------------------------------------- run_script */

/*
 * The words of a command tag, without the numbers that follow: INSERT of
 * "INSERT 0 1".  The number of rows is a column of its own.
 */
text *
ep_command_of(const char *tag)
{
	size_t		len = strlen(tag);

	while (len > 0 && (isdigit((unsigned char) tag[len - 1]) || tag[len - 1] == ' '))
		len--;
	return cstring_to_text_with_len(tag, len);
}

static void
put_statement(void *arg, int statement, const EpOutcome *outcome)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	values[0] = Int32GetDatum(statement);
	values[1] = PointerGetDatum(ep_command_of(outcome->tag));
	values[2] = Int64GetDatum(outcome->rows);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* run_script(P, sql) TABLE(statement int, command text, row_count bigint) */
Datum
enhanced_pool_run_script(PG_FUNCTION_ARGS)
{
	char	   *sql;
	EpTarget	target;

	ep_target_check(fcinfo, 0);
	sql = ep_arg_text(fcinfo, 1, "sql");
	InitMaterializedSRF(fcinfo, 0);
	target = ep_target_open(fcinfo, 0);
	ep_exchange_script(target.lease, sql, put_statement, fcinfo->resultinfo);
	ep_target_close(&target);
	return (Datum) 0;
}

/* ---------------------------------------------------------------- describe */

/*
 * A remote type's name.  Only those with a fixed oid are the same here; any
 * other is known by its number alone.
 */
static char *
type_name(Oid type, int32 typmod)
{
	char	   *name = NULL;

	if (type < FirstGenbkiObjectId)
		name = format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_INVALID_AS_NULL);
	return name ? name : psprintf("oid %u", type);
}

/* describe(P, sql) TABLE(position int, name text, type text) */
Datum
enhanced_pool_describe(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *sql;
	EpTarget	target;
	EpRowDesc  *desc;

	ep_target_check(fcinfo, 0);
	sql = ep_arg_text(fcinfo, 1, "sql");
	InitMaterializedSRF(fcinfo, 0);
	target = ep_target_open(fcinfo, 0);
	desc = ep_exchange_describe(target.lease, sql);
	for (int i = 0; desc && i < desc->ncols; i++)
	{
		const EpColumn *column = &desc->cols[i];
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = CStringGetTextDatum(column->name);
		values[2] = CStringGetTextDatum(type_name(column->type, column->typmod));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	ep_target_close(&target);
	return (Datum) 0;
}

/* ------------------------------------------------------- last_remote_error */

/*
 * last_remote_error() TABLE(pool, sqlstate, message, detail, hint,
 * constraint_name): one row or none
 */
Datum
enhanced_pool_last_remote_error(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const EpRemoteError *error;
	const char *texts[6];
	Datum		values[6];
	bool		nulls[6];

	InitMaterializedSRF(fcinfo, 0);
	error = ep_last_remote_error();
	if (error == NULL || !error->valid)
		return (Datum) 0;
	texts[0] = error->pool;
	texts[1] = error->sqlstate;
	texts[2] = error->message;
	texts[3] = error->detail;
	texts[4] = error->hint;
	texts[5] = error->constraint_name;
	for (int i = 0; i < 6; i++)
	{
		nulls[i] = texts[i] == NULL;
		values[i] = nulls[i] ? (Datum) 0 : CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	return (Datum) 0;
}
