/*-------------------------------------------------------------------------
 *
 * test_tuner.c
 *		How many connections strategy "dynamic" has, tried on models of remotes
 *		and of sessions that ask them again and again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/tuner.h"
#include "unit.h"

/* ------------------------------------------------------------- Erlang's C */

typedef struct Servers
{
	double		load;
	double		wait;
	int			most;
	int			servers;
} Servers;

/* Mean waits in service times: one server rho / (1 - rho), two rho^2 / (1 - rho^2). */
static const Servers servers[] = {
	{0, 0.1, 20, 0},
	{0.05, 0.1, 20, 1},			/* waits 0.053 */
	{0.10, 0.1, 20, 2},			/* one: 0.111 */
	{0.60, 0.1, 20, 2},			/* two: 0.099 */
	{0.62, 0.1, 20, 3},			/* two: 0.106 */
	{5, 0.1, 5, 5},
	{50, 0.1, 20, 20},
};

static void
test_servers(void)
{
	for (Size i = 0; i < lengthof(servers); i++)
	{
		const Servers *s = &servers[i];

		CHECK_INT(ep_tuner_servers(s->load, s->wait, s->most), s->servers, "load %g", s->load);
	}

	/* for large loads that is the load and some times its root */
	for (double load = 16; load < 4000; load *= 2)
	{
		double		beta = (ep_tuner_servers(load, 0.1, 100000) - load) / sqrt(load);

		CHECK(beta > 0 && beta <= 1, "load %g: beta %g", load, beta);
	}
}

/* ---------------------------------------------------------- a closed loop */

/* A remote with sessions that think and ask. */
typedef struct Model
{
	double		service;		/* seconds of one statement alone */
	int			k;				/* how many the remote works on at full speed */
	double		slope;			/* each further one slows all of them down by this part */
	double		locked;			/* part of the statements that need one lock for their time */
	int			sessions;
	double		think;			/* seconds */
	double		noise;			/* throughput of a step is off by up to this part */
	double		drift;			/* and all of a time by about that: others use the machine */
	bool		chance;			/* the times of statements are exponential */
	const double *curve;		/* instead of a model: statements a second with 1, 2, 4, ... connections */
} Model;

/* What was measured of one: short look-ups and a row that a fifth of the statements update. */
static const double flat[] = {1811, 2186, 2268, 2231, 2161, 2070, 1842};

/* Seconds of a statement while n are under way. */
static double
latency(const Model *m, int n)
{
	double		cpu = n <= m->k ? m->service : m->service * n / m->k * (1 + m->slope * (n - m->k));
	double		place = log2(n);
	int			whole = (int) place;

	if (m->curve)
		return n / (m->curve[whole] + (place > whole ? (place - whole) * (m->curve[whole + 1] - m->curve[whole]) : 0));
	/* what queues for the lock waits for all others of its kind */
	return Max(cpu, m->locked > 0 ? n * m->locked * m->service : 0);
}

/* Statements a second with size connections; *waiting: sessions that wait for one. */
static double
throughput(const Model *m, int size, double *waiting)
{
	int			busy = Min(size, m->sessions);
	double		rate = busy / latency(m, busy);

	/* fewer are busy when sessions think for longer than that keeps them busy */
	while (busy > 1 && m->sessions - rate * m->think < busy)
	{
		busy--;
		rate = busy / latency(m, busy);
	}
	*waiting = busy < size ? 0 : Max(m->sessions - rate * m->think - busy, 0);
	return rate;
}

static double
best_throughput(const Model *m, int max_size)
{
	double		best = 0;
	double		waiting;

	for (int size = 1; size <= max_size; size++)
		best = Max(best, throughput(m, size, &waiting));
	return best;
}

typedef struct Run
{
	EpTuner		tuner;
	EpTunerInput in;
	double		done;			/* of the part measured */
	double		possible;
	int			changes;		/* of wanted, in that part */
	int			lowest;
	int			highest;
	double		sum;			/* of sizes */
	double		drift;
} Run;

/* About evenly distributed between -1 and 1, or with a deviation of 1. */
static double
even(void)
{
	return (unit_random(2001) - 1000) / 1000.0;
}

static double
normal(void)
{
	double		sum = 0;

	for (int i = 0; i < 12; i++)
		sum += even() / 2;
	return sum;
}

