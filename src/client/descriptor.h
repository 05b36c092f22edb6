/*-------------------------------------------------------------------------
 *
 * descriptor.h
 *		This backend's cache of connection descriptors, fetched from the worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_DESCRIPTOR_H
#define EP_DESCRIPTOR_H

#include "postgres.h"
#include "lib/ilist.h"
#include "brain/spin.h"
#include "shared/shared.h"
#include "wire/wire.h"

/*
 * This process's end of one connection; lives until it is forgotten, given up
 * as the least recently used one, or found to be of a connection that ended.
 */
typedef struct EpDescriptor
{
	dlist_node	lru;
	int			slot;			/* in ep_conns */
	uint64		conn_id;		/* generation the descriptor is valid for */
	int			fd;
	EpSpin		spin;			/* does looking for an answer pay? */
	EpWire		wire;
	bool		pinned;			/* a lease uses it */
	struct EpStmtMemory *statements;	/* statement.c; NULL at first, freed by ep_stmt_forget_all() */
} EpDescriptor;

extern bool ep_descriptor_is_warm(int slot, uint64 conn_id);
extern EpDescriptor *ep_descriptor_lookup(int slot, uint64 conn_id);
extern EpDescriptor *ep_descriptor_fetch(EpPool *pool, int slot, uint64 conn_id, uint64 deadline_us);
extern void ep_descriptor_forget(EpDescriptor *desc);
extern void ep_descriptor_sweep(EpPool *pool);
extern int	ep_descriptor_count(void);

#endif							/* EP_DESCRIPTOR_H */
