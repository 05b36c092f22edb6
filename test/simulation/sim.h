/*-------------------------------------------------------------------------
 *
 * sim.h
 *		A simulated worker, its pools, the sessions that use them and the
 *		remote, in virtual time.  What they decide comes from src/brain.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SIM_H
#define EP_SIM_H

#include "postgres.h"

#include "brain/breaker.h"
#include "brain/fairness.h"
#include "brain/load.h"
#include "brain/sizing.h"
#include "brain/strategy.h"
#include "brain/tuner.h"

#define SECOND		UINT64CONST(1000000)
#define MINUTE		(60 * SECOND)
#define HOUR		(60 * MINUTE)
#define MS			UINT64CONST(1000)

#define NONE		(-1)

/* ------------------------------------------------------- what is simulated */

/* Settings of a pool, as in doc/reference.md; times in seconds. */
typedef struct SimSettings
{
	int			initial_size;
	int			min_size;
	int			max_size;
	int			max_overflow;
	int			target_free;
	double		idle_timeout;
	double		max_lifetime;
	double		validation_interval;
	double		acquire_timeout;
	int			retry_attempts;
	double		retry_backoff;
	EpStrategy	strategy;
	bool		scaling;
	double		up;
	double		down;
	double		cool_down;
	double		health_interval;
	int			threshold;
	double		recovery;
} SimSettings;

/* The remote server, one for all pools. */
typedef struct SimRemote
{
	uint64		connect_us;		/* to make a connection */
	uint64		refuse_us;		/* to be told that there is none */
	int			cores;			/* queries that run at once without harm, 0: any number */
	double		penalty;		/* part that each query beyond that adds to the time of all */
	int			most;			/* connections that it takes, 0: any number */
	double		weather;		/* others make it slower and faster by about that part, for seconds */
	uint64		down_us;		/* when it goes away, 0: never */
	uint64		back_us;
} SimRemote;

typedef enum SimState
{
	SIM_FREE = 0,
	SIM_CONNECTING,
	SIM_IDLE,
	SIM_LEASED,
	SIM_TENDED,					/* being validated */
	SIM_ENDING
} SimState;

typedef struct SimConn
{
	SimState	state;
	uint32		serial;			/* tells a late event for an earlier use or task */
	int			pool;
	bool		overflow;
	bool		probe;
	bool		aside;			/* idle, and lent to nobody at present */
	bool		accepted;		/* the remote counts it */
	bool		running;		/* a query is under way */
	uint64		began_us;
	uint64		failed_before;
	uint64		leased_us;
	uint64		last_used_us;
	uint64		last_validated_us;
	uint64		expires_us;
	int			job;
	int			prev;			/* on the idle list; next also on that of free slots */
	int			next;
} SimConn;

/* A session that wants a connection for one query. */
typedef struct SimJob
{
	uint32		serial;
	int			pool;
	int			source;
	uint64		query_us;		/* on a remote that has nothing else to do */
	uint64		came_us;
	uint64		failed_walks;	/* of the pool, at that time */
	int			conn;
	bool		queued;
	bool		woken;
	int			prev;
	int			next;			/* in the queue, or on the list of free ones */
} SimJob;

/* The fields are those of EpPool in src/shared/shared.h. */
typedef struct SimPool
{
	bool		opened;
	bool		dirty;			/* something has happened: the next round looks at it */
	bool		unserved;		/* max_connections kept it from opening what it wanted */
	uint64		wake_at;		/* the worker will look then */

	int			size;			/* of those that are no probes */
	int			n_idle;
	int			n_leased;
	int			n_connecting;
	int			n_tended;
	int			n_ending;
	int			n_probing;
	int			idle_head;
	int			idle_tail;
	int			fill_target;
	EpLoad		load;
	EpPeak		peak;
	int			grow_above;
	bool		growing;
	uint64		scaled_up_us;
	uint64		scaled_down_us;
	EpObserved	observed;
	EpTuner		tuner;
	int			aside_wanted;
	int			n_aside;
	int			ration;
	double		demand;
	uint64		demand_us;
	uint64		longest_wait;

	int			wait_head;
	int			wait_tail;
	int			n_waiting;

	uint64		failed_walks;
	bool		failing;
	uint64		next_try_at;
	double		backoff;
	bool		lost;
	int			bound;
	uint64		bound_until_us;
	EpBreaker	breaker;
	uint64		last_success_us;
	uint64		last_probe_us;
	uint64		last_acquire_us;
} SimPool;

/* ------------------------------------------------------------- what is seen */

/* Of so many pools numbers of their own are kept. */
#define SIM_SAMPLED		4

