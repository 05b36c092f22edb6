/*-------------------------------------------------------------------------
 *
 * resolver.c
 *		Looking up the addresses of a name without waiting for it.
 *
 * Each look-up has a c-ares channel of its own: it reads resolv.conf anew,
 * and ending it ends everything it had under way.  c-ares tells which of its
 * sockets it wants watched and for what.  While its code is on the stack
 * nothing here may throw and the channel may not be destroyed, so the callback
 * of the look-up only records what came, and the owner hears of it after
 * c-ares has returned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <sys/time.h>

#include "utils/memutils.h"

#include "shared/shared.h"
#include "worker/loop.h"
#include "worker/resolver.h"

/* One UDP and one TCP socket for each name server; resolv.conf has at most a few. */
#define MAX_SOCKETS		16

struct EpResolver
{
	ares_channel channel;
	bool		channel_open;
	EpWatch		watches[MAX_SOCKETS];
	bool		closing;		/* being freed: what c-ares still says is ignored */
	bool		done;
	int			status;			/* of c-ares, once done */
	struct ares_addrinfo *found;	/* c-ares's, or NULL */
	EpResolved	resolved;
	void	   *arg;
};

/* Once per process, before the first look-up; false if c-ares cannot be used. */
bool
ep_resolver_init(void)
{
	return ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
}

/* A socket of the look-up has something; the owner may free it in the callback. */
static void
on_socket(EpWatch *watch, uint32 events)
{
	EpResolver *resolver = watch->arg;
	ares_socket_t fd = watch->fd;
	ares_socket_t readable = (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) ? fd : ARES_SOCKET_BAD;
	ares_socket_t writable = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) ? fd : ARES_SOCKET_BAD;

	ares_process_fd(resolver->channel, readable, writable);
	if (resolver->done)
		resolver->resolved(resolver->arg);
}

/* c-ares wants this socket watched, or is about to close it. */
static void
socket_state(void *data, ares_socket_t fd, int readable, int writable)
{
	EpResolver *resolver = data;
	EpWatch    *place = NULL;

	if (resolver->closing)
		return;
	for (int i = 0; i < MAX_SOCKETS; i++)
	{
		if (resolver->watches[i].fd == fd)
		{
			place = &resolver->watches[i];
			break;
		}
		if (resolver->watches[i].fd < 0 && place == NULL)
			place = &resolver->watches[i];
	}

	/* no place: that name server is not heard, and c-ares goes on to the next */
	if (place == NULL)
		return;
	if (readable || writable)
		ep_watch_set(place, fd, (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0));
	else if (place->fd == fd)
		ep_watch_clear(place);
}

static void
looked_up(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
	EpResolver *resolver = arg;

	if (resolver->closing)
	{
		if (found)
			ares_freeaddrinfo(found);
		return;
	}
	resolver->done = true;
	resolver->status = status;
	resolver->found = found;
}

/*
 * Begin to look up a name.  It may be known at once, from /etc/hosts or because
 * nobody can be asked: ask ep_resolver_done() first.  Otherwise resolved is
 * called later, from the loop.  The owner watches the clock, calls
 * ep_resolver_tick() once a round, and ep_resolver_free() in the end.
 * Allocated in the current memory context.
 */
EpResolver *
ep_resolver_start(const char *name, EpResolved resolved, void *arg)
{
	EpResolver *resolver = palloc0(sizeof(EpResolver));
	struct ares_options options = {0};
	struct ares_addrinfo_hints hints = {0};

	resolver->resolved = resolved;
	resolver->arg = arg;
	for (int i = 0; i < MAX_SOCKETS; i++)
		ep_watch_init(&resolver->watches[i], on_socket, resolver);

	options.sock_state_cb = socket_state;
	options.sock_state_cb_data = resolver;
	resolver->status = ares_init_options(&resolver->channel, &options, ARES_OPT_SOCK_STATE_CB);
	if (resolver->status != ARES_SUCCESS)
	{
		resolver->done = true;
		return resolver;
	}
	resolver->channel_open = true;

	hints.ai_family = AF_UNSPEC;
	hints.ai_socktype = SOCK_STREAM;
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, looked_up, resolver);
	return resolver;
}

/*
 * Let c-ares repeat what was not answered, and end the next wait in time for
 * the next such moment.  Calls no callback: see ep_resolver_done() afterwards.
 */
void
ep_resolver_tick(EpResolver *resolver)
{
	struct timeval tv;

	if (resolver->done)
		return;
	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	if (!resolver->done && ares_timeout(resolver->channel, NULL, &tv))
		ep_loop_wake_at(ep_now_us() + (uint64) tv.tv_sec * 1000000 + tv.tv_usec);
}

/* Has the look-up ended, one way or the other? */
bool
ep_resolver_done(const EpResolver *resolver)
{
	return resolver->done;
}

/* Why the look-up that is done failed, a static text; NULL if it did not. */
const char *
ep_resolver_error(const EpResolver *resolver)
{
	return resolver->status == ARES_SUCCESS ? NULL : ares_strerror(resolver->status);
}

/*
 * Write the addresses that were found, numeric and in the order of preference,
 * to an array of EP_MAX_ADDRESSES places.  Returns how many.
 */
int
ep_resolver_addresses(const EpResolver *resolver, char (*addresses)[EP_ADDRESS_SIZE])
{
	int			n = 0;

	if (resolver->found == NULL)
		return 0;
	for (struct ares_addrinfo_node *node = resolver->found->nodes; node; node = node->ai_next)
	{
		if (n == EP_MAX_ADDRESSES)
			break;
		if ((node->ai_family == AF_INET || node->ai_family == AF_INET6) &&
			getnameinfo(node->ai_addr, node->ai_addrlen, addresses[n], EP_ADDRESS_SIZE,
						NULL, 0, NI_NUMERICHOST) == 0)
			n++;
	}
	return n;
}

/* End a look-up, under way or not.  Not to be called while c-ares is on the stack. */
void
ep_resolver_free(EpResolver *resolver)
{
	resolver->closing = true;

	/* before c-ares closes the descriptors */
	for (int i = 0; i < MAX_SOCKETS; i++)
		ep_watch_clear(&resolver->watches[i]);
	if (resolver->found)
		ares_freeaddrinfo(resolver->found);
	if (resolver->channel_open)
		ares_destroy(resolver->channel);
	pfree(resolver);
}
