/*-------------------------------------------------------------------------
 *
 * conninfo.c
 *		What a pool's definition means to libpq: its list of hosts, and the
 *		keywords of one attempt.
 *
 * libpq can walk over several hosts itself, but gives each all the time it
 * wants and looks up names by a call that blocks.  So it is given one host
 * with one address at a time, and the keywords that speak of several hosts,
 * or of the time an attempt may take, are served by us.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef EP_HAVE_PROXY_CONNINFO_CHECK
#include "libpq/libpq-be-fe-helpers.h"
#endif
#include "common/pg_prng.h"
#include "mb/pg_wchar.h"

#include "client/options.h"
#include "worker/conninfo.h"

/*
 * Texts of the remote are read by local input functions: dates have to be
 * unambiguous and floats exact.  The order of day and month in what the remote
 * reads stays its own: naming one here would change what the user's statements
 * mean.  Given at startup these survive DISCARD ALL.
 */
#define OUR_OPTIONS		"-c DateStyle=ISO -c IntervalStyle=postgres -c extra_float_digits=3"

/* Keywords that are made for each attempt, or by us alone. */
static const char *const own_keywords[] = {
	"host", "hostaddr", "port", "options", "target_session_attrs", "load_balance_hosts",
	"connect_timeout", "application_name", "fallback_application_name", "client_encoding",
	"password", "service"
};

/* At most so many are added to the user's own. */
#define MAX_ADDED		12

/* Variables that libpq reads without naming them in PQconndefaults(). */
static const char *const hidden_variables[] = {
	"PGDATESTYLE", "PGTZ", "PGGEQO", "PGREQUIRESSL", "PGSERVICEFILE", "PGSYSCONFDIR", "PGLOCALEDIR"
};

static bool have_require_auth = false;

/*
 * Once per process, before the first connection: a pool connects by what its
 * definition says, not by the environment the postmaster was started in.
 * Raises an error only when out of memory.
 */
