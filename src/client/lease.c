/*-------------------------------------------------------------------------
 *
 * lease.c
 *		The leases of this backend, and giving them back whatever happens.
 *
 * A lease is a private EpLease in the list below, and a connection that is
 * LEASED in shared memory in this process's name.  Both come into being under
 * one hold of the pool's lock (ep_lease_register), so that from then on every
 * way out (release, error, cancel, exit) finds the lease in the list and gives
 * the connection back.  Nobody catches errors for that: the callbacks of the
 * (sub)transaction's end do it.
 *
 * Which process may touch what: while a connection is LEASED, its state,
 * owner, pool and conn_id do not change but by its holder.  The worker may set
 * dead, cancel_busy and struck under the pool's lock, and may change the lease
 * word from RESTING to REVOKED.  Everything in EpLease is this process's own.
 *
 * What runs at abort and exit (ep_lease_give_back, ep_lease_cut and what they
 * call) takes one LWLock at a time, sends at most once without blocking,
 * allocates nothing, raises nothing and waits for nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "client/async.h"
#include "client/lease.h"
#include "client/notify.h"
#include "client/session.h"
#include "compat.h"
#include "shared/events.h"

static dlist_head leases = DLIST_STATIC_INIT(leases);
static EpLease *spare = NULL;	/* saves an allocation for each statement */
static bool first_use_done = false;

/* ------------------------------------------------------------------ worker */

/* Is the worker that opened a connection in that epoch still running? */
bool
ep_worker_has(int worker, uint64 epoch)
{
	return pg_atomic_read_u64(&ep_control->workers[worker].epoch) == epoch;
}

/* ------------------------------------------------------------ the first use */

static void
lease_exit(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	dlist_mutable_iter it;

	ep_acquire_abandon(InvalidSubTransactionId);
	dlist_foreach_modify(it, &leases)
		ep_lease_give_back(dlist_container(EpLease, node, it.cur));
	ep_backends[ep_my_procno_compat()].pid = 0;
	ep_backends[ep_my_procno_compat()].under_way = 0;
}

/*
 * Make this process known as one that may hold leases.  Its entry is free:
 * who had this proc number before has left it in order (lease_exit).
 */
static void
first_use(void)
{
	EpBackend  *me;

	ep_require_preload();
	before_shmem_exit(lease_exit, (Datum) 0);
	me = &ep_backends[ep_my_procno_compat()];
	me->pid = MyProcPid;
	me->deadlock = false;
	first_use_done = true;
}

/* --------------------------------------------------------- coming into being */

/*
 * An EpLease to be registered, filled but for the connection.  It stays the
 * spare one until ep_lease_register: if that never happens nothing is lost.
 * Raises 55000 without preload.
 */
EpLease *
ep_lease_prepare(EpPoolRef *ref, EpLeaseKind kind, bool hold, const char *name)
{
	EpLease    *lease;

	if (!first_use_done)
		first_use();
	if (spare == NULL)
		spare = MemoryContextAlloc(TopMemoryContext, sizeof(EpLease));
	lease = spare;
	memset(lease, 0, offsetof(EpLease, followed.text));
	lease->kind = kind;
	lease->ref = ref;
	lease->role = ref->role;
	lease->hold = hold;
	lease->subid = GetCurrentSubTransactionId();
	if (name)
		ep_copy_text(lease->name, sizeof(lease->name), name);
	return lease;
}

/*
 * The connection, LEASED in this process's name, is this lease's from now on.
 * Caller holds the pool's lock.
 */
void
ep_lease_register(EpLease *lease, EpConn *conn)
{
	Assert(lease == spare);
	spare = NULL;
	lease->pool = conn->pool;
	lease->slot = ep_conn_slot(conn);
	lease->conn_id = conn->conn_id;
	lease->flushed_us = conn->leased_us;
	lease->number = (int64) pg_atomic_fetch_add_u64(&ep_control->next_lease, 1);
	conn->lease = lease->number;
	ep_conn_set_kind(conn, lease->kind);
	conn->hold = lease->hold;
	conn->lease_role = lease->role;
	memcpy(conn->lease_name, lease->name, sizeof(conn->lease_name));
	dlist_push_head(&leases, &lease->node);
}

