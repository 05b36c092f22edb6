/*-------------------------------------------------------------------------
 *
 * waits.c
 *		The queues in which this process stands, and waiting in steps: for
 *		several connections at once, of one pool or several, while it uses
 *		others.
 *
 * Each wait has an entry of the shared array of waiters (queue.c): a blocking
 * one this process's own, the others entries of a supply, or the own one when
 * that is used up.  The list of stands says which entries this process has, so
 * that every way out gives back what was assigned to them, and themselves:
 * ep_acquire_end, or at the end of the (sub)transaction, or of the process,
 * ep_acquire_abandon.  An entry is in that list before it can be in a queue.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "client/acquire.h"
#include "compat.h"

/* A wait in steps. */
struct EpAcquire
{
	Attempt		a;
	char		name[EP_LEASE_NAME_SIZE];
	int64		found;			/* number of the lease that is being made usable, or 0 */
	uint64		next_take;		/* when to look at the idle list unasked */
	bool		stale;			/* in the queue of a pool that must be registered anew */
};

/*
 * Where this process stands in queues: with its own entry, if it can do nothing
 * else meanwhile or there is no other, and with entries of the supply.
 */
static dlist_head stands = DLIST_STATIC_INIT(stands);
static dlist_head unused_stands = DLIST_STATIC_INIT(unused_stands);
static Stand own_stand = {.entry = -1, .pool = -1};	/* entry -1: not in use */

/* This process's own entry is in use from now on. */
void
ep_stand_take_own(void)
{
	own_stand.entry = ep_my_procno_compat();
	own_stand.subid = GetCurrentSubTransactionId();
	dlist_push_head(&stands, &own_stand.node);
}

/* The stand of a process that waits for one connection, and does nothing else meanwhile. */
Stand *
ep_own_stand(void)
{
	return &own_stand;
}

/* An entry of the supply, or the process's own if that is used up, or NULL. */
static Stand *
take_stand(void)
{
	Stand	   *stand;
	int			entry;

	/* memory first: nothing may fail while an entry is in no list */
	if (dlist_is_empty(&unused_stands))
	{
		stand = MemoryContextAlloc(TopMemoryContext, sizeof(Stand));
		dlist_push_head(&unused_stands, &stand->node);
	}
	entry = ep_waiter_take();
	if (entry < 0)
	{
		if (own_stand.entry >= 0)
			return NULL;
		ep_stand_take_own();
		return &own_stand;
	}
	stand = dlist_container(Stand, node, dlist_pop_head_node(&unused_stands));
	stand->entry = entry;
	stand->pool = -1;
	stand->subid = GetCurrentSubTransactionId();
	dlist_push_head(&stands, &stand->node);
	return stand;
}

/* Leave the queue, if it stands in one, and give the entry back.  Raises nothing. */
void
ep_stand_return(Stand *stand)
{
	ep_stand_leave(stand);
	dlist_delete(&stand->node);
	if (stand == &own_stand)
	{
		own_stand.entry = -1;
		return;
	}
	ep_waiter_return(stand->entry);
	dlist_push_head(&unused_stands, &stand->node);
}

/*
 * Leave whatever queues this process has joined in a subtransaction, or with
 * InvalidSubTransactionId ever, and give on what was assigned to it there.  For
 * abort and exit paths: raises nothing, waits for nobody but a short lock;
 * harmless if it stands in none.
 */
void
ep_acquire_abandon(SubTransactionId subid)
{
	dlist_mutable_iter it;

	dlist_foreach_modify(it, &stands)
	{
		Stand	   *stand = dlist_container(Stand, node, it.cur);

		if (subid == InvalidSubTransactionId || stand->subid == subid)
			ep_stand_return(stand);
	}
}

/* ---------------------------------------------------------- waiting in steps */

/*
 * A wait for a connection of a pool that goes on while this process does other
 * things, of ep_pool_ref's role and for a lease of that kind.  name may be NULL;
 * it lives in the current memory context until ep_acquire_end, which must be
 * called but after an error that ends the (sub)transaction.  Nothing is
 * acquired, joined or raised yet.
 */
EpAcquire *
ep_acquire_begin(EpPoolRef *ref, EpLeaseKind kind, const char *name)
{
	EpAcquire  *w = palloc0(sizeof(EpAcquire));

	w->a.ref = ref;
	w->a.kind = kind;
	w->a.timeout_s = ep_ref_acquire_timeout(ref);
	w->a.begin_us = ep_now_us();
	if (name)
		ep_copy_text(w->name, sizeof(w->name), name);
	return w;
}

