/*-------------------------------------------------------------------------
 *
 * resolve.c
 *		From the catalogs to the definition of a pool.
 *
 * Nothing here looks at the caller's rights; catalog.c does.  Functions with
 * an argument "quiet" return false instead of raising what is wrong with the
 * catalogs: a view must not fail for one pool that could not be used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "client/catalog.h"
#include "client/options.h"
#include "client/resolve.h"
#include "shared/settings.h"
#include "shared/shared.h"

#define REFUSE(quiet, ...) \
	do { \
		if (quiet) \
			return false; \
		ereport(ERROR, (__VA_ARGS__)); \
	} while (0)

/* ------------------------------------------------------- reading catalogs */

/* Which kind of wrapper that is; only superusers create one, so its name can be trusted. */
EpWrapper
ep_wrapper_of(Oid wrapper)
{
	ForeignDataWrapper *fdw = GetForeignDataWrapperExtended(wrapper, FDW_MISSING_OK);

	if (fdw == NULL)
		return EP_WRAPPER_UNUSABLE;
	if (strcmp(fdw->fdwname, "enhanced_pool") == 0)
		return EP_WRAPPER_OURS;
	if (strcmp(fdw->fdwname, "postgres_fdw") == 0 || strcmp(fdw->fdwname, "dblink_fdw") == 0)
		return EP_WRAPPER_OTHER;
	return EP_WRAPPER_UNUSABLE;
}

/* A name that could be taken for the number of a lease. */
bool
ep_all_digits(const char *name)
{
	return name[0] != '\0' && name[strspn(name, "0123456789")] == '\0';
}

/* The value of an option, or NULL. */
const char *
ep_list_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

static bool
written_by_us(HeapTuple tuple)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

/*
 * Was the row that a syscache finds by that OID written by the current,
 * uncommitted transaction?  One that is not there was not.
 */
bool
ep_row_uncommitted(int cache, Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(cache, ObjectIdGetDatum(oid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = written_by_us(tuple);
	ReleaseSysCache(tuple);
	return result;
}

static EpMapping *
mapping_from_tuple(int cache, HeapTuple tuple)
{
	Form_pg_user_mapping form;
	EpMapping  *mapping;
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_user_mapping) GETSTRUCT(tuple);
	mapping = palloc0(sizeof(EpMapping));
	mapping->oid = form->oid;
	mapping->role = form->umuser;
	mapping->server = form->umserver;
	mapping->uncommitted = written_by_us(tuple);
	options = SysCacheGetAttr(cache, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(options);

		mapping->options = untransformRelOptions(PointerGetDatum(array));
		if ((Pointer) array != DatumGetPointer(options))
			explicit_bzero(array, VARSIZE(array));	/* a copy, with the password */
	}
	ReleaseSysCache(tuple);
	return mapping;
}

/* The mapping of exactly that role (InvalidOid: PUBLIC), or NULL. */
EpMapping *
ep_mapping_of_role(Oid server, Oid role)
{
	return mapping_from_tuple(USERMAPPINGUSERSERVER,
							  SearchSysCache2(USERMAPPINGUSERSERVER,
											  ObjectIdGetDatum(role), ObjectIdGetDatum(server)));
}

/* The mapping that holds for a role: its own, else PUBLIC's, else NULL. */
EpMapping *
ep_mapping_for(Oid server, Oid role)
{
	EpMapping  *mapping = ep_mapping_of_role(server, role);

	if (mapping == NULL && OidIsValid(role))
		mapping = ep_mapping_of_role(server, InvalidOid);
	return mapping;
}

static EpMapping *
mapping_by_oid(Oid mapping)
{
	return mapping_from_tuple(USERMAPPINGOID,
							  SearchSysCache1(USERMAPPINGOID, ObjectIdGetDatum(mapping)));
}

/*
 * Follows option server of resolution->server; other stays NULL if there is
 * none.  Raises 42704, 42809 or 22023.
 */
bool
ep_resolve_other(EpResolution *resolution, bool quiet)
{
	ForeignServer *server = resolution->server;
	EpWrapper	wrapper = ep_wrapper_of(server->fdwid);
	const char *name;

	resolution->other = NULL;
	if (wrapper == EP_WRAPPER_UNUSABLE)
		REFUSE(quiet,
			   errcode(ERRCODE_WRONG_OBJECT_TYPE),
			   errmsg("server \"%s\" cannot be used as a pool", server->servername),
			   errhint("Only servers of the foreign-data wrappers enhanced_pool, postgres_fdw and dblink_fdw can."));
	if (wrapper != EP_WRAPPER_OURS)
		return true;
	name = ep_list_option(server->options, "server");
	if (name == NULL)
		return true;

	resolution->other = GetForeignServerByName(name, true);
	if (resolution->other == NULL)
		REFUSE(quiet,
			   errcode(ERRCODE_UNDEFINED_OBJECT),
			   errmsg("server \"%s\" does not exist", name),
			   errdetail("Option \"server\" of server \"%s\" names it.", server->servername));
	wrapper = ep_wrapper_of(resolution->other->fdwid);
	if (wrapper == EP_WRAPPER_UNUSABLE)
		REFUSE(quiet,
			   errcode(ERRCODE_WRONG_OBJECT_TYPE),
			   errmsg("server \"%s\" cannot be used as a pool", name),
			   errdetail("Option \"server\" of server \"%s\" names it.", server->servername),
			   errhint("Only servers of the foreign-data wrappers enhanced_pool, postgres_fdw and dblink_fdw can."));
	if (wrapper == EP_WRAPPER_OURS && ep_list_option(resolution->other->options, "server"))
		REFUSE(quiet,
			   errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			   errmsg("server \"%s\" refers to server \"%s\", which itself refers to another one",
					  server->servername, name),
			   errhint("Name the last server in option \"server\"."));
	return true;
}

static void
wipe_options(List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "password") == 0 || strcmp(option->defname, "sslpassword") == 0)
		{
			char	   *value = defGetString(option);

			explicit_bzero(value, strlen(value));
		}
	}
}

