/*-------------------------------------------------------------------------
 *
 * turn.c
 *		One use of a leased connection.
 *
 * Sending and receiving go on at the same time: a remote that cannot get rid
 * of its notices would not read the rest of a long statement.  All waiting is
 * interruptible.  Whoever is interrupted, or hits any other error, in the
 * middle of a turn just raises it: the end of the (sub)transaction gives the
 * connection to the worker, or has it drained before its next use, and needs
 * nothing but lease->syncs for that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"

#include "client/notify.h"
#include "client/session.h"
#include "client/socket_wait.h"
#include "client/turn.h"
#include "shared/events.h"

/* How much of an answer is read before the caller looks after other things, see ep_turn_share. */
#define SHARE	(256 * 1024)

static void lost(EpTurn *turn, const char *why) pg_attribute_noreturn();
static void raise_settings(EpTurn *turn) pg_attribute_noreturn();

/* What a named lease is called on the remote: its name, behind the pool's. */
char *
ep_turn_lease_name(const EpTurn *turn)
{
	EpPool	   *pool = &ep_pools[turn->lease->pool];
	char		name[NAMEDATALEN + 1 + EP_LEASE_NAME_SIZE];
	Size		len;

	LWLockAcquire(&pool->lock, LW_SHARED);
	len = strlcpy(name, EP_STR(&pool->def.set, &pool->def.texts, EP_S_APPLICATION_NAME), NAMEDATALEN);
	LWLockRelease(&pool->lock);
	len = Min(len, NAMEDATALEN - 1);
	snprintf(name + len, sizeof(name) - len, "/%s", turn->lease->name);
	if (strlen(name) >= NAMEDATALEN)
		name[pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1)] = '\0';
	return pstrdup(name);
}

/*
 * The name goes in front of the first statement, as a message with an answer
 * of its own, and the reset at the end of the lease takes it back.
 */
static void
put_lease_name(EpTurn *turn)
{
	ep_wire_put_query(turn->wire, psprintf("SET application_name = %s",
										   quote_literal_cstr(ep_turn_lease_name(turn))));
	turn->naming = true;
}

/*
 * Enter an exchange on the lease.  sql is shown as what it runs and must live
 * until the end; dirty: running it may leave state in the session.  In front of
 * what the caller puts stand the statements that a session needs; the caller
 * goes on with ep_turn_put_settings, before anything else is put.  Raises what
 * ep_lease_enter and ep_session_prelude raise; nothing has been sent then.
 */
void
ep_turn_begin(EpTurn *turn, EpLease *lease, const char *sql, bool dirty)
{
	EpSource	source = lease->ref->query_timeout_source;
	double		timeout;

	ep_lease_enter(lease);
	memset(turn, 0, sizeof(EpTurn));
	turn->lease = lease;
	turn->conn = &ep_conns[lease->slot];
	turn->wire = &lease->desc->wire;
	turn->sql = sql;
	turn->dirty = dirty;
	turn->follows = turn->settings_due = lease->ref->follow != NULL;
	if (!turn->follows)
		ep_lease_forget_settings(lease);
	turn->due = true;

	/* before anything is sent: whoever takes the connection over must know */
	lease->used = true;
	if (dirty)
		turn->conn->dirty = true;
	turn->in_transaction = turn->conn->tx_status != 'I';
	ep_conn_set_query(turn->conn, sql);
	memset(&turn->conn->progress, 0, sizeof(EpProgress));
	turn->bytes_in = turn->wire->bytes_in;
	turn->bytes_out = turn->wire->bytes_out;

	turn->started_us = ep_now_us();
	timeout = ep_setting_in_session(EP_S_QUERY_TIMEOUT, lease->ref->query_timeout, &source);
	if (timeout > 0)
		turn->deadline_us = turn->started_us + (uint64) (timeout * 1000000.0);
	if (lease->kind == EP_KIND_SESSION)
		ep_session_prelude(turn);
	else if (lease->name[0] != '\0' && !turn->conn->name_set && turn->conn->tx_status == 'I')
		put_lease_name(turn);
}

/* ------------------------------------------------------------ the numbers */

