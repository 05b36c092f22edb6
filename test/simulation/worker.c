/*-------------------------------------------------------------------------
 *
 * worker.c
 *		What the worker does with a pool in one of its rounds.  After
 *		src/worker/upkeep.c, scaler.c, tuning.c and health.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/sizing.h"
#include "sim.h"

/* From waking the worker until it runs. */
#define ROUND_US		20

/* As in upkeep.c and scaler.c. */
#define UNUSED_US		(600 * SECOND)
#define PATIENCE_US		UINT64CONST(500000)
#define IDLE_ROUND		16
#define YOUNG_US		(10 * SECOND)

/* Lets the worker look at a pool. */
void
sim_wake_worker(Sim *sim, int place)
{
	sim->pools[place].dirty = true;
	if (sim->round_due)
		return;
	sim->round_due = true;
	sim_at(sim, sim->now + ROUND_US, SIM_ROUND, 0, 0);
}

/* The same at that time, if not before. */
void
sim_wake_at(Sim *sim, int place, uint64 at_us)
{
	SimPool    *pool = &sim->pools[place];

	if (pool->wake_at != 0 && pool->wake_at <= at_us)
		return;
	pool->wake_at = at_us;
	sim_at(sim, at_us, SIM_WAKE, place, 0);
}

/* ---------------------------------------------------------------- strategy */

static bool
tuned(const Sim *sim)
{
	return sim->trace->set.strategy == EP_STRATEGY_DYNAMIC && sim->trace->set.scaling;
}

static void
set_aside(Sim *sim, SimPool *pool)
{
	pool->aside_wanted = ep_tuner_aside(&pool->tuner, pool->size - pool->n_connecting - pool->n_ending);
	for (int slot = pool->idle_tail; slot != NONE && pool->n_aside != pool->aside_wanted; slot = sim->conns[slot].prev)
	{
		SimConn    *conn = &sim->conns[slot];
		bool		aside = pool->n_aside < pool->aside_wanted;

		if (conn->aside == aside || (aside && conn->overflow))
			continue;
		conn->aside = aside;
		pool->n_aside += aside ? 1 : -1;
	}
	sim_queue_next(sim, pool);
}

static void
tuning_tick(Sim *sim, SimPool *pool)
{
	const SimSettings *set = &sim->trace->set;
	EpTunerInput in;

	if (!tuned(sim))
		return;
	ep_observe_advance(&pool->observed, pool->n_leased, pool->n_waiting, sim->now);
	in.seen = pool->observed;
	in.present = pool->size - pool->n_connecting - pool->n_ending - pool->n_aside;
	in.min_size = set->min_size;
	in.max_size = set->max_size;
	in.asked = Min(pool->fill_target, set->max_size);
	in.now_us = sim->now;
	ep_tuner_step(&pool->tuner, &in);
	set_aside(sim, pool);
}

static void
tuning_apply(const Sim *sim, const SimPool *pool, EpSizingInput *in)
{
	if (!in->scaling)
		return;
	if (pool->tuner.limit > 0 && tuned(sim))
		ep_tuner_apply(&pool->tuner, in);
	else
		ep_strategy_apply(sim->trace->set.strategy, in);
}

static double
idle_timeout(const Sim *sim)
{
	const SimSettings *set = &sim->trace->set;

	if (tuned(sim) && set->idle_timeout > 0)
		return Min(set->idle_timeout, EP_TUNER_KEEP_US / 1e6);
	return set->idle_timeout * ep_strategy_plan(set->strategy, 0).patience;
}

/* ------------------------------------------------------------------- input */

static void
read_counts(const Sim *sim, const SimPool *pool, EpSizingInput *in)
{
	bool		impatient = pool->wait_head != NONE && sim->now > sim->jobs[pool->wait_head].came_us + PATIENCE_US;

	memset(in, 0, sizeof(EpSizingInput));
	in->size = pool->size;
	in->idle = pool->n_idle;
	in->leased = pool->n_leased;
	in->connecting = pool->n_connecting;
	in->tended = impatient ? 0 : pool->n_tended;
	in->ending = pool->n_ending;
	in->probing = pool->n_probing;
	in->waiting = pool->n_waiting;
	in->bound = sim->now < pool->bound_until_us ? pool->bound : 0;
	in->asking = pool->bound > 0 && in->bound == 0;
	in->rationed = pool->ration != EP_NO_RATION;
	in->ration = pool->ration;
	in->breaker = pool->breaker.state;
	in->lost = pool->lost;
	in->failing = pool->failing;
	in->unused = sim->now > pool->last_acquire_us + UNUSED_US;
	in->growing = pool->growing;
	in->up_at_us = pool->scaled_up_us;
	in->down_at_us = pool->scaled_down_us;
	in->now_us = sim->now;
}

