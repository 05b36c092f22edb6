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
 * Sessions ask for a test connection by EpPool.check.  It is made at once,
 * whatever the breaker says, and counts as any other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "worker/kept.h"

/* For the query. */
#define QUERY_TIMEOUT_US	10000000

/* A pool that was opened for a check alone, and was left behind, is closed after this time. */
#define CLOSE_CHECKED_US	30000000

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
	need->wanted = pool->in_use && !pool->closing && !pool->wiped && interval > 0 &&
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

/*
 * Closes a pool that was opened for a check alone, if who asked for that has
 * not done so.
 */
static void
close_checked(EpPool *pool, uint64 now_us)
{
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (now_us > pool->last_probe_us + CLOSE_CHECKED_US)
		(void) ep_pool_close_checked(pool);
	LWLockRelease(&pool->lock);
}

/* Makes a test connection if one is due and it is this pool's to make it.  No lock is held. */
void
ep_health_look(EpPool *pool, uint64 now_us)
{
	Need		mine;
	uint64		last_us;

	if (((volatile EpPool *) pool)->checked_only)
		close_checked(pool, now_us);
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
	(void) ep_health_probe(pool);
}

/*
 * Begins to make a test connection, unless the pool has one.  Returns false if
 * there is no place for it.  No lock is held.
 */
bool
ep_health_probe(EpPool *pool)
{
	if (*(volatile int *) &pool->n_probing > 0)
		return true;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->check.begun = pool->check.asked;
	LWLockRelease(&pool->lock);
	if (!ep_opener_open(pool, false, true))
		return false;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->last_probe_us = ep_now_us();
	LWLockRelease(&pool->lock);
	return true;
}

/* ------------------------------------------------- what sessions have asked for */

/* Why no test connection could be begun.  Caller holds the pool's lock. */
static const char *
why_skipped(const EpPool *pool)
{
	if (pool->closing)
		return "not tested: the pool is closed";
	if (pool->paused)
		return "not tested: the pool is paused";
	if (pool->wiped)
		return "not tested: the user mapping was changed just now";
	return "not tested: enhanced_pool.max_connections or max_server_connections leave no place";
}

/*
 * Makes the test connection that sessions have asked for, when the one that is
 * there, which may be older than the question, has gone.  No lock is held.
 */
void
ep_health_serve(EpPool *pool)
{
	volatile EpPool *look = pool;

	if (look->check.asked == look->check.answered || look->n_probing > 0 || ep_health_probe(pool))
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->check.answered = pool->check.begun;
	pool->check.outcome = EP_CHECK_SKIPPED;
	strlcpy(pool->check.error, why_skipped(pool), EP_ERROR_SIZE);
	LWLockRelease(&pool->lock);
}

/*
 * The outcome of a test connection; error is copied.  Called with no lock
 * held, after the outcome has been counted: who asked is to find a breaker
 * closed then.
 */
void
ep_health_answer(EpKept *kept, EpCheckOutcome outcome, const char *error)
{
	EpPool	   *pool = ep_kept_pool(kept);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->check.answered = pool->check.begun;
	pool->check.outcome = outcome;
	pool->check.latency_us = ep_now_us() - kept->began_us;
	ep_attempt_copy_error(pool, error, pool->check.error);
	LWLockRelease(&pool->lock);
}

/* -------------------------------------------------------------------- the query */

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

	if (state == EP_TALK_LOST || kept->talk.failed)
	{
		char		why[EP_TALK_ERROR_SIZE + 64];

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
