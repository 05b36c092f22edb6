/*-------------------------------------------------------------------------
 *
 * keeper.c
 *		The worker's table of connections, and who is called for what.
 *
 * The state of a connection stands in shared memory and is changed under its
 * pool's lock; what the worker is doing about it stands here.  A backend that
 * puts a connection into the worker's hands (RESETTING, CANCELLING, BROKEN)
 * sets the worker's latch, and the next tick finds the connection in that
 * state without the task that belongs to it, and begins it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "shared/events.h"
#include "worker/complaint.h"
#include "worker/keeper.h"
#include "worker/kept.h"
#include "worker/prewarmer.h"

/* Expiry, refill and what else no event announces are looked at this often. */
#define TIMER_US	500000

static EpKept *kept_table;
static MemoryContext kept_context;
static uint64 my_epoch;
static int	my_worker;
static uint64 next_timer;

EpConn *
ep_kept_conn(const EpKept *kept)
{
	return &ep_conns[kept->slot];
}

EpPool *
ep_kept_pool(const EpKept *kept)
{
	return &ep_pools[ep_conns[kept->slot].pool];
}

uint64
ep_keeper_epoch(void)
{
	return my_epoch;
}

int
ep_keeper_worker(void)
{
	return my_worker;
}

/*
 * The text of a setting of a pool, copied under its lock into a buffer that
 * the next call overwrites.
 */
const char *
ep_kept_text(const EpPool *pool, EpSettingId id)
{
	static char buffer[EP_TEXTS_SIZE];

	LWLockAcquire(unconstify(LWLock *, &pool->lock), LW_SHARED);
	strlcpy(buffer, EP_STR(&pool->def.set, &pool->def.texts, id), sizeof(buffer));
	LWLockRelease(unconstify(LWLock *, &pool->lock));
	return buffer;
}

/* --------------------------------------------------------------- dispatch */

/* The remote has closed a connection that is idle or leased. */
static void
peer_gone(EpKept *kept)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpPool	   *pool = ep_kept_pool(kept);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->conn_id == kept->conn_id)
	{
		conn->dead = true;
		/* of a session that was struck it is no more than what we asked for */
		if (conn->state == EP_IDLE || (conn->state == EP_LEASED && conn->struck == EP_STRUCK_NOT))
		{
			pool->lost = true;
			(void) ep_pool_want_recheck(pool);
		}
		if (conn->state == EP_IDLE)
			ep_conn_to_broken(conn);
		else if (conn->state == EP_LEASED)
		{
			uint64		resting = EP_LW(conn->conn_id, conn->owner, EP_LW_RESTING);

			/* one in an exchange reads the end of file itself */
			pg_atomic_compare_exchange_u64(&conn->lease_word, &resting,
										   EP_LW(conn->conn_id, conn->owner, EP_LW_REVOKED));
		}
	}
	LWLockRelease(&pool->lock);
	ep_watch_set(&kept->watch, kept->fd, 0);
	SetLatch(MyLatch);
}

static void
talked(EpKept *kept, EpTalkState state)
{
	if (kept->task == EP_TASK_GREET || kept->task == EP_TASK_SETUP)
		ep_opener_talked(kept, state);
	else if (kept->task == EP_TASK_PROBE)
		ep_health_talked(kept, state);
	else
		ep_tender_talked(kept, state);
}

/* Goes on with the exchange of the present task as far as the socket allows. */
static void
step(EpKept *kept)
{
	EpTalkState state = ep_talk_step(&kept->talk, &kept->wire);

	/* a statement that was cancelled has failed, and others before it may have changed something */
	if (state == EP_TALK_DONE && (!kept->talk.failed || kept->task == EP_TASK_DRAIN) &&
		!ep_talk_fits(&kept->talk, ep_kept_pool(kept)->def.encoding))
		state = EP_TALK_LOST;
	if (state != EP_TALK_BUSY)
	{
		ep_wire_shrink(&kept->wire);
		talked(kept, state);
		return;
	}
	ep_watch_set(&kept->watch, kept->fd,
				 EPOLLIN | EPOLLRDHUP | (ep_wire_unsent(&kept->wire) ? EPOLLOUT : 0));
}

