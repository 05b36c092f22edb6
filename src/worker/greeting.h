/*-------------------------------------------------------------------------
 *
 * greeting.h
 *		What a remote server says before it lets us in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_GREETING_H
#define EP_GREETING_H

#include "postgres.h"

#include "libpq-fe.h"

#include "wire/login.h"

/* Its messages have at most 2000 bytes, and there are never many. */
#define EP_GREETING_SIZE	8192

typedef struct EpGreeting
{
	char		said[EP_GREETING_SIZE];
	size_t		nsaid;			/* over TLS: so much in all */
	bool		challenged;		/* it has asked for proof; not over TLS */
} EpGreeting;

extern void ep_greeting_begin(EpGreeting *greeting);
extern EpLoginVerdict ep_greeting_look(EpGreeting *greeting, PGconn *conn, uint32 *events, const char **why);

#endif							/* EP_GREETING_H */
