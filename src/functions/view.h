/*-------------------------------------------------------------------------
 *
 * view.h
 *		What the functions behind the views share: building rows, walking the
 *		open pools, and who may see what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_VIEW_H
#define EP_VIEW_H

#include "postgres.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "shared/events.h"
#include "shared/shared.h"

/* ------------------------------------------------------------ building rows */

#define EP_VIEW_MAX_COLUMNS	64

/*
 * A result that is built row by row: put each column in order, then end the
 * row.  What a put allocates lives until the row ends.
 */
typedef struct EpView
{
	ReturnSetInfo *rsinfo;
	MemoryContext context;		/* reset after each row */
	int			n;				/* columns put so far */
	Datum		values[EP_VIEW_MAX_COLUMNS];
	bool		nulls[EP_VIEW_MAX_COLUMNS];
} EpView;

extern void ep_view_begin(EpView *view, FunctionCallInfo fcinfo);
extern void ep_view_end_row(EpView *view);
extern void ep_view_end(EpView *view);
extern void ep_put_null(EpView *view);
extern void ep_put_text(EpView *view, const char *text);
extern void ep_put_jsonb(EpView *view, const char *json);
extern void ep_put_bool(EpView *view, bool value);
extern void ep_put_int(EpView *view, int value);
extern void ep_put_bigint(EpView *view, int64 value);
extern void ep_put_double(EpView *view, double value);
extern void ep_put_ratio(EpView *view, double part, double whole);
extern void ep_put_ms(EpView *view, uint64 us);
extern void ep_put_interval(EpView *view, int64 us);
extern void ep_put_time(EpView *view, TimestampTz time);

/* ------------------------------------------------------------- open pools */

/* A place in ep_pools that was in use when the list was made. */
typedef struct EpPlace
{
	int			place;
	uint32		generation;
} EpPlace;

extern EpPlace *ep_open_places(int *n);
extern EpPool *ep_lock_place(const EpPlace *place);
extern void ep_put_ident(EpView *view, const EpPoolIdent *ident);

/* A connection and whose it is, copied out of shared memory at one moment. */
typedef struct EpConnCopy
{
	EpPoolIdent ident;
	EpConn		conn;			/* but for lease_word */
	EpLeaseBits bits;			/* of the lease word */
	int			pid;			/* of the holder, 0: none */
} EpConnCopy;

extern bool ep_copy_conn(int slot, EpConnCopy *copy);

/* views_leases.c */
extern const char *ep_lease_kind_name(EpLeaseKind kind);

/* --------------------------------------------------------- who may see what */

extern bool ep_reads_all_stats(void);
extern bool ep_may_use_pool(const EpPoolIdent *ident);
extern bool ep_may_read_role(Oid role);

#endif							/* EP_VIEW_H */
