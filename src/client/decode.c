/*-------------------------------------------------------------------------
 *
 * decode.c
 *		From the fields of a remote row to values of local types.
 *
 * What comes from the remote is not trusted: every length is checked against
 * the type, every string against the encoding, and what the type's own
 * functions would refuse is refused here.
 *
 * Strings are built from their bytes.  textrecv() and its relatives would
 * convert them from the local client's encoding, which has nothing to do with
 * the remote: that one was told to send the local server's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "client/decode.h"
#include "compat.h"

static Datum decode_value(EpDecoder *d, const char *data, int len);

/* ------------------------------------------------------------------- types */

typedef struct BinaryType
{
	EpDecodeKind kind;
	PGFunction	receive;
} BinaryType;

/*
 * The receive function of a type whose binary form it reads; NULL if there is
 * none that we use.
 */
static PGFunction
receive_function(Oid type)
{
	switch (type)
	{
		case NUMERICOID:
			return numeric_recv;
		case TIMEOID:
			return time_recv;
		case TIMETZOID:
			return timetz_recv;
		case BITOID:
			return bit_recv;
		case VARBITOID:
			return varbit_recv;
		case INETOID:
			return inet_recv;
		case CIDROID:
			return cidr_recv;
		case MACADDROID:
			return macaddr_recv;
		case MACADDR8OID:
			return macaddr8_recv;
		case PG_LSNOID:
			return pg_lsn_recv;
		default:
			return NULL;
	}
}

static bool
set_kind(BinaryType *how, EpDecodeKind kind)
{
	how->kind = kind;
	return true;
}

/* How the binary form of a type that is no array is read; false: not at all. */
static bool
scalar_binary(Oid type, BinaryType *how)
{
	how->receive = NULL;
	switch (type)
	{
		case BOOLOID:
			return set_kind(how, EP_DECODE_BOOL);
		case CHAROID:
			return set_kind(how, EP_DECODE_CHAR);
		case INT2OID:
			return set_kind(how, EP_DECODE_INT2);
		case INT4OID:
			return set_kind(how, EP_DECODE_INT4);
		case INT8OID:
			return set_kind(how, EP_DECODE_INT8);
		case OIDOID:
			return set_kind(how, EP_DECODE_OID);
		case FLOAT4OID:
			return set_kind(how, EP_DECODE_FLOAT4);
		case FLOAT8OID:
			return set_kind(how, EP_DECODE_FLOAT8);
		case DATEOID:
			return set_kind(how, EP_DECODE_DATE);
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return set_kind(how, EP_DECODE_TIMESTAMP);
		case UUIDOID:
			return set_kind(how, EP_DECODE_UUID);
		case BYTEAOID:
			return set_kind(how, EP_DECODE_BYTEA);
		case TEXTOID:
			return set_kind(how, EP_DECODE_TEXT);
		case VARCHAROID:
			return set_kind(how, EP_DECODE_VARCHAR);
		case BPCHAROID:
			return set_kind(how, EP_DECODE_BPCHAR);
		case NAMEOID:
			return set_kind(how, EP_DECODE_NAME);
		case JSONOID:
			/* the binary form is the text, which the input function checks */
			return set_kind(how, EP_DECODE_INPUT);
		default:
			how->receive = receive_function(type);
			return how->receive && set_kind(how, EP_DECODE_RECEIVE);
	}
}

/* The element type of an array that our reader reads, or InvalidOid. */
static Oid
array_element(Oid type)
{
	static const Oid pairs[][2] = {
		{BOOLARRAYOID, BOOLOID}, {BYTEAARRAYOID, BYTEAOID}, {CHARARRAYOID, CHAROID},
		{NAMEARRAYOID, NAMEOID}, {INT8ARRAYOID, INT8OID}, {INT2ARRAYOID, INT2OID},
		{INT4ARRAYOID, INT4OID}, {TEXTARRAYOID, TEXTOID}, {OIDARRAYOID, OIDOID},
		{JSONARRAYOID, JSONOID}, {FLOAT4ARRAYOID, FLOAT4OID}, {FLOAT8ARRAYOID, FLOAT8OID},
		{MACADDRARRAYOID, MACADDROID}, {MACADDR8ARRAYOID, MACADDR8OID},
		{INETARRAYOID, INETOID}, {CIDRARRAYOID, CIDROID}, {BPCHARARRAYOID, BPCHAROID},
		{VARCHARARRAYOID, VARCHAROID}, {DATEARRAYOID, DATEOID}, {TIMEARRAYOID, TIMEOID},
		{TIMETZARRAYOID, TIMETZOID}, {TIMESTAMPARRAYOID, TIMESTAMPOID},
		{TIMESTAMPTZARRAYOID, TIMESTAMPTZOID}, {BITARRAYOID, BITOID},
		{VARBITARRAYOID, VARBITOID}, {NUMERICARRAYOID, NUMERICOID},
		{UUIDARRAYOID, UUIDOID}, {PG_LSNARRAYOID, PG_LSNOID}
	};

	for (Size i = 0; i < lengthof(pairs); i++)
		if (pairs[i][0] == type)
			return pairs[i][1];
	return InvalidOid;
}

