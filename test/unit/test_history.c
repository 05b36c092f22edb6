/*-------------------------------------------------------------------------
 *
 * test_history.c
 *		The last hour of a pool.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/history.h"
#include "unit.h"

#define SECOND	INT64CONST(1000000)
#define STEP	EP_HISTORY_STEP_US

/* A Sunday afternoon, not at a multiple of 10 s. */
#define BEGIN	(INT64CONST(80000000) * STEP + 3 * SECOND)

static EpHistoryRow rows[EP_HISTORY_ROWS];

/* What the worker does twice a second, from one time to another. */
static int64
run(EpHistory *history, int64 clock, int64 until, EpHistoryInput *in, int queries_each)
{
	while (clock < until)
	{
		clock += SECOND / 2;
		in->queries += queries_each;
		in->query_us += 10 * queries_each;
		in->active = in->queries % 7;
		if (ep_history_due(history, clock))
			ep_history_write(history, clock, in);
	}
	return clock;
}

/* Rows are of multiples of 10 s, one after the other, and none is left out. */
static void
test_rows(void)
{
	EpHistory	history;
	EpHistoryInput in = {.size = 4, .waiting = 1};
	int64		clock = BEGIN;

	ep_history_begin(&history, clock);
	CHECK_INT(ep_history_read(&history, clock, rows), 0, "nothing yet");
	clock = run(&history, clock, BEGIN + 6 * SECOND, &in, 1);
	CHECK_INT(ep_history_read(&history, clock, rows), 0, "before the first multiple");
	clock = run(&history, clock, BEGIN + 7 * SECOND, &in, 1);
	CHECK_INT(ep_history_read(&history, clock, rows), 1, "at the first multiple");
	CHECK_INT(rows[0].queries, 14, "what was since it began");
	for (int i = 1; i < 1000; i++)
	{
		int			n;

		clock = run(&history, clock, clock + STEP, &in, 3);
		n = ep_history_read(&history, clock, rows);
		CHECK_INT(n, Min(i + 1, EP_HISTORY_ROWS), "row %d", i);
		for (int j = 0; j < n; j++)
		{
			CHECK_INT(rows[j].step, BEGIN / STEP + 1 + i - n + 1 + j, "row %d, %d", i, j);
			if (rows[j].step == BEGIN / STEP + 1)
				continue;
			CHECK_INT(rows[j].queries, 60, "row %d, %d: those of its 10 s", i, j);
			CHECK_INT(rows[j].query_us, 600, "row %d, %d: their time", i, j);
			CHECK_INT(rows[j].size, 4, "row %d, %d", i, j);
			CHECK_INT(rows[j].waiting, 1, "row %d, %d", i, j);
		}
		CHECK_INT(rows[n - 1].active, in.active, "row %d: as it was then", i);
	}
}

/* Counters that are set to zero lose nothing. */
static void
test_reset(void)
{
	EpHistory	history;
	EpHistoryInput in = {0};
	int64		clock = BEGIN;

	ep_history_begin(&history, clock);
	for (int i = 0; i < 200; i++)
	{
		int			resets = unit_random(3);

		for (int j = 0; j < resets; j++)
		{
			clock = run(&history, clock, clock + 2 * SECOND, &in, 5);
			ep_history_reset(&history, in.queries, in.query_us);
			in.queries = in.query_us = 0;
		}
		clock = run(&history, clock, (BEGIN / STEP + i + 1) * STEP, &in, 5);
		CHECK_INT(ep_history_read(&history, clock, rows), i + 1, "row %d", i);
		CHECK_INT(rows[i].queries, i == 0 ? 70 : 100, "row %d, %d resets", i, resets);
		CHECK_INT(rows[i].query_us, i == 0 ? 700 : 1000, "row %d, %d resets", i, resets);
	}
}

/* While nobody writes there are no rows, and none tells of statements of another time. */
static void
test_gap(void)
{
	EpHistory	history;
	EpHistoryInput in = {0};
	int64		clock = BEGIN;
	int64		last;

	ep_history_begin(&history, clock);
	clock = run(&history, clock, BEGIN + 97 * SECOND, &in, 2);
	CHECK_INT(ep_history_read(&history, clock, rows), 10, "before the gap");
	last = rows[9].step;
	in.queries += 1000000;
	clock = run(&history, clock + 60 * SECOND, clock + 60 * SECOND, &in, 2);
	clock = run(&history, clock, clock + 20 * SECOND, &in, 2);
	CHECK_INT(ep_history_read(&history, clock, rows), 11, "behind the gap");
	CHECK_INT(rows[10].step, last + 8, "the gap, and those of which not all is known");
	CHECK_INT(rows[10].queries, 40, "what was in its 10 s");

	/* statistics are off for a while */
	ep_history_interrupt(&history);
	clock = run(&history, clock, clock + 30 * SECOND, &in, 2);
	CHECK_INT(ep_history_read(&history, clock, rows), 13, "after it was interrupted");
	CHECK_INT(rows[11].step, last + 10, "of one not all is known");
	CHECK_INT(rows[11].queries, 40, "what was in its 10 s");

	/* everything is older than an hour */
	clock += 3600 * SECOND;
	CHECK_INT(ep_history_read(&history, clock, rows), 0, "an hour later");
	clock = run(&history, clock, clock + 20 * SECOND, &in, 2);
	CHECK(ep_history_read(&history, clock, rows) >= 1, "and it goes on");
	CHECK(rows[0].step > last + 360, "with new rows");
	CHECK_INT(rows[0].queries, 40, "of their 10 s");
}

/* The clock is set back, and forward again. */
static void
test_clock(void)
{
	EpHistory	history;
	EpHistoryInput in = {0};
	int64		clock = BEGIN;
	int			n;

	ep_history_begin(&history, clock);
	clock = run(&history, clock, BEGIN + 300 * SECOND, &in, 2);
	clock = run(&history, clock - 200 * SECOND, clock - 100 * SECOND, &in, 2);
	n = ep_history_read(&history, clock, rows);
	for (int i = 0; i < n; i++)
	{
		CHECK(rows[i].step <= clock / STEP, "no row of the future");
		CHECK(i == 0 || rows[i].step > rows[i - 1].step, "in order");
		CHECK(rows[i].queries <= 40, "row %d: %d", i, (int) rows[i].queries);
	}
}

void
test_history(void)
{
	test_rows();
	test_reset();
	test_gap();
	test_clock();
}
