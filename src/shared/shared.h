/*-------------------------------------------------------------------------
 *
 * shared.h
 *		Layout of the shared memory of enhanced_pool.
 *
 * Note about locking.  There are two kinds of lock:
 *
 *	registry_lock (one LWLock)	which pool has which place in pools[], that is
 *		EpPool.in_use, .generation and .def.key.  It is always taken before a
 *		pool's lock, never after.
 *
 *	EpPool.lock (one LWLock a pool)	everything else of that pool: its
 *		definition, counters, the idle list, the queue of waiters, and the
 *		state, owner and list links of every connection (EpConn) and waiter
 *		(EpBackend) that belongs to it.  It is held for a few dozen
 *		instructions: under it there is no system call, no palloc, no ereport
 *		and no other pool's lock.  Backends and workers may wait for it; nobody
 *		waits for anything else while holding it.
 *
 *		So is EpRecord (stats.h), which has one place for each pool.
 *		Some views hold it for longer, for as long as it takes to copy
 *		histograms and history or to look at all slots (views_metrics.c,
 *		views_times.c, views_states.c).
 *
 *	EpControl.cap_lock (one LWLock)	the right to make the number of connections
 *		of a server's pools larger (EpPool.size of all that have its database and
 *		server): who has it counts them, and takes a place if
 *		max_server_connections leaves one.  They become fewer without it.  It is
 *		taken before a pool's lock, never after, and never with registry_lock; by
 *		workers alone, so no backend ever waits for it.
 *
 *	EpControl.slot_lock (a spinlock)	the list of free EpConn slots.  It may be
 *		taken under a pool's lock.
 *
 *	EpControl.waiter_lock (a spinlock)	the list of waiter entries that no
 *		process has taken.  Nothing else is locked or waited for under it.
 *
 *	the lock of the log of events (one LWLock, events.c).  Never taken while a
 *		pool's lock is held.
 *
 * Fields that are not under a pool's lock say so: they are atomic, or they are
 * written by the one process that owns the connection at that moment (the
 * lease holder while LEASED, the worker otherwise).  Descriptors, PGconn and
 * other process-local things never stand here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SHARED_H
#define EP_SHARED_H

#include "postgres.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

#include "brain/breaker.h"
#include "brain/fairness.h"
#include "brain/failover.h"
#include "brain/load.h"
#include "brain/sessions.h"
#include "brain/tuner.h"
#include "shared/eventkind.h"
#include "shared/settings.h"

#define EP_NO_SLOT			(-1)
#define EP_MAX_WORKERS		16
#define EP_ERROR_SIZE		512		/* last connect error of a pool, bytes */
#define EP_PASSWORD_MAX		1024	/* longest password, without the NUL */
#define EP_LEASE_NAME_SIZE	NAMEDATALEN
#define EP_HOST_SIZE		256
#define EP_TLS_VERSION_SIZE	16		/* TLSv1.3 */
#define EP_TLS_CIPHER_SIZE	48		/* the longest name that OpenSSL has takes 37 */

/* ------------------------------------------------------------------ pools */

typedef struct EpPoolKey
{
	Oid			database;
	Oid			server;
	Oid			mapping;		/* the mapping that gives user and password */
	Oid			own_mapping;	/* with option server 'other': the mapping of our own server, else 0 */
} EpPoolKey;

/*
 * What a pool is, as resolved from the catalogs by a backend.  Copied whole
 * into shared memory; the worker takes a private copy before it connects.
 */
typedef struct EpPoolDef
{
	EpPoolKey	key;
	char		datname[NAMEDATALEN];
	char		name[NAMEDATALEN];	/* server name */
	char		role[NAMEDATALEN];	/* mapping's role, "public" for PUBLIC */
	Oid			mapping_role;	/* InvalidOid for PUBLIC */
	Oid			other_server;	/* with option server 'other': that one, else InvalidOid */
	Oid			server_owner;
	EpSettings	set;			/* pool-level values: session values are not in here */
	EpTexts		texts;
	uint32		conninfo;		/* offset: key\0value\0 ... \0, without password */
	int			encoding;		/* of the local database: the remote's client_encoding */
	uint64		conn_hash;		/* of all that a connection is made from, password included */
	uint64		set_hash;		/* of all other settings */
	uint64		remote_hash;	/* of host, port, dbname and user: pools with the same one have one remote */
	EpSessionAttrs session_attrs;	/* target_session_attrs */
	bool		password_given; /* the mapping has a password */
	bool		password_required;	/* false only if the mapping says so */
	bool		demand_password;	/* connect only to a server that asks for it: others than a superuser use the mapping */
	char		password[EP_PASSWORD_MAX + 1];
} EpPoolDef;

