/*-------------------------------------------------------------------------
 *
 * test_relay.c
 *		The relay on the worker's real loop, with a real remote on the other
 *		side of the SSL object.
 *
 * The relay's own text is part of this file, so that what it holds and asks
 * for can be looked at.  Its transports and callbacks are wrapped in ones that
 * count.
 *
 *-------------------------------------------------------------------------
 */
#include "worker/relay.c"

#include <openssl/err.h>
#include <poll.h>
#include <sys/resource.h>

#include "miscadmin.h"
#include "storage/latch.h"

#include "shared/shared.h"
#include "tlspair.h"
#include "unit.h"

/* This many at once; one that has ended is followed by another. */
#define LANES		3
#define CONNECTIONS	500
#define PIECE		(100 * 1000)

/* So many calls in a row that move nothing, and nothing new from outside, are a spin. */
#define IDLE_CALLS	100

/* A relay between a user and a remote, and what they sent and got. */
typedef struct Lane
{
	uint64		seed;
	uint64		random;
	TlsPair		pair;			/* client: the relay's far side, server: the remote */
	EpRelay    *relay;
	int			user;			/* the user's descriptor; -1: closed */

	uint64		user_sent;
	uint64		user_got;
	uint64		remote_sent;
	uint64		remote_got;
	size_t		remote_retries; /* so much was given to SSL_write and not taken */
	bool		wrong;			/* not the bytes that were sent */

	bool		user_says_end;	/* it sends nothing more */
	bool		user_sees_end;
	bool		remote_says_end;
	bool		remote_sees_end;
	bool		up_may_lose;	/* the way it ended may take bytes that were on their way with it */
	bool		down_may_lose;

	bool		far_stutters;	/* reading has to wait for writing now and then */
	bool		far_asks;		/* writing has to wait for reading */
	int			calls;			/* of the relay's callbacks */
	int			idle_calls;		/* of these, the last ones that moved nothing */
	uint64		moved;
	uint64		read_down;		/* by the relay, and so on */
	uint64		read_up;
	uint64		wrote_down;
	uint64		wrote_up;
} Lane;

static Lane lanes[LANES];
static char piece[PIECE];

/* ------------------------------------------- what the relay uses of libpq */

static TlsPair *connecting;

void *
PQsslStruct(PGconn *conn, const char *name)
{
	return strcmp(name, "OpenSSL") == 0 ? connecting->client : NULL;
}

int
PQsocket(const PGconn *conn)
{
	return connecting->client_fd;
}

/* ---------------------------------------------------------------- wrappers */

static ssize_t (*socket_reads) (EpTransport *t, void *buf, size_t len);
static ssize_t (*socket_writes) (EpTransport *t, const void *buf, size_t len);
static ssize_t (*tls_reads) (EpTransport *t, void *buf, size_t len);
static ssize_t (*tls_writes) (EpTransport *t, const void *buf, size_t len);

/* Numbers that depend on the lane's seed alone. */
static int
lane_random(Lane *lane, int limit)
{
	lane->random ^= lane->random << 13;
	lane->random ^= lane->random >> 7;
	lane->random ^= lane->random << 17;
	return (int) ((lane->random >> 16) % (uint64) limit);
}

static Lane *
lane_of(const EpTransport *t)
{
	for (int i = 0; i < LANES; i++)
	{
		if (lanes[i].relay && (t == &lanes[i].relay->near || t == &lanes[i].relay->far))
			return &lanes[i];
	}
	abort();
}

static ssize_t
count(Lane *lane, uint64 *counter, ssize_t n)
{
	if (n > 0)
	{
		*counter += n;
		lane->moved += n;
	}
	return n;
}

static ssize_t
near_reads(EpTransport *t, void *buf, size_t len)
{
	Lane	   *lane = lane_of(t);

	return count(lane, &lane->read_up, socket_reads(t, buf, len));
}

static ssize_t
near_writes(EpTransport *t, const void *buf, size_t len)
{
	Lane	   *lane = lane_of(t);

	return count(lane, &lane->wrote_down, socket_writes(t, buf, len));
}

