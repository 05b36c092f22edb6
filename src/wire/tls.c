/*-------------------------------------------------------------------------
 *
 * tls.c
 *		Moving bytes over an encrypted connection.
 *
 * The SSL object is libpq's, which has done the handshake and checked whom it
 * talks to.  From then on nobody but this file reads or writes it: OpenSSL
 * must be asked again for what it could not finish (SSL_get_error(3)), and two
 * callers would mix up whose turn it is.
 *
 * Either direction may have to wait for the other: a key update has to be
 * written before reading goes on, and so forth.  The transport says so in
 * read_wants_write and write_wants_read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "wire/wire.h"

/*
 * How much of the socket is read at once.  A PostgreSQL server sends records
 * of 8 kB, which with their frames are a little more; without reading ahead each
 * would cost two calls of recv(2).
 */
#define READ_AHEAD		(66 * 1024)

/* What a call that moved nothing means: see EpTransport.  Reading ends at the peer's goodbye. */
static ssize_t
nothing_moved(SSL *ssl, int result)
{
	int			code = SSL_get_error(ssl, result);
	unsigned long reason = ERR_peek_error();

	if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
		return 0;
	ERR_clear_error();
	if (code == SSL_ERROR_ZERO_RETURN || (code == SSL_ERROR_SYSCALL && errno == 0))
		return -2;
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
	/* OpenSSL 3: closed without a goodbye; protocol 3 tells by itself whether something is missing */
	if (code == SSL_ERROR_SSL && ERR_GET_REASON(reason) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return -2;
#endif
	if (code != SSL_ERROR_SYSCALL || errno == 0)
		errno = EPROTO;
	return -1;
}

static ssize_t
tls_read(EpTransport *t, void *buf, size_t len)
{
	int			n;

	/* the queue of errors is the process's, and what is left in it counts as ours */
	ERR_clear_error();
	errno = 0;
	n = SSL_read(t->ssl, buf, (int) Min(len, (size_t) INT_MAX));
	t->read_wants_write = n <= 0 && SSL_want_write(t->ssl);
	t->more = n > 0 && SSL_has_pending(t->ssl);
	return n > 0 ? n : nothing_moved(t->ssl, n);
}

static ssize_t
tls_write(EpTransport *t, const void *buf, size_t len)
{
	int			n;
	ssize_t		result;

	ERR_clear_error();
	errno = 0;
	n = SSL_write(t->ssl, buf, (int) Min(len, (size_t) INT_MAX));
	t->write_wants_read = n <= 0 && SSL_want_read(t->ssl);
	if (n > 0)
		return n;
	result = nothing_moved(t->ssl, n);
	if (result != -2)
		return result;
	errno = EPIPE;
	return -1;
}

/*
 * A transport over an SSL object that stands after its handshake, on the
 * non-blocking socket fd; both stay the caller's.  What could not be written
 * must be given again, from the same byte on, before anything else; it may
 * have moved in memory.
 */
void
ep_transport_tls(EpTransport *t, SSL *ssl, int fd)
{
	memset(t, 0, sizeof(EpTransport));
	t->read = tls_read;
	t->write = tls_write;
	t->fd = fd;
	t->ssl = ssl;
	t->more = true;				/* libpq may have left something in there */
	(void) SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* the one case in which writing would have to wait until somebody reads */
	(void) SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_default_read_buffer_len(ssl, READ_AHEAD);
	(void) SSL_free_buffers(ssl);	/* or the present one stays, of the size that one record needs */
}
