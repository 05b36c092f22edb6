/*-------------------------------------------------------------------------
 *
 * text.c
 *		Fuzz target: what a remote says, made fit to be shown: errors of a failed
 *		connection, and details of events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "fuzz.h"
#include "shared/detail.h"
#include "shared/shared.h"
#include "worker/complaint.h"

/* Is it UTF8, as far as that was asked for? */
static bool
is_valid(const char *text)
{
	int			len = (int) strlen(text);

	return pg_encoding_verifymbstr(PG_UTF8, text, len) == len;
}

static void
try_complaint(const char *message)
{
	char		sqlstate[6] = "?????";
	char	   *line = ep_complaint_from_libpq(message, sqlstate);

	INVARIANT(strlen(sqlstate) == 0 || strlen(sqlstate) == 5);
	INVARIANT(strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(sqlstate));
	INVARIANT(strchr(line, '\n') == NULL);
	/* a message that says nothing has one of ours in its place */
	INVARIANT(line[0] != '\0' && strlen(line) <= Max(2 * strlen(message), 64));
	ep_complaint_make_valid(line, PG_UTF8);
	INVARIANT(is_valid(line));
	fuzz_memory_forget();
}

static void
try_copy(const char *text)
{
	for (Size size = 1; size <= 16; size++)
	{
		char	   *copy = malloc(size);

		ep_copy_text(copy, size, text);
		INVARIANT(strlen(copy) < size && strncmp(copy, text, strlen(copy)) == 0);
		if (is_valid(text))
			INVARIANT(is_valid(copy));
		free(copy);
	}
}

/* ------------------------------------------------- an object in JSON, for sure */

static const char *
skip_string(const char *p)
{
	INVARIANT(*p == '"');
	for (p++; *p != '"'; p++)
	{
		INVARIANT((unsigned char) *p >= ' ');
		if (*p != '\\')
			continue;
		p++;
		INVARIANT(*p == '"' || *p == '\\' || (*p == 'u' && strspn(p + 1, "0123456789abcdef") >= 4));
	}
	return p + 1;
}

static const char *
skip_value(const char *p)
{
	size_t		len;

	if (*p == '"')
		return skip_string(p);
	len = strcspn(p, ",}");
	if (strncmp(p, "true", len) != 0 && strncmp(p, "false", len) != 0 && strncmp(p, "null", len) != 0)
	{
		char	   *end;

		(void) strtod(p, &end);
		INVARIANT(end == p + len && len > 0);
	}
	return p + len;
}

static void
check_object(const EpDetail *detail)
{
	const char *p = detail->text;

	INVARIANT(detail->length <= EP_DETAIL_SIZE && (size_t) detail->length == strlen(detail->text));
	if (detail->length == 0)
		return;
	INVARIANT(*p++ == '{');
	for (;;)
	{
		p = skip_string(p);
		INVARIANT(p[0] == ':' && p[1] == ' ');
		p = skip_value(p + 2);
		if (*p == '}')
			break;
		INVARIANT(p[0] == ',' && p[1] == ' ');
		p += 2;
	}
	INVARIANT(p[1] == '\0');
}

static void
try_detail(Input *in)
{
	EpDetail   *detail = calloc(1, sizeof(EpDetail));

	while (left(in) > 0)
	{
		uint8		what = take_byte(in);
		char	   *key = take_text(in, 40);
		char	   *value = take_text(in, 600);
		double		number;

		switch (what & 3)
		{
			case 0:
				ep_detail_text(detail, key, what & 4 ? NULL : value);
				break;
			case 1:
				ep_detail_int(detail, key, (int64) ((uint64) take_uint32(in) << 32 | take_uint32(in)));
				break;
			case 2:
				if (take_bytes(in, &number, sizeof(number)) < sizeof(number))
					number = 0;
				ep_detail_number(detail, key, number);
				break;
			case 3:
				ep_detail_bool(detail, key, what & 4);
				break;
		}
		check_object(detail);
		free(key);
		free(value);
	}
	free(detail);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	Input		in = {data, data + size};
	uint8		how = take_byte(&in);
	char	   *text;

	if (how & 1)
	{
		try_detail(&in);
		return 0;
	}
	text = take_text(&in, size);
	if (how & 2)
		try_copy(text);
	else
		try_complaint(text);
	free(text);
	return 0;
}
