/*-------------------------------------------------------------------------
 *
 * pool.c
 *		The registry of pools.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "shared/events.h"
#include "shared/shared.h"
#include "shared/stats.h"

/* What a pool is registered for. */
typedef enum Purpose
{
	FOR_USE,
	FOR_PAUSE,
	FOR_CHECK
} Purpose;

/* How long a registering backend waits for another pool to make room. */
#define ROOM_TIMEOUT_US		(5 * 1000000)

static bool
same_key(const EpPoolKey *a, const EpPoolKey *b)
{
	return a->database == b->database && a->server == b->server &&
		a->mapping == b->mapping && a->own_mapping == b->own_mapping;
}

/* Place of a pool in ep_pools, or -1.  Caller holds registry_lock. */
int
ep_pool_find(const EpPoolKey *key)
{
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		if (ep_pools[i].in_use && same_key(&ep_pools[i].def.key, key))
			return i;
	}
	return -1;
}

static void
clear_counters(EpPool *pool)
{
	memset(&pool->stats, 0, sizeof(EpPoolStats));
	pool->stats_reset = GetCurrentTimestamp();
}

/* Counting begins at zero.  Caller holds the pool's lock. */
bool
ep_pool_reset_stats(EpPool *pool)
{
	ep_stats_reset(pool);
	clear_counters(pool);
	return true;
}

/* Nothing of what was known of the pool counts any more.  Caller holds its lock. */
static void
forget_stats(EpPool *pool)
{
	ep_stats_begin(pool);
	clear_counters(pool);
}

/* The pool is as if it were opened at this moment.  Caller holds its lock. */
static void
begin_anew(EpPool *pool, const EpPoolDef *def)
{
	forget_stats(pool);
	pool->fill_target = EP_INT(&def->set, EP_S_INITIAL_SIZE);
	pool->opened_at = pool->stats_reset;
	pool->last_session_us = ep_now_us();
	pool->closing = false;
	pool->growing = false;
	pool->scaled_up_us = pool->scaled_down_us = 0;
}

/*
 * The passwords of a definition that does not hold any more go at once.  What
 * else it says stays, for views and for who gives a connection back.  sslpassword
 * stands in a list that is still read, whose form is kept.  Caller holds the
 * pool's lock.
 */
static void
wipe_passwords(EpPool *pool)
{
	char	   *p = pool->def.texts.data + pool->def.conninfo;

	explicit_bzero(pool->def.password, sizeof(pool->def.password));
	while (*p)
	{
		char	   *value = p + strlen(p) + 1;

		if (strcmp(p, "sslpassword") == 0)
			memset(value, '*', strlen(value));
		p = value + strlen(value) + 1;
	}
	pool->wiped = true;
}

/*
 * None of the pool's present connections is lent any more, and the worker ends
 * them as soon as nobody uses them.  Caller holds the pool's lock.
 */
void
ep_pool_outdate(EpPool *pool)
{
	/*
	 * numbers are given to connections of this pool under its lock, and only
	 * grow
	 */
	pool->keep_from = pg_atomic_read_u64(&ep_control->next_conn_id);
	pool->n_outdated = pool->size;
	pool->def_version++;
}

/*
 * Is the pool filled, to the size that it was to get?  Not as long as some of
 * its connections are to be replaced.  Caller holds the pool's lock.
 */
void
ep_pool_check_filled(EpPool *pool)
{
	int			wanted = Min(pool->fill_target, EP_INT(&pool->def.set, EP_S_MAX_SIZE));

	if (pool->n_outdated == 0 && ep_pool_size(pool) - pool->n_ending >= wanted)
		pool->fill_target = 0;
}

/*
 * Does strategy dynamic say how many connections there are?  Not where nobody
 * but a health check has asked for one.  Caller holds the pool's lock.
 */
bool
ep_pool_is_tuned(const EpPool *pool)
{
	return EP_INT(&pool->def.set, EP_S_STRATEGY) == EP_STRATEGY_DYNAMIC &&
		EP_BOOL(&pool->def.set, EP_S_DYNAMIC_SCALING_ENABLED) && !pool->checked_only;
}

/*
 * How many connections the pool may have at present: strategy dynamic may have
 * found that the remote has no use for all of max_size.  Caller holds the pool's
 * lock.
 */
int
ep_pool_most(const EpPool *pool)
{
	int			max_size = EP_INT(&pool->def.set, EP_S_MAX_SIZE);

	if (pool->tuner.limit > 0 && pool->tuner.open < max_size && ep_pool_is_tuned(pool))
		return pool->tuner.open;
	return max_size + EP_INT(&pool->def.set, EP_S_MAX_OVERFLOW);
}

