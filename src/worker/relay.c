/*-------------------------------------------------------------------------
 *
 * relay.c
 *		What stands between an encrypted connection and those who use it.
 *
 * The state of an encrypted connection lives in one process and cannot be
 * passed on.  So the worker keeps it, and passes on one end of a socketpair in
 * its place.  The relay moves bytes between the other end, the "near" side, and
 * the SSL object that libpq made, the "far" side.
 *
 * Who has the user's end cannot tell it from the remote's socket.  That holds
 * for the worker itself, too: it greets, resets, validates, drains and closes
 * through the user's end as it does on a plain connection.  So there is one way
 * for bytes and one order among them, and no moment at which what is on its way
 * in a buffer has to be handed from one reader to another.
 *
 * Each direction has at most TURN bytes of ours on their way, beside what the
 * kernel's socket buffers hold, and reads nothing more while its sink takes
 * nothing: a slow reader is the remote's trouble, as TCP would have it, and
 * nobody else's.  In one pass of the loop a direction moves TURN bytes at most,
 * then it is the others' turn.
 *
 * The end of either side reaches the other after all that came before it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "wire/wire.h"
#include "worker/loop.h"
#include "worker/relay.h"

/* Bytes that a direction moves in one pass, and at most holds. */
#define TURN	(64 * 1024)

typedef struct Flow
{
	EpTransport *from;
	EpTransport *to;
	char	   *rest;			/* read, but not taken by the sink yet; NULL: nothing */
	size_t		start;
	size_t		end;
	bool		source_ended;
	bool		over;			/* its end, too, was passed on */
} Flow;

struct EpRelay
{
	EpTransport near;
	EpTransport far;
	EpWatch		near_watch;
	EpWatch		far_watch;
	Flow		down;			/* from the remote to the user */
	Flow		up;				/* from the user to the remote */
};

/* Where a turn collects what it moves; not in use between two turns. */
static char scratch[TURN];

/* --------------------------------------------------------------- one flow */

/* The sink takes nothing any more, or the source is at its end and everything was passed on. */
static void
end_flow(Flow *flow)
{
	if (flow->rest)
		pfree(flow->rest);
	flow->rest = NULL;
	flow->source_ended = flow->over = true;
	(void) shutdown(flow->to->fd, SHUT_WR);
	/* who still sends is told by an error */
	(void) shutdown(flow->from->fd, SHUT_RD);
}