/* Counters that only grow; under the pool's lock, summed on reading with nothing else. */
typedef struct EpPoolStats
{
	uint64		total_created;
	uint64		total_closed;
	uint64		acquire_count;
	uint64		acquire_timeouts;
	uint64		wait_count;
	uint64		total_wait_us;
	uint64		max_wait_us;
	uint64		lease_count;
	uint64		total_lease_us;
	uint64		max_lease_us;
	uint64		query_count;
	uint64		query_errors;
	uint64		total_query_us;
	uint64		max_query_us;
	uint64		rows_returned;
	uint64		bytes_sent;
	uint64		bytes_received;
	uint64		transaction_count;
	uint64		transaction_rollbacks;
	uint64		reset_count;
	uint64		validation_count;
	uint64		validation_failures;
	uint64		connection_errors;
	uint64		health_check_count;
	uint64		health_check_failures;
	uint64		breaker_trips;
	uint64		breaker_resets;
	uint64		scale_ups;
	uint64		scale_downs;
	TimestampTz last_scaling_at;	/* 0: none */
} EpPoolStats;

/*
 * Health checks that sessions ask for are numbered, and one test connection
 * answers all that were asked for before it was begun.
 */
typedef enum EpCheckOutcome
{
	EP_CHECK_SKIPPED = 0,		/* no test was made; error says why */
	EP_CHECK_FAILED,
	EP_CHECK_PASSED
} EpCheckOutcome;

typedef struct EpCheck
{
	uint64		asked;			/* the last that was asked for */
	uint64		begun;			/* the last that the present test connection, or the last one, is for */
	uint64		answered;		/* the last that the following answers */
	EpCheckOutcome outcome;
	uint64		latency_us;		/* from the beginning of the connect to the end of the query */
	char		error[EP_ERROR_SIZE];
} EpCheck;

/*
 * What a waiter may have: sessions are served as long as there are fewer than
 * max_sessions, and others by connections that are not kept for sessions.
 * Each of the two stands in a line of its own.
 */
typedef enum EpLineId
{
	EP_LINE_OTHERS = 0,
	EP_LINE_SESSIONS,
	EP_NLINES
} EpLineId;

typedef struct EpLine
{
	int			head;			/* proc numbers, -1: nobody */
	int			tail;
	int			n;
} EpLine;

