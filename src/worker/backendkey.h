/*-------------------------------------------------------------------------
 *
 * backendkey.h
 *		Getting hold of the key with which a connection's statements are
 *		cancelled, where libpq keeps it to itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_BACKENDKEY_H
#define EP_BACKENDKEY_H

#include "postgres.h"
#include "libpq-fe.h"

#include "worker/canceller.h"

typedef struct EpKeyCatcher EpKeyCatcher;

extern EpKeyCatcher *ep_keycatcher_start(PGconn *conn);
extern void ep_keycatcher_finish(EpKeyCatcher *catcher, PGconn *conn, EpCancelKey *key);

#endif							/* EP_BACKENDKEY_H */