void
ep_conninfo_init(void)
{
	PQconninfoOption *defaults = PQconndefaults();

	if (defaults == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	for (PQconninfoOption *option = defaults; option->keyword; option++)
	{
		if (option->envvar)
			unsetenv(option->envvar);
		if (strcmp(option->keyword, "require_auth") == 0)
			have_require_auth = true;
	}
	PQconninfoFree(defaults);
	for (Size i = 0; i < lengthof(hidden_variables); i++)
		unsetenv(hidden_variables[i]);

	/*
	 * sslpassword alone opens an encrypted key.  Without it OpenSSL would ask
	 * for one on the standard input, and all pools would wait for the answer.
	 */
	PQsetSSLKeyPassHook_OpenSSL(PQdefaultSSLKeyPassHook_OpenSSL);
}

/* ------------------------------------------------------------ list of hosts */

/* Splits a list with commas; an empty part is NULL.  Returns the number of parts. */
static int
split_list(const char *list, const char ***parts)
{
	char	   *copy = pstrdup(list);
	int			n = 1;
	int			i = 0;

	for (const char *p = list; *p; p++)
		n += *p == ',';
	*parts = palloc(n * sizeof(char *));
	for (char *part = copy; part;)
	{
		char	   *comma = strchr(part, ',');
		char	   *end;

		if (comma)
			*comma = '\0';
		part += strspn(part, " \t");
		end = part + strlen(part);
		while (end > part && (end[-1] == ' ' || end[-1] == '\t'))
			*--end = '\0';
		(*parts)[i++] = *part ? part : NULL;
		part = comma ? comma + 1 : NULL;
	}
	return n;
}

static bool
is_socket(const char *host)
{
	return host == NULL || host[0] == '/' || host[0] == '@';
}

static void
set_host(EpHost *host, const char *name, const char *hostaddr, const char *port)
{
	if (hostaddr == NULL && name && ep_is_address(name))
		hostaddr = name;
	host->name = name;
	host->hostaddr = hostaddr;
	host->port = port;
	host->to_resolve = hostaddr == NULL && !is_socket(name);
	if (!host->to_resolve)
	{
		host->addresses = palloc0(sizeof(EpAddress));
		host->addresses[0].hostaddr = hostaddr;
		host->naddresses = 1;
	}
}

static bool
refuse(EpConnInfo *info, int sqlstate, const char *error)
{
	info->sqlstate = sqlstate;
	info->error = error;
	return false;
}

/* What libpq makes of host, hostaddr and port, each of them a list or NULL. */
static bool
make_hosts(EpConnInfo *info, const char *host, const char *hostaddr, const char *port)
{
	const char **names = NULL;
	const char **addresses = NULL;
	const char **ports = NULL;
	int			nnames = host ? split_list(host, &names) : 0;
	int			naddresses = hostaddr ? split_list(hostaddr, &addresses) : 0;
	int			nports = port ? split_list(port, &ports) : 0;

	info->nhosts = Max(1, naddresses ? naddresses : nnames);
	if (naddresses && nnames && naddresses != nnames)
		return refuse(info, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
					  psprintf("could not match %d host names to %d hostaddr values", nnames, naddresses));
	if (nports > 1 && nports != info->nhosts)
		return refuse(info, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
					  psprintf("could not match %d port numbers to %d hosts", nports, info->nhosts));

	info->hosts = palloc0(info->nhosts * sizeof(EpHost));
	for (int i = 0; i < info->nhosts; i++)
		set_host(&info->hosts[i], nnames ? names[i] : NULL, naddresses ? addresses[i] : NULL,
				 nports ? ports[nports == 1 ? 0 : i] : NULL);
	if (info->shuffle)
		ep_conninfo_shuffle(info->hosts, info->nhosts, sizeof(EpHost));
	return true;
}

/* Puts the items of an array in random order. */
void
ep_conninfo_shuffle(void *items, int nitems, Size size)
{
	char	   *base = items;
	char	   *spare = palloc(size);

	for (int i = nitems - 1; i > 0; i--)
	{
		int			j = (int) pg_prng_uint64_range(&pg_global_prng_state, 0, i);

		memcpy(spare, base + i * size, size);
		memcpy(base + i * size, base + j * size, size);
		memcpy(base + j * size, spare, size);
	}
	pfree(spare);
}

/* -------------------------------------------------------------- keywords */

/* The value of a keyword in the list of a definition, or NULL. */
static const char *
find_value(const EpPoolDef *def, const char *keyword)
{
	const char *p = def->texts.data + def->conninfo;

	while (*p)
	{
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, keyword) == 0)
			return *value ? value : NULL;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

static bool
is_own(const char *keyword)
{
	for (Size i = 0; i < lengthof(own_keywords); i++)
	{
		if (strcmp(own_keywords[i], keyword) == 0)
			return true;
	}
	return false;
}

static void
add_keyword(EpConnInfo *info, const char *keyword, const char *value)
{
	info->keywords[info->nkeywords] = keyword;
	info->values[info->nkeywords++] = value;
}

/* Does the server let extensions pass that keyword on? */
static bool
may_pass(const char *keyword)
{
#ifdef EP_HAVE_PROXY_CONNINFO_CHECK
	/* what libpqsrv_check_proxy_conninfo_opts() asks; that one raises */
	return libpqsrv_is_valid_proxy_option(keyword);
#else
	return true;
#endif
}

static bool
add_given(EpConnInfo *info, const EpPoolDef *def)
{
	const char *p = def->texts.data + def->conninfo;

	while (*p)
	{
		const char *value = p + strlen(p) + 1;

		/* load_balance_hosts never reaches libpq, whether it knows it or not */
		if (strcmp(p, "load_balance_hosts") != 0 && !may_pass(p))
			return refuse(info, ERRCODE_INSUFFICIENT_PRIVILEGE,
						  psprintf("permission denied to set connection option \"%s\"", p));
		if (!is_own(p))
			add_keyword(info, p, value);
		p = value + strlen(value) + 1;
	}
	return true;
}

static void
add_ours(EpConnInfo *info, const EpPoolDef *def)
{
	const char *application_name = EP_STR(&def->set, &def->texts, EP_S_APPLICATION_NAME);

	if (def->password_given)
		add_keyword(info, "password", def->password);
	if (application_name[0] != '\0')
		add_keyword(info, "application_name", application_name);
	add_keyword(info, "client_encoding", pg_encoding_to_char(def->encoding));
	if (find_value(def, "gssencmode") == NULL)
		add_keyword(info, "gssencmode", "disable");

	/* a server that asks for no password would make anybody the mapping's user */
	if (have_require_auth && def->demand_password &&
		find_value(def, "require_auth") == NULL)
	{
		add_keyword(info, "require_auth", EP_PASSWORD_METHODS);
		info->demands_password = true;
	}
}

static int
count_given(const EpPoolDef *def)
{
	int			n = 0;

	for (const char *p = def->texts.data + def->conninfo; *p; p += strlen(p) + 1)
		n++;
	return n / 2;
}

/*
 * Take a definition apart.  info points into def afterwards and into memory of
 * the current context.  Returns false if the definition cannot be used, with
 * info->error and info->sqlstate set; raises nothing.
 */
bool
ep_conninfo_parse(EpConnInfo *info, const EpPoolDef *def)
{
	const char *balance = find_value(def, "load_balance_hosts");
	const char *gss = find_value(def, "gssencmode");
	int			room = count_given(def) + MAX_ADDED + 1;

	memset(info, 0, sizeof(EpConnInfo));
	info->shuffle = balance && strcmp(balance, "random") == 0;
	info->session_attrs = find_value(def, "target_session_attrs");
	info->prefer_standby = info->session_attrs && strcmp(info->session_attrs, "prefer-standby") == 0;
	info->prefers_gss = gss && strcmp(gss, "prefer") == 0;
	info->options = find_value(def, "options");
	info->all_options = info->options ? psprintf("%s %s", info->options, OUR_OPTIONS) : OUR_OPTIONS;

	info->keywords = palloc(room * sizeof(char *));
	info->values = palloc(room * sizeof(char *));
	if (!add_given(info, def))
		return false;
	add_ours(info, def);
	return make_hosts(info, find_value(def, "host"), find_value(def, "hostaddr"), find_value(def, "port"));
}

/* ------------------------------------------------------------------- files */

/* No certificate or list of revoked ones is larger. */
#define LARGEST_FILE	(16 * 1024 * 1024)

/* What is wrong with a file, or NULL.  That it does not exist is for libpq to say. */
static const char *
complaint_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == EACCES ? strerror(errno) : NULL;
	if (!S_ISREG(st.st_mode) || st.st_size > LARGEST_FILE)
		return "it is not a plain file of reasonable size";
	return access(path, R_OK) == 0 ? NULL : strerror(errno);
}

