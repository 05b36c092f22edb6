/*-------------------------------------------------------------------------
 *
 * scaler.c
 *		Carrying out what brain/sizing.c decides about a pool's size, and
 *		saying so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "shared/events.h"
#include "worker/kept.h"

/* How many idle connections are put aside under one hold of the pool's lock. */
#define SHRINK_BATCH	64

/* A pool that is younger has no average of a minute. */
#define YOUNG_US		UINT64CONST(10000000)

/* What scaling looks at; *load is a copy for ep_scaler_averages().  Caller holds the pool's lock. */
void
ep_scaler_read(const EpPool *pool, uint64 now_us, EpSizingInput *in, EpLoad *load)
{
	const EpSettings *set = &pool->def.set;

	in->scaling = EP_BOOL(set, EP_S_DYNAMIC_SCALING_ENABLED);
	in->up = EP_NUM(set, EP_S_SCALE_UP_THRESHOLD);
	in->down = EP_NUM(set, EP_S_SCALE_DOWN_THRESHOLD);
	in->cool_down_us = (uint64) (EP_NUM(set, EP_S_SCALING_COOL_DOWN) * 1000000.0);
	in->growing = pool->growing;
	in->load = ep_pool_load(pool);
	in->leased_peak = ep_peak_of(&pool->peak, pool->n_leased, ep_pool_memory_us(pool), now_us);
	in->up_at_us = pool->scaled_up_us;
	in->down_at_us = pool->scaled_down_us;
	in->now_us = now_us;
	*load = pool->load;
}

/*
 * The averages cost exponentials, so they are taken without the lock.  A pool
 * that has just been opened has no minute to speak of: that its first
 * connection is leased before the second has come says nothing.
 */
void
ep_scaler_averages(const EpLoad *load, EpSizingInput *in)
{
	in->load_1m = 0;
	in->load_5m = in->load;
	if (!in->scaling || load->since_us == 0)
		return;
	if (in->now_us > load->since_us + YOUNG_US)
		in->load_1m = ep_load_average(load, in->load, in->now_us, EP_LOAD_1M);
	in->load_5m = ep_load_average(load, in->load, in->now_us, EP_LOAD_5M);
}

/* The event of a scaling, with the numbers that led to it. */
static void
note_event(const EpEventPool *whose, const EpSizingInput *in, const EpSizing *sizing, int n)
{
	bool		up = sizing->scaling == EP_SCALING_UP;
	EpDetail	detail = {0};

	ep_detail_text(&detail, "reason", sizing->reason);
	ep_detail_int(&detail, "from", in->size);
	ep_detail_int(&detail, "to", up ? in->size + n : in->size - n);
	ep_detail_int(&detail, "wanted", sizing->target);
	ep_detail_int(&detail, "active", in->leased);
	ep_detail_int(&detail, "idle", in->idle);
	ep_detail_int(&detail, "connecting", in->connecting);
	ep_detail_int(&detail, "waiting", in->waiting);
	ep_detail_number(&detail, "load", in->load);
	ep_detail_number(&detail, "load_1m", in->load_1m);
	ep_detail_number(&detail, "load_5m", in->load_5m);
	ep_event_of(whose, up ? EP_EVENT_SCALE_UP : EP_EVENT_SCALE_DOWN, 0, &detail, "%d connections %s: %s",
				n, up ? "more" : "fewer", sizing->reason);
}

/*
 * A scaling was carried out, n connections opened or ended: it is counted,
 * begins the cool-down, is an event with the numbers that led to it, and is
 * logged if log_connections says so.  The caller holds no lock.
 */
