/*-------------------------------------------------------------------------
 *
 * test_wire.c
 *		Sending, and cutting what was received into messages, in whatever
 *		pieces it comes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "port/pg_bswap.h"

#include "scripted.h"
#include "unit.h"
#include "wire/wire.h"

/* ---------------------------------------------------------------- sending */

static void
build(EpWire *wire)
{
	ep_wire_begin(wire, 'B');
	ep_wire_put_string(wire, "ab");
	ep_wire_put_int16(wire, -1);
	ep_wire_put_int32(wire, 258);
	ep_wire_put_bytes(wire, "\0x", 2);
	ep_wire_end(wire);
	ep_wire_put_simple(wire, 'S');
	ep_wire_put_query(wire, "SELECT 1");
}

static const char built[] =
"B\0\0\0\x0f" "ab\0" "\xff\xff" "\0\0\1\2" "\0x"
"S\0\0\0\4"
"Q\0\0\0\x0d" "SELECT 1";		/* and its NUL */

static void
test_building(void)
{
	EpWire		wire;

	scripted_wire(&wire, "", 0, 1000);
	CHECK(!ep_wire_unsent(&wire), "nothing built");
	CHECK_INT(ep_wire_flush(&wire), EP_IO_OK, "nothing to send");
	build(&wire);
	CHECK(ep_wire_unsent(&wire), "built");
	CHECK_INT(scripted.nwritten, 0, "nothing leaves before flush");
	CHECK_INT(ep_wire_flush(&wire), EP_IO_OK, "all at once");
	CHECK(!ep_wire_unsent(&wire), "all at once");
	CHECK_INT(scripted.nwritten, sizeof(built), "all at once");
	CHECK(memcmp(scripted.written, built, sizeof(built)) == 0, "all at once");
	CHECK_INT(wire.bytes_out, sizeof(built), "counted");
	ep_wire_free(&wire);
}

/* The peer takes some bytes, then none for a while. */
static void
test_slow_peer(void)
{
	for (size_t room = 0; room < sizeof(built); room++)
	{
		EpWire		wire;

		scripted_wire(&wire, "", 0, 3);
		scripted.room = room;
		build(&wire);
		CHECK_INT(ep_wire_flush(&wire), EP_IO_AGAIN, "room %zu", room);
		CHECK(ep_wire_unsent(&wire), "room %zu", room);
		CHECK_INT(scripted.nwritten, room, "room %zu", room);
		scripted.room = sizeof(built);
		CHECK_INT(ep_wire_flush(&wire), EP_IO_OK, "room %zu", room);
		CHECK(scripted.nwritten == sizeof(built) &&
			  memcmp(scripted.written, built, sizeof(built)) == 0, "room %zu", room);
		ep_wire_free(&wire);
	}
}

static void
test_send_failure(void)
{
	EpWire		wire;

	scripted_wire(&wire, "", 0, 1000);
	scripted.write_fails = true;
	build(&wire);
	CHECK_INT(ep_wire_flush(&wire), EP_IO_ERROR, "broken pipe");
	CHECK_INT(wire.saved_errno, EPIPE, "broken pipe");
	CHECK(ep_wire_unsent(&wire), "still unsent");
	ep_wire_reset(&wire, -1);
	CHECK(!ep_wire_unsent(&wire), "forgotten");
	ep_wire_free(&wire);
}

/* -------------------------------------------------------------- receiving */

#define NMESSAGES	6

typedef struct Expected
{
	char		type;
	uint32		len;
} Expected;

static const Expected expected[NMESSAGES] = {
	{'1', 0}, {'T', 30}, {'D', 700}, {'D', 1}, {'C', 12}, {'Z', 1}
};

static char
byte_of(int message, uint32 at)
{
	return (char) ('a' + (message * 7 + at) % 26);
}

static size_t
make_stream(char *to)
{
	size_t		len = 0;
	char		body[1024];

	for (int i = 0; i < NMESSAGES; i++)
	{
		for (uint32 at = 0; at < expected[i].len; at++)
			body[at] = byte_of(i, at);
		len += put_message(to + len, expected[i].type, body, expected[i].len);
	}
	return len;
}

static bool
message_is(const EpMessage *msg, int i)
{
	if (i >= NMESSAGES || msg->type != expected[i].type || msg->len != expected[i].len)
		return false;
	for (uint32 at = 0; at < msg->len; at++)
	{
		if (msg->data[at] != byte_of(i, at))
			return false;
	}
	return true;
}

