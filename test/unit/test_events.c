/*-------------------------------------------------------------------------
 *
 * test_events.c
 *		The log of events: its ring, and the details, which are always JSON.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "shared/detail.h"
#include "shared/ring.h"
#include "unit.h"

/* -------------------------------------------------------------------- ring */

#define MAX_SIZE	40

/* What a log does with it: numbers in places, read from the newest on in batches. */
static void
test_ring(int size, int rounds)
{
	EpRing		ring = {.size = size};
	uint64		places[MAX_SIZE] = {0};
	uint64		first;

	CHECK_INT(ep_ring_before(&ring, PG_UINT64_MAX, 5, &first), 0, "size %d: nothing yet", size);
	for (int round = 1; round <= rounds; round++)
	{
		uint64		number = ep_ring_add(&ring);
		uint64		below = PG_UINT64_MAX;
		int			limit = 1 + unit_random(MAX_SIZE);
		int			seen = 0;
		int			n;

		CHECK_INT(number, round, "size %d: numbers have no gap", size);
		places[ep_ring_place(&ring, number)] = number;
		while ((n = ep_ring_before(&ring, below, limit, &first)) > 0)
		{
			CHECK(n <= limit, "size %d: batch of %d", size, n);
			for (int i = n - 1; i >= 0; i--)
			{
				CHECK_INT(first + i, round - seen, "size %d: the newest first, without a gap", size);
				CHECK_INT(places[ep_ring_place(&ring, first + i)], first + i, "size %d: is still there", size);
				seen++;
			}
			below = first;
		}
		CHECK_INT(seen, Min(round, size), "size %d: all that have room", size);
	}
}

/* Somebody adds while it is read: what was overwritten is missing at the end, and nowhere else. */
static void
test_overtaken(void)
{
	EpRing		ring = {.size = 10};
	uint64		first;

	for (int i = 0; i < 25; i++)
		(void) ep_ring_add(&ring);
	CHECK_INT(ep_ring_before(&ring, PG_UINT64_MAX, 4, &first), 4, "the first batch");
	CHECK_INT(first, 22, "the first batch");
	for (int i = 0; i < 3; i++)
		(void) ep_ring_add(&ring);
	CHECK_INT(ep_ring_before(&ring, first, 4, &first), 3, "what is left of the second");
	CHECK_INT(first, 19, "what is left of the second");
	CHECK_INT(ep_ring_before(&ring, first, 4, &first), 0, "the rest has gone");
	for (int i = 0; i < 100; i++)
		(void) ep_ring_add(&ring);
	CHECK_INT(ep_ring_before(&ring, first, 4, &first), 0, "and does not come back");
}

/* Numbers beyond 32 bits. */
static void
test_large(void)
{
	EpRing		ring = {.size = 7, .newest = UINT64CONST(1) << 40};
	uint64		first;

	CHECK(ep_ring_add(&ring) == (UINT64CONST(1) << 40) + 1, "goes on");
	CHECK_INT(ep_ring_before(&ring, PG_UINT64_MAX, 100, &first), 7, "all");
	CHECK(first == ring.newest - 6, "the oldest");
	for (int i = 0; i < 7; i++)
	{
		for (int j = 0; j < i; j++)
			CHECK(ep_ring_place(&ring, first + i) != ep_ring_place(&ring, first + j), "%d and %d", i, j);
		CHECK(ep_ring_place(&ring, first + i) >= 0 && ep_ring_place(&ring, first + i) < 7, "place of %d", i);
	}
}

/* ------------------------------------------------------------------ detail */

static const char *
skip_string(const char *p)
{
	if (p == NULL || *p++ != '"')
		return NULL;
	while (*p != '"')
	{
		if ((unsigned char) *p < ' ')
			return NULL;		/* the end, too */
		if (*p++ != '\\')
			continue;
		if (*p == 'u')
		{
			if (strspn(p + 1, "0123456789abcdef") < 4)
				return NULL;
			p += 5;
		}
		else if (strchr("\"\\/bfnrt", *p) && *p != '\0')
			p++;
		else
			return NULL;
	}
	return p + 1;
}

static const char *
skip_value(const char *p)
{
	char	   *end;

	if (p == NULL || *p == '"')
		return skip_string(p);
	if (strncmp(p, "true", 4) == 0 || strncmp(p, "null", 4) == 0)
		return p + 4;
	if (strncmp(p, "false", 5) == 0)
		return p + 5;
	if (*p != '-' && (*p < '0' || *p > '9'))
		return NULL;
	(void) strtod(p, &end);
	return end == p ? NULL : end;
}

/* The number of keys, -1 if it is not an object of plain values. */
static int
count_keys(const char *p)
{
	int			n = 0;

	if (*p++ != '{')
		return -1;
	for (;;)
	{
		p = skip_string(p);
		if (p == NULL || strncmp(p, ": ", 2) != 0)
			return -1;
		p = skip_value(p + 2);
		if (p == NULL)
			return -1;
		n++;
		if (strcmp(p, "}") == 0)
			return n;
		if (strncmp(p, ", ", 2) != 0)
			return -1;
		p += 2;
	}
}

