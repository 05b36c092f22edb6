/*-------------------------------------------------------------------------
 *
 * opener.c
 *		Opening connections: from a free slot to the idle list.
 *
 * The connector walks over hosts and ends with an authenticated PGconn.  Then
 * libpq is left alone: what it sent and read last is not known to us, so the
 * first thing we send is one Sync, and anything but asynchronous messages and
 * ReadyForQuery as its answer ends the connection.  An encrypted connection
 * gets a relay, and what follows goes through that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "brain/schedule.h"
#include "shared/events.h"
#include "worker/complaint.h"
#include "worker/kept.h"

/* For greeting and connect_query together. */
#define SETUP_TIMEOUT_US	30000000

/* ---------------------------------------------------------------- failure */

static void
opener_failed(EpKept *kept, const char *why, bool local)
{
	const EpConn *conn = ep_kept_conn(kept);
	char		error[EP_ERROR_SIZE];
	EpFailure	failure = {
		.sqlstate = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, .local = local, .error = error
	};

	snprintf(error, sizeof(error), "host \"%s\", port %d: %s", conn->host, conn->port, why);
	/* the remote's words are not trusted, and may have been cut in the middle of a character */
	ep_complaint_make_valid(error, ep_kept_pool(kept)->def.encoding);
	ep_attempt_failed(kept, &failure);
}

/* What came after the authentication went wrong; why is copied. */
void
ep_opener_failed(EpKept *kept, const char *why)
{
	opener_failed(kept, why, false);
}

/* ------------------------------------------------------------------ setup */

/* What startup options could not say: a pooler in between does not take them. */
void
ep_opener_put_settings(EpKept *kept)
{
	if (kept->no_options)
		ep_talk_query(&kept->talk, &kept->wire,
					  "SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3");
}

static void
note_opened(const EpKept *kept, const EpEventPool *whose)
{
	const EpConn *conn = ep_kept_conn(kept);
	EpDetail	detail = {0};

	ep_detail_number(&detail, "elapsed", (ep_now_us() - kept->began_us) / 1e6);
	ep_detail_int(&detail, "remote_pid", conn->remote_pid);
	ep_detail_bool(&detail, "tls", conn->tls);
	ep_event_of(whose, EP_EVENT_CONNECT, kept->conn_id, &detail, "connection opened to host \"%s\", port %d",
				conn->host, conn->port);
}

static void
ready(EpKept *kept)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpPool	   *pool = ep_kept_pool(kept);
	EpEventPool whose;
	bool		log;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	conn->tx_status = 'I';
	ep_talk_read_state(&kept->talk, &conn->host_state);
	conn->fitted = ep_failover_fits(pool->def.session_attrs, conn->host_state);
	conn->last_used_us = conn->last_validated_us = ep_now_us();
	conn->last_used_at = conn->last_validated_at = GetCurrentTimestamp();
	conn->announced = !conn->probe;
	log = EP_BOOL(&pool->def.set, EP_S_LOG_CONNECTIONS);
	ep_event_pool(pool, &whose);
	LWLockRelease(&pool->lock);
	kept->opened = true;
	if (log)
		ereport(LOG,
				(errmsg("pool \"%s\": connection " UINT64_FORMAT " opened to host \"%s\", port %d (remote process %d)%s",
						whose.ident.name, kept->conn_id, conn->host, conn->port, conn->remote_pid,
						conn->probe ? " for a health check" : "")));
	if (conn->probe)
	{
		ep_health_ask(kept);
		return;
	}
	note_opened(kept, &whose);
	ep_attempt_succeeded(kept);
	ep_kept_give(kept);
}

static void
set_up(EpKept *kept)
{
	const char *connect_query = ep_kept_text(ep_kept_pool(kept), EP_S_CONNECT_QUERY);

	ep_talk_read_state(&kept->talk, &ep_kept_conn(kept)->host_state);
	ep_talk_begin(&kept->talk);
	ep_opener_put_settings(kept);
	if (connect_query[0] != '\0')
		ep_talk_query(&kept->talk, &kept->wire, connect_query);
	ep_kept_run(kept, EP_TASK_SETUP, kept->deadline);
}

/* The greeting or the set-up has ended. */
void
ep_opener_talked(EpKept *kept, EpTalkState state)
{
	char		why[EP_TALK_ERROR_SIZE + 64];

	if (state == EP_TALK_LOST)
		ep_opener_failed(kept, kept->talk.error);
	else if (kept->talk.failed)
	{
		snprintf(why, sizeof(why), "connect_query failed: %s", kept->talk.error);
		ep_opener_failed(kept, why);
	}
	else if (kept->talk.tx_status != 'I')
		ep_opener_failed(kept, "the connection is in a transaction after it was opened");
	else if (kept->task == EP_TASK_GREET)
		set_up(kept);
	else
		ready(kept);
}

/* ---------------------------------------------------------------- the walk */

/* What the server is: as it said when it let us in, else what libpq made sure of. */
static EpHostState
state_of(PGconn *pg, EpSessionAttrs attrs)
{
	EpHostState state = ep_failover_assumed(attrs);
	const char *hot_standby = PQparameterStatus(pg, "in_hot_standby");
	const char *read_only = PQparameterStatus(pg, "default_transaction_read_only");

	if (hot_standby)
		state.hot_standby = strcmp(hot_standby, "on") == 0;
	if (read_only)
		state.read_only = strcmp(read_only, "on") == 0;
	return state;
}

