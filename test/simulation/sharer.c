/*-------------------------------------------------------------------------
 *
 * sharer.c
 *		Places that pools share: max_server_connections, all pools being of one
 *		server, and enhanced_pool.max_connections.  After src/worker/sharer.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "sim.h"

/* As there. */
#define SPACING_US	(50 * MS)

/* Does the server's cap leave a place for one more? */
bool
sim_has_place(const Sim *sim)
{
	return sim->trace->server_cap == 0 || sim->used < sim->trace->server_cap;
}

/* How many waiters have no connection on the way. */
static int
count_missing(const SimPool *pool)
{
	int			missing = Max(pool->n_waiting - pool->n_idle - pool->n_connecting - pool->n_tended, 0);

	if (pool->breaker.state == EP_BREAKER_OPEN)
		return 0;
	if (pool->breaker.state == EP_BREAKER_HALF_OPEN)
		return pool->n_connecting + pool->n_probing == 0 ? 1 : 0;
	return pool->failing ? Min(missing, 1) : missing;
}

static void
take_member(const Sim *sim, SimPool *pool, bool update, EpFairPool *fair)
{
	bool		well = pool->breaker.state == EP_BREAKER_CLOSED && !pool->failing;
	int			present;

	memset(fair, 0, sizeof(EpFairPool));
	fair->alive = pool->size - pool->n_ending;
	fair->ending = pool->n_ending + pool->n_probing;
	fair->idle = pool->n_idle;
	fair->missing = count_missing(pool);
	fair->min_size = pool->opened ? sim->trace->set.min_size : 0;
	fair->limit = sim_most(sim, pool);
	if (sim->now < pool->bound_until_us)
		fair->limit = Min(fair->limit, pool->bound);
	fair->since_us = fair->missing > 0 && pool->wait_head != NONE ? sim->jobs[pool->wait_head].came_us : 0;
	present = pool->n_leased + Max(fair->missing, well ? pool->n_waiting : 0);
	if (update)
	{
		pool->demand = ep_fair_demand(pool->demand, present, (sim->now - pool->demand_us) / 1e6);
		pool->demand_us = sim->now;
	}
	fair->demand = Max(pool->demand, present);
}

/* What they are due by this cap is the most that they can be due by the next. */
static void
divide(EpFairPool *members, int *rations, int n, int capacity)
{
	EpFairPool *scratch = malloc(sizeof(EpFairPool) * n);

	memcpy(scratch, members, sizeof(EpFairPool) * n);
	if (ep_fair_divide(scratch, n, capacity))
	{
		for (int i = 0; i < n; i++)
		{
			rations[i] = rations[i] == EP_NO_RATION ? scratch[i].ration : Min(rations[i], scratch[i].ration);
			members[i].limit = Min(members[i].limit, Max(scratch[i].share, 1));
		}
	}
	free(scratch);
}

/* Sets and lifts rations, if it is time to look. */
void
sim_share(Sim *sim, bool timer)
{
	int			n = sim->trace->npools;
	EpFairPool *members;
	int		   *rations;

	if (!timer && !sim->refused)
		return;
	if (!timer && sim->now < sim->shared_us + SPACING_US)
	{
		sim_at(sim, sim->shared_us + SPACING_US, SIM_ROUND, 0, 0);
		return;
	}
	members = malloc(sizeof(EpFairPool) * n);
	rations = malloc(sizeof(int) * n);
	sim->refused = false;
	sim->shared_us = sim->now;
	for (int i = 0; i < n; i++)
	{
		rations[i] = EP_NO_RATION;
		take_member(sim, &sim->pools[i], timer, &members[i]);
	}
	if (sim->trace->server_cap > 0)
		divide(members, rations, n, sim->trace->server_cap);
	divide(members, rations, n, sim->trace->max_connections);
	for (int i = 0; i < n; i++)
	{
		if (sim->pools[i].ration == rations[i])
			continue;
		sim->pools[i].ration = rations[i];
		sim_wake_worker(sim, i);
	}
	free(members);
	free(rations);
}
