/*-------------------------------------------------------------------------
 *
 * checks.c
 *		What must come out of each trace.
 *
 * Bounds, not exact numbers: another seed, or another way to the same end, is
 * no failure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/schedule.h"
#include "sim.h"

int			sim_passed = 0;
int			sim_failed = 0;

#define CHECK(condition, ...) \
	count((condition), sim, __FILE__, __LINE__, #condition, __VA_ARGS__)

/* Counts one check; the message has the numbers. */
static void pg_attribute_printf(6, 7)
count(bool ok, const Sim *sim, const char *file, int line, const char *what, const char *format,...)
{
	va_list		args;

	if (ok)
	{
		sim_passed++;
		return;
	}
	sim_failed++;
	va_start(args, format);
	printf("FAILED %s:%d: %s, seed " UINT64_FORMAT ": %s: ", file, line, sim->trace->name, sim->seed, what);
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* ---------------------------------------------------------------- measures */

static double
mean_size(const Sim *sim, uint64 from_us, uint64 to_us)
{
	double		sum = 0;
	int			n = 0;

	for (int i = 0; i < sim->seen.nsamples; i++)
	{
		const SimSample *sample = &sim->seen.samples[i];

		if (sample->at_us < from_us || sample->at_us >= to_us)
			continue;
		sum += sample->size;
		n++;
	}
	return n > 0 ? sum / n : 0;
}

static int
scalings(const Sim *sim, uint64 from_us, uint64 to_us)
{
	int			n = 0;

	for (int i = 0; i < sim->seen.nscalings; i++)
		n += sim->seen.scalings[i].at_us >= from_us && sim->seen.scalings[i].at_us < to_us;
	return n;
}

/* Scalings down that come sooner after one up, of the same pool, than the cool-down allows. */
static int
hasty_scalings(const Sim *sim)
{
	uint64		cool_down_us = (uint64) (sim->trace->set.cool_down * 1e6);
	uint64		up_us = 0;
	int			n = 0;

	for (int i = 0; sim->trace->npools == 1 && i < sim->seen.nscalings; i++)
	{
		const SimScaling *scaling = &sim->seen.scalings[i];

		if (scaling->up)
			up_us = scaling->at_us;
		else
			n += up_us != 0 && scaling->at_us < up_us + cool_down_us;
	}
	return n;
}

static int
failures(const Sim *sim, uint64 from_us, uint64 to_us)
{
	int			n = 0;

	for (int i = 0; i < sim->seen.nfailures; i++)
		n += sim->seen.failures[i].at_us >= from_us && sim->seen.failures[i].at_us < to_us;
	return n;
}

/* ------------------------------------------------------------- every trace */

/* What holds whatever comes. */
void
sim_check_always(const Sim *sim)
{
	const SimTrace *trace = sim->trace;

	CHECK(sim->violations == 0, "%d violations", sim->violations);
	CHECK(sim->seen.most_size <= trace->set.max_size + trace->set.max_overflow, "%d", sim->seen.most_size);
	CHECK(sim->seen.most_used <= trace->max_connections, "%d", sim->seen.most_used);
	CHECK(trace->set.strategy == EP_STRATEGY_DYNAMIC || hasty_scalings(sim) == 0, "%d", hasty_scalings(sim));
	CHECK(sim->seen.came > 0, "nobody came");
}

/* The remote works: everybody is served, and the breaker knows of nothing. */
void
sim_check_served(const Sim *sim)
{
	const SimSeen *seen = &sim->seen;
	const SimSample *last = &seen->samples[seen->nsamples - 1];

	CHECK(seen->refused + seen->hopeless + seen->timed_out + seen->cut_off == 0,
		  UINT64_FORMAT " refused, " UINT64_FORMAT " hopeless, " UINT64_FORMAT " timed out, " UINT64_FORMAT " lost",
		  seen->refused, seen->hopeless, seen->timed_out, seen->cut_off);
	CHECK(last->served + last->waiting <= seen->came && seen->came - seen->served <= (uint64) Max(seen->most_waiting, 1) * sim->trace->npools,
		  UINT64_FORMAT " came, " UINT64_FORMAT " served", seen->came, seen->served);
	CHECK(seen->nchanges == 0, "%d", seen->nchanges);
}

/* -------------------------------------------------------------- trace by trace */

/* The size that scaling wants for so many leased. */
static int
size_for(const Sim *sim, int leased)
{
	return (int) ceil(leased / sim->trace->set.up - 1e-9);
}

void
sim_check_step(const Sim *sim)
{
	const SimSettings *set = &sim->trace->set;
	uint64		step = 2 * MINUTE;
	uint64		soon = step + 4 * sim->trace->remote.connect_us;
	int			floor = 1 + set->target_free;

	sim_check_served(sim);
	CHECK(sim_sample(sim, step - SECOND)->size <= set->initial_size, "%d", sim_sample(sim, step - SECOND)->size);
	CHECK(sim_sample(sim, soon)->size >= size_for(sim, 11), "%d at once after the step", sim_sample(sim, soon)->size);
	CHECK(sim_sample(sim, soon)->waiting == 0, "%d", sim_sample(sim, soon)->waiting);
	CHECK(mean_size(sim, step + MINUTE, 10 * MINUTE) <= size_for(sim, 11) + set->target_free + 0.5, "%.1f",
		  mean_size(sim, step + MINUTE, 10 * MINUTE));
	CHECK(scalings(sim, step + MINUTE, 10 * MINUTE) == 0, "%d", scalings(sim, step + MINUTE, 10 * MINUTE));

	/* one session is left, and needs 3 free ones beside its own; then nobody for more than 10 minutes */
	CHECK(sim_sample(sim, 20 * MINUTE)->size == floor, "%d", sim_sample(sim, 20 * MINUTE)->size);
	CHECK(sim_sample(sim, 46 * MINUTE)->size == set->min_size, "%d", sim_sample(sim, 46 * MINUTE)->size);
	CHECK(sim->seen.nscalings <= 12, "%d", sim->seen.nscalings);
}

/* Connections are made before they are needed: nobody waits but the first. */
void
sim_check_ramp(const Sim *sim)
{
	Size		waited = 0;

	sim_check_served(sim);
	for (Size i = 0; i < sim->seen.nwaits; i++)
		waited += sim->seen.waits[i] > 0;
	CHECK(waited <= 1, "%d waited", (int) waited);
}

/* Many wait all the time: evenly, or where some pass others, not for long. */
void
sim_check_queue(const Sim *sim)
{
	double		longest = sim_wait(sim, 1);

	sim_check_served(sim);
	if (sim->trace->set.strategy == EP_STRATEGY_HIGH_THROUGHPUT)
		CHECK(longest <= 200 * MS, "%.0f us", longest);
	else
		CHECK(longest <= 3.0 * sim_wait(sim, 0.5), "%.0f us, median %u us", longest, sim_wait(sim, 0.5));
}

/* Constant load, but for chance.  There are few scalings when the pool has room for what chance brings. */
void
sim_check_steady(const Sim *sim)
{
	sim_check_served(sim);
	CHECK(scalings(sim, 0, HOUR) <= 30, "%d", scalings(sim, 0, HOUR));
	CHECK(scalings(sim, HOUR, 2 * HOUR) <= 30, "%d", scalings(sim, HOUR, 2 * HOUR));
	CHECK(mean_size(sim, HOUR, 2 * HOUR) >= 8, "%.1f", mean_size(sim, HOUR, 2 * HOUR));
	CHECK(sim_wait(sim, 0.99) <= 2 * sim->trace->remote.connect_us, "%u us", sim_wait(sim, 0.99));
}

/* Scalings in an hour, if each was followed by one in the opposite direction as soon as that is allowed. */
static int
most_scalings(const Sim *sim)
{
	return (int) (3600 / sim->trace->set.cool_down * 2);
}

/*
 * A small load, of which chance makes a large one again and again: what it was
 * once is remembered, so the pool does not shrink in between.
 */
void
sim_check_low(const Sim *sim)
{
	sim_check_served(sim);
	CHECK(scalings(sim, 0, HOUR) <= most_scalings(sim), "%d", scalings(sim, 0, HOUR));
	CHECK(scalings(sim, HOUR, 2 * HOUR) <= most_scalings(sim) / 6, "%d", scalings(sim, HOUR, 2 * HOUR));
	CHECK(mean_size(sim, HOUR, 2 * HOUR) >= 5 && mean_size(sim, HOUR, 2 * HOUR) <= 13, "%.1f", mean_size(sim, HOUR, 2 * HOUR));
	CHECK(sim_wait(sim, 0.99) <= 2 * sim->trace->remote.connect_us, "%u us", sim_wait(sim, 0.99));
}

void
sim_check_sine(const Sim *sim)
{
	double		night = mean_size(sim, 23 * HOUR, 24 * HOUR);
	double		noon = mean_size(sim, 11 * HOUR, 13 * HOUR);
	double		morning = mean_size(sim, 6 * HOUR, 7 * HOUR);

	sim_check_served(sim);
	CHECK(noon >= 13.5, "%.1f", noon);
	CHECK(morning >= 7, "%.1f", morning);
	CHECK(night <= 8, "%.1f", night);
	CHECK(sim->seen.nscalings <= 24 * most_scalings(sim) / 2, "%d", sim->seen.nscalings);
	CHECK(sim_wait(sim, 0.99) <= 2 * sim->trace->remote.connect_us, "%u us", sim_wait(sim, 0.99));
}

void
sim_check_burst(const Sim *sim)
{
	const SimSettings *set = &sim->trace->set;

	sim_check_served(sim);
	CHECK(sim->seen.most_waiting <= 60 + 10, "%d", sim->seen.most_waiting);
	CHECK(sim_wait(sim, 1) <= (set->strategy == EP_STRATEGY_DYNAMIC ? 3 : 1) * SECOND, "%u us", sim_wait(sim, 1));
	CHECK(sim_sample(sim, 25 * MINUTE - 10 * SECOND)->waiting == 0, "%d", sim_sample(sim, 25 * MINUTE - 10 * SECOND)->waiting);
	CHECK(sim_sample(sim, 25 * MINUTE - 10 * SECOND)->size <= set->max_size, "%d", sim_sample(sim, 25 * MINUTE - 10 * SECOND)->size);
}

/* Leases a second, from then on. */
static double
pace(const Sim *sim, uint64 from_us)
{
	const SimSample *first = sim_sample(sim, from_us);
	const SimSample *last = &sim->seen.samples[sim->seen.nsamples - 1];

	return (last->served - first->served) * 1e6 / (last->at_us - first->at_us);
}

/* The same trace with a fixed size, for so long and from then on. */
static double
pace_of(const Sim *sim, int size, uint64 length_us, uint64 from_us)
{
	SimTrace	trace = *sim->trace;
	Sim		   *fixed;
	double		result;

	trace.set.strategy = EP_STRATEGY_BALANCED;
	trace.set.scaling = false;
	trace.set.initial_size = trace.set.min_size = trace.set.max_size = size;
	trace.length_us = length_us;
	trace.sample_us = SECOND;
	fixed = sim_run(&trace, sim->seed, false);
	result = pace(fixed, from_us);
	sim_free(fixed);
	return result;
}

/* The best of 1, 2, 4, ... 64. */
static int
best_fixed(const Sim *sim, uint64 length_us, uint64 from_us, double *rate)
{
	int			best = 0;

	*rate = 0;
	for (int size = 1; size <= 64; size *= 2)
	{
		double		own = pace_of(sim, size, length_us, from_us);

		if (own > *rate)
		{
			*rate = own;
			best = size;
		}
	}
	return best;
}

void
sim_check_slow(const Sim *sim)
{
	double		own = pace(sim, 3 * MINUTE);
	double		size = mean_size(sim, 3 * MINUTE, sim->trace->length_us);
	double		best;
	int			best_size = best_fixed(sim, MINUTE, 10 * SECOND, &best);

	sim_check_served(sim);
	CHECK(best_size == sim->trace->remote.cores, "%d", best_size);
	CHECK(own >= 0.95 * best, "%.1f a second, %.1f with %d connections", own, best, best_size);
	CHECK(size >= 0.75 * best_size && size <= 1.5 * best_size, "%.1f, best %d", size, best_size);
}

/* The weather is the same for all, so the same time is compared. */
void
sim_check_flat(const Sim *sim)
{
	double		own = pace(sim, 20 * SECOND);
	double		size = mean_size(sim, 20 * SECOND, sim->trace->length_us);
	double		best;
	int			best_size = best_fixed(sim, sim->trace->length_us, 20 * SECOND, &best);

	sim_check_served(sim);
	CHECK(own >= 0.95 * best, "%.1f a second, %.1f with %d connections", own, best, best_size);
	CHECK(size >= 3 && size <= 16, "%.1f, best %d", size, best_size);
}

/* ----------------------------------------------------------------- outages */

/* From the moment at which it is known again that all is well. */
static uint64
well_again(const Sim *sim)
{
	for (int i = 0; i < sim->seen.nchanges; i++)
	{
		if (sim->seen.changes[i].change == EP_BREAKER_RESET)
			return sim->seen.changes[i].at_us;
	}
	return PG_UINT64_MAX;
}

void
sim_check_dead(const Sim *sim)
{
	const SimSeen *seen = &sim->seen;
	const SimRemote *remote = &sim->trace->remote;
	const SimSample *last = &seen->samples[seen->nsamples - 1];
	double		pause = sim->trace->set.recovery;
	uint64		well = well_again(sim);
	int			tries = 0;

	CHECK(seen->nchanges > 0 && seen->changes[0].change == EP_BREAKER_TRIPPED, "%d changes", seen->nchanges);
	CHECK(seen->nchanges > 0 && seen->changes[0].failures == sim->trace->set.threshold, "%d failures", seen->changes[0].failures);
	/* those that were under way at the same time count as one */
	CHECK(seen->nchanges > 0 && failures(sim, 0, seen->changes[0].at_us + 1) <= sim->trace->set.threshold + seen->most_connecting,
		  "%d attempts failed before it opened", failures(sim, 0, seen->changes[0].at_us + 1));
	CHECK(seen->nchanges > 0 && seen->changes[0].at_us <= remote->down_us + 30 * SECOND, "%.1f s", seen->changes[0].at_us / 1e6);
	/* not by many that fail at once, but by some that fail one after the other */
	CHECK(seen->nchanges > 0 && seen->changes[0].at_us >= remote->down_us + 8 * SECOND, "%.1f s", seen->changes[0].at_us / 1e6);
	for (int i = 0; i < seen->nchanges; i++)
	{
		const SimChange *change = &seen->changes[i];

		if (change->change != EP_BREAKER_TRIPPED && change->change != EP_BREAKER_REOPENED)
			continue;
		CHECK(change->pause_s >= 0.74 * pause && change->pause_s <= 1.01 * pause, "pause %d: %.1f s, not %.1f", tries, change->pause_s, pause);
		pause = Min(pause * 2, ep_breaker_longest(sim->trace->set.recovery));
		tries++;
	}
	CHECK(tries >= 24 && tries <= 48, "%d", tries);
	CHECK(failures(sim, remote->down_us, remote->back_us) <= sim->trace->set.threshold + seen->most_connecting + tries, "%d, of which %d after a pause",
		  failures(sim, remote->down_us, remote->back_us), tries);
	CHECK(well <= remote->back_us + (uint64) (ep_breaker_longest(sim->trace->set.recovery) * 1e6) + SECOND, "%.1f s", well / 1e6);
	CHECK(seen->nchanges > 0 && seen->changes[seen->nchanges - 1].change == EP_BREAKER_RESET, "not closed in the end");
	CHECK(failures(sim, remote->back_us, PG_UINT64_MAX) == 0, "%d", failures(sim, remote->back_us, PG_UINT64_MAX));
	CHECK(sim_sample(sim, well + 10 * SECOND)->size >= sim->trace->set.min_size, "%d", sim_sample(sim, well + 10 * SECOND)->size);
	CHECK(last->came - sim_sample(sim, well)->came <= last->served - sim_sample(sim, well)->served + seen->most_waiting,
		  "not everybody is served again");
	CHECK(seen->refused + seen->hopeless + seen->cut_off > 0 && seen->timed_out == 0, UINT64_FORMAT " timed out", seen->timed_out);
	CHECK(seen->came - seen->served - seen->refused - seen->hopeless == 0, UINT64_FORMAT " came, " UINT64_FORMAT " served",
		  seen->came, seen->served);
}

void
sim_check_unbroken(const Sim *sim)
{
	const SimSeen *seen = &sim->seen;
	const SimRemote *remote = &sim->trace->remote;
	uint64		longest = 0;
	uint64		shortest = PG_UINT64_MAX;
	uint64		before = 0;

	for (int i = 0; i < seen->nfailures; i++)
	{
		uint64		at = seen->failures[i].at_us;

		/* health checks go on by their interval */
		if (seen->failures[i].probe || at < remote->down_us + 10 * MINUTE)
			continue;
		if (before > 0)
		{
			longest = Max(longest, at - before);
			shortest = Min(shortest, at - before);
		}
		before = at;
	}
	CHECK(seen->nchanges == 0, "%d", seen->nchanges);
	CHECK(shortest >= 0.74 * EP_BACKOFF_CAP * SECOND && longest <= (EP_BACKOFF_CAP + 1) * SECOND,
		  "%.1f to %.1f s between two attempts", shortest / 1e6, longest / 1e6);
	CHECK(seen->connects_failed <= 100, UINT64_FORMAT, seen->connects_failed);
	CHECK(failures(sim, remote->back_us, PG_UINT64_MAX) == 0, "%d", failures(sim, remote->back_us, PG_UINT64_MAX));
	CHECK(sim_sample(sim, remote->back_us + 2 * MINUTE)->size >= sim->trace->set.min_size, "%d",
		  sim_sample(sim, remote->back_us + 2 * MINUTE)->size);
}

/* The remote takes fewer than the pool would like: no failure, and it is asked for more now and then. */
void
sim_check_full(const Sim *sim)
{
	const SimSeen *seen = &sim->seen;

	CHECK(seen->nchanges == 0, "%d", seen->nchanges);
	CHECK(seen->refused + seen->hopeless + seen->timed_out == 0, UINT64_FORMAT " refused", seen->refused);
	CHECK(sim_sample(sim, 10 * MINUTE)->leased == sim->trace->remote.most, "%d", sim_sample(sim, 10 * MINUTE)->leased);
	CHECK(seen->connects_failed >= 10, UINT64_FORMAT, seen->connects_failed);
	/* one in 30 s, and those that were under way when it was full for the first time */
	CHECK(seen->connects_failed <= sim->trace->length_us / (30 * SECOND) + sim->trace->set.max_size - sim->trace->remote.most,
		  UINT64_FORMAT, seen->connects_failed);
}

/* How many of a pool were leased in the mean. */
static double
mean_leased(const Sim *sim, int pool, uint64 from_us, uint64 to_us)
{
	double		sum = 0;
	int			n = 0;

	for (int i = 0; i < sim->seen.nsamples; i++)
	{
		const SimSample *sample = &sim->seen.samples[i];

		if (sample->at_us < from_us || sample->at_us >= to_us)
			continue;
		sum += sample->leased_of[pool];
		n++;
	}
	return n > 0 ? sum / n : 0;
}

/*
 * A used-up cap is shared: who wants little has it, the others have equally
 * much, nobody has to wait for longer than his share takes, and everybody keeps
 * min_size.  That the cap holds is looked at all the time.
 */
void
sim_check_caps(const Sim *sim)
{
	int			cap = sim->trace->server_cap;
	int			min_size = sim->trace->set.min_size;
	double		each = (cap - 3 - min_size) / 2.0;	/* of those that want more */
	uint64		from = 2 * MINUTE + 10 * SECOND;
	uint64		to = 6 * MINUTE;

	sim_check_served(sim);
	CHECK(sim->seen.most_used == cap, "%d", sim->seen.most_used);
	CHECK(mean_leased(sim, 0, 45 * SECOND, MINUTE) >= cap - min_size - 1.5, "%.1f while nobody else wants any", mean_leased(sim, 0, 45 * SECOND, MINUTE));
	for (int i = 0; i < 2; i++)
		CHECK(fabs(mean_leased(sim, i, from, to) - each) <= 1, "pool %d: %.1f", i, mean_leased(sim, i, from, to));
	CHECK(mean_leased(sim, 2, from, to) >= 2.8, "%.1f", mean_leased(sim, 2, from, to));
	CHECK(mean_leased(sim, 1, to + 10 * SECOND, 8 * MINUTE) >= 11.5, "%.1f when the first has gone", mean_leased(sim, 1, to + 10 * SECOND, 8 * MINUTE));

	/* a share of 9 for 40 sessions of 100 ms takes half a second to go round */
	for (int i = 0; i < sim->trace->npools; i++)
		CHECK(sim->pools[i].longest_wait <= (i == 0 ? 2000 : 500) * MS, "pool %d: %.3f s", i, sim->pools[i].longest_wait / 1e6);
	for (int i = 0; i < sim->seen.nsamples; i++)
	{
		const SimSample *sample = &sim->seen.samples[i];

		for (int pool = 0; pool < sim->trace->npools; pool++)
		{
			if (sample->at_us >= (pool == 3 ? 0 : 2 * MINUTE) + 10 * SECOND)
				CHECK(sample->size_of[pool] >= min_size, "pool %d has %d at %.0f s", pool, sample->size_of[pool], sample->at_us / 1e6);
		}
	}
}

/* In the end nobody waits, and the pools become smaller. */
static void
check_rest(const Sim *sim)
{
	const SimSample *rest = &sim->seen.samples[sim->seen.nsamples - 1];

	CHECK(rest->waiting == 0 && rest->leased == 0, "%d wait, %d have one", rest->waiting, rest->leased);
	CHECK(rest->size < sim->seen.most_used / 2, "%d", rest->size);
	CHECK(rest->size >= sim->trace->set.min_size, "%d", rest->size);
}

void
sim_check_many(const Sim *sim)
{
	sim_check_served(sim);
	CHECK(sim->seen.most_used >= sim->trace->max_connections * 9 / 10, "%d", sim->seen.most_used);
	CHECK(scalings(sim, 20 * SECOND, MINUTE) <= sim->trace->npools * 3, "%d", scalings(sim, 20 * SECOND, MINUTE));
	check_rest(sim);
}

/* Not all can have what they want; that the bound holds is looked at all the time. */
void
sim_check_short(const Sim *sim)
{
	CHECK(sim->seen.most_used == sim->trace->max_connections, "%d", sim->seen.most_used);
	CHECK(sim->seen.served > sim->seen.came * 9 / 10, UINT64_FORMAT " of " UINT64_FORMAT, sim->seen.served, sim->seen.came);
	CHECK(sim->seen.nchanges == 0, "%d", sim->seen.nchanges);
	check_rest(sim);
}
