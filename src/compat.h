/*-------------------------------------------------------------------------
 *
 * compat.h
 *		All differences between server versions.  PG_VERSION_NUM is looked at
 *		nowhere else.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_COMPAT_H
#define EP_COMPAT_H

#include "postgres.h"
#include "fmgr.h"
#include "catalog/pg_foreign_server.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "enhanced_pool needs PostgreSQL 15 or later"
#endif

/* From 16 on postgres.h no longer has what a varlena looks like. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 18 has pg_noreturn instead, which must stand elsewhere. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* The name of 25P04 is younger than PostgreSQL 15. */
#define EP_ERRCODE_SESSION_TIMEOUT	MAKE_SQLSTATE('2', '5', 'P', '0', '4')

/* Index of this process in the array of all processes. */
static inline int
ep_my_procno_compat(void)
{
#if PG_VERSION_NUM >= 170000
	return MyProcNumber;
#else
	return MyProc->pgprocno;
#endif
}

/* How many proc numbers can run code of ours: backends and workers, not auxiliary processes. */
static inline int
ep_max_procs_compat(void)
{
	return MaxBackends;
}

static inline AclResult
ep_server_aclcheck_compat(Oid server, Oid role, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
	return object_aclcheck(ForeignServerRelationId, server, role, mode);
#else
	return pg_foreign_server_aclcheck(server, role, mode);
#endif
}

static inline bool
ep_server_ownercheck_compat(Oid server, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(ForeignServerRelationId, server, role);
#else
	return pg_foreign_server_ownercheck(server, role);
#endif
}

/* May the current user insert into these columns (numbered as in a RangeTblEntry) of the item's relation?  Else 42501. */
static inline void
ep_check_insert_compat(ParseState *pstate, ParseNamespaceItem *item, Bitmapset *columns)
{
#if PG_VERSION_NUM >= 160000
	item->p_perminfo->requiredPerms = ACL_INSERT;
	item->p_perminfo->insertedCols = columns;
	(void) ExecCheckPermissions(pstate->p_rtable, list_make1(item->p_perminfo), true);
#else
	item->p_rte->requiredPerms = ACL_INSERT;
	item->p_rte->insertedCols = columns;
	(void) ExecCheckRTPerms(pstate->p_rtable, true);
#endif
}

/* A wait event set that lives until it is freed, owned by no resource owner. */
static inline WaitEventSet *
ep_create_wait_event_set_compat(int nevents)
{
#if PG_VERSION_NUM >= 170000
	return CreateWaitEventSet(NULL, nevents);
#else
	return CreateWaitEventSet(TopMemoryContext, nevents);
#endif
}

/* Wait events with names of our own exist from 17 on; before, everything is "Extension". */
#if PG_VERSION_NUM >= 170000
#define ep_wait_event_compat(name) WaitEventExtensionNew(name)
#else
#define ep_wait_event_compat(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

/* What a check hook of a GUC leaves for the assign hook; NULL when there is no memory. */
static inline void *
ep_guc_malloc_compat(Size size)
{
#if PG_VERSION_NUM >= 160000
	return guc_malloc(LOG, size);
#else
	return malloc(size);
#endif
}

#endif							/* EP_COMPAT_H */
