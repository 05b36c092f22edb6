/*-------------------------------------------------------------------------
 *
 * attempt.c
 *		Attempts to connect to the simulated remote, and what follows from them.
 *		After src/worker/opener.c and attempt.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/schedule.h"
#include "sim.h"

/* As in attempt.c. */
#define UNAWAITED_SPACING_S	1.0
#define FULL_US				(30 * SECOND)

/* Begins to connect.  Returns false if a cap leaves no place. */
bool
sim_open(Sim *sim, int place, bool overflow, bool probe)
{
	const SimRemote *remote = &sim->trace->remote;
	SimPool    *pool = &sim->pools[place];
	int			slot = sim_has_place(sim) ? sim_conn_alloc(sim, place, overflow, probe) : NONE;
	uint64		takes;

	if (slot == NONE)
		return false;
	if (probe)
		sim->seen.probes++;
	else
	{
		pool->lost = false;
		sim->seen.connects++;
		sim->seen.most_connecting = Max(sim->seen.most_connecting, pool->n_connecting);
		sim->seen.most_size = Max(sim->seen.most_size, pool->size);
	}
	takes = sim->down ? remote->refuse_us : remote->connect_us;
	takes = (uint64) (takes * (0.8 + 0.4 * sim_random(sim)));
	sim_at(sim, sim->now + takes, SIM_CONNECTED, slot, sim->conns[slot].serial);
	return true;
}

/* -------------------------------------------------------------- the breaker */

static EpBreakerRule
rule_of(const Sim *sim)
{
	EpBreakerRule rule = {
		.threshold = sim->trace->set.threshold,
		.recovery_s = sim->trace->set.recovery
	};

	return rule;
}

static void
note_change(Sim *sim, int place, EpBreakerChange change)
{
	SimSeen    *seen = &sim->seen;
	SimPool    *pool = &sim->pools[place];
	SimChange	noted = {sim->now, place, change, pool->breaker.failures, 0};

	if (change == EP_BREAKER_SAME)
		return;
	if (change == EP_BREAKER_PROBES || change == EP_BREAKER_RESET)
	{
		pool->next_try_at = 0;
		pool->backoff = 0;
	}
	else
		noted.pause_s = (pool->breaker.probe_at_us - sim->now) / 1e6;
	seen->changes = sim_grow(seen->changes, seen->nchanges, &seen->changes_size, sizeof(SimChange));
	seen->changes[seen->nchanges++] = noted;
	sim_wake_worker(sim, place);
	if (change == EP_BREAKER_TRIPPED || change == EP_BREAKER_REOPENED)
		sim_look_all(sim, place);
}

static void
count_against(Sim *sim, int place, uint64 began_us)
{
	SimPool    *pool = &sim->pools[place];
	EpBreakerRule rule = rule_of(sim);

	note_change(sim, place, ep_breaker_failure(&pool->breaker, &rule, began_us, pool->last_success_us,
											   sim->now, sim_random(sim)));
}

static EpBreakerChange
count_for(Sim *sim, int place)
{
	SimPool    *pool = &sim->pools[place];
	EpBreakerChange change;

	pool->last_success_us = sim->now;
	pool->next_try_at = 0;
	change = ep_breaker_clear(&pool->breaker);
	note_change(sim, place, change);
	return change;
}

/* Lets the breaker go on when it is time. */
void
sim_breaker_tick(Sim *sim, int place)
{
	SimPool    *pool = &sim->pools[place];
	EpBreakerRule rule = rule_of(sim);

	if (pool->breaker.state == EP_BREAKER_CLOSED)
		return;
	note_change(sim, place, ep_breaker_tick(&pool->breaker, &rule, sim->now));
	if (pool->breaker.state == EP_BREAKER_OPEN)
		sim_wake_at(sim, place, pool->breaker.probe_at_us);
}

/* -------------------------------------------------------------- the outcome */

