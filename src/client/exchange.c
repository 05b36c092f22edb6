/*-------------------------------------------------------------------------
 *
 * exchange.c
 *		One statement on a leased connection, by the extended protocol.
 *
 * What the planner takes (SELECT, INSERT and the like) is prepared at its
 * first use and from then on costs one round trip: Bind, Execute, Sync, in the
 * formats that fit the column types known from the list of statements.  At
 * the first use these types must be asked for, and awaited, before the formats
 * can be chosen, unless the receiver does not care.
 *
 * In front of each of these groups stands what the remote needs of settings
 * that follow the local ones (follow.c), for an error or the end of the group
 * takes it back.
 *
 * Everything else (FETCH, SHOW, EXPLAIN, CALL, SET ...) is not prepared:
 * nothing is gained, and what such a statement returns may change without the
 * remote noticing.  It is sent whole each time, in one piece that a pooler
 * between us and the remote cannot tear apart, and its rows come as text.  So
 * is everything when statement_cache_size is 0, and what is very long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "client/exchange.h"
#include "client/parts.h"
#include "client/statement.h"
#include "client/turn.h"

/* A longer text is not prepared: it was composed for one use, and the remote would keep it. */
#define LONGEST_PREPARED	(64 * 1024)

/* Most columns for which nothing is allocated. */
#define FEW_COLUMNS	32

/* What tells our refusal of a COPY from any other error. */
#define COPY_REFUSED "enhanced_pool has no data for COPY"

/* Messages of the answer that are still to come before ReadyForQuery. */
#define DUE_CLOSE	0x01
#define DUE_PARSE	0x02
#define DUE_PARAMS	0x04		/* ParameterDescription */
#define DUE_ROWS	0x08		/* RowDescription or NoData */
#define DUE_BIND	0x10
#define DUE_END		0x20		/* CommandComplete or EmptyQueryResponse */

struct EpExchange
{
	EpTurn		turn;
	EpDescriptor *desc;
	EpWire	   *wire;
	EpStatement stmt;
	const EpParams *params;
	EpReceiver *receiver;		/* NULL: describe alone */
	EpOutcome  *outcome;

	int			limit;			/* places of the list that may be used */
	int			place;			/* of the statement in it, -1: not prepared by name */
	uint64		number;			/* its name is ep_<number>; 0: the unnamed statement */
	uint32		due;
	bool		bound;			/* the remote has accepted the Bind */
	bool		copy_refused;
	EpSettingsWay settings;		/* how propagated settings go with it */

	EpRowDesc  *rows;			/* NULL: not known yet */
	bool		no_data;		/* it returns none */
	int16	   *formats;		/* for Bind */
	int			nformats;
	EpField    *fields;
	int16		few_formats[FEW_COLUMNS];
	EpField		few_fields[FEW_COLUMNS];

	/* of one that is taken in steps */
	MemoryContext context;
	EpOutcome	own_outcome;
	bool		apart;			/* propagated settings are on their way, and the statement is not */
	bool		reused;			/* the statement was in the list */
	bool		late;			/* its receiver came after it was sent */
	bool		ended;
};

typedef struct EpExchange Execution;

static void raise_copy(void) pg_attribute_noreturn();

/* ---------------------------------------------------------- what is refused */

/*
 * Raise if a text of that class may not run on such a lease: 25001 and 2D000
 * for transaction statements.  pool is the name for the message.
 */
void
ep_exchange_check(const char *pool, EpLeaseKind kind, const EpTextClass *class)
{
	if (!class->transaction || kind == EP_KIND_LEASE)
		return;
	if (kind == EP_KIND_SESSION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("transaction statements cannot be run on a session"),
				 errdetail("Its transaction begins and ends with the local one.")));
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("transaction statements cannot be run through the name of pool \"%s\"", pool),
			 errhint("Use enhanced_pool.session, whose transaction follows the local one, or run them on a lease from enhanced_pool.acquire.")));
}

static void
raise_copy(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("COPY is not possible in execute"),
			 errhint("Use enhanced_pool.copy_to or enhanced_pool.copy_from.")));
}

