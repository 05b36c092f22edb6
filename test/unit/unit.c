/*-------------------------------------------------------------------------
 *
 * unit.c
 *		Runs all unit tests, counts the checks, and fails if one of them did.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "unit.h"

#define MAX_REPORTS	50			/* a broken loop need not fill the screen */

static int	passed = 0;
static int	failed = 0;

static void
report(const char *file, int line, const char *what, const char *format, va_list args)
{
	if (failed > MAX_REPORTS)
		return;
	printf("FAILED %s:%d: %s: ", file, line, what);
	vprintf(format, args);
}

void
unit_check(bool ok, const char *file, int line, const char *what, const char *format,...)
{
	va_list		args;

	if (ok)
	{
		passed++;
		return;
	}
	failed++;
	va_start(args, format);
	report(file, line, what, format, args);
	va_end(args);
	if (failed <= MAX_REPORTS)
		printf("\n");
}

void
unit_check_int(int64 actual, int64 expected, const char *file, int line, const char *what,
			   const char *format,...)
{
	va_list		args;

	if (actual == expected)
	{
		passed++;
		return;
	}
	failed++;
	va_start(args, format);
	report(file, line, what, format, args);
	va_end(args);
	if (failed <= MAX_REPORTS)
		printf(": got " INT64_FORMAT ", expected " INT64_FORMAT "\n", actual, expected);
}

void
unit_check_string(const char *actual, const char *expected, const char *file, int line,
				  const char *what, const char *format,...)
{
	va_list		args;

	if (actual == expected || (actual && expected && strcmp(actual, expected) == 0))
	{
		passed++;
		return;
	}
	failed++;
	va_start(args, format);
	report(file, line, what, format, args);
	va_end(args);
	if (failed <= MAX_REPORTS)
		printf(": got \"%s\", expected \"%s\"\n", actual ? actual : "(null)", expected ? expected : "(null)");
}

int
unit_random(int limit)
{
	static uint64 state = 88172645463325252;

	/* xorshift */
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (int) (state % (uint64) limit);
}

int
main(void)
{
	static const struct
	{
		const char *name;
		void		(*run) (void);
	}			tests[] = {
		{"login", test_login},
		{"message", test_message},
		{"wire", test_wire},
		{"unfinished", test_unfinished},
		{"talk", test_talk},
		{"sizing", test_sizing},
		{"scaling", test_scaling},
		{"fairness", test_fairness},
		{"load", test_load},
		{"propagate", test_propagate},
		{"schedule", test_schedule},
		{"spin", test_spin},
		{"strategy", test_strategy},
		{"limit", test_limit},
		{"tuner", test_tuner},
		{"breaker", test_breaker},
		{"failover", test_failover},
		{"deadlock", test_deadlock},
		{"sessions", test_sessions},
		{"classify", test_classify},
		{"tls", test_tls},
		{"relay", test_relay},
		{"events", test_events},
		{"histogram", test_histogram},
		{"history", test_history},
	};

	/* what hangs fails; the signal ends the program */
	alarm(600);
	for (Size i = 0; i < lengthof(tests); i++)
	{
		int			before = failed;

		tests[i].run();
		printf("%-12s %s\n", tests[i].name, failed == before ? "ok" : "FAILED");
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
