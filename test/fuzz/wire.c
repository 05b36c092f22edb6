/*-------------------------------------------------------------------------
 *
 * wire.c
 *		Fuzz target: bytes of a remote are cut into messages, in whatever pieces
 *		they come, and the messages' bodies are read.
 *
 * The messages are compared with what a plain look at the whole stream says.
 * The stream is read in the four ways that there are: message by message,
 * without the data of results, handed over to another process in the middle,
 * and looked through before it is read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/parts.h"
#include "fuzz.h"
#include "shared/shared.h"

#define LARGE	(128 * 1024)	/* what a buffer grows to by itself */

/* What the stream should come out as. */
typedef struct Expected
{
	int			n;				/* whole messages */
	int			readies;
	bool		notification;
	bool		error;
	bool		copy;
	bool		malformed;
	size_t		rest;			/* where the first message begins that is not whole */
	uint64		hash;
} Expected;

static uint64
hash_message(uint64 hash, char type, const void *body, size_t len)
{
	hash = hash_more(hash, &type, 1);
	hash = hash_more(hash, &len, sizeof(len));
	return hash_more(hash, body, len);
}

static bool
is_type_of_server(uint8 type)
{
	switch (type)
	{
		case '1':
		case '2':
		case '3':
		case 'A':
		case 'C':
		case 'D':
		case 'E':
		case 'G':
		case 'H':
		case 'I':
		case 'K':
		case 'N':
		case 'R':
		case 'S':
		case 'T':
		case 'V':
		case 'W':
		case 'Z':
		case 'c':
		case 'd':
		case 'n':
		case 's':
		case 't':
		case 'v':
			return true;
		default:
			return false;
	}
}

static uint32
length_at(const uint8 *header)
{
	return (uint32) header[1] << 24 | (uint32) header[2] << 16 | (uint32) header[3] << 8 | header[4];
}

static bool
header_is_good(const uint8 *header)
{
	uint32		len = length_at(header);

	return is_type_of_server(header[0]) && len >= 4 && len <= EP_MAX_MESSAGE;
}

/* without_data: as those see it who drop DataRow and CopyData. */
static Expected
look_at(const uint8 *stream, size_t from, size_t len, bool without_data)
{
	Expected	e = {.rest = from};

	while (len - e.rest >= 5)
	{
		const uint8 *p = stream + e.rest;
		size_t		whole = (size_t) length_at(p) + 1;

		e.malformed = !header_is_good(p);
		if (e.malformed || len - e.rest < whole)
			break;
		e.rest += whole;
		if (without_data && (p[0] == 'D' || p[0] == 'd'))
			continue;
		e.n++;
		e.readies += p[0] == 'Z';
		e.notification |= p[0] == 'A';
		e.error |= p[0] == 'E';
		e.copy |= p[0] == 'G' || p[0] == 'H' || p[0] == 'W';
		e.hash = hash_message(e.hash, (char) p[0], p + 5, whole - 5);
	}
	return e;
}

/* ---------------------------------------------------------------- the bodies */

/* Read in steps that the message itself says. */
static void
walk(const EpMessage *msg)
{
	EpReader	r;

	ep_reader_init(&r, msg);
	for (int i = 0; i < 1000 && !r.bad; i++)
	{
		const char *before = r.p;
		int			what = ep_read_int16(&r);
		const char *text;

		switch (what & 3)
		{
			case 0:
				(void) ep_read_int32(&r);
				break;
			case 1:
				text = ep_read_string(&r);
				INVARIANT(r.bad ? *text == '\0' : text + strlen(text) < r.end);
				break;
			case 2:
				text = ep_read_bytes(&r, (uint32) ep_read_int32(&r));
				INVARIANT((text == NULL) == r.bad);
				break;
		}
		INVARIANT(r.p <= r.end && (r.p > before || r.bad));
	}
	if (r.bad)
		INVARIANT(ep_read_int32(&r) == 0 && ep_read_int16(&r) == 0 && *ep_read_string(&r) == '\0');
}

static void
check_within(const EpMessage *msg, const char *text)
{
	if (text)
		INVARIANT(text >= msg->data && text + strlen(text) < msg->data + msg->len);
}

static void
read_error(const EpMessage *msg)
{
	EpErrorFields f;

	if (!ep_parse_error(msg, &f))
		return;
	check_within(msg, f.severity);
	check_within(msg, f.sqlstate);
	check_within(msg, f.message);
	check_within(msg, f.detail);
	check_within(msg, f.hint);
	check_within(msg, f.context);
	check_within(msg, f.schema);
	check_within(msg, f.table);
	check_within(msg, f.column);
	check_within(msg, f.datatype);
	check_within(msg, f.constraint);
	check_within(msg, f.internal_query);
}

