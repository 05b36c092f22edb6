/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		From a pool's name to its place in shared memory, with the caller's
 *		rights.
 *
 * What was found is kept for each (name, current user) until something that
 * it depends on changes.  That includes the rights: they are read from the
 * system caches, which change by the same invalidation messages that end an
 * entry here, so that looking again at every call would not see more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "client/catalog.h"
#include "client/resolve.h"
#include "compat.h"
#include "shared/propagate.h"
#include "shared/settings.h"
#include "shared/shared.h"

/* The key is the part of EpPoolRef before "valid". */
#define REF_KEY_SIZE	(offsetof(EpPoolRef, role) + sizeof(Oid))

static HTAB *refs = NULL;
static EpPoolRef *last_ref = NULL;

/* Grows with every invalidation message that may concern a pool. */
static uint64 catalog_epoch = 1;

/* Both counters only grow, so that equal sums mean equal counters. */
static inline uint64
current_epoch(void)
{
	return catalog_epoch + ep_settings_epoch();
}

static void
catalogs_changed(Datum arg pg_attribute_unused(), int cache pg_attribute_unused(),
				 uint32 hash pg_attribute_unused())
{
	catalog_epoch++;
}

static void
watch_catalogs(void)
{
	static const int caches[] = {
		FOREIGNSERVEROID, USERMAPPINGOID, FOREIGNDATAWRAPPEROID,
		AUTHOID, AUTHMEMROLEMEM, DATABASEOID
	};
	static bool watching = false;

	if (watching)
		return;
	for (Size i = 0; i < lengthof(caches); i++)
		CacheRegisterSyscacheCallback(caches[i], catalogs_changed, (Datum) 0);
	watching = true;
}

/*
 * A number that grows with every change of what pools are defined by, as far
 * as other processes have told of it by now.  Who registers a definition takes
 * it before reading the catalogs and once more afterwards: a definition that
 * was replaced meanwhile may have been registered over the newer one, whose
 * ALTER has marked the pool already and will not do so again.  So it is to be
 * read and registered again.  Called in a transaction, with no lock held.
 */
uint64
ep_catalog_epoch(void)
{
	watch_catalogs();
	AcceptInvalidationMessages();
	return current_epoch();
}

static void
create_refs(void)
{
	HASHCTL		info = {0};

	info.keysize = REF_KEY_SIZE;
	info.entrysize = sizeof(EpPoolRef);
	info.hcxt = TopMemoryContext;
	refs = hash_create("enhanced_pool references", 16, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Does an entry still hold?  The pool's fields are read without its lock: who
 * takes a connection looks again under it.
 */
static inline bool
is_current(const EpPoolRef *ref)
{
	const volatile EpPool *pool;

	if (!ref->valid || ref->settings_epoch != current_epoch())
		return false;
	pool = &ep_pools[ref->pool];
	return pool->generation == ref->generation && !pool->closing && !pool->stale;
}

/* --------------------------------------------------------------- refusals */

/* Raise 42704 for a name that no server has. */
void
ep_raise_unknown_pool(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("pool \"%s\" does not exist", name),
			 errdetail("There is no foreign server of that name."),
			 ep_all_digits(name) ?
			 errhint("A lease is a bigint, write $1::bigint.") :
			 errhint("Use CREATE SERVER ... FOREIGN DATA WRAPPER enhanced_pool to define one.")));
}

static void
raise_uncommitted(const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s of pool \"%s\" was changed in this transaction", what, name),
			 errdetail("Other sessions use the same pool and must not see what is not committed."),
			 errhint("Commit first.")));
}

static void
check_usage(const ForeignServer *server, Oid role)
{
	AclResult	result = ep_server_aclcheck_compat(server->serverid, role, ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, server->servername);
}

/*
 * A definition that was never committed must not reach other sessions, which
 * share the pool; nor must one that a ROLLBACK takes back.
 */
static void
check_committed(const EpResolution *resolution, const char *name)
{
	EpMapping  *mapping = resolution->mapping;

	if (ep_row_uncommitted(FOREIGNSERVEROID, resolution->server->serverid) ||
		(resolution->other && ep_row_uncommitted(FOREIGNSERVEROID, resolution->other->serverid)))
		raise_uncommitted("server", name);
	if (mapping->uncommitted || (resolution->own && resolution->own->uncommitted))
		raise_uncommitted("user mapping", name);
	if (ep_row_uncommitted(AUTHOID, mapping->role))
		raise_uncommitted("role", name);
}

