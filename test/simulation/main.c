/*-------------------------------------------------------------------------
 *
 * main.c
 *		simulate [--check] [--seed N] [--verbose] [TRACE | FILE]...
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "sim.h"

/* Seeds of --check: what holds must not do so by luck. */
#define CHECK_SEEDS		2

typedef struct Options
{
	bool		check;			/* no tables, several seeds */
	bool		verbose;
	uint64		seed;
} Options;

static void
usage(void)
{
	int			n;
	const SimTrace *traces = sim_traces(&n);

	printf("simulate [--check] [--seed N] [--verbose] [TRACE | FILE]...\n\n");
	for (int i = 0; i < n; i++)
		printf("  %-17s %s\n", traces[i].name, traces[i].about);
}

static void
run(const SimTrace *trace, const Options *options)
{
	int			failed = sim_failed;
	int			seeds = options->check ? CHECK_SEEDS : 1;

	if (!options->check)
		printf("%s: %s\n", trace->name, trace->about);
	for (int i = 0; i < seeds; i++)
	{
		Sim		   *sim = sim_run(trace, options->seed + i, options->verbose);

		if (!options->check)
			sim_report(sim);
		sim_check_always(sim);
		trace->check(sim);
		sim_free(sim);
	}
	if (options->check)
		printf("%-17s %s\n", trace->name, sim_failed == failed ? "ok" : "FAILED");
	else
		printf("  assertions   %s\n\n", sim_failed == failed ? "hold" : "FAILED");
}

/* A trace by its name, or a file.  Returns false if there is neither. */
static bool
run_named(const char *name, const Options *options)
{
	int			n;
	const SimTrace *traces = sim_traces(&n);
	SimTrace	recorded;

	for (int i = 0; i < n; i++)
	{
		if (strcmp(traces[i].name, name) == 0)
		{
			run(&traces[i], options);
			return true;
		}
	}
	if (!sim_read_file(name, &recorded))
		return false;
	run(&recorded, options);
	return true;
}

int
main(int argc, char **argv)
{
	Options		options = {.seed = 1};
	int			named = 0;
	int			n;
	const SimTrace *traces = sim_traces(&n);

	/* what hangs fails; the signal ends the program */
	alarm(300);
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--check") == 0)
			options.check = true;
		else if (strcmp(argv[i], "--verbose") == 0)
			options.verbose = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			options.seed = strtoull(argv[++i], NULL, 10);
		else if (argv[i][0] == '-')
		{
			usage();
			return strcmp(argv[i], "--help") == 0 ? 0 : 1;
		}
		else
			argv[++named] = argv[i];
	}
	for (int i = 1; i <= named; i++)
	{
		if (!run_named(argv[i], &options))
			return 1;
	}

	/*
	 * those of the program, if none was asked for; with --check, beside the
	 * given ones
	 */
	for (int i = 0; i < n && (named == 0 || options.check); i++)
		run(&traces[i], &options);
	printf("%d passed, %d failed\n", sim_passed, sim_failed);
	return sim_failed == 0 ? 0 : 1;
}
