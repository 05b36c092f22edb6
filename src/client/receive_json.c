/*-------------------------------------------------------------------------
 *
 * receive_json.c
 *		The receiver that makes one jsonb object of each row.
 *
 * Everything comes in text format.  Numbers, booleans and json become what
 * they are in JSON; any other value becomes a string, the text that the
 * remote sent, arrays and timestamps included.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "client/decode.h"
#include "client/receive.h"

typedef enum JsonKind
{
	JSON_AS_STRING,
	JSON_AS_NUMBER,
	JSON_AS_BOOL,
	JSON_AS_JSON
} JsonKind;

typedef struct JsonColumn
{
	JsonKind	kind;
	char	   *name;
	int			name_len;
} JsonColumn;

typedef struct JsonReceiver
{
	EpReceiver	pub;
	MemoryContext context;		/* of this and of the columns */
	MemoryContext row_context;	/* emptied after each row */
	Tuplestorestate *store;		/* NULL: rows are kept in the array below */
	TupleDesc	desc;			/* one column of type jsonb */
	bool		no_data;		/* the statement returned no rows */
	Jsonb	  **objects;
	int			nobjects;
	int			max_objects;
	int			ncols;
	JsonColumn *cols;
	StringInfoData text;		/* NUL-terminated copy of the field being read */
	const char *current;		/* for the context of errors */
} JsonReceiver;

/* ------------------------------------------------------------- description */

static JsonKind
kind_of(Oid type)
{
	switch (type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			return JSON_AS_NUMBER;
		case BOOLOID:
			return JSON_AS_BOOL;
		case JSONOID:
		case JSONBOID:
			return JSON_AS_JSON;
		default:
			return JSON_AS_STRING;
	}
}

/* An object would keep the last of several members with one name. */
static void
check_distinct(const JsonColumn *cols, int ncols)
{
	for (int i = 1; i < ncols; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < i; j++)
		{
			if (cols[i].name_len == cols[j].name_len && strcmp(cols[i].name, cols[j].name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" is more than once in the remote result", cols[i].name),
						 errhint("Give each column a name of its own in the remote statement.")));
		}
	}
}

static void
describe_json(EpReceiver *self, const EpRowDesc *desc, bool no_data)
{
	JsonReceiver *r = (JsonReceiver *) self;
	MemoryContext caller;

	r->no_data = no_data;
	if (no_data)
		return;
	caller = MemoryContextSwitchTo(r->context);
	r->ncols = desc->ncols;
	r->cols = palloc(Max(r->ncols, 1) * sizeof(JsonColumn));
	for (int i = 0; i < r->ncols; i++)
	{
		const EpColumn *column = &desc->cols[i];
		JsonColumn *col = &r->cols[i];

		if (column->format != 0)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("remote server sent a column in an unexpected format")));
		col->kind = kind_of(column->type);
		col->name_len = strlen(column->name);
		col->name = pnstrdup(column->name, col->name_len);
	}
	check_distinct(r->cols, r->ncols);
	MemoryContextSwitchTo(caller);
}

/* ------------------------------------------------------------------- values */

static void
set_string(JsonbValue *value, const char *data, int len)
{
	value->type = jbvString;
	value->val.string.val = unconstify(char *, data);
	value->val.string.len = len;
}

/* NaN and the infinities are no JSON numbers. */
static void
set_number(JsonReceiver *r, JsonbValue *value, const char *data, int len)
{
	Numeric		number;

	number = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(r->text.data),
												 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (numeric_is_nan(number) || numeric_is_inf(number))
	{
		set_string(value, data, len);
		return;
	}
	value->type = jbvNumeric;
	value->val.numeric = number;
}

static void
set_bool(JsonbValue *value, const char *data, int len)
{
	if (len != 1 || (*data != 't' && *data != 'f'))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("malformed value of type boolean from remote server")));
	value->type = jbvBool;
	value->val.boolean = *data == 't';
}

static void
set_json(JsonReceiver *r, JsonbValue *value)
{
	Jsonb	   *json = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(r->text.data)));

	if (JB_ROOT_IS_SCALAR(json))
	{
		(void) JsonbExtractScalar(&json->root, value);
		return;
	}
	value->type = jbvBinary;
	value->val.binary.data = &json->root;
	value->val.binary.len = VARSIZE(json) - VARHDRSZ;
}

