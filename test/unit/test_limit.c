/*-------------------------------------------------------------------------
 *
 * test_limit.c
 *		The search for the number of connections that is of use.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "brain/limit.h"
#include "unit.h"

static void
test_rungs(void)
{
	static const int sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40};

	for (Size i = 0; i < lengthof(sizes); i++)
	{
		CHECK_INT(ep_limit_size((int) i), sizes[i], "rung %zu", i);
		CHECK_INT(ep_limit_rung(sizes[i]), (int) i, "size %d", sizes[i]);
	}
	CHECK_INT(ep_limit_size(ep_limit_rung(9)), 10, "between rungs");
	CHECK(ep_limit_size(EP_LIMIT_RUNGS - 1) >= 10000, "any max_size");
	CHECK_INT(ep_limit_rung(PG_INT32_MAX), EP_LIMIT_RUNGS - 1, "the last");
}

typedef struct Search
{
	EpLimit		limit;
	EpLimitPace pace;
	double		level;			/* of all sizes */
	int			steps;			/* measurements of another size than the one before */
} Search;

/* So many windows of a second on a remote whose log of throughput is curve(size). */
static void
search(Search *s, double (*curve) (int), int windows)
{
	for (int i = 0; i < windows; i++)
	{
		s->pace.now_us += 1000000;
		s->pace.log = s->level + curve(ep_limit_now(&s->limit));
		if (ep_limit_measured(&s->limit, &s->pace))
			s->steps++;
	}
}

static Search
new_search(int size)
{
	Search		s = {.pace = {.queue = true, .least = 1, .most = 64, .now_us = 1}};

	ep_limit_begin(&s.limit, size, 1);
	return s;
}

static double
falls(int size)
{
	return -0.012 * log2(size);
}

static double
rises(int size)
{
	return log(size);
}

static double
little(int size)
{
	return 0.015 * log2(size);
}

static double
peak(int size)
{
	return -0.2 * fabs(log2(size / 12.0));
}

/* Each step costs next to nothing, but all of them together do not: what was found before is remembered. */
static void
test_sum(void)
{
	Search		s = new_search(64);

	search(&s, falls, 600);
	CHECK(ep_limit_size(s.limit.home) <= 4, "falls: %d", ep_limit_size(s.limit.home));
	s = new_search(1);
	search(&s, little, 600);
	CHECK(ep_limit_size(s.limit.home) >= 10, "rises by little: %d", ep_limit_size(s.limit.home));
	s = new_search(5);
	search(&s, peak, 200);
	CHECK(ep_limit_size(s.limit.home) >= 10 && ep_limit_size(s.limit.home) <= 14, "peak: %d", ep_limit_size(s.limit.home));
}

/* A clear gain needs one window each, and what is known to be bad is left alone. */
static void
test_clear(void)
{
	Search		s = new_search(4);

	search(&s, rises, 10);
	CHECK_INT(ep_limit_size(s.limit.home), 64, "after ten windows");
	search(&s, rises, 60);
	s.steps = 0;
	search(&s, rises, 300);
	CHECK(s.steps <= 16, "%d steps in five minutes", s.steps);
}

/* Without a queue nothing larger is tried. */
static void
test_no_queue(void)
{
	Search		s = new_search(8);

	s.pace.queue = false;
	for (int i = 0; i < 300; i++)
	{
		search(&s, rises, 1);
		CHECK(ep_limit_now(&s.limit) <= 8, "%d", ep_limit_now(&s.limit));
	}
}

/* A pace that is another one while a comparison is under way is not taken for what the size does. */
static void
test_disturbed(void)
{
	Search		s = new_search(8);

	search(&s, falls, 20);
	for (int i = 0; i < 100; i++)
	{
		while (s.limit.other < 0)
			search(&s, falls, 1);
		s.level = i % 2 ? 0 : -1;
		search(&s, falls, 30);
	}
	CHECK(ep_limit_size(s.limit.home) <= 8, "%d", ep_limit_size(s.limit.home));
}

/* Bounds that change are heeded at once, and given up is given up. */
static void
test_changed_bounds(void)
{
	Search		s = new_search(4);

	search(&s, rises, 10);
	s.pace.most = 18;
	search(&s, rises, 1);
	CHECK_INT(ep_limit_now(&s.limit), 20, "the rung that has 18");
	s.pace.least = s.pace.most = 64;
	search(&s, rises, 30);
	CHECK_INT(ep_limit_now(&s.limit), 64, "no choice");
	s.pace.least = 1;
	while (s.limit.other < 0)
		search(&s, falls, 1);
	ep_limit_give_up(&s.limit, s.pace.now_us);
	CHECK_INT(ep_limit_now(&s.limit), 64, "as before");
	search(&s, falls, 1);
	CHECK_INT(ep_limit_now(&s.limit), 64, "not again at once");
}

void
test_limit(void)
{
	test_rungs();
	test_sum();
	test_clear();
	test_no_queue();
	test_disturbed();
	test_changed_bounds();
}
