/*-------------------------------------------------------------------------
 *
 * failover.c
 *		Connections to a host that may not be the one that target_session_attrs
 *		asks for any more.
 *
 * Whoever sees a sign of that (an error that says "read-only" on a connection
 * that was not, a connection that was lost) asks for a round: the worker then
 * validates all idle connections, and those that are leased when they come
 * back, and ends what does not fit.  A connection is in doubt until it was
 * looked at after the round began.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shared/shared.h"

/* Are connections of the pool to leave a host that does not fit?  Caller holds its lock. */
bool
ep_failover_acts(const EpPool *pool)
{
	return pool->def.session_attrs != EP_ATTRS_ANY && EP_BOOL(&pool->def.set, EP_S_FAILOVER_ENABLED);
}

/*
 * Something speaks for a change: all connections of the pool are to be looked
 * at.  Caller holds its lock, and wakes the worker if this returns true.
 */
bool
ep_pool_want_recheck(EpPool *pool)
{
	if (!ep_failover_acts(pool))
		return false;
	pool->recheck.wanted = true;
	return true;
}

/* The same, with this connection as the witness: it is looked at in any case. */
bool
ep_conn_doubt(EpPool *pool, EpConn *conn)
{
	if (!ep_pool_want_recheck(pool))
		return false;
	conn->doubted = true;
	return true;
}

/*
 * Does its host not fit any more, as far as is known?  What did not fit from
 * the beginning, be it for what connect_query sets, is left alone.  Caller
 * holds the pool's lock.
 */
bool
ep_conn_unfit(const EpPool *pool, const EpConn *conn)
{
	return conn->fitted && ep_failover_acts(pool) && !ep_failover_fits(pool->def.session_attrs, conn->host_state);
}

/*
 * Must the connection be validated before anybody gets it?  What it last
 * reported of its host may come from what a session set.  Caller holds the
 * pool's lock.
 */
bool
ep_conn_in_doubt(const EpPool *pool, const EpConn *conn)
{
	return ep_failover_acts(pool) &&
		(conn->doubted || conn->checked_us < pool->recheck.round_us || ep_conn_unfit(pool, conn));
}
