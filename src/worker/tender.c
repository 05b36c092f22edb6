/*-------------------------------------------------------------------------
 *
 * tender.c
 *		What happens to a connection between two leases: cancelling and
 *		draining what a backend left, resetting, validating.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "shared/events.h"
#include "worker/complaint.h"
#include "worker/kept.h"

#define DRAIN_TIMEOUT_US	10000000	/* from the cancel request to the end of the answer */
#define RESET_TIMEOUT_US	30000000
#define VALIDATE_TIMEOUT_US	10000000
#define HOLDER_GRACE_US		5000000 /* until a connection whose holder was told that its time is over is ended */

/* ----------------------------------------------------------------- cancel */

static void
start_cancel(EpKept *kept)
{
	if (kept->cancel == NULL)
		kept->cancel = ep_cancel_start(kept->pg, &kept->key);
}

typedef enum Settled
{
	SETTLED_NOT,				/* a request is on its way */
	SETTLED,					/* none is */
	SETTLED_NEVER				/* one was given up, which may arrive at any time */
} Settled;

/* Is no request on its way any more?  Frees them then. */
static Settled
cancel_settled(EpKept *kept)
{
	bool		given_up;

	if (kept->cancel == NULL)
		return SETTLED;
	if (ep_cancel_busy(kept->cancel))
		return SETTLED_NOT;
	given_up = ep_cancel_given_up(kept->cancel);
	ep_cancel_free(kept->cancel);
	kept->cancel = NULL;
	return given_up ? SETTLED_NEVER : SETTLED;
}

/*
 * An administrator has the connection ended, or the time of the session that
 * has it is over.  A holder in an exchange sees that by itself; one that rests
 * finds its lease revoked, and the remote need not wait for that: it rolls back
 * when we say goodbye.  Nor does it wait for long for a holder whose statement
 * has been cancelled meanwhile, as he may be busy with something else, and not
 * at all if he has given that statement up: who comes back to read the rest sees
 * the mark first.
 */
static void
end_leased(EpKept *kept, uint64 now_us)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpPool	   *pool = ep_kept_pool(kept);
	bool		revoked = false;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->state == EP_LEASED && conn->conn_id == kept->conn_id)
	{
		uint64		word = EP_LW(conn->conn_id, conn->owner, EP_LW_RESTING);

		revoked = pg_atomic_compare_exchange_u64(&conn->lease_word, &word,
												 EP_LW(conn->conn_id, conn->owner, EP_LW_REVOKED)) ||
			EP_LW_BITS(word) == EP_LW_REVOKED;
		revoked = revoked || conn->cut_us != 0 ||
			(conn->struck != EP_STRUCK_NOT && now_us >= conn->struck_us + HOLDER_GRACE_US) ||
			(conn->terminated && now_us >= conn->terminated_us + HOLDER_GRACE_US);
		if (conn->struck != EP_STRUCK_NOT)
			ep_conn_blame(conn, revoked ? EP_END_SESSION_STRUCK : EP_END_NONE);
	}
	LWLockRelease(&pool->lock);
	if (revoked)
		ep_closer_hang_up(kept);
}

/* A holder that goes on with its connection has asked for a cancel, or its statement has ended. */
static void
tend_leased(EpKept *kept, uint64 now_us)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpPool	   *pool = ep_kept_pool(kept);
	Settled		settled;

	if (!conn->cancel_busy && kept->cancel == NULL)
		return;
	if (conn->cancel_wanted)
	{
		start_cancel(kept);
		ep_cancel_tick(kept->cancel, now_us);
		return;
	}
	if (kept->cancel)
	{
		ep_cancel_stop_repeating(kept->cancel);
		ep_cancel_tick(kept->cancel, now_us);
	}
	settled = cancel_settled(kept);
	if (settled == SETTLED_NOT)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->state == EP_LEASED && !conn->cancel_wanted)
	{
		conn->cancel_busy = false;
		conn->dead |= settled == SETTLED_NEVER;
		if (settled == SETTLED_NEVER)
			ep_conn_blame(conn, EP_END_CANCEL_FAILED);
		ep_signal_holder(conn->owner);
	}
	LWLockRelease(&pool->lock);
}

