/*-------------------------------------------------------------------------
 *
 * health.c
 *		Health checks that a session asks for, and closing a breaker.
 *
 * The test connection is the worker's to make: see EpCheck in shared.h and
 * worker/health.c.  The session asks every pool first and then waits for the
 * answers, so that the tests run at the same time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "client/admin.h"
#include "client/lease.h"
#include "shared/events.h"

/* What the worker allows for the set-up of a connection and for the query. */
#define SET_UP_AND_QUERY_S	40.0

/* One pool that was asked. */
typedef struct Question
{
	int			place;
	uint32		generation;
	uint64		number;			/* of the check */
	double		timeout_s;		/* 0: none */
} Question;

/* ------------------------------------------------------------------- asking */

/* How many hosts a pool has.  Caller holds its lock, if def is shared. */
static int
count_hosts(const EpPoolDef *def)
{
	int			most = 1;

	for (const char *p = def->texts.data + def->conninfo; *p; p += strlen(p) + 1)
	{
		bool		hosts = strcmp(p, "host") == 0 || strcmp(p, "hostaddr") == 0;
		int			n = 1;

		p += strlen(p) + 1;
		for (const char *c = p; hosts && *c; c++)
			n += *c == ',';
		most = Max(most, n);
	}
	return most;
}

/*
 * A limit for the wait: each host has a look-up and an attempt, and a test that
 * is under way ends first.  Caller holds the pool's lock.
 */
static double
longest_wait(const EpPool *pool)
{
	double		connect_timeout = EP_NUM(&pool->def.set, EP_S_CONNECT_TIMEOUT);

	if (connect_timeout <= 0)
		return 0;
	return 2 * (2 * count_hosts(&pool->def) * connect_timeout + SET_UP_AND_QUERY_S);
}

/* Caller holds the pool's lock. */
static void
ask(EpPool *pool, Question *question, EpCheckResult *result)
{
	question->place = (int) (pool - ep_pools);
	question->generation = pool->generation;
	question->number = ++pool->check.asked;
	question->timeout_s = longest_wait(pool);

	memset(result, 0, sizeof(EpCheckResult));
	result->key = pool->def.key;
	result->other_server = pool->def.other_server;
	result->mapping_role = pool->def.mapping_role;
	strlcpy(result->role, pool->def.role, NAMEDATALEN);
}

static int
ask_all(const EpAdminTarget *target, Question *questions, EpCheckResult *results)
{
	int			n = 0;

	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		bool		found;

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		found = ep_pool_in_set(pool, &target->set) && !pool->closing;
		if (found)
		{
			ask(pool, &questions[n], &results[n]);
			n++;
		}
		LWLockRelease(&pool->lock);
		if (found)
			ep_wake_worker(pool->worker);
	}
	return n;
}

/* ------------------------------------------------------------------ answers */

/* Is there an answer, or will there never be one?  Raises 55000 if the worker is away. */
static bool
read_answer(const Question *question, EpCheckResult *result)
{
	EpPool	   *pool = &ep_pools[question->place];
	bool		done = true;
	bool		away;

	LWLockAcquire(&pool->lock, LW_SHARED);
	away = ep_worker_is_away(pool);
	if (!pool->in_use || pool->generation != question->generation)
		strlcpy(result->error, "not tested: the pool was closed", EP_ERROR_SIZE);
	else if (pool->check.answered >= question->number)
	{
		result->outcome = pool->check.outcome;
		result->latency_us = pool->check.latency_us;
		memcpy(result->error, pool->check.error, EP_ERROR_SIZE);
	}
	else
		done = false;
	LWLockRelease(&pool->lock);
	if (away && !done)
		ep_raise_worker_away();
	return done;
}

static void
await_answer(const Question *question, uint64 begin_us, EpCheckResult *result)
{
	uint64		deadline = question->timeout_s > 0 ? begin_us + (uint64) (question->timeout_s * 1e6) : 0;

	while (!read_answer(question, result))
	{
		if (ep_admin_wait(deadline))
			continue;
		snprintf(result->error, EP_ERROR_SIZE, "not tested: no outcome within %g s", question->timeout_s);
		return;
	}
}

/* A pool that was opened for this alone, and that nobody else has asked, is closed again. */
static void
close_again(const Question *question)
{
	EpPool	   *pool = &ep_pools[question->place];
	bool		closed;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	closed = pool->in_use && pool->generation == question->generation && ep_pool_close_checked(pool);
	LWLockRelease(&pool->lock);
	if (closed)
		ep_wake_worker(pool->worker);
}

/*
 * Has a test connection made for each pool that is meant, now, and waits for
 * the outcomes.  Returns a palloc'd array of *n.  A pool that is not open is
 * opened for that and closed again.  Raises 55000 if no pool is usable, or the
 * worker is away, 53400 if there is no place for one more pool.
 */
EpCheckResult *
ep_admin_health_check(const EpAdminTarget *target, int *n)
{
	Question   *questions;
	EpCheckResult *results;
	uint64		begin;

	ep_require_preload();
	if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
		ep_admin_check_other(target->server);
	if (ep_admin_register(target, ep_pool_register_checked) == 0)
		ep_admin_raise_unusable(target);
	questions = palloc(sizeof(Question) * ep_control->max_pools);
	results = palloc(sizeof(EpCheckResult) * ep_control->max_pools);
	*n = ask_all(target, questions, results);
	begin = ep_now_us();
	for (int i = 0; i < *n; i++)
		await_answer(&questions[i], begin, &results[i]);
	for (int i = 0; i < *n; i++)
		close_again(&questions[i]);
	pfree(questions);
	return results;
}

/* ------------------------------------------------------------------ breaker */

/*
 * Closes the breakers of the open pools that are meant, and forgets what went
 * wrong so far: the next attempt to connect is made at once.
 */
void
ep_admin_reset_breaker(const EpAdminTarget *target)
{
	ep_require_preload();
	for (int i = 0; i < ep_control->max_pools; i++)
	{
		EpPool	   *pool = &ep_pools[i];
		EpEventPool whose;
		EpDetail	detail = {0};
		bool		found;
		bool		reset = false;

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		found = ep_pool_in_set(pool, &target->set);
		if (found)
			reset = ep_pool_forget_failures(pool);
		ep_event_pool(pool, &whose);
		LWLockRelease(&pool->lock);
		if (!found)
			continue;
		ep_queue_wake_all(pool);
		ep_wake_worker(pool->worker);
		if (!reset)
			continue;
		ep_detail_text(&detail, "reason", "reset_breaker");
		ep_detail_int(&detail, "pid", MyProcPid);
		ep_event_of(&whose, EP_EVENT_BREAKER_CLOSED, 0, &detail, "circuit breaker closed");
		ereport(LOG,
				(errmsg("pool \"%s\": circuit breaker closed", whose.ident.name),
				 errdetail("It was reset by process %d.", MyProcPid)));
	}
}
