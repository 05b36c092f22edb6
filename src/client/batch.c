/*-------------------------------------------------------------------------
 *
 * batch.c
 *		Statements that all run on one connection, in order, or none of them.
 *
 * They go in one piece by the extended protocol, under one Sync, with a BEGIN
 * in front (in an open transaction, a SAVEPOINT): the remote runs one after the
 * other as they come, and after an error skips the rest.  So all of it takes
 * one round trip.
 *
 * The COMMIT (or RELEASE) goes with them only if none of them returns rows, as
 * far as their texts tell for sure.  Whoever is sent rows may fail to take
 * them, and must be able to roll back then: so the COMMIT waits for the rows
 * to be taken, and costs a round trip of its own.
 *
 * From the moment at which the COMMIT is sent to its answer, what becomes of
 * the transaction is not ours to decide any more.  An interrupt does not just
 * end the wait then: the remote is asked to cancel, and its answer awaited for
 * SETTLE_S seconds.  If it says that nothing was done the interrupt is raised; if
 * it says that all was done the statements have succeeded, and the interrupt
 * strikes after them; whatever comes after that answer, a lost connection
 * included, takes nothing back.  Without an answer the outcome is unknown, which
 * is an error of its own (08007).  On a lease that outlives us the same is done before
 * the COMMIT is sent, so that its transaction is not left open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "client/batch.h"
#include "client/capture.h"
#include "client/classify.h"
#include "client/parts.h"
#include "client/receive.h"
#include "client/socket_wait.h"
#include "client/turn.h"
#include "compat.h"

/* How long the answer is awaited after the remote was asked to cancel. */
#define SETTLE_S	5

#define SAVEPOINT_NAME	"enhanced_pool_group"

/* Messages of a statement's answer that are still to come. */
#define DUE_PARSE	0x01
#define DUE_BIND	0x02
#define DUE_ROWS	0x04		/* RowDescription or NoData */
#define DUE_END		0x08		/* CommandComplete or EmptyQueryResponse */

typedef struct Batch
{
	EpTurn		turn;
	EpLease    *lease;
	EpBatchStatement *statements;
	int			n;
	const char *open;			/* the statements around them, */
	const char *close;
	const char *undo;			/* and what takes everything back after an error */
	bool		inside;			/* of an open transaction */

	/* the answer */
	int			current;		/* statement that is being answered: -1 open, n close, n + 1 none */
	uint32		due;			/* of it */
	bool		close_sent;
	bool		done;			/* close has succeeded */
	bool		rolled_back;	/* it was answered that it could do nothing but that */
	bool		ended;			/* the remote is at rest */
	EpReceiver *receiver;
	EpRowDesc  *rows;
	uint64		began_us;		/* current */
	uint64		query_timeout_us;

	/* what went wrong here */
	bool		receiving;		/* a receiver is at work: an error is its own */
	EpCaught   *local;			/* the first such error; the rest of the answer is dropped */
	EpCaught   *lost;			/* the answer cannot be read any further */
	bool		stopped;		/* the remote was asked to cancel */
	EpCaught   *stop;			/* why; NULL: an interrupt that is pending */
	uint64		give_up_us;		/* then */
} Batch;

/* --------------------------------------------------------- what is refused */

/*
 * BEGIN with an isolation level, which is given as SQL calls it, or NULL for
 * the remote's default.  Raises 22023 for any other word.
 */
const char *
ep_batch_isolation(const char *isolation)
{
	static const char *const levels[] = {"serializable", "repeatable read", "read committed", "read uncommitted"};

	if (isolation == NULL)
		return "BEGIN";
	for (size_t i = 0; i < lengthof(levels); i++)
	{
		if (pg_strcasecmp(isolation, levels[i]) == 0)
			return psprintf("BEGIN ISOLATION LEVEL %s", levels[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid isolation level: \"%s\"", isolation),
			 errhint("It is \"serializable\", \"repeatable read\", \"read committed\" or \"read uncommitted\".")));
}

/*
 * Raise if one of the statements cannot be part of a transaction of ours on
 * such a lease: 25001 or 2D000 for transaction statements, 0A000 for a COPY,
 * 54000 for what is too long.
 */
