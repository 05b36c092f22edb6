/*-------------------------------------------------------------------------
 *
 * views_states.c
 *		The function behind the view pool_states.
 *
 * The other views copy a pool and its connections one after the other.  Here
 * the connections, the idle list and the queue of a pool are counted under one
 * hold of its lock, so that the numbers of a row are of one moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "functions/view.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_pool_states);

typedef struct StatesCopy
{
	EpPoolIdent ident;
	TimestampTz at;
	int			size;			/* as the pool counts itself */
	int			states[EP_NSTATES]; /* connections for users, in each state */
	int			probing;		/* health checks' */
	int			held;			/* leased ones that have a holder */
	int			sessions;
	int			kept;
	int			waiting;
	bool		agrees;			/* with what the pool counts itself */
} StatesCopy;

/* Caller holds the pool's lock. */
static void
count_connections(const EpPool *pool, StatesCopy *copy)
{
	for (int i = 0; i < ep_control->max_connections; i++)
	{
		const EpConn *conn = &ep_conns[i];

		if (!ep_conn_belongs(conn, pool))
			continue;
		if (conn->probe)
		{
			copy->probing++;
			continue;
		}
		copy->states[conn->state]++;
		copy->kept += conn->kept;
		if (conn->state == EP_LEASED)
		{
			copy->held += conn->owner >= 0;
			copy->sessions += conn->kind == EP_KIND_SESSION;
		}
	}
}

/* Caller holds the pool's lock. */
static int
count_idle_list(const EpPool *pool)
{
	int			n = 0;

	for (int slot = pool->idle_head; slot != EP_NO_SLOT && n <= ep_control->max_connections; slot = ep_conns[slot].next)
		n++;
	return n;
}

/* Caller holds the pool's lock. */
static int
count_queue(const EpPool *pool)
{
	int			n = 0;

	for (int entry = pool->wait_head; entry >= 0 && n <= ep_control->n_waiters; entry = ep_backends[entry].next)
		n++;
	return n;
}

/* Are the pool's own counters, by which it decides, those of what is there?  Caller holds its lock. */
static bool
agrees(const EpPool *pool, const StatesCopy *copy)
{
	const int  *states = copy->states;
	int			all = copy->probing;

	for (int i = 0; i < EP_NSTATES; i++)
		all += states[i];
	return pool->size == all && pool->n_idle == states[EP_IDLE] && count_idle_list(pool) == states[EP_IDLE] &&
		pool->n_leased == states[EP_LEASED] && copy->held == states[EP_LEASED] &&
		pool->n_connecting == states[EP_CONNECTING] &&
		pool->n_tended == states[EP_CANCELLING] + states[EP_RESETTING] + states[EP_VALIDATING] &&
		pool->n_ending == states[EP_BROKEN] + states[EP_CLOSING] &&
		pool->n_probing == copy->probing && pool->n_sessions == copy->sessions && pool->n_kept == copy->kept &&
		pool->n_waiting == copy->waiting;
}

/* Caller holds the pool's lock. */
static void
copy_states(const EpPool *pool, StatesCopy *copy)
{
	memset(copy, 0, sizeof(StatesCopy));
	ep_pool_ident(&pool->def, &copy->ident);
	copy->at = GetCurrentTimestamp();
	copy->size = pool->size;
	count_connections(pool, copy);
	copy->waiting = count_queue(pool);
	copy->agrees = agrees(pool, copy);
}

static void
put_states(EpView *view, const StatesCopy *copy)
{
	ep_put_ident(view, &copy->ident);
	ep_put_time(view, copy->at);
	ep_put_int(view, copy->size);
	for (int i = EP_FREE + 1; i < EP_NSTATES; i++)
		ep_put_int(view, copy->states[i]);
	ep_put_int(view, copy->probing);
	ep_put_int(view, copy->sessions);
	ep_put_int(view, copy->kept);
	ep_put_int(view, copy->waiting);
	ep_put_bool(view, copy->agrees);
	ep_view_end_row(view);
}

/* pool_states(): how many connections each open pool has in which state, of whatever database. */
Datum
enhanced_pool_pool_states(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPlace    *places;
	int			nplaces;

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	places = ep_open_places(&nplaces);
	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);
		StatesCopy	copy;

		if (pool == NULL)
			continue;
		copy_states(pool, &copy);
		LWLockRelease(&pool->lock);
		put_states(&view, &copy);
	}
	ep_view_end(&view);
	return (Datum) 0;
}
