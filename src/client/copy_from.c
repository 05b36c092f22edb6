/*-------------------------------------------------------------------------
 *
 * copy_from.c
 *		The rows of a remote query into a local table.
 *
 * The local side is PostgreSQL's own COPY FROM, as logical replication's
 * initial copy uses it: defaults, generated columns, constraints, triggers,
 * partitions and foreign tables are its affair.  It asks for data by a callback
 * that knows nothing of whose they are, so what is being read stands in a
 * variable; a trigger may copy from another lease meanwhile.
 *
 * In binary format its receive functions of strings convert from the encoding
 * of the local client, so that it serves only while that is the server's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "client/classify.h"
#include "client/copy.h"
#include "compat.h"

struct EpCopyFrom
{
	const char *query;
	Relation	rel;
	List	   *columns;		/* names as they are, NIL: all that can be written */
	List	   *attnums;		/* of the columns that are filled */
	ParseState *pstate;
};

/* What the callback reads. */
typedef struct Source
{
	EpTurn		turn;
	MemoryContext context;		/* of the whole copy */
	const char *data;			/* of the current CopyData, in the wire's buffer */
	uint32		left;
	bool		ended;			/* CopyDone came */
	int			client_encoding;	/* with binary format, else -1 */
} Source;

static Source *source = NULL;

/* --------------------------------------------------------------- the local table */

/* May the caller do this?  As DoCopy() asks: column by column, and no row-level security. */
static void
check_rights(EpCopyFrom *copy)
{
	Relation	rel = copy->rel;
	ParseNamespaceItem *item;
	Bitmapset  *inserted = NULL;
	ListCell   *lc;

	item = addRangeTableEntryForRelation(copy->pstate, rel, RowExclusiveLock, NULL, false, false);
	foreach(lc, copy->attnums)
		inserted = bms_add_member(inserted, lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber);
	ep_check_insert_compat(copy->pstate, item, inserted);
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("copy_from not supported with row-level security"),
				 errhint("Use INSERT ... SELECT from enhanced_pool.execute instead.")));
	if (XactReadOnly && !rel->rd_islocaltemp)
		PreventCommandIfReadOnly("copy_from");
}

/*
 * What can be found out without the remote; the table is locked until the end
 * of the transaction.  columns: a list of strings, NIL for all.  Raises what
 * COPY FROM raises for a table or columns that it cannot fill or the caller may
 * not fill.
 */
EpCopyFrom *
ep_copy_from_prepare(const char *query, Oid table, List *columns)
{
	EpCopyFrom *copy = palloc0(sizeof(EpCopyFrom));

	PreventCommandIfParallelMode("copy_from");
	copy->query = query;
	copy->columns = columns;
	copy->rel = try_table_open(table, RowExclusiveLock);
	if (copy->rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", table)));
	copy->attnums = CopyGetAttnums(RelationGetDescr(copy->rel), copy->rel, columns);
	copy->pstate = make_parsestate(NULL);
	check_rights(copy);
	return copy;
}

/* ------------------------------------------------------------- the remote query */

/* Without what may stand at the end of a statement and not in parentheses. */
static char *
trim_query(const char *query)
{
	int			len = strlen(query);

	while (len > 0 && strchr("; \t\r\n\f\v", query[len - 1]) != NULL)
		len--;
	return pnstrdup(query, len);
}

/* Can every column come in binary? */
static bool
all_binary(EpCopyFrom *copy, const EpRowDesc *remote)
{
	TupleDesc	desc = RelationGetDescr(copy->rel);
	ListCell   *lc;
	int			i = 0;

	if (pg_get_client_encoding() != GetDatabaseEncoding())
		return false;
	foreach(lc, copy->attnums)
	{
		Oid			type = getBaseType(TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid);

		if (!ep_copy_binary_type(type, remote->cols[i++].type))
			return false;
	}
	return i > 0;
}

/* --------------------------------------------------------------------- the data */

/* The strings so far were taken for what the client's encoding was at the beginning. */
static void
check_encoding(const Source *s)
{
	if (s->client_encoding >= 0 && s->client_encoding != pg_get_client_encoding())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("client_encoding cannot be changed during copy_from")));
}

