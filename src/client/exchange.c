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
 * Everything else (FETCH, SHOW, EXPLAIN, CALL, SET ...) is not prepared:
 * nothing is gained, and what such a statement returns may change without the
 * remote noticing.  It is sent whole each time, in one piece that a pooler
 * between us and the remote cannot tear apart, and its rows come as text.  So
 * is everything when statement_cache_size is 0, and what is very long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "client/exchange.h"
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

typedef struct Execution
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

	EpRowDesc  *rows;			/* NULL: not known yet */
	bool		no_data;		/* it returns none */
	int16	   *formats;		/* for Bind */
	int			nformats;
	EpField    *fields;
	int16		few_formats[FEW_COLUMNS];
	EpField		few_fields[FEW_COLUMNS];
} Execution;

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
			 errhint("Run them on a lease from enhanced_pool.acquire.")));
}

static void
raise_copy(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("COPY is not possible in execute"),
			 errhint("Use enhanced_pool.copy_to or enhanced_pool.copy_from.")));
}

/* Raise 54000 for what cannot be sent as one message. */
static void
check_size(const char *sql, const EpParams *params)
{
	uint64		size = strlen(sql);

	if (params)
	{
		if (params->n > PG_UINT16_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("remote statement has too many parameters"),
					 errdetail("There are %d, and can be %d.", params->n, PG_UINT16_MAX)));
		for (int i = 0; i < params->n; i++)
			size += 16 + (params->values[i] ? params->lengths[i] : 0);
	}
	if (size > EP_MAX_MESSAGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("remote statement with its parameters is too long"),
				 errdetail("It has %llu bytes, and can have %u.", (unsigned long long) size, EP_MAX_MESSAGE)));
}

/* ----------------------------------------------------------- messages to send */

static void
put_name(EpWire *wire, uint64 number)
{
	char		name[32] = "";
	int			len = 0;

	if (number != 0)
	{
		memcpy(name, "ep_", 3);
		len = 3 + pg_ulltoa_n(number, name + 3);
		name[len] = '\0';
	}
	ep_wire_put_bytes(wire, name, len + 1);
}

/* Close or Describe of a statement ('S') or of the portal ('P'; number 0). */
static void
put_about(EpWire *wire, char type, char what, uint64 number)
{
	ep_wire_begin(wire, type);
	ep_wire_put_bytes(wire, &what, 1);
	put_name(wire, number);
	ep_wire_end(wire);
}

static void
put_parse(Execution *x)
{
	int			n = x->params ? x->params->n : 0;

	ep_wire_begin(x->wire, 'P');
	put_name(x->wire, x->number);
	ep_wire_put_string(x->wire, x->turn.sql);
	ep_wire_put_int16(x->wire, n);
	for (int i = 0; i < n; i++)
		ep_wire_put_int32(x->wire, (int32) x->params->types[i]);
	ep_wire_end(x->wire);
	x->due |= DUE_PARSE;
}

/* Values of parameters, with their formats as far as there is a binary one. */
static void
put_params(EpWire *wire, const EpParams *params)
{
	bool		binary = false;

	for (int i = 0; i < params->n; i++)
		binary |= params->formats[i] != 0;
	ep_wire_put_int16(wire, binary ? params->n : 0);
	for (int i = 0; binary && i < params->n; i++)
		ep_wire_put_int16(wire, params->formats[i]);

	ep_wire_put_int16(wire, params->n);
	for (int i = 0; i < params->n; i++)
	{
		if (params->values[i] == NULL)
			ep_wire_put_int32(wire, -1);
		else
		{
			ep_wire_put_int32(wire, params->lengths[i]);
			ep_wire_put_bytes(wire, params->values[i], params->lengths[i]);
		}
	}
}

/* Bind to the unnamed portal, describe it if its rows are not known, and execute it. */
static void
put_run(Execution *x)
{
	static const EpParams none = {0};
	EpWire	   *wire = x->wire;

	ep_wire_begin(wire, 'B');
	put_name(wire, 0);
	put_name(wire, x->number);
	put_params(wire, x->params ? x->params : &none);
	ep_wire_put_int16(wire, x->nformats);
	for (int i = 0; i < x->nformats; i++)
		ep_wire_put_int16(wire, x->formats[i]);
	ep_wire_end(wire);
	x->due |= DUE_BIND;

	if (x->rows == NULL)
	{
		put_about(wire, 'D', 'P', 0);
		x->due |= DUE_ROWS;
	}

	ep_wire_begin(wire, 'E');
	put_name(wire, 0);
	ep_wire_put_int32(wire, 0);
	ep_wire_end(wire);
	x->due |= DUE_END;
}

/* ------------------------------------------------------------ the description */

/*
 * Read a RowDescription into one chunk of memory in context.  Returns NULL if
 * it is malformed, names in another encoding included.
 */