/* Passwords do not stay in memory that is given back. */
void
ep_wipe_resolution(EpResolution *resolution)
{
	if (resolution->mapping)
		wipe_options(resolution->mapping->options);
	if (resolution->own)
		wipe_options(resolution->own->options);
}

/* ---------------------------------------------------------------- settings */

/* Where the values of a pool come from before GUCs; NULL: not from options. */
typedef struct Chosen
{
	const char *value[EP_NSETTINGS];
	EpSource	source[EP_NSETTINGS];
} Chosen;

static void
choose(Chosen *chosen, List *options, EpSource source)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const EpSettingDef *setting = ep_setting_find(option->defname);

		if (setting)
		{
			chosen->value[setting->id] = defGetString(option);
			chosen->source[setting->id] = source;
		}
	}
}

/*
 * application_name with %S (pool), %u (role), %d (local database), %C (cluster)
 * and %% replaced, cut to what a server keeps of it.
 */
static char *
expand_application_name(const char *template, const EpPoolDef *def)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (const char *p = template; *p; p++)
	{
		if (*p != '%' || p[1] == '\0')
		{
			appendStringInfoChar(&buf, *p);
			continue;
		}
		switch (*++p)
		{
			case 'S':
				appendStringInfoString(&buf, def->name);
				break;
			case 'u':
				appendStringInfoString(&buf, def->role);
				break;
			case 'd':
				appendStringInfoString(&buf, def->datname);
				break;
			case 'C':
				appendStringInfoString(&buf, cluster_name ? cluster_name : "");
				break;
			case '%':
				appendStringInfoChar(&buf, '%');
				break;
			default:
				appendStringInfoChar(&buf, '%');
				appendStringInfoChar(&buf, *p);
				break;
		}
	}
	if (buf.len >= NAMEDATALEN)
		buf.data[pg_mbcliplen(buf.data, buf.len, NAMEDATALEN - 1)] = '\0';
	return buf.data;
}

static bool
add_text(EpPoolDef *def, const char *what, const char *bytes, Size size, uint32 *offset, bool quiet)
{
	if (!ep_texts_add_bytes(&def->texts, bytes, size, offset))
		REFUSE(quiet,
			   errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			   errmsg("no room for %s of pool \"%s\"", what, def->name),
			   errdetail("All texts of one pool may have %d bytes together.", EP_TEXTS_SIZE));
	return true;
}

static bool
fill_text(EpPoolDef *def, const EpSettingDef *setting, const char *value, bool quiet)
{
	uint32		offset = 0;

	if (setting->id == EP_S_APPLICATION_NAME)
		value = expand_application_name(value, def);
	if (value[0] != '\0' &&
		!add_text(def, psprintf("setting \"%s\"", setting->name), value, strlen(value) + 1, &offset, quiet))
		return false;
	def->set.v[setting->id].text = offset;
	return true;
}

