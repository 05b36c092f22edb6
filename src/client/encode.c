/*-------------------------------------------------------------------------
 *
 * encode.c
 *		Local rows in the formats of COPY, in the local server's encoding.
 *
 * PostgreSQL's own COPY TO, and the send functions of strings, convert to the
 * encoding of the local client, which has nothing to do with the remote: it was
 * told that ours is the server's.  So strings go as the bytes that they are, in
 * both formats.  Binary is written by hand for types of a fixed size and for
 * arrays, and by the type's send function for others of the list in decode.c,
 * whose form has no strings in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "client/copy.h"
#include "client/decode.h"
#include "client/params.h"
#include "compat.h"

typedef enum EncodeKind
{
	ENCODE_STRING,				/* text: the bytes of a text, varchar, char(n) */
	ENCODE_OUTPUT,				/* text: through the output function */
	ENCODE_BYTES,				/* binary from here on: the bytes of a varlena */
	ENCODE_NAME,
	ENCODE_INT8,				/* one byte */
	ENCODE_INT16,
	ENCODE_INT32,
	ENCODE_INT64,
	ENCODE_FLOAT4,
	ENCODE_FLOAT8,
	ENCODE_UUID,
	ENCODE_ARRAY,
	ENCODE_SEND					/* through the send function */
} EncodeKind;

typedef struct Encoder
{
	EncodeKind	kind;
	FmgrInfo	function;		/* OUTPUT, SEND */
	struct Encoder *element;	/* ARRAY; and of its elements: */
	Oid			type;
	int16		typlen;
	bool		typbyval;
	char		typalign;
} Encoder;

struct EpRowEncoder
{
	bool		binary;
	bool		any_output;		/* see ep_text_modes_begin() */
	bool		any_names;
	int			ncols;
	MemoryContext row_context;	/* emptied after each row */
	Encoder		cols[FLEXIBLE_ARRAY_MEMBER];
};

/* ------------------------------------------------------------------- types */

static void
plan_text(EpRowEncoder *row, Encoder *e, Oid type)
{
	Oid			output;
	bool		varlena;

	if (type == TEXTOID || type == VARCHAROID || type == BPCHAROID)
	{
		e->kind = ENCODE_STRING;
		return;
	}
	e->kind = ENCODE_OUTPUT;
	getTypeOutputInfo(type, &output, &varlena);
	fmgr_info(output, &e->function);
	row->any_output = true;
	row->any_names |= ep_type_prints_names(type);
}

/* A type of which ep_binary_type() is true. */
static void
plan_binary(Encoder *e, Oid type)
{
	Oid			element = get_element_type(type);
	Oid			send;
	bool		varlena;

	e->type = type;
	if (OidIsValid(element))
	{
		e->kind = ENCODE_ARRAY;
		e->element = palloc0(sizeof(Encoder));
		plan_binary(e->element, element);
		get_typlenbyvalalign(element, &e->element->typlen, &e->element->typbyval, &e->element->typalign);
		return;
	}
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case BYTEAOID:
		case JSONOID:
			e->kind = ENCODE_BYTES;
			break;
		case NAMEOID:
			e->kind = ENCODE_NAME;
			break;
		case BOOLOID:
		case CHAROID:
			e->kind = ENCODE_INT8;
			break;
		case INT2OID:
			e->kind = ENCODE_INT16;
			break;
		case INT4OID:
		case OIDOID:
		case DATEOID:
			e->kind = ENCODE_INT32;
			break;
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			e->kind = ENCODE_INT64;
			break;
		case FLOAT4OID:
			e->kind = ENCODE_FLOAT4;
			break;
		case FLOAT8OID:
			e->kind = ENCODE_FLOAT8;
			break;
		case UUIDOID:
			e->kind = ENCODE_UUID;
			break;
		default:
			e->kind = ENCODE_SEND;
			getTypeBinaryOutputInfo(type, &send, &varlena);
			fmgr_info(send, &e->function);
			break;
	}
}