/* The lease is over; its memory serves the next one. */
static void
forget(EpLease *lease)
{
	dlist_delete(&lease->node);
	ep_async_discard(lease);
	ep_notify_discard(lease);
	if (lease->session)
		ep_session_lease_gone(lease);
	if (lease->desc)
	{
		/*
		 * what was left unread or unsent is another's now: keep no memory for
		 * it
		 */
		ep_wire_reset(&lease->desc->wire, lease->desc->fd);
		ep_wire_shrink(&lease->desc->wire);
		lease->desc->pinned = false;
	}
	if (spare == NULL)
		spare = lease;
	else
		pfree(lease);
}

/* ------------------------------------------------------------- giving back */

/*
 * Has the remote got only a part of a message?  When nothing was sent since
 * it was last at rest, what stands in the buffer was never begun: forget it.
 */
static bool
half_sent(EpLease *lease)
{
	EpWire	   *wire = &lease->desc->wire;
	char		type;

	if (wire->out.data == NULL || wire->out.len == 0)
		return false;
	if (lease->copy_in)
	{
		/*
		 * the rest of a CopyData can be made up, for the COPY is to fail;
		 * nothing else can
		 */
		ep_wire_cut(wire);
		return ep_wire_begun(wire, &type) > 0 && (type != 'd' || !ep_lease_in_the_middle(lease));
	}
	if (ep_lease_in_the_middle(lease) || wire->out.cursor > 0)
		return ep_wire_unsent(wire) || wire->out_message >= 0;
	resetStringInfo(&wire->out);
	wire->out_message = -1;
	return false;
}

/* What is left to send of a CopyData: all that half_sent() leaves of a COPY's data. */
static size_t
padding(const EpLease *lease)
{
	char		type;

	return lease->copy_in ? ep_wire_begun(&lease->desc->wire, &type) : 0;
}

/*
 * The remote is at rest: what else was received, if anything, must be whole
 * messages that answer nothing.  The next holder would not see bytes that were
 * taken from the socket here.
 */
static bool
nothing_unread(EpWire *wire)
{
	EpMessage	msg;

	if (wire->to_skip > 0)
		return false;
	while (wire->in_start < wire->in_end)
	{
		if (ep_wire_next(wire, &msg) != EP_IO_OK || !ep_message_is_async(msg.type) || ep_message_garbles(&msg))
			return false;
	}
	return true;
}

/* What the state of this process's end says: may the connection be used again? */
static bool
must_break(EpLease *lease)
{
	if (lease->broken)
		return true;
	if (lease->desc == NULL)
		return false;			/* never used */
	if (half_sent(lease) || padding(lease) > EP_MAX_PADDING)
		return true;
	return !ep_lease_in_the_middle(lease) && !nothing_unread(&lease->desc->wire);
}

/* Must the session be reset before anybody uses it again?  Caller holds the pool's lock. */
static bool
needs_reset(const EpPool *pool, const EpConn *conn, const EpLease *lease)
{
	switch ((EpReset) EP_INT(&pool->def.set, EP_S_RESET))
	{
		case EP_RESET_ALWAYS:
			return lease->used;
		case EP_RESET_NEVER:
			return conn->name_set;
		default:
			return conn->dirty || conn->name_set || (lease->kind == EP_KIND_LEASE && lease->used);
	}
}

/* Leave an exchange to the worker.  Caller holds the pool's lock. */
static void
leave_to_worker(EpConn *conn, EpLease *lease)
{
	EpUnfinished unfinished = {0};

	if (ep_lease_in_the_middle(lease))
	{
		ep_wire_leave_unfinished(&lease->desc->wire, lease->syncs, &unfinished);
		unfinished.need_sync = lease->need_sync;
		unfinished.copy_fail = lease->copy_in;
		unfinished.pad = (uint32) padding(lease);
	}
	if (unfinished.skip == PG_UINT32_MAX)
	{
		ep_conn_blame(conn, EP_END_UNCLEAN);
		ep_conn_to_broken(conn);
	}
	else
		ep_conn_to_cancelling(conn, &unfinished);
}

/*
 * The next state of a connection that its holder gives back.  Caller holds the
 * pool's lock, and does what is returned after releasing it.
 */
