/*-------------------------------------------------------------------------
 *
 * guard.c
 *		Watches CREATE, ALTER and DROP of servers, user mappings and databases,
 *		for two reasons.
 *
 * First, rules that a validator cannot check, since it sees neither the object
 * nor its server: a server's name must not look like the number of a lease;
 * settings on a user mapping are limits, which the mapped role must not lift
 * although it may alter its own mapping; "reset never" where all roles share
 * a mapping, or a reset that does nothing, lets them see each other's state.
 *
 * Second, pools must follow.  What a transaction changes is remembered, and
 * told to the pools when it commits: after its invalidation messages went out,
 * for a backend that finds its pool marked then reads the new definition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "client/guard.h"
#include "client/resolve.h"
#include "compat.h"
#include "shared/settings.h"
#include "shared/shared.h"

static object_access_hook_type prev_object_access_hook = NULL;

/* ------------------------------------------------- telling pools at commit */

typedef struct Change
{
	Oid			database;
	Oid			server;			/* InvalidOid: any */
	Oid			mapping;		/* InvalidOid: any */
	bool		dropped;
	SubTransactionId subid;
} Change;

/* In TopTransactionContext. */
static List *changes = NIL;
static bool committed = false;

static void
note_change(Oid database, Oid server, Oid mapping, bool dropped)
{
	MemoryContext caller;
	Change	   *change;

	if (ep_control == NULL)
		return;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	change = palloc(sizeof(Change));
	change->database = database;
	change->server = server;
	change->mapping = mapping;
	change->dropped = dropped;
	change->subid = GetCurrentSubTransactionId();
	changes = lappend(changes, change);
	MemoryContextSwitchTo(caller);
}

static void
end_transaction(XactEvent event, void *arg pg_attribute_unused())
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:

			/*
			 * A prepared transaction may end in any process.  Marking its
			 * pools now does no harm: they are looked up again.
			 */
			committed = changes != NIL;
			break;
		case XACT_EVENT_ABORT:
			changes = NIL;
			committed = false;
			break;
		default:
			break;
	}
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
				   void *arg pg_attribute_unused())
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, changes)
	{
		Change	   *change = lfirst(lc);

		if (change->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			change->subid = parent;
		else
			changes = foreach_delete_current(changes, lc);
	}
}

/*
 * The last phase of releasing resources comes after the invalidation messages
 * were sent and while TopTransactionContext still exists.  Only LWLocks are
 * taken here; nothing may fail any more.
 */
static void
release_resources(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
				  void *arg pg_attribute_unused())
{
	ListCell   *lc;

	if (!committed || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_commit || !is_top_level)
		return;
	committed = false;
	foreach(lc, changes)
	{
		const Change *change = lfirst(lc);

		if (change->dropped)
			ep_pool_mark_closing(change->database, change->server, change->mapping);
		else
			ep_pool_mark_stale(change->database, change->server, change->mapping);
	}
	changes = NIL;
}

/* ------------------------------------------------------- new and old objects */

/*
 * Calls read with the newest version of a row, which the command under way has
 * written; returns what that makes of it (a copy), or NULL without a row.
 */
static void *
read_newest(Oid catalog, Oid index, AttrNumber oid_column, Oid oid,
			void *(*read) (Relation rel, HeapTuple tuple))
{
	Relation	rel = table_open(catalog, AccessShareLock);
	void	   *result = NULL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, index, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = read(rel, tuple);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static List *
read_options(Relation rel, HeapTuple tuple, AttrNumber column)
{
	bool		isnull;
	Datum		options = heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);

	return isnull ? NIL : untransformRelOptions(options);
}

static void *
read_server(Relation rel, HeapTuple tuple)
{
	Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);
	ForeignServer *server = palloc0(sizeof(ForeignServer));

	server->serverid = form->oid;
	server->fdwid = form->srvfdw;
	server->owner = form->srvowner;
	server->servername = pstrdup(NameStr(form->srvname));
	server->options = read_options(rel, tuple, Anum_pg_foreign_server_srvoptions);
	return server;
}

