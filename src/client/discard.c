/*-------------------------------------------------------------------------
 *
 * discard.c
 *		DISCARD ALL gives back this session's leases, too.
 *
 * A pooler in front of this server sends it before another client gets the
 * session: what the last one held must not be found by the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "client/discard.h"
#include "client/lease.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

static void
discard_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	/* looked at first: the statement may be freed while it runs */
	bool		discard = IsA(pstmt->utilityStmt, DiscardStmt) &&
	((DiscardStmt *) pstmt->utilityStmt)->target == DISCARD_ALL;

	if (prev_process_utility)
		prev_process_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	if (discard)
		ep_lease_discard_all();
}

/* Install the hook; called once, from _PG_init. */
void
ep_discard_install(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = discard_utility;
}