/* *value then points into the field or the current memory context. */
static void
set_value(JsonReceiver *r, JsonKind kind, JsonbValue *value, const EpField *field)
{
	if (field->len < 0)
	{
		value->type = jbvNull;
		return;
	}
	(void) pg_verifymbstr(field->data, field->len, false);
	if (kind == JSON_AS_NUMBER || kind == JSON_AS_JSON)
	{
		resetStringInfo(&r->text);
		appendBinaryStringInfo(&r->text, field->data, field->len);
	}
	switch (kind)
	{
		case JSON_AS_STRING:
			set_string(value, field->data, field->len);
			break;
		case JSON_AS_NUMBER:
			set_number(r, value, field->data, field->len);
			break;
		case JSON_AS_BOOL:
			set_bool(value, field->data, field->len);
			break;
		case JSON_AS_JSON:
			set_json(r, value);
			break;
	}
}

/* -------------------------------------------------------------------- rows */

static Jsonb *
make_object(JsonReceiver *r, const EpField *fields)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < r->ncols; i++)
	{
		JsonColumn *col = &r->cols[i];

		r->current = col->name;
		set_string(&value, col->name, col->name_len);
		(void) pushJsonbValue(&state, WJB_KEY, &value);
		set_value(r, col->kind, &value, &fields[i]);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	r->current = NULL;
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* Keep a copy of an object, for an array. */
static void
keep_object(JsonReceiver *r, const Jsonb *object)
{
	Jsonb	   *copy = MemoryContextAlloc(r->context, VARSIZE(object));

	memcpy(copy, object, VARSIZE(object));
	if (r->nobjects >= r->max_objects)
	{
		r->max_objects = Max(r->max_objects * 2, 16);
		if (r->objects == NULL)
			r->objects = MemoryContextAlloc(r->context, r->max_objects * sizeof(Jsonb *));
		else
			r->objects = repalloc_huge(r->objects, r->max_objects * sizeof(Jsonb *));
	}
	r->objects[r->nobjects++] = copy;
}

static void
store_json(EpReceiver *self, int nfields, const EpField *fields)
{
	JsonReceiver *r = (JsonReceiver *) self;
	ErrorContextCallback callback;
	MemoryContext caller;
	Jsonb	   *object;

	if (unlikely(nfields != r->ncols))
		ep_raise_field_count(nfields, r->ncols);
	callback.callback = ep_decode_context;
	callback.arg = &r->current;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	caller = MemoryContextSwitchTo(r->row_context);
	object = make_object(r, fields);
	if (r->store)
	{
		Datum		value = JsonbPGetDatum(object);
		bool		isnull = false;

		tuplestore_putvalues(r->store, r->desc, &value, &isnull);
	}
	else
		keep_object(r, object);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(r->row_context);
	error_context_stack = callback.previous;
}

/*
 * A receiver that puts one jsonb object a row into store, whose rows desc
 * describes: one column of type jsonb.  Columns of the same name are 42701.
 * A statement that returns no rows is no error.
 *
 * The receiver lives in the current memory context; store and desc stay the
 * caller's.
 */
EpReceiver *
ep_receive_json(Tuplestorestate *store, TupleDesc desc)
{
	JsonReceiver *r = palloc0(sizeof(JsonReceiver));

	r->context = CurrentMemoryContext;
	r->row_context = AllocSetContextCreate(CurrentMemoryContext, "enhanced_pool json row",
										   ALLOCSET_DEFAULT_SIZES);
	r->store = store;
	r->desc = desc;
	initStringInfo(&r->text);
	r->pub.choose_formats = NULL;
	r->pub.describe = describe_json;
	r->pub.row = store_json;
	return &r->pub;
}

/*
 * A receiver that keeps one jsonb object a row, for ep_receive_json_rows.  Its
 * callbacks call no code of users and read no catalog.
 */
EpReceiver *
ep_receive_json_array(void)
{
	return ep_receive_json(NULL, NULL);
}

/*
 * What ep_receive_json_array's receiver has got, as a jsonb array in the
 * current memory context; NULL if the statement was none that returns rows.
 */
Jsonb *
ep_receive_json_rows(EpReceiver *receiver)
{
	JsonReceiver *r = (JsonReceiver *) receiver;
	JsonbParseState *state = NULL;
	JsonbValue	value;

	if (r->no_data || r->cols == NULL)
		return NULL;
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < r->nobjects; i++)
	{
		value.type = jbvBinary;
		value.val.binary.data = &r->objects[i]->root;
		value.val.binary.len = VARSIZE(r->objects[i]) - VARHDRSZ;
		(void) pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}