/* ----------------------------------------------------------- messages to send */

static void
put_parse(Execution *x)
{
	int			n = x->params ? x->params->n : 0;

	ep_wire_begin(x->wire, 'P');
	ep_put_statement_name(x->wire, x->number);
	ep_wire_put_string(x->wire, x->turn.sql);
	ep_wire_put_int16(x->wire, n);
	for (int i = 0; i < n; i++)
		ep_wire_put_int32(x->wire, (int32) x->params->types[i]);
	ep_wire_end(x->wire);
	x->due |= DUE_PARSE;
}

/* Bind to the unnamed portal, describe it if its rows are not known, and execute it. */
static void
put_run(Execution *x)
{
	static const EpParams none = {0};
	EpWire	   *wire = x->wire;

	ep_wire_begin(wire, 'B');
	ep_put_statement_name(wire, 0);
	ep_put_statement_name(wire, x->number);
	ep_put_params(wire, x->params ? x->params : &none);
	ep_wire_put_int16(wire, x->nformats);
	for (int i = 0; i < x->nformats; i++)
		ep_wire_put_int16(wire, x->formats[i]);
	ep_wire_end(wire);
	x->due |= DUE_BIND;

	if (x->rows == NULL)
	{
		ep_put_about(wire, 'D', 'P', 0);
		x->due |= DUE_ROWS;
	}

	ep_wire_begin(wire, 'E');
	ep_put_statement_name(wire, 0);
	ep_wire_put_int32(wire, 0);
	ep_wire_end(wire);
	x->due |= DUE_END;
}

/* ------------------------------------------------------------ the description */

/*
 * That there are no rows is told at the end of a statement that is on its way
 * already: it may have an error of its own, and is not to be cancelled because
 * its receiver wants rows.
 */
static bool
tells_at_end(const Execution *x)
{
	return x->no_data && (x->place < 0 || x->late);
}

/* RowDescription or NoData. */
static void
take_rows(Execution *x, const EpMessage *msg)
{
	MemoryContext context = x->place >= 0 ? TopMemoryContext : CurrentMemoryContext;

	x->no_data = msg->type == 'n';
	if (x->no_data)
		x->rows = MemoryContextAllocZero(context, sizeof(EpRowDesc));
	else
		x->rows = ep_read_rows(msg, context);
	if (x->rows == NULL)
		ep_turn_unexpected(&x->turn, msg);
	if (x->place >= 0)
	{
		ep_stmt_remember(x->desc, x->place, x->rows, x->no_data);
		ep_stmt_describe(x->desc, x->place, x->rows);
	}
	if (x->bound && !tells_at_end(x))
		x->receiver->describe(x->receiver, x->rows, x->no_data);
}

/* -------------------------------------------------------------- the answer */

/* A message that was asked for: one of due. */
static void
expect(Execution *x, const EpMessage *msg, uint32 what, uint32 before)
{
	if ((x->due & what) == 0 || (x->due & before) != 0 || x->turn.failed)
		ep_turn_unexpected(&x->turn, msg);
	x->due &= ~what;
}

/* Cut a DataRow into fields and hand it to the receiver. */
static void
take_row(Execution *x, const EpMessage *msg)
{
	const char *p = msg->data;
	const char *end = p + msg->len;
	EpField    *field = x->fields;
	uint16		n;

	if (unlikely((x->due & (DUE_END | DUE_BIND | DUE_ROWS)) != DUE_END || x->turn.failed || msg->len < 2))
		ep_turn_unexpected(&x->turn, msg);
	memcpy(&n, p, 2);
	n = pg_ntoh16(n);
	p += 2;
	if (unlikely(n != x->rows->ncols || x->no_data))
		ep_turn_unexpected(&x->turn, msg);
	if (unlikely(field == NULL))
		field = x->fields = n <= FEW_COLUMNS ? x->few_fields : palloc(n * sizeof(EpField));

	for (int i = 0; i < n; i++, field++)
	{
		uint32		len;

		if (unlikely(end - p < 4))
			ep_turn_unexpected(&x->turn, msg);
		memcpy(&len, p, 4);
		len = pg_ntoh32(len);
		p += 4;
		if (len == PG_UINT32_MAX)
		{
			field->data = NULL;
			field->len = -1;
			continue;
		}
		if (unlikely(len > (size_t) (end - p)))
			ep_turn_unexpected(&x->turn, msg);
		field->data = p;
		field->len = (int) len;
		p += len;
	}
	if (unlikely(p != end))
		ep_turn_unexpected(&x->turn, msg);
	x->turn.lease->stats.rows_returned += !x->turn.ours;
	x->turn.rows++;
	x->receiver->row(x->receiver, n, x->fields);
}