/* What is sent is a statement of ours by itself: it and its rows do not count.  After ep_turn_begin. */
void
ep_turn_is_ours(EpTurn *turn)
{
	turn->ours = true;
	turn->due = false;
}

/* The statement has ended; what was never sent, or counted before, is not counted. */
static void
count(EpTurn *turn, bool failed)
{
	if (turn->lease->started_us != 0)
		ep_lease_count(turn->lease, turn->ended_us ? turn->ended_us : ep_now_us(), failed);
}

/* For the view progress: what has been sent and taken of the answer so far. */
static inline void
show_progress(const EpTurn *turn)
{
	EpProgress *progress = &turn->conn->progress;

	progress->rows = turn->rows + turn->rows_sent;
	progress->bytes_sent = turn->wire->bytes_out - turn->bytes_out;
	progress->bytes_received = turn->wire->bytes_in - turn->bytes_in;
}

/* --------------------------------------------------------- moving the bytes */

/* The connection is gone: raise what the remote said about that, else 08006. */
static void
lost(EpTurn *turn, const char *why)
{
	count(turn, true);
	ep_lease_mark_broken(turn->lease);
	if (turn->fatal)
		ep_raise_remote(turn->lease, &turn->error, turn->sql);
	ep_raise_lost(turn->lease, why);
}

static void
note_timeout(const EpTurn *turn, uint64 now)
{
	EpPool	   *pool = &ep_pools[turn->lease->pool];
	EpEventPool whose;
	EpDetail	detail = {0};

	LWLockAcquire(&pool->lock, LW_SHARED);
	ep_event_pool(pool, &whose);
	LWLockRelease(&pool->lock);
	ep_detail_number(&detail, "timeout", (turn->deadline_us - turn->started_us) / 1e6);
	ep_detail_number(&detail, "elapsed", (now - turn->started_us) / 1e6);
	ep_detail_int(&detail, "pid", MyProcPid);
	ep_event_burst(&whose, EP_BURST_QUERY_TIMEOUT, turn->lease->conn_id, &detail,
				   "canceled remote statement of process %d due to query_timeout", MyProcPid);
}

/* Milliseconds until query_timeout, -1 without one.  Raises 57014 when it is over. */
static long
time_left(EpTurn *turn)
{
	uint64		now;

	if (turn->deadline_us == 0)
		return -1;
	now = ep_now_us();
	if (now >= turn->deadline_us)
	{
		count(turn, true);
		note_timeout(turn, now);
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling remote statement due to query_timeout"),
				 errcontext("remote server \"%s\"", turn->lease->ref->name)));
	}
	return (long) Min((turn->deadline_us - now + 999) / 1000, (uint64) INT_MAX);
}

/* Returns whether there is more to send. */
static bool
flush(EpTurn *turn)
{
	if (!ep_wire_unsent(turn->wire))
		return false;
	switch (ep_wire_flush(turn->wire))
	{
		case EP_IO_OK:
			return false;
		case EP_IO_AGAIN:
			return true;
		default:

			/*
			 * what the remote said before it closed may still be there to
			 * read
			 */
			turn->send_failed = true;
			return false;
	}
}

/* Reads what is there.  Returns false if nothing is; does not return if nothing ever will be. */
static bool
fill(EpTurn *turn)
{
	EpWire	   *wire = turn->wire;

	switch (ep_wire_fill(wire))
	{
		case EP_IO_OK:

			/*
			 * a buffer filled to the brim: there is more, ask for it without
			 * waiting
			 */
			turn->readable = wire->in_end == wire->in_size;
			return true;
		case EP_IO_AGAIN:
			turn->readable = false;
			if (turn->send_failed)
				lost(turn, "The statement could not be sent.");
			return false;
		case EP_IO_EOF:
			lost(turn, "The remote server closed the connection.");
		default:
			errno = wire->saved_errno;
			lost(turn, psprintf("Could not receive: %m."));
	}
}

/*
 * Look for an answer for the time that sleeping would cost.  Returns whether
 * something was received; raises what fill() does.
 */
