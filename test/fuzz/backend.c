/*-------------------------------------------------------------------------
 *
 * backend.c
 *		Fuzz target: the functions of the extension in a real backend, with a
 *		remote that answers what the input says.
 *
 * This file is a part of the extension that is built for it, with sanitizers,
 * and runs in a server in single-user mode: SELECT ep_fuzz(ARRAY[...]), the
 * arguments being libFuzzer's.  No worker runs there.  What a worker does is
 * done here: a connection is made up before each input, and what comes back
 * unfinished is drained by the worker's own code.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sanitizer/asan_interface.h>
#include <sys/socket.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "client/fetch.h"
#include "client/lease.h"
#include "client/socket_wait.h"
#include "fuzz.h"
#include "worker/talk.h"

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback) (const uint8 *data, size_t size));

PG_FUNCTION_INFO_V1(ep_fuzz);

/* The epoch of a worker that is not there. */
#define EPOCH		4711

/* So much may be sent to the remote before its messages are not counted any more. */
#define MAX_SENT	(256 * 1024)

/* No more than that is kept from one input to the next. */
#define MAX_KEPT	((Size) 64 * 1024 * 1024)

#define MAX_STEPS	4

/* What an application does.  A step with $1 is about the lease that the first one has got. */
typedef struct Action
{
	const char *steps[MAX_STEPS];
	SPIPlanPtr	plans[MAX_STEPS];
} Action;

#define EXECUTE(columns) {{"SELECT * FROM enhanced_pool.execute('p', 'SELECT 1') AS t(" columns ")"}}
#define ACQUIRE "SELECT enhanced_pool.acquire('p', hold => true)"

static Action actions[] = {
	EXECUTE("x text"),
	EXECUTE("a int, b text"),
	EXECUTE("a int, b bigint, c bool, d float8, e numeric, f timestamptz, g date, h uuid, i bytea, j \"char\""),
	EXECUTE("a int[], b text[], c numeric[]"),
	EXECUTE("a jsonb, b inet, c bit(4), d varchar(3), e char(4), f name"),
	EXECUTE("a fuzz_domain, b timestamp(0), c interval, d smallint, e real, f oid"),
	{{"SELECT count(e) FROM (SELECT enhanced_pool.execute('p', 'SELECT 1') AS e OFFSET 0) AS t"}},
	{{"SELECT * FROM enhanced_pool.execute_as(NULL::fuzz_row, 'p', 'SELECT 1')"}},
	{{"SELECT enhanced_pool.execute_json('p', 'SELECT 1')"}},
	{{"SELECT enhanced_pool.exec('p', 'INSERT INTO t VALUES (1)')"}},
	{{"SELECT enhanced_pool.run_script('p', 'SELECT 1; SELECT 2')"}},
	{{"SELECT enhanced_pool.describe('p', 'SELECT 1')"}},
	{{"SELECT enhanced_pool.copy_from('p', 'SELECT 1, 2', 'fuzz_target')"}},
	{{"SELECT enhanced_pool.copy_to('p', 't', 'SELECT 1, ''x''::text')"}},
	{{"SELECT enhanced_pool.copy_to('p', 't', 'SELECT repeat(''x'', 1000) FROM generate_series(1, 150)', ARRAY['x'])"}},
	{{ACQUIRE, "SELECT enhanced_pool.exec($1, 'SELECT 1')", "SELECT enhanced_pool.exec($1, 'SELECT 2')", "SELECT enhanced_pool.release($1)"}},
	{{ACQUIRE, "SELECT enhanced_pool.send($1, 'SELECT 1')", "SELECT enhanced_pool.is_busy($1)", "SELECT enhanced_pool.get_result_json($1)"}},
	{{ACQUIRE, "SELECT enhanced_pool.exec($1, 'LISTEN x')", "SELECT enhanced_pool.get_notify($1, '0')", "SELECT enhanced_pool.release($1)"}},
	{{ACQUIRE, "SELECT enhanced_pool.send($1, 'SELECT 1')", "SELECT enhanced_pool.cancel($1)", "SELECT * FROM enhanced_pool.get_result($1) AS t(a int)"}},
	{{"SELECT enhanced_pool.run_in_transaction('p', ARRAY['INSERT INTO t VALUES (1)', 'SELECT 1'])"}},
	{{"SELECT * FROM enhanced_pool.execute('p', 'SELECT 7') AS t(a int)", "SELECT * FROM enhanced_pool.execute('p', 'SELECT 7') AS t(a int)"}},
	{{"SELECT * FROM enhanced_pool.execute('p', 'SHOW x') AS t(a text)", "SELECT * FROM enhanced_pool.execute('p', 'SHOW x') AS t(a date)"}},
	{{"SELECT enhanced_pool.acquire('p', hold => true, name => 'fuzz')", "SELECT enhanced_pool.copy_from($1, 'SELECT 1, 2', 'fuzz_target')", "SELECT enhanced_pool.exec($1, 'SELECT 1')"}},
	{{ACQUIRE, "SELECT enhanced_pool.copy_to($1, 't', 'SELECT 1, ''x''::text')", "SELECT enhanced_pool.exec($1, 'SELECT 1')"}},
	{{"SELECT * FROM enhanced_pool.run_parallel('p', ARRAY['SELECT 1', 'INSERT INTO t VALUES (1)'], on_error => 'capture')"}},
};

