/*-------------------------------------------------------------------------
 *
 * test_scaling.c
 *		When the load asks for more connections, or for fewer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "brain/scaling.h"
#include "unit.h"

#define SECOND		UINT64CONST(1000000)

/* The default settings, long after the last scaling. */
#define LATER		.max_size = 20, .target_free = 3, .now_us = 1000 * SECOND
#define DEFAULTS	.enabled = true, .up_threshold = 0.8, .down_threshold = 0.3, .cool_down = 30, LATER

#define NOW_HIGH	"load above scale_up_threshold"
#define MINUTE_HIGH	"load of the last minute above scale_up_threshold"
#define LOW			"load of the last five minutes below scale_down_threshold"

typedef struct Case
{
	const char *about;
	EpScalingInput in;
	int			target;
	int			let_go;
	const char *reason;
} Case;

static const Case cases[] = {
	{"between the thresholds", {DEFAULTS, .active = 5, .alive = 10, .idle = 5, .floor = 8, .load = 0.5, .load_1m = 0.5, .load_5m = 0.5}, 0, 0, NULL},
	{"just at the threshold", {DEFAULTS, .active = 8, .alive = 10, .idle = 2, .floor = 10, .load = 0.8, .load_1m = 0.8, .load_5m = 0.8}, 0, 0, NULL},
	{"above it", {DEFAULTS, .active = 9, .alive = 10, .idle = 1, .floor = 12, .load = 0.9, .load_1m = 0.1, .load_5m = 0.5}, 15, 0, NOW_HIGH},
	{"8 / 0.8 is 10, not 11", {DEFAULTS, .active = 8, .alive = 9, .idle = 1, .floor = 11, .load = 0.89, .load_1m = 0.1, .load_5m = 0.5}, 13, 0, NOW_HIGH},
	{"the last minute", {DEFAULTS, .active = 6, .alive = 9, .idle = 3, .floor = 9, .load = 0.67, .load_1m = 0.9, .load_5m = 0.5}, 11, 0, MINUTE_HIGH},
	{"the last minute, but enough are there", {DEFAULTS, .active = 2, .alive = 9, .idle = 7, .floor = 5, .load = 0.2, .load_1m = 0.9, .load_5m = 0.5}, 0, 0, NULL},
	{"within max_size", {DEFAULTS, .active = 18, .alive = 18, .floor = 20, .load = 1, .load_1m = 1, .load_5m = 1}, 20, 0, NOW_HIGH},
	{"max_size is there", {DEFAULTS, .active = 20, .alive = 20, .floor = 20, .load = 1, .load_1m = 1, .load_5m = 1}, 0, 0, NULL},
	{"up does not wait for an earlier up", {DEFAULTS, .active = 9, .alive = 10, .idle = 1, .load = 0.9, .last_up_us = 999 * SECOND}, 15, 0, NOW_HIGH},
	{"but for an earlier down", {DEFAULTS, .active = 9, .alive = 10, .idle = 1, .load = 0.9, .load_5m = 0.5, .last_down_us = 971 * SECOND}, 0, 0, NULL},
	{"which has cooled down", {DEFAULTS, .active = 9, .alive = 10, .idle = 1, .load = 0.9, .load_5m = 0.5, .last_down_us = 970 * SECOND}, 15, 0, NOW_HIGH},
	{"down by half", {DEFAULTS, .active = 0, .alive = 10, .idle = 10, .floor = 3, .load_5m = 0.1}, 0, 3, LOW},
	{"only idle ones", {DEFAULTS, .active = 0, .alive = 10, .idle = 4, .floor = 3, .load_5m = 0.1}, 0, 2, LOW},
	{"half of one is none", {DEFAULTS, .active = 0, .alive = 4, .idle = 4, .floor = 3, .load_5m = 0.1}, 0, 0, NULL},
	{"at the floor", {DEFAULTS, .active = 0, .alive = 3, .idle = 3, .floor = 3, .load_5m = 0.1}, 0, 0, NULL},
	{"down waits for an earlier down", {DEFAULTS, .active = 0, .alive = 10, .idle = 10, .floor = 3, .load_5m = 0.1, .last_down_us = 980 * SECOND}, 0, 0, NULL},
	{"and for an earlier up", {DEFAULTS, .active = 0, .alive = 10, .idle = 10, .floor = 3, .load_5m = 0.1, .last_up_us = 980 * SECOND}, 0, 0, NULL},
	{"no cool-down", {.enabled = true, .up_threshold = 0.8, .down_threshold = 0.3, LATER, .active = 0, .alive = 10, .idle = 10, .floor = 3, .load_5m = 0.1, .last_up_us = 1000 * SECOND}, 0, 3, LOW},
	{"off", {.up_threshold = 0.8, .down_threshold = 0.3, .cool_down = 30, LATER, .active = 10, .alive = 10, .load = 1, .load_1m = 1}, 0, 0, NULL},
	{"up is off", {.enabled = true, .down_threshold = 0.3, .cool_down = 30, LATER, .active = 10, .alive = 10, .load = 1, .load_1m = 1, .load_5m = 1}, 0, 0, NULL},
	{"down is off", {.enabled = true, .up_threshold = 0.8, .cool_down = 30, LATER, .alive = 10, .idle = 10, .floor = 3}, 0, 0, NULL},
};

static void
test_cases(void)
{
	for (Size i = 0; i < lengthof(cases); i++)
	{
		const Case *c = &cases[i];
		EpScaling	out = ep_scaling_decide(&c->in);

		CHECK_INT(out.target, c->target, "%s", c->about);
		CHECK_INT(out.let_go, c->let_go, "%s", c->about);
		CHECK_STRING(out.reason, c->reason, "%s", c->about);
	}
}

/* What must hold whatever the numbers. */
static void
test_laws(void)
{
	for (int i = 0; i < 20000; i++)
	{
		EpScalingInput in = {
			.enabled = unit_random(8) != 0, .up_threshold = unit_random(101) / 100.0, .down_threshold = unit_random(101) / 100.0,
			.cool_down = unit_random(60), .max_size = 1 + unit_random(30), .target_free = unit_random(5),
			.active = unit_random(20), .idle = unit_random(20), .load = unit_random(101) / 100.0,
			.load_1m = unit_random(101) / 100.0, .load_5m = unit_random(101) / 100.0, .now_us = 1000 * SECOND,
			.last_up_us = (uint64) unit_random(1000) * SECOND, .last_down_us = (uint64) unit_random(1000) * SECOND
		};
		EpScaling	out;

		in.alive = in.active + in.idle + unit_random(4);
		in.floor = Min(in.active + in.target_free, in.max_size);
		out = ep_scaling_decide(&in);
		CHECK(in.enabled || out.reason == NULL, "round %d: off", i);
		CHECK((out.reason == NULL) == (out.target == 0 && out.let_go == 0), "round %d: a reason for each deed", i);
		CHECK(out.target == 0 || out.let_go == 0, "round %d: both ways", i);
		CHECK(out.target <= in.max_size, "round %d: max_size", i);
		CHECK(out.target == 0 || out.target > in.alive, "round %d: nothing to open", i);
		CHECK(out.let_go == 0 || (out.let_go <= in.idle && in.alive - out.let_go >= in.floor), "round %d: floor", i);
	}
}

void
test_scaling(void)
{
	test_cases();
	test_laws();
}
