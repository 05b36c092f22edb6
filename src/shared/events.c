/*-------------------------------------------------------------------------
 *
 * events.c
 *		The log of events: a ring in shared memory.
 *
 * Note about locking.  One LWLock (EventLog.lock) protects all of it: the ring,
 * and what is held back of bursts.  It is held for the copy of one event, or of
 * a few by a reader, and no other lock is taken meanwhile.  It is never taken
 * while a pool's lock is held: what is to be told is copied under the pool's
 * lock and told after that was released.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "shared/events.h"
#include "shared/ring.h"

/* Of a burst one event is noted this often. */
#define BURST_INTERVAL_US	1000000

/* And a message that repeats is logged this often. */
#define LOG_INTERVAL_US		60000000

/* What of a burst has not been told yet. */
typedef struct Burst
{
	uint32		generation;		/* of the pool */
	uint32		held;
	uint64		told_us;		/* when the last event was noted, 0: never */
} Burst;

typedef struct EventLog
{
	LWLock		lock;
	EpRing		ring;
	EpEvent		events[FLEXIBLE_ARRAY_MEMBER];
} EventLog;

int			ep_event_log_size = 1024;

static EventLog *event_log = NULL;
static Burst *bursts = NULL;	/* EP_NLIMITED for each place in ep_pools */

static void note_formatted(const EpEventPool *whose, EpEventKind kind, uint64 conn_id, const EpDetail *detail,
						   const char *format, va_list args) pg_attribute_printf(5, 0);

static const char *const kind_names[EP_NEVENTS] = {
	[EP_EVENT_CONNECT] = "connect",
	[EP_EVENT_CONNECT_FAILED] = "connect_failed",
	[EP_EVENT_CLOSE] = "close",
	[EP_EVENT_SCALE_UP] = "scale_up",
	[EP_EVENT_SCALE_DOWN] = "scale_down",
	[EP_EVENT_BREAKER_OPEN] = "breaker_open",
	[EP_EVENT_BREAKER_HALF_OPEN] = "breaker_half_open",
	[EP_EVENT_BREAKER_CLOSED] = "breaker_closed",
	[EP_EVENT_HEALTH_FAILED] = "health_failed",
	[EP_EVENT_VALIDATION_FAILED] = "validation_failed",
	[EP_EVENT_TIMEOUT] = "timeout",
	[EP_EVENT_LEAK] = "leak",
	[EP_EVENT_FAILOVER] = "failover",
	[EP_EVENT_CONFIG_CHANGE] = "config_change",
	[EP_EVENT_PAUSE] = "pause",
	[EP_EVENT_RESUME] = "resume",
	[EP_EVENT_RECYCLE] = "recycle",
	[EP_EVENT_CLOSE_POOL] = "close_pool",
	[EP_EVENT_TERMINATE] = "terminate"
};

/* Of each burst: its kind, the word for it in the detail or NULL, and what is said of what was held back. */
static const struct
{
	EpEventKind kind;
	const char *reason;
	const char *message;
}			burst_defs[EP_NBURSTS] = {
	[EP_BURST_CONNECT_FAILED] = {EP_EVENT_CONNECT_FAILED, NULL, "could not connect"},
	[EP_BURST_ACQUIRE_TIMEOUT] = {EP_EVENT_TIMEOUT, "acquire_timeout", "no connection within the time allowed"},
	[EP_BURST_QUERY_TIMEOUT] = {EP_EVENT_TIMEOUT, "query_timeout", "canceled remote statement due to query_timeout"}
};