typedef struct EpPool
{
	LWLock		lock;
	bool		in_use;			/* registry_lock and lock to write, either to read */
	bool		closing;		/* dropped or closed: no new leases, freed when empty */
	bool		stale;			/* catalogs changed: the next acquire registers the pool anew */
	bool		wiped;			/* def has lost its passwords, and nothing is connected until it is registered anew */
	bool		paused;			/* by an administrator: no leases, no connections */
	uint32		generation;		/* changes when this place is given to another pool */
	int			worker;			/* index of the worker that serves it */
	uint32		def_version;	/* bumped with every change of def */
	EpPoolDef	def;

	/* connections */
	int			size;			/* all connections not FREE */
	int			n_idle;
	int			n_leased;
	int			n_connecting;
	int			n_tended;		/* CANCELLING, RESETTING, VALIDATING: in the worker's hands, mostly to come back */
	int			n_ending;		/* BROKEN, CLOSING: still counted by the remote */
	int			n_probing;		/* a health check's, in whatever state: in none of the other numbers but size */
	int			idle_head;		/* most recently used first, EpConn slots */
	int			idle_tail;
	int			fill_target;	/* open up to this many (initial_size at first, then 0) */
	uint64		keep_from;		/* connections with a lower conn_id are not lent any more, and replaced */
	int			n_outdated;		/* how many of those there still are */
	EpLoad		load;			/* leased / usable, see ep_pool_load() */
	EpPeak		peak;			/* of leased, of late */
	int			grow_above;		/* who makes more than this leased wakes the worker; PG_INT32_MAX: nobody */
	bool		growing;		/* a scaling up has not reached its size yet */
	uint64		scaled_up_us;	/* monotonic, for scaling_cool_down; 0: not yet */
	uint64		scaled_down_us;
	EpObserved	observed;		/* what the strategy goes by */
	EpTuner		tuner;			/* of strategy dynamic, else all zero; the worker alone writes it */
	int			aside_wanted;	/* so many connections are not to be lent at present */
	int			n_aside;		/* and so many of the idle ones are not */
	int			ration;			/* most connections while others that share a cap miss theirs, or EP_NO_RATION */
	double		demand;			/* leased and waiters, of late; as of demand_us, kept by the worker */
	uint64		demand_us;

	/* sessions, and what is kept for them: sessions.c */
	int			n_sessions;		/* open: leases of kind session */
	int			n_kept;			/* connections kept for sessions, those that they have included */
	int			n_kept_idle;	/* those of them that are on the idle list */
	uint64		last_session_us;	/* a session last began or ended, or the pool was opened; monotonic */

	/* queue of waiters: entries in ep_backends, first come first served */
	int			wait_head;
	int			wait_tail;
	int			n_waiting;
	EpLine		lines[EP_NLINES];	/* the same waiters by what they wait for */
	uint64		next_ticket;	/* handed to each waiter; its position in the queue is by ticket */
	uint64		refused_below;	/* waiters with a lower ticket are told that the pool was closed */

	/* connecting */
	uint64		failed_walks;	/* walks over all hosts that failed; only grows */
	bool		failing;		/* the last walk failed */
	bool		fatal_error;	/* last walk failed in a way a retry cannot mend (last_sqlstate) */
	int			last_sqlstate;	/* with which the last failed walk is raised */
	char		last_error[EP_ERROR_SIZE];	/* host by host */
	char		last_hint[EP_ERROR_SIZE / 2];
	uint64		next_try_at;	/* monotonic us: when the worker will try again, 0: now */
	double		backoff;		/* seconds of the present spacing, 0: none */
	bool		lost;			/* the remote ended a connection, and no connect has begun since */
	int			bound;			/* until bound_until_us the remote takes no more connections than this; then one
								 * is tried, and 0: it does */
	uint64		bound_until_us;
	EpRecheck	recheck;		/* do connections still lead to the host that is wanted? */

	/* is the remote well? */
	EpBreaker	breaker;
	bool		denied;			/* the last failure was about this pool's user, not about the remote */
	uint64		last_success_us;	/* monotonic: the remote last answered */
	uint64		last_probe_us;	/* a health check of this pool's last began */
	EpCheck		check;
	bool		checked_only;	/* opened for a health check alone: no connection is kept for it */

	TimestampTz opened_at;
	uint64		last_acquire_us;	/* monotonic */
	uint64		last_check_us;	/* when its server and mapping were last looked up */
	TimestampTz stats_reset;
	EpPoolStats stats;
	pg_atomic_uint32 closed_epoch;	/* bumped when a connection ends: caches of descriptors look at it */
} EpPool;

/* ------------------------------------------------------------ connections */

typedef enum EpConnState
{
	EP_FREE = 0,				/* slot unused */
	EP_CONNECTING,				/* worker: resolving, connecting, authenticating, connect_query */
	EP_IDLE,					/* on the idle list, known to be idle and clean enough for last_role */
	EP_LEASED,					/* a backend's; only it reads and writes the socket */
	EP_CANCELLING,				/* worker: asked the remote to cancel, drains to ReadyForQuery */
	EP_RESETTING,				/* worker: ROLLBACK and reset_query and connect_query under way */
	EP_VALIDATING,				/* worker: validation_query under way */
	EP_BROKEN,					/* must not be used again; the worker ends it */
	EP_CLOSING,					/* Terminate sent and shut down; waiting for the remote's end of file */
	EP_NSTATES
} EpConnState;

