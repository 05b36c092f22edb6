/*-------------------------------------------------------------------------
 *
 * configure.c
 *		ALTER SERVER and ALTER USER MAPPING from a jsonb object.
 *
 * The statement is built as a tree, not as a text: a password among the values
 * would otherwise be shown in the context of an error.  It is run like any
 * other, with the caller's rights, so that the validator, the rules of guard.c
 * and event triggers have their say.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "client/admin.h"
#include "client/options.h"
#include "client/resolve.h"

/* The value of an option as text; NULL for null, which removes it.  Raises 22023 for arrays and objects. */
static char *
value_of(const char *name, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return NULL;
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", name),
			 errdetail("A value is a string, a number, a boolean, or null to remove the option.")));
}

/* Removing what is not there is no error, but a name that means nothing is. */
static void
check_name(const char *name)
{
	const char *closest;

	if (ep_option_kind(name) != EP_OPT_UNKNOWN)
		return;
	closest = ep_option_closest(name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 closest ? errhint("Perhaps you meant the option \"%s\".", closest) : 0));
}

/* What makes of the present options those that the object asks for, a list of DefElem. */
static List *
changes_of(List *present, Jsonb *options)
{
	JsonbIterator *it;
	JsonbValue	key;
	List	   *changes = NIL;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be an object"),
				 errhint("Write '{\"max_size\": 50}'.")));
	it = JsonbIteratorInit(&options->root);
	(void) JsonbIteratorNext(&it, &key, true);	/* the beginning of the object */
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY)
	{
		JsonbValue	value;
		char	   *name = pnstrdup(key.val.string.val, key.val.string.len);
		char	   *text;
		bool		is_set = ep_list_option(present, name) != NULL;

		(void) JsonbIteratorNext(&it, &value, true);
		text = value_of(name, &value);
		if (text)
			changes = lappend(changes,
							  makeDefElemExtended(NULL, name, (Node *) makeString(text),
												  is_set ? DEFELEM_SET : DEFELEM_ADD, -1));
		else if (is_set)
			changes = lappend(changes, makeDefElemExtended(NULL, name, NULL, DEFELEM_DROP, -1));
		else
			check_name(name);
	}
	return changes;
}

static void
run_utility(Node *statement, const char *text)
{
	PlannedStmt *planned = makeNode(PlannedStmt);

	planned->commandType = CMD_UTILITY;
	planned->utilityStmt = statement;
	planned->stmt_location = -1;
	ProcessUtility(planned, text, false, PROCESS_UTILITY_QUERY, NULL, NULL, None_Receiver, NULL);
	CommandCounterIncrement();
}

static void
alter_server(const ForeignServer *server, List *changes)
{
	AlterForeignServerStmt *statement = makeNode(AlterForeignServerStmt);

	statement->servername = server->servername;
	statement->options = changes;
	run_utility((Node *) statement, psprintf("ALTER SERVER %s", quote_identifier(server->servername)));
}

static void
alter_mapping(const ForeignServer *server, Oid role, const char *role_name, List *changes)
{
	AlterUserMappingStmt *statement = makeNode(AlterUserMappingStmt);
	RoleSpec   *spec = makeNode(RoleSpec);

	spec->roletype = OidIsValid(role) ? ROLESPEC_CSTRING : ROLESPEC_PUBLIC;
	spec->rolename = OidIsValid(role) ? pstrdup(role_name) : NULL;
	spec->location = -1;
	statement->user = spec;
	statement->servername = server->servername;
	statement->options = changes;
	run_utility((Node *) statement,
				psprintf("ALTER USER MAPPING FOR %s SERVER %s", quote_identifier(role_name),
						 quote_identifier(server->servername)));
}

static List *
options_of_mapping(const EpAdminTarget *target)
{
	EpMapping  *mapping = ep_mapping_of_role(target->server->serverid, target->set.role);

	if (mapping == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping not found for user \"%s\", server \"%s\"",
						target->role, target->server->servername),
				 errhint("Use CREATE USER MAPPING to define one.")));
	return mapping->options;
}

/*
 * Sets and removes options of a server, or of one of its user mappings if the
 * target names a role; what is null is removed.  Effective at commit.  Raises
 * 0A000 for a server of another wrapper, 22023 and HV00D for what is no option,
 * and what ALTER SERVER and ALTER USER MAPPING raise.
 */
void
ep_configure_pool(const EpAdminTarget *target, Jsonb *options)
{
	ForeignServer *server = target->server;
	List	   *changes;

	if (ep_wrapper_of(server->fdwid) != EP_WRAPPER_OURS)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("server \"%s\" cannot have options of a pool", server->servername),
				 errdetail("It is of another foreign-data wrapper."),
				 errhint("Create a server of enhanced_pool with the option \"server\" '%s' and configure that.",
						 server->servername)));

	/* the lock below is refused on a standby, in words that say less */
	PreventCommandIfReadOnly("configure_pool()");

	/*
	 * whoever else does this waits: which options are to be added is found
	 * out here
	 */
	LockDatabaseObject(ForeignServerRelationId, server->serverid, 0, ShareUpdateExclusiveLock);
	server = GetForeignServer(server->serverid);
	if (target->role == NULL)
	{
		changes = changes_of(server->options, options);
		if (changes != NIL)
			alter_server(server, changes);
		return;
	}
	changes = changes_of(options_of_mapping(target), options);
	if (changes != NIL)
		alter_mapping(server, target->set.role, target->role, changes);
}
