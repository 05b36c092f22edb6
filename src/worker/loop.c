/*-------------------------------------------------------------------------
 *
 * loop.c
 *		The worker's event loop.
 *
 * The kernel hands back with an event what was stored when the descriptor was
 * registered.  That is the descriptor and a serial number, never a pointer: a
 * callback may clear other watches and free what they are part of, while
 * their events stand in the same batch.  watches[] says who watches which
 * descriptor now, and under which serial number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "compat.h"
#include "shared/shared.h"
#include "worker/loop.h"

#define EVENT_BATCH		64

/* So many at once, and more will have come when they are dealt with. */
#define BUSY_EVENTS		2

static WaitEventSet *wait_set = NULL;
static int	epoll_fd = -1;
static uint32 wait_event = 0;

/* By descriptor: the watch that is registered for it, or NULL. */
static EpWatch **watches = NULL;
static int	nwatches = 0;
static uint32 last_serial = 0;

/* Whose callback is to be called in the next pass, whatever the kernel says. */
static dlist_head again = DLIST_STATIC_INIT(again);

/* When to end the next wait (monotonic us); PG_UINT64_MAX: whenever something happens. */
static uint64 wake_at = PG_UINT64_MAX;

/*
 * Prepare the loop of this process; called once, before anything else here.
 * Raises an error when the kernel refuses the descriptors it takes.
 */
void
ep_loop_init(void)
{
	Assert(epoll_fd < 0);

	wait_event = ep_wait_event_compat("EnhancedPoolWorkerMain");

	ReserveExternalFD();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
	{
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not create epoll instance: %m")));
	}

	wait_set = ep_create_wait_event_set_compat(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, epoll_fd, NULL, NULL);
}

/* Prepare a watch that is not set.  callback gets arg through watch->arg. */
void
ep_watch_init(EpWatch *watch, EpWatchCallback callback, void *arg)
{
	memset(watch, 0, sizeof(EpWatch));
	watch->fd = -1;
	watch->callback = callback;
	watch->arg = arg;
}

/* Make watches[] reach as far as fd. */
static void
make_room(int fd)
{
	int			size = Max(nwatches, 64);

	if (fd < nwatches)
		return;
	while (size <= fd)
		size *= 2;
	if (watches == NULL)
		watches = MemoryContextAlloc(TopMemoryContext, size * sizeof(EpWatch *));
	else
		watches = repalloc(watches, size * sizeof(EpWatch *));
	memset(watches + nwatches, 0, (size - nwatches) * sizeof(EpWatch *));
	nwatches = size;
}

/* Tell the kernel of a new watch or of other events; false if it refuses. */
static bool
register_watch(EpWatch *watch, bool modify)
{
	struct epoll_event event = {0};
	int			op = modify ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	event.events = watch->events;
	event.data.u64 = ((uint64) watch->serial << 32) | (uint32) watch->fd;
	if (epoll_ctl(epoll_fd, op, watch->fd, &event) == 0)
		return true;

	/* closed and opened anew under the same number, or left by an earlier owner */
	if (errno == ENOENT && modify)
		op = EPOLL_CTL_ADD;
	else if (errno == EEXIST && !modify)
		op = EPOLL_CTL_MOD;
	else
		return false;
	return epoll_ctl(epoll_fd, op, watch->fd, &event) == 0;
}

/*
 * Watch fd for events (EPOLLIN, EPOLLOUT, EPOLLRDHUP; errors come anyway),
 * level-triggered, in place of what the watch was set to before.  Nothing is
 * done if it is set to the same already.  With no events the watch only
 * remembers fd.
 *
 * The watch must be cleared, or set to something else, before fd is closed;
 * one descriptor has one watch.  If the kernel refuses, that is logged and
 * the watch stays silent: who waits has a deadline as well.
 */
void
ep_watch_set(EpWatch *watch, int fd, uint32 events)
{
	bool		modify = watch->registered && watch->fd == fd && events != 0;

	if (modify && watch->events == events)
		return;
	if (!modify)
		ep_watch_clear(watch);
	watch->fd = fd;
	watch->events = events;
	if (fd < 0 || events == 0)
		return;

	make_room(fd);
	if (!modify)
		watch->serial = ++last_serial;
	watch->registered = register_watch(watch, modify);
	if (watch->registered)
		watches[fd] = watch;
	else
	{
		watches[fd] = NULL;
		ereport(LOG,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not watch descriptor %d: %m", fd)));
	}
}

/* Stop watching; no event that came before is delivered any more.  Idempotent. */
void
ep_watch_clear(EpWatch *watch)
{
	if (watch->registered)
	{
		/* a watch that somebody else set for the same number meanwhile stays */
		if (watches[watch->fd] == watch)
		{
			struct epoll_event event = {0};

			(void) epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->fd, &event);
			watches[watch->fd] = NULL;
		}
		watch->registered = false;
	}
	watch->fd = -1;
	watch->events = 0;
}

