/*-------------------------------------------------------------------------
 *
 * statement.h
 *		What this backend knows of a statement's text: its hash and class; and
 *		the list of prepared statements of a connection.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_STATEMENT_H
#define EP_STATEMENT_H

#include "postgres.h"
#include "shared/shared.h"
#include "client/classify.h"
#include "client/descriptor.h"
#include "client/exchange.h"

typedef struct EpStatement
{
	uint8		hash[16];		/* of text and parameter types */
	EpTextClass class;
} EpStatement;

extern const EpStatement *ep_statement_of(const char *sql, int nparams, const Oid *types);

/* The list of a connection, in shared memory; the caller holds the lease. */
extern int	ep_stmt_find(EpDescriptor *desc, int limit, const uint8 *hash);
extern int	ep_stmt_make_room(EpDescriptor *desc, int limit, uint64 *victim);
extern void ep_stmt_add(EpDescriptor *desc, int place, uint64 number, const EpStatement *stmt);
extern void ep_stmt_describe(EpDescriptor *desc, int place, const EpRowDesc *rows);
extern void ep_stmt_outdate(EpDescriptor *desc, int place);
extern EpStmtSlot *ep_stmt_use(EpDescriptor *desc, int place);

/* Row descriptions with names, remembered by this backend. */
extern EpRowDesc *ep_stmt_recall(EpDescriptor *desc, int place, bool *no_data);
extern void ep_stmt_remember(EpDescriptor *desc, int place, EpRowDesc *rows, bool no_data);
extern void ep_stmt_forget_all(EpDescriptor *desc);

#endif							/* EP_STATEMENT_H */