static ssize_t
far_reads(EpTransport *t, void *buf, size_t len)
{
	Lane	   *lane = lane_of(t);

	if (lane->far_stutters && lane_random(lane, 4) == 0)
	{
		t->read_wants_write = true;
		t->more = false;
		return 0;
	}
	return count(lane, &lane->read_down, tls_reads(t, buf, len));
}

static ssize_t
far_writes(EpTransport *t, const void *buf, size_t len)
{
	Lane	   *lane = lane_of(t);

	if (lane->far_asks)
	{
		t->write_wants_read = true;
		return 0;
	}
	return count(lane, &lane->wrote_up, tls_writes(t, buf, len));
}

static size_t
held(const Flow *flow)
{
	return flow->rest ? flow->end : 0;
}

/* Changes whenever a direction gets further towards its end. */
static int
stage(const EpRelay *relay)
{
	return relay->down.source_ended + relay->down.over + relay->up.source_ended + relay->up.over;
}

static void
counting_event(Lane *lane, EpWatchCallback callback, EpWatch *watch, uint32 events)
{
	uint64		moved = lane->moved;
	uint64		down = lane->read_down;
	uint64		up = lane->read_up;
	int			before = stage(lane->relay);

	callback(watch, events);
	lane->calls++;
	if (lane->moved != moved || stage(lane->relay) != before)
		lane->idle_calls = 0;
	else
		lane->idle_calls++;
	CHECK(lane->read_down - down <= TURN && lane->read_up - up <= TURN,
		  "seed " UINT64_FORMAT ": more than a turn", lane->seed);
	CHECK(held(&lane->relay->down) <= TURN && held(&lane->relay->up) <= TURN,
		  "seed " UINT64_FORMAT ": holds more than a turn", lane->seed);
	CHECK(lane->relay->down.over || lane->read_down - lane->wrote_down <= TURN,
		  "seed " UINT64_FORMAT ": reads what it cannot pass on", lane->seed);
	CHECK(lane->relay->up.over || lane->read_up - lane->wrote_up <= TURN,
		  "seed " UINT64_FORMAT ": reads what it cannot pass on", lane->seed);
}

static void
counting_near(EpWatch *watch, uint32 events)
{
	counting_event(lane_of(&((EpRelay *) watch->arg)->near), near_event, watch, events);
}

static void
counting_far(EpWatch *watch, uint32 events)
{
	counting_event(lane_of(&((EpRelay *) watch->arg)->far), far_event, watch, events);
}

/* ------------------------------------------------------------------- lanes */

static void
lane_open(Lane *lane, int flags, uint64 seed)
{
	memset(lane, 0, sizeof(Lane));
	lane->seed = seed;
	lane->random = seed * UINT64CONST(0x9e3779b97f4a7c15) + 1;
	tls_pair_open(&lane->pair, flags);
	connecting = &lane->pair;
	lane->relay = ep_relay_start(NULL, &lane->user);
	if (lane->relay == NULL)
		abort();
	socket_reads = lane->relay->near.read;
	socket_writes = lane->relay->near.write;
	tls_reads = lane->relay->far.read;
	tls_writes = lane->relay->far.write;
	lane->relay->near.read = near_reads;
	lane->relay->near.write = near_writes;
	lane->relay->far.read = far_reads;
	lane->relay->far.write = far_writes;
	lane->relay->near_watch.callback = counting_near;
	lane->relay->far_watch.callback = counting_far;
}

static void
lane_close(Lane *lane)
{
	if (lane->relay)
		ep_relay_free(lane->relay);
	lane->relay = NULL;
	if (lane->user >= 0)
		close(lane->user);
	tls_pair_close(&lane->pair);
}

static void
set_buffer(int fd, int which, int size)
{
	(void) setsockopt(fd, SOL_SOCKET, which, &size, sizeof(size));
}

static void
random_buffers(Lane *lane)
{
	if (lane_random(lane, 2))
		set_buffer(lane->user, SO_SNDBUF, 4096 + lane_random(lane, 100000));
	if (lane_random(lane, 2))
		set_buffer(lane->relay->near.fd, SO_SNDBUF, 4096 + lane_random(lane, 100000));
	if (lane_random(lane, 2))
		set_buffer(lane->relay->far.fd, SO_SNDBUF, 4096 + lane_random(lane, 100000));
	if (lane_random(lane, 2))
		set_buffer(lane->pair.server_fd, SO_SNDBUF, 4096 + lane_random(lane, 100000));
}

