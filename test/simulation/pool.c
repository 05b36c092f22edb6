/*-------------------------------------------------------------------------
 *
 * pool.c
 *		A simulated pool: its connections, its queue, and who gets a connection
 *		that became available.  After src/shared/conn.c and queue.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/scaling.h"
#include "sim.h"

/* From waking a process until it runs. */
#define HANDOVER_US		50

#define CLOSE_US		500
#define VALIDATE_US		500

/* Leased of those that could be. */
double
sim_load(const SimPool *pool)
{
	int			usable = pool->size - pool->n_connecting - pool->n_ending;

	return usable > 0 ? (double) pool->n_leased / usable : 0;
}

/* How long the peak of a pool's load is remembered. */
uint64
sim_memory_us(const Sim *sim)
{
	return ep_scaling_memory_us((uint64) (sim->trace->set.cool_down * 1e6));
}

/* How many connections the pool may have at present. */
int
sim_most(const Sim *sim, const SimPool *pool)
{
	const SimSettings *set = &sim->trace->set;

	if (pool->tuner.limit > 0 && pool->tuner.open < set->max_size)
		return pool->tuner.open;
	return set->max_size + set->max_overflow;
}

/* Is there a connection that is, or will be, of use? */
bool
sim_any_live(const SimPool *pool)
{
	return pool->n_idle + pool->n_leased + pool->n_tended > 0;
}

/* Is the first fill done? */
void
sim_check_filled(const Sim *sim, SimPool *pool)
{
	if (pool->size - pool->n_ending >= Min(pool->fill_target, sim->trace->set.max_size))
		pool->fill_target = 0;
}

/* ------------------------------------------------------------------ states */

static int *
counter_of(SimPool *pool, const SimConn *conn, SimState state)
{
	if (conn->probe)
		return &pool->n_probing;
	switch (state)
	{
		case SIM_CONNECTING:
			return &pool->n_connecting;
		case SIM_IDLE:
			return &pool->n_idle;
		case SIM_LEASED:
			return &pool->n_leased;
		case SIM_TENDED:
			return &pool->n_tended;
		default:
			return &pool->n_ending;
	}
}

static void
idle_unlink(Sim *sim, SimPool *pool, SimConn *conn)
{
	if (conn->prev != NONE)
		sim->conns[conn->prev].next = conn->next;
	else
		pool->idle_head = conn->next;
	if (conn->next != NONE)
		sim->conns[conn->next].prev = conn->prev;
	else
		pool->idle_tail = conn->prev;
}

static void
idle_push(Sim *sim, SimPool *pool, int slot)
{
	SimConn    *conn = &sim->conns[slot];

	conn->prev = NONE;
	conn->next = pool->idle_head;
	if (pool->idle_head != NONE)
		sim->conns[pool->idle_head].prev = slot;
	else
		pool->idle_tail = slot;
	pool->idle_head = slot;
}

/* Changes the state of a connection; what was to happen to it will not. */
void
sim_conn_move(Sim *sim, int slot, SimState to)
{
	SimConn    *conn = &sim->conns[slot];
	SimPool    *pool = &sim->pools[conn->pool];

	ep_load_advance(&pool->load, sim_load(pool), sim->now);
	ep_peak_advance(&pool->peak, pool->n_leased, sim_memory_us(sim), sim->now);
	ep_observe_advance(&pool->observed, pool->n_leased, pool->n_waiting, sim->now);
	if (conn->state == SIM_IDLE)
	{
		idle_unlink(sim, pool, conn);
		pool->n_aside -= conn->aside;
		conn->aside = false;
	}
	if (conn->state != SIM_FREE)
		(*counter_of(pool, conn, conn->state))--;
	conn->state = to;
	conn->serial++;
	if (to != SIM_FREE)
		(*counter_of(pool, conn, to))++;
	if (to == SIM_IDLE)
		idle_push(sim, pool, slot);
	if (to == SIM_LEASED)
		conn->leased_us = sim->now;
}

