/*-------------------------------------------------------------------------
 *
 * async.c
 *		Statements that are sent, and whose results are taken later.
 *
 * A lease has at most one such statement (lease->pending).  Meanwhile the
 * lease is in an exchange, as the lease word says, but not in_use: no call is
 * under way on it.  Its answer stays where it is, the first READ_AHEAD bytes
 * in the wire's buffer and the rest in the socket, so that the remote waits
 * when the socket is full, and a result of any size takes constant memory here
 * and holds up no other lease.  Only the headers of what has come are looked
 * at (ep_wire_survey).  The messages themselves are read, and errors raised,
 * when the result is taken, for only then it is known what becomes of the rows.
 * Hence they come as text.
 *
 * The statement's memory lives below TopMemoryContext until its result is
 * taken, since a lease with hold outlives the transaction.  Whatever ends the
 * lease, or aborts the (sub)transaction that sent the statement, frees it
 * (ep_async_discard) and has the remote's work cancelled and drained as that of
 * any exchange that was cut off: for them nothing is special about it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "client/async.h"
#include "client/fetch.h"
#include "client/notify.h"
#include "client/receive.h"
#include "client/socket_wait.h"
#include "client/turn.h"
#include "compat.h"

/* How much of an answer is read before anybody wants it. */
#define READ_AHEAD	(64 * 1024)

/* Longest sleep in one piece, in milliseconds. */
#define LONGEST_WAIT_MS	3600000

typedef struct EpAsync
{
	MemoryContext context;		/* owns this and all that the exchange needs */
	EpExchange *exchange;
} EpAsync;

/* Of the last lease that wait_any returned: others come first next time. */
static int64 last_returned = 0;

/* ---------------------------------------------------------------- sending */

/* A copy that does not refer to the arguments of a call. */
static EpParams *
copy_params(const EpParams *from)
{
	EpParams   *to = palloc0(sizeof(EpParams));

	to->n = from->n;
	if (from->n == 0)
		return to;
	to->types = palloc(from->n * sizeof(Oid));
	to->formats = palloc(from->n * sizeof(int16));
	to->values = palloc(from->n * sizeof(char *));
	to->lengths = palloc(from->n * sizeof(int));
	memcpy(to->types, from->types, from->n * sizeof(Oid));
	memcpy(to->formats, from->formats, from->n * sizeof(int16));
	memcpy(to->lengths, from->lengths, from->n * sizeof(int));
	for (int i = 0; i < from->n; i++)
	{
		to->values[i] = NULL;
		if (from->values[i])
			to->values[i] = memcpy(palloc(Max(from->lengths[i], 1)), from->values[i], from->lengths[i]);
	}
	return to;
}

/*
 * Would taking the result go on without waiting?  True when all of it has
 * come, or as much as is read ahead, or it is clear that an error is due.
 * Raises nothing, and waits for nothing.
 */
static bool
is_ready(EpLease *lease)
{
	EpExchange *exchange = lease->pending->exchange;
	const EpTurn *turn = ep_exchange_turn(exchange);
	EpWire	   *wire = &lease->desc->wire;
	EpWireSurvey survey;

	if (!ep_wire_gather(wire, READ_AHEAD))
		return true;
	ep_wire_survey(wire, &survey);
	if (survey.readies >= lease->syncs)
	{
		ep_exchange_note_end(exchange);
		return true;
	}
	return survey.copy || survey.malformed || wire->in_end - wire->in_start >= READ_AHEAD ||
		turn->conn->terminated || turn->conn->struck != EP_STRUCK_NOT ||
		(turn->deadline_us != 0 && ep_now_us() >= turn->deadline_us);
}

/* Milliseconds until query_timeout, or -1. */
static long
time_left(const EpLease *lease)
{
	uint64		deadline = ep_exchange_turn(lease->pending->exchange)->deadline_us;
	uint64		now;

	if (deadline == 0)
		return -1;
	now = ep_now_us();
	return deadline <= now ? 0 : (long) Min((deadline - now + 999) / 1000, (uint64) LONGEST_WAIT_MS);
}

/* Nobody would send the rest of a long statement while this process does something else. */
static void
send_rest(EpLease *lease)
{
	while (!is_ready(lease) && ep_wire_unsent(&lease->desc->wire))
	{
		CHECK_FOR_INTERRUPTS();
		(void) ep_descriptor_wait(lease->desc, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE, time_left(lease));
	}
}

