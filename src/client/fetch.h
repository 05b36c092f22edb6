/*-------------------------------------------------------------------------
 *
 * fetch.h
 *		What descriptor.c (the cache) and fetch.c (what fills it) know of each
 *		other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_FETCH_H
#define EP_FETCH_H

#include "postgres.h"
#include "client/descriptor.h"

extern EpDescriptor *ep_descriptor_install(int slot, uint64 conn_id, int fd);
extern bool ep_descriptor_give_up_one(void);
extern void ep_descriptor_make_room(void);
extern void ep_descriptor_reserve(void);

#endif							/* EP_FETCH_H */