static EpRowDesc *
read_rows(const EpMessage *msg, MemoryContext context)
{
	EpReader	r;
	EpRowDesc  *rows;
	char	   *names;
	int			ncols;

	ep_reader_init(&r, msg);
	ncols = ep_read_int16(&r);
	if (r.bad || ncols < 0)
		return NULL;
	rows = MemoryContextAlloc(context, offsetof(EpRowDesc, cols) + ncols * sizeof(EpColumn) + msg->len);
	rows->ncols = ncols;
	names = (char *) &rows->cols[ncols];
	for (int i = 0; i < ncols; i++)
	{
		EpColumn   *col = &rows->cols[i];
		const char *name = ep_read_string(&r);
		Size		size = strlen(name) + 1;

		(void) ep_read_bytes(&r, 4 + 2);	/* table and column it comes from */
		col->type = (Oid) ep_read_int32(&r);
		(void) ep_read_int16(&r);	/* length of the type */
		col->typmod = ep_read_int32(&r);
		col->format = (int16) ep_read_int16(&r);
		if (r.bad || (col->format != 0 && col->format != 1) || !pg_verifymbstr(name, (int) size - 1, true))
		{
			pfree(rows);
			return NULL;
		}
		col->name = memcpy(names, name, size);
		names += size;
	}
	if (r.p != r.end)
	{
		pfree(rows);
		return NULL;
	}
	return rows;
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
		x->rows = read_rows(msg, context);
	if (x->rows == NULL)
		ep_turn_unexpected(&x->turn, msg);
	if (x->place >= 0)
	{
		ep_stmt_remember(x->desc, x->place, x->rows, x->no_data);
		ep_stmt_describe(x->desc, x->place, x->rows);
	}

	/*
	 * a statement that is not prepared is on its way already, and may have an
	 * error of its own
	 */
	if (x->bound && !(x->no_data && x->place < 0))
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
			if (x->rows)
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

/* Everything in one piece, nothing prepared, rows as text. */
static void
run_unnamed(Execution *x)
{
	put_parse(x);
	put_run(x);
	go(x);
	if (x->no_data && !x->turn.failed)
		x->receiver->describe(x->receiver, x->rows, true);
}

/* The statement at x->place, which the remote has, as far as we know. */
static void
run_prepared(Execution *x)
{
	EpStmtSlot *slot = ep_stmt_use(x->desc, x->place);

	x->number = slot->number;
	x->rows = ep_stmt_recall(x->desc, x->place, &x->no_data);
	if (x->rows == NULL && !slot->described && x->receiver->choose_formats)
	{
		put_about(x->wire, 'D', 'S', x->number);
		x->due |= DUE_PARAMS | DUE_ROWS;
		go(x);
		if (x->turn.failed)
			return;
	}

	/*
	 * a caller who wants rows of a statement that has none is told before it
	 * runs
	 */
	if (x->no_data)
		x->receiver->describe(x->receiver, x->rows, true);
	choose_formats(x, slot);
	put_run(x);
	go(x);
}

/*
 * Prepare the statement, and run it.  stale is the number of one that stood
 * for it before and that the remote may still have, or 0.
 */
static void
run_new(Execution *x, uint64 stale)
{
	uint64		victim;

	x->place = ep_stmt_make_room(x->desc, x->limit, &victim);
	if (stale != 0)
		victim = stale;			/* it made the room */
	if (victim != 0)
	{
		put_about(x->wire, 'C', 'S', victim);
		x->due |= DUE_CLOSE;
	}
	x->number = ++x->turn.conn->stmt_counter;
	x->rows = NULL;
	put_parse(x);
	if (x->receiver->choose_formats == NULL)
	{
		x->nformats = 0;
		put_run(x);
		go(x);
		return;
	}
	put_about(x->wire, 'D', 'S', x->number);
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

	if (!x->turn.failed || x->turn.fatal || x->bound || sqlstate == NULL)
		return false;
	gone = strcmp(sqlstate, "26000") == 0;
	if (!gone && strcmp(sqlstate, "0A000") != 0)
		return false;
	if (gone && slot->number == x->number)
		slot->number = 0;
	if (x->turn.conn->tx_status != 'I')
		return false;
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

static void
begin(Execution *x, EpLease *lease, const char *sql)
{
	ep_turn_begin(&x->turn, lease, sql, x->stmt.class.dirty);
	x->desc = lease->desc;
	x->wire = x->turn.wire;
	x->place = -1;
	x->number = 0;
	x->due = 0;
	x->bound = x->copy_refused = x->no_data = false;
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
	Execution	x;

	x.stmt = *ep_statement_of(sql, params ? params->n : 0, params ? params->types : NULL);
	x.params = params;
	x.receiver = receiver;
	x.outcome = outcome;
	outcome->tag[0] = '\0';
	outcome->rows = 0;
	ep_exchange_check(lease->ref->name, lease->kind, &x.stmt.class);
	if (x.stmt.class.copy)
		raise_copy();
	check_size(sql, params);

	begin(&x, lease, sql);
	if (!x.stmt.class.plannable || x.limit <= 0 || strlen(sql) > LONGEST_PREPARED)
		run_unnamed(&x);
	else
		run_named(&x);
	add_hint(&x);
	ep_turn_end(&x.turn);
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
	check_size(sql, NULL);

	begin(&x, lease, sql);
	put_parse(&x);
	put_about(x.wire, 'D', 'S', 0);
	x.due |= DUE_PARAMS | DUE_ROWS;
	go(&x);
	add_hint(&x);
	ep_turn_end(&x.turn);
	return x.rows;
}
