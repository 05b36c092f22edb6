/*-------------------------------------------------------------------------
 *
 * admin.c
 *		What administrators do to pools: which pools are meant, who may do it,
 *		and what takes longer than one look under a pool's lock.
 *
 * None of this is undone by a ROLLBACK: it acts on what all sessions share, at
 * once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "client/admin.h"
#include "client/catalog.h"
#include "client/lease.h"
#include "client/resolve.h"
#include "compat.h"
#include "shared/events.h"

/* How often a wait looks again: nothing announces that the last lease has come back. */
#define POLL_MS		20

/* ---------------------------------------------------------------- rights */

/*
 * Raise 42501 unless the current user may administer the pools of a server: a
 * superuser, a member of its owner, or who has USAGE on it with grant option.
 * The first two have the grant option as well.  For what only looks, members of
 * pg_monitor may, too.
 */
static void
check_rights(Oid server, const char *name, bool looks)
{
	if (looks && has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
		return;
	if (ep_server_aclcheck_compat(server, GetUserId(), ACL_GRANT_OPTION_FOR(ACL_USAGE)) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to administer pool \"%s\"", name),
			 looks ?
			 errdetail("Superusers, members of pg_monitor, the owner of the server and roles with USAGE on it WITH GRANT OPTION may.") :
			 errdetail("Superusers, the owner of the server and roles with USAGE on it WITH GRANT OPTION may.")));
}

/* ---------------------------------------------------------------- targets */

static bool
has_mapping(Oid server, Oid role)
{
	ForeignServer *other;
	EpResolution resolution = {0};
	bool		found;

	resolution.server = GetForeignServer(server);
	(void) ep_resolve_other(&resolution, true);
	other = resolution.other;
	resolution.own = ep_mapping_of_role(server, role);
	if (other)
		resolution.mapping = ep_mapping_of_role(other->serverid, role);
	found = resolution.own || resolution.mapping;
	ep_wipe_resolution(&resolution);
	return found;
}

/*
 * Finds out which pools are meant by a server's name and a role's, "public"
 * for the mapping of PUBLIC; NULL: those of every role.  Raises 42704 if there
 * is no such server, role or user mapping, 42809 if the server cannot be used
 * as a pool, 42501 if the current user may not administer it or, for what only
 * looks, monitor it.
 */
void
ep_admin_target(EpAdminTarget *target, const char *pool, const char *role, bool looks)
{
	ForeignServer *server;

	memset(target, 0, sizeof(EpAdminTarget));
	server = strlen(pool) < NAMEDATALEN ? GetForeignServerByName(pool, true) : NULL;
	if (server == NULL)
		ep_raise_unknown_pool(pool);
	check_rights(server->serverid, server->servername, looks);
	if (ep_wrapper_of(server->fdwid) == EP_WRAPPER_UNUSABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("server \"%s\" cannot be used as a pool", server->servername),
				 errhint("Only servers of the foreign-data wrappers enhanced_pool, postgres_fdw and dblink_fdw can.")));
	target->server = server;
	target->role = role;
	target->set.database = MyDatabaseId;
	target->set.server = server->serverid;
	target->set.every_role = role == NULL;
	if (role == NULL)
		return;
	/* no role can have that name */
	target->set.role = strcmp(role, "public") == 0 ? InvalidOid : get_role_oid(role, false);
	if (!has_mapping(server->serverid, target->set.role))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping not found for user \"%s\", server \"%s\"", role, server->servername)));
}

/*
 * Opens, or brings up to date, every pool that is meant, by register_one, but
 * those that cannot be used as they are defined.  A definition that was altered
 * while it was read is read again.  Returns how many there were.  Raises 55000
 * if one is not committed.
 */
int
ep_admin_register(const EpAdminTarget *target, int (*register_one) (const EpPoolDef *def))
{
	EpPoolDef  *def = palloc0(sizeof(EpPoolDef));
	volatile int n = 0;

	PG_TRY();
	{
		for (int i = 0; i < EP_RESOLVE_ATTEMPTS; i++)
		{
			uint64		epoch = ep_catalog_epoch();
			ListCell   *lc;

			n = 0;
			foreach(lc, ep_list_pools_of(target->server->serverid))
			{
				const EpPoolOids *oids = lfirst(lc);

				if (!ep_resolve_mapping(oids->server, oids->mapping, def, true) ||
					!(target->set.every_role || def->mapping_role == target->set.role))
					continue;
				ep_check_def_committed(def);
				(void) register_one(def);
				n++;
			}
			if (ep_catalog_epoch() == epoch)
				break;
		}
	}
	PG_FINALLY();
	{
		explicit_bzero(def, sizeof(EpPoolDef));
	}
	PG_END_TRY();
	pfree(def);
	return n;
}

/* Raise 55000: there is no pool that could be opened. */
void
ep_admin_raise_unusable(const EpAdminTarget *target)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("pool \"%s\" cannot be used as it is defined", target->server->servername),
			 errdetail("It has no user mapping, or one of its options has a value that is not valid."),
			 errhint("A statement through the pool, run by a role that has a user mapping, says what it is.")));
}