static void
socket_event(EpWatch *watch, uint32 events)
{
	EpKept	   *kept = watch->arg;

	switch (kept->task)
	{
		case EP_TASK_NONE:
		case EP_TASK_AWAIT_CANCEL:
			if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
				peer_gone(kept);
			break;
		case EP_TASK_CLOSE:
			ep_closer_event(kept);
			break;
		case EP_TASK_WALK:
			break;				/* libpq's socket has a watch of its own */
		default:
			step(kept);
			break;
	}
}

/* --------------------------------------------------------------- life cycle */

/* Begins to keep the connection of a slot, which has no socket yet. */
EpKept *
ep_kept_begin(int slot, uint64 conn_id)
{
	EpKept	   *kept = &kept_table[slot];
	EpWire		wire = kept->wire;

	Assert(kept->conn_id == 0);
	memset(kept, 0, sizeof(EpKept));
	kept->wire = wire;			/* its buffers are used again */
	kept->slot = slot;
	kept->conn_id = conn_id;
	kept->fd = -1;
	ep_watch_init(&kept->watch, socket_event, kept);
	return kept;
}

/*
 * Begins a task whose messages stand in the wire's buffer.  May end it at
 * once.
 */
void
ep_kept_run(EpKept *kept, EpTask task, uint64 deadline)
{
	kept->task = task;
	kept->deadline = deadline;
	step(kept);
}

/* From now on the connection is watched for closure alone. */
void
ep_kept_rest(EpKept *kept)
{
	kept->task = EP_TASK_NONE;
	kept->deadline = 0;
	ep_watch_set(&kept->watch, kept->fd, EPOLLRDHUP);
}

/* The connection is idle and clean: to a waiter or to the idle list, if it still leads to the right host. */
void
ep_kept_give(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);
	EpGiven		given;

	if (ep_failover_leave(kept))
		return;
	ep_kept_rest(kept);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	given = ep_conn_give(pool, conn);
	LWLockRelease(&pool->lock);
	ep_wake_given(pool, given);
}

/* What went wrong with a connection that the worker had in its hands. */
static EpEndReason
reason_of_task(EpTask task)
{
	switch (task)
	{
		case EP_TASK_DRAIN:
		case EP_TASK_AWAIT_CANCEL:
			return EP_END_CANCEL_FAILED;
		case EP_TASK_RESET:
			return EP_END_RESET_FAILED;
		case EP_TASK_VALIDATE:
			return EP_END_VALIDATION_FAILED;
		default:
			return EP_END_NONE; /* its pool tells */
	}
}

/* The connection must not be used again; the next tick ends it. */
void
ep_kept_break(EpKept *kept, const char *why)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);
	char		name[NAMEDATALEN];
	int			encoding;
	bool		log;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	/* one that was to be ended anyway is no sign that something is wrong */
	if (conn->dead || !ep_conn_must_go(pool, conn))
	{
		pool->lost = true;
		(void) ep_pool_want_recheck(pool);
	}
	ep_conn_blame(conn, conn->terminated ? EP_END_TERMINATED : reason_of_task(kept->task));
	ep_conn_to_broken(conn);
	strlcpy(name, pool->def.name, sizeof(name));
	strlcpy(kept->why, conn->end_reason == reason_of_task(kept->task) ? why : "", sizeof(kept->why));
	encoding = pool->def.encoding;
	log = EP_BOOL(&pool->def.set, EP_S_LOG_CONNECTIONS);
	LWLockRelease(&pool->lock);
	/* the remote's words are not trusted, and may have been cut in the middle of a character */
	ep_complaint_make_valid(kept->why, encoding);
	kept->task = EP_TASK_NONE;
	kept->deadline = 0;
	ep_watch_set(&kept->watch, kept->fd, 0);
	SetLatch(MyLatch);
	if (log)
		ereport(LOG,
				(errmsg("pool \"%s\": connection " UINT64_FORMAT " (remote process %d) is ended: %s",
						name, kept->conn_id, conn->remote_pid, why)));
}

