/*-------------------------------------------------------------------------
 *
 * fetch.c
 *		Fetching descriptors from the worker.
 *
 * One connection to the worker's socket for each fetch: a request, an answer
 * that carries descriptors (SCM_RIGHTS), end.  The descriptor of the leased
 * connection comes first, then those of others of the pool, as many as this
 * process may have.  Everything that only says "not now" (a full backlog, a
 * worker that is starting) is waited for, with the latch, up to the deadline.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "client/fetch.h"
#include "client/socket_wait.h"
#include "compat.h"
#include "worker/channel.h"

/* Milliseconds between attempts: doubled from the first to the second. */
#define FIRST_DELAY_MS	2
#define MAX_DELAY_MS	20

/* Descriptors that are left to whoever else in this process wants one. */
#define FREE_DESCRIPTORS	4

typedef enum FetchResult
{
	FETCH_OK,					/* descriptors and answer have arrived */
	FETCH_GONE,					/* the worker does not have the connection */
	FETCH_LATER,				/* nothing is wrong; try again in a moment */
	FETCH_TRUNCATED				/* this process could not take all descriptors */
} FetchResult;

/* What must not be lost while a fetch is under way. */
typedef struct Fetch
{
	int			sock;			/* or -1 */
	int			reserved;		/* AcquireExternalFD() done for descriptors to come */
	int			nfds;
	int			fds[EP_CHANNEL_BATCH];
	EpChannelAnswer answer;
} Fetch;

static uint32
fetch_wait_event(void)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolDescriptor");
	return wait_event;
}

static void
close_received(Fetch *fetch)
{
	for (int i = 0; i < fetch->nfds; i++)
	{
		if (fetch->fds[i] >= 0)
			close(fetch->fds[i]);
	}
	fetch->nfds = 0;
}

static void
close_channel(Fetch *fetch)
{
	if (fetch->sock < 0)
		return;
	close(fetch->sock);
	fetch->sock = -1;
	ReleaseExternalFD();
}

static void
clean_up(Fetch *fetch)
{
	close_channel(fetch);
	close_received(fetch);
	for (; fetch->reserved > 0; fetch->reserved--)
		ReleaseExternalFD();
}

/* ----------------------------------------------------------------- channel */

static bool
peer_is_trusted(int sock)
{
	struct ucred peer;
	socklen_t	len = sizeof(peer);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

/* Connect to a worker.  Returns OK or LATER; raises an error for what waiting cannot mend. */
static FetchResult
open_channel(Fetch *fetch, int worker)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	ep_descriptor_reserve();
	fetch->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fetch->sock < 0)
	{
		int			error = errno;

		ReleaseExternalFD();
		if (error == EMFILE)
			ep_descriptor_make_room();
		else
			(void) ep_descriptor_give_up_one();
		return FETCH_LATER;
	}
	ep_channel_path(worker, addr.sun_path, sizeof(addr.sun_path));
	if (connect(fetch->sock, (struct sockaddr *) &addr, sizeof(addr)) == 0)
	{
		if (!peer_is_trusted(fetch->sock))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("the socket of the enhanced_pool worker belongs to another user")));
		return FETCH_OK;
	}
	if (errno != EAGAIN && errno != ECONNREFUSED && errno != ENOENT && errno != EINTR)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not connect to the enhanced_pool worker: %m")));
	close_channel(fetch);
	return FETCH_LATER;
}