/* One pass of the loop: a latch that is set ends the wait after it. */
static void
pass(void)
{
	SetLatch(MyLatch);
	ep_loop_wait();
}

/* ------------------------------------------------------ user and remote act */

static void
user_sends(Lane *lane, size_t len)
{
	ssize_t		n;

	if (lane->user < 0 || lane->user_says_end)
		return;
	len = Min(len, PIECE);
	stream_fill(piece, lane->user_sent, len);
	n = send(lane->user, piece, len, MSG_NOSIGNAL);
	lane->idle_calls = 0;
	if (n > 0)
		lane->user_sent += n;
	else if (errno != EAGAIN)
		lane->user_says_end = true;
}

static void
user_reads(Lane *lane, size_t len)
{
	ssize_t		n;

	if (lane->user < 0 || lane->user_sees_end)
		return;
	n = recv(lane->user, piece, Min(len, PIECE), 0);
	lane->idle_calls = 0;
	if (n > 0)
	{
		lane->wrong |= !stream_matches(piece, lane->user_got, n);
		lane->user_got += n;
	}
	else if (n == 0 || errno != EAGAIN)
		lane->user_sees_end = true;
}

static void
user_reads_all(Lane *lane)
{
	uint64		before;

	do
	{
		before = lane->user_got;
		user_reads(lane, PIECE);
	} while (lane->user_got > before);
}