/*
 * Is the binary form of this built-in type the same on every server that
 * speaks protocol 3, and read here?  Such a column is asked for in binary
 * when the local type is the same.
 */
bool
ep_binary_type(Oid type)
{
	BinaryType	how;

	return scalar_binary(type, &how) || OidIsValid(array_element(type));
}

/* The type below a domain with its typmod; any other type as it is. */
Oid
ep_decode_base(Oid type, int32 *typmod)
{
	/* no domain has an oid of those that are fixed */
	if (type < FirstGenbkiObjectId)
		return type;
	return getBaseTypeAndTypmod(type, typmod);
}

/* ------------------------------------------------------------------ errors */

/*
 * Error context callback: which column was being read.  The argument points
 * to the pointer to its name, which is NULL while none is.
 */
void
ep_decode_context(void *arg)
{
	const char *const *name = arg;

	if (*name)
		errcontext("column \"%s\" of the remote result", *name);
}

static pg_noinline void
raise_malformed(const EpDecoder *d)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("malformed value of type %s from remote server", format_type_be(d->type))));
}

/* A row whose number of fields is not that of its description. */
void
ep_raise_field_count(int nfields, int ncols)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("remote server sent a row of %d fields, %d were described", nfields, ncols)));
}

/* ----------------------------------------------------------------- strings */

static text *
make_text(const char *data, int len)
{
	text	   *result;

	(void) pg_verifymbstr(data, len, false);
	result = palloc(len + VARHDRSZ);
	SET_VARSIZE(result, len + VARHDRSZ);
	memcpy(VARDATA(result), data, len);
	return result;
}

/* As varcharin(): too long is an error unless only blanks are lost. */
static Datum
decode_varchar(const EpDecoder *d, const char *data, int len)
{
	Datum		value = PointerGetDatum(make_text(data, len));

	/* no more bytes than characters are allowed: it fits */
	if (d->typmod < (int32) VARHDRSZ || len <= d->typmod - (int32) VARHDRSZ)
		return value;
	return DirectFunctionCall3(varchar, value, Int32GetDatum(d->typmod), BoolGetDatum(false));
}

static Datum
decode_bpchar(const EpDecoder *d, const char *data, int len)
{
	Datum		value = PointerGetDatum(make_text(data, len));

	if (d->typmod < (int32) VARHDRSZ)
		return value;
	return DirectFunctionCall3(bpchar, value, Int32GetDatum(d->typmod), BoolGetDatum(false));
}

static Datum
decode_name(const char *data, int len)
{
	Name		result;

	(void) pg_verifymbstr(data, len, false);
	if (len >= NAMEDATALEN)
		len = pg_mbcliplen(data, len, NAMEDATALEN - 1);
	result = palloc0(NAMEDATALEN);
	memcpy(NameStr(*result), data, len);
	return NameGetDatum(result);
}

/* ------------------------------------------------------------- other kinds */

static Datum
decode_input(EpDecoder *d, const char *data, int len)
{
	StringInfo	copy = &d->row->text;

	(void) pg_verifymbstr(data, len, false);
	resetStringInfo(copy);
	appendBinaryStringInfo(copy, data, len);
	return InputFunctionCall(&d->input, copy->data, d->ioparam, d->typmod);
}

/*
 * Through the type's receive function: those in the list read numbers and
 * bytes alone, with every read checked against the length.
 */
