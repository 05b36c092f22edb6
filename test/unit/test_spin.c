/*-------------------------------------------------------------------------
 *
 * test_spin.c
 *		Looking for an answer before sleeping: only where it pays.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/spin.h"
#include "unit.h"

/* Of so many waits, of which every n-th one is answered late: how many looks, how many of them in vain. */
static void
run(EpSpin *spin, int waits, int late_every, int *looks, int *vain)
{
	*looks = *vain = 0;
	for (int i = 1; i <= waits; i++)
	{
		if (!ep_spin_begin(spin))
			continue;
		(*looks)++;
		if (late_every > 0 && i % late_every == 0)
		{
			(*vain)++;
			ep_spin_miss(spin);
		}
		else
			ep_spin_hit(spin);
	}
}

void
test_spin(void)
{
	EpSpin		spin = {0};
	int			looks;
	int			vain;

	run(&spin, 1000, 0, &looks, &vain);
	CHECK_INT(looks, 1000, "a near remote: always");

	run(&spin, 64000, 1, &looks, &vain);
	CHECK(looks >= 1000 && looks <= 1010, "a far one: one wait in 64, %d", looks);

	run(&spin, 3000, 0, &looks, &vain);
	CHECK(looks > 500, "it comes near again: %d", looks);
	run(&spin, 1000, 0, &looks, &vain);
	CHECK_INT(looks, 1000, "and stays there");

	run(&spin, 10000, 2, &looks, &vain);
	CHECK(vain < 200, "half of the answers late: %d looks in vain", vain);

	memset(&spin, 0, sizeof(spin));
	run(&spin, 10000, 50, &looks, &vain);
	CHECK(looks > 9000, "now and then a late one: %d", looks);

	CHECK(!ep_spin_affordable(1000000), "nobody has so many processors");
	CHECK(ep_spin_affordable(0), "there is one");
}
