/*-------------------------------------------------------------------------
 *
 * view.c
 *		What the functions behind the views share.
 *
 * A view first copies what it needs out of shared memory, one pool or one
 * connection at a time under that pool's lock, and makes rows of the copies
 * afterwards: nothing is allocated and nothing can fail under a lock.  So the
 * rows of a view are each true, but not all of one moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "compat.h"
#include "functions/view.h"

/* ------------------------------------------------------------ building rows */

/*
 * Begin the result of a set-returning function.  Raises an error when the
 * caller cannot take a materialized set.
 */
void
ep_view_begin(EpView *view, FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	view->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	view->context = AllocSetContextCreate(CurrentMemoryContext, "enhanced_pool view", ALLOCSET_SMALL_SIZES);
	view->n = 0;
}

/* All columns have been put: add the row to the result. */
void
ep_view_end_row(EpView *view)
{
	/* the SQL declaration decides how many are read, so it had better agree */
	if (view->n != view->rsinfo->setDesc->natts)
		elog(ERROR, "view has %d columns, its declaration says %d", view->n, view->rsinfo->setDesc->natts);
	tuplestore_putvalues(view->rsinfo->setResult, view->rsinfo->setDesc, view->values, view->nulls);
	view->n = 0;
	MemoryContextReset(view->context);
	CHECK_FOR_INTERRUPTS();
}

/* The result is complete. */
void
ep_view_end(EpView *view)
{
	Assert(view->n == 0);
	MemoryContextDelete(view->context);
}

static void
put(EpView *view, Datum value, bool isnull)
{
	Assert(view->n < EP_VIEW_MAX_COLUMNS);
	view->values[view->n] = value;
	view->nulls[view->n] = isnull;
	view->n++;
}

void
ep_put_null(EpView *view)
{
	put(view, (Datum) 0, true);
}

/*
 * A copy of a text.  Names and queries of another database may be in another
 * encoding; what is not valid in this one would end the whole query with an
 * error, so its bytes beyond ASCII become question marks.
 */
static char *
make_valid(const char *text)
{
	char	   *copy = pstrdup(text);

	if (!pg_verifymbstr(copy, strlen(copy), true))
	{
		for (char *p = copy; *p; p++)
		{
			if (IS_HIGHBIT_SET(*p))
				*p = '?';
		}
	}
	return copy;
}

/* A text, NULL for NULL. */
void
ep_put_text(EpView *view, const char *text)
{
	MemoryContext caller;

	if (text == NULL)
	{
		ep_put_null(view);
		return;
	}
	caller = MemoryContextSwitchTo(view->context);
	put(view, CStringGetTextDatum(make_valid(text)), false);
	MemoryContextSwitchTo(caller);
}

/* A jsonb from a text that is a well-formed JSON value, NULL for NULL. */
void
ep_put_jsonb(EpView *view, const char *json)
{
	MemoryContext caller;

	if (json == NULL)
	{
		ep_put_null(view);
		return;
	}
	caller = MemoryContextSwitchTo(view->context);
	put(view, DirectFunctionCall1(jsonb_in, CStringGetDatum(make_valid(json))), false);
	MemoryContextSwitchTo(caller);
}

void
ep_put_bool(EpView *view, bool value)
{
	put(view, BoolGetDatum(value), false);
}

void
ep_put_int(EpView *view, int value)
{
	put(view, Int32GetDatum(value), false);
}

void
ep_put_bigint(EpView *view, int64 value)
{
	put(view, Int64GetDatum(value), false);
}

void
ep_put_double(EpView *view, double value)
{
	put(view, Float8GetDatum(value), false);
}

/* part / whole, NULL when there is no whole. */
void
ep_put_ratio(EpView *view, double part, double whole)
{
	if (whole > 0)
		ep_put_double(view, part / whole);
	else
		ep_put_null(view);
}

/* Microseconds as the milliseconds of a column ..._time. */
void
ep_put_ms(EpView *view, uint64 us)
{
	ep_put_double(view, us / 1000.0);
}