/* What is about to be ended is to be replaced, to the present size.  Caller holds the pool's lock. */
void
ep_pool_refill(EpPool *pool)
{
	pool->fill_target = Max(pool->fill_target, ep_pool_size(pool) - pool->n_ending);
}

/*
 * Forget what went wrong so far, as it may be mended now: the next attempt to
 * connect is made at once, and the breaker is closed.  Caller holds the pool's
 * lock.  Returns whether the breaker was not closed before.
 */
bool
ep_pool_forget_failures(EpPool *pool)
{
	bool		reset = ep_breaker_clear(&pool->breaker) == EP_BREAKER_RESET;

	pool->fatal_error = false;
	pool->denied = false;
	pool->next_try_at = 0;
	pool->backoff = 0;
	pool->bound = 0;
	pool->bound_until_us = 0;
	pool->stats.breaker_resets += reset;
	return reset;
}

/* What a new definition has changed; taken under the pool's lock. */
typedef struct Change
{
	EpEventPool whose;
	bool		changed;		/* anything that users see */
	bool		reset;			/* that closed the breaker */
	int			replaced;		/* so many connections are to be replaced */
	char		what[EP_EVENT_MESSAGE_SIZE];	/* names of settings */
} Change;

/* Names the settings that differ, as many as there is room for. */
static void
name_changes(const EpPoolDef *a, const EpPoolDef *b, char *names, Size size)
{
	names[0] = '\0';
	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		if (ep_setting_defs[i].type == EP_TYPE_STRING ?
			strcmp(EP_STR(&a->set, &a->texts, i), EP_STR(&b->set, &b->texts, i)) == 0 :
			EP_NUM(&a->set, i) == EP_NUM(&b->set, i))
			continue;
		if (names[0] != '\0')
			strlcat(names, ", ", size);
		strlcat(names, ep_setting_defs[i].name, size);
	}
}

/*
 * Take over a new definition.  Caller holds the pool's lock.  Connections
 * made from another definition are replaced.  Returns what that has changed.
 */
static void
update_def(EpPool *pool, const EpPoolDef *def, Change *change)
{
	memset(change, 0, sizeof(Change));
	if (pool->def.conn_hash == def->conn_hash && pool->def.set_hash == def->set_hash &&
		!pool->stale && !pool->closing && strcmp(pool->def.name, def->name) == 0)
		return;
	name_changes(&pool->def, def, change->what, sizeof(change->what));
	change->changed = !pool->closing &&
		(change->what[0] != '\0' || pool->def.conn_hash != def->conn_hash || strcmp(pool->def.name, def->name) != 0);
	if (pool->def.conn_hash != def->conn_hash)
	{
		ep_pool_outdate(pool);
		change->replaced = pool->n_outdated;
	}

	/* whatever was changed may be what keeps the pool from connecting */
	change->reset = ep_pool_forget_failures(pool);
	if (pool->closing)
		begin_anew(pool, def);
	pool->def = *def;
	pool->def_version++;
	pool->stale = pool->wiped = false;
	ep_event_pool(pool, &change->whose);
}

/* The breaker was closed for another reason than that an attempt succeeded.  No pool's lock is held. */
static void
tell_reset(const EpEventPool *whose, const char *reason)
{
	EpDetail	detail = {0};

	ep_detail_text(&detail, "reason", reason);
	ep_event_of(whose, EP_EVENT_BREAKER_CLOSED, 0, &detail, "circuit breaker closed");
}

/* What is told of a change, with no lock held. */
static void
tell_change(const Change *change)
{
	EpDetail	detail = {0};

	if (change->changed)
	{
		ep_detail_int(&detail, "replaced", change->replaced);
		ep_detail_int(&detail, "pid", MyProcPid);
		ep_event_of(&change->whose, EP_EVENT_CONFIG_CHANGE, 0, &detail, "definition changed: %s",
					change->what[0] != '\0' ? change->what : "how it connects");
	}
	if (change->reset)
	{
		tell_reset(&change->whose, "config_change");
		ereport(LOG,
				(errmsg("pool \"%s\": circuit breaker closed", change->whose.ident.name),
				 errdetail("The pool's definition was changed.")));
	}
}

