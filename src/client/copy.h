/*-------------------------------------------------------------------------
 *
 * copy.h
 *		COPY between a local query or table and a remote one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_COPY_H
#define EP_COPY_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

#include "client/lease.h"
#include "client/turn.h"

/* copy.c: one COPY on the wire */
extern bool ep_copy_binary_type(Oid local, Oid remote);
extern void ep_copy_raise_columns(int from, int to) pg_attribute_noreturn();
extern void ep_copy_begin(EpTurn *turn, EpLease *lease, const char *sql, bool dirty, char answer);
extern int64 ep_copy_end(EpTurn *turn, bool data);

/* copy_to.c: two steps, for what can be found out without a connection comes first */
typedef struct EpCopyTo EpCopyTo;
extern EpCopyTo *ep_copy_to_prepare(const char *table, const char *query, List *columns);
extern int64 ep_copy_to_run(EpCopyTo *copy, EpLease *lease);

/* copy_from.c: the same */
typedef struct EpCopyFrom EpCopyFrom;
extern EpCopyFrom *ep_copy_from_prepare(const char *query, Oid table, List *columns);
extern int64 ep_copy_from_run(EpCopyFrom *copy, EpLease *lease);

/* encode.c: local rows in the formats of COPY */
typedef struct EpRowEncoder EpRowEncoder;
extern EpRowEncoder *ep_row_encoder_create(TupleDesc desc, bool binary);
extern void ep_encode_begin(EpRowEncoder *row, StringInfo out);
extern void ep_encode_row(EpRowEncoder *row, TupleTableSlot *slot, StringInfo out);
extern void ep_encode_end(EpRowEncoder *row, StringInfo out);

#endif							/* EP_COPY_H */
