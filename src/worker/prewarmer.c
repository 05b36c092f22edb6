/*-------------------------------------------------------------------------
 *
 * prewarmer.c
 *		Short-lived processes that read one database's catalogs.
 *
 * At server start they open the pools that enhanced_pool.prewarm names.  When a
 * server or mapping was altered they read the new definition for pools that no
 * backend uses just then: connections made from the old one are to go.  And now
 * and then they look whether the server and mapping of a pool that nobody has used for
 * ten minutes are still there: a standby that replays DROP SERVER runs no hook
 * that could close the pool.  One such process runs at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "client/catalog.h"
#include "client/resolve.h"
#include "shared/shared.h"
#include "worker/prewarmer.h"

/* A pool unused for this long is looked up again, this often. */
#define CHECK_US		(UINT64CONST(600) * 1000000)

/* One whose definition was altered is looked up soon, and again after this if that came to nothing. */
#define STALE_US		(UINT64CONST(5) * 1000000)

static char *prewarm_list = NULL;

/* Longest list; those still to be started are kept as bits of one word. */
#define MAX_ENTRIES		64

/* One entry of the list. */
typedef struct Entry
{
	char		database[NAMEDATALEN];
	char		server[NAMEDATALEN];
	char		role[NAMEDATALEN];	/* empty: every mapping of the server */
} Entry;

/* ------------------------------------------------------------- the list */

/* Reads a name, in double quotes or up to one of the stops.  Returns NULL if there is none. */
static const char *
read_name(const char *p, const char *stops, char *name)
{
	Size		n = 0;
	bool		quoted = *p == '"';

	if (quoted)
		p++;
	for (; *p; p++)
	{
		if (quoted && *p == '"')
		{
			if (p[1] != '"')
				break;
			p++;
		}
		else if (!quoted && (strchr(stops, *p) || *p == ' ' || *p == '"'))
			break;
		if (n >= NAMEDATALEN - 1)
			return NULL;
		name[n++] = *p;
	}
	name[n] = '\0';
	if (quoted && *p++ != '"')
		return NULL;
	return n > 0 ? p : NULL;
}

/*
 * Reads the next entry at *list and moves on.  Returns 1 for an entry, 0 at the
 * end, -1 if there is something else.
 */
static int
next_entry(const char **list, Entry *entry)
{
	const char *p = *list + strspn(*list, ", ");

	if (*p == '\0')
		return 0;
	memset(entry, 0, sizeof(Entry));
	p = read_name(p, ".,:", entry->database);
	if (p == NULL || *p != '.')
		return -1;
	p = read_name(p + 1, ",:", entry->server);
	if (p != NULL && *p == ':')
		p = read_name(p + 1, ",", entry->role);
	if (p == NULL)
		return -1;
	p += strspn(p, " ");
	if (*p != ',' && *p != '\0')
		return -1;
	*list = p;
	return 1;
}

static bool
check_prewarm(char **newval, void **extra pg_attribute_unused(), GucSource source pg_attribute_unused())
{
	const char *p = *newval ? *newval : "";
	Entry		entry;
	int			n = 0;
	int			result;

	while ((result = next_entry(&p, &entry)) > 0)
		n++;
	if (n > MAX_ENTRIES)
	{
		GUC_check_errdetail("The list has %d entries; at most %d are possible.", n, MAX_ENTRIES);
		return false;
	}
	if (result < 0)
		GUC_check_errdetail("A list of database.server or database.server:role is expected, names with special characters in double quotes.");
	return result == 0;
}

/* Defines enhanced_pool.prewarm; while shared_preload_libraries is processed. */
void
ep_prewarmer_define_gucs(void)
{
	DefineCustomStringVariable("enhanced_pool.prewarm",
							   "Sets the pools that are opened when the server starts.",
							   "A list of database.server or database.server:role; without a role every user mapping of the server.",
							   &prewarm_list, "", PGC_POSTMASTER, 0, check_prewarm, NULL, NULL);
}

/* ------------------------------------------------------------- launching */

/* What a prewarmer is started with; must fit into bgw_extra. */
typedef struct Order
{
	char		database[NAMEDATALEN];
	bool		prewarm;
} Order;

StaticAssertDecl(sizeof(Order) <= BGW_EXTRALEN, "an order must fit into bgw_extra");

/* Returns false when there is no place for one more background worker at this moment. */
static bool
launch(const char *database, bool prewarm)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;
	Order		order;

	memset(&order, 0, sizeof(order));
	strlcpy(order.database, database, sizeof(order.database));
	order.prewarm = prewarm;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_name, "enhanced_pool prewarmer", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "enhanced_pool prewarmer", BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "enhanced_pool", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "enhanced_pool_prewarmer_main", BGW_MAXLEN);
	memcpy(worker.bgw_extra, &order, sizeof(order));
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		return false;
	pfree(handle);
	return true;
}

/* Databases of the list that are still to be started, in order, as a bitmap over entries. */
static uint64 pending;

/* Called by the first worker when it starts.  Only the first one after server start prewarms. */
void
ep_prewarmer_start(void)
{
	const char *p = prewarm_list ? prewarm_list : "";
	Entry		entry;

	if (pg_atomic_exchange_u32(&ep_control->prewarmed, 1) != 0)
		return;
	for (int i = 0; i < MAX_ENTRIES && next_entry(&p, &entry) > 0; i++)
		pending |= UINT64CONST(1) << i;
}

