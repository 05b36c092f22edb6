/*-------------------------------------------------------------------------
 *
 * attempt.c
 *		What follows from attempts to connect: spacing, the circuit breaker,
 *		the error that waiters see.
 *
 * The outcome of a health check, and of the attempt that closes a breaker,
 * counts for every pool of that remote (EpPoolDef.remote_hash), whichever
 * worker serves it.  Pools are locked one after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "brain/schedule.h"
#include "shared/events.h"
#include "shared/stats.h"
#include "worker/kept.h"

/* Between attempts that nobody waits for, if the pool wants none. */
#define UNAWAITED_SPACING_S	1.0

/* How long a remote that was full is not asked for more connections. */
#define FULL_US				30000000

/* What is to be logged of a breaker; taken under the pool's lock. */
typedef struct News
{
	EpBreakerChange change;
	EpEventPool whose;
	int			failures;
	double		pause_s;
	bool		switched_off;	/* closed, as there is to be none any more */
	char		error[EP_ERROR_SIZE];
} News;

/* ------------------------------------------------------------- the breaker */

/* Caller holds the pool's lock. */
static EpBreakerRule
rule_of(const EpPool *pool)
{
	EpBreakerRule rule = {
		.threshold = EP_INT(&pool->def.set, EP_S_CIRCUIT_BREAKER_THRESHOLD),
		.recovery_s = EP_NUM(&pool->def.set, EP_S_CIRCUIT_BREAKER_RECOVERY)
	};

	return rule;
}

/* Caller holds the pool's lock. */
static void
note_change(EpPool *pool, EpBreakerChange change, News *news)
{
	uint64		now = ep_now_us();

	pool->stats.breaker_trips += change == EP_BREAKER_TRIPPED;
	pool->stats.breaker_resets += change == EP_BREAKER_RESET;

	/* it has waited long enough */
	if (change == EP_BREAKER_PROBES || change == EP_BREAKER_RESET)
	{
		pool->next_try_at = 0;
		pool->backoff = 0;
	}

	news->change = change;
	if (change == EP_BREAKER_SAME)
		return;
	ep_event_pool(pool, &news->whose);
	news->failures = pool->breaker.failures;
	news->pause_s = pool->breaker.probe_at_us > now ? (pool->breaker.probe_at_us - now) / 1e6 : 0;
	strlcpy(news->error, pool->last_error, sizeof(news->error));
}

/* The same as an event. */
static void
note_breaker(const News *news)
{
	EpDetail	detail = {0};

	switch (news->change)
	{
		case EP_BREAKER_TRIPPED:
		case EP_BREAKER_REOPENED:
			ep_detail_text(&detail, "reason", news->change == EP_BREAKER_TRIPPED ? "failures" : "attempt_failed");
			ep_detail_int(&detail, "failures", news->failures);
			ep_detail_number(&detail, "next_try_in", news->pause_s);
			ep_event_of(&news->whose, EP_EVENT_BREAKER_OPEN, 0, &detail, "circuit breaker %s: %s",
						news->change == EP_BREAKER_TRIPPED ? "opened" : "stays open", news->error);
			break;
		case EP_BREAKER_PROBES:
			ep_detail_int(&detail, "failures", news->failures);
			ep_event_of(&news->whose, EP_EVENT_BREAKER_HALF_OPEN, 0, &detail,
						"circuit breaker half-open, one connection is tried");
			break;
		default:
			ep_detail_text(&detail, "reason", news->switched_off ? "switched_off" : "success");
			ep_event_of(&news->whose, EP_EVENT_BREAKER_CLOSED, 0, &detail, "circuit breaker closed");
	}
}

