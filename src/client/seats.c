/*-------------------------------------------------------------------------
 *
 * seats.c
 *		Sessions of a group that serve no operation at present.
 *
 * Where an operation belongs to the local transaction its connection cannot go
 * back when it has ended.  It waits here for the next operation of the same
 * pool: of the group, or of a later one in the same transaction.
 *
 * A session whose operation was given up in the middle must be drained before.
 * That is done in steps, as everything that a group does.  What is not drained
 * when the group has ended is left to the next one, or to COMMIT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/capture.h"
#include "client/seats.h"
#include "client/session.h"

/* The session is at rest, or need_drain says that it is not.  Raises nothing but for want of memory. */
void
ep_seats_add(EpSeats *seats, EpLease *lease)
{
	EpSeat	   *seat;

	if (seats->n >= seats->max)
	{
		seats->max = Max(2 * seats->max, 8);
		seats->seats = seats->seats ? repalloc(seats->seats, seats->max * sizeof(EpSeat)) :
			palloc(seats->max * sizeof(EpSeat));
	}
	seat = &seats->seats[seats->n++];
	seat->lease = lease;
	seat->draining = lease->need_drain;
	seat->events = WL_SOCKET_READABLE;
	seat->position = -1;
	seat->set_events = 0;
	seats->ndraining += seat->draining;
}

/* The sessions that earlier groups of this transaction have left on that pool: the first ones, so that they are the same each time. */
void
ep_seats_inherit(EpSeats *seats, const EpPoolRef *ref, int most)
{
	int			n;
	EpLease   **leases = ep_session_free_ones(ref, &n);

	for (int i = 0; i < Min(n, most); i++)
		ep_seats_add(seats, leases[i]);
}

static void
drop(EpSeats *seats, int i)
{
	seats->ndraining -= seats->seats[i].draining;
	seats->n--;
	memmove(&seats->seats[i], &seats->seats[i + 1], (seats->n - i) * sizeof(EpSeat));
}

/* The session that has been here for longest and is at rest, or NULL.  Raises nothing. */
EpLease *
ep_seats_take(EpSeats *seats)
{
	for (int i = 0; i < seats->n; i++)
	{
		EpLease    *lease = seats->seats[i].lease;

		if (seats->seats[i].draining)
			continue;
		drop(seats, i);
		return lease;
	}
	return NULL;
}

typedef struct Drain
{
	EpSeat	   *seat;
	bool		ended;
} Drain;

static void
do_drain(void *arg)
{
	Drain	   *drain = arg;

	drain->ended = ep_lease_drain_poll(drain->seat->lease, &drain->seat->events);
}

/*
 * Go on draining.  One that is lost meanwhile is forgotten: the end of the
 * transaction says so.  Returns whether anything has changed.  Raises nothing.
 */
bool
ep_seats_drain(EpSeats *seats)
{
	bool		changed = false;

	for (int i = seats->n - 1; i >= 0 && seats->ndraining > 0; i--)
	{
		EpSeat	   *seat = &seats->seats[i];
		Drain		drain = {.seat = seat};

		if (!seat->draining)
			continue;
		if (ep_capture(do_drain, &drain) != NULL)
			drop(seats, i);
		else if (drain.ended)
		{
			seat->draining = false;
			seats->ndraining--;
		}
		else
			continue;
		changed = true;
	}
	return changed;
}

/* Have the set wait for those that are being drained; the sockets' events come without user data. */
void
ep_seats_fit_set(EpSeats *seats, WaitEventSet *set)
{
	for (int i = 0; i < seats->n && seats->ndraining > 0; i++)
	{
		EpSeat	   *seat = &seats->seats[i];

		if (!seat->draining)
			continue;
		if (seat->position < 0)
			seat->position = AddWaitEventToSet(set, seat->events, seat->lease->desc->fd, NULL, NULL);
		else if (seat->set_events != seat->events)
			ModifyWaitEvent(set, seat->position, seat->events, NULL);
		seat->set_events = seat->events;
	}
}

/* The next set is a new one. */
void
ep_seats_leave_set(EpSeats *seats)
{
	for (int i = 0; i < seats->n; i++)
		seats->seats[i].position = -1;
}