void
ep_batch_check(const char *pool, EpLeaseKind kind, const EpBatchStatement *statements, int n)
{
	for (int i = 0; i < n; i++)
	{
		EpTextClass class = ep_classify(statements[i].sql);

		ep_exchange_check(pool, kind, &class);
		if (class.transaction)
			ereport(ERROR,
					(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
					 errmsg("transaction statements cannot be run in run_in_transaction"),
					 errdetail("Operation %d is one.", i + 1)));
		if (class.copy)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("COPY is not possible in run_in_transaction"),
					 errdetail("Operation %d is one.", i + 1)));
		ep_check_message_size(statements[i].sql, statements[i].params);
	}
}

/* --------------------------------------------------------- messages to send */

static const EpParams no_params = {0};

/* parse: unless the remote has the same text as its unnamed statement already; describe: rows may come. */
static void
put_statement(Batch *b, const char *sql, const EpParams *params, bool parse, bool describe)
{
	EpWire	   *wire = b->turn.wire;

	if (parse)
	{
		ep_wire_begin(wire, 'P');
		ep_put_statement_name(wire, 0);
		ep_wire_put_string(wire, sql);
		ep_wire_put_int16(wire, params->n);
		for (int i = 0; i < params->n; i++)
			ep_wire_put_int32(wire, (int32) params->types[i]);
		ep_wire_end(wire);
	}

	ep_wire_begin(wire, 'B');
	ep_put_statement_name(wire, 0);
	ep_put_statement_name(wire, 0);
	ep_put_params(wire, params);
	ep_wire_put_int16(wire, 0);
	ep_wire_end(wire);

	if (describe)
		ep_put_about(wire, 'D', 'P', 0);

	ep_wire_begin(wire, 'E');
	ep_put_statement_name(wire, 0);
	ep_wire_put_int32(wire, 0);
	ep_wire_end(wire);
}

static const EpParams *
params_of(const EpBatchStatement *statement)
{
	return statement->params ? statement->params : &no_params;
}

/* Does the remote know this statement from the one before it? */
static bool
is_repeated(const Batch *b, int i)
{
	const EpParams *params = params_of(&b->statements[i]);
	const EpParams *before;

	if (i == 0 || strcmp(b->statements[i].sql, b->statements[i - 1].sql) != 0)
		return false;
	before = params_of(&b->statements[i - 1]);
	return params->n == before->n &&
		(params->n == 0 || memcmp(params->types, before->types, params->n * sizeof(Oid)) == 0);
}

static void
put_close(Batch *b)
{
	put_statement(b, b->close, &no_params, true, false);
	b->close_sent = true;
}

static bool
none_returns_rows(const Batch *b)
{
	for (int i = 0; i < b->n; i++)
	{
		if (!ep_surely_rowless(b->statements[i].sql))
			return false;
	}
	return true;
}

/*
 * Everything in one piece, as far as it may be.  The remote sends its answers
 * when it is done with all of them, unless it is asked for each: query_timeout
 * is for each.
 */
static void
put_all(Batch *b)
{
	put_statement(b, b->open, &no_params, true, false);
	b->turn.begins = !b->inside;
	for (int i = 0; i < b->n; i++)
	{
		put_statement(b, b->statements[i].sql, params_of(&b->statements[i]), !is_repeated(b, i), true);
		if (b->query_timeout_us != 0)
			ep_wire_put_simple(b->turn.wire, 'H');
	}
	if (none_returns_rows(b))
		put_close(b);
	ep_wire_put_simple(b->turn.wire, 'S');
}

/* -------------------------------------------------------------- the answer */

static void
expect_next(Batch *b)
{
	b->current++;
	b->due = b->current > b->n ? 0 : DUE_PARSE | DUE_BIND | DUE_END;
	if (b->current >= 0 && b->current < b->n)
	{
		b->due |= DUE_ROWS;
		if (is_repeated(b, b->current))
			b->due &= ~DUE_PARSE;
		b->turn.sql = b->statements[b->current].sql;
		b->receiver = ep_receive_json_array();
	}
	else
		b->turn.sql = b->current < 0 ? b->open : b->close;
	b->rows = NULL;
	b->turn.conn->progress.done = Max(Min(b->current, b->n), 0);
	if (b->current != 0)
		b->began_us = ep_now_us();	/* the first one's time counts from the beginning */
	if (b->current > 0 && b->current < b->n)
		b->lease->started_us = b->began_us;
	if (b->query_timeout_us != 0 && !b->stopped)
		b->turn.deadline_us = ep_now_us() + b->query_timeout_us;
}

