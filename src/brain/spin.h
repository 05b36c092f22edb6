/*-------------------------------------------------------------------------
 *
 * spin.h
 *		Is it worth looking for an answer a little longer before sleeping?
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SPIN_H
#define EP_SPIN_H

#include "postgres.h"

/*
 * How long to look (us): about what it costs to put a process to sleep, wake it
 * and get it onto a processor again.  Looking for longer than the other way
 * costs never takes more than twice the time of the better choice (Karlin, Li,
 * Manasse, Owicki, "Empirical studies of competitive spinning for a
 * shared-memory multiprocessor", SOSP 1991).
 */
#define EP_SPIN_US		60

/* A look after which so much more time has passed than it takes: somebody else had the processor (us). */
#define EP_SPIN_GAP_US	20

/* What is known of one kind of wait; zero at first. */
typedef struct EpSpin
{
	uint16		skip;			/* so many waits more go to sleep at once */
	uint16		penalty;		/* what skip was set to by the last miss, less the hits since */
} EpSpin;

extern bool ep_spin_begin(EpSpin *spin);
extern void ep_spin_hit(EpSpin *spin);
extern void ep_spin_miss(EpSpin *spin);
extern bool ep_spin_affordable(int looking);

#endif							/* EP_SPIN_H */
