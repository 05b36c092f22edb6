/*-------------------------------------------------------------------------
 *
 * tuner.h
 *		How many connections strategy "dynamic" has.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_TUNER_H
#define EP_TUNER_H

#include "postgres.h"

#include "brain/limit.h"
#include "brain/sizing.h"
#include "brain/strategy.h"

/* The mean wait that a pool is sized for, as a part of the mean lease. */
#define EP_TUNER_WAIT		0.1

/* Connections that are not needed for this long may go. */
#define EP_TUNER_KEEP_US	UINT64CONST(10000000)

/* What is to be known of the pool at one step. */
typedef struct EpTunerInput
{
	EpObserved	seen;			/* up to now */
	int			present;		/* connections that are, or could be, in use: not those set aside */
	int			min_size;
	int			max_size;
	int			asked;			/* so many are to be opened: first fill, prewarm, replacement; 0: none */
	uint64		now_us;			/* monotonic */
} EpTunerInput;

/* Plain data; all zero is a pool that was not looked at yet. */
typedef struct EpTuner
{
	/* the outcome */
	int			wanted;			/* connections to keep; 0: none yet, or none needed */
	int			limit;			/* no more than this are in use, 0: not known yet */
	int			open;			/* no more than this are there: while limit is compared with a larger one, that one */
	EpStrategy	hand_over;		/* by which of the others' ways connections change hands */
	const char *reason;			/* of the last change of limit or wanted */

	/* since the last step */
	uint64		step_us;
	double		step_leased;	/* the pool's sums at that time */
	double		step_waiting;

	/* how many sessions want a connection at a time */
	int			peak;
	uint64		peak_us;
	int			recent;			/* the most since then */

	/* the window over which throughput is measured */
	uint64		ready_us;		/* when the pool had the size that is measured, 0: not yet */
	uint64		window_us;		/* when it began, 0: not yet */
	double		window_leased;
	double		window_waiting;
	uint64		window_completed;

	/* which limit is best? */
	EpLimit		search;
	uint64		changed_us;		/* when the limit last changed */
	bool		raised;			/* it became larger then */
	bool		cold;			/* and connections had to be opened for it */
} EpTuner;

extern int	ep_tuner_servers(double load, double wait, int most);
extern void ep_tuner_step(EpTuner *t, const EpTunerInput *in);
extern int	ep_tuner_aside(const EpTuner *t, int connections);
extern void ep_tuner_apply(const EpTuner *t, EpSizingInput *in);

#endif							/* EP_TUNER_H */
