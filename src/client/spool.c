/*-------------------------------------------------------------------------
 *
 * spool.c
 *		The receiver that keeps rows as they came, for another receiver that
 *		gets them afterwards.
 *
 * For whoever must not run code of users, or raise errors of the wanted types,
 * while the rows arrive.  They come in text format, and what work_mem does not
 * hold goes to a file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "client/receive.h"
#include "compat.h"

typedef struct Spool
{
	EpReceiver	pub;
	MemoryContext context;
	EpRowDesc  *desc;			/* NULL: not described */
	bool		no_data;
	Tuplestorestate *store;		/* rows of one column: the fields, each with its length */
	TupleDesc	stored;
	bytea	   *row;			/* being built; grows */
	Size		row_size;
} Spool;

static void
describe_spooled(EpReceiver *self, const EpRowDesc *desc, bool no_data)
{
	Spool	   *s = (Spool *) self;
	Size		size = offsetof(EpRowDesc, cols) + desc->ncols * sizeof(EpColumn);
	MemoryContext caller = MemoryContextSwitchTo(s->context);

	s->no_data = no_data;
	s->desc = palloc(size);
	memcpy(s->desc, desc, size);
	for (int i = 0; i < desc->ncols; i++)
		s->desc->cols[i].name = pstrdup(desc->cols[i].name);
	if (s->store == NULL)
		s->store = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(caller);
}

static void
spool_row(EpReceiver *self, int nfields, const EpField *fields)
{
	Spool	   *s = (Spool *) self;
	Size		size = VARHDRSZ;
	char	   *p;
	Datum		value;
	bool		isnull = false;

	for (int i = 0; i < nfields; i++)
		size += sizeof(int) + Max(fields[i].len, 0);
	if (!AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row from remote server is too long")));
	if (size > s->row_size)
	{
		if (s->row)
			pfree(s->row);
		s->row_size = Min(size * 2, MaxAllocSize);
		s->row = MemoryContextAlloc(s->context, s->row_size);
	}
	SET_VARSIZE(s->row, size);
	p = VARDATA(s->row);
	for (int i = 0; i < nfields; i++)
	{
		memcpy(p, &fields[i].len, sizeof(int));
		p += sizeof(int);
		if (fields[i].len > 0)
			memcpy(p, fields[i].data, fields[i].len);
		p += Max(fields[i].len, 0);
	}
	value = PointerGetDatum(s->row);
	tuplestore_putvalues(s->store, s->stored, &value, &isnull);
}

/* A receiver that keeps the rows, in the current memory context and in files of the current (sub)transaction. */
EpReceiver *
ep_receive_spool(void)
{
	Spool	   *s = palloc0(sizeof(Spool));

	s->context = CurrentMemoryContext;
	s->stored = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(s->stored, 1, "row", BYTEAOID, -1, 0);
	s->pub.choose_formats = NULL;
	s->pub.describe = describe_spooled;
	s->pub.row = spool_row;
	return &s->pub;
}

/* Cut a row into fields, which point into it. */
static void
cut_row(const bytea * row, EpField *fields, int n)
{
	const char *p = VARDATA_ANY(row);

	for (int i = 0; i < n; i++)
	{
		memcpy(&fields[i].len, p, sizeof(int));
		p += sizeof(int);
		fields[i].data = fields[i].len < 0 ? NULL : p;
		p += Max(fields[i].len, 0);
	}
}

/*
 * Hand everything to another receiver, as if it had been there from the
 * beginning; it may raise errors.  Interruptible.
 */
void
ep_spool_deliver(EpReceiver *spool, EpReceiver *receiver)
{
	Spool	   *s = (Spool *) spool;
	TupleTableSlot *slot;
	EpField    *fields;

	if (s->desc == NULL)
		return;
	receiver->describe(receiver, s->desc, s->no_data);
	if (s->no_data)
		return;
	slot = MakeSingleTupleTableSlot(s->stored, &TTSOpsMinimalTuple);
	fields = palloc(Max(s->desc->ncols, 1) * sizeof(EpField));
	while (tuplestore_gettupleslot(s->store, true, false, slot))
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		cut_row((bytea *) DatumGetPointer(slot_getattr(slot, 1, &isnull)), fields, s->desc->ncols);
		receiver->row(receiver, s->desc->ncols, fields);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(s->store);
	s->store = NULL;
}