static void
read_rows(const EpMessage *msg)
{
	EpRowDesc  *rows = ep_read_rows(msg, NULL);

	if (rows == NULL)
		return;
	INVARIANT(rows->ncols >= 0 && (uint32) rows->ncols <= msg->len / 19);
	for (int i = 0; i < rows->ncols; i++)
	{
		INVARIANT(strlen(rows->cols[i].name) < msg->len);
		INVARIANT(rows->cols[i].format == 0 || rows->cols[i].format == 1);
	}
	pfree(rows);
}

/* By every reader, whatever the type is. */
static void
read_body(const EpMessage *msg)
{
	EpMessage	copy = *msg;
	char	   *body = exact_copy(msg->data, msg->len);
	const char *name;
	const char *value;
	char		status = 'X';
	EpReader	r;

	copy.data = body;
	read_error(&copy);
	if (ep_parse_ready(&copy, &status))
		INVARIANT(status == 'I' || status == 'T' || status == 'E');
	else
		INVARIANT(status == 'X');
	if (ep_parse_parameter(&copy, &name, &value))
	{
		check_within(&copy, name);
		check_within(&copy, value);
		(void) ep_parameter_garbles(name, value);
	}
	else
		INVARIANT(msg->type != 'S' || ep_message_garbles(&copy));
	(void) ep_message_garbles(&copy);
	ep_reader_init(&r, &copy);
	(void) ep_tag_drops_statements(ep_read_string(&r));
	read_rows(&copy);
	walk(&copy);
	free(body);
}

/* ------------------------------------------------------------------- reading */

static void
check_wire(const EpWire *wire, size_t largest)
{
	INVARIANT(wire->in_start <= wire->in_end && wire->in_end <= wire->in_size);
	INVARIANT(wire->in_size <= Max(largest, LARGE));
	INVARIANT(fuzz_memory() == (wire->in ? wire->in_size : 0));
}

/* The longest message that is whole or has its header there, and is no nonsense. */
static size_t
largest_message(const uint8 *stream, size_t len)
{
	size_t		largest = 0;

	for (size_t at = 0; len - at >= 5 && header_is_good(stream + at);)
	{
		size_t		whole = (size_t) length_at(stream + at) + 1;

		largest = Max(largest, whole);
		if (whole > len - at)
			break;
		at += whole;
	}
	return largest;
}

/* Reads once; false if nothing more will come, and *io is what was said. */
static bool
fill(EpWire *wire, const Remote *remote, size_t largest, EpIo *io)
{
	*io = ep_wire_fill(wire);
	check_wire(wire, largest);
	INVARIANT(wire->bytes_in == remote->at);
	if (*io == EP_IO_AGAIN)
		return remote->at < remote->len;
	return *io == EP_IO_OK;
}

static EpIo
io_at_end(End end)
{
	return end == END_NOTHING ? EP_IO_AGAIN : end == END_EOF ? EP_IO_EOF : EP_IO_ERROR;
}

typedef struct Seen
{
	int			n;
	uint64		hash;
	bool		malformed;
} Seen;

/* All that was received.  False if it is malformed. */
static bool
take_messages(EpWire *wire, bool drop_data, Seen *seen)
{
	EpMessage	msg;

	for (;;)
	{
		EpIo		io;

		if (drop_data)
		{
			if (wire->to_skip > 0 && ep_wire_drop_rest(wire) == EP_IO_AGAIN)
			{
				INVARIANT(wire->in_start == wire->in_end);
				return true;
			}
			if (ep_wire_drop_data(wire))
				continue;
		}
		io = ep_wire_next(wire, &msg);
		if (io != EP_IO_OK)
		{
			seen->malformed = io == EP_IO_MALFORMED;
			INVARIANT(!seen->malformed || wire->complaint != NULL);
			return !seen->malformed;
		}
		INVARIANT(msg.data >= wire->in && msg.data + msg.len == wire->in + wire->in_start);
		read_body(&msg);
		seen->n++;
		seen->hash = hash_message(seen->hash, msg.type, msg.data, msg.len);
	}
}

static void
compare(const Seen *seen, const Expected *expected)
{
	INVARIANT(seen->n == expected->n && seen->hash == expected->hash && seen->malformed == expected->malformed);
}

static void
read_all(EpWire *wire, Remote *remote, bool drop_data)
{
	Expected	expected = look_at(remote->bytes, 0, remote->len, drop_data);
	size_t		largest = largest_message(remote->bytes, remote->len);
	Seen		seen = {0};
	EpIo		io = EP_IO_OK;

	while (take_messages(wire, drop_data, &seen) && fill(wire, remote, largest, &io))
		;
	if (!seen.malformed)
		INVARIANT(remote->at == remote->len && io == io_at_end(remote->end));
	compare(&seen, &expected);
	/* what is left is what cannot be a whole message */
	if (!drop_data && !seen.malformed)
		INVARIANT(wire->in_end - wire->in_start == remote->len - expected.rest);
}

