/*-------------------------------------------------------------------------
 *
 * options.c
 *		Which options a server and a user mapping may carry, what their values
 *		may be, and who may set them.
 *
 * The list of libpq keywords is our own, as postgres_fdw has it: a newer libpq
 * does not silently add what nobody looked at.  What an older libpq lacks is
 * refused, but load_balance_hosts, which the worker does itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "libpq-fe.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "client/options.h"
#include "shared/settings.h"
#include "shared/shared.h"

typedef enum ValueKind
{
	VALUE_TEXT,
	VALUE_LIST,					/* one of the words in Keyword.values */
	VALUE_VERSION,				/* the same in any case, as libpq takes these */
	VALUE_COUNT,				/* whole number, not negative */
	VALUE_PORTS,
	VALUE_ADDRESSES
} ValueKind;

#define ON_SERVER	1
#define ON_MAPPING	2
#define SUPERUSER	4			/* on a mapping it is a superuser's to set */
#define OURS		8			/* needs no support in libpq */

typedef struct Keyword
{
	const char *name;
	int			flags;
	ValueKind	kind;
	const char *values;			/* separated by spaces */
} Keyword;

static const Keyword keywords[] = {
	{"channel_binding", ON_SERVER, VALUE_LIST, "disable prefer require"},
	{"dbname", ON_SERVER, VALUE_TEXT, NULL},
	{"gssdelegation", ON_SERVER | ON_MAPPING | SUPERUSER, VALUE_LIST, "0 1"},
	{"gssencmode", ON_SERVER, VALUE_LIST, "disable prefer require"},
	{"gsslib", ON_SERVER, VALUE_TEXT, NULL},
	{"host", ON_SERVER, VALUE_TEXT, NULL},
	{"hostaddr", ON_SERVER, VALUE_ADDRESSES, NULL},
	{"keepalives", ON_SERVER, VALUE_COUNT, NULL},
	{"keepalives_count", ON_SERVER, VALUE_COUNT, NULL},
	{"keepalives_idle", ON_SERVER, VALUE_COUNT, NULL},
	{"keepalives_interval", ON_SERVER, VALUE_COUNT, NULL},
	{"krbsrvname", ON_SERVER, VALUE_TEXT, NULL},
	{"load_balance_hosts", ON_SERVER | OURS, VALUE_LIST, "disable random"},
	{"max_protocol_version", ON_SERVER, VALUE_TEXT, NULL},
	{"min_protocol_version", ON_SERVER, VALUE_TEXT, NULL},
	{"options", ON_SERVER, VALUE_TEXT, NULL},
	{"passfile", ON_SERVER, VALUE_TEXT, NULL},
	{"password", ON_MAPPING, VALUE_TEXT, NULL},
	{"port", ON_SERVER, VALUE_PORTS, NULL},
	{"require_auth", ON_SERVER, VALUE_TEXT, NULL},
	{"requirepeer", ON_SERVER, VALUE_TEXT, NULL},
	{"ssl_max_protocol_version", ON_SERVER, VALUE_VERSION, "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3"},
	{"ssl_min_protocol_version", ON_SERVER, VALUE_VERSION, "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3"},
	{"sslcert", ON_SERVER | ON_MAPPING | SUPERUSER, VALUE_TEXT, NULL},
	{"sslcertmode", ON_SERVER, VALUE_LIST, "disable allow require"},
	{"sslcompression", ON_SERVER, VALUE_LIST, "0 1"},
	{"sslcrl", ON_SERVER, VALUE_TEXT, NULL},
	{"sslcrldir", ON_SERVER, VALUE_TEXT, NULL},
	{"sslkey", ON_SERVER | ON_MAPPING | SUPERUSER, VALUE_TEXT, NULL},
	{"sslmode", ON_SERVER, VALUE_LIST, "disable allow prefer require verify-ca verify-full"},
	{"sslnegotiation", ON_SERVER, VALUE_LIST, "postgres direct"},
	{"sslpassword", ON_MAPPING, VALUE_TEXT, NULL},
	{"sslrootcert", ON_SERVER, VALUE_TEXT, NULL},
	{"sslsni", ON_SERVER, VALUE_LIST, "0 1"},
	{"target_session_attrs", ON_SERVER, VALUE_LIST, "any read-write read-only primary standby prefer-standby"},
	{"tcp_user_timeout", ON_SERVER, VALUE_COUNT, NULL},
	{"user", ON_MAPPING, VALUE_TEXT, NULL},
};