/*
 * Send a statement; its result is taken by ep_async_get.  sql and params are
 * copied.  Waits until the socket has taken all of it, not for its answer; for
 * the answer to settings that must be sent before it; and as ep_lease_enter for
 * the end of one that was given up.  No lock held.  Raises what ep_exchange_start
 * and ep_exchange_await_sending raise, 55006 if there is one already.
 */
void
ep_async_send(EpLease *lease, const char *sql, const EpParams *params)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "enhanced_pool sent statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EpAsync    *pending = palloc(sizeof(EpAsync));

	pending->context = context;
	pending->exchange = ep_exchange_start(lease, pstrdup(sql), copy_params(params), ep_receive_nothing());
	MemoryContextSwitchTo(caller);
	ep_exchange_await_sending(pending->exchange);
	MemoryContextSetParent(context, TopMemoryContext);
	lease->pending = pending;
	lease->in_use = false;
	send_rest(lease);
}

/* The statement is of no interest any more.  For abort and exit paths: raises nothing. */
void
ep_async_discard(EpLease *lease)
{
	EpAsync    *pending = lease->pending;

	if (pending == NULL)
		return;
	lease->pending = NULL;
	MemoryContextDelete(pending->context);
}

/* ------------------------------------------------------- while it is pending */

/*
 * Is a statement pending whose result would have to be waited for?  Raises
 * 55006 if an outer call uses the lease.
 */
bool
ep_async_is_busy(EpLease *lease)
{
	ep_lease_check_not_in_use(lease);
	return lease->pending && !is_ready(lease);
}

/*
 * Ask the worker to cancel what is pending, or what an outer call is running.
 * Returns false if nothing is.  Raises nothing, and does not wait.
 */
bool
ep_async_cancel(EpLease *lease)
{
	if (lease->pending == NULL && !lease->in_use)
		return false;
	if (!lease->cancel_sent)
		ep_lease_request_cancel(lease);
	return true;
}

/* ------------------------------------------------------------- the result */

/* From here on it is an exchange like any other, whose end is awaited. */
static EpAsync *
take_pending(EpLease *lease)
{
	EpAsync    *pending = lease->pending;

	ep_lease_check_not_in_use(lease);
	if (pending == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing was sent on lease %lld whose result could be taken", (long long) lease->number),
				 errhint("Send a statement with enhanced_pool.send; its result can be taken once.")));

	/* what came within query_timeout is not too late because it is read later */
	(void) is_ready(lease);
	MemoryContextSetParent(pending->context, CurrentMemoryContext);
	lease->pending = NULL;
	lease->in_use = true;
	lease->use_subid = GetCurrentSubTransactionId();
	return pending;
}

/*
 * Wait for the end of the statement that was sent, and hand its rows to the
 * receiver.  Whatever is raised, nothing is pending afterwards: 55000 if
 * nothing was sent, 55006 if an outer call uses the lease, and else what
 * ep_exchange_execute raises.
 */
void
ep_async_get(EpLease *lease, EpReceiver *receiver, EpOutcome *outcome)
{
	EpAsync    *pending = take_pending(lease);

	ep_exchange_attach(pending->exchange, receiver);
	ep_exchange_await(pending->exchange);
	ep_exchange_finish(pending->exchange, outcome);
	MemoryContextDelete(pending->context);
}

/*
 * If a statement is pending wait for its end, drop its rows, and raise its
 * error: whoever ends a transaction must know how it went.
 */
void
ep_async_settle(EpLease *lease)
{
	EpOutcome	outcome;

	if (lease->pending)
		ep_async_get(lease, ep_receive_nothing(), &outcome);
}

/* ------------------------------------------------------ waiting for several */

/* One call of ep_async_wait_any. */
typedef struct Wait
{
	EpLease   **leases;			/* each once, only such as something can come from */
	int			n;
	uint64		deadline_us;	/* 0: none */
	WaitEventSet *set;
	int			first;			/* position of the first lease in it, the others follow */
	uint32	   *events;			/* by lease */
} Wait;

static bool
something_comes(const EpLease *lease)
{
	return lease->pending || lease->listening || lease->notifications;
}

static bool
is_among(EpLease *const *leases, int n, const EpLease *lease)
{
	for (int i = 0; i < n; i++)
	{
		if (leases[i] == lease)
			return true;
	}
	return false;
}

