/*-------------------------------------------------------------------------
 *
 * seats.h
 *		Sessions of a group that serve no operation at present.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SEATS_H
#define EP_SEATS_H

#include "postgres.h"
#include "storage/latch.h"

#include "client/catalog.h"
#include "client/lease.h"

typedef struct EpSeat
{
	EpLease    *lease;
	bool		draining;		/* the rest of an answer that nobody wants is still to come */
	uint32		events;			/* that are to be waited for then */
	int			position;		/* in the wait event set, -1: not in it */
	uint32		set_events;		/* that are waited for there */
} EpSeat;

/* Those on one pool; all zero: none.  Lives in the memory context of the first that is added. */
typedef struct EpSeats
{
	EpSeat	   *seats;
	int			n;
	int			ndraining;
	int			max;
} EpSeats;

extern void ep_seats_inherit(EpSeats *seats, const EpPoolRef *ref, int most);
extern void ep_seats_add(EpSeats *seats, EpLease *lease);
extern EpLease *ep_seats_take(EpSeats *seats);
extern bool ep_seats_drain(EpSeats *seats);
extern void ep_seats_fit_set(EpSeats *seats, WaitEventSet *set);
extern void ep_seats_leave_set(EpSeats *seats);

#endif							/* EP_SEATS_H */
