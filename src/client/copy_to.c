/*-------------------------------------------------------------------------
 *
 * copy_to.c
 *		The rows of a local query into a remote table.
 *
 * The executor hands each row to a DestReceiver, which writes it into the
 * wire's output buffer; when there is enough it is sent, and waited until the
 * socket has taken it.  So memory does not depend on the number of rows, and
 * the query runs no faster than the remote takes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/varlena.h"

#include "client/copy.h"

/* So many bytes make a CopyData message. */
#define ENOUGH	(64 * 1024)

struct EpCopyTo
{
	char	   *table;			/* quoted */
	List	   *columns;		/* names as they are, NIL: all that can be written */
	SPIPlanPtr	plan;
	TupleDesc	desc;			/* of the query's rows */
};

typedef struct Sink
{
	DestReceiver pub;
	EpTurn		turn;
	TupleDesc	desc;
	EpRowEncoder *encoder;
	MemoryContext context;		/* of the whole copy */
	bool		refused;		/* the remote has reported an error: nothing more is sent */
} Sink;

/* ------------------------------------------------------------ what was asked for */

/* A table's name as SQL writes it, parsed and quoted again.  Raises 42602 if it is anything else. */
static char *
quote_table(const char *table)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(table));
	StringInfoData quoted;
	ListCell   *lc;

	if (list_length(names) > 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("improper qualified name (too many dotted names): %s", table)));
	initStringInfo(&quoted);
	foreach(lc, names)
		appendStringInfo(&quoted, "%s%s", quoted.len > 0 ? "." : "", quote_identifier(strVal(lfirst(lc))));
	return quoted.data;
}

static void
raise_no_rows(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("query of copy_to must be one statement that returns rows"),
			 errhint("Use SELECT, VALUES, TABLE, WITH, or INSERT, UPDATE or DELETE with RETURNING.")));
}

/*
 * What can be found out without the remote, in the SPI connection that this
 * opens and ep_copy_to_run() closes.  table: as SQL writes a name; columns: a
 * list of strings, NIL for all.  The query is parsed with the caller's rights.
 * Raises 42602 for a bad name, 42601 if the query is not one that returns
 * rows, and what the parser raises.
 */
EpCopyTo *
ep_copy_to_prepare(const char *table, const char *query, List *columns)
{
	EpCopyTo   *copy;
	List	   *sources;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	copy = palloc0(sizeof(EpCopyTo));
	copy->table = quote_table(table);
	copy->columns = columns;
	copy->plan = SPI_prepare_cursor(query, 0, NULL, CURSOR_OPT_PARALLEL_OK);
	if (copy->plan == NULL)
		elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
	sources = SPI_plan_get_plan_sources(copy->plan);
	if (list_length(sources) != 1 || ((CachedPlanSource *) linitial(sources))->resultDesc == NULL)
		raise_no_rows();
	copy->desc = CreateTupleDescCopy(((CachedPlanSource *) linitial(sources))->resultDesc);
	return copy;
}

/* ------------------------------------------------------------ the remote table */

typedef struct NameReceiver
{
	EpReceiver	pub;
	MemoryContext context;
	List	   *names;
} NameReceiver;

static void
describe_names(EpReceiver *self pg_attribute_unused(), const EpRowDesc *desc pg_attribute_unused(),
			   bool no_data pg_attribute_unused())
{
}

static void
take_name(EpReceiver *self, int nfields, const EpField *fields)
{
	NameReceiver *r = (NameReceiver *) self;
	MemoryContext caller = MemoryContextSwitchTo(r->context);

	if (nfields != 1 || fields[0].len < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("remote server sent a column without a name")));
	(void) pg_verifymbstr(fields[0].data, fields[0].len, false);
	r->names = lappend(r->names, makeString(pnstrdup(fields[0].data, fields[0].len)));
	MemoryContextSwitchTo(caller);
}

/*
 * The columns that COPY without a list of them fills: servers before 12 have no
 * generated ones.  None for a table that is not there.
 */
static List *
read_column_names(EpLease *lease, const char *table)
{
	static const char sql[] =
	"SELECT a.attname FROM pg_catalog.pg_attribute a"
	" WHERE a.attrelid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid"
	" AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped"
	" AND COALESCE(pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.->>) 'attgenerated'::pg_catalog.text, ''::pg_catalog.text)"
	" OPERATOR(pg_catalog.=) ''::pg_catalog.text"
	" ORDER BY a.attnum";
	Oid			type = InvalidOid;
	int16		format = 0;
	int			length = strlen(table);
	EpParams	params = {.n = 1, .types = &type, .formats = &format, .values = &table, .lengths = &length};
	NameReceiver receiver = {{NULL, describe_names, take_name}, CurrentMemoryContext, NIL};
	EpOutcome	outcome;

	ep_exchange_look_up(lease, sql, &params, &receiver.pub, &outcome);
	return receiver.names;
}