static EpPoolRef *ref;
static int	always_ready;		/* a socket that is readable and writable */
static char sent[MAX_SENT];
static Remote remote;

/* The connection of the present input. */
static EpConn *conn;
static uint64 conn_id;
static int	ends_seen;

static bool verbose;			/* each error is shown: EP_FUZZ_VERBOSE in the environment */

/* In the place of ep_transport_socket, by the linker: every socket leads to the remote of the input. */
extern void __wrap_ep_transport_socket(EpTransport *t, int fd);

void
__wrap_ep_transport_socket(EpTransport *t, int fd)
{
	remote_attach(t, &remote);
}

/* Likewise: a worker sends each request to cancel at once, and the remote knows of it. */
extern void __real_ep_lease_request_cancel(EpLease *lease);
extern void __wrap_ep_lease_request_cancel(EpLease *lease);

void
__wrap_ep_lease_request_cancel(EpLease *lease)
{
	__real_ep_lease_request_cancel(lease);
	conn->cancel_wanted = conn->cancel_busy = false;
}

/* ------------------------------------------------------------------ set-up */

static void
prepare_actions(void)
{
	static Oid	types[] = {INT8OID};

	for (Size i = 0; i < lengthof(actions); i++)
	{
		for (int j = 0; j < MAX_STEPS && actions[i].steps[j]; j++)
		{
			SPIPlanPtr	plan = SPI_prepare(actions[i].steps[j], 1, types);

			if (plan == NULL || SPI_keepplan(plan) != 0)
				elog(ERROR, "could not prepare %s", actions[i].steps[j]);
			actions[i].plans[j] = plan;
		}
	}
}

static void
pretend_worker(void)
{
	EpWorkerShared *w;

	ref = ep_pool_ref("p");
	w = &ep_control->workers[ep_pools[ref->pool].worker];
	pg_atomic_write_u32(&w->procno, MyProc->pgprocno);
	pg_atomic_write_u64(&w->epoch, EPOCH);
}

/* What can be read from it looks like a notice: that is no reason not to use a connection. */
static void
make_socket(void)
{
	int			ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || write(ends[1], "N", 1) != 1)
		elog(ERROR, "could not make a socket: %m");
	always_ready = ends[0];
}

/* --------------------------------------------------- what a worker would do */

/* Nobody else will ever send something: somebody loses patience, after a while. */
static void
lose_patience(void)
{
	if (remote.end == END_NOTHING && ++ends_seen > 3)
		InterruptPending = QueryCancelPending = true;
}

static void
open_connection(void)
{
	EpPool	   *pool = &ep_pools[ref->pool];
	EpDescriptor *desc;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	conn = ep_conn_alloc(pool, EPOCH, false, false);
	INVARIANT(conn != NULL);
	conn_id = conn->conn_id;
	conn->conn_hash = pool->def.conn_hash;
	conn->last_validated_us = conn->last_used_us = conn->created_us = ep_now_us();
	ep_conn_to_idle(conn);
	LWLockRelease(&pool->lock);

	ep_wait_prepare();
	INVARIANT(AcquireExternalFD());
	desc = ep_descriptor_install(ep_conn_slot(conn), conn_id, dup(always_ready));
	INVARIANT(desc != NULL);
}

/* Read the rest of what was left in the middle, as the worker does. */
static void
drain(void)
{
	EpTalk		talk;
	EpWire		wire;
	EpTalkState state = EP_TALK_LOST;

	ep_wire_init(&wire, TopMemoryContext, -1);
	remote.at_end = NULL;
	ep_talk_begin(&talk);
	if (ep_talk_resume(&talk, &wire, &conn->unfinished))
	{
		state = EP_TALK_BUSY;
		for (int i = 0; i < 1000 && state == EP_TALK_BUSY; i++)
			state = ep_talk_step(&talk, &wire);
		INVARIANT(state != EP_TALK_BUSY || (remote.end == END_NOTHING && remote.at == remote.len));
		INVARIANT(wire.in_size <= 1024 * 1024 + 8);
	}
	ep_wire_free(&wire);
}

/*
 * A connection came back as one that anybody may use: then the remote has
 * answered everything that was sent, and nothing stands behind that but what may
 * come at any time.
 */
