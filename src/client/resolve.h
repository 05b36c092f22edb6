/*-------------------------------------------------------------------------
 *
 * resolve.h
 *		What the catalogs say about one pool, and the definition made of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_RESOLVE_H
#define EP_RESOLVE_H

#include "postgres.h"
#include "foreign/foreign.h"
#include "shared/shared.h"

typedef enum EpWrapper
{
	EP_WRAPPER_UNUSABLE,
	EP_WRAPPER_OURS,
	EP_WRAPPER_OTHER			/* postgres_fdw, dblink_fdw */
} EpWrapper;

/* A user mapping; palloc'd. */
typedef struct EpMapping
{
	Oid			oid;
	Oid			role;			/* InvalidOid for PUBLIC */
	Oid			server;
	List	   *options;		/* DefElem */
	bool		uncommitted;	/* written by the current transaction */
} EpMapping;

typedef struct EpResolution
{
	ForeignServer *server;
	ForeignServer *other;		/* that of option server, or NULL */
	EpMapping  *mapping;		/* gives user and password; of other, if there is one */
	EpMapping  *own;			/* only with other: the mapping of our server, or NULL */
} EpResolution;

extern EpWrapper ep_wrapper_of(Oid wrapper);
extern bool ep_all_digits(const char *name);
extern const char *ep_list_option(List *options, const char *name);
extern bool ep_row_uncommitted(int cache, Oid oid);
extern EpMapping *ep_mapping_of_role(Oid server, Oid role);
extern EpMapping *ep_mapping_for(Oid server, Oid role);
extern bool ep_resolve_other(EpResolution *resolution, bool quiet);
extern bool ep_build_def(const EpResolution *resolution, EpPoolDef *def, bool quiet);
extern void ep_wipe_resolution(EpResolution *resolution);

#endif							/* EP_RESOLVE_H */
