/*-------------------------------------------------------------------------
 *
 * connector.c
 *		One walk over a pool's hosts and addresses that ends with an
 *		authenticated libpq connection or with an error for each host.
 *
 * A walk takes the hosts in their order.  A name is looked up when its turn
 * comes; then each address gets an attempt, one after the other, until one
 * stands at CONNECTION_OK.  connect_timeout holds for each look-up and for
 * each attempt: PQconnectPoll() alone would never leave a host that is frozen.
 *
 * Nothing here waits.  A walk goes on from three places: a socket of the
 * attempt or the look-up has something, ep_walk_tick() finds the time over, or
 * one step fails and the next one begins.  How it ended is told by
 * ep_walk_tick() alone or from the loop, never inside ep_walk_start().
 *
 * Each walk has a memory context, deleted with it.  All that is allocated in
 * callbacks goes there.  The private copy of the definition, with the
 * password, is wiped first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "utils/memutils.h"

#include "shared/events.h"
#include "wire/wire.h"
#include "worker/backendkey.h"
#include "worker/complaint.h"
#include "worker/connector.h"
#include "worker/conninfo.h"
#include "worker/greeting.h"
#include "worker/loop.h"
#include "worker/resolver.h"

static const char *const password_hint =
"Remote server's authentication method must be changed or password_required=false set in the user mapping.";

/* One step of an attempt that takes longer is an event: nothing else ran meanwhile. */
#define SLOW_STEP_US	((uint64) 1000000)

/* Descriptors that an attempt or a look-up may need at the same time. */
#define DESCRIPTORS_NEEDED	4

/* After this time it is looked whether the rest of a message has come. */
#define LOOK_AGAIN_US	((uint64) 5000)

struct EpWalk
{
	MemoryContext context;		/* this structure is in it, too */
	EpPoolDef	def;
	EpConnInfo	info;
	EpWalkDone	done;
	void	   *arg;
	bool		delivering;		/* done is running */
	uint64		timeout_us;		/* connect_timeout, 0: none */

	/* where it is */
	bool		usable;			/* info can be used */
	bool		started;
	int			host;			/* index of the host whose turn it is */
	int			address;		/* and of its address */
	bool		second_round;	/* of prefer-standby: whoever answered */
	bool		without_options;	/* this attempt goes without our startup options */
	bool		without_gss;	/* and without GSS encryption, which is only preferred */
	uint64		deadline;		/* monotonic us, of the look-up or attempt; 0: none */

	/* what is under way; at most one of the two */
	EpResolver *resolver;
	PGconn	   *conn;
	EpWatch		watch;
	EpKeyCatcher *catcher;
	EpGreeting	greeting;		/* what the server says before it lets us in */
	uint64		look_again_at;	/* a part of a message has come; 0: none */

	/* what has become of it so far */
	StringInfoData errors;
	bool		can_mend;		/* some failure may be gone the next time */
	bool		full;			/* a server had no connection left: 53300 */
	bool		denied;			/* a server refused the authentication: class 28 */
	bool		local;			/* this process had no descriptor for the first attempt */
	char		said[6];		/* the SQLSTATE that a server last refused with, or empty */
	int			fatal_sqlstate; /* of the first that will not, 0: none */
	const char *hint;
	bool		slow;
};

static void go_on(EpWalk *walk);

/*
 * Once per process, before the first walk.  Changes the environment: libpq is
 * to see nothing of it.  Raises an error if c-ares or memory is not to be had.
 */
void
ep_connector_init(void)
{
	ep_conninfo_init();
	if (!ep_resolver_init())
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not initialize the c-ares library")));
}

/* -------------------------------------------------------------- the ending */

/* Ends the attempt under way, if there is one. */
static void
drop_attempt(EpWalk *walk)
{
	EpCancelKey unused;

	ep_watch_clear(&walk->watch);
	if (walk->conn)
		PQuntrace(walk->conn);
	ep_keycatcher_finish(walk->catcher, NULL, &unused);
	walk->catcher = NULL;
	if (walk->conn)
		PQfinish(walk->conn);
	walk->conn = NULL;
	ep_greeting_begin(&walk->greeting);
	walk->look_again_at = 0;
}

