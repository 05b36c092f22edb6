/*-------------------------------------------------------------------------
 *
 * group.h
 *		Operations that run at the same time, each on a connection of its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_GROUP_H
#define EP_GROUP_H

#include "postgres.h"
#include "utils/jsonb.h"

#include "client/capture.h"
#include "client/catalog.h"
#include "client/exchange.h"

typedef enum EpOperationState
{
	EP_OPERATION_PENDING,
	EP_OPERATION_RUNNING,
	EP_OPERATION_DONE
} EpOperationState;

/* One operation.  The caller fills in the first part, with memory that lives as long as the group. */
typedef struct EpOperation
{
	const char *sql;
	const EpParams *params;
	EpPoolRef  *ref;

	/* what came of it */
	EpOutcome	outcome;
	EpReceiver *receiver;
	Jsonb	   *rows;			/* for the caller's collect() */
	EpCaught   *caught;			/* NULL: it succeeded */
	bool		started;		/* it was sent */
	double		elapsed_ms;

	/* group.c */
	EpOperationState state;
	struct EpMember *member;
	struct EpOperation *next;	/* of its pool, pending */
	MemoryContext context;
	EpLease    *lease;
	EpExchange *exchange;
	uint64		started_us;
	int			position;		/* in the wait event set, -1: not in it */
	uint32		events;			/* that are waited for there */
} EpOperation;

typedef struct EpGroup
{
	EpCommand	command;		/* what it is shown as */
	EpOperation *ops;
	int			n;
	int			max_parallel;	/* most at once */
	double		timeout_s;		/* for all together, < 0: without limit */
	const char *name;			/* of the leases, or NULL */

	/*
	 * Make the receiver of an operation that is about to begin, in the
	 * current memory context, which ends with the operation.
	 */
	EpReceiver *(*make_receiver) (EpOperation *op);

	/*
	 * Take the result of one that succeeded, into the current memory context,
	 * which outlives it.
	 */
	void		(*collect) (EpOperation *op);
} EpGroup;

extern void ep_group_check(EpGroup *group);
extern void ep_group_run(EpGroup *group);
extern void ep_group_raise(const EpGroup *group, bool refused);

/* progress.c */
extern void ep_progress_begin(const EpGroup *group, EpGroupProgress *outer);
extern void ep_progress_show(const EpGroup *group);
extern void ep_progress_end(const EpGroupProgress *outer);

#endif							/* EP_GROUP_H */
