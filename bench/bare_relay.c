/*-------------------------------------------------------------------------
 *
 * bare_relay.c
 *		The least that a process must do to stand between a client that speaks
 *		plain text and a PostgreSQL server that wants TLS: a measure for the
 *		relay of enhanced_pool, not a tool.
 *
 * bare_relay PATH PORT listens on the Unix socket PATH, and for each connection
 * makes one to 127.0.0.1:PORT, in a process of its own that waits for both sides
 * with poll(2) and passes on whatever comes.  It has no limits, no buffers and no
 * time-outs, checks no certificate, and blocks wherever it may.  Ends with its parent.
 *
 *-------------------------------------------------------------------------
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/ssl.h>

static char buffer[65536];

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The server's side: a TCP connection on which the server has agreed to TLS. */
static int
reach_server(int port)
{
	static const unsigned char request[8] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};	/* SSLRequest */
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
	int			fd = socket(AF_INET, SOCK_STREAM, 0);
	int			one = 1;
	char		answer = '\0';

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		fail("connect");
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (write(fd, request, sizeof(request)) != (ssize_t) sizeof(request) || read(fd, &answer, 1) != 1 || answer != 'S')
		fail("SSLRequest");
	return fd;
}

static SSL *
start_tls(int fd)
{
	SSL_CTX    *context = SSL_CTX_new(TLS_client_method());
	SSL		   *ssl = context != NULL ? SSL_new(context) : NULL;

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
		fail("TLS");
	SSL_set_read_ahead(ssl, 1);
	return ssl;
}

/* Passes on what the client says; false at its end. */
static bool
up(int client, SSL *ssl)
{
	ssize_t		n = read(client, buffer, sizeof(buffer));

	return n > 0 && SSL_write(ssl, buffer, (int) n) > 0;
}

/* Passes on what the server says, all of it that has come; false at its end. */
static bool
down(SSL *ssl, int client)
{
	do
	{
		int			n = SSL_read(ssl, buffer, sizeof(buffer));

		for (int done = 0; done < n;)
		{
			ssize_t		written = write(client, buffer + done, (size_t) (n - done));

			if (written <= 0)
				return false;
			done += (int) written;
		}
		if (n <= 0)
			return false;
	} while (SSL_has_pending(ssl));
	return true;
}

static void
relay(int client, int port)
{
	int			server = reach_server(port);
	SSL		   *ssl = start_tls(server);
	struct pollfd side[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};

	for (;;)
	{
		if (poll(side, 2, -1) < 0)
			fail("poll");
		if (side[0].revents != 0 && !up(client, ssl))
			exit(0);
		if (side[1].revents != 0 && !down(ssl, client))
			exit(0);
	}
}

static int
listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int			fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >= (int) sizeof(address.sun_path))
	{
		fprintf(stderr, "path too long: %s\n", path);
		exit(1);
	}
	if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 || listen(fd, 64) != 0)
		fail(path);
	return fd;
}

int
main(int argc, char **argv)
{
	int			listener;

	if (argc != 3)
	{
		fprintf(stderr, "usage: %s PATH PORT\n", argv[0]);
		return 1;
	}
	(void) prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void) signal(SIGCHLD, SIG_IGN);
	(void) signal(SIGPIPE, SIG_IGN);
	listener = listen_at(argv[1]);
	for (;;)
	{
		int			client = accept(listener, NULL, NULL);

		if (client < 0)
			continue;
		if (fork() == 0)
		{
			(void) prctl(PR_SET_PDEATHSIG, SIGTERM);
			(void) close(listener);
			relay(client, (int) strtol(argv[2], NULL, 10));
		}
		(void) close(client);
	}
}