static void *
read_mapping(Relation rel, HeapTuple tuple)
{
	Form_pg_user_mapping form = (Form_pg_user_mapping) GETSTRUCT(tuple);
	UserMapping *mapping = palloc0(sizeof(UserMapping));

	mapping->umid = form->oid;
	mapping->userid = form->umuser;
	mapping->serverid = form->umserver;
	mapping->options = read_options(rel, tuple, Anum_pg_user_mapping_umoptions);
	return mapping;
}

/* The mapping as the command under way found it: its row, or NULL. */
static UserMapping *
old_mapping(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(USERMAPPINGOID, ObjectIdGetDatum(oid));
	UserMapping *mapping;
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	mapping = palloc0(sizeof(UserMapping));
	mapping->umid = oid;
	mapping->userid = ((Form_pg_user_mapping) GETSTRUCT(tuple))->umuser;
	mapping->serverid = ((Form_pg_user_mapping) GETSTRUCT(tuple))->umserver;
	options = SysCacheGetAttr(USERMAPPINGOID, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		mapping->options = untransformRelOptions(options);
	ReleaseSysCache(tuple);
	return mapping;
}

/* The server that a mapping is for, if it is one of ours, else NULL. */
static ForeignServer *
our_server_of(const UserMapping *mapping)
{
	ForeignServer *server = GetForeignServerExtended(mapping->serverid, FSV_MISSING_OK);

	if (server == NULL || ep_wrapper_of(server->fdwid) != EP_WRAPPER_OURS)
		return NULL;
	return server;
}

/* ------------------------------------------------------------------- rules */

static bool
resets_never(List *options)
{
	const char *reset = ep_list_option(options, "reset");

	return reset && pg_strcasecmp(reset, "never") == 0;
}

/*
 * May a session keep state, by these options, that it does not keep by those
 * of before?  What a reset_query of somebody's own does is not known.
 */
static bool
keeps_state(List *options, List *before)
{
	const char *query = ep_list_option(options, "reset_query");
	const char *old = ep_list_option(before, "reset_query");

	if (resets_never(options) && !resets_never(before))
		return true;
	return query && pg_strcasecmp(query, "DISCARD ALL") != 0 && !(old && strcmp(old, query) == 0);
}

/* Do different roles share the connections of this server through a PUBLIC mapping? */
static bool
has_public_mapping(const ForeignServer *server)
{
	const char *name = ep_list_option(server->options, "server");
	ForeignServer *other = name ? GetForeignServerByName(name, true) : NULL;

	return ep_mapping_of_role(other ? other->serverid : server->serverid, InvalidOid) != NULL;
}

static void
refuse_to_keep_state(List *options)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 resets_never(options) ?
			 errmsg("setting \"reset\" to never is superuser-only for a server with a user mapping for public") :
			 errmsg("setting \"reset_query\" to other than DISCARD ALL is superuser-only for a server with a user mapping for public"),
			 errdetail("Different roles would see each other's state of the remote session.")));
}

static void
check_server(const ForeignServer *server, const ForeignServer *old)
{
	if (ep_wrapper_of(server->fdwid) != EP_WRAPPER_OURS)
		return;
	if (ep_all_digits(server->servername) &&
		(old == NULL || strcmp(old->servername, server->servername) != 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("server name \"%s\" has only digits", server->servername),
				 errdetail("It could be mistaken for the number of a lease.")));
	if (!superuser() && has_public_mapping(server) &&
		keeps_state(server->options, old && has_public_mapping(old) ? old->options : NIL))
		refuse_to_keep_state(server->options);
}

static bool
settings_differ(List *a, List *b)
{
	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		const char *left = ep_list_option(a, ep_setting_defs[i].name);
		const char *right = ep_list_option(b, ep_setting_defs[i].name);

		if ((left == NULL) != (right == NULL) || (left && strcmp(left, right) != 0))
			return true;
	}
	return false;
}