static void
free_walk(EpWalk *walk)
{
	drop_attempt(walk);
	if (walk->resolver)
		ep_resolver_free(walk->resolver);
	explicit_bzero(&walk->def, sizeof(walk->def));
	MemoryContextDelete(walk->context);
}

static void
deliver(EpWalk *walk, EpWalkResult *result)
{
	result->slow = walk->slow;
	walk->delivering = true;
	walk->done(walk->arg, result);
	free_walk(walk);
}

/* Every host has failed, or the definition cannot be used. */
static void
deliver_failure(EpWalk *walk)
{
	EpWalkResult result = {0};

	result.fatal = walk->fatal_sqlstate != 0 && !walk->can_mend;
	result.sqlstate = result.fatal ? walk->fatal_sqlstate : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
	result.full = walk->full;
	result.denied = walk->denied;
	result.local = walk->local;
	result.said = walk->said;
	result.hint = walk->hint;
	ep_complaint_make_valid(walk->errors.data, walk->def.encoding);
	result.error = walk->errors.data;
	deliver(walk, &result);
}

static void
swallow_notice(void *arg, const PGresult *res)
{
}

static void
deliver_connection(EpWalk *walk)
{
	EpHost	   *host = &walk->info.hosts[walk->host];
	EpAddress  *address = &host->addresses[walk->address];
	EpWalkResult result = {0};
	const char *name = host->name ? host->name : address->hostaddr;

	ep_keycatcher_finish(walk->catcher, walk->conn, &result.key);
	walk->catcher = NULL;
	PQsetErrorVerbosity(walk->conn, PQERRORS_DEFAULT);
	PQsetErrorContextVisibility(walk->conn, PQSHOW_CONTEXT_ERRORS);
	PQsetnonblocking(walk->conn, 1);

	ep_copy_text(result.host, sizeof(result.host), name ? name : PQhost(walk->conn));
	result.port = (int) strtol(PQport(walk->conn), NULL, 10);	/* libpq has used it */
	result.no_options = walk->without_options;
	result.conn = walk->conn;
	walk->conn = NULL;
	deliver(walk, &result);
}

/* -------------------------------------------------------------- complaints */

/* Begins a new line of walk->errors that names the host. */
static void
begin_error(EpWalk *walk, const EpHost *host, const EpAddress *address)
{
	if (walk->errors.len > 0)
		appendStringInfoChar(&walk->errors, '\n');
	ep_conninfo_name_host(&walk->errors, host, address, walk->conn);
	appendStringInfoString(&walk->errors, ": ");
}

static void
note_fatal(EpWalk *walk, int sqlstate)
{
	if (walk->fatal_sqlstate == 0)
		walk->fatal_sqlstate = sqlstate;
}

/* Is the pool one of which that has not been logged of late? */
static bool
may_complain(const EpWalk *walk)
{
	EpEventPool whose;
	int			place;

	LWLockAcquire(&ep_control->registry_lock, LW_SHARED);
	place = ep_pool_find(&walk->def.key);
	LWLockRelease(&ep_control->registry_lock);
	if (place < 0)
		return false;
	LWLockAcquire(&ep_pools[place].lock, LW_SHARED);
	ep_event_pool(&ep_pools[place], &whose);
	LWLockRelease(&ep_pools[place].lock);
	return ep_log_limit(&whose, EP_LOG_SLOW_CONNECT) > 0;
}

/* The worker was in one call for that long: everybody else had to wait. */
static void
check_step(EpWalk *walk, uint64 began)
{
	uint64		took = ep_now_us() - began;
	StringInfoData name;

	if (took <= SLOW_STEP_US)
		return;
	walk->slow = true;
	if (!may_complain(walk))
		return;
	initStringInfo(&name);
	ep_conninfo_name_host(&name, &walk->info.hosts[walk->host],
						  &walk->info.hosts[walk->host].addresses[walk->address], walk->conn);
	ereport(WARNING,
			(errmsg("connecting for pool \"%s\" kept the worker busy for %.1f s", walk->def.name, took / 1e6),
			 errdetail("Remote: %s.", name.data),
			 errhint("A very high SCRAM iteration count on the remote server does that.")));
	pfree(name.data);
}

/*
 * Can this process open what an attempt needs?  libpq's and c-ares's complaints do
 * not tell a lack here from a server that is down, which is a breaker's business.
 */