/* Whatever the pieces, the messages are the same. */
static void
test_pieces(void)
{
	char		stream[2048];
	size_t		len = make_stream(stream);

	for (size_t chunk = 1; chunk <= len; chunk++)
	{
		EpWire		wire;
		EpMessage	msg;
		int			n = 0;
		bool		right = true;
		EpIo		io;

		scripted_wire(&wire, stream, len, chunk);
		while ((io = ep_wire_fill(&wire)) == EP_IO_OK)
		{
			while ((io = ep_wire_next(&wire, &msg)) == EP_IO_OK)
				right = right && message_is(&msg, n++);
			CHECK_INT(io, EP_IO_AGAIN, "chunk %zu", chunk);
		}
		CHECK_INT(io, EP_IO_AGAIN, "chunk %zu", chunk);
		CHECK_INT(n, NMESSAGES, "chunk %zu", chunk);
		CHECK(right, "chunk %zu", chunk);
		CHECK_INT(wire.bytes_in, len, "chunk %zu", chunk);
		ep_wire_free(&wire);
	}
}

static void
test_ends(void)
{
	EpWire		wire;
	EpMessage	msg;

	scripted_wire(&wire, "Z\0\0\0\5", 5, 100);
	scripted.at_end = -2;
	CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_AGAIN, "nothing received");
	CHECK_INT(ep_wire_fill(&wire), EP_IO_OK, "the header");
	CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_AGAIN, "the body is missing");
	CHECK_INT(ep_wire_fill(&wire), EP_IO_EOF, "closed in the middle of a message");
	ep_wire_free(&wire);

	scripted_wire(&wire, "", 0, 100);
	scripted.at_end = -1;
	CHECK_INT(ep_wire_fill(&wire), EP_IO_ERROR, "reset");
	CHECK_INT(wire.saved_errno, ECONNRESET, "reset");
	ep_wire_free(&wire);
}

static void
test_malformed(void)
{
	static const struct
	{
		const char *bytes;
		const char *complaint;
	}			cases[] = {
		{"Z\0\0\0\0", "invalid message length"},
		{"Z\0\0\0\3", "invalid message length"},
		{"D\xff\xff\xff\xff", "invalid message length"},
		{"D\x80\0\0\0", "invalid message length"},
		{"D\x40\0\0\0", "invalid message length"},
		{"\0\0\0\0\4", "unknown message type"},
		{"Q\0\0\0\4", "unknown message type"},
		{"\xff\0\0\0\4", "unknown message type"},
		{"HTTP/", NULL},
		{"<html", "unknown message type"},
	};

	for (Size i = 0; i < lengthof(cases); i++)
	{
		EpWire		wire;
		EpMessage	msg;
		char		stream[16];
		size_t		len = put_message(stream, '1', "", 0);

		memcpy(stream + len, cases[i].bytes, 5);
		scripted_wire(&wire, stream, len + 5, 100);
		CHECK_INT(ep_wire_fill(&wire), EP_IO_OK, "case %zu", i);
		CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_OK, "case %zu: what came before is good", i);
		CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_MALFORMED, "case %zu", i);
		if (cases[i].complaint)
			CHECK_STRING(wire.complaint, cases[i].complaint, "case %zu", i);
		ep_wire_free(&wire);
	}
}

/* A message larger than the buffer, between small ones; the memory is given back. */
static void
test_large(void)
{
	uint32		large = 3 * 1024 * 1024;
	char	   *body = malloc(large);
	char	   *stream = malloc(large + 1000);
	size_t		len = 0;
	EpWire		wire;
	EpMessage	msg;
	int			n = 0;

	for (uint32 at = 0; at < large; at++)
		body[at] = (char) (at * 31 % 251);
	len += put_message(stream + len, 'D', "small", 5);
	len += put_message(stream + len, 'D', body, large);
	len += put_message(stream + len, 'Z', "I", 1);
	scripted_wire(&wire, stream, len, 10000);
	while (ep_wire_fill(&wire) == EP_IO_OK)
	{
		while (ep_wire_next(&wire, &msg) == EP_IO_OK)
		{
			if (n == 1)
				CHECK(msg.len == large && memcmp(msg.data, body, large) == 0, "large message");
			n++;
		}
	}
	CHECK_INT(n, 3, "all messages");
	CHECK(wire.in_size >= large, "the buffer grew");
	ep_wire_shrink(&wire);
	CHECK_INT(wire.in_size, 0, "the buffer was given back");
	ep_wire_free(&wire);
	free(stream);
	free(body);
}

/* Unread bytes keep shrink from doing anything. */
static void
test_shrink_unread(void)
{
	uint32		large = 1024 * 1024;
	char	   *stream = calloc(1, large + 5);
	size_t		len = put_message(stream, 'D', stream + 5, large);
	EpWire		wire;
	EpMessage	msg;

	scripted_wire(&wire, stream, len, large);
	while (ep_wire_fill(&wire) == EP_IO_OK)
		;
	ep_wire_shrink(&wire);
	CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_OK, "still there");
	CHECK_INT(msg.len, large, "still there");
	ep_wire_free(&wire);
	free(stream);
}