/* -------------------------------------------------------- cancel and drain */

static void
begin_drain(EpKept *kept, uint64 now_us)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpUnfinished unfinished = conn->unfinished; /* not written by anybody else in this state */

	ep_wire_reset(&kept->wire, kept->fd);
	ep_talk_begin(&kept->talk);
	if (!ep_talk_resume(&kept->talk, &kept->wire, &unfinished))
	{
		ep_kept_break(kept, kept->talk.error);
		return;
	}
	if (kept->talk.answers > 0)
		start_cancel(kept);
	ep_kept_run(kept, EP_TASK_DRAIN, now_us + DRAIN_TIMEOUT_US);
}

/*
 * Everything was read.  The transaction status of an answer that the backend
 * had begun to read is not known, so a ROLLBACK is always sent.
 */
static void
end_drain(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	/* the reset that follows need not be one that does so */
	if (kept->talk.forget)
		ep_conn_forget_statements(conn);
	conn->needs_rollback = true;
	conn->cancel_wanted = conn->cancel_busy = false;
	ep_conn_to_resetting(conn);
	LWLockRelease(&pool->lock);
	kept->task = EP_TASK_NONE;
	kept->deadline = 0;
	SetLatch(MyLatch);
}

/* The next holder must not be hit by a request meant for the last one. */
static void
await_cancel(EpKept *kept, uint64 now_us)
{
	if (kept->cancel)
	{
		ep_cancel_stop_repeating(kept->cancel);
		ep_cancel_tick(kept->cancel, now_us);
	}
	switch (cancel_settled(kept))
	{
		case SETTLED_NOT:
			break;
		case SETTLED:
			end_drain(kept);
			break;
		case SETTLED_NEVER:
			ep_kept_break(kept, "a cancel request got no answer and may still arrive");
			break;
	}
}

/*
 * Would the connection be ended when this is over?  Then at once, above all if
 * the pool's definition was changed: what that says now must not be run on a
 * connection that was made, and authenticated, as it said before.
 */
static bool
unwanted(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	bool		must_go;

	LWLockAcquire(&pool->lock, LW_SHARED);
	must_go = ep_conn_must_go(pool, ep_kept_conn(kept));
	LWLockRelease(&pool->lock);
	if (must_go)
		ep_kept_break(kept, "it is not wanted any more");
	return must_go;
}

/* ------------------------------------------------------------------- reset */

static void
begin_reset(EpKept *kept, uint64 now_us)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpPool	   *pool = ep_kept_pool(kept);
	bool		never;

	LWLockAcquire(&pool->lock, LW_SHARED);
	never = EP_INT(&pool->def.set, EP_S_RESET) == EP_RESET_NEVER;
	LWLockRelease(&pool->lock);

	if (unwanted(kept))
		return;
	ep_wire_reset(&kept->wire, kept->fd);
	ep_talk_begin(&kept->talk);
	if (conn->needs_rollback)
		ep_talk_query(&kept->talk, &kept->wire, "ROLLBACK");
	if (!never)
	{
		const char *text;

		ep_talk_query(&kept->talk, &kept->wire, ep_kept_text(pool, EP_S_RESET_QUERY));
		ep_opener_put_settings(kept);
		text = ep_kept_text(pool, EP_S_CONNECT_QUERY);
		if (text[0] != '\0')
			ep_talk_query(&kept->talk, &kept->wire, text);
	}
	else if (conn->name_set)
		ep_talk_query(&kept->talk, &kept->wire, "RESET application_name");
	ep_kept_run(kept, EP_TASK_RESET, now_us + RESET_TIMEOUT_US);
}

static void
end_reset(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (kept->talk.forget)
		ep_conn_forget_statements(conn);
	ep_talk_read_state(&kept->talk, &conn->host_state);
	conn->last_role = InvalidOid;
	conn->dirty = conn->name_set = conn->needs_rollback = false;
	conn->tx_status = 'I';
	pool->last_success_us = ep_now_us();
	conn->stats.reset_count++;
	pool->stats.reset_count++;
	LWLockRelease(&pool->lock);
	ep_kept_give(kept);
}