static bool
have_descriptors(EpWalk *walk)
{
	int			fds[DESCRIPTORS_NEEDED];
	int			n = 0;
	int			saved_errno = 0;

	while (n < DESCRIPTORS_NEEDED && (fds[n] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)) >= 0)
		n++;
	if (n < DESCRIPTORS_NEEDED)
		saved_errno = errno;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	if (saved_errno != EMFILE && saved_errno != ENFILE)
		return true;
	walk->local = walk->errors.len == 0;
	begin_error(walk, &walk->info.hosts[walk->host], NULL);
	appendStringInfo(&walk->errors, "the enhanced_pool worker has no descriptor for a connection: %s", strerror(saved_errno));
	walk->can_mend = true;
	return false;
}

/* ----------------------------------------------------------------- look-up */

static void
look_up_failed(EpWalk *walk, const char *why)
{
	begin_error(walk, &walk->info.hosts[walk->host], NULL);
	appendStringInfo(&walk->errors, "could not look up the host name: %s", why);
	walk->can_mend = true;
}

/* Takes the addresses of the look-up that is done to its host. */
static void
take_addresses(EpWalk *walk)
{
	EpHost	   *host = &walk->info.hosts[walk->host];
	const char *error = ep_resolver_error(walk->resolver);
	char		(*found)[EP_ADDRESS_SIZE];
	int			n;

	found = palloc0(EP_MAX_ADDRESSES * EP_ADDRESS_SIZE);
	n = ep_resolver_addresses(walk->resolver, found);
	ep_resolver_free(walk->resolver);
	walk->resolver = NULL;

	if (n == 0)
		look_up_failed(walk, error ? error : "it has no address");
	host->addresses = palloc0(EP_MAX_ADDRESSES * sizeof(EpAddress));
	for (int i = 0; i < n; i++)
		host->addresses[i].hostaddr = found[i];
	host->naddresses = n;
	if (walk->info.shuffle)
		ep_conninfo_shuffle(host->addresses, n, sizeof(EpAddress));
}

/* A look-up that was under way has ended. */
static void
on_resolved(void *arg)
{
	EpWalk	   *walk = arg;
	MemoryContext old = MemoryContextSwitchTo(walk->context);

	take_addresses(walk);
	MemoryContextSwitchTo(old);
	go_on(walk);
}

/* Makes the addresses of a host known; false if that is under way. */
static bool
have_addresses(EpWalk *walk, EpHost *host)
{
	if (!host->to_resolve || host->tried)
		return true;
	host->tried = true;
	walk->deadline = walk->timeout_us ? ep_now_us() + walk->timeout_us : 0;
	walk->resolver = ep_resolver_start(host->name, on_resolved, walk);
	ep_resolver_tick(walk->resolver);
	if (ep_resolver_done(walk->resolver))
	{
		take_addresses(walk);
		return true;
	}
	if (walk->deadline)
		ep_loop_wake_at(walk->deadline);
	return false;
}

/* ---------------------------------------------------------------- attempts */

/*
 * Is that how a pooler in between says that it does not take startup options?
 * PgBouncer: 08P01, RDS Proxy: 0A000, servers that are not quite PostgreSQL:
 * 42704 or 22023.
 */
static bool
refuses_options(const char *sqlstate)
{
	return strcmp(sqlstate, "08P01") == 0 || strcmp(sqlstate, "0A000") == 0 ||
		strcmp(sqlstate, "42704") == 0 || strcmp(sqlstate, "22023") == 0;
}

/*
 * Did the attempt end before a connection was even tried?  libpq then
 * complains of a value and names no host; otherwise it does.
 */
static bool
never_tried(EpWalk *walk)
{
	const char *message = PQerrorMessage(walk->conn);
	const char *named[] = {PQhost(walk->conn), PQhostaddr(walk->conn)};

	for (int i = 0; i < 2; i++)
	{
		if (named[i] && named[i][0] != '\0' && strstr(message, named[i]))
			return false;
	}
	return true;
}

/*
 * Did the remote want no password, or something else, where we demand that it
 * wants one?  Whatever the language of the message, it quotes the demand.
 */
static bool
wants_no_password(EpWalk *walk)
{
	return walk->info.demands_password &&
		strstr(PQerrorMessage(walk->conn), "\"" EP_PASSWORD_METHODS "\"") != NULL;
}

