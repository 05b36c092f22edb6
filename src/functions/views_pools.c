/*-------------------------------------------------------------------------
 *
 * views_pools.c
 *		The function behind the view pools.
 *
 * Every pool that the current database defines is listed, whether it is open
 * or not, as the catalogs describe it now; then what is open besides: pools of
 * other databases, and those whose definition has gone while connections of
 * them are still there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "client/catalog.h"
#include "functions/view.h"
#include "shared/settings.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_pools);

#define LIST_SIZE	1024		/* hosts or ports, cut if they are longer */

/* One row; without pointers, so that it can be filled under a lock. */
typedef struct PoolRow
{
	EpPoolKey	key;
	EpPoolIdent ident;
	char		user[EP_HOST_SIZE];
	char		host[LIST_SIZE];
	char		port[LIST_SIZE];
	char		dbname[EP_HOST_SIZE];
	int			strategy;
	int			min_size;
	int			max_size;
	int			max_overflow;

	/* of an open pool, else all zero */
	bool		open;
	EpBreakerState breaker;
	int			size;
	int			active;
	int			idle;
	int			connecting;
	int			overflow;
	int			waiting;
	uint64		oldest_wait_us;

	bool		shown;			/* found in the catalogs */
} PoolRow;

/*
 * Where the pool's connections go, with the defaults that libpq was built
 * with: the worker clears the environment variables that would change them.
 */
static void
describe_remote(const EpPoolDef *def, PoolRow *row)
{
	const char *user = "";
	const char *host = NULL;
	const char *hostaddr = NULL;
	const char *port = NULL;
	const char *dbname = NULL;
	const char *p = def->texts.data + def->conninfo;

	while (*p)
	{
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, "user") == 0)
			user = value;
		else if (strcmp(p, "host") == 0)
			host = value;
		else if (strcmp(p, "hostaddr") == 0)
			hostaddr = value;
		else if (strcmp(p, "port") == 0)
			port = value;
		else if (strcmp(p, "dbname") == 0)
			dbname = value;
		p = value + strlen(value) + 1;
	}
	if (host == NULL)
		host = hostaddr ? hostaddr : DEFAULT_PGSOCKET_DIR;
	ep_copy_text(row->user, sizeof(row->user), user);
	ep_copy_text(row->host, sizeof(row->host), host);
	ep_copy_text(row->port, sizeof(row->port), port ? port : DEF_PGPORT_STR);
	ep_copy_text(row->dbname, sizeof(row->dbname), dbname ? dbname : user);
}

/* What the definition alone tells.  Allocates nothing; caller holds the pool's lock, if def is shared. */
static void
describe_def(const EpPoolDef *def, PoolRow *row)
{
	row->key = def->key;
	ep_pool_ident(def, &row->ident);
	describe_remote(def, row);
	row->strategy = EP_INT(&def->set, EP_S_STRATEGY);
	row->min_size = EP_INT(&def->set, EP_S_MIN_SIZE);
	row->max_size = EP_INT(&def->set, EP_S_MAX_SIZE);
	row->max_overflow = EP_INT(&def->set, EP_S_MAX_OVERFLOW);
}

/* Caller holds the pool's lock. */
static void
describe_pool(const EpPool *pool, uint64 now_us, PoolRow *row)
{
	describe_def(&pool->def, row);
	row->open = !pool->closing;
	row->breaker = pool->breaker.state;
	row->size = pool->size;
	row->active = pool->n_leased;
	row->idle = pool->n_idle;
	row->connecting = pool->n_connecting;
	row->overflow = Max(ep_pool_size(pool) - row->max_size, 0);
	row->waiting = pool->n_waiting;
	if (pool->wait_head >= 0 && ep_backends[pool->wait_head].wait_start_us < now_us)
		row->oldest_wait_us = now_us - ep_backends[pool->wait_head].wait_start_us;
}

/* Copies of all open pools, of whatever database. */
static PoolRow *
collect_open(int *n)
{
	EpPlace    *places;
	PoolRow    *rows;
	int			nplaces;
	uint64		now_us = ep_now_us();

	*n = 0;
	if (ep_control == NULL)
		return NULL;
	places = ep_open_places(&nplaces);
	rows = palloc0(sizeof(PoolRow) * Max(nplaces, 1));
	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);

		if (pool == NULL)
			continue;
		describe_pool(pool, now_us, &rows[*n]);
		LWLockRelease(&pool->lock);
		(*n)++;
	}
	pfree(places);
	return rows;
}

static void
put_row(EpView *view, const PoolRow *row)
{
	bool		visible = ep_may_use_pool(&row->ident);

	ep_put_ident(view, &row->ident);
	ep_put_text(view, visible ? row->user : NULL);
	ep_put_text(view, visible ? row->host : NULL);
	ep_put_text(view, visible ? row->port : NULL);
	ep_put_text(view, visible ? row->dbname : NULL);
	ep_put_text(view, row->open ? "active" : "closed");
	ep_put_text(view, ep_breaker_name(row->breaker));
	ep_put_text(view, ep_setting_defs[EP_S_STRATEGY].values[row->strategy].name);
	ep_put_int(view, row->size);
	ep_put_int(view, row->active);
	ep_put_int(view, row->idle);
	ep_put_int(view, row->connecting);
	ep_put_int(view, row->overflow);
	ep_put_int(view, row->waiting);
	if (row->waiting > 0)
		ep_put_ms(view, row->oldest_wait_us);
	else
		ep_put_null(view);
	ep_put_int(view, row->min_size);
	ep_put_int(view, row->max_size);
	ep_put_int(view, row->max_size + row->max_overflow);
	ep_view_end_row(view);
}

static PoolRow *
find_open(PoolRow *rows, int n, const EpPoolKey *key)
{
	for (int i = 0; i < n; i++)
	{
		if (memcmp(&rows[i].key, key, sizeof(EpPoolKey)) == 0)
			return &rows[i];
	}
	return NULL;
}

/*
 * pools(): one row for each pool.  Where it connects to is NULL for those who
 * may not use it.
 */
Datum
enhanced_pool_pools(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpPoolDef  *def = palloc0(sizeof(EpPoolDef));
	PoolRow    *closed = palloc(sizeof(PoolRow));
	PoolRow    *open;
	int			nopen;
	ListCell   *lc;

	ep_view_begin(&view, fcinfo);
	open = collect_open(&nopen);
	foreach(lc, ep_list_pools())
	{
		const EpPoolOids *oids = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (ep_resolve_mapping(oids->server, oids->mapping, def, true))
		{
			PoolRow    *row = find_open(open, nopen, &def->key);

			if (row == NULL)
				row = memset(closed, 0, sizeof(PoolRow));
			describe_def(def, row);
			row->shown = true;
			explicit_bzero(def, sizeof(EpPoolDef));
			put_row(&view, row);
		}
	}
	for (int i = 0; i < nopen; i++)
	{
		if (!open[i].shown)
			put_row(&view, &open[i]);
	}
	ep_view_end(&view);
	return (Datum) 0;
}
