/*-------------------------------------------------------------------------
 *
 * enter.c
 *		Before and after each exchange on a lease.
 *
 * The lease word says whether the backend is in an exchange.  The worker may
 * revoke a lease that rests, by compare-and-swap; one in an exchange it can
 * only disturb by shutting the socket down, which the reader sees.  So between
 * enter and leave nobody else touches the session.
 *
 * A statement whose answer nobody waits for any more (ep_lease_cut)
 * is read to its end here, where one may wait and be interrupted, and not in
 * the abort callback, where one may not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "client/exchange.h"
#include "client/lease.h"
#include "client/notify.h"
#include "client/session.h"
#include "client/socket_wait.h"
#include "client/turn.h"
#include "compat.h"

/* How often a wait for the worker looks whether the worker is still there. */
#define WORKER_POLL_MS	500

/* ------------------------------------------------------------------ cancel */

/*
 * Ask the worker to cancel what runs on the connection.  May be called in
 * abort paths: raises nothing and waits for nobody.  The next ep_lease_enter
 * waits until no request is on its way any more.
 */
void
ep_lease_request_cancel(EpLease *lease)
{
	EpPool	   *pool = &ep_pools[lease->pool];
	EpConn	   *conn = &ep_conns[lease->slot];

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->conn_id == lease->conn_id)
		conn->cancel_wanted = conn->cancel_busy = true;
	LWLockRelease(&pool->lock);
	lease->cancel_sent = true;
	ep_wake_worker(pool->worker);
}

/*
 * The statement has ended: a request that is not sent yet is not to be sent.
 * Returns whether one is on its way; *dead tells that the connection must not
 * be used, for example because one was given up that may still arrive.
 */
static bool
withdraw_cancel(EpLease *lease, bool *dead)
{
	EpPool	   *pool = &ep_pools[lease->pool];
	EpConn	   *conn = &ep_conns[lease->slot];
	bool		withdrawn;
	bool		busy;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	withdrawn = conn->cancel_wanted;
	conn->cancel_wanted = false;
	busy = conn->cancel_busy;
	*dead = conn->dead;
	LWLockRelease(&pool->lock);
	if (withdrawn)
		ep_wake_worker(pool->worker);
	return busy;
}

/* Whether a dead worker's request was sent, or still arrives, nobody can tell. */
static void
check_canceller(EpLease *lease)
{
	if (!ep_worker_has(ep_pools[lease->pool].worker, ep_conns[lease->slot].epoch))
		ep_raise_lost(lease, "The enhanced_pool worker ended while a cancel request was on its way.");
}

/* Raises if the worker has given the connection up, which it says by that flag. */
static void
check_canceled(EpLease *lease, bool dead)
{
	if (dead)
		ep_raise_lost(lease, "It has ended, or a cancel request that got no answer may still arrive.");
}

/*
 * Wait until no cancel request is on its way that could hit the next
 * statement.  Raises 08006 if that will never be known.
 */
static void
await_cancel(EpLease *lease)
{
	static uint32 wait_event = 0;
	bool		dead;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolCancel");
	while (withdraw_cancel(lease, &dead))
	{
		check_canceller(lease);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 WORKER_POLL_MS, wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	check_canceled(lease, dead);
	lease->cancel_sent = false;
}

/* -------------------------------------------------------- time-outs of sessions */

/*
 * Raise 25P03 or 25P04 if a time-out has struck the session: it was rolled back,
 * or is about to be, and the local transaction must not commit its half alone.
 * Raises nothing for other leases.  No lock is needed: the mark is set under the
 * pool's lock, and stays until the lease is given back.
 */
void
ep_lease_check_struck(const EpLease *lease)
{
	EpStruck	struck = ep_conns[lease->slot].struck;
	const char *setting = struck == EP_STRUCK_IDLE ? "idle_in_session_timeout" : "session_timeout";

	if (likely(struck == EP_STRUCK_NOT))
		return;
	ereport(ERROR,
			(errcode(struck == EP_STRUCK_IDLE ? ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT : EP_ERRCODE_SESSION_TIMEOUT),
			 errmsg("session on pool \"%s\" was ended due to %s", lease->ref->name, setting),
			 errdetail("Its remote transaction was rolled back, so the local one can only be rolled back, too."),
			 errhint("Raise %s, or end transactions that have sessions sooner.", setting)));
}

/*
 * The session is about to be committed: from here on no time-out strikes it, as
 * nobody could tell whether it has hit before the remote's COMMIT.  Raises 25P03
 * or 25P04 if one has struck before.  No lock held.
 */
void
ep_lease_seal(EpLease *lease)
{
	EpPool	   *pool = &ep_pools[lease->pool];
	EpConn	   *conn = &ep_conns[lease->slot];

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->struck == EP_STRUCK_NOT)
		conn->sealed = true;
	LWLockRelease(&pool->lock);
	ep_lease_check_struck(lease);
}