/* Microseconds as an interval of days and time; never negative. */
void
ep_put_interval(EpView *view, int64 us)
{
	Interval   *interval = MemoryContextAllocZero(view->context, sizeof(Interval));

	us = Max(us, 0);
	interval->day = (int32) (us / USECS_PER_DAY);
	interval->time = us % USECS_PER_DAY;
	put(view, IntervalPGetDatum(interval), false);
}

/* A point in time, NULL for 0, which stands for never. */
void
ep_put_time(EpView *view, TimestampTz time)
{
	put(view, TimestampTzGetDatum(time), time == 0);
}

/* The first three columns of every view. */
void
ep_put_ident(EpView *view, const EpPoolIdent *ident)
{
	ep_put_text(view, ident->datname);
	ep_put_text(view, ident->name);
	ep_put_text(view, ident->role);
}

/* ------------------------------------------------------------- open pools */

/*
 * The places in use, a palloc'd list.  The caller holds no lock and gets none:
 * a place may be given up or away before it is looked at, see below.
 */
EpPlace *
ep_open_places(int *n)
{
	EpPlace    *places = palloc(sizeof(EpPlace) * ep_control->max_pools);

	*n = 0;
	LWLockAcquire(&ep_control->registry_lock, LW_SHARED);
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		if (!ep_pools[i].in_use)
			continue;
		places[*n].place = i;
		places[*n].generation = ep_pools[i].generation;
		(*n)++;
	}
	LWLockRelease(&ep_control->registry_lock);
	return places;
}

/*
 * Lock a listed pool shared.  Returns NULL, without the lock, if its place was
 * given up since, or the pool is closed and about to give it up.
 */
EpPool *
ep_lock_place(const EpPlace *place)
{
	EpPool	   *pool = &ep_pools[place->place];

	LWLockAcquire(&pool->lock, LW_SHARED);
	if (pool->in_use && pool->generation == place->generation &&
		!(pool->closing && pool->size == 0 && pool->n_waiting == 0))
		return pool;
	LWLockRelease(&pool->lock);
	return NULL;
}

/*
 * Copy the connection in a slot of ep_conns.  Takes the lock of its pool.
 * Returns false if the slot is free.  What its owner writes without a lock may
 * be a moment older or newer than the rest.
 */
bool
ep_copy_conn(int slot, EpConnCopy *copy)
{
	EpConn	   *conn = &ep_conns[slot];
	int			place = ((volatile EpConn *) conn)->pool;
	EpPool	   *pool = &ep_pools[place];
	bool		used;

	if (((volatile EpConn *) conn)->state == EP_FREE)
		return false;
	LWLockAcquire(&pool->lock, LW_SHARED);
	used = pool->in_use && ep_conn_belongs(conn, pool);
	if (used)
	{
		ep_pool_ident(&pool->def, &copy->ident);
		memcpy(&copy->conn, conn, offsetof(EpConn, lease_word));
		copy->bits = EP_LW_BITS(pg_atomic_read_u64(&conn->lease_word));
		copy->pid = conn->owner >= 0 ? ep_backends[conn->owner].pid : 0;
	}
	LWLockRelease(&pool->lock);
	return used;
}

/* --------------------------------------------------------- who may see what */

/* May the current user see everything that the statistics of the server show? */
bool
ep_reads_all_stats(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}

static bool
has_usage(Oid server)
{
	/* the pool of a server that was dropped may still have leases */
	return SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(server)) &&
		ep_server_aclcheck_compat(server, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

/*
 * May the current user see hosts, users and errors of a pool?  Who may use the
 * pool can learn them anyway.  The rights on another database's servers cannot
 * be looked up here.
 */
bool
ep_may_use_pool(const EpPoolIdent *ident)
{
	if (ep_reads_all_stats())
		return true;
	if (ident->database != MyDatabaseId)
		return false;
	if (OidIsValid(ident->mapping_role) && !has_privs_of_role(GetUserId(), ident->mapping_role))
		return false;
	return has_usage(ident->server) &&
		(!OidIsValid(ident->other_server) || has_usage(ident->other_server));
}

/* May the current user see the queries that this role runs? */
bool
ep_may_read_role(Oid role)
{
	return ep_reads_all_stats() || (OidIsValid(role) && has_privs_of_role(GetUserId(), role));
}