/* -------------------------------------------------------------------- waits */

/* Sleeps for a moment or until deadline, 0 for none.  Returns false when that is over. */
bool
ep_admin_wait(uint64 deadline_us)
{
	static uint32 wait_event = 0;
	uint64		now = ep_now_us();
	long		ms = POLL_MS;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolAdmin");
	if (deadline_us != 0)
	{
		if (now >= deadline_us)
			return false;
		ms = Min(ms, (long) ((deadline_us - now) / 1000 + 1));
	}
	if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event) & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

static uint64
deadline_of(double timeout_s)
{
	/* so far away that it is none */
	if (timeout_s < 0 || timeout_s > 1e9)
		return 0;
	return ep_now_us() + (uint64) (timeout_s * 1e6);
}

/* -------------------------------------------------------------------- pause */

/*
 * Pauses pools, opened or not, and waits until their leases have come back:
 * for timeout_s seconds at most, without limit if that is negative.  Returns how
 * many are still out.  A pool stays paused if the wait is interrupted.
 */
int
ep_admin_pause(const EpAdminTarget *target, double timeout_s)
{
	uint64		deadline = deadline_of(timeout_s);
	int			out;

	ep_require_preload();
	(void) ep_admin_register(target, ep_pool_register_paused);
	/* and what is open without being defined any more */
	ep_pool_each(&target->set, ep_pool_pause, EP_EVENT_PAUSE);
	while ((out = ep_pool_count_leased(&target->set)) > 0 && ep_admin_wait(deadline))
		;
	return out;
}

/* ------------------------------------------------------------------ prewarm */

/* One pool that is being filled. */
typedef struct Filling
{
	int			place;
	uint32		generation;
	int			wanted;
	uint64		failed_before;	/* its failed_walks at the beginning */
	double		timeout_s;
} Filling;

/* How many connections a pool has that are not to be replaced.  Caller holds its lock. */
static int
count_usable(const EpPool *pool)
{
	int			n = 0;

	if (pool->n_outdated == 0)
		return pool->n_idle + pool->n_leased + pool->n_tended;
	for (int i = 0; i < ep_control->max_connections; i++)
	{
		const EpConn *conn = &ep_conns[i];

		n += &ep_pools[conn->pool] == pool && conn->state >= EP_IDLE && conn->state <= EP_VALIDATING &&
			!ep_conn_outdated(pool, conn);
	}
	return n;
}

/* How many connections it has that are of use; *done tells that no more are to be expected. */
static int
look_at_filling(const Filling *filling, bool *done)
{
	EpPool	   *pool = &ep_pools[filling->place];
	int			n = 0;
	bool		away = false;

	LWLockAcquire(&pool->lock, LW_SHARED);
	if (!pool->in_use || pool->generation != filling->generation || pool->closing || pool->paused)
		*done = true;
	else
	{
		n = count_usable(pool);
		/* it is also given up if there is no place for more */
		*done = n >= filling->wanted || pool->failed_walks != filling->failed_before ||
			(pool->fill_target == 0 && pool->n_connecting == 0);
		away = ep_worker_is_away(pool);
	}
	LWLockRelease(&pool->lock);
	if (away && !*done)
		ep_raise_worker_away();
	return n;
}

/* Asks for n connections, or initial_size if that is negative, now.  Caller holds the pool's lock. */
static void
begin_filling(Filling *filling, EpPool *pool, int n)
{
	const EpSettings *set = &pool->def.set;
	int			wanted = n < 0 ? EP_INT(set, EP_S_INITIAL_SIZE) : n;

	filling->place = (int) (pool - ep_pools);
	filling->generation = pool->generation;
	filling->wanted = Min(wanted, EP_INT(set, EP_S_MAX_SIZE));
	filling->failed_before = pool->failed_walks;
	filling->timeout_s = EP_NUM(set, EP_S_ACQUIRE_TIMEOUT);
	pool->fill_target = Max(pool->fill_target, filling->wanted);
	pool->next_try_at = 0;
	pool->last_acquire_us = ep_now_us();
}

/* A failure is no error: what can be had is there.  But it should not go unseen. */
static void
warn_of_failure(const Filling *filling)
{
	EpPool	   *pool = &ep_pools[filling->place];
	char		name[NAMEDATALEN];
	char		error[EP_ERROR_SIZE];
	bool		failed;

	LWLockAcquire(&pool->lock, LW_SHARED);
	failed = pool->generation == filling->generation && pool->failing &&
		pool->failed_walks != filling->failed_before;
	strlcpy(name, pool->def.name, sizeof(name));
	strlcpy(error, pool->last_error, sizeof(error));
	LWLockRelease(&pool->lock);
	if (failed)
		ereport(WARNING,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to pool \"%s\"", name),
				 errdetail_internal("%s", error)));
}

/*
 * Connections with the credentials of another server's mappings are for those
 * who may use that one, too.  Raises 42501.
 */