/* ------------------------------------------------------------------- drain */

/* A statement has ended whose answer nobody wants. */
static void
drop_command(EpLease *lease, const EpMessage *msg)
{
	EpReader	r;
	const char *tag;

	ep_reader_init(&r, msg);
	tag = ep_read_string(&r);
	ep_notify_note_command(lease, tag);
	if (ep_tag_drops_statements(tag))
		ep_conn_forget_statements(&ep_conns[lease->slot]);
	ep_session_confirm(lease);
}

/* Something is said beside the answer: that holds whoever wants the rest. */
static void
drop_async(EpLease *lease, const EpMessage *msg)
{
	EpTurn		turn = {.lease = lease, .conn = &ep_conns[lease->slot], .wire = &lease->desc->wire};

	(void) ep_turn_take_async(&turn, msg);
}

/* One message of an answer that nobody wants, but for what it says about a session. */
static void
drop_message(EpLease *lease, const EpMessage *msg)
{
	switch (msg->type)
	{
		case 'Z':
			if (!ep_parse_ready(msg, &ep_conns[lease->slot].tx_status))
				ep_raise_malformed(lease, "malformed ReadyForQuery");
			lease->beginning = false;
			lease->syncs--;
			break;
		case 'A':
		case 'S':
			drop_async(lease, msg);
			break;
		case 'C':
			drop_command(lease, msg);
			break;
		case 'E':
			ep_session_reject(lease);
			break;
		case 'G':
			if (lease->copy_in)
				break;			/* its CopyFail is on the way */
			/* FALLTHROUGH */
		case 'W':

			/*
			 * which Syncs the remote still answers depends on when the cancel
			 * request hits
			 */
			ep_raise_lost(lease, "A COPY was interrupted.");
			break;
		default:
			break;
	}
}

/* Drop what was received.  Returns false when more is needed. */
static bool
drop_received(EpLease *lease)
{
	EpWire	   *wire = &lease->desc->wire;
	EpMessage	msg;

	while (lease->syncs > 0)
	{
		if (ep_wire_drop_rest(wire) == EP_IO_AGAIN)
			return false;
		if (ep_wire_drop_data(wire))
			continue;
		switch (ep_wire_next(wire, &msg))
		{
			case EP_IO_OK:
				drop_message(lease, &msg);
				break;
			case EP_IO_AGAIN:
				return false;
			default:
				ep_raise_malformed(lease, wire->complaint);
		}
	}
	return true;
}

/* Send and receive what can be.  Returns false if that is nothing, and what is to be waited for. */
static bool
receive(EpLease *lease, uint32 *events)
{
	EpWire	   *wire = &lease->desc->wire;

	*events = WL_SOCKET_READABLE;
	if (ep_wire_unsent(wire))
	{
		EpIo		io = ep_wire_flush(wire);

		if (io == EP_IO_ERROR)
			ep_raise_lost(lease, "The connection was closed.");
		if (io == EP_IO_AGAIN)
			*events |= WL_SOCKET_WRITEABLE;
	}
	switch (ep_wire_fill(wire))
	{
		case EP_IO_OK:
			return true;
		case EP_IO_AGAIN:
			return false;
		case EP_IO_EOF:
			ep_raise_lost(lease, "The remote server closed the connection.");
		default:
			errno = wire->saved_errno;
			ep_raise_lost(lease, psprintf("Could not receive: %m."));
	}
}

