/*-------------------------------------------------------------------------
 *
 * canceller.c
 *		Cancel requests that block nobody.
 *
 * A cancel request is a connection of its own which the remote closes without
 * an answer once it has signalled the session.  Until that end of file is seen
 * the signal may still be on its way, and would hit whatever the session does
 * then: see ep_cancel_busy().  A request that arrives before the remote has
 * begun the statement is lost, which is why it is repeated.
 *
 * With libpq >= 17 a request is a PGcancelConn and encrypted like its
 * connection; before, it is sixteen bytes on a socket, in plain text as that
 * libpq's PQcancel() sends it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "libpq/pqcomm.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "shared/shared.h"
#include "worker/canceller.h"
#include "worker/loop.h"

#define USECS(s)			((uint64) (s) * 1000000)

/* Requests in all: at once, then 1, 2 and 4 seconds after the one before. */
#define MAX_REQUESTS		4

/* A request that the remote has not closed by then is given up. */
#define REQUEST_TIMEOUT		USECS(10)

/* How soon to try again if a request could not even be sent; doubles up to a second. */
#define FIRST_RETRY			((uint64) 20000)

typedef struct Request
{
	EpCancel   *cancel;
	EpWatch		watch;
	uint64		started;		/* monotonic us */
	bool		open;			/* on its way, or waiting for the end of file */
	bool		sent;			/* it is with the remote */
#ifdef EP_HAVE_LIBPQ_CANCEL
	PGcancelConn *conn;
#else
	int			fd;
#endif
} Request;

struct EpCancel
{
	PGconn	   *conn;			/* the keeper's */
	EpCancelKey key;
	Request		requests[MAX_REQUESTS];
	int			used;			/* places in requests[] that were sent, or are on their way */
	bool		stopped;
	bool		given_up;		/* a request that was sent did not end in time */
	uint64		next_at;		/* monotonic us; when the next request is due */
	uint64		retry;			/* us; spacing after requests that failed */
};

/* Ends a request.  One that failed before it was sent gives its place back, to be tried again. */
static void
close_request(Request *request)
{
	EpCancel   *cancel = request->cancel;

	ep_watch_clear(&request->watch);
#ifdef EP_HAVE_LIBPQ_CANCEL
	if (request->conn)
		PQcancelFinish(request->conn);
	request->conn = NULL;
#else
	if (request->fd >= 0)
		close(request->fd);
	request->fd = -1;
#endif
	request->open = false;
	if (request->sent || request != &cancel->requests[cancel->used - 1])
		return;
	cancel->used--;
	cancel->next_at = ep_now_us() + cancel->retry;
	cancel->retry = Min(cancel->retry * 2, USECS(1));
	ep_loop_wake_at(cancel->next_at);
}

#ifdef EP_HAVE_LIBPQ_CANCEL

static void
poll_request(EpWatch *watch, uint32 events)
{
	Request    *request = watch->arg;

	/* the socket may be another one afterwards, even under the same number */
	ep_watch_clear(watch);
	switch (PQcancelPoll(request->conn))
	{
		case PGRES_POLLING_READING:
			ep_watch_set(watch, PQcancelSocket(request->conn), EPOLLIN);
			break;
		case PGRES_POLLING_WRITING:
			ep_watch_set(watch, PQcancelSocket(request->conn), EPOLLOUT);
			break;
		case PGRES_POLLING_OK:
			request->sent = true;
			close_request(request);
			break;
		default:
			close_request(request);
			break;
	}
}

static void
open_request(Request *request)
{
	request->conn = PQcancelCreate(request->cancel->conn);
	if (request->conn == NULL || !PQcancelStart(request->conn))
	{
		close_request(request);
		return;
	}
	ep_watch_set(&request->watch, PQcancelSocket(request->conn), EPOLLOUT);
}

#else

