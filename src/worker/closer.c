/*-------------------------------------------------------------------------
 *
 * closer.c
 *		Ending connections.
 *
 * A slot is free only when the remote has let go of the connection: until
 * then the remote counts it, and a new one in its place would be one too many.
 * Closing a descriptor does not end a connection while backends hold copies of
 * it; shutdown(2) does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "shared/events.h"
#include "worker/kept.h"

/* How long the remote may take to let go. */
#define CLOSE_TIMEOUT_US	1000000

/* How often it is read at one event. */
#define EVENT_READS		128

static void
send_terminate(int fd, int how)
{
	static const char terminate[5] = {'X', 0, 0, 0, 4};

	(void) send(fd, terminate, sizeof(terminate), MSG_DONTWAIT | MSG_NOSIGNAL);
	(void) shutdown(fd, how);
}

static void
stop_cancelling(EpKept *kept)
{
	if (kept->cancel == NULL)
		return;
	ep_cancel_free(kept->cancel);
	kept->cancel = NULL;
}

/* Says goodbye; ep_closer_finish follows when the remote has closed its end. */
void
ep_closer_begin(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);

	stop_cancelling(kept);
	if (kept->fd < 0)
	{
		ep_closer_finish(kept);
		return;
	}
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	ep_conn_to_closing(ep_kept_conn(kept));
	LWLockRelease(&pool->lock);
	kept->task = EP_TASK_CLOSE;
	kept->deadline = ep_now_us() + CLOSE_TIMEOUT_US;
	ep_loop_wake_at(kept->deadline);
	send_terminate(kept->fd, SHUT_WR);
	ep_watch_set(&kept->watch, kept->fd, EPOLLIN | EPOLLRDHUP);
	ep_closer_event(kept);		/* it may have closed already */
}

/*
 * Drops what the remote still sends, until its end of file.  Not all of it at
 * once: others wait for the worker, and the time that closing may take is to
 * be noticed.
 */
void
ep_closer_event(EpKept *kept)
{
	char		buffer[8192];
	ssize_t		n;

	for (int i = 0; i < EVENT_READS; i++)
	{
		n = recv(kept->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n <= 0)
			break;
	}
	if (n > 0)
		return;
	if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		ep_closer_finish(kept);
}

static void
drop_socket(EpKept *kept)
{
	ep_watch_clear(&kept->watch);
	if (kept->relay)
		ep_relay_free(kept->relay);
	kept->relay = NULL;
	if (kept->pg)
		PQfinish(kept->pg);
	kept->pg = NULL;
	if (kept->fd >= 0)
	{
		(void) shutdown(kept->fd, SHUT_RDWR);
		close(kept->fd);
	}
	kept->fd = -1;
	explicit_bzero(&kept->key, sizeof(kept->key));
}

/* Gives descriptors, PGconn and slot back. */
void
ep_closer_finish(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);
	EpEnded		ended;
	bool		log;

	drop_socket(kept);
	kept->conn_id = 0;
	kept->task = EP_TASK_NONE;
	kept->deadline = 0;
	ep_wire_reset(&kept->wire, -1);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	log = EP_BOOL(&pool->def.set, EP_S_LOG_CONNECTIONS);
	ep_event_ending(conn, &ended);
	ep_conn_to_free(conn);
	LWLockRelease(&pool->lock);
	SetLatch(MyLatch);			/* there may be something to open in its place */
	ep_event_closed(&ended, kept->why);
	/* of an attempt that failed it was said that it did, now and then */
	if (log && kept->opened)
		ereport(LOG,
				(errmsg("pool \"%s\": connection " UINT64_FORMAT " (remote process %d) closed",
						ended.whose.ident.name, ended.conn_id, ended.remote_pid)));
}

/*
 * Says goodbye while a backend still has the lease, which was revoked: it sends
 * nothing any more.
 */
void
ep_closer_hang_up(EpKept *kept)
{
	if (!kept->hung_up)
		send_terminate(kept->fd, SHUT_WR);
	kept->hung_up = true;
}

/* The same at once and for good, while the worker exits: the slot is not touched. */
void
ep_closer_abandon(EpKept *kept)
{
	if (kept->fd < 0)
		return;
	send_terminate(kept->fd, SHUT_RDWR);
	/* nobody relays any more */
	if (kept->relay)
		(void) shutdown(PQsocket(kept->pg), SHUT_RDWR);
}