/*
 * The remote waits for the data of a COPY, and has taken our Sync for a part
 * of it: fail the COPY, and send another.  Until the answer shows that it was
 * this that ended the COPY nobody knows how many Syncs will be answered.
 */
static void
refuse_copy(Execution *x)
{
	x->copy_refused = true;
	x->turn.lease->broken = true;
	x->due &= ~DUE_END;
	ep_wire_begin(x->wire, 'f');
	ep_wire_put_string(x->wire, COPY_REFUSED);
	ep_wire_end(x->wire);
	ep_wire_put_simple(x->wire, 'S');
	ep_turn_resend(&x->turn);
}

/* The answer is complete and the remote at rest. */
static void
take_ready(Execution *x, const EpMessage *msg)
{
	ep_turn_ready(&x->turn, msg);
	if (x->due != 0 && !x->turn.failed)
		ep_turn_unexpected(&x->turn, msg);
	if (!x->copy_refused)
		return;
	if (x->turn.failed && x->turn.error.message && strstr(x->turn.error.message, COPY_REFUSED))
		x->turn.lease->broken = false;
	ep_turn_close(&x->turn);
	raise_copy();
}

/* Returns false after the last message of the answer. */
static bool
take_message(Execution *x, const EpMessage *msg)
{
	switch (msg->type)
	{
		case 'D':
			take_row(x, msg);
			break;
		case '3':
			expect(x, msg, DUE_CLOSE, 0);
			break;
		case '1':
			expect(x, msg, DUE_PARSE, DUE_CLOSE);
			if (x->place >= 0)
				ep_stmt_add(x->desc, x->place, x->number, &x->stmt);
			break;
		case 't':
			expect(x, msg, DUE_PARAMS, DUE_PARSE);
			break;
		case 'T':
		case 'n':
			expect(x, msg, DUE_ROWS, DUE_PARSE | DUE_PARAMS | DUE_BIND);
			take_rows(x, msg);
			break;
		case '2':
			expect(x, msg, DUE_BIND, DUE_PARSE);
			x->bound = true;
			if (x->rows && !tells_at_end(x))
				x->receiver->describe(x->receiver, x->rows, x->no_data);
			break;
		case 'C':
		case 'I':
			expect(x, msg, DUE_END, DUE_BIND | DUE_ROWS);
			ep_turn_complete(&x->turn, msg, x->outcome);
			break;
		case 'E':
			break;
		case 'G':
			expect(x, msg, DUE_END, DUE_BIND | DUE_ROWS);
			refuse_copy(x);
			break;
		case 'H':

			/*
			 * how much will come is not known: cancelled like everything that
			 * is left unread
			 */
			expect(x, msg, DUE_END, DUE_BIND | DUE_ROWS);
			raise_copy();
		case 'Z':
			take_ready(x, msg);
			return false;
		default:
			ep_turn_unexpected(&x->turn, msg);
	}
	return true;
}

/* What comes before a statement, in each group of messages that ends with a Sync; may wait. */
static void
begin_group(Execution *x)
{
	ep_turn_put_settings(&x->turn, x->settings);
	if (x->settings == EP_SETTINGS_APART)
		ep_turn_await_prelude(&x->turn);
}

