/*-------------------------------------------------------------------------
 *
 * conninfo.h
 *		What a pool's definition means to libpq: its list of hosts, and the
 *		keywords of one attempt.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_CONNINFO_H
#define EP_CONNINFO_H

#include "postgres.h"
#include "libpq-fe.h"
#include "lib/stringinfo.h"

#include "shared/shared.h"

/* Authentication methods for which libpq sends a password or shows that it knows it. */
#define EP_PASSWORD_METHODS "password,md5,scram-sha-256"

/* An address of a host, with what came of it. */
typedef struct EpAddress
{
	const char *hostaddr;		/* numeric; NULL: a socket directory */
	bool		wrong_role;		/* it answers, but is not what target_session_attrs asks for */
} EpAddress;

/* One entry of the host list. */
typedef struct EpHost
{
	const char *name;			/* name, numeric address or socket directory; NULL: not given */
	const char *hostaddr;		/* as given, or the name if that is numeric; else NULL */
	const char *port;			/* NULL: libpq's default */
	bool		to_resolve;		/* addresses come from a look-up of name */
	bool		tried;			/* the look-up was made, if one is needed */
	EpAddress  *addresses;
	int			naddresses;
} EpHost;

/* Pointers are into the definition it was made from, or palloc'd. */
typedef struct EpConnInfo
{
	EpHost	   *hosts;
	int			nhosts;
	bool		shuffle;		/* load_balance_hosts = random */
	bool		prefer_standby;
	const char *session_attrs;	/* target_session_attrs as given, or NULL */
	const char *options;		/* the user's own startup options, or NULL */
	const char *all_options;	/* with ours */
	bool		prefers_gss;	/* gssencmode = prefer */
	bool		demands_password;	/* require_auth is ours: EP_PASSWORD_METHODS */

	/* the keywords that are the same in each attempt, and room for the others */
	const char **keywords;
	const char **values;
	int			nkeywords;

	/* why it cannot be used */
	const char *error;
	int			sqlstate;
} EpConnInfo;

extern void ep_conninfo_init(void);
extern bool ep_conninfo_parse(EpConnInfo *info, const EpPoolDef *def);
extern bool ep_conninfo_check_files(EpConnInfo *info);
extern PGconn *ep_conninfo_connect(const EpConnInfo *info, const EpHost *host, const EpAddress *address,
								   const char *session_attrs, bool with_options, bool without_gss);
extern void ep_conninfo_shuffle(void *items, int nitems, Size size);
extern void ep_conninfo_name_host(StringInfo buf, const EpHost *host, const EpAddress *address,
								  const PGconn *conn);

#endif							/* EP_CONNINFO_H */