static bool
look(EpTurn *turn)
{
	EpSpin	   *spin = &turn->lease->desc->spin;
	int			leased = ((volatile EpPool *) &ep_pools[turn->lease->pool])->n_leased;
	uint64		started = 0;
	uint64		last = 0;
	uint64		now;

	/* read without the lock: nothing depends on it but time */
	if (!ep_spin_affordable(leased) || !ep_spin_begin(spin))
		return false;
	while (!MyLatch->is_set)
	{
		if (fill(turn))
		{
			ep_spin_hit(spin);
			return true;
		}
		now = ep_now_us();
		if (started == 0)
			started = last = now;
		if (now - started >= EP_SPIN_US || now - last >= EP_SPIN_GAP_US)
		{
			ep_spin_miss(spin);
			return false;
		}
		last = now;
	}
	return false;
}

/*
 * Send and receive what can be without waiting.  Returns whether something
 * was received; if not, turn->events says what to wait for.  Raises what
 * ep_turn_receive does, but for interrupts.
 */
static bool
move(EpTurn *turn)
{
	if (unlikely(turn->conn->terminated || turn->conn->struck != EP_STRUCK_NOT))
		count(turn, true);
	ep_check_terminated(turn->lease);
	show_progress(turn);
	turn->events = WL_SOCKET_READABLE;
	if (!turn->send_failed && flush(turn))
		turn->events |= WL_SOCKET_WRITEABLE;
	return (turn->readable || turn->send_failed) && fill(turn);
}

/*
 * Send what is to be sent and wait until something more has been received.
 * An answer is hardly ever there when the statement has just left, so it is
 * looked for before sleeping only where that has paid.
 */
static void
more(EpTurn *turn)
{
	for (;;)
	{
		long		timeout;
		int			happened;

		CHECK_FOR_INTERRUPTS();
		timeout = time_left(turn);
		if (move(turn))
			return;
		if (turn->events == WL_SOCKET_READABLE && !turn->readable && look(turn))
			return;
		happened = ep_descriptor_wait(turn->lease->desc, turn->events, timeout);
		turn->readable = (happened & WL_SOCKET_READABLE) != 0;
	}
}

/*
 * The messages built in the wire are complete and end with a Sync or are a
 * Query: send them as far as the socket takes them, the rest leaves while the
 * answer is awaited.
 */
void
ep_turn_send(EpTurn *turn)
{
	ep_turn_check_settings(turn);
	ep_turn_send_prelude(turn);
}

/* The same for statements of ours alone. */
void
ep_turn_send_prelude(EpTurn *turn)
{
	turn->lease->syncs++;		/* from here on an answer is owed */
	if (turn->due)
		turn->lease->started_us = turn->started_us;
	turn->due = false;
	turn->lease->beginning |= turn->begins;
	turn->begins = false;
	if (turn->naming && !turn->conn->name_set)
	{
		turn->lease->syncs++;
		turn->conn->name_set = true;
	}
	turn->readable = false;
	(void) flush(turn);
}

/* The same for messages to which the answer that is owed already will be the answer. */
void
ep_turn_resend(EpTurn *turn)
{
	(void) flush(turn);
}

/* --------------------------------------------- what has nothing to do with the answer */

/* The remote may have become something else than what target_session_attrs asks for. */
static void
doubt(EpTurn *turn)
{
	EpPool	   *pool = &ep_pools[turn->lease->pool];
	bool		doubted;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	doubted = ep_conn_doubt(pool, turn->conn);
	LWLockRelease(&pool->lock);
	if (doubted)
		ep_wake_worker(pool->worker);
}

static void
note_state(EpTurn *turn, bool *known, bool value)
{
	if (*known == value)
		return;
	*known = value;
	doubt(turn);
}

/*
 * Does the error say that nothing can be written there, although it could be?
 * Then it may be that the statement asked for it, or that the remote has changed.
 */
static bool
has_become_read_only(const EpTurn *turn, const EpErrorFields *fields)
{
	const EpHostState *state = &turn->conn->host_state;

	return fields->sqlstate && strcmp(fields->sqlstate, "25006") == 0 && !state->hot_standby && !state->read_only;
}