/* Of each reason why a connection was ended: the word in the detail, and the message. */
static const struct
{
	const char *word;
	const char *message;
}			end_reasons[EP_NENDS] = {
	[EP_END_NONE] = {"unknown", "it was ended"},
	[EP_END_LOST] = {"lost", "the remote server or the network ended it"},
	[EP_END_UNCLEAN] = {"unclean", "it was given back in the middle of a message"},
	[EP_END_TERMINATED] = {"terminated", "an administrator terminated it"},
	[EP_END_IDLE_TIMEOUT] = {"idle_timeout", "it was idle for longer than idle_timeout"},
	[EP_END_MAX_LIFETIME] = {"max_lifetime", "it was older than max_lifetime"},
	[EP_END_SURPLUS] = {"surplus", "the pool had more connections than it is to have"},
	[EP_END_OVERFLOW] = {"overflow", "it was beyond max_size and nobody waited"},
	[EP_END_CONFIG_CHANGE] = {"config_change", "the definition was changed"},
	[EP_END_RECYCLED] = {"recycle", "it was to be replaced"},
	[EP_END_PAUSED] = {"pause", "the pool was paused"},
	[EP_END_POOL_CLOSED] = {"close_pool", "the pool was closed"},
	[EP_END_RESET_FAILED] = {"reset_failed", "it could not be reset"},
	[EP_END_CANCEL_FAILED] = {"cancel_failed", "what ran on it could not be cancelled"},
	[EP_END_VALIDATION_FAILED] = {"validation_failed", "its validation failed"},
	[EP_END_FAILOVER] = {"failover", "another host has taken over"},
	[EP_END_WORKER_EXIT] = {"worker_exit", "the worker that opened it ended"},
	[EP_END_SESSION_STRUCK] = {"session_timed_out", "a time-out rolled back the session that had it"}
};

/* ----------------------------------------------------------- shared memory */

static Size
ring_size(void)
{
	return MAXALIGN(add_size(offsetof(EventLog, events), mul_size(ep_event_log_size, sizeof(EpEvent))));
}

static Size
bursts_size(void)
{
	return MAXALIGN(mul_size(mul_size(ep_max_pools, EP_NLIMITED), sizeof(Burst)));
}

/* Bytes in shared memory. */
Size
ep_events_size(void)
{
	return add_size(ring_size(), bursts_size());
}

/* The log is in that area from now on, for this process. */
void
ep_events_attach(char *area)
{
	event_log = (EventLog *) area;
	bursts = (Burst *) (area + ring_size());
}

/* The server starts: the log is empty, the next event is the first. */
void
ep_events_init(int tranche)
{
	memset(event_log, 0, ep_events_size());
	LWLockInitialize(&event_log->lock, tranche);
	event_log->ring.size = ep_event_log_size;
}

/* --------------------------------------------------------- noting an event */

static void
note(const EpEventPool *whose, EpEventKind kind, uint64 conn_id, const EpDetail *detail, const char *message)
{
	EpEvent    *event;
	uint64		id;

	if (whose->place < 0 || kind >= EP_EVENT_NONE)
		return;
	Assert(!LWLockHeldByMe(&ep_pools[whose->place].lock));
	LWLockAcquire(&event_log->lock, LW_EXCLUSIVE);
	id = ep_ring_add(&event_log->ring);
	event = &event_log->events[ep_ring_place(&event_log->ring, id)];
	event->id = id;
	event->at = GetCurrentTimestamp();
	event->kind = kind;
	event->conn_id = conn_id;
	event->ident = whose->ident;
	strlcpy(event->message, message, sizeof(event->message));
	strlcpy(event->detail, detail ? detail->text : "", sizeof(event->detail));
	LWLockRelease(&event_log->lock);
}

/* One line of EP_EVENT_MESSAGE_SIZE bytes at most, cut at a character of the pool's encoding. */
static void
note_formatted(const EpEventPool *whose, EpEventKind kind, uint64 conn_id, const EpDetail *detail,
			   const char *format, va_list args)
{
	char		message[3 * EP_EVENT_MESSAGE_SIZE];
	int			length;

	(void) vsnprintf(message, sizeof(message), format, args);
	length = strlen(message);
	if (length > EP_EVENT_MESSAGE_SIZE)
		length = pg_encoding_mbcliplen(whose->encoding, message, length, EP_EVENT_MESSAGE_SIZE);
	message[length] = '\0';
	for (char *p = message; *p; p++)
	{
		if (*p == '\n')
			*p = ' ';
	}
	note(whose, kind, conn_id, detail, message);
}