static Datum
decode_receive(EpDecoder *d, const char *data, int len)
{
	StringInfoData buf;
	Datum		value;

	buf.data = unconstify(char *, data);
	buf.len = len;
	buf.maxlen = 0;				/* read only */
	buf.cursor = 0;
	value = DirectFunctionCall3(d->receive, PointerGetDatum(&buf),
								ObjectIdGetDatum(d->ioparam), Int32GetDatum(d->typmod));
	if (buf.cursor != len)
		raise_malformed(d);
	return value;
}

/*
 * The remote sent another type than the column's, in binary: by way of its
 * text, as if it had come in that format.
 */
static Datum
decode_convert(EpDecoder *d, const char *data, int len)
{
	Datum		value = decode_value(d->inner, data, len);
	char	   *text = OutputFunctionCall(&d->output, value);

	return InputFunctionCall(&d->input, text, d->ioparam, d->typmod);
}

static Datum
decode_bytea(const char *data, int len)
{
	bytea	   *result = palloc(len + VARHDRSZ);

	SET_VARSIZE(result, len + VARHDRSZ);
	memcpy(VARDATA(result), data, len);
	return PointerGetDatum(result);
}

static Datum
decode_date(int32 date)
{
	/* the limits of date_recv() */
	if (!DATE_NOT_FINITE(date) && !IS_VALID_DATE(date))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date out of range")));
	return DateADTGetDatum(date);
}

static Datum
decode_timestamp(int64 timestamp)
{
	if (!TIMESTAMP_NOT_FINITE(timestamp) && !IS_VALID_TIMESTAMP(timestamp))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return TimestampGetDatum(timestamp);
}

/* ------------------------------------------------------------------ arrays */

typedef struct ArrayHead
{
	int			ndim;
	int			nitems;
	int			dims[MAXDIM];
	int			bounds[MAXDIM];
} ArrayHead;

/* An int32 at *p, which is moved on; malformed if the field ends before. */
static inline int32
next_int32(const EpDecoder *d, const char **p, const char *end)
{
	uint32		n;

	if (end - *p < (ptrdiff_t) sizeof(n))
		raise_malformed(d);
	memcpy(&n, *p, sizeof(n));
	*p += sizeof(n);
	return (int32) pg_ntoh32(n);
}

/* Everything before the elements.  Each element has at least its length word. */
static void
read_array_head(const EpDecoder *d, const char **p, const char *end, ArrayHead *head)
{
	int32		flags;

	head->ndim = next_int32(d, p, end);
	flags = next_int32(d, p, end);
	if (head->ndim < 0 || head->ndim > MAXDIM || (flags != 0 && flags != 1) ||
		(Oid) next_int32(d, p, end) != d->inner->type)
		raise_malformed(d);
	for (int i = 0; i < head->ndim; i++)
	{
		head->dims[i] = next_int32(d, p, end);
		head->bounds[i] = next_int32(d, p, end);
		if (head->dims[i] < 0)
			raise_malformed(d);
	}
	head->nitems = ArrayGetNItems(head->ndim, head->dims);
	ArrayCheckBounds(head->ndim, head->dims, head->bounds);
	if (head->nitems > (end - *p) / (ptrdiff_t) sizeof(int32))
		raise_malformed(d);
}

static Datum
decode_array(EpDecoder *d, const char *data, int len)
{
	const char *p = data;
	const char *end = data + len;
	ArrayHead	head;
	Datum	   *values;
	bool	   *nulls;

	read_array_head(d, &p, end, &head);
	values = palloc(Max(head.nitems, 1) * sizeof(Datum));
	nulls = palloc(Max(head.nitems, 1) * sizeof(bool));
	for (int i = 0; i < head.nitems; i++)
	{
		int32		size = next_int32(d, &p, end);

		nulls[i] = size == -1;
		values[i] = (Datum) 0;
		if (nulls[i])
			continue;
		if (size < 0 || size > end - p)
			raise_malformed(d);
		values[i] = decode_value(d->inner, p, size);
		p += size;
	}
	if (p != end)
		raise_malformed(d);
	if (head.nitems == 0)
		return PointerGetDatum(construct_empty_array(d->inner->type));
	return PointerGetDatum(construct_md_array(values, nulls, head.ndim, head.dims, head.bounds,
											  d->inner->type, d->elmlen, d->elmbyval, d->elmalign));
}

/* -------------------------------------------------------------- one value */

static inline uint16
get_uint16(const char *data)
{
	uint16		n;

	memcpy(&n, data, sizeof(n));
	return pg_ntoh16(n);
}