/* Why a connection was ended; events.c has the words. */
typedef enum EpEndReason
{
	EP_END_NONE = 0,
	EP_END_LOST,				/* the remote closed it, or the network failed */
	EP_END_UNCLEAN,				/* its holder left it where nobody can go on */
	EP_END_TERMINATED,
	EP_END_IDLE_TIMEOUT,
	EP_END_MAX_LIFETIME,
	EP_END_SURPLUS,
	EP_END_OVERFLOW,
	EP_END_CONFIG_CHANGE,
	EP_END_RECYCLED,
	EP_END_PAUSED,
	EP_END_POOL_CLOSED,
	EP_END_RESET_FAILED,
	EP_END_CANCEL_FAILED,
	EP_END_VALIDATION_FAILED,
	EP_END_FAILOVER,
	EP_END_WORKER_EXIT,
	EP_END_SESSION_STRUCK,
	EP_NENDS
} EpEndReason;

/*
 * The lease word: generation << 24 | proc number << 2 | EpLeaseBits.  Taken
 * by CAS: the holder enters an exchange, the worker revokes a resting lease.
 */
typedef enum EpLeaseBits
{
	EP_LW_NONE = 0,
	EP_LW_RESTING,
	EP_LW_IN_EXCHANGE,
	EP_LW_REVOKED
} EpLeaseBits;

#define EP_LW(gen, proc, bits)	((((uint64) (gen)) << 24) | (((uint64) (proc)) << 2) | (bits))
#define EP_LW_BITS(w)			((EpLeaseBits) ((w) & 3))

typedef enum EpLeaseKind
{
	EP_KIND_STATEMENT = 0,		/* one statement through a pool's name */
	EP_KIND_LEASE,				/* acquire() */
	EP_KIND_SESSION
} EpLeaseKind;

/* Types of a prepared statement's columns that are remembered for all backends. */
#define EP_STMT_MAX_COLS	16

/*
 * A statement prepared on a connection.  Written by the lease holder alone
 * (and emptied by the worker when the connection is reset); read by whoever
 * holds the lease.
 */
typedef struct EpStmtSlot
{
	uint8		hash[16];		/* of text and parameter types; meaningless when number is 0 */
	uint64		number;			/* remote name is ep_<number>; 0 = place unused */
	uint64		last_used;		/* EpConn.stmt_clock at last use, for LRU */
	uint8		ncols;			/* columns of the result, if described */
	bool		described;		/* cols[] is valid */
	Oid			cols[EP_STMT_MAX_COLS];
} EpStmtSlot;

typedef struct EpConnStats
{
	uint64		usage_count;
	uint64		query_count;
	uint64		error_count;
	uint64		total_query_us;
	uint64		max_query_us;
	uint64		validation_count;
	uint64		validation_failures;
	uint64		reset_count;
	uint64		transaction_count;
	uint64		transaction_rollbacks;
} EpConnStats;

/* What a session does with a connection, or a group with several. */
typedef enum EpCommand
{
	EP_COMMAND_STATEMENT = 0,
	EP_COMMAND_SCRIPT,
	EP_COMMAND_COPY_TO,
	EP_COMMAND_COPY_FROM,
	EP_COMMAND_TRANSACTION,
	EP_COMMAND_PARALLEL,
	EP_COMMAND_BROADCAST,
	EP_NCOMMANDS
} EpCommand;

/*
 * How far the exchange on a connection has come, for the view progress.  The
 * lease holder writes it, without a lock: each number is true by itself.
 */
typedef struct EpProgress
{
	EpCommand	command;
	uint32		operations;		/* of run_in_transaction, 0: of something else */
	uint32		done;			/* of those, or statements of a script */
	uint64		rows;			/* received, or sent by copy_to */
	uint64		bytes_sent;
	uint64		bytes_received;
} EpProgress;