static bool
fill_settings(const EpResolution *resolution, EpPoolDef *def, bool quiet)
{
	Chosen		chosen = {0};
	EpMapping  *mapping = resolution->other ? resolution->own : resolution->mapping;

	if (ep_wrapper_of(resolution->server->fdwid) == EP_WRAPPER_OURS)
	{
		choose(&chosen, resolution->server->options, EP_SOURCE_SERVER);
		if (mapping)
			choose(&chosen, mapping->options, EP_SOURCE_ROLE);
	}
	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		const EpSettingDef *setting = &ep_setting_defs[i];
		const char *value = chosen.value[i];
		EpSource	source = chosen.source[i];

		if (value && quiet && !ep_setting_valid(setting, value))
			return false;
		if (setting->type == EP_TYPE_STRING)
		{
			if (value)
				ep_setting_check_text(setting, value);
			else
				value = ep_guc_text(i, &source);
			if (!fill_text(def, setting, value, quiet))
				return false;
		}
		else if (value)
			def->set.v[i].num = ep_setting_parse(setting, value);
		else
			def->set.v[i].num = ep_guc_num(i, false, &source);
		def->set.source[i] = source;
	}
	ep_settings_finish(&def->set);
	return true;
}

/* ------------------------------------------------------- connection keywords */

static bool
check_foreign_option(const char *name, const char *value, bool quiet)
{
	bool		on;

	if (strcmp(name, "service") == 0 && value[0] != '\0')
		REFUSE(quiet,
			   errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			   errmsg("option \"service\" is not possible with a pool"),
			   errhint("Give host, port and dbname in the options of the server."));
	if (strcmp(name, "use_scram_passthrough") == 0 && parse_bool(value, &on) && on)
		REFUSE(quiet,
			   errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			   errmsg("option \"use_scram_passthrough\" is not supported with a pool"),
			   errdetail("A pool's connections are shared; they are not opened with a client's own keys."),
			   errhint("Give user and password in the options of the user mapping."));
	return true;
}

/*
 * Appends key\0value\0 for each connection keyword but password.  over: the
 * options that win over these.
 */
static bool
append_keywords(StringInfo buf, List *options, List *over, bool quiet)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const char *name = option->defname;
		const char *value = defGetString(option);
		EpOptionKind kind = ep_option_kind(name);

		if (!check_foreign_option(name, value, quiet))
			return false;
		if ((kind != EP_OPT_CONNINFO && kind != EP_OPT_CREDENTIAL) || value[0] == '\0' ||
			strcmp(name, "password") == 0 || ep_list_option(over, name))
			continue;
		appendBinaryStringInfo(buf, name, strlen(name) + 1);
		appendBinaryStringInfo(buf, value, strlen(value) + 1);
	}
	return true;
}

static bool
fill_password(EpPoolDef *def, List *options, bool quiet)
{
	const char *password = ep_list_option(options, "password");
	const char *required = ep_list_option(options, "password_required");

	def->password_required = true;
	if (required)
		(void) parse_bool(required, &def->password_required);
	if (password == NULL)
		return true;
	if (strlen(password) > EP_PASSWORD_MAX)
		REFUSE(quiet,
			   errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			   errmsg("password of pool \"%s\" is too long", def->name),
			   errdetail("It has %zu bytes; at most %d are possible.", strlen(password), EP_PASSWORD_MAX));
	strlcpy(def->password, password, sizeof(def->password));
	def->password_given = password[0] != '\0';
	return true;
}

/*
 * user defaults to the mapped role's name.  libpq's own default, the name of
 * the operating system's user, is the database administrator's here.
 */
static bool
append_default_user(StringInfo buf, const EpResolution *resolution, bool quiet)
{
	EpMapping  *mapping = resolution->mapping;
	const char *user = ep_list_option(mapping->options, "user");

	if (user && user[0] != '\0')
		return true;
	user = OidIsValid(mapping->role) ? GetUserNameFromId(mapping->role, true) : NULL;
	if (user == NULL)
		REFUSE(quiet,
			   errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			   errmsg("user mapping for public of server \"%s\" needs the option \"user\"",
					  (resolution->other ? resolution->other : resolution->server)->servername));
	appendBinaryStringInfo(buf, "user", sizeof("user"));
	appendBinaryStringInfo(buf, user, strlen(user) + 1);
	return true;
}

