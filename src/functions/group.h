/*-------------------------------------------------------------------------
 *
 * group.h
 *		Operations as arguments of SQL functions, and their results as rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_FUNCTIONS_GROUP_H
#define EP_FUNCTIONS_GROUP_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/jsonb.h"
#include "client/capture.h"
#include "client/exchange.h"

/* An operation as it was given. */
typedef struct EpGivenOperation
{
	char	   *sql;
	EpParams   *params;
	char	   *pool;			/* NULL: the function's */
} EpGivenOperation;

extern EpGivenOperation *ep_arg_operations(FunctionCallInfo fcinfo, int arg, int *n);
extern double ep_arg_deadline(FunctionCallInfo fcinfo, int arg);

/* One row of type operation_result. */
typedef struct EpOperationRow
{
	int			operation;		/* from 1 */
	const char *pool;			/* NULL: none */
	const EpOutcome *outcome;
	Jsonb	   *rows;			/* NULL: none */
	const ErrorData *error;		/* NULL: success */
	bool		started;
	double		elapsed_ms;
} EpOperationRow;

extern void ep_put_operation(FunctionCallInfo fcinfo, const EpOperationRow *row);

#endif							/* EP_FUNCTIONS_GROUP_H */