static void
expect(Batch *b, const EpMessage *msg, uint32 what, uint32 before)
{
	if ((b->due & what) == 0 || (b->due & before) != 0 || b->turn.failed)
		ep_turn_unexpected(&b->turn, msg);
	b->due &= ~what;
}

static void
take_description(Batch *b, const EpMessage *msg)
{
	if (msg->type == 'n')
		b->rows = palloc0(sizeof(EpRowDesc));
	else
		b->rows = ep_read_rows(msg, CurrentMemoryContext);
	if (b->rows == NULL)
		ep_turn_unexpected(&b->turn, msg);
	if (b->local)
		return;
	b->receiving = true;
	b->receiver->describe(b->receiver, b->rows, msg->type == 'n');
	b->receiving = false;
}

static void
take_row(Batch *b, const EpMessage *msg)
{
	EpReader	r;
	EpField    *fields;
	int			n;

	if (b->due != DUE_END || b->rows == NULL || b->turn.failed)
		ep_turn_unexpected(&b->turn, msg);
	ep_reader_init(&r, msg);
	n = ep_read_int16(&r);
	if (r.bad || n != b->rows->ncols)
		ep_turn_unexpected(&b->turn, msg);
	fields = palloc(Max(n, 1) * sizeof(EpField));
	for (int i = 0; i < n; i++)
	{
		fields[i].len = ep_read_int32(&r);
		if (fields[i].len < -1)
			ep_turn_unexpected(&b->turn, msg);
		fields[i].data = fields[i].len < 0 ? NULL : ep_read_bytes(&r, fields[i].len);
		if (r.bad)
			ep_turn_unexpected(&b->turn, msg);
	}
	if (r.p != r.end)
		ep_turn_unexpected(&b->turn, msg);
	b->lease->stats.rows_returned++;
	b->turn.rows++;
	if (!b->local)
	{
		b->receiving = true;
		b->receiver->row(b->receiver, n, fields);
		b->receiving = false;
	}
	pfree(fields);
}

/* A statement has ended well. */
static void
take_end(Batch *b, const EpMessage *msg)
{
	EpBatchStatement *statement;
	EpReader	r;
	uint64		now;

	if (b->current < 0 || b->current == b->n)
	{
		const char *tag;

		/* ours: its tag says nothing about what it leaves in the session */
		ep_reader_init(&r, msg);
		tag = ep_read_string(&r);
		ep_turn_note_transaction(&b->turn, tag);
		if (b->current == b->n)
		{
			b->rolled_back = strcmp(tag, "ROLLBACK") == 0;
			b->done = strcmp(tag, b->inside ? "RELEASE" : "COMMIT") == 0;
			if (!b->done && !b->rolled_back)
				ep_turn_unexpected(&b->turn, msg);
		}
		expect_next(b);
		return;
	}
	statement = &b->statements[b->current];
	ep_turn_complete(&b->turn, msg, &statement->outcome);
	now = ep_now_us();
	statement->elapsed_ms = (now - b->began_us) / 1000.0;
	ep_lease_count(b->lease, now, false);
	if (!b->local)
	{
		b->receiving = true;
		statement->rows = ep_receive_json_rows(b->receiver);
		b->receiving = false;
	}
	expect_next(b);
}

/* ReadyForQuery: send the COMMIT if it has waited for that, else this is the end. */
static void
take_ready(Batch *b, const EpMessage *msg)
{
	ep_turn_ready(&b->turn, msg);
	if (b->turn.failed || b->local || b->stopped || b->close_sent)
	{
		if (!b->turn.failed && b->current < b->n)
			ep_turn_unexpected(&b->turn, msg);
		b->ended = true;
		return;
	}
	if (b->current != b->n)
		ep_turn_unexpected(&b->turn, msg);
	ep_turn_put_settings(&b->turn, EP_SETTINGS_NOT);
	put_close(b);
	ep_wire_put_simple(b->turn.wire, 'S');
	ep_turn_send(&b->turn);
}