/* Starts the prewarmers that are pending, one for each database. */
static void
launch_pending(void)
{
	const char *p = prewarm_list ? prewarm_list : "";
	char		launched[NAMEDATALEN] = "";
	Entry		entry;

	for (int i = 0; i < MAX_ENTRIES && next_entry(&p, &entry) > 0; i++)
	{
		uint64		bit = UINT64CONST(1) << i;

		if ((pending & bit) == 0)
			continue;
		if (launched[0] == '\0')
		{
			if (!launch(entry.database, true))
				return;
			strlcpy(launched, entry.database, sizeof(launched));
		}
		if (strcmp(launched, entry.database) == 0)
			pending &= ~bit;
	}
}

/* A database with a pool that was altered, or that nobody has used for long; or InvalidOid. */
static Oid
database_to_check(uint64 now_us)
{
	Oid			database = InvalidOid;

	for (int i = 0; i < ep_control->max_pools && !OidIsValid(database); i++)
	{
		EpPool	   *pool = &ep_pools[i];

		if (!pool->in_use)
			continue;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		if (pool->in_use && !pool->closing &&
			(now_us > Max(pool->last_acquire_us, pool->last_check_us) + CHECK_US ||
			 (pool->stale && !pool->paused && now_us > pool->last_check_us + STALE_US)))
		{
			database = pool->def.key.database;
			pool->last_check_us = now_us;
		}
		LWLockRelease(&pool->lock);
	}
	return database;
}

/*
 * Its name, or false if the database is gone.  A transaction of its own, and a
 * sequential scan: without a database of its own the worker has no indexes.
 */
static bool
database_name(Oid database, char *name)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (!found && HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (form->oid != database)
			continue;
		strlcpy(name, NameStr(form->datname), NAMEDATALEN);
		found = true;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return found;
}

/* Called about twice a second by the first worker. */
void
ep_prewarmer_tick(uint64 now_us)
{
	Oid			database;
	char		name[NAMEDATALEN];

	if (pending != 0)
	{
		launch_pending();
		return;
	}
	database = database_to_check(now_us);
	if (!OidIsValid(database))
		return;
	if (!database_name(database, name))
		ep_pool_mark_closing(database, InvalidOid, InvalidOid);
	else
		(void) launch(name, false);
}

/* ------------------------------------------------------------ the process */

/* Does the role of an entry mean this mapping's? */
static bool
role_matches(const Entry *entry, const EpPoolDef *def)
{
	return entry->role[0] == '\0' || strcmp(entry->role, def->role) == 0;
}

static void
open_entry(const Entry *entry)
{
	EpPoolDef  *def = palloc0(sizeof(EpPoolDef));
	int			found = 0;
	ListCell   *lc;

	foreach(lc, ep_list_pools())
	{
		const EpPoolOids *oids = lfirst(lc);

		if (ep_resolve_mapping(oids->server, oids->mapping, def, true) &&
			strcmp(def->name, entry->server) == 0 && role_matches(entry, def))
		{
			(void) ep_pool_register(def);
			found++;
		}
		explicit_bzero(def, sizeof(EpPoolDef));
	}
	if (found == 0)
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("enhanced_pool.prewarm names pool \"%s.%s%s%s\", which does not exist",
						entry->database, entry->server, entry->role[0] ? ":" : "", entry->role)));
	pfree(def);
}

static void
prewarm(const char *database)
{
	const char *p = prewarm_list ? prewarm_list : "";
	Entry		entry;

	while (next_entry(&p, &entry) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry.database, database) == 0)
			open_entry(&entry);
	}
}

/* Takes the new definition of a pool over, if there is a valid one. */
static void
renew_pool(const EpPoolKey *key)
{
	EpPoolDef  *def = palloc0(sizeof(EpPoolDef));
	Oid			mapping = OidIsValid(key->own_mapping) ? key->own_mapping : key->mapping;

	for (int i = 0; i < EP_RESOLVE_ATTEMPTS; i++)
	{
		uint64		epoch = ep_catalog_epoch();

		/* with another key it would be another pool, which nobody has asked for */
		if (ep_resolve_mapping(key->server, mapping, def, true) &&
			memcmp(&def->key, key, sizeof(EpPoolKey)) == 0)
			(void) ep_pool_register(def);
		explicit_bzero(def, sizeof(EpPoolDef));
		if (ep_catalog_epoch() == epoch)
			break;
	}
	pfree(def);
}

/*
 * Closes the pools of this database whose server or mapping is gone, and
 * brings those up to date whose definition was altered.
 */
static void
check_pools(void)
{
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		EpPoolKey	key;
		bool		ours;
		bool		stale;

		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(&pool->lock, LW_SHARED);
		ours = pool->in_use && !pool->closing && pool->def.key.database == MyDatabaseId;
		stale = pool->stale && !pool->paused;	/* a paused one has use for it when it is resumed */
		key = pool->def.key;
		LWLockRelease(&pool->lock);
		if (!ours)
			continue;
		if (GetForeignServerExtended(key.server, FSV_MISSING_OK) == NULL)
			ep_pool_mark_closing(MyDatabaseId, key.server, InvalidOid);
		else if (!SearchSysCacheExists1(USERMAPPINGOID, ObjectIdGetDatum(key.mapping)))
			ep_pool_mark_closing(MyDatabaseId, InvalidOid, key.mapping);
		else if (stale)
			renew_pool(&key);
	}
}

/* Main function of a prewarmer. */
void
enhanced_pool_prewarmer_main(Datum arg pg_attribute_unused())
{
	Order		order;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	BackgroundWorkerInitializeConnection(order.database, NULL, 0);

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, order.prewarm ? "opening pools" : "looking after unused pools");
	for (int i = 0; order.prewarm && i < EP_RESOLVE_ATTEMPTS; i++)
	{
		uint64		epoch = ep_catalog_epoch();

		prewarm(order.database);
		if (ep_catalog_epoch() == epoch)
			break;
	}
	check_pools();
	PopActiveSnapshot();
	CommitTransactionCommand();
	proc_exit(0);
}
