/*-------------------------------------------------------------------------
 *
 * sim.c
 *		Virtual time: a queue of events, and what each of them does.
 *
 * Nothing here looks at a clock, and events of the same moment happen in the
 * order in which they were asked for, so a run is the same each time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "sim.h"

/* The worker's timer, as in src/worker/keeper.c. */
#define TIMER_US	UINT64CONST(500000)

/* The virtual clock does not begin with 0, which means "never" in many places. */
#define BEGIN_US	SECOND

/* More events than this at one moment are a loop. */
#define MAX_AT_ONCE		1000000

#define WEATHER_STAYS	0.9

#define MAX_VIOLATIONS	10		/* are printed */

struct SimEvent
{
	uint64		at_us;
	uint64		seq;
	SimEventKind kind;
	int			which;
	uint32		serial;
};

/* Makes room for one element more; exits if there is none. */
void *
sim_grow(void *array, int used, int *size, Size each)
{
	if (used < *size)
		return array;
	*size = Max(*size * 2, 64);
	array = realloc(array, *size * each);
	if (array == NULL)
	{
		printf("out of memory\n");
		exit(1);
	}
	return array;
}

/* A number in [0, 1), the same ones for the same seed (xorshift64*). */
static double
next_random(uint64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return ((*state * UINT64CONST(2685821657736338717)) >> 11) / 9007199254740992.0;
}

double
sim_random(Sim *sim)
{
	return next_random(&sim->random);
}

/* Half a second later: most of the weather is as it was. */
static void
change_weather(Sim *sim)
{
	double		sum = 0;

	for (int i = 0; i < 12; i++)
		sum += next_random(&sim->weather) - 0.5;
	sim->slowness = WEATHER_STAYS * sim->slowness +
		sqrt(1 - WEATHER_STAYS * WEATHER_STAYS) * sim->trace->remote.weather * sum;
}

/* What must hold at each moment does not. */
void
sim_violated(Sim *sim, const char *format,...)
{
	va_list		args;

	if (sim->violations++ >= MAX_VIOLATIONS)
		return;
	va_start(args, format);
	printf("VIOLATED %s, seed " UINT64_FORMAT ", at %.6f s: ", sim->trace->name, sim->seed, sim->now / 1e6);
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

/* ---------------------------------------------------------------- the queue */

static bool
earlier(const SimEvent *a, const SimEvent *b)
{
	return a->at_us < b->at_us || (a->at_us == b->at_us && a->seq < b->seq);
}

/* Something is to happen at that time. */
void
sim_at(Sim *sim, uint64 at_us, SimEventKind kind, int which, uint32 serial)
{
	SimEvent	event = {Max(at_us, sim->now), sim->next_seq++, kind, which, serial};
	int			i = sim->nevents++;

	sim->events = sim_grow(sim->events, i, &sim->events_size, sizeof(SimEvent));
	for (; i > 0 && earlier(&event, &sim->events[(i - 1) / 2]); i = (i - 1) / 2)
		sim->events[i] = sim->events[(i - 1) / 2];
	sim->events[i] = event;
}

static SimEvent
next_event(Sim *sim)
{
	SimEvent	first = sim->events[0];
	SimEvent	last = sim->events[--sim->nevents];
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= sim->nevents)
			break;
		if (child + 1 < sim->nevents && earlier(&sim->events[child + 1], &sim->events[child]))
			child++;
		if (!earlier(&sim->events[child], &last))
			break;
		sim->events[i] = sim->events[child];
		i = child;
	}
	sim->events[i] = last;
	return first;
}

/* ----------------------------------------------------------------- samples */

/* One more look at that time. */
void
sim_sample_at(Sim *sim, uint64 at_us)
{
	sim_at(sim, at_us, SIM_SAMPLE, 0, 0);
}

static void
take_sample(Sim *sim)
{
	SimSeen    *seen = &sim->seen;
	const SimPool *first = &sim->pools[0];
	SimSample  *sample;

	seen->samples = sim_grow(seen->samples, seen->nsamples, &seen->samples_size, sizeof(SimSample));
	sample = &seen->samples[seen->nsamples++];
	memset(sample, 0, sizeof(SimSample));
	sample->at_us = sim->now;
	for (int i = 0; i < sim->trace->npools; i++)
	{
		sample->size += sim->pools[i].size;
		sample->idle += sim->pools[i].n_idle;
		sample->leased += sim->pools[i].n_leased;
		sample->connecting += sim->pools[i].n_connecting;
		sample->waiting += sim->pools[i].n_waiting;
		if (i >= SIM_SAMPLED)
			continue;
		sample->size_of[i] = sim->pools[i].size - sim->pools[i].n_ending;
		sample->leased_of[i] = sim->pools[i].n_leased;
	}
	sample->load_1m = ep_load_average(&first->load, sim_load(first), sim->now, EP_LOAD_1M);
	sample->load_5m = ep_load_average(&first->load, sim_load(first), sim->now, EP_LOAD_5M);
	sample->breaker = first->breaker.state;
	sample->came = seen->came;
	sample->served = seen->served;
}

/* -------------------------------------------------------------------- events */