static bool
remote_wants(const Lane *lane, int n)
{
	int			error = SSL_get_error(lane->pair.server, n);

	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void
remote_sends(Lane *lane, size_t len)
{
	int			n;

	if (lane->pair.server == NULL || lane->remote_says_end)
		return;
	len = Min(Max(len, lane->remote_retries), PIECE);
	stream_fill(piece, lane->remote_sent, len);
	ERR_clear_error();
	n = SSL_write(lane->pair.server, piece, (int) len);
	lane->idle_calls = 0;
	lane->remote_retries = n > 0 ? 0 : len;
	if (n > 0)
		lane->remote_sent += n;
	else if (!remote_wants(lane, n))
	{
		/* having read an end without a goodbye OpenSSL writes nothing any more: a remote would hang up */
		lane->remote_says_end = true;
		shutdown(lane->pair.server_fd, SHUT_WR);
	}
}

static void
remote_reads(Lane *lane, size_t len)
{
	int			n;

	if (lane->pair.server == NULL || lane->remote_sees_end)
		return;
	ERR_clear_error();
	n = SSL_read(lane->pair.server, piece, (int) Min(len, PIECE));
	lane->idle_calls = 0;
	if (n > 0)
	{
		lane->wrong |= !stream_matches(piece, lane->remote_got, n);
		lane->remote_got += n;
	}
	else if (!remote_wants(lane, n))
		lane->remote_sees_end = true;
}

/* In the middle of a key update the remote reads nothing before it could write that. */
static bool
updates_key(const Lane *lane)
{
	return lane->pair.server &&
		(SSL_in_init(lane->pair.server) ||
		 SSL_get_key_update_type(lane->pair.server) != SSL_KEY_UPDATE_NONE);
}

/* The user ends: it sends nothing more, or goes at once, whatever it has not read. */
static void
user_ends(Lane *lane, bool at_once)
{
	if (lane->user < 0)
		return;
	lane->user_says_end = true;
	if (!at_once)
	{
		shutdown(lane->user, SHUT_WR);
		return;
	}
	close(lane->user);
	lane->user = -1;
	lane->down_may_lose = true;
	/* a remote that still sends is answered by an error; over TCP that is a reset */
	lane->up_may_lose |= (lane->pair.flags & PAIR_TCP) != 0 || updates_key(lane);
}

/* The remote ends: it says goodbye and sends nothing more, or just hangs up, or goes at once. */
static void
remote_ends(Lane *lane, int how)
{
	if (lane->pair.server == NULL)
		return;
	lane->remote_says_end = true;
	if (updates_key(lane))
		how = 0;
	switch (how)
	{
		case 0:
			tls_pair_close_server(&lane->pair);
			lane->up_may_lose = lane->down_may_lose = true;
			break;
		case 1:
			/* OpenSSL then refuses to write, too */
			shutdown(lane->pair.server_fd, SHUT_WR);
			lane->up_may_lose = true;
			break;
		default:
			if (lane->remote_retries > 0 || SSL_shutdown(lane->pair.server) < 0)
				lane->up_may_lose = true;	/* no room for the goodbye */
			shutdown(lane->pair.server_fd, SHUT_WR);
	}
}

/* ---------------------------------------------------------------- at random */

static void
random_step(Lane *lane)
{
	static const int scale[] = {10, 1000, 20000, PIECE};
	size_t		len = 1 + lane_random(lane, scale[lane_random(lane, lengthof(scale))]);

	switch (lane_random(lane, 10))
	{
		case 0:
		case 1:
			user_sends(lane, len);
			break;
		case 2:
		case 3:
			user_reads(lane, len);
			break;
		case 4:
		case 5:
			remote_sends(lane, len);
			break;
		case 6:
		case 7:
			remote_reads(lane, len);
			break;
		case 8:
			/* nobody reads */
			for (int i = 0; i < 10; i++)
			{
				user_sends(lane, PIECE);
				remote_sends(lane, PIECE);
				pass();
			}
			break;
		default:
			/* (if the relay could not read before it wrote, both would wait for each other) */
			if (!(lane->pair.flags & PAIR_TLS12) && lane->pair.server && lane->remote_retries == 0 &&
				!lane->far_stutters)
				(void) SSL_key_update(lane->pair.server, SSL_KEY_UPDATE_NOT_REQUESTED);
	}
}

/* Nobody outside does anything: the relay comes to rest. */
static void
check_rest(Lane *lane)
{
	for (int calls = -1; calls != lane->calls && lane->idle_calls < IDLE_CALLS;)
	{
		calls = lane->calls;
		pass();
	}
	CHECK(lane->idle_calls < IDLE_CALLS, "seed " UINT64_FORMAT ": spins", lane->seed);
}

/* SSL_write may have sent records, and yet say that it would block. */
static bool
down_is_whole(const Lane *lane)
{
	return lane->user_got >= lane->remote_sent && lane->user_got <= lane->remote_sent + lane->remote_retries;
}

static bool
finished(const Lane *lane)
{
	return (lane->user < 0 || lane->user_sees_end || !lane->remote_says_end) &&
		(lane->pair.server == NULL || lane->remote_sees_end || !lane->user_says_end) &&
		(lane->up_may_lose || lane->remote_got == lane->user_sent) &&
		(lane->down_may_lose || down_is_whole(lane));
}

/* Everybody reads until all has come that has to come. */
static void
read_all(Lane *lane)
{
	/* over TCP with small buffers the kernel may probe for room, less and less often: seconds may pass */
	for (int i = 0; i < 60000 && !finished(lane); i++)
	{
		uint64		got = lane->user_got + lane->remote_got;

		pass();
		if (lane->remote_retries > 0)
			remote_sends(lane, 0);
		user_reads(lane, PIECE);
		remote_reads(lane, PIECE);
		if (i > 100 && got == lane->user_got + lane->remote_got)
			poll(NULL, 0, 1);
	}
	CHECK(!lane->wrong, "seed " UINT64_FORMAT ": other bytes", lane->seed);
	if (!lane->up_may_lose)
		CHECK_INT(lane->remote_got, lane->user_sent, "seed " UINT64_FORMAT, lane->seed);
	if (!lane->down_may_lose)
		CHECK(down_is_whole(lane), "seed " UINT64_FORMAT ": " UINT64_FORMAT " of " UINT64_FORMAT,
			  lane->seed, lane->user_got, lane->remote_sent);
	CHECK(finished(lane), "seed " UINT64_FORMAT ": an end is not passed on; kind %d, stutters %d, user %d says %d sees %d, remote %d says %d sees %d",
		  lane->seed, lane->pair.flags, lane->far_stutters, lane->user, lane->user_says_end, lane->user_sees_end,
		  lane->pair.server != NULL, lane->remote_says_end, lane->remote_sees_end);
}

/* The lane's life is over: one side ends, or both, and all that was sent arrives. */
static void
check_ends(Lane *lane)
{
	int			which = lane_random(lane, 4);

	if (which == 0)
		read_all(lane);			/* nobody ends, yet all arrives */
	if (which != 1)
		user_ends(lane, lane_random(lane, 3) == 0);
	if (lane_random(lane, 2))
		check_rest(lane);
	if (which != 2)
		remote_ends(lane, lane_random(lane, 4));
	if (lane_random(lane, 2))
		check_rest(lane);
	read_all(lane);
	check_rest(lane);
}

static void
test_random(void)
{
	uint64		seed = 0;

	for (int i = 0; i < LANES; i++)
		lane_open(&lanes[i], i, ++seed);
	while (seed < CONNECTIONS)
	{
		Lane	   *lane = &lanes[unit_random(LANES)];

		switch (unit_random(60))
		{
			case 0:
				check_ends(lane);
				/* FALLTHROUGH */
			case 1:
				/* in case 1 at once, with everything on its way */
				lane_close(lane);
				seed++;
				lane_open(lane, (int) (seed % PAIR_KINDS), seed);
				random_buffers(lane);
				lane->far_stutters = lane_random(lane, 4) == 0;
				break;
			case 2:
			case 3:
				check_rest(lane);
				break;
			default:
				random_step(lane);
				if (unit_random(2))
					pass();
		}
	}
	for (int i = 0; i < LANES; i++)
		lane_close(&lanes[i]);
}

/* ------------------------------------------------------------- single cases */

/*
 * What the SSL object has read ahead moves on although the descriptor has
 * nothing more to announce, a turn in each pass.
 */
static void
test_read_ahead(void)
{
	Lane	   *lane = &lanes[0];

	lane_open(lane, 0, 1);
	set_buffer(lane->pair.server_fd, SO_SNDBUF, 400000);
	set_buffer(lane->relay->near.fd, SO_SNDBUF, 400000);
	check_rest(lane);
	while (lane->remote_sent < 200000 && !lane->remote_says_end)
		remote_sends(lane, 200000 - lane->remote_sent);
	for (int i = 0; i < 10 && lane->user_got < 200000; i++)
	{
		pass();
		user_reads_all(lane);
	}
	CHECK_INT(lane->user_got, 200000, "read ahead");
	CHECK(!lane->wrong, "read ahead");
	check_rest(lane);
	lane_close(lane);
}

/* Reading has to wait for writing: it is not asked whether there is something to read. */
static void
test_read_waits_for_write(void)
{
	Lane	   *lane = &lanes[0];

	lane_open(lane, 0, 1);
	check_rest(lane);
	lane->relay->far.read_wants_write = true;
	set_watches(lane->relay);
	CHECK_INT(lane->relay->far_watch.events, EPOLLOUT, "waits until it can write");
	remote_sends(lane, 100);
	pass();
	user_reads(lane, 1000);
	CHECK_INT(lane->user_got, 100, "goes on");
	CHECK_INT(lane->relay->far_watch.events, EPOLLIN, "as usual again");
	lane_close(lane);
}

/* Writing has to wait for reading: that the socket is writable does not count. */
static void
test_write_waits_for_read(void)
{
	Lane	   *lane = &lanes[0];

	lane_open(lane, 0, 1);
	check_rest(lane);
	lane->far_asks = true;
	user_sends(lane, 1000);
	check_rest(lane);
	CHECK_INT(held(&lane->relay->up), 1000, "waits");
	CHECK_INT(lane->relay->far_watch.events, EPOLLIN, "waits for the remote");
	CHECK_INT(lane->relay->near_watch.events, 0, "and reads nothing more");
	lane->far_asks = false;
	remote_sends(lane, 10);
	read_all(lane);
	CHECK_INT(lane->remote_got, 1000, "goes on");
	lane_close(lane);
}

/* A side that takes nothing stops the other one, and not more than that one. */
static void
test_stalled(void)
{
	Lane	   *lane = &lanes[0];

	lane_open(lane, 0, 1);
	for (int i = 0; i < 200; i++)
	{
		remote_sends(lane, PIECE);
		pass();
	}
	check_rest(lane);
	CHECK(held(&lane->relay->down) > 0, "the user reads nothing");
	CHECK(lane->remote_sent < 2 * 1000 * 1000, "the remote has to wait");
	CHECK_INT(lane->relay->far_watch.events, 0, "nothing is read any more");
	CHECK_INT(lane->relay->near_watch.events, EPOLLIN | EPOLLOUT, "the other direction is open");
	user_sends(lane, 1000);
	pass();
	remote_reads(lane, PIECE);
	CHECK_INT(lane->remote_got, 1000, "the other direction is open");
	read_all(lane);
	lane_close(lane);
}

static bool user_was_called;

static void
user_event(EpWatch *watch, uint32 events)
{
	user_was_called = true;
	ep_watch_clear(watch);
}

/* What is on its way does not wake whom it does not concern; what it brings about does. */
static void
test_quiet(void)
{
	Lane	   *lane = &lanes[0];
	EpWatch		watch;

	lane_open(lane, 0, 1);
	check_rest(lane);
	ep_watch_init(&watch, user_event, NULL);
	ep_watch_set(&watch, lane->user, EPOLLIN);
	user_was_called = false;
	remote_sends(lane, 1000);
	ep_loop_wait();
	CHECK(user_was_called, "the relay's own events do not end the wait");
	user_reads(lane, 2000);
	CHECK_INT(lane->user_got, 1000, "it came");

	/* nor do they keep it from ending in time */
	lane->relay->far.more = true;
	set_watches(lane->relay);
	ep_loop_wake_at(ep_now_us() + 1000);
	ep_loop_wait();
	CHECK(!lane->relay->far_watch.again, "called again");
	lane_close(lane);
}

/* A callback ends a relay for which there are more events in the same batch, and one asked for. */
static void
free_event(EpWatch *watch, uint32 events)
{
	ep_watch_clear(watch);
	for (int i = 0; i < LANES; i++)
	{
		if (lanes[i].relay)
			ep_relay_free(lanes[i].relay);
		lanes[i].relay = NULL;
	}
}

static void
test_free_within_batch(void)
{
	int			ends[2];
	EpWatch		watch;

	if (pipe(ends) != 0)
		abort();
	(void) !write(ends[1], "x", 1);
	for (int when = 0; when < 2; when++)
	{
		for (int i = 0; i < LANES; i++)
			lane_open(&lanes[i], 0, 1);
		for (int i = 0; i < LANES; i++)
			check_rest(&lanes[i]);
		for (int i = 0; i < LANES; i++)
		{
			user_sends(&lanes[i], 1000);
			remote_sends(&lanes[i], 1000);
		}
		ep_watch_init(&watch, free_event, NULL);
		if (when == 0)
			ep_watch_set(&watch, ends[0], EPOLLIN);
		else
			ep_watch_again(&watch);
		for (int i = 0; i < LANES; i++)
			ep_watch_again(&lanes[i].relay->far_watch);
		pass();
		pass();
		for (int i = 0; i < LANES; i++)
		{
			CHECK(lanes[i].relay == NULL, "was freed");
			user_reads_all(&lanes[i]);
			CHECK(lanes[i].user_sees_end, "it is the user's end");
			lane_close(&lanes[i]);
		}
	}
	close(ends[0]);
	close(ends[1]);
}

static void
test_no_descriptor(void)
{
	struct rlimit limit;
	struct rlimit none;
	int			fd;

	connecting = NULL;
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	CHECK(ep_relay_start(NULL, &fd) == NULL, "no descriptor left");
	setrlimit(RLIMIT_NOFILE, &limit);
}

void
test_relay(void)
{
	ep_loop_init();
	test_read_ahead();
	test_read_waits_for_write();
	test_write_waits_for_read();
	test_stalled();
	test_quiet();
	test_free_within_batch();
	test_no_descriptor();
	test_random();
}
