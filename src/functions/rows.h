/*-------------------------------------------------------------------------
 *
 * rows.h
 *		Returning the rows of a remote statement from a SQL function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_ROWS_H
#define EP_ROWS_H

#include "postgres.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "client/exchange.h"

/*
 * Hands the rows of the statement that the arguments from number first on tell
 * to the receiver, and calls ep_receive_done().
 */
typedef void (*EpRowSource) (FunctionCallInfo fcinfo, int first, EpReceiver *receiver, EpOutcome *outcome);

extern Datum ep_return_records(FunctionCallInfo fcinfo, EpRowSource source);
extern Datum ep_return_typed(FunctionCallInfo fcinfo, EpRowSource source, const char *name);
extern ReturnSetInfo *ep_return_typed_begin(FunctionCallInfo fcinfo, const char *name);
extern EpReceiver *ep_receiver_for_type(FunctionCallInfo fcinfo, ReturnSetInfo *rsinfo);
extern Datum ep_return_json(FunctionCallInfo fcinfo, EpRowSource source);

#endif							/* EP_ROWS_H */
