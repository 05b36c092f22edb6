/*-------------------------------------------------------------------------
 *
 * descriptor.c
 *		This backend's cache of connection descriptors.
 *
 * A descriptor is a copy of the worker's socket, valid for one conn_id.  It is
 * kept when the lease is given back, so that a lease on a connection that was
 * used before needs nothing from the worker.  What fetches them (fetch.c)
 * brings others of the pool along.
 *
 * Descriptors count against the limit that the server keeps for those that it
 * does not manage itself (AcquireExternalFD).  When that is reached, the least
 * recently used one that no lease has pinned is given up.
 *
 * A copy does not keep a connection alive that the worker ends, because the
 * worker shuts it down; but it keeps kernel memory.  ep_descriptor_sweep
 * closes copies of ended connections, at the next acquire of any that sees
 * that one of the pool has ended (closed_epoch).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "client/descriptor.h"
#include "client/fetch.h"
#include "client/statement.h"
#include "compat.h"

static EpDescriptor **cache = NULL; /* by slot */
static dlist_head lru = DLIST_STATIC_INIT(lru); /* most recently used first */
static int	ncached = 0;
static uint32 *swept = NULL;	/* by place in ep_pools: closed_epoch at the last sweep */

/* ------------------------------------------------------------------- cache */

static void
need_cache(void)
{
	if (swept != NULL)
		return;
	if (cache == NULL)
		cache = MemoryContextAllocZero(TopMemoryContext, sizeof(EpDescriptor *) * ep_control->max_connections);
	swept = MemoryContextAllocZero(TopMemoryContext, sizeof(uint32) * ep_control->max_pools);
}

/* Is there a valid descriptor for that connection?  Cheap; callable under a lock. */
bool
ep_descriptor_is_warm(int slot, uint64 conn_id)
{
	return cache != NULL && cache[slot] != NULL && cache[slot]->conn_id == conn_id;
}

/*
 * Close a descriptor and forget what was buffered for it.  It must not be
 * pinned.  Raises nothing.
 */
void
ep_descriptor_forget(EpDescriptor *desc)
{
	Assert(!desc->pinned);
	dlist_delete(&desc->lru);
	cache[desc->slot] = NULL;
	ncached--;
	ep_stmt_forget_all(desc);
	ep_wire_free(&desc->wire);
	close(desc->fd);
	ReleaseExternalFD();
	pfree(desc);
}

/* The cached descriptor of a connection, now the most recently used one, or NULL. */
EpDescriptor *
ep_descriptor_lookup(int slot, uint64 conn_id)
{
	EpDescriptor *desc;

	if (!ep_descriptor_is_warm(slot, conn_id))
		return NULL;
	desc = cache[slot];
	dlist_move_head(&lru, &desc->lru);
	return desc;
}

/*
 * Put a descriptor into the cache; one AcquireExternalFD() has been done for
 * it.  Returns NULL, and takes nothing, if there is one for that connection
 * already.  The caller closes fd then, and if an error is raised.
 */
EpDescriptor *
ep_descriptor_install(int slot, uint64 conn_id, int fd)
{
	EpDescriptor *desc;

	need_cache();
	desc = cache[slot];
	if (desc != NULL)
	{
		if (desc->conn_id == conn_id || desc->pinned)
			return NULL;
		ep_descriptor_forget(desc);
	}
	desc = MemoryContextAllocZero(TopMemoryContext, sizeof(EpDescriptor));
	desc->slot = slot;
	desc->conn_id = conn_id;
	desc->fd = fd;
	ep_wire_init(&desc->wire, TopMemoryContext, fd);
	cache[slot] = desc;
	dlist_push_tail(&lru, &desc->lru);
	ncached++;
	return desc;
}

/* Close the least recently used descriptor that no lease uses.  False if there is none. */
bool
ep_descriptor_give_up_one(void)
{
	dlist_node *node = dlist_is_empty(&lru) ? NULL : dlist_tail_node(&lru);

	while (node != NULL)
	{
		EpDescriptor *desc = dlist_container(EpDescriptor, lru, node);

		if (!desc->pinned)
		{
			ep_descriptor_forget(desc);
			return true;
		}
		node = dlist_has_prev(&lru, node) ? dlist_prev_node(&lru, node) : NULL;
	}
	return false;
}

/*
 * Give up something cached, so that there is a descriptor for a lease.  Raises
 * 53000 with that detail and hint if there is nothing.
 */
static void
make_room(const char *detail, const char *hint)
{
	if (!ep_descriptor_give_up_one())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("out of file descriptors for leased connections"),
				 errdetail("%s", detail),
				 errhint("%s", hint)));
}

/*
 * The operating system lets this process have no more descriptors: give up
 * something cached, so that there is one.  Raises 53000 if there is nothing:
 * nobody else in this process gives one back while it waits.
 */
void
ep_descriptor_make_room(void)
{
	make_room("The operating system lets this process open no more files.",
			  "Raise the limit of open files (ulimit -n, LimitNOFILE=), or lower max_files_per_process.");
}

/*
 * Reserve one descriptor with the server, giving up cached ones for it.
 * Raises 53000 when all that this process may have are in use by leases.
 */
void
ep_descriptor_reserve(void)
{
	while (!AcquireExternalFD())
		make_room("All that this process may have are in use by leases.",
				  "Release leases, or raise max_files_per_process.");
}

/*
 * Close the descriptors of connections that have ended, if any of that pool
 * has ended since the last sweep.  Takes no lock: conn_id changes before
 * closed_epoch does.
 */
void
ep_descriptor_sweep(EpPool *pool)
{
	int			place = (int) (pool - ep_pools);
	uint32		epoch = pg_atomic_read_u32(&pool->closed_epoch);
	dlist_mutable_iter it;

	if (swept == NULL || swept[place] == epoch)
		return;
	swept[place] = epoch;
	pg_read_barrier();
	dlist_foreach_modify(it, &lru)
	{
		EpDescriptor *desc = dlist_container(EpDescriptor, lru, it.cur);

		if (!desc->pinned && ((volatile EpConn *) &ep_conns[desc->slot])->conn_id != desc->conn_id)
			ep_descriptor_forget(desc);
	}
}

/* How many descriptors this process keeps. */
int
ep_descriptor_count(void)
{
	return ncached;
}
