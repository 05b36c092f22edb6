/*-------------------------------------------------------------------------
 *
 * params.h
 *		From the arguments of a SQL function to the parameters of a remote
 *		statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_PARAMS_H
#define EP_PARAMS_H

#include "postgres.h"
#include "fmgr.h"
#include "utils/array.h"
#include "client/exchange.h"

struct EpParamPlan;
struct EpPendingRows;

/*
 * What is kept for one place in a query that calls a function of ours:
 * flinfo->fn_extra of each function that takes parameters points to it.
 * Such a function must not use the SRF_* macros of funcapi.h, which want
 * fn_extra for themselves.
 */
typedef struct EpCallSite
{
	/* params.c: how each argument is sent; empty before the first call */
	int			nplans;
	struct EpParamPlan *plans;
	bool		any_output;		/* some go through their output function */
	bool		any_names;		/* some print names of schema objects */

	/* functions/rows.c: rows still to be returned one by one, or NULL */
	struct EpPendingRows *pending;
} EpCallSite;

extern EpCallSite *ep_call_site(FunctionCallInfo fcinfo);
extern Oid	ep_call_argtype(FunctionCallInfo fcinfo, int arg);
extern EpParams *ep_params_from_call(FunctionCallInfo fcinfo, int first);
extern EpParams *ep_params_from_texts(ArrayType * array);
extern ArrayType * ep_params_as_texts(FunctionCallInfo fcinfo, int first);

extern bool ep_type_prints_names(Oid type);
extern int	ep_text_modes_begin(bool names);
extern void ep_text_modes_end(int nest_level);

#endif							/* EP_PARAMS_H */