static bool
check_own_mapping(const EpResolution *resolution, bool quiet)
{
	ListCell   *lc;

	if (resolution->own == NULL)
		return true;
	Assert(resolution->other != NULL);
	foreach(lc, resolution->own->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (ep_option_kind(option->defname) != EP_OPT_SETTING)
			REFUSE(quiet,
				   errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				   errmsg("option \"%s\" is not possible on a user mapping for server \"%s\"",
						  option->defname, resolution->server->servername),
				   errdetail("User and password are taken from the mapping for server \"%s\".",
							 resolution->other->servername));
	}
	return true;
}

/*
 * A key of the form engine:name makes libpq load a library of that name, which
 * may be a path.  Who may do that is superuser; on a mapping sslkey is, anyway.
 */
static bool
check_engine(const ForeignServer *server, bool quiet)
{
	const char *key = ep_list_option(server->options, "sslkey");

	if (key && strchr(key, ':') && !superuser_arg(server->owner))
		REFUSE(quiet,
			   errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			   errmsg("permission denied to use an SSL engine for server \"%s\"", server->servername),
			   errdetail("A colon in the option \"sslkey\" names an engine, which only the server of a superuser may do."));
	return true;
}

static bool
fill_conninfo(const EpResolution *resolution, EpPoolDef *def, bool quiet)
{
	ForeignServer *server = resolution->other ? resolution->other : resolution->server;
	List	   *options = resolution->mapping->options;
	StringInfoData buf;
	bool		done;

	initStringInfo(&buf);
	done = check_own_mapping(resolution, quiet) &&
		check_engine(server, quiet) &&
		fill_password(def, options, quiet) &&
		append_keywords(&buf, server->options, options, quiet) &&
		append_keywords(&buf, options, NIL, quiet) &&
		append_default_user(&buf, resolution, quiet);
	if (done)
	{
		appendStringInfoChar(&buf, '\0');	/* ends the list */
		done = add_text(def, "the connection options", buf.data, buf.len, &def->conninfo, quiet);
	}
	explicit_bzero(buf.data, buf.len);	/* sslpassword */
	pfree(buf.data);
	return done;
}

/* ------------------------------------------------------------------ hashes */

static uint64
hash_on(uint64 hash, const void *bytes, Size size)
{
	return hash_bytes_extended(bytes, (int) size, hash);
}

static uint64
hash_text(uint64 hash, const char *text)
{
	return hash_on(hash, text, strlen(text) + 1);
}

static void
fill_hashes(EpPoolDef *def)
{
	uint64		conn = 0;
	uint64		set = 0;

	for (const char *p = def->texts.data + def->conninfo; *p; p += strlen(p) + 1)
		conn = hash_text(conn, p);
	conn = hash_text(conn, def->password);
	conn = hash_text(conn, EP_STR(&def->set, &def->texts, EP_S_APPLICATION_NAME));
	conn = hash_text(conn, EP_STR(&def->set, &def->texts, EP_S_CONNECT_QUERY));
	/* what no longer follows the users' settings must not keep what it has of them */
	conn = hash_text(conn, EP_STR(&def->set, &def->texts, EP_S_PROPAGATE_SETTINGS));
	conn = hash_text(conn, def->datname);
	conn = hash_on(conn, &def->encoding, sizeof(int));
	conn = hash_on(conn, &def->demand_password, sizeof(bool));
	def->conn_hash = conn;

	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		if (ep_setting_defs[i].type == EP_TYPE_STRING)
			set = hash_text(set, EP_STR(&def->set, &def->texts, i));
		else
			set = hash_on(set, &def->set.v[i].num, sizeof(double));
	}
	set = hash_on(set, def->set.source, sizeof(def->set.source));
	set = hash_text(set, def->name);
	set = hash_text(set, def->role);
	set = hash_on(set, &def->mapping_role, sizeof(Oid));
	set = hash_on(set, &def->server_owner, sizeof(Oid));
	set = hash_on(set, &def->other_server, sizeof(Oid));
	set = hash_on(set, &def->password_required, sizeof(bool));
	def->set_hash = set;
	def->remote_hash = ep_remote_hash(def);
	def->session_attrs = ep_remote_session_attrs(def);
}

