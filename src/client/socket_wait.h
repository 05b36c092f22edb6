/*-------------------------------------------------------------------------
 *
 * socket_wait.h
 *		Waiting for sockets of leased connections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SOCKET_WAIT_H
#define EP_SOCKET_WAIT_H

#include "postgres.h"
#include "storage/latch.h"
#include "client/descriptor.h"

extern void ep_wait_prepare(void);
extern int	ep_descriptor_wait(const EpDescriptor *desc, uint32 events, long timeout_ms);
extern WaitEventSet *ep_wait_set_create(int sockets, int *first);

#endif							/* EP_SOCKET_WAIT_H */
