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
#include "compat.h"
#include "shared/shared.h"

/* The pools of one server, or the one that belongs to one of its roles. */
typedef struct EpAdminTarget
{
	ForeignServer *server;
	EpPoolSet	set;
	const char *role;			/* as given, or NULL */
} EpAdminTarget;

extern void ep_admin_target(EpAdminTarget *target, const char *pool, const char *role, bool looks);
extern int	ep_admin_pause(const EpAdminTarget *target, double timeout_s);
extern int	ep_admin_prewarm(const EpAdminTarget *target, int n);
extern bool ep_admin_terminate(int64 conn_id);

/* for health.c */
extern int	ep_admin_register(const EpAdminTarget *target, int (*register_one) (const EpPoolDef *def));
extern void ep_admin_raise_unusable(const EpAdminTarget *target) pg_attribute_noreturn();
extern void ep_admin_check_other(ForeignServer *server);
extern bool ep_admin_wait(uint64 deadline_us);

/* health.c: what is told of one pool */
typedef struct EpCheckResult
{
	EpPoolKey	key;
	Oid			other_server;
	Oid			mapping_role;
	char		role[NAMEDATALEN];
	EpCheckOutcome outcome;
	uint64		latency_us;
	char		error[EP_ERROR_SIZE];
} EpCheckResult;

extern EpCheckResult *ep_admin_health_check(const EpAdminTarget *target, int *n);
extern void ep_admin_reset_breaker(const EpAdminTarget *target);

/* configure.c */
extern void ep_configure_pool(const EpAdminTarget *target, Jsonb *options);

#endif							/* EP_ADMIN_H */