static EpGiven
dispose(EpPool *pool, EpConn *conn, EpLease *lease, bool broken)
{
	uint64		word = pg_atomic_exchange_u64(&conn->lease_word, 0);

	/*
	 * what a terminated connection was busy with is cancelled before it is
	 * ended
	 */
	if (broken || EP_LW_BITS(word) == EP_LW_REVOKED ||
		(conn->dead && !(conn->terminated && ep_lease_in_the_middle(lease))))
	{
		/* that a struck session's connection ends is no sign of trouble */
		bool		lost = lease->broken && conn->struck == EP_STRUCK_NOT;

		pool->lost |= lost;
		if (broken && !lease->broken && !conn->dead)
			ep_conn_blame(conn, EP_END_UNCLEAN);
		if (lost)
			(void) ep_pool_want_recheck(pool);
		if (conn->struck != EP_STRUCK_NOT)
			ep_conn_blame(conn, EP_END_SESSION_STRUCK);
		ep_conn_to_broken(conn);
		return EP_GIVEN_TO_WORKER;
	}
	if (ep_lease_in_the_middle(lease))
	{
		leave_to_worker(conn, lease);
		return EP_GIVEN_TO_WORKER;
	}
	conn->cancel_wanted = false;
	if (conn->cancel_busy)
	{
		/*
		 * a cancel request that is still on its way must not hit the next
		 * statement
		 */
		leave_to_worker(conn, lease);
		return EP_GIVEN_TO_WORKER;
	}

	/*
	 * one that is to be ended anyway is not reset first: ep_conn_give sees to
	 * it
	 */
	if (!ep_conn_must_go(pool, conn))
	{
		conn->needs_rollback = conn->tx_status != 'I';
		if (conn->needs_rollback || needs_reset(pool, conn, lease))
		{
			ep_conn_to_resetting(conn);
			return EP_GIVEN_TO_WORKER;
		}
	}
	if (lease->used)
		conn->last_role = lease->role;
	return ep_conn_give(pool, conn);
}

/*
 * The worker that opened the connection is gone, and with it everybody who
 * would end it.  The connection is still LEASED in this process's name.
 */
static void
end_orphan(EpPool *pool, EpConn *conn, EpLease *lease)
{
	static const char terminate[5] = {'X', 0, 0, 0, 4};
	EpEnded		ended = {.announced = false};

	if (lease->desc)
	{
		if (!lease->broken && !half_sent(lease) && padding(lease) == 0)
			(void) send(lease->desc->fd, terminate, sizeof(terminate), MSG_DONTWAIT | MSG_NOSIGNAL);
		(void) shutdown(lease->desc->fd, SHUT_RDWR);
	}
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (ep_lease_holds(lease, conn))
	{
		ep_conn_blame(conn, EP_END_WORKER_EXIT);
		ep_event_ending(conn, &ended);
		ep_conn_to_free(conn);
	}
	LWLockRelease(&pool->lock);
	ep_event_closed(&ended, "");
}

/*
 * Give the connection of a lease back, in whatever state it is, and forget the
 * lease.  Takes the pool's lock; raises nothing, allocates nothing and waits
 * for nobody else: it runs in abort and exit paths.
 */
void
ep_lease_give_back(EpLease *lease)
{
	EpPool	   *pool = &ep_pools[lease->pool];
	EpConn	   *conn = &ep_conns[lease->slot];
	EpGiven		given = EP_GIVEN_TO_WORKER;
	bool		broken = must_break(lease);
	bool		orphan = false;

	ep_lease_count_given_up(lease);
	ep_pool_lock(pool);
	if (ep_lease_holds(lease, conn))
	{
		uint64		now = ep_now_us();

		if (conn->tx_status != 'I' || lease->beginning)
		{
			/* one way or the other it is rolled back */
			lease->stats.transaction_count++;
			lease->stats.transaction_rollbacks++;
		}
		ep_lease_flush_stats(pool, conn, lease, now);
		if (lease->desc)
			ep_lease_count_end(pool, conn, now);

		/*
		 * The worker zeroes its epoch before it looks for connections to end:
		 * either it sees this one given back, or we see the epoch.
		 */
		/* what lets in the next session, whatever becomes of the connection */
		ep_conn_set_kind(conn, EP_KIND_STATEMENT);
		if (ep_worker_has(pool->worker, conn->epoch))
			given = dispose(pool, conn, lease, broken);
		else
			orphan = true;
		ep_queue_next(pool, &given);
	}
	LWLockRelease(&pool->lock);

	if (orphan)
		end_orphan(pool, conn, lease);
	ep_wake_given(pool, given);
	forget(lease);
}

/*
 * Give a lease back that is not needed any more.  The EpLease must not be used
 * after that.  Raises nothing.
 */
void
ep_lease_release(EpLease *lease)
{
	ep_lease_give_back(lease);
}

