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
#include "compat.h"

/* So many statements' times are kept until they are added to the pool's. */
#define EP_QUERY_TIMES		32

/*
 * What a lease has done since its numbers were last added to the pool's.  The
 * bytes are counted by its wire.
 */
typedef struct EpLeaseStats
{
	int			query_count;	/* their times are in EpLease.query_us */
	uint64		query_errors;
	uint64		total_query_us;
	uint64		max_query_us;
	uint64		rows_returned;
	uint64		transaction_count;	/* remote transactions that ended, but for those of single statements */
	uint64		transaction_rollbacks;	/* of those */
} EpLeaseStats;

/* Most bytes that names and values of all propagated settings may have. */
#define EP_FOLLOWED_SIZE	1024

/*
 * The settings that follow the local ones, as the remote has them since this
 * lease sent them: name\0value\0 ... (follow.c).  len = 0: not known.
 */
typedef struct EpFollowed
{
	bool		local;			/* for the present transaction alone */
	int			len;
	char		text[EP_FOLLOWED_SIZE];
} EpFollowed;

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
	bool		copy_in;		/* data for a COPY is being sent: CopyFail if it is cut off */
	bool		need_drain;		/* survived a subtransaction's abort in the middle of an exchange */
	bool		beginning;		/* a BEGIN of ours was sent, and the remote was not at rest since */
	bool		cancel_sent;	/* the worker was asked to cancel; wait for it before the next statement */
	bool		broken;
	bool		used;			/* ran at least one statement */

	/*
	 * async.c: a statement that was sent and whose result nobody has taken;
	 * not in_use meanwhile
	 */
	struct EpAsync *pending;

	/* notify.c */
	bool		listening;		/* LISTEN was run on it, or a notification has come */
	struct EpNotifications *notifications;	/* that nobody has asked for yet, or NULL */
	EpLeaseStats stats;
	uint64		started_us;		/* of the statement under way, while it is not counted; else 0 */
	uint64		flushed_us;		/* when stats were last added to the pool's */
	uint64		bytes_sent;		/* counters of the wire then */
	uint64		bytes_received;
	EpFollowed	followed;
	uint64		query_us[EP_QUERY_TIMES];
} EpLease;

/* Is the connection still this lease's?  Caller holds the pool's lock. */
static inline bool
ep_lease_holds(const EpLease *lease, const EpConn *conn)
{
	return conn->state == EP_LEASED && conn->conn_id == lease->conn_id &&
		conn->owner == ep_my_procno_compat();
}

/* Does the remote owe answers, or wait for the end of what was sent? */
static inline bool
ep_lease_in_the_middle(const EpLease *lease)
{
	return lease->syncs > 0 || lease->need_sync;
}

extern EpLease *ep_lease_acquire(EpPoolRef *ref, EpLeaseKind kind, double timeout_s, bool hold, const char *name);
extern void ep_lease_release(EpLease *lease);
extern EpLease *ep_lease_find(int64 number);
extern EpLease *ep_lease_find_named(EpPoolRef *ref, const char *name);
extern int	ep_lease_release_all(void);
extern bool ep_lease_release_number(int64 number);
extern void ep_lease_discard_all(void);
extern void ep_lease_check_not_in_use(const EpLease *lease);

/* Around each exchange. */
extern void ep_lease_enter(EpLease *lease);
extern bool ep_lease_drain_poll(EpLease *lease, uint32 *events);
extern void ep_lease_cut(EpLease *lease);
extern void ep_lease_leave(EpLease *lease);
extern void ep_lease_mark_broken(EpLease *lease);
extern void ep_lease_request_cancel(EpLease *lease);
extern void ep_lease_raise_closed(EpLease *lease) pg_attribute_noreturn();

/* count.c */
extern void ep_lease_count(EpLease *lease, uint64 now_us, bool failed);
extern void ep_lease_count_given_up(EpLease *lease);
extern void ep_lease_count_end(EpPool *pool, EpConn *conn, uint64 now_us);
extern void ep_lease_flush_stats(EpPool *pool, EpConn *conn, EpLease *lease, uint64 now_us);

/* Time-outs of sessions. */
extern void ep_lease_check_struck(const EpLease *lease);
extern void ep_lease_seal(EpLease *lease);

extern void ep_lease_install(void);

/* follow.c */
extern void ep_lease_forget_settings(EpLease *lease);

/* acquire.c */
extern double ep_ref_acquire_timeout(const EpPoolRef *ref);
extern void ep_acquire_abandon(SubTransactionId subid);

/* The same in steps, for whoever has something else to do meanwhile. */
typedef enum EpAcquireState
{
	EP_ACQUIRE_GOT,
	EP_ACQUIRE_QUEUED,			/* the latch is set when there is something new */
	EP_ACQUIRE_NOT_NOW,			/* none is idle, and no place in the queue to be had */
	EP_ACQUIRE_OUTDATED			/* call ep_acquire_renew */
} EpAcquireState;

typedef struct EpAcquire EpAcquire;
extern EpAcquire *ep_acquire_begin(EpPoolRef *ref, EpLeaseKind kind, const char *name);
extern EpAcquireState ep_acquire_step(EpAcquire *w, uint64 deadline_us, bool optional, EpLease **lease);
extern void ep_acquire_renew(EpAcquire *w);
extern void ep_acquire_end(EpAcquire *w);
extern void ep_acquire_under_way(int n);

extern bool ep_worker_is_away(const EpPool *pool);
extern void ep_raise_worker_away(void) pg_attribute_noreturn();

/* lease.c, for acquire.c and enter.c alone */
extern EpLease *ep_lease_prepare(EpPoolRef *ref, EpLeaseKind kind, bool hold, const char *name);
extern void ep_lease_register(EpLease *lease, EpConn *conn);
extern void ep_lease_give_back(EpLease *lease);
extern void ep_lease_drop(int64 number);
extern bool ep_worker_has(int worker, uint64 epoch);

#endif							/* EP_LEASE_H */
