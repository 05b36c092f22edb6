/*-------------------------------------------------------------------------
 *
 * tls.c
 *		Moving bytes over an encrypted connection.
 *
 * The SSL object is libpq's, which has done the handshake and checked whom it
 * talks to.  From then on nobody but this file reads or writes it: OpenSSL
 * must be asked again for what it could not finish (SSL_get_error(3)), and two
 * callers would mix up whose turn it is.  (PQfinish() says goodbye by it, but
 * only when the socket has been shut down.)
 *
 * OpenSSL reads and writes through a stream of ours instead of libpq's, for two
 * reasons.
 *
 * It may have to write while it reads: a key update is answered by another.
 * While half a record waits for room in the socket it cannot do so ("bad
 * length"), and the connection is lost.  The stream takes everything that is
 * written, and keeps what the socket does not take.
 *
 * And it reads on as long as nothing but key updates and the like come, which a
 * hostile remote may send without end.  The stream gives so much in one call
 * and no more.
 *
 * Either direction may still have to wait for the other: reading, when too much
 * waits to be sent, and writing, when half a message of the peer's has come.
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

/* ------------------------------------------------------------------ the stream */

typedef struct Stream
{
	int			fd;
	char	   *waiting;		/* [start, end) was not taken by the socket yet */
	size_t		start;
	size_t		end;
	size_t		size;
	int			error;			/* of the socket, which takes nothing any more; 0: none */
	size_t		may_read;		/* bytes, in the present call */
	bool		eof;			/* the peer has ended */
} Stream;

static BIO_METHOD *stream_method = NULL;

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
stream_flush(Stream *stream)
{
	while (stream->error == 0 && stream->start < stream->end)
	{
		ssize_t		n = send_some(stream->fd, stream->waiting + stream->start, stream->end - stream->start);

		if (n == 0)
			return true;
		if (n < 0)
			stream->error = errno;
		else
			stream->start += n;
	}
	stream->start = stream->end = 0;
	errno = stream->error;
	return stream->error == 0;
}

/* How much waits to be sent. */
static size_t
waiting(const Stream *stream)
{
	return stream->end - stream->start;
}

/*
 * Keeps data behind what waits already.  Called by OpenSSL, through which no
 * error may be thrown; so it is the C library's memory.
 */
static bool
stream_keep(Stream *stream, const char *data, size_t len)
{
	/* what was sent makes room: otherwise a stream that is never empty would grow for ever */
	if (stream->start > 0)
	{
		memmove(stream->waiting, stream->waiting + stream->start, waiting(stream));
		stream->end = waiting(stream);
		stream->start = 0;
	}
	if (stream->end + len > stream->size)
	{
		size_t		size = stream->end + len;
		char	   *grown = realloc(stream->waiting, size);

		if (grown == NULL)
			return false;
		stream->waiting = grown;
		stream->size = size;
	}
	memcpy(stream->waiting + stream->end, data, len);
	stream->end += len;
	return true;
}

static int
stream_write(BIO *bio, const char *data, int len)
{
	Stream	   *stream = BIO_get_data(bio);
	ssize_t		n = 0;

	BIO_clear_retry_flags(bio);
	if (!stream_flush(stream))
		return -1;
	if (waiting(stream) == 0)
		n = send_some(stream->fd, data, len);
	if (n < 0)
		stream->error = errno;
	else if (n < len && !stream_keep(stream, data + n, len - n))
		stream->error = ENOMEM;
	errno = stream->error;
	return stream->error == 0 ? len : -1;
}

static int
stream_read(BIO *bio, char *data, int len)
{
	Stream	   *stream = BIO_get_data(bio);
	ssize_t		n;

	BIO_clear_retry_flags(bio);
	if (stream->may_read == 0 || waiting(stream) > MAX_WAITING)
	{
		BIO_set_retry_read(bio);
		return -1;
	}
	n = recv(stream->fd, data, Min((size_t) len, stream->may_read), MSG_DONTWAIT);
	if (n > 0)
		stream->may_read -= n;
	else if (n == 0)
	{
		stream->eof = true;
		errno = 0;
	}
	else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		BIO_set_retry_read(bio);
	return (int) n;
}

static long
stream_ctrl(BIO *bio, int command, long number, void *pointer)
{
	Stream	   *stream = BIO_get_data(bio);

	if (command == BIO_CTRL_EOF)
		return stream->eof;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int
stream_destroy(BIO *bio)
{
	Stream	   *stream = BIO_get_data(bio);

	if (stream)
		free(stream->waiting);
	free(stream);
	BIO_set_data(bio, NULL);
	return 1;
}

static bool
make_stream_method(void)
{
	int			type;

	if (stream_method)
		return true;
	type = BIO_get_new_index();
	if (type < 0)
		return false;
	stream_method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "enhanced_pool stream");
	if (stream_method == NULL)
		return false;
	(void) BIO_meth_set_write(stream_method, stream_write);
	(void) BIO_meth_set_read(stream_method, stream_read);
	(void) BIO_meth_set_ctrl(stream_method, stream_ctrl);
	(void) BIO_meth_set_destroy(stream_method, stream_destroy);
	return true;
}