/* Give the lease of that number back, if this process still has it.  Raises nothing. */
void
ep_lease_drop(int64 number)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &leases)
	{
		EpLease    *lease = dlist_container(EpLease, node, it.cur);

		if (lease->number == number)
			ep_lease_give_back(lease);
	}
}

/* ----------------------------------------------------------- finding leases */

/*
 * The explicit lease or session with that number.  Raises 08003 if this
 * backend has none, 42501 if another role acquired it and the current user is
 * not superuser.
 */
EpLease *
ep_lease_find(int64 number)
{
	dlist_iter	it;

	dlist_foreach(it, &leases)
	{
		EpLease    *lease = dlist_container(EpLease, node, it.cur);

		if (lease->number != number || lease->kind == EP_KIND_STATEMENT)
			continue;
		if (lease->role != GetUserId() && !superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for lease %lld", (long long) number),
					 errdetail("It was acquired under another role.")));
		return lease;
	}
	ep_require_preload();
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
			 errmsg("lease %lld does not exist", (long long) number),
			 errhint("A lease belongs to the session that acquired it, and ends with the transaction unless it was acquired with hold.")));
}

/*
 * The lease of that name on that pool which the pool reference's role holds in
 * this backend, or NULL.  One that cannot be used any more is not returned.
 */
EpLease *
ep_lease_find_named(EpPoolRef *ref, const char *name)
{
	char		cut[EP_LEASE_NAME_SIZE];
	dlist_iter	it;

	ep_copy_text(cut, sizeof(cut), name);
	dlist_foreach(it, &leases)
	{
		EpLease    *lease = dlist_container(EpLease, node, it.cur);

		if (lease->kind == EP_KIND_LEASE && lease->pool == ref->pool && lease->role == ref->role &&
			!lease->broken && lease->name[0] != '\0' && strcmp(lease->name, cut) == 0)
			return lease;
	}
	return NULL;
}

/* Raise 55006 if rows of the lease are being read, or it is otherwise in use by an outer call. */
void
ep_lease_check_not_in_use(const EpLease *lease)
{
	if (lease->in_use)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("lease %lld is in use", (long long) lease->number),
				 errdetail("A function that was called while its rows are read cannot use it.")));
}

/* Has it a transaction, or one that is being opened, that only the end of the local one may end? */
static bool
open_session(const EpLease *lease)
{
	return lease->kind == EP_KIND_SESSION &&
		(ep_session_has_begun(lease) || lease->pending != NULL || ep_conns[lease->slot].struck != EP_STRUCK_NOT);
}

/*
 * Release an explicit lease by its number.  Returns false if this backend has
 * none of that number.  Raises 42501 for another role's, 55006 for one in use,
 * 55000 for a session with an open transaction, 25P03 or 25P04 for one that a
 * time-out has struck: it is a reason for the local transaction to abort.
 */
bool
ep_lease_release_number(int64 number)
{
	dlist_iter	it;
	EpLease    *lease = NULL;

	dlist_foreach(it, &leases)
	{
		EpLease    *l = dlist_container(EpLease, node, it.cur);

		if (l->number == number && l->kind != EP_KIND_STATEMENT)
			lease = l;
	}
	if (lease == NULL)
		return false;
	lease = ep_lease_find(number);
	ep_lease_check_not_in_use(lease);
	ep_lease_check_struck(lease);
	if (open_session(lease))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("session %lld has an open transaction", (long long) number),
				 errdetail("It ends with the local transaction.")));
	ep_lease_release(lease);
	return true;
}

/*
 * Release every explicit lease of this backend that the current user may use,
 * but those in use by an outer call, sessions with an open transaction, and those
 * that a time-out has struck.
 * Returns how many were released.  Raises nothing.
 */
int
ep_lease_release_all(void)
{
	dlist_mutable_iter it;
	bool		all = superuser();
	int			n = 0;

	dlist_foreach_modify(it, &leases)
	{
		EpLease    *lease = dlist_container(EpLease, node, it.cur);

		if (lease->kind == EP_KIND_STATEMENT || lease->in_use || open_session(lease) ||
			(!all && lease->role != GetUserId()))
			continue;
		ep_lease_release(lease);
		n++;
	}
	return n;
}

/* Release everything: the session is to look like a new one.  Raises nothing. */
void
ep_lease_discard_all(void)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &leases)
		ep_lease_release(dlist_container(EpLease, node, it.cur));
}

/* ------------------------------------------- the ends of (sub)transactions */