/*
 * An encoder for rows of that description, in the current memory context.
 * binary: ep_copy_binary_type() is true of each column's type below domains.
 */
EpRowEncoder *
ep_row_encoder_create(TupleDesc desc, bool binary)
{
	EpRowEncoder *row = palloc0(offsetof(EpRowEncoder, cols) + desc->natts * sizeof(Encoder));

	row->binary = binary;
	row->ncols = desc->natts;
	row->row_context = AllocSetContextCreate(CurrentMemoryContext, "enhanced_pool copy row", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			type = getBaseType(TupleDescAttr(desc, i)->atttypid);

		if (binary)
			plan_binary(&row->cols[i], type);
		else
			plan_text(row, &row->cols[i], type);
	}
	return row;
}

/* -------------------------------------------------------------- text format */

/* As COPY writes it with its usual delimiter. */
static void
put_escaped(StringInfo out, const char *text, int len)
{
	const char *end = text + len;
	const char *from = text;

	for (const char *p = text; p < end; p++)
	{
		char		escape[2] = {'\\', *p};

		/* no byte of a character of several bytes is one of these */
		switch (*p)
		{
			case '\\':
				break;
			case '\b':
				escape[1] = 'b';
				break;
			case '\f':
				escape[1] = 'f';
				break;
			case '\n':
				escape[1] = 'n';
				break;
			case '\r':
				escape[1] = 'r';
				break;
			case '\t':
				escape[1] = 't';
				break;
			case '\v':
				escape[1] = 'v';
				break;
			default:
				continue;
		}
		appendBinaryStringInfo(out, from, p - from);
		appendBinaryStringInfo(out, escape, sizeof(escape));
		from = p + 1;
	}
	appendBinaryStringInfo(out, from, end - from);
}

