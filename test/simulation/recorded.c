/*-------------------------------------------------------------------------
 *
 * recorded.c
 *		Traces from a file: one line for sessions that come at the same time.
 *
 *			time pool arrivals query_time
 *
 * Times are seconds, with a fraction; the pool is a name without spaces; lines
 * may be in any order.  What follows a # is a comment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>

#include "sim.h"

#define MAX_POOLS	1000

/* How long a trace goes on after the last arrival. */
#define AFTER_US	(30 * SECOND)

static SimSource *records = NULL;
static int	nrecords = 0;
static int	records_size = 0;
static char pools[MAX_POOLS][NAMEDATALEN];
static int	npools = 0;

static int
pool_number(const char *name)
{
	int			i = 0;

	while (i < npools && strcmp(pools[i], name) != 0)
		i++;
	if (i == npools)
	{
		if (npools == MAX_POOLS)
			return NONE;
		strlcpy(pools[npools++], name, NAMEDATALEN);
	}
	return i;
}

/* Returns false if it cannot be understood. */
static bool
read_line(char *line)
{
	char		name[NAMEDATALEN];
	char		rest;
	double		at;
	double		query;
	SimSource	source = {.kind = SIM_RECORD, .exact = true};

	line[strcspn(line, "#\n")] = '\0';
	if (line[strspn(line, " \t\r")] == '\0')
		return true;
	if (sscanf(line, "%lf %63s %d %lf %c", &at, name, &source.n, &query, &rest) != 4 ||
		at < 0 || at > 1e8 || source.n < 1 || query < 0 || query > 1e6)
		return false;
	source.pool = pool_number(name);
	source.from_us = SECOND + (uint64) (at * 1e6);
	source.query_us = Max((uint64) (query * 1e6), 1);
	records = sim_grow(records, nrecords, &records_size, sizeof(SimSource));
	records[nrecords++] = source;
	return source.pool != NONE;
}

/* Adds what the file read last holds. */
void
sim_begin_recorded(Sim *sim)
{
	for (int i = 0; i < nrecords; i++)
		sim_add_source(sim, records[i]);
}

/* Makes a trace of a file.  Returns false, after a message, if that is not possible. */
bool
sim_read_file(const char *path, SimTrace *trace)
{
	FILE	   *file = fopen(path, "r");
	char		line[1024];
	int			number = 0;
	bool		good = file != NULL;

	nrecords = npools = 0;
	while (good && fgets(line, sizeof(line), file))
	{
		number++;
		good = read_line(line);
	}
	if (file == NULL)
		printf("%s: %s\n", path, strerror(errno));
	else if (!good)
		printf("%s, line %d: not \"time pool arrivals query_time\"\n", path, number);
	else if (nrecords == 0)
		printf("%s: nothing in it\n", path);
	if (file)
		fclose(file);
	if (!good || nrecords == 0)
		return false;

	memset(trace, 0, sizeof(SimTrace));
	trace->name = path;
	trace->about = "recorded";
	for (int i = 0; i < nrecords; i++)
		trace->length_us = Max(trace->length_us, records[i].from_us + records[i].query_us + AFTER_US);
	trace->sample_us = Max(trace->length_us / 240, 1);
	trace->print_every = 10;
	trace->npools = npools;
	trace->set = sim_defaults();
	trace->max_connections = npools * trace->set.max_size + 1;
	trace->remote = sim_good_remote();
	trace->begin = sim_begin_recorded;
	trace->check = sim_check_served;
	return true;
}
