/*-------------------------------------------------------------------------
 *
 * notify.h
 *		Notifications that come over a leased connection.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_NOTIFY_H
#define EP_NOTIFY_H

#include "postgres.h"
#include "lib/ilist.h"
#include "client/lease.h"
#include "wire/wire.h"

typedef struct EpNotification
{
	dlist_node	node;
	int			pid;			/* of the remote process that notified */
	const char *channel;
	const char *payload;
} EpNotification;

typedef void (*EpNotifyCallback) (void *arg, const EpNotification *notification);

/* for turn.c and enter.c: what comes in the middle of something else */
extern void ep_notify_keep(EpLease *lease, const EpMessage *msg);
extern void ep_notify_note_command(EpLease *lease, const char *tag);

extern void ep_notify_settle(EpLease *lease);
extern bool ep_notify_is_ready(EpLease *lease);
extern void ep_notify_await(EpLease *lease, double timeout_s);
extern void ep_notify_hand_over(EpLease *lease, EpNotifyCallback callback, void *arg);

/* for lease.c: abort and exit paths */
extern void ep_notify_discard(EpLease *lease);

#endif							/* EP_NOTIFY_H */
