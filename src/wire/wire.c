/*-------------------------------------------------------------------------
 *
 * wire.c
 *		Sending and receiving protocol 3 messages without blocking.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "shared/shared.h"
#include "wire/wire.h"

#define IN_SIZE_SMALL	8192	/* what a connection at rest keeps */
#define IN_SIZE_LARGE	(128 * 1024)	/* what it grows to when much comes */
#define HEADER_SIZE		5

/* Begin to use a socket.  The buffers are allocated in context when they are needed. */
void
ep_wire_init(EpWire *wire, MemoryContext context, int fd)
{
	memset(wire, 0, sizeof(EpWire));
	wire->context = context;
	wire->out_message = -1;
	ep_transport_socket(&wire->transport, fd);
}

/* Forget everything that was received or is to be sent, and use another socket. */
void
ep_wire_reset(EpWire *wire, int fd)
{
	wire->in_start = wire->in_end = 0;
	wire->out_message = -1;
	wire->to_skip = 0;
	wire->complaint = NULL;
	if (wire->out.data)
	{
		resetStringInfo(&wire->out);
	}
	ep_transport_socket(&wire->transport, fd);
}

/* Free the buffers; the socket stays the caller's. */
void
ep_wire_free(EpWire *wire)
{
	if (wire->in)
		pfree(wire->in);
	if (wire->out.data)
		pfree(wire->out.data);
	wire->in = NULL;
	wire->out.data = NULL;
	wire->in_start = wire->in_end = wire->in_size = 0;
}

static uint32
message_length(const char *header)
{
	uint32		len;

	memcpy(&len, header + 1, 4);
	return pg_ntoh32(len);
}

/* ------------------------------------------------------------ building */

static void
need_out(EpWire *wire)
{
	if (wire->out.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(wire->context);

		initStringInfo(&wire->out);
		MemoryContextSwitchTo(old);
	}
}

/*
 * Where the next len bytes of what is built go.  A call builds some twenty pieces of
 * a few bytes, for which the general way costs more than the bytes.
 */
static inline char *
place_for(EpWire *wire, size_t len)
{
	StringInfo	out = &wire->out;
	char	   *place;

	if (unlikely(len >= (size_t) (out->maxlen - out->len)))
		enlargeStringInfo(out, (int) Min(len, (size_t) INT_MAX));	/* too much is refused there */
	place = out->data + out->len;
	out->len += (int) len;
	return place;
}

static inline void
put_int32(EpWire *wire, int32 value)
{
	uint32		n = pg_hton32((uint32) value);

	memcpy(place_for(wire, 4), &n, 4);
}

/* Begin a message; its length is filled in by ep_wire_end. */
void
ep_wire_begin(EpWire *wire, char type)
{
	Assert(wire->out_message < 0);
	need_out(wire);
	wire->out_message = wire->out.len;
	*place_for(wire, 1) = type;
	put_int32(wire, 0);
}

void
ep_wire_put_bytes(EpWire *wire, const void *data, size_t len)
{
	memcpy(place_for(wire, len), data, len);
}

/* Append a text with its terminating NUL. */
void
ep_wire_put_string(EpWire *wire, const char *text)
{
	ep_wire_put_bytes(wire, text, strlen(text) + 1);
}

void
ep_wire_put_int16(EpWire *wire, int value)
{
	uint16		n = pg_hton16((uint16) value);

	memcpy(place_for(wire, 2), &n, 2);
}

void
ep_wire_put_int32(EpWire *wire, int32 value)
{
	put_int32(wire, value);
}

void
ep_wire_end(EpWire *wire)
{
	uint32		len = pg_hton32((uint32) (wire->out.len - wire->out_message - 1));

	memcpy(wire->out.data + wire->out_message + 1, &len, 4);
	wire->out_message = -1;
}

void
ep_wire_put_simple(EpWire *wire, char type)
{
	ep_wire_begin(wire, type);
	ep_wire_end(wire);
}

void
ep_wire_put_query(EpWire *wire, const char *sql)
{
	ep_wire_begin(wire, 'Q');
	ep_wire_put_string(wire, sql);
	ep_wire_end(wire);
}

/* Is there anything built that the socket has not taken yet? */
bool
ep_wire_unsent(const EpWire *wire)
{
	return wire->out.data != NULL && wire->out.cursor < wire->out.len;
}

