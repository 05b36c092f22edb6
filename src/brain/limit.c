/*-------------------------------------------------------------------------
 *
 * limit.c
 *		How many connections at most are of use: a search by comparison.
 *
 * More connections than a remote has use for only make it slower: latency then
 * grows as fast as their number.  That is a limit by the gradient of latency,
 * as adaptive concurrency limits have (Netflix's concurrency-limits, class
 * Gradient2Limit; TCP Vegas).  Those compare with the latency of an idle server,
 * so that time spent waiting for a lock looks like overload to them, whatever
 * the limit.  Here the paces of two limits are compared: by Little's law a full
 * pool's throughput is limit / latency, so a pace that does not change is a
 * gradient of 1.  Going up and down by what is seen of throughput is the method
 * of incremental steps of Heiss and Wagner, "Adaptive load control in
 * transaction processing systems", VLDB 1991.
 *
 * What is compared differs by a few per cent, and the noise is as large.  So:
 *
 * - Two sizes are measured by turns, and a measurement of one is set against
 * the mean of those of the other before and after it: what happens to machine
 * or load meanwhile happens to both.  It goes on until the difference is clear,
 * or for MAX_PAIRS.
 *
 * - What was found is remembered for each size with its doubt, in a table that
 * all comparisons feed (a Kalman filter of each size's worth; doubt grows with
 * time).  So a loss of one per cent at each of ten steps is seen as ten.
 *
 * - The smallest size whose worth is within TOLERANCE of the best known wins.
 * A size that does not clearly more than a smaller one is not kept.
 *
 * - What is compared next is the size that is most likely to be better, far from
 * the present one or near.  What is known to be bad is not tried until
 * that knowledge is old.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/limit.h"

/* Logs of paces: per cents, nearly. */
#define TOLERANCE		0.02
#define CLEAR			0.2		/* a gain that needs no second measurement */
#define SURELY_LESS		0.4		/* a loss that needs no second pair */
#define CHANGED			0.2		/* load or remote are not what they were */

/* Standard deviations. */
#define CERTAIN			2.0		/* a difference that is that far from what would matter is settled */
#define HOPE			(-2.0)	/* what is less likely to be better is not tried */
#define FAR				4.0		/* what is that far from usual is no noise */

#define SURPRISING		3.0		/* what is that far from what was known shows that it is not true any more */

/* Variances. */
#define FIRST_NOISE		(0.08 * 0.08)
#define LEAST_NOISE		(0.01 * 0.01)
#define WELL_KNOWN		(0.04 * 0.04)
#define KNOWN			0.25
#define AGEING			(0.02 * 0.02 / 60e6)	/* a microsecond */

#define NOISE_WEIGHT	0.2
#define USUAL_WEIGHT	0.3

/* A large difference is only known to be large. */
#define VAGUE			0.25

/* Of what is between two sizes, or beyond them, a straight line says all but that part. */
#define BENT			0.2

#define MIN_PAIRS		2
#define MAX_PAIRS		6
#define HOLD_US			UINT64CONST(4000000)
#define MAX_HOLD_US		UINT64CONST(60000000)
#define IDLE_US			UINT64CONST(60000000)

/* How far away to look where nothing is known. */
static const double factors[] = {2.0, 1.41, 1.19, 4.0};

static double
square(double x)
{
	return x * x;
}

/* ------------------------------------------------------------------- sizes */

/* The size of a rung. */
int
ep_limit_size(int rung)
{
	if (rung < 8)
		return rung + 1;
	return (5 + (rung - 8) % 4) << ((rung - 8) / 4 + 1);
}

/* The lowest rung that has that size at least. */
int
ep_limit_rung(int size)
{
	int			rung = 0;

	while (rung < EP_LIMIT_RUNGS - 1 && ep_limit_size(rung) < size)
		rung++;
	return rung;
}

/* The rung that is tried for that size, at least one away from home. */
static int
rung_near(const EpLimit *limit, double size, bool up)
{
	int			rung = ep_limit_rung((int) (up ? ceil(size) : size));

	if (!up && rung > 0 && ep_limit_size(rung) > size)
		rung--;
	return up ? Max(rung, limit->home + 1) : Min(rung, limit->home - 1);
}

/* ------------------------------------------------------------------- worth */