/* One look, joining the queue if this is the first. */
static Verdict
look_once(EpAcquire *w, EpLease *lease, Picture *picture)
{
	uint64		now = ep_now_us();
	bool		may_take = now >= w->next_take;

	if (w->a.stand == NULL)
		w->a.stand = take_stand();
	if (may_take || w->a.stand == NULL || w->a.stand->pool < 0)
		w->next_take = now + EP_POLL_MS * 1000;
	if (w->a.stand && w->a.stand->pool >= 0)
		return ep_attempt_look(&w->a, lease, may_take, picture);
	ep_descriptor_sweep(&ep_pools[w->a.ref->pool]);
	return ep_attempt_join(&w->a, lease, picture);
}

/*
 * Look for a connection.  Called first after ep_acquire_begin, then whenever
 * this process's latch was set, once a second, and at the deadline, which is
 * when acquire_timeout has passed (monotonic, PG_UINT64_MAX: it does not
 * pass now).  optional: the caller can go on without this wait, so that a full
 * queue is no error.  Waits for nobody but the worker, 2 s at most, when a
 * descriptor must be fetched; touches no catalog.  The latch may have been reset
 * meanwhile if this raises an error, and is set if it may have been otherwise.  After EP_ACQUIRE_OUTDATED
 * ep_acquire_renew is to be called, and this again at once.  Raises what
 * ep_lease_acquire does, but for what the catalogs have to do with.
 */
EpAcquireState
ep_acquire_step(EpAcquire *w, uint64 deadline_us, bool optional, EpLease **lease)
{
	w->a.deadline_us = w->a.timeout_s < 0 ? PG_UINT64_MAX : deadline_us;
	w->a.optional = optional;
	for (;;)
	{
		EpLease    *found = ep_lease_prepare(w->a.ref, w->a.kind, false,
											 w->name[0] != '\0' ? w->name : NULL);
		Picture		picture;
		Verdict		verdict = look_once(w, found, &picture);
		bool		cold;
		bool		usable;

		switch (verdict)
		{
			case GOT:
				w->found = found->number;
				cold = !ep_descriptor_is_warm(found->slot, found->conn_id);
				w->a.deadline_us = 0;	/* the worker gets its 2 s, and no more */
				usable = ep_attempt_make_ready(&w->a, found);
				w->a.deadline_us = w->a.timeout_s < 0 ? PG_UINT64_MAX : deadline_us;
				w->found = 0;

				/*
				 * fetching a descriptor resets the latch, which may have been
				 * set for other waits of this process
				 */
				if (cold)
					SetLatch(MyLatch);
				if (!usable)
					continue;
				*lease = found;
				return EP_ACQUIRE_GOT;
			case QUEUED:
				return EP_ACQUIRE_QUEUED;
			case NOT_NOW:
				return EP_ACQUIRE_NOT_NOW;
			case OUTDATED:
			case STALE:
				w->stale = verdict == STALE;
				return EP_ACQUIRE_OUTDATED;
			default:
				ep_attempt_refuse(&w->a, verdict, &picture);
		}
	}
}

/* After EP_ACQUIRE_OUTDATED: look the pool up again.  Raises what ep_pool_ref_refresh does. */
void
ep_acquire_renew(EpAcquire *w)
{
	if (w->stale)
		(void) ep_attempt_renew(&w->a);
	else
		ep_pool_ref_refresh(w->a.ref);
	w->next_take = 0;			/* what was idle could not be looked at */
}

/* End the wait, whatever came of it: also after ep_acquire_step has raised an error.  Raises nothing. */
void
ep_acquire_end(EpAcquire *w)
{
	if (w->found != 0)
		ep_lease_drop(w->found);
	if (w->a.stand)
		ep_stand_return(w->a.stand);
	pfree(w);
}

/*
 * Tell the watchdog how many statements this process has under way on
 * connections that it will give back, whatever it waits for.  No lock: the
 * watchdog believes nothing that it does not see twice.
 */
void
ep_acquire_under_way(int n)
{
	((volatile EpBackend *) &ep_backends[ep_my_procno_compat()])->under_way = (uint16) Min(n, PG_UINT16_MAX);
}