static const Keyword *
find_keyword(const char *name)
{
	for (Size i = 0; i < lengthof(keywords); i++)
	{
		if (strcmp(keywords[i].name, name) == 0)
			return &keywords[i];
	}
	return NULL;
}

/* Does the libpq at hand know this keyword?  Asked once for all of them. */
static bool
keyword_supported(const Keyword *keyword)
{
	static bool known[lengthof(keywords)];
	static bool asked = false;

	if (!asked)
	{
		PQconninfoOption *defaults = PQconndefaults();

		if (defaults == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		for (PQconninfoOption *option = defaults; option->keyword; option++)
		{
			const Keyword *listed = find_keyword(option->keyword);

			if (listed)
				known[listed - keywords] = true;
		}
		PQconninfoFree(defaults);
		asked = true;
	}
	return (keyword->flags & OURS) != 0 || known[keyword - keywords];
}

/*
 * What an option of that name is.  A keyword that may stand on servers and
 * mappings alike (sslcert, sslkey, gssdelegation) is EP_OPT_CREDENTIAL.
 * connect_timeout and application_name are settings, not keywords.
 */
EpOptionKind
ep_option_kind(const char *name)
{
	const Keyword *keyword;

	if (ep_setting_find(name))
		return EP_OPT_SETTING;
	if (strcmp(name, "server") == 0)
		return EP_OPT_SERVER;
	if (strcmp(name, "password_required") == 0)
		return EP_OPT_PASSWORD_REQUIRED;
	keyword = find_keyword(name);
	if (keyword == NULL || !keyword_supported(keyword))
		return EP_OPT_UNKNOWN;
	return (keyword->flags & ON_MAPPING) != 0 ? EP_OPT_CREDENTIAL : EP_OPT_CONNINFO;
}

/* ------------------------------------------------------------ closest name */

#define NAME_MAX_LENGTH	63

/* Edits (insert, delete, replace a byte) that make b of a. */
static int
edit_distance(const char *a, const char *b)
{
	int			row[NAME_MAX_LENGTH + 1];
	int			length = strlen(b);

	for (int j = 0; j <= length; j++)
		row[j] = j;
	for (int i = 1; a[i - 1]; i++)
	{
		int			diagonal = row[0];

		row[0] = i;
		for (int j = 1; j <= length; j++)
		{
			int			above = row[j];
			int			best = diagonal + (a[i - 1] != b[j - 1]);

			best = Min(best, above + 1);
			best = Min(best, row[j - 1] + 1);
			diagonal = above;
			row[j] = best;
		}
	}
	return row[length];
}

static void
consider(const char *name, const char *candidate, int *best_distance, const char **best)
{
	int			distance = edit_distance(name, candidate);

	if (distance < *best_distance)
	{
		*best_distance = distance;
		*best = candidate;
	}
}

/* The known option whose name is closest, or NULL if none is close. */
const char *
ep_option_closest(const char *name)
{
	const char *best = NULL;
	int			length = strlen(name);
	int			distance;

	if (length == 0 || length > NAME_MAX_LENGTH)
		return NULL;
	distance = Max(2, length / 3) + 1;
	for (int i = 0; i < EP_NSETTINGS; i++)
		consider(name, ep_setting_defs[i].name, &distance, &best);
	for (Size i = 0; i < lengthof(keywords); i++)
	{
		if (keyword_supported(&keywords[i]))
			consider(name, keywords[i].name, &distance, &best);
	}
	consider(name, "server", &distance, &best);
	consider(name, "password_required", &distance, &best);
	return best;
}

/* ------------------------------------------------------------------ values */

static void
raise_bad_value(const char *name, const char *value, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name,
					strlen(value) > 200 ? "(too long)" : value),
			 errdetail("%s", detail)));
}

