/*-------------------------------------------------------------------------
 *
 * options.h
 *		Which connection keywords a server and a user mapping may carry, and
 *		who may set them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_OPTIONS_H
#define EP_OPTIONS_H

#include "postgres.h"
#include "nodes/pg_list.h"

typedef enum EpOptionKind
{
	EP_OPT_UNKNOWN,
	EP_OPT_CONNINFO,			/* libpq keyword, on servers */
	EP_OPT_CREDENTIAL,			/* libpq keyword, on user mappings: user, password, sslcert ... */
	EP_OPT_SETTING,				/* in settings.c */
	EP_OPT_SERVER,				/* option server 'other' */
	EP_OPT_PASSWORD_REQUIRED
} EpOptionKind;

extern EpOptionKind ep_option_kind(const char *name);
extern bool ep_is_address(const char *value);
extern const char *ep_option_closest(const char *name);
extern void ep_validate_options(List *options, Oid catalog);

#endif							/* EP_OPTIONS_H */
