/*-------------------------------------------------------------------------
 *
 * talk.c
 *		The worker's own exchanges with a remote server.
 *
 * Statements go as simple queries, one message each, without awaiting the
 * answer of the one before; the answers are counted by ReadyForQuery.  Nothing
 * blocks: the keeper calls ep_talk_step() when the socket has something.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "worker/talk.h"

/*
 * Longest message that is not dropped unread.  A backend that is sent more is
 * alone with that; the worker's memory is everybody's.
 */
#define LONGEST_MESSAGE	(1024 * 1024)

/* How often it is read in one step: whoever sends without end must not keep the worker from everybody else. */
#define STEP_READS	32

/* Starts with nothing to wait for. */
void
ep_talk_begin(EpTalk *talk)
{
	memset(talk, 0, sizeof(EpTalk));
	talk->tx_status = 'I';
	talk->hot_standby = talk->read_only = talk->rows = -1;
	talk->encoding = -1;
}

/* Asks for a ReadyForQuery and for nothing else. */
void
ep_talk_sync(EpTalk *talk, EpWire *wire)
{
	ep_wire_put_simple(wire, 'S');
	talk->answers++;
}

/* Adds a statement, or several separated by semicolons. */
void
ep_talk_query(EpTalk *talk, EpWire *wire, const char *sql)
{
	ep_wire_put_query(wire, sql);
	talk->answers++;
}

/*
 * Asks what the server is; to be the last.  Servers before 14, and poolers in
 * between, do not report it by themselves.  Rows are dropped unread here, so
 * the answer is how many there are.
 */
void
ep_talk_ask_state(EpTalk *talk, EpWire *wire)
{
	talk->state_asked = true;
	ep_talk_query(talk, wire,
				  "SELECT FROM pg_catalog.generate_series(1,"
				  " CASE WHEN pg_catalog.pg_is_in_recovery() THEN 1 ELSE 0 END OPERATOR(pg_catalog.+)"
				  " CASE WHEN pg_catalog.current_setting('default_transaction_read_only')::boolean THEN 2 ELSE 0 END)");
}

/* Changes state to what the answers say, as far as they do. */
void
ep_talk_read_state(const EpTalk *talk, EpHostState *state)
{
	if (talk->state_asked && talk->rows >= 0)
	{
		state->hot_standby = (talk->rows & 1) != 0;
		state->read_only = (talk->rows & 2) != 0;
		return;
	}
	if (talk->hot_standby >= 0)
		state->hot_standby = talk->hot_standby == 1;
	if (talk->read_only >= 0)
		state->read_only = talk->read_only == 1;
}

/*
 * Has a COPY fail for which a backend was sending data, after the rest of the
 * CopyData that it left.  A remote at which the COPY has ended already, or that
 * refuses it, drops both.
 */
static void
fail_copy(EpTalk *talk, EpWire *wire, uint32 pad)
{
	ep_wire_put_padding(wire, pad);
	ep_wire_begin(wire, 'f');
	ep_wire_put_string(wire, EP_COPY_CUT);
	ep_wire_end(wire);
	talk->copying = true;
}

/*
 * Takes over where a backend stopped reading.  Returns false if what it left
 * cannot be made sense of.
 */
bool
ep_talk_resume(EpTalk *talk, EpWire *wire, const EpUnfinished *unfinished)
{
	/*
	 * A remote that waits for data of a COPY may be in either protocol: no
	 * telling how often it answers, unless we know that it is the simple one.
	 */
	if ((unfinished->copy_in && !unfinished->copy_fail) || ep_wire_resume(wire, unfinished) != EP_IO_OK)
	{
		strlcpy(talk->error, "the exchange was left at a point from which it cannot be finished", sizeof(talk->error));
		return false;
	}
	talk->answers = unfinished->syncs;
	if (unfinished->copy_fail)
		fail_copy(talk, wire, unfinished->pad);
	if (unfinished->need_sync)
		ep_talk_sync(talk, wire);
	return true;
}

static EpTalkState
lost(EpTalk *talk, const char *why)
{
	/* a FATAL message that came before the end says more */
	if (!talk->failed)
		strlcpy(talk->error, why, sizeof(talk->error));
	return EP_TALK_LOST;
}

static void
note_error(EpTalk *talk, const EpMessage *msg)
{
	EpErrorFields fields;

	talk->failed = true;
	if (!ep_parse_error(msg, &fields))
	{
		strlcpy(talk->error, "malformed error message", sizeof(talk->error));
		return;
	}
	ep_copy_text(talk->error, sizeof(talk->error), fields.message ? fields.message : "unknown error");
	strlcpy(talk->sqlstate, fields.sqlstate ? fields.sqlstate : "", sizeof(talk->sqlstate));
}