/*
 * The same for a definition that somebody else than a session that uses it
 * registers: raises 55000 if the current transaction has written a part of it.
 */
void
ep_check_def_committed(const EpPoolDef *def)
{
	if (ep_row_uncommitted(FOREIGNSERVEROID, def->key.server) ||
		ep_row_uncommitted(FOREIGNSERVEROID, def->other_server))
		raise_uncommitted("server", def->name);
	if (ep_row_uncommitted(USERMAPPINGOID, def->key.mapping) ||
		ep_row_uncommitted(USERMAPPINGOID, def->key.own_mapping))
		raise_uncommitted("user mapping", def->name);
	if (ep_row_uncommitted(AUTHOID, def->mapping_role))
		raise_uncommitted("role", def->name);
}

/*
 * Without a password of its own, a connection might be authenticated as the
 * operating system's user that the server runs as.
 */
static void
check_password_rule(const EpPoolDef *def, Oid role)
{
	if (def->password_given || !def->password_required || superuser_arg(role))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required"),
			 errdetail("Non-superusers must provide a password in the user mapping."),
			 errhint("Set the option \"password\" of the user mapping, or have a superuser set password_required=false.")));
}

/* --------------------------------------------------------------- resolving */

/* Finds servers and mappings of a pool for a role that may use them. */
static void
find_pool(const char *name, Oid role, EpResolution *resolution)
{
	ForeignServer *server;

	server = strlen(name) < NAMEDATALEN ? GetForeignServerByName(name, true) : NULL;
	if (server == NULL)
		ep_raise_unknown_pool(name);
	if (ep_all_digits(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("pool name \"%s\" has only digits", name),
				 errdetail("It could be mistaken for the number of a lease."),
				 errhint("Rename the server, or, if a lease is meant, write $1::bigint.")));
	resolution->server = server;
	check_usage(server, role);
	(void) ep_resolve_other(resolution, false);
	if (resolution->other)
	{
		check_usage(resolution->other, role);
		resolution->own = ep_mapping_for(server->serverid, role);
		server = resolution->other;
	}
	resolution->mapping = ep_mapping_for(server->serverid, role);
	if (resolution->mapping == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping not found for user \"%s\", server \"%s\"",
						GetUserNameFromId(role, false), server->servername),
				 errhint("Use CREATE USER MAPPING to define one.")));
	check_committed(resolution, name);
}

/*
 * Registers a definition and returns its place together with the generation
 * that belongs to it.  The place might be given to another pool right after;
 * the generation then tells.
 */