/* Send what was built, and see the answer through to ReadyForQuery. */
static void
go(Execution *x)
{
	EpMessage	msg;

	ep_wire_put_simple(x->wire, 'S');
	ep_turn_send(&x->turn);
	do
		ep_turn_receive(&x->turn, &msg);
	while (take_message(x, &msg));
	x->due = 0;
}

/* ---------------------------------------------------------------- formats */

/*
 * Let the receiver choose the formats of the columns, if their types are
 * known from the list of statements or from our own memory.
 */
static void
choose_formats(Execution *x, const EpStmtSlot *slot)
{
	const Oid  *types = slot->cols;
	int			ncols = slot->described ? slot->ncols : (x->rows ? x->rows->ncols : 0);

	x->nformats = 0;
	if (x->receiver->choose_formats && ncols > 0)
	{
		x->formats = ncols <= FEW_COLUMNS ? x->few_formats : palloc(ncols * sizeof(int16));
		if (!slot->described)
		{
			Oid		   *wide = palloc(ncols * sizeof(Oid));

			for (int i = 0; i < ncols; i++)
				wide[i] = x->rows->cols[i].type;
			types = wide;
		}
		x->receiver->choose_formats(x->receiver, ncols, types, x->formats);
		for (int i = 0; i < ncols; i++)
		{
			/* none at all says: all of them as text */
			if (x->formats[i] != 0)
				x->nformats = ncols;
		}
	}
	for (int i = 0; x->rows && i < x->rows->ncols; i++)
		x->rows->cols[i].format = x->nformats > 0 ? x->formats[i] : 0;
}

/* ------------------------------------------------------------ ways to run it */

/* The statement has ended: a receiver of rows is told that there were none. */
static void
settle_rows(Execution *x)
{
	if (tells_at_end(x) && !x->turn.failed)
		x->receiver->describe(x->receiver, x->rows, true);
}

/* Everything in one piece, nothing prepared, rows as text. */
static void
run_unnamed(Execution *x)
{
	begin_group(x);
	put_parse(x);
	put_run(x);
	go(x);
	settle_rows(x);
}

/*
 * Begin to use the statement at x->place, which the remote has, as far as we
 * know.
 */
static EpStmtSlot *
use_prepared(Execution *x)
{
	EpStmtSlot *slot = ep_stmt_use(x->desc, x->place);

	x->number = slot->number;
	x->rows = ep_stmt_recall(x->desc, x->place, &x->no_data);
	return slot;
}

/* Execute it.  A caller who wants rows of a statement that has none is told before it runs. */
static void
put_prepared(Execution *x, const EpStmtSlot *slot)
{
	if (x->no_data)
		x->receiver->describe(x->receiver, x->rows, true);
	choose_formats(x, slot);
	put_run(x);
}

/* The statement at x->place: one round trip if its types are known, else two. */
static void
run_prepared(Execution *x)
{
	EpStmtSlot *slot = use_prepared(x);

	if (x->rows == NULL && !slot->described && x->receiver->choose_formats)
	{
		begin_group(x);
		ep_put_about(x->wire, 'D', 'S', x->number);
		x->due |= DUE_PARAMS | DUE_ROWS;
		go(x);
		if (x->turn.failed)
			return;
	}
	begin_group(x);
	put_prepared(x, slot);
	go(x);
}

/*
 * Prepare the statement.  stale is the number of one that stood for it before
 * and that the remote may still have, or 0.
 */
static void
put_new(Execution *x, uint64 stale)
{
	uint64		victim;

	x->place = ep_stmt_make_room(x->desc, x->limit, &victim);
	if (stale != 0)
		victim = stale;			/* it made the room */
	if (victim != 0)
	{
		ep_put_about(x->wire, 'C', 'S', victim);
		x->due |= DUE_CLOSE;
	}
	x->number = ++x->turn.conn->stmt_counter;
	x->rows = NULL;
	x->nformats = 0;
	put_parse(x);
}