/* Begins at that size, of which alone something is known: that it is there. */
void
ep_limit_begin(EpLimit *limit, int size, uint64 now_us)
{
	memset(limit, 0, sizeof(EpLimit));
	for (int i = 0; i < EP_LIMIT_RUNGS; i++)
		limit->rungs[i].doubt = EP_LIMIT_UNKNOWN;
	limit->home = ep_limit_rung(size);
	limit->rungs[limit->home].doubt = LEAST_NOISE;
	limit->other = -1;
	limit->climbing = true;
	limit->noise = FIRST_NOISE;
	limit->aged_us = now_us;
	limit->hold_us = HOLD_US;
}

/* The size to be measured now. */
int
ep_limit_now(const EpLimit *limit)
{
	return ep_limit_size(limit->away ? limit->other : limit->home);
}

static void
add_doubt(EpLimit *limit, double doubt)
{
	for (int i = 0; i < EP_LIMIT_RUNGS; i++)
	{
		if (i != limit->home)
			limit->rungs[i].doubt = Min(limit->rungs[i].doubt + doubt, EP_LIMIT_UNKNOWN);
	}
}

/* The other was better by that much, give or take the root of that variance. */
static void
learn(EpLimit *limit, double better, double variance)
{
	EpLimitRung *home = &limit->rungs[limit->home];
	EpLimitRung *other = &limit->rungs[limit->other];
	double		sum = home->doubt + other->doubt + variance;
	double		surprise = better - (other->worth - home->worth);

	other->worth += surprise * other->doubt / sum;
	home->worth -= surprise * home->doubt / sum;
	other->doubt -= square(other->doubt) / sum;
	home->doubt -= square(home->doubt) / sum;
}

/*
 * In the mean the other was better by that much.  If that is not what was known
 * of it, the rest is not true any more either.
 */
static void
doubt_rest(EpLimit *limit, double better, double variance)
{
	double		surprise = better - limit->expected;

	if (limit->expected_doubt >= KNOWN || fabs(surprise) < CHANGED / 2 ||
		square(surprise) < square(SURPRISING) * (limit->expected_doubt + variance))
		return;
	for (int i = 0; i < EP_LIMIT_RUNGS; i++)
	{
		if (i != limit->home && i != limit->other)
			limit->rungs[i].doubt = EP_LIMIT_UNKNOWN;
	}
}

/* The first rung of which something is known, from that one on in steps of 1 or -1; -1: there is none. */
static int
nearest_known(const EpLimit *limit, int rung, int step)
{
	for (; rung >= 0 && rung < EP_LIMIT_RUNGS && rung != limit->home; rung += step)
	{
		if (limit->rungs[rung].doubt < KNOWN)
			return rung;
	}
	return -1;
}

/* What may be said of a rung that is not home: if nothing is known of it, something may be of one beyond it, or before. */
static EpLimitRung
expect(const EpLimit *limit, int rung)
{
	int			outwards = rung > limit->home ? 1 : -1;
	int			known = nearest_known(limit, rung, outwards);
	float		here = limit->rungs[limit->home].worth;
	float		part;
	float		more;

	if (known == rung)
		return limit->rungs[rung];
	if (known < 0)
		known = nearest_known(limit, rung, -outwards);
	if (known < 0)
		return (EpLimitRung) {here, EP_LIMIT_UNKNOWN};
	part = (float) (rung - limit->home) / (known - limit->home);
	more = part * (limit->rungs[known].worth - here);
	return (EpLimitRung)
	{
		here + more, Min(square(part) * limit->rungs[known].doubt + square(BENT * more) + square(TOLERANCE), EP_LIMIT_UNKNOWN)
	};
}

/* The most that is known well, or of home. */
static double
best_worth(const EpLimit *limit, int lowest, int highest)
{
	double		best = limit->rungs[limit->home].worth;

	for (int i = lowest; i <= highest; i++)
	{
		if (limit->rungs[i].doubt < WELL_KNOWN)
			best = Max(best, limit->rungs[i].worth);
	}
	return best;
}

/* By how much a rung must be better than home to be preferred: a smaller one may be worse. */
static double
needed(const EpLimit *limit, int rung, int lowest, int highest)
{
	if (rung > limit->home)
		return TOLERANCE;
	return Min(best_worth(limit, lowest, highest) - limit->rungs[limit->home].worth - TOLERANCE, TOLERANCE);
}

