/*-------------------------------------------------------------------------
 *
 * enhanced_pool.c
 *		Where the server loads the library: parameters, hooks, workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "client/discard.h"
#include "client/guard.h"
#include "client/lease.h"
#include "client/session.h"
#include "shared/settings.h"
#include "shared/shared.h"
#include "worker/prewarmer.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/*
 * Without shared_preload_libraries the parameters, the validator and the
 * rules on servers and mappings are there, so that a dump can be restored; what
 * needs shared memory then raises 55000.
 */
void
_PG_init(void)
{
	if (process_shared_preload_libraries_in_progress)
	{
		ep_shmem_define_gucs();
		ep_prewarmer_define_gucs();
	}
	ep_settings_define_gucs();
	MarkGUCPrefixReserved("enhanced_pool");
	ep_guard_install();
	if (!process_shared_preload_libraries_in_progress)
		return;
	ep_shmem_install();
	ep_lease_install();
	ep_session_install();
	ep_discard_install();
	ep_worker_register();
}