/* Copy what tells whose pool it is.  Caller holds the pool's lock, if def is shared. */
void
ep_pool_ident(const EpPoolDef *def, EpPoolIdent *ident)
{
	ident->database = def->key.database;
	ident->server = def->key.server;
	ident->other_server = def->other_server;
	ident->mapping_role = def->mapping_role;
	memcpy(ident->datname, def->datname, NAMEDATALEN);
	memcpy(ident->name, def->name, NAMEDATALEN);
	memcpy(ident->role, def->role, NAMEDATALEN);
}

/* Copy whose an event will be.  Caller holds the pool's lock. */
void
ep_event_pool(const EpPool *pool, EpEventPool *whose)
{
	whose->place = pool->in_use ? (int) (pool - ep_pools) : -1;
	whose->generation = pool->generation;
	whose->encoding = pool->def.encoding;
	ep_pool_ident(&pool->def, &whose->ident);
}

/*
 * Note an event of a pool.  conn_id is 0 if it is of no connection, detail may
 * be NULL, the rest is as for printf.  Takes the pool's lock for a moment;
 * raises nothing.
 */
void
ep_event(EpPool *pool, EpEventKind kind, uint64 conn_id, const EpDetail *detail, const char *format,...)
{
	EpEventPool whose;
	va_list		args;

	LWLockAcquire(&pool->lock, LW_SHARED);
	ep_event_pool(pool, &whose);
	LWLockRelease(&pool->lock);
	va_start(args, format);
	note_formatted(&whose, kind, conn_id, detail, format, args);
	va_end(args);
}

/* The same for a pool that was copied under its lock, which is not held any more. */
void
ep_event_of(const EpEventPool *whose, EpEventKind kind, uint64 conn_id, const EpDetail *detail,
			const char *format,...)
{
	va_list		args;

	va_start(args, format);
	note_formatted(whose, kind, conn_id, detail, format, args);
	va_end(args);
}

/* ------------------------------------------------------------------ bursts */

/*
 * How many the event that is noted now stands for, more of them included; 0:
 * none is noted, those are held back.
 */
static uint32
take_burst(const EpEventPool *whose, int which, uint32 more, uint64 interval_us, uint64 now_us)
{
	Burst	   *burst = &bursts[whose->place * EP_NLIMITED + which];
	uint32		count = 0;

	LWLockAcquire(&event_log->lock, LW_EXCLUSIVE);
	if (burst->generation != whose->generation)
	{
		memset(burst, 0, sizeof(Burst));
		burst->generation = whose->generation;
	}
	burst->held += more;
	if (burst->held > 0 && (burst->told_us == 0 || now_us >= burst->told_us + interval_us))
	{
		count = burst->held;
		burst->held = 0;
		burst->told_us = now_us;
	}
	LWLockRelease(&event_log->lock);
	return count;
}

/*
 * Note an event of a kind that may happen very often: the first at once, then
 * one a second, whose "count" says for how many it stands.  detail is added to.
 * No lock is held; raises nothing.
 */
void
ep_event_burst(const EpEventPool *whose, EpEventBurst burst, uint64 conn_id, EpDetail *detail,
			   const char *format,...)
{
	va_list		args;
	uint32		count = whose->place < 0 ? 0 : take_burst(whose, burst, 1, BURST_INTERVAL_US, ep_now_us());

	if (count == 0)
		return;
	if (burst_defs[burst].reason)
		ep_detail_text(detail, "reason", burst_defs[burst].reason);
	ep_detail_int(detail, "count", count);
	va_start(args, format);
	note_formatted(whose, burst_defs[burst].kind, conn_id, detail, format, args);
	va_end(args);
}

