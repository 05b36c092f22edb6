/*-------------------------------------------------------------------------
 *
 * session.c
 *		Leases that follow the local transaction.
 *
 * The remote transaction begins with the first statement, savepoints are made
 * for all open subtransactions before the first statement in them, and what
 * became of a subtransaction is told with the next statement after it: all
 * that goes in front of the caller's statement and costs no round trip
 * (prelude.c).  So the callbacks of the local (sub)transaction's end only take
 * notes.  They can do no more at an abort, and a loop of many subtransactions
 * with statements in a few of them costs savepoints for these alone.
 *
 * What the remote has is known from its answers only.  Each statement of ours
 * is an entry of session->ops, and what it changes is entered into the session
 * when it has succeeded: while its answer is awaited, or when the answer of a
 * statement that was given up is drained (enter.c).  If an error is raised
 * before anything was sent the entries are dropped by the next statement.
 *
 * A session is in the list from session() to the end of the transaction or of
 * the subtransaction that it belongs to, even if its lease is given back before:
 * a transaction of which a part is lost must not be committed (commit.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "client/session.h"

typedef enum OpKind
{
	OP_BEGIN,
	OP_OTHER,					/* changes nothing that is kept here */
	OP_READ_ONLY,
	OP_SAVEPOINT,
	OP_ROLLBACK_TO,
	OP_RELEASE
} OpKind;

struct EpSessionOp
{
	OpKind		kind;
	int			place;			/* of the savepoint; of BEGIN what read_only_at becomes */
	EpSavepoint savepoint;		/* what it stands for when that is done */
};

/* How far the local transaction is on its way to its end. */
typedef enum Phase
{
	RUNNING = 0,
	COMMITTING,					/* sessions are being committed */
	COMMITTED					/* they are: none can follow any more */
} Phase;

static dlist_head sessions = DLIST_STATIC_INIT(sessions);
static Phase phase = RUNNING;

/* Is cancel held off until the local transaction has ended? */
static bool cancel_held = false;

/* Open subtransactions that began after the first session was opened; in TopTransactionContext. */
static SubTransactionId *levels = NULL;
static int	nlevels = 0;
static int	max_levels = 0;

/* ----------------------------------------------------------------- opening */

static const char *
isolation_name(int isolation)
{
	switch (isolation)
	{
		case XACT_SERIALIZABLE:
			return "SERIALIZABLE";
		case XACT_REPEATABLE_READ:
			return "REPEATABLE READ";
		default:
			return "READ COMMITTED";
	}
}

static int
local_isolation(void)
{
	return Max(XactIsoLevel, XACT_READ_COMMITTED);
}

/* On a standby every transaction is read-only, whatever it wants: that says nothing about the remote. */
static bool
local_read_only(void)
{
	return XactReadOnly && !RecoveryInProgress();
}

static void
check_options(int isolation, int read_only)
{
	if (phase != RUNNING)
		ereport(ERROR,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("session cannot be opened while the transaction is being committed")));
	if (isolation >= 0 && isolation < local_isolation())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("isolation of a session must not be weaker than that of the local transaction"),
				 errdetail("The local transaction is %s.", isolation_name(local_isolation()))));
	if (read_only == 0 && local_read_only())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("session of a read-only transaction must be read-only")));
}

static EpSession *
find(const EpPoolRef *ref, const char *name)
{
	char		cut[EP_LEASE_NAME_SIZE] = "";
	dlist_iter	it;

	if (name)
		ep_copy_text(cut, sizeof(cut), name);
	dlist_foreach(it, &sessions)
	{
		EpSession  *s = dlist_container(EpSession, node, it.cur);

		if (s->lease && !s->group && s->lease->pool == ref->pool && s->lease->role == ref->role &&
			strcmp(s->lease->name, cut) == 0)
			return s;
	}
	return NULL;
}

/* A session that is open already serves those who ask for nothing else. */
static void
check_same(const EpSession *s, int isolation, int read_only)
{
	if ((isolation < 0 || isolation == s->isolation) &&
		(read_only < 0 || read_only == (s->read_only < 0 ? local_read_only() : s->read_only)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("session on pool \"%s\" is open with other options", s->ref->name),
			 errdetail("It is %s%s.", isolation_name(s->isolation),
					   s->read_only > 0 ? ", READ ONLY" : s->read_only == 0 ? ", READ WRITE" : ""),
			 errhint("Give this one another name.")));
}

