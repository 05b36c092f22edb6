/*-------------------------------------------------------------------------
 *
 * copy.c
 *		One COPY on a leased connection: how it begins and how it ends.
 *
 * It runs by the simple protocol.  There the remote answers a COPY with one
 * ReadyForQuery, whatever happens, and one that has ended drops what still
 * comes of its data, CopyDone and CopyFail.  In the extended protocol nobody
 * could tell how many Syncs are answered when a COPY is cut off.
 *
 * What cuts it off is raised like any other error in the middle of a turn.  Of
 * a COPY to the remote lease->copy_in then tells that CopyFail is to be sent,
 * by ep_lease_enter or by the worker, whoever reads the answer; the rest of a
 * CopyData that the socket has taken in part is sent before it, or made up.  A
 * COPY from the remote is cancelled and read to its end like any statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "client/copy.h"
#include "client/decode.h"

/* ------------------------------------------------------------- the columns */

/* Strings of which one type reads what another one sends. */
static bool
is_string(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID;
}

/*
 * May a column go in binary between these types, both of which are no domains?
 * If they are the same on both sides and their binary form is known to be the
 * same on every server: ep_binary_type() has the list.
 */
bool
ep_copy_binary_type(Oid local, Oid remote)
{
	return local == remote ? ep_binary_type(local) : is_string(local) && is_string(remote);
}

/* Raise 42804: a query returns that many columns, and others are to be filled. */
void
ep_copy_raise_columns(int from, int to)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("number of columns does not match"),
			 errdetail("The query returns %d, and %d are to be filled.", from, to)));
}

/* ---------------------------------------------------------- beginning and end */

/*
 * Enter an exchange on the lease and start a COPY: answer is 'G' if it is one
 * FROM STDIN, 'H' TO STDOUT.  sql must live until the end; dirty: it may leave
 * state in the session.  Returns when data may be sent with ep_turn_push() or
 * are to be received.  Raises what the remote reports, which is at rest then,
 * and what ep_turn_begin and ep_turn_receive raise.
 */
void
ep_copy_begin(EpTurn *turn, EpLease *lease, const char *sql, bool dirty, char answer)
{
	EpMessage	msg;

	ep_turn_begin(turn, lease, sql, dirty);
	turn->conn->progress.command = answer == 'G' ? EP_COMMAND_COPY_TO : EP_COMMAND_COPY_FROM;
	ep_turn_put_settings(turn, EP_SETTINGS_APART);
	ep_turn_await_prelude(turn);
	lease->copy_in = answer == 'G';
	ep_wire_put_query(turn->wire, sql);
	ep_turn_send(turn);
	ep_turn_receive(turn, &msg);
	if (msg.type == 'E')
		(void) ep_copy_end(turn, false);
	if (msg.type != answer)
		ep_turn_unexpected(turn, &msg);
}

/* Returns false after the last message of the answer; *data: may data come, or their end? */
static bool
take_message(EpTurn *turn, const EpMessage *msg, bool *data, EpOutcome *outcome)
{
	switch (msg->type)
	{
		case 'd':
		case 'c':

			/* data that nobody asked for any more */
			if (!*data || turn->failed)
				ep_turn_unexpected(turn, msg);
			*data = msg->type == 'd';
			return true;
		case 'C':
			if (*data || turn->failed || outcome->tag[0] != '\0')
				ep_turn_unexpected(turn, msg);
			ep_turn_complete(turn, msg, outcome);
			return true;
		case 'E':
			return true;
		case 'Z':
			if (!turn->failed && outcome->tag[0] == '\0')
				ep_turn_unexpected(turn, msg);
			ep_turn_ready(turn, msg);
			return false;
		default:
			ep_turn_unexpected(turn, msg);
	}
}

/*
 * All data was sent, CopyDone included, or no more is wanted, or the remote has
 * reported an error: see the answer through and leave the exchange.  data: more
 * may come, CopyDone has not been received.  Returns how many rows the remote has
 * counted.  Raises its error, and what ep_turn_receive does.
 */
int64
ep_copy_end(EpTurn *turn, bool data)
{
	EpOutcome	outcome = {.tag = ""};
	EpMessage	msg;

	do
		ep_turn_receive(turn, &msg);
	while (take_message(turn, &msg, &data, &outcome));
	ep_turn_end(turn);
	return outcome.rows;
}
