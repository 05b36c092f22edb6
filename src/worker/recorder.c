/*-------------------------------------------------------------------------
 *
 * recorder.c
 *		What is written down of each pool now and then: the rows of its history,
 *		and a line in the log.
 *
 * Both are looked at by the worker's timer, which runs twice a second anyway,
 * so nobody is woken for them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shared/events.h"
#include "shared/stats.h"
#include "worker/kept.h"

/* What a pool's last line was about. */
typedef struct Told
{
	uint32		generation;		/* of the pool; 0: nothing was told yet */
	uint64		at_us;
	EpPoolStats stats;
} Told;

/* What a line is made of; copied under the pool's lock. */
typedef struct Line
{
	EpPoolIdent ident;
	uint32		generation;
	int			size;
	int			active;
	int			idle;
	int			waiting;
	EpPoolStats stats;
} Line;

/* Is a row to be written, or none any more?  A first look without the lock. */
static bool
history_is_due(const EpPool *pool, int64 clock_us)
{
	const EpHistory *history = &ep_record_of(pool)->history;

	return ep_stats_on(pool) ? ep_history_due(history, clock_us) : history->step != 0;
}

/* Caller holds the pool's lock. */
static void
write_history(EpPool *pool, int64 clock_us)
{
	EpHistoryInput in = {
		.size = pool->size,
		.active = pool->n_leased,
		.waiting = pool->n_waiting,
		.queries = pool->stats.query_count,
		.query_us = pool->stats.total_query_us
	};

	if (ep_stats_on(pool))
		ep_history_write(&ep_record_of(pool)->history, clock_us, &in);
	else
		ep_history_interrupt(&ep_record_of(pool)->history);
}

/* Is it time for a line?  A first look without the lock. */
static bool
line_is_due(const EpPool *pool, const Told *told, uint64 now_us)
{
	double		interval = EP_NUM(&pool->def.set, EP_S_STATS_EMIT_INTERVAL);

	if (interval <= 0 || !ep_stats_on(pool))
		return false;
	return told->generation != pool->generation || now_us >= told->at_us + (uint64) (interval * 1e6);
}

/* Caller holds the pool's lock. */
static void
take_line(const EpPool *pool, Line *line)
{
	ep_pool_ident(&pool->def, &line->ident);
	line->generation = pool->generation;
	line->size = pool->size;
	line->active = pool->n_leased;
	line->idle = pool->n_idle;
	line->waiting = pool->n_waiting;
	line->stats = pool->stats;
}

/* How much a counter has grown, which may have been set to zero meanwhile. */
static double
grown(uint64 now, uint64 before)
{
	return (double) (now >= before ? now - before : now);
}

static double
mean_ms(double total_us, double n)
{
	return n > 0 ? total_us / n / 1000 : 0;
}

#define GROWN(field) grown(line->stats.field, told->stats.field)

/* The first time there is nothing to compare with. */
static void
tell(const Line *line, Told *told, uint64 now_us)
{
	double		seconds = (now_us - told->at_us) / 1e6;

	if (told->generation == line->generation)
		ereport(DEBUG1,
				(errmsg_internal("pool \"%s\", role \"%s\", database \"%s\": size %d, active %d, idle %d, waiting %d; "
								 "%.1f acquires/s, %.1f waits/s, %.1f queries/s, %.1f errors/s; "
								 "average wait %.3f ms, lease %.3f ms, query %.3f ms; "
								 "%.0f time-outs, %.0f connection errors",
								 line->ident.name, line->ident.role, line->ident.datname,
								 line->size, line->active, line->idle, line->waiting,
								 GROWN(acquire_count) / seconds, GROWN(wait_count) / seconds,
								 GROWN(query_count) / seconds, GROWN(query_errors) / seconds,
								 mean_ms(GROWN(total_wait_us), GROWN(wait_count)),
								 mean_ms(GROWN(total_lease_us), GROWN(lease_count)),
								 mean_ms(GROWN(total_query_us), GROWN(query_count)),
								 GROWN(acquire_timeouts), GROWN(connection_errors))));
	told->generation = line->generation;
	told->at_us = now_us;
	told->stats = line->stats;
}

/* Writes down of a pool what it is time for.  Called by the timer of its worker, which holds no lock. */
void
ep_recorder_tick(EpPool *pool, uint64 now_us)
{
	static Told *told_of = NULL;
	Told	   *told;
	Line		line;
	int64		clock_us = GetCurrentTimestamp();
	bool		write;
	bool		say;

	if (told_of == NULL)
		told_of = MemoryContextAllocZero(TopMemoryContext, sizeof(Told) * ep_control->max_pools);
	told = &told_of[pool - ep_pools];
	write = history_is_due(pool, clock_us);
	say = line_is_due(pool, told, now_us);
	if (!write && !say)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	write &= pool->in_use && !pool->closing;
	say &= pool->in_use && !pool->closing;
	if (write)
		write_history(pool, clock_us);
	if (say)
		take_line(pool, &line);
	LWLockRelease(&pool->lock);
	if (say)
		tell(&line, told, now_us);
}