/* Takes a free slot for a new connection; NONE if all are in use. */
int
sim_conn_alloc(Sim *sim, int place, bool overflow, bool probe)
{
	SimPool    *pool = &sim->pools[place];
	int			slot = sim->free_conn;
	SimConn    *conn;
	uint32		serial;

	if (slot == NONE)
		return NONE;
	conn = &sim->conns[slot];
	serial = conn->serial;
	sim->free_conn = conn->next;
	sim->used++;
	sim->seen.most_used = Max(sim->seen.most_used, sim->used);
	memset(conn, 0, sizeof(SimConn));
	conn->serial = serial;
	conn->pool = place;
	conn->overflow = overflow;
	conn->probe = probe;
	conn->job = NONE;
	conn->began_us = conn->last_used_us = conn->last_validated_us = sim->now;
	conn->failed_before = pool->failed_walks;
	sim_conn_move(sim, slot, SIM_CONNECTING);
	if (!probe)
		pool->size++;
	return slot;
}

/* Says goodbye; the slot is free when the remote has let go. */
void
sim_conn_end(Sim *sim, int slot)
{
	sim_conn_move(sim, slot, SIM_ENDING);
	sim_at(sim, sim->now + CLOSE_US, SIM_CLOSED, slot, sim->conns[slot].serial);
}

/* It has. */
void
sim_conn_closed(Sim *sim, int slot)
{
	SimConn    *conn = &sim->conns[slot];
	bool		accepted = conn->accepted;

	if (!conn->probe)
		sim->pools[conn->pool].size--;
	sim_conn_move(sim, slot, SIM_FREE);
	conn->next = sim->free_conn;
	sim->free_conn = slot;
	sim->used--;
	sim->connections -= accepted;
	sim_wake_worker(sim, conn->pool);

	/*
	 * the worker looks at all its pools; those that wait for a slot have a
	 * use for that
	 */
	for (int i = 0; sim->unserved > 0 && i < sim->trace->npools; i++)
	{
		if (sim->pools[i].unserved)
			sim_wake_worker(sim, i);
	}
}

/* ------------------------------------------------------------------- queue */

/* Puts a job at the end of its pool's queue. */
void
sim_queue_join(Sim *sim, int job)
{
	SimJob	   *me = &sim->jobs[job];
	SimPool    *pool = &sim->pools[me->pool];

	ep_observe_advance(&pool->observed, pool->n_leased, pool->n_waiting, sim->now);
	me->queued = true;
	me->woken = false;
	me->prev = pool->wait_tail;
	me->next = NONE;
	if (pool->wait_tail != NONE)
		sim->jobs[pool->wait_tail].next = job;
	else
		pool->wait_head = job;
	pool->wait_tail = job;
	pool->n_waiting++;
	sim->seen.most_waiting = Max(sim->seen.most_waiting, pool->n_waiting);
}

/* Takes it out, wherever it stands. */
void
sim_queue_leave(Sim *sim, int job)
{
	SimJob	   *me = &sim->jobs[job];
	SimPool    *pool = &sim->pools[me->pool];

	if (!me->queued)
		return;
	ep_observe_advance(&pool->observed, pool->n_leased, pool->n_waiting, sim->now);
	if (me->prev != NONE)
		sim->jobs[me->prev].next = me->next;
	else
		pool->wait_head = me->next;
	if (me->next != NONE)
		sim->jobs[me->next].prev = me->prev;
	else
		pool->wait_tail = me->prev;
	me->queued = false;
	pool->n_waiting--;
}

/* Wakes the first waiter if a connection is idle. */
void
sim_queue_next(Sim *sim, SimPool *pool)
{
	int			job = pool->wait_head;

	if (job == NONE || pool->n_idle == pool->n_aside || sim->jobs[job].woken)
		return;
	sim->jobs[job].woken = true;
	sim_at(sim, sim->now + HANDOVER_US, SIM_LOOKS, job, sim->jobs[job].serial);
}

static bool
must_go(const Sim *sim, const SimPool *pool, const SimConn *conn)
{
	return (conn->overflow && pool->wait_head == NONE) ||
		(pool->ration != EP_NO_RATION && pool->size - pool->n_ending > pool->ration) ||
		(pool->tuner.limit > 0 && pool->size - pool->n_ending > sim_most(sim, pool)) ||
		(conn->expires_us != 0 && sim->now >= conn->expires_us);
}

