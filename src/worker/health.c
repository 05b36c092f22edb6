/*-------------------------------------------------------------------------
 *
 * health.c
 *		Health checks: a test connection when nothing has succeeded for a while.
 *
 * A test connection is opened as any other, asked validation_query and closed.
 * Its slot is marked (EpConn.probe): nobody gets it, and it is none of the
 * pool's connections.  There is one for each remote, and its outcome counts
 * for every pool of that remote (attempt.c).  The first in ep_pools of the
 * pools for which one is due makes it.  Workers look at other workers' pools
 * without stopping them, so two of them may now and then both make one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "worker/kept.h"

/* For the query. */
#define QUERY_TIMEOUT_US	10000000

/* What is to be known of one pool. */
typedef struct Need
{
	uint64		remote_hash;
	uint64		interval_us;
	bool		wanted;			/* it has a connection or a waiter */
	bool		under_way;		/* it has a test connection */
	uint64		last_us;		/* when the remote's health was last looked at, or known */
} Need;

/*
 * A pool without connection and waiter wants none, and wakes nobody; while its
 * breaker is open or half-open, that one says when to try.
 */
static bool
read_need(EpPool *pool, Need *need)
{
	double		interval;

	LWLockAcquire(&pool->lock, LW_SHARED);
	interval = EP_NUM(&pool->def.set, EP_S_HEALTH_CHECK_INTERVAL);
	need->remote_hash = pool->def.remote_hash;
	need->interval_us = (uint64) (interval * 1000000.0);
	need->wanted = pool->in_use && !pool->closing && interval > 0 &&
		pool->breaker.state == EP_BREAKER_CLOSED &&
		(ep_pool_any_live(pool) || pool->n_waiting > 0);
	need->under_way = pool->n_probing > 0;

	/* an attempt that has just failed says as much as a test connection would */
	need->last_us = Max(Max(pool->last_success_us, pool->last_probe_us), pool->breaker.last_failure_us);
	LWLockRelease(&pool->lock);
	return need->wanted;
}

static bool
is_due(const Need *need, uint64 last_us, uint64 now_us)
{
	return need->wanted && now_us >= last_us + need->interval_us;
}

/* Makes a test connection if one is due and it is this pool's to make it.  No lock is held. */
void
ep_health_look(EpPool *pool, uint64 now_us)
{
	Need		mine;
	uint64		last_us;

	if (!read_need(pool, &mine) || !is_due(&mine, mine.last_us, now_us))
		return;

	last_us = mine.last_us;
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		Need		other;

		if (!ep_pools[i].in_use || ep_pools[i].def.remote_hash != mine.remote_hash)
			continue;
		(void) read_need(&ep_pools[i], &other);
		if (other.remote_hash != mine.remote_hash)
			continue;
		last_us = Max(last_us, other.last_us);
		if (other.under_way || !is_due(&mine, last_us, now_us) ||
			(&ep_pools[i] < pool && is_due(&other, last_us, now_us)))
			return;
	}
	ep_health_probe(pool);
}

/*
 * Begins to make a test connection, unless the pool has one or there is no
 * place for it.  No lock is held.
 */
void
ep_health_probe(EpPool *pool)
{
	if (*(volatile int *) &pool->n_probing > 0 || !ep_opener_open(pool, false, true))
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->last_probe_us = ep_now_us();
	LWLockRelease(&pool->lock);
}

/* A test connection is open: asks it the query. */
void
ep_health_ask(EpKept *kept)
{
	uint64		deadline = ep_now_us() + QUERY_TIMEOUT_US;

	ep_talk_begin(&kept->talk);
	ep_talk_query(&kept->talk, &kept->wire, ep_kept_text(ep_kept_pool(kept), EP_S_VALIDATION_QUERY));
	ep_loop_wake_at(deadline);
	ep_kept_run(kept, EP_TASK_PROBE, deadline);
}

/* The query has ended. */
void
ep_health_talked(EpKept *kept, EpTalkState state)
{
	EpPool	   *pool = ep_kept_pool(kept);
	char		why[EP_TALK_ERROR_SIZE + 64];

	if (state == EP_TALK_LOST || kept->talk.failed)
	{
		snprintf(why, sizeof(why), "health check: %s", kept->talk.error);
		ep_opener_failed(kept, why);
		return;
	}
	ep_attempt_succeeded(kept);
	kept->task = EP_TASK_NONE;
	kept->deadline = 0;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	ep_conn_to_broken(ep_kept_conn(kept));
	LWLockRelease(&pool->lock);
	SetLatch(MyLatch);			/* the next tick closes it */
}
