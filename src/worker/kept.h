/*-------------------------------------------------------------------------
 *
 * kept.h
 *		What a worker keeps of each connection besides its slot in shared
 *		memory, and the parts that act on it: opener, tender, closer, upkeep.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_KEPT_H
#define EP_KEPT_H

#include "postgres.h"
#include "libpq-fe.h"

#include "brain/sizing.h"
#include "shared/shared.h"
#include "wire/wire.h"
#include "worker/canceller.h"
#include "worker/connector.h"
#include "worker/loop.h"
#include "worker/relay.h"
#include "worker/talk.h"

/* What the worker is doing with a connection at this moment. */
typedef enum EpTask
{
	EP_TASK_NONE = 0,			/* watched for closure alone: idle or leased */
	EP_TASK_WALK,				/* libpq connects and authenticates */
	EP_TASK_GREET,				/* the first Sync: does the stream stand where it should? */
	EP_TASK_SETUP,				/* connect_query and what startup options could not say */
	EP_TASK_DRAIN,				/* cancelled; reading to the end of what the backend left */
	EP_TASK_AWAIT_CANCEL,		/* drained; waiting until no cancel request is on its way */
	EP_TASK_RESET,
	EP_TASK_VALIDATE,
	EP_TASK_PROBE,				/* a health check's query */
	EP_TASK_CLOSE				/* Terminate sent; waiting for the end of file */
} EpTask;

typedef struct EpKept
{
	uint64		conn_id;		/* 0: place unused */
	int			slot;
	EpTask		task;
	uint64		deadline;		/* monotonic us, of the task; 0: none */
	EpWalk	   *walk;
	PGconn	   *pg;
	int			fd;				/* a dup of libpq's socket, or the user's end of the relay; or -1 */
	EpRelay    *relay;			/* of an encrypted connection, else NULL */
	EpWatch		watch;
	EpWire		wire;
	EpTalk		talk;
	EpCancelKey key;
	EpCancel   *cancel;			/* requests on their way, or NULL */
	bool		no_options;		/* settings go as SET */
	bool		opened;			/* it was fit for use once; what never was is a failed attempt */
	bool		hung_up;		/* Terminate was sent although somebody has a lease on it */
	uint64		failed_before;	/* the pool's failed_walks when the walk began */
	uint64		began_us;		/* when that was */
	uint64		remote_hash;	/* where it leads */
	char		why[EP_TALK_ERROR_SIZE + 64];	/* it is ended, or empty */
} EpKept;

/* Why a connection could not be made. */
typedef struct EpFailure
{
	int			sqlstate;		/* with which waiters raise it */
	bool		fatal;			/* no retry can mend it */
	bool		slow;			/* kept the worker from its loop */
	bool		full;			/* the remote takes no more connections */
	bool		denied;			/* it refused this user */
	const char *said;			/* the SQLSTATE with which it did, empty or NULL: none */
	bool		local;			/* the trouble is on this side */
	const char *error;			/* host by host */
	const char *hint;			/* or NULL */
} EpFailure;

/* keeper.c */
extern EpConn *ep_kept_conn(const EpKept *kept);
extern EpPool *ep_kept_pool(const EpKept *kept);
extern EpKept *ep_kept_begin(int slot, uint64 conn_id);
extern void ep_kept_run(EpKept *kept, EpTask task, uint64 deadline);
extern void ep_kept_rest(EpKept *kept);
extern void ep_kept_give(EpKept *kept);
extern void ep_kept_break(EpKept *kept, const char *why);
extern const char *ep_kept_text(const EpPool *pool, EpSettingId id);
extern uint64 ep_keeper_epoch(void);
extern int	ep_keeper_worker(void);

/* opener.c */
extern bool ep_opener_give_up(EpKept *kept);
extern bool ep_opener_open(EpPool *pool, bool overflow, bool probe);
extern void ep_opener_talked(EpKept *kept, EpTalkState state);
extern void ep_opener_failed(EpKept *kept, const char *why);
extern void ep_opener_put_settings(EpKept *kept);

/* attempt.c */
extern void ep_attempt_failed(EpKept *kept, const EpFailure *failure);
extern void ep_attempt_succeeded(EpKept *kept);
extern void ep_attempt_tick(EpPool *pool, uint64 now_us);
extern void ep_attempt_copy_error(const EpPool *pool, const char *error, char *dst);

/* health.c */
extern void ep_health_look(EpPool *pool, uint64 now_us);
extern bool ep_health_probe(EpPool *pool);
extern void ep_health_serve(EpPool *pool);
extern void ep_health_answer(EpKept *kept, EpCheckOutcome outcome, const char *error);
extern void ep_health_ask(EpKept *kept);
extern void ep_health_talked(EpKept *kept, EpTalkState state);

/* failover.c */
extern void ep_failover_tick(EpPool *pool, uint64 now_us);
extern bool ep_failover_leave(EpKept *kept);

/* tender.c */
extern void ep_tender_tick(EpKept *kept, EpConnState state, uint64 now_us);
extern void ep_tender_talked(EpKept *kept, EpTalkState state);

/* closer.c */
extern void ep_closer_begin(EpKept *kept);
extern void ep_closer_event(EpKept *kept);
extern void ep_closer_finish(EpKept *kept);
extern void ep_closer_abandon(EpKept *kept);
extern void ep_closer_hang_up(EpKept *kept);

/* upkeep.c */
extern void ep_upkeep_pool(EpPool *pool, uint64 now_us, bool timer);
extern void ep_upkeep_reload(void);
extern void ep_upkeep_leases(uint64 now_us);

/* scaler.c */
extern void ep_scaler_read(const EpPool *pool, uint64 now_us, EpSizingInput *in, EpLoad *load);
extern void ep_scaler_averages(const EpLoad *load, EpSizingInput *in);
extern bool ep_scaler_open(EpPool *pool, const EpSizingInput *in, const EpSizing *sizing);
extern void ep_scaler_shrink(EpPool *pool, const EpSizingInput *in, const EpSizing *sizing);
extern void ep_scaler_remember(EpPool *pool, int grow_above, bool growing);

/* recorder.c */
extern void ep_recorder_tick(EpPool *pool, uint64 now_us);

/* sharer.c */
extern bool ep_sharer_reserve(EpPool *pool);
extern void ep_sharer_reserved(void);
extern void ep_sharer_refused(void);
extern void ep_sharer_tick(uint64 now_us, bool timer);

/* sessions.c */
extern int	ep_sessions_keep(EpPool *pool, uint64 now_us, bool stuck);
extern void ep_sessions_tick(uint64 now_us, bool timer);

/* activity.c */
extern void ep_activity_tick(void);

/* watchdog.c */
extern void ep_watchdog_tick(void);

#endif							/* EP_KEPT_H */