/* What is seen of a pace in half a second. */
static double
seen_of(Run *run, const Model *m, double rate)
{
	double		seen = rate * (1 + m->noise * even());

	run->drift = 0.9 * run->drift + m->drift * sqrt(1 - 0.9 * 0.9) * normal();
	seen *= exp(run->drift);
	if (m->chance)
		seen += normal() * sqrt(seen * 2);
	return Max(seen, 0);
}

/* So many steps of half a second; the last ones are measured. */
static void
run_model(Run *run, const Model *m, int steps, int measured)
{
	EpTunerInput *in = &run->in;
	double		best = best_throughput(m, in->max_size);

	run->done = run->possible = run->sum = 0;
	run->changes = 0;
	run->lowest = PG_INT32_MAX;
	run->highest = 0;
	for (int i = 0; i < steps; i++)
	{
		int			before = run->tuner.wanted;
		double		waiting;
		double		rate = throughput(m, Max(in->present, 1), &waiting);
		double		busy = Min(rate * latency(m, Min(Max(in->present, 1), m->sessions)), in->present);
		double		seen = seen_of(run, m, rate);

		in->now_us += 500000;
		in->seen.at_us = in->now_us;
		in->seen.leased_area += busy * 500000;
		in->seen.waiting_area += waiting * 500000;
		in->seen.completed += (uint64) (seen / 2);
		ep_tuner_step(&run->tuner, in);
		in->asked = 0;
		/* connections come and go within the step; waiters get one up to the limit */
		in->present = Min(Max(run->tuner.wanted, (int) ceil(busy + waiting)), run->tuner.limit);
		if (i < steps - measured)
			continue;
		run->done += rate;
		run->possible += best;
		run->changes += run->tuner.wanted != before;
		run->lowest = Min(run->lowest, in->present);
		run->highest = Max(run->highest, in->present);
		run->sum += in->present;
	}
	CHECK(run->tuner.limit >= 1 && run->tuner.limit <= in->max_size, "limit %d", run->tuner.limit);
	CHECK(run->tuner.wanted >= in->min_size && run->tuner.wanted <= run->tuner.limit, "wanted %d", run->tuner.wanted);
}

static Run
new_run(int max_size)
{
	return (Run) {.in = {.min_size = 1, .max_size = max_size, .asked = 5, .now_us = 1}};
}

typedef struct Loop
{
	const char *about;
	Model		model;
	int			least;			/* bounds of the mean size in the end */
	int			most;
} Loop;

static const Loop loops[] = {
	{"rises beyond 2", {.service = 0.001, .k = 2, .slope = 0.02, .sessions = 64, .noise = 0.02}, 2, 6},
	{"rises beyond 8", {.service = 0.001, .k = 8, .slope = 0.02, .sessions = 64, .noise = 0.02}, 6, 12},
	{"rises beyond 16", {.service = 0.002, .k = 16, .slope = 0.02, .sessions = 64, .think = 0.001, .noise = 0.02}, 13, 22},
	{"rises beyond 32", {.service = 0.005, .k = 32, .slope = 0.01, .sessions = 64, .noise = 0.02}, 28, 42},
	{"sleeps: the more the better", {.service = 0.005, .k = 1000, .sessions = 64, .noise = 0.02}, 58, 64},
	{"sleeps, half of the sessions think", {.service = 0.005, .k = 1000, .sessions = 20, .think = 0.005, .noise = 0.02}, 8, 24},
	{"does not get slower beyond 8, only not faster", {.service = 0.001, .k = 8, .sessions = 64, .noise = 0.02}, 6, 64},
	{"sessions and remote share two processors", {.service = 0.0001, .k = 2, .slope = 0.004, .sessions = 64, .think = 0.0001, .noise = 0.02}, 1, 30},
	{"a lock for a fifth", {.service = 0.001, .k = 8, .slope = 0.005, .locked = 0.2, .sessions = 64, .noise = 0.02}, 4, 64},
	{"a lock for all", {.service = 0.001, .k = 8, .slope = 0.01, .locked = 1, .sessions = 64, .noise = 0.02}, 1, 64},
};

static void
test_loops(void)
{
	for (Size i = 0; i < lengthof(loops); i++)
	{
		const Loop *l = &loops[i];
		Run			run = new_run(64);
		double		mean;

		run_model(&run, &l->model, 1200, 600);
		mean = run.sum / 600;
		CHECK(mean >= l->least && mean <= l->most, "%s: size %.1f (%d to %d)", l->about, mean, run.lowest, run.highest);
		CHECK(run.done >= 0.95 * run.possible, "%s: %.1f per cent of the best, size %.1f", l->about,
			  100 * run.done / run.possible, mean);
		CHECK(run.changes <= 600 / 6, "%s: changed %d times", l->about, run.changes);
	}
}