static bool
is_one_of(const char *value, const char *words, bool any_case)
{
	Size		length = strlen(value);

	while (*words)
	{
		Size		word = strcspn(words, " ");

		if (word == length &&
			(any_case ? pg_strncasecmp(words, value, length) : strncmp(words, value, length)) == 0)
			return true;
		words += word;
		words += strspn(words, " ");
	}
	return false;
}

static bool
is_number(const char *value, int min, int max)
{
	char	   *end;
	long		number;

	if (value[0] < '0' || value[0] > '9')
		return false;
	errno = 0;
	number = strtol(value, &end, 10);
	return errno == 0 && *end == '\0' && number >= min && number <= max;
}

static bool
is_port(const char *value)
{
	return is_number(value, 1, 65535);
}

/* Is that a numeric IPv4 or IPv6 address? */
bool
ep_is_address(const char *value)
{
	unsigned char buffer[sizeof(struct in6_addr)];
	char		bare[INET6_ADDRSTRLEN + 1];

	/*
	 * a link-local address may name its interface, which inet_pton does not
	 * know
	 */
	strlcpy(bare, value, sizeof(bare));
	if (strchr(bare, ':') && strchr(bare, '%'))
		*strchr(bare, '%') = '\0';
	return inet_pton(AF_INET, bare, buffer) == 1 || inet_pton(AF_INET6, bare, buffer) == 1;
}

/* Each part of a list with commas is either empty, which means the default, or passes the test. */
static bool
list_passes(const char *value, bool (*test) (const char *))
{
	char	   *part = pstrdup(value);

	while (part)
	{
		char	   *comma = strchr(part, ',');

		if (comma)
			*comma = '\0';
		part += strspn(part, " ");
		for (char *end = part + strlen(part); end > part && end[-1] == ' '; end--)
			end[-1] = '\0';
		if (*part && !test(part))
			return false;
		part = comma ? comma + 1 : NULL;
	}
	return true;
}

static int
list_length_of(const char *value)
{
	int			length = 1;

	for (; *value; value++)
		length += *value == ',';
	return length;
}

static void
check_keyword_value(const Keyword *keyword, const char *value)
{
	if (value[0] == '\0')
		return;					/* libpq: as if it were not given */
	switch (keyword->kind)
	{
		case VALUE_TEXT:
			break;
		case VALUE_LIST:
		case VALUE_VERSION:
			if (!is_one_of(value, keyword->values, keyword->kind == VALUE_VERSION))
				raise_bad_value(keyword->name, value, psprintf("Valid values are: %s.", keyword->values));
			break;
		case VALUE_COUNT:
			if (!is_number(value, 0, INT_MAX))
				raise_bad_value(keyword->name, value, "Valid values are whole numbers that are not negative.");
			break;
		case VALUE_PORTS:
			if (!list_passes(value, is_port))
				raise_bad_value(keyword->name, value, "Valid values are whole numbers between 1 and 65535, or a list of them with commas.");
			break;
		case VALUE_ADDRESSES:
			if (!list_passes(value, ep_is_address))
				raise_bad_value(keyword->name, value, "Valid values are numeric IPv4 or IPv6 addresses, or a list of them with commas.");
			break;
	}
}

static void
check_length(const char *name, const char *value)
{
	Size		limit = strcmp(name, "password") == 0 ? EP_PASSWORD_MAX : EP_TEXTS_SIZE - 2;

	if (strlen(value) > limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value of option \"%s\" is too long", name),
				 errdetail("It has %zu bytes; at most %zu are possible.", strlen(value), limit)));
}

/* --------------------------------------------------------------- validator */

static void
raise_unknown(const char *name, Oid catalog)
{
	const char *closest = ep_option_closest(name);

	if (strcmp(name, "service") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"service\""),
				 errdetail("A connection service file is not read on behalf of a pool."),
				 errhint("Give host, port and dbname in the options of the server.")));
	if (strcmp(name, "use_scram_passthrough") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"use_scram_passthrough\" is not supported"),
				 errdetail("A pool's connections are shared; they are not opened with a client's own keys."),
				 errhint("Give user and password in the options of the user mapping.")));
	if (catalog != ForeignServerRelationId && catalog != UserMappingRelationId)
		closest = NULL;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 closest ? errhint("Perhaps you meant the option \"%s\".", closest) : 0));
}

