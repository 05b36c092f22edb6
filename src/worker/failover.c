/*-------------------------------------------------------------------------
 *
 * failover.c
 *		Leaving a host that is not the one any more that target_session_attrs
 *		asks for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "shared/events.h"
#include "worker/kept.h"

/* Not more often than this an event and a line in the log, for each pool. */
#define TELL_INTERVAL_US		1000000

/* Caller holds the pool's lock.  Returns whether there were any. */
static bool
validate_idle(EpPool *pool)
{
	bool		any = false;

	for (int slot = pool->idle_head; slot != EP_NO_SLOT;)
	{
		EpConn	   *conn = &ep_conns[slot];

		slot = conn->next;
		if (!ep_conn_in_doubt(pool, conn))
			continue;
		ep_conn_to_validating(conn);
		any = true;
	}
	return any;
}

/*
 * Begins a round if one is wanted and it is time: idle connections are
 * validated, all at once, for until then nobody should get one of them.  No
 * lock is held by the caller.
 */
void
ep_failover_tick(EpPool *pool, uint64 now_us)
{
	uint64		due_us = 0;
	bool		any = false;

	if (!((volatile EpPool *) pool)->recheck.wanted)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (!pool->in_use || pool->closing || !ep_failover_acts(pool))
		pool->recheck.wanted = false;
	else if (ep_recheck_begin(&pool->recheck, now_us, &due_us))
		any = validate_idle(pool);
	LWLockRelease(&pool->lock);
	if (due_us != 0)
		ep_loop_wake_at(due_us);
	if (any)
		SetLatch(MyLatch);		/* the next tick sends the queries */
}

static bool
may_tell(const EpPool *pool)
{
	static uint64 *last = NULL;
	uint64		now = ep_now_us();
	int			place = (int) (pool - ep_pools);

	if (last == NULL)
		last = MemoryContextAllocZero(TopMemoryContext, sizeof(uint64) * ep_control->max_pools);
	if (last[place] != 0 && now - last[place] < TELL_INTERVAL_US)
		return false;
	last[place] = now;
	return true;
}

/*
 * Ends a connection, which is clean and at rest, if its host does not fit any
 * more, and has it replaced.  Returns whether it did.  No lock is held by the
 * caller.
 */
bool
ep_failover_leave(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);
	EpEventPool whose;
	bool		unfit;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	unfit = ep_conn_unfit(pool, conn);
	if (unfit)
	{
		ep_pool_refill(pool);
		ep_conn_blame(conn, EP_END_FAILOVER);
	}
	ep_event_pool(pool, &whose);
	LWLockRelease(&pool->lock);
	if (!unfit)
		return false;
	if (may_tell(pool))
	{
		ep_event_of(&whose, EP_EVENT_FAILOVER, 0, NULL,
					"host \"%s\", port %d does not fit target_session_attrs any more, connections to it are replaced",
					conn->host, conn->port);
		ereport(LOG,
				(errmsg("pool \"%s\": host \"%s\", port %d does not fit target_session_attrs any more, connections to it are replaced",
						whose.ident.name, conn->host, conn->port)));
	}
	ep_kept_break(kept, "its host does not fit target_session_attrs any more");
	return true;
}
