/*-------------------------------------------------------------------------
 *
 * upkeep.c
 *		Looking after each pool: size, expiry, due validations, changed
 *		definitions, reloaded parameters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "brain/sizing.h"
#include "shared/events.h"
#include "worker/kept.h"
#include "worker/tuning.h"

/* A pool that nobody took a connection of for this long shrinks to min_size. */
#define UNUSED_US	(UINT64CONST(600) * 1000000)

/* What the worker tends for longer than that while somebody waits is not counted on. */
#define PATIENCE_US	UINT64CONST(500000)

/* How many connections are opened or ended in one round. */
#define ROUND		16

static uint64
seconds_us(double seconds)
{
	return (uint64) (seconds * 1000000.0);
}

/*
 * Has the first in the queue waited for so long that connections in the
 * worker's hands hardly come back soon?  A reset takes a moment, but where the
 * remote does not answer any more it takes until the deadline, when the pool
 * may have room for one that works.  Caller holds the pool's lock.
 */
static bool
out_of_patience(const EpPool *pool, uint64 now_us)
{
	int			first = ep_queue_first(pool, false);

	return first >= 0 && now_us > ep_backends[first].wait_start_us + PATIENCE_US;
}

/* Caller holds the pool's lock. */
static void
read_input(const EpPool *pool, uint64 now_us, EpSizingInput *in)
{
	const EpSettings *set = &pool->def.set;

	memset(in, 0, sizeof(EpSizingInput));
	in->size = ep_pool_size(pool);
	in->idle = pool->n_idle - pool->n_kept_idle;
	in->reserved = pool->n_kept_idle;
	in->leased = pool->n_leased;
	in->connecting = pool->n_connecting;
	in->tended = out_of_patience(pool, now_us) ? 0 : pool->n_tended;
	in->ending = pool->n_ending;
	in->probing = pool->n_probing;
	in->waiting = ep_pool_waiting(pool);
	in->min_size = EP_INT(set, EP_S_MIN_SIZE);
	in->max_size = EP_INT(set, EP_S_MAX_SIZE);
	in->max_overflow = EP_INT(set, EP_S_MAX_OVERFLOW);
	in->target_free = EP_INT(set, EP_S_TARGET_FREE_CONNECTIONS);
	in->fill_target = pool->fill_target;
	in->bound = now_us < pool->bound_until_us ? pool->bound : 0;
	in->asking = pool->bound > 0 && in->bound == 0;
	in->rationed = pool->ration != EP_NO_RATION;
	in->ration = pool->ration;
	in->breaker = pool->breaker.state;
	in->lost = pool->lost;
	in->closing = pool->closing || pool->paused || pool->wiped;
	in->failing = pool->failing;
	in->unused = now_us > pool->last_acquire_us + UNUSED_US;
	if (pool->checked_only)
		in->min_size = in->fill_target = 0;
}

/* ------------------------------------------------------------ idle ones */

/* Why an idle connection should be ended, or NULL.  Caller holds the pool's lock. */
static const char *
reason_to_end(const EpPool *pool, const EpConn *conn, uint64 now_us, int alive, int floor)
{
	double		idle_timeout = ep_tuning_idle_timeout(pool);

	if (pool->closing)
		return "the pool is closed";
	if (pool->paused)
		return "the pool is paused";
	if (ep_conn_outdated(pool, conn))
		return conn->conn_id < pool->keep_from ? "it is to be replaced" : "it was made from an older definition";
	if (conn->expires_us != 0 && now_us >= conn->expires_us)
		return "max_lifetime";
	if (idle_timeout > 0 && alive > floor && !conn->kept && now_us >= conn->last_used_us + seconds_us(idle_timeout))
		return "idle_timeout";
	return NULL;
}

static bool
validation_due(const EpPool *pool, const EpConn *conn, uint64 now_us)
{
	double		interval = EP_NUM(&pool->def.set, EP_S_VALIDATION_INTERVAL);

	return ep_tuning_validation_due(pool, conn) ||
		(interval > 0 &&
		 now_us >= Max(conn->last_used_us, conn->last_validated_us) + seconds_us(interval));
}

/*
 * Ends or validates idle connections for which it is time, the one unused for
 * longest first.  At most half of them are validated at the same time: others
 * are wanted meanwhile.  Returns whether all were looked at.
 */