static inline uint32
get_uint32(const char *data)
{
	uint32		n;

	memcpy(&n, data, sizeof(n));
	return pg_ntoh32(n);
}

static inline uint64
get_uint64(const char *data)
{
	uint64		n;

	memcpy(&n, data, sizeof(n));
	return pg_ntoh64(n);
}

static inline Datum
float4_datum(uint32 bits)
{
	float4		f;

	memcpy(&f, &bits, sizeof(f));
	return Float4GetDatum(f);
}

static inline Datum
float8_datum(uint64 bits)
{
	float8		f;

	memcpy(&f, &bits, sizeof(f));
	return Float8GetDatum(f);
}

/* The length that a kind of fixed size must have; 0: any. */
static const uint8 fixed_size[] = {
	[EP_DECODE_BOOL] = 1,
	[EP_DECODE_CHAR] = 1,
	[EP_DECODE_INT2] = 2,
	[EP_DECODE_INT4] = 4,
	[EP_DECODE_INT8] = 8,
	[EP_DECODE_OID] = 4,
	[EP_DECODE_FLOAT4] = 4,
	[EP_DECODE_FLOAT8] = 8,
	[EP_DECODE_DATE] = 4,
	[EP_DECODE_TIMESTAMP] = 8,
	[EP_DECODE_UUID] = UUID_LEN,
	[EP_DECODE_BYTEA] = 0
};

/*
 * A value that is not null.  It is built in the current memory context, or
 * points into the field (uuid), so it is good until the next row.
 */
static inline Datum
decode_inline(EpDecoder *d, const char *data, int len)
{
	if (fixed_size[d->kind] != 0 && len != fixed_size[d->kind])
		raise_malformed(d);
	switch (d->kind)
	{
		case EP_DECODE_INPUT:
			return decode_input(d, data, len);
		case EP_DECODE_CONVERT:
			return decode_convert(d, data, len);
		case EP_DECODE_RECEIVE:
			return decode_receive(d, data, len);
		case EP_DECODE_ARRAY:
			return decode_array(d, data, len);
		case EP_DECODE_TEXT:
			return PointerGetDatum(make_text(data, len));
		case EP_DECODE_VARCHAR:
			return decode_varchar(d, data, len);
		case EP_DECODE_BPCHAR:
			return decode_bpchar(d, data, len);
		case EP_DECODE_NAME:
			return decode_name(data, len);
		case EP_DECODE_BOOL:
			return BoolGetDatum(*data != 0);
		case EP_DECODE_CHAR:
			return CharGetDatum(*data);
		case EP_DECODE_INT2:
			return Int16GetDatum((int16) get_uint16(data));
		case EP_DECODE_INT4:
			return Int32GetDatum((int32) get_uint32(data));
		case EP_DECODE_INT8:
			return Int64GetDatum((int64) get_uint64(data));
		case EP_DECODE_OID:
			return ObjectIdGetDatum(get_uint32(data));
		case EP_DECODE_FLOAT4:
			return float4_datum(get_uint32(data));
		case EP_DECODE_FLOAT8:
			return float8_datum(get_uint64(data));
		case EP_DECODE_DATE:
			return decode_date((int32) get_uint32(data));
		case EP_DECODE_TIMESTAMP:
			return decode_timestamp((int64) get_uint64(data));
		case EP_DECODE_UUID:
			return PointerGetDatum(data);
		case EP_DECODE_BYTEA:
			return decode_bytea(data, len);
	}
	pg_unreachable();
}

/* The same, for elements and inner values. */
static Datum
decode_value(EpDecoder *d, const char *data, int len)
{
	return decode_inline(d, data, len);
}

/*
 * All values of a row, each at the attno of its column; other places of
 * values and nulls are left alone.  They are built in the current memory
 * context or point into the fields.  Raises 08P01 for what is malformed, and
 * whatever the types' functions and domains' constraints say, with the column
 * in the context.
 */
void
ep_decode_row(EpRowDecoder *row, int nfields, const EpField *fields, Datum *values, bool *nulls)
{
	ErrorContextCallback callback;

	if (unlikely(nfields != row->ncols))
		ep_raise_field_count(nfields, row->ncols);
	callback.callback = ep_decode_context;
	callback.arg = &row->current;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	for (int i = 0; i < nfields; i++)
	{
		EpDecoder  *d = &row->cols[i];
		int			attno = d->attno;

		row->current = d->name;
		nulls[attno] = fields[i].len < 0;
		values[attno] = nulls[attno] ? (Datum) 0 : decode_inline(d, fields[i].data, fields[i].len);
		if (unlikely(OidIsValid(d->domain)))
			domain_check(values[attno], nulls[attno], d->domain, &d->domain_extra, row->context);
	}
	row->current = NULL;
	error_context_stack = callback.previous;
}

