/*-------------------------------------------------------------------------
 *
 * activity.c
 *		What pg_stat_activity shows of a worker: which pools it serves, and
 *		what its connections are doing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"

#include "worker/kept.h"

/* Bytes; track_activity_query_size may be less. */
#define ACTIVITY_SIZE	1024

/* Of all pools of this worker. */
typedef struct Sum
{
	int			pools;
	int			size;
	int			leased;
	int			idle;
	int			connecting;
	int			tended;
	int			ending;
	int			probing;
	int			waiting;
} Sum;

/* What is reported now. */
static char reported[ACTIVITY_SIZE];
static BackendState reported_state = STATE_UNDEFINED;

/*
 * Adds database.server:role, as enhanced_pool.prewarm has them, while there is
 * room.  Readers of any encoding see it: what may not be valid in theirs becomes
 * question marks.  Caller holds the pool's lock.
 */
static void
add_name(char *names, Size size, const EpPool *pool)
{
	char		name[3 * NAMEDATALEN + 3];
	Size		len = strlen(names);

	snprintf(name, sizeof(name), "%s%s.%s:%s", len > 0 ? ", " : "", pool->def.datname, pool->def.name, pool->def.role);
	if (pool->def.encoding != PG_UTF8)
	{
		for (char *p = name; *p; p++)
		{
			if (IS_HIGHBIT_SET(*p))
				*p = '?';
		}
	}
	if (len + strlen(name) + sizeof(", ...") <= size)
		strlcat(names, name, size);
	else if (len < 3 || strcmp(names + len - 3, "...") != 0)
		strlcat(names, ", ...", size);
}

static void
add_up(Sum *sum, char *names, Size size)
{
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];

		if (!pool->in_use || pool->worker != ep_keeper_worker())
			continue;
		LWLockAcquire(&pool->lock, LW_SHARED);
		if (pool->in_use)
		{
			sum->pools++;
			sum->size += pool->size;
			sum->leased += pool->n_leased;
			sum->idle += pool->n_idle;
			sum->connecting += pool->n_connecting;
			sum->tended += pool->n_tended;
			sum->ending += pool->n_ending;
			sum->probing += pool->n_probing;
			sum->waiting += pool->n_waiting;
			add_name(names, size, pool);
		}
		LWLockRelease(&pool->lock);
	}
}

/* Adds a number and what it is of, unless it is zero. */
static void
add_number(char *text, int n, const char *what)
{
	Size		len = strlen(text);

	if (n > 0)
		snprintf(text + len, ACTIVITY_SIZE - len, ", %d %s", n, what);
}

/*
 * Report what the worker has to do, if that has changed.  Active is one that
 * has connections in its hands.  Called by the timer, with no lock held.
 */
void
ep_activity_tick(void)
{
	Sum			sum = {0};
	char		names[ACTIVITY_SIZE - 256] = "";
	char		text[ACTIVITY_SIZE];
	BackendState state;

	add_up(&sum, names, sizeof(names));
	snprintf(text, sizeof(text), "pools: %d, connections: %d", sum.pools, sum.size);
	add_number(text, sum.leased, "leased");
	add_number(text, sum.idle, "idle");
	add_number(text, sum.connecting, "connecting");
	add_number(text, sum.tended, "being reset, validated or cancelled");
	add_number(text, sum.ending, "closing");
	add_number(text, sum.probing, "checking health");
	add_number(text, sum.waiting, "waited for");
	if (sum.pools > 0)
	{
		strlcat(text, "; ", sizeof(text));
		strlcat(text, names, sizeof(text));
	}
	state = sum.connecting + sum.tended + sum.ending + sum.probing > 0 ? STATE_RUNNING : STATE_IDLE;
	if (state == reported_state && strcmp(text, reported) == 0)
		return;
	strlcpy(reported, text, sizeof(reported));
	reported_state = state;
	pgstat_report_activity(state, text);
}