/* The same in the log.  What repeats as long as nothing answers is limited. */
static void
log_breaker(const News *news)
{
	const char *name = news->whose.ident.name;

	switch (news->change)
	{
		case EP_BREAKER_TRIPPED:
			ereport(LOG,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg_plural("pool \"%s\": circuit breaker opened after %d failure, next attempt in %.1f s",
								   "pool \"%s\": circuit breaker opened after %d failures, next attempt in %.1f s",
								   news->failures, name, news->failures, news->pause_s),
					 errdetail_internal("%s", news->error)));
			break;
		case EP_BREAKER_REOPENED:
			if (ep_log_limit(&news->whose, EP_LOG_BREAKER_STAYS_OPEN) == 0)
				break;
			ereport(LOG,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("pool \"%s\": circuit breaker stays open, next attempt in %.1f s", name, news->pause_s),
					 errdetail_internal("%s", news->error)));
			break;
		case EP_BREAKER_PROBES:
			if (ep_log_limit(&news->whose, EP_LOG_BREAKER_HALF_OPEN) == 0)
				break;
			ereport(LOG, (errmsg("pool \"%s\": circuit breaker half-open, one connection is tried", name)));
			break;
		default:
			ereport(LOG, (errmsg("pool \"%s\": circuit breaker closed", name)));
	}
}

/* What is done after the pool's lock was released. */
static void
tell(EpPool *pool, const News *news)
{
	if (news->change == EP_BREAKER_SAME)
		return;
	ep_wake_worker(pool->worker);
	note_breaker(news);
	if (news->change == EP_BREAKER_TRIPPED || news->change == EP_BREAKER_REOPENED)
		ep_queue_wake_all(pool);
	log_breaker(news);
}

/* Caller holds the pool's lock. */
static void
count_against(EpPool *pool, const EpFailure *failure, uint64 began_us, News *news)
{
	EpBreakerRule rule = rule_of(pool);
	EpBreakerChange change = EP_BREAKER_SAME;

	/*
	 * what no retry can mend is the definition's fault, not the remote's, and
	 * whoever asks is to be told of it
	 */
	if ((!failure->fatal && !failure->local) || pool->breaker.state == EP_BREAKER_HALF_OPEN)
		change = ep_breaker_failure(&pool->breaker, &rule, began_us, pool->last_success_us,
									ep_now_us(), pg_prng_double(&pg_global_prng_state));
	note_change(pool, change, news);
}

/* Caller holds the pool's lock. */
static void
count_for(EpPool *pool, News *news)
{
	pool->last_success_us = ep_now_us();
	pool->next_try_at = 0;		/* the remote is there: whoever waits for the next attempt need not */
	pool->denied = false;
	note_change(pool, ep_breaker_clear(&pool->breaker), news);
}

/* ----------------------------------------------------------------- spacing */

/*
 * The spacing that those who wait want, the shortest if they differ, or the
 * pool's own.  No spacing at all is for those who wait alone: they do so for a
 * number of attempts.  Caller holds the pool's lock.
 */
static double
spacing_wanted(const EpPool *pool)
{
	double		base = EP_NUM(&pool->def.set, EP_S_RETRY_BACKOFF);

	if (pool->wait_head >= 0)
		base = ep_backends[pool->wait_head].retry_backoff;
	for (int entry = pool->wait_head; entry >= 0; entry = ep_backends[entry].next)
		base = Min(base, ep_backends[entry].retry_backoff);
	if (base <= 0 && pool->wait_head < 0)
		return UNAWAITED_SPACING_S;
	return base;
}

/*
 * One more walk has failed: when to try again.  Caller holds the pool's lock.
 * Walks that were under way at the same time met the same trouble and count
 * as one.
 */
static void
space_out(EpPool *pool, const EpFailure *failure, uint64 failed_before)
{
	double		base = spacing_wanted(pool);

	if (pool->failed_walks != failed_before)
		return;
	pool->failed_walks++;
	pool->backoff = ep_schedule_backoff(base, pool->backoff);
	if (failure->slow)
		pool->backoff = ep_schedule_backoff(Max(base, 1), Max(pool->backoff, 1));
	pool->next_try_at = pool->backoff == 0 ? 0 :
		ep_now_us() + ep_schedule_delay_us(pool->backoff, pg_prng_double(&pg_global_prng_state));
}

/* ----------------------------------------------------------------- failure */

/* Copies an error to a place of EP_ERROR_SIZE bytes, cut at a character.  Caller holds the pool's lock. */
void
ep_attempt_copy_error(const EpPool *pool, const char *error, char *dst)
{
	int			length = strlen(error);

	if (length >= EP_ERROR_SIZE)
		length = pg_encoding_mbcliplen(pool->def.encoding, error, length, EP_ERROR_SIZE - 1);
	memcpy(dst, error, length);
	dst[length] = '\0';
}

