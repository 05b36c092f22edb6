/*-------------------------------------------------------------------------
 *
 * commit.c
 *		Committing the sessions of a transaction just before its local commit.
 *
 * COMMIT is sent to all remotes before the answer of any is awaited, so all of
 * them commit at the same time; that the answers are then read one remote
 * after the other changes nothing but the order in which we learn of them.
 *
 * Without two-phase commit there is a time in which not everything can be
 * undone any more: from the first COMMIT that is sent to the local commit.  To
 * make it short, everything that can fail is done before it: broken connections
 * are found, what is pending is rolled back, and if there are several remotes
 * that may write, their deferred constraints are checked, all in one round trip;
 * and the local transaction has been found serializable.
 *
 * What an error leaves behind is dealt with by the abort that it causes, as for
 * any lease.  Errors that are raised while remotes may be committing are kept
 * until it is known what became of all of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/predicate.h"

#include "client/async.h"
#include "client/session.h"
#include "client/socket_wait.h"

/* How long the answers to COMMIT are awaited, all together. */
#define COMMIT_TIMEOUT_S	30

/* What COMMIT came to. */
typedef enum Fate
{
	FATE_COMMITTED,
	FATE_FAILED,				/* the remote has said that it did not */
	FATE_NOT_SENT,
	FATE_UNKNOWN
} Fate;

typedef struct Remote
{
	EpSession  *session;
	EpLease    *lease;
	EpTurn		turn;
	EpOutcome	outcome;
	bool		done;			/* nothing more is to be read */
	ErrorData  *error;			/* for this reason, if not for ReadyForQuery */
	bool		late;			/* or because time was over */
	Fate		fate;
} Remote;

/* --------------------------------------------------------- before any COMMIT */

static void
raise_lost_before(const EpSession *s, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to remote server \"%s\" was lost before its transaction was committed", s->ref->name),
			 errdetail("%s", why),
			 errhint("Nothing was committed. The whole transaction can be tried again.")));
}

/*
 * May the local transaction be committed, for all that is known of a session?
 * Raises if not.  Returns whether there is a remote transaction to commit.
 */
static bool
check_session(const EpSession *s)
{
	if (s->lease)
	{
		ep_lease_check_struck(s->lease);
		ep_async_settle(s->lease);
	}
	if (s->lease && s->lease->in_use)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("session %lld is in use", (long long) s->number),
				 errdetail("A statement that was sent has not ended.")));
	if (!s->begun)
		return false;
	if (s->lease == NULL)
		raise_lost_before(s, "It was given back.");
	ep_check_terminated(s->lease);
	if (s->lease->broken)
		raise_lost_before(s, "It was lost when it was last used.");
	return true;
}

/* Was it ended from this side, which is what is to be said of it? */
static bool
ended_here(const Remote *r)
{
	return r->turn.conn->terminated || r->turn.conn->struck != EP_STRUCK_NOT;
}

/* Take what was raised out of the error system; interrupts are held off as before. */
static ErrorData *
take_error(MemoryContext context, uint32 holdoff)
{
	ErrorData  *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	QueryCancelHoldoffCount = holdoff;
	return error;
}

/* Begin the turn that will be COMMIT.  Waits for the end of a statement that was given up. */
static void
begin(Remote *r)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		ep_turn_begin(&r->turn, r->lease, "COMMIT", false);
		ep_turn_is_ours(&r->turn);
		ep_turn_put_settings(&r->turn, EP_SETTINGS_NOT);
	}
	PG_CATCH();
	{
		/* what is not about the connection itself goes on its way */
		if (!r->lease->broken || ended_here(r))
			PG_RE_THROW();
		error = take_error(context, QueryCancelHoldoffCount);
	}
	PG_END_TRY();
	if (error)
		raise_lost_before(r->session, error->message);

	/* with a savepoint to go back to the remote will be well again */
	if (r->turn.conn->tx_status == 'E' && r->turn.nsteps == 0)
		ereport(ERROR,
				(errcode(ERRCODE_IN_FAILED_SQL_TRANSACTION),
				 errmsg("remote transaction of session %lld on server \"%s\" is aborted",
						(long long) r->session->number, r->session->ref->name),
				 errdetail("An error in it was caught without a subtransaction.")));
}

/* ----------------------------------------------------------------- answers */

static void
take(Remote *r, const EpMessage *msg)
{
	switch (msg->type)
	{
		case '1':
		case '2':
		case 'E':
			break;
		case 'C':
			ep_turn_complete(&r->turn, msg, &r->outcome);
			break;
		case 'Z':
			ep_turn_ready(&r->turn, msg);
			r->done = true;
			break;
		default:
			ep_turn_unexpected(&r->turn, msg);
	}
}