/* A pool was closed by nobody who named it.  No pool's lock is held. */
static void
tell_closed(const EpEventPool *whose, const char *reason, const char *message)
{
	EpDetail	detail = {0};

	ep_detail_text(&detail, "reason", reason);
	ep_detail_int(&detail, "pid", MyProcPid);
	ep_event_of(whose, EP_EVENT_CLOSE_POOL, 0, &detail, "%s", message);
}

/* Begin a pool in a free place.  Caller holds registry_lock exclusively. */
static void
open_place(EpPool *pool, const EpPoolDef *def, Purpose purpose)
{
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	memset((char *) pool + offsetof(EpPool, in_use), 0, offsetof(EpPool, closed_epoch) - offsetof(EpPool, in_use));
	pool->generation = ++ep_control->pool_generation;
	pool->worker = (int) (pool - ep_pools) % ep_control->n_workers;
	pool->idle_head = pool->idle_tail = EP_NO_SLOT;
	pool->wait_head = pool->wait_tail = -1;
	for (int i = 0; i < EP_NLINES; i++)
		pool->lines[i].head = pool->lines[i].tail = -1;
	pool->grow_above = PG_INT32_MAX;
	pool->ration = EP_NO_RATION;
	pool->def = *def;
	pool->def_version = 1;
	begin_anew(pool, def);
	pool->paused = purpose == FOR_PAUSE;
	pool->checked_only = purpose == FOR_CHECK;
	pool->last_acquire_us = pool->last_probe_us = ep_now_us();
	pool->in_use = true;
	LWLockRelease(&pool->lock);
	ep_wake_worker(pool->worker);
}

/*
 * All places are taken: close the pool that has been unused longest and has
 * no lease and no waiter.  One that is paused keeps its place: nobody else
 * would know of the pause.  Caller holds registry_lock.  Returns false if
 * there is none (one that is closing already counts as found).
 */
static bool
make_room(void)
{
	EpPool	   *victim = NULL;
	EpEventPool whose = {.place = -1};

	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		bool		usable;

		LWLockAcquire(&pool->lock, LW_SHARED);
		usable = pool->n_leased == 0 && pool->n_waiting == 0 && !pool->paused;
		if (usable && pool->closing)
		{
			LWLockRelease(&pool->lock);
			return true;
		}
		if (usable && (victim == NULL || pool->last_acquire_us < victim->last_acquire_us))
			victim = pool;
		LWLockRelease(&pool->lock);
	}
	if (victim == NULL)
		return false;
	LWLockAcquire(&victim->lock, LW_EXCLUSIVE);
	if (victim->n_leased == 0 && victim->n_waiting == 0 && !victim->paused)
	{
		(void) ep_pool_close(victim);
		ep_event_pool(victim, &whose);
	}
	LWLockRelease(&victim->lock);
	tell_closed(&whose, "make_room", "closed to make room for another pool");
	ep_wake_worker(victim->worker);
	return true;
}

/* Bring an open pool up to date.  Caller holds its lock.  Returns what that has changed. */
static void
update_place(EpPool *pool, const EpPoolDef *def, Purpose purpose, Change *change)
{
	bool		was_closing = pool->closing;

	update_def(pool, def, change);
	if (purpose == FOR_PAUSE)
		(void) ep_pool_pause(pool);
	/* one that is paused keeps its place: it is to be there when it is resumed */
	pool->checked_only = purpose == FOR_CHECK && (pool->checked_only || was_closing) && !pool->paused;
}

static int
register_pool(const EpPoolDef *def, Purpose purpose)
{
	uint64		deadline = ep_now_us() + ROOM_TIMEOUT_US;

	ep_require_preload();
	for (;;)
	{
		int			place;
		bool		room;
		Change		change;

		LWLockAcquire(&ep_control->registry_lock, LW_EXCLUSIVE);
		place = ep_pool_find(&def->key);
		if (place >= 0)
		{
			LWLockAcquire(&ep_pools[place].lock, LW_EXCLUSIVE);
			update_place(&ep_pools[place], def, purpose, &change);
			LWLockRelease(&ep_pools[place].lock);
			LWLockRelease(&ep_control->registry_lock);
			ep_wake_worker(ep_pools[place].worker);
			ConditionVariableCancelSleep();
			tell_change(&change);
			return place;
		}
		for (place = 0; place < ep_control->max_pools; place++)
		{
			if (!ep_pools[place].in_use)
			{
				open_place(&ep_pools[place], def, purpose);
				LWLockRelease(&ep_control->registry_lock);
				ConditionVariableCancelSleep();
				return place;
			}
		}
		room = purpose != FOR_CHECK && make_room();
		LWLockRelease(&ep_control->registry_lock);

		if (!room || ep_now_us() > deadline)
		{
			ConditionVariableCancelSleep();
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("all %d pools are in use", ep_control->max_pools),
					 errhint("Raise enhanced_pool.max_pools and restart the server.")));
		}
		/* the first call only announces this process, the ones after it sleep */
		(void) ConditionVariableTimedSleep(&ep_control->place_freed, 100,
										   ep_wait_event_compat("EnhancedPoolRegister"));
	}
}