/* The attempt has failed: notes why.  True if the same address is to be tried again. */
static bool
note_failure(EpWalk *walk, bool at_once)
{
	EpHost	   *host = &walk->info.hosts[walk->host];
	EpAddress  *address = &host->addresses[walk->address];
	char		sqlstate[6];
	char	   *complaint = ep_complaint_from_libpq(PQerrorMessage(walk->conn), sqlstate);

	if (!walk->without_options && refuses_options(sqlstate))
	{
		walk->without_options = true;
		return true;
	}

	walk->full |= strcmp(sqlstate, "53300") == 0;
	walk->denied |= strncmp(sqlstate, "28", 2) == 0;
	if (sqlstate[0] != '\0')
		strlcpy(walk->said, sqlstate, sizeof(walk->said));

	/* these come after authentication; what failed then is target_session_attrs */
	address->wrong_role = PQparameterStatus(walk->conn, "server_version") != NULL;
	begin_error(walk, host, address);
	appendStringInfoString(&walk->errors, complaint);
	if (wants_no_password(walk))
	{
		walk->hint = password_hint;
		note_fatal(walk, ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED);
	}
	else if (at_once && never_tried(walk))
		note_fatal(walk, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION);
	else
		walk->can_mend = true;
	return false;
}

/*
 * The remote server let us in for something else than a password, which would
 * lend the identity of this server to others.  Nothing may be run there, not
 * even what the pool's owner wants to be run on each connection.
 */
static void
note_no_password(EpWalk *walk)
{
	EpHost	   *host = &walk->info.hosts[walk->host];

	begin_error(walk, host, &host->addresses[walk->address]);
	appendStringInfoString(&walk->errors, "the remote server did not ask for a password");
	walk->hint = password_hint;
	note_fatal(walk, ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED);
}

/*
 * The attempt ended up with GSS encryption, whose state libpq shows to nobody,
 * so no relay can be made for it.  True if the same address is to be tried
 * again: who only prefers GSS has asked for the second best, too.
 */
static bool
note_gss(EpWalk *walk)
{
	EpHost	   *host = &walk->info.hosts[walk->host];

	if (walk->info.prefers_gss)
	{
		walk->without_gss = true;
		return true;
	}
	begin_error(walk, host, &host->addresses[walk->address]);
	appendStringInfoString(&walk->errors, "connections with GSS encryption are not supported");
	walk->hint = "Set option gssencmode to 'disable' on the foreign server, and sslmode to 'require' or better for encryption with TLS.";
	note_fatal(walk, ERRCODE_FEATURE_NOT_SUPPORTED);
	return false;
}

/* To the next address, or the next host. */
static void
next_address(EpWalk *walk)
{
	walk->without_options = walk->without_gss = false;
	walk->address++;
}

/* libpq says what it waits for. */
static void
watch_attempt(EpWalk *walk, PostgresPollingStatusType status)
{
	ep_watch_set(&walk->watch, PQsocket(walk->conn),
				 status == PGRES_POLLING_READING ? EPOLLIN : EPOLLOUT);
}

/* Looks at what has come; returns whether libpq is to go on.  The attempt is gone if it was refused. */
static bool
may_go_on(EpWalk *walk)
{
	EpHost	   *host = &walk->info.hosts[walk->host];
	const char *why = NULL;
	uint32		events;

	walk->look_again_at = 0;
	switch (ep_greeting_look(&walk->greeting, walk->conn, &events, &why))
	{
		case EP_LOGIN_GOES_ON:
			return true;
		case EP_LOGIN_INCOMPLETE:
			if (events != 0)
			{
				ep_watch_set(&walk->watch, PQsocket(walk->conn), events);
				return false;
			}
			/* the socket stays readable: look now and then */
			walk->look_again_at = ep_now_us() + LOOK_AGAIN_US;
			ep_loop_wake_at(walk->look_again_at);
			return false;
		case EP_LOGIN_REFUSED:
			break;
	}
	begin_error(walk, host, &host->addresses[walk->address]);
	appendStringInfoString(&walk->errors, why);
	walk->can_mend = true;
	drop_attempt(walk);
	next_address(walk);
	return false;
}