/* Take what has come, and send what is still to be sent.  Raises nothing. */
static void
step(Remote *r)
{
	MemoryContext context = CurrentMemoryContext;
	uint32		holdoff = QueryCancelHoldoffCount;
	EpMessage	msg;

	PG_TRY();
	{
		while (!r->done && ep_turn_poll(&r->turn, &msg))
			take(r, &msg);
	}
	PG_CATCH();
	{
		r->error = take_error(context, holdoff);
		r->done = true;
	}
	PG_END_TRY();
}

/*
 * Send what was put to all remotes, and see them through to ReadyForQuery, an
 * error, or deadline_us (0: none).  Raises what interrupts raise.
 */
static void
see_through(Remote *remotes, int n, uint64 deadline_us)
{
	for (int i = 0; i < n; i++)
	{
		remotes[i].done = false;
		ep_wire_put_simple(remotes[i].turn.wire, 'S');
		ep_turn_send(&remotes[i].turn);
	}
	for (int i = 0; i < n; i++)
	{
		Remote	   *r = &remotes[i];

		for (step(r); !r->done; step(r))
		{
			uint64		until = deadline_us ? deadline_us : r->turn.deadline_us;
			uint64		now = ep_now_us();

			CHECK_FOR_INTERRUPTS();
			if (deadline_us && now >= deadline_us)
				r->done = r->late = true;
			else
				(void) ep_descriptor_wait(r->lease->desc, r->turn.events,
										  until == 0 ? -1 : (long) ((until - Min(now, until)) / 1000 + 1));
		}
	}
}

/* ------------------------------------------------------------- the first round */

/* How many of them can have changed something? */
static int
writers(const Remote *remotes, int n)
{
	int			result = 0;

	for (int i = 0; i < n; i++)
		result += remotes[i].session->read_only_at != 0;
	return result;
}

/*
 * Make what would fail at COMMIT fail now, while all can still be rolled back.
 * Raises what a remote reports, and 08006.
 */
static void
check_remotes(Remote *remotes, int n)
{
	for (int i = 0; i < n; i++)
		ep_turn_put_prelude(&remotes[i].turn, "SET CONSTRAINTS ALL IMMEDIATE", NULL);
	see_through(remotes, n, 0);
	for (int i = 0; i < n; i++)
	{
		Remote	   *r = &remotes[i];

		if (r->error && r->lease->broken && !ended_here(r))
			raise_lost_before(r->session, r->error->message);
		if (r->error)
			ReThrowError(r->error);
		if (r->turn.failed)
			ep_turn_end(&r->turn);
	}
}

/* ------------------------------------------------------------ the second round */

static void
put_commit(Remote *r)
{
	r->turn.sql = "COMMIT";
	r->turn.deadline_us = 0;	/* query_timeout could do no more than make the outcome unknown */
	r->outcome.tag[0] = '\0';
	ep_turn_put_statement(&r->turn, "COMMIT");
}

static Fate
fate_of(const Remote *r)
{
	/* what comes after that cannot take it back */
	if (strcmp(r->outcome.tag, "COMMIT") == 0)
		return FATE_COMMITTED;
	if (r->turn.failed && !r->turn.fatal)
		return FATE_FAILED;
	if (r->error == NULL && !r->late && !r->turn.fatal)
		return FATE_FAILED;		/* the answer was ROLLBACK */
	return ep_wire_unsent(r->turn.wire) ? FATE_NOT_SENT : FATE_UNKNOWN;
}

/* What is known of a remote that has not said that it committed. */
static const char *
reason(const Remote *r)
{
	if (r->turn.failed && r->turn.error.message)
		return ep_clean_text(r->turn.error.message);
	if (r->error && r->error->message)
		return r->error->message;
	if (r->late)
		return psprintf("there was no answer within %d s", COMMIT_TIMEOUT_S);
	return r->fate == FATE_FAILED ? "it was rolled back instead" : "the connection was lost";
}

/* A remote has not committed, and no other one has either: its error is that of the whole transaction. */
static void
raise_failed(Remote *r)
{
	if (r->fate == FATE_NOT_SENT)
		raise_lost_before(r->session, reason(r));
	if (r->turn.failed)
		ep_raise_remote(r->lease, &r->turn.error, r->turn.sql);
	ereport(ERROR,
			(errcode(ERRCODE_TRANSACTION_ROLLBACK),
			 errmsg("transaction on remote server \"%s\" was rolled back instead of committed", r->session->ref->name)));
}

