/*-------------------------------------------------------------------------
 *
 * receive.c
 *		Receivers that put the rows of a remote statement into a tuplestore.
 *
 * A row's values are built in a memory context of their own that is emptied
 * after each row; the tuplestore copies them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "client/decode.h"
#include "client/params.h"
#include "client/receive.h"

typedef struct RowReceiver
{
	EpReceiver	pub;
	MemoryContext context;		/* of this and of the decoders */
	MemoryContext row_context;	/* emptied after each row */
	Tuplestorestate *store;
	TupleDesc	desc;			/* NULL until the remote's is known, if there is none */
	bool		desc_given;
	Oid			domain;			/* over the row type, or InvalidOid */
	void	   *domain_extra;
	Oid		   *bases;			/* below domains, of each attribute of desc; made when needed */
	EpRowDecoder *decoder;
	Datum	   *values;
	bool	   *nulls;
	int			nest_level;		/* of ep_text_modes_begin() */
} RowReceiver;

/* ------------------------------------------------------------------ formats */

static const Oid *
attribute_bases(RowReceiver *r)
{
	if (r->bases == NULL)
	{
		r->bases = MemoryContextAlloc(r->context, Max(r->desc->natts, 1) * sizeof(Oid));
		for (int i = 0; i < r->desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(r->desc, i);
			int32		typmod = -1;

			r->bases[i] = att->attisdropped ? InvalidOid : ep_decode_base(att->atttypid, &typmod);
		}
	}
	return r->bases;
}

/*
 * A number of columns that does not fit is no reason to complain yet: the
 * types may be those of a statement prepared before the remote table changed.
 */
static void
formats_by_position(EpReceiver *self, int ncols, const Oid *types, int16 *formats)
{
	RowReceiver *r = (RowReceiver *) self;
	const Oid  *bases;

	if (!r->desc_given)
	{
		for (int i = 0; i < ncols; i++)
			formats[i] = ep_binary_type(types[i]) ? 1 : 0;
		return;
	}
	bases = attribute_bases(r);
	for (int i = 0; i < ncols; i++)
		formats[i] = ncols == r->desc->natts && types[i] == bases[i] && ep_binary_type(types[i]) ? 1 : 0;
}

/*
 * Names are not known yet, so a type is asked for in binary if any attribute
 * has it; should it turn out to belong to another, the decoder converts it.
 */
static void
formats_by_name(EpReceiver *self, int ncols, const Oid *types, int16 *formats)
{
	RowReceiver *r = (RowReceiver *) self;
	const Oid  *bases = attribute_bases(r);

	for (int i = 0; i < ncols; i++)
	{
		formats[i] = 0;
		for (int j = 0; j < r->desc->natts; j++)
		{
			if (bases[j] == types[i])
			{
				formats[i] = ep_binary_type(types[i]) ? 1 : 0;
				break;
			}
		}
	}
}

/* ------------------------------------------------------------- description */

static void
raise_no_rows(int expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg_plural("remote statement returns no rows, %d column expected",
						   "remote statement returns no rows, %d columns expected",
						   expected, expected),
			 errhint("Use enhanced_pool.exec for a statement that returns no rows.")));
}

/* Decoders for ncols columns and places for the values of r->desc. */
static void
prepare(RowReceiver *r, int ncols)
{
	r->decoder = ep_row_decoder_create(ncols, r->context);
	r->values = MemoryContextAllocZero(r->context, Max(r->desc->natts, 1) * sizeof(Datum));
	r->nulls = MemoryContextAlloc(r->context, Max(r->desc->natts, 1) * sizeof(bool));
	memset(r->nulls, true, r->desc->natts);
}

/* Column col of the remote goes to attribute attno, both counted from 0. */
static void
connect_column(RowReceiver *r, int col, const EpColumn *column, int attno)
{
	Form_pg_attribute att = TupleDescAttr(r->desc, attno);
	const char *name = NameStr(att->attname);

	/* the one column of a scalar type has no name of its own */
	if (*name == '\0')
		name = MemoryContextStrdup(r->context, column->name);
	ep_row_decoder_column(r->decoder, col, column, att->atttypid,
						  r->desc_given ? att->atttypmod : -1, attno, name);
}

/* Text is read under the settings that the remote writes it with. */
static void
start_text(RowReceiver *r)
{
	if (r->decoder->uses_text && r->nest_level == 0)
		r->nest_level = ep_text_modes_begin(false);
}

/*
 * Types that only look built in: their text means something on the remote
 * alone (names of its objects and roles, its locale), or is not accepted.
 */
