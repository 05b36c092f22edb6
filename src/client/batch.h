/*-------------------------------------------------------------------------
 *
 * batch.h
 *		Statements that all run on one connection, in order, or none of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_BATCH_H
#define EP_BATCH_H

#include "postgres.h"
#include "utils/jsonb.h"

#include "client/exchange.h"

typedef struct EpBatchStatement
{
	const char *sql;
	const EpParams *params;

	/* what came of it */
	EpOutcome	outcome;
	Jsonb	   *rows;			/* NULL: it is none that returns rows */
	double		elapsed_ms;
} EpBatchStatement;

extern const char *ep_batch_isolation(const char *isolation);
extern void ep_batch_check(const char *pool, EpLeaseKind kind, const EpBatchStatement *statements, int n);
extern void ep_batch_run(EpLease *lease, EpBatchStatement *statements, int n,
						 const char *isolation, uint64 deadline_us);
extern EpLease *ep_batch_acquire(EpPoolRef *ref, const char *name, uint64 deadline_us);

#endif							/* EP_BATCH_H */
