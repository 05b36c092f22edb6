/*-------------------------------------------------------------------------
 *
 * sessions.c
 *		Simulated sessions: when they come, how they get a connection, and how
 *		long they have it.  After src/client/acquire.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "sim.h"

/* A session that got an error comes again after this. */
#define ERROR_PAUSE_US	SECOND

/* -------------------------------------------------------------------- work */

static uint64
exponential(Sim *sim, double mean_us)
{
	return (uint64) (-log(1 - sim_random(sim)) * mean_us);
}

/* Whoever comes by himself does anything; sessions do much the same again and again. */
static uint64
query_time(Sim *sim, const SimSource *source)
{
	if (source->exact)
		return source->query_us;
	if (source->kind == SIM_SESSION && !source->chance)
		return (uint64) (source->query_us * (0.5 + sim_random(sim)));
	return Max(exponential(sim, (double) source->query_us), 1);
}

/* It is time for a source to send somebody. */
void
sim_source(Sim *sim, int which)
{
	SimSource  *source = &sim->sources[which];

	if (sim->now >= source->to_us)
		return;
	switch (source->kind)
	{
		case SIM_RANDOM:

			/*
			 * come as often as at the highest rate, and stay away now and
			 * then
			 */
			if (source->rate == NULL || sim_random(sim) * source->most < source->rate(sim->now))
				sim_comes(sim, source->pool, which, query_time(sim, source));
			sim_at(sim, sim->now + exponential(sim, 1e6 / source->most), SIM_SOURCE, which, 0);
			break;
		case SIM_BURSTS:
			for (int i = 0; i < source->n; i++)
				sim_comes(sim, source->pool, which, query_time(sim, source));
			sim_at(sim, sim->now + source->every_us, SIM_SOURCE, which, 0);
			break;
		case SIM_SESSION:
			sim_comes(sim, source->pool, which, query_time(sim, source));
			break;
		case SIM_RECORD:
			for (int i = 0; i < source->n; i++)
				sim_comes(sim, source->pool, which, source->query_us);
			break;
	}
}

/* The one that a source has sent is through with it. */
static void
again(Sim *sim, int which, bool well)
{
	const SimSource *source = &sim->sources[which];

	if (source->kind == SIM_SESSION)
		sim_at(sim, sim->now + (well ? source->every_us : ERROR_PAUSE_US), SIM_SOURCE, which, 0);
}

/* -------------------------------------------------------------------- jobs */

static int
job_alloc(Sim *sim)
{
	int			job = sim->free_job;
	uint32		serial;

	if (job != NONE)
		sim->free_job = sim->jobs[job].next;
	else
	{
		sim->jobs = sim_grow(sim->jobs, sim->njobs, &sim->jobs_size, sizeof(SimJob));
		job = sim->njobs++;
		sim->jobs[job].serial = 0;
	}
	serial = sim->jobs[job].serial;
	memset(&sim->jobs[job], 0, sizeof(SimJob));
	sim->jobs[job].serial = serial;
	sim->jobs[job].conn = NONE;
	return job;
}

static void
job_free(Sim *sim, int job)
{
	sim->jobs[job].serial++;
	sim->jobs[job].next = sim->free_job;
	sim->free_job = job;
}

/* It gets an error. */
static void
job_fails(Sim *sim, int job, uint64 *count)
{
	int			source = sim->jobs[job].source;

	(*count)++;
	sim_queue_leave(sim, job);
	job_free(sim, job);
	again(sim, source, false);
}

/* ----------------------------------------------------------------- acquire */

/* It has a connection: the remote works for it. */
static void
run_query(Sim *sim, int job)
{
	const SimRemote *remote = &sim->trace->remote;
	SimConn    *conn = &sim->conns[sim->jobs[job].conn];
	double		takes = sim->jobs[job].query_us * exp(sim->slowness);
	int			running = ++sim->running;

	conn->running = true;
	if (remote->cores > 0 && running > remote->cores)
		takes *= (double) running / remote->cores * (1 + remote->penalty * (running - remote->cores));
	sim_at(sim, sim->now + (uint64) takes, SIM_QUERY_ENDS, sim->jobs[job].conn, conn->serial);
}

static void
got(Sim *sim, int job)
{
	SimSeen    *seen = &sim->seen;
	SimPool    *pool = &sim->pools[sim->jobs[job].pool];
	uint64		waited = sim->now - sim->jobs[job].came_us;
	int			size = (int) seen->waits_size;

	ep_observe_wait(&pool->observed, waited);
	pool->longest_wait = Max(pool->longest_wait, waited);
	seen->waits = sim_grow(seen->waits, (int) seen->nwaits, &size, sizeof(uint32));
	seen->waits_size = size;
	seen->waits[seen->nwaits++] = (uint32) Min(waited, PG_UINT32_MAX);
	seen->served++;
	pool->last_acquire_us = sim->now;
	if (pool->n_leased > pool->grow_above)
	{
		pool->grow_above = PG_INT32_MAX;
		sim_wake_worker(sim, sim->jobs[job].pool);
	}
	run_query(sim, job);
}