/* The socket of a connection of this worker, for passing on; -1 if it has none. */
int
ep_keeper_fd(int slot, uint64 conn_id)
{
	if (slot < 0 || slot >= ep_control->max_connections || conn_id == 0 ||
		kept_table[slot].conn_id != conn_id)
		return -1;
	return kept_table[slot].fd;
}

/* A task took longer than it may. */
static void
task_late(EpKept *kept)
{
	switch (kept->task)
	{
		case EP_TASK_CLOSE:
			ep_closer_finish(kept);
			break;
		case EP_TASK_GREET:
		case EP_TASK_SETUP:
			ep_opener_failed(kept, "timeout expired while setting up the connection");
			break;
		case EP_TASK_PROBE:
			ep_opener_failed(kept, "timeout expired during the health check's query");
			break;
		case EP_TASK_VALIDATE:
			strlcpy(kept->talk.error, "timeout expired", sizeof(kept->talk.error));
			ep_tender_talked(kept, EP_TALK_LOST);
			break;
		default:
			ep_kept_break(kept, "timeout expired while cancelling or resetting");
			break;
	}
}

static void
tick_slot(EpKept *kept, uint64 now_us)
{
	EpConnState state = *(volatile EpConnState *) &ep_kept_conn(kept)->state;

	pg_read_barrier();			/* what a holder left for us was written before */
	if (kept->walk)
	{
		if (!ep_opener_give_up(kept))
			ep_walk_tick(kept->walk, now_us);
		return;
	}
	if (kept->task != EP_TASK_NONE && kept->deadline != 0)
	{
		if (now_us >= kept->deadline)
		{
			task_late(kept);
			return;
		}
		ep_loop_wake_at(kept->deadline);
	}
	if (ep_kept_conn(kept)->terminated && (state == EP_RESETTING || state == EP_VALIDATING))
		ep_kept_break(kept, "an administrator terminated it");
	else if (state == EP_BROKEN)
		ep_closer_begin(kept);
	else if (state != EP_CLOSING && state != EP_CONNECTING)
		ep_tender_tick(kept, state, now_us);
}

/*
 * One round: begins what is to be begun, ends what took too long, and looks
 * after the pools.  now_us is monotonic.  Called by the worker's loop, with no
 * lock held.
 */
void
ep_keeper_tick(uint64 now_us)
{
	bool		timer = now_us >= next_timer;

	for (int i = 0; i < ep_control->max_connections; i++)
	{
		if (kept_table[i].conn_id != 0)
			tick_slot(&kept_table[i], now_us);
	}
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];

		if (!pool->in_use || pool->worker != my_worker)
			continue;
		if (timer)
		{
			ep_events_flush(pool, now_us);
			ep_recorder_tick(pool, now_us);
		}
		ep_upkeep_pool(pool, now_us, timer);
	}
	ep_sharer_tick(now_us, timer);
	ep_sessions_tick(now_us, timer);
	if (timer)
	{
		ep_upkeep_leases(now_us);
		ep_activity_tick();
		if (my_worker == 0)
		{
			ep_watchdog_tick();
			ep_prewarmer_tick(now_us);
		}
		next_timer = now_us + TIMER_US;
	}
	ep_loop_wake_at(next_timer);
}

/*
 * Frees the slots of connections whose sockets are gone with the worker that
 * opened them: all of this worker's pools but those of epoch keep.  A leased
 * connection stays with its holder, who sees the old epoch.
 */