/* Leave the exchange; a connection that nobody can go on with is ended when the lease is given back. */
static void
leave(Remote *r)
{
	if (r->error || r->late || r->turn.fatal)
	{
		ep_lease_mark_broken(r->lease);
		if (r->fate == FATE_COMMITTED || r->fate == FATE_UNKNOWN)
			ep_turn_lost_at_commit(&r->turn);
	}
	ep_turn_close(&r->turn);
	r->session->begun = false;
	r->session->nsavepoints = 0;
}

/* The remotes that have committed, as a sentence with a blank in front; or nothing. */
static const char *
committed_ones(const Remote *remotes, int n)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < n; i++)
	{
		if (remotes[i].fate == FATE_COMMITTED)
			appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "", remotes[i].session->ref->name);
	}
	return names.len > 0 ? psprintf(" It was committed on %s.", names.data) : "";
}

/*
 * Raise what makes the local transaction fail.  When part of it was committed,
 * or may have been, that is 08007 whatever else has happened: any other code
 * may say to somebody that he can simply try again.
 */
static void
raise_worst(Remote *remotes, int n)
{
	Remote	   *worst = NULL;
	bool		partly = false;

	for (int i = 0; i < n; i++)
	{
		Remote	   *r = &remotes[i];

		partly |= r->fate == FATE_COMMITTED;
		if (r->fate == FATE_UNKNOWN || (worst == NULL && r->fate != FATE_COMMITTED))
			worst = r;
	}
	Assert(worst != NULL);		/* the caller has seen one that is not committed */
	if (worst->fate == FATE_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("outcome of the transaction on remote server \"%s\" is unknown", worst->session->ref->name),
				 errdetail("COMMIT was sent, but not answered: %s.%s", reason(worst), committed_ones(remotes, n)),
				 errhint("Look there whether it was committed. The local transaction is rolled back.")));
	if (partly)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("transaction was committed on some remote servers, but not on \"%s\"", worst->session->ref->name),
				 errdetail("COMMIT failed there: %s.%s", reason(worst), committed_ones(remotes, n)),
				 errhint("The local transaction is rolled back. What was committed must be undone by hand.")));
	raise_failed(worst);
}

static void
commit(Remote *remotes, int n)
{
	bool		all = true;

	/* a time-out that strikes has done so by now */
	for (int i = 0; i < n; i++)
		ep_lease_seal(remotes[i].lease);
	for (int i = 0; i < n; i++)
		put_commit(&remotes[i]);

	/* from here on there is no telling what a cancel would mean; who must end the process may */
	HOLD_CANCEL_INTERRUPTS();
	see_through(remotes, n, ep_now_us() + COMMIT_TIMEOUT_S * UINT64CONST(1000000));
	for (int i = 0; i < n; i++)
	{
		remotes[i].fate = fate_of(&remotes[i]);
		all = all && remotes[i].fate == FATE_COMMITTED;
		leave(&remotes[i]);
	}
	if (!all)
		raise_worst(remotes, n);
	RESUME_CANCEL_INTERRUPTS();
}

/*
 * Commit the remote transactions of all sessions in the list.  Called at
 * XACT_EVENT_PRE_COMMIT.  Raises 08006 if one is lost, before anything is
 * committed; what a remote reports; 08007 if one does not say what became of
 * it; 40001 if the local transaction is not serializable.  Returns whether
 * there was something to commit.
 */
bool
ep_session_commit_all(dlist_head *sessions)
{
	Remote	   *remotes = NULL;
	int			n = 0;
	dlist_iter	it;

	dlist_foreach(it, sessions)
	{
		EpSession  *s = dlist_container(EpSession, node, it.cur);

		if (check_session(s))
			n++;
	}
	if (n == 0)
		return false;

	remotes = palloc0(n * sizeof(Remote));
	n = 0;
	dlist_foreach(it, sessions)
	{
		EpSession  *s = dlist_container(EpSession, node, it.cur);

		if (!s->begun)
			continue;
		remotes[n].session = s;
		remotes[n].lease = s->lease;
		remotes[n].turn.conn = &ep_conns[s->lease->slot];
		begin(&remotes[n++]);
	}
	if (n > 1 && writers(remotes, n) > 1)
		check_remotes(remotes, n);

	/*
	 * The server looks only after this callback whether a serializable
	 * transaction may commit.  When it has been found here that it may,
	 * others that are in conflict with it give way.
	 */
	if (IsolationIsSerializable())
		PreCommit_CheckForSerializationFailure();
	commit(remotes, n);
	pfree(remotes);
	return true;
}
