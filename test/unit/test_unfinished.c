/*-------------------------------------------------------------------------
 *
 * test_unfinished.c
 *		One process leaves a stream of messages anywhere, another one goes on:
 *		it sees exactly what the first had not received whole, and knows how
 *		many ReadyForQuery are to come.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "scripted.h"
#include "shared/shared.h"
#include "unit.h"
#include "wire/wire.h"

/* The answers to two Syncs. */
static const struct
{
	char		type;
	uint32		len;
}			sent[] = {
	{'1', 0}, {'2', 0}, {'T', 40}, {'D', 3}, {'D', 100}, {'C', 9}, {'Z', 1},
	{'N', 20}, {'2', 0}, {'D', 7}, {'C', 9}, {'Z', 1}
};

#define NSENT		((int) lengthof(sent))
#define NSYNCS		2

static size_t
make_stream(char *to, size_t *ends)
{
	size_t		len = 0;
	char		body[256];

	memset(body, 'I', sizeof(body));
	for (int i = 0; i < NSENT; i++)
	{
		len += put_message(to + len, sent[i].type, body, sent[i].len);
		ends[i] = len;
	}
	return len;
}

/* The worker's part; returns the index of the first message that it saw, and counts ReadyForQuery. */
static int
take_over(const char *rest, size_t len, size_t chunk, const EpUnfinished *unfinished, int *nready)
{
	EpWire		wire;
	EpMessage	msg;
	int			n = 0;

	*nready = 0;
	scripted_wire(&wire, rest, len, chunk);
	CHECK_INT(ep_wire_resume(&wire, unfinished), EP_IO_OK, "resume");
	do
	{
		if (ep_wire_drop_rest(&wire) == EP_IO_AGAIN)
			continue;
		while (ep_wire_next(&wire, &msg) == EP_IO_OK)
		{
			*nready += msg.type == 'Z';
			n++;
		}
	} while (ep_wire_fill(&wire) == EP_IO_OK);
	CHECK_INT(wire.in_end - wire.in_start, 0, "nothing is left over");
	ep_wire_free(&wire);
	return NSENT - n;
}

/*
 * received: how many bytes the first process got; looked: how many messages of
 * them it looked at.
 */
static void
leave_at(const char *stream, size_t len, const size_t *ends, size_t received, int looked)
{
	EpWire		wire;
	EpMessage	msg;
	EpUnfinished unfinished;
	int			syncs = NSYNCS;
	int			left;
	int			expected = NSENT;
	int			first;
	int			nready;

	scripted_wire(&wire, stream, received, 1000);
	while (ep_wire_fill(&wire) == EP_IO_OK)
		;
	for (int i = 0; i < looked && ep_wire_next(&wire, &msg) == EP_IO_OK; i++)
		syncs -= msg.type == 'Z';
	ep_wire_leave_unfinished(&wire, syncs, &unfinished);
	ep_wire_free(&wire);

	/* the first message of which not even the header had come whole */
	for (int i = NSENT - 1; i >= 0 && received < (i > 0 ? ends[i - 1] : 0) + 5; i--)
		expected = i;
	left = 0;
	for (int i = expected; i < NSENT; i++)
		left += sent[i].type == 'Z';
	CHECK_INT(unfinished.syncs, left, "%zu bytes, %d messages", received, looked);
	for (size_t chunk = 1; chunk < 200; chunk = chunk * 3)
	{
		first = take_over(stream + received, len - received, chunk, &unfinished, &nready);
		CHECK_INT(first, expected, "%zu bytes, %d messages", received, looked);
		CHECK_INT(nready, unfinished.syncs, "%zu bytes, %d messages", received, looked);
	}
}

static void
test_anywhere(void)
{
	char		stream[1024];
	size_t		ends[NSENT];
	size_t		len = make_stream(stream, ends);

	for (size_t received = 0; received <= len; received++)
	{
		for (int looked = 0; looked <= NSENT; looked++)
		{
			if (looked > 0 && ends[looked - 1] > received)
				break;
			leave_at(stream, len, ends, received, looked);
		}
	}
}

/* The body of a ReadyForQuery is still to come, but it counts as seen. */
static void
test_ready_cut(void)
{
	EpWire		wire;
	EpUnfinished unfinished;

	scripted_wire(&wire, "Z\0\0\0\5", 5, 100);
	CHECK_INT(ep_wire_fill(&wire), EP_IO_OK, "header of ReadyForQuery");
	ep_wire_leave_unfinished(&wire, 1, &unfinished);
	CHECK_INT(unfinished.syncs, 0, "it is counted");
	CHECK_INT(unfinished.skip, 1, "its body is to come");
	CHECK(unfinished.skip_ready, "and it is known what it is");
	ep_wire_free(&wire);
}

/* The remote waits for CopyData. */
static void
test_copy_in(void)
{
	char		stream[64];
	size_t		len = put_message(stream, 'G', "\0\0\0", 3);
	EpWire		wire;
	EpUnfinished unfinished;

	for (size_t received = 0; received <= len; received++)
	{
		scripted_wire(&wire, stream, received, 100);
		(void) ep_wire_fill(&wire);
		ep_wire_leave_unfinished(&wire, 1, &unfinished);
		CHECK_INT(unfinished.copy_in, received >= 5, "%zu bytes", received);
		ep_wire_free(&wire);
	}
}

/*
 * The sender of a COPY's data stops anywhere: what the socket has taken, the
 * rest of the message that it has taken in part or padding instead of it, and
 * CopyFail are whole messages.
 */