/* What a holder leaves for the worker when it gives a connection back unfinished. */
typedef struct EpUnfinished
{
	int			syncs;			/* ReadyForQuery messages still to come */
	uint32		skip;			/* bytes of the current message's body not yet read from the socket */
	uint8		head[5];		/* or the part of a message header that was read */
	uint8		nhead;
	bool		skip_ready;		/* that message is a ReadyForQuery, already counted in syncs */
	bool		copy_in;		/* a COPY nobody has data for: it cannot be finished, but for: */
	bool		copy_fail;		/* data for a COPY by the simple protocol went there: send CopyFail first, */
	uint32		pad;			/* and before it as many bytes, of a CopyData that was sent in part */
	bool		need_sync;		/* extended query without Sync sent so far: send one first */
} EpUnfinished;

typedef struct EpConn
{
	/* under the pool's lock */
	int			pool;			/* place in pools[], fixed while not FREE */
	EpConnState state;
	int			prev,
				next;			/* idle list, or next alone: the free list (slot_lock) */
	int			owner;			/* proc number of the holder while LEASED, else -1 */
	Oid			last_role;		/* local role whose state it may carry; InvalidOid: clean */
	uint64		conn_id;		/* the generation: unique in the life of the server; changes with the socket */
	uint64		epoch;			/* of the worker that opened it */
	uint64		conn_hash;		/* EpPoolDef.conn_hash it was opened with */
	bool		overflow;		/* beyond max_size: closed when given back */
	bool		probe;			/* a health check's: never lent, closed after its query */
	bool		cancel_wanted;	/* holder asks the worker to send a cancel request */
	bool		cancel_busy;	/* worker: a cancel request is not finished */
	bool		needs_rollback; /* with RESETTING: ROLLBACK first */
	bool		doubted;		/* its host may not be the one that is wanted any more */
	bool		fitted;			/* it was when it was opened */
	uint64		checked_us;		/* when that was last looked at */
	bool		dead;			/* worker saw the remote's end of file, or it is to be ended anyway */
	bool		terminated;		/* an administrator has it ended: its user gets 57P01 */
	uint64		terminated_us;
	bool		aside;			/* idle, and lent to nobody at present */
	bool		kept;			/* for sessions: lent to nobody else while it is idle */
	uint64		kept_us;		/* since when */
	uint64		spent_us;		/* when session_max_lifetime ended that, 0: since a session last had it, never */
	EpStruck	struck;			/* a time-out has ended the session that has it */
	uint64		struck_us;
	bool		sealed;			/* its session commits: no time-out may strike it any more */
	bool		leak_reported;	/* this lease was logged as held for too long */
	bool		announced;		/* it was opened, and there is an event of that */
	EpEndReason end_reason;		/* the first that was found, see ep_conn_blame */
	EpUnfinished unfinished;	/* with CANCELLING */
	EpLeaseKind kind;
	int64		lease;			/* number of the lease */
	bool		hold;
	char		lease_name[EP_LEASE_NAME_SIZE];
	Oid			lease_role;
	TimestampTz leased_at;
	uint64		leased_us;

	/* fixed from CONNECTING's end to FREE; written by the worker */
	int			remote_pid;
	char		host[EP_HOST_SIZE];
	int			port;
	bool		password_used;	/* PQconnectionUsedPassword */
	bool		tls;			/* encrypted, so holders have the worker's relay for a remote */
	char		tls_version[EP_TLS_VERSION_SIZE];	/* as OpenSSL names them; empty without TLS */
	char		tls_cipher[EP_TLS_CIPHER_SIZE];
	bool		no_options;		/* remote refused startup options: they go as SET after each reset */
	TimestampTz created_at;
	uint64		created_us;
	uint64		expires_us;		/* max_lifetime with jitter, 0: never */

	/* written by the owner at that moment */
	uint64		last_used_us;
	TimestampTz last_used_at;
	uint64		last_validated_us;
	TimestampTz last_validated_at;
	char		tx_status;		/* of the last ReadyForQuery: I, T, E */
	bool		dirty;			/* carries state that a reset must clear */
	bool		name_set;		/* application_name was changed for a named lease */
	EpHostState host_state;		/* as last reported or asked for */
	TimestampTz query_start;
	uint64		rested_us;		/* when the lease's last exchange ended; written before the lease word says so */
	uint64		cut_us;			/* or when its holder gave it up, and has not come back to read the rest; 0: no */
	EpProgress	progress;		/* of the exchange that it is in, if it is in one */
	EpConnStats stats;
	uint64		stmt_counter;	/* number of the last statement name used, never falls */
	uint64		stmt_clock;

	pg_atomic_uint64 lease_word;
} EpConn;