/* A session without a lease, in no list yet. */
static EpSession *
make(int isolation, int read_only)
{
	EpSession  *s = MemoryContextAllocZero(TopTransactionContext, sizeof(EpSession));

	s->isolation = isolation < 0 ? local_isolation() : isolation;
	s->read_only = read_only;
	s->read_only_at = -1;
	return s;
}

/* From now on the lease is that session's, and ends with the transaction. */
static EpLease *
enter(EpSession *s, EpLease *lease)
{
	s->lease = lease;
	s->ref = lease->ref;
	s->number = lease->number;
	s->home = lease->subid;
	lease->session = s;
	if (dlist_is_empty(&sessions))
		nlevels = 0;			/* what is open now is not below this one */
	dlist_push_tail(&sessions, &s->node);
	return lease;
}

/*
 * The session of that name (NULL: without one) on that pool: the one that the
 * transaction has for the pool reference's role, or a new one that belongs to
 * the current subtransaction.  isolation is one of XACT_..., or -1 for that of
 * the local transaction; read_only 1, 0, or -1; timeout_s as for
 * ep_lease_acquire.  Raises 22023 for less than the local transaction promises,
 * 25001 if it is open with other options, 25P01 while the transaction is being
 * committed, and what ep_lease_acquire raises.
 */
EpLease *
ep_session_open(EpPoolRef *ref, int isolation, int read_only, double timeout_s, const char *name)
{
	EpSession  *s;

	check_options(isolation, read_only);
	s = find(ref, name);
	if (s && s->lease->broken && !s->begun && !s->lease->in_use)
	{
		/* nothing is lost with it */
		ep_lease_release(s->lease);
		s = NULL;
	}
	if (s)
	{
		check_same(s, isolation, read_only);
		return s->lease;
	}

	s = make(isolation, read_only);
	return enter(s, ep_lease_acquire(ref, EP_KIND_SESSION, timeout_s, false, name));
}

/* Has the session a remote transaction that only the end of the local one may end? */
bool
ep_session_has_begun(const EpLease *lease)
{
	return lease->session != NULL && lease->session->begun;
}

/* ------------------------------------------------- operations of groups */

/*
 * A lease of kind EP_KIND_SESSION that a group got: a session from now on, which
 * belongs to the subtransaction that acquired it, and which no name stands for.
 * Raises 25P01 while the transaction is being committed; the lease is none then.
 */
void
ep_session_of_group(EpLease *lease)
{
	EpSession  *s;

	check_options(-1, -1);
	s = make(-1, -1);
	s->group = true;
	(void) enter(s, lease);
}

/*
 * The sessions of earlier groups of this transaction that the pool reference's
 * role may go on using, *n of them, in the current memory context.  The answer
 * of what was given up on them may still have to be drained.
 */
EpLease **
ep_session_free_ones(const EpPoolRef *ref, int *n)
{
	EpLease   **found = NULL;
	dlist_iter	it;

	*n = 0;
	dlist_foreach(it, &sessions)
	{
		EpSession  *s = dlist_container(EpSession, node, it.cur);
		EpLease    *lease = s->lease;

		if (!s->group || lease == NULL || lease->pool != ref->pool || lease->role != ref->role ||
			lease->broken || lease->in_use || lease->pending || lease->copy_in ||
			ep_conns[lease->slot].struck != EP_STRUCK_NOT || ep_conns[lease->slot].terminated)
			continue;
		if ((*n & (*n - 1)) == 0)
			found = found ? repalloc(found, 2 * *n * sizeof(EpLease *)) : palloc(sizeof(EpLease *));
		found[(*n)++] = lease;
	}
	return found;
}

/* The next statement on the session is an operation, which will end with ep_session_end_operation. */
void
ep_session_begin_operation(EpLease *lease)
{
	lease->session->operation = true;
}

/*
 * An operation has ended, or was given up in the middle: then the rest of its
 * answer is left to be drained.  One that failed is undone before the next
 * statement, or COMMIT.  Returns whether the session may be used again, as far
 * as is known.  If not, the transaction cannot be committed any more, unless
 * the session never did anything that counts: then it is given back, and
 * nothing is lost.  Raises nothing.
 */