static void
clear_slots(uint64 keep)
{
	for (int i = 0; i < ep_control->max_connections; i++)
	{
		EpConn	   *conn = &ep_conns[i];
		EpPool	   *pool = &ep_pools[conn->pool];
		EpEnded		ended = {.announced = false};

		if (conn->state == EP_FREE || pool->worker != my_worker)
			continue;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		if (conn->state != EP_FREE && conn->state != EP_LEASED &&
			conn->pool == (int) (pool - ep_pools) && conn->epoch != keep)
		{
			ep_conn_blame(conn, EP_END_WORKER_EXIT);
			if (conn->state == EP_IDLE || conn->state == EP_CANCELLING ||
				conn->state == EP_RESETTING || conn->state == EP_VALIDATING)
				ep_conn_to_broken(conn);
			ep_event_ending(conn, &ended);
			ep_conn_to_free(conn);
		}
		LWLockRelease(&pool->lock);
		ep_event_closed(&ended, "");
	}
}

/*
 * Makes the table of a worker that starts.  epoch is new and not yet
 * published; when this returns it may be.
 */
void
ep_keeper_start(int worker, uint64 epoch)
{
	my_worker = worker;
	my_epoch = epoch;
	kept_context = AllocSetContextCreate(TopMemoryContext, "enhanced_pool connections", ALLOCSET_DEFAULT_SIZES);
	kept_table = MemoryContextAllocZero(kept_context, sizeof(EpKept) * ep_control->max_connections);
	for (int i = 0; i < ep_control->max_connections; i++)
	{
		ep_wire_init(&kept_table[i].wire, kept_context, -1);
		kept_table[i].fd = -1;
	}
	clear_slots(my_epoch);
}

/*
 * While everything is shut down: goes on with cancelling what sessions have left,
 * and with nothing else.  now_us is monotonic.  Returns whether there is something
 * that a session has left or is about to leave.
 */
bool
ep_keeper_wind_down(uint64 now_us)
{
	bool		unfinished = false;

	for (int i = 0; i < ep_control->max_connections; i++)
	{
		EpConn	   *conn = &ep_conns[i];
		EpConnState state = *(volatile EpConnState *) &conn->state;

		if (kept_table[i].conn_id == 0 ||
			(state != EP_CANCELLING &&
			 (state != EP_LEASED || EP_LW_BITS(pg_atomic_read_u64(&conn->lease_word)) != EP_LW_IN_EXCHANGE)))
			continue;
		unfinished = true;
		tick_slot(&kept_table[i], now_us);
	}
	return unfinished;
}

/*
 * Does a backend keep the connection although its worker ends?  If not, it is
 * for nobody to take from now on.
 */
static bool
left_to_holder(const EpKept *kept)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpPool	   *pool = ep_kept_pool(kept);
	bool		leased = false;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	/* one that its holder has ended already may be another worker's by now */
	if (conn->conn_id == kept->conn_id && conn->pool == (int) (pool - ep_pools))
	{
		/* without a number it was assigned to a waiter that does not know of it yet */
		leased = conn->state == EP_LEASED && conn->lease != 0;
		if (leased && conn->cancel_busy)
		{
			/* nobody can tell any more whether a cancel request is still to hit */
			conn->dead = true;
			conn->cancel_busy = false;
			ep_signal_holder(conn->owner);
		}
		ep_conn_blame(conn, leased ? EP_END_NONE : EP_END_WORKER_EXIT);
		if (conn->state != EP_LEASED && conn->state != EP_BROKEN && conn->state != EP_CLOSING)
			ep_conn_to_broken(conn);
	}
	LWLockRelease(&pool->lock);
	return leased;
}

/*
 * The worker ends: every connection that no backend holds is ended with it.
 * Runs while the process exits: no wait, no error, no allocation.
 */
void
ep_keeper_stop(void)
{
	if (kept_table == NULL)
		return;
	for (int i = 0; i < ep_control->max_connections; i++)
	{
		EpKept	   *kept = &kept_table[i];

		if (kept->conn_id != 0 && !left_to_holder(kept))
			ep_closer_abandon(kept);
	}
	clear_slots(0);
}