/* Caller holds the pool's lock. */
static void
keep_error(EpPool *pool, const EpFailure *failure)
{
	ep_attempt_copy_error(pool, failure->error, pool->last_error);
	strlcpy(pool->last_hint, failure->hint ? failure->hint : "", sizeof(pool->last_hint));
}

/* Caller holds the pool's lock. */
static void
note_failure(EpPool *pool, const EpKept *kept, const EpFailure *failure, News *news)
{
	space_out(pool, failure, kept->failed_before);
	keep_error(pool, failure);
	pool->fatal_error = failure->fatal;
	pool->last_sqlstate = failure->sqlstate;
	pool->denied = failure->denied;
	pool->failing = true;
	count_against(pool, failure, kept->began_us, news);
}

/*
 * The remote takes no more connections, but the pool has some, so nothing is
 * wrong: it is content with those for a while.  If it has none, that may be
 * because it asked for several at once, of which a server that has room for a
 * few may well refuse all: it asks for one alone, and that tells.  Returns false
 * if it has none, and this was the only one.  Caller holds the pool's lock.
 */
static bool
note_full(EpPool *pool, const EpKept *kept, const EpFailure *failure, News *news)
{
	int			others = pool->n_connecting - (ep_kept_conn(kept)->probe ? 0 : 1);

	if (!failure->full)
		return false;
	if (!ep_pool_any_live(pool))
	{
		bool		one_of_several = others > 0 || (pool->bound > 0 && kept->began_us < pool->bound_until_us);

		if (one_of_several)
		{
			pool->bound = 1;
			pool->bound_until_us = ep_now_us();
		}
		return one_of_several;
	}
	pool->bound = pool->n_idle + pool->n_leased + pool->n_tended;
	pool->bound_until_us = ep_now_us() + FULL_US;
	count_for(pool, news);
	return true;
}

/*
 * It has taken one more: it may be asked for others, at once if it has not been
 * full for a while.  The new one is not counted yet.  Caller holds the pool's
 * lock.
 */
static void
note_taken(EpPool *pool)
{
	if (ep_now_us() >= pool->bound_until_us)
		pool->bound = 0;
	else
		pool->bound = Max(pool->bound, pool->n_idle + pool->n_leased + pool->n_tended + 1);
}

/*
 * The outcome of an attempt of own's counts for the pools of that remote.
 * failure is NULL for a success; checked tells that it was a health check,
 * which counts for own, too.  What a user was refused, and trouble of this
 * side, is said of own alone.
 */
static void
share(EpPool *own, const EpKept *kept, const EpFailure *failure, bool checked)
{
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		News		news = {EP_BREAKER_SAME};

		if (!pool->in_use || pool->def.remote_hash != kept->remote_hash || (pool == own && !checked))
			continue;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		if (pool->in_use && !pool->closing && pool->def.remote_hash == kept->remote_hash &&
			(pool == own || !(failure ? failure->denied || failure->local : pool->denied)))
		{
			pool->stats.health_check_count += checked;
			if (failure)
			{
				pool->stats.health_check_failures++;
				pool->denied = failure->denied;
				if (!pool->fatal_error)
					keep_error(pool, failure);
				count_against(pool, failure, kept->began_us, &news);
			}
			else
				count_for(pool, &news);
		}
		LWLockRelease(&pool->lock);
		tell(pool, &news);
	}
}

/* Logs a failure, now and then. */
static void
log_failure(const EpEventPool *whose, const EpFailure *failure, bool probe)
{
	const char *name = whose->ident.name;
	uint32		count = ep_log_limit(whose, probe ? EP_LOG_CHECK_FAILED : EP_LOG_CONNECT_FAILED);

	if (count == 0)
		return;
	ereport(LOG,
			(errcode(failure->sqlstate),
			 probe ? errmsg("pool \"%s\": health check failed", name) :
			 errmsg("pool \"%s\": could not connect", name),
			 count > 1 ? errdetail_internal("%s\n%u attempts have failed since this was last logged.", failure->error, count) :
			 errdetail_internal("%s", failure->error)));
}