static bool
text_is_foreign(Oid type)
{
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
		case ACLITEMOID:
		case MONEYOID:
		case UNKNOWNOID:
		case PG_NODE_TREEOID:
		case PG_NDISTINCTOID:
		case PG_DEPENDENCIESOID:
		case PG_MCV_LISTOID:
		case PG_BRIN_BLOOM_SUMMARYOID:
		case PG_BRIN_MINMAX_MULTI_SUMMARYOID:
		case GTSVECTOROID:
			return true;
		default:
			return false;
	}
}

/* Does this type exist here as one that has values of its own? */
static bool
exists_here(Oid type)
{
	/* '\0' if there is none, as with the types of a newer server */
	char		typtype = get_typtype(type);

	return typtype == TYPTYPE_BASE || typtype == TYPTYPE_RANGE || typtype == TYPTYPE_MULTIRANGE;
}

/* The local type for a column of this remote type. */
static Oid
local_type(Oid remote)
{
	Oid			element;

	if (ep_binary_type(remote))
		return remote;
	if (remote >= FirstGenbkiObjectId || !exists_here(remote) || text_is_foreign(remote))
		return TEXTOID;
	element = get_element_type(remote);
	if (OidIsValid(element) && (!exists_here(element) || text_is_foreign(element)))
		return TEXTOID;
	return remote;
}

/* A name of the remote's, cut to what fits here. */
static void
copy_name(NameData * dst, const char *name)
{
	memset(dst, 0, sizeof(NameData));
	memcpy(NameStr(*dst), name, pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1));
}

static TupleDesc
desc_of_remote(const EpRowDesc *remote)
{
	TupleDesc	desc;

	if (remote->ncols > MaxTupleAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("remote statement returns %d columns, at most %d are possible",
						remote->ncols, MaxTupleAttributeNumber)));
	desc = CreateTemplateTupleDesc(remote->ncols);
	for (int i = 0; i < remote->ncols; i++)
	{
		NameData	name;

		copy_name(&name, remote->cols[i].name);
		TupleDescInitEntry(desc, i + 1, NameStr(name), local_type(remote->cols[i].type), -1, 0);
	}
	return desc;
}

static void
describe_by_position(EpReceiver *self, const EpRowDesc *desc, bool no_data)
{
	RowReceiver *r = (RowReceiver *) self;

	if (no_data)
	{
		if (r->desc_given)
			raise_no_rows(r->desc->natts);
		return;
	}
	if (!r->desc_given)
	{
		MemoryContext caller = MemoryContextSwitchTo(r->context);

		r->desc = desc_of_remote(desc);
		MemoryContextSwitchTo(caller);
	}
	else if (desc->ncols != r->desc->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg_plural("remote statement returns %d column, %d expected",
							   "remote statement returns %d columns, %d expected",
							   desc->ncols, desc->ncols, r->desc->natts),
				 errhint("The column list must have one entry for each column of the remote result.")));
	prepare(r, desc->ncols);
	for (int i = 0; i < desc->ncols; i++)
		connect_column(r, i, &desc->cols[i], i);
	start_text(r);
}

/* The attribute of that name, counted from 0, or -1; it is most likely the one in the same place. */
static int
find_attribute(TupleDesc desc, const char *name, int likely_at)
{
	for (int i = 0; i < desc->natts; i++)
	{
		int			attno = (likely_at + i) % desc->natts;
		Form_pg_attribute att = TupleDescAttr(desc, attno);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return attno;
	}
	return -1;
}

static void
raise_mismatch(const char *message, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg(message, name),
			 errdetail("The columns of the remote result and of the row type are matched by name.")));
}

static void
describe_by_name(EpReceiver *self, const EpRowDesc *desc, bool no_data)
{
	RowReceiver *r = (RowReceiver *) self;
	int			natts = r->desc->natts;
	bool	   *seen = palloc0(Max(natts, 1) * sizeof(bool));

	if (no_data)
	{
		int			expected = 0;

		for (int i = 0; i < natts; i++)
			expected += TupleDescAttr(r->desc, i)->attisdropped ? 0 : 1;
		raise_no_rows(expected);
	}
	prepare(r, desc->ncols);
	for (int i = 0; i < desc->ncols; i++)
	{
		const char *name = desc->cols[i].name;
		int			attno = find_attribute(r->desc, name, i);

		if (attno < 0)
			raise_mismatch("column \"%s\" of the remote result is not in the row type", name);
		if (seen[attno])
			raise_mismatch("column \"%s\" is more than once in the remote result", name);
		seen[attno] = true;
		connect_column(r, i, &desc->cols[i], attno);
	}
	for (int i = 0; i < natts; i++)
	{
		if (!seen[i] && !TupleDescAttr(r->desc, i)->attisdropped)
			raise_mismatch("column \"%s\" of the row type is missing in the remote result",
						   NameStr(TupleDescAttr(r->desc, i)->attname));
	}
	pfree(seen);
	start_text(r);
}