/*
 * Send as much as the socket takes.  EP_IO_OK: all of it has left, AGAIN: wait
 * until it is writable (and read meanwhile, the remote may be blocked on us),
 * ERROR: the connection is gone.
 */
EpIo
ep_wire_flush(EpWire *wire)
{
	while (ep_wire_unsent(wire))
	{
		ssize_t		n = wire->transport.write(&wire->transport,
											  wire->out.data + wire->out.cursor,
											  wire->out.len - wire->out.cursor);

		if (n < 0)
		{
			wire->saved_errno = errno;
			return EP_IO_ERROR;
		}
		if (n == 0)
			return EP_IO_AGAIN;
		wire->out.cursor += n;
		wire->bytes_out += n;
	}
	if (wire->out.data)
		resetStringInfo(&wire->out);
	return EP_IO_OK;
}

/*
 * Of a message that the socket has taken in part: how many bytes are still to
 * be sent, and its type.  0: the next byte begins a message, or nothing is there.
 */
size_t
ep_wire_begun(const EpWire *wire, char *type)
{
	int			built = wire->out_message >= 0 ? wire->out_message : wire->out.len;
	int			at = 0;

	/* the buffer is emptied when all has left, so it starts with a message */
	while (wire->out.data != NULL && at < built && at < wire->out.cursor)
	{
		int			end = at + 1 + (int) message_length(wire->out.data + at);

		if (end > wire->out.cursor)
		{
			*type = wire->out.data[at];
			return end - wire->out.cursor;
		}
		at = end;
	}
	return 0;
}

/*
 * Forget what was built and of which the socket has taken nothing.  What is left
 * is the rest of a message that it has taken in part.  Allocates nothing.
 */
void
ep_wire_cut(EpWire *wire)
{
	char		type;
	size_t		rest = ep_wire_begun(wire, &type);

	wire->out_message = -1;
	if (wire->out.data == NULL)
		return;
	if (rest > 0)
		wire->out.len = wire->out.cursor + (int) rest;
	else
		resetStringInfo(&wire->out);
}

/* Append the rest of a message that another process began, and whose contents do not matter any more. */
void
ep_wire_put_padding(EpWire *wire, uint32 len)
{
	need_out(wire);
	enlargeStringInfo(&wire->out, (int) len);
	memset(wire->out.data + wire->out.len, 0, len);
	wire->out.len += (int) len;
}

/* ----------------------------------------------------------- receiving */

/* Make room for at least one more byte, and for the whole of the message that is coming in. */
static void
make_room(EpWire *wire)
{
	size_t		have = wire->in_end - wire->in_start;
	size_t		want = wire->in_size ? wire->in_size : IN_SIZE_SMALL;

	if (wire->in == NULL)
	{
		wire->in = MemoryContextAlloc(wire->context, want);
		wire->in_size = want;
		return;
	}
	if (have >= HEADER_SIZE)
	{
		size_t		whole = (size_t) message_length(wire->in + wire->in_start) + 1;

		if (whole > want && whole <= (size_t) EP_MAX_MESSAGE + HEADER_SIZE)
			want = whole;
	}
	if (have == wire->in_size && want == wire->in_size)
		want = wire->in_size * 2;
	if (want > wire->in_size)
	{
		/* copy only what is unread: a long result never doubles its buffer for nothing */
		char	   *bigger = MemoryContextAllocExtended(wire->context, want, MCXT_ALLOC_HUGE);

		memcpy(bigger, wire->in + wire->in_start, have);
		pfree(wire->in);
		wire->in = bigger;
		wire->in_size = want;
	}
	else if (wire->in_start > 0)
		memmove(wire->in, wire->in + wire->in_start, have);
	wire->in_start = 0;
	wire->in_end = have;
}

/*
 * Read once what the socket has.  Invalidates the data of earlier messages.
 * EP_IO_OK: something came; AGAIN: nothing there; EOF, ERROR: connection gone.
 */
