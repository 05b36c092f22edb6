/*-------------------------------------------------------------------------
 *
 * worker.c
 *		The background worker: its start, its loop and its end.
 *
 * A worker connects to no database: it sees shared catalogs only, so that it
 * never stands in the way of DROP DATABASE, and yet shows in pg_stat_activity
 * and takes part in barriers.  It never exits with code 0, so that the
 * postmaster starts it again whatever ended it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/resource.h>

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pidfile.h"

#include "compat.h"
#include "shared/shared.h"
#include "worker/channel.h"
#include "worker/connector.h"
#include "worker/keeper.h"
#include "worker/kept.h"
#include "worker/loop.h"
#include "worker/prewarmer.h"
#include "worker/worker.h"

/* Descriptors that are not connections: files, log, loop, channel, look-ups. */
#define SPARE_DESCRIPTORS	128

/* Three for a relayed connection, libpq's and both ends; a fourth while it is being opened or cancelled. */
#define DESCRIPTORS_EACH	4

/* How long a worker stays for what sessions leave behind when the server is shut down, and how often it looks. */
#define WIND_DOWN_US		1000000
#define WIND_DOWN_STEP_US	10000

/* Registers the workers; while shared_preload_libraries is processed. */
void
ep_worker_register(void)
{
	BackgroundWorker worker;

	/* nothing is to be connected from, or to, databases that pg_upgrade works on */
	if (IsBinaryUpgrade)
		return;
	for (int i = 0; i < ep_n_workers; i++)
	{
		memset(&worker, 0, sizeof(worker));
		snprintf(worker.bgw_name, BGW_MAXLEN, "enhanced_pool worker %d", i);
		strlcpy(worker.bgw_type, "enhanced_pool worker", BGW_MAXLEN);
		worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
		worker.bgw_start_time = BgWorkerStart_ConsistentState;
		worker.bgw_restart_time = 1;
		strlcpy(worker.bgw_library_name, "enhanced_pool", BGW_MAXLEN);
		strlcpy(worker.bgw_function_name, "enhanced_pool_worker_main", BGW_MAXLEN);
		worker.bgw_main_arg = Int32GetDatum(i);
		RegisterBackgroundWorker(&worker);
	}
}

/*
 * Raises the soft limit of descriptors to what max_connections needs; opens
 * fewer connections if the hard limit is lower.
 */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;
	rlim_t		wanted = (rlim_t) ep_control->max_connections * DESCRIPTORS_EACH + SPARE_DESCRIPTORS;
	int			usable = ep_control->max_connections;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted)
	{
		limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : Min(wanted, limit.rlim_max);
		(void) setrlimit(RLIMIT_NOFILE, &limit);
		(void) getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < wanted)
	{
		usable = Max((int) (limit.rlim_cur - Min(limit.rlim_cur, SPARE_DESCRIPTORS)) / DESCRIPTORS_EACH, 1);
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("enhanced_pool can open only %d of enhanced_pool.max_connections = %d connections",
						usable, ep_control->max_connections),
				 errdetail("The operating system allows %llu open files for one process.",
						   (unsigned long long) limit.rlim_cur),
				 errhint("Raise the limit of open files (ulimit -n, LimitNOFILE=).")));
	}
	pg_atomic_write_u32(&ep_control->usable_connections, (uint32) usable);
}

static void
end_worker(int code pg_attribute_unused(), Datum arg)
{
	EpWorkerShared *shared = &ep_control->workers[DatumGetInt32(arg)];

	LWLockReleaseAll();
	pg_atomic_write_u64(&shared->ended_us, ep_now_us());
	pg_atomic_write_u64(&shared->epoch, 0);
	ep_channel_close();
	ep_keeper_stop();
}

/* From here on backends count on this worker. */
static void
publish(int worker, uint64 epoch)
{
	EpWorkerShared *shared = &ep_control->workers[worker];

	pg_atomic_write_u32(&shared->procno, (uint32) ep_my_procno_compat());
	pg_atomic_write_u32(&shared->pid, (uint32) MyProcPid);
	pg_write_barrier();
	pg_atomic_write_u64(&shared->epoch, epoch);
	pg_memory_barrier();
}

/* They have seen that there was no worker. */
static void
wake_waiters(int worker)
{
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];

		if (!pool->in_use || pool->worker != worker)
			continue;
		ep_queue_wake_all(pool);
	}
}

/* Is the whole server being shut down?  The postmaster says so in its file before it tells anybody else. */
static bool
server_is_stopping(void)
{
	FILE	   *file = AllocateFile("postmaster.pid", "r");
	char		line[MAXPGPATH];
	bool		stopping = false;

	if (file == NULL)
		return false;
	for (int i = 1; i <= LOCK_FILE_LINE_PM_STATUS && fgets(line, sizeof(line), file); i++)
		stopping = i == LOCK_FILE_LINE_PM_STATUS && strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) == 0;
	FreeFile(file);
	return stopping;
}

/*
 * The worker is to end.  If everybody is, sessions break off what they are in the
 * middle of, and nobody but this process can have it cancelled: stay until that is
 * done, or the remotes would go on with it for nobody.  Whatever is logged
 * meanwhile would end the process, unless interrupts are held.
 */
static void
wind_down(void)
{
	uint64		now = ep_now_us();
	uint64		until = now + WIND_DOWN_US;

	HOLD_INTERRUPTS();
	while (now < until && ep_keeper_wind_down(now))
	{
		ep_loop_wake_at(now + WIND_DOWN_STEP_US);
		ep_loop_wait();
		now = ep_now_us();
	}
	RESUME_INTERRUPTS();
}

/* Main function of a worker; arg is its number. */
void
enhanced_pool_worker_main(Datum arg)
{
	int			worker = DatumGetInt32(arg);
	uint64		epoch;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);

	raise_descriptor_limit();
	ep_loop_init();
	ep_connector_init();
	epoch = pg_atomic_fetch_add_u64(&ep_control->next_epoch, 1);
	before_shmem_exit(end_worker, arg);
	ep_keeper_start(worker, epoch);
	ep_channel_open(worker);
	publish(worker, epoch);
	wake_waiters(worker);
	if (worker == 0)
		ep_prewarmer_start();
	for (;;)
	{
		uint64		now;

		if (ProcDiePending && server_is_stopping())
			wind_down();
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			ep_upkeep_reload();
		}
		now = ep_now_us();
		ep_keeper_tick(now);
		ep_channel_tick(now);
		ep_loop_wait();
	}
}