/* Prepare the statement, and run it. */
static void
run_new(Execution *x, uint64 stale)
{
	begin_group(x);
	put_new(x, stale);
	if (x->receiver->choose_formats == NULL)
	{
		put_run(x);
		go(x);
		return;
	}
	ep_put_about(x->wire, 'D', 'S', x->number);
	x->due |= DUE_PARAMS | DUE_ROWS;
	go(x);
	if (!x->turn.failed)
		run_prepared(x);
}

/*
 * Did a prepared statement fail because it does not fit any more (0A000: its
 * result type has changed) or because the remote does not have it (26000)?
 * Then it is not in the list any more when this returns true: it may be
 * prepared anew, for nothing of it has run and no transaction was spoilt.
 */
static bool
must_prepare_again(Execution *x)
{
	EpStmtSlot *slot = &ep_conn_stmts(x->turn.conn)[x->place];
	const char *sqlstate = x->turn.error.sqlstate;
	bool		gone;

	/* an error of what stands in front of the statement is not its own */
	if (!x->turn.failed || x->turn.fatal || x->bound || sqlstate == NULL || x->turn.next_step < x->turn.nsteps)
		return false;
	gone = strcmp(sqlstate, "26000") == 0;
	if (!gone && strcmp(sqlstate, "0A000") != 0)
		return false;
	if (gone && slot->number == x->number)
		slot->number = 0;
	if (x->turn.conn->tx_status != 'I')
	{
		/* this transaction is spoilt, the next one need not be */
		if (slot->number == x->number)
			ep_stmt_outdate(x->desc, x->place);
		return false;
	}
	slot->number = 0;
	x->turn.failed = false;
	return true;
}

static void
run_named(Execution *x)
{
	uint64		stale = 0;

	x->place = ep_stmt_find(x->desc, x->limit, x->stmt.hash);
	if (x->place >= 0)
	{
		run_prepared(x);
		if (!must_prepare_again(x))
			return;
		stale = x->number;
	}
	run_new(x, stale);
}

/* Hints of our own, where the remote gave none. */
static void
add_hint(Execution *x)
{
	EpErrorFields *error = &x->turn.error;

	if (!x->turn.failed || error->hint || error->sqlstate == NULL)
		return;

	/*
	 * the remote gives no position for this one, and does for any other
	 * syntax error
	 */
	if (strcmp(error->sqlstate, "42601") == 0 && error->position == 0 && x->stmt.class.several)
		error->hint = "Use enhanced_pool.run_script to run several statements.";
	else if (strcmp(error->sqlstate, "42P18") == 0)
		error->hint = "Cast the parameter in the remote statement, as in $1::integer.";
}

/* ----------------------------------------------------------- what others call */

static bool
prepares(const Execution *x)
{
	return x->stmt.class.plannable && x->limit > 0 && strlen(x->turn.sql) <= LONGEST_PREPARED;
}

static void
begin(Execution *x, EpLease *lease, const char *sql)
{
	ep_turn_begin(&x->turn, lease, sql, x->stmt.class.dirty);
	x->settings = ep_turn_settings_way(&x->turn, &x->stmt.class);
	x->desc = lease->desc;
	x->wire = x->turn.wire;
	x->place = -1;
	x->number = 0;
	x->due = 0;
	x->bound = x->copy_refused = x->no_data = x->late = false;
	x->rows = NULL;
	x->nformats = 0;
	x->fields = NULL;

	/*
	 * The setting is read without the pool's lock: it is one number, and the
	 * list is ours whatever it says.
	 */
	x->limit = Min(EP_INT(&ep_pools[lease->pool].def.set, EP_S_STATEMENT_CACHE_SIZE),
				   ep_control->max_statements);
}

/* Look at what is to be run, and raise if it may not be; nothing is sent. */
static void
set_up(Execution *x, EpLease *lease, const char *sql, const EpParams *params,
	   EpReceiver *receiver, EpOutcome *outcome)
{
	x->stmt = *ep_statement_of(sql, params ? params->n : 0, params ? params->types : NULL);
	x->params = params;
	x->receiver = receiver;
	x->outcome = outcome;
	outcome->tag[0] = '\0';
	outcome->rows = 0;
	ep_exchange_check(lease->ref->name, lease->kind, &x->stmt.class);
	if (x->stmt.class.copy)
		raise_copy();
	ep_check_message_size(sql, params);
}

