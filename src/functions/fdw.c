/*-------------------------------------------------------------------------
 *
 * fdw.c
 *		The validator of the foreign-data wrapper.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "fmgr.h"

#include "client/options.h"

PG_FUNCTION_INFO_V1(enhanced_pool_fdw_validator);

/*
 * enhanced_pool_fdw_validator(options text[], catalog oid): raises an error
 * unless all options of a wrapper, server, user mapping or table are valid.
 */
Datum
enhanced_pool_fdw_validator(PG_FUNCTION_ARGS)
{
	List	   *options;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("options and catalog must not be null")));
	options = untransformRelOptions(PG_GETARG_DATUM(0));
	ep_validate_options(options, PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