static void
choose_leases(Wait *wait, EpLease **leases, int n)
{
	wait->leases = palloc(Max(n, 1) * sizeof(EpLease *));
	wait->n = 0;
	for (int i = 0; i < n; i++)
	{
		ep_lease_check_not_in_use(leases[i]);
		if (something_comes(leases[i]) && !is_among(wait->leases, wait->n, leases[i]))
			wait->leases[wait->n++] = leases[i];
	}
	if (wait->n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing was sent on any of the leases, and none listens"),
				 errhint("Send a statement with enhanced_pool.send, or run LISTEN on a lease.")));
	/* what is left of a statement that was given up is no notification */
	for (int i = 0; i < wait->n; i++)
	{
		if (wait->leases[i]->pending == NULL)
			ep_notify_settle(wait->leases[i]);
	}
}

static bool
has_something(EpLease *lease)
{
	if (lease->pending)
		return lease->notifications != NULL || is_ready(lease);
	return ep_notify_is_ready(lease);
}

/* The first that has something, counted from the one after the last that was returned; or NULL. */
static EpLease *
first_ready(const Wait *wait)
{
	int			start = 0;

	for (int i = 0; i < wait->n; i++)
	{
		if (wait->leases[i]->number == last_returned)
			start = i + 1;
	}
	for (int i = 0; i < wait->n; i++)
	{
		EpLease    *lease = wait->leases[(start + i) % wait->n];

		if (has_something(lease))
		{
			last_returned = lease->number;
			return lease;
		}
	}
	return NULL;
}

static uint32
wanted_events(const EpLease *lease)
{
	return WL_SOCKET_READABLE | (ep_wire_unsent(&lease->desc->wire) ? WL_SOCKET_WRITEABLE : 0);
}

static void
make_set(Wait *wait)
{
	wait->events = palloc(wait->n * sizeof(uint32));
	wait->set = ep_wait_set_create(wait->n, &wait->first);
	for (int i = 0; i < wait->n; i++)
	{
		wait->events[i] = wanted_events(wait->leases[i]);
		(void) AddWaitEventToSet(wait->set, wait->events[i], wait->leases[i]->desc->fd, NULL, NULL);
	}
}

static void
update_set(Wait *wait)
{
	for (int i = 0; i < wait->n; i++)
	{
		uint32		events = wanted_events(wait->leases[i]);

		if (events != wait->events[i])
			ModifyWaitEvent(wait->set, wait->first + i, events, NULL);
		wait->events[i] = events;
	}
}

/* Milliseconds until the deadline or the first query_timeout. */
static long
longest_sleep(const Wait *wait, uint64 now)
{
	long		ms = LONGEST_WAIT_MS;

	if (wait->deadline_us != 0)
		ms = (long) Min((wait->deadline_us - now + 999) / 1000, (uint64) ms);
	for (int i = 0; i < wait->n; i++)
	{
		long		left = wait->leases[i]->pending ? time_left(wait->leases[i]) : -1;

		if (left >= 0)
			ms = Min(ms, left);
	}
	return ms;
}

static EpLease *
wait_in_set(Wait *wait)
{
	static uint32 wait_event = 0;
	WaitEvent	happened;
	EpLease    *ready;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolRemote");
	while ((ready = first_ready(wait)) == NULL)
	{
		uint64		now = ep_now_us();

		if (wait->deadline_us != 0 && now >= wait->deadline_us)
			break;
		update_set(wait);
		if (WaitEventSetWait(wait->set, longest_sleep(wait, now), &happened, 1, wait_event) > 0 &&
			(happened.events & WL_LATCH_SET))
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return ready;
}

/*
 * Wait until a lease has something: the result of what was sent on it, which
 * may be an error, or a notification.  timeout_s: 0 does not wait, negative has
 * no limit.  Returns NULL when the time is over.  Where several have something
 * each has its turn.  Raises 55000 if nothing was sent on any and none listens,
 * 55006 if an outer call uses one, and what interrupts raise.
 */
EpLease *
ep_async_wait_any(EpLease **leases, int n, double timeout_s)
{
	Wait		wait = {0};
	EpLease    *volatile ready;

	choose_leases(&wait, leases, n);
	if (timeout_s >= 0)
		wait.deadline_us = ep_now_us() + (uint64) (timeout_s * 1e6);
	ready = first_ready(&wait);
	if (ready || timeout_s == 0)
		return ready;
	PG_TRY();
	{
		make_set(&wait);
		ready = wait_in_set(&wait);
	}
	PG_FINALLY();
	{
		if (wait.set)
			FreeWaitEventSet(wait.set);
	}
	PG_END_TRY();
	return ready;
}