/* The same over a real socket. */
static void
test_socket(void)
{
	int			pair[2];
	EpWire		wire;
	EpMessage	msg;
	char		received[16];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		abort();
	ep_wire_init(&wire, NULL, pair[0]);
	CHECK_INT(ep_wire_fill(&wire), EP_IO_AGAIN, "nothing there, and it does not wait");
	ep_wire_put_simple(&wire, 'S');
	CHECK_INT(ep_wire_flush(&wire), EP_IO_OK, "sent");
	CHECK_INT(read(pair[1], received, sizeof(received)), 5, "sent");
	CHECK(memcmp(received, "S\0\0\0\4", 5) == 0, "sent");
	CHECK_INT(write(pair[1], "Z\0\0\0\5I", 6), 6, "answered");
	CHECK_INT(ep_wire_fill(&wire), EP_IO_OK, "received");
	CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_OK, "received");
	CHECK_INT(msg.type, 'Z', "received");
	close(pair[1]);
	CHECK_INT(ep_wire_fill(&wire), EP_IO_EOF, "closed");
	ep_wire_put_simple(&wire, 'S');
	CHECK_INT(ep_wire_flush(&wire), EP_IO_ERROR, "closed, and no SIGPIPE");
	ep_wire_free(&wire);
	close(pair[0]);
}

/* What has come is known before anybody takes it, in whatever pieces it came, and stays where it is. */
static void
test_survey(void)
{
	static const char types[] = {'1', '2', 'D', 'A', 'C', 'Z', 'E', 'Z', 'G'};
	char		stream[256];
	size_t		len = 0;
	EpWire		wire;
	EpWireSurvey s;
	EpMessage	msg;

	for (size_t i = 0; i < lengthof(types); i++)
		len += put_message(stream + len, types[i], "II", 2);
	for (size_t received = 0; received <= len; received++)
	{
		size_t		whole = received / 7;

		scripted_wire(&wire, stream, received, 3);
		CHECK(ep_wire_gather(&wire, 1000), "more may come");
		ep_wire_survey(&wire, &s);
		CHECK_INT(s.readies, (whole > 5) + (whole > 7), "those that are whole");
		CHECK(s.notification == (whole > 3), "a notification");
		CHECK(s.error == (whole > 6), "an error");
		CHECK(s.copy == (whole > 8), "a COPY");
		CHECK(!s.malformed, "well formed");
		CHECK_INT(wire.in_end - wire.in_start, received, "all of it is still there");
		CHECK_INT(ep_wire_next(&wire, &msg), whole > 0 ? EP_IO_OK : EP_IO_AGAIN, "and can be taken");
		if (whole > 0)
			CHECK_INT(msg.type, '1', "from its beginning");
		ep_wire_free(&wire);
	}

	/* from where it was read up to */
	scripted_wire(&wire, stream, len, 1000);
	CHECK(ep_wire_gather(&wire, 1000), "more may come");
	for (int i = 0; i < 6; i++)
		CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_OK, "up to the first end");
	ep_wire_survey(&wire, &s);
	CHECK_INT(s.readies, 1, "one is left");
	CHECK(!s.notification, "what was taken does not count");
	ep_wire_free(&wire);
}

static void
test_gather(void)
{
	static const char bad[] = "?\0\0\0\4";
	static char large[300 * 1024];
	static const char body[300 * 1024 - 5];
	EpWire		wire;
	EpWireSurvey s;

	/* no more than it is told to, and little memory */
	(void) put_message(large, 'D', body, sizeof(body));
	scripted_wire(&wire, large, sizeof(large), 1000);
	CHECK(ep_wire_gather(&wire, 64 * 1024), "more may come");
	CHECK(wire.in_end - wire.in_start >= 64 * 1024 && wire.in_end - wire.in_start < 66 * 1024, "as much as it is told");
	CHECK(wire.in_size <= 128 * 1024, "memory for that alone");
	ep_wire_survey(&wire, &s);
	CHECK(!s.malformed && s.readies == 0, "a message that is not whole");
	ep_wire_free(&wire);

	scripted_wire(&wire, bad, sizeof(bad) - 1, 1000);
	scripted.at_end = -2;
	CHECK(!ep_wire_gather(&wire, 1000), "the peer has closed");
	ep_wire_survey(&wire, &s);
	CHECK(s.malformed, "malformed");
	ep_wire_free(&wire);

	/* what is to be sent leaves, too */
	scripted_wire(&wire, "", 0, 1000);
	ep_wire_put_simple(&wire, 'S');
	CHECK(ep_wire_gather(&wire, 1000), "more may come");
	CHECK_INT(scripted.nwritten, 5, "sent");
	scripted.write_fails = true;
	ep_wire_put_simple(&wire, 'S');
	CHECK(!ep_wire_gather(&wire, 1000), "it cannot be sent");
	ep_wire_free(&wire);
}

void
test_wire(void)
{
	test_building();
	test_slow_peer();
	test_send_failure();
	test_pieces();
	test_ends();
	test_malformed();
	test_large();
	test_shrink_unread();
	test_socket();
	test_survey();
	test_gather();
}
