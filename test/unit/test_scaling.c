/*-------------------------------------------------------------------------
 *
 * test_scaling.c
 *		How a pool follows its load.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/scaling.h"
#include "unit.h"

#define SECOND	UINT64CONST(1000000)
#define NOW		(1000 * SECOND)

/* The default settings, and a pool that is neither new nor was scaled of late. */
#define SETTINGS(on, free, up_to, down_to, cool_down) \
	.min_size = 2, .max_size = 20, .scaling = on, .target_free = free, .up = up_to, .down = down_to, \
	.cool_down_us = (cool_down) * SECOND, .now_us = NOW
#define DEFAULTS SETTINGS(true, 3, 0.8, 0.3, 30)

/* Loads: now, over a minute, over five. */
#define LOADS(now, one, five)	.load = now, .load_1m = one, .load_5m = five

#define NEVER	PG_INT32_MAX
#define BUSY	"the load is above scale_up_threshold"
#define BUSY_1M "the 1-minute load is above scale_up_threshold"
#define WAITING "backends are waiting"
#define CALM	"the 5-minute load is below scale_down_threshold"

typedef struct Case
{
	const char *about;
	EpSizingInput in;
	int			open;
	int			shrink;
	EpScaling	scaling;
	int			target;
	int			grow_above;
	const char *reason;
} Case;