static void
note_parameter(EpTurn *turn, const EpMessage *msg)
{
	const char *name;
	const char *value;

	if (!ep_parse_parameter(msg, &name, &value))
		ep_turn_unexpected(turn, msg);
	if (strcmp(name, "in_hot_standby") == 0)
		note_state(turn, &turn->conn->host_state.hot_standby, strcmp(value, "on") == 0);
	else if (strcmp(name, "default_transaction_read_only") == 0)
		note_state(turn, &turn->conn->host_state.read_only, strcmp(value, "on") == 0);
	else if (strcmp(name, "client_encoding") == 0 && pg_char_to_encoding(value) != GetDatabaseEncoding())
	{
		/*
		 * every text from here on would be misread, by us and by whoever
		 * comes next
		 */
		ep_lease_mark_broken(turn->lease);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("client_encoding of a pooled connection cannot be changed"),
				 errdetail("The connection is closed."),
				 errhint("The remote server converts to the local server's encoding by itself.")));
	}
	else if (ep_parameter_garbles(name, value))
	{
		ep_lease_mark_broken(turn->lease);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s of a pooled connection cannot be changed to \"%s\"", name, ep_clean_text(value)),
				 errdetail("Values could be misread. The connection is closed."),
				 errhint("Use to_char() in the remote statement for texts in another format.")));
	}
}

static void
note_notice(EpTurn *turn, const EpMessage *msg)
{
	EpErrorFields fields;

	if (!ep_parse_error(msg, &fields))
		ep_turn_unexpected(turn, msg);
	ep_forward_notice(turn->lease, &fields);
}

/*
 * Keep an error until the remote is at rest again; only then it is raised, so
 * that the connection is fit for use.  The message is copied, for it does not
 * outlive the next read.
 */
static void
note_error(EpTurn *turn, const EpMessage *msg)
{
	EpMessage	copy = *msg;
	EpErrorFields fields;
	char	   *body;
	bool		fatal;

	body = palloc(msg->len + 1);
	memcpy(body, msg->data, msg->len);
	copy.data = body;
	if (!ep_parse_error(&copy, &fields))
		ep_turn_unexpected(turn, msg);
	if (has_become_read_only(turn, &fields))
		doubt(turn);
	fatal = fields.severity != NULL &&
		(strcmp(fields.severity, "FATAL") == 0 || strcmp(fields.severity, "PANIC") == 0);
	if (turn->failed && !fatal)
	{
		pfree(body);
		return;
	}
	turn->error = fields;
	turn->failed = true;
	turn->fatal = fatal;
}

/*
 * Deal with a message that the remote may send at any time; returns false if
 * it is none.  The turn may be one with lease, connection and wire alone, for
 * a lease at rest.
 */
bool
ep_turn_take_async(EpTurn *turn, const EpMessage *msg)
{
	switch (msg->type)
	{
		case 'S':
			note_parameter(turn, msg);
			return true;
		case 'N':
			note_notice(turn, msg);
			return true;
		case 'A':
			ep_notify_keep(turn->lease, msg);
			return true;
		default:
			return false;
	}
}

/* ------------------------------------------------------------- the answer */

/*
 * A message of the answer to put_lease_name: a name that the remote refuses
 * is no reason to refuse the statement.
 */
static void
take_naming(EpTurn *turn, const EpMessage *msg)
{
	if (msg->type == 'Z')
	{
		ep_turn_ready(turn, msg);
		turn->naming = false;
	}
	else if (msg->type == 'E')
	{
		note_error(turn, msg);
		turn->failed = turn->fatal;
	}
	else if (msg->type != 'C')
		ep_turn_unexpected(turn, msg);
}

/*
 * The next message of the answer that has been received already; false if
 * there is none.  Everything that does not belong to the caller's answer is
 * dealt with here.
 */
static bool
next_message(EpTurn *turn, EpMessage *msg)
{
	for (;;)
	{
		switch (ep_wire_next(turn->wire, msg))
		{
			case EP_IO_OK:
				break;
			case EP_IO_AGAIN:
				return false;
			default:
				ep_raise_malformed(turn->lease, turn->wire->complaint);
		}
		if (ep_turn_take_async(turn, msg))
			continue;
		if (turn->naming)
		{
			take_naming(turn, msg);
			continue;
		}
		if (msg->type == 'E')
		{
			note_error(turn, msg);
			ep_session_reject(turn->lease);
		}
		else if (turn->next_step < turn->nsteps && !turn->failed)
		{
			ep_turn_take_prelude(turn, msg);
			continue;
		}
		return true;
	}
}