EpIo
ep_wire_fill(EpWire *wire)
{
	ssize_t		n;
	size_t		room;

	if (wire->in_start == wire->in_end)
		wire->in_start = wire->in_end = 0;
	if (wire->in_end == wire->in_size || wire->in_start > wire->in_size / 2)
		make_room(wire);
	room = wire->in_size - wire->in_end;
	n = wire->transport.read(&wire->transport, wire->in + wire->in_end, room);
	if (n == -2)
		return EP_IO_EOF;
	if (n < 0)
	{
		wire->saved_errno = errno;
		return EP_IO_ERROR;
	}
	if (n == 0)
		return EP_IO_AGAIN;
	wire->in_end += n;
	wire->bytes_in += n;

	/* the socket filled a small buffer: more is to come, read it in larger pieces */
	if ((size_t) n == room && wire->in_size < IN_SIZE_LARGE)
	{
		size_t		have = wire->in_end - wire->in_start;
		char	   *bigger = MemoryContextAlloc(wire->context, IN_SIZE_LARGE);

		memcpy(bigger, wire->in + wire->in_start, have);
		pfree(wire->in);
		wire->in = bigger;
		wire->in_size = IN_SIZE_LARGE;
		wire->in_start = 0;
		wire->in_end = have;
	}
	return EP_IO_OK;
}

/* Message types that a server sends. */
static bool
known_type(char type)
{
	return strchr("123ACDEGHIKNRSTVWZcdnstv", type) != NULL && type != '\0';
}

/*
 * Cut the next whole message out of what was received.  EP_IO_OK with *msg,
 * AGAIN if it is not all there yet, MALFORMED (wire->complaint says why).
 */
EpIo
ep_wire_next(EpWire *wire, EpMessage *msg)
{
	size_t		have = wire->in_end - wire->in_start;
	const char *p;
	uint32		len;

	if (have < HEADER_SIZE)
		return EP_IO_AGAIN;
	p = wire->in + wire->in_start;
	if (!known_type(p[0]))
	{
		wire->complaint = "unknown message type";
		return EP_IO_MALFORMED;
	}
	len = message_length(p);
	if (len < 4 || len > EP_MAX_MESSAGE)
	{
		wire->complaint = "invalid message length";
		return EP_IO_MALFORMED;
	}
	if (have < (size_t) len + 1)
		return EP_IO_AGAIN;
	msg->type = p[0];
	msg->data = p + HEADER_SIZE;
	msg->len = len - 4;
	wire->in_start += (size_t) len + 1;
	return EP_IO_OK;
}

/* What the length word of the message that is coming in says; 0 if that has not come. */
uint32
ep_wire_next_length(const EpWire *wire)
{
	return wire->in_end - wire->in_start < HEADER_SIZE ? 0 : message_length(wire->in + wire->in_start);
}

/*
 * Send and read what can be without waiting, until there are limit bytes that
 * nobody has looked at.  Returns false if nothing more will ever come.
 */
bool
ep_wire_gather(EpWire *wire, size_t limit)
{
	bool		sending = ep_wire_flush(wire) != EP_IO_ERROR;

	while (wire->in_end - wire->in_start < limit)
	{
		switch (ep_wire_fill(wire))
		{
			case EP_IO_OK:
				break;
			case EP_IO_AGAIN:
				return sending;
			default:
				return false;
		}
	}
	return true;
}

/* Look through what was received, from the next message on, and leave it where it is. */
void
ep_wire_survey(const EpWire *wire, EpWireSurvey *survey)
{
	size_t		at = wire->in_start;

	memset(survey, 0, sizeof(EpWireSurvey));
	while (wire->in_end - at >= HEADER_SIZE)
	{
		const char *p = wire->in + at;
		uint32		len = message_length(p);

		survey->malformed = !known_type(p[0]) || len < 4 || len > EP_MAX_MESSAGE;
		if (survey->malformed || wire->in_end - at < (size_t) len + 1)
			return;
		survey->readies += p[0] == 'Z';
		survey->notification |= p[0] == 'A';
		survey->error |= p[0] == 'E';
		survey->copy |= p[0] == 'G' || p[0] == 'H' || p[0] == 'W';
		at += (size_t) len + 1;
	}
}

/* Give back the memory of an unusually large result.  Nothing may be unread. */
void
ep_wire_shrink(EpWire *wire)
{
	if (wire->in_start == wire->in_end && wire->in_size > IN_SIZE_LARGE)
	{
		pfree(wire->in);
		wire->in = NULL;
		wire->in_size = wire->in_start = wire->in_end = 0;
	}
	if (wire->out.data && wire->out.maxlen > IN_SIZE_LARGE && wire->out.len == 0)
	{
		pfree(wire->out.data);
		wire->out.data = NULL;
	}
}

