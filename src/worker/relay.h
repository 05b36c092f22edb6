/*-------------------------------------------------------------------------
 *
 * relay.h
 *		What stands between an encrypted connection and those who use it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_RELAY_H
#define EP_RELAY_H

#include "postgres.h"
#include "libpq-fe.h"

typedef struct EpRelay EpRelay;

extern EpRelay *ep_relay_start(PGconn *pg, int *user_fd);
extern void ep_relay_free(EpRelay *relay);

#endif							/* EP_RELAY_H */