/* ------------------------------------------------------------ construction */

/*
 * Room for the decoders of ncols columns, each to be set up with
 * ep_row_decoder_column().  All that they keep lives in context.
 */
EpRowDecoder *
ep_row_decoder_create(int ncols, MemoryContext context)
{
	EpRowDecoder *row;

	row = MemoryContextAllocZero(context, offsetof(EpRowDecoder, cols) + ncols * sizeof(EpDecoder));
	row->context = context;
	row->ncols = ncols;
	return row;
}

static void
set_input(EpDecoder *d)
{
	EpRowDecoder *row = d->row;
	Oid			function;

	if (row->text.data == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(row->context);

		initStringInfo(&row->text);
		MemoryContextSwitchTo(caller);
	}
	row->uses_text = true;
	getTypeInputInfo(d->type, &function, &d->ioparam);
	fmgr_info_cxt(function, &d->input, row->context);
}

static EpDecoder *
make_inner(const EpDecoder *outer, Oid type, int32 typmod)
{
	EpDecoder  *inner = MemoryContextAllocZero(outer->row->context, sizeof(EpDecoder));

	inner->type = type;
	inner->typmod = typmod;
	inner->row = outer->row;
	inner->name = outer->name;
	return inner;
}

/* d->type comes in binary. */
static void
set_binary(EpDecoder *d)
{
	BinaryType	how;

	if (!scalar_binary(d->type, &how))
	{
		Oid			element = array_element(d->type);

		d->kind = EP_DECODE_ARRAY;
		d->inner = make_inner(d, element, d->typmod);
		set_binary(d->inner);
		get_typlenbyvalalign(element, &d->elmlen, &d->elmbyval, &d->elmalign);
		return;
	}
	d->kind = how.kind;
	d->receive = how.receive;
	/* rounding to a precision is the receive function's */
	if (how.kind == EP_DECODE_TIMESTAMP && d->typmod >= 0)
	{
		d->kind = EP_DECODE_RECEIVE;
		d->receive = d->type == TIMESTAMPOID ? timestamp_recv : timestamptz_recv;
	}
	if (d->kind == EP_DECODE_INPUT)
		set_input(d);
}

/* Strings are the same bytes in both formats; true if d->type is one. */
static bool
set_string(EpDecoder *d)
{
	BinaryType	how;

	if (!scalar_binary(d->type, &how) || how.kind < EP_DECODE_TEXT || how.kind > EP_DECODE_NAME)
		return false;
	d->kind = how.kind;
	return true;
}

static bool
binary_is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID ||
		type == JSONOID;
}

static void
set_convert(EpDecoder *d, Oid remote)
{
	Oid			output;
	bool		varlena;

	d->kind = EP_DECODE_CONVERT;
	d->inner = make_inner(d, remote, -1);
	set_binary(d->inner);
	getTypeOutputInfo(remote, &output, &varlena);
	fmgr_info_cxt(output, &d->output, d->row->context);
	set_input(d);
}

/*
 * Sets up column number col (from 0), which comes as *column says, for a
 * local type and typmod, its value to go to place attno (from 0).  name must
 * live as long as the decoder.  Raises 08P01 if the remote sends a binary
 * form that was not asked for.
 */
void
ep_row_decoder_column(EpRowDecoder *row, int col, const EpColumn *column,
					  Oid type, int32 typmod, int attno, const char *name)
{
	EpDecoder  *d = &row->cols[col];

	d->row = row;
	d->attno = attno;
	d->name = name;
	d->typmod = typmod;
	d->type = ep_decode_base(type, &d->typmod);
	if (d->type != type)
		d->domain = type;
	if (column->format != 0 && !ep_binary_type(column->type))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("remote server sent column \"%s\" in an unexpected format", name)));
	if (column->format == 0 || binary_is_text(column->type))
	{
		if (set_string(d))
			return;
		d->kind = EP_DECODE_INPUT;
		set_input(d);
	}
	else if (column->type == d->type)
		set_binary(d);
	else
		set_convert(d, column->type);
}