static void
read_input(const Sim *sim, const SimPool *pool, EpSizingInput *in)
{
	const SimSettings *set = &sim->trace->set;

	read_counts(sim, pool, in);
	in->min_size = set->min_size;
	in->max_size = set->max_size;
	in->max_overflow = set->max_overflow;
	in->target_free = set->target_free;
	in->fill_target = pool->fill_target;
	in->scaling = set->scaling;
	in->up = set->up;
	in->down = set->down;
	in->cool_down_us = (uint64) (set->cool_down * 1e6);
	in->load = sim_load(pool);
	in->leased_peak = ep_peak_of(&pool->peak, pool->n_leased, sim_memory_us(sim), sim->now);
	tuning_apply(sim, pool, in);
	in->load_5m = in->load;
	if (!in->scaling || pool->load.since_us == 0)
		return;
	if (sim->now > pool->load.since_us + YOUNG_US)
		in->load_1m = ep_load_average(&pool->load, in->load, sim->now, EP_LOAD_1M);
	in->load_5m = ep_load_average(&pool->load, in->load, sim->now, EP_LOAD_5M);
}

/* ------------------------------------------------------------------- scaling */

static void
note_scaling(Sim *sim, int place, const EpSizingInput *in, const EpSizing *sizing, int n)
{
	SimSeen    *seen = &sim->seen;
	bool		down = sizing->scaling == EP_SCALING_DOWN;
	SimScaling	scaling = {sim->now, place, !down, n, in->size, sizing->reason};

	if (down)
		sim->pools[place].scaled_down_us = sim->now;
	else
		sim->pools[place].scaled_up_us = sim->now;
	if (sizing->scaling == EP_SCALING_FILL)
		return;
	seen->scalings = sim_grow(seen->scalings, seen->nscalings, &seen->scalings_size, sizeof(SimScaling));
	seen->scalings[seen->nscalings++] = scaling;
	if (sim->verbose)
		printf("  %10.3f s  pool %d: %d connections %s: %s; size %d, active %d, idle %d, connecting %d, waiting %d, load %.2f %.2f %.2f, wanted %d\n",
			   sim->now / 1e6, place, n, down ? "fewer" : "more", sizing->reason, in->size, in->leased, in->idle,
			   in->connecting, in->waiting, in->load, in->load_1m, in->load_5m, sizing->target);
}

/* However the decision was made: no more are under way than this. */
static void
verify_herd(Sim *sim, int place)
{
	const SimPool *pool = &sim->pools[place];
	const SimSettings *set = &sim->trace->set;
	EpPlan		plan = ep_strategy_plan(set->strategy, set->target_free);
	int			most = Max(pool->n_waiting + (tuned(sim) ? 0 : plan.free), 1);

	/* beyond what the settings say, strategy dynamic may want as many as it has found */
	if (pool->n_connecting > most)
		sim_violated(sim, "pool %d: %d connects under way, %d wait", place, pool->n_connecting, pool->n_waiting);
	if (pool->size > set->max_size + set->max_overflow)
		sim_violated(sim, "pool %d: size %d", place, pool->size);
}

/* Returns whether all could be begun. */
static bool
open_some(Sim *sim, int place, const EpSizingInput *in, const EpSizing *sizing)
{
	SimPool    *pool = &sim->pools[place];
	int			wanted = sizing->open + sizing->open_overflow;
	bool		fill = pool->fill_target > pool->size - pool->n_ending;
	int			n = 0;

	if (pool->next_try_at > sim->now)
	{
		sim_wake_at(sim, place, pool->next_try_at);
		return false;
	}
	while (n < wanted && sim_open(sim, place, n >= sizing->open, false))
		n++;
	if (!fill && n > 0)
		verify_herd(sim, place);
	if (n > 0 && sizing->scaling != EP_SCALING_NONE)
		note_scaling(sim, place, in, sizing, n);
	if (n < wanted)
	{
		sim->refused |= pool->n_waiting > 0;
		if (sizing->scaling == EP_SCALING_FILL && in->ending == 0)
			pool->fill_target = 0;
	}
	if (n < wanted && !pool->unserved)
	{
		pool->unserved = true;
		sim->unserved++;
	}
	return n == wanted;
}

static void
shrink(Sim *sim, int place, const EpSizingInput *in, const EpSizing *sizing)
{
	SimPool    *pool = &sim->pools[place];
	int			n = 0;

	while (n < sizing->shrink && pool->idle_tail != NONE && pool->wait_head == NONE &&
		   pool->size - pool->n_ending > sizing->floor)
	{
		sim_conn_end(sim, pool->idle_tail);
		n++;
	}
	if (n > 0)
		note_scaling(sim, place, in, sizing, n);
}

/* ------------------------------------------------------------- idle ones */

static bool
is_over(const Sim *sim, const SimPool *pool, const SimConn *conn, int floor)
{
	double		timeout = idle_timeout(sim);

	if (conn->expires_us != 0 && sim->now >= conn->expires_us)
		return true;
	return timeout > 0 && pool->size - pool->n_ending > floor && sim->now >= conn->last_used_us + (uint64) (timeout * 1e6);
}

