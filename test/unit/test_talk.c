/*-------------------------------------------------------------------------
 *
 * test_talk.c
 *		The worker's own exchanges: what is left of an answer is read however
 *		it is torn apart, also when the last ReadyForQuery has come already.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "scripted.h"
#include "unit.h"
#include "worker/talk.h"

static size_t
put_ready(char *to)
{
	return put_message(to, 'Z', "I", 1);
}

/* A backend has stopped after so many bytes of what answers its statement: the worker reads the others. */
static void
leave_and_resume(const char *stream, size_t len, size_t received)
{
	EpWire		wire;
	EpUnfinished unfinished;
	EpTalk		talk;

	scripted_wire(&wire, stream, received, 100);
	if (received > 0)
		CHECK_INT(ep_wire_fill(&wire), EP_IO_OK, "%zu bytes", received);
	ep_wire_leave_unfinished(&wire, 1, &unfinished);
	ep_wire_free(&wire);

	scripted_wire(&wire, stream + received, len - received, 1);
	ep_talk_begin(&talk);
	CHECK(ep_talk_resume(&talk, &wire, &unfinished), "%zu bytes", received);
	CHECK_INT(ep_talk_step(&talk, &wire), EP_TALK_DONE, "%zu bytes of %zu", received, len);
	CHECK_INT(scripted.at, len - received, "all of it was read, %zu bytes of %zu", received, len);
	ep_wire_free(&wire);
}

static void
test_left_anywhere(void)
{
	char		stream[64];
	size_t		len = put_message(stream, 'C', "SELECT 1", 9);

	len += put_ready(stream + len);
	for (size_t received = 0; received < len; received++)
		leave_and_resume(stream, len, received);
	/* something that may come at any time has begun behind the end */
	for (size_t more = 1; more <= 5; more++)
	{
		size_t		ready = len;
		size_t		all = ready + put_message(stream + ready, 'A', "\0\0\0\1a\0b", 8);

		leave_and_resume(stream, all, ready + more);
	}
}

/* The same behind the answer to a statement of the worker's own. */
static void
test_more_behind_the_end(void)
{
	char		stream[64];
	size_t		len = put_ready(stream);
	EpWire		wire;
	EpTalk		talk;
	EpTalkState state;

	len += put_message(stream + len, 'N', "SNOTICE\0C00000\0Mhm\0", 20);
	for (size_t chunk = 7; chunk < len; chunk++)
	{
		scripted_wire(&wire, stream, len, chunk);
		ep_talk_begin(&talk);
		ep_talk_query(&talk, &wire, "SELECT 1");
		state = ep_talk_step(&talk, &wire);
		CHECK_INT(state, EP_TALK_DONE, "in pieces of %zu", chunk);
		CHECK_INT(scripted.at, len, "in pieces of %zu", chunk);
		ep_wire_free(&wire);
	}
}

void
test_talk(void)
{
	test_left_anywhere();
	test_more_behind_the_end();
}
