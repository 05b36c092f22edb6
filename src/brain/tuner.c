/*-------------------------------------------------------------------------
 *
 * tuner.c
 *		How many connections strategy "dynamic" has.
 *
 * Two questions, each with a method of its own:
 *
 * 1. How many would the sessions need?  The offered load R is the mean number
 * of sessions that have or want a connection, which is known exactly from two
 * sums.  The Erlang C formula (A. K. Erlang, 1917) gives the mean wait with c
 * servers, and the smallest c that keeps it at EP_TUNER_WAIT of a lease is
 * wanted.  For large R that is R + beta * sqrt(R), the square-root rule of
 * Halfin and Whitt, "Heavy-traffic limits for queues with many exponential
 * servers", Operations Research 29, 1981.  It follows the load up at once,
 * and down after EP_TUNER_KEEP_US.
 *
 * 2. How many does the remote stand?  More connections than it has use for
 * only make it slower: latency then grows as fast as their number.  That is a
 * limit by the gradient of latency, as adaptive concurrency limits have
 * (Netflix's concurrency-limits, class Gradient2Limit; TCP Vegas); but those
 * compare with the latency of an idle server, so that time spent waiting for a
 * lock looks like overload to them, whatever the limit.  Here the latencies of
 * two limits that lie side by side are compared, and of a full pool: by Little's
 * law its throughput is limit / latency, so the question is which limit has more
 * of it.  This is the method of incremental steps of Heiss and Wagner, "Adaptive
 * load control in transaction processing systems", VLDB 1991.  Where sessions
 * come by themselves and throughput is what they ask for, the time that one
 * spends with its wait and its lease, (leased + waiting) / throughput, decides.
 * A higher limit must be worth it, a lower one must cost next to nothing; so
 * among limits that do the same the lower ones win.  Steps are large until one
 * fails, and after a failure that direction rests, for twice as long each time:
 * no oscillation.  A limit with which less is done is not kept, so nothing can
 * make it collapse.
 *
 * Where the limit is not felt nothing is learned about it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/tuner.h"

/*
 * Throughput is measured over at least this long and this many leases, or over
 * LONG_US; twice as long when steps have become small.
 */
#define WINDOW_US		UINT64CONST(1000000)
#define WINDOW_LEASES	100
#define LONG_US			UINT64CONST(5000000)

/* A trial whose connections do not come about in this time has failed. */
#define TRIAL_US		UINT64CONST(20000000)

/* A queue of fewer, in the mean, is none. */
#define QUEUE			0.5

/* Without a queue the limit is felt when that part of it is leased: so many come, and the remote may not stand them. */
#define FULL			0.9

/* Twice the connections must give this much more; smaller steps in proportion. */
#define WORTH			0.02

/* A lower limit may cost this much, and a higher one that lets sessions get on this much sooner. */
#define COST			0.01
#define SOONER			0.05

/* A change by which one knows that load or remote are not what they were. */
#define CHANGED			0.2

/* Steps. */
#define CLIMB			2.0
#define UP				1.25
#define DOWN			0.8

#define HOLD_US			UINT64CONST(4000000)
#define MAX_HOLD_US		UINT64CONST(60000000)

/* Parts of lease time lost by hand-over from and below which others may pass. */
#define LOSS_HIGH		0.25
#define LOSS_LOW		0.15

/*
 * The fewest servers with which that load (in servers' work) waits for no more
 * than the given part of a service time, most at most.
 */
int
ep_tuner_servers(double load, double wait, int most)
{
	double		blocked = 1;	/* Erlang's B formula with c servers, by its recursion */

	if (load <= 0)
		return 0;
	for (int c = 1; c < most; c++)
	{
		double		waits;

		blocked = load * blocked / (c + load * blocked);
		if (c <= load)
			continue;
		waits = c * blocked / (c - load * (1 - blocked));
		if (waits / (c - load) <= wait)
			return c;
	}
	return most;
}

static void
begin_window(EpTuner *t, const EpTunerInput *in)
{
	t->window_us = in->now_us;
	t->window_leased = in->seen.leased_area;
	t->window_waiting = in->seen.waiting_area;
	t->window_completed = in->seen.completed;
}

static void
begin(EpTuner *t, const EpTunerInput *in)
{
	memset(t, 0, sizeof(EpTuner));
	t->limit = Max(in->present, 1);
	t->peak_us = in->now_us;
	t->hold_up_us = t->hold_down_us = HOLD_US;
	t->next_down_us = in->now_us + HOLD_US;
	t->climbing = true;
	t->step_us = in->now_us;
	t->step_leased = in->seen.leased_area;
	t->step_waiting = in->seen.waiting_area;
	t->reason = "first fill";
}

