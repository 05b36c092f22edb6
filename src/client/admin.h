/*-------------------------------------------------------------------------
 *
 * admin.h
 *		What administrators do to pools.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_ADMIN_H
#define EP_ADMIN_H

#include "postgres.h"
#include "foreign/foreign.h"
#include "utils/jsonb.h"
#include "shared/shared.h"

/* The pools of one server, or the one that belongs to one of its roles. */
typedef struct EpAdminTarget
{
	ForeignServer *server;
	EpPoolSet	set;
	const char *role;			/* as given, or NULL */
} EpAdminTarget;

extern void ep_admin_target(EpAdminTarget *target, const char *pool, const char *role);
extern int	ep_admin_pause(const EpAdminTarget *target, double timeout_s);
extern int	ep_admin_prewarm(const EpAdminTarget *target, int n);
extern bool ep_admin_terminate(int64 conn_id);

/* configure.c */
extern void ep_configure_pool(const EpAdminTarget *target, Jsonb *options);

#endif							/* EP_ADMIN_H */