/* --------------------------------------------------------------- definition */

/* Was that set on the server or a mapping, not by a parameter, which is a superuser's? */
static bool
set_by_option(const EpPoolDef *def, EpSettingId id)
{
	return def->set.source[id] == EP_SOURCE_SERVER || def->set.source[id] == EP_SOURCE_ROLE;
}

/*
 * May roles that share the pool see each other's state without a superuser's
 * word?  Where that is set on the server whose mapping is for PUBLIC, guard.c
 * has asked who set it.  But another server may get such a mapping later, from
 * an owner who knows nothing of the servers that refer to it.
 */
static bool
shares_state(const EpResolution *resolution, const EpPoolDef *def)
{
	if (resolution->other == NULL || OidIsValid(def->mapping_role) || superuser_arg(def->server_owner))
		return false;
	if (set_by_option(def, EP_S_RESET) && EP_INT(&def->set, EP_S_RESET) == EP_RESET_NEVER)
		return true;
	return set_by_option(def, EP_S_RESET_QUERY) &&
		pg_strcasecmp(EP_STR(&def->set, &def->texts, EP_S_RESET_QUERY), "DISCARD ALL") != 0;
}

/*
 * Must the remote server have asked for a password before anything is run on a
 * connection?  If it did not, it took this server for the user.  Only superusers
 * may make use of that, neither as callers nor by statements that the owner of
 * the server wants to be run in passing.
 */
static bool
must_demand_password(const EpPoolDef *def)
{
	bool		for_superuser = OidIsValid(def->mapping_role) && superuser_arg(def->mapping_role);
	bool		owner_runs = !superuser_arg(def->server_owner) &&
		(set_by_option(def, EP_S_CONNECT_QUERY) || set_by_option(def, EP_S_RESET_QUERY) ||
		 set_by_option(def, EP_S_VALIDATION_QUERY));

	return def->password_required && ((def->password_given && !for_superuser) || owner_runs);
}

/*
 * Makes the definition of a pool from what the catalogs say.  def is
 * overwritten and holds a password afterwards, also after an error: the caller
 * wipes it.  Raises 22023, 0A000, 42501 or HV00D.
 */
bool
ep_build_def(const EpResolution *resolution, EpPoolDef *def, bool quiet)
{
	ForeignServer *server = resolution->server;
	EpMapping  *mapping = resolution->mapping;
	EpMapping  *own = resolution->own;
	char	   *datname = get_database_name(MyDatabaseId);
	char	   *role;

	memset(def, 0, sizeof(EpPoolDef));
	def->key.database = MyDatabaseId;
	def->key.server = server->serverid;
	def->key.mapping = mapping->oid;
	def->key.own_mapping = own ? own->oid : InvalidOid;
	def->other_server = resolution->other ? resolution->other->serverid : InvalidOid;
	def->server_owner = server->owner;
	def->encoding = GetDatabaseEncoding();

	/* the narrower of the two mappings says whose pool it is */
	def->mapping_role = own && OidIsValid(own->role) ? own->role : mapping->role;
	role = OidIsValid(def->mapping_role) ? GetUserNameFromId(def->mapping_role, true) : "public";
	if (datname == NULL || role == NULL)
		REFUSE(quiet,
			   errcode(ERRCODE_UNDEFINED_OBJECT),
			   errmsg("database or role of pool \"%s\" does not exist", server->servername));
	strlcpy(def->datname, datname, NAMEDATALEN);
	strlcpy(def->name, server->servername, NAMEDATALEN);
	strlcpy(def->role, role, NAMEDATALEN);

	if (!fill_settings(resolution, def, quiet) || !fill_conninfo(resolution, def, quiet))
		return false;
	if (shares_state(resolution, def))
		REFUSE(quiet,
			   errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			   errmsg("pool \"%s\" would let different roles see each other's state of the remote session", def->name),
			   errdetail("Server \"%s\" has a user mapping for public, and \"%s\" does not reset connections by DISCARD ALL.",
						 resolution->other->servername, def->name),
			   errhint("Remove the options reset and reset_query of server \"%s\", or let a superuser own it.", def->name));
	def->demand_password = must_demand_password(def);
	fill_hashes(def);
	return true;
}

/*
 * The mapping given may be one of the server itself or, for a server with
 * option server, one of the other; InvalidOid is then the other's for PUBLIC.
 */