static const Case cases[] = {
	/* up */
	{"at the threshold nothing happens", {DEFAULTS, .size = 5, .leased = 4, .idle = 1, LOADS(0.8, 0.8, 0.8)},
	0, 0, EP_SCALING_NONE, 0, 4, NULL},
	{"above it connections are made ahead", {DEFAULTS, .size = 5, .leased = 5, LOADS(1, 0.1, 0.1)},
	3, 0, EP_SCALING_UP, 10, NEVER, BUSY},
	{"ceil(active / threshold) + target_free", {DEFAULTS, .size = 6, .leased = 5, .idle = 1, LOADS(5.0 / 6, 0, 0)},
	3, 0, EP_SCALING_UP, 10, NEVER, BUSY},
	{"no rounding up of whole numbers", {SETTINGS(true, 3, 0.1, 0.3, 30), .size = 10, .leased = 1, .idle = 9, LOADS(0.1, 0.2, 0)},
	3, 0, EP_SCALING_UP, 13, NEVER, BUSY_1M},
	{"the average of a minute does, too", {DEFAULTS, .size = 5, .leased = 3, .idle = 2, LOADS(0.6, 0.81, 0.5)},
	2, 0, EP_SCALING_UP, 7, 5, BUSY_1M},
	{"but not if there are enough for the present", {DEFAULTS, .size = 5, .leased = 1, .idle = 4, LOADS(0.2, 0.9, 0.5)},
	0, 0, EP_SCALING_NONE, 0, 4, NULL},
	{"what is on its way counts", {DEFAULTS, .size = 8, .leased = 5, .connecting = 3, LOADS(1, 0.1, 0.1)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"nor is the first one of two a load", {DEFAULTS, .fill_target = 2, .size = 2, .leased = 1, .connecting = 1, LOADS(1, 0, 0)},
	0, 0, EP_SCALING_NONE, 0, 1, NULL},
	{"some of it has come: the same scaling goes on", {DEFAULTS, .growing = true, .size = 8, .leased = 5, .connecting = 1, .idle = 2, LOADS(5.0 / 7, 0.5, 0.1)},
	2, 0, EP_SCALING_NONE, 10, NEVER, BUSY},
	{"it has reached its size", {DEFAULTS, .growing = true, .size = 10, .leased = 5, .idle = 5, LOADS(0.5, 0.5, 0.1)},
	0, 0, EP_SCALING_NONE, 0, 8, NULL},
	{"fewer are leased than when it began", {DEFAULTS, .growing = true, .size = 8, .leased = 3, .idle = 5, LOADS(0.4, 0.5, 0.1)},
	0, 0, EP_SCALING_NONE, 0, 6, NULL},
	{"within max_size", {DEFAULTS, .size = 19, .leased = 19, LOADS(1, 1, 1)},
	1, 0, EP_SCALING_UP, 20, NEVER, BUSY},
	{"and not beyond it", {DEFAULTS, .max_overflow = 5, .size = 20, .leased = 20, LOADS(1, 1, 1)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"a waiter each, and the free ones beside them", {DEFAULTS, .size = 5, .leased = 5, .waiting = 2, LOADS(1, 0.1, 0.1)},
	5, 0, EP_SCALING_UP, 10, NEVER, WAITING},
	{"no free ones wanted: none ahead", {SETTINGS(true, 0, 0.8, 0.3, 30), .size = 5, .leased = 5, LOADS(1, 1, 1)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"one at a time while attempts fail, which is no new scaling", {DEFAULTS, .failing = true, .size = 5, .leased = 5, LOADS(1, 1, 1)},
	1, 0, EP_SCALING_NONE, 10, NEVER, BUSY},
	{"one at a time while it is not known whether a full remote takes more", {DEFAULTS, .asking = true, .size = 5, .leased = 5, .waiting = 4, LOADS(1, 1, 1)},
	1, 0, EP_SCALING_UP, 10, NEVER, WAITING},
	{"and none beside that", {DEFAULTS, .asking = true, .size = 6, .leased = 5, .connecting = 1, .waiting = 4, LOADS(1, 1, 1)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"threshold 0: only for waiters", {SETTINGS(true, 3, 0, 0.3, 30), .size = 5, .leased = 5, LOADS(1, 1, 1)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"switched off: nothing ahead", {SETTINGS(false, 3, 0.8, 0.3, 30), .size = 5, .leased = 5, LOADS(1, 1, 1)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"switched off: one for a waiter", {SETTINGS(false, 3, 0.8, 0.3, 30), .size = 5, .leased = 5, .waiting = 1, LOADS(1, 1, 1)},
	1, 0, EP_SCALING_NONE, 6, NEVER, WAITING},
	{"the first fill is none, but begins a cool-down", {DEFAULTS, .fill_target = 5},
	5, 0, EP_SCALING_FILL, 5, NEVER, "below min_size"},
	{"below min_size is none", {DEFAULTS, .size = 1, .idle = 1},
	1, 0, EP_SCALING_NONE, 2, 1, "below min_size"},

	/* ready ahead of any load */
	{"the strategy wants more ready: a scaling", {DEFAULTS, .ready = 8, .size = 5, .leased = 2, .idle = 3, LOADS(0.4, 0.4, 0.4)},
	3, 0, EP_SCALING_UP, 8, NEVER, "the strategy keeps more connections ready"},
	{"no herd", {DEFAULTS, .ready = 18, .size = 5, .leased = 2, .idle = 3, LOADS(0.4, 0.4, 0.4)},
	3, 0, EP_SCALING_UP, 8, NEVER, "the strategy keeps more connections ready"},
	{"they are there", {DEFAULTS, .ready = 5, .size = 5, .leased = 2, .idle = 3, LOADS(0.4, 0.4, 0.4)},
	0, 0, EP_SCALING_NONE, 0, 4, NULL},
	{"not right after it shrank, either", {DEFAULTS, .ready = 8, .size = 5, .leased = 2, .idle = 3, .down_at_us = NOW - 29 * SECOND, LOADS(0.4, 0.4, 0.4)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"switched off: nothing is kept ready", {SETTINGS(false, 3, 0.8, 0.3, 30), .ready = 8, .size = 5, .leased = 2, .idle = 3, LOADS(0.4, 0.4, 0.4)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"the load wants as many: that is why", {DEFAULTS, .ready = 8, .size = 5, .leased = 5, LOADS(1, 1, 1)},
	3, 0, EP_SCALING_UP, 10, NEVER, BUSY},

	/* cool-down */
	{"not right after it shrank", {DEFAULTS, .size = 5, .leased = 5, .down_at_us = NOW - 29 * SECOND, LOADS(1, 1, 1)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"but for a waiter", {DEFAULTS, .size = 5, .leased = 5, .waiting = 2, .down_at_us = NOW - 29 * SECOND, LOADS(1, 1, 1)},
	2, 0, EP_SCALING_UP, 7, NEVER, WAITING},
	{"and after the cool-down", {DEFAULTS, .size = 5, .leased = 5, .down_at_us = NOW - 30 * SECOND, LOADS(1, 1, 1)},
	3, 0, EP_SCALING_UP, 10, NEVER, BUSY},
	{"right after it grew it may grow", {DEFAULTS, .size = 5, .leased = 5, .up_at_us = NOW - 1, LOADS(1, 1, 1)},
	3, 0, EP_SCALING_UP, 10, NEVER, BUSY},
	{"but not shrink", {DEFAULTS, .size = 15, .idle = 15, .up_at_us = NOW - 29 * SECOND},
	0, 0, EP_SCALING_NONE, 0, 12, NULL},
	{"nor twice in one cool-down", {DEFAULTS, .size = 15, .idle = 15, .down_at_us = NOW - 29 * SECOND},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"no cool-down", {SETTINGS(true, 3, 0.8, 0.3, 0), .size = 15, .idle = 15, .up_at_us = NOW, .down_at_us = NOW},
	0, 6, EP_SCALING_DOWN, 3, 12, CALM},

	/* down */
	{"half of what is above the floor goes", {DEFAULTS, .size = 15, .idle = 15},
	0, 6, EP_SCALING_DOWN, 3, 12, CALM},
	{"and half of the rest", {DEFAULTS, .size = 9, .idle = 9},
	0, 3, EP_SCALING_DOWN, 3, 7, CALM},
	{"rounded up, to get there", {DEFAULTS, .size = 4, .idle = 4},
	0, 1, EP_SCALING_DOWN, 3, 3, CALM},
	{"the floor", {DEFAULTS, .size = 3, .idle = 3},
	0, 0, EP_SCALING_NONE, 0, 2, NULL},
	{"the floor follows those at work", {DEFAULTS, .size = 15, .leased = 3, .idle = 12, LOADS(0.2, 0.2, 0.2)},
	0, 5, EP_SCALING_DOWN, 6, 12, CALM},
	{"unused: min_size", {DEFAULTS, .unused = true, .size = 4, .idle = 4},
	0, 1, EP_SCALING_DOWN, 2, 3, CALM},
	{"at the threshold it stays", {DEFAULTS, .size = 10, .leased = 3, .idle = 7, LOADS(0.3, 0.3, 0.3)},
	0, 0, EP_SCALING_NONE, 0, 8, NULL},
	{"so it does while the last five minutes were busy", {DEFAULTS, .size = 15, .idle = 15, LOADS(0, 0.1, 0.5)},
	0, 0, EP_SCALING_NONE, 0, 12, NULL},
	{"or this moment is", {SETTINGS(true, 0, 0.8, 0.3, 30), .size = 10, .leased = 9, .idle = 1, LOADS(0.9, 0.2, 0.2)},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"threshold 0: never", {SETTINGS(true, 3, 0.8, 0, 30), .size = 15, .idle = 15},
	0, 0, EP_SCALING_NONE, 0, 12, NULL},
	{"switched off: never", {SETTINGS(false, 3, 0.8, 0.3, 30), .size = 15, .idle = 15},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"not to where the peak of late would scale up again", {DEFAULTS, .size = 15, .idle = 15, .leased_peak = 7},
	0, 3, EP_SCALING_DOWN, 9, 12, CALM},
	{"there it stays", {DEFAULTS, .size = 9, .idle = 9, .leased_peak = 7},
	0, 0, EP_SCALING_NONE, 0, 7, NULL},
	{"a peak that would not scale up does not matter", {SETTINGS(true, 3, 0, 0.3, 30), .size = 15, .idle = 15, .leased_peak = 12},
	0, 6, EP_SCALING_DOWN, 3, NEVER, CALM},
	{"a peak above max_size", {DEFAULTS, .size = 20, .idle = 20, .leased_peak = 19},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"only idle ones", {DEFAULTS, .size = 15, .tended = 13, .idle = 2},
	0, 1, EP_SCALING_DOWN, 3, 12, CALM},
	{"not while it cannot connect", {DEFAULTS, .failing = true, .size = 15, .idle = 15},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
	{"nor with an open breaker", {DEFAULTS, .breaker = EP_BREAKER_OPEN, .size = 15, .idle = 15},
	0, 0, EP_SCALING_NONE, 0, NEVER, NULL},
};

static void
test_cases(void)
{
	for (Size i = 0; i < lengthof(cases); i++)
	{
		const Case *c = &cases[i];
		EpSizing	out = ep_sizing_decide(&c->in);

		CHECK_INT(out.open + out.open_overflow, c->open, "%s", c->about);
		CHECK_INT(out.shrink, c->shrink, "%s", c->about);
		CHECK_INT(out.scaling, c->scaling, "%s", c->about);
		CHECK_INT(out.target, c->target, "%s: target", c->about);
		CHECK_INT(out.grow_above, c->grow_above, "%s: grow_above", c->about);
		CHECK_STRING(out.reason, c->reason, "%s", c->about);
	}
}

/* One scaling up, a few connects at a time, gets to the size that it began for. */
static void
test_ascent(void)
{
	EpSizingInput in = {DEFAULTS, .size = 10, .leased = 10};
	int			scalings = 0;

	for (int i = 0; i < 20; i++)
	{
		EpSizing	out = ep_sizing_decide(&in);

		scalings += out.scaling == EP_SCALING_UP;
		in.size += out.open;
		in.connecting += out.open;
		in.growing = out.growing;
		CHECK(in.connecting <= in.target_free, "step %d: a herd", i);
		if (in.connecting > 0)
		{
			in.connecting--;
			in.idle++;
		}
		in.load = (double) in.leased / (in.size - in.connecting);
	}
	CHECK_INT(in.size, 16, "ceil(10 / 0.8) + 3");
	CHECK_INT(scalings, 1, "one scaling");
	CHECK(!in.growing, "it is over");
}

/* From a burst to rest: halves of what is above the floor, one cool-down apart. */
static void
test_descent(void)
{
	static const int sizes[] = {11, 7, 5, 4, 3, 3};
	EpSizingInput in = {DEFAULTS, .size = 20, .idle = 20};

	for (Size i = 0; i < lengthof(sizes); i++)
	{
		EpSizing	out = ep_sizing_decide(&in);

		in.size = in.idle = in.size - out.shrink;
		CHECK_INT(in.size, sizes[i], "step %d", (int) i);
		in.down_at_us = in.now_us;
		in.now_us += in.cool_down_us - 1;
		CHECK_INT(ep_sizing_decide(&in).shrink, 0, "step %d: before its time", (int) i);
		in.now_us++;
	}
}

/* The longest memory is that of the average it goes with. */
static void
test_memory(void)
{
	CHECK_INT(ep_scaling_memory_us(SECOND), 10 * SECOND, "ten cool-downs");
	CHECK_INT(ep_scaling_memory_us(30 * SECOND), 300 * SECOND, "five minutes");
	CHECK_INT(ep_scaling_memory_us(3600 * SECOND), 300 * SECOND, "and no more");
}

void
test_scaling(void)
{
	test_memory();
	test_cases();
	test_ascent();
	test_descent();
}