static bool
validation_due(const Sim *sim, const SimPool *pool, const SimConn *conn)
{
	double		interval = sim->trace->set.validation_interval;

	if (ep_strategy_plan(sim->trace->set.strategy, 0).validate &&
		conn->last_used_us > conn->last_validated_us && pool->n_idle > 1)
		return true;
	return interval > 0 && sim->now >= Max(conn->last_used_us, conn->last_validated_us) + (uint64) (interval * 1e6);
}

static void
look_at_idle(Sim *sim, int place, const EpSizing *sizing)
{
	SimPool    *pool = &sim->pools[place];
	int			validate = (pool->n_idle + 1) / 2 - pool->n_tended;
	int			surplus = sizing->surplus;
	int			ended = 0;

	for (int slot = pool->idle_tail; slot != NONE && ended < IDLE_ROUND;)
	{
		int			here = slot;
		SimConn    *conn = &sim->conns[here];

		slot = conn->prev;
		if (surplus > 0 || is_over(sim, pool, conn, sizing->floor))
		{
			sim_conn_end(sim, here);
			surplus--;
			ended++;
		}
		else if (validate > 0 && validation_due(sim, pool, conn))
		{
			sim_conn_move(sim, here, SIM_TENDED);
			sim_at(sim, sim->now + 500, SIM_VALIDATED, here, conn->serial);
			validate--;
		}
	}
	if (ended > 0)
		sim_wake_worker(sim, place);
}

/* ------------------------------------------------------------ health checks */

static bool
probe(Sim *sim, int place)
{
	if (sim->pools[place].n_probing > 0)
		return true;
	if (!sim_open(sim, place, false, true))
		return false;
	sim->pools[place].last_probe_us = sim->now;
	return true;
}

/* Is a health check due, of all the remote's pools by this one? */
static void
health_look(Sim *sim, int place)
{
	uint64		interval = (uint64) (sim->trace->set.health_interval * 1e6);
	uint64		last = 0;
	int			first = NONE;

	if (interval == 0)
		return;
	for (int i = 0; i < sim->trace->npools; i++)
	{
		const SimPool *pool = &sim->pools[i];

		last = Max(last, Max(Max(pool->last_success_us, pool->last_probe_us), pool->breaker.last_failure_us));
		if (pool->n_probing > 0 || sim->now < last + interval)
			return;
		if (first == NONE && pool->opened && pool->breaker.state == EP_BREAKER_CLOSED &&
			(sim_any_live(pool) || pool->n_waiting > 0))
			first = i;
	}
	if (first == place)
		(void) probe(sim, place);
}

/* --------------------------------------------------------------- the round */

static void
look_after(Sim *sim, int place, bool timer)
{
	SimPool    *pool = &sim->pools[place];
	EpSizingInput in;
	EpSizing	sizing;
	bool		carried_out = true;

	pool->dirty = false;
	if (pool->unserved)
		sim->unserved--;
	pool->unserved = false;
	sim_breaker_tick(sim, place);
	if (timer || pool->tuner.limit == 0)
		tuning_tick(sim, pool);
	read_input(sim, pool, &in);
	sizing = ep_sizing_decide(&in);
	if (timer || sizing.surplus > 0)
		look_at_idle(sim, place, &sizing);
	if (sizing.shrink > 0)
		shrink(sim, place, &in, &sizing);
	if (sizing.probe)
		(void) probe(sim, place);
	else if (timer)
		health_look(sim, place);
	if (sizing.open + sizing.open_overflow > 0)
		carried_out = open_some(sim, place, &in, &sizing);
	pool->grow_above = carried_out ? sizing.grow_above : PG_INT32_MAX;
	pool->growing = sizing.growing;
}

/*
 * One round: with timer over all pools, else over those that something has
 * happened to.  For the others the decision would be that of the last round,
 * but for what depends on the time, and that the timer sees to.
 */
void
sim_round(Sim *sim, bool timer)
{
	for (int i = 0; i < sim->trace->npools; i++)
	{
		if (sim->pools[i].opened && (timer || sim->pools[i].dirty))
			look_after(sim, i, timer);
	}
	sim_share(sim, timer);
}

/* The remote has gone away: every connection sees that at once. */
void
sim_remote_lost(Sim *sim)
{
	for (int i = 0; i < sim->trace->max_connections; i++)
	{
		SimConn    *conn = &sim->conns[i];

		if (conn->state != SIM_IDLE && conn->state != SIM_LEASED && conn->state != SIM_TENDED)
			continue;
		sim->pools[conn->pool].lost |= conn->state != SIM_TENDED;
		if (conn->state == SIM_LEASED)
			sim_cut_off(sim, i);
		sim_conn_end(sim, i);
		sim_wake_worker(sim, conn->pool);
	}
}
