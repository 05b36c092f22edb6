/*-------------------------------------------------------------------------
 *
 * target.c
 *		The first arguments of the functions that run something: a pool's
 *		name or the number of a lease, and a statement.
 *
 * Every such function exists with "pool text" and with "lease bigint"; one C
 * function serves both and looks at the argument's type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "client/params.h"
#include "client/session.h"
#include "functions/target.h"

static void
raise_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("%s must not be null", what)));
}

/* A text argument as a C string in the current memory context; NULL is 22004, naming it. */
char *
ep_arg_text(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		raise_null(what);
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* Seconds from which on a wait counts as one without limit: about thirty years. */
#define LIMITLESS	1.0e9

/*
 * The wait that an argument of type interval means: seconds, 0 for none at all,
 * negative for one without limit.  A month has 30 days.  Raises 22023, with that
 * hint, if it is negative itself.
 */
double
ep_arg_seconds(FunctionCallInfo fcinfo, int arg, const char *hint)
{
	const Interval *interval = PG_GETARG_INTERVAL_P(arg);
	double		days = (double) interval->month * DAYS_PER_MONTH + interval->day;
	double		seconds = days * SECS_PER_DAY + (double) interval->time / USECS_PER_SEC;

	if (seconds < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must not be negative"),
				 errhint("%s", hint)));
	return seconds >= LIMITLESS ? -1 : seconds;
}

/*
 * The pool that an argument of type text names, for the current user; NULL is
 * 22004, other errors are those of ep_pool_ref().
 */
EpPoolRef *
ep_arg_pool(FunctionCallInfo fcinfo, int arg)
{
	/* a longer name than any server can have stays too long when it is cut */
	char		name[NAMEDATALEN * 2];

	if (PG_ARGISNULL(arg))
		raise_null("pool");
	text_to_cstring_buffer(PG_GETARG_TEXT_PP(arg), name, sizeof(name));
	return ep_pool_ref(name);
}

/* The number of a lease; NULL is 22004. */
int64
ep_arg_lease(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		raise_null("lease");
	return PG_GETARG_INT64(arg);
}

/* The name to lease under; NULL if none is given, or the empty one.  Raises 22023 if it is too long. */
const char *
ep_arg_lease_name(FunctionCallInfo fcinfo, int arg)
{
	const char *name;

	if (PG_ARGISNULL(arg))
		return NULL;
	name = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (strlen(name) >= EP_LEASE_NAME_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lease name is too long"),
				 errdetail("A name has at most %d bytes.", EP_LEASE_NAME_SIZE - 1)));
	return *name ? name : NULL;
}

static bool
is_lease(FunctionCallInfo fcinfo, int arg)
{
	return ep_call_argtype(fcinfo, arg) == INT8OID;
}

/* Raises 22004 if the pool or lease at arg is NULL. */
void
ep_target_check(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		raise_null(is_lease(fcinfo, arg) ? "lease" : "pool");
}

/*
 * Where the argument says that a statement is to run: the lease of that
 * number; or, for a pool's name, a connection taken for this statement, and
 * with autocommit off the session that the transaction has on that pool.  May
 * wait for a connection.  Raises what ep_lease_find(), ep_pool_ref(),
 * ep_lease_acquire() and ep_session_open() raise, 22004 for NULL.  After the
 * statement ep_target_close() must be called; after an error the end of the
 * (sub)transaction gives the lease back.
 */
EpTarget
ep_target_open(FunctionCallInfo fcinfo, int arg)
{
	EpTarget	target;
	EpPoolRef  *ref;

	target.one_shot = false;
	if (is_lease(fcinfo, arg))
	{
		target.lease = ep_lease_find(ep_arg_lease(fcinfo, arg));
		return target;
	}
	ref = ep_arg_pool(fcinfo, arg);
	target.one_shot = ref->autocommit;
	if (ref->autocommit)
		target.lease = ep_lease_acquire(ref, EP_KIND_STATEMENT, ep_ref_acquire_timeout(ref), false, NULL);
	else
		target.lease = ep_session_open(ref, -1, -1, ep_ref_acquire_timeout(ref), NULL);
	return target;
}

void
ep_target_close(EpTarget *target)
{
	if (target->one_shot)
		ep_lease_release(target->lease);
}
