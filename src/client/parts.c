/*-------------------------------------------------------------------------
 *
 * parts.c
 *		Parts of messages of the extended protocol that several callers need.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "client/parts.h"

/* What a RowDescription says of a column, with an empty name. */
#define SHORTEST_COLUMN	(1 + 4 + 2 + 4 + 2 + 4 + 2)

/* Raise 54000 for what cannot be sent as one message. */
void
ep_check_message_size(const char *sql, const EpParams *params)
{
	uint64		size = strlen(sql);

	if (params)
	{
		if (params->n > PG_UINT16_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("remote statement has too many parameters"),
					 errdetail("There are %d, and can be %d.", params->n, PG_UINT16_MAX)));
		for (int i = 0; i < params->n; i++)
			size += 16 + (params->values[i] ? params->lengths[i] : 0);
	}
	if (size > EP_MAX_MESSAGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("remote statement with its parameters is too long"),
				 errdetail("It has %llu bytes, and can have %u.", (unsigned long long) size, EP_MAX_MESSAGE)));
}

/* The name of a prepared statement: ep_<number>, or the unnamed one for 0. */
void
ep_put_statement_name(EpWire *wire, uint64 number)
{
	char		name[32] = "";
	int			len = 0;

	if (number != 0)
	{
		memcpy(name, "ep_", 3);
		len = 3 + pg_ulltoa_n(number, name + 3);
		name[len] = '\0';
	}
	ep_wire_put_bytes(wire, name, len + 1);
}

/* Close or Describe of a statement ('S') or of the portal ('P'; number 0). */
void
ep_put_about(EpWire *wire, char type, char what, uint64 number)
{
	ep_wire_begin(wire, type);
	ep_wire_put_bytes(wire, &what, 1);
	ep_put_statement_name(wire, number);
	ep_wire_end(wire);
}

/* Values of parameters, with their formats as far as there is a binary one. */
void
ep_put_params(EpWire *wire, const EpParams *params)
{
	bool		binary = false;

	for (int i = 0; i < params->n; i++)
		binary |= params->formats[i] != 0;
	ep_wire_put_int16(wire, binary ? params->n : 0);
	for (int i = 0; binary && i < params->n; i++)
		ep_wire_put_int16(wire, params->formats[i]);

	ep_wire_put_int16(wire, params->n);
	for (int i = 0; i < params->n; i++)
	{
		if (params->values[i] == NULL)
			ep_wire_put_int32(wire, -1);
		else
		{
			ep_wire_put_int32(wire, params->lengths[i]);
			ep_wire_put_bytes(wire, params->values[i], params->lengths[i]);
		}
	}
}

/*
 * Read a RowDescription into one chunk of memory in context.  Returns NULL if
 * it is malformed, names in another encoding included.
 */
EpRowDesc *
ep_read_rows(const EpMessage *msg, MemoryContext context)
{
	EpReader	r;
	EpRowDesc  *rows;
	char	   *names;
	int			ncols;

	ep_reader_init(&r, msg);
	ncols = ep_read_int16(&r);
	/* as many as the message has room for: a short one is no reason for much memory */
	if (r.bad || ncols < 0 || (uint32) ncols > msg->len / SHORTEST_COLUMN)
		return NULL;
	rows = MemoryContextAlloc(context, offsetof(EpRowDesc, cols) + ncols * sizeof(EpColumn) + msg->len);
	rows->ncols = ncols;
	names = (char *) &rows->cols[ncols];
	for (int i = 0; i < ncols; i++)
	{
		EpColumn   *col = &rows->cols[i];
		const char *name = ep_read_string(&r);
		Size		size = strlen(name) + 1;

		(void) ep_read_bytes(&r, 4 + 2);	/* table and column it comes from */
		col->type = (Oid) ep_read_int32(&r);
		(void) ep_read_int16(&r);	/* length of the type */
		col->typmod = ep_read_int32(&r);
		col->format = (int16) ep_read_int16(&r);
		if (r.bad || (col->format != 0 && col->format != 1) || !pg_verifymbstr(name, (int) size - 1, true))
		{
			pfree(rows);
			return NULL;
		}
		col->name = memcpy(names, name, size);
		names += size;
	}
	if (r.p != r.end)
	{
		pfree(rows);
		return NULL;
	}
	return rows;
}