/* -------------------------------------------------------------- validation */

static void
begin_validation(EpKept *kept, uint64 now_us)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);
	bool		asks_state;

	if (unwanted(kept))
		return;
	ep_wire_reset(&kept->wire, kept->fd);
	ep_talk_begin(&kept->talk);
	ep_talk_query(&kept->talk, &kept->wire, ep_kept_text(pool, EP_S_VALIDATION_QUERY));
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	/* whatever happens from here on is reason to look once more */
	conn->checked_us = now_us;
	conn->doubted = false;
	asks_state = ep_failover_acts(pool);
	LWLockRelease(&pool->lock);
	if (asks_state)
		ep_talk_ask_state(&kept->talk, &kept->wire);
	ep_kept_run(kept, EP_TASK_VALIDATE, now_us + VALIDATE_TIMEOUT_US);
}

static void
end_validation(EpKept *kept, bool valid)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);
	char		why[EP_TALK_ERROR_SIZE + 64];
	EpEventPool whose;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	ep_event_pool(pool, &whose);
	conn->stats.validation_count++;
	pool->stats.validation_count++;
	if (valid)
	{
		conn->last_validated_us = pool->last_success_us = ep_now_us();
		conn->last_validated_at = GetCurrentTimestamp();
		ep_talk_read_state(&kept->talk, &conn->host_state);
	}
	else
	{
		conn->stats.validation_failures++;
		pool->stats.validation_failures++;
	}
	LWLockRelease(&pool->lock);
	if (valid)
	{
		ep_kept_give(kept);
		return;
	}
	snprintf(why, sizeof(why), "validation failed: %s", kept->talk.error);
	ep_complaint_make_valid(why, whose.encoding);
	ep_event_of(&whose, EP_EVENT_VALIDATION_FAILED, kept->conn_id, NULL, "host \"%s\", port %d: %s",
				conn->host, conn->port, why);
	ep_kept_break(kept, why);
}

/* --------------------------------------------------------------- interface */

/* An exchange of this file's has ended. */
void
ep_tender_talked(EpKept *kept, EpTalkState state)
{
	bool		good = state == EP_TALK_DONE && !kept->talk.failed && kept->talk.tx_status == 'I';

	switch (kept->task)
	{
		case EP_TASK_DRAIN:
			if (state == EP_TALK_LOST)
			{
				ep_kept_break(kept, kept->talk.error);
				break;
			}
			kept->task = EP_TASK_AWAIT_CANCEL;
			ep_watch_set(&kept->watch, kept->fd, EPOLLRDHUP);
			await_cancel(kept, ep_now_us());
			break;
		case EP_TASK_RESET:
			if (good)
				end_reset(kept);
			else
				ep_kept_break(kept, kept->talk.error[0] ? kept->talk.error : "still in a transaction after the reset");
			break;
		case EP_TASK_VALIDATE:
			end_validation(kept, good);
			break;
		default:
			Assert(false);
			break;
	}
}

/*
 * Begins what the state of a connection asks for and goes on with cancel
 * requests.  state was read without a lock: those that lead here are left by
 * nobody but this process, except LEASED and IDLE.
 */
void
ep_tender_tick(EpKept *kept, EpConnState state, uint64 now_us)
{
	if (kept->task == EP_TASK_DRAIN && kept->cancel)
		ep_cancel_tick(kept->cancel, now_us);
	else if (kept->task == EP_TASK_AWAIT_CANCEL)
	{
		/* the state may have changed by this: look again at the next tick */
		await_cancel(kept, now_us);
		return;
	}
	if (kept->task != EP_TASK_NONE)
		return;
	switch (state)
	{
		case EP_LEASED:
			if (ep_kept_conn(kept)->terminated || ep_kept_conn(kept)->struck != EP_STRUCK_NOT)
				end_leased(kept, now_us);
			tend_leased(kept, now_us);
			break;
		case EP_CANCELLING:
			begin_drain(kept, now_us);
			break;
		case EP_RESETTING:
			begin_reset(kept, now_us);
			break;
		case EP_VALIDATING:
			begin_validation(kept, now_us);
			break;
		default:
			break;
	}
}
