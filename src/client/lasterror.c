/*-------------------------------------------------------------------------
 *
 * lasterror.c
 *		The error that aborted this backend's last aborted (sub)transaction, if
 *		a remote raised it.
 *
 * When a remote's error is raised it is not known yet what it will abort, so
 * it is pending until the next abort.  It may then go on its way: an
 * exception handler that does not want it, or that raises it again, lets it
 * abort the next outer (sub)transaction too, and it is still the same error.
 * An error of the handler's own is not.  To tell one from the other we stand
 * at the outermost end of error_context_stack: every error that is raised
 * passes there, and none that is merely thrown on.  Transactions that end by
 * ROLLBACK are recognized by the client's next statement having begun.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "client/exchange.h"

static EpRemoteError *pending = NULL;	/* raised, has aborted nothing yet */
static EpRemoteError *current = NULL;
static TimestampTz current_statement;	/* statement of the client's in which it last aborted something */
static bool raising = false;	/* the error that is being raised is the pending one */
static bool superseded = false; /* another error was raised since current aborted something */
static bool capturing = false;	/* errors that are raised now abort nothing (capture.c) */
static bool captured_remote = false;	/* the one that was raised since then was a remote's */

static void
drop(EpRemoteError **error)
{
	if (*error)
		pfree(*error);
	*error = NULL;
}

/* ------------------------------------------------------ watching other errors */

/*
 * Called for everything that is raised, notices included; these can be told
 * by their code alone here.
 */
static void
watch(void *arg pg_attribute_unused())
{
	int			class;

	if (capturing)
		return;
	if (raising)
	{
		raising = false;
		return;
	}
	if (pending == NULL && current == NULL)
		return;
	class = ERRCODE_TO_CATEGORY(geterrcode());
	if (class == ERRCODE_SUCCESSFUL_COMPLETION || class == ERRCODE_WARNING || class == ERRCODE_NO_DATA)
		return;
	drop(&pending);
	superseded = true;
}

static ErrorContextCallback watcher = {NULL, watch, NULL};

/* Stand at the outer end of the stack, where every exception handler on it will find us. */
static void
watch_errors(void)
{
	ErrorContextCallback **end = &error_context_stack;

	while (*end != NULL && *end != &watcher)
		end = &(*end)->previous;
	*end = &watcher;
}

/* -------------------------------------------------------- what gets aborted */

/* pfree'd memory aside this touches only our variables: fit for abort callbacks. */
static void
note_abort(void)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (pending)
	{
		drop(&current);
		current = pending;
		pending = NULL;
	}
	else if (current && (superseded || now != current_statement))
		drop(&current);
	superseded = false;
	current_statement = now;
}

static void
xact_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		note_abort();
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		drop(&pending);
}

static void
subxact_end(SubXactEvent event, SubTransactionId mine pg_attribute_unused(),
			SubTransactionId parent pg_attribute_unused(), void *arg pg_attribute_unused())
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		note_abort();
}

/* ------------------------------------------------------------- remembering */

/* Copies a text to *at, which is moved on. */
static char *
put(char **at, const char *text)
{
	char	   *copy = *at;
	Size		size;

	if (text == NULL)
		return NULL;
	size = strlen(text) + 1;
	memcpy(copy, text, size);
	*at += size;
	return copy;
}

static Size
size_of(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/*
 * A remote's error is about to be raised by the next ereport.  detail, hint
 * and constraint_name may be NULL.  Without memory it is not remembered.
 */
void
ep_remember_error(const char *pool, const char *sqlstate, const char *message, const char *detail,
				  const char *hint, const char *constraint_name)
{
	static bool installed = false;
	EpRemoteError *error;
	char	   *at;

	if (capturing)
	{
		captured_remote = true;
		return;
	}
	if (!installed)
	{
		RegisterXactCallback(xact_end, NULL);
		RegisterSubXactCallback(subxact_end, NULL);
		installed = true;
	}
	drop(&pending);
	error = MemoryContextAllocExtended(TopMemoryContext,
									   sizeof(EpRemoteError) + size_of(sqlstate) + size_of(message) +
									   size_of(detail) + size_of(hint) + size_of(constraint_name),
									   MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
	if (error == NULL)
		return;
	at = (char *) (error + 1);
	error->valid = true;
	strlcpy(error->pool, pool, sizeof(error->pool));
	error->sqlstate = put(&at, sqlstate);
	error->message = put(&at, message);
	error->detail = put(&at, detail);
	error->hint = put(&at, hint);
	error->constraint_name = put(&at, constraint_name);
	pending = error;
	raising = true;
	watch_errors();
}

/*
 * From now on (on), or no longer, errors are caught where they abort nothing:
 * they are none of last_remote_error's.  Returns whether a remote's error was
 * raised since the last call.
 */
bool
ep_errors_captured(bool on)
{
	bool		remote = captured_remote;

	capturing = on;
	captured_remote = false;
	return remote;
}

/*
 * The error that aborted the last aborted (sub)transaction; valid is false if
 * no remote raised it.  Good until the next abort.
 */
const EpRemoteError *
ep_last_remote_error(void)
{
	static const EpRemoteError none = {0};

	return current ? current : &none;
}
