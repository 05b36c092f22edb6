/*-------------------------------------------------------------------------
 *
 * loop.h
 *		The worker's event loop: descriptors to watch and times to wake at.
 *
 * Everything in a worker runs from here and none of it may block.  Watches
 * live in a private epoll instance, which itself stands in the WaitEventSet
 * beside the latch and the postmaster's death: descriptors come and go all
 * the time, and a WaitEventSet cannot forget one.
 *
 * Most events change what the keeper has to do next, so the loop returns after
 * them.  Moving bytes through a relay changes nothing else: its watches are
 * quiet, and the loop goes on by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_LOOP_H
#define EP_LOOP_H

#include "postgres.h"
#include <sys/epoll.h>

#include "lib/ilist.h"

typedef struct EpWatch EpWatch;

/* events: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR as they came; 0: by ep_watch_again() */
typedef void (*EpWatchCallback) (EpWatch *watch, uint32 events);

/* Embedded in its owner's structure; all zero and fd = -1 is a watch that is not set. */
struct EpWatch
{
	int			fd;
	uint32		events;			/* what is asked for; 0: registered nowhere */
	EpWatchCallback callback;
	void	   *arg;
	bool		registered;
	bool		quiet;			/* its events give the keeper nothing to do */
	bool		again;			/* in the list of ep_watch_again() */
	dlist_node	again_node;
	uint32		serial;			/* tells a late event for an earlier use of the same place */
};

extern void ep_loop_init(void);
extern void ep_watch_init(EpWatch *watch, EpWatchCallback callback, void *arg);
extern void ep_watch_set(EpWatch *watch, int fd, uint32 events);
extern void ep_watch_clear(EpWatch *watch);
extern void ep_watch_again(EpWatch *watch);
extern void ep_watch_forget(EpWatch *watch);
extern void ep_loop_wake_at(uint64 at_us);	/* monotonic, as ep_now_us(); for this round only */
extern void ep_loop_wait(void);

#endif							/* EP_LOOP_H */
