/*-------------------------------------------------------------------------
 *
 * remote.c
 *		Taking an input apart, and a remote that sends and takes bytes in the
 *		pieces that it says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fuzz.h"

void
fuzz_fail(const char *condition, const char *file, int line)
{
	fprintf(stderr, "INVARIANT %s does not hold, %s:%d\n", condition, file, line);
	abort();
}

/* ------------------------------------------------------------------ input */

size_t
left(const Input *in)
{
	return in->end - in->at;
}

uint8
take_byte(Input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

uint16
take_uint16(Input *in)
{
	uint16		high = take_byte(in);

	return (uint16) (high << 8 | take_byte(in));
}

uint32
take_uint32(Input *in)
{
	uint32		high = take_uint16(in);

	return high << 16 | take_uint16(in);
}

/* Returns how many there were, max at most. */
size_t
take_bytes(Input *in, void *to, size_t max)
{
	size_t		n = Min(left(in), max);

	if (n > 0)
		memcpy(to, in->at, n);
	in->at += n;
	return n;
}

/* Up to a NUL or the end, max bytes at most; malloc'd to the byte. */
char *
take_text(Input *in, size_t max)
{
	size_t		len = strnlen((const char *) in->at, Min(left(in), max));
	char	   *text = malloc(len + 1);

	take_bytes(in, text, len);
	text[len] = '\0';
	if (left(in) > 0 && *in->at == '\0')
		in->at++;
	return text;
}

/* ----------------------------------------------------------------- remote */

void
take_pieces(Input *in, uint8 *pieces, int *npieces)
{
	*npieces = (int) take_bytes(in, pieces, take_byte(in) % (MAX_PIECES + 1));
}

/* How much of len bytes moves at once. */
static size_t
some_of(size_t len, uint8 piece)
{
	return Min(len, piece < 128 ? piece : (size_t) (piece - 127) * 64);
}

void
remote_begin(Remote *remote, const uint8 *bytes, size_t len, End end)
{
	memset(remote, 0, sizeof(Remote));
	remote->bytes = bytes;
	remote->len = len;
	remote->end = end;
}

/* There is one at a time that a wire reads from. */
static Remote *current;

static ssize_t
remote_read(EpTransport *t, void *buf, size_t len)
{
	Remote	   *remote = current;
	size_t		n = Min(len, remote->len - remote->at);

	INVARIANT(len > 0);
	if (remote->at == remote->len)
	{
		if (remote->at_end)
			remote->at_end();
		errno = ECONNRESET;
		return remote->end == END_NOTHING ? 0 : remote->end == END_EOF ? -2 : -1;
	}
	if (remote->piece < remote->npieces)
		n = some_of(n, remote->pieces[remote->piece++]);
	memcpy(buf, remote->bytes + remote->at, n);
	remote->at += n;
	return n;
}

static ssize_t
remote_write(EpTransport *t, const void *buf, size_t len)
{
	Remote	   *remote = current;
	size_t		n = len;

	INVARIANT(len > 0);
	if (remote->room < remote->nrooms)
		n = some_of(n, remote->rooms[remote->room++]);
	else if (remote->write_fails)
	{
		errno = EPIPE;
		return -1;
	}
	if (remote->written_to && remote->written < remote->max_written)
		memcpy(remote->written_to + remote->written, buf, Min(n, remote->max_written - remote->written));
	remote->written += n;
	return n;
}

/* The transport leads to that remote, which takes the place of the one before. */
void
remote_attach(EpTransport *transport, Remote *remote)
{
	current = remote;
	transport->read = remote_read;
	transport->write = remote_write;
}

/* A wire to that remote. */
void
remote_wire(EpWire *wire, Remote *remote)
{
	ep_wire_init(wire, NULL, -1);
	remote_attach(&wire->transport, remote);
}

char *
exact_copy(const void *bytes, size_t len)
{
	char	   *copy = malloc(len);

	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

/* FNV-1a. */
uint64
hash_more(uint64 hash, const void *bytes, size_t len)
{
	const uint8 *p = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64CONST(0x100000001b3);
	return hash;
}
