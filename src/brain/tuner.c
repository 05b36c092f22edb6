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
 * 2. How many has the remote a use for?  Limits are compared by what is done
 * with them, and the search among them is in limit.c.  What is compared is the
 * throughput, and how long a session spends with its wait and its lease, which is
 * (leased + waiting) / throughput by Little's law: the power of a system, as it
 * is called since L. Kleinrock, "Power and deterministic rules of thumb for
 * probabilistic problems in computer communications", ICC 1979, with most of the
 * weight on the throughput.  Where the same sessions ask again and again
 * that is the throughput alone; where sessions come by themselves, and throughput
 * is what they ask for, their time decides.
 *
 * Where the limit is not felt nothing is learned about it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/tuner.h"

/* A pace is measured over at least this long and this many leases, or over LONG_US. */
#define WINDOW_US		UINT64CONST(1000000)
#define WINDOW_LEASES	100
#define LONG_US			UINT64CONST(5000000)

/* A lease of less does not matter to that. */
#define SHORT_US		20000.0

/* What new connections cost both sides in their first statements is not measured. */
#define COLD_US			UINT64CONST(500000)

/* A limit whose connections do not come about in this time is none. */
#define TRIAL_US		UINT64CONST(20000000)

/* A queue of fewer, in the mean, is none. */
#define QUEUE			0.5

/* Without a queue the limit is felt when that part of it is leased: so many come, and the remote may not stand them. */
#define FULL			0.9

/* How much of a pace is throughput; the rest is time. */
#define THROUGHPUT		0.8

/* Where leases are so long that nothing is measured. */
#define CLIMB			2.0

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
	t->raised = true;
	t->peak_us = in->now_us;
	t->changed_us = in->now_us;
	ep_limit_begin(&t->search, t->limit, in->now_us);
	t->step_us = in->now_us;
	t->step_leased = in->seen.leased_area;
	t->step_waiting = in->seen.waiting_area;
	t->reason = "first fill";
}

static void
set_limit(EpTuner *t, const EpTunerInput *in, int limit, const char *reason)
{
	t->raised = limit > t->limit;
	t->cold = limit > t->open;
	t->limit = limit;
	t->changed_us = in->now_us;
	t->window_us = t->ready_us = 0;
	t->reason = reason;
}

/* The same for a reason other than what was measured: the search begins there. */
static void
go_to(EpTuner *t, const EpTunerInput *in, int limit, const char *reason)
{
	set_limit(t, in, limit, reason);
	ep_limit_begin(&t->search, limit, in->now_us);
}

/* ---------------------------------------------------------- the sessions */

/* Somebody asked for so many: they are opened, and kept for a while as if they had been needed. */
static void
heed(EpTuner *t, const EpTunerInput *in)
{
	if (in->asked <= t->limit && in->asked <= t->peak)
		return;
	if (in->asked > t->limit)
		go_to(t, in, in->asked, "so many were asked for");
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

/* The comparison under way, if there is one, comes to nothing. */
static void
give_up(EpTuner *t, const EpTunerInput *in, const char *reason)
{
	if (t->search.other < 0)
		return;
	ep_limit_give_up(&t->search, in->now_us);
	set_limit(t, in, ep_limit_now(&t->search), reason);
}

/* A window is over. */
static void
end_window(EpTuner *t, const EpTunerInput *in, uint64 done)
{
	double		passed = (double) (in->now_us - t->window_us);
	double		leased = in->seen.leased_area - t->window_leased;
	double		waiting = in->seen.waiting_area - t->window_waiting;
	bool		queue = waiting >= QUEUE * passed;
	const char *reason;
	EpLimitPace pace = {
		.queue = queue,
		.least = Max(in->min_size, 1),
		.most = in->max_size,
		.now_us = in->now_us
	};

	t->window_us = 0;
	if (done < WINDOW_LEASES / 10)
	{
		/* who keeps connections for long tells nothing about the remote */
		give_up(t, in, "leases are long");
		if (queue && t->limit < in->max_size)
			go_to(t, in, Min((int) ceil(t->limit * CLIMB), in->max_size), "sessions wait, and leases are long");
		return;
	}
	if (t->search.other < 0 && !queue && leased < FULL * t->limit * passed)
	{
		ep_limit_skipped(&t->search);
		return;
	}
	pace.log = THROUGHPUT * log(done / passed) - (1 - THROUGHPUT) * log(Max(leased + waiting, 1) / done);
	reason = ep_limit_measured(&t->search, &pace);
	if (reason)
		set_limit(t, in, ep_limit_now(&t->search), reason);
}

/* A step in the search for the limit. */
static void
follow_remote(EpTuner *t, const EpTunerInput *in)
{
	uint64		passed = in->now_us - t->window_us;
	uint64		done = in->seen.completed - t->window_completed;

	/* a window begins when the pool has the size that is to be measured */
	if (t->window_us != 0)
	{
		if (passed >= LONG_US || (passed >= WINDOW_US && done >= WINDOW_LEASES))
			end_window(t, in, done);
	}
	else if (t->raised ? in->present >= t->limit : in->present == t->limit)
	{
		/* what began with another size must not be counted for this one */
		if (t->ready_us == 0)
			t->ready_us = in->now_us;
		if (in->now_us >= t->ready_us + (t->cold ? COLD_US : 0) + (in->seen.lease_us < SHORT_US ? 0 : (uint64) in->seen.lease_us))
			begin_window(t, in);
	}
	else if (in->now_us > t->changed_us + TRIAL_US)
		give_up(t, in, "the connections did not come about");
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
 * While two limits are compared, those that the smaller one has no use for are
 * there, and idle: what making them anew costs, to both sides, would be counted for
 * the larger one, and would be lost for both.
 */
static int
to_be_there(const EpTuner *t, const EpTunerInput *in)
{
	int			other = t->search.other < 0 ? 0 : Max(ep_limit_size(t->search.home), ep_limit_size(t->search.other));

	return Min(Max(t->limit, other), in->max_size);
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
		if (t->search.other < 0)
			t->hand_over = choose_hand_over(t, &in->seen, queue);
	}
	heed(t, in);
	t->limit = Min(Max(t->limit, Max(in->min_size, 1)), in->max_size);
	t->open = to_be_there(t, in);
	t->wanted = Max(Min(t->peak, t->limit), in->min_size);
	if (t->search.other < 0 && before != t->wanted && t->wanted < t->limit)
		t->reason = t->wanted > before ? "the load has grown" : "the load has fallen";
}

/*
 * So many of that many connections are to be set aside: they stay, and nobody
 * gets them.
 */
int
ep_tuner_aside(const EpTuner *t, int connections)
{
	return t->open > t->limit ? Max(connections - t->limit, 0) : 0;
}

/*
 * Have a pool sized by what was found, within min_size and max_size as they
 * were at the last step: spare ones are in it, and the thresholds have no say.
 */
void
ep_tuner_apply(const EpTuner *t, EpSizingInput *in)
{
	in->target_free = 0;
	if (t->open < in->max_size)
	{
		in->max_size = t->open;
		in->max_overflow = 0;
	}
	in->min_size = Min(t->open > t->limit ? t->open : t->wanted, in->max_size);
	in->tuned = true;
	in->up = in->down = 0;
}