/* The message: CancelRequest, protocol 3. */
static bool
send_request(Request *request)
{
	uint32		packet[4];

	packet[0] = pg_hton32(sizeof(packet));
	packet[1] = pg_hton32(CANCEL_REQUEST_CODE);
	packet[2] = pg_hton32(request->cancel->key.pid);
	packet[3] = pg_hton32(request->cancel->key.key);

	/* a new socket's buffer takes them all */
	request->sent = send(request->fd, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(packet);
	explicit_bzero(packet, sizeof(packet));
	return request->sent;
}

static void
poll_request(EpWatch *watch, uint32 events)
{
	Request    *request = watch->arg;
	char		buffer[64];
	ssize_t		n;

	if (!request->sent)
	{
		if (send_request(request))
			ep_watch_set(watch, request->fd, EPOLLIN | EPOLLRDHUP);
		else
			close_request(request);
		return;
	}

	/* nothing is answered, but an error about too many connections may come */
	n = recv(request->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		close_request(request);
}

static void
open_request(Request *request)
{
	const EpCancelKey *key = &request->cancel->key;

	request->fd = socket(key->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (request->fd < 0 ||
		(connect(request->fd, (const struct sockaddr *) &key->addr, key->addrlen) != 0 &&
		 errno != EINPROGRESS))
	{
		close_request(request);
		return;
	}
	ep_watch_set(&request->watch, request->fd, EPOLLOUT);
}

#endif							/* EP_HAVE_LIBPQ_CANCEL */

/* Sends the next request and says when the one after it is due. */
static void
begin_request(EpCancel *cancel, uint64 now_us)
{
	int			place = cancel->used++;
	Request    *request = &cancel->requests[place];

	memset(request, 0, sizeof(Request));
#ifndef EP_HAVE_LIBPQ_CANCEL
	request->fd = -1;
#endif
	request->cancel = cancel;
	request->started = now_us;
	request->open = true;
	ep_watch_init(&request->watch, poll_request, request);
	cancel->next_at = now_us + (USECS(1) << place);
	open_request(request);
}

/*
 * Ask the remote to cancel what conn is executing.  The first request leaves at
 * once; ep_cancel_tick() repeats it until ep_cancel_stop_repeating().  conn
 * stays the caller's and must outlive the result, which ep_cancel_free() frees.
 * Without a valid key nothing is ever sent.
 */
EpCancel *
ep_cancel_start(PGconn *conn, const EpCancelKey *key)
{
	EpCancel   *cancel = MemoryContextAllocZero(TopMemoryContext, sizeof(EpCancel));

	cancel->conn = conn;
	cancel->key = *key;
	cancel->retry = FIRST_RETRY;
	if (key->valid)
		begin_request(cancel, ep_now_us());
	else
		cancel->stopped = true;
	ep_cancel_tick(cancel, ep_now_us());
	return cancel;
}

/*
 * Is a request on its way?  As long as it is, the session must not be given
 * anything else to do: it would be hit.  Ten seconds after it began a request
 * is given up, and no longer counts here: see ep_cancel_given_up().
 */
bool
ep_cancel_busy(const EpCancel *cancel)
{
	for (int i = 0; i < cancel->used; i++)
	{
		if (cancel->requests[i].open)
			return true;
	}
	return false;
}

/*
 * Was a request given up?  It may reach the session at any time to come: the
 * connection is not to be used again.
 */
bool
ep_cancel_given_up(const EpCancel *cancel)
{
	return cancel->given_up;
}

/* Repeat the request when that is due and give up what takes too long; once in each round of the loop. */
void
ep_cancel_tick(EpCancel *cancel, uint64 now_us)
{
	for (int i = 0; i < cancel->used; i++)
	{
		Request    *request = &cancel->requests[i];

		if (!request->open)
			continue;
		if (now_us >= request->started + REQUEST_TIMEOUT)
		{
			request->sent = true;	/* as far as we know */
			cancel->given_up = true;
			close_request(request);
		}
		else
			ep_loop_wake_at(request->started + REQUEST_TIMEOUT);
	}

	if (cancel->stopped || cancel->used == MAX_REQUESTS)
		return;
	if (now_us >= cancel->next_at)
		begin_request(cancel, now_us);
	if (cancel->used < MAX_REQUESTS)
		ep_loop_wake_at(cancel->next_at);
}

/* The statement has ended: what is on its way stays so, but nothing more is sent. */
void
ep_cancel_stop_repeating(EpCancel *cancel)
{
	cancel->stopped = true;

	/* what has not left yet need not, but libpq's requests do not tell */
#ifndef EP_HAVE_LIBPQ_CANCEL
	for (int i = cancel->used - 1; i >= 0; i--)
	{
		if (cancel->requests[i].open && !cancel->requests[i].sent)
			close_request(&cancel->requests[i]);
	}
#endif
}

/* Closes what is still open; what was sent may yet reach the session.  NULL is allowed. */
void
ep_cancel_free(EpCancel *cancel)
{
	if (cancel == NULL)
		return;
	for (int i = cancel->used - 1; i >= 0; i--)
	{
		if (cancel->requests[i].open)
		{
			cancel->requests[i].sent = true;
			close_request(&cancel->requests[i]);
		}
	}
	explicit_bzero(cancel, sizeof(EpCancel));
	pfree(cancel);
}