static bool
take_idle(Sim *sim, int job)
{
	SimPool    *pool = &sim->pools[sim->jobs[job].pool];
	int			slot = pool->idle_head;

	while (slot != NONE && sim->conns[slot].aside)
		slot = sim->conns[slot].next;
	if (slot == NONE || pool->breaker.state != EP_BREAKER_CLOSED)
		return false;
	sim_queue_leave(sim, job);
	sim_conn_move(sim, slot, SIM_LEASED);
	sim->conns[slot].job = job;
	sim->jobs[job].conn = slot;
	got(sim, job);
	sim_queue_next(sim, pool);
	return true;
}

/* May it wait, or go on waiting?  If not it gets its error, and is gone. */
static bool
may_wait(Sim *sim, int job, bool timed_out)
{
	const SimPool *pool = &sim->pools[sim->jobs[job].pool];
	uint64		failed = pool->failed_walks - sim->jobs[job].failed_walks;

	if (!sim_any_live(pool) && failed >= (uint64) sim->trace->set.retry_attempts)
		job_fails(sim, job, &sim->seen.hopeless);
	else if (pool->breaker.state != EP_BREAKER_CLOSED)
		job_fails(sim, job, &sim->seen.refused);
	else if (timed_out)
		job_fails(sim, job, &sim->seen.timed_out);
	else
		return true;
	return false;
}

static void
open_pool(Sim *sim, SimPool *pool)
{
	pool->opened = true;
	pool->fill_target = sim->trace->set.initial_size;
	pool->last_acquire_us = pool->last_probe_us = sim->now;
}

/* A session wants a connection. */
void
sim_comes(Sim *sim, int place, int source, uint64 query_us)
{
	SimPool    *pool = &sim->pools[place];
	int			job = job_alloc(sim);
	SimJob	   *me = &sim->jobs[job];

	me->pool = place;
	me->source = source;
	me->query_us = query_us;
	me->came_us = sim->now;
	me->failed_walks = pool->failed_walks;
	sim->seen.came++;
	if (!pool->opened)
		open_pool(sim, pool);
	if (take_idle(sim, job) || !may_wait(sim, job, false))
		return;
	sim_queue_join(sim, job);
	pool->last_acquire_us = sim->now;
	if (sim->trace->set.acquire_timeout > 0)
		sim_at(sim, sim->now + (uint64) (sim->trace->set.acquire_timeout * 1e6), SIM_GIVES_UP, job, me->serial);
	if (pool->size < sim_most(sim, pool))
		sim_wake_worker(sim, place);
}

/* A waiter goes on with the connection that was handed over to it. */
void
sim_resumes(Sim *sim, int job)
{
	SimPool    *pool = &sim->pools[sim->jobs[job].pool];

	ep_observe_handover(&pool->observed, sim->now - sim->conns[sim->jobs[job].conn].leased_us);
	got(sim, job);
}

/* A waiter looks whether there is something for it, or gives up. */
void
sim_looks(Sim *sim, int job, bool timed_out)
{
	SimJob	   *me = &sim->jobs[job];
	SimPool    *pool = &sim->pools[me->pool];
	bool		woken = me->woken;

	if (!me->queued)
		return;
	me->woken = false;
	if (woken && pool->wait_head == job && take_idle(sim, job))
		return;
	if (!may_wait(sim, job, timed_out))
		sim_queue_next(sim, pool);
}

/* Everybody who waits looks, for example at an error. */
void
sim_look_all(Sim *sim, int place)
{
	int			next;

	for (int job = sim->pools[place].wait_head; job != NONE; job = next)
	{
		next = sim->jobs[job].next;
		(void) may_wait(sim, job, false);
	}
	sim_queue_next(sim, &sim->pools[place]);
}

/* ----------------------------------------------------------------- release */

/* A query has ended, and with it the lease. */
void
sim_query_ends(Sim *sim, int slot)
{
	SimConn    *conn = &sim->conns[slot];
	SimPool    *pool = &sim->pools[conn->pool];
	int			job = conn->job;
	int			source = sim->jobs[job].source;

	sim->running--;
	sim->seen.done++;
	conn->running = false;
	conn->job = NONE;
	conn->last_used_us = pool->last_success_us = sim->now;
	ep_observe_lease(&pool->observed, sim->now - conn->leased_us);
	job_free(sim, job);
	sim_conn_give(sim, slot);
	again(sim, source, true);
}

/* The remote has gone away under a lease. */
void
sim_cut_off(Sim *sim, int slot)
{
	SimConn    *conn = &sim->conns[slot];

	sim->running -= conn->running;
	conn->running = false;
	job_fails(sim, conn->job, &sim->seen.cut_off);
	conn->job = NONE;
}