/* The smallest rung that does as much as the best, of those that are known well and those just compared. */
static int
best_home(const EpLimit *limit, int lowest, int highest)
{
	const EpLimitRung *rungs = limit->rungs;
	double		best = Max(best_worth(limit, lowest, highest), rungs[limit->other].worth);

	for (int i = lowest; i <= highest; i++)
	{
		if ((rungs[i].doubt < WELL_KNOWN || i == limit->home || i == limit->other) &&
			rungs[i].worth >= best - TOLERANCE)
			return i;
	}
	return limit->home;
}

/* -------------------------------------------------------------- comparison */

/* It is over. */
static const char *
settle(EpLimit *limit, int lowest, int highest, uint64 now_us)
{
	int			before = limit->home;
	int			tried = limit->other;
	int			home = best_home(limit, lowest, highest);
	bool		was_there = limit->away;

	if (home == before || home < tried)
		limit->climbing = false;
	limit->hold_us = home == before ? Min(limit->hold_us * 2, MAX_HOLD_US) : HOLD_US;
	limit->next_us = limit->climbing ? now_us : now_us + limit->hold_us / 2;
	limit->measured = home == (was_there ? tried : before);
	limit->here = limit->usual = was_there ? limit->there : limit->here;
	limit->unusual = 0;
	limit->home = home;
	limit->other = -1;
	limit->away = false;
	if (home == tried)
		return tried > before ? "more connections do more" : "fewer connections do as much";
	if (home != before)
		return "another size was better";
	return tried > before ? "more connections did not do more" : "fewer connections did less";
}

/* Whatever is under way comes to nothing: its connections do not come about, or are not there any more. */
void
ep_limit_give_up(EpLimit *limit, uint64 now_us)
{
	if (limit->other < 0)
		return;
	limit->other = -1;
	limit->away = false;
	limit->measured = false;
	limit->climbing = false;
	limit->hold_us = Min(limit->hold_us * 2, MAX_HOLD_US);
	limit->next_us = now_us + limit->hold_us / 2;
}

/* Home was not measured, as its size was not felt. */
void
ep_limit_skipped(EpLimit *limit)
{
	limit->measured = false;
	limit->unusual = 0;
}

/* The other was measured. */
static const char *
measured_other(EpLimit *limit, const EpLimitPace *pace, int lowest, int highest)
{
	double		better = pace->log - limit->here;

	limit->there = pace->log;
	if (limit->pairs == 0 && better > Max(CLEAR, FAR * sqrt(2 * limit->noise)))
	{
		learn(limit, better, 2 * limit->noise + square(VAGUE * better));
		doubt_rest(limit, better, 2 * limit->noise);
		return settle(limit, lowest, highest, pace->now_us);
	}
	limit->away = false;
	return "the size before is measured again";
}

static void
learn_noise(EpLimit *limit, double log)
{
	double		seen = square(log - limit->here) / 2;

	limit->noise += NOISE_WEIGHT * (Min(seen, square(CHANGED)) - limit->noise);
	limit->noise = Max(limit->noise, LEAST_NOISE);
}

/* Is a difference of home's pace more than noise? */
static bool
is_unusual(const EpLimit *limit, double off)
{
	return fabs(off) > Max(CHANGED, FAR * sqrt(limit->noise));
}

/* And home once more. */
static const char *
measured_again(EpLimit *limit, const EpLimitPace *pace, int lowest, int highest)
{
	double		better = limit->there - (limit->here + pace->log) / 2;
	double		mean;

	if (is_unusual(limit, pace->log - limit->here))
	{
		/* something has happened meanwhile: nothing is learned */
		limit->other = -1;
		limit->unusual = 1;
		return "the load or the remote has changed";
	}
	learn_noise(limit, pace->log);
	learn(limit, better, 1.5 * limit->noise + square(VAGUE * better));
	limit->here = pace->log;
	limit->sum += better;
	mean = limit->sum / ++limit->pairs;
	if (limit->pairs >= MAX_PAIRS || mean < -SURELY_LESS ||
		(limit->pairs >= MIN_PAIRS && square(mean - needed(limit, limit->other, lowest, highest)) > square(CERTAIN) * 1.5 * limit->noise / limit->pairs))
	{
		doubt_rest(limit, mean, 1.5 * limit->noise / limit->pairs);
		return settle(limit, lowest, highest, pace->now_us);
	}
	limit->away = true;
	return "it is compared once more";
}