static void
test_values(void)
{
	EpDetail	detail = {0};

	CHECK_STRING(detail.text, "", "empty");
	ep_detail_int(&detail, "a", PG_INT64_MIN);
	CHECK_STRING(detail.text, "{\"a\": -9223372036854775808}", "the lowest number");
	ep_detail_number(&detail, "b", 0.25);
	ep_detail_number(&detail, "c", 1e300);
	ep_detail_number(&detail, "d", NAN);
	ep_detail_number(&detail, "e", -INFINITY);
	ep_detail_bool(&detail, "f", true);
	ep_detail_bool(&detail, "g", false);
	ep_detail_text(&detail, "h", NULL);
	CHECK_STRING(detail.text, "{\"a\": -9223372036854775808, \"b\": 0.25, \"c\": 1e+300, \"d\": null, \"e\": null, "
				 "\"f\": true, \"g\": false, \"h\": null}", "all types");
	CHECK_INT(detail.length, strlen(detail.text), "its length");
	CHECK_INT(count_keys(detail.text), 8, "is JSON");
}

static void
test_escapes(void)
{
	EpDetail	detail = {0};

	ep_detail_text(&detail, "a\"b", "c\\d\"e\n\t\x01\x1f\x7f/");
	CHECK_STRING(detail.text, "{\"a\\\"b\": \"c\\\\d\\\"e\\u000a\\u0009\\u0001\\u001f\x7f/\"}", "escapes");
	CHECK_INT(count_keys(detail.text), 1, "is JSON");
	memset(&detail, 0, sizeof(detail));
	ep_detail_text(&detail, "", "");
	CHECK_STRING(detail.text, "{\"\": \"\"}", "nothing");
	memset(&detail, 0, sizeof(detail));
	ep_detail_text(&detail, "k", "\xc3\xa4\xc3");
	CHECK_STRING(detail.text, "{\"k\": \"\xc3\xa4\xc3\"}", "bytes beyond ASCII stay, an unfinished character, too");
}

/* What fits exactly is there; one byte more, and the key is not. */
static void
test_room(void)
{
	for (int before = 0; before < 2; before++)
	{
		for (int n = 0; n <= EP_DETAIL_SIZE + 2; n++)
		{
			EpDetail	detail = {0};
			char		value[EP_DETAIL_SIZE + 3];
			int			others = before ? strlen("{\"a\": 1, ") : strlen("{");
			bool		fits = others + n + (int) strlen("\"k\": \"\"}") <= EP_DETAIL_SIZE;

			memset(value, 'x', n);
			value[n] = '\0';
			if (before)
				ep_detail_int(&detail, "a", 1);
			ep_detail_text(&detail, "k", value);
			CHECK_INT(detail.length, strlen(detail.text), "%d bytes: length", n);
			CHECK(detail.length <= EP_DETAIL_SIZE, "%d bytes: too long", n);
			if (fits)
				CHECK_INT(count_keys(detail.text), 1 + before, "%d bytes: fits", n);
			else
				CHECK_STRING(detail.text, before ? "{\"a\": 1}" : "", "%d bytes: does not fit", n);
			/* a smaller one may still fit */
			ep_detail_int(&detail, "z", 7);
			CHECK(detail.text[0] == '\0' || count_keys(detail.text) > 0, "%d bytes: JSON", n);
			if (!fits)
				CHECK_INT(count_keys(detail.text), 1 + before, "%d bytes: the next one", n);
		}
	}
}

/* Whatever is put into it, it is an object with whole keys, and no byte beyond its end is touched. */
static void
test_random(void)
{
	for (int round = 0; round < 2000; round++)
	{
		struct
		{
			EpDetail	detail;
			char		guard[16];
		}			it;
		int			keys = 0;

		memset(&it, 0, sizeof(it));
		memset(it.guard, 0x55, sizeof(it.guard));
		for (int i = 0; i < 30; i++)
		{
			char		key[40];
			char		value[300];
			int			length = unit_random(unit_random(4) == 0 ? 299 : 20);
			int			before = it.detail.length;

			for (int j = 0; j < length; j++)
				value[j] = (char) (1 + unit_random(255));
			value[length] = '\0';
			for (int j = 0; j < 39; j++)
				key[j] = (char) (1 + unit_random(255));
			key[unit_random(39)] = '\0';
			key[39] = '\0';
			if (unit_random(2))
				ep_detail_text(&it.detail, key, value);
			else
				ep_detail_number(&it.detail, key, (unit_random(1000000) - 500000) / 7.0);
			keys += it.detail.length > before;
			if (it.detail.length == 0)
				CHECK_STRING(it.detail.text, "", "round %d", round);
			else
				CHECK_INT(count_keys(it.detail.text), keys, "round %d, key %d: %s", round, i, it.detail.text);
			CHECK_INT(it.detail.length, strlen(it.detail.text), "round %d", round);
		}
		for (Size i = 0; i < sizeof(it.guard); i++)
			CHECK(it.guard[i] == 0x55, "round %d: beyond its end", round);
	}
}

void
test_events(void)
{
	test_ring(1, 10);
	test_ring(7, 100);
	test_ring(MAX_SIZE, 100);
	test_overtaken();
	test_large();
	test_values();
	test_escapes();
	test_room();
	test_random();
}