/*
 * Find or open the pool of a definition and bring it up to date.  Takes no
 * locks of the caller's; may wait up to 5 s for another pool's place.
 * Returns the place in ep_pools.  Raises 53400 when every place is taken by a
 * pool that is in use.
 */
int
ep_pool_register(const EpPoolDef *def)
{
	return register_pool(def, FOR_USE);
}

/* The same for a pool that is to be paused; nothing is connected for it. */
int
ep_pool_register_paused(const EpPoolDef *def)
{
	return register_pool(def, FOR_PAUSE);
}

/*
 * The same for a pool that is to be checked.  If it was not open it keeps no
 * connection, and no other pool has to make room for it.
 */
int
ep_pool_register_checked(const EpPoolDef *def)
{
	return register_pool(def, FOR_CHECK);
}

/* Apply a mark to every pool of a database, server or mapping; InvalidOid matches any. */
static void
mark_pools(Oid database, Oid server, Oid mapping, bool closing)
{
	if (ep_control == NULL)
		return;
	LWLockAcquire(&ep_control->registry_lock, LW_SHARED);
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		const EpPoolKey *key = &pool->def.key;
		EpEventPool whose = {.place = -1};

		if (!pool->in_use || key->database != database)
			continue;
		if (OidIsValid(server) && key->server != server && pool->def.other_server != server)
			continue;
		if (OidIsValid(mapping) && key->mapping != mapping && key->own_mapping != mapping)
			continue;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		if (closing)
		{
			pool->paused = false;	/* there is nothing left to resume */
			if (!pool->closing)
				ep_event_pool(pool, &whose);
			(void) ep_pool_close(pool);
		}
		else
		{
			pool->stale = true;
			if (OidIsValid(mapping))
				wipe_passwords(pool);
		}
		LWLockRelease(&pool->lock);
		tell_closed(&whose, "dropped", "closed, as server, user mapping or database was dropped");

		/*
		 * waiters of a closed pool fail, those of a stale one register it
		 * anew
		 */
		ep_queue_wake_all(pool);
		ep_wake_worker(pool->worker);
	}
	LWLockRelease(&ep_control->registry_lock);
}

/*
 * Server or mapping was altered (at commit): the definition is read again by the
 * next one to use the pool, and connections that do not fit it are replaced.
 */
void
ep_pool_mark_stale(Oid database, Oid server, Oid mapping)
{
	mark_pools(database, server, mapping, false);
}

/* Server, mapping or database was dropped (at commit): its pools are closed. */
void
ep_pool_mark_closing(Oid database, Oid server, Oid mapping)
{
	mark_pools(database, server, mapping, true);
}

/* ---------------------------------------------------------- administration */

/*
 * No leases from now on, and no connections: those that are idle are ended,
 * those that are leased when they come back.  Waiters go on waiting.  Caller
 * holds the pool's lock.
 */
bool
ep_pool_pause(EpPool *pool)
{
	pool->paused = true;
	pool->checked_only = false; /* it keeps its place from now on */
	ep_pool_outdate(pool);
	return true;
}

/* The pool is open again, as at its first use.  Caller holds its lock. */
bool
ep_pool_resume(EpPool *pool)
{
	if (!pool->paused)
		return false;
	pool->paused = false;
	/* what kept it from connecting may be what it was paused for */
	(void) ep_pool_forget_failures(pool);
	pool->fill_target = EP_INT(&pool->def.set, EP_S_INITIAL_SIZE);
	return true;
}

/* Every connection is replaced, as many as there are.  Caller holds the pool's lock. */
bool
ep_pool_recycle(EpPool *pool)
{
	ep_pool_refill(pool);
	ep_pool_outdate(pool);
	return true;
}

/*
 * The pool ends: who waits is refused, connections are ended as soon as nobody
 * uses them, and when none is left its place is free.  If somebody wants a
 * lease before that, it begins anew.  Caller holds the pool's lock.
 */