static void
on_attempt(EpWatch *watch, uint32 events)
{
	EpWalk	   *walk = watch->arg;
	MemoryContext old = MemoryContextSwitchTo(walk->context);
	PostgresPollingStatusType status;
	uint64		began = ep_now_us();

	/* the socket may be another one afterwards, even under the same number */
	ep_watch_clear(watch);
	ep_tls_clear_errors();
	if (!may_go_on(walk))
	{
		MemoryContextSwitchTo(old);
		if (walk->conn == NULL)
			go_on(walk);
		return;
	}
	status = PQconnectPoll(walk->conn);
	check_step(walk, began);

	if (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING)
	{
		ep_tls_read_singly(PQsslStruct(walk->conn, "OpenSSL"));
		watch_attempt(walk, status);
	}
	else if (status == PGRES_POLLING_OK && PQgssEncInUse(walk->conn))
	{
		bool		again = note_gss(walk);

		PQsetnonblocking(walk->conn, 1);	/* for the goodbye */
		drop_attempt(walk);
		if (!again)
			next_address(walk);
	}
	else if (status == PGRES_POLLING_OK && walk->def.demand_password && !PQconnectionUsedPassword(walk->conn))
	{
		note_no_password(walk);
		PQsetnonblocking(walk->conn, 1);
		drop_attempt(walk);
		next_address(walk);
	}
	else if (status != PGRES_POLLING_OK)
	{
		bool		again = note_failure(walk, false);

		drop_attempt(walk);
		if (!again)
			next_address(walk);
	}
	MemoryContextSwitchTo(old);

	if (status == PGRES_POLLING_OK && walk->conn)
		deliver_connection(walk);
	else if (walk->conn == NULL)
		go_on(walk);
}

/* What target_session_attrs is to be in this round. */
static const char *
session_attrs(const EpWalk *walk)
{
	if (!walk->info.prefer_standby)
		return walk->info.session_attrs;
	return walk->second_round ? "any" : "standby";
}

/* Begins an attempt at the address whose turn it is; false if it failed at once, which is noted. */
static bool
begin_attempt(EpWalk *walk)
{
	EpHost	   *host = &walk->info.hosts[walk->host];
	uint64		began = ep_now_us();

	ep_tls_clear_errors();
	walk->conn = ep_conninfo_connect(&walk->info, host, &host->addresses[walk->address],
									 session_attrs(walk), !walk->without_options, walk->without_gss);
	if (walk->conn == NULL)
	{
		begin_error(walk, host, &host->addresses[walk->address]);
		appendStringInfoString(&walk->errors, "out of memory");
		walk->can_mend = true;
		return false;
	}
	check_step(walk, began);
	if (PQstatus(walk->conn) == CONNECTION_BAD)
	{
		(void) note_failure(walk, true);
		drop_attempt(walk);
		return false;
	}

	PQsetNoticeReceiver(walk->conn, swallow_notice, NULL);
	PQsetErrorVerbosity(walk->conn, PQERRORS_VERBOSE);
	PQsetErrorContextVisibility(walk->conn, PQSHOW_CONTEXT_NEVER);
	walk->catcher = ep_keycatcher_start(walk->conn);
	walk->deadline = walk->timeout_us ? began + walk->timeout_us : 0;
	if (walk->deadline)
		ep_loop_wake_at(walk->deadline);
	watch_attempt(walk, PGRES_POLLING_WRITING);
	return true;
}

/* ---------------------------------------------------------------- the walk */

/* For prefer-standby: back to the first host, if some answered without being a standby. */
static bool
begin_second_round(EpWalk *walk)
{
	if (!walk->info.prefer_standby || walk->second_round)
		return false;
	walk->second_round = true;
	walk->host = 0;
	walk->address = 0;
	for (int h = 0; h < walk->info.nhosts; h++)
	{
		for (int a = 0; a < walk->info.hosts[h].naddresses; a++)
		{
			if (walk->info.hosts[h].addresses[a].wrong_role)
				return true;
		}
	}
	return false;
}