/* Gives the sink what it takes of data.  Returns how much that was; the flow is over if it failed. */
static size_t
put(Flow *flow, const char *data, size_t len)
{
	size_t		done = 0;

	while (done < len)
	{
		ssize_t		n = flow->to->write(flow->to, data + done, len - done);

		if (n < 0)
		{
			end_flow(flow);
			return len;
		}
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

/* Passes on what was left over.  Returns whether there is none of it any more. */
static bool
put_rest(Flow *flow)
{
	if (flow->rest == NULL)
		return true;
	flow->start += put(flow, flow->rest + flow->start, flow->end - flow->start);
	if (flow->rest == NULL)		/* over */
		return false;
	if (flow->start < flow->end)
		return false;
	pfree(flow->rest);
	flow->rest = NULL;
	return true;
}

/* Fills the scratch buffer as far as the source has something at this moment. */
static size_t
get(Flow *flow)
{
	size_t		have = 0;

	do
	{
		ssize_t		n = flow->from->read(flow->from, scratch + have, TURN - have);

		if (n < 0)
			flow->source_ended = true;
		if (n <= 0)
			break;
		have += n;
	} while (flow->from->more && have < TURN);
	return have;
}

/* One turn of a direction. */
static void
turn(Flow *flow)
{
	size_t		have;
	size_t		done;

	if (flow->over || !put_rest(flow))
		return;
	have = flow->source_ended ? 0 : get(flow);
	done = put(flow, scratch, have);
	if (flow->over)
		return;
	if (done < have)
	{
		flow->rest = MemoryContextAlloc(TopMemoryContext, have - done);
		memcpy(flow->rest, scratch + done, have - done);
		flow->start = 0;
		flow->end = have - done;
	}
	else if (flow->source_ended)
		end_flow(flow);
}

/* --------------------------------------------------------------- both flows */

/* Would the flow read if there were something? */
static bool
wants_more(const Flow *flow)
{
	return !flow->source_ended && flow->rest == NULL;
}

static bool
has_rest(const Flow *flow)
{
	return flow->rest != NULL;
}

/*
 * What a side that is read from waits for.  When nothing is sent to it any more
 * it may never be writable, and reading has nothing to wait for there.
 */
static uint32
read_event(const EpTransport *t, const Flow *out)
{
	return t->read_wants_write && !out->over ? EPOLLOUT : EPOLLIN;
}

/* What a side waits for, of which in is read from and out written to. */
static uint32
interest(const EpTransport *t, const Flow *in, const Flow *out)
{
	uint32		events = 0;

	if (wants_more(in))
		events |= read_event(t, out);
	if (has_rest(out))
		events |= t->write_wants_read ? EPOLLIN : EPOLLOUT;
	return events;
}

static void
set_watches(EpRelay *relay)
{
	uint32		near = interest(&relay->near, &relay->up, &relay->down);
	uint32		far = interest(&relay->far, &relay->down, &relay->up);

	ep_watch_set(&relay->near_watch, relay->near.fd, near);
	ep_watch_set(&relay->far_watch, relay->far.fd, far);
	if ((near != 0 && !relay->near_watch.registered) || (far != 0 && !relay->far_watch.registered))
	{
		/* nobody would ever call us: better an end than a user who waits for nothing */
		end_flow(&relay->down);
		end_flow(&relay->up);
		return;
	}

	/*
	 * The SSL object has something of which the kernel does not know, or
	 * waited for room that no event will announce: now it finds that nothing
	 * can be sent any more, and goes on.
	 */
	if (wants_more(&relay->down) &&
		(relay->far.more || (relay->far.read_wants_write && relay->up.over)))
		ep_watch_again(&relay->far_watch);
}

/*
 * Something came on a side.  Which direction goes on depends on what the side
 * was waiting for; an error or a hangup lets both look.
 */
static void
side_event(EpRelay *relay, const EpTransport *t, Flow *in, Flow *out, uint32 events)
{
	uint32		all = EPOLLERR | EPOLLHUP;

	if (events == 0 || (events & (all | read_event(t, out))))
		turn(in);
	if (has_rest(out) && (events & (all | (t->write_wants_read ? EPOLLIN : EPOLLOUT))))
		turn(out);
	set_watches(relay);
}

static void
near_event(EpWatch *watch, uint32 events)
{
	EpRelay    *relay = watch->arg;

	side_event(relay, &relay->near, &relay->up, &relay->down, events);
}

static void
far_event(EpWatch *watch, uint32 events)
{
	EpRelay    *relay = watch->arg;

	side_event(relay, &relay->far, &relay->down, &relay->up, events);
}

/* --------------------------------------------------------------- interface */

/*
 * Begin to relay for a connection that stands at CONNECTION_OK and is
 * encrypted with TLS.  *user_fd is the user's end, the caller's to close.  From
 * now on the caller leaves libpq's socket alone, and calls PQfinish() only
 * after ep_relay_free().  Returns NULL if there is no descriptor left, or no memory.
 */
EpRelay *
ep_relay_start(PGconn *pg, int *user_fd)
{
	EpRelay    *relay;
	int			ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
		return NULL;
	relay = MemoryContextAllocZero(TopMemoryContext, sizeof(EpRelay));
	ep_transport_socket(&relay->near, ends[0]);
	if (!ep_transport_tls(&relay->far, PQsslStruct(pg, "OpenSSL"), PQsocket(pg)))
	{
		pfree(relay);
		close(ends[0]);
		close(ends[1]);
		return NULL;
	}
	relay->down.from = relay->up.to = &relay->far;
	relay->down.to = relay->up.from = &relay->near;
	ep_watch_init(&relay->near_watch, near_event, relay);
	ep_watch_init(&relay->far_watch, far_event, relay);
	relay->near_watch.quiet = relay->far_watch.quiet = true;
	set_watches(relay);
	*user_fd = ends[1];
	return relay;
}

/* End it at once: what is on its way is lost, and both sides are at their end. */
void
ep_relay_free(EpRelay *relay)
{
	ep_watch_forget(&relay->near_watch);
	ep_watch_forget(&relay->far_watch);
	(void) shutdown(relay->far.fd, SHUT_RDWR);
	close(relay->near.fd);
	if (relay->down.rest)
		pfree(relay->down.rest);
	if (relay->up.rest)
		pfree(relay->up.rest);
	pfree(relay);
}