/* Notes what was held back of a pool when its time has come.  For its worker, which holds no lock. */
void
ep_events_flush(EpPool *pool, uint64 now_us)
{
	const Burst *mine = &bursts[(pool - ep_pools) * EP_NLIMITED];

	for (int i = 0; i < EP_NBURSTS; i++)
	{
		EpEventPool whose;
		EpDetail	detail = {0};
		uint32		count;
		char		error[EP_ERROR_SIZE] = "";

		/* a first look without the lock: mostly there is nothing */
		if (*(volatile const uint32 *) &mine[i].held == 0)
			continue;
		LWLockAcquire(&pool->lock, LW_SHARED);
		ep_event_pool(pool, &whose);
		if (i == EP_BURST_CONNECT_FAILED)
			strlcpy(error, pool->last_error, sizeof(error));
		LWLockRelease(&pool->lock);
		count = whose.place < 0 ? 0 : take_burst(&whose, i, 0, BURST_INTERVAL_US, now_us);
		if (count == 0)
			continue;
		if (burst_defs[i].reason)
			ep_detail_text(&detail, "reason", burst_defs[i].reason);
		ep_detail_int(&detail, "count", count);
		ep_event_of(&whose, burst_defs[i].kind, 0, &detail, "%s, %u time%s%s%s", burst_defs[i].message, count, count == 1 ? "" : "s",
					error[0] != '\0' ? ", at last: " : "", error);
	}
}

/*
 * How many messages of that kind the one that is to be logged now stands for,
 * itself included; 0: it is not to be logged, one was less than a minute ago.
 * No lock is held; raises nothing.
 */
uint32
ep_log_limit(const EpEventPool *whose, EpLogLimit which)
{
	return whose->place < 0 ? 0 : take_burst(whose, which, 1, LOG_INTERVAL_US, ep_now_us());
}

/* ------------------------------------------------------------- connections */

/* Copy what is told of a connection whose slot is about to be free.  Caller holds the pool's lock. */
void
ep_event_ending(const EpConn *conn, EpEnded *ended)
{
	ep_event_pool(&ep_pools[conn->pool], &ended->whose);
	ended->announced = conn->announced;
	ended->reason = conn->end_reason;
	ended->conn_id = conn->conn_id;
	ended->remote_pid = conn->remote_pid;
	ended->created_us = conn->created_us;
	ended->usage_count = conn->stats.usage_count;
	memcpy(ended->host, conn->host, sizeof(ended->host));
	ended->port = conn->port;
}

/*
 * A connection has ended; one that was never told to be open is not told of.
 * why is more than the reason alone tells, or empty.  No lock is held.
 */
void
ep_event_closed(const EpEnded *ended, const char *why)
{
	EpDetail	detail = {0};

	if (!ended->announced)
		return;
	ep_detail_text(&detail, "reason", end_reasons[ended->reason].word);
	ep_detail_number(&detail, "age", (ep_now_us() - ended->created_us) / 1e6);
	ep_detail_int(&detail, "usage_count", ended->usage_count);
	ep_detail_int(&detail, "remote_pid", ended->remote_pid);
	ep_event_of(&ended->whose, EP_EVENT_CLOSE, ended->conn_id, &detail,
				"connection to host \"%s\", port %d closed: %s", ended->host, ended->port,
				why[0] != '\0' ? why : end_reasons[ended->reason].message);
}

/* ----------------------------------------------------------------- reading */

/* The name that the view uses for a kind. */
const char *
ep_event_kind_name(EpEventKind kind)
{
	return kind < EP_NEVENTS ? kind_names[kind] : NULL;
}

/*
 * Copies events with ids below a limit, the newest of them, in order of their
 * ids; returns how many.  Writers wait for this copy, so limit is to be small:
 * called again with the lowest id so far it goes on, without a gap, until
 * there is none left.
 */
int
ep_events_read(uint64 below, EpEvent *events, int limit)
{
	uint64		first = 0;
	int			n;

	LWLockAcquire(&event_log->lock, LW_SHARED);
	n = ep_ring_before(&event_log->ring, below, limit, &first);
	for (int i = 0; i < n; i++)
		events[i] = event_log->events[ep_ring_place(&event_log->ring, first + i)];
	LWLockRelease(&event_log->lock);
	return n;
}
