/*-------------------------------------------------------------------------
 *
 * history.c
 *		The last hour of a pool, a row for each 10 s.
 *
 * A row's place follows from its time, so a row that was not written (nobody
 * was there to do it, statistics were off, the clock was set) is a gap and not
 * a shift, and what is older than an hour is known by its time.
 *
 * The statements of a row are those between two multiples of 10 s.  Of others
 * nobody knows when they were, so after a gap counting begins at the first
 * multiple that is seen to pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/history.h"

static int64
step_of(int64 clock_us)
{
	return clock_us / EP_HISTORY_STEP_US;
}

/* What is counted from now on, from zero, is the first row's. */
void
ep_history_begin(EpHistory *history, int64 clock_us)
{
	memset(history, 0, sizeof(EpHistory));
	history->step = step_of(clock_us);
}

/* Has a multiple of 10 s passed since the last call of ep_history_write? */
bool
ep_history_due(const EpHistory *history, int64 clock_us)
{
	return step_of(clock_us) != history->step;
}

/* Write the row that is due, with the numbers of now. */
void
ep_history_write(EpHistory *history, int64 clock_us, const EpHistoryInput *in)
{
	int64		step = step_of(clock_us);
	EpHistoryRow *row = &history->rows[step % EP_HISTORY_ROWS];

	if (step == history->step)
		return;
	if (history->step == 0 || step != history->step + 1)
		history->partly = true;
	else if (history->partly)
		history->partly = false;
	else
	{
		row->step = step;
		row->size = in->size;
		row->active = in->active;
		row->waiting = in->waiting;
		row->queries = in->queries - history->queries + history->more_queries;
		row->query_us = in->query_us - history->query_us + history->more_query_us;
	}
	history->step = step;
	history->queries = in->queries;
	history->query_us = in->query_us;
	history->more_queries = history->more_query_us = 0;
}

/* The counters, which are that now, are about to be set to zero. */
void
ep_history_reset(EpHistory *history, uint64 queries, uint64 query_us)
{
	history->more_queries += queries - history->queries;
	history->more_query_us += query_us - history->query_us;
	history->queries = history->query_us = 0;
}

/* From now on nothing is known, until it is written again. */
void
ep_history_interrupt(EpHistory *history)
{
	history->step = 0;
}

/*
 * Copies the rows of the hour that ends now into rows[EP_HISTORY_ROWS], the
 * oldest first; returns how many there are.
 */
int
ep_history_read(const EpHistory *history, int64 clock_us, EpHistoryRow *rows)
{
	int64		last = step_of(clock_us);
	int			n = 0;

	for (int64 step = Max(last - EP_HISTORY_ROWS + 1, 1); step <= last; step++)
	{
		const EpHistoryRow *row = &history->rows[step % EP_HISTORY_ROWS];

		if (row->step == step)
			rows[n++] = *row;
	}
	return n;
}