typedef struct SimSample
{
	uint64		at_us;
	int			size;
	int			idle;
	int			leased;
	int			connecting;
	int			waiting;
	int			size_of[SIM_SAMPLED];
	int			leased_of[SIM_SAMPLED];
	double		load_1m;		/* of the first pool */
	double		load_5m;
	EpBreakerState breaker;		/* of the first pool */
	uint64		came;			/* since the beginning */
	uint64		served;
} SimSample;

typedef struct SimScaling
{
	uint64		at_us;
	int			pool;
	bool		up;
	int			n;
	int			from;			/* the size before */
	const char *reason;
} SimScaling;

typedef struct SimChange
{
	uint64		at_us;
	int			pool;
	EpBreakerChange change;
	int			failures;
	double		pause_s;		/* until the next try */
} SimChange;

typedef struct SimFailure
{
	uint64		at_us;
	bool		probe;
} SimFailure;

typedef struct SimSeen
{
	uint64		came;
	uint64		served;			/* got a connection */
	uint64		done;			/* and its query has ended well */
	uint64		refused;		/* the breaker was open */
	uint64		hopeless;		/* retry_attempts failed */
	uint64		timed_out;
	uint64		cut_off;		/* the remote went away in the middle of it */
	uint64		connects;		/* that have begun, without those of health checks */
	uint64		connected;
	uint64		connects_failed;
	uint64		probes;
	uint64		probes_failed;
	int			most_size;
	int			most_waiting;
	int			most_connecting;
	int			most_used;

	uint32	   *waits;			/* us, of those who got a connection */
	Size		nwaits;
	Size		waits_size;
	SimSample  *samples;
	int			nsamples;
	int			samples_size;
	SimScaling *scalings;
	int			nscalings;
	int			scalings_size;
	SimChange  *changes;
	int			nchanges;
	int			changes_size;
	SimFailure *failures;		/* attempts, health checks too */
	int			nfailures;
	int			failures_size;
} SimSeen;

/* -------------------------------------------------------- where work comes from */

typedef struct Sim Sim;

typedef enum SimSourceKind
{
	SIM_RANDOM,					/* arrivals by themselves, so many a second */
	SIM_BURSTS,					/* n at the same moment, again and again */
	SIM_SESSION,				/* one session: a query, a pause, the next */
	SIM_RECORD					/* one line of a file */
} SimSourceKind;

typedef struct SimSource
{
	SimSourceKind kind;
	int			pool;
	int			n;				/* of a burst or a line */
	uint64		from_us;
	uint64		to_us;
	uint64		every_us;		/* between bursts; of a session: pause after a query */
	uint64		query_us;		/* mean: exponential, of a session evenly 50 to 150 per cent; or exactly that */
	bool		exact;
	bool		chance;			/* exponential also for a session */
	double		most;			/* highest rate */
	double		(*rate) (uint64 now_us);	/* arrivals a second, NULL: most */
} SimSource;

typedef struct SimTrace
{
	const char *name;
	const char *about;
	uint64		length_us;
	uint64		sample_us;
	int			print_every;	/* samples */
	int			npools;
	int			max_connections;
	int			server_cap;		/* max_server_connections, all pools being of one server; 0: none */
	SimSettings set;
	SimRemote	remote;
	void		(*begin) (Sim *sim);	/* adds sources */
	void		(*check) (const Sim *sim);
} SimTrace;

typedef struct SimEvent SimEvent;

struct Sim
{
	const SimTrace *trace;
	uint64		seed;
	uint64		random;
	bool		verbose;
	uint64		now;
	SimEvent   *events;			/* a heap */
	int			nevents;
	int			events_size;
	uint64		next_seq;
	bool		round_due;

	SimPool    *pools;
	SimConn    *conns;
	int			free_conn;
	int			used;			/* slots, at most max_connections */
	int			unserved;		/* pools that are */
	bool		refused;		/* of those, one with waiters, since the last look at who has what */
	uint64		shared_us;		/* when that was */
	SimJob	   *jobs;
	int			njobs;
	int			jobs_size;
	int			free_job;
	SimSource  *sources;
	int			nsources;
	int			sources_size;

	bool		down;			/* the remote */
	int			connections;	/* that it has */
	int			running;		/* queries */
	uint64		weather;		/* random numbers of its own: the same weather whatever else happens */
	double		slowness;		/* log of what a query's time is multiplied by */

	int			violations;		/* of what must always hold */
	SimSeen		seen;
};