/*
 * Have a COPY fail for which data was being sent.  A remote that has refused
 * it, or that the cancel request has reached, drops this, and what it has not
 * read of the data.  May be called again if sending was interrupted.
 */
static void
fail_copy(EpLease *lease)
{
	EpWire	   *wire = &lease->desc->wire;

	ep_wire_cut(wire);
	ep_wire_begin(wire, 'f');
	ep_wire_put_string(wire, EP_COPY_CUT);
	ep_wire_end(wire);
}

/* What is left of the data of a COPY that has ended by itself: the remote drops it. */
static void
send_rest(EpLease *lease)
{
	EpWire	   *wire = &lease->desc->wire;

	while (ep_wire_unsent(wire))
	{
		EpIo		io;

		CHECK_FOR_INTERRUPTS();
		ep_check_terminated(lease);
		io = ep_wire_flush(wire);
		if (io == EP_IO_ERROR)
			ep_raise_lost(lease, "The connection was closed.");
		if (io == EP_IO_AGAIN)
			(void) ep_descriptor_wait(lease->desc, WL_SOCKET_WRITEABLE, -1);
	}
}

/* See to it that the answer has an end. */
static void
begin_drain(EpLease *lease)
{
	EpWire	   *wire = &lease->desc->wire;

	if (lease->copy_in && lease->syncs > 0)
		fail_copy(lease);
	if (lease->need_sync)
	{
		ep_wire_put_simple(wire, 'S');
		lease->syncs++;
		lease->need_sync = false;
	}
}

/* Is there still an end to be expected?  Raises if not. */
static void
check_drain(EpLease *lease)
{
	ep_check_terminated(lease);

	/*
	 * the worker interrupts us when it ends, or gives up: without a cancel
	 * this may take for ever.  The flag is read without the lock: nobody
	 * takes it back.
	 */
	if (lease->cancel_sent)
	{
		check_canceller(lease);
		check_canceled(lease, ep_conns[lease->slot].dead);
	}
}

/*
 * Read the answer of a statement that was given up to its end, so that the
 * remote is at rest.  Interruptible: the next attempt goes on from there.
 */
static void
drain(EpLease *lease)
{
	uint32		events;

	begin_drain(lease);
	while (!drop_received(lease))
	{
		CHECK_FOR_INTERRUPTS();
		check_drain(lease);
		if (!receive(lease, &events))
			(void) ep_descriptor_wait(lease->desc, events, -1);
	}
	send_rest(lease);
	ep_wire_shrink(&lease->desc->wire);
	lease->need_drain = false;
}

/* ---------------------------------------------------------- enter and leave */

/* From RESTING to IN_EXCHANGE; fails if the worker revoked the lease. */
static bool
take_turn(EpLease *lease)
{
	uint64		word = EP_LW(lease->conn_id, ep_my_procno_compat(), EP_LW_RESTING);

	return pg_atomic_compare_exchange_u64(&ep_conns[lease->slot].lease_word, &word,
										  EP_LW(lease->conn_id, ep_my_procno_compat(), EP_LW_IN_EXCHANGE));
}

/*
 * The remote has closed the connection while nobody used it: raise what it
 * gave as the reason, if it did.
 */
void
ep_lease_raise_closed(EpLease *lease)
{
	EpWire	   *wire = &lease->desc->wire;
	EpMessage	msg;
	EpErrorFields fields;

	ep_lease_mark_broken(lease);
	(void) ep_wire_fill(wire);
	while (ep_wire_next(wire, &msg) == EP_IO_OK)
	{
		if (msg.type == 'E' && ep_parse_error(&msg, &fields))
			ep_raise_remote(lease, &fields, NULL);
	}
	ep_raise_lost(lease, "The remote server closed the connection.");
}

/*
 * Begin to use the connection of a lease: from here to ep_lease_leave it is
 * this process's alone, and the remote stands at ReadyForQuery.  Waits, when
 * the last statement was given up, until its answer has ended.  No lock held.
 * Raises 55006 if an outer call uses the lease or the result of what was sent on
 * it was not taken, 25P03 or 25P04 if a time-out has struck the session, 57P01
 * if an administrator terminated the connection, 08006 if it is lost or what the remote gave as the
 * reason, and what interrupts raise.
 */