/*
 * The next message that belongs to the answer; valid until the next call.  An
 * ErrorResponse has been noted in turn->error already.  Raises 08006 or what
 * the remote gave as the reason when the connection is lost, 08P01 when what
 * comes makes no sense, 57014 for query_timeout, and interrupts.
 */
void
ep_turn_receive(EpTurn *turn, EpMessage *msg)
{
	while (!next_message(turn, msg))
		more(turn);
}

/*
 * The same without waiting: returns false if the next message is not there
 * yet.  Then the caller waits until the socket is ready for turn->events, or
 * turn->deadline_us is reached, looks for interrupts, and calls again.
 */
bool
ep_turn_poll(EpTurn *turn, EpMessage *msg)
{
	turn->readable = true;
	while (!next_message(turn, msg))
	{
		(void) time_left(turn);
		if (turn->share_end != 0 && turn->wire->bytes_in >= turn->share_end)
			return false;
		if (!move(turn))
			return false;
	}
	return true;
}

/*
 * From here to the next call ep_turn_poll reads no more than a share of what
 * comes.  For callers that poll in a loop while interrupts are held: a remote
 * that sends faster than its rows are taken would never let them go.  What is
 * left makes the socket readable, so that nothing is needed to go on but the
 * usual wait.
 */
void
ep_turn_share(EpTurn *turn)
{
	turn->share_end = turn->wire->bytes_in + SHARE;
}

/*
 * In the middle of data for a COPY: send all that was built, waiting until the
 * socket has taken it.  What the remote says meanwhile is looked at, so that
 * nobody goes on producing data for a COPY that has failed: returns false once
 * it has, else true.  Raises as ep_turn_receive does, and 08P01 if the remote
 * has anything else to say.
 */
bool
ep_turn_push(EpTurn *turn)
{
	for (;;)
	{
		EpMessage	msg;

		CHECK_FOR_INTERRUPTS();
		if (ep_turn_poll(turn, &msg) && !turn->failed)
			ep_turn_unexpected(turn, &msg);
		if (turn->failed)
			return false;
		if ((turn->events & WL_SOCKET_WRITEABLE) == 0)
			return true;
		(void) ep_descriptor_wait(turn->lease->desc, turn->events, time_left(turn));
	}
}

/*
 * A COPY has ended before all of its data was sent: the remote, at rest, drops
 * the rest, which must leave before anything else does.
 */
static void
send_rest(EpTurn *turn)
{
	ep_wire_cut(turn->wire);
	while (flush(turn))
	{
		CHECK_FOR_INTERRUPTS();
		ep_check_terminated(turn->lease);
		(void) ep_descriptor_wait(turn->lease->desc, WL_SOCKET_WRITEABLE, time_left(turn));
	}
	if (turn->send_failed)
		lost(turn, "The data of a COPY could not be sent.");
}

/* A transaction block has ended; not by COMMIT: it was rolled back. */
static void
count_transaction(EpTurn *turn, bool committed)
{
	turn->lease->stats.transaction_count++;
	if (!committed)
		turn->lease->stats.transaction_rollbacks++;
}

/* What the tag of a statement says about transaction blocks; how a ROLLBACK has ended tells ReadyForQuery. */
void
ep_turn_note_transaction(EpTurn *turn, const char *tag)
{
	if (strcmp(tag, "BEGIN") == 0 || strcmp(tag, "START TRANSACTION") == 0)
		turn->in_transaction = true;
	else if (strcmp(tag, "COMMIT") == 0 && turn->in_transaction)
	{
		count_transaction(turn, true);
		turn->in_transaction = false;
	}
}

/*
 * COMMIT was sent, and the connection is lost before ReadyForQuery: whether it was
 * answered or nobody knows, this is no transaction that is rolled back.
 */
void
ep_turn_lost_at_commit(EpTurn *turn)
{
	turn->lease->beginning = false;
	turn->conn->tx_status = 'I';
}

