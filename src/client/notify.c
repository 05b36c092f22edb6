/*-------------------------------------------------------------------------
 *
 * notify.c
 *		Notifications that come over a leased connection.
 *
 * A remote session that listens sends them between its transactions: in the
 * answers to statements, where turn.c finds them, or while the lease rests,
 * where nobody looks until somebody asks.  What turn.c finds is kept in a list
 * on the lease, which is bounded: whoever listens and never asks loses the
 * oldest.  What comes while the lease rests stays in the socket; a remote that
 * finds it full keeps them in its own queue.
 *
 * A resting lease is read without entering an exchange: the worker reads
 * nothing of a leased connection, and what it sees (closure) shows here as the
 * end of the stream.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "client/exchange.h"
#include "client/notify.h"
#include "client/socket_wait.h"
#include "client/turn.h"
#include "compat.h"

/* Most that are kept on one lease, and the most memory for them. */
#define MAX_KEPT		10000
#define MAX_KEPT_BYTES	((Size) 8 * 1024 * 1024)

/* How much of the socket is read at once. */
#define READ_AT_ONCE	(64 * 1024)

/* Longest sleep in one piece, in milliseconds. */
#define LONGEST_WAIT_MS	3600000

typedef struct EpNotifications
{
	MemoryContext context;		/* owns this and the list */
	dlist_head	list;			/* oldest first; never empty between calls */
	int			n;
	Size		bytes;
	bool		warned;			/* that some were dropped */
} EpNotifications;

/* ------------------------------------------------------------------ keeping */

static Size
size_of(const EpNotification *n)
{
	return sizeof(EpNotification) + strlen(n->channel) + strlen(n->payload) + 2;
}

static EpNotifications *
list_of(EpLease *lease)
{
	if (lease->notifications == NULL)
	{
		MemoryContext context = AllocSetContextCreate(TopMemoryContext, "enhanced_pool notifications",
													  ALLOCSET_DEFAULT_SIZES);
		EpNotifications *kept = MemoryContextAllocZero(context, sizeof(EpNotifications));

		kept->context = context;
		dlist_init(&kept->list);
		lease->notifications = kept;
	}
	return lease->notifications;
}

/* Make room for one of that size. */
static void
drop_oldest(EpLease *lease, EpNotifications *kept, Size size)
{
	while (kept->n > 0 && (kept->n >= MAX_KEPT || kept->bytes + size > MAX_KEPT_BYTES))
	{
		EpNotification *oldest = dlist_container(EpNotification, node, dlist_pop_head_node(&kept->list));

		kept->n--;
		kept->bytes -= size_of(oldest);
		pfree(oldest);
		if (kept->warned)
			continue;
		kept->warned = true;
		ereport(WARNING,
				(errmsg("notifications of lease %lld were dropped", (long long) lease->number),
				 errdetail("At most %d, and %d MB, are kept until they are asked for.", MAX_KEPT,
						   (int) (MAX_KEPT_BYTES / (1024 * 1024))),
				 errhint("Call enhanced_pool.get_notify more often, or UNLISTEN.")));
	}
}

/*
 * Keep the notification of that message until it is asked for.  Raises 08P01
 * if it makes no sense.  For a lease of one statement, which nobody could ask,
 * it is dropped.
 */
void
ep_notify_keep(EpLease *lease, const EpMessage *msg)
{
	EpNotification found = {0};
	EpNotification *copy;
	EpNotifications *kept;
	EpReader	r;
	Size		size;

	ep_reader_init(&r, msg);
	found.pid = ep_read_int32(&r);
	found.channel = ep_read_string(&r);
	found.payload = ep_read_string(&r);
	if (r.bad)
		ep_raise_malformed(lease, "malformed NotificationResponse");
	if (lease->kind == EP_KIND_STATEMENT)
		return;
	lease->listening = true;
	found.channel = ep_clean_text(found.channel);
	found.payload = ep_clean_text(found.payload);
	size = size_of(&found);

	kept = list_of(lease);
	drop_oldest(lease, kept, size);
	copy = MemoryContextAlloc(kept->context, size);
	copy->pid = found.pid;
	copy->channel = strcpy((char *) (copy + 1), found.channel);
	copy->payload = strcpy((char *) (copy + 1) + strlen(found.channel) + 1, found.payload);
	dlist_push_tail(&kept->list, &copy->node);
	kept->n++;
	kept->bytes += size;
}

/*
 * A command has ended on the lease: does it listen from now on?  UNLISTEN may
 * leave other channels, and may be rolled back, so it changes nothing.
 */
void
ep_notify_note_command(EpLease *lease, const char *tag)
{
	if (strcmp(tag, "LISTEN") == 0)
		lease->listening = true;
	else if (strcmp(tag, "DISCARD ALL") == 0)
		lease->listening = false;
}

