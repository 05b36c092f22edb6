/*-------------------------------------------------------------------------
 *
 * tlsproxy.c
 *		TLS in front of a plain PostgreSQL server, with faults as wanted.
 *
 *	tlsproxy server=SOCKET cert=FILE key=FILE [OPTION=VALUE ...]
 *
 * listens on a port of 127.0.0.1 that it prints, and serves each client in a
 * process of its own: SSLRequest is answered with 'S', a plain startup packet
 * (a cancel request) is passed on as it is.
 *
 *	tls=1.2|1.3		that version alone
 *	record=N		send records of N bytes (1 to 16384); full ones if more is there
 *	update=N		a key update every N kB in either direction, by turns asking the
 *					client for one and not
 *	each=1			one before whatever is sent to the client, in the same packet
 *	cut=N cutup=N	end the connection after N bytes to, or from, the client
 *	how=rst|fin|notify|half
 *					by a reset, by closing without a goodbye, by close_notify, or by
 *					closing in the middle of a record
 *	noread=FILE		read nothing more from a client that has sent 1 MB since FILE exists
 *	nowrite=FILE	write nothing more to one that was sent 1 MB since then
 *	log=FILE		appended to at the end of each connection: key updates sent and received
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define SSL_REQUEST		80877103
#define GSSENC_REQUEST	80877104
#define BUFFER			65536
#define STALL_AFTER		(1024 * 1024)

/* Bytes on their way in one direction. */
typedef struct Flow
{
	char		data[BUFFER];
	size_t		start;
	size_t		end;
	bool		ended;			/* the source is at its end */
	bool		over;			/* and the sink was told */
	uint64_t	total;			/* passed on */
	uint64_t	before;			/* so much of it before the file that stalls it was there */
} Flow;

static const char *server_path;
static const char *cert_file;
static const char *key_file;
static const char *tls_version;
static const char *how = "fin";
static const char *noread_file;
static const char *nowrite_file;
static const char *log_file;
static size_t record = 16384;
static uint64_t update_every;
static uint64_t update_each;
static uint64_t cut_after;
static uint64_t cut_up_after;

static int	updates_sent;
static int	updates_received;

/* The one connection of a serving process. */
static SSL *ssl;				/* NULL: plain */
static int	client;
static int	server;
static Flow down;
static Flow up;
static uint64_t next_update;
static bool updating;			/* begun, and not all of it was taken by the socket */
static size_t pending;			/* what SSL_write was given and has to be given again */

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

/* ------------------------------------------------------------------ options */

static bool
option(const char *arg, const char *name, const char **value)
{
	size_t		len = strlen(name);

	if (strncmp(arg, name, len) != 0 || arg[len] != '=')
		return false;
	*value = arg + len + 1;
	return true;
}

static bool
number(const char *arg, const char *name, uint64_t *value)
{
	const char *text;

	if (!option(arg, name, &text))
		return false;
	*value = strtoull(text, NULL, 10);
	return true;
}

static void
read_options(int argc, char **argv)
{
	uint64_t	n;

	for (int i = 1; i < argc; i++)
	{
		char	   *arg = argv[i];

		if (number(arg, "record", &n))
			record = n;
		else if (number(arg, "update", &n))
			update_every = n * 1024;
		else if (!option(arg, "server", &server_path) && !option(arg, "cert", &cert_file) &&
				 !option(arg, "key", &key_file) && !option(arg, "tls", &tls_version) &&
				 !option(arg, "how", &how) && !option(arg, "log", &log_file) &&
				 !option(arg, "noread", &noread_file) && !option(arg, "nowrite", &nowrite_file) &&
				 !number(arg, "each", &update_each) && !number(arg, "cut", &cut_after) && !number(arg, "cutup", &cut_up_after))
		{
			fprintf(stderr, "unknown option: %s\n", arg);
			exit(1);
		}
	}
	if (server_path == NULL || cert_file == NULL || key_file == NULL ||
		record < 1 || record > 16384)
	{
		fprintf(stderr, "options are missing or wrong\n");
		exit(1);
	}
}

/* ---------------------------------------------------------------------- TLS */

/* Counts the key updates that the client sends. */
static void
on_message(int write_p, int version, int content_type, const void *buf, size_t len, SSL *s, void *arg)
{
	(void) version;
	(void) s;
	(void) arg;
	if (!write_p && content_type == SSL3_RT_HANDSHAKE && len > 0 &&
		((const unsigned char *) buf)[0] == SSL3_MT_KEY_UPDATE)
		updates_received++;
}