static void
happens_to_conn(Sim *sim, const SimEvent *event)
{
	if (sim->conns[event->which].serial != event->serial)
		return;
	switch (event->kind)
	{
		case SIM_CONNECTED:
			sim_connected(sim, event->which);
			break;
		case SIM_QUERY_ENDS:
			sim_query_ends(sim, event->which);
			break;
		case SIM_VALIDATED:
			sim->conns[event->which].last_validated_us = sim->now;
			sim->pools[sim->conns[event->which].pool].last_success_us = sim->now;
			sim_conn_give(sim, event->which);
			break;
		default:
			sim_conn_closed(sim, event->which);
	}
}

static void
happens(Sim *sim, const SimEvent *event)
{
	switch (event->kind)
	{
		case SIM_TIMER:
			sim_round(sim, true);
			sim_verify(sim);
			change_weather(sim);
			sim_at(sim, sim->now + TIMER_US, SIM_TIMER, 0, 0);
			break;
		case SIM_ROUND:
			sim->round_due = false;
			sim_round(sim, false);
			break;
		case SIM_WAKE:
			if (sim->pools[event->which].wake_at <= sim->now)
				sim->pools[event->which].wake_at = 0;
			sim_wake_worker(sim, event->which);
			break;
		case SIM_SOURCE:
			sim_source(sim, event->which);
			break;
		case SIM_RESUMES:
		case SIM_LOOKS:
		case SIM_GIVES_UP:
			if (sim->jobs[event->which].serial != event->serial)
				break;
			if (event->kind == SIM_RESUMES)
				sim_resumes(sim, event->which);
			else
				sim_looks(sim, event->which, event->kind == SIM_GIVES_UP);
			break;
		case SIM_REMOTE_DOWN:
			sim->down = true;
			sim_remote_lost(sim);
			break;
		case SIM_REMOTE_BACK:
			sim->down = false;
			break;
		case SIM_SAMPLE:
			take_sample(sim);
			if (event->which == 1)
				sim_at(sim, sim->now + sim->trace->sample_us, SIM_SAMPLE, 1, 0);
			break;
		default:
			happens_to_conn(sim, event);
	}
}

/* ----------------------------------------------------------------------- run */

static void *
zeroed(Size n, Size each)
{
	void	   *result = calloc(n, each);

	if (result == NULL)
	{
		printf("out of memory\n");
		exit(1);
	}
	return result;
}

/* More work. */
void
sim_add_source(Sim *sim, SimSource source)
{
	sim->sources = sim_grow(sim->sources, sim->nsources, &sim->sources_size, sizeof(SimSource));
	if (source.from_us == 0)
		source.from_us = BEGIN_US;
	if (source.to_us == 0)
		source.to_us = PG_UINT64_MAX;
	sim->sources[sim->nsources] = source;
	sim_at(sim, source.from_us, SIM_SOURCE, sim->nsources++, 0);
}

static Sim *
prepare(const SimTrace *trace, uint64 seed, bool verbose)
{
	Sim		   *sim = zeroed(1, sizeof(Sim));

	sim->trace = trace;
	sim->seed = seed;
	sim->random = (seed + 1) * UINT64CONST(0x9E3779B97F4A7C15);
	sim->weather = sim->random ^ UINT64CONST(0x5DEECE66D);
	sim->verbose = verbose;
	sim->now = BEGIN_US;
	sim->pools = zeroed(trace->npools, sizeof(SimPool));
	for (int i = 0; i < trace->npools; i++)
	{
		sim->pools[i].idle_head = sim->pools[i].idle_tail = NONE;
		sim->pools[i].wait_head = sim->pools[i].wait_tail = NONE;
		sim->pools[i].grow_above = PG_INT32_MAX;
		sim->pools[i].ration = EP_NO_RATION;
	}
	sim->conns = zeroed(trace->max_connections, sizeof(SimConn));
	for (int i = 0; i < trace->max_connections; i++)
		sim->conns[i].next = i + 1 < trace->max_connections ? i + 1 : NONE;
	sim->free_job = NONE;
	return sim;
}

/* Runs a trace.  The result is for sim_free(). */
Sim *
sim_run(const SimTrace *trace, uint64 seed, bool verbose)
{
	Sim		   *sim = prepare(trace, seed, verbose);
	int			at_once = 0;

	sim_at(sim, BEGIN_US, SIM_TIMER, 0, 0);
	sim_at(sim, BEGIN_US, SIM_SAMPLE, 1, 0);
	if (trace->remote.down_us > 0)
	{
		sim_at(sim, trace->remote.down_us, SIM_REMOTE_DOWN, 0, 0);
		sim_at(sim, trace->remote.back_us, SIM_REMOTE_BACK, 0, 0);
	}
	trace->begin(sim);
	while (sim->nevents > 0 && sim->events[0].at_us <= trace->length_us)
	{
		SimEvent	event = next_event(sim);

		at_once = event.at_us == sim->now ? at_once + 1 : 0;
		if (at_once > MAX_AT_ONCE)
		{
			sim_violated(sim, "time stands still");
			break;
		}
		sim->now = event.at_us;
		happens(sim, &event);
	}
	sim->now = trace->length_us;
	return sim;
}

/* Gives the memory of a run back. */
void
sim_free(Sim *sim)
{
	free(sim->events);
	free(sim->pools);
	free(sim->conns);
	free(sim->jobs);
	free(sim->sources);
	free(sim->seen.waits);
	free(sim->seen.samples);
	free(sim->seen.scalings);
	free(sim->seen.changes);
	free(sim->seen.failures);
	free(sim);
}
