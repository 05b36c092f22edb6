/*-------------------------------------------------------------------------
 *
 * channel.c
 *		The worker's end of the channel over which backends fetch descriptors.
 *
 * A Unix stream socket in pg_stat_tmp.  A client connects, sends one request,
 * gets one answer with descriptors, and is closed; the next descriptors are
 * another connection's.  So each client has at most one batch that it has not
 * taken yet.  The kernel limits how many descriptors may be on their way for
 * one user (ETOOMANYREFS): that, as every other lack, means to try again in a
 * few milliseconds, and is no error.
 *
 * Who is answered: a process of the same user that holds the lease on the
 * connection it asks for.  One that is no backend with an entry of its own is
 * hung up on at once: whatever it does, it costs the worker nothing that lasts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "shared/shared.h"
#include "worker/channel.h"
#include "worker/keeper.h"
#include "worker/loop.h"

#define BACKLOG				4096	/* the kernel cuts it to what it allows */
#define ACCEPT_BATCH		64		/* clients taken at one event */
#define CLIENT_TIMEOUT_US	5000000 /* how long a client may take to ask, and an answer to leave */
#define FIRST_RETRY_US		2000
#define MAX_RETRY_US		20000

typedef struct Client
{
	dlist_node	node;
	EpWatch		watch;
	int			fd;
	pid_t		pid;
	EpChannelRequest request;
	size_t		got;			/* bytes of the request */
	uint64		deadline;
	uint64		retry_at;		/* 0: no answer is due */
	uint64		retry_delay;
} Client;

static int	listen_fd = -1;
static EpWatch listen_watch = {.fd = -1};
static uint64 listen_again_at = 0;	/* no descriptor for a client was left; 0: listening */
static int	my_worker = -1;
static dlist_head clients = DLIST_STATIC_INIT(clients);

/* The path of a worker's socket, relative to the data directory, in which every process runs. */
void
ep_channel_path(int worker, char *path, Size size)
{
	snprintf(path, size, "%s/enhanced_pool.%d", PG_STAT_TMP_DIR, worker);
}

/* ---------------------------------------------------------------- clients */

static void
drop(Client *client)
{
	ep_watch_clear(&client->watch);
	close(client->fd);
	dlist_delete(&client->node);
	pfree(client);
}

/* May this process have the connection?  It holds the lease.  Caller holds the pool's lock. */
static bool
is_holder(const Client *client, const EpPool *pool, const EpConn *conn)
{
	const EpChannelRequest *r = &client->request;

	return pool->in_use && pool->generation == r->pool_generation && pool->worker == my_worker &&
		conn->pool == r->pool && conn->conn_id == r->conn_id && conn->epoch == r->epoch &&
		conn->state == EP_LEASED && conn->owner >= 0 && ep_backends[conn->owner].pid == client->pid;
}

static void
add_entry(EpChannelAnswer *answer, int *fds, int slot, uint64 conn_id)
{
	int			fd = ep_keeper_fd(slot, conn_id);

	if (fd < 0)
		return;
	fds[answer->n] = fd;
	answer->entries[answer->n].slot = slot;
	answer->entries[answer->n].conn_id = conn_id;
	answer->n++;
}

/*
 * What a client gets: the connection it has leased, then others of the pool
 * that it may lease next.  n is 0 if the first is gone or not its own.
 */
static void
choose(const Client *client, EpChannelAnswer *answer, int *fds)
{
	const EpChannelRequest *r = &client->request;
	EpPool	   *pool;
	int			max;

	memset(answer, 0, sizeof(EpChannelAnswer));
	answer->magic = EP_CHANNEL_MAGIC;
	if (r->magic != EP_CHANNEL_MAGIC || r->pool < 0 || r->pool >= ep_control->max_pools ||
		r->slot < 0 || r->slot >= ep_control->max_connections)
		return;
	max = 1 + Max(0, Min(r->max_extra, EP_CHANNEL_BATCH - 1));
	pool = &ep_pools[r->pool];
	LWLockAcquire(&pool->lock, LW_SHARED);
	if (is_holder(client, pool, &ep_conns[r->slot]))
		add_entry(answer, fds, r->slot, r->conn_id);
	for (int i = 1; answer->n > 0 && answer->n < max && i < ep_control->max_connections; i++)
	{
		int			slot = (r->slot + i) % ep_control->max_connections;
		const EpConn *conn = &ep_conns[slot];

		if (conn->pool == r->pool && (conn->state == EP_IDLE || conn->state == EP_LEASED) &&
			conn->epoch == r->epoch)
			add_entry(answer, fds, slot, conn->conn_id);
	}
	LWLockRelease(&pool->lock);
}