/* Forget what was kept.  For abort and exit paths: raises nothing. */
void
ep_notify_discard(EpLease *lease)
{
	EpNotifications *kept = lease->notifications;

	if (kept == NULL)
		return;
	lease->notifications = NULL;
	MemoryContextDelete(kept->context);
}

/* ------------------------------------------------------------------ reading */

/*
 * Bring a lease on which nothing is pending to rest: read what is left of a
 * statement that was given up, which may wait.  Raises what ep_lease_enter
 * raises.
 */
void
ep_notify_settle(EpLease *lease)
{
	if (lease->broken || !lease->in_exchange)
		return;
	ep_lease_enter(lease);
	ep_lease_leave(lease);
}

/*
 * Has a lease at rest a notification, or an error that asking for one would
 * raise?  Raises nothing, and waits for nothing.
 */
bool
ep_notify_is_ready(EpLease *lease)
{
	EpWire	   *wire = &lease->desc->wire;
	EpWireSurvey survey;

	if (lease->notifications || lease->broken || ep_conns[lease->slot].terminated ||
		!ep_wire_gather(wire, READ_AT_ONCE))
		return true;
	ep_wire_survey(wire, &survey);
	return survey.notification || survey.error || survey.malformed ||
		wire->in_end - wire->in_start >= READ_AT_ONCE;
}

/*
 * Take what has come over a lease at rest.  Returns false if the connection is
 * gone; why, if the remote has said it, is then the next message.
 */
static bool
read_resting(EpLease *lease)
{
	EpTurn		turn = {.lease = lease, .conn = &ep_conns[lease->slot], .wire = &lease->desc->wire};
	EpWire	   *wire = turn.wire;
	EpMessage	msg;
	EpWireSurvey survey;
	bool		alive = ep_wire_gather(wire, READ_AT_ONCE);

	ep_wire_survey(wire, &survey);
	while (wire->in_end > wire->in_start)
	{
		if (wire->in[wire->in_start] == 'E')
			return alive && !survey.error;
		switch (ep_wire_next(wire, &msg))
		{
			case EP_IO_OK:
				if (!ep_turn_take_async(&turn, &msg))
					ep_turn_unexpected(&turn, &msg);
				break;
			case EP_IO_AGAIN:
				return alive;
			default:
				ep_raise_malformed(lease, wire->complaint);
		}
	}
	return alive;
}

/* Nothing will ever come over this lease: raise why. */
static void
check_alive(EpLease *lease, bool alive)
{
	if (lease->broken)
		ep_raise_lost(lease, "The connection was lost before.");
	ep_check_terminated(lease);
	if (!alive)
		ep_lease_raise_closed(lease);
}

/*
 * Read the notifications that have come over a lease, and wait for one if none
 * has.  timeout_s: 0 does not wait, negative has no limit.  While a statement
 * is pending what comes stands in its answer, so that nothing is read and
 * nothing waited for.  Raises 55006 if an outer call uses the lease, 08006,
 * 57P01 or what the remote said if it is lost and nothing was kept, and what
 * interrupts raise.
 */
void
ep_notify_await(EpLease *lease, double timeout_s)
{
	uint64		deadline_us = timeout_s < 0 ? 0 : ep_now_us() + (uint64) (timeout_s * 1e6);

	ep_lease_check_not_in_use(lease);
	if (lease->pending)
		return;
	ep_notify_settle(lease);
	for (;;)
	{
		bool		alive = !lease->broken && read_resting(lease);
		uint64		now;
		long		ms = LONGEST_WAIT_MS;

		if (lease->notifications)
			return;
		check_alive(lease, alive);
		now = ep_now_us();
		if (deadline_us != 0)
		{
			if (now >= deadline_us)
				return;
			ms = (long) Min((deadline_us - now + 999) / 1000, (uint64) ms);
		}
		CHECK_FOR_INTERRUPTS();
		(void) ep_descriptor_wait(lease->desc, WL_SOCKET_READABLE, ms);
	}
}

/*
 * Hand each notification that was kept to the callback, oldest first.  They
 * are not kept any longer, even if it raises an error.
 */
void
ep_notify_hand_over(EpLease *lease, EpNotifyCallback callback, void *arg)
{
	EpNotifications *kept = lease->notifications;
	dlist_iter	it;

	if (kept == NULL)
		return;
	lease->notifications = NULL;
	MemoryContextSetParent(kept->context, CurrentMemoryContext);
	dlist_foreach(it, &kept->list)
		callback(arg, dlist_container(EpNotification, node, it.cur));
	MemoryContextDelete(kept->context);
}
