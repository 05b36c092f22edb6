/*-------------------------------------------------------------------------
 *
 * complaint.c
 *		What libpq and remote servers say about a failed connection, made
 *		fit to be shown.
 *
 * libpq is asked for verbose messages, as that is the only way to learn the
 * SQLSTATE of an error during startup:
 *
 *		connection to server at "db" (10.0.0.7), port 5432 failed: FATAL:  28P01: password ...
 *		DETAIL:  ...
 *		LOCATION:  auth_failed, auth.c:335
 *
 * One line for each host is wanted, and the caller says which host that was.
 * Words may be translated, so lines are told apart by their form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "worker/complaint.h"

/* Behind what names the host, if the line begins so. */
static const char *
skip_host(const char *line)
{
	static const char begin[] = "connection to server ";
	static const char end[] = " failed: ";
	const char *p;

	if (strncmp(line, begin, sizeof(begin) - 1) != 0)
		return line;
	p = strstr(line, end);
	return p ? p + sizeof(end) - 1 : line;
}

/* Is it "LOCATION:  function, file:line"? */
static bool
is_location(const char *line)
{
	const char *p = strstr(line, ":  ");
	const char *number;

	if (p == NULL || memchr(line, ' ', p - line))
		return false;
	p += 3;
	if (strstr(p, ", "))
		p = strstr(p, ", ") + 2;
	number = strrchr(p, ':');
	return number && strchr(p, ' ') == NULL && number[1] != '\0' &&
		number[1 + strspn(number + 1, "0123456789")] == '\0';
}

/* Takes "28P01: " out of "FATAL:  28P01: message"; false if there is none. */
static bool
take_sqlstate(char *line, char *sqlstate)
{
	char	   *p = strstr(line, ":  ");

	if (p == NULL || memchr(line, ' ', p - line))
		return false;
	p += 3;
	if (strspn(p, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 || p[5] != ':' || p[6] != ' ')
		return false;
	memcpy(sqlstate, p, 5);
	sqlstate[5] = '\0';
	memmove(p, p + 7, strlen(p + 7) + 1);
	return true;
}

/*
 * Make one line, palloc'd, of an error message of libpq: without what names
 * the host, without advice and source locations, repetitions left out.
 * sqlstate (six bytes) gets the last SQLSTATE in it or the empty string.  The line
 * is never empty: libpq says nothing if the server begins a COPY while it lets us in.
 */
char *
ep_complaint_from_libpq(const char *message, char *sqlstate)
{
	char	   *copy = pstrdup(message);
	char	   *next = NULL;
	StringInfoData buf;

	initStringInfo(&buf);
	sqlstate[0] = '\0';
	for (char *line = strtok_r(copy, "\n", &next); line; line = strtok_r(NULL, "\n", &next))
	{
		char	   *text = unconstify(char *, skip_host(line));

		(void) take_sqlstate(text, sqlstate);

		/* what begins with a tab asks whether the server is running */
		if (text[0] == '\0' || text[0] == '\t' || is_location(text))
			continue;

		/* the same again: with and without TLS, for instance */
		if (strstr(buf.data, text))
			continue;
		if (buf.len > 0)
			appendStringInfoString(&buf, "; ");
		appendStringInfoString(&buf, text);
	}
	pfree(copy);
	if (buf.len == 0)
		appendStringInfoString(&buf, "unexpected message from the remote server");
	return buf.data;
}

/*
 * A server speaks its own encoding before it was told ours.  A text that is
 * not valid in the local database's encoding keeps its ASCII characters only.
 */
void
ep_complaint_make_valid(char *text, int encoding)
{
	int			len = strlen(text);

	if (pg_encoding_verifymbstr(encoding, text, len) == len)
		return;
	for (char *p = text; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			*p = '?';
	}
}