static bool
may_barge(const Sim *sim, const SimPool *pool, const SimConn *conn)
{
	EpStrategy	strategy = sim->trace->set.strategy;
	uint64		bound;

	if (strategy == EP_STRATEGY_DYNAMIC)
		strategy = pool->tuner.hand_over;
	bound = ep_strategy_barge_us(strategy, &pool->observed);
	return bound > 0 && !conn->overflow && sim->now < sim->jobs[pool->wait_head].came_us + bound;
}

static bool
must_validate(const Sim *sim, const SimPool *pool, const SimConn *conn)
{
	return conn->state == SIM_LEASED && ep_strategy_plan(sim->trace->set.strategy, 0).validate &&
		conn->last_used_us > conn->last_validated_us && pool->n_idle > pool->n_tended;
}

/* A connection can be used again: gives it to the first waiter, or puts it on the idle list. */
void
sim_conn_give(Sim *sim, int slot)
{
	SimConn    *conn = &sim->conns[slot];
	SimPool    *pool = &sim->pools[conn->pool];
	int			job = pool->wait_head;

	if (must_go(sim, pool, conn))
	{
		sim_conn_end(sim, slot);
		sim_wake_worker(sim, conn->pool);
	}
	else if (pool->n_aside < pool->aside_wanted && !conn->overflow)
	{
		sim_conn_move(sim, slot, SIM_IDLE);
		conn->aside = true;
		pool->n_aside++;
		sim_queue_next(sim, pool);
	}
	else if (job == NONE && must_validate(sim, pool, conn))
	{
		sim_conn_move(sim, slot, SIM_TENDED);
		sim_at(sim, sim->now + VALIDATE_US, SIM_VALIDATED, slot, conn->serial);
	}
	else if (job == NONE || may_barge(sim, pool, conn))
	{
		sim_conn_move(sim, slot, SIM_IDLE);
		sim_queue_next(sim, pool);
	}
	else
	{
		sim_queue_leave(sim, job);
		sim_conn_move(sim, slot, SIM_LEASED);
		sim->jobs[job].conn = slot;
		conn->job = job;
		sim_at(sim, sim->now + HANDOVER_US, SIM_RESUMES, job, sim->jobs[job].serial);
		sim_queue_next(sim, pool);
	}
}

/* ------------------------------------------------------------ what must hold */

/* Do the numbers add up, and are the limits kept?  Called by the timer. */
void
sim_verify(Sim *sim)
{
	const SimTrace *trace = sim->trace;
	int			used = 0;
	int			waiting = 0;
	int			leased = 0;
	uint64		gone = sim->seen.done + sim->seen.refused + sim->seen.hopeless + sim->seen.timed_out + sim->seen.cut_off;

	for (int i = 0; i < trace->npools; i++)
	{
		const SimPool *pool = &sim->pools[i];
		int			sum = pool->n_idle + pool->n_leased + pool->n_connecting + pool->n_tended + pool->n_ending;

		if (pool->size != sum)
			sim_violated(sim, "pool %d: size %d, but %d connections", i, pool->size, sum);
		if (pool->n_idle > pool->n_aside && pool->wait_head != NONE && !sim->jobs[pool->wait_head].woken)
			sim_violated(sim, "pool %d: an idle connection and a waiter that does not know of it", i);
		used += pool->size + pool->n_probing;
		waiting += pool->n_waiting;
		leased += pool->n_leased;
	}
	if (trace->server_cap > 0 && used > trace->server_cap)
		sim_violated(sim, "%d connections to a server that may have %d", used, trace->server_cap);
	if (used != sim->used || used > trace->max_connections)
		sim_violated(sim, "%d connections, %d slots used of %d", used, sim->used, trace->max_connections);
	if (sim->seen.came != gone + waiting + leased)
		sim_violated(sim, UINT64_FORMAT " came, " UINT64_FORMAT " are done with, %d wait, %d have a connection",
					 sim->seen.came, gone, waiting, leased);
}