static void
execute(EpLease *lease, const char *sql, const EpParams *params,
		EpReceiver *receiver, EpOutcome *outcome, bool ours)
{
	Execution	x;

	set_up(&x, lease, sql, params, receiver, outcome);
	begin(&x, lease, sql);
	if (ours)
		ep_turn_is_ours(&x.turn);
	if (prepares(&x))
		run_named(&x);
	else
		run_unnamed(&x);
	add_hint(&x);
	ep_turn_end(&x.turn);
}

/*
 * Run one statement and hand its rows to the receiver.  params: NULL if there
 * are none; everything in the local server's encoding and owned by the caller.
 * *outcome is filled in.  The lease is held by the caller, who holds no lock,
 * and may be used again when this returns or raises a remote's error.  Raises
 * what the remote reports; 25001, 2D000 and 0A000 for statements that are
 * refused; 54000 for what is too long; 08006, 57P01 and 08P01 for a connection
 * that is lost; 57014 for query_timeout; what the receiver and interrupts
 * raise.
 */
void
ep_exchange_execute(EpLease *lease, const char *sql, const EpParams *params,
					EpReceiver *receiver, EpOutcome *outcome)
{
	execute(lease, sql, params, receiver, outcome, false);
}

/* The same for a statement of ours: callers' statements alone are counted. */
void
ep_exchange_look_up(EpLease *lease, const char *sql, const EpParams *params,
					EpReceiver *receiver, EpOutcome *outcome)
{
	execute(lease, sql, params, receiver, outcome, true);
}

/* ------------------------------------------------------- without waiting */

/* The whole statement in one piece, in the formats that are known now. */
static void
put_whole(Execution *x)
{
	x->place = prepares(x) ? ep_stmt_find(x->desc, x->limit, x->stmt.hash) : -1;
	x->reused = x->place >= 0;
	if (x->reused)
		put_prepared(x, use_prepared(x));
	else
	{
		if (prepares(x))
			put_new(x, 0);
		else
			put_parse(x);
		put_run(x);
	}
	ep_wire_put_simple(x->wire, 'S');
}

/*
 * Begin what ep_exchange_execute does, without waiting for anything: the
 * statement is sent as far as the socket takes it.  The result, sql and params
 * live in the current memory context, and the receiver's callbacks run in it;
 * it must last until ep_exchange_finish.  Where the types of the columns are
 * not known yet the rows come as text.  Raises as ep_exchange_execute does for
 * what is found before the answer; ep_lease_enter may wait for the end of a
 * statement that was given up before.
 */
EpExchange *
ep_exchange_start(EpLease *lease, const char *sql, const EpParams *params, EpReceiver *receiver)
{
	Execution  *x = palloc0(sizeof(Execution));

	x->context = CurrentMemoryContext;
	set_up(x, lease, sql, params, receiver, &x->own_outcome);
	begin(x, lease, sql);
	ep_turn_put_settings(&x->turn, x->settings);
	x->apart = x->turn.next_step < x->turn.nsteps && x->settings == EP_SETTINGS_APART;
	if (x->apart)
	{
		ep_wire_put_simple(x->wire, 'S');
		ep_turn_send_prelude(&x->turn);
		return x;
	}
	put_whole(x);
	ep_turn_send(&x->turn);
	return x;
}

/* The remote has answered; is that the end?  If not, the statement is sent now, or anew. */
static bool
has_ended(Execution *x)
{
	x->due = 0;
	if (x->apart && !x->turn.failed)
	{
		x->apart = false;
		put_whole(x);
		ep_turn_send(&x->turn);
		return false;
	}
	if (!x->reused || !must_prepare_again(x))
		return true;
	x->reused = false;
	x->turn.ended_us = 0;
	ep_turn_put_settings(&x->turn, x->settings);
	put_new(x, x->number);
	put_run(x);
	ep_wire_put_simple(x->wire, 'S');
	ep_turn_send(&x->turn);
	return false;
}

