/*-------------------------------------------------------------------------
 *
 * parts.h
 *		Parts of messages of the extended protocol that several callers need.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_PARTS_H
#define EP_PARTS_H

#include "postgres.h"
#include "client/exchange.h"
#include "wire/wire.h"

extern void ep_check_message_size(const char *sql, const EpParams *params);
extern void ep_put_statement_name(EpWire *wire, uint64 number);
extern void ep_put_about(EpWire *wire, char type, char what, uint64 number);
extern void ep_put_params(EpWire *wire, const EpParams *params);
extern EpRowDesc *ep_read_rows(const EpMessage *msg, MemoryContext context);

#endif							/* EP_PARTS_H */
