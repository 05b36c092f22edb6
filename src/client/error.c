/*-------------------------------------------------------------------------
 *
 * error.c
 *		Raising what the remote said, whole, and passing on its notices.
 *
 * Nothing in an answer is trusted.  An error is raised as ERROR, whatever
 * level the remote gave it; a remark is never raised as one.  Texts come in
 * the local server's encoding, or so the remote says: bytes that are not are
 * replaced, for they would fail on their way to the client.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "client/exchange.h"

/* How much of a statement an error's context shows, in bytes. */
#define SHOWN_STATEMENT 1000

/* ------------------------------------------------------------------- texts */

/*
 * A text of the remote's in which every byte is valid in the local server's
 * encoding: the text itself, or a palloc'd copy.  NULL stays NULL.
 */
const char *
ep_clean_text(const char *text)
{
	int			left;
	char	   *copy;

	if (text == NULL)
		return NULL;
	left = (int) strlen(text);
	if (pg_verifymbstr(text, left, true))
		return text;

	copy = pstrdup(text);
	for (char *p = copy; left > 0;)
	{
		int			len = pg_encoding_verifymbchar(GetDatabaseEncoding(), p, left);

		if (len <= 0)
		{
			*p = '?';
			len = 1;
		}
		p += len;
		left -= len;
	}
	return copy;
}

/* The beginning of a statement, cut at a character. */
static const char *
shown_statement(const char *sql)
{
	int			len = (int) strlen(sql);

	if (len <= SHOWN_STATEMENT)
		return sql;
	len = pg_mbcliplen(sql, len, SHOWN_STATEMENT);
	return psprintf("%.*s...", len, sql);
}

/*
 * The code of an error.  One that is malformed, or says that there was no
 * error, must not get the local code that belongs to it.
 */
static int
sqlstate_of(const char *sqlstate)
{
	if (sqlstate == NULL || strlen(sqlstate) != 5 ||
		strspn(sqlstate, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5)
		return ERRCODE_CONNECTION_EXCEPTION;
	if (sqlstate[0] == '0' && sqlstate[1] >= '0' && sqlstate[1] <= '2')
		return ERRCODE_INTERNAL_ERROR;
	return MAKE_SQLSTATE(sqlstate[0], sqlstate[1], sqlstate[2], sqlstate[3], sqlstate[4]);
}

/* ------------------------------------------------------- all but the level */

static void
clean_fields(EpErrorFields *f)
{
	f->message = f->message ? ep_clean_text(f->message) : "no message";
	f->detail = ep_clean_text(f->detail);
	f->hint = ep_clean_text(f->hint);
	f->context = ep_clean_text(f->context);
	f->schema = ep_clean_text(f->schema);
	f->table = ep_clean_text(f->table);
	f->column = ep_clean_text(f->column);
	f->datatype = ep_clean_text(f->datatype);
	f->constraint = ep_clean_text(f->constraint);
	f->internal_query = ep_clean_text(f->internal_query);
}

static void
put_object(int field, const char *name)
{
	if (name)
		err_generic_string(field, name);
}

/*
 * Within ereport: everything the remote said, and where it comes from.  sql
 * is the statement, or NULL.  A position within it is shown as one within an
 * internal query, for the client knows another text.
 */
static int
report(const EpLease *lease, const EpErrorFields *f, const char *sql)
{
	bool		sql_shown = false;

	errmsg_internal("%s", f->message);
	if (f->detail)
		errdetail_internal("%s", f->detail);
	if (f->hint)
		errhint("%s", f->hint);
	put_object(PG_DIAG_SCHEMA_NAME, f->schema);
	put_object(PG_DIAG_TABLE_NAME, f->table);
	put_object(PG_DIAG_COLUMN_NAME, f->column);
	put_object(PG_DIAG_DATATYPE_NAME, f->datatype);
	put_object(PG_DIAG_CONSTRAINT_NAME, f->constraint);
	if (f->internal_query)
	{
		internalerrquery(f->internal_query);
		internalerrposition(f->internal_position);
	}
	else if (sql && f->position > 0)
	{
		internalerrquery(sql);
		internalerrposition(f->position);
		sql_shown = true;
	}

	/* lines are added in the order of the calls */
	if (sql && !sql_shown)
		errcontext("remote server \"%s\", statement: %s", lease->ref->name, shown_statement(sql));
	else
		errcontext("remote server \"%s\"", lease->ref->name);
	if (f->context)
		errcontext("%s", f->context);
	return 0;
}

/* ------------------------------------------------------------------ raising */

/*
 * Raise an error of the remote's.  The remote is at rest, or the lease is
 * marked broken.  sql is the statement that it is about.
 */
void
ep_raise_remote(EpLease *lease, const EpErrorFields *fields, const char *sql)
{
	EpErrorFields f = *fields;
	int			code = sqlstate_of(f.sqlstate);

	clean_fields(&f);
	ep_remember_error(lease->ref->name, unpack_sql_state(code), f.message, f.detail, f.hint, f.constraint);
	ereport(ERROR, (errcode(code), report(lease, &f, sql)));
}

static int
notice_level(const char *severity)
{
	if (severity == NULL)
		return NOTICE;
	if (strcmp(severity, "WARNING") == 0)
		return WARNING;
	if (strcmp(severity, "INFO") == 0)
		return INFO;
	if (strcmp(severity, "LOG") == 0)
		return LOG;
	if (strncmp(severity, "DEBUG", 5) == 0)
		return DEBUG1;
	return NOTICE;
}

/* Pass a notice on to the client; raises nothing. */
void
ep_forward_notice(EpLease *lease, const EpErrorFields *fields)
{
	int			level = notice_level(fields->severity);
	int			code = ERRCODE_SUCCESSFUL_COMPLETION;
	EpErrorFields f = *fields;

	if (!message_level_is_interesting(level))
		return;
	if (f.sqlstate && strlen(f.sqlstate) == 5)
		code = MAKE_SQLSTATE(f.sqlstate[0], f.sqlstate[1], f.sqlstate[2], f.sqlstate[3], f.sqlstate[4]);
	clean_fields(&f);
	ereport(level, (errcode(code), report(lease, &f, NULL)));
}

/*
 * Raise 57P01 if an administrator wants the connection ended, or what
 * ep_lease_check_struck raises.  In the middle of an exchange it is left to be
 * cancelled and drained, as after any error, and ended then.
 */
void
ep_check_terminated(const EpLease *lease)
{
	ep_lease_check_struck(lease);
	/* ours until the lease is given back, and the flag is never taken back */
	if (ep_conns[lease->slot].terminated)
		ereport(ERROR,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("connection to remote server \"%s\" was terminated by an administrator", lease->ref->name)));
}

/*
 * The connection is gone, and the remote has not said why: 08006, or what
 * ep_check_terminated raises if it was ended from this side.  why is a sentence that says what we know.
 */
void
ep_raise_lost(EpLease *lease, const char *why)
{
	ep_lease_mark_broken(lease);
	ep_check_terminated(lease);
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to remote server \"%s\" was lost", lease->ref->name),
			 errdetail("%s", why)));
}

/* What came is not protocol 3, or makes no sense where it came: 08P01, and the connection is ended. */
void
ep_raise_malformed(EpLease *lease, const char *what)
{
	ep_lease_mark_broken(lease);
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("malformed answer from remote server \"%s\": %s", lease->ref->name, what)));
}