static void
test_copy_cut(void)
{
	for (size_t room = 0; room <= 40; room++)
	{
		EpWire		wire;
		char		type = 0;
		size_t		rest;
		size_t		at = 0;

		scripted_wire(&wire, "", 0, 7);
		scripted.room = room;
		for (int i = 0; i < 2; i++)
		{
			ep_wire_begin(&wire, 'd');
			ep_wire_put_bytes(&wire, "0123456789", 10);
			ep_wire_end(&wire);
		}
		CHECK_INT(ep_wire_flush(&wire), room >= 30 ? EP_IO_OK : EP_IO_AGAIN, "room for %zu", room);
		ep_wire_begin(&wire, 'd');	/* nobody finishes this one */
		ep_wire_put_bytes(&wire, "abc", 3);

		rest = ep_wire_begun(&wire, &type);
		CHECK_INT(rest, room >= 30 ? 0 : (15 - room % 15) % 15, "room for %zu", room);
		CHECK(rest == 0 || type == 'd', "room for %zu", room);
		ep_wire_cut(&wire);
		CHECK_INT(ep_wire_begun(&wire, &type), rest, "room for %zu, cut", room);
		CHECK_INT(ep_wire_unsent(&wire), rest > 0, "room for %zu, cut", room);
		if (room % 2 == 0)
		{
			/* another process makes it up */
			ep_wire_reset(&wire, -1);
			wire.transport.write = scripted_transport_write;
			ep_wire_put_padding(&wire, (uint32) rest);
		}
		ep_wire_put_simple(&wire, 'f');
		scripted.room = 100;
		CHECK_INT(ep_wire_flush(&wire), EP_IO_OK, "room for %zu, the rest", room);
		while (at < scripted.nwritten && scripted.written[at] == 'd')
			at += 15;
		CHECK_INT(scripted.nwritten - at, 5, "room for %zu: CopyFail comes last", room);
		CHECK_INT(scripted.written[at], 'f', "room for %zu: CopyFail comes last", room);
		ep_wire_free(&wire);
	}
}

static void
test_nonsense(void)
{
	static const char *const cases[] = {"D\0\0\0\3", "D\xff\xff\xff\xff", "?\0\0\0\4"};

	for (Size i = 0; i < lengthof(cases); i++)
	{
		EpWire		wire;
		EpUnfinished unfinished;

		scripted_wire(&wire, cases[i], 5, 100);
		CHECK_INT(ep_wire_fill(&wire), EP_IO_OK, "case %zu", i);
		ep_wire_leave_unfinished(&wire, 1, &unfinished);
		CHECK_INT(unfinished.syncs, 1, "case %zu", i);
		ep_wire_free(&wire);

		scripted_wire(&wire, "", 0, 100);
		CHECK_INT(ep_wire_resume(&wire, &unfinished), EP_IO_MALFORMED, "case %zu", i);
		CHECK(wire.complaint != NULL, "case %zu", i);
		ep_wire_free(&wire);
	}
}

/* A report that makes texts unreadable is not left to somebody who has not seen it, nor one of which nobody sees the whole. */
static void
test_reports(void)
{
	static const struct
	{
		const char *body;
		uint32		len;
		bool		harmless;
	}			cases[] = {
		{"DateStyle\0German, DMY", 22, false},
		{"DateStyle\0ISO, DMY", 19, true},
		{"IntervalStyle\0sql_standard", 27, false},
		{"IntervalStyle\0iso_8601", 23, true},
		{"client_encoding\0LATIN1", 23, false},
		{"TimeZone\0Asia/Tokyo", 20, true}
	};

	for (Size i = 0; i < lengthof(cases); i++)
	{
		char		stream[128];
		size_t		before = put_message(stream, 'C', "SET", 4);
		size_t		len = before + put_message(stream + before, 'S', cases[i].body, cases[i].len);

		for (size_t received = 0; received <= len; received++)
		{
			EpWire		wire;
			EpUnfinished unfinished;
			bool		seen = received >= before + 5;

			scripted_wire(&wire, stream, received, 100);
			(void) ep_wire_fill(&wire);
			ep_wire_leave_unfinished(&wire, 1, &unfinished);
			CHECK_INT(unfinished.skip == PG_UINT32_MAX, seen && !(cases[i].harmless && received == len),
					  "case %zu, %zu bytes", i, received);
			ep_wire_free(&wire);
		}
	}
}

/* A wire that is used for another socket starts with a clean slate. */
static void
test_reset(void)
{
	EpWire		wire;
	EpMessage	msg;
	EpUnfinished unfinished = {.skip = 100};

	scripted_wire(&wire, "", 0, 100);
	CHECK_INT(ep_wire_resume(&wire, &unfinished), EP_IO_OK, "the rest of a message is to come");
	CHECK_INT(ep_wire_drop_rest(&wire), EP_IO_AGAIN, "the rest of a message is to come");
	ep_wire_reset(&wire, -1);
	CHECK_INT(ep_wire_drop_rest(&wire), EP_IO_OK, "of the old socket, not of the new one");
	CHECK_INT(ep_wire_next(&wire, &msg), EP_IO_AGAIN, "nothing was received");
	ep_wire_free(&wire);
}

void
test_unfinished(void)
{
	test_anywhere();
	test_ready_cut();
	test_copy_in();
	test_copy_cut();
	test_reports();
	test_nonsense();
	test_reset();
}
