/*-------------------------------------------------------------------------
 *
 * count.c
 *		What a lease adds to the numbers of its pool and its connection.
 *
 * A statement is counted once, by whoever sees its end first: its turn, or what
 * ends the turn before that.  Numbers are collected in the lease, and added to
 * the pool's under its lock when that is held anyway, or many have come together.
 *
 * Everything here runs in abort and exit paths, too: it raises nothing, allocates
 * nothing, and takes no lock but the pool's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "client/lease.h"
#include "shared/stats.h"

/* Others see what a lease has done no later than that, and the statement under way. */
#define FRESH_US		1000000

/* Caller holds the pool's lock. */
static void
add_stats(EpPool *pool, EpConn *conn, const EpLease *lease, uint64 now_us)
{
	const EpLeaseStats *s = &lease->stats;

	pool->stats.query_count += s->query_count;
	pool->stats.query_errors += s->query_errors;
	pool->stats.total_query_us += s->total_query_us;
	pool->stats.max_query_us = Max(pool->stats.max_query_us, s->max_query_us);
	pool->stats.rows_returned += s->rows_returned;
	pool->stats.transaction_count += s->transaction_count;
	pool->stats.transaction_rollbacks += s->transaction_rollbacks;
	if (lease->desc)
	{
		pool->stats.bytes_sent += lease->desc->wire.bytes_out - lease->bytes_sent;
		pool->stats.bytes_received += lease->desc->wire.bytes_in - lease->bytes_received;
	}
	for (int i = 0; i < s->query_count; i++)
	{
		ep_stats_time(pool, EP_TIMED_QUERY, lease->query_us[i]);
		ep_stats_time_lately(pool, EP_LATELY_QUERY, lease->query_us[i], now_us);
	}
	conn->stats.query_count += s->query_count;
	conn->stats.error_count += s->query_errors;
	conn->stats.total_query_us += s->total_query_us;
	conn->stats.max_query_us = Max(conn->stats.max_query_us, s->max_query_us);
	conn->stats.transaction_count += s->transaction_count;
	conn->stats.transaction_rollbacks += s->transaction_rollbacks;
}

/* Add what the lease has done until now_us to the pool's numbers.  Caller holds the pool's lock. */
void
ep_lease_flush_stats(EpPool *pool, EpConn *conn, EpLease *lease, uint64 now_us)
{
	EpLeaseStats *s = &lease->stats;

	lease->flushed_us = now_us;
	if (s->query_count == 0 && s->transaction_count == 0 &&
		(lease->desc == NULL || (lease->desc->wire.bytes_out == lease->bytes_sent &&
								 lease->desc->wire.bytes_in == lease->bytes_received)))
		return;
	if (likely(ep_stats_on(pool)))
		add_stats(pool, conn, lease, now_us);
	if (lease->desc)
	{
		lease->bytes_sent = lease->desc->wire.bytes_out;
		lease->bytes_received = lease->desc->wire.bytes_in;
	}
	/* at rest: the remote has answered, be it with an error */
	if (!lease->broken && !ep_lease_in_the_middle(lease))
		pool->last_success_us = now_us;
	memset(s, 0, sizeof(EpLeaseStats));
}

static void
flush_at(EpLease *lease, uint64 now_us)
{
	EpPool	   *pool = &ep_pools[lease->pool];
	EpConn	   *conn = &ep_conns[lease->slot];

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (ep_lease_holds(lease, conn))
		ep_lease_flush_stats(pool, conn, lease, now_us);
	else
		memset(&lease->stats, 0, sizeof(EpLeaseStats)); /* of a connection that nobody knows any more */
	LWLockRelease(&pool->lock);
}

/*
 * The statement under way has ended, or is given up: it counts, unless it did
 * so before or was never sent.  Takes the pool's lock now and then; raises
 * nothing.
 */
void
ep_lease_count(EpLease *lease, uint64 now_us, bool failed)
{
	EpLeaseStats *s = &lease->stats;
	uint64		elapsed;

	if (lease->started_us == 0)
		return;
	elapsed = now_us - Min(now_us, lease->started_us);
	lease->started_us = 0;
	lease->query_us[s->query_count++] = elapsed;
	s->total_query_us += elapsed;
	s->max_query_us = Max(s->max_query_us, elapsed);
	s->query_errors += failed;
	if (s->query_count == EP_QUERY_TIMES || now_us > lease->flushed_us + FRESH_US)
		flush_at(lease, now_us);
}

/* A statement that nobody will see the end of counts as failed.  For abort and exit paths. */
void
ep_lease_count_given_up(EpLease *lease)
{
	if (lease->started_us != 0)
		ep_lease_count(lease, ep_now_us(), true);
}

/* The lease itself, when it ends.  Caller holds the pool's lock. */
void
ep_lease_count_end(EpPool *pool, EpConn *conn, uint64 now_us)
{
	uint64		held = now_us - conn->leased_us;

	if (likely(ep_stats_on(pool)))
	{
		pool->stats.lease_count++;
		pool->stats.total_lease_us += held;
		pool->stats.max_lease_us = Max(pool->stats.max_lease_us, held);
		ep_stats_time(pool, EP_TIMED_LEASE, held);
	}
	ep_observe_lease(&pool->observed, held);
	conn->last_used_us = now_us;
	conn->last_used_at = GetCurrentTimestamp();
}