/* Goes to the next address and begins something there; false if none is left. */
static bool
begin_next(EpWalk *walk)
{
	for (;;)
	{
		EpHost	   *host;

		if (walk->host >= walk->info.nhosts)
		{
			if (!begin_second_round(walk))
				return false;
			continue;
		}
		host = &walk->info.hosts[walk->host];
		if (!have_descriptors(walk))
			return false;
		if (!have_addresses(walk, host))
			return true;
		if (walk->address >= host->naddresses)
		{
			walk->host++;
			walk->address = 0;
			continue;
		}
		if (walk->second_round && !host->addresses[walk->address].wrong_role)
		{
			walk->address++;
			continue;
		}
		if (begin_attempt(walk))
			return true;
		next_address(walk);
	}
}

/* Begins what comes next, or tells of the end; then the walk is gone. */
static void
go_on(EpWalk *walk)
{
	MemoryContext old = MemoryContextSwitchTo(walk->context);
	bool		under_way = walk->usable && begin_next(walk);

	MemoryContextSwitchTo(old);
	if (!under_way)
		deliver_failure(walk);
}

/*
 * Begin to connect by a definition, of which a private copy is made.  done is
 * called once with the outcome, from ep_walk_tick() or from the loop, unless
 * ep_walk_abort() comes first; the walk is gone when it returns.  The caller
 * calls ep_walk_tick() in each round of the loop.
 */
EpWalk *
ep_walk_start(const EpPoolDef *def, EpWalkDone done, void *arg)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "enhanced_pool walk", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	EpWalk	   *walk = palloc0(sizeof(EpWalk));

	walk->context = context;
	walk->def = *def;
	walk->done = done;
	walk->arg = arg;
	walk->timeout_us = (uint64) (EP_NUM(&walk->def.set, EP_S_CONNECT_TIMEOUT) * 1000000);
	initStringInfo(&walk->errors);
	ep_watch_init(&walk->watch, on_attempt, walk);
	walk->usable = ep_conninfo_parse(&walk->info, &walk->def) && ep_conninfo_check_files(&walk->info);
	if (!walk->usable)
	{
		appendStringInfoString(&walk->errors, walk->info.error);
		note_fatal(walk, walk->info.sqlstate);
	}
	MemoryContextSwitchTo(old);

	/* the first step is the next tick's */
	ep_loop_wake_at(0);
	return walk;
}

/* The look-up or attempt has taken all its time. */
static void
time_is_over(EpWalk *walk)
{
	EpHost	   *host = &walk->info.hosts[walk->host];
	double		seconds = walk->timeout_us / 1e6;

	if (walk->resolver)
	{
		ep_resolver_free(walk->resolver);
		walk->resolver = NULL;
		look_up_failed(walk, psprintf("no answer from the name servers within %g s", seconds));
		return;
	}
	begin_error(walk, host, &host->addresses[walk->address]);
	if (PQstatus(walk->conn) == CONNECTION_STARTED)
		appendStringInfo(&walk->errors, "could not connect within %g s", seconds);
	else
		appendStringInfo(&walk->errors, "connected, but the server was not ready within %g s", seconds);
	walk->can_mend = true;
	drop_attempt(walk);
	next_address(walk);
}

/*
 * Let a walk take its first step, repeat its look-up, or give up what takes
 * too long.  now_us is monotonic.  May call done: the walk is gone then.
 */
void
ep_walk_tick(EpWalk *walk, uint64 now_us)
{
	MemoryContext old;
	bool		proceed = !walk->started;

	if (walk->delivering)
		return;
	walk->started = true;
	old = MemoryContextSwitchTo(walk->context);
	if (walk->resolver)
	{
		ep_resolver_tick(walk->resolver);
		if (ep_resolver_done(walk->resolver))
		{
			take_addresses(walk);
			proceed = true;
		}
	}
	if (!proceed && walk->deadline)
	{
		proceed = now_us >= walk->deadline;
		if (proceed)
			time_is_over(walk);
		else
			ep_loop_wake_at(walk->deadline);
	}
	MemoryContextSwitchTo(old);
	if (proceed)
		go_on(walk);
	else if (walk->look_again_at != 0 && now_us >= walk->look_again_at)
		on_attempt(&walk->watch, 0);
	else if (walk->look_again_at != 0)
		ep_loop_wake_at(walk->look_again_at);
}

/* End a walk without telling anybody.  Not allowed to throw; does nothing while done is running. */
void
ep_walk_abort(EpWalk *walk)
{
	if (!walk->delivering)
		free_walk(walk);
}