void
ep_admin_check_other(ForeignServer *server)
{
	EpResolution resolution = {.server = server};
	AclResult	result;

	if (!ep_resolve_other(&resolution, false) || resolution.other == NULL)
		return;
	result = ep_server_aclcheck_compat(resolution.other->serverid, GetUserId(), ACL_USAGE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, resolution.other->servername);
}

/* Returns how many pools are being filled.  Raises 57P03 if one of them is paused. */
static int
begin_filling_all(const EpAdminTarget *target, Filling *fillings, int n)
{
	int			count = 0;
	bool		paused = false;

	for (int i = 0; i < ep_control->max_pools && !paused; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		bool		found;

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		found = ep_pool_in_set(pool, &target->set) && !pool->closing;
		paused = found && pool->paused;
		if (found && !paused)
			begin_filling(&fillings[count++], pool, n);
		LWLockRelease(&pool->lock);
		if (found)
			ep_wake_worker(pool->worker);
	}
	if (paused)
		ereport(ERROR,
				(errcode(ERRCODE_CANNOT_CONNECT_NOW),
				 errmsg("pool \"%s\" is paused", target->server->servername),
				 errhint("Open it again with enhanced_pool.resume.")));
	return count;
}

/*
 * Opens pools and has them filled to n connections each, or to their initial
 * size if n is negative, max_size at most.  Waits until that is done or an
 * attempt to connect has failed, which is a warning, acquire_timeout at most.
 * Returns how many connections of use they have then.
 */
int
ep_admin_prewarm(const EpAdminTarget *target, int n)
{
	Filling    *fillings;
	uint64		begin;
	int			count;
	int			total = 0;

	ep_require_preload();
	ep_admin_check_other(target->server);
	if (ep_admin_register(target, ep_pool_register) == 0)
		ep_admin_raise_unusable(target);
	fillings = palloc(sizeof(Filling) * ep_control->max_pools);
	count = begin_filling_all(target, fillings, n);
	begin = ep_now_us();
	for (int i = 0; i < count; i++)
	{
		const Filling *filling = &fillings[i];
		uint64		deadline = filling->timeout_s > 0 ? begin + (uint64) (filling->timeout_s * 1e6) : 0;
		bool		done;
		int			usable;

		while (usable = look_at_filling(filling, &done), !done)
		{
			if (!ep_admin_wait(deadline))
				break;
		}
		warn_of_failure(filling);
		total += usable;
	}
	pfree(fillings);
	return total;
}

/* ---------------------------------------------------------------- terminate */

/* Where the connection of that number is, and whose it is; false if there is none. */
static bool
find_conn(uint64 conn_id, int *slot, EpPoolKey *key, char *name)
{
	for (int i = 0; i < ep_control->max_connections; i++)
	{
		volatile EpConn *conn = &ep_conns[i];
		EpPool	   *pool = &ep_pools[conn->pool];
		bool		found;

		if (conn->conn_id != conn_id)
			continue;
		LWLockAcquire(&pool->lock, LW_SHARED);
		found = conn->conn_id == conn_id && conn->state != EP_FREE && &ep_pools[conn->pool] == pool;
		*slot = i;
		*key = pool->def.key;
		strlcpy(name, pool->def.name, NAMEDATALEN);
		LWLockRelease(&pool->lock);
		return found;
	}
	return false;
}

/*
 * Has a connection ended, whatever it is doing, and replaced.  Returns false if
 * there is none of that number, or it is being ended already.  Raises 42501 if
 * the current user may not administer its pool; one of another database is a
 * superuser's, as rights there cannot be looked up.
 */
bool
ep_admin_terminate(int64 conn_id)
{
	int			slot;
	EpPoolKey	key;
	char		name[NAMEDATALEN];
	EpConn	   *conn;
	EpPool	   *pool;
	int			holder = -1;
	bool		done = false;
	EpEventPool whose = {.place = -1};

	ep_require_preload();
	if (conn_id <= 0 || !find_conn((uint64) conn_id, &slot, &key, name))
		return false;
	if (key.database != MyDatabaseId || !SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(key.server)))
	{
		if (!superuser())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to terminate connection %lld", (long long) conn_id),
					 errdetail("Its pool is not defined in this database.")));
	}
	else
		check_rights(key.server, name, false);

	conn = &ep_conns[slot];
	pool = &ep_pools[((volatile EpConn *) conn)->pool];
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (conn->conn_id == (uint64) conn_id && &ep_pools[conn->pool] == pool)
	{
		holder = conn->state == EP_LEASED ? conn->owner : -1;
		done = ep_conn_terminate(conn);
		ep_signal_holder(holder);
		ep_event_pool(pool, &whose);
	}
	LWLockRelease(&pool->lock);
	if (done)
	{
		EpDetail	detail = {0};

		ep_detail_int(&detail, "pid", MyProcPid);
		ep_detail_bool(&detail, "leased", holder >= 0);
		ep_event_of(&whose, EP_EVENT_TERMINATE, (uint64) conn_id, &detail, "connection terminated by an administrator");
		ep_wake_worker(pool->worker);
	}
	return done;
}