/*
 * Go to the next CopyData.  Returns false at the end of the data, or if none
 * was received and wait is false.
 */
static bool
next_data(Source *s, bool wait)
{
	EpMessage	msg;

	while (!s->ended)
	{
		if (wait)
			ep_turn_receive(&s->turn, &msg);
		else if (!ep_turn_poll(&s->turn, &msg))
			return false;
		switch (msg.type)
		{
			case 'd':
				s->data = msg.data;
				s->left = msg.len;
				s->turn.rows++;	/* servers send each row by itself; how many they were is known at the end */
				if (s->left > 0)
					return true;
				break;
			case 'c':
				s->ended = true;
				break;
			case 'E':
				(void) ep_copy_end(&s->turn, false);	/* raises it */
				break;
			default:
				ep_turn_unexpected(&s->turn, &msg);
		}
	}
	return false;
}

/* PostgreSQL's COPY FROM wants minread bytes or more, fewer only at the end. */
static int
read_data(void *outbuf, int minread, int maxread)
{
	Source	   *s = source;
	MemoryContext caller = MemoryContextSwitchTo(s->context);
	char	   *to = outbuf;
	int			n = 0;

	check_encoding(s);
	while (n < maxread)
	{
		int			part;

		if (s->left == 0 && !next_data(s, n < minread))
			break;
		part = Min((int) Min(s->left, (uint32) INT_MAX), maxread - n);
		memcpy(to + n, s->data, part);
		s->data += part;
		s->left -= part;
		n += part;
	}
	MemoryContextSwitchTo(caller);
	return n;
}

static List *
copy_options(bool binary)
{
	return list_make2(makeDefElem("format", (Node *) makeString(binary ? "binary" : "text"), -1),
					  makeDefElem("encoding", (Node *) makeString(pstrdup(GetDatabaseEncodingName())), -1));
}

static uint64
fill_table(EpCopyFrom *copy, Source *s, bool binary)
{
	Source	   *outer = source;
	volatile uint64 rows = 0;

	/*
	 * as a COPY that a function runs: it sees what was done before it, and is
	 * seen after it
	 */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	PG_TRY();
	{
		CopyFromState state;

		source = s;
		state = BeginCopyFrom(copy->pstate, copy->rel, NULL, NULL, false, read_data, copy->columns,
							  copy_options(binary));
		rows = CopyFrom(state);
		EndCopyFrom(state);
		check_encoding(s);
	}
	PG_FINALLY();
	{
		source = outer;
	}
	PG_END_TRY();
	PopActiveSnapshot();
	CommandCounterIncrement();
	return rows;
}

/*
 * Run the remote query and put its rows into the table.  Returns how many were
 * inserted.  Raises 42601 if the query returns no rows, 42804 if the numbers
 * of columns differ, what COPY FROM raises, and what ep_exchange_execute() does.
 */
int64
ep_copy_from_run(EpCopyFrom *copy, EpLease *lease)
{
	Source		s = {.context = CurrentMemoryContext};
	EpRowDesc  *remote = ep_exchange_describe(lease, copy->query);
	char	   *sql;
	bool		binary;
	uint64		rows;

	if (remote == NULL || remote->ncols == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("remote query of copy_from must return rows"),
				 errhint("Use SELECT, VALUES, TABLE, WITH, or INSERT, UPDATE or DELETE with RETURNING.")));
	if (remote->ncols != list_length(copy->attnums))
		ep_copy_raise_columns(remote->ncols, list_length(copy->attnums));
	binary = all_binary(copy, remote);
	s.client_encoding = binary ? pg_get_client_encoding() : -1;

	/* the line break ends a comment that the query may end with */
	sql = psprintf("COPY (%s\n) TO STDOUT (FORMAT %s)", trim_query(copy->query), binary ? "binary" : "text");
	ep_copy_begin(&s.turn, lease, sql, ep_classify(copy->query).dirty, 'H');
	rows = fill_table(copy, &s, binary);
	lease->stats.rows_returned += rows;
	(void) ep_copy_end(&s.turn, !s.ended);
	free_parsestate(copy->pstate);
	table_close(copy->rel, NoLock);
	return (int64) rows;
}
