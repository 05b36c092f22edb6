/*-------------------------------------------------------------------------
 *
 * test_tls.c
 *		The transport over an SSL object, with a real peer: all sizes, would-block
 *		in both directions, key updates, the ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tlspair.h"
#include "unit.h"
#include "wire/wire.h"

#define BUFFER	(128 * 1024)

/* A pair whose client's end is a transport, and what has gone over it. */
typedef struct Talk
{
	TlsPair		pair;
	EpTransport t;
	uint64		client_sent;
	uint64		client_got;
	uint64		server_sent;
	uint64		server_got;
	size_t		client_retries;	/* so much was given and not taken */
	size_t		server_retries;
	bool		bad;			/* not the bytes that were sent */
} Talk;

static char buffer[BUFFER];

static void
talk_open(Talk *talk, int flags)
{
	memset(talk, 0, sizeof(Talk));
	tls_pair_open(&talk->pair, flags);
	CHECK(ep_transport_tls(&talk->t, talk->pair.client, talk->pair.client_fd), "transport");
}

static void
talk_close(Talk *talk)
{
	tls_pair_close(&talk->pair);
}

static void
small_socket_buffers(Talk *talk)
{
	int			size = 4096;

	setsockopt(talk->pair.client_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(talk->pair.server_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* ------------------------------------------------------- what one call does */

/* Returns what the transport did; each time from another place in memory. */
static ssize_t
client_write(Talk *talk, size_t len)
{
	char	   *data;
	ssize_t		n;

	len = Max(len, talk->client_retries);
	data = malloc(len);
	stream_fill(data, talk->client_sent, len);
	tls_dirty();
	n = talk->t.write(&talk->t, data, len);
	talk->client_retries = n == 0 ? len : 0;
	if (n > 0)
		talk->client_sent += n;
	memset(data, 0, len);
	free(data);
	return n;
}

static ssize_t
client_read(Talk *talk, size_t len)
{
	ssize_t		n;

	tls_dirty();
	n = talk->t.read(&talk->t, buffer, Min(len, BUFFER));
	if (n > 0)
	{
		talk->bad |= !stream_matches(buffer, talk->client_got, n);
		talk->client_got += n;
	}
	return n;
}

static ssize_t
server_write(Talk *talk, size_t len)
{
	int			n;

	len = Min(Max(len, talk->server_retries), BUFFER);
	stream_fill(buffer, talk->server_sent, len);
	ERR_clear_error();
	n = SSL_write(talk->pair.server, buffer, (int) len);
	talk->server_retries = n <= 0 ? len : 0;
	if (n > 0)
		talk->server_sent += n;
	return n;
}

static ssize_t
server_read(Talk *talk, size_t len)
{
	int			n;

	ERR_clear_error();
	n = SSL_read(talk->pair.server, buffer, (int) Min(len, BUFFER));
	if (n > 0)
	{
		talk->bad |= !stream_matches(buffer, talk->server_got, n);
		talk->server_got += n;
	}
	return n;
}

static bool
fd_is(int fd, short events)
{
	struct pollfd p = {.fd = fd,.events = events};

	return poll(&p, 1, 0) > 0 && (p.revents & events);
}

/* Would whoever keeps to what the transport says call read? */
static bool
may_read(Talk *talk)
{
	if (talk->t.more)
		return true;
	if (talk->t.read_wants_write)
		return fd_is(talk->t.fd, POLLOUT);
	return fd_is(talk->t.fd, POLLIN);
}

static bool
may_write(Talk *talk)
{
	if (talk->t.write_wants_read)
		return fd_is(talk->t.fd, POLLIN);
	return fd_is(talk->t.fd, POLLOUT);
}

/* Read until neither the transport nor the descriptor says that there is more. */
static void
client_read_all(Talk *talk, size_t piece)
{
	while (may_read(talk) && client_read(talk, piece) >= 0)
		;
}

static void
server_read_all(Talk *talk)
{
	while (server_read(talk, BUFFER) > 0)
		;
}

/* ---------------------------------------------------------------- sizes */

static const size_t sizes[] = {
	1, 2, 100, 8191, 8192, 8193, 16383, 16384, 16385, 32768, 65535, 65536, 65537, 100000
};

static void
test_sizes(int flags)
{
	for (Size i = 0; i < lengthof(sizes); i++)
	{
		Talk		talk;

		talk_open(&talk, flags);
		CHECK(talk.t.more, "libpq may have left something");
		client_read_all(&talk, 100);	/* session tickets */
		CHECK_INT(client_read(&talk, 100), 0, "nothing there");
		CHECK(!talk.t.more && !talk.t.read_wants_write, "waits for the peer");

		while (talk.client_sent < sizes[i] && client_write(&talk, sizes[i] - talk.client_sent) >= 0)
			server_read_all(&talk);
		server_read_all(&talk);
		CHECK_INT(talk.server_got, sizes[i], "to the server, kind %d", flags);

		for (int turns = 0; turns < 1000 && talk.server_sent < sizes[i]; turns++)
		{
			(void) server_write(&talk, sizes[i] - talk.server_sent);
			client_read_all(&talk, 1 + unit_random(20000));
		}
		CHECK_INT(talk.client_got, sizes[i], "to the client, kind %d", flags);
		CHECK(!talk.bad, "kind %d, size %zu", flags, sizes[i]);
		talk_close(&talk);
	}
}

/*
 * All that came is read by who reads only when he is told to, whatever the
 * sizes of records and of reads: what is in the SSL object is not announced
 * by the descriptor.
 */
static void
test_pending(int flags)
{
	static const size_t pieces[] = {1, 7, 1000, 16384, BUFFER};

	for (Size i = 0; i < lengthof(pieces); i++)
	{
		Talk		talk;

		talk_open(&talk, flags);
		client_read_all(&talk, 100);
		for (int record = 0; record < 60; record++)
			(void) server_write(&talk, 1 + unit_random(record % 3 ? 100 : 2000));
		CHECK(talk.server_sent > 1000, "kind %d", flags);
		while (fd_is(talk.t.fd, POLLIN) || talk.t.more)
			(void) client_read(&talk, pieces[i]);
		CHECK_INT(talk.client_got, talk.server_sent, "kind %d, pieces of %zu", flags, pieces[i]);
		CHECK(!talk.bad, "kind %d, pieces of %zu", flags, pieces[i]);
		talk_close(&talk);
	}
}

/* What libpq read from the socket, but not from the SSL object, is not lost. */
static void
test_left_by_libpq(int flags)
{
	Talk		talk;
	char		first;

	memset(&talk, 0, sizeof(talk));
	tls_pair_open(&talk.pair, flags);
	(void) server_write(&talk, 3000);
	CHECK_INT(SSL_read(talk.pair.client, &first, 1), 1, "kind %d", flags);
	talk.client_got = 1;
	CHECK(ep_transport_tls(&talk.t, talk.pair.client, talk.pair.client_fd), "transport");
	client_read_all(&talk, 1000);
	CHECK_INT(talk.client_got, 3000, "kind %d", flags);
	CHECK(!talk.bad, "kind %d", flags);
	talk_close(&talk);
}

/* A peer that takes nothing for a while: the rest is given again from elsewhere in memory. */
static void
test_full(int flags)
{
	Talk		talk;
	int			blocked = 0;

	talk_open(&talk, flags);
	small_socket_buffers(&talk);
	client_read_all(&talk, 100);
	for (int turns = 0; turns < 10000 && talk.client_sent < 1000000; turns++)
	{
		ssize_t		n = client_write(&talk, 1 + unit_random(BUFFER));

		CHECK(n >= 0, "kind %d: %m", flags);
		if (n < 0)
			break;
		if (n > 0)
			continue;
		blocked++;
		CHECK(!talk.t.write_wants_read, "kind %d", flags);
		/* mostly still full, but the kernel may have made room meanwhile */
		CHECK(client_write(&talk, 0) >= 0, "again, kind %d: %m", flags);
		/* a full way out does not stop what comes in */
		(void) server_write(&talk, 10);
		client_read_all(&talk, 1000);
		(void) server_read(&talk, 1 + unit_random(30000));
		if (unit_random(4) == 0)
			server_read_all(&talk);
	}
	while (talk.client_retries > 0 && client_write(&talk, 0) >= 0)
		server_read_all(&talk);
	for (int i = 0; i < 10000 && talk.server_got < talk.client_sent; i++)
		server_read_all(&talk);
	CHECK(blocked > 5, "kind %d: blocked %d times", flags, blocked);
	CHECK_INT(talk.server_got, talk.client_sent, "kind %d", flags);
	CHECK_INT(talk.client_got, talk.server_sent, "kind %d", flags);
	CHECK(!talk.bad, "kind %d", flags);
	talk_close(&talk);
}

/* ----------------------------------------------------------- key updates */

static void
server_updates_key(Talk *talk, int kind)
{
	ERR_clear_error();
	CHECK_INT(SSL_key_update(talk->pair.server, kind), 1, "key update");
	CHECK_INT(SSL_do_handshake(talk->pair.server), 1, "key update");
}

static void
test_key_update(int kind)
{
	Talk		talk;

	talk_open(&talk, 0);
	for (int i = 0; i < 20; i++)
	{
		(void) server_write(&talk, 100);
		server_updates_key(&talk, kind);
		(void) server_write(&talk, 5000);
		client_read_all(&talk, 1000);
		CHECK_INT(talk.client_got, talk.server_sent, "update %d", i);
		CHECK_INT(client_write(&talk, 300), 300, "update %d", i);
		server_read_all(&talk);
		CHECK_INT(talk.server_got, talk.client_sent, "update %d", i);
	}
	CHECK(!talk.bad, "key updates");
	talk_close(&talk);
}

/*
 * Key updates are answered while half a record waits for room in the socket.
 * Reading goes on all the same, until very many answers wait, too.
 */
static void
test_key_update_full(void)
{
	Talk		talk;
	int			updates = 0;

	talk_open(&talk, 0);
	small_socket_buffers(&talk);
	while (client_write(&talk, 50000) > 0)
		;
	CHECK(!talk.t.write_wants_read, "full");
	while (updates < 10000 && !talk.t.read_wants_write)
	{
		server_updates_key(&talk, SSL_KEY_UPDATE_REQUESTED);
		(void) server_write(&talk, 10);
		client_read_all(&talk, 1000);
		updates++;
	}
	CHECK(updates > 100 && updates < 10000, "%d updates", updates);
	CHECK(talk.t.read_wants_write && !talk.t.more, "reading waits for writing");
	CHECK(!may_read(&talk), "it is not readable that counts");

	for (int i = 0; i < 10000 && (talk.client_retries > 0 || talk.client_got < talk.server_sent); i++)
	{
		server_read_all(&talk);
		client_read_all(&talk, 1000);
		if (talk.client_retries > 0)
			(void) client_write(&talk, 0);
	}
	server_read_all(&talk);
	CHECK(!talk.t.read_wants_write, "as usual again");
	CHECK_INT(talk.client_got, talk.server_sent, "all arrives");
	CHECK_INT(talk.server_got, talk.client_sent, "all arrives");
	CHECK(!talk.bad, "key updates");
	talk_close(&talk);
}

/* -------------------------------------------------------- unusual peers */

/* What the server writes from now on is kept, to be sent in parts. */
static BIO *
keep_server_output(Talk *talk)
{
	BIO		   *kept = BIO_new(BIO_s_mem());

	SSL_set0_wbio(talk->pair.server, kept);
	return kept;
}

static void
send_kept(Talk *talk, BIO *kept, long from, long to)
{
	char	   *data;

	CHECK(BIO_get_mem_data(kept, &data) >= to, "kept");
	CHECK_INT(send(talk->pair.server_fd, data + from, to - from, 0), to - from, "sent");
	CHECK(may_read(talk), "it has arrived");
}

static int
large_ticket(SSL *ssl, void *arg)
{
	static char data[3000];

	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data, sizeof(data));
}

static SSL_TICKET_RETURN
ignore_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t length, SSL_TICKET_STATUS status, void *arg)
{
	return SSL_TICKET_RETURN_IGNORE;
}

/* More key updates than one call may read: it comes back, and says that it has not come to the end. */
static void
test_flood(void)
{
	Talk		talk;
	BIO		   *kept;
	char	   *data;

	talk_open(&talk, 0);
	client_read_all(&talk, 1000);
	kept = keep_server_output(&talk);
	for (int i = 0; i < 5000; i++)
		server_updates_key(&talk, SSL_KEY_UPDATE_NOT_REQUESTED);
	(void) server_write(&talk, 100);
	send_kept(&talk, kept, 0, BIO_get_mem_data(kept, &data));
	CHECK_INT(client_read(&talk, 1000), 0, "key updates alone");
	CHECK(talk.t.more, "there is more");
	for (int i = 0; i < 10 && talk.t.more; i++)
		(void) client_read(&talk, 1000);
	CHECK_INT(talk.client_got, talk.server_sent, "what came behind them");
	CHECK(!talk.bad, "flood");
	talk_close(&talk);
}

/*
 * Half of a message of the handshake has come when something is written.  So
 * writing reads the other half, and what is behind it: that must not lie there
 * until more comes.
 */
static void
test_read_by_write(void)
{
	Talk		talk;
	BIO		   *kept;
	char	   *data;
	long		half;
	long		whole;

	talk_open(&talk, 0);
	client_read_all(&talk, 1000);
	kept = keep_server_output(&talk);
	SSL_set_max_send_fragment(talk.pair.server, 512);
	SSL_CTX_set_session_ticket_cb(SSL_get_SSL_CTX(talk.pair.server), large_ticket, ignore_ticket, NULL);
	ERR_clear_error();
	CHECK_INT(SSL_new_session_ticket(talk.pair.server), 1, "ticket");
	CHECK_INT(SSL_do_handshake(talk.pair.server), 1, "ticket");
	(void) server_write(&talk, 6);
	whole = BIO_get_mem_data(kept, &data);
	half = 5 + ((unsigned char) data[3] << 8) + (unsigned char) data[4];
	CHECK(half < whole / 2, "a ticket in many records");
	send_kept(&talk, kept, 0, half);
	CHECK_INT(client_read(&talk, 1000), 0, "half a ticket");
	send_kept(&talk, kept, half, whole);
	(void) client_write(&talk, 7);
	CHECK(talk.t.more || may_read(&talk), "somebody will read");
	client_read_all(&talk, 1000);
	CHECK_INT(talk.client_got, 6, "the answer");
	SSL_CTX_set_session_ticket_cb(SSL_get_SSL_CTX(talk.pair.server), NULL, NULL, NULL);
	talk_close(&talk);
}

/* ------------------------------------------------------------- at random */

static void
random_step(Talk *talk)
{
	switch (unit_random(6))
	{
		case 0:
			(void) server_write(talk, 1 + unit_random(unit_random(2) ? 200 : 40000));
			break;
		case 1:
			(void) server_read(talk, 1 + unit_random(BUFFER));
			break;
		case 2:
		case 3:
			if (may_write(talk) && client_write(talk, 1 + unit_random(unit_random(2) ? 200 : 70000)) < 0)
				talk->bad = true;
			break;
		case 4:
			if (!(talk->pair.flags & PAIR_TLS12) && talk->server_retries == 0)
				(void) SSL_key_update(talk->pair.server, unit_random(2));
			break;
		default:
			for (int i = unit_random(10); i > 0 && may_read(talk); i--)
			{
				if (client_read(talk, 1 + unit_random(unit_random(2) ? 100 : BUFFER)) < 0)
					talk->bad = true;
			}
	}
}

static bool
all_arrived(const Talk *talk)
{
	return talk->client_retries == 0 && talk->server_retries == 0 &&
		talk->server_got == talk->client_sent && talk->client_got == talk->server_sent;
}

static void
test_random(int flags, int rounds)
{
	Talk		talk;

	talk_open(&talk, flags);
	if (unit_random(2))
		small_socket_buffers(&talk);
	for (int i = 0; i < rounds && !talk.bad; i++)
		random_step(&talk);
	for (int i = 0; i < 5000 && !talk.bad && !all_arrived(&talk); i++)
	{
		server_read_all(&talk);
		client_read_all(&talk, BUFFER);
		if (talk.client_retries > 0)
			(void) client_write(&talk, 0);
		if (talk.server_retries > 0)
			(void) server_write(&talk, 0);
		if (i > 100)
			poll(NULL, 0, 1);	/* the kernel may need a moment on TCP */
	}
	CHECK(!talk.bad, "kind %d", flags);
	CHECK_INT(talk.server_got, talk.client_sent, "kind %d", flags);
	CHECK_INT(talk.client_got, talk.server_sent, "kind %d", flags);
	talk_close(&talk);
}

/* -------------------------------------------------------------- the ends */

/* What reading and writing say from now on. */
static void
check_end(Talk *talk, ssize_t expected, int expected_errno, const char *how)
{
	ssize_t		n = 0;

	/* over TCP it may take a moment */
	for (int i = 0; i < 1000 && n == 0; i++)
	{
		if (may_read(talk))
			n = client_read(talk, 1000);
		else
			poll(NULL, 0, 1);
		if (n > 0)
			n = 0;
	}
	CHECK_INT(n, expected, "%s, kind %d", how, talk->pair.flags);
	if (n == -1)
		CHECK_INT(errno, expected_errno, "%s, kind %d", how, talk->pair.flags);
	CHECK(!talk->t.more && !talk->t.read_wants_write, "%s, kind %d", how, talk->pair.flags);
	CHECK_INT(talk->client_got, talk->server_sent, "%s, kind %d: what came before", how, talk->pair.flags);
	CHECK(!talk->bad, "%s, kind %d", how, talk->pair.flags);
	CHECK(client_read(talk, 1000) < 0, "%s, kind %d: it stays so", how, talk->pair.flags);
}

static void
test_goodbye(int flags)
{
	Talk		talk;

	talk_open(&talk, flags);
	(void) server_write(&talk, 20000);
	(void) SSL_shutdown(talk.pair.server);
	check_end(&talk, -2, 0, "goodbye");
	CHECK_INT(client_write(&talk, 100), 100, "the other direction goes on");
	server_read_all(&talk);
	CHECK_INT(talk.server_got, 100, "the other direction goes on");
	talk_close(&talk);
}

static void
test_hangup(int flags)
{
	Talk		talk;

	talk_open(&talk, flags);
	(void) server_write(&talk, 20000);
	shutdown(talk.pair.server_fd, SHUT_WR);
	check_end(&talk, -2, 0, "hangup");
	talk_close(&talk);

	/* within a record */
	talk_open(&talk, flags);
	client_read_all(&talk, 1000);
	CHECK_INT(send(talk.pair.server_fd, "\x17\x03\x03\x00\xff half", 10, 0), 10, "kind %d", flags);
	shutdown(talk.pair.server_fd, SHUT_WR);
	check_end(&talk, -2, 0, "hangup within a record");
	talk_close(&talk);
}

static void
test_broken(int flags)
{
	struct linger no_linger = {.l_onoff = 1,.l_linger = 0};
	Talk		talk;

	talk_open(&talk, flags);
	client_read_all(&talk, 1000);
	CHECK_INT(client_write(&talk, 100), 100, "kind %d", flags);	/* a socketpair's reset: unread data */
	setsockopt(talk.pair.server_fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof(no_linger));
	tls_pair_close_server(&talk.pair);
	check_end(&talk, -1, ECONNRESET, "reset");
	CHECK_INT(client_write(&talk, 100), -1, "reset, kind %d", flags);
	CHECK_INT(errno, EPIPE, "reset, kind %d", flags);
	talk_close(&talk);

	talk_open(&talk, flags);
	(void) server_write(&talk, 100);
	CHECK_INT(send(talk.pair.server_fd, "not a record of any kind", 24, 0), 24, "kind %d", flags);
	check_end(&talk, -1, EPROTO, "garbage");
	CHECK_INT(client_write(&talk, 100), -1, "garbage, kind %d", flags);
	talk_close(&talk);
}

void
test_tls(void)
{
	for (int flags = 0; flags < PAIR_KINDS; flags++)
	{
		test_sizes(flags);
		test_pending(flags);
		test_left_by_libpq(flags);
		test_full(flags);
		test_goodbye(flags);
		test_hangup(flags);
		test_broken(flags);
		for (int i = 0; i < 20; i++)
			test_random(flags, 200);
	}
	test_key_update(SSL_KEY_UPDATE_NOT_REQUESTED);
	test_key_update(SSL_KEY_UPDATE_REQUESTED);
	test_key_update_full();
	test_flood();
	test_read_by_write();
}
