/*-------------------------------------------------------------------------
 *
 * socket_wait.c
 *		Waiting for sockets of leased connections.
 *
 * Many processes hold copies of one socket, and whatever happens to it, the
 * kernel tells every epoll instance that it is registered with, one after the
 * other, within the system call that made it happen, whether anybody waits there
 * or not.  So a process that waits for one socket uses none: ppoll(2) registers
 * nothing beyond the wait.
 *
 * A latch that another process sets does not end it.  It need not: what
 * CHECK_FOR_INTERRUPTS has to act on comes with a signal, the death of the postmaster
 * included, and whoever has something else to say to the holder of a lease sends one,
 * too (ep_signal_holder).  Each handler but that of the postmaster's death sets the
 * latch: so before the wait the latch tells what has come since the caller looked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <signal.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "utils/wait_event.h"

#include "client/fetch.h"
#include "client/socket_wait.h"
#include "compat.h"

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

/* What a waiting session is shown with. */
static uint32 wait_event = 0;

/*
 * Must have been called once before the first wait: while the answer to COMMIT is
 * awaited nothing may fail.  Raises what the server raises if it has no room for
 * another wait event.
 */
void
ep_wait_prepare(void)
{
	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolRemote");
}

/*
 * Sleep until the socket is ready, a signal comes or the time is over (NULL: no limit).
 * Signals are blocked from the last look at what they have left behind until the
 * kernel waits, so none is missed.
 */
static int
sleep_for(struct pollfd *sock, const struct timespec *timeout)
{
	sigset_t	usual;
	int			n = 0;

	sigprocmask(SIG_SETMASK, &BlockSig, &usual);
	if (MyLatch->is_set)
		ResetLatch(MyLatch);
	else if (!IsUnderPostmaster || PostmasterIsAlive())
		n = ppoll(sock, 1, timeout, &usual);
	sigprocmask(SIG_SETMASK, &usual, NULL);
	return n;
}

/*
 * Wait until the socket has one of the events (WL_SOCKET_READABLE,
 * WL_SOCKET_WRITEABLE, or both), a signal has come, or timeout_ms have passed (-1: no
 * limit).  Returns those of the events that it has; 0 after a signal, which may have
 * come before, or the time.  The caller processes interrupts and looks at the
 * connection before each wait.  Raises nothing.  Ends the process when the postmaster
 * has died.
 */
int
ep_descriptor_wait(const EpDescriptor *desc, uint32 events, long timeout_ms)
{
	struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};
	struct pollfd sock = {.fd = desc->fd};
	int			result = 0;

	if (events & WL_SOCKET_READABLE)
		sock.events |= POLLIN;
	if (events & WL_SOCKET_WRITEABLE)
		sock.events |= POLLOUT;
	pgstat_report_wait_start(wait_event);
	if (sleep_for(&sock, timeout_ms < 0 ? NULL : &timeout) > 0)
	{
		/* an error or the end makes it ready for everything */
		if (sock.revents & ~POLLOUT)
			result |= WL_SOCKET_READABLE;
		if (sock.revents & ~POLLIN)
			result |= WL_SOCKET_WRITEABLE;
	}
	pgstat_report_wait_end();
	if (IsUnderPostmaster && !PostmasterIsAlive())
		proc_exit(1);
	return result & events;
}
