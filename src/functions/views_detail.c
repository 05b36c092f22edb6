/*-------------------------------------------------------------------------
 *
 * views_detail.c
 *		Functions behind get_metrics, get_detailed_metrics and dashboard: what
 *		they show and no view does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "client/catalog.h"
#include "functions/target.h"
#include "functions/view.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_breakers);
PG_FUNCTION_INFO_V1(enhanced_pool_encryption);
PG_FUNCTION_INFO_V1(enhanced_pool_unknown_pool);

/*
 * breakers(): of each open pool, of whatever database, the failures in a row
 * that its circuit breaker has counted, and while it is open the seconds until
 * it is half-open.
 */
Datum
enhanced_pool_breakers(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPlace    *places;
	int			nplaces;
	uint64		now_us = ep_now_us();

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	places = ep_open_places(&nplaces);
	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);
		EpPoolIdent ident;
		EpBreaker	breaker;

		if (pool == NULL)
			continue;
		ep_pool_ident(&pool->def, &ident);
		breaker = pool->breaker;
		LWLockRelease(&pool->lock);

		ep_put_ident(&view, &ident);
		ep_put_int(&view, breaker.failures);
		if (breaker.state == EP_BREAKER_OPEN)
			ep_put_double(&view, breaker.probe_at_us > now_us ? (breaker.probe_at_us - now_us) / 1e6 : 0);
		else
			ep_put_null(&view);
		ep_view_end_row(&view);
	}
	ep_view_end(&view);
	return (Datum) 0;
}

/* encryption(): how each connection that is encrypted is encrypted. */
Datum
enhanced_pool_encryption(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpConnCopy *copy = palloc(sizeof(EpConnCopy));

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	for (int slot = 0; slot < ep_control->max_connections; slot++)
	{
		if (!ep_copy_conn(slot, copy) || !copy->conn.tls)
			continue;
		ep_put_bigint(&view, copy->conn.conn_id);
		ep_put_text(&view, copy->conn.tls_version[0] != '\0' ? copy->conn.tls_version : NULL);
		ep_put_text(&view, copy->conn.tls_cipher[0] != '\0' ? copy->conn.tls_cipher : NULL);
		ep_view_end_row(&view);
	}
	ep_view_end(&view);
	pfree(copy);
	return (Datum) 0;
}

/*
 * unknown_pool(pool text): says in SQL that there is no such pool.  Raises
 * 22004 for NULL, else 42704: there is no such server, or it is no pool, as it
 * has no user mapping or its definition cannot be used.
 */
Datum
enhanced_pool_unknown_pool(PG_FUNCTION_ARGS)
{
	char	   *name = ep_arg_text(fcinfo, 0, "pool");

	if (strlen(name) >= NAMEDATALEN || GetForeignServerByName(name, true) == NULL)
		ep_raise_unknown_pool(name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("server \"%s\" is no pool", name),
			 errdetail("It has no user mapping, or one of its options has a value that is not valid.")));
}