/* --------------------------------------------------------------- backends */

/*
 * A group of operations that a process runs.  It writes it, without a lock;
 * changes is odd meanwhile: who reads copies it and looks whether the number is
 * even and the same as before.
 */
typedef struct EpGroupProgress
{
	volatile uint32 changes;
	EpCommand	command;
	int			pool;			/* place of its first operation's pool, */
	uint32		generation;		/* if that is still the same; */
	bool		several;		/* others are of other pools */
	int			pid;			/* of the process: what an earlier one has left is of no interest */
	int			total;			/* operations; 0: there is no group */
	int			running;
	int			done;			/* well */
	int			failed;
	TimestampTz started_at;
} EpGroupProgress;

/*
 * A waiter.  The first n_backends entries belong to the processes, one to each
 * proc number, and are cleared by it at first use and at exit: in them a
 * process waits that can do nothing else meanwhile.  The others are a supply
 * for whoever waits for several connections at once, while it uses some; what
 * a process has taken from it, it gives back in each of its ways out.
 *
 * waiting_pool, prev, next, ticket, assigned, deadlock and woken are under the lock of the pool
 * waited for; the rest is written by the process itself before it queues, but
 * for under_way, which it writes at any time.
 */
typedef struct EpBackend
{
	int			pid;
	int			waiting_pool;	/* place in pools[] or -1 */
	int			prev,
				next;			/* queue, entries; next alone: the supply (waiter_lock) */
	int			line_prev,
				line_next;		/* line of its kind */
	EpLeaseKind kind;			/* what it waits for */
	uint64		ticket;
	int			assigned;		/* slot that a releaser gave to this waiter, or -1 */
	Oid			role;			/* who waits */
	double		retry_backoff;	/* the waiter's own, seconds */
	TimestampTz wait_start;
	uint64		wait_start_us;
	bool		deadlock;		/* the worker chose this waiter as the victim */
	bool		woken;			/* was told that a connection is idle, and has not looked since */
	uint16		under_way;		/* statements that this process has under way on connections that it will give
								 * back, whatever it waits for; in its own entry */
	int			proc;			/* whose: proc number */
	EpGroupProgress group;		/* that this process runs, in its own entry */
} EpBackend;

/* Entries of the supply, for each process that there can be. */
#define EP_WAITERS_EACH		8

/* ----------------------------------------------------------------- worker */

typedef struct EpWorkerShared
{
	pg_atomic_uint64 epoch;		/* changes at each start; 0: none is running */
	pg_atomic_uint32 pid;
	pg_atomic_uint32 procno;	/* whose latch to set; meaningful while epoch != 0 */
	pg_atomic_uint64 ended_us;	/* monotonic time of the last exit, 0 before the first start */
} EpWorkerShared;

typedef struct EpControl
{
	LWLock		registry_lock;
	LWLock		cap_lock;
	slock_t		slot_lock;
	int			free_head;		/* slot_lock: list of FREE connections through EpConn.next */
	int			n_free;			/* slot_lock */
	slock_t		waiter_lock;
	int			spare_waiter;	/* waiter_lock: list of entries nobody has, through EpBackend.next */
	int			max_pools;
	int			max_connections;
	int			max_statements;
	int			n_workers;
	int			n_backends;
	int			n_waiters;		/* entries of waiters: those of the backends, and the supply */
	int			tranche;
	uint32		pool_generation;	/* registry_lock */
	uint64		started_us;
	ConditionVariable place_freed;	/* signalled when a pool gives up its place */
	pg_atomic_uint64 next_conn_id;
	pg_atomic_uint64 next_lease;
	pg_atomic_uint64 next_epoch;
	pg_atomic_uint32 prewarmed;		/* enhanced_pool.prewarm was looked at since the server started */
	pg_atomic_uint32 usable_connections;	/* descriptors may allow fewer than max_connections */
	EpWorkerShared workers[EP_MAX_WORKERS];
} EpControl;

