/*-------------------------------------------------------------------------
 *
 * catalog.h
 *		From a pool's name to its definition, with the caller's rights.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_CATALOG_H
#define EP_CATALOG_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "compat.h"
#include "shared/shared.h"

/* A pool as this backend knows it; lives in TopMemoryContext until the session ends. */
typedef struct EpPoolRef
{
	char		name[NAMEDATALEN];	/* hash key together with role */
	Oid			role;			/* current user it was resolved for */
	bool		valid;			/* false: catalogs or GUCs changed, resolve again */
	uint64		settings_epoch;
	int			pool;			/* place in ep_pools */
	uint32		generation;
	Oid			server;
	bool		password_required;

	/*
	 * session-overridable values, seconds; effective ones unless it says
	 * otherwise
	 */
	double		acquire_timeout;
	double		query_timeout;	/* the pool's; what the session says is looked at for each statement */
	EpSource	query_timeout_source;
	int			retry_attempts;
	double		retry_backoff;
	bool		autocommit;
	char	   *follow;			/* names of propagate_settings, name\0 ... \0, or NULL */
	int			last_slot;		/* connection this backend used last, or -1 */
} EpPoolRef;

extern EpPoolRef *ep_pool_ref(const char *name);
extern void ep_pool_ref_refresh(EpPoolRef *ref);

/* How often a definition is read again because it was altered meanwhile. */
#define EP_RESOLVE_ATTEMPTS	5

extern uint64 ep_catalog_epoch(void);
extern void ep_check_def_committed(const EpPoolDef *def);
extern void ep_raise_unknown_pool(const char *name) pg_attribute_noreturn();

/* resolve.c: definitions from the catalogs, without rights and without registering */
extern bool ep_resolve_mapping(Oid server, Oid mapping, EpPoolDef *def, bool missing_ok);

/* Two oids that ep_resolve_mapping() takes. */
typedef struct EpPoolOids
{
	Oid			server;
	Oid			mapping;
} EpPoolOids;

extern List *ep_list_pools(void);
extern List *ep_list_pools_of(Oid server);

#endif							/* EP_CATALOG_H */
