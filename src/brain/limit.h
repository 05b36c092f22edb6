/*-------------------------------------------------------------------------
 *
 * limit.h
 *		How many connections at most are of use: a search by comparison.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_LIMIT_H
#define EP_LIMIT_H

#include "postgres.h"

/* Sizes that are looked at: 1 to 8, then four to each doubling, up to 32768. */
#define EP_LIMIT_RUNGS		56

/* What is known of one of them. */
typedef struct EpLimitRung
{
	float		worth;			/* log of its pace, relative to the others' */
	float		doubt;			/* variance of that; EP_LIMIT_UNKNOWN: nothing is known */
} EpLimitRung;

#define EP_LIMIT_UNKNOWN	1.0f

/* Plain data; made by ep_limit_begin(). */
typedef struct EpLimit
{
	EpLimitRung rungs[EP_LIMIT_RUNGS];
	uint64		aged_us;		/* up to when doubt has grown */
	int			home;			/* the one that is best, as far as one knows */
	bool		climbing;		/* nothing larger has failed yet */

	/* a comparison of home with another */
	int			other;			/* -1: none */
	bool		away;			/* it is the other's turn */
	int			pairs;			/* so many times both were measured */
	double		sum;			/* of what the other was better by */
	double		there;			/* the other's last pace */
	double		expected;		/* what was known of that before, and how sure that was */
	double		expected_doubt;

	/* home's pace; logs */
	bool		measured;
	double		here;			/* the last */
	double		usual;			/* of late */
	double		noise;			/* variance from one window to the next */
	int			unusual;		/* so many in a row were far from usual */

	uint64		next_us;		/* no comparison before */
	uint64		hold_us;		/* how long to leave it after one that changed nothing */
} EpLimit;

/* What is known of a size's pace: log of it, and whether sessions wait. */
typedef struct EpLimitPace
{
	double		log;
	bool		queue;
	int			least;			/* sizes that are allowed */
	int			most;
	uint64		now_us;
} EpLimitPace;

extern int	ep_limit_rung(int size);
extern int	ep_limit_size(int rung);
extern void ep_limit_begin(EpLimit *limit, int size, uint64 now_us);
extern int	ep_limit_now(const EpLimit *limit);
extern const char *ep_limit_measured(EpLimit *limit, const EpLimitPace *pace);
extern void ep_limit_skipped(EpLimit *limit);
extern void ep_limit_give_up(EpLimit *limit, uint64 now_us);

#endif							/* EP_LIMIT_H */