/*
 * Take what has come of the answer, a share of it if that is much, and send
 * what is still to be sent, without waiting.  Returns true when the remote is
 * at rest; until then the caller
 * waits for ep_exchange_turn()'s events or deadline, and looks for interrupts,
 * which nothing here does.  Raises what the answer cannot go on after: 08006,
 * 57P01, 08P01, 57014 for query_timeout, and what the receiver raises.
 */
bool
ep_exchange_step(EpExchange *x)
{
	MemoryContext caller = MemoryContextSwitchTo(x->context);
	EpMessage	msg;

	ep_turn_share(&x->turn);
	while (!x->ended && ep_turn_poll(&x->turn, &msg))
		x->ended = !take_message(x, &msg) && has_ended(x);
	MemoryContextSwitchTo(caller);
	return x->ended;
}

/* Take the next message of the answer, which may have to be waited for. */
static void
await_message(Execution *x)
{
	EpMessage	msg;

	ep_turn_receive(&x->turn, &msg);
	x->ended = !take_message(x, &msg) && has_ended(x);
}

/*
 * Wait until the statement itself was sent as far as the socket takes it: after
 * ep_exchange_start it may be that settings were which it needs before, and whose
 * answer is awaited here.  If the remote refuses those, the exchange is at its
 * end, and ep_exchange_finish raises why.  Raises what ep_exchange_await does.
 */
void
ep_exchange_await_sending(EpExchange *x)
{
	MemoryContext caller = MemoryContextSwitchTo(x->context);

	while (x->apart && !x->ended)
		await_message(x);
	MemoryContextSwitchTo(caller);
}

/* As ep_exchange_step, waiting for the end; raises what interrupts raise, too. */
void
ep_exchange_await(EpExchange *x)
{
	MemoryContext caller = MemoryContextSwitchTo(x->context);

	x->turn.readable = true;
	while (!x->ended)
		await_message(x);
	MemoryContextSwitchTo(caller);
}

/*
 * Give the rows to another receiver than the one that the statement was
 * started with, before anything of its answer is read.  Their formats stay as
 * they are.
 */
void
ep_exchange_attach(EpExchange *x, EpReceiver *receiver)
{
	x->receiver = receiver;
	x->late = true;
}

/* The whole answer has come, though nobody has read it yet: that is how long the statement took. */
void
ep_exchange_note_end(EpExchange *x)
{
	if (x->turn.ended_us == 0)
		x->turn.ended_us = ep_now_us();
}

/* The turn of an exchange: its socket's events and its deadline. */
const struct EpTurn *
ep_exchange_turn(const EpExchange *x)
{
	return &x->turn;
}

/*
 * After ep_exchange_step has returned true: leave the exchange, and raise what
 * the remote reported, if it did.
 */
void
ep_exchange_finish(EpExchange *x, EpOutcome *outcome)
{
	settle_rows(x);
	*outcome = x->own_outcome;
	add_hint(x);
	ep_turn_end(&x->turn);
}

/*
 * The rows that a statement would return, ncols = 0 if none, in the current
 * memory context; nothing of it is run.  Raises as ep_exchange_execute does.
 */
EpRowDesc *
ep_exchange_describe(EpLease *lease, const char *sql)
{
	Execution	x;
	EpOutcome	outcome;

	memset(&x.stmt, 0, sizeof(x.stmt));
	x.stmt.class.several = ep_classify(sql).several;
	x.params = NULL;
	x.receiver = NULL;
	x.outcome = &outcome;
	ep_check_message_size(sql, NULL);

	begin(&x, lease, sql);
	ep_turn_is_ours(&x.turn);	/* nothing is run */
	begin_group(&x);
	put_parse(&x);
	ep_put_about(x.wire, 'D', 'S', 0);
	x.due |= DUE_PARAMS | DUE_ROWS;
	go(&x);
	add_hint(&x);
	ep_turn_end(&x.turn);
	return x.rows;
}
