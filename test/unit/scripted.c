/*-------------------------------------------------------------------------
 *
 * scripted.c
 *		A transport that follows a script; one at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "scripted.h"
#include "unit.h"

Scripted	scripted;

static ssize_t
scripted_read(EpTransport *t, void *buf, size_t len)
{
	size_t		n = Min(Min(len, scripted.chunk), scripted.len - scripted.at);

	if (scripted.at == scripted.len)
	{
		errno = ECONNRESET;
		return scripted.at_end;
	}
	memcpy(buf, scripted.bytes + scripted.at, n);
	scripted.at += n;
	return n;
}

ssize_t
scripted_transport_write(EpTransport *t, const void *buf, size_t len)
{
	size_t		n = Min(Min(len, scripted.chunk), scripted.room);

	if (scripted.write_fails)
	{
		errno = EPIPE;
		return -1;
	}
	memcpy(scripted.written + scripted.nwritten, buf, n);
	scripted.nwritten += n;
	scripted.room -= n;
	return n;
}

/* A wire whose peer sends these bytes and then nothing more. */
void
scripted_wire(EpWire *wire, const char *bytes, size_t len, size_t chunk)
{
	memset(&scripted, 0, sizeof(scripted));
	scripted.bytes = bytes;
	scripted.len = len;
	scripted.chunk = chunk;
	scripted.room = sizeof(scripted.written);
	ep_wire_init(wire, NULL, -1);
	wire->transport.read = scripted_read;
	wire->transport.write = scripted_transport_write;
}

/* Write a message as a server sends it; returns its size. */
size_t
put_message(char *to, char type, const void *body, uint32 len)
{
	uint32		word = pg_hton32(len + 4);

	to[0] = type;
	memcpy(to + 1, &word, 4);
	memcpy(to + 5, body, len);
	return 5 + (size_t) len;
}