/* Wait for the answer.  False when the deadline has passed. */
static bool
wait_readable(Fetch *fetch, uint64 deadline_us)
{
	for (;;)
	{
		uint64		now = ep_now_us();
		long		ms = now >= deadline_us ? 0 : (long) Min((deadline_us - now) / 1000 + 1, 60000);
		int			rc = WaitLatchOrSocket(MyLatch,
										   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
										   fetch->sock, ms, fetch_wait_event());

		if (rc & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		if (rc & WL_SOCKET_READABLE)
			return true;
		if ((rc & WL_TIMEOUT) && now >= deadline_us)
			return false;
	}
}

static void
take_descriptors(Fetch *fetch, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c))
	{
		int			n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (int) ((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		n = Min(n, EP_CHANNEL_BATCH - fetch->nfds);
		memcpy(fetch->fds + fetch->nfds, CMSG_DATA(c), n * sizeof(int));
		fetch->nfds += n;
	}
}

static FetchResult
receive_answer(Fetch *fetch)
{
	union
	{
		struct cmsghdr header;
		char		space[CMSG_SPACE(sizeof(int) * EP_CHANNEL_BATCH)];
	}			control;
	struct iovec iov = {&fetch->answer, sizeof(fetch->answer)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.space, .msg_controllen = sizeof(control.space)
	};
	ssize_t		n = recvmsg(fetch->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? FETCH_LATER : FETCH_GONE;
	if (n == 0)
		return FETCH_LATER;		/* dropped for want of something, or the worker ends, which its epoch tells */
	take_descriptors(fetch, &msg);
	if (msg.msg_flags & MSG_CTRUNC)
		return FETCH_TRUNCATED;
	if (n != sizeof(fetch->answer) || fetch->answer.magic != EP_CHANNEL_MAGIC ||
		fetch->answer.n < 1 || fetch->answer.n != fetch->nfds)
		return FETCH_GONE;
	return FETCH_OK;
}

/* One attempt; leaves descriptors and answer in *fetch if it is OK. */
static FetchResult
attempt(Fetch *fetch, int worker, const EpChannelRequest *request, uint64 deadline_us)
{
	FetchResult result = open_channel(fetch, worker);

	if (result != FETCH_OK)
		return result;
	/* a fresh socket's buffer takes that at once */
	if (send(fetch->sock, request, sizeof(*request), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(*request) ||
		!wait_readable(fetch, deadline_us))
		result = FETCH_LATER;
	else
		result = receive_answer(fetch);
	close_channel(fetch);
	if (result != FETCH_OK)
		close_received(fetch);
	return result;
}

/* ------------------------------------------------------------------- fetch */

/*
 * Put what came into the cache.  Those brought along go to its cold end, so
 * that they are the first to be given up.
 */
static EpDescriptor *
install_received(Fetch *fetch, int slot, uint64 conn_id)
{
	EpDescriptor *leased = NULL;

	for (int i = 0; i < fetch->nfds && fetch->reserved > 0; i++)
	{
		const EpChannelEntry *entry = &fetch->answer.entries[i];
		EpDescriptor *desc;

		if (entry->slot < 0 || entry->slot >= ep_control->max_connections)
			continue;
		desc = ep_descriptor_install(entry->slot, entry->conn_id, fetch->fds[i]);
		if (desc == NULL)
			continue;
		fetch->fds[i] = -1;
		fetch->reserved--;
		if (entry->slot == slot && entry->conn_id == conn_id)
			leased = desc;
	}
	return leased ? ep_descriptor_lookup(slot, conn_id) : NULL;
}

/*
 * Reserve the leased connection's descriptor, giving up cached ones if need
 * be, and those of up to extra others if they are to be had for nothing.  Some
 * stay free: the channel and the wait for it take descriptors as well, and so
 * does waiting for several connections at once.  Returns how many others there may be.
 */
static int
reserve(Fetch *fetch, int extra)
{
	int			wanted = 1 + FREE_DESCRIPTORS;

	for (; fetch->reserved < wanted; fetch->reserved++)
		ep_descriptor_reserve();
	while (fetch->reserved < wanted + extra && AcquireExternalFD())
		fetch->reserved++;
	for (int i = 0; i < FREE_DESCRIPTORS; i++)
	{
		ReleaseExternalFD();
		fetch->reserved--;
	}
	return fetch->reserved - 1;
}

/* Sleep until the next attempt.  False when that would be past the deadline. */
static bool
pause_between(long delay_ms, uint64 deadline_us)
{
	if (ep_now_us() + delay_ms * 1000 > deadline_us)
		return false;
	if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, delay_ms,
				  fetch_wait_event()) & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

static EpDescriptor *
fetch_until(Fetch *fetch, int worker, EpChannelRequest *request, uint64 deadline_us)
{
	long		delay_ms = FIRST_DELAY_MS;
	int			extra = EP_CHANNEL_BATCH - 1;

	for (;;)
	{
		request->max_extra = reserve(fetch, extra);
		switch (attempt(fetch, worker, request, deadline_us))
		{
			case FETCH_OK:
				return install_received(fetch, request->slot, request->conn_id);
			case FETCH_GONE:
				return NULL;
			case FETCH_TRUNCATED:
				/* the process's own limit is lower than the server believes */
				for (; fetch->reserved > 1; fetch->reserved--)
					ReleaseExternalFD();
				if (extra == 0)
					ep_descriptor_make_room();
				extra = 0;
				break;
			case FETCH_LATER:
				break;
		}
		if (pg_atomic_read_u64(&ep_control->workers[worker].epoch) != request->epoch ||
			!pause_between(delay_ms, deadline_us))
			return NULL;
		delay_ms = Min(delay_ms * 2, MAX_DELAY_MS);
	}
}

/*
 * Fetch the descriptor of a connection that this backend has leased, and put
 * it, with others of the pool, into the cache.  deadline_us is monotonic
 * (ep_now_us).  No lock held.  Returns NULL if the connection or the worker
 * that opened it is gone, or the deadline has passed.  Raises what interrupts
 * raise, 53000 when leases use every descriptor that there may be, 08006 when
 * the worker cannot be reached for a reason that waiting does not mend.
 */
EpDescriptor *
ep_descriptor_fetch(EpPool *pool, int slot, uint64 conn_id, uint64 deadline_us)
{
	EpDescriptor *volatile desc = NULL;
	EpChannelRequest request = {
		.magic = EP_CHANNEL_MAGIC,
		.pool = (int) (pool - ep_pools),
		.pool_generation = pool->generation,
		.slot = slot,
		.conn_id = conn_id,
		.epoch = ep_conns[slot].epoch
	};
	Fetch		fetch = {.sock = -1};

	ep_descriptor_sweep(pool);
	ep_wait_prepare();
	PG_TRY();
	{
		desc = fetch_until(&fetch, pool->worker, &request, deadline_us);
	}
	PG_FINALLY();
	{
		clean_up(&fetch);
	}
	PG_END_TRY();
	return desc;
}