bool
ep_session_end_operation(EpLease *lease, bool failed)
{
	EpSession  *s = lease->session;
	EpLevelEnd	end = failed ? EP_LEVEL_ABORTED : EP_LEVEL_COMMITTED;
	bool		lost;

	s->operation = false;
	for (int i = 0; i < s->nsavepoints; i++)
	{
		if (s->savepoints[i].operation && s->savepoints[i].end == EP_LEVEL_OPEN)
			s->savepoints[i].end = end;
	}
	for (int i = s->next_op; i < s->nops; i++)
	{
		if (s->ops[i].savepoint.operation)
			s->ops[i].savepoint.end = end;
	}
	s->worked |= !failed;
	if (failed)
	{
		ep_lease_forget_settings(lease);	/* they are undone with it */
		ep_lease_cut(lease);
	}
	lost = lease->broken || ep_conns[lease->slot].terminated;
	if (ep_conns[lease->slot].struck != EP_STRUCK_NOT)
		return false;
	if (!s->worked && (lost || lease->need_drain))
	{
		s->begun = false;
		ep_lease_release(lease);
		return false;
	}
	return !lost;
}

static void
leave_list(EpSession *s)
{
	dlist_delete(&s->node);
	if (s->lease)
		s->lease->session = NULL;
	s->lease = NULL;
}

/* The session's lease is being given back before its transaction has ended.  Raises nothing. */
void
ep_session_lease_gone(EpLease *lease)
{
	EpSession  *s = lease->session;

	lease->session = NULL;
	s->lease = NULL;
	if (!s->begun)
		dlist_delete(&s->node);
}

/* -------------------------------------------- what goes in front of a statement */

static void
make_room(EpSession *s)
{
	int			most = 7 + nlevels;

	if (s->max_ops < most)
	{
		s->ops = MemoryContextAlloc(TopTransactionContext, 2 * most * sizeof(EpSessionOp));
		s->max_ops = 2 * most;
	}

	/* a step that enters a savepoint must not allocate */
	most = s->nsavepoints + nlevels + 1;
	if (s->max_savepoints < most)
	{
		if (s->savepoints)
			s->savepoints = repalloc(s->savepoints, 2 * most * sizeof(EpSavepoint));
		else
			s->savepoints = MemoryContextAlloc(TopTransactionContext, 2 * most * sizeof(EpSavepoint));
		s->max_savepoints = 2 * most;
	}
}

static EpSessionOp *
put(EpTurn *turn, EpSession *s, OpKind kind, int place, const char *sql)
{
	EpSessionOp *op = &s->ops[s->nops];

	Assert(s->nops < s->max_ops);
	memset(op, 0, sizeof(EpSessionOp));
	op->kind = kind;
	op->place = place;
	ep_turn_put_prelude(turn, sql, ep_session_confirm);
	s->nops++;
	return op;
}

/* A named session shows its name on the remote as a named lease does, until its transaction ends. */
static void
put_name(EpTurn *turn, EpSession *s)
{
	char	   *name = ep_turn_lease_name(turn);

	put(turn, s, OP_OTHER, 0, psprintf("SET LOCAL application_name = %s", quote_literal_cstr(name)));
}

static void
put_begin(EpTurn *turn, EpSession *s)
{
	bool		read_only = s->read_only < 0 ? local_read_only() : s->read_only;

	turn->begins = true;
	put(turn, s, OP_BEGIN, read_only ? 0 : -1,
		psprintf("BEGIN ISOLATION LEVEL %s%s%s", isolation_name(s->isolation),
				 read_only ? " READ ONLY" : s->read_only == 0 ? " READ WRITE" : "",
				 XactDeferrable ? " DEFERRABLE" : ""));
	if (s->lease->name[0] != '\0')
		put_name(turn, s);
}

/* The outermost savepoint that is, or is worse than, that; nsavepoints if none is. */
static int
outermost(const EpSession *s, EpLevelEnd end)
{
	for (int i = 0; i < s->nsavepoints; i++)
	{
		if (s->savepoints[i].end >= end)
			return i;
	}
	return s->nsavepoints;
}

/* The first of the open subtransactions that have no savepoint, when only that many savepoints are kept. */
static int
first_level(const EpSession *s, int kept)
{
	SubTransactionId last = kept > 0 ? s->savepoints[kept - 1].subid : s->home;
	int			level = nlevels;

	while (level > 0 && levels[level - 1] > last)
		level--;
	return level;
}

/*
 * Undo what subtransactions that aborted have done.  The savepoint is still
 * there after that, with nothing behind it.
 */
