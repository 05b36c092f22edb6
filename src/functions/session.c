/*-------------------------------------------------------------------------
 *
 * session.c
 *		session: a connection whose transaction follows the local one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "client/session.h"
#include "functions/target.h"

PG_FUNCTION_INFO_V1(enhanced_pool_session);

/* An isolation level as XACT_..., -1 if none is given. */
static int
arg_isolation(FunctionCallInfo fcinfo, int arg)
{
	static const struct
	{
		const char *name;
		int			level;
	}			known[] = {
		{"read uncommitted", XACT_READ_COMMITTED},	/* as for the server itself */
		{"read committed", XACT_READ_COMMITTED},
		{"repeatable read", XACT_REPEATABLE_READ},
		{"serializable", XACT_SERIALIZABLE}
	};
	char	   *name;

	if (PG_ARGISNULL(arg))
		return -1;
	name = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	for (size_t i = 0; i < lengthof(known); i++)
	{
		if (pg_strcasecmp(name, known[i].name) == 0)
			return known[i].level;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized isolation level: \"%s\"", name),
			 errhint("Available levels: read committed, repeatable read, serializable.")));
}

/*
 * session(pool text, isolation text, read_only boolean, timeout interval, name
 * text) bigint: the number of a lease that follows the local transaction, a new
 * one or the one that the transaction has under that name.
 */
Datum
enhanced_pool_session(PG_FUNCTION_ARGS)
{
	int			isolation = arg_isolation(fcinfo, 1);
	int			read_only = PG_ARGISNULL(2) ? -1 : PG_GETARG_BOOL(2);
	const char *name = ep_arg_lease_name(fcinfo, 4);
	double		timeout = PG_ARGISNULL(3) ? 0 : ep_arg_seconds(fcinfo, 3, "Pass '0' to not wait at all, or null for the pool's acquire_timeout.");
	EpPoolRef  *ref = ep_arg_pool(fcinfo, 0);

	if (PG_ARGISNULL(3))
		timeout = ep_ref_acquire_timeout(ref);
	PG_RETURN_INT64(ep_session_open(ref, isolation, read_only, timeout, name)->number);
}