/* old are the options that held before; mapping is NULL when it is dropped. */
static void
check_settings_unchanged(const ForeignServer *server, List *old, const UserMapping *mapping)
{
	if (superuser() || ep_server_ownercheck_compat(server->serverid, GetUserId()) ||
		!settings_differ(old, mapping ? mapping->options : NIL))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 mapping ?
			 errmsg("permission denied to change settings of a user mapping for server \"%s\"", server->servername) :
			 errmsg("permission denied to drop a user mapping for server \"%s\" that has settings", server->servername),
			 errdetail("Settings of a user mapping belong to the owner of the server.")));
}

/*
 * The options whose settings hold for a role that gets a mapping.  Where user
 * and password come from another server, a mapping is nothing but settings, and
 * one without any would lift those that PUBLIC's has.
 */
static List *
options_before(const ForeignServer *server, const UserMapping *mapping)
{
	EpMapping  *shared;

	if (!OidIsValid(mapping->userid) || ep_list_option(server->options, "server") == NULL)
		return NIL;
	shared = ep_mapping_of_role(server->serverid, InvalidOid);
	return shared ? shared->options : NIL;
}

static void
check_mapping(const UserMapping *mapping, const UserMapping *old)
{
	ForeignServer *server = our_server_of(mapping);

	if (server == NULL)
		return;
	check_settings_unchanged(server, old ? old->options : options_before(server, mapping), mapping);
	if (OidIsValid(mapping->userid) || superuser())
		return;
	if (keeps_state(mapping->options, old ? old->options : NIL))
		refuse_to_keep_state(mapping->options);
	if (old == NULL && keeps_state(server->options, NIL))
		refuse_to_keep_state(server->options);
}

/* -------------------------------------------------------------------- hook */

static void
server_event(ObjectAccessType access, Oid oid)
{
	ForeignServer *old;
	ForeignServer *server;

	switch (access)
	{
		case OAT_POST_CREATE:
		case OAT_POST_ALTER:
			server = read_newest(ForeignServerRelationId, ForeignServerOidIndexId,
								 Anum_pg_foreign_server_oid, oid, read_server);
			old = access == OAT_POST_ALTER ? GetForeignServerExtended(oid, FSV_MISSING_OK) : NULL;
			if (server)
				check_server(server, old);
			if (access == OAT_POST_ALTER)
				note_change(MyDatabaseId, oid, InvalidOid, false);
			break;
		case OAT_DROP:
			note_change(MyDatabaseId, oid, InvalidOid, true);
			break;
		default:
			break;
	}
}

static void
mapping_event(ObjectAccessType access, Oid oid)
{
	ForeignServer *server;
	UserMapping *old;
	UserMapping *mapping;

	switch (access)
	{
		case OAT_POST_CREATE:
		case OAT_POST_ALTER:
			mapping = read_newest(UserMappingRelationId, UserMappingOidIndexId,
								  Anum_pg_user_mapping_oid, oid, read_mapping);
			old = access == OAT_POST_ALTER ? old_mapping(oid) : NULL;
			if (mapping)
				check_mapping(mapping, old);
			if (access == OAT_POST_ALTER)
				note_change(MyDatabaseId, InvalidOid, oid, false);
			break;
		case OAT_DROP:
			old = old_mapping(oid);
			server = old ? our_server_of(old) : NULL;
			if (server)
				check_settings_unchanged(server, old->options, NULL);
			note_change(MyDatabaseId, InvalidOid, oid, true);
			break;
		default:
			break;
	}
}

static void
guard_object_access(ObjectAccessType access, Oid class, Oid object, int subid, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, class, object, subid, arg);

	/* pg_upgrade restores what was checked when it was made */
	if (IsBinaryUpgrade)
		return;
	if (class == ForeignServerRelationId)
		server_event(access, object);
	else if (class == UserMappingRelationId)
		mapping_event(access, object);
	else if (class == DatabaseRelationId && access == OAT_DROP)
		note_change(object, InvalidOid, InvalidOid, true);
}

/* Puts the hook and its callbacks in place; once, from _PG_init. */
void
ep_guard_install(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = guard_object_access;
	RegisterXactCallback(end_transaction, NULL);
	RegisterSubXactCallback(end_subtransaction, NULL);
	RegisterResourceReleaseCallback(release_resources, NULL);
}
