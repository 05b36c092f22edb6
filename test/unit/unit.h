/*-------------------------------------------------------------------------
 *
 * unit.h
 *		What a unit test needs: checks that are counted and say where they
 *		failed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_UNIT_H
#define EP_UNIT_H

#include "postgres.h"

/* Counts one check; the message says which case it was. */
#define CHECK(condition, ...) \
	unit_check((condition), __FILE__, __LINE__, #condition, __VA_ARGS__)

#define CHECK_INT(actual, expected, ...) \
	unit_check_int((actual), (expected), __FILE__, __LINE__, #actual, __VA_ARGS__)

#define CHECK_STRING(actual, expected, ...) \
	unit_check_string((actual), (expected), __FILE__, __LINE__, #actual, __VA_ARGS__)

extern void unit_check(bool ok, const char *file, int line, const char *what,
					   const char *format,...) pg_attribute_printf(5, 6);
extern void unit_check_int(int64 actual, int64 expected, const char *file, int line,
						   const char *what, const char *format,...) pg_attribute_printf(6, 7);
extern void unit_check_string(const char *actual, const char *expected, const char *file, int line,
							  const char *what, const char *format,...) pg_attribute_printf(6, 7);

/* A generator of numbers that are the same in each run: 0 .. limit - 1. */
extern int	unit_random(int limit);

/* In stubs.c. */
extern bool unit_latch_is_set(void);

/* One for each file of tests. */
extern void test_login(void);
extern void test_message(void);
extern void test_wire(void);
extern void test_unfinished(void);
extern void test_talk(void);
extern void test_sizing(void);
extern void test_scaling(void);
extern void test_fairness(void);
extern void test_load(void);
extern void test_propagate(void);
extern void test_schedule(void);
extern void test_spin(void);
extern void test_strategy(void);
extern void test_limit(void);
extern void test_tuner(void);
extern void test_breaker(void);
extern void test_failover(void);
extern void test_deadlock(void);
extern void test_sessions(void);
extern void test_classify(void);
extern void test_tls(void);
extern void test_relay(void);
extern void test_events(void);
extern void test_histogram(void);
extern void test_history(void);

#endif							/* EP_UNIT_H */
