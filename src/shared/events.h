/*-------------------------------------------------------------------------
 *
 * events.h
 *		The log of events: what the view events shows.
 *
 * How to note one: with no lock held call ep_event, or, where the pool may be
 * another one by then, copy whose it is under the pool's lock (ep_event_pool)
 * and call ep_event_of after releasing it.  Nothing is allocated or raised, so
 * this may be done in abort and exit paths.
 *
 * The message is shown to those who may use the pool, the detail to everybody:
 * hosts, users and errors belong into the message.  Texts of statements and
 * passwords belong into neither.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_EVENTS_H
#define EP_EVENTS_H

#include "postgres.h"

#include "shared/detail.h"
#include "shared/eventkind.h"
#include "shared/shared.h"

#define EP_EVENT_MESSAGE_SIZE	256 /* bytes, without the NUL */

/*
 * What may happen very often at the same time: one event a second and pool
 * stands for all.
 */
typedef enum EpEventBurst
{
	EP_BURST_CONNECT_FAILED = 0,
	EP_BURST_ACQUIRE_TIMEOUT,
	EP_BURST_QUERY_TIMEOUT,
	EP_NBURSTS
} EpEventBurst;

/*
 * Messages in the server's log that come again and again while something stays
 * wrong: one a minute and pool, whichever process has it, stands for all.
 */
typedef enum EpLogLimit
{
	EP_LOG_CONNECT_FAILED = EP_NBURSTS,
	EP_LOG_CHECK_FAILED,
	EP_LOG_BREAKER_STAYS_OPEN,
	EP_LOG_BREAKER_HALF_OPEN,
	EP_LOG_SLOW_CONNECT,
	EP_LOG_END
} EpLogLimit;

#define EP_NLIMITED		EP_LOG_END

/* What tells whose pool it is; copied out of shared memory. */
typedef struct EpPoolIdent
{
	Oid			database;
	Oid			server;
	Oid			other_server;	/* InvalidOid: none */
	Oid			mapping_role;	/* InvalidOid: PUBLIC */
	char		datname[NAMEDATALEN];
	char		name[NAMEDATALEN];
	char		role[NAMEDATALEN];
} EpPoolIdent;

/* Whose event it is. */
typedef struct EpEventPool
{
	int			place;			/* in ep_pools, -1: of no pool, and nothing is noted */
	uint32		generation;
	int			encoding;
	EpPoolIdent ident;
} EpEventPool;

typedef struct EpEvent
{
	uint64		id;
	TimestampTz at;
	EpEventKind kind;
	uint64		conn_id;		/* 0: of no connection */
	EpPoolIdent ident;
	char		message[EP_EVENT_MESSAGE_SIZE + 1];
	char		detail[EP_DETAIL_SIZE + 1]; /* empty: none */
} EpEvent;

/* A connection that has ended, as ep_event_closed tells of it. */
typedef struct EpEnded
{
	EpEventPool whose;
	bool		announced;		/* there was an event when it was opened */
	EpEndReason reason;
	uint64		conn_id;
	int			remote_pid;
	uint64		created_us;
	uint64		usage_count;
	char		host[EP_HOST_SIZE];
	int			port;
} EpEnded;

extern int	ep_event_log_size;

extern Size ep_events_size(void);
extern void ep_events_attach(char *area);
extern void ep_events_init(int tranche);

extern void ep_pool_ident(const EpPoolDef *def, EpPoolIdent *ident);
extern void ep_event_pool(const EpPool *pool, EpEventPool *whose);
extern void ep_event(EpPool *pool, EpEventKind kind, uint64 conn_id, const EpDetail *detail,
					 const char *format,...) pg_attribute_printf(5, 6);
extern void ep_event_of(const EpEventPool *whose, EpEventKind kind, uint64 conn_id, const EpDetail *detail,
						const char *format,...) pg_attribute_printf(5, 6);
extern void ep_event_burst(const EpEventPool *whose, EpEventBurst burst, uint64 conn_id, EpDetail *detail,
						   const char *format,...) pg_attribute_printf(5, 6);
extern uint32 ep_log_limit(const EpEventPool *whose, EpLogLimit which);
extern void ep_event_ending(const EpConn *conn, EpEnded *ended);
extern void ep_event_closed(const EpEnded *ended, const char *why);
extern void ep_events_flush(EpPool *pool, uint64 now_us);

extern const char *ep_event_kind_name(EpEventKind kind);
extern int	ep_events_read(uint64 below, EpEvent *events, int limit);

#endif							/* EP_EVENTS_H */