/* A known option in a place where it has no meaning. */
static void
raise_misplaced(const char *name, Oid catalog)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", name),
			 catalog == UserMappingRelationId ?
			 errhint("It is an option of the server, not of a user mapping.") :
			 errhint("It is an option of a user mapping, not of the server.")));
}

static void
check_keyword(const char *name, const char *value, Oid catalog)
{
	const Keyword *keyword = find_keyword(name);
	bool		on_mapping = catalog == UserMappingRelationId;

	if ((keyword->flags & (on_mapping ? ON_MAPPING : ON_SERVER)) == 0)
		raise_misplaced(name, catalog);
	if (on_mapping && (keyword->flags & SUPERUSER) != 0 && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("option \"%s\" of a user mapping is superuser-only", name),
				 errhint("User mappings with this option may only be created or modified by a superuser.")));
	check_keyword_value(keyword, value);
}

static void
check_password_required(DefElem *option, Oid catalog)
{
	const char *value = defGetString(option);
	bool		required;

	if (catalog != UserMappingRelationId)
		raise_misplaced(option->defname, catalog);
	if (!parse_bool(value, &required))
		raise_bad_value(option->defname, value, "Valid values are on and off.");
	if (!required && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("password_required=false is superuser-only"),
				 errhint("User mappings with the password_required option set to false may only be created or modified by a superuser.")));
}

static void
check_setting(const char *name, const char *value, Oid catalog)
{
	const EpSettingDef *def = ep_setting_find(name);

	if (def->server_only && catalog == UserMappingRelationId)
		raise_misplaced(name, catalog);
	if (def->type == EP_TYPE_STRING)
		ep_setting_check_text(def, value);
	else
		(void) ep_setting_parse(def, value);
}

static void
check_server_option(const char *value, Oid catalog)
{
	if (catalog != ForeignServerRelationId)
		raise_misplaced("server", catalog);
	if (value[0] == '\0')
		raise_bad_value("server", value, "The name of another server is expected.");
}

/* What no single option shows. */
static void
check_together(List *options)
{
	const char *other = NULL;
	const char *port = NULL;
	const char *host = NULL;
	const char *keyword = NULL;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const char *name = option->defname;

		if (strcmp(name, "server") == 0)
			other = defGetString(option);
		else if (ep_option_kind(name) != EP_OPT_SETTING)
			keyword = name;
		if (strcmp(name, "port") == 0)
			port = defGetString(option);
		if (strcmp(name, "hostaddr") == 0 || (strcmp(name, "host") == 0 && host == NULL))
			host = defGetString(option);
	}
	if (other && keyword)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" cannot be combined with option \"server\"", keyword),
				 errdetail("Host, user and password are taken from the server \"%s\".", other)));
	if (port && list_length_of(port) > 1 &&
		list_length_of(port) != (host ? list_length_of(host) : 1))
		raise_bad_value("port", port, "One port is expected, or as many as there are hosts.");
}

/*
 * Checks all options of an object, as the validator gets them: names, values
 * and whether the current user may set them.  catalog tells what kind of object
 * it is.  Raises HV00D for a name, 22023 for a value, 42501 for what is a
 * superuser's to set.
 */
void
ep_validate_options(List *options, Oid catalog)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		const char *name = option->defname;
		const char *value = defGetString(option);

		if (catalog != ForeignServerRelationId && catalog != UserMappingRelationId)
			raise_unknown(name, catalog);
		switch (ep_option_kind(name))
		{
			case EP_OPT_UNKNOWN:
				raise_unknown(name, catalog);
				break;
			case EP_OPT_CONNINFO:
			case EP_OPT_CREDENTIAL:
				check_length(name, value);
				check_keyword(name, value, catalog);
				break;
			case EP_OPT_SETTING:
				check_setting(name, value, catalog);
				break;
			case EP_OPT_SERVER:
				check_server_option(value, catalog);
				break;
			case EP_OPT_PASSWORD_REQUIRED:
				check_password_required(option, catalog);
				break;
		}
	}
	check_together(options);
}
