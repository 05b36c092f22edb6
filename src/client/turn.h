/*-------------------------------------------------------------------------
 *
 * turn.h
 *		One use of a leased connection: what is sent, and the messages that
 *		answer it, with all that has nothing to do with the answer taken care of.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_TURN_H
#define EP_TURN_H

#include "postgres.h"
#include "client/exchange.h"
#include "client/lease.h"
#include "wire/wire.h"

/* Called when a statement of ours has succeeded; raises nothing. */
typedef void (*EpPreludeStep) (EpLease *lease);

typedef struct EpTurn
{
	EpLease    *lease;
	EpConn	   *conn;
	EpWire	   *wire;
	const char *sql;			/* what errors are about */
	uint64		started_us;
	uint64		deadline_us;	/* of query_timeout, 0: none */
	uint64		ended_us;		/* when the whole answer was there, if that was before it is read; else 0 */
	uint64		rows;			/* that were received */
	uint64		bytes_in;		/* counters of the wire at the beginning */
	uint64		bytes_out;
	bool		naming;			/* the answer to SET application_name comes first */
	int			nsteps;			/* statements of ours before the caller's, under the same Sync */
	int			next_step;		/* the first that is not answered yet */
	EpPreludeStep *steps;		/* what each has changed once it is answered, NULL: nothing */
	bool		readable;		/* try to read before waiting */
	uint32		events;			/* after ep_turn_poll: what of the socket to wait for */
	bool		send_failed;	/* nothing can be sent any more; read what the remote said before it closed */
	bool		fatal;			/* the error is one after which the remote closes */
	bool		failed;			/* the remote reported an error: */
	EpErrorFields error;		/* the first one, or the fatal one; points into memory of its own */
} EpTurn;

extern void ep_turn_begin(EpTurn *turn, EpLease *lease, const char *sql, bool dirty);
extern void ep_turn_send(EpTurn *turn);
extern void ep_turn_resend(EpTurn *turn);
extern void ep_turn_receive(EpTurn *turn, EpMessage *msg);
extern bool ep_turn_poll(EpTurn *turn, EpMessage *msg);
extern bool ep_turn_take_async(EpTurn *turn, const EpMessage *msg);
extern bool ep_turn_push(EpTurn *turn);
extern void ep_turn_ready(EpTurn *turn, const EpMessage *msg);
extern void ep_turn_complete(EpTurn *turn, const EpMessage *msg, EpOutcome *outcome);
extern void ep_turn_unexpected(EpTurn *turn, const EpMessage *msg) pg_attribute_noreturn();
extern void ep_turn_close(EpTurn *turn);
extern void ep_turn_end(EpTurn *turn);
extern char *ep_turn_lease_name(const EpTurn *turn);

/* prelude.c: statements of ours, mostly in front of the caller's */
extern void ep_turn_put_statement(EpTurn *turn, const char *sql);
extern void ep_turn_put_prelude(EpTurn *turn, const char *sql, EpPreludeStep step);
extern void ep_turn_take_prelude(EpTurn *turn, const EpMessage *msg);
extern void ep_turn_await_prelude(EpTurn *turn);

#endif							/* EP_TURN_H */