static bool
look_at_idle(EpPool *pool, uint64 now_us, const EpSizing *sizing)
{
	uint64		ended[ROUND];
	int			pids[ROUND];
	const char *reasons[ROUND];
	char		name[NAMEDATALEN];
	int			n = 0;
	int			alive;
	int			validate;
	int			surplus = sizing->surplus;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	strlcpy(name, pool->def.name, sizeof(name));
	alive = ep_pool_size(pool) - pool->n_ending;
	validate = (pool->n_idle + 1) / 2 - pool->n_tended;
	for (int slot = pool->idle_tail; slot != EP_NO_SLOT && n < ROUND;)
	{
		EpConn	   *conn = &ep_conns[slot];
		const char *reason = reason_to_end(pool, conn, now_us, alive, sizing->floor);

		slot = conn->prev;
		if (reason == NULL && surplus > 0 && !conn->kept)
			reason = sizing->reason;
		if (reason)
		{
			ended[n] = conn->conn_id;
			pids[n] = conn->remote_pid;
			reasons[n++] = reason;
			ep_conn_blame(conn, ep_conn_reason_to_go(pool, conn));
			ep_conn_blame(conn, reason == sizing->reason ? EP_END_SURPLUS : EP_END_IDLE_TIMEOUT);
			ep_conn_to_broken(conn);
			alive--;
			surplus--;
		}
		else if (validate > 0 && validation_due(pool, conn, now_us))
		{
			ep_conn_to_validating(conn);
			validate--;
			SetLatch(MyLatch);
		}
	}
	LWLockRelease(&pool->lock);

	for (int i = 0; i < n; i++)
		ereport(DEBUG1,
				(errmsg_internal("pool \"%s\": connection " UINT64_FORMAT " (remote process %d), which is idle, is ended: %s",
								 name, ended[i], pids[i], reasons[i])));
	if (n > 0)
		SetLatch(MyLatch);		/* the next tick closes them, and looks for more */
	return n < ROUND;
}

/* ---------------------------------------------------------------- one pool */

/* Opens what is to be opened, if it is time to try; returns whether all could be begun. */
static bool
open_some(EpPool *pool, uint64 now_us, uint64 next_try_at, const EpSizingInput *in, const EpSizing *sizing)
{
	if (next_try_at > now_us)
	{
		ep_loop_wake_at(next_try_at);
		return false;
	}
	return ep_scaler_open(pool, in, sizing);
}

/* Gives settings that come from parameters the values that these have now. */
static void
take_parameters(EpPool *pool)
{
	EpEventPool whose;
	EpDetail	detail = {0};
	bool		changed;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	ep_event_pool(pool, &whose);
	changed = pool->in_use && ep_settings_refresh_gucs(&pool->def.set, &pool->def.texts);
	if (changed)
		pool->def_version++;
	LWLockRelease(&pool->lock);
	if (!changed)
		return;
	ep_detail_int(&detail, "replaced", 0);
	ep_detail_int(&detail, "pid", MyProcPid);
	ep_event_of(&whose, EP_EVENT_CONFIG_CHANGE, 0, &detail, "parameters of the server changed");
}

/*
 * Carries out what the pool's numbers ask for.  timer tells that it is time
 * to look at what no event announces.  No lock is held by the caller.
 */
void
ep_upkeep_pool(EpPool *pool, uint64 now_us, bool timer)
{
	static uint32 *seen_version = NULL;
	int			place = (int) (pool - ep_pools);
	EpSizingInput in;
	EpSizing	sizing;
	EpLoad		load;
	uint64		next_try_at;
	uint32		version;
	bool		closing;
	bool		carried_out = true;
	int			lacking;

	if (seen_version == NULL)
		seen_version = MemoryContextAllocZero(TopMemoryContext, sizeof(uint32) * ep_control->max_pools);

	ep_attempt_tick(pool, now_us);
	if (timer || pool->tuner.limit == 0)
		ep_tuning_tick(pool, now_us);
	ep_failover_tick(pool, now_us);
	lacking = ep_sessions_keep(pool, now_us, false);
	LWLockAcquire(&pool->lock, LW_SHARED);
	read_input(pool, now_us, &in);
	in.lacking = lacking;
	ep_scaler_read(pool, now_us, &in, &load);
	ep_tuning_apply(pool, &in);
	next_try_at = pool->next_try_at;
	version = pool->def_version;
	closing = pool->closing;
	LWLockRelease(&pool->lock);

	/* a backend that is in the middle of a transaction brings the parameters from before a reload */
	if (version != seen_version[place])
		take_parameters(pool);
	ep_scaler_averages(&load, &in);
	sizing = ep_sizing_decide(&in);
	if (timer || sizing.surplus > 0 || (in.closing && in.idle + in.reserved > 0) || version != seen_version[place])
	{
		if (look_at_idle(pool, now_us, &sizing))
			seen_version[place] = version;
	}
	if (sizing.shrink > 0)
		ep_scaler_shrink(pool, &in, &sizing);
	if (closing && in.size == 0 && in.waiting == 0)
		ep_pool_try_free(pool);
	ep_health_serve(pool);
	if (sizing.probe)
		(void) ep_health_probe(pool);
	else if (timer)
		ep_health_look(pool, now_us);
	if (sizing.open + sizing.open_overflow > 0)
		carried_out = open_some(pool, now_us, next_try_at, &in, &sizing);
	if (!carried_out || sizing.open + sizing.open_overflow == 0)
		(void) ep_sessions_keep(pool, now_us, true);

	/* what could not be done now is not asked for by each acquire either */
	ep_scaler_remember(pool, carried_out ? sizing.grow_above : PG_INT32_MAX, sizing.growing);
}