static void
note_parameter(EpTalk *talk, const EpMessage *msg)
{
	const char *name;
	const char *value;

	if (!ep_parse_parameter(msg, &name, &value))
		return;
	if (strcmp(name, "in_hot_standby") == 0)
		talk->hot_standby = strcmp(value, "on") == 0;
	else if (strcmp(name, "default_transaction_read_only") == 0)
		talk->read_only = strcmp(value, "on") == 0;
	else if (strcmp(name, "client_encoding") == 0)
	{
		talk->encoding = pg_char_to_encoding(value);
		if (talk->encoding < 0)
			talk->encoding = _PG_LAST_ENCODING_;	/* reported, but nothing that we know */
	}
	else if (strcmp(name, "DateStyle") == 0)
		talk->dates_garbled = ep_parameter_garbles(name, value);
	else if (strcmp(name, "IntervalStyle") == 0)
		talk->intervals_garbled = ep_parameter_garbles(name, value);
}

static void
note_tag(EpTalk *talk, const EpMessage *msg)
{
	EpReader	r;
	const char *tag;

	ep_reader_init(&r, msg);
	tag = ep_read_string(&r);
	if (strncmp(tag, "SELECT ", 7) == 0)
		talk->rows = (int) Min(strtoul(tag + 7, NULL, 10), PG_INT32_MAX);
	talk->forget |= ep_tag_drops_statements(tag);
}

/* Returns false if the message has no place here. */
static bool
take_message(EpTalk *talk, const EpMessage *msg)
{
	switch (msg->type)
	{
		case 'Z':
			if (!ep_parse_ready(msg, &talk->tx_status))
				return false;
			talk->answers--;
			return talk->answers >= 0;
		case 'S':
			note_parameter(talk, msg);
			return true;
		case 'N':
		case 'A':
			return true;
		case 'E':
			note_error(talk, msg);
			return !talk->strict;
		case 'C':
			note_tag(talk, msg);
			return !talk->strict;
		case 'G':
			if (talk->copying)
				return true;
			return false;		/* nobody here has data for a COPY */
		case 'W':
			return false;
		default:
			return !talk->strict;
	}
}

/* Looks at all that was received. */
static EpTalkState
read_messages(EpTalk *talk, EpWire *wire)
{
	EpMessage	msg;

	for (;;)
	{
		if (wire->to_skip > 0 && ep_wire_drop_rest(wire) == EP_IO_AGAIN)
			return EP_TALK_BUSY;

		/*
		 * The remote may have given its last answer before it got the rest of
		 * what was left half sent: that must leave before anything else does.
		 */
		if (talk->answers == 0 && wire->in_start == wire->in_end)
			return ep_wire_unsent(wire) ? EP_TALK_BUSY : EP_TALK_DONE;
		if (!talk->strict && ep_wire_drop_data(wire))
			continue;
		if (ep_wire_next_length(wire) > LONGEST_MESSAGE)
			return lost(talk, "message from the remote server is too long");
		switch (ep_wire_next(wire, &msg))
		{
			case EP_IO_OK:
				if (!take_message(talk, &msg))
					return lost(talk, "unexpected message from the remote server");
				break;
			case EP_IO_AGAIN:
				return EP_TALK_BUSY;
			default:
				return lost(talk, wire->complaint ? wire->complaint : "malformed message");
		}
	}
}

/*
 * Sends and reads what is possible at this moment, or a part of it: then the
 * socket stays readable.  Blocks never.  Memory: the wire's buffers.
 */
EpTalkState
ep_talk_step(EpTalk *talk, EpWire *wire)
{
	for (int i = 0; i < STEP_READS; i++)
	{
		EpTalkState state = read_messages(talk, wire);
		EpIo		io;

		if (state != EP_TALK_BUSY)
			return state;
		if (ep_wire_flush(wire) == EP_IO_ERROR)
		{
			/* what the remote said before it closed may still be there to read */
			while (i++ < STEP_READS && ep_wire_fill(wire) == EP_IO_OK)
				(void) read_messages(talk, wire);
			return lost(talk, "could not send to the remote server");
		}
		/* what was left to send has left; of a message that has begun the rest is still to come */
		if (talk->answers == 0 && wire->to_skip == 0 && wire->in_start == wire->in_end && !ep_wire_unsent(wire))
			continue;
		io = ep_wire_fill(wire);
		if (io == EP_IO_AGAIN)
			return EP_TALK_BUSY;
		if (io == EP_IO_EOF)
			return lost(talk, "the remote server closed the connection");
		if (io != EP_IO_OK)
			return lost(talk, "could not receive from the remote server");
	}
	return read_messages(talk, wire);
}

/*
 * After everything was read: do backends still read texts as the remote writes
 * them, in that encoding?  A connect_query may have changed that.  If not,
 * error says why, and the connection must not be used.
 */
bool
ep_talk_fits(EpTalk *talk, int encoding)
{
	const char *what = NULL;

	if (talk->encoding >= 0 && talk->encoding != encoding)
		what = "client_encoding";
	else if (talk->dates_garbled)
		what = "DateStyle";
	else if (talk->intervals_garbled)
		what = "IntervalStyle";
	if (what == NULL)
		return true;
	snprintf(talk->error, sizeof(talk->error), "%s of a pooled connection cannot be changed", what);
	return false;
}
