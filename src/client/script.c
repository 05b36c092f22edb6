/*-------------------------------------------------------------------------
 *
 * script.c
 *		Several statements at once, by the simple protocol.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/classify.h"
#include "client/exchange.h"
#include "client/turn.h"

typedef struct Script
{
	EpTurn		turn;
	EpScriptCallback callback;
	void	   *arg;
	int			statement;		/* that ended last, counted from 1 */
	bool		copy_refused;
} Script;

static void raise_copy(void) pg_attribute_noreturn();

static void
raise_copy(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("COPY is not possible in run_script"),
			 errhint("Use enhanced_pool.copy_to or enhanced_pool.copy_from.")));
}

/* The remote waits for the data of a COPY.  In the simple protocol CopyFail alone ends it. */
static void
refuse_copy(Script *s)
{
	s->copy_refused = true;
	ep_wire_begin(s->turn.wire, 'f');
	ep_wire_put_string(s->turn.wire, "enhanced_pool has no data for COPY");
	ep_wire_end(s->turn.wire);
	ep_turn_resend(&s->turn);
}

/*
 * How propagated settings go with a script: before it, awaited.  For an open
 * transaction that it ends itself they would not hold for what comes after.
 */
static EpSettingsWay
settings_way(const EpTurn *turn, const EpTextClass *class)
{
	if (turn->conn->tx_status == 'I' || !class->transaction || turn->lease->kind != EP_KIND_LEASE)
		return EP_SETTINGS_APART;
	if (turn->follows && class->several)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("script with transaction statements cannot be run in an open transaction of a pool that propagates settings"),
				 errhint("Run the transaction statement by itself.")));
	return EP_SETTINGS_NOT;
}

/* Returns false after the last message of the answer. */
static bool
take_message(Script *s, const EpMessage *msg)
{
	EpOutcome	outcome;

	if (s->turn.failed && msg->type != 'E' && msg->type != 'Z')
		ep_turn_unexpected(&s->turn, msg);
	switch (msg->type)
	{
		case 'D':
			s->turn.lease->stats.rows_returned++;
			s->turn.rows++;
			return true;
		case 'T':
		case 'E':
			return true;
		case 'C':
		case 'I':
			ep_turn_complete(&s->turn, msg, &outcome);
			s->callback(s->arg, ++s->statement, &outcome);
			s->turn.conn->progress.done = s->statement;
			return true;
		case 'G':
			refuse_copy(s);
			return true;
		case 'H':

			/*
			 * how much will come is not known: cancelled like everything that
			 * is left unread
			 */
			raise_copy();
		case 'Z':
			ep_turn_ready(&s->turn, msg);
			return false;
		default:
			ep_turn_unexpected(&s->turn, msg);
	}
}

/*
 * Run the statements of a script; their rows are dropped.  callback, which may
 * raise errors, is called as each ends, with its number counted from 1.  The
 * lease is held by the caller, who holds no lock.  Raises as
 * ep_exchange_execute does.
 */
void
ep_exchange_script(EpLease *lease, const char *sql, EpScriptCallback callback, void *arg)
{
	EpTextClass class = ep_classify_script(sql);
	Script		s;
	EpMessage	msg;

	ep_exchange_check(lease->ref->name, lease->kind, &class);
	if (class.copy)
		raise_copy();
	s.callback = callback;
	s.arg = arg;
	s.statement = 0;
	s.copy_refused = false;

	ep_turn_begin(&s.turn, lease, sql, class.dirty);
	s.turn.conn->progress.command = EP_COMMAND_SCRIPT;
	ep_turn_put_settings(&s.turn, settings_way(&s.turn, &class));
	ep_turn_await_prelude(&s.turn);
	ep_wire_put_query(s.turn.wire, sql);
	ep_turn_send(&s.turn);
	do
		ep_turn_receive(&s.turn, &msg);
	while (take_message(&s, &msg));
	if (s.copy_refused)
	{
		ep_turn_close(&s.turn);
		raise_copy();
	}
	ep_turn_end(&s.turn);
}
