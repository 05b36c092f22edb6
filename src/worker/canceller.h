/*-------------------------------------------------------------------------
 *
 * canceller.h
 *		Cancel requests that block nobody.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_CANCELLER_H
#define EP_CANCELLER_H

#include "postgres.h"
#include "libpq-fe.h"
#include <sys/socket.h>

/* libpq >= 17 cancels a PGconn without waiting, over TLS as well. */
#ifdef LIBPQ_HAS_ASYNC_CANCEL
#define EP_HAVE_LIBPQ_CANCEL 1
#endif

/*
 * What it takes to cancel.  With libpq >= 17 the PGconn itself is asked
 * (PQcancelCreate); before, address and key are kept here.  Never leaves the
 * worker.
 */
typedef struct EpCancelKey
{
	struct sockaddr_storage addr;
	socklen_t	addrlen;
	uint32		pid;
	uint32		key;
	bool		valid;
} EpCancelKey;

typedef struct EpCancel EpCancel;

extern EpCancel *ep_cancel_start(PGconn *conn, const EpCancelKey *key);	/* first request leaves at once */
extern bool ep_cancel_busy(const EpCancel *cancel);		/* a request's socket has not reached its end */
extern bool ep_cancel_given_up(const EpCancel *cancel); /* one never did: end the connection */
extern void ep_cancel_tick(EpCancel *cancel, uint64 now_us);	/* repeats after 1, 2, 4 s while not stopped */
extern void ep_cancel_stop_repeating(EpCancel *cancel);	/* the statement has ended */
extern void ep_cancel_free(EpCancel *cancel);

#endif							/* EP_CANCELLER_H */
