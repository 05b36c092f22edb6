/*-------------------------------------------------------------------------
 *
 * session.h
 *		Leases that follow the local transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SESSION_H
#define EP_SESSION_H

#include "postgres.h"
#include "access/xact.h"
#include "lib/ilist.h"
#include "client/lease.h"
#include "client/turn.h"

/* What became of the local subtransaction that a savepoint stands for. */
typedef enum EpLevelEnd
{
	EP_LEVEL_OPEN = 0,
	EP_LEVEL_COMMITTED,			/* the savepoint is to be released */
	EP_LEVEL_ABORTED			/* and rolled back to before that */
} EpLevelEnd;

typedef struct EpSavepoint
{
	SubTransactionId subid;
	EpLevelEnd	end;
	bool		operation;		/* of one operation of a group, which ran in subid */
} EpSavepoint;

typedef struct EpSessionOp EpSessionOp;

/* In TopTransactionContext, from session() to the end of the transaction. */
typedef struct EpSession
{
	dlist_node	node;			/* in the list of this transaction's sessions */
	EpLease    *lease;			/* NULL: given back, although its transaction had begun */
	EpPoolRef  *ref;
	int64		number;
	SubTransactionId home;		/* the subtransaction that it belongs to: if that aborts it is gone */
	int			isolation;		/* XACT_READ_COMMITTED or more */
	int			read_only;		/* as asked for: 1, 0, or -1 for what the local transaction is */
	bool		group;			/* serves operations of groups, and is nobody's by its name */
	bool		operation;		/* the next statement is one of those, and gets a savepoint of its own */
	bool		worked;			/* one of them has succeeded, or something else was run */

	/* what the remote has confirmed */
	bool		begun;			/* its transaction is open, or was until the connection was lost */
	EpSavepoint *savepoints;	/* from the outermost on; the name of number i is ep_s<i + 1> */
	int			nsavepoints;
	int			max_savepoints;
	int			read_only_at;	/* how many savepoints there were when it became READ ONLY, -1: it is not */

	/* what was put in front of the present statement */
	EpSessionOp *ops;
	int			nops;
	int			next_op;		/* the first that is not confirmed yet */
	int			max_ops;
} EpSession;

extern EpLease *ep_session_open(EpPoolRef *ref, int isolation, int read_only, double timeout_s, const char *name);
extern bool ep_session_has_begun(const EpLease *lease);
extern void ep_session_of_group(EpLease *lease);
extern EpLease **ep_session_free_ones(const EpPoolRef *ref, int *n);
extern void ep_session_begin_operation(EpLease *lease);
extern bool ep_session_end_operation(EpLease *lease, bool failed);
extern void ep_session_lease_gone(EpLease *lease);
extern void ep_session_prelude(EpTurn *turn);
extern void ep_session_confirm(EpLease *lease);
extern void ep_session_reject(EpLease *lease);
extern void ep_session_install(void);

/* commit.c */
extern bool ep_session_commit_all(dlist_head *sessions);

#endif							/* EP_SESSION_H */
