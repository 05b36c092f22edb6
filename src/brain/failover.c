/*-------------------------------------------------------------------------
 *
 * failover.c
 *		Does a server still fit target_session_attrs, and when is that to be
 *		looked at again?
 *
 * Pure.  The values mean what they mean in libpq, which looked at them when
 * the connection was made; here they are looked at once more, later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/failover.h"

/* The value of that name; NULL, and what libpq would refuse, is "any". */
EpSessionAttrs
ep_failover_attrs(const char *name)
{
	static const char *const names[] = {
		[EP_ATTRS_ANY] = "any", [EP_ATTRS_READ_WRITE] = "read-write", [EP_ATTRS_READ_ONLY] = "read-only",
		[EP_ATTRS_PRIMARY] = "primary", [EP_ATTRS_STANDBY] = "standby", [EP_ATTRS_PREFER_STANDBY] = "prefer-standby"
	};

	for (int i = 0; name && i < (int) lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return (EpSessionAttrs) i;
	}
	return EP_ATTRS_ANY;
}

/*
 * What may be assumed of a server to which libpq has just connected, and which
 * does not say it by itself (before 14).  With prefer-standby it may be either.
 */
EpHostState
ep_failover_assumed(EpSessionAttrs attrs)
{
	EpHostState state = {.hot_standby = attrs == EP_ATTRS_STANDBY, .read_only = attrs == EP_ATTRS_READ_ONLY};

	return state;
}

/* Is the server what is wanted?  With prefer-standby: is it what is wanted most? */
bool
ep_failover_fits(EpSessionAttrs attrs, EpHostState state)
{
	switch (attrs)
	{
		case EP_ATTRS_READ_WRITE:
			return !state.hot_standby && !state.read_only;
		case EP_ATTRS_READ_ONLY:
			return state.hot_standby || state.read_only;
		case EP_ATTRS_PRIMARY:
			return !state.hot_standby;
		case EP_ATTRS_STANDBY:
		case EP_ATTRS_PREFER_STANDBY:
			return state.hot_standby;
		case EP_ATTRS_ANY:
			break;
	}
	return true;
}

/*
 * Begins a round if one is wanted, but not more than one a second: whoever can
 * use the pool can provoke what leads to it.  If it is too early, *due_us says
 * when it is time, else that is 0.
 */
bool
ep_recheck_begin(EpRecheck *recheck, uint64 now_us, uint64 *due_us)
{
	*due_us = 0;
	if (!recheck->wanted)
		return false;
	if (recheck->round_us != 0 && now_us < recheck->round_us + EP_RECHECK_SPACING_US)
	{
		*due_us = recheck->round_us + EP_RECHECK_SPACING_US;
		return false;
	}
	recheck->wanted = false;
	recheck->round_us = now_us;
	return true;
}