/* ---------------------------------------------------------- the sessions */

/* Somebody asked for so many: they are opened, and kept for a while as if they had been needed. */
static void
heed(EpTuner *t, const EpTunerInput *in)
{
	if (in->asked <= t->limit && in->asked <= t->peak)
		return;
	if (in->asked > t->limit)
	{
		t->limit = in->asked;
		t->trial = 0;
		t->rate = 0;
		t->window_us = 0;
		t->reason = "so many were asked for";
	}
	t->peak = t->recent = Max(t->peak, in->asked);
	t->peak_us = in->now_us;
}

/* How many are needed; sets *queue to the mean number of waiters since the last step. */
static void
follow_demand(EpTuner *t, const EpTunerInput *in, double *queue)
{
	double		passed = (double) (in->now_us - t->step_us);
	double		leased = (in->seen.leased_area - t->step_leased) / passed;
	int			needed;

	*queue = (in->seen.waiting_area - t->step_waiting) / passed;
	needed = ep_tuner_servers(leased + *queue, EP_TUNER_WAIT, in->max_size);
	t->step_us = in->now_us;
	t->step_leased = in->seen.leased_area;
	t->step_waiting = in->seen.waiting_area;

	t->recent = Max(t->recent, needed);
	if (needed >= t->peak || in->now_us >= t->peak_us + EP_TUNER_KEEP_US)
	{
		t->peak = t->recent;
		t->peak_us = in->now_us;
		t->recent = needed;
	}
}

/* ------------------------------------------------------------- the remote */

static void
try_limit(EpTuner *t, const EpTunerInput *in, int limit, const char *reason)
{
	t->trial = limit > t->limit ? 1 : -1;
	t->trial_us = in->now_us;
	t->proven = t->limit;
	t->limit = limit;
	t->reason = reason;
	t->window_us = 0;
}

static void
end_trial(EpTuner *t, const EpTunerInput *in, bool good, const char *reason)
{
	uint64	   *hold = t->trial > 0 ? &t->hold_up_us : &t->hold_down_us;
	uint64	   *next = t->trial > 0 ? &t->next_up_us : &t->next_down_us;

	if (good)
		*hold = HOLD_US;
	else
	{
		t->limit = t->proven;
		t->climbing = false;
		t->reason = reason;
		*next = in->now_us + *hold;
		*hold = Min(*hold * 2, MAX_HOLD_US);
	}
	t->trial = 0;
	t->window_us = 0;
}

/* What a window has seen. */
typedef struct Pace
{
	double		rate;			/* leases a second */
	double		time;			/* seconds of a session's for one, with its wait */
	bool		queue;			/* sessions waited */
} Pace;

/* A limit was on trial. */
static void
judge_trial(EpTuner *t, const EpTunerInput *in, const Pace *pace)
{
	double		more = t->rate > 0 ? pace->rate / t->rate - 1 : 0;
	double		sooner = pace->time > 0 ? t->time / pace->time - 1 : 0;
	bool		up = t->trial > 0;
	bool		good;

	if (up)
		good = more >= WORTH * ((double) t->limit / t->proven - 1) || (more >= -COST && sooner >= SOONER);
	else
		good = more >= COST || (more >= -COST && sooner >= -COST);
	end_trial(t, in, good, up ? "more connections did not do more" : "fewer connections did less");
	if (!good)
		return;
	t->rate = pace->rate;
	t->time = pace->time;

	/* not back again at once; and on in the same direction only for a gain */
	if (up)
		t->next_down_us = Max(t->next_down_us, in->now_us + t->hold_down_us);
	else
	{
		t->next_up_us = Max(t->next_up_us, in->now_us + t->hold_up_us);
		if (more < COST)
			t->next_down_us = in->now_us + t->hold_down_us;
	}
}

/* The limit is felt, and none is on trial: is another one to be tried? */
static void
choose_trial(EpTuner *t, const EpTunerInput *in, const Pace *pace)
{
	int			up = Min((int) ceil(t->limit * (t->climbing ? CLIMB : UP)), in->max_size);
	int			down = Max((int) floor(t->limit * DOWN), Max(in->min_size, 1));

	if (t->rate > 0 && fabs(pace->rate / t->rate - 1) > CHANGED)
	{
		t->hold_up_us = t->hold_down_us = HOLD_US;
		t->next_up_us = Min(t->next_up_us, in->now_us + HOLD_US);
		t->next_down_us = Min(t->next_down_us, in->now_us);
	}
	t->rate = pace->rate;
	t->time = pace->time;
	if (pace->queue && up > t->limit && in->now_us >= t->next_up_us)
		try_limit(t, in, up, "sessions wait, more connections are tried");
	else if (down < t->limit && in->now_us >= t->next_down_us)
		try_limit(t, in, down, "fewer connections are tried");
}