static char *
column_list(List *names)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, names)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(strVal(lfirst(lc))));
	return list.data;
}

/* Can every column go in binary? */
static bool
all_binary(TupleDesc local, const EpRowDesc *remote)
{
	for (int i = 0; i < local->natts; i++)
	{
		if (!ep_copy_binary_type(getBaseType(TupleDescAttr(local, i)->atttypid), remote->cols[i].type))
			return false;
	}
	return local->natts > 0;
}

/* ------------------------------------------------------------------- the rows */

/* End the CopyData that is being built, and send it. */
static void
send_rows(Sink *sink)
{
	MemoryContext caller = MemoryContextSwitchTo(sink->context);

	ep_wire_end(sink->turn.wire);
	sink->refused = !ep_turn_push(&sink->turn);
	MemoryContextSwitchTo(caller);
}

/* The types have been compared with the remote's: they must not have changed since. */
static void
start_rows(DestReceiver *self, int operation pg_attribute_unused(), TupleDesc desc)
{
	Sink	   *sink = (Sink *) self;
	bool		same = desc->natts == sink->desc->natts;

	for (int i = 0; same && i < desc->natts; i++)
		same = TupleDescAttr(desc, i)->atttypid == TupleDescAttr(sink->desc, i)->atttypid;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("result type of the query of copy_to has changed")));
}

static bool
take_row(TupleTableSlot *slot, DestReceiver *self)
{
	Sink	   *sink = (Sink *) self;
	EpWire	   *wire = sink->turn.wire;

	if (sink->refused)
		return false;
	if (wire->out_message < 0)
		ep_wire_begin(wire, 'd');
	ep_encode_row(sink->encoder, slot, &wire->out);
	sink->turn.rows_sent++;
	if (wire->out.len >= ENOUGH)
		send_rows(sink);
	return !sink->refused;
}

static void
end_rows(DestReceiver *self pg_attribute_unused())
{
}

static void
send_header(Sink *sink)
{
	ep_wire_begin(sink->turn.wire, 'd');
	ep_encode_begin(sink->encoder, &sink->turn.wire->out);
}

static void
send_trailer(Sink *sink)
{
	if (sink->refused)
		return;
	if (sink->turn.wire->out_message < 0)
		ep_wire_begin(sink->turn.wire, 'd');
	ep_encode_end(sink->encoder, &sink->turn.wire->out);
	ep_wire_end(sink->turn.wire);
	ep_wire_put_simple(sink->turn.wire, 'c');
	ep_turn_resend(&sink->turn);
}

static void
run_query(EpCopyTo *copy, Sink *sink)
{
	SPIExecuteOptions options = {.dest = &sink->pub};
	int			result = SPI_execute_plan_extended(copy->plan, &options);

	if (result < 0)
		elog(ERROR, "SPI_execute_plan_extended failed: %s", SPI_result_code_string(result));
}

/*
 * Run the query and send its rows.  Closes the SPI connection.  Returns how
 * many rows the remote has taken; it has none if this raises an error.  Raises
 * 42804 if the numbers of columns differ, what the query raises, and what
 * ep_exchange_execute() does.
 */
int64
ep_copy_to_run(EpCopyTo *copy, EpLease *lease)
{
	Sink		sink = {.pub = {take_row, start_rows, end_rows, end_rows, DestNone}};
	List	   *names = copy->columns ? copy->columns : read_column_names(lease, copy->table);
	char	   *list = column_list(names);
	EpRowDesc  *remote;
	char	   *sql;
	bool		binary;
	int64		rows;

	remote = ep_exchange_describe(lease, psprintf("SELECT %s FROM %s", list, copy->table));
	if (remote == NULL || remote->ncols != copy->desc->natts)
		ep_copy_raise_columns(copy->desc->natts, remote ? remote->ncols : 0);
	binary = all_binary(copy->desc, remote);
	sql = psprintf("COPY %s%s%s%s FROM STDIN (FORMAT %s)", copy->table,
				   names ? " (" : "", list, names ? ")" : "", binary ? "binary" : "text");

	sink.desc = copy->desc;
	sink.context = CurrentMemoryContext;
	sink.encoder = ep_row_encoder_create(copy->desc, binary);
	ep_copy_begin(&sink.turn, lease, sql, false, 'G');
	send_header(&sink);
	run_query(copy, &sink);
	send_trailer(&sink);
	rows = ep_copy_end(&sink.turn, false);
	SPI_finish();
	return rows;
}
