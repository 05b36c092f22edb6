/*-------------------------------------------------------------------------
 *
 * prelude.c
 *		Statements of ours that a caller's statement needs in front of it.
 *
 * They go by the extended protocol under the same Sync as the caller's: that
 * costs no round trip, and when one of them fails the remote skips everything
 * up to the Sync, so that the caller's statement never runs without them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/turn.h"

/* The names of the unnamed statement and of the unnamed portal. */
static const char unnamed[2] = {'\0', '\0'};

/*
 * Put a statement without parameters, unprepared, rows as text: its answer is
 * ParseComplete, BindComplete, its rows, and CommandComplete.  sql is copied.
 */
void
ep_turn_put_statement(EpTurn *turn, const char *sql)
{
	EpWire	   *wire = turn->wire;

	ep_wire_begin(wire, 'P');
	ep_wire_put_bytes(wire, unnamed, 1);
	ep_wire_put_string(wire, sql);
	ep_wire_put_int16(wire, 0);
	ep_wire_end(wire);

	ep_wire_begin(wire, 'B');
	ep_wire_put_bytes(wire, unnamed, 2);
	ep_wire_put_int16(wire, 0);
	ep_wire_put_int16(wire, 0);
	ep_wire_put_int16(wire, 0);
	ep_wire_end(wire);

	ep_wire_begin(wire, 'E');
	ep_wire_put_bytes(wire, unnamed, 1);
	ep_wire_put_int32(wire, 0);
	ep_wire_end(wire);
}

/*
 * Put a statement without parameters in front of what the caller puts, after
 * ep_turn_begin.  Rows that it returns are dropped.  step, or NULL, is called
 * when it has succeeded.  sql is copied.
 */
void
ep_turn_put_prelude(EpTurn *turn, const char *sql, EpPreludeStep step)
{
	ep_turn_put_statement(turn, sql);
	if (turn->steps == NULL)
		turn->steps = palloc(8 * sizeof(EpPreludeStep));
	else if (turn->nsteps >= 8 && (turn->nsteps & (turn->nsteps - 1)) == 0)
		turn->steps = repalloc(turn->steps, 2 * turn->nsteps * sizeof(EpPreludeStep));
	turn->steps[turn->nsteps++] = step;
}

/* A message of the answer to a prelude, no error: for ep_turn_receive and ep_turn_poll. */
void
ep_turn_take_prelude(EpTurn *turn, const EpMessage *msg)
{
	switch (msg->type)
	{
		case '1':
		case '2':
		case 'D':
			break;
		case 'C':
			if (turn->steps[turn->next_step])
				turn->steps[turn->next_step] (turn->lease);
			turn->next_step++;
			break;
		default:
			ep_turn_unexpected(turn, msg);
	}
}

/*
 * Send the preludes by themselves and wait for their end, for a statement that
 * cannot go under the same Sync (simple protocol, or one that may not run in
 * the transaction block that a Sync's group is).  Raises what the remote
 * reports, and what ep_turn_receive does.
 */
void
ep_turn_await_prelude(EpTurn *turn)
{
	EpMessage	msg;

	if (turn->next_step >= turn->nsteps)
		return;
	ep_wire_put_simple(turn->wire, 'S');
	ep_turn_send_prelude(turn);
	for (;;)
	{
		ep_turn_receive(turn, &msg);
		if (msg.type == 'Z')
			break;
		if (msg.type != 'E')
			ep_turn_unexpected(turn, &msg);
	}
	ep_turn_ready(turn, &msg);
	if (turn->failed)
		ep_turn_end(turn);
}
