/*-------------------------------------------------------------------------
 *
 * test_message.c
 *		Reading the bodies of messages: nothing is read beyond the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "unit.h"
#include "wire/wire.h"

/* The body in a block of its own, so that a read beyond its end is noticed. */
static EpMessage
message_of(char type, const char *body, uint32 len)
{
	EpMessage	msg;
	char	   *copy = malloc(Max(len, 1));

	memcpy(copy, body, len);
	msg.type = type;
	msg.data = copy;
	msg.len = len;
	return msg;
}

static void
free_message(EpMessage *msg)
{
	free((char *) msg->data);
}

static void
test_reader(void)
{
	EpMessage	msg = message_of('D', "\xff\xfe\x00\x00\x01\x02" "text\0xyz", 14);
	EpReader	r;

	ep_reader_init(&r, &msg);
	CHECK_INT(ep_read_int16(&r), -2, "negative");
	CHECK_INT(ep_read_int32(&r), 258, "big-endian");
	CHECK_STRING(ep_read_string(&r), "text", "text");
	CHECK(memcmp(ep_read_bytes(&r, 3), "xyz", 3) == 0, "rest");
	CHECK(!r.bad && r.p == r.end, "all was read");

	CHECK(ep_read_bytes(&r, 0) != NULL && !r.bad, "nothing can be read at the end");
	CHECK_INT(ep_read_int16(&r), 0, "beyond the end");
	CHECK(r.bad, "beyond the end");
	CHECK(ep_read_bytes(&r, 0) == NULL, "stays bad");
	CHECK_STRING(ep_read_string(&r), "", "stays bad");
	free_message(&msg);
}

static void
test_reader_ends(void)
{
	EpReader	r;
	EpMessage	msg = message_of('D', "\0\0\1", 3);

	ep_reader_init(&r, &msg);
	CHECK_INT(ep_read_int32(&r), 0, "three of four bytes");
	CHECK(r.bad, "three of four bytes");

	ep_reader_init(&r, &msg);
	CHECK(ep_read_bytes(&r, 4) == NULL && r.bad, "one byte too many");

	ep_reader_init(&r, &msg);
	CHECK(ep_read_bytes(&r, PG_UINT32_MAX) == NULL && r.bad, "a negative length");
	free_message(&msg);

	msg = message_of('D', "abc", 3);
	ep_reader_init(&r, &msg);
	CHECK_STRING(ep_read_string(&r), "", "text without end");
	CHECK(r.bad, "text without end");
	free_message(&msg);

	msg = message_of('D', "", 0);
	ep_reader_init(&r, &msg);
	CHECK(ep_read_bytes(&r, 1) == NULL && r.bad, "empty message");
	ep_reader_init(&r, &msg);
	CHECK_STRING(ep_read_string(&r), "", "empty message");
	CHECK(r.bad, "empty message");
	free_message(&msg);
}

/* What an ErrorResponse with that text as its position has as its position. */
static int
position_of(const char *text)
{
	char		body[64];
	int			len = snprintf(body, sizeof(body), "P%s", text) + 1;
	EpMessage	msg;
	EpErrorFields f;

	body[len++] = '\0';			/* no more fields */
	msg = message_of('E', body, len);
	CHECK(ep_parse_error(&msg, &f), "well-formed");
	free_message(&msg);
	return f.position;
}

static void
test_error(void)
{
	static const char body[] =
	"SFEHLER\0VERROR\0C22012\0Mdivision by zero\0Dthe detail\0Hthe hint\0P8\0p3\0"
	"qselect 1\0Wthe context\0ss\0tt\0cc\0dd\0nn\0Ffile.c\0L12\0?unheard of\0";
	EpMessage	msg = message_of('E', body, sizeof(body));
	EpErrorFields f;

	CHECK(ep_parse_error(&msg, &f), "well-formed");
	CHECK_STRING(f.severity, "ERROR", "the untranslated one");
	CHECK_STRING(f.sqlstate, "22012", "C");
	CHECK_STRING(f.message, "division by zero", "M");
	CHECK_STRING(f.detail, "the detail", "D");
	CHECK_STRING(f.hint, "the hint", "H");
	CHECK_STRING(f.context, "the context", "W");
	CHECK_STRING(f.schema, "s", "s");
	CHECK_STRING(f.table, "t", "t");
	CHECK_STRING(f.column, "c", "c");
	CHECK_STRING(f.datatype, "d", "d");
	CHECK_STRING(f.constraint, "n", "n");
	CHECK_STRING(f.internal_query, "select 1", "q");
	CHECK_INT(f.position, 8, "P");
	CHECK_INT(f.internal_position, 3, "p");
	free_message(&msg);

	/* positions that are none */
	CHECK_INT(position_of("2147483647"), 2147483647, "the largest position");
	CHECK_INT(position_of("2147483648"), 0, "larger than an int");
	CHECK_INT(position_of("99999999999999999999"), 0, "larger than a long");
	CHECK_INT(position_of("-3"), 0, "before the beginning");
	CHECK_INT(position_of("here"), 0, "no number");

	/* cut anywhere, it is malformed, and nothing beyond the cut is read */
	for (uint32 len = 0; len < sizeof(body); len++)
	{
		msg = message_of('E', body, len);
		CHECK(!ep_parse_error(&msg, &f), "cut to %u bytes", len);
		free_message(&msg);
	}
}

static void
test_error_severity(void)
{
	EpErrorFields f;
	EpMessage	msg = message_of('E', "VERROR\0SFEHLER\0", 16);

	CHECK(ep_parse_error(&msg, &f), "V before S");
	CHECK_STRING(f.severity, "ERROR", "V before S");
	free_message(&msg);

	msg = message_of('E', "SFATAL\0", 8);
	CHECK(ep_parse_error(&msg, &f), "S alone");
	CHECK_STRING(f.severity, "FATAL", "S alone");
	CHECK(f.message == NULL && f.sqlstate == NULL, "what is missing is NULL");
	free_message(&msg);

	msg = message_of('E', "", 1);
	CHECK(ep_parse_error(&msg, &f), "no field at all");
	free_message(&msg);
}

static void
test_ready(void)
{
	static const struct
	{
		const char *body;
		uint32		len;
		char		status;		/* 0: malformed */
	}			cases[] = {
		{"I", 1, 'I'}, {"T", 1, 'T'}, {"E", 1, 'E'},
		{"", 0, 0}, {"X", 1, 0}, {"\0", 1, 0}, {"II", 2, 0}
	};

	for (Size i = 0; i < lengthof(cases); i++)
	{
		EpMessage	msg = message_of('Z', cases[i].body, cases[i].len);
		char		status = 0;

		CHECK_INT(ep_parse_ready(&msg, &status), cases[i].status != 0, "case %zu", i);
		CHECK_INT(status, cases[i].status, "case %zu", i);
		free_message(&msg);
	}
}

void
test_message(void)
{
	test_reader();
	test_reader_ends();
	test_error();
	test_error_severity();
	test_ready();
	for (int type = 1; type < 256; type++)
		CHECK_INT(ep_message_is_async((char) type), type == 'N' || type == 'S' || type == 'A', "type %d", type);
}
