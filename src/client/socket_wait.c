/*-------------------------------------------------------------------------
 *
 * socket_wait.c
 *		Waiting for sockets of leased connections.
 *
 * Many processes hold copies of one socket.  Whatever happens to it, the kernel
 * tells every epoll instance that it is registered with, one after the other,
 * while the remote's send() lasts, whether anybody waits there or not.  So a
 * process has each socket registered only while it may be the next that it waits
 * for: it keeps one epoll instance, which has the socket of the latest wait, and
 * stands itself, in place of the socket, in the one wait event set.  To wait for
 * the same connection again costs nothing more, and for another one two short
 * system calls.
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

static WaitEventSet *wait_set = NULL;	/* latch, postmaster, epoll_fd; made once */
static int	epoll_fd = -1;
static const EpDescriptor *watched = NULL;	/* the descriptor that is registered with it, */
static uint32 watched_events;	/* and for what */

/*
 * A wait event set of the latch and, if there is one, the postmaster, with room for
 * that many sockets; *first is the position that the first of them will have.  The
 * caller frees it.  It takes a descriptor, too, which it reserves itself, raising
 * an error of its own if there is none: so it is made sure that there is one.
 * Raises 53000 if none can be had.
 */
WaitEventSet *
ep_wait_set_create(int sockets, int *first)
{
	WaitEventSet *set;

	ep_descriptor_reserve();
	ReleaseExternalFD();
	set = ep_create_wait_event_set_compat(sockets + 2);
	*first = AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL) + 1;
	if (IsUnderPostmaster)		/* in single-user mode there is none */
		*first = AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL) + 1;
	return set;
}

/* Raises 53000 if this process may have no more descriptors. */
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
 * Raises 53000 if they cannot be had.
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
	AddWaitEventToSet(set, WL_SOCKET_READABLE, epoll_fd, NULL, NULL);
	wait_set = set;
}

/*
 * Forget the descriptor, which is about to be closed: the kernel remembers a
 * closed descriptor while others hold copies of it.  Raises nothing.
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

/* Raises 53000 if the kernel has no room for it. */
static void
watch(const EpDescriptor *desc, uint32 events)
{
	struct epoll_event event = {0};
	int			op = watched == desc ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (watched != NULL && watched != desc)
		ep_descriptor_unwatch(watched);
	event.events = (events & WL_SOCKET_READABLE ? EPOLLIN : 0) | (events & WL_SOCKET_WRITEABLE ? EPOLLOUT : 0);
	if (epoll_ctl(epoll_fd, op, desc->fd, &event) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not watch the socket of a connection: %m")));
	watched = desc;
	watched_events = events;
}

/*
 * Wait until the socket has one of the events (WL_SOCKET_READABLE,
 * WL_SOCKET_WRITEABLE, or both), the latch is set, or timeout_ms have passed (-1: no
 * limit).  Returns what happened, a mask of WL_LATCH_SET and the events, all of
 * them if it was one; 0 after the time.  Processes interrupts when the latch was
 * set, so it raises what they raise; and 53000 if the kernel lacks
 * memory.  The desc must be pinned.  Ends the process when the postmaster
 * has died.
 */
int
ep_descriptor_wait(EpDescriptor *desc, uint32 events, long timeout_ms)
{
	static uint32 wait_event = 0;
	WaitEvent	happened[2];
	int			result = 0;
	int			n;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolRemote");
	if (watched != desc || watched_events != events)
		watch(desc, events);
	n = WaitEventSetWait(wait_set, timeout_ms, happened, lengthof(happened), wait_event);
	for (int i = 0; i < n; i++)
		result |= happened[i].events & WL_LATCH_SET ? WL_LATCH_SET : events;
	if (result & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return result;
}