/*
 * End the next wait at that time (monotonic us) at the latest; the earliest of
 * all calls since the last wait counts.
 */
void
ep_loop_wake_at(uint64 at_us)
{
	wake_at = Min(wake_at, at_us);
}

/*
 * Have the callback called once more in the next pass, with no events.  For
 * who stopped before his descriptor had nothing left, or holds bytes of which
 * the kernel does not know.
 */
void
ep_watch_again(EpWatch *watch)
{
	if (watch->again)
		return;
	watch->again = true;
	dlist_push_tail(&again, &watch->again_node);
}

/* Clear the watch and take back ep_watch_again(): its owner is about to be freed.  Idempotent. */
void
ep_watch_forget(EpWatch *watch)
{
	ep_watch_clear(watch);
	if (watch->again)
		dlist_delete(&watch->again_node);
	watch->again = false;
}

/* Milliseconds until wake_at, rounded up: an early wake would spin. */
static long
wait_timeout(void)
{
	uint64		now;

	if (!dlist_is_empty(&again))
		return 0;
	if (wake_at == PG_UINT64_MAX)
		return -1;
	now = ep_now_us();
	if (wake_at <= now)
		return 0;
	return (long) Min((wake_at - now + 999) / 1000, (uint64) INT_MAX);
}

/* Returns whether the keeper should look at what that has changed. */
static bool
dispatch(const struct epoll_event *event)
{
	int			fd = (int) (uint32) event->data.u64;
	uint32		serial = (uint32) (event->data.u64 >> 32);
	EpWatch    *watch = fd < nwatches ? watches[fd] : NULL;
	uint32		events = event->events;
	bool		quiet;

	/* cleared, or set for something else, by a callback of this batch */
	if (watch == NULL || watch->serial != serial)
		return false;
	events &= watch->events | EPOLLERR | EPOLLHUP;
	if (events == 0)
		return false;
	quiet = watch->quiet;		/* it may be gone afterwards */
	watch->callback(watch, events);
	return !quiet;
}

/* Calls those who asked for it before this pass; what they ask for now is the next one's. */
static bool
dispatch_again(void)
{
	dlist_head	batch = DLIST_STATIC_INIT(batch);
	bool		loud = false;

	while (!dlist_is_empty(&again))
		dlist_push_tail(&batch, dlist_pop_head_node(&again));
	while (!dlist_is_empty(&batch))
	{
		EpWatch    *watch = dlist_container(EpWatch, again_node, dlist_pop_head_node(&batch));

		watch->again = false;
		loud |= !watch->quiet;
		watch->callback(watch, 0);
	}
	return loud;
}

/* Calls whoever has something.  Returns whether the keeper has to look; *n: how many events there were. */
static bool
one_pass(int *n)
{
	struct epoll_event events[EVENT_BATCH];
	bool		loud = dispatch_again();

	*n = epoll_wait(epoll_fd, events, EVENT_BATCH, 0);
	for (int i = 0; i < *n; i++)
		loud |= dispatch(&events[i]);
	return loud;
}

/*
 * Wait until a watched descriptor has something for the keeper, the latch is
 * set or the time of ep_loop_wake_at() has come; call the callbacks and
 * return.  The process exits when the postmaster has died.  Times asked for by
 * callbacks count for the next wait.  Interrupts are the caller's to process.
 */
void
ep_loop_wait(void)
{
	uint64		asked = PG_UINT64_MAX;
	int			n = 0;

	for (bool done = false; !done;)
	{
		uint64		until = wake_at;

		/* where much is going on, look at the descriptors again before the kernel is asked to wait */
		if (n < BUSY_EVENTS || MyLatch->is_set)
		{
			WaitEvent	woken[3];

			(void) WaitEventSetWait(wait_set, wait_timeout(), woken, lengthof(woken), wait_event);
			if (MyLatch->is_set)
			{
				ResetLatch(MyLatch);
				done = true;
			}
		}

		/* in any case: a latch that is set hides the descriptors */
		wake_at = PG_UINT64_MAX;
		done |= one_pass(&n);
		asked = Min(asked, wake_at);
		wake_at = Min(until, asked);
		done |= wake_at != PG_UINT64_MAX && ep_now_us() >= wake_at;
	}
	wake_at = asked;
}