static EpSessionOp *
put_rollback(EpTurn *turn, EpSession *s)
{
	int			place = outermost(s, EP_LEVEL_ABORTED);
	EpSessionOp *op;

	if (place >= s->nsavepoints)
		return NULL;
	op = put(turn, s, OP_ROLLBACK_TO, place, psprintf("ROLLBACK TO SAVEPOINT ep_s%d", place + 1));
	op->savepoint.subid = s->savepoints[place].subid;
	op->savepoint.end = EP_LEVEL_COMMITTED;
	return op;
}

/*
 * An operation of a group can be undone alone.  Its savepoint is as that of a
 * subtransaction which ends with the operation (ep_session_end_operation).
 */
static void
put_operation(EpTurn *turn, EpSession *s, int place)
{
	EpSessionOp *op = put(turn, s, OP_SAVEPOINT, place, psprintf("SAVEPOINT ep_s%d", place + 1));

	op->savepoint.subid = GetCurrentSubTransactionId();
	op->savepoint.operation = true;
}

/*
 * Make the savepoints of the remote those of the open subtransactions, with
 * what was done in others kept or undone.  The last one that is rolled back
 * to may serve the next subtransaction, as in a loop around an exception block
 * it mostly does.
 */
static void
put_levels(EpTurn *turn, EpSession *s)
{
	int			kept = outermost(s, EP_LEVEL_COMMITTED);
	int			level = first_level(s, kept);
	bool		read_only = s->read_only_at >= 0 && s->read_only_at <= kept;
	EpSessionOp *rollback = put_rollback(turn, s);

	if (rollback && rollback->place == kept && level < nlevels)
	{
		rollback->savepoint.subid = levels[level++];
		rollback->savepoint.end = EP_LEVEL_OPEN;
		kept++;
	}
	else if (kept < s->nsavepoints)
		put(turn, s, OP_RELEASE, kept, psprintf("RELEASE SAVEPOINT ep_s%d", kept + 1));
	for (; level < nlevels; level++, kept++)
		put(turn, s, OP_SAVEPOINT, kept, psprintf("SAVEPOINT ep_s%d", kept + 1))->savepoint.subid = levels[level];
	if (s->begun && s->read_only < 0 && !read_only && local_read_only())
		put(turn, s, OP_READ_ONLY, 0, "SET TRANSACTION READ ONLY");
	if (s->operation)
		put_operation(turn, s, kept);
	s->operation = false;
}

/* Has the remote ended the transaction, without an answer that says so? */
static void
check_open(const EpSession *s, char status)
{
	if (!s->begun || status != 'I')
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
			 errmsg("remote transaction of session %lld on server \"%s\" has ended before the local one",
					(long long) s->number, s->ref->name)));
}

/*
 * Put in front of the statement of a turn that has just begun what makes the
 * remote transaction follow the local one.  Raises 25000 if the remote
 * transaction has ended by itself, 25P01 if the local one is at its end.
 */
void
ep_session_prelude(EpTurn *turn)
{
	EpSession  *s = turn->lease->session;

	/* whatever was sent before has been drained, or was never sent */
	s->nops = s->next_op = 0;
	check_open(s, turn->conn->tx_status);
	make_room(s);
	if (phase == COMMITTING)
	{
		put_rollback(turn, s);
		return;
	}
	if (phase != RUNNING)
		ereport(ERROR,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("session cannot be used after its transaction was committed")));
	if (!s->begun)
		put_begin(turn, s);
	put_levels(turn, s);
}

/* The remote is where it was before it made the savepoint at that place. */
static void
cut_savepoints(EpSession *s, int place)
{
	s->nsavepoints = place;
	if (s->read_only_at > place)
		s->read_only_at = -1;
}

/*
 * The first statement of ours that was not confirmed before has succeeded; or
 * one of the caller's, when there is none.  Raises nothing.
 */
void
ep_session_confirm(EpLease *lease)
{
	EpSession  *s = lease->session;
	EpSessionOp *op;

	if (s == NULL || s->next_op >= s->nops)
		return;
	op = &s->ops[s->next_op++];
	switch (op->kind)
	{
		case OP_BEGIN:
			s->begun = true;
			s->read_only_at = op->place;
			break;
		case OP_READ_ONLY:
			s->read_only_at = s->nsavepoints;
			break;
		case OP_RELEASE:
			cut_savepoints(s, op->place);
			break;
		case OP_SAVEPOINT:
		case OP_ROLLBACK_TO:
			cut_savepoints(s, op->place);
			Assert(s->nsavepoints == op->place && s->nsavepoints < s->max_savepoints);
			s->savepoints[s->nsavepoints++] = op->savepoint;
			break;
		case OP_OTHER:
			break;
	}
}