static int
register_pool(const EpPoolDef *def, uint32 *generation)
{
	for (;;)
	{
		int			place = ep_pool_register(def);
		EpPool	   *pool = &ep_pools[place];
		bool		ours;

		LWLockAcquire(&pool->lock, LW_SHARED);
		ours = pool->in_use && memcmp(&pool->def.key, &def->key, sizeof(EpPoolKey)) == 0;
		*generation = pool->generation;
		LWLockRelease(&pool->lock);
		if (ours)
			return place;
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * The names in a list of settings, each with a NUL behind it and another one at
 * the end, in TopMemoryContext; NULL if there are none.  The list is valid.
 */
static char *
names_of(const char *list)
{
	char	   *names = MemoryContextAlloc(TopMemoryContext, strlen(list) + 2);
	char	   *end = names;
	char		name[NAMEDATALEN];

	while (ep_propagate_next(&list, name) == EP_NAME_FOUND)
	{
		strcpy(end, name);
		end += strlen(name) + 1;
	}
	*end = '\0';
	if (end > names)
		return names;
	pfree(names);
	return NULL;
}

static void
fill_ref(EpPoolRef *ref, const EpPoolDef *def, int place, uint32 generation, uint64 epoch)
{
	EpSettings	effective = def->set;
	char	   *follow = names_of(EP_STR(&def->set, &def->texts, EP_S_PROPAGATE_SETTINGS));

	if (ref->follow)
		pfree(ref->follow);
	ref->follow = follow;
	ep_settings_apply_session(&effective);
	if (ref->pool != place || ref->generation != generation)
		ref->last_slot = EP_NO_SLOT;
	ref->pool = place;
	ref->generation = generation;
	ref->server = def->key.server;
	ref->password_required = def->password_required;
	ref->acquire_timeout = EP_NUM(&effective, EP_S_ACQUIRE_TIMEOUT);
	ref->query_timeout = EP_NUM(&def->set, EP_S_QUERY_TIMEOUT);
	ref->query_timeout_source = def->set.source[EP_S_QUERY_TIMEOUT];
	ref->retry_attempts = EP_INT(&effective, EP_S_RETRY_ATTEMPTS);
	ref->retry_backoff = EP_NUM(&effective, EP_S_RETRY_BACKOFF);
	ref->autocommit = EP_BOOL(&def->set, EP_S_AUTOCOMMIT);
	ref->settings_epoch = epoch;
	ref->valid = true;
}

/*
 * Resolves into *ref, whose name and role are set; it is changed only on
 * success.  epoch was taken before: what arrives from there on makes the entry
 * invalid again.
 */
static void
resolve_once(EpPoolRef *ref, uint64 epoch)
{
	MemoryContext context;
	MemoryContext caller;
	EpResolution *resolution;
	EpPoolDef  *def;

	context = AllocSetContextCreate(CurrentMemoryContext, "enhanced_pool resolve", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	resolution = palloc0(sizeof(EpResolution));
	def = palloc0(sizeof(EpPoolDef));
	PG_TRY();
	{
		int			place;
		uint32		generation;

		find_pool(ref->name, ref->role, resolution);
		(void) ep_build_def(resolution, def, false);
		check_password_rule(def, ref->role);
		place = register_pool(def, &generation);
		fill_ref(ref, def, place, generation, epoch);
	}
	PG_FINALLY();
	{
		explicit_bzero(def, sizeof(EpPoolDef));
		ep_wipe_resolution(resolution);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* Resolves, again if what was read was replaced before it was registered. */
static void
resolve(EpPoolRef *ref)
{
	uint64		epoch;

	ep_require_preload();
	if (refs == NULL)
		create_refs();
	epoch = ep_catalog_epoch();
	for (int i = 0; i < EP_RESOLVE_ATTEMPTS; i++)
	{
		uint64		before = epoch;

		resolve_once(ref, epoch);
		epoch = ep_catalog_epoch();
		if (epoch == before)
			break;
	}
}

/*
 * The pool of that name for the current user, opened if it was not.  The
 * result stays valid memory until the session ends, but tells the truth only
 * until the next call for it.  Must be called in a transaction, with no lock
 * held.  Raises 42704, 42501, 42602, 42809, 22023, 2F003, 0A000 or 55000 for
 * what the catalogs or the caller's rights do not allow, 53400 when there is
 * no place left.
 */
EpPoolRef *
ep_pool_ref(const char *name)
{
	Oid			role = GetUserId();
	EpPoolRef  *ref = last_ref;
	EpPoolRef	fresh;

	if (ref && ref->role == role && strcmp(ref->name, name) == 0 && is_current(ref))
		return ref;

	memset(&fresh, 0, sizeof(fresh));
	fresh.role = role;
	fresh.last_slot = EP_NO_SLOT;
	if (strlen(name) >= NAMEDATALEN)
	{
		ep_require_preload();
		ep_raise_unknown_pool(name);
	}
	strlcpy(fresh.name, name, NAMEDATALEN);
	ref = refs ? hash_search(refs, &fresh, HASH_FIND, NULL) : NULL;
	if (ref == NULL)
	{
		bool		found;

		resolve(&fresh);
		ref = hash_search(refs, &fresh, HASH_ENTER, &found);
		*ref = fresh;
	}
	else if (!is_current(ref))
		ep_pool_ref_refresh(ref);
	last_ref = ref;
	return ref;
}

/*
 * Resolves an entry again, for the role that it belongs to: its pool was
 * closed, or altered, or its place given away.  Errors as ep_pool_ref(); the
 * entry is then invalid until a later call succeeds.
 */
void
ep_pool_ref_refresh(EpPoolRef *ref)
{
	ref->valid = false;
	resolve(ref);
}