/*
 * A curve that is flat for a few per cent between neighbours, and noise that is
 * larger.  What is lost is looked at over many runs, after the first 20 s.
 */
static void
test_noise(void)
{
	static const struct
	{
		const char *about;
		Model		model;
	}			cases[] = {
		{"quiet", {.sessions = 64, .noise = 0.02, .curve = flat}},
		{"noise", {.sessions = 64, .noise = 0.2, .curve = flat}},
		{"drift", {.sessions = 64, .noise = 0.05, .drift = 0.2, .curve = flat}},
		{"chance", {.sessions = 64, .chance = true, .curve = flat}},
		{"all", {.sessions = 64, .noise = 0.1, .drift = 0.1, .chance = true, .curve = flat}},
		{"slow, chance", {.service = 0.02, .k = 8, .slope = 0.02, .sessions = 64, .chance = true}},
		{"slow, drift", {.service = 0.02, .k = 8, .slope = 0.02, .sessions = 64, .drift = 0.1, .chance = true}},
		{"sleep, drift", {.service = 0.005, .k = 1000, .sessions = 64, .drift = 0.2, .chance = true}},
	};

	for (Size i = 0; i < lengthof(cases); i++)
	{
		double		worst = 1;
		double		sum = 0;
		double		sizes = 0;

		for (int n = 0; n < 20; n++)
		{
			Run			run = new_run(64);

			run_model(&run, &cases[i].model, 640, 600);
			worst = Min(worst, run.done / run.possible);
			sum += run.done / run.possible;
			sizes += run.sum / 600;
		}
		CHECK(sum / 20 >= 0.95, "%s: %.1f per cent of the best, size %.1f", cases[i].about, 5 * sum, sizes / 20);
		CHECK(worst >= 0.92, "%s: %.1f per cent of the best in the worst run", cases[i].about, 100 * worst);
	}
}

/* A remote that sleeps is made full use of soon. */
static void
test_speed(void)
{
	Model		m = {.service = 0.005, .k = 1000, .sessions = 64};
	Run			run = new_run(64);

	run_model(&run, &m, 60, 20);
	CHECK(run.highest == 64 && run.sum / 20 >= 58, "after 20 s there are %d, in the mean %.1f", run.highest, run.sum / 20);
}

/* What the remote or the sessions were is forgotten when they become otherwise. */
static void
test_changes(void)
{
	Model		wide = {.service = 0.002, .k = 32, .slope = 0.01, .sessions = 64, .noise = 0.02};
	Model		narrow = {.service = 0.002, .k = 4, .slope = 0.05, .sessions = 64, .noise = 0.02};
	Model		few = {.service = 0.002, .k = 32, .sessions = 2, .think = 0.1};
	Run			run = new_run(64);

	run_model(&run, &wide, 400, 100);
	CHECK(run.lowest >= 20, "wide: %d to %d", run.lowest, run.highest);
	run_model(&run, &narrow, 400, 100);
	CHECK(run.highest <= 10, "narrow: %d to %d", run.lowest, run.highest);
	run_model(&run, &wide, 400, 100);
	CHECK(run.lowest >= 20, "wide again: %d to %d", run.lowest, run.highest);
	run_model(&run, &few, 400, 100);
	CHECK(run.highest <= 3, "few sessions: %d to %d", run.lowest, run.highest);
	CHECK_INT(run.changes, 0, "few sessions: nothing changes any more");
	run_model(&run, &wide, 20, 10);
	CHECK(run.lowest >= 20, "all are back, and what was known is: %d to %d", run.lowest, run.highest);
}

/* Nobody gives a connection back: others may have some, up to max_size. */
static void
test_held(void)
{
	Run			run = new_run(20);

	for (int i = 0; i < 80; i++)
	{
		run.in.now_us += 500000;
		run.in.seen.leased_area += run.in.present * 500000.0;
		run.in.seen.waiting_area += 3 * 500000.0;
		ep_tuner_step(&run.tuner, &run.in);
		run.in.present = run.tuner.limit;
	}
	CHECK_INT(run.tuner.limit, 20, "all of max_size");
}