static bool
find_mappings(EpResolution *resolution, Oid mapping)
{
	ForeignServer *other = resolution->other;
	EpMapping  *given = OidIsValid(mapping) ? mapping_by_oid(mapping) : NULL;

	if (other == NULL)
		resolution->mapping = given;
	else if (given && given->server == resolution->server->serverid)
	{
		resolution->own = given;
		resolution->mapping = ep_mapping_for(other->serverid, given->role);
	}
	else if (given || !OidIsValid(mapping))
	{
		resolution->mapping = given ? given : ep_mapping_of_role(other->serverid, InvalidOid);
		resolution->own = ep_mapping_for(resolution->server->serverid, given ? given->role : InvalidOid);
	}
	return resolution->mapping != NULL &&
		resolution->mapping->server == (other ? other : resolution->server)->serverid;
}

/*
 * The definition of one pool of the current database, whoever asks; for views
 * and for opening pools ahead of their use.  Nothing is registered.  mapping is
 * as ep_list_pools() gives it.  def gets the password, too: the caller wipes
 * it.  With missing_ok false is returned for anything that is not there or that
 * could not be used, else an error is raised.
 */
bool
ep_resolve_mapping(Oid server, Oid mapping, EpPoolDef *def, bool missing_ok)
{
	EpResolution resolution = {0};
	bool		done;

	resolution.server = GetForeignServerExtended(server, FSV_MISSING_OK);
	if (resolution.server == NULL)
		REFUSE(missing_ok,
			   errcode(ERRCODE_UNDEFINED_OBJECT),
			   errmsg("foreign server with OID %u does not exist", server));
	if (!ep_resolve_other(&resolution, missing_ok))
		return false;
	if (!find_mappings(&resolution, mapping))
		REFUSE(missing_ok,
			   errcode(ERRCODE_UNDEFINED_OBJECT),
			   errmsg("no user mapping of server \"%s\" has OID %u", resolution.server->servername, mapping));
	done = ep_build_def(&resolution, def, missing_ok);
	ep_wipe_resolution(&resolution);
	return done;
}

/* ------------------------------------------------------------------ listing */

static List *
list_mappings(Oid server)
{
	Relation	rel = table_open(UserMappingRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List	   *result = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_user_mapping form = (Form_pg_user_mapping) GETSTRUCT(tuple);

		if (form->umserver == server)
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

static List *
append_pool(List *pools, Oid server, Oid mapping)
{
	EpPoolOids *oids = palloc(sizeof(EpPoolOids));

	oids->server = server;
	oids->mapping = mapping;
	return lappend(pools, oids);
}

static List *
append_pools_of(List *pools, Oid server)
{
	EpResolution resolution = {0};
	ListCell   *lc;

	resolution.server = GetForeignServerExtended(server, FSV_MISSING_OK);
	if (resolution.server == NULL || !ep_resolve_other(&resolution, true))
		return pools;
	if (resolution.other)
	{
		foreach(lc, list_mappings(resolution.other->serverid))
			pools = append_pool(pools, server, lfirst_oid(lc));
	}
	foreach(lc, list_mappings(server))
	{
		EpMapping  *own = mapping_by_oid(lfirst_oid(lc));
		EpMapping  *same = own && resolution.other ?
		ep_mapping_of_role(resolution.other->serverid, own->role) : NULL;

		/*
		 * one whose role has a mapping on the other server was listed with
		 * that one
		 */
		if (own && same == NULL)
			pools = append_pool(pools, server, own->oid);
		if (own)
			wipe_options(own->options);
		if (same)
			wipe_options(same->options);
	}
	return pools;
}

/* The pools of one server, in the same form. */
List *
ep_list_pools_of(Oid server)
{
	return append_pools_of(NIL, server);
}

/*
 * All pools that the current database defines, used or not: a palloc'd list of
 * EpPoolOids.  Some may turn out unusable; ep_resolve_mapping() says so.
 */
List *
ep_list_pools(void)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List	   *servers = NIL;
	List	   *pools = NIL;
	HeapTuple	tuple;
	ListCell   *lc;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		servers = lappend_oid(servers, ((Form_pg_foreign_server) GETSTRUCT(tuple))->oid);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	foreach(lc, servers)
		pools = append_pools_of(pools, lfirst_oid(lc));
	return pools;
}