static ssize_t
send_answer(int fd, EpChannelAnswer *answer, const int *fds)
{
	union
	{
		struct cmsghdr header;
		char		space[CMSG_SPACE(sizeof(int) * EP_CHANNEL_BATCH)];
	}			control;
	struct iovec iov = {answer, sizeof(*answer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (answer->n > 0)
	{
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.space;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * answer->n);
		c = CMSG_FIRSTHDR(&msg);
		Assert(c != NULL);		/* space is larger than a header */
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * answer->n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * answer->n);
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Is this only a lack that passes? */
static bool
is_shortage(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ETOOMANYREFS ||
		error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/*
 * Answer, or see to it that it is tried again.  What the client gets is chosen
 * anew each time; after a refusal only what it needs.
 */
static void
answer(Client *client)
{
	EpChannelAnswer message;
	int			fds[EP_CHANNEL_BATCH];

	choose(client, &message, fds);
	if (send_answer(client->fd, &message, fds) >= 0 || !is_shortage(errno))
	{
		drop(client);
		return;
	}
	client->request.max_extra = 0;
	client->retry_delay = client->retry_delay == 0 ? FIRST_RETRY_US : Min(client->retry_delay * 2, MAX_RETRY_US);
	client->retry_at = ep_now_us() + client->retry_delay;
	/* while it waits only its end is of interest, which comes unasked */
	ep_watch_set(&client->watch, client->fd, EPOLLRDHUP);
}

static void
client_event(EpWatch *watch, uint32 events)
{
	Client	   *client = watch->arg;
	ssize_t		n;

	if (client->retry_at != 0)
	{
		drop(client);			/* it has closed */
		return;
	}
	n = recv(client->fd, (char *) &client->request + client->got,
			 sizeof(client->request) - client->got, MSG_DONTWAIT);
	if (n < 0 && is_shortage(errno))
		return;
	if (n <= 0)
	{
		drop(client);
		return;
	}
	client->got += n;
	if (client->got == sizeof(client->request))
		answer(client);
}

/*
 * Can that process hold a lease?  It has written its pid before it asked for
 * one.  That of a process of another pid namespace is 0, as in entries that
 * nobody has.
 */
static bool
is_backend(pid_t pid)
{
	for (int i = 0; pid > 0 && i < ep_control->n_backends; i++)
	{
		if (((volatile EpBackend *) &ep_backends[i])->pid == pid)
			return true;
	}
	return false;
}

static bool
may_ask(int fd, pid_t *pid)
{
	struct ucred peer;
	socklen_t	len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || peer.uid != geteuid())
		return false;
	*pid = peer.pid;
	return is_backend(peer.pid);
}

static void
add_client(int fd, pid_t pid)
{
	Client	   *client = MemoryContextAllocZero(TopMemoryContext, sizeof(Client));

	client->fd = fd;
	client->pid = pid;
	client->deadline = ep_now_us() + CLIENT_TIMEOUT_US;
	dlist_push_tail(&clients, &client->node);
	ep_watch_init(&client->watch, client_event, client);
	ep_watch_set(&client->watch, fd, EPOLLIN | EPOLLRDHUP);
}

static void
accept_event(EpWatch *watch pg_attribute_unused(), uint32 events pg_attribute_unused())
{
	for (int i = 0; i < ACCEPT_BATCH; i++)
	{
		int			fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		pid_t		pid;

		if (fd >= 0)
		{
			if (may_ask(fd, &pid))
				add_client(fd, pid);
			else
				close(fd);
			continue;
		}
		if (errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		{
			/* clients wait in the backlog; do not be told of them all the time */
			ep_watch_clear(&listen_watch);
			listen_again_at = ep_now_us() + MAX_RETRY_US;
		}
		return;
	}
}

/* --------------------------------------------------------------- interface */

/*
 * Begin to listen; the loop must have been prepared.  The socket of a worker
 * that was killed is replaced.  Raises an error if there can be no socket: the
 * worker cannot serve anybody without.
 */
void
ep_channel_open(int worker)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t		mask;
	int			bound;

	my_worker = worker;
	ep_channel_path(worker, addr.sun_path, sizeof(addr.sun_path));
	(void) unlink(addr.sun_path);
	ReserveExternalFD();
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listen_fd < 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create socket: %m")));
	mask = umask(0177);
	bound = bind(listen_fd, (struct sockaddr *) &addr, sizeof(addr));
	umask(mask);
	if (bound != 0 || listen(listen_fd, BACKLOG) != 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not listen on socket \"%s\": %m", addr.sun_path)));
	ep_watch_init(&listen_watch, accept_event, NULL);
	ep_watch_set(&listen_watch, listen_fd, EPOLLIN);
}

/* Do what is due at that time (monotonic us), and have the loop wake up for what is not yet. */
void
ep_channel_tick(uint64 now_us)
{
	dlist_mutable_iter it;

	if (listen_fd >= 0 && listen_again_at != 0)
	{
		if (now_us >= listen_again_at)
		{
			listen_again_at = 0;
			ep_watch_set(&listen_watch, listen_fd, EPOLLIN);
		}
		else
			ep_loop_wake_at(listen_again_at);
	}
	dlist_foreach_modify(it, &clients)
	{
		Client	   *client = dlist_container(Client, node, it.cur);

		if (now_us >= client->deadline)
			drop(client);
		else if (client->retry_at != 0 && now_us >= client->retry_at)
			answer(client);
	}
	dlist_foreach_modify(it, &clients)
	{
		Client	   *client = dlist_container(Client, node, it.cur);

		ep_loop_wake_at(client->retry_at != 0 ? Min(client->retry_at, client->deadline) : client->deadline);
	}
}

/* Stop listening and drop every client, who then ask the next worker.  Idempotent; raises nothing. */
void
ep_channel_close(void)
{
	char		path[MAXPGPATH];
	dlist_mutable_iter it;

	if (listen_fd < 0)
		return;
	ep_channel_path(my_worker, path, sizeof(path));
	(void) unlink(path);
	ep_watch_clear(&listen_watch);
	close(listen_fd);
	ReleaseExternalFD();
	listen_fd = -1;
	dlist_foreach_modify(it, &clients)
		drop(dlist_container(Client, node, it.cur));
}