/* Pointers into shared memory, set in every process; NULL without preload. */
extern EpControl *ep_control;
extern EpPool *ep_pools;
extern EpConn *ep_conns;
extern EpBackend *ep_backends;
extern EpStmtSlot *ep_stmts;	/* max_statements for each connection */
extern char *ep_query_texts;	/* see conn.c */

/* Postmaster GUCs (shmem.c). */
extern int	ep_max_pools;
extern int	ep_max_connections;
extern int	ep_max_statements;
extern int	ep_n_workers;

/* text.c */
extern void ep_copy_text(char *dst, Size size, const char *src);

/* shmem.c */
extern void ep_shmem_define_gucs(void);
extern void ep_shmem_install(void);
extern void ep_require_preload(void);
extern uint64 ep_now_us(void);
extern EpStmtSlot *ep_conn_stmts(const EpConn *conn);
extern void ep_wake_worker(int worker);
extern void ep_wake_proc(int procno);
extern void ep_signal_holder(int procno);

/* pool.c: the registry and the queue */
extern int	ep_pool_find(const EpPoolKey *key);
extern int	ep_pool_register(const EpPoolDef *def);
extern bool ep_pool_forget_failures(EpPool *pool);
extern void ep_pool_mark_stale(Oid database, Oid server, Oid mapping);
extern void ep_pool_mark_closing(Oid database, Oid server, Oid mapping);
extern void ep_pool_try_free(EpPool *pool);
extern void ep_pool_outdate(EpPool *pool);
extern void ep_pool_check_filled(EpPool *pool);
extern bool ep_pool_is_tuned(const EpPool *pool);
extern int	ep_pool_most(const EpPool *pool);
extern void ep_pool_refill(EpPool *pool);

/* pool.c: what an administrator does to pools */
typedef struct EpPoolSet
{
	Oid			database;		/* InvalidOid: of every database */
	Oid			server;			/* InvalidOid: of every server */
	bool		every_role;
	Oid			role;			/* of the mapping, InvalidOid for PUBLIC; without every_role */
} EpPoolSet;

/* Returns whether there was something to do. */
typedef bool (*EpPoolAction) (EpPool *pool);

extern int	ep_pool_register_paused(const EpPoolDef *def);
extern int	ep_pool_register_checked(const EpPoolDef *def);
extern bool ep_pool_in_set(const EpPool *pool, const EpPoolSet *set);
extern void ep_pool_each(const EpPoolSet *set, EpPoolAction act, EpEventKind kind);
extern int	ep_pool_count_leased(const EpPoolSet *set);
extern bool ep_pool_pause(EpPool *pool);
extern bool ep_pool_resume(EpPool *pool);
extern bool ep_pool_recycle(EpPool *pool);
extern bool ep_pool_close(EpPool *pool);
extern bool ep_pool_close_checked(EpPool *pool);
extern bool ep_pool_reset_stats(EpPool *pool);

/* remote.c */
extern uint64 ep_remote_hash(const EpPoolDef *def);
extern EpSessionAttrs ep_remote_session_attrs(const EpPoolDef *def);

/* failover.c */
extern bool ep_failover_acts(const EpPool *pool);
extern bool ep_pool_want_recheck(EpPool *pool);
extern bool ep_conn_doubt(EpPool *pool, EpConn *conn);
extern bool ep_conn_in_doubt(const EpPool *pool, const EpConn *conn);
extern bool ep_conn_unfit(const EpPool *pool, const EpConn *conn);

/* queue.c: waiters, and who gets a connection that became available */
typedef struct EpGiven
{
	int			wake_proc;		/* process that was given the connection, or -1 */
	int			wake_next[EP_NLINES];	/* processes that are to look at the idle list, or -1 */
	bool		wake_worker;	/* the worker has something to do with it */
} EpGiven;

#define EP_GIVEN_TO_NOBODY	((EpGiven) {.wake_proc = -1, .wake_next = {-1, -1}})
#define EP_GIVEN_TO_WORKER	((EpGiven) {.wake_proc = -1, .wake_next = {-1, -1}, .wake_worker = true})