/* A window is over. */
static void
end_window(EpTuner *t, const EpTunerInput *in, uint64 done)
{
	double		passed = (double) (in->now_us - t->window_us);
	double		leased = in->seen.leased_area - t->window_leased;
	double		waiting = in->seen.waiting_area - t->window_waiting;
	Pace		pace = {
		.rate = done * 1e6 / passed,
		.time = (leased + waiting) / 1e6 / Max(done, 1),
		.queue = waiting >= QUEUE * passed
	};

	t->window_us = 0;
	if (done < WINDOW_LEASES / 10)
	{
		/* who keeps connections for long tells nothing about the remote */
		t->trial = 0;
		t->rate = 0;
		if (!pace.queue)
			return;
		t->limit = Min((int) ceil(t->limit * CLIMB), in->max_size);
		t->reason = "sessions wait, and leases are long";
	}
	else if (t->trial != 0)
		judge_trial(t, in, &pace);
	else if (pace.queue || leased >= FULL * t->limit * passed)
		choose_trial(t, in, &pace);
	else
		t->rate = 0;
}

/* A step in the search for the limit. */
static void
follow_remote(EpTuner *t, const EpTunerInput *in)
{
	uint64		passed = in->now_us - t->window_us;
	uint64		done = in->seen.completed - t->window_completed;

	if (t->trial != 0 && in->now_us > t->trial_us + TRIAL_US)
		end_trial(t, in, false, "the connections did not come about");

	/* a window begins when the pool has the size that is to be measured */
	if (t->window_us != 0)
	{
		if (passed >= LONG_US || (passed >= (t->climbing ? 1 : 2) * WINDOW_US && done >= WINDOW_LEASES))
			end_window(t, in, done);
	}
	else if (t->trial < 0 ? in->present <= t->limit : in->present >= t->limit)
		begin_window(t, in);
}

/* -------------------------------------------------------------- hand-over */

/*
 * Nobody waits for long: in order.  Connections idle for want of a processor
 * for whom they were given to: others may pass.  Else as "balanced".
 */
static EpStrategy
choose_hand_over(const EpTuner *t, const EpObserved *seen, double queue)
{
	double		loss = seen->lease_us > 0 ? seen->handover_us / seen->lease_us : 0;

	if (queue < QUEUE)
		return EP_STRATEGY_LOW_LATENCY;
	if (loss > (t->hand_over == EP_STRATEGY_HIGH_THROUGHPUT ? LOSS_LOW : LOSS_HIGH))
		return EP_STRATEGY_HIGH_THROUGHPUT;
	return EP_STRATEGY_BALANCED;
}

/*
 * Look at the pool's numbers, some times a second, and change what is wanted.
 * No two steps at the same moment.
 */
void
ep_tuner_step(EpTuner *t, const EpTunerInput *in)
{
	int			before = t->wanted;
	double		queue;

	if (t->limit == 0)
		begin(t, in);
	else if (in->now_us > t->step_us)
	{
		follow_demand(t, in, &queue);
		follow_remote(t, in);
		if (t->trial == 0)
			t->hand_over = choose_hand_over(t, &in->seen, queue);
	}
	heed(t, in);
	t->limit = Min(Max(t->limit, Max(in->min_size, 1)), in->max_size);
	t->wanted = Max(Min(t->peak, t->limit), in->min_size);
	if (t->trial == 0 && before != t->wanted && t->wanted < t->limit)
		t->reason = t->wanted > before ? "the load has grown" : "the load has fallen";
}

/*
 * Have a pool sized by what was found, within min_size and max_size as they
 * were at the last step: spare ones are in it, and the thresholds have no say.
 */
void
ep_tuner_apply(const EpTuner *t, EpSizingInput *in)
{
	in->target_free = 0;
	if (t->limit < in->max_size)
	{
		in->max_size = t->limit;
		in->max_overflow = 0;
	}
	in->min_size = Min(t->wanted, in->max_size);
	in->tuned = true;
	in->up = in->down = 0;
}
