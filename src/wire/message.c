/*-------------------------------------------------------------------------
 *
 * message.c
 *		Reading the bodies of messages; every read is bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "wire/wire.h"

void
ep_reader_init(EpReader *r, const EpMessage *msg)
{
	r->p = msg->data;
	r->end = msg->data + msg->len;
	r->bad = false;
}

/* len bytes, or NULL and bad if the message does not have as many. */
const char *
ep_read_bytes(EpReader *r, uint32 len)
{
	const char *p = r->p;

	if (r->bad || (size_t) (r->end - r->p) < len)
	{
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return p;
}

int
ep_read_int16(EpReader *r)
{
	const char *p = ep_read_bytes(r, 2);
	uint16		n;

	if (p == NULL)
		return 0;
	memcpy(&n, p, 2);
	return (int16) pg_ntoh16(n);
}

int32
ep_read_int32(EpReader *r)
{
	const char *p = ep_read_bytes(r, 4);
	uint32		n;

	if (p == NULL)
		return 0;
	memcpy(&n, p, 4);
	return (int32) pg_ntoh32(n);
}

/* A NUL-terminated text within the message. */
const char *
ep_read_string(EpReader *r)
{
	const char *p = r->p;
	const char *nul = r->bad ? NULL : memchr(p, '\0', r->end - p);

	if (nul == NULL)
	{
		r->bad = true;
		return "";
	}
	r->p = nul + 1;
	return p;
}

/* A position in a statement, counted from 1; 0, which is none, for what is no such number. */
static int
position(const char *text)
{
	long		n = strtol(text, NULL, 10);

	return n > 0 && n <= PG_INT32_MAX ? (int) n : 0;
}

/*
 * Take apart an ErrorResponse or NoticeResponse.  Returns false if the
 * message is malformed; fields that are missing are NULL or 0.
 */
bool
ep_parse_error(const EpMessage *msg, EpErrorFields *f)
{
	EpReader	r;

	memset(f, 0, sizeof(EpErrorFields));
	ep_reader_init(&r, msg);
	for (;;)
	{
		const char *code = ep_read_bytes(&r, 1);
		const char *text;

		if (code == NULL)
			return false;
		if (*code == '\0')
			return true;
		text = ep_read_string(&r);
		if (r.bad)
			return false;
		switch (*code)
		{
			case 'S':
				if (f->severity == NULL)
					f->severity = text;
				break;
			case 'V':
				f->severity = text;
				break;
			case 'C':
				f->sqlstate = text;
				break;
			case 'M':
				f->message = text;
				break;
			case 'D':
				f->detail = text;
				break;
			case 'H':
				f->hint = text;
				break;
			case 'W':
				f->context = text;
				break;
			case 's':
				f->schema = text;
				break;
			case 't':
				f->table = text;
				break;
			case 'c':
				f->column = text;
				break;
			case 'd':
				f->datatype = text;
				break;
			case 'n':
				f->constraint = text;
				break;
			case 'P':
				f->position = position(text);
				break;
			case 'p':
				f->internal_position = position(text);
				break;
			case 'q':
				f->internal_query = text;
				break;
			default:
				break;
		}
	}
}

/* ReadyForQuery: the transaction status I, T or E. */
bool
ep_parse_ready(const EpMessage *msg, char *tx_status)
{
	if (msg->len != 1 || strchr("ITE", msg->data[0]) == NULL || msg->data[0] == '\0')
		return false;
	*tx_status = msg->data[0];
	return true;
}

/* ParameterStatus: name and value, which point into the message.  False if it is malformed. */
bool
ep_parse_parameter(const EpMessage *msg, const char **name, const char **value)
{
	EpReader	r;

	ep_reader_init(&r, msg);
	*name = ep_read_string(&r);
	*value = ep_read_string(&r);
	return !r.bad;
}

/* Messages that may come at any time and answer nothing: notices, parameters, notifications. */
bool
ep_message_is_async(char type)
{
	return type == 'N' || type == 'S' || type == 'A';
}

/*
 * Would dates or intervals that the remote writes as text be misread once it
 * has reported this parameter?  They are read as DateStyle ISO and
 * IntervalStyle postgres write them.  "01.02." may be either of two days, and
 * of what sql_standard writes the sign may be lost; all else reads the same.
 */
bool
ep_parameter_garbles(const char *name, const char *value)
{
	if (strcmp(name, "DateStyle") == 0)
		return strncmp(value, "ISO", 3) != 0;
	return strcmp(name, "IntervalStyle") == 0 && strcmp(value, "sql_standard") == 0;
}

/*
 * Is that a report after which texts would be misread by who has not seen it?
 * For those who drop messages unread: on the client's encoding they cannot
 * judge.
 */
bool
ep_message_garbles(const EpMessage *msg)
{
	const char *name;
	const char *value;

	if (msg->type != 'S')
		return false;
	return !ep_parse_parameter(msg, &name, &value) || strcmp(name, "client_encoding") == 0 ||
		ep_parameter_garbles(name, value);
}

/* Has a command with that tag dropped prepared statements, as far as we know all of them? */
bool
ep_tag_drops_statements(const char *tag)
{
	return strncmp(tag, "DISCARD ALL", strlen("DISCARD ALL")) == 0 ||
		strncmp(tag, "DEALLOCATE", strlen("DEALLOCATE")) == 0;
}