/* The failure as an event. */
static void
note_failed(const EpKept *kept, const EpEventPool *whose, const EpFailure *failure, bool probe, double next_try_s)
{
	EpDetail	detail = {0};

	ep_detail_text(&detail, "sqlstate", unpack_sql_state(failure->sqlstate));
	if (failure->said && failure->said[0] != '\0')
		ep_detail_text(&detail, "remote_sqlstate", failure->said);
	if (probe)
	{
		ep_event_of(whose, EP_EVENT_HEALTH_FAILED, 0, &detail, "%s", failure->error);
		return;
	}
	ep_detail_number(&detail, "next_try_in", next_try_s);
	ep_event_burst(whose, EP_BURST_CONNECT_FAILED, kept->conn_id, &detail, "%s", failure->error);
}

/* An attempt has failed: its connection is to be ended, and everybody is told. */
void
ep_attempt_failed(EpKept *kept, const EpFailure *failure)
{
	EpPool	   *pool = ep_kept_pool(kept);
	bool		probe = ep_kept_conn(kept)->probe;
	EpEventPool whose;
	News		news = {EP_BREAKER_SAME};
	bool		full;
	uint64		now = ep_now_us();
	double		next_try_s;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	full = note_full(pool, kept, failure, &news);
	if (!probe)
	{
		pool->stats.connection_errors++;
		pool->fill_target = 0;
		pool->lost = false;
		if (!full)
			note_failure(pool, kept, failure, &news);
	}
	else if (full)
		pool->stats.health_check_count++;
	ep_conn_to_broken(ep_kept_conn(kept));
	next_try_s = pool->next_try_at > now ? (pool->next_try_at - now) / 1e6 : 0;
	ep_event_pool(pool, &whose);
	LWLockRelease(&pool->lock);
	kept->task = EP_TASK_NONE;
	kept->deadline = 0;
	SetLatch(MyLatch);

	if (!probe || !full)
		note_failed(kept, &whose, failure, probe, next_try_s);
	if (!probe)
		ep_queue_wake_all(pool);	/* to see the error */
	else if (!full)
		share(pool, kept, failure, true);
	if (probe)
		ep_health_answer(kept, full ? EP_CHECK_PASSED : EP_CHECK_FAILED, failure->error);
	log_failure(&whose, failure, probe);
	tell(pool, &news);
}

/* ----------------------------------------------------------------- success */

/*
 * An attempt has succeeded: the connection, which was set up or asked its
 * health check's query, is fit for use.
 */
void
ep_attempt_succeeded(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	News		news = {EP_BREAKER_SAME};

	if (ep_kept_conn(kept)->probe)
	{
		share(pool, kept, NULL, true);
		ep_health_answer(kept, EP_CHECK_PASSED, "");
		return;
	}
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->failing = false;
	pool->fatal_error = false;
	pool->lost = false;
	pool->backoff = 0;
	pool->next_try_at = 0;
	pool->stats.total_created++;
	if (ep_stats_on(pool))
		ep_stats_time(pool, EP_TIMED_CONNECT, ep_now_us() - kept->began_us);
	note_taken(pool);
	ep_pool_check_filled(pool);
	count_for(pool, &news);
	LWLockRelease(&pool->lock);
	tell(pool, &news);
	if (news.change == EP_BREAKER_RESET)
		share(pool, kept, NULL, false);
}

/* -------------------------------------------------------------------- time */

/* Lets the breaker of a pool go on when it is time, or its settings have changed. */
void
ep_attempt_tick(EpPool *pool, uint64 now_us)
{
	News		news = {EP_BREAKER_SAME};
	EpBreakerRule rule;
	uint64		probe_at = 0;

	if (*(volatile EpBreakerState *) &pool->breaker.state == EP_BREAKER_CLOSED)
		return;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	rule = rule_of(pool);
	news.switched_off = true;
	if (pool->in_use)
		note_change(pool, ep_breaker_tick(&pool->breaker, &rule, now_us), &news);
	if (pool->breaker.state == EP_BREAKER_OPEN)
		probe_at = pool->breaker.probe_at_us;
	LWLockRelease(&pool->lock);
	tell(pool, &news);
	if (probe_at != 0)
		ep_loop_wake_at(probe_at);
}
