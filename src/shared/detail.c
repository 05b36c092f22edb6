/*-------------------------------------------------------------------------
 *
 * detail.c
 *		The numbers behind an event, as a JSON object in a buffer of fixed size.
 *
 * Nothing is allocated and nothing can fail: a key for which there is no room
 * is left out, with its value.  Bytes beyond ASCII are taken as they are.  In
 * the encodings that a server can have they are never a quote or a backslash,
 * so whoever replaces them, because they are another encoding's, still has a
 * well-formed object.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "shared/detail.h"

/* A key and its value while they are written; they count from end_key on. */
typedef struct Cursor
{
	EpDetail   *detail;
	int			at;
	bool		full;
} Cursor;

static void
put_char(Cursor *cursor, char c)
{
	/* one byte is kept for the closing brace */
	if (cursor->at >= EP_DETAIL_SIZE - 1)
		cursor->full = true;
	else
		cursor->detail->text[cursor->at++] = c;
}

static void
put_plain(Cursor *cursor, const char *text)
{
	for (const char *p = text; *p; p++)
		put_char(cursor, *p);
}

static void
put_string(Cursor *cursor, const char *text)
{
	char		escaped[8];

	put_char(cursor, '"');
	for (const char *p = text; *p; p++)
	{
		if (*p == '"' || *p == '\\')
			put_char(cursor, '\\');
		if ((unsigned char) *p >= ' ')
			put_char(cursor, *p);
		else
		{
			snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned char) *p);
			put_plain(cursor, escaped);
		}
	}
	put_char(cursor, '"');
}

static void
begin_key(Cursor *cursor, EpDetail *detail, const char *key)
{
	cursor->detail = detail;
	cursor->full = false;
	/* over the closing brace */
	cursor->at = Max(detail->length - 1, 0);
	put_plain(cursor, detail->length == 0 ? "{" : ", ");
	put_string(cursor, key);
	put_plain(cursor, ": ");
}

static void
end_key(Cursor *cursor)
{
	EpDetail   *detail = cursor->detail;

	if (!cursor->full)
	{
		detail->text[cursor->at] = '}';
		detail->length = cursor->at + 1;
	}
	else if (detail->length > 0)
		detail->text[detail->length - 1] = '}';
	detail->text[detail->length] = '\0';
}

static void
add_plain(EpDetail *detail, const char *key, const char *value)
{
	Cursor		cursor;

	begin_key(&cursor, detail, key);
	put_plain(&cursor, value);
	end_key(&cursor);
}

/* Adds a whole number, if there is room. */
void
ep_detail_int(EpDetail *detail, const char *key, int64 value)
{
	char		number[32];

	snprintf(number, sizeof(number), INT64_FORMAT, value);
	add_plain(detail, key, number);
}

/* Adds a number with seven digits, if there is room; what is no number is null. */
void
ep_detail_number(EpDetail *detail, const char *key, double value)
{
	char		number[32];

	snprintf(number, sizeof(number), "%.7g", value);
	add_plain(detail, key, isfinite(value) ? number : "null");
}

/* Adds true or false, if there is room. */
void
ep_detail_bool(EpDetail *detail, const char *key, bool value)
{
	add_plain(detail, key, value ? "true" : "false");
}

/* Adds a string, or null for NULL, if there is room for all of it. */
void
ep_detail_text(EpDetail *detail, const char *key, const char *value)
{
	Cursor		cursor;

	if (value == NULL)
	{
		add_plain(detail, key, "null");
		return;
	}
	begin_key(&cursor, detail, key);
	put_string(&cursor, value);
	end_key(&cursor);
}
