/*-------------------------------------------------------------------------
 *
 * spin.c
 *		Is it worth looking for an answer a little longer before sleeping?
 *
 * A near remote answers within the time that it takes to go to sleep and to be
 * woken.  Whoever looks at the socket meanwhile has the answer sooner, and no
 * processor has to be woken for it.  Where answers take longer, or processors
 * are scarce, that would only burn time that others could use; so each miss
 * doubles the number of waits that go to sleep at once, and each hit takes one
 * off: looking goes on only where nearly all of it succeeds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>

#include "brain/spin.h"

/* The longest row of waits without a look. */
#define MAX_PENALTY		63

/* On how many processors may this process run?  Asked once; at least 1. */
static int
processors(void)
{
	static int	n = 0;
	cpu_set_t	set;

	if (n == 0)
		n = sched_getaffinity(0, sizeof(set), &set) == 0 ? Max(CPU_COUNT(&set), 1) : 1;
	return n;
}

/*
 * May so many look at a time?  Each of them keeps a processor, and the remote
 * that is to answer may need another of the same machine.
 */
bool
ep_spin_affordable(int looking)
{
	return looking * 2 <= processors();
}

/*
 * A wait begins: look first?  Whoever is told so calls ep_spin_hit() or
 * ep_spin_miss() in the end, or neither if something else came.
 */
bool
ep_spin_begin(EpSpin *spin)
{
	if (spin->skip == 0)
		return true;
	spin->skip--;
	return false;
}

/* What was waited for came while looking. */
void
ep_spin_hit(EpSpin *spin)
{
	if (spin->penalty > 0)
		spin->penalty--;
}

/* It did not come in EP_SPIN_US, or others wanted the processor. */
void
ep_spin_miss(EpSpin *spin)
{
	spin->penalty = Min(spin->penalty * 2 + 1, MAX_PENALTY);
	spin->skip = spin->penalty;
}
