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
 * OpenSSL may have to write while it reads: a key update is answered by
 * another.  While half a record waits for room in the socket it cannot do so
 * ("bad length"), and the connection is lost.  So it writes to a sink, which
 * always takes everything, and keeps what the socket does not take.
 *
 * Either direction may still have to wait for the other: reading, when too much
 * waits in the sink, and writing, when half a message of the peer's has come.
 * The transport says so in read_wants_write and write_wants_read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/socket.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "wire/wire.h"

/*
 * How much of the socket is read at once.  A PostgreSQL server sends records
 * of 8 kB, which with their frames are a little more; without reading ahead each
 * would cost two calls of recv(2).
 */
#define READ_AHEAD		(66 * 1024)

/* A record, and many answers to key updates; nothing is read while more waits to be sent. */
#define MAX_WAITING		(32 * 1024)

/* ------------------------------------------------------------------ the sink */

typedef struct Sink
{
	int			fd;
	char	   *waiting;		/* [start, end) was not taken by the socket yet */
	size_t		start;
	size_t		end;
	size_t		size;
	int			error;			/* of the socket, which takes nothing any more; 0: none */
} Sink;

static BIO_METHOD *sink_method = NULL;

/* How much the socket took: 0 when it would block, -1 on error with errno set. */
static ssize_t
send_some(int fd, const char *data, size_t len)
{
	ssize_t		n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	return n;
}

/* Sends what waits, as far as the socket takes it.  Returns false on error, with errno set. */
static bool
sink_flush(Sink *sink)
{
	while (sink->error == 0 && sink->start < sink->end)
	{
		ssize_t		n = send_some(sink->fd, sink->waiting + sink->start, sink->end - sink->start);

		if (n == 0)
			return true;
		if (n < 0)
			sink->error = errno;
		else
			sink->start += n;
	}
	sink->start = sink->end = 0;
	errno = sink->error;
	return sink->error == 0;
}

/*
 * Keeps data behind what waits already.  Called by OpenSSL, through which no
 * error may be thrown; so it is the C library's memory.
 */
static bool
sink_keep(Sink *sink, const char *data, size_t len)
{
	if (sink->end + len > sink->size)
	{
		size_t		size = sink->end + len;
		char	   *grown = realloc(sink->waiting, size);

		if (grown == NULL)
			return false;
		sink->waiting = grown;
		sink->size = size;
	}
	memcpy(sink->waiting + sink->end, data, len);
	sink->end += len;
	return true;
}

static int
sink_write(BIO *bio, const char *data, int len)
{
	Sink	   *sink = BIO_get_data(bio);
	ssize_t		n = 0;

	BIO_clear_retry_flags(bio);
	if (!sink_flush(sink))
		return -1;
	if (sink->end == 0)
		n = send_some(sink->fd, data, len);
	if (n < 0)
		sink->error = errno;
	else if (n < len && !sink_keep(sink, data + n, len - n))
		sink->error = ENOMEM;
	errno = sink->error;
	return sink->error == 0 ? len : -1;
}

static long
sink_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int
sink_destroy(BIO *bio)
{
	Sink	   *sink = BIO_get_data(bio);

	if (sink)
		free(sink->waiting);
	free(sink);
	BIO_set_data(bio, NULL);
	return 1;
}

static bool
make_sink_method(void)
{
	int			type;

	if (sink_method)
		return true;
	type = BIO_get_new_index();
	if (type < 0)
		return false;
	sink_method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "enhanced_pool sink");
	if (sink_method == NULL)
		return false;
	(void) BIO_meth_set_write(sink_method, sink_write);
	(void) BIO_meth_set_ctrl(sink_method, sink_ctrl);
	(void) BIO_meth_set_destroy(sink_method, sink_destroy);
	return true;
}

/* Makes a sink what the SSL object writes to; the SSL object frees it.  Returns false if there is no memory. */
static bool
set_sink(SSL *ssl, int fd)
{
	Sink	   *sink;
	BIO		   *bio;

	if (!make_sink_method() || (sink = calloc(1, sizeof(Sink))) == NULL)
		return false;
	bio = BIO_new(sink_method);
	if (bio == NULL)
	{
		free(sink);
		return false;
	}
	sink->fd = fd;
	BIO_set_data(bio, sink);
	BIO_set_init(bio, 1);
	SSL_set0_wbio(ssl, bio);
	return true;
}

static Sink *
sink_of(const EpTransport *t)
{
	return BIO_get_data(SSL_get_wbio(t->ssl));
}

/* ------------------------------------------------------------- the transport */

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
	/* OpenSSL 3: no goodbye; protocol 3 tells if something is missing */
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
	Sink	   *sink = sink_of(t);
	int			n;

	/* what came before an error can still be read */
	(void) sink_flush(sink);
	t->read_wants_write = sink->end > MAX_WAITING;
	t->more = false;
	if (t->read_wants_write)
		return 0;

	/* what was left in the process's queue of errors would count as ours */
	ERR_clear_error();
	errno = 0;
	n = SSL_read(t->ssl, buf, (int) Min(len, (size_t) INT_MAX));
	t->more = n > 0 && SSL_has_pending(t->ssl);
	return n > 0 ? n : nothing_moved(t->ssl, n);
}

/* One record, or less.  Returns what nothing_moved() does if none was made. */
static ssize_t
write_record(EpTransport *t, const void *buf, size_t len)
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

/* What was made into a record counts as written when the socket has taken all of it. */
static ssize_t
tls_write(EpTransport *t, const void *buf, size_t len)
{
	Sink	   *sink = sink_of(t);
	ssize_t		n;

	if (t->owed == 0)
	{
		n = write_record(t, buf, len);
		if (n <= 0)
			return n;
		t->owed = n;
	}
	Assert(len >= t->owed);
	if (!sink_flush(sink))
		return -1;
	if (sink->end > 0)
		return 0;
	n = t->owed;
	t->owed = 0;
	return n;
}

/*
 * A transport over an SSL object that stands after its handshake, on the
 * non-blocking socket fd; both stay the caller's.  What could not be written
 * must be given again, from the same byte on, before anything else; it may
 * have moved in memory.  Returns false if there is no memory.
 */
bool
ep_transport_tls(EpTransport *t, SSL *ssl, int fd)
{
	memset(t, 0, sizeof(EpTransport));
	t->read = tls_read;
	t->write = tls_write;
	t->fd = fd;
	t->ssl = ssl;
	t->more = true;				/* libpq may have left something in there */
	if (!set_sink(ssl, fd))
		return false;
	(void) SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* the one case in which writing would have to wait until somebody reads */
	(void) SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_default_read_buffer_len(ssl, READ_AHEAD);
	(void) SSL_free_buffers(ssl);	/* or the present one stays, of the size that one record needs */
	return true;
}