static void
take_message(Batch *b, const EpMessage *msg)
{
	switch (msg->type)
	{
		case '1':
			expect(b, msg, DUE_PARSE, 0);
			break;
		case '2':
			expect(b, msg, DUE_BIND, DUE_PARSE);
			break;
		case 'T':
		case 'n':
			expect(b, msg, DUE_ROWS, DUE_PARSE | DUE_BIND);
			take_description(b, msg);
			break;
		case 'D':
			take_row(b, msg);
			break;
		case 'C':
		case 'I':
			expect(b, msg, DUE_END, DUE_PARSE | DUE_BIND | DUE_ROWS);
			take_end(b, msg);
			break;
		case 'E':
			break;
		case 'Z':
			take_ready(b, msg);
			break;
		default:

			/*
			 * COPY, of which the text did not tell, among others: nobody
			 * knows how to go on
			 */
			ep_turn_unexpected(&b->turn, msg);
	}
}

static void
do_poll(void *arg)
{
	Batch	   *b = arg;
	EpMessage	msg;

	ep_turn_share(&b->turn);
	while (!b->ended && ep_turn_poll(&b->turn, &msg))
		take_message(b, &msg);
}

/* ------------------------------------------------------------ when it goes wrong */

/* Have the remote cancel; from now on its answer is awaited for a limited time. */
static void
stop(Batch *b, EpCaught *why)
{
	if (b->stopped)
		return;
	b->stopped = true;
	b->stop = why;
	b->turn.deadline_us = 0;
	b->give_up_us = ep_now_us();
	if (b->close_sent || b->lease->kind != EP_KIND_STATEMENT)
		b->give_up_us += SETTLE_S * UINT64CONST(1000000);
	ep_lease_request_cancel(b->lease);
}

static void
do_raise_timeout(void *arg)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling remote statement due to timeout"),
			 errcontext("remote server \"%s\"", ((Batch *) arg)->lease->ref->name)));
}

static void
do_raise_remote(void *arg)
{
	Batch	   *b = arg;

	ep_raise_remote(b->lease, &b->turn.error, b->turn.sql);
}

/* An error while the answer was read. */
static void
note_error(Batch *b, EpCaught *caught)
{
	if (b->receiving)
	{
		b->receiving = false;
		if (b->local == NULL)
			b->local = caught;
	}
	else if (!b->lease->broken && caught->error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		stop(b, caught);		/* query_timeout */
	else
		b->lost = caught;
}

static void
do_undo(void *arg)
{
	Batch	   *b = arg;
	EpTurn		turn;
	EpMessage	msg;

	ep_turn_begin(&turn, b->lease, b->undo, false);
	ep_turn_is_ours(&turn);
	ep_turn_put_settings(&turn, EP_SETTINGS_NOT);
	turn.deadline_us = ep_now_us() + SETTLE_S * UINT64CONST(1000000);
	ep_turn_await_prelude(&turn);
	ep_wire_put_query(turn.wire, b->undo);
	ep_turn_send(&turn);
	do
		ep_turn_receive(&turn, &msg);
	while (msg.type != 'Z');
	ep_turn_ready(&turn, &msg);
	ep_turn_end(&turn);
}

/* The remote is at rest, and not all was done: take back what was. */
static void
undo(Batch *b)
{
	char		status = ep_conns[b->lease->slot].tx_status;

	/*
	 * at the very beginning, or at the COMMIT: there is nothing of ours any
	 * more
	 */
	if (status == 'I' || (b->inside && b->current < 0))
		return;
	if (ep_capture(do_undo, b))
		ep_lease_mark_broken(b->lease);
}

/* Raise why it was not done. */
static void
raise_undone(Batch *b)
{
	const char *pool = b->lease->ref->name;
	const char *detail = NULL;

	if (b->stopped)
	{
		if (b->stop)
			ep_raise_caught(b->stop, pool, "All operations were rolled back.");
		CHECK_FOR_INTERRUPTS();
	}
	if (b->current >= 0 && b->current < b->n)
		detail = psprintf("Operation %d of %d failed, and all were rolled back.", b->current + 1, b->n);
	else if (b->current == b->n)
		detail = psprintf("All %d operations succeeded, but %s failed, and all were rolled back.", b->n, b->close);
	if (b->local && !b->turn.failed)
		ep_raise_caught(b->local, pool, "All operations were rolled back.");
	if (b->turn.failed)
		ep_raise_caught(ep_capture(do_raise_remote, b), pool, detail);
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_ROLLBACK),
			 errmsg("remote server \"%s\" rolled the transaction back", pool)));
}