/* One of the statements has failed: the remote skips those that follow it.  Raises nothing. */
void
ep_session_reject(EpLease *lease)
{
	if (lease->session)
		lease->session->nops = lease->session->next_op;
}

/* ------------------------------------------- the ends of (sub)transactions */

/* Take notes of what became of a subtransaction.  A savepoint may be on its way. */
static void
end_level(EpSession *s, SubTransactionId subid, EpLevelEnd end)
{
	for (int i = s->nsavepoints - 1; i >= 0 && s->savepoints[i].subid >= subid; i--)
	{
		/* an operation that failed in it has failed, whatever becomes of it */
		if (s->savepoints[i].subid == subid)
			s->savepoints[i].end = Max(s->savepoints[i].end, end);
	}
	for (int i = s->next_op; i < s->nops; i++)
	{
		if (s->ops[i].savepoint.subid == subid && s->ops[i].savepoint.end == EP_LEVEL_OPEN)
			s->ops[i].savepoint.end = end;
	}
}

static void
start_subtransaction(SubTransactionId mine)
{
	if (nlevels >= max_levels)
	{
		if (levels)
			levels = repalloc(levels, 2 * max_levels * sizeof(SubTransactionId));
		else
			levels = MemoryContextAlloc(TopTransactionContext, 16 * sizeof(SubTransactionId));
		max_levels = max_levels ? 2 * max_levels : 16;
	}
	levels[nlevels++] = mine;
}

static void
end_subtransaction(SubTransactionId mine, SubTransactionId parent, bool commit)
{
	dlist_mutable_iter it;

	if (nlevels > 0 && levels[nlevels - 1] == mine)
		nlevels--;
	dlist_foreach_modify(it, &sessions)
	{
		EpSession  *s = dlist_container(EpSession, node, it.cur);

		if (s->home != mine)
			end_level(s, mine, commit ? EP_LEVEL_COMMITTED : EP_LEVEL_ABORTED);
		else if (commit)
			s->home = parent;
		else
			leave_list(s);
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
				 void *arg pg_attribute_unused())
{
	if (dlist_is_empty(&sessions))
		return;
	switch (event)
	{
		case SUBXACT_EVENT_START_SUB:
			start_subtransaction(mine);
			break;
		case SUBXACT_EVENT_COMMIT_SUB:
			end_subtransaction(mine, parent, true);
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			end_subtransaction(mine, parent, false);
			break;
		default:
			break;
	}
}

static void
pre_commit(void)
{
	phase = COMMITTING;
	if (!dlist_is_empty(&sessions) && ep_session_commit_all(&sessions))
	{
		/* a cancel must not come between the commit of the remotes and the local one */
		HOLD_CANCEL_INTERRUPTS();
		cancel_held = true;
	}
	phase = COMMITTED;
}

/* What would have to be prepared on the remotes, and is not. */
static void
pre_prepare(void)
{
	dlist_iter	it;

	dlist_foreach(it, &sessions)
	{
		EpSession  *s = dlist_container(EpSession, node, it.cur);

		if (s->begun || (s->lease && (s->lease->in_use || s->lease->pending)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has used a session"),
					 errdetail("Session %lld has an open transaction on remote server \"%s\".",
							   (long long) s->number, s->ref->name)));
	}
}

/* The leases are given back by lease.c, after this. */
static void
end_transaction(bool commit)
{
	dlist_mutable_iter it;

	/* what raised the error that led to an abort has done so by itself */
	if (cancel_held && commit)
		RESUME_CANCEL_INTERRUPTS();
	cancel_held = false;

	dlist_foreach_modify(it, &sessions)
		leave_list(dlist_container(EpSession, node, it.cur));
	levels = NULL;
	nlevels = max_levels = 0;
	phase = RUNNING;
}

static void
xact_callback(XactEvent event, void *arg pg_attribute_unused())
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			pre_prepare();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			end_transaction(true);
			break;
		case XACT_EVENT_ABORT:
			end_transaction(false);
			break;
		default:
			break;
	}
}

/*
 * Register what makes sessions follow the (sub)transaction; called once, from
 * _PG_init, after ep_lease_install: callbacks run in reverse order, and at the
 * end of a transaction ours must come before the leases are given back.
 */
void
ep_session_install(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