static void
note_scaling(EpPool *pool, const EpSizingInput *in, const EpSizing *sizing, int n)
{
	EpEventPool whose;
	const char *name;
	bool		log;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	ep_event_pool(pool, &whose);
	if (sizing->scaling == EP_SCALING_DOWN)
		pool->scaled_down_us = in->now_us;
	else
		pool->scaled_up_us = in->now_us;
	pool->stats.scale_ups += sizing->scaling == EP_SCALING_UP;
	pool->stats.scale_downs += sizing->scaling == EP_SCALING_DOWN;
	if (sizing->scaling != EP_SCALING_FILL)
		pool->stats.last_scaling_at = GetCurrentTimestamp();
	log = EP_BOOL(&pool->def.set, EP_S_LOG_CONNECTIONS) && sizing->scaling != EP_SCALING_FILL;
	LWLockRelease(&pool->lock);
	name = whose.ident.name;
	if (sizing->scaling != EP_SCALING_FILL)
		note_event(&whose, in, sizing, n);
	if (log)
		ereport(LOG,
				(sizing->scaling == EP_SCALING_UP ?
				 errmsg("pool \"%s\": scaling up, %d more: %s", name, n, sizing->reason) :
				 errmsg("pool \"%s\": scaling down, %d fewer: %s", name, n, sizing->reason),
				 errdetail("Size %d, active %d, idle %d, connecting %d, waiting %d; load %.2f, of 1 minute %.2f, of 5 minutes %.2f; size wanted %d.",
						   in->size, in->leased, in->idle, in->connecting, in->waiting,
						   in->load, in->load_1m, in->load_5m, sizing->target)));
}

/*
 * There was no place for all that was to be opened.  Who waits may have a right
 * to another pool's; what was to be filled is full, unless it waits for the
 * places of connections that it is to replace.
 */
static void
no_place(EpPool *pool, const EpSizingInput *in, const EpSizing *sizing)
{
	if (in->waiting > 0)
		ep_sharer_refused();
	if (sizing->scaling != EP_SCALING_FILL || in->ending > 0)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->n_outdated == 0)
		pool->fill_target = 0;
	LWLockRelease(&pool->lock);
}

/* Begins to open what was decided.  Returns false if there was no place for all of it.  No lock is held. */
bool
ep_scaler_open(EpPool *pool, const EpSizingInput *in, const EpSizing *sizing)
{
	int			wanted = sizing->open + sizing->open_overflow;
	int			n = 0;

	while (n < wanted && ep_opener_open(pool, n >= sizing->open, false))
		n++;
	if (n > 0 && sizing->scaling != EP_SCALING_NONE)
		note_scaling(pool, in, sizing, n);
	if (n < wanted)
		no_place(pool, in, sizing);
	return n == wanted;
}

/* The idle connection that is unused for longest, but for those kept for sessions.  Caller holds the pool's lock. */
static EpConn *
last_idle(const EpPool *pool)
{
	int			slot = pool->idle_tail;

	while (slot != EP_NO_SLOT && ep_conns[slot].kept)
		slot = ep_conns[slot].prev;
	return slot == EP_NO_SLOT ? NULL : &ep_conns[slot];
}

/*
 * Ends idle connections that the load does not need, those unused for longest
 * first.  Fewer than decided if they have been taken meanwhile.  No lock is
 * held.
 */
void
ep_scaler_shrink(EpPool *pool, const EpSizingInput *in, const EpSizing *sizing)
{
	int			n = 0;
	bool		more = true;

	while (more)
	{
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		for (int i = 0; more && i < SHRINK_BATCH; i++)
		{
			EpConn	   *conn = last_idle(pool);

			more = n < sizing->shrink && conn != NULL && ep_pool_waiting(pool) == 0 &&
				ep_pool_size(pool) - pool->n_ending > sizing->floor;
			if (more)
			{
				ep_conn_blame(conn, EP_END_SURPLUS);
				ep_conn_to_broken(conn);
				n++;
			}
		}
		LWLockRelease(&pool->lock);
	}
	if (n == 0)
		return;
	note_scaling(pool, in, sizing, n);
	SetLatch(MyLatch);			/* the next tick closes them */
}

/*
 * Who makes more than grow_above leased wakes the worker from now on; growing
 * is for the next decision.  No lock is held.
 */
void
ep_scaler_remember(EpPool *pool, int grow_above, bool growing)
{
	if (*(volatile int *) &pool->grow_above == grow_above && pool->growing == growing)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->grow_above = grow_above;
	pool->growing = growing;
	LWLockRelease(&pool->lock);
}
