/*-------------------------------------------------------------------------
 *
 * scripted.h
 *		A transport that delivers given bytes in pieces of a given size, and
 *		takes bytes in such pieces.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SCRIPTED_H
#define EP_SCRIPTED_H

#include "wire/wire.h"

typedef struct Scripted
{
	/* to be read */
	const char *bytes;
	size_t		len;
	size_t		at;
	ssize_t		at_end;			/* what read returns then: 0, -1 or -2 */

	/* what was written */
	char		written[4096];
	size_t		nwritten;
	size_t		room;			/* the peer takes so many bytes more */
	bool		write_fails;

	size_t		chunk;			/* most bytes that one call moves */
} Scripted;

extern Scripted scripted;

extern ssize_t scripted_transport_write(EpTransport *t, const void *buf, size_t len);
extern void scripted_wire(EpWire *wire, const char *bytes, size_t len, size_t chunk);
extern size_t put_message(char *to, char type, const void *body, uint32 len);

#endif							/* EP_SCRIPTED_H */
