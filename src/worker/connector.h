/*-------------------------------------------------------------------------
 *
 * connector.h
 *		One walk over a pool's hosts and addresses that ends with an
 *		authenticated libpq connection or with an error for each host.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_CONNECTOR_H
#define EP_CONNECTOR_H

#include "postgres.h"
#include "libpq-fe.h"
#include "shared/shared.h"
#include "worker/canceller.h"

typedef struct EpWalk EpWalk;

typedef struct EpWalkResult
{
	/* success: conn != NULL stands at CONNECTION_OK and now belongs to the callee */
	PGconn	   *conn;
	EpCancelKey key;
	char		host[EP_HOST_SIZE];	/* as the user named it, or the address */
	int			port;
	bool		no_options;		/* the remote (a pooler in between) refused startup options */

	/* failure */
	int			sqlstate;		/* 08001; if fatal perhaps 0A000 or 42501 */
	bool		fatal;			/* no retry can mend it: waiters fail at once */
	bool		full;			/* a server said that it takes no more connections */
	bool		denied;			/* a server refused this user */
	bool		local;			/* no server is to blame, but this process */
	const char *said;			/* the SQLSTATE that a server last refused with, or empty */
	const char *error;			/* host by host; valid during the callback */
	const char *hint;			/* or NULL */

	/* either */
	bool		slow;			/* an attempt kept the worker from its loop for more than a second */
} EpWalkResult;

/* Called exactly once, unless the walk is aborted first; the walk is freed after it returns. */
typedef void (*EpWalkDone) (void *arg, EpWalkResult *result);

extern void ep_connector_init(void);
extern EpWalk *ep_walk_start(const EpPoolDef *def, EpWalkDone done, void *arg);
extern void ep_walk_tick(EpWalk *walk, uint64 now_us);
extern void ep_walk_abort(EpWalk *walk);

#endif							/* EP_CONNECTOR_H */