/* Which of a pool's idle connections somebody may take: bits. */
#define EP_IDLE_GENERAL		1
#define EP_IDLE_KEPT		2	/* kept for sessions */

extern int	ep_waiter_take(void);
extern void ep_waiter_return(int entry);
extern void ep_queue_join(EpPool *pool, int entry, EpLeaseKind kind);
extern void ep_queue_leave(EpPool *pool, int entry);
extern void ep_queue_wake_all(const EpPool *pool);
extern bool ep_conn_outdated(const EpPool *pool, const EpConn *conn);
extern bool ep_conn_must_go(const EpPool *pool, const EpConn *conn);
extern EpEndReason ep_conn_reason_to_go(const EpPool *pool, const EpConn *conn);
extern int	ep_queue_first(const EpPool *pool, bool kept);
extern int	ep_queue_may_take(const EpPool *pool, int entry);
extern void ep_queue_next(EpPool *pool, EpGiven *given);
extern EpGiven ep_conn_give(EpPool *pool, EpConn *conn);
extern void ep_queue_set_aside(EpPool *pool, int n, EpGiven *given);
extern void ep_wake_given(const EpPool *pool, EpGiven given);
extern EpConn *ep_idle_take(EpPool *pool, int procno, EpLeaseKind kind, Oid role, int which, int preferred,
							bool (*warm) (int slot, uint64 conn_id), bool *other_role);
extern bool ep_role_must_reset(const EpPool *pool, const EpConn *conn, Oid role);

/* sessions.c: how many sessions there may be, and what is kept for them */
extern bool ep_sessions_full(const EpPool *pool);
extern int	ep_sessions_limit(const EpPool *pool);
extern int	ep_pool_waiting(const EpPool *pool);
extern bool ep_keep_acts(const EpPool *pool);
extern void ep_keep_read(const EpPool *pool, uint64 now_us, EpKeepInput *in);
extern bool ep_keep_short(const EpPool *pool);
extern void ep_keep_settle(EpPool *pool, EpConn *conn);
extern bool ep_keep_over(const EpPool *pool, const EpConn *conn, uint64 now_us);

/* conn.c: slots and state transitions */
extern EpConn *ep_conn_alloc(EpPool *pool, uint64 epoch, bool overflow, bool probe);
extern void ep_pool_lock(EpPool *pool);
extern int	ep_pool_size(const EpPool *pool);
extern bool ep_pool_any_live(const EpPool *pool);
extern void ep_conn_to_idle(EpConn *conn);
extern void ep_conn_set_aside(EpConn *conn, bool aside);
extern void ep_conn_to_leased(EpConn *conn, int procno);
extern void ep_conn_set_kind(EpConn *conn, EpLeaseKind kind);
extern void ep_conn_keep(EpConn *conn);
extern void ep_conn_let_go(EpConn *conn);
extern bool ep_conn_strike(EpConn *conn, EpStruck struck);
extern void ep_conn_to_cancelling(EpConn *conn, const EpUnfinished *unfinished);
extern void ep_conn_to_resetting(EpConn *conn);
extern void ep_conn_to_validating(EpConn *conn);
extern void ep_conn_to_broken(EpConn *conn);
extern void ep_conn_to_closing(EpConn *conn);
extern void ep_conn_blame(EpConn *conn, EpEndReason reason);
extern void ep_conn_to_free(EpConn *conn);
extern bool ep_conn_terminate(EpConn *conn);
extern const char *ep_conn_state_name(EpConnState state);
extern Size ep_query_text_size(void);
extern void ep_conn_set_query(EpConn *conn, const char *sql);
extern bool ep_conn_read_query(const EpConn *conn, char *buf);
extern void ep_conn_forget_statements(EpConn *conn);
extern int	ep_conn_slot(const EpConn *conn);
extern bool ep_conn_belongs(const EpConn *conn, const EpPool *pool);
extern double ep_pool_load(const EpPool *pool);
extern uint64 ep_pool_memory_us(const EpPool *pool);

#endif							/* EP_SHARED_H */
