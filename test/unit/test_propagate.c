/*-------------------------------------------------------------------------
 *
 * test_propagate.c
 *		Lists of settings that follow the local ones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shared/propagate.h"
#include "unit.h"

/* The names of a list with a bar behind each; an exclamation mark for what is malformed. */
static const char *
names_of(const char *list)
{
	static char names[4 * NAMEDATALEN];
	char		name[NAMEDATALEN];

	names[0] = '\0';
	for (;;)
	{
		switch (ep_propagate_next(&list, name))
		{
			case EP_NAME_END:
				return names;
			case EP_NAME_MALFORMED:
				strlcat(names, "!", sizeof(names));
				return names;
			case EP_NAME_FOUND:
				strlcat(names, name, sizeof(names));
				strlcat(names, "|", sizeof(names));
		}
	}
}

static void
test_lists(void)
{
	static const struct
	{
		const char *list;
		const char *names;
	}			cases[] = {
		{"", ""}, {"  \t\n", ""},
		{"TimeZone", "TimeZone|"}, {" a.b ,\nc\t", "a.b|c|"}, {"a,b,c", "a|b|c|"},
		{"\"a b\",c", "a b|c|"}, {"\"a\"\"b\" , \"c,d\"", "a\"b|c,d|"},
		{",", "!"}, {"a,", "!"}, {"a,,b", "!"}, {"a, ", "!"}, {",a", "!"},
		{"a b", "!"}, {"a\"b\"", "!"}, {"\"a\"b", "!"}, {"\"a", "!"}, {"\"\"", "!"}, {"a,\"b", "a|!"}
	};

	for (Size i = 0; i < lengthof(cases); i++)
	{
		const char *names = names_of(cases[i].list);

		/* what came before the malformed part does not matter */
		if (strchr(cases[i].names, '!'))
			CHECK(names[strlen(names) - 1] == '!', "\"%s\": %s", cases[i].list, names);
		else
			CHECK_STRING(names, cases[i].names, "\"%s\"", cases[i].list);
	}
}

static void
test_length(void)
{
	char		list[NAMEDATALEN + 4];
	char		name[NAMEDATALEN];
	const char *p;

	for (int quoted = 0; quoted <= 1; quoted++)
	{
		for (int len = NAMEDATALEN - 2; len <= NAMEDATALEN; len++)
		{
			memset(list, 'x', sizeof(list));
			list[0] = quoted ? '"' : 'x';
			list[quoted + len] = quoted ? '"' : '\0';
			list[quoted + len + 1] = '\0';
			p = list;
			CHECK_INT(ep_propagate_next(&p, name), len < NAMEDATALEN ? EP_NAME_FOUND : EP_NAME_MALFORMED,
					  "quoted %d, %d bytes", quoted, len);
			if (len < NAMEDATALEN)
				CHECK_INT(strlen(name), len, "quoted %d", quoted);
		}
	}
}

static void
test_refused(void)
{
	static const struct
	{
		const char *list;
		bool		valid;
	}			cases[] = {
		{"", true}, {"TimeZone, app.tenant_id, statement_timeout", true}, {"search_path", true},
		{"roles", true}, {"app.role", true},
		{"role", false}, {"a, ROLE", false}, {"\"Role\"", false}, {"session_authorization", false},
		{"client_encoding", false}, {"DateStyle", false}, {"datestyle", false}, {"IntervalStyle", false},
		{"extra_float_digits", false}, {"standard_conforming_strings", false}, {"application_name", false},
		{"transaction_isolation", false}, {"transaction_read_only", false}, {"transaction_deferrable", false},
		{"default_transaction_read_only", false}, {"a b", false}, {"a,", false}
	};
	char		complaint[256];

	for (Size i = 0; i < lengthof(cases); i++)
	{
		complaint[0] = '\0';
		CHECK_INT(ep_propagate_valid(cases[i].list, complaint, sizeof(complaint)), cases[i].valid, "\"%s\"", cases[i].list);
		CHECK((complaint[0] == '\0') == cases[i].valid, "\"%s\": %s", cases[i].list, complaint);
	}
}

void
test_propagate(void)
{
	test_lists();
	test_length();
	test_refused();
}
