/*-------------------------------------------------------------------------
 *
 * socket_wait.c
 *		Waiting for sockets of leased connections.
 *
 * Many processes hold copies of one socket.  Whatever happens to it, the kernel
 * tells every epoll instance that it is registered with, one after the other,
 * within the system call that made it happen, whether anybody waits there or not.
 * So a process has a socket registered only while it has the lease, and from its
 * first wait on: it keeps one epoll instance, which has the socket of the latest
 * wait, and stands itself, in place of the socket, in the one wait event set.
 * That a socket is registered in few places also matters because it is in such
 * nested ones: the kernel allows 500 of these for each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/epoll.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "client/fetch.h"
#include "client/socket_wait.h"
#include "compat.h"

/* How long to wait before the socket is tried when the kernel does not watch it. */
#define BLIND_MS	10

static WaitEventSet *wait_set = NULL;	/* latch, postmaster, epoll_fd; made once */
static int	epoll_fd = -1;
static const EpDescriptor *watched = NULL;	/* the descriptor that is registered with it, */
static uint32 watched_events;	/* and for what */

/* Raises what AddWaitEventToSet does; the set is freed then. */
static int
add_to_set(WaitEventSet *set, uint32 events, pgsocket fd, Latch *latch)
{
	volatile int position = 0;

	PG_TRY();
	{
		position = AddWaitEventToSet(set, events, fd, latch, NULL);
	}
	PG_CATCH();
	{
		FreeWaitEventSet(set);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return position;
}

/*
 * A wait event set of the latch and, if there is one, the postmaster, with room for
 * that many sockets; *first is the position that the first of them will have.  The
 * caller frees it.  It takes a descriptor, too, which it reserves itself, raising
 * an error of its own if there is none: so it is made sure that there is one.
 * Raises 53000 if the server allows none, and what PostgreSQL's own functions raise
 * (XX000) if the kernel refuses.
 */
WaitEventSet *
ep_wait_set_create(int sockets, int *first)
{
	WaitEventSet *set;

	ep_descriptor_reserve();
	ReleaseExternalFD();
	set = ep_create_wait_event_set_compat(sockets + 2);
	*first = add_to_set(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch) + 1;
	if (IsUnderPostmaster)		/* in single-user mode there is none */
		*first = add_to_set(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL) + 1;
	return set;
}

/* Raises 53000 if this process may have no more descriptors, 58000 for what else the kernel may refuse. */
static void
make_epoll(void)
{
	ep_descriptor_reserve();
	while ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
	{
		int			error = errno;

		ReleaseExternalFD();
		if (error != EMFILE && error != ENFILE)
		{
			errno = error;
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("could not create epoll instance: %m")));
		}
		ep_descriptor_make_room();
		ep_descriptor_reserve();
	}
}

/*
 * Make what ep_descriptor_wait needs, two descriptors that this process keeps to
 * its end.  Done before there are leases: these might not leave any for it.
 * Raises what make_epoll and ep_wait_set_create do.
 */
void
ep_wait_prepare(void)
{
	WaitEventSet *set;
	int			first;

	if (wait_set != NULL)
		return;
	if (epoll_fd < 0)
		make_epoll();
	set = ep_wait_set_create(1, &first);
	(void) add_to_set(set, WL_SOCKET_READABLE, epoll_fd, NULL);
	wait_set = set;
}

/*
 * Forget the descriptor, whose lease ends or which is about to be closed: the kernel
 * remembers a closed descriptor while others hold copies of it.  Raises nothing.
 */
void
ep_descriptor_unwatch(const EpDescriptor *desc)
{
	struct epoll_event event = {0};

	if (watched != desc)
		return;
	watched = NULL;
	(void) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, desc->fd, &event);
}

/* False if the kernel has no room for it, or the socket is registered in too many places. */
static bool
watch(const EpDescriptor *desc, uint32 events)
{
	struct epoll_event event = {0};
	int			op = EPOLL_CTL_ADD;

	if (watched != NULL)
	{
		if (watched != desc)
			ep_descriptor_unwatch(watched);
		else if (watched_events == events)
			return true;
		else
			op = EPOLL_CTL_MOD;
	}
	if (events & WL_SOCKET_READABLE)
		event.events |= EPOLLIN;
	if (events & WL_SOCKET_WRITEABLE)
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll_fd, op, desc->fd, &event) != 0)
	{
		ep_descriptor_unwatch(desc);
		return false;
	}
	watched = desc;
	watched_events = events;
	return true;
}

/*
 * Wait until the socket has one of the events (WL_SOCKET_READABLE,
 * WL_SOCKET_WRITEABLE, or both), the latch is set, or timeout_ms have passed (-1: no
 * limit).  Returns what may have happened, a mask of WL_LATCH_SET and the events,
 * all of them if it was one; 0 after the time.  A socket that the kernel does not
 * watch for us may be tried after a short wait: the wait for an answer to COMMIT
 * must not fail.  Processes interrupts when the latch was set, so it raises what they
 * raise.  The desc must be pinned.  Ends the process when the postmaster has died.
 */
int
ep_descriptor_wait(EpDescriptor *desc, uint32 events, long timeout_ms)
{
	static uint32 wait_event = 0;
	bool		blind = !watch(desc, events);
	WaitEvent	happened[2];
	int			result = blind ? events : 0;
	int			n;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolRemote");
	if (blind && (timeout_ms < 0 || timeout_ms > BLIND_MS))
		timeout_ms = BLIND_MS;
	n = WaitEventSetWait(wait_set, timeout_ms, happened, lengthof(happened), wait_event);
	for (int i = 0; i < n; i++)
	{
		if (happened[i].events & WL_LATCH_SET)
			result |= WL_LATCH_SET;
		else
			result |= events;
	}
	if (result & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return result;
}
