/*-------------------------------------------------------------------------
 *
 * traces.c
 *		The generated traces: what comes when, and what the remote is like.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "sim.h"

/* Every setting at its default. */
SimSettings
sim_defaults(void)
{
	SimSettings set = {
		.initial_size = 5, .min_size = 2, .max_size = 20, .max_overflow = 0, .target_free = 3,
		.idle_timeout = 300, .max_lifetime = 3600, .validation_interval = 60, .acquire_timeout = 30,
		.retry_attempts = 3, .retry_backoff = 1, .strategy = EP_STRATEGY_BALANCED, .scaling = true,
		.up = 0.8, .down = 0.3, .cool_down = 30, .health_interval = 10, .threshold = 5, .recovery = 30
	};

	return set;
}

/* Always there, with any number of processors. */
SimRemote
sim_good_remote(void)
{
	SimRemote	remote = {.connect_us = 20 * MS, .refuse_us = 5 * MS};

	return remote;
}

/* -------------------------------------------------------------- what comes */

static void
add_sessions(Sim *sim, int pool, int n, uint64 from_us, uint64 to_us, uint64 query_us)
{
	for (int i = 0; i < n; i++)
		sim_add_source(sim, (SimSource) {.kind = SIM_SESSION, .pool = pool, .from_us = from_us, .to_us = to_us,
			.query_us = query_us});
}

static void
begin_step(Sim *sim)
{
	add_sessions(sim, 0, 1, 0, 30 * MINUTE, SECOND);
	add_sessions(sim, 0, 10, 2 * MINUTE, 10 * MINUTE, SECOND);
	for (int i = 0; i <= 20; i++)
		sim_sample_at(sim, 2 * MINUTE + i * 10 * MS);
}

/* One session more every 100 ms. */
static void
begin_ramp(Sim *sim)
{
	for (int i = 0; i < 15; i++)
		add_sessions(sim, 0, 1, i == 0 ? 0 : 10 * SECOND + i * 100 * MS, 0, SECOND);
}

static void
begin_steady(Sim *sim)
{
	sim_add_source(sim, (SimSource) {.kind = SIM_RANDOM, .most = 20, .query_us = 400 * MS});
}

/* Of 86400 seconds; the least at midnight. */
static double
day(uint64 now_us)
{
	return 7 - 6.5 * cos(2 * M_PI * now_us / (24.0 * HOUR));
}

static void
begin_sine(Sim *sim)
{
	sim_add_source(sim, (SimSource) {.kind = SIM_RANDOM, .most = 14, .query_us = SECOND, .rate = day});
}

static void
begin_burst(Sim *sim)
{
	sim_add_source(sim, (SimSource) {.kind = SIM_RANDOM, .most = 4, .query_us = 50 * MS});
	sim_add_source(sim, (SimSource) {.kind = SIM_BURSTS, .n = 60, .from_us = 5 * MINUTE, .every_us = 5 * MINUTE,
		.query_us = 100 * MS});
}

/* More sessions than the remote has use for. */
static void
begin_slow(Sim *sim)
{
	add_sessions(sim, 0, 64, 0, 0, 20 * MS);
}

/* The same, but any time may be long, or short. */
static void
begin_chance(Sim *sim)
{
	for (int i = 0; i < 64; i++)
		sim_add_source(sim, (SimSource) {.kind = SIM_SESSION, .query_us = 20 * MS, .chance = true});
}

static void
begin_queue(Sim *sim)
{
	add_sessions(sim, 0, 64, 0, 0, 2 * MS);
}

static void
begin_low(Sim *sim)
{
	sim_add_source(sim, (SimSource) {.kind = SIM_RANDOM, .most = 10, .query_us = 200 * MS});
}

/*
 * The last pool is there first, and has little to do.  Then comes one that would
 * like to have everything, and then two others.
 */
static void
begin_caps(Sim *sim)
{
	sim_add_source(sim, (SimSource) {.kind = SIM_RANDOM, .pool = 3, .most = 0.2, .query_us = 50 * MS});
	add_sessions(sim, 3, 1, 0, 5 * SECOND, 50 * MS);
	add_sessions(sim, 0, 40, 30 * SECOND, 6 * MINUTE, 100 * MS);
	add_sessions(sim, 1, 12, MINUTE, 8 * MINUTE, 100 * MS);
	add_sessions(sim, 2, 3, 2 * MINUTE, 8 * MINUTE, 100 * MS);
}

static void
begin_many(Sim *sim)
{
	/* 10 to 34 sessions in each pool, 11,000 in all */
	for (int pool = 0; pool < sim->trace->npools; pool++)
		add_sessions(sim, pool, 10 + pool % 25, (uint64) (1 + 9 * sim_random(sim)) * SECOND, MINUTE, 2 * SECOND);
}

/* --------------------------------------------------------------- the traces */

static SimTrace
plain(const char *name, const char *about, uint64 length_us, void (*begin) (Sim *), void (*check) (const Sim *))
{
	SimTrace	trace = {
		.name = name, .about = about, .length_us = length_us, .sample_us = length_us / 240, .print_every = 10,
		.npools = 1, .max_connections = 100, .begin = begin, .check = check
	};

	trace.set = sim_defaults();
	trace.remote = sim_good_remote();
	return trace;
}

static SimTrace
strategy(SimTrace trace, const char *name, EpStrategy which)
{
	trace.name = name;
	trace.set.strategy = which;
	return trace;
}

