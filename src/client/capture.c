/*-------------------------------------------------------------------------
 *
 * capture.c
 *		Catching the error of one remote operation, so that others go on.
 *
 * There is no subtransaction around what is captured, for it would have to be
 * one for each time that a socket is ready.  So nothing may be captured that
 * holds what only the end of a (sub)transaction gives back.  What is captured is
 *
 *		looking for a connection (ep_acquire_step) and taking a statement
 *		through its steps (ep_exchange_start, _step, _finish): they read and
 *		write sockets and shared memory.  No error is raised under a pool's lock
 *		or a spinlock.  They look nothing up in catalogs: what they need was
 *		looked up before, and what was found outdated is looked up again
 *		outside (ep_acquire_renew).  A lease taken meanwhile is in this
 *		backend's list of leases, and the caller gives it back.
 *
 *		receivers that make jsonb of rows or keep them as they are
 *		(receive_json.c, spool.c): they call input functions of numeric and
 *		jsonb, which read nothing but their argument, and tuplestores, whose
 *		files belong to the transaction's resource owner, error or not.
 *
 * Nothing of it runs code of users: that is for receivers of other kinds, which
 * are not captured.  Memory is in contexts that the caller deletes.
 *
 * Interrupts are held meanwhile: what cancels or ends this backend is raised by
 * the caller's loop, outside, and so never taken for an error of one operation.
 * So of a long answer no more than a share is taken at a time (ep_turn_share).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "client/capture.h"
#include "client/exchange.h"

/*
 * Run action(arg).  Returns the error that it raises, in the current memory
 * context, or NULL.  See above for what action may do.
 */
EpCaught *
ep_capture(EpCapturedAction action, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback *callbacks = error_context_stack;
	uint32		holdoff = InterruptHoldoffCount;
	EpCaught   *volatile caught = NULL;

	(void) ep_errors_captured(true);
	PG_TRY();
	{
		/* callers add their lines when it is raised, if it is */
		error_context_stack = NULL;
		HOLD_INTERRUPTS();
		action(arg);
	}
	PG_CATCH();
	{
		bool		remote = ep_errors_captured(false);

		MemoryContextSwitchTo(context);
		caught = palloc(sizeof(EpCaught));
		caught->error = CopyErrorData();
		caught->remote = remote;
		FlushErrorState();
	}
	PG_END_TRY();
	(void) ep_errors_captured(false);
	error_context_stack = callbacks;
	InterruptHoldoffCount = holdoff;
	MemoryContextSwitchTo(context);
	return caught;
}

/*
 * Raise what was captured, with a line more in its DETAIL.  pool is whose error
 * it is, for last_remote_error.
 */
void
ep_raise_caught(const EpCaught *caught, const char *pool, const char *detail)
{
	ErrorData	error = *caught->error;

	if (detail)
		error.detail = error.detail ? psprintf("%s\n%s", error.detail, detail) : pstrdup(detail);
	if (caught->remote)
		ep_remember_error(pool, unpack_sql_state(error.sqlerrcode), error.message, caught->error->detail,
						  error.hint, error.constraint_name);
	ThrowErrorData(&error);
	pg_unreachable();
}
