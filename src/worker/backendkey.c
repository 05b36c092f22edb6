/*-------------------------------------------------------------------------
 *
 * backendkey.c
 *		Getting hold of the key with which a connection's statements are
 *		cancelled, where libpq keeps it to itself.
 *
 * libpq before 17 can only cancel by PQcancel(), which waits for the remote
 * and so would keep the worker from everything else.  What it lacks is the
 * key alone, and PQtrace() prints it among the messages of the startup.  The
 * trace goes to a stream of our own that keeps one line at a time, looks for
 * BackendKeyData in it and forgets the rest; nothing of it reaches a file, and
 * its two small buffers are wiped when the startup is over, as the trace has
 * the authentication in it, too.
 *
 * From libpq 17 on a PGconn can be cancelled without waiting and all this does
 * nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* fopencookie */
#endif
#include "postgres.h"

#include <sys/un.h>

#include "libpq/pqcomm.h"

#include "worker/backendkey.h"

#ifdef EP_HAVE_LIBPQ_CANCEL

EpKeyCatcher *
ep_keycatcher_start(PGconn *conn)
{
	return NULL;
}

void
ep_keycatcher_finish(EpKeyCatcher *catcher, PGconn *conn, EpCancelKey *key)
{
	memset(key, 0, sizeof(EpCancelKey));
	key->valid = conn != NULL;
}

#else

/* "B\t12\tBackendKeyData\t <pid> <key>"; longer lines are something else */
#define LINE_SIZE	96

struct EpKeyCatcher
{
	FILE	   *stream;
	char		buffer[256];	/* the stream's */
	char		line[LINE_SIZE];
	int			len;			/* of the line so far; LINE_SIZE: too long to be the one */
	bool		found;
	uint32		pid;
	uint32		key;
};

/* A line of the trace is complete: is it the one?  libpq prints both numbers as signed. */
static void
look_at_line(EpKeyCatcher *catcher)
{
	static const char word[] = "\tBackendKeyData\t";
	const char *p;
	char	   *end;
	long		pid;
	long		key;

	if (catcher->len >= LINE_SIZE || catcher->line[0] != 'B')
		return;
	catcher->line[catcher->len] = '\0';
	p = strstr(catcher->line, word);
	if (p == NULL)
		return;
	p += sizeof(word) - 1;
	pid = strtol(p, &end, 10);
	if (end == p || *end != ' ')
		return;
	p = end;
	key = strtol(p, &end, 10);
	if (end == p || *end != '\0')
		return;
	catcher->pid = (uint32) pid;
	catcher->key = (uint32) key;
	catcher->found = true;
}

static ssize_t
take_trace(void *cookie, const char *bytes, size_t size)
{
	EpKeyCatcher *catcher = cookie;

	for (size_t i = 0; i < size; i++)
	{
		if (bytes[i] == '\n')
		{
			look_at_line(catcher);
			catcher->len = 0;
		}
		else if (catcher->len < LINE_SIZE - 1)
			catcher->line[catcher->len++] = bytes[i];
		else
			catcher->len = LINE_SIZE;
	}
	return size;
}

/*
 * Begin to listen to the startup of a connection that PQconnectStartParams()
 * has just made.  Returns NULL if that is impossible; the connection then
 * cannot be cancelled.  Allocated in the current memory context.
 */
EpKeyCatcher *
ep_keycatcher_start(PGconn *conn)
{
	EpKeyCatcher *catcher = palloc0(sizeof(EpKeyCatcher));
	cookie_io_functions_t functions = {.write = take_trace};

	catcher->stream = fopencookie(catcher, "w", functions);
	if (catcher->stream == NULL)
	{
		pfree(catcher);
		return NULL;
	}
	(void) setvbuf(catcher->stream, catcher->buffer, _IOFBF, sizeof(catcher->buffer));
	PQtrace(conn, catcher->stream);
	PQsetTraceFlags(conn, PQTRACE_SUPPRESS_TIMESTAMPS);
	return catcher;
}

/* Where the remote listens: that is where cancel requests go, in plain text as libpq's own. */
static bool
remote_address(PGconn *conn, EpCancelKey *key)
{
	struct sockaddr_un *un = (struct sockaddr_un *) &key->addr;

	key->addrlen = sizeof(key->addr);
	if (getpeername(PQsocket(conn), (struct sockaddr *) &key->addr, &key->addrlen) != 0)
		return false;
	if (key->addr.ss_family != AF_UNIX)
		return true;

	/* the server may have bound a path relative to its own directory: take ours */
	memset(un->sun_path, 0, sizeof(un->sun_path));
	if (snprintf(un->sun_path, sizeof(un->sun_path), "%s/.s.PGSQL.%s",
				 PQhost(conn), PQport(conn)) >= (int) sizeof(un->sun_path))
		return false;
	key->addrlen = offsetof(struct sockaddr_un, sun_path) + strlen(un->sun_path);
	if (un->sun_path[0] == '@')
		un->sun_path[0] = '\0';
	else
		key->addrlen++;
	return true;
}

/*
 * Stop listening and wipe what was heard.  key is filled in if conn stands at
 * CONNECTION_OK; without a key it is not valid.  catcher may be NULL.
 */
void
ep_keycatcher_finish(EpKeyCatcher *catcher, PGconn *conn, EpCancelKey *key)
{
	memset(key, 0, sizeof(EpCancelKey));
	if (catcher == NULL)
		return;
	if (conn)
		PQuntrace(conn);		/* flushes, too */
	(void) fclose(catcher->stream);
	if (catcher->found && conn && PQstatus(conn) == CONNECTION_OK && remote_address(conn, key))
	{
		key->pid = catcher->pid;
		key->key = catcher->key;
		key->valid = key->pid == (uint32) PQbackendPID(conn);
	}
	explicit_bzero(catcher, sizeof(EpKeyCatcher));
	pfree(catcher);
}

#endif							/* EP_HAVE_LIBPQ_CANCEL */