static SSL_CTX *
make_context(void)
{
	SSL_CTX    *ctx = SSL_CTX_new(TLS_server_method());
	int			version = tls_version && strcmp(tls_version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

	if (ctx == NULL ||
		SSL_CTX_use_certificate_file(ctx, cert_file, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1)
	{
		ERR_print_errors_fp(stderr);
		exit(1);
	}
	if (tls_version)
	{
		SSL_CTX_set_min_proto_version(ctx, version);
		SSL_CTX_set_max_proto_version(ctx, version);
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_msg_callback(ctx, on_message);
	return ctx;
}

/* ---------------------------------------------------------------- the ends */

static void
leave(void)
{
	if (log_file)
	{
		FILE	   *f = fopen(log_file, "a");

		if (f)
		{
			fprintf(f, "updates sent %d received %d\n", updates_sent, updates_received);
			fclose(f);
		}
	}
	exit(0);
}

/* Closing with something unread would be a reset. */
static void
close_softly(void)
{
	char		buffer[BUFFER];
	struct pollfd pfd = {.fd = client, .events = POLLIN};

	shutdown(client, SHUT_WR);
	while (poll(&pfd, 1, 5000) > 0)
	{
		ssize_t		n = recv(client, buffer, sizeof(buffer), 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
	}
	leave();
}

/* Sends the first half of a record. */
static void
send_half(void)
{
	static const char filler[1000];
	char	   *data;
	BIO		   *bio = BIO_new(BIO_s_mem());
	long		len;

	SSL_set0_wbio(ssl, bio);
	SSL_write(ssl, filler, sizeof(filler));
	len = BIO_get_mem_data(bio, &data);
	if (send(client, data, len / 2, MSG_NOSIGNAL) < 0)
		perror("send");
}

static void
cut(void)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (strcmp(how, "rst") == 0)
	{
		setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(client);
		leave();
	}
	if (strcmp(how, "notify") == 0 && ssl)
		SSL_shutdown(ssl);
	if (strcmp(how, "half") == 0 && ssl && pending == 0)
		send_half();
	close_softly();
}

/* -------------------------------------------------------------------- flows */

/* What an SSL call that moved nothing means: 0 would block, -1 the end. */
static ssize_t
ssl_result(int result)
{
	int			code = SSL_get_error(ssl, result);

	if (code == SSL_ERROR_SSL)
		ERR_print_errors_fp(stderr);
	ERR_clear_error();
	return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t
read_client(void *buf, size_t len)
{
	ssize_t		n;

	if (ssl)
	{
		n = SSL_read(ssl, buf, (int) len);
		return n > 0 ? n : ssl_result((int) n);
	}
	n = recv(client, buf, len, 0);
	return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static ssize_t
write_client(const void *buf, size_t len)
{
	ssize_t		n;

	if (ssl)
	{
		if (pending == 0)
			pending = len < record ? len : record;
		n = SSL_write(ssl, buf, (int) pending);
		if (n > 0)
			pending = 0;
		return n > 0 ? n : ssl_result((int) n);
	}
	n = send(client, buf, len, MSG_NOSIGNAL);
	return n >= 0 ? n : errno == EAGAIN ? 0 : -1;
}

static ssize_t
read_server(void *buf, size_t len)
{
	ssize_t		n = recv(server, buf, len, 0);

	return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static ssize_t
write_server(const void *buf, size_t len)
{
	ssize_t		n = send(server, buf, len, MSG_NOSIGNAL);

	return n >= 0 ? n : errno == EAGAIN ? 0 : -1;
}

/* Reads what there is room for; returns whether anything came. */
static bool
fill(Flow *flow, ssize_t (*source) (void *, size_t))
{
	ssize_t		n;

	if (flow->start == flow->end)
		flow->start = flow->end = 0;
	if (flow->ended || flow->end == BUFFER)
		return false;
	n = source(flow->data + flow->end, BUFFER - flow->end);
	if (n < 0)
		flow->ended = true;
	else
		flow->end += n;
	return n != 0;
}

/* What is written to the client meanwhile leaves together. */
static void
hold_back(bool on)
{
	int			value = on;

	if (update_each)
		setsockopt(client, IPPROTO_TCP, TCP_CORK, &value, sizeof(value));
}

/* Key updates come between two records. */
static void
update_keys(void)
{
	if ((update_every == 0 && update_each == 0) || ssl == NULL || pending > 0)
		return;
	if (!updating && (update_each ? down.start < down.end : down.total + up.total >= next_update))
	{
		if (SSL_key_update(ssl, updates_sent % 2 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED) == 1)
			updates_sent++;
		next_update = down.total + up.total + update_every;
		updating = true;
	}
	if (updating && SSL_do_handshake(ssl) == 1)
		updating = false;
	ERR_clear_error();
}

/* Writes one piece; returns whether anything went. */
static bool
drain(Flow *flow, ssize_t (*sink) (const void *, size_t), uint64_t limit)
{
	size_t		len = flow->end - flow->start;
	ssize_t		n;

	if (flow->over || len == 0)
		return false;
	if (limit > 0 && flow->total + len >= limit && pending == 0)
		len = limit - flow->total;
	n = len == 0 ? 0 : sink(flow->data + flow->start, len);
	if (n < 0)
		leave();
	flow->start += n;
	flow->total += n;
	if (limit > 0 && flow->total >= limit)
		cut();
	return n > 0;
}

/* Those who move little are not stalled. */
static bool
stalled(Flow *flow, const char *file)
{
	if (file == NULL || access(file, F_OK) != 0)
		flow->before = flow->total;
	return flow->total >= flow->before + STALL_AFTER;
}

/* Everything that can move, moves; returns whether something did. */
static bool
move(void)
{
	bool		moved = false;

	if (!stalled(&up, noread_file))
		moved |= fill(&up, read_client);
	moved |= drain(&up, write_server, cut_up_after);
	moved |= fill(&down, read_server);
	if (!stalled(&down, nowrite_file))
	{
		hold_back(true);
		update_keys();
		if (!updating)
			moved |= drain(&down, write_client, cut_after);
		hold_back(false);
	}
	return moved;
}

static void
pass_on_ends(void)
{
	if (up.ended && up.start == up.end && !up.over)
	{
		up.over = true;
		shutdown(server, SHUT_WR);
	}
	if (down.ended && down.start == down.end && !down.over)
	{
		down.over = true;
		if (ssl)
			SSL_shutdown(ssl);
		close_softly();
	}
}

/*
 * The few cases in which a side waits for something else than what it is
 * polled for end with the time-out.
 */
static void
relay(void)
{
	while (true)
	{
		struct pollfd pfd[2] = {{.fd = client}, {.fd = server}};

		if (move())
			continue;
		pass_on_ends();
		if (!up.ended && up.end < BUFFER && !stalled(&up, noread_file))
			pfd[0].events |= POLLIN;
		if ((down.start < down.end || updating) && !stalled(&down, nowrite_file))
			pfd[0].events |= POLLOUT;
		if (!down.ended && down.end < BUFFER)
			pfd[1].events |= POLLIN;
		if (up.start < up.end)
			pfd[1].events |= POLLOUT;
		for (int i = 0; i < 2; i++)
		{
			/* a hangup is reported in any case */
			if (pfd[i].events == 0)
				pfd[i].fd = -1;
		}
		poll(pfd, 2, 20);
	}
}

/* ---------------------------------------------------------------- connections */

static void
connect_server(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", server_path);
	if (connect(server, (struct sockaddr *) &addr, sizeof(addr)) != 0)
		fail("connect");
}

static void
serve(SSL_CTX *ctx)
{
	uint32_t	head[2];
	int			one = 1;

	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (true)
	{
		if (recv(client, head, sizeof(head), MSG_WAITALL) != sizeof(head))
			exit(0);
		if (ntohl(head[1]) != GSSENC_REQUEST)
			break;
		if (send(client, "N", 1, MSG_NOSIGNAL) != 1)
			exit(0);
	}
	connect_server();
	if (ntohl(head[1]) == SSL_REQUEST)
	{
		if (send(client, "S", 1, MSG_NOSIGNAL) != 1)
			exit(0);
		ssl = SSL_new(ctx);
		SSL_set_fd(ssl, client);
		if (SSL_accept(ssl) != 1)
			exit(0);
	}
	else
	{
		memcpy(up.data, head, sizeof(head));
		up.end = sizeof(head);
	}
	next_update = update_every;
	fcntl(client, F_SETFL, O_NONBLOCK);
	fcntl(server, F_SETFL, O_NONBLOCK);
	relay();
}

static int
start_listening(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t	len = sizeof(addr);
	int			listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *) &addr, sizeof(addr)) != 0 ||
		listen(listener, 100) != 0 ||
		getsockname(listener, (struct sockaddr *) &addr, &len) != 0)
		fail("listen");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return listener;
}

int
main(int argc, char **argv)
{
	SSL_CTX    *ctx;
	int			listener;

	read_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	ctx = make_context();
	listener = start_listening();
	while (true)
	{
		client = accept(listener, NULL, NULL);
		if (client < 0)
			continue;
		if (fork() == 0)
		{
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			close(listener);
			serve(ctx);
		}
		close(client);
	}
}