/* Nobody knows whether the transaction was committed. */
static void
raise_unknown(Batch *b, const EpCaught *why)
{
	ep_lease_mark_broken(b->lease);
	ep_turn_lost_at_commit(&b->turn);
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
			 errmsg("outcome of the transaction on remote server \"%s\" is unknown", b->lease->ref->name),
			 why ? errdetail("The connection was lost after COMMIT was sent: %s.", why->error->message) :
			 errdetail("COMMIT was sent, and the remote server did not answer."),
			 errhint("Look on the remote server whether it was committed before you run it again.")));
}

/* May the COMMIT have been carried out although no answer says so? */
static bool
outcome_is_open(const Batch *b)
{
	if (b->inside || !b->close_sent || b->done || b->rolled_back || b->turn.lease->syncs == 0)
		return false;

	/*
	 * answers come in order: who says goodbye before the COMMIT has not come
	 * to it
	 */
	return !(b->turn.fatal && b->current < b->n) && !(b->turn.failed && !b->turn.fatal);
}

/* Has the remote said so?  What is released in an open transaction is lost with the connection. */
static bool
is_committed(const Batch *b)
{
	return b->done && !b->inside;
}

/* --------------------------------------------------------------- the whole */

/* Interrupts, but that a cancel request of the user's is passed on to the remote first. */
static void
process_interrupts(Batch *b)
{
	if (!InterruptPending)
		return;
	HOLD_CANCEL_INTERRUPTS();
	CHECK_FOR_INTERRUPTS();
	RESUME_CANCEL_INTERRUPTS();
	if (QueryCancelPending)
		stop(b, NULL);
}

static void
wait_for_more(Batch *b, uint64 deadline_us)
{
	uint64		next = b->stopped ? b->give_up_us : deadline_us;
	uint64		now = ep_now_us();
	long		ms = -1;

	if (b->turn.deadline_us != 0)
		next = Min(next, b->turn.deadline_us);
	if (next != PG_UINT64_MAX)
		ms = next > now ? (long) Min((next - now + 999) / 1000, (uint64) INT_MAX) : 0;
	(void) ep_descriptor_wait(b->lease->desc, b->turn.events, ms);
}

/* Returns whether the remote is at rest; if not, the answer is lost or was awaited for long enough. */
static bool
see_through(Batch *b, uint64 deadline_us)
{
	for (;;)
	{
		EpCaught   *caught = ep_capture(do_poll, b);

		if (caught)
			note_error(b, caught);
		if (b->lost)
			return false;
		if (b->ended)
			return true;
		if (caught)
			continue;
		process_interrupts(b);
		if (!b->stopped && ep_now_us() >= deadline_us)
			stop(b, ep_capture(do_raise_timeout, b));
		if (b->stopped && ep_now_us() >= b->give_up_us)
			return false;
		wait_for_more(b, deadline_us);
	}
}

/* The answer will never be known to its end. */
static void
raise_lost(Batch *b)
{
	if (outcome_is_open(b))
		raise_unknown(b, b->lost);
	/* one that outlives us is of no use: its transaction is still open */
	if (b->lease->kind != EP_KIND_STATEMENT)
		ep_lease_mark_broken(b->lease);
	if (b->lost)
		ep_raise_caught(b->lost, b->lease->ref->name, "All operations were rolled back.");
	raise_undone(b);
}