static void
put_text(StringInfo out, Encoder *e, Datum value)
{
	if (e->kind == ENCODE_STRING)
	{
		struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

		put_escaped(out, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
	}
	else
	{
		char	   *text = OutputFunctionCall(&e->function, value);

		put_escaped(out, text, strlen(text));
	}
}

static void
put_text_row(EpRowEncoder *row, TupleTableSlot *slot, StringInfo out)
{
	for (int i = 0; i < row->ncols; i++)
	{
		if (i > 0)
			appendStringInfoCharMacro(out, '\t');
		if (slot->tts_isnull[i])
			appendBinaryStringInfo(out, "\\N", 2);
		else
			put_text(out, &row->cols[i], slot->tts_values[i]);
	}
	appendStringInfoCharMacro(out, '\n');
}

/* ------------------------------------------------------------ binary format */

static inline void
put_int16(StringInfo out, uint16 n)
{
	n = pg_hton16(n);
	appendBinaryStringInfo(out, (char *) &n, sizeof(n));
}

static inline void
put_int32(StringInfo out, uint32 n)
{
	n = pg_hton32(n);
	appendBinaryStringInfo(out, (char *) &n, sizeof(n));
}

/* A value's length and its bytes. */
static inline void
put_sized(StringInfo out, const void *data, int len)
{
	put_int32(out, (uint32) len);
	appendBinaryStringInfo(out, data, len);
}

static void
put_fixed32(StringInfo out, uint32 n)
{
	n = pg_hton32(n);
	put_sized(out, &n, sizeof(n));
}

static void
put_fixed64(StringInfo out, uint64 n)
{
	n = pg_hton64(n);
	put_sized(out, &n, sizeof(n));
}

static void
put_float4(StringInfo out, float4 value)
{
	uint32		n;

	memcpy(&n, &value, sizeof(n));
	put_fixed32(out, n);
}

static void
put_float8(StringInfo out, float8 value)
{
	uint64		n;

	memcpy(&n, &value, sizeof(n));
	put_fixed64(out, n);
}

static void
put_varlena(StringInfo out, struct varlena *v)
{
	put_sized(out, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static void put_array(StringInfo out, Encoder *element, ArrayType *array);

static void
put_binary(StringInfo out, Encoder *e, Datum value)
{
	char		byte;
	uint16		n16;

	switch (e->kind)
	{
		case ENCODE_BYTES:
			put_varlena(out, PG_DETOAST_DATUM_PACKED(value));
			break;
		case ENCODE_NAME:
			put_sized(out, NameStr(*DatumGetName(value)), strlen(NameStr(*DatumGetName(value))));
			break;
		case ENCODE_INT8:
			byte = DatumGetChar(value);
			put_sized(out, &byte, sizeof(byte));
			break;
		case ENCODE_INT16:
			n16 = pg_hton16((uint16) DatumGetInt16(value));
			put_sized(out, &n16, sizeof(n16));
			break;
		case ENCODE_INT32:
			put_fixed32(out, (uint32) DatumGetInt32(value));
			break;
		case ENCODE_INT64:
			put_fixed64(out, (uint64) DatumGetInt64(value));
			break;
		case ENCODE_FLOAT4:
			put_float4(out, DatumGetFloat4(value));
			break;
		case ENCODE_FLOAT8:
			put_float8(out, DatumGetFloat8(value));
			break;
		case ENCODE_UUID:
			put_sized(out, DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case ENCODE_ARRAY:
			put_array(out, e->element, DatumGetArrayTypeP(value));
			break;
		default:
			put_varlena(out, (struct varlena *) SendFunctionCall(&e->function, value));
			break;
	}
}

/* As array_send(), but for strings. */
static void
put_array(StringInfo out, Encoder *element, ArrayType *array)
{
	int			ndim = ARR_NDIM(array);
	int			length = out->len;
	uint32		size;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	put_int32(out, 0);
	put_int32(out, (uint32) ndim);
	put_int32(out, ARR_HASNULL(array) ? 1 : 0);
	put_int32(out, element->type);
	for (int i = 0; i < ndim; i++)
	{
		put_int32(out, (uint32) ARR_DIMS(array)[i]);
		put_int32(out, (uint32) ARR_LBOUND(array)[i]);
	}
	deconstruct_array(array, element->type, element->typlen, element->typbyval, element->typalign,
					  &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			put_int32(out, PG_UINT32_MAX);
		else
			put_binary(out, element, values[i]);
	}
	size = pg_hton32((uint32) (out->len - length - sizeof(size)));
	memcpy(out->data + length, &size, sizeof(size));
}

static void
put_binary_row(EpRowEncoder *row, TupleTableSlot *slot, StringInfo out)
{
	put_int16(out, (uint16) row->ncols);
	for (int i = 0; i < row->ncols; i++)
	{
		if (slot->tts_isnull[i])
			put_int32(out, PG_UINT32_MAX);
		else
			put_binary(out, &row->cols[i], slot->tts_values[i]);
	}
}

/* ----------------------------------------------------------- what others call */

/* What comes before the first row. */
void
ep_encode_begin(EpRowEncoder *row, StringInfo out)
{
	static const char header[19] = "PGCOPY\n\377\r\n\0";	/* no flags, no extension */

	if (row->binary)
		appendBinaryStringInfo(out, header, sizeof(header));
}

/* Append a row.  Raises what output functions raise, and 54000 for one that is too long. */
void
ep_encode_row(EpRowEncoder *row, TupleTableSlot *slot, StringInfo out)
{
	MemoryContext caller = MemoryContextSwitchTo(row->row_context);

	slot_getallattrs(slot);
	if (row->binary)
		put_binary_row(row, slot, out);
	else
	{
		/* the settings of the session hold while the query computes the row */
		int			nest_level = row->any_output ? ep_text_modes_begin(row->any_names) : 0;

		put_text_row(row, slot, out);
		ep_text_modes_end(nest_level);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(row->row_context);
}

/* What comes after the last row. */
void
ep_encode_end(EpRowEncoder *row, StringInfo out)
{
	if (row->binary)
		put_int16(out, PG_UINT16_MAX);
}