/* -------------------------------------------------------------------- rows */

/* Nobody checks the constraints of a domain over a row type for us. */
static void
check_row_domain(RowReceiver *r)
{
	HeapTuple	tuple = heap_form_tuple(r->desc, r->values, r->nulls);

	domain_check(HeapTupleGetDatum(tuple), false, r->domain, &r->domain_extra, r->context);
}

static void
store_row(EpReceiver *self, int nfields, const EpField *fields)
{
	RowReceiver *r = (RowReceiver *) self;
	MemoryContext caller;

	/* rows of a statement that was not described */
	if (unlikely(r->decoder == NULL))
		ep_raise_field_count(nfields, 0);
	caller = MemoryContextSwitchTo(r->row_context);
	ep_decode_row(r->decoder, nfields, fields, r->values, r->nulls);
	if (unlikely(OidIsValid(r->domain)))
		check_row_domain(r);
	tuplestore_putvalues(r->store, r->desc, r->values, r->nulls);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(r->row_context);
}

/* ------------------------------------------------------------ construction */

static RowReceiver *
make_receiver(TupleDesc desc, Tuplestorestate *store)
{
	RowReceiver *r = palloc0(sizeof(RowReceiver));

	r->context = CurrentMemoryContext;
	r->row_context = AllocSetContextCreate(CurrentMemoryContext, "enhanced_pool row",
										   ALLOCSET_DEFAULT_SIZES);
	r->store = store;
	r->desc = desc;
	r->desc_given = desc != NULL;
	r->pub.row = store_row;
	return r;
}

/*
 * A receiver that puts rows into store, the remote's columns being those of
 * desc in the same order; another number of them is 42804.  With desc NULL
 * the description is made of the remote's names and of its types where those
 * are built in here and mean the same, else text; ep_receive_desc() then
 * tells it.
 *
 * The receiver lives in the current memory context; desc and store stay the
 * caller's.  After the statement ep_receive_done() must be called.
 */
EpReceiver *
ep_receive_by_position(TupleDesc desc, Tuplestorestate *store)
{
	RowReceiver *r = make_receiver(desc, store);

	r->pub.choose_formats = formats_by_position;
	r->pub.describe = describe_by_position;
	return &r->pub;
}

/*
 * What describes the rows in the store, in the receiver's memory context;
 * NULL if the remote statement returns none.
 */
TupleDesc
ep_receive_desc(EpReceiver *receiver)
{
	return ((RowReceiver *) receiver)->desc;
}

/*
 * A receiver that matches the remote's columns by name to the attributes of
 * desc that are not dropped; a missing, an extra or a doubled one is 42804.
 * domain: a domain over the row type whose constraints each row must meet,
 * or InvalidOid; desc must then be that of the row type.
 */
EpReceiver *
ep_receive_by_name(TupleDesc desc, Tuplestorestate *store, Oid domain)
{
	RowReceiver *r = make_receiver(desc, store);

	r->domain = domain;
	r->pub.choose_formats = formats_by_name;
	r->pub.describe = describe_by_name;
	return &r->pub;
}

static void
describe_nothing(EpReceiver *self, const EpRowDesc *desc, bool no_data)
{
}

static void
drop_row(EpReceiver *self, int nfields, const EpField *fields)
{
}

/* A receiver that drops the rows; there is but one of it. */
EpReceiver *
ep_receive_nothing(void)
{
	static EpReceiver nothing = {NULL, describe_nothing, drop_row};

	return &nothing;
}

/*
 * To be called when the statement is over, in the same subtransaction: puts
 * back settings that were changed while rows were read.  What the receiver
 * has in memory goes with its context.
 */
void
ep_receive_done(EpReceiver *receiver)
{
	RowReceiver *r = (RowReceiver *) receiver;

	if (receiver->row != store_row)
		return;
	ep_text_modes_end(r->nest_level);
	r->nest_level = 0;
	MemoryContextDelete(r->row_context);
	r->row_context = NULL;
}