static void
check_idle(void)
{
	int			syncs = 0;
	int			readies = 0;
	bool		at_rest = true;
	size_t		at = 0;

	INVARIANT(conn->tx_status == 'I');
	while (at < remote.written && remote.written <= MAX_SENT)
	{
		uint32		len;

		INVARIANT(remote.written - at >= 5);
		memcpy(&len, sent + at + 1, 4);
		syncs += sent[at] == 'S' || sent[at] == 'Q';
		at += pg_ntoh32(len) + 1;
		INVARIANT(at <= remote.written);
	}
	for (at = 0; at < remote.at;)
	{
		const char *p = (const char *) remote.bytes + at;
		uint32		len;

		INVARIANT(remote.at - at >= 5);
		memcpy(&len, p + 1, 4);
		at += pg_ntoh32(len) + 1;
		INVARIANT(at <= remote.at);
		readies += *p == 'Z';
		at_rest = *p == 'Z' || (at_rest && ep_message_is_async(*p));
	}
	INVARIANT(at_rest);
	/* one that answers what could not be sent is believed: the connection is dead anyway */
	INVARIANT(remote.write_fails || remote.written > MAX_SENT || syncs == readies);
}

static void
close_connection(void)
{
	EpPool	   *pool = &ep_pools[ref->pool];
	EpDescriptor *desc;

	ep_lease_discard_all();
	INVARIANT(conn->conn_id == conn_id);
	switch (conn->state)
	{
		case EP_IDLE:
			check_idle();
			break;
		case EP_CANCELLING:
			drain();
			break;
		case EP_RESETTING:
		case EP_VALIDATING:
		case EP_BROKEN:
			break;
		default:
			fuzz_fail(ep_conn_state_name(conn->state), __FILE__, __LINE__);
	}
	desc = ep_descriptor_lookup(ep_conn_slot(conn), conn_id);
	if (desc)
		ep_descriptor_forget(desc);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->state != EP_BROKEN)
		ep_conn_to_broken(conn);
	ep_conn_to_closing(conn);
	ep_conn_to_free(conn);
	INVARIANT(pool->size == 0 && pool->n_leased == 0 && pool->n_waiting == 0);
	LWLockRelease(&pool->lock);
}

/* -------------------------------------------------------------- one statement */

/* Whatever a remote says: what we say is not that something is wrong with us. */
static void
check_error(const ErrorData *error)
{
	const char *file = error->filename ? error->filename : "";

	/* the remote's own words and code */
	if (strcmp(file, "error.c") == 0)
		return;
	if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR || error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		error->sqlerrcode == ERRCODE_OUT_OF_MEMORY || error->elevel > ERROR)
	{
		fprintf(stderr, "error %s: %s, %s:%d\n", unpack_sql_state(error->sqlerrcode), error->message, file, error->lineno);
		fuzz_fail("errors are clear", __FILE__, __LINE__);
	}
}

/* Runs a step in a subtransaction.  Returns false if it has failed. */
static bool
run_step(SPIPlanPtr plan, int64 *lease, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool good = false;

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		Datum		values[] = {Int64GetDatum(*lease)};

		(void) SPI_execute_plan(plan, values, NULL, false, 0);
		if (*lease == 0 && SPI_processed == 1 && SPI_gettypeid(SPI_tuptable->tupdesc, 1) == INT8OID)
		{
			bool		isnull;

			*lease = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
		}
		SPI_freetuptable(SPI_tuptable);
		good = true;
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (verbose)
			fprintf(stderr, "%s: %s\n", unpack_sql_state(error->sqlerrcode), error->message);
		check_error(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	InterruptPending = QueryCancelPending = false;
	ends_seen = 0;
	return good;
}

static void
check_memory(void)
{
	static int	inputs = 0;

	if (++inputs % 256 == 0)
		INVARIANT(MemoryContextMemAllocated(TopMemoryContext, true) < MAX_KEPT);
}

static int
try_input(const uint8 *data, size_t size)
{
	static MemoryContext context = NULL;
	MemoryContext caller;
	Input		in = {data, data + size};
	Action	   *action = &actions[take_byte(&in) % lengthof(actions)];
	uint8		how = take_byte(&in);
	int64		lease = 0;

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "fuzz input", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	remote_begin(&remote, NULL, 0, (End) (how % 3));
	remote.written_to = sent;
	remote.max_written = MAX_SENT;
	remote.write_fails = (how & 0x40) != 0;
	remote.at_end = lose_patience;
	take_pieces(&in, remote.pieces, &remote.npieces);
	take_pieces(&in, remote.rooms, &remote.nrooms);
	remote.bytes = in.at;
	remote.len = left(&in);

	open_connection();
	for (int i = 0; i < MAX_STEPS && action->plans[i]; i++)
		(void) run_step(action->plans[i], &lease, (how & 0x80) == 0);
	close_connection();
	MemoryContextSwitchTo(caller);
	MemoryContextReset(context);
	check_memory();
	return 0;
}

/* ep_fuzz(text[]): does not return. */
Datum
ep_fuzz(PG_FUNCTION_ARGS)
{
	Datum	   *words;
	int			n;
	char	  **argv;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &n);
	argv = palloc0((n + 2) * sizeof(char *));
	argv[0] = "backend";
	for (int i = 0; i < n; i++)
		argv[i + 1] = TextDatumGetCString(words[i]);
	n++;
	verbose = getenv("EP_FUZZ_VERBOSE") != NULL;
	SPI_connect();
	prepare_actions();
	pretend_worker();
	make_socket();
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&n, &argv, try_input));
}
