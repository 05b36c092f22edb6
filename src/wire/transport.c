/*-------------------------------------------------------------------------
 *
 * transport.c
 *		Moving bytes over a plain socket.  tls.c does it over an encrypted one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include "wire/wire.h"

static ssize_t
would_block(void)
{
	return (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

static ssize_t
socket_read(EpTransport *t, void *buf, size_t len)
{
	ssize_t		n = recv(t->fd, buf, len, MSG_DONTWAIT);

	if (n > 0)
		return n;
	return n == 0 ? -2 : would_block();
}

static ssize_t
socket_write(EpTransport *t, const void *buf, size_t len)
{
	ssize_t		n = send(t->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n >= 0 ? n : would_block();
}

/* A transport over a connected stream socket, which stays the caller's. */
void
ep_transport_socket(EpTransport *t, int fd)
{
	memset(t, 0, sizeof(EpTransport));
	t->read = socket_read;
	t->write = socket_write;
	t->fd = fd;
}
