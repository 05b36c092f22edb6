/*-------------------------------------------------------------------------
 *
 * receive.h
 *		Receivers: what becomes of the rows of a remote statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_RECEIVE_H
#define EP_RECEIVE_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"
#include "client/exchange.h"

/* Rows into a tuplestore; desc NULL: the remote's names and built-in types, else text. */
extern EpReceiver *ep_receive_by_position(TupleDesc desc, Tuplestorestate *store);
extern TupleDesc ep_receive_desc(EpReceiver *receiver);

/* Columns matched by name; domain: over the row type, checked for each row, or InvalidOid. */
extern EpReceiver *ep_receive_by_name(TupleDesc desc, Tuplestorestate *store, Oid domain);

/* One jsonb a row. */
extern EpReceiver *ep_receive_json(Tuplestorestate *store, TupleDesc desc);

/* One jsonb array of all rows. */
extern EpReceiver *ep_receive_json_array(void);
extern Jsonb *ep_receive_json_rows(EpReceiver *receiver);

/* Rows are kept as they came, for another receiver that gets them afterwards. */
extern EpReceiver *ep_receive_spool(void);
extern void ep_spool_deliver(EpReceiver *spool, EpReceiver *receiver);

/* Rows are counted and dropped. */
extern EpReceiver *ep_receive_nothing(void);

/* After the statement, with any receiver. */
extern void ep_receive_done(EpReceiver *receiver);

#endif							/* EP_RECEIVE_H */