bool
ep_pool_close(EpPool *pool)
{
	ep_pool_outdate(pool);
	forget_stats(pool);
	pool->refused_below = pool->next_ticket;
	pool->closing = true;
	wipe_passwords(pool);
	return true;
}

/*
 * A pool that was opened for a health check alone ends when nobody waits for
 * the outcome any more, unless somebody has begun to use it meanwhile.  Caller
 * holds the pool's lock.  Returns whether it was closed.
 */
bool
ep_pool_close_checked(EpPool *pool)
{
	if (!pool->checked_only || pool->closing || pool->check.asked != pool->check.answered)
		return false;
	/* leases from before it was closed are no use of it */
	pool->checked_only = ep_pool_size(pool) <= pool->n_outdated && pool->n_waiting == 0;
	if (pool->checked_only)
		ep_pool_close(pool);
	return pool->checked_only;
}

/* Does an open pool belong to a set?  Caller holds its lock. */
bool
ep_pool_in_set(const EpPool *pool, const EpPoolSet *set)
{
	const EpPoolDef *def = &pool->def;

	return pool->in_use &&
		(!OidIsValid(set->database) || def->key.database == set->database) &&
		(!OidIsValid(set->server) || def->key.server == set->server) &&
		(set->every_role || def->mapping_role == set->role);
}

/* An event of what an administrator did to a pool that had so many connections. */
static void
tell_done(const EpEventPool *whose, EpEventKind kind, int size, int active)
{
	EpDetail	detail = {0};

	ep_detail_int(&detail, "size", size);
	ep_detail_int(&detail, "active", active);
	ep_detail_int(&detail, "pid", MyProcPid);
	ep_event_of(whose, kind, 0, &detail, "%s by an administrator",
				kind == EP_EVENT_PAUSE ? "paused" :
				kind == EP_EVENT_RESUME ? "resumed" :
				kind == EP_EVENT_RECYCLE ? "recycled" : "closed");
}

/*
 * Does something to each open pool of a set, under its lock, and lets worker
 * and waiters look at it; kind is the event that it is, or EP_EVENT_NONE.  The
 * caller holds no lock.
 */
void
ep_pool_each(const EpPoolSet *set, EpPoolAction act, EpEventKind kind)
{
	LWLockAcquire(&ep_control->registry_lock, LW_SHARED);
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		EpEventPool whose;
		bool		found;
		bool		done = false;
		int			size;
		int			active;
		EpBreakerState breaker;

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		found = ep_pool_in_set(pool, set);
		ep_event_pool(pool, &whose);
		size = pool->size;
		active = pool->n_leased;
		breaker = pool->breaker.state;
		if (found)
			done = act(pool);
		if (pool->breaker.state != EP_BREAKER_CLOSED)
			breaker = EP_BREAKER_CLOSED;	/* nothing was closed */
		LWLockRelease(&pool->lock);
		if (done && kind != EP_EVENT_NONE)
			tell_done(&whose, kind, size, active);
		if (done && breaker != EP_BREAKER_CLOSED)
			tell_reset(&whose, ep_event_kind_name(kind));
		if (found)
		{
			ep_queue_wake_all(pool);
			ep_wake_worker(pool->worker);
		}
	}
	LWLockRelease(&ep_control->registry_lock);
}

/* How many connections of the open pools of a set are leased.  The caller holds no lock. */
int
ep_pool_count_leased(const EpPoolSet *set)
{
	int			n = 0;

	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];

		LWLockAcquire(&pool->lock, LW_SHARED);
		if (ep_pool_in_set(pool, set))
			n += pool->n_leased;
		LWLockRelease(&pool->lock);
	}
	return n;
}

/*
 * Free the place of a pool that is closing once nothing is left in it.  One
 * that is paused begins anew in it: the pause lasts.  The caller, the pool's
 * worker, holds no lock.
 */
void
ep_pool_try_free(EpPool *pool)
{
	LWLockAcquire(&ep_control->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->in_use && pool->closing && pool->size == 0 && pool->n_waiting == 0)
	{
		if (pool->paused)
		{
			begin_anew(pool, &pool->def);
			pool->stale = true; /* the passwords are gone: it is registered when it is used */
		}
		else
		{
			pool->in_use = false;
			pool->generation = 0;
			explicit_bzero(&pool->def, sizeof(EpPoolDef));
		}
	}
	LWLockRelease(&pool->lock);
	LWLockRelease(&ep_control->registry_lock);
	ConditionVariableBroadcast(&ep_control->place_freed);
}