/* ------------------------------------------------- an exchange handed over */

/*
 * Would who comes next have to know what that message says?  Of it have bytes
 * are there, with its whole header, and they are no more than it has: of a
 * report that has come in part nobody will see the whole.
 */
static bool
says_what_matters(const char *message, size_t have)
{
	EpMessage	msg = {.type = message[0], .data = message + HEADER_SIZE, .len = (uint32) (have - HEADER_SIZE)};

	return ep_message_garbles(&msg);
}

/*
 * Describe, for whoever takes over the socket, where in the stream of
 * messages this process stopped reading: walk over what was received but not
 * looked at, count down the Syncs that it answers, and note how much of the
 * last message is still to come.  Allocates nothing and cannot fail: it runs
 * in abort and exit paths.  A stream that makes no sense, or says something that
 * who comes next would have to know, yields skip = UINT32_MAX, which
 * ep_wire_resume reports as malformed.
 */
void
ep_wire_leave_unfinished(const EpWire *wire, int syncs, EpUnfinished *out)
{
	size_t		at = wire->in_start;

	memset(out, 0, sizeof(EpUnfinished));
	if (wire->to_skip > 0)
	{
		/* in the middle of a message that was being dropped: nothing else was received */
		out->skip = (uint32) wire->to_skip;
		out->syncs = syncs;
		return;
	}
	while (wire->in_end - at >= HEADER_SIZE)
	{
		const char *p = wire->in + at;
		uint32		len = message_length(p);

		if (!known_type(p[0]) || len < 4 || len > EP_MAX_MESSAGE ||
			says_what_matters(p, Min((size_t) len + 1, wire->in_end - at)))
		{
			out->skip = PG_UINT32_MAX;
			out->syncs = syncs;
			return;
		}
		if (p[0] == 'Z')
			syncs--;
		if (p[0] == 'G' || p[0] == 'W')
			out->copy_in = true;
		if (wire->in_end - at < (size_t) len + 1)
		{
			out->skip = (uint32) ((size_t) len + 1 - (wire->in_end - at));
			out->skip_ready = p[0] == 'Z';
			at = wire->in_end;
			break;
		}
		at += (size_t) len + 1;
	}
	out->nhead = (uint8) (wire->in_end - at);
	if (out->nhead > 0)
		memcpy(out->head, wire->in + at, out->nhead);
	out->syncs = Max(syncs, 0);
}

/*
 * Continue where another process stopped: call before the first
 * ep_wire_fill, with an empty buffer.  The rest of a message that was begun is
 * read and dropped through wire->to_skip by ep_wire_drop_rest.
 */
EpIo
ep_wire_resume(EpWire *wire, const EpUnfinished *unfinished)
{
	if (unfinished->skip == PG_UINT32_MAX)
	{
		wire->complaint = "invalid message";
		return EP_IO_MALFORMED;
	}
	if (wire->in == NULL)
		make_room(wire);
	wire->in_start = 0;
	wire->in_end = unfinished->nhead;
	memcpy(wire->in, unfinished->head, unfinished->nhead);
	wire->to_skip = unfinished->skip;
	return EP_IO_OK;
}

/* Drop received bytes that belong to the rest of a message (ep_wire_resume). */
EpIo
ep_wire_drop_rest(EpWire *wire)
{
	size_t		have = wire->in_end - wire->in_start;
	size_t		n = Min(have, wire->to_skip);

	wire->in_start += n;
	wire->to_skip -= n;
	return wire->to_skip > 0 ? EP_IO_AGAIN : EP_IO_OK;
}

/*
 * If the next message carries data of a result (DataRow, CopyData), drop it:
 * who wants none of it need not hold a large one in memory.  Returns whether
 * it did; what has not come yet is dropped by ep_wire_drop_rest.
 */
bool
ep_wire_drop_data(EpWire *wire)
{
	const char *p;
	uint32		len;

	if (wire->in_end - wire->in_start < HEADER_SIZE)
		return false;
	p = wire->in + wire->in_start;
	if (p[0] != 'D' && p[0] != 'd')
		return false;
	len = message_length(p);
	if (len < 4 || len > EP_MAX_MESSAGE)
		return false;
	wire->to_skip = (size_t) len + 1;
	(void) ep_wire_drop_rest(wire);
	return true;
}