static SimTrace
sine(void)
{
	SimTrace	trace = plain("sine", "0.5 to 13.5 arrivals a second of 1 s, over a day", 24 * HOUR, begin_sine, sim_check_sine);

	trace.set.max_size = 40;
	return trace;
}

static SimTrace
queue(const char *name, EpStrategy which)
{
	SimTrace	trace = plain(name, "64 sessions for 8 connections, 2 ms each", MINUTE, begin_queue, sim_check_queue);

	trace.set.max_size = 8;
	return strategy(trace, name, which);
}

static SimTrace
burst(void)
{
	SimTrace	trace = plain("burst", "4 a second, and 60 at once every 5 minutes", 30 * MINUTE, begin_burst, sim_check_burst);

	trace.set.max_overflow = 5;
	return trace;
}

static SimTrace
slow(void)
{
	SimTrace	trace = plain("slow", "64 sessions, strategy dynamic, and a remote of 8 processors that more than 8 queries make slower",
							  10 * MINUTE, begin_slow, sim_check_slow);

	trace.set.strategy = EP_STRATEGY_DYNAMIC;
	trace.set.max_size = 64;
	trace.remote.cores = 8;
	trace.remote.penalty = 0.02;
	return trace;
}

/* Between neighbouring sizes there is a per cent or two, and the remote has others to serve. */
static SimTrace
flat(const char *name, const char *about, double weather)
{
	SimTrace	trace = slow();

	trace.name = name;
	trace.about = about;
	trace.length_us = 5 * MINUTE;
	trace.sample_us = SECOND;
	trace.begin = begin_chance;
	trace.check = sim_check_flat;
	trace.remote.cores = 4;
	trace.remote.penalty = 0.004;
	trace.remote.weather = weather;
	return trace;
}

static SimTrace
dead(const char *name, const char *about, int threshold, void (*check) (const Sim *))
{
	SimTrace	trace = plain(name, about, 2 * HOUR, begin_low, check);

	trace.remote.down_us = 10 * MINUTE;
	trace.remote.back_us = 70 * MINUTE;
	trace.set.threshold = threshold;
	return trace;
}

static SimTrace
full(void)
{
	SimTrace	trace = plain("full", "20 arrivals a second of 400 ms, and a remote that takes 8 connections", 30 * MINUTE,
							  begin_steady, sim_check_full);

	trace.remote.most = 8;
	trace.set.acquire_timeout = 0;
	return trace;
}

static SimTrace
many(const char *name, const char *about, int max_size, void (*check) (const Sim *))
{
	SimTrace	trace = plain(name, about, 9 * MINUTE, begin_many, check);

	trace.npools = 500;
	trace.max_connections = 10000;
	trace.set.max_size = max_size;
	return trace;
}

static SimTrace
caps(void)
{
	SimTrace	trace = plain("caps", "4 pools of 24 and max_server_connections 24; from minute 2 to 6 sessions want 40, 12, 3 and hardly one",
							  9 * MINUTE, begin_caps, sim_check_caps);

	trace.npools = 4;
	trace.max_connections = 100;
	trace.server_cap = 24;
	trace.set.max_size = 24;
	trace.sample_us = SECOND;
	trace.print_every = 20;
	return trace;
}

/* All of them. */
const SimTrace *
sim_traces(int *n)
{
	static SimTrace all[32];
	static int	count = 0;

	if (count == 0)
	{
		SimTrace	step = plain("step", "1 session, 11 from minute 2 to 10, nobody from minute 30", 50 * MINUTE, begin_step, sim_check_step);

		step.set.idle_timeout = 0;	/* what follows is scaling's alone */
		all[count++] = step;
		all[count++] = plain("ramp", "one session more every 100 ms, to 15", MINUTE, begin_ramp, sim_check_ramp);
		all[count++] = plain("steady", "20 arrivals a second of 400 ms", 2 * HOUR, begin_steady, sim_check_steady);
		all[count++] = plain("low", "10 arrivals a second of 200 ms", 2 * HOUR, begin_low, sim_check_low);
		all[count++] = sine();
		all[count++] = burst();
		all[count++] = strategy(burst(), "burst-throughput", EP_STRATEGY_HIGH_THROUGHPUT);
		all[count++] = strategy(burst(), "burst-latency", EP_STRATEGY_LOW_LATENCY);
		all[count++] = strategy(burst(), "burst-dynamic", EP_STRATEGY_DYNAMIC);
		all[count++] = queue("queue", EP_STRATEGY_BALANCED);
		all[count++] = queue("queue-throughput", EP_STRATEGY_HIGH_THROUGHPUT);
		all[count++] = queue("queue-latency", EP_STRATEGY_LOW_LATENCY);
		all[count++] = slow();
		all[count++] = flat("flat", "the same, but exponential times, and more than 4 queries make it slower by little", 0);
		all[count++] = flat("flat-weather", "the same, and others make the remote slower and faster by 20 per cent", 0.2);
		all[count++] = dead("dead", "10 arrivals a second; the remote is away from minute 10 to 70", 5, sim_check_dead);
		all[count++] = dead("dead-unbroken", "the same without a breaker", 0, sim_check_unbroken);
		all[count++] = full();
		all[count++] = caps();
		all[count++] = many("many", "500 pools of 20, 10 to 34 sessions each for a minute, then rest", 20, sim_check_many);
		all[count++] = many("many-short", "the same with 30 each, so that max_connections 10000 is too little", 30, sim_check_short);
	}
	*n = count;
	return all;
}