/*
 * Run the statements in a transaction of their own, begun with isolation
 * (ep_batch_isolation), or, where one is open on the lease or it is a session,
 * in a savepoint of that.  When this returns all is done, committed in the
 * first case; results are in the current memory context.  deadline_us:
 * monotonic, PG_UINT64_MAX for none.  The lease, on which nothing is left to be
 * drained, is held by the caller, who holds no lock; the statements were seen by
 * ep_batch_check.  Raises what the remote
 * reports, with a DETAIL that says which statement failed; then, and for any
 * other error but one, nothing was done: 57014 at the deadline and for
 * query_timeout, 08006, 57P01 and 08P01 for a connection that is lost, what interrupts
 * raise.  The one is 08007: nobody knows whether it was committed.
 */
void
ep_batch_run(EpLease *lease, EpBatchStatement *statements, int n, const char *isolation, uint64 deadline_us)
{
	Batch	   *b = palloc0(sizeof(Batch));
	bool		dirty = false;

	for (int i = 0; i < n; i++)
		dirty |= ep_classify(statements[i].sql).dirty;
	b->lease = lease;
	b->statements = statements;
	b->n = n;
	b->inside = lease->kind == EP_KIND_SESSION || ep_conns[lease->slot].tx_status != 'I';
	b->open = b->inside ? "SAVEPOINT " SAVEPOINT_NAME : isolation;
	b->close = b->inside ? "RELEASE SAVEPOINT " SAVEPOINT_NAME : "COMMIT";
	b->undo = b->inside ? "ROLLBACK TO SAVEPOINT " SAVEPOINT_NAME "; RELEASE SAVEPOINT " SAVEPOINT_NAME : "ROLLBACK";

	ep_turn_begin(&b->turn, lease, statements[0].sql, dirty);
	b->turn.conn->progress.command = EP_COMMAND_TRANSACTION;
	b->turn.conn->progress.operations = n;

	/* no query may come before BEGIN where it says an isolation level */
	ep_turn_put_settings(&b->turn, b->inside ? EP_SETTINGS_TOGETHER : EP_SETTINGS_APART);
	if (!b->inside)
		ep_turn_await_prelude(&b->turn);
	if (b->turn.deadline_us != 0)
		b->query_timeout_us = b->turn.deadline_us - b->turn.started_us;
	/* in front of our own BEGIN, and not a part of what it begins */
	if (!b->inside)
		ep_turn_await_prelude(&b->turn);
	b->current = -2;
	expect_next(b);
	put_all(b);
	ep_turn_send(&b->turn);
	if (!see_through(b, deadline_us))
	{
		if (!is_committed(b))
			raise_lost(b);
		ep_lease_mark_broken(lease);
		ep_turn_lost_at_commit(&b->turn);
	}
	if (b->turn.fatal)
		ep_lease_mark_broken(lease);
	ep_turn_close(&b->turn);
	if (!b->done)
	{
		undo(b);
		raise_undone(b);
	}
	if (b->local)
		ep_raise_caught(b->local, lease->ref->name, "The transaction was committed.");
}

/*
 * A lease on a connection of the pool for such statements, by the deadline.
 * Raises 57014 when it has passed, else as ep_lease_acquire does.
 */
EpLease *
ep_batch_acquire(EpPoolRef *ref, const char *name, uint64 deadline_us)
{
	static uint32 wait_event = 0;
	double		timeout = ep_ref_acquire_timeout(ref);
	uint64		until = timeout < 0 ? PG_UINT64_MAX : ep_now_us() + (uint64) (timeout * 1e6);
	EpLease    *lease = NULL;
	EpAcquire  *wait;

	if (deadline_us == PG_UINT64_MAX)
		return ep_lease_acquire(ref, EP_KIND_STATEMENT, timeout, false, name);
	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolTransaction");
	wait = ep_acquire_begin(ref, EP_KIND_STATEMENT, name);
	for (;;)
	{
		uint64		now;
		EpAcquireState state = ep_acquire_step(wait, until, false, &lease);

		if (state == EP_ACQUIRE_GOT)
			break;
		if (state == EP_ACQUIRE_OUTDATED)
		{
			ep_acquire_renew(wait);
			continue;
		}
		now = ep_now_us();
		if (now >= deadline_us)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("no connection of pool \"%s\" before the timeout", ref->name)));
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  (long) (Min(Min(deadline_us, until) - now, UINT64CONST(1000000)) / 1000 + 1),
					  wait_event) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	ep_acquire_end(wait);
	return lease;
}
