/*-------------------------------------------------------------------------
 *
 * lease.h
 *		Leases of this backend: acquire, use, give back whatever happens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_LEASE_H
#define EP_LEASE_H

#include "postgres.h"
#include "access/xact.h"
#include "lib/ilist.h"
#include "shared/shared.h"
#include "client/catalog.h"
#include "client/descriptor.h"

/* What a lease has done since its numbers were last added to the pool's. */
typedef struct EpLeaseStats
{
	uint64		query_count;
	uint64		query_errors;
	uint64		total_query_us;
	uint64		max_query_us;
	uint64		rows_returned;
	uint64		bytes_sent;
	uint64		bytes_received;
	uint64		transaction_count;	/* remote transactions that ended, but for those of single statements */
	uint64		transaction_rollbacks;	/* of those */
} EpLeaseStats;

/* One lease of this backend; lives in TopMemoryContext until it is given back. */
typedef struct EpLease
{
	dlist_node	node;			/* in the list of this backend's leases */
	int64		number;
	EpLeaseKind kind;
	EpPoolRef  *ref;
	int			pool;			/* place in ep_pools; ref may be resolved anew meanwhile */
	int			slot;			/* in ep_conns */
	uint64		conn_id;
	EpDescriptor *desc;			/* socket and buffers */
	Oid			role;			/* who acquired it */
	bool		hold;
	SubTransactionId subid;		/* subtransaction it belongs to; Invalid once the one that acquired a held
								 * one is over */
	char		name[EP_LEASE_NAME_SIZE];
	struct EpSession *session;	/* of EP_KIND_SESSION, until its transaction is over */

	/* the exchange under way */
	bool		in_use;			/* rows are being read: 55006 for anybody else */
	SubTransactionId use_subid; /* subtransaction in which it was entered; its abort ends the exchange */
	bool		in_exchange;	/* lease word says so */
	int			syncs;			/* Syncs sent and not yet answered */
	bool		need_sync;		/* messages sent that no Sync follows yet */
	bool		need_drain;		/* survived a subtransaction's abort in the middle of an exchange */
	bool		cancel_sent;	/* the worker was asked to cancel; wait for it before the next statement */
	bool		broken;
	bool		used;			/* ran at least one statement */
	EpLeaseStats stats;
} EpLease;

extern EpLease *ep_lease_acquire(EpPoolRef *ref, EpLeaseKind kind, double timeout_s, bool hold, const char *name);
extern void ep_lease_release(EpLease *lease);
extern EpLease *ep_lease_find(int64 number);
extern EpLease *ep_lease_find_named(EpPoolRef *ref, const char *name);
extern int	ep_lease_release_all(void);
extern bool ep_lease_release_number(int64 number);
extern void ep_lease_discard_all(void);

/* Around each exchange. */
extern void ep_lease_enter(EpLease *lease);
extern void ep_lease_leave(EpLease *lease);
extern void ep_lease_mark_broken(EpLease *lease);
extern void ep_lease_request_cancel(EpLease *lease);

extern void ep_lease_install(void);

/* acquire.c */
extern double ep_ref_acquire_timeout(const EpPoolRef *ref);
extern void ep_acquire_abandon(void);
extern bool ep_worker_is_away(const EpPool *pool);
extern void ep_raise_worker_away(void) pg_attribute_noreturn();

/* lease.c, for acquire.c and enter.c alone */
extern EpLease *ep_lease_prepare(EpPoolRef *ref, EpLeaseKind kind, bool hold, const char *name);
extern void ep_lease_register(EpLease *lease, EpConn *conn);
extern void ep_lease_give_back(EpLease *lease);
extern void ep_lease_flush_stats(EpPool *pool, EpConn *conn, EpLease *lease, uint64 now_us);
extern bool ep_worker_has(int worker, uint64 epoch);

#endif							/* EP_LEASE_H */