/*
 * A time-out has struck the session in its exchange, and the lease outlives the
 * subtransaction that has got the error: nobody uses the connection any more,
 * and the worker need not wait for the end of the transaction.
 */
static void
leave_struck(EpLease *lease)
{
	lease->in_exchange = false;
	lease->need_drain = false;
	lease->broken = true;
	pg_atomic_write_u64(&ep_conns[lease->slot].lease_word,
						EP_LW(lease->conn_id, ep_my_procno_compat(), EP_LW_REVOKED));
	ep_wake_worker(ep_pools[lease->pool].worker);
}

/*
 * A lease outlives the (sub)transaction or the operation of which its exchange
 * was under way.  Nobody reads the answer any more: have it cancelled now, and
 * read to its end before the next use (ep_lease_enter).  Raises nothing.
 */
void
ep_lease_cut(EpLease *lease)
{
	uint64		word = EP_LW(lease->conn_id, ep_my_procno_compat(), EP_LW_IN_EXCHANGE);

	lease->in_use = false;
	ep_lease_count_given_up(lease);
	ep_async_discard(lease);
	if (lease->desc == NULL || !lease->in_exchange)
		return;
	if (ep_conns[lease->slot].struck != EP_STRUCK_NOT)
	{
		leave_struck(lease);
		return;
	}
	lease->broken = lease->broken || half_sent(lease);
	if (!lease->broken && ep_lease_in_the_middle(lease))
	{
		lease->need_drain = true;
		ep_conns[lease->slot].cut_us = ep_now_us();
		if (!lease->cancel_sent)
			ep_lease_request_cancel(lease);
		return;					/* the word still says IN_EXCHANGE, and rightly so */
	}
	lease->need_drain = false;
	lease->in_exchange = false;
	ep_conns[lease->slot].rested_us = ep_now_us();
	if (!pg_atomic_compare_exchange_u64(&ep_conns[lease->slot].lease_word, &word,
										EP_LW(lease->conn_id, ep_my_procno_compat(), EP_LW_RESTING)))
		lease->broken = true;
}

/*
 * The transaction is over.  Leases with hold stay: at commit all of them, at
 * abort those that an earlier transaction acquired.  What was sent on one of
 * them stays with it, unless the transaction that sent it aborts.
 */
static void
end_transaction(bool commit)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &leases)
	{
		EpLease    *lease = dlist_container(EpLease, node, it.cur);

		if (!lease->hold || (!commit && lease->subid != InvalidSubTransactionId))
		{
			ep_lease_give_back(lease);
			continue;
		}
		lease->subid = InvalidSubTransactionId;
		if (!commit && (lease->pending == NULL || lease->use_subid != InvalidSubTransactionId))
			ep_lease_cut(lease);
		lease->use_subid = InvalidSubTransactionId;
	}
}

static void
xact_callback(XactEvent event, void *arg pg_attribute_unused())
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			if (!dlist_is_empty(&leases))
				end_transaction(true);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			ep_acquire_abandon(InvalidSubTransactionId);
			if (!dlist_is_empty(&leases))
				end_transaction(false);
			break;
		default:
			break;
	}
}

/* What a subtransaction acquired or began is its parent's now. */
static void
commit_subtransaction(SubTransactionId mine, SubTransactionId parent)
{
	dlist_iter	it;

	dlist_foreach(it, &leases)
	{
		EpLease    *lease = dlist_container(EpLease, node, it.cur);

		if (lease->subid == mine)
			lease->subid = parent;
		if (lease->use_subid == mine)
			lease->use_subid = parent;
	}
}

/*
 * What a subtransaction acquired goes back.  A lease of an outer one whose
 * exchange began in it survives; one that an outer call is using right now
 * (its rows called the function that failed) is left alone.  What the remote
 * was sent of local settings may be rolled back with it.
 */
static void
abort_subtransaction(SubTransactionId mine)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &leases)
	{
		EpLease    *lease = dlist_container(EpLease, node, it.cur);

		ep_lease_forget_settings(lease);
		if (lease->subid == mine)
			ep_lease_give_back(lease);
		else if (lease->use_subid == mine)
			ep_lease_cut(lease);
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
				 void *arg pg_attribute_unused())
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		ep_acquire_abandon(mine);
	if (dlist_is_empty(&leases))
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		abort_subtransaction(mine);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		commit_subtransaction(mine, parent);
}

/* Register what ends leases with their (sub)transaction; called once, from _PG_init. */
void
ep_lease_install(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
