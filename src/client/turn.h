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
#include "lib/stringinfo.h"
#include "client/classify.h"
#include "client/exchange.h"
#include "client/lease.h"
#include "wire/wire.h"

/* Called when a statement of ours has succeeded; raises nothing. */
typedef void (*EpPreludeStep) (EpLease *lease);

/* How the settings of propagate_settings go with a statement. */
typedef enum EpSettingsWay
{
	EP_SETTINGS_TOGETHER,		/* in front of it, under the same Sync */
	EP_SETTINGS_APART,			/* before it, awaited: it may not run in a transaction block, or is no message of
								 * the extended protocol */
	EP_SETTINGS_NOT				/* not at all: it steers a transaction, or is one of ours */
} EpSettingsWay;

typedef struct EpTurn
{
	EpLease    *lease;
	EpConn	   *conn;
	EpWire	   *wire;
	const char *sql;			/* what errors are about */
	bool		ours;			/* it is no caller's statement, and none that counts */
	bool		due;			/* it counts from the moment at which it is sent, which is to come */
	uint64		started_us;
	uint64		deadline_us;	/* of query_timeout, 0: none */
	uint64		ended_us;		/* when the whole answer was there, if that was before it is read; else 0 */
	uint64		rows;			/* that were received, for those who look at it meanwhile; */
	uint64		rows_sent;		/* by a COPY; */
	uint64		bytes_in;		/* counters of the wire at the beginning */
	uint64		bytes_out;
	bool		in_transaction; /* the remote is in a transaction block */
	bool		begins;			/* a BEGIN of ours is among what is sent next */
	bool		naming;			/* the answer to SET application_name comes first */
	int			nsteps;			/* statements of ours before the caller's, under the same Sync */
	int			next_step;		/* the first that is not answered yet */
	EpPreludeStep *steps;		/* what each has changed once it is answered, NULL: nothing */
	bool		dirty;			/* the statement may leave state in the session */
	bool		follows;		/* the pool has propagate_settings: */
	bool		settings_due;	/* nobody has said yet how they go with what is sent next */
	bool		settings_done;	/* nor need they, until the end of the turn */
	bool		settings_local; /* settings is for the transaction alone */
	StringInfo	settings;		/* were sent, and hold once the remote is at rest without an error; else NULL */
	bool		readable;		/* try to read before waiting */
	uint32		events;			/* after ep_turn_poll: what of the socket to wait for */
	uint64		share_end;		/* ep_turn_poll reads until the wire's bytes_in is that much; 0: whatever comes */
	bool		send_failed;	/* nothing can be sent any more; read what the remote said before it closed */
	bool		fatal;			/* the error is one after which the remote closes */
	bool		failed;			/* the remote reported an error: */
	EpErrorFields error;		/* the first one, or the fatal one; points into memory of its own */
} EpTurn;

extern void ep_turn_begin(EpTurn *turn, EpLease *lease, const char *sql, bool dirty);
extern void ep_turn_is_ours(EpTurn *turn);
extern void ep_turn_send(EpTurn *turn);
extern void ep_turn_send_prelude(EpTurn *turn);
extern void ep_turn_resend(EpTurn *turn);
extern void ep_turn_receive(EpTurn *turn, EpMessage *msg);
extern bool ep_turn_poll(EpTurn *turn, EpMessage *msg);
extern void ep_turn_share(EpTurn *turn);
extern bool ep_turn_take_async(EpTurn *turn, const EpMessage *msg);
extern bool ep_turn_push(EpTurn *turn);
extern void ep_turn_lost_at_commit(EpTurn *turn);
extern void ep_turn_ready(EpTurn *turn, const EpMessage *msg);
extern void ep_turn_note_transaction(EpTurn *turn, const char *tag);
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

/* follow.c: settings that follow the local ones */
extern EpSettingsWay ep_turn_settings_way(const EpTurn *turn, const EpTextClass *class);
extern void ep_turn_put_settings(EpTurn *turn, EpSettingsWay way);
extern void ep_turn_check_settings(EpTurn *turn);
extern void ep_turn_settle_settings(EpTurn *turn);
extern void ep_turn_forget_settings(EpTurn *turn);
extern bool ep_turn_settings_failed(const EpTurn *turn);
extern void ep_turn_settings_context(void *arg);

#endif							/* EP_TURN_H */