/* Lets the SSL object read and write through a stream, which it frees.  Returns false if there is no memory. */
static bool
set_stream(SSL *ssl, int fd)
{
	Stream	   *stream;
	BIO		   *bio;

	if (!make_stream_method() || (stream = calloc(1, sizeof(Stream))) == NULL)
		return false;
	bio = BIO_new(stream_method);
	if (bio == NULL)
	{
		free(stream);
		return false;
	}
	stream->fd = fd;
	BIO_set_data(bio, stream);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	return true;
}

static Stream *
stream_of(const EpTransport *t)
{
	return BIO_get_data(SSL_get_wbio(t->ssl));
}

/* ------------------------------------------------------------- the transport */

/* What a call that moved nothing means: see EpTransport.  Reading ends at the peer's goodbye. */
static ssize_t
nothing_moved(SSL *ssl, int result)
{
	int			code = SSL_get_error(ssl, result);
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
	unsigned long reason = ERR_peek_error();
#endif

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
	Stream	   *stream = stream_of(t);
	int			n;

	/* what came before an error can still be read */
	(void) stream_flush(stream);
	t->read_wants_write = waiting(stream) > MAX_WAITING;
	t->write_wants_read = false;	/* what it waited for may come by this */
	t->more = false;
	if (t->read_wants_write)
		return 0;

	/* what was left in the process's queue of errors would count as ours */
	ERR_clear_error();
	errno = 0;
	stream->may_read = READ_AHEAD;
	n = SSL_read(t->ssl, buf, (int) Min(len, (size_t) INT_MAX));
	t->read_wants_write = n <= 0 && waiting(stream) > MAX_WAITING;
	t->more = n > 0 ? SSL_has_pending(t->ssl) : stream->may_read == 0 && !t->read_wants_write;
	return n > 0 ? n : nothing_moved(t->ssl, n);
}

/* One record, or less.  Returns what nothing_moved() does if none was made. */
static ssize_t
write_record(EpTransport *t, const void *buf, size_t len)
{
	Stream	   *stream = stream_of(t);
	int			n;
	ssize_t		result;

	ERR_clear_error();
	errno = 0;
	stream->may_read = READ_AHEAD;
	n = SSL_write(t->ssl, buf, (int) Min(len, (size_t) INT_MAX));
	t->write_wants_read = n <= 0 && SSL_want_read(t->ssl);
	/* it may read to go on, and ahead of that */
	t->more |= stream->may_read < READ_AHEAD;
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
	Stream	   *stream = stream_of(t);
	ssize_t		n;

	if (t->owed == 0)
	{
		n = write_record(t, buf, len);
		if (n <= 0)
			return n;
		t->owed = n;
	}
	Assert(len >= t->owed);
	if (!stream_flush(stream))
		return -1;
	if (waiting(stream) > 0)
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
	if (!set_stream(ssl, fd))
		return false;
	(void) SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	/* the one case in which writing would have to wait until somebody reads */
	(void) SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
	SSL_set_read_ahead(ssl, 1);
	SSL_set_default_read_buffer_len(ssl, READ_AHEAD);

	/*
	 * Or the present buffer stays, of the size that one record needs.  From
	 * OpenSSL 3.2 on it does so anyway, until the next key update.  With a
	 * record in it that was read in part it must not be freed (CVE-2024-4741).
	 */
	if (!SSL_has_pending(ssl))
		(void) SSL_free_buffers(ssl);
	return true;
}

/*
 * While libpq still uses the SSL object: let each read return after one record,
 * whatever was in it, so that a remote which sends key updates without end
 * cannot keep the caller from its loop and its time limits.
 */
void
ep_tls_read_singly(SSL *ssl)
{
	if (ssl)
		(void) SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
}

/*
 * OpenSSL keeps errors in a queue of the process, and libpq reports the oldest
 * one: let it not be another connection's.
 */
void
ep_tls_clear_errors(void)
{
	ERR_clear_error();
}

/*
 * While libpq still uses the SSL object: what its next read will return, without
 * taking it away, at most one record.  0: an end or an error.  An alert or the
 * like is told once: *error is then what libpq would have been told, else it is
 * left alone.  Less than 0: nothing, and there may be something when the socket
 * can be read (EP_PEEK_READ) or written (EP_PEEK_WRITE).  libpq must not read
 * then: what came was no data (a session ticket, a key update), and what comes
 * behind it was not seen.
 */
ssize_t
ep_tls_peek(SSL *ssl, char *data, size_t size, const char **error)
{
	int			n;

	ERR_clear_error();
	n = SSL_peek(ssl, data, (int) size);
	if (n > 0)
		return n;
	switch (SSL_get_error(ssl, n))
	{
		case SSL_ERROR_WANT_READ:
			return EP_PEEK_READ;
		case SSL_ERROR_WANT_WRITE:
			return EP_PEEK_WRITE;
		case SSL_ERROR_SSL:
			*error = ERR_reason_error_string(ERR_peek_error());
			if (*error == NULL)
				*error = "unknown";
			return 0;
		default:
			return 0;
	}
}