/* ------------------------------------------------------------------- leaks */

/* What is said of a lease that is held for too long; copied under the pool's lock. */
typedef struct Leak
{
	EpEventPool whose;
	char		name[EP_LEASE_NAME_SIZE];
	EpLeaseKind kind;
	int64		lease;
	uint64		conn_id;
	int			remote_pid;
	double		held_for;		/* seconds */
	int			pid;
	Oid			role;
} Leak;

/*
 * Is the connection in that slot leased for longer than it may be, and was this
 * not said before?
 */
static bool
find_leak(EpConn *conn, uint64 now_us, Leak *leak)
{
	EpPool	   *pool = &ep_pools[((volatile EpConn *) conn)->pool];
	double		threshold;
	bool		found;

	/* a first look without the lock: most pools have no threshold */
	if (((volatile EpConn *) conn)->state != EP_LEASED || conn->leak_reported ||
		pool->worker != ep_keeper_worker() || EP_NUM(&pool->def.set, EP_S_LEAK_DETECTION_THRESHOLD) <= 0)
		return false;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	threshold = EP_NUM(&pool->def.set, EP_S_LEAK_DETECTION_THRESHOLD);
	found = pool->in_use && conn->state == EP_LEASED && &ep_pools[conn->pool] == pool &&
		threshold > 0 && !conn->leak_reported && now_us >= conn->leased_us + seconds_us(threshold);
	if (found)
	{
		conn->leak_reported = true;
		ep_event_pool(pool, &leak->whose);
		strlcpy(leak->name, conn->lease_name, sizeof(leak->name));
		leak->kind = conn->kind;
		leak->lease = conn->lease;
		leak->conn_id = conn->conn_id;
		leak->remote_pid = conn->remote_pid;
		leak->held_for = (now_us - conn->leased_us) / 1e6;
		leak->pid = ep_backends[conn->owner].pid;
		leak->role = conn->lease_role;
	}
	LWLockRelease(&pool->lock);
	return found;
}

static void
report_leak(const Leak *leak)
{
	EpDetail	detail = {0};

	/* the role's name is in a catalog, where the worker might have to wait for a lock */
	ereport(LOG,
			(errmsg("pool \"%s\": lease %lld has been held for %.3f s by process %d",
					leak->whose.ident.name, (long long) leak->lease, leak->held_for, leak->pid),
			 errdetail("Role with OID %u, connection %llu, %s%s%s%s. The remote process is %d.", leak->role,
					   (unsigned long long) leak->conn_id,
					   leak->kind == EP_KIND_STATEMENT ? "for one statement" : "acquired",
					   leak->name[0] ? " as \"" : "", leak->name, leak->name[0] ? "\"" : "", leak->remote_pid)));
	ep_detail_int(&detail, "lease", leak->lease);
	ep_detail_number(&detail, "held_for", leak->held_for);
	ep_detail_int(&detail, "pid", leak->pid);
	ep_event_of(&leak->whose, EP_EVENT_LEAK, leak->conn_id, &detail,
				"lease %lld has been held for %.3f s by process %d%s%s%s", (long long) leak->lease, leak->held_for, leak->pid,
				leak->name[0] ? " as \"" : "", leak->name, leak->name[0] ? "\"" : "");
}

/*
 * Reports leases of this worker's pools that are held for longer than
 * leak_detection_threshold, each once.  Called by the timer, with no lock held.
 */
void
ep_upkeep_leases(uint64 now_us)
{
	Leak		leak;

	for (int i = 0; i < ep_control->max_connections; i++)
	{
		if (find_leak(&ep_conns[i], now_us, &leak))
			report_leak(&leak);
	}
}

/* The configuration was reloaded: what comes from parameters has new values. */
void
ep_upkeep_reload(void)
{
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];

		if (pool->in_use && pool->worker == ep_keeper_worker())
			take_parameters(pool);
	}
}