/* ------------------------------------------------------------------ choice */

/*
 * The rung that is most likely to be better than home, -1: none that is worth
 * trying.  Now and then the best there is will do, as all may have changed.
 */
static int
choose(const EpLimit *limit, const EpLimitPace *pace, int lowest, int highest)
{
	double		most = pace->now_us < limit->next_us + IDLE_US ? HOPE : -HUGE_VAL;
	int			chosen = -1;
	int			candidates[EP_LIMIT_RUNGS + 2 * lengthof(factors)];
	int			n = 0;

	for (Size i = 0; i < (limit->climbing ? 1 : lengthof(factors)); i++)
		candidates[n++] = rung_near(limit, ep_limit_size(limit->home) * factors[i], true);
	for (Size i = 0; i < lengthof(factors); i++)
		candidates[n++] = rung_near(limit, ep_limit_size(limit->home) / factors[i], false);
	for (int i = lowest; i <= highest; i++)
	{
		if (limit->rungs[i].doubt < KNOWN && i != limit->home)
			candidates[n++] = i;
	}
	for (int i = 0; i < n; i++)
	{
		int			rung = Min(Max(candidates[i], lowest), highest);
		EpLimitRung expected;
		double		hope;

		if (rung == limit->home || (rung > limit->home && !pace->queue))
			continue;
		expected = expect(limit, rung);
		hope = (expected.worth - limit->rungs[limit->home].worth - needed(limit, rung, lowest, highest)) / sqrt((double) expected.doubt);
		if (expected.doubt >= EP_LIMIT_UNKNOWN)
			hope = 0;
		if (hope > most)
		{
			most = hope;
			chosen = rung;
		}
	}
	return chosen;
}

/* Home's pace is other than it was by that much, and not by chance: what is known is the less certain. */
static void
forget(EpLimit *limit, const EpLimitPace *pace, double off)
{
	add_doubt(limit, square(off));
	limit->climbing = true;
	limit->hold_us = HOLD_US;
	limit->next_us = pace->now_us;
	limit->usual = pace->log;
	limit->unusual = 0;
}

/* Home was measured, and no comparison is under way. */
static const char *
measured_home(EpLimit *limit, const EpLimitPace *pace, int lowest, int highest)
{
	double		off = pace->log - limit->usual;
	EpLimitRung expected;

	if (!limit->measured)
		limit->usual = pace->log;
	else if (!is_unusual(limit, off))
	{
		limit->unusual = 0;
		learn_noise(limit, pace->log);
	}
	else if (++limit->unusual < 2)
		return NULL;
	else
		forget(limit, pace, off);
	limit->measured = true;
	limit->here = pace->log;
	limit->usual += USUAL_WEIGHT * (pace->log - limit->usual);
	if (pace->now_us < limit->next_us)
		return NULL;
	limit->other = choose(limit, pace, lowest, highest);
	if (limit->other < 0)
		return NULL;
	limit->away = true;
	limit->pairs = 0;
	limit->sum = 0;
	expected = expect(limit, limit->other);
	limit->expected = expected.worth - limit->rungs[limit->home].worth;
	limit->expected_doubt = expected.doubt;
	return limit->other > limit->home ? "sessions wait, more connections are tried" : "fewer connections are tried";
}

/*
 * The size that ep_limit_now() says was measured.  Returns why it says another
 * one now, or NULL if it does not.  Sizes beyond most or below least are not asked
 * for, but for those that are the nearest to them.
 */
const char *
ep_limit_measured(EpLimit *limit, const EpLimitPace *pace)
{
	int			lowest = ep_limit_rung(pace->least);
	int			highest = ep_limit_rung(pace->most);

	add_doubt(limit, AGEING * (double) (pace->now_us - limit->aged_us));
	limit->aged_us = pace->now_us;
	if (limit->other >= 0 && (limit->other < lowest || limit->other > highest))
		ep_limit_give_up(limit, pace->now_us);
	if (limit->home < lowest || limit->home > highest)
	{
		ep_limit_begin(limit, Min(Max(ep_limit_size(limit->home), pace->least), pace->most), pace->now_us);
		return "its bounds have changed";
	}
	if (limit->other < 0)
		return measured_home(limit, pace, lowest, highest);
	return limit->away ? measured_other(limit, pace, lowest, highest) : measured_again(limit, pace, lowest, highest);
}
