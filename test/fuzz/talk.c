/*-------------------------------------------------------------------------
 *
 * talk.c
 *		Fuzz target: a worker's own exchanges (greeting, setting up, resetting,
 *		validating, draining what a backend left) with a remote that answers
 *		anything.
 *
 * It comes to an end in a bounded number of steps and in bounded memory, says
 * why if the connection is lost, and is the same in whatever pieces it came.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "fuzz.h"
#include "worker/talk.h"

/* The longest message that the worker holds in memory, and some room. */
#define LARGEST		(1024 * 1024 + 8)

/* What is sent, and what was left. */
typedef struct Plan
{
	uint8		how;
	EpUnfinished unfinished;
} Plan;

typedef struct Result
{
	EpTalkState state;
	EpTalk		talk;
	size_t		consumed;
} Result;

/* Returns false if what was left cannot be taken over. */
static bool
begin(EpTalk *talk, EpWire *wire, const Plan *plan)
{
	ep_talk_begin(talk);
	talk->strict = (plan->how & 3) == 3;
	if (plan->how & 4)
		return ep_talk_resume(talk, wire, &plan->unfinished);
	if (talk->strict)
		ep_talk_sync(talk, wire);
	for (int i = 0; !talk->strict && i < (plan->how & 3); i++)
		ep_talk_query(talk, wire, "RESET ALL");
	if (plan->how & 8)
		ep_talk_ask_state(talk, wire);
	return true;
}

static void
check_texts(const EpTalk *talk)
{
	INVARIANT(memchr(talk->error, '\0', sizeof(talk->error)) != NULL);
	INVARIANT(memchr(talk->sqlstate, '\0', sizeof(talk->sqlstate)) != NULL);
}

static void
run(const Plan *plan, Remote *remote, Result *result)
{
	EpWire		wire;
	EpHostState state = {false, false};

	remote_wire(&wire, remote);
	result->state = EP_TALK_LOST;
	if (begin(&result->talk, &wire, plan))
	{
		/* each step takes something, or waits for what is not there; the pieces end */
		int			most = remote->npieces + remote->nrooms + (int) (remote->len / 1024) + 8;

		for (result->state = EP_TALK_BUSY; result->state == EP_TALK_BUSY && most > 0; most--)
			result->state = ep_talk_step(&result->talk, &wire);
		INVARIANT(result->state != EP_TALK_BUSY || (remote->end == END_NOTHING && remote->at == remote->len));
		INVARIANT(wire.in_start <= wire.in_end && wire.in_end <= wire.in_size);
		INVARIANT(wire.in_size <= LARGEST);
	}
	if (result->state == EP_TALK_LOST)
		INVARIANT(result->talk.error[0] != '\0' || result->talk.failed);
	if (result->state == EP_TALK_DONE)
		INVARIANT(result->talk.answers == 0 && strchr("ITE", result->talk.tx_status) != NULL && !ep_wire_unsent(&wire));
	check_texts(&result->talk);
	result->consumed = remote->at;
	ep_wire_free(&wire);
	INVARIANT(fuzz_memory() == 0);

	ep_talk_read_state(&result->talk, &state);
	if (!ep_talk_fits(&result->talk, PG_UTF8))
	{
		check_texts(&result->talk);
		INVARIANT(result->talk.error[0] != '\0');
	}
}

static void
compare(const Result *a, const Result *b)
{
	const EpTalk *x = &a->talk;
	const EpTalk *y = &b->talk;

	INVARIANT(a->state == b->state);
	INVARIANT(x->answers == y->answers && x->failed == y->failed && x->copying == y->copying && x->forget == y->forget);
	INVARIANT(x->tx_status == y->tx_status && x->hot_standby == y->hot_standby && x->read_only == y->read_only);
	INVARIANT(x->rows == y->rows && x->encoding == y->encoding);
	INVARIANT(x->dates_garbled == y->dates_garbled && x->intervals_garbled == y->intervals_garbled);
	INVARIANT(strcmp(x->sqlstate, y->sqlstate) == 0 && strcmp(x->error, y->error) == 0);
}

/* As ep_wire_leave_unfinished() may leave it. */
static void
take_unfinished(Input *in, EpUnfinished *unfinished)
{
	uint8		flags = take_byte(in);

	unfinished->syncs = take_byte(in) & 3;
	unfinished->skip = take_uint16(in);
	unfinished->nhead = flags & 1 ? take_byte(in) % 5 : 0;
	take_bytes(in, unfinished->head, unfinished->nhead);
	if (unfinished->nhead > 0)
		unfinished->skip = 0;
	unfinished->copy_in = (flags & 2) != 0;
	unfinished->copy_fail = (flags & 4) != 0;
	unfinished->need_sync = (flags & 8) != 0;
	unfinished->pad = unfinished->copy_fail ? take_uint16(in) : 0;
	if (flags & 16)
		unfinished->skip = PG_UINT32_MAX;
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	Input		in = {data, data + size};
	Plan		plan = {.how = take_byte(&in)};
	Remote		remote;
	Remote		again;
	Result		result;
	Result		second;

	remote_begin(&remote, NULL, 0, (End) ((plan.how >> 4) % 3));
	remote.write_fails = (plan.how & 0x80) != 0;
	if (plan.how & 4)
		take_unfinished(&in, &plan.unfinished);
	take_pieces(&in, remote.pieces, &remote.npieces);
	take_pieces(&in, remote.rooms, &remote.nrooms);
	remote.bytes = in.at;
	remote.len = left(&in);
	run(&plan, &remote, &result);

	/* the same bytes at once; a remote that ends before it has taken everything is another matter */
	remote_begin(&again, remote.bytes, result.consumed, remote.end);
	run(&plan, &again, &second);
	if (!remote.write_fails && remote.nrooms == 0)
		compare(&result, &second);
	return 0;
}
