/*-------------------------------------------------------------------------
 *
 * sessions.c
 *		How many connections a pool keeps for sessions, and when the time of a
 *		session is over.
 *
 * A connection that is kept for sessions is lent to nobody else while it is
 * idle.  So what is kept must never be all that others could get: at least one
 * connection is left for them, and what goes beyond min_sessions is theirs as
 * soon as they would have to wait for it.
 *
 * Pure: numbers in, numbers out.  Whoever gives a connection back and the
 * worker carry it out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/sessions.h"

/* How many connections stay kept even if others wait. */
int
ep_keep_floor(const EpKeepInput *in)
{
	return Max(Min(in->min_sessions, in->most - 1), 0);
}

/*
 * How many are to be kept.  Those that sessions have count; spare ones are for
 * a pool of which sessions are made use.
 */
static int
wanted(const EpKeepInput *in)
{
	int			most = Max(in->most - 1, in->open);

	if (!in->recent)
		return ep_keep_floor(in);
	return Max(ep_keep_floor(in), Min(in->open + in->target_free, most));
}

/*
 * The same while others wait.  Where the pool is smaller than it may be, one is
 * left for them, too.
 */
static int
wanted_before_others(const EpKeepInput *in)
{
	return Min(ep_keep_floor(in), Max(in->usable - 1, 0));
}

/*
 * A connection comes back, which is kept already or not: is it to be kept?  It
 * counts in usable and, if it is kept, in kept, and no session has it any more.
 */
bool
ep_keep_stays(const EpKeepInput *in, bool kept)
{
	int			limit = in->others > 0 ? wanted_before_others(in) : wanted(in);

	return in->kept + (kept ? 0 : 1) <= limit;
}

/*
 * What is to be done about those that are idle.  While others wait, spare ones
 * are not made; and if nothing is opened for them, as many as wait get what is
 * spare.
 */
EpKeepPlan
ep_keep_plan(const EpKeepInput *in)
{
	EpKeepPlan	plan = {0};
	int			want = in->others == 0 ? wanted(in) : in->can_grow ? ep_keep_floor(in) : wanted_before_others(in);

	if (in->kept > want)
	{
		plan.let_go = Min(in->kept - want, in->kept_idle);
		if (in->others > 0)
			plan.let_go = in->can_grow ? 0 : Min(plan.let_go, in->others);
		return plan;
	}
	plan.keep = Min(want - in->kept, in->idle);
	plan.open = want - in->kept - plan.keep;
	return plan;
}

/*
 * Which time-out, if any, has a session met?  The one that came first, if it is
 * both.  If none, *due_us is when to look again, unless it was to be earlier
 * already.
 */
EpStruck
ep_session_struck(const EpSessionTimes *times, uint64 now_us, uint64 *due_us)
{
	uint64		idle_at = PG_UINT64_MAX;
	uint64		total_at = PG_UINT64_MAX;

	if (times->idle_limit_us > 0 && times->idle_us > 0)
		idle_at = times->idle_us + times->idle_limit_us;
	if (times->total_limit_us > 0)
		total_at = times->open_us + times->total_limit_us;
	if (now_us >= idle_at && idle_at <= total_at)
		return EP_STRUCK_IDLE;
	if (now_us >= total_at)
		return EP_STRUCK_TOTAL;
	*due_us = Min(*due_us, Min(idle_at, total_at));
	return EP_STRUCK_NOT;
}