/*
 * Can the files that a definition names be read, and are they really files?
 * OpenSSL reads them while the worker waits, and reading from a pipe or a device
 * may never end; of one that it cannot read, libpq says nothing of use.  Returns
 * false, with info->error and info->sqlstate set, if one cannot be used; raises
 * nothing.
 */
bool
ep_conninfo_check_files(EpConnInfo *info)
{
	static const char *const files[] = {"sslrootcert", "sslcert", "sslkey", "sslcrl"};

	for (int i = 0; i < info->nkeywords; i++)
	{
		for (Size j = 0; j < lengthof(files); j++)
		{
			const char *why;

			if (strcmp(info->keywords[i], files[j]) != 0)
				continue;
			why = complaint_of(info->values[i]);
			if (why)
				return refuse(info, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							  psprintf("%s \"%s\" cannot be used: %s", files[j], info->values[i], why));
		}
	}
	return true;
}

/* ---------------------------------------------------------------- attempts */

/*
 * Begin to connect to one address of one host.  session_attrs is what
 * target_session_attrs is to be for it, or NULL; with_options, whether to give
 * our startup options; without_gss, whether to set gssencmode aside.  Returns
 * what PQconnectStartParams() does: NULL if out of memory.
 */
PGconn *
ep_conninfo_connect(const EpConnInfo *info, const EpHost *host, const EpAddress *address,
					const char *session_attrs, bool with_options, bool without_gss)
{
	EpConnInfo	attempt = *info;	/* what is added lies behind info->nkeywords */

	if (host->name)
		add_keyword(&attempt, "host", host->name);
	if (address->hostaddr)
		add_keyword(&attempt, "hostaddr", address->hostaddr);
	if (host->port)
		add_keyword(&attempt, "port", host->port);
	if (session_attrs)
		add_keyword(&attempt, "target_session_attrs", session_attrs);
	if (with_options || info->options)
		add_keyword(&attempt, "options", with_options ? info->all_options : info->options);
	if (without_gss)
		add_keyword(&attempt, "gssencmode", "disable");
	add_keyword(&attempt, NULL, NULL);
	return PQconnectStartParams(attempt.keywords, attempt.values, 0);
}

/*
 * Append 'host "name" (address), port n'.  address and conn may be NULL; from
 * conn come the defaults of libpq.
 */
void
ep_conninfo_name_host(StringInfo buf, const EpHost *host, const EpAddress *address, const PGconn *conn)
{
	const char *name = host->name ? host->name : host->hostaddr;
	const char *port = host->port;

	if (name == NULL && conn)
		name = PQhost(conn);
	if (port == NULL && conn)
		port = PQport(conn);
	if (name == NULL)
		name = "";
	appendStringInfo(buf, "host \"%s\"", name);
	if (address && address->hostaddr && strcmp(address->hostaddr, name) != 0)
		appendStringInfo(buf, " (%s)", address->hostaddr);
	if (port && port[0] != '\0')
		appendStringInfo(buf, ", port %s", port);
}