/* ReadyForQuery: the remote is at rest. */
void
ep_turn_ready(EpTurn *turn, const EpMessage *msg)
{
	char		status;

	if (!ep_parse_ready(msg, &status) || turn->lease->syncs <= 0)
		ep_turn_unexpected(turn, msg);
	if (unlikely(turn->lease->copy_in && turn->lease->syncs == 1))
		send_rest(turn);
	turn->lease->syncs--;
	turn->conn->tx_status = status;
	if (!turn->naming)
	{
		turn->lease->beginning = false;
		ep_turn_settle_settings(turn);
	}
	if (turn->in_transaction && status == 'I')
		count_transaction(turn, false);
	turn->in_transaction = status != 'I';
}

/* Can what has this command tag leave nothing in the session but what its text would show? */
static bool
tag_is_harmless(const char *tag)
{
	static const char *const harmless[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "SHOW", "COPY", "COMMIT", "ROLLBACK"};

	for (size_t i = 0; i < lengthof(harmless); i++)
	{
		if (strncmp(tag, harmless[i], strlen(harmless[i])) == 0)
			return true;
	}
	return false;
}

/* The number at the end of a command tag, 0 if there is none. */
static int64
count_of_tag(const char *tag)
{
	const char *number = strrchr(tag, ' ');
	char	   *end;
	int64		rows;

	if (number == NULL || number[1] < '0' || number[1] > '9')
		return 0;
	rows = strtoi64(number + 1, &end, 10);
	return *end == '\0' ? rows : 0;
}

/* CommandComplete or EmptyQueryResponse: how a statement ended. */
void
ep_turn_complete(EpTurn *turn, const EpMessage *msg, EpOutcome *outcome)
{
	EpReader	r;
	const char *tag;

	outcome->tag[0] = '\0';
	outcome->rows = 0;
	if (msg->type == 'I')
		return;

	ep_reader_init(&r, msg);
	tag = ep_read_string(&r);
	if (r.bad)
		ep_turn_unexpected(turn, msg);
	strlcpy(outcome->tag, tag, sizeof(outcome->tag));
	for (char *c = outcome->tag; *c != '\0'; c++)
	{
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	outcome->rows = count_of_tag(outcome->tag);

	ep_turn_note_transaction(turn, outcome->tag);
	if (!tag_is_harmless(tag))
	{
		turn->conn->dirty = true;
		ep_turn_forget_settings(turn);
	}
	ep_notify_note_command(turn->lease, tag);
	if (ep_tag_drops_statements(tag))
		ep_conn_forget_statements(turn->conn);
}

/* Raise 08P01 for a message that has no place where it came, or no sense; the connection is ended. */
void
ep_turn_unexpected(EpTurn *turn, const EpMessage *msg)
{
	ep_raise_malformed(turn->lease, psprintf("unexpected or malformed message of type \"%c\"", msg->type));
}

/* ------------------------------------------------------------------ the end */

/* The remote is at rest: leave the exchange. */
void
ep_turn_close(EpTurn *turn)
{
	count(turn, turn->failed);
	ep_wire_shrink(turn->wire);
	ep_lease_leave(turn->lease);
}

/* The remote has refused a propagated setting; its words are not about the caller's statement. */
static void
raise_settings(EpTurn *turn)
{
	ErrorContextCallback context;

	context.callback = ep_turn_settings_context;
	context.arg = turn;
	context.previous = error_context_stack;
	error_context_stack = &context;
	ep_raise_remote(turn->lease, &turn->error, NULL);
}

/*
 * Leave the exchange, and raise the error that the remote reported, if it did;
 * or why it was this side that had the statement cancelled.
 */
void
ep_turn_end(EpTurn *turn)
{
	if (turn->fatal)
		ep_lease_mark_broken(turn->lease);
	ep_turn_close(turn);
	if (!turn->failed)
		return;
	if (turn->error.sqlstate && strcmp(turn->error.sqlstate, "57014") == 0)
		ep_check_terminated(turn->lease);
	if (ep_turn_settings_failed(turn))
		raise_settings(turn);
	ep_raise_remote(turn->lease, &turn->error, turn->sql);
}
