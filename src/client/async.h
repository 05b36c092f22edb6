/*-------------------------------------------------------------------------
 *
 * async.h
 *		Statements that are sent, and whose results are taken later.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_ASYNC_H
#define EP_ASYNC_H

#include "postgres.h"
#include "client/exchange.h"
#include "client/lease.h"

extern void ep_async_send(EpLease *lease, const char *sql, const EpParams *params);
extern bool ep_async_is_busy(EpLease *lease);
extern bool ep_async_cancel(EpLease *lease);
extern void ep_async_get(EpLease *lease, EpReceiver *receiver, EpOutcome *outcome);
extern void ep_async_settle(EpLease *lease);
extern EpLease *ep_async_wait_any(EpLease **leases, int n, double timeout_s);

/* for lease.c: abort and exit paths */
extern void ep_async_discard(EpLease *lease);

#endif							/* EP_ASYNC_H */