/* How an encrypted connection is encrypted.  Caller holds the pool's lock. */
static void
note_encryption(EpConn *conn, PGconn *pg)
{
	const char *version = PQsslAttribute(pg, "protocol");
	const char *cipher = PQsslAttribute(pg, "cipher");

	ep_copy_text(conn->tls_version, sizeof(conn->tls_version), version ? version : "");
	ep_copy_text(conn->tls_cipher, sizeof(conn->tls_cipher), cipher ? cipher : "");
}

/* Takes over what the connector brought.  Returns false if there is no descriptor for it. */
static bool
adopt(EpKept *kept, EpWalkResult *result)
{
	EpConn	   *conn = ep_kept_conn(kept);
	EpPool	   *pool = ep_kept_pool(kept);
	double		lifetime;

	kept->pg = result->conn;
	kept->key = result->key;
	kept->no_options = result->no_options;
	explicit_bzero(&result->key, sizeof(result->key));
	if (PQsslInUse(kept->pg))
		kept->relay = ep_relay_start(kept->pg, &kept->fd);
	else
		kept->fd = fcntl(PQsocket(kept->pg), F_DUPFD_CLOEXEC, 3);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	lifetime = EP_NUM(&pool->def.set, EP_S_MAX_LIFETIME);
	conn->remote_pid = PQbackendPID(kept->pg);
	strlcpy(conn->host, result->host, sizeof(conn->host));
	conn->port = result->port;
	conn->password_used = conn->password_used && PQconnectionUsedPassword(kept->pg);
	conn->no_options = result->no_options;
	conn->tls = kept->relay != NULL;
	if (conn->tls)
		note_encryption(conn, kept->pg);
	conn->created_at = GetCurrentTimestamp();
	conn->created_us = ep_now_us();
	conn->checked_us = conn->created_us;
	conn->host_state = state_of(kept->pg, pool->def.session_attrs);
	conn->expires_us = ep_schedule_expiry_us(conn->created_us, lifetime, pg_prng_double(&pg_global_prng_state));
	LWLockRelease(&pool->lock);
	return kept->fd >= 0;
}

static void
walked(void *arg, EpWalkResult *result)
{
	EpKept	   *kept = arg;

	kept->walk = NULL;
	if (result->conn == NULL)
	{
		EpFailure	failure = {
			.sqlstate = result->sqlstate, .fatal = result->fatal, .slow = result->slow,
			.full = result->full, .denied = result->denied, .said = result->said,
			.local = result->local,
			.error = result->error, .hint = result->hint
		};

		ep_attempt_failed(kept, &failure);
		return;
	}
	if (!adopt(kept, result))
	{
		opener_failed(kept, "no descriptor left for the connection", true);
		return;
	}
	ep_wire_reset(&kept->wire, kept->fd);
	ep_talk_begin(&kept->talk);
	kept->talk.strict = true;
	ep_talk_sync(&kept->talk, &kept->wire);
	ep_loop_wake_at(ep_now_us() + SETUP_TIMEOUT_US);
	ep_kept_run(kept, EP_TASK_GREET, ep_now_us() + SETUP_TIMEOUT_US);
}

/*
 * Gives up a connect under way if its connection would be ended at once, as
 * the pool was dropped or altered meanwhile.  Returns whether it did.  Called
 * with no lock held.
 */
bool
ep_opener_give_up(EpKept *kept)
{
	EpPool	   *pool = ep_kept_pool(kept);
	EpConn	   *conn = ep_kept_conn(kept);
	bool		unwanted;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	unwanted = ep_conn_must_go(pool, conn);
	if (unwanted)
		ep_conn_to_broken(conn);
	LWLockRelease(&pool->lock);
	if (!unwanted)
		return false;
	ep_walk_abort(kept->walk);
	kept->walk = NULL;
	kept->task = EP_TASK_NONE;
	kept->deadline = 0;
	SetLatch(MyLatch);
	return true;
}

/*
 * Starts to open one connection, if there is a place for it; returns whether
 * there was.  overflow: it is beyond max_size; probe: a health check's.  Called
 * with no lock held.
 */
bool
ep_opener_open(EpPool *pool, bool overflow, bool probe)
{
	static EpPoolDef def;
	EpConn	   *conn;
	EpKept	   *kept;
	EpWalk	   *walk;
	uint64		conn_id = 0;
	uint64		failed_before = 0;

	if (!ep_sharer_reserve(pool))
		return false;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	conn = pool->in_use && !pool->closing && !pool->paused && !pool->wiped ?
		ep_conn_alloc(pool, ep_keeper_epoch(), overflow, probe) : NULL;
	if (conn)
	{
		def = pool->def;
		conn_id = conn->conn_id;
		failed_before = pool->failed_walks;
		conn->conn_hash = def.conn_hash;
		conn->password_used = def.password_given;
		if (!probe)
			pool->lost = false;
	}
	LWLockRelease(&pool->lock);
	ep_sharer_reserved();
	if (conn == NULL)
		return false;

	kept = ep_kept_begin(ep_conn_slot(conn), conn_id);
	kept->task = EP_TASK_WALK;
	kept->failed_before = failed_before;
	kept->began_us = ep_now_us();
	kept->remote_hash = def.remote_hash;
	walk = ep_walk_start(&def, walked, kept);
	explicit_bzero(&def, sizeof(def));
	/* it may have ended before it returned */
	if (kept->conn_id == conn_id && kept->task == EP_TASK_WALK)
		kept->walk = walk;
	return true;
}
