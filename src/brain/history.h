/*-------------------------------------------------------------------------
 *
 * history.h
 *		The last hour of a pool, a row for each 10 s.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_HISTORY_H
#define EP_HISTORY_H

#include "postgres.h"

#define EP_HISTORY_ROWS		360
#define EP_HISTORY_STEP_US	INT64CONST(10000000)

/* A pool at a multiple of 10 s of the clock, and its statements in the 10 s before. */
typedef struct EpHistoryRow
{
	int64		step;			/* that multiple: its time is step * EP_HISTORY_STEP_US */
	int			size;
	int			active;
	int			waiting;
	uint64		queries;
	uint64		query_us;
} EpHistoryRow;

/*
 * Plain data that lives in shared memory.  Times are those of the clock, in us,
 * so that the rows of all pools are of the same moments.
 */
typedef struct EpHistory
{
	int64		step;			/* the last that was seen; 0: none */
	bool		partly;			/* and not from its beginning on: what comes next is no row either */
	uint64		queries;		/* the pool's counters when it was */
	uint64		query_us;
	uint64		more_queries;	/* counted since then, before the counters were reset */
	uint64		more_query_us;
	EpHistoryRow rows[EP_HISTORY_ROWS]; /* that of step s at s % EP_HISTORY_ROWS; step 0: none */
} EpHistory;

/* What a row is made of. */
typedef struct EpHistoryInput
{
	int			size;
	int			active;
	int			waiting;
	uint64		queries;		/* counters, which only grow but for resets */
	uint64		query_us;
} EpHistoryInput;

extern void ep_history_begin(EpHistory *history, int64 clock_us);
extern bool ep_history_due(const EpHistory *history, int64 clock_us);
extern void ep_history_write(EpHistory *history, int64 clock_us, const EpHistoryInput *in);
extern void ep_history_reset(EpHistory *history, uint64 queries, uint64 query_us);
extern void ep_history_interrupt(EpHistory *history);
extern int	ep_history_read(const EpHistory *history, int64 clock_us, EpHistoryRow *rows);

#endif							/* EP_HISTORY_H */
