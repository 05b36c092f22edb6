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

#include "fmgr.h"

#include "client/exchange.h"
#include "client/params.h"
#include "client/receive.h"
#include "functions/rows.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_execute);
PG_FUNCTION_INFO_V1(enhanced_pool_execute_as);
PG_FUNCTION_INFO_V1(enhanced_pool_execute_json);
PG_FUNCTION_INFO_V1(enhanced_pool_exec);

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

/* execute(P, sql, ...) SETOF record */
Datum
enhanced_pool_execute(PG_FUNCTION_ARGS)
{
	return ep_return_records(fcinfo, run);
}

/* execute_as(row_type anyelement, P, sql, ...) SETOF anyelement */
Datum
enhanced_pool_execute_as(PG_FUNCTION_ARGS)
{
	return ep_return_typed(fcinfo, run, "execute_as");
}

/* execute_json(P, sql, ...) SETOF jsonb */
Datum
enhanced_pool_execute_json(PG_FUNCTION_ARGS)
{
	return ep_return_json(fcinfo, run);
}

/* exec(P, sql, ...) bigint: rows affected; rows that come back are dropped */
Datum
enhanced_pool_exec(PG_FUNCTION_ARGS)
{
	EpOutcome	outcome;

	run(fcinfo, 0, ep_receive_nothing(), &outcome);
	PG_RETURN_INT64(outcome.rows);
}
