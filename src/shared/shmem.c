/*-------------------------------------------------------------------------
 *
 * shmem.c
 *		Size and start of the shared memory, and what everybody needs to
 *		reach other processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <time.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/guc.h"

#include "compat.h"
#include "shared/events.h"
#include "shared/shared.h"
#include "shared/stats.h"

EpControl  *ep_control = NULL;
EpPool	   *ep_pools = NULL;
EpConn	   *ep_conns = NULL;
EpBackend  *ep_backends = NULL;
EpStmtSlot *ep_stmts = NULL;
char	   *ep_query_texts = NULL;

int			ep_max_pools = 256;
int			ep_max_connections = 256;
int			ep_max_statements = 256;
int			ep_n_workers = 1;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/*
 * Define the settings that fix the size of shared memory.  Only callable
 * while shared_preload_libraries is processed.
 */
void
ep_shmem_define_gucs(void)
{
	DefineCustomIntVariable("enhanced_pool.max_pools",
							"Sets the maximum number of pools.",
							NULL, &ep_max_pools, 256, 1, 10000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("enhanced_pool.max_connections",
							"Sets the maximum number of remote connections over all pools.",
							NULL, &ep_max_connections, 256, 1, 65535,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("enhanced_pool.max_statements",
							"Sets the maximum number of prepared statements kept on one connection.",
							NULL, &ep_max_statements, 256, 1, 10000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("enhanced_pool.workers",
							"Sets the number of worker processes that keep the connections.",
							NULL, &ep_n_workers, 1, 1, EP_MAX_WORKERS,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("enhanced_pool.event_log_size",
							"Sets the number of events that are kept.",
							NULL, &ep_event_log_size, 1024, 1, 100000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

/* Sizes of the areas, in the order in which they lie in shared memory. */
typedef struct Areas
{
	Size		control;
	Size		pools;
	Size		conns;
	Size		backends;
	Size		stmts;
	Size		queries;
	Size		events;
	Size		stats;
} Areas;

/* Returns the size of all areas together. */
static Size
area_sizes(Areas *a)
{
	Size		total;

	a->control = MAXALIGN(sizeof(EpControl));
	a->pools = MAXALIGN(mul_size(ep_max_pools, sizeof(EpPool)));
	a->conns = MAXALIGN(mul_size(ep_max_connections, sizeof(EpConn)));
	a->backends = MAXALIGN(mul_size(mul_size(ep_max_procs_compat(), 1 + EP_WAITERS_EACH), sizeof(EpBackend)));
	a->stmts = MAXALIGN(mul_size(mul_size(ep_max_connections, ep_max_statements), sizeof(EpStmtSlot)));
	a->queries = MAXALIGN(mul_size(ep_max_connections, ep_query_text_size()));
	total = add_size(a->control, a->pools);
	total = add_size(total, a->conns);
	total = add_size(total, a->backends);
	a->events = MAXALIGN(ep_events_size());
	total = add_size(total, a->stmts);
	total = add_size(total, a->queries);
	a->stats = ep_stats_size();
	total = add_size(total, a->events);
	return add_size(total, a->stats);
}

static void
request_shmem(void)
{
	Areas		areas;

	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(area_sizes(&areas));
}

static void
init_control(void)
{
	int			tranche = LWLockNewTrancheId();

	memset(ep_control, 0, sizeof(EpControl));
	LWLockInitialize(&ep_control->registry_lock, tranche);
	LWLockInitialize(&ep_control->cap_lock, tranche);
	SpinLockInit(&ep_control->slot_lock);
	SpinLockInit(&ep_control->waiter_lock);
	ConditionVariableInit(&ep_control->place_freed);
	ep_control->max_pools = ep_max_pools;
	ep_control->max_connections = ep_max_connections;
	ep_control->max_statements = ep_max_statements;
	ep_control->n_workers = ep_n_workers;
	ep_control->n_backends = ep_max_procs_compat();
	ep_control->n_waiters = ep_control->n_backends * (1 + EP_WAITERS_EACH);
	ep_control->started_us = ep_now_us();
	ep_control->tranche = tranche;
	pg_atomic_init_u64(&ep_control->next_conn_id, 1);
	pg_atomic_init_u64(&ep_control->next_lease, 1);
	pg_atomic_init_u64(&ep_control->next_epoch, 1);
	pg_atomic_init_u32(&ep_control->prewarmed, 0);
	pg_atomic_init_u32(&ep_control->usable_connections, ep_max_connections);
	for (int i = 0; i < EP_MAX_WORKERS; i++)
	{
		pg_atomic_init_u64(&ep_control->workers[i].epoch, 0);
		pg_atomic_init_u32(&ep_control->workers[i].pid, 0);
		pg_atomic_init_u32(&ep_control->workers[i].procno, 0);
		pg_atomic_init_u64(&ep_control->workers[i].ended_us, 0);
	}
}

static void
init_arrays(void)
{
	memset(ep_pools, 0, sizeof(EpPool) * ep_max_pools);
	for (int i = 0; i < ep_max_pools; i++)
	{
		LWLockInitialize(&ep_pools[i].lock, ep_control->tranche);
		pg_atomic_init_u32(&ep_pools[i].closed_epoch, 0);
	}

	memset(ep_conns, 0, sizeof(EpConn) * ep_max_connections);
	for (int i = 0; i < ep_max_connections; i++)
	{
		ep_conns[i].owner = -1;
		ep_conns[i].prev = EP_NO_SLOT;
		ep_conns[i].next = (i + 1 < ep_max_connections) ? i + 1 : EP_NO_SLOT;
		pg_atomic_init_u64(&ep_conns[i].lease_word, 0);
	}
	ep_control->free_head = 0;
	ep_control->n_free = ep_max_connections;

	memset(ep_backends, 0, sizeof(EpBackend) * ep_control->n_waiters);
	for (int i = 0; i < ep_control->n_waiters; i++)
	{
		ep_backends[i].waiting_pool = -1;
		ep_backends[i].prev = ep_backends[i].next = -1;
		ep_backends[i].assigned = EP_NO_SLOT;
		ep_backends[i].proc = i < ep_control->n_backends ? i : -1;
		if (i >= ep_control->n_backends && i + 1 < ep_control->n_waiters)
			ep_backends[i].next = i + 1;
	}
	ep_control->spare_waiter = ep_control->n_backends;
	memset(ep_stmts, 0, sizeof(EpStmtSlot) * ep_max_connections * ep_max_statements);
	memset(ep_query_texts, 0, ep_query_text_size() * ep_max_connections);
}

static void
startup_shmem(void)
{
	Areas		areas;
	Size		total;
	bool		found;
	char	   *base;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	total = area_sizes(&areas);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	base = ShmemInitStruct("enhanced_pool", total, &found);
	ep_control = (EpControl *) base;
	base += areas.control;
	ep_pools = (EpPool *) base;
	base += areas.pools;
	ep_conns = (EpConn *) base;
	base += areas.conns;
	ep_backends = (EpBackend *) base;
	base += areas.backends;
	ep_stmts = (EpStmtSlot *) base;
	base += areas.stmts;
	ep_query_texts = base;
	base += areas.queries;
	ep_events_attach(base);
	base += areas.events;
	ep_stats_attach(base);
	if (!found)
	{
		init_control();
		init_arrays();
		ep_events_init(ep_control->tranche);
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(ep_control->tranche, "enhanced_pool");
}

/* Install the hooks that request and start the shared memory. */
void
ep_shmem_install(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* Raise 55000 unless the library was loaded at server start. */
void
ep_require_preload(void)
{
	if (ep_control == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("enhanced_pool must be loaded via shared_preload_libraries"),
				 errhint("Add enhanced_pool to shared_preload_libraries and restart the server.")));
}

/* Monotonic time in microseconds, the same clock in every process. */
uint64
ep_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The max_statements places of one connection. */
EpStmtSlot *
ep_conn_stmts(const EpConn *conn)
{
	return &ep_stmts[(Size) ep_conn_slot(conn) * ep_control->max_statements];
}

/* Set the latch of a process; harmless if it has gone.  A negative number is nobody. */
void
ep_wake_proc(int procno)
{
	if (procno >= 0)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

/*
 * Interrupt what the holder of a lease waits for, be it the remote's answer, which
 * a latch alone does not end (socket_wait.c); it then looks at its connection.  The
 * caller holds the lock of the pool of that connection, so the process is there:
 * it has to give the lease back first.  A negative number is nobody.
 */
void
ep_signal_holder(int procno)
{
	pid_t		pid = procno >= 0 ? ProcGlobal->allProcs[procno].pid : 0;

	if (pid > 0)
		(void) kill(pid, SIGUSR1);
}

/* Set the latch of a worker, if it runs.  Takes no lock; callable under one. */
void
ep_wake_worker(int worker)
{
	EpWorkerShared *w = &ep_control->workers[worker];

	if (pg_atomic_read_u64(&w->epoch) != 0)
		ep_wake_proc((int) pg_atomic_read_u32(&w->procno));
}