typedef enum SimEventKind
{
	SIM_TIMER,					/* of the worker */
	SIM_ROUND,					/* it was woken */
	SIM_WAKE,					/* it asked for that: pool */
	SIM_SOURCE,					/* source */
	SIM_CONNECTED,				/* conn; or it failed */
	SIM_RESUMES,				/* job: goes on with the connection handed over */
	SIM_LOOKS,					/* job: looks at the idle list */
	SIM_GIVES_UP,				/* job: acquire_timeout */
	SIM_QUERY_ENDS,				/* conn */
	SIM_VALIDATED,				/* conn */
	SIM_CLOSED,					/* conn */
	SIM_REMOTE_DOWN,
	SIM_REMOTE_BACK,
	SIM_SAMPLE					/* which: 1 if it comes again */
} SimEventKind;

/* sim.c */
extern Sim *sim_run(const SimTrace *trace, uint64 seed, bool verbose);
extern void sim_free(Sim *sim);
extern double sim_random(Sim *sim);
extern void sim_at(Sim *sim, uint64 at_us, SimEventKind kind, int which, uint32 serial);
extern void sim_add_source(Sim *sim, SimSource source);
extern void sim_sample_at(Sim *sim, uint64 at_us);
extern void sim_violated(Sim *sim, const char *format,...) pg_attribute_printf(2, 3);
extern void *sim_grow(void *array, int used, int *size, Size each);

/* sessions.c */
extern void sim_source(Sim *sim, int source);
extern void sim_comes(Sim *sim, int pool, int source, uint64 query_us);
extern void sim_resumes(Sim *sim, int job);
extern void sim_looks(Sim *sim, int job, bool timed_out);
extern void sim_look_all(Sim *sim, int pool);
extern void sim_query_ends(Sim *sim, int conn);
extern void sim_cut_off(Sim *sim, int conn);

/* pool.c */
extern double sim_load(const SimPool *pool);
extern uint64 sim_memory_us(const Sim *sim);
extern int	sim_most(const Sim *sim, const SimPool *pool);
extern bool sim_any_live(const SimPool *pool);
extern void sim_check_filled(const Sim *sim, SimPool *pool);
extern int	sim_conn_alloc(Sim *sim, int pool, bool overflow, bool probe);
extern void sim_conn_move(Sim *sim, int conn, SimState to);
extern void sim_conn_give(Sim *sim, int conn);
extern void sim_conn_end(Sim *sim, int conn);
extern void sim_conn_closed(Sim *sim, int conn);
extern void sim_queue_join(Sim *sim, int job);
extern void sim_queue_leave(Sim *sim, int job);
extern void sim_queue_next(Sim *sim, SimPool *pool);
extern void sim_verify(Sim *sim);

/* worker.c */
extern void sim_wake_worker(Sim *sim, int pool);
extern void sim_wake_at(Sim *sim, int pool, uint64 at_us);
extern void sim_round(Sim *sim, bool timer);
extern void sim_remote_lost(Sim *sim);

/* sharer.c */
extern bool sim_has_place(const Sim *sim);
extern void sim_share(Sim *sim, bool timer);

/* attempt.c */
extern bool sim_open(Sim *sim, int pool, bool overflow, bool probe);
extern void sim_connected(Sim *sim, int conn);
extern void sim_breaker_tick(Sim *sim, int pool);

/* traces.c */
extern const SimTrace *sim_traces(int *n);
extern SimSettings sim_defaults(void);
extern SimRemote sim_good_remote(void);

/* recorded.c */
extern bool sim_read_file(const char *path, SimTrace *trace);
extern void sim_begin_recorded(Sim *sim);

/* checks.c */
extern int	sim_passed;
extern int	sim_failed;
extern void sim_check_always(const Sim *sim);
extern void sim_check_served(const Sim *sim);
extern void sim_check_step(const Sim *sim);
extern void sim_check_ramp(const Sim *sim);
extern void sim_check_queue(const Sim *sim);
extern void sim_check_steady(const Sim *sim);
extern void sim_check_low(const Sim *sim);
extern void sim_check_sine(const Sim *sim);
extern void sim_check_burst(const Sim *sim);
extern void sim_check_slow(const Sim *sim);
extern void sim_check_flat(const Sim *sim);
extern void sim_check_dead(const Sim *sim);
extern void sim_check_unbroken(const Sim *sim);
extern void sim_check_full(const Sim *sim);
extern void sim_check_caps(const Sim *sim);
extern void sim_check_many(const Sim *sim);
extern void sim_check_short(const Sim *sim);

/* report.c */
extern void sim_report(const Sim *sim);
extern uint32 sim_wait(const Sim *sim, double part);
extern const SimSample *sim_sample(const Sim *sim, uint64 at_us);

#endif							/* EP_SIM_H */