/* Received as far as limit says, and looked through before it is read. */
static void
read_surveyed(EpWire *wire, Remote *remote, size_t limit)
{
	bool		more = true;
	EpWireSurvey survey;
	Expected	expected;
	Seen		seen = {0};

	/* the pieces end, so that this does */
	while (more && remote->at < remote->len && wire->in_end - wire->in_start < limit)
		more = ep_wire_gather(wire, limit);
	expected = look_at(remote->bytes, 0, remote->at, false);
	ep_wire_survey(wire, &survey);
	INVARIANT(survey.readies == expected.readies && survey.notification == expected.notification &&
			  survey.error == expected.error && survey.copy == expected.copy &&
			  survey.malformed == expected.malformed);
	(void) take_messages(wire, false, &seen);
	compare(&seen, &expected);
}

/* ------------------------------------------------------------------ handing over */

/* Would the second process not go on, for what stands in [at, end)?  And where does it, with how many readies seen? */
static bool
can_be_left(const uint8 *stream, size_t at, size_t end, size_t *resume, int *readies)
{
	while (end - at >= 5)
	{
		const uint8 *p = stream + at;
		size_t		whole = (size_t) length_at(p) + 1;

		if (!header_is_good(p))
			return false;
		if (p[0] == 'S')
		{
			size_t		have = Min(whole, end - at) - 5;
			char	   *body = exact_copy(p + 5, have);
			EpMessage	msg = {.type = 'S', .data = body, .len = (uint32) have};
			bool		garbles = ep_message_garbles(&msg);

			free(body);
			if (garbles)
				return false;
		}
		*readies += p[0] == 'Z';
		at += whole;
		if (at > end)
			break;
	}
	*resume = at;
	return true;
}

/* One process reads `first` bytes and a few messages of them, another one goes on. */
static void
read_handed_over(EpWire *wire, Remote *remote, size_t first, int nmessages, int syncs)
{
	size_t		len = remote->len;
	End			end = remote->end;
	EpMessage	msg;
	EpUnfinished unfinished;
	size_t		resume = 0;
	int			readies = 0;
	bool		can;

	remote->len = Min(first, len);
	remote->end = END_NOTHING;
	while (remote->at < remote->len)
		(void) ep_wire_fill(wire);
	for (int i = 0; i < nmessages && ep_wire_next(wire, &msg) == EP_IO_OK; i++)
		;
	memset(&unfinished, 0x55, sizeof(unfinished));
	ep_wire_leave_unfinished(wire, syncs, &unfinished);
	can = can_be_left(remote->bytes, wire->in ? wire->bytes_in - (wire->in_end - wire->in_start) : 0, remote->at, &resume, &readies);
	INVARIANT(can == (unfinished.skip != PG_UINT32_MAX));
	INVARIANT(unfinished.nhead < 5 && (unfinished.nhead == 0 || unfinished.skip == 0 || !can));
	ep_wire_free(wire);

	remote_wire(wire, remote);
	INVARIANT((ep_wire_resume(wire, &unfinished) == EP_IO_OK) == can);
	if (!can)
	{
		INVARIANT(wire->complaint != NULL);
		return;
	}
	INVARIANT(unfinished.syncs == Max(syncs - readies, 0));
	remote->len = len;
	remote->end = end;
	if (resume <= len)
	{
		Expected	expected = look_at(remote->bytes, resume, len, true);
		Seen		seen = {0};

		while (take_messages(wire, true, &seen) && (ep_wire_fill(wire) == EP_IO_OK || remote->at < remote->len))
			;
		compare(&seen, &expected);
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	Input		in = {data, data + size};
	uint8		how = take_byte(&in);
	uint16		number = take_uint16(&in);
	int			small = take_byte(&in);
	Remote		remote;
	EpWire		wire;

	remote_begin(&remote, NULL, 0, (End) ((how >> 2) % 3));
	take_pieces(&in, remote.pieces, &remote.npieces);
	remote.bytes = in.at;
	remote.len = left(&in);
	remote_wire(&wire, &remote);
	switch (how & 3)
	{
		case 0:
		case 1:
			read_all(&wire, &remote, how & 1);
			break;
		case 2:
			read_surveyed(&wire, &remote, number);
			break;
		case 3:
			read_handed_over(&wire, &remote, number, small & 15, small >> 4);
			break;
	}
	wire.in_start = wire.in_end;
	ep_wire_shrink(&wire);
	INVARIANT(wire.in_size <= LARGE);
	ep_wire_free(&wire);
	INVARIANT(fuzz_memory() == 0);
	return 0;
}