void
ep_lease_enter(EpLease *lease)
{
	ep_lease_check_not_in_use(lease);
	if (lease->pending)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("lease %lld has a statement that was sent and whose result was not taken", (long long) lease->number),
				 errhint("Take it with enhanced_pool.get_result or get_count; enhanced_pool.cancel ends it sooner.")));
	ep_check_terminated(lease);
	if (lease->broken)
		ep_raise_lost(lease, "The connection was lost before.");
	/* after an exchange that was given up the word has stayed at IN_EXCHANGE */
	if (!lease->in_exchange)
	{
		if (!take_turn(lease))
		{
			ep_check_terminated(lease);
			ep_lease_raise_closed(lease);
		}
		lease->in_exchange = true;
	}
	ep_conns[lease->slot].cut_us = 0;
	lease->in_use = true;
	lease->use_subid = GetCurrentSubTransactionId();
	lease->used = true;
	if (lease->need_drain)
		drain(lease);
	lease->copy_in = false;		/* also if nothing of a COPY was sent */
	if (lease->cancel_sent)
		await_cancel(lease);
}

/* Add an explicit lease's numbers to the pool's while it is held. */
static void
flush_now(EpLease *lease)
{
	EpPool	   *pool = &ep_pools[lease->pool];

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	ep_lease_flush_stats(pool, &ep_conns[lease->slot], lease, ep_now_us());
	LWLockRelease(&pool->lock);
}

/*
 * The exchange is over, the remote at rest; the lease may be used again.
 * Raises nothing.
 */
void
ep_lease_leave(EpLease *lease)
{
	uint64		word = EP_LW(lease->conn_id, ep_my_procno_compat(), EP_LW_IN_EXCHANGE);

	Assert(lease->broken || (lease->syncs == 0 && !lease->need_sync));
	lease->in_use = false;
	lease->in_exchange = false;
	lease->copy_in = false;
	lease->use_subid = InvalidSubTransactionId;
	if (lease->kind == EP_KIND_SESSION)
		ep_conns[lease->slot].rested_us = ep_now_us();	/* before the word says so */
	if (!pg_atomic_compare_exchange_u64(&ep_conns[lease->slot].lease_word, &word,
										EP_LW(lease->conn_id, ep_my_procno_compat(), EP_LW_RESTING)))
		lease->broken = true;
	if (lease->cancel_sent)
	{
		bool		dead;

		(void) withdraw_cancel(lease, &dead);
	}
	if (lease->kind != EP_KIND_STATEMENT)
		flush_now(lease);
}

/*
 * After ep_lease_cut, without waiting: take what has come of the answer of the
 * statement that was given up.  Returns true when the lease may be used again
 * without waiting for anything, or never had to be drained; until then the
 * caller waits for *events of its socket or its own latch, and looks for
 * interrupts.  Not for a lease on which a COPY was under way.  Raises 08006,
 * 57P01, 25P03 and 25P04.
 */
bool
ep_lease_drain_poll(EpLease *lease, uint32 *events)
{
	bool		dead;

	*events = WL_SOCKET_READABLE;
	if (!lease->need_drain)
		return true;
	begin_drain(lease);
	while (!drop_received(lease))
	{
		check_drain(lease);
		if (!receive(lease, events))
			return false;
	}
	if (lease->cancel_sent)
	{
		if (withdraw_cancel(lease, &dead))
		{
			check_canceller(lease);
			return false;
		}
		if (dead)
			ep_raise_lost(lease, "It has ended, or a cancel request that got no answer may still arrive.");
		lease->cancel_sent = false;
	}
	ep_wire_shrink(&lease->desc->wire);
	lease->need_drain = false;
	ep_lease_leave(lease);
	return true;
}

/* The connection must not be used again: it is ended when the lease is given back. */
void
ep_lease_mark_broken(EpLease *lease)
{
	lease->broken = true;
}