/* What a health check, or the end of a breaker's pause, tells counts for all pools: they have one remote. */
static void
share(Sim *sim, const SimConn *conn, bool good)
{
	uint64		began_us = conn->began_us;
	bool		checked = conn->probe;
	int			own = conn->pool;

	for (int i = 0; i < sim->trace->npools; i++)
	{
		if (!sim->pools[i].opened || (i == own && !checked))
			continue;
		if (good)
			(void) count_for(sim, i);
		else
			count_against(sim, i, began_us);
	}
}

static void
space_out(Sim *sim, SimPool *pool, uint64 failed_before)
{
	double		base = sim->trace->set.retry_backoff;

	if (pool->failed_walks != failed_before)
		return;
	if (base <= 0 && pool->wait_head == NONE)
		base = UNAWAITED_SPACING_S;
	pool->failed_walks++;
	pool->backoff = ep_schedule_backoff(base, pool->backoff);
	pool->next_try_at = pool->backoff == 0 ? 0 : sim->now + ep_schedule_delay_us(pool->backoff, sim_random(sim));
}

/* The remote takes no more, but the pool has some: it is content with those for a while. */
static bool
note_full(Sim *sim, int place)
{
	SimPool    *pool = &sim->pools[place];

	if (sim->down || !sim_any_live(pool))
		return false;
	pool->bound = pool->n_idle + pool->n_leased + pool->n_tended;
	pool->bound_until_us = sim->now + FULL_US;
	(void) count_for(sim, place);
	return true;
}

static void
failed(Sim *sim, int slot)
{
	SimSeen    *seen = &sim->seen;
	SimConn    *conn = &sim->conns[slot];
	int			place = conn->pool;
	SimPool    *pool = &sim->pools[place];
	bool		full = note_full(sim, place);

	seen->failures = sim_grow(seen->failures, seen->nfailures, &seen->failures_size, sizeof(SimFailure));
	seen->failures[seen->nfailures++] = (SimFailure)
	{
		sim->now, conn->probe
	};
	if (conn->probe)
	{
		seen->probes_failed++;
		if (!full)
			share(sim, conn, false);
		sim_conn_end(sim, slot);
		return;
	}
	seen->connects_failed++;
	pool->fill_target = 0;
	pool->lost = false;
	if (!full)
	{
		space_out(sim, pool, conn->failed_before);
		pool->failing = true;
		count_against(sim, place, conn->began_us);
	}
	sim_conn_end(sim, slot);
	sim_wake_worker(sim, place);
	sim_look_all(sim, place);
}

static void
succeeded(Sim *sim, int slot)
{
	const SimSettings *set = &sim->trace->set;
	SimConn    *conn = &sim->conns[slot];
	int			place = conn->pool;
	SimPool    *pool = &sim->pools[place];

	conn->accepted = true;
	sim->connections++;
	if (conn->probe)
	{
		share(sim, conn, true);
		sim_conn_end(sim, slot);
		return;
	}
	sim->seen.connected++;
	conn->last_used_us = conn->last_validated_us = sim->now;
	conn->expires_us = ep_schedule_expiry_us(sim->now, set->max_lifetime, sim_random(sim));
	pool->failing = false;
	pool->lost = false;
	pool->backoff = 0;
	if (sim->now >= pool->bound_until_us)
		pool->bound = 0;
	else
		pool->bound = Max(pool->bound, pool->n_idle + pool->n_leased + pool->n_tended + 1);
	sim_check_filled(sim, pool);
	if (count_for(sim, place) == EP_BREAKER_RESET)
		share(sim, conn, true);
	sim_conn_give(sim, slot);
	sim_wake_worker(sim, place);
}

/* An attempt has come to its end. */
void
sim_connected(Sim *sim, int slot)
{
	int			most = sim->trace->remote.most;

	if (sim->down || (most > 0 && sim->connections >= most))
		failed(sim, slot);
	else
		succeeded(sim, slot);
}
