/*-------------------------------------------------------------------------
 *
 * views_progress.c
 *		The function behind the view progress.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "functions/view.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_progress);

/* How many attempts to read a group's numbers while they change are made. */
#define READ_ATTEMPTS	1000

static const char *const command_names[EP_NCOMMANDS] = {
	[EP_COMMAND_STATEMENT] = "statement",
	[EP_COMMAND_SCRIPT] = "run_script",
	[EP_COMMAND_COPY_TO] = "copy_to",
	[EP_COMMAND_COPY_FROM] = "copy_from",
	[EP_COMMAND_TRANSACTION] = "run_in_transaction",
	[EP_COMMAND_PARALLEL] = "run_parallel",
	[EP_COMMAND_BROADCAST] = "broadcast"
};

static const char *
command_name(EpCommand command)
{
	return (unsigned) command < EP_NCOMMANDS ? command_names[command] : NULL;
}

/* So many columns that say nothing here. */
static void
put_nulls(EpView *view, int n)
{
	while (n-- > 0)
		ep_put_null(view);
}

/* Since when, and for how long. */
static void
put_since(EpView *view, TimestampTz started_at)
{
	ep_put_time(view, started_at);
	ep_put_ms(view, (uint64) Max(GetCurrentTimestamp() - started_at, 0));
}

/* ----------------------------------------------------------------- groups */

/* Copies the group that the process of an entry runs.  Returns false if it runs none. */
static bool
copy_group(const EpBackend *backend, EpGroupProgress *copy)
{
	for (int i = 0; i < READ_ATTEMPTS; i++)
	{
		uint32		before = backend->group.changes;

		pg_read_barrier();
		*copy = backend->group;
		pg_read_barrier();
		if ((before & 1) == 0 && backend->group.changes == before)
			return copy->total > 0 && copy->pid != 0 && copy->pid == ((volatile const EpBackend *) backend)->pid;
		pg_spin_delay();
	}
	return false;
}

/* Whose the group's first pool is.  Returns false if it is not open any more. */
static bool
ident_of(const EpGroupProgress *group, EpPoolIdent *ident)
{
	EpPool	   *pool = &ep_pools[group->pool];
	bool		found;

	LWLockAcquire(&pool->lock, LW_SHARED);
	found = pool->in_use && pool->generation == group->generation;
	if (found)
		ep_pool_ident(&pool->def, ident);
	LWLockRelease(&pool->lock);
	return found;
}

static void
put_group(EpView *view, const EpGroupProgress *group)
{
	EpPoolIdent ident;
	bool		found = ident_of(group, &ident);

	ep_put_text(view, found ? ident.datname : NULL);
	ep_put_text(view, found && !group->several ? ident.name : NULL);
	ep_put_text(view, found && !group->several ? ident.role : NULL);
	ep_put_int(view, group->pid);
	ep_put_null(view);			/* lease */
	ep_put_text(view, "group");
	ep_put_text(view, command_name(group->command));
	ep_put_int(view, group->total);
	ep_put_int(view, group->running);
	ep_put_int(view, group->done);
	ep_put_int(view, group->failed);
	put_nulls(view, 3);		/* rows and bytes: those of its operations have rows of their own */
	put_since(view, group->started_at);
	ep_view_end_row(view);
}

/* ------------------------------------------------------------- connections */

static void
put_operations(EpView *view, const EpProgress *progress)
{
	switch (progress->command)
	{
		case EP_COMMAND_TRANSACTION:
			ep_put_int(view, (int) progress->operations);
			ep_put_int(view, progress->done < progress->operations ? 1 : 0);
			ep_put_int(view, (int) progress->done);
			ep_put_null(view);	/* one that fails ends it */
			break;
		case EP_COMMAND_SCRIPT:
			put_nulls(view, 2);	/* how many statements it has is not known before its end */
			ep_put_int(view, (int) progress->done);
			ep_put_null(view);
			break;
		default:
			put_nulls(view, 4);
	}
}

static void
put_exchange(EpView *view, const EpConnCopy *copy)
{
	const EpConn *conn = &copy->conn;

	ep_put_ident(view, &copy->ident);
	ep_put_int(view, copy->pid);
	ep_put_bigint(view, conn->lease);
	ep_put_text(view, ep_lease_kind_name(conn->kind));
	ep_put_text(view, command_name(conn->progress.command));
	put_operations(view, &conn->progress);
	ep_put_bigint(view, (int64) conn->progress.rows);
	ep_put_bigint(view, (int64) conn->progress.bytes_sent);
	ep_put_bigint(view, (int64) conn->progress.bytes_received);
	put_since(view, conn->query_start);
	ep_view_end_row(view);
}

/* Is something running on it, or has something been sent whose result was not taken? */
static bool
is_in_exchange(const EpConnCopy *copy)
{
	return copy->conn.state == EP_LEASED && copy->conn.lease != 0 && copy->bits == EP_LW_IN_EXCHANGE &&
		copy->conn.query_start != 0;
}

/*
 * progress(): one row for each group of operations and for each exchange that
 * is under way.
 */
Datum
enhanced_pool_progress(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpConnCopy *copy = palloc(sizeof(EpConnCopy));

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	for (int i = 0; i < ep_control->n_backends; i++)
	{
		EpGroupProgress group;

		if (copy_group(&ep_backends[i], &group))
			put_group(&view, &group);
	}
	for (int slot = 0; slot < ep_control->max_connections; slot++)
	{
		if (ep_copy_conn(slot, copy) && is_in_exchange(copy))
			put_exchange(&view, copy);
	}
	ep_view_end(&view);
	pfree(copy);
	return (Datum) 0;
}
