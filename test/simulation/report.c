/*-------------------------------------------------------------------------
 *
 * report.c
 *		What was seen, as tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "sim.h"

#define BAR		40				/* width of the widest bar */

static int
compare_waits(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

/* The wait (us) that this part of all who got a connection did not exceed.  Sorts them. */
uint32
sim_wait(const Sim *sim, double part)
{
	const SimSeen *seen = &sim->seen;

	if (seen->nwaits == 0)
		return 0;
	qsort(seen->waits, seen->nwaits, sizeof(uint32), compare_waits);
	return seen->waits[Min((Size) (part * seen->nwaits), seen->nwaits - 1)];
}

/* The first sample that was not taken before that time, or the last one. */
const SimSample *
sim_sample(const Sim *sim, uint64 at_us)
{
	int			low = 0;
	int			high = sim->seen.nsamples - 1;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (sim->seen.samples[middle].at_us < at_us)
			low = middle + 1;
		else
			high = middle;
	}
	return &sim->seen.samples[low];
}

/* ----------------------------------------------------------------- over time */

static void
print_samples(const Sim *sim)
{
	const SimSeen *seen = &sim->seen;
	uint64		step = sim->trace->sample_us * sim->trace->print_every;
	int			widest = 1;
	const SimSample *before = &seen->samples[0];

	for (int i = 0; i < seen->nsamples; i++)
		widest = Max(widest, seen->samples[i].size);
	printf("\n  %8s %9s %6s %6s %6s %6s %7s %5s %5s  %-9s  # leased  . idle\n", "time/s", "came/s", "size", "leased",
		   "idle", "opens", "waiting", "1 min", "5 min", "breaker");
	for (uint64 at = SECOND; at <= sim->trace->length_us; at += step)
	{
		const SimSample *s = sim_sample(sim, at);
		double		passed = (s->at_us - before->at_us) / 1e6;
		int			leased = s->leased * BAR / Max(widest, BAR);
		int			other = s->size * BAR / Max(widest, BAR) - leased;

		printf("  %8.0f %9.1f %6d %6d %6d %6d %7d %5.2f %5.2f  %-9s  ", s->at_us / 1e6,
			   passed > 0 ? (s->came - before->came) / passed : 0.0, s->size, s->leased, s->idle, s->connecting,
			   s->waiting, s->load_1m, s->load_5m, ep_breaker_name(s->breaker));
		for (int i = 0; i < leased + other; i++)
			putchar(i < leased ? '#' : '.');
		printf("\n");
		before = s;
	}
}

/* ---------------------------------------------------------------- in the end */

static void
print_sessions(const Sim *sim)
{
	const SimSeen *seen = &sim->seen;

	printf("\n  sessions     " UINT64_FORMAT " came, " UINT64_FORMAT " got a connection", seen->came, seen->served);
	if (seen->refused)
		printf(", " UINT64_FORMAT " refused by the breaker", seen->refused);
	if (seen->hopeless)
		printf(", " UINT64_FORMAT " after retry_attempts", seen->hopeless);
	if (seen->timed_out)
		printf(", " UINT64_FORMAT " timed out", seen->timed_out);
	if (seen->cut_off)
		printf(", " UINT64_FORMAT " lost it", seen->cut_off);
	printf("\n  waits        p50 %.3f ms, p99 %.3f ms, longest %.3f ms; at most %d waited in a pool\n",
		   sim_wait(sim, 0.5) / 1e3, sim_wait(sim, 0.99) / 1e3, sim_wait(sim, 1) / 1e3, seen->most_waiting);
	printf("  connects     " UINT64_FORMAT ", " UINT64_FORMAT " failed; at most %d at a time in a pool; health checks " UINT64_FORMAT ", " UINT64_FORMAT " failed\n",
		   seen->connects, seen->connects_failed, seen->most_connecting, seen->probes, seen->probes_failed);
	printf("  connections  at most %d in a pool, %d in all\n", seen->most_size, seen->most_used);
}

static void
print_scalings(const Sim *sim)
{
	const SimSeen *seen = &sim->seen;
	const char *reasons[16];
	int			counts[16] = {0};
	int			sums[16] = {0};
	bool		up[16];
	int			n = 0;

	for (int i = 0; i < seen->nscalings; i++)
	{
		const SimScaling *scaling = &seen->scalings[i];
		int			k = 0;

		while (k < n && (strcmp(reasons[k], scaling->reason) != 0 || up[k] != scaling->up))
			k++;
		if (k == lengthof(reasons))
			continue;
		if (k == n)
		{
			reasons[n] = scaling->reason;
			up[n++] = scaling->up;
		}
		counts[k]++;
		sums[k] += scaling->n;
	}
	printf("  scalings     %d\n", seen->nscalings);
	for (int k = 0; k < n; k++)
		printf("    %6d %-5s %6d connections: %s\n", counts[k], up[k] ? "up" : "down", sums[k], reasons[k]);
}

static void
print_breaker(const Sim *sim)
{
	static const char *const names[] = {"", "opened", "stays open", "half-open", "closed"};
	const SimSeen *seen = &sim->seen;

	if (seen->nchanges > 0)
		printf("  breaker\n");
	for (int i = 0; i < seen->nchanges; i++)
	{
		const SimChange *change = &seen->changes[i];

		if (i >= 12 && i < seen->nchanges - 6 && !sim->verbose)
		{
			if (i == 12)
				printf("    %10s\n", "...");
			continue;
		}
		printf("    %10.3f s  pool %d: %s", change->at_us / 1e6, change->pool, names[change->change]);
		if (change->pause_s > 0)
			printf(" after %d failures, next attempt in %.1f s", change->failures, change->pause_s);
		printf("\n");
	}
}

/* Prints what a run has come to. */
void
sim_report(const Sim *sim)
{
	print_samples(sim);
	print_sessions(sim);
	print_scalings(sim);
	print_breaker(sim);
}
