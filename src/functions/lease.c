/*-------------------------------------------------------------------------
 *
 * lease.c
 *		acquire, release and release_all: connections kept over several
 *		statements.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "client/lease.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_acquire);
PG_FUNCTION_INFO_V1(enhanced_pool_release);
PG_FUNCTION_INFO_V1(enhanced_pool_release_all);

/* A lease that was acquired without hold is from now on kept beyond the transaction. */
static void
set_hold(EpLease *lease)
{
	EpConn	   *conn = &ep_conns[lease->slot];
	EpPool	   *pool = &ep_pools[lease->pool];

	lease->hold = true;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->lease == lease->number)
		conn->hold = true;
	LWLockRelease(&pool->lock);
}

/*
 * acquire(pool text, timeout interval, hold boolean, name text) bigint: the
 * number of a new lease, or of the one of that name that the current user
 * already has from that pool in this session.  The empty name is none.
 */
Datum
enhanced_pool_acquire(PG_FUNCTION_ARGS)
{
	bool		hold = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	const char *name = ep_arg_lease_name(fcinfo, 3);
	double		timeout = PG_ARGISNULL(1) ? 0 : ep_arg_seconds(fcinfo, 1, "Pass '0' to not wait at all, or null for the pool's acquire_timeout.");
	EpPoolRef  *ref = ep_arg_pool(fcinfo, 0);
	EpLease    *lease = NULL;

	/*
	 * as with cursors: what an index's function leaves behind would stay in
	 * another user's session
	 */
	if (hold && InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot acquire a lease with hold within security-restricted operation")));
	if (PG_ARGISNULL(1))
		timeout = ep_ref_acquire_timeout(ref);
	if (name)
		lease = ep_lease_find_named(ref, name);
	if (lease == NULL)
		lease = ep_lease_acquire(ref, EP_KIND_LEASE, timeout, hold, name);
	else if (hold && !lease->hold)
		set_hold(lease);
	PG_RETURN_INT64(lease->number);
}

/* release(lease bigint) boolean: false if the session has no such lease */
Datum
enhanced_pool_release(PG_FUNCTION_ARGS)
{
	ep_require_preload();
	PG_RETURN_BOOL(ep_lease_release_number(ep_arg_lease(fcinfo, 0)));
}

/* release_all() int: how many leases were given back */
Datum
enhanced_pool_release_all(PG_FUNCTION_ARGS)
{
	ep_require_preload();
	PG_RETURN_INT32(ep_lease_release_all());
}