/* An unused pool goes down to min_size, and whoever comes may have one. */
static void
test_unused(void)
{
	Run			run = new_run(20);

	run.in.min_size = 0;
	run.in.asked = 0;
	for (int i = 0; i < 200; i++)
	{
		run.in.now_us += 500000;
		ep_tuner_step(&run.tuner, &run.in);
		run.in.present = run.tuner.wanted;
	}
	CHECK_INT(run.tuner.wanted, 0, "nobody comes");
	CHECK(run.tuner.limit >= 1, "but may");
}

/* What is asked for is opened, and goes again if nobody has need of it. */
static void
test_asked(void)
{
	Run			run = new_run(20);

	ep_tuner_step(&run.tuner, &run.in);
	CHECK_INT(run.tuner.wanted, 5, "first fill");
	run.in.present = 5;
	run.in.asked = 0;
	for (int i = 0; i < 60; i++)
	{
		run.in.now_us += 500000;
		ep_tuner_step(&run.tuner, &run.in);
		run.in.present = run.tuner.wanted;
	}
	CHECK_INT(run.tuner.wanted, 1, "nobody came");
	run.in.asked = 12;
	run.in.now_us += 500000;
	ep_tuner_step(&run.tuner, &run.in);
	CHECK_INT(run.tuner.wanted, 12, "twelve");
	CHECK(run.tuner.limit >= 12, "limit");
	run.in.asked = 0;
	run.in.present = 12;
	run.in.now_us += EP_TUNER_KEEP_US / 2;
	ep_tuner_step(&run.tuner, &run.in);
	CHECK_INT(run.tuner.wanted, 12, "are kept");
	for (int i = 0; i < 60; i++)
	{
		run.in.now_us += 500000;
		ep_tuner_step(&run.tuner, &run.in);
	}
	CHECK_INT(run.tuner.wanted, 1, "for a while");
}

/* The hand-over follows what is seen, and does not flap. */
static void
test_hand_over(void)
{
	static const struct
	{
		double		waiting;
		double		handover_us;
		EpStrategy	expected;
	}			steps[] = {
		{0, 100, EP_STRATEGY_LOW_LATENCY},
		{5, 100, EP_STRATEGY_BALANCED},
		{5, 200, EP_STRATEGY_BALANCED},
		{5, 300, EP_STRATEGY_HIGH_THROUGHPUT},
		{5, 200, EP_STRATEGY_HIGH_THROUGHPUT},
		{5, 100, EP_STRATEGY_BALANCED},
		{0, 300, EP_STRATEGY_LOW_LATENCY},
	};
	Run			run = new_run(20);

	run.in.present = 4;
	ep_tuner_step(&run.tuner, &run.in);
	for (Size i = 0; i < lengthof(steps); i++)
	{
		/* before a window is over, so that no limit is on trial */
		run.in.now_us += 10000;
		run.in.seen.waiting_area += steps[i].waiting * 10000;
		run.in.seen.leased_area += 4 * 10000;
		run.in.seen.lease_us = 1000;
		run.in.seen.handover_us = steps[i].handover_us;
		ep_tuner_step(&run.tuner, &run.in);
		CHECK_INT(run.tuner.hand_over, steps[i].expected, "step %zu", i);
	}
}

/* Whatever the numbers, the bounds hold, also when they change. */
static void
test_bounds(void)
{
	Run			run = new_run(20);

	for (int i = 0; i < 20000; i++)
	{
		if (i % 50 == 0)
		{
			run.in.max_size = 1 + unit_random(40);
			run.in.min_size = unit_random(run.in.max_size + 1);
		}
		run.in.now_us += 1 + unit_random(2000000);
		run.in.present = unit_random(40);
		run.in.seen.leased_area += unit_random(40) * 1e6;
		run.in.seen.waiting_area += unit_random(40) * 1e6;
		run.in.seen.completed += unit_random(2000);
		ep_tuner_step(&run.tuner, &run.in);
		CHECK(run.tuner.limit >= Max(run.in.min_size, 1) && run.tuner.limit <= run.in.max_size, "round %d: limit", i);
		CHECK(run.tuner.wanted >= run.in.min_size && run.tuner.wanted <= run.tuner.limit, "round %d: wanted", i);
		CHECK(run.tuner.reason != NULL, "round %d: reason", i);
	}
}

void
test_tuner(void)
{
	test_servers();
	test_loops();
	test_noise();
	test_speed();
	test_changes();
	test_held();
	test_unused();
	test_asked();
	test_hand_over();
	test_bounds();
}
