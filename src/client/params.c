/*-------------------------------------------------------------------------
 *
 * params.c
 *		From the arguments of a SQL function to the parameters of a remote
 *		statement.
 *
 * Types of a fixed size go in binary, built by hand in network order; strings
 * go as the bytes that they are; all others through their output function.
 * None of it converts an encoding: the remote is told to use the encoding of
 * the local server, not that of the local client.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "client/params.h"
#include "compat.h"

/* Most parameters that a Bind message can carry. */
#define MAX_PARAMS	65535

/* Room for one value of fixed size in network order. */
typedef union Scratch
{
	uint8		u8;
	uint16		u16;
	uint32		u32;
	uint64		u64;
} Scratch;

typedef enum SendKind
{
	SEND_VARLENA_TEXT,			/* the bytes of a text, varchar, char(n) */
	SEND_NAME,
	SEND_CSTRING,				/* unknown */
	SEND_BOOL,
	SEND_INT16,
	SEND_INT32,					/* int4, oid, date */
	SEND_INT64,					/* int8, timestamps */
	SEND_FLOAT4,
	SEND_FLOAT8,
	SEND_UUID,
	SEND_BYTEA,
	SEND_OUTPUT					/* text, through the type's output function */
} SendKind;

/* How values of one type are sent. */
typedef struct EpParamPlan
{
	Oid			type;			/* of the argument, or of the array's elements */
	Oid			wire_type;		/* 0: the remote infers it */
	SendKind	kind;
	int16		typlen;			/* these three for elements of an array alone */
	bool		typbyval;
	char		typalign;
	FmgrInfo	output;			/* SEND_OUTPUT */
} ParamPlan;

static EpParams no_params;

/* -------------------------------------------------------------- call site */

/* What this call site keeps, made at its first call; lives as long as flinfo. */
EpCallSite *
ep_call_site(FunctionCallInfo fcinfo)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;

	if (flinfo->fn_extra == NULL)
		flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(EpCallSite));
	return flinfo->fn_extra;
}

/*
 * The type of an argument: that of the expression, or, called without one
 * (fast-path protocol), the declared one.
 */
Oid
ep_call_argtype(FunctionCallInfo fcinfo, int arg)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, arg);

	if (!OidIsValid(type))
	{
		Oid		   *declared;
		int			nargs;

		(void) get_func_signature(fcinfo->flinfo->fn_oid, &declared, &nargs);
		if (arg < nargs)
			type = declared[arg];
		pfree(declared);
	}
	return type;
}

/* Is the argument at first an array whose elements are the parameters? */
static bool
elements_are_params(FunctionCallInfo fcinfo, int first)
{
	if (fcinfo->flinfo->fn_expr)
		return get_fn_expr_variadic(fcinfo->flinfo);
	return PG_NARGS() == first + 1 &&
		OidIsValid(get_base_element_type(ep_call_argtype(fcinfo, first)));
}

/* --------------------------------------------------------------- text form */

static void
set_for_nest_level(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Makes the text forms of values independent of the session's settings, as
 * the remote writes and reads them; names: also print names of objects with
 * their schema.  Returns what ep_text_modes_end() takes: 0, without having
 * done anything, when the settings are right already.  After an error the end
 * of the (sub)transaction restores them.
 */
int
ep_text_modes_begin(bool names)
{
	int			nest_level;

	/* every positive extra_float_digits prints the shortest exact form */
	if (likely(DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES &&
			   extra_float_digits > 0 && !names))
		return 0;
	nest_level = NewGUCNestLevel();
	if (DateStyle != USE_ISO_DATES)
		set_for_nest_level("datestyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		set_for_nest_level("intervalstyle", "postgres");
	if (extra_float_digits <= 0)
		set_for_nest_level("extra_float_digits", "3");
	if (names)
		set_for_nest_level("search_path", "pg_catalog");
	return nest_level;
}

void
ep_text_modes_end(int nest_level)
{
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
}

/* ------------------------------------------------------------------- plans */

/* Is a value's text a name that search_path shortens, or an array of such? */
bool
ep_type_prints_names(Oid type)
{
	Oid			element = get_element_type(type);

	switch (OidIsValid(element) ? element : type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return false;
	}
}

/*
 * May the remote be told this type?  Only types with an oid fixed for all
 * servers; a row type is not the same in every version.
 */
static bool
known_everywhere(Oid type)
{
	char		typtype;

	if (type >= FirstGenbkiObjectId)
		return false;
	typtype = get_typtype(type);
	return typtype == TYPTYPE_BASE || typtype == TYPTYPE_RANGE || typtype == TYPTYPE_MULTIRANGE;
}

static void
plan_output(EpCallSite *site, ParamPlan *plan, Oid base, MemoryContext context)
{
	Oid			output;
	bool		varlena;

	plan->kind = SEND_OUTPUT;
	plan->wire_type = known_everywhere(base) ? base : InvalidOid;
	getTypeOutputInfo(base, &output, &varlena);
	fmgr_info_cxt(output, &plan->output, context);
	site->any_output = true;
	if (ep_type_prints_names(base))
		site->any_names = true;
}

static void
plan_type(EpCallSite *site, ParamPlan *plan, Oid type, MemoryContext context)
{
	Oid			base = type < FirstGenbkiObjectId ? type : getBaseType(type);

	plan->type = type;
	plan->wire_type = base;
	switch (base)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			plan->kind = SEND_VARLENA_TEXT;
			plan->wire_type = InvalidOid;
			break;
		case NAMEOID:
			plan->kind = SEND_NAME;
			plan->wire_type = InvalidOid;
			break;
		case UNKNOWNOID:
			plan->kind = SEND_CSTRING;
			plan->wire_type = InvalidOid;
			break;
		case BOOLOID:
			plan->kind = SEND_BOOL;
			break;
		case INT2OID:
			plan->kind = SEND_INT16;
			break;
		case INT4OID:
		case OIDOID:
		case DATEOID:
			plan->kind = SEND_INT32;
			break;
		case INT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			plan->kind = SEND_INT64;
			break;
		case FLOAT4OID:
			plan->kind = SEND_FLOAT4;
			break;
		case FLOAT8OID:
			plan->kind = SEND_FLOAT8;
			break;
		case UUIDOID:
			plan->kind = SEND_UUID;
			break;
		case BYTEAOID:
			plan->kind = SEND_BYTEA;
			break;
		default:
			plan_output(site, plan, base, context);
			break;
	}
}

/* One plan for each of n arguments; the types of a call site never change. */
static void
plan_arguments(FunctionCallInfo fcinfo, EpCallSite *site, int first, int n)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	ParamPlan  *plans;

	if (site->nplans == n)
		return;
	plans = MemoryContextAllocZero(context, n * sizeof(ParamPlan));
	for (int i = 0; i < n; i++)
	{
		Oid			type = ep_call_argtype(fcinfo, first + i);

		if (!OidIsValid(type) || type == ANYOID)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine data type of parameter %d", i + 1)));
		plan_type(site, &plans[i], type, context);
	}
	site->plans = plans;
	site->nplans = n;
}

/* The one plan for the elements of an array. */
static ParamPlan *
plan_elements(FunctionCallInfo fcinfo, EpCallSite *site, Oid element)
{
	ParamPlan  *plan = site->plans;

	if (plan && plan->type == element)
		return plan;
	site->plans = NULL;
	site->nplans = 0;
	site->any_output = site->any_names = false;
	plan = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(ParamPlan));
	plan_type(site, plan, element, fcinfo->flinfo->fn_mcxt);
	get_typlenbyvalalign(element, &plan->typlen, &plan->typbyval, &plan->typalign);
	site->plans = plan;
	site->nplans = 1;
	return plan;
}

/* ------------------------------------------------------------------ values */

/* Room for n parameters in one piece of the current memory context. */
static EpParams *
make_params(int n, Scratch **scratch)
{
	Size		fixed = MAXALIGN(sizeof(EpParams));
	Size		each = sizeof(char *) + sizeof(Scratch) + sizeof(Oid) + sizeof(int) + sizeof(int16);
	char	   *p = palloc(fixed + n * each);
	EpParams   *params = (EpParams *) p;

	/* the widest first, so that each array is aligned */
	p += fixed;
	*scratch = (Scratch *) p;
	p += n * sizeof(Scratch);
	params->values = (const char **) p;
	p += n * sizeof(char *);
	params->types = (Oid *) p;
	p += n * sizeof(Oid);
	params->lengths = (int *) p;
	p += n * sizeof(int);
	params->formats = (int16 *) p;
	params->n = n;
	return params;
}

static inline void
put_bytes(EpParams *params, int i, int format, const void *data, int len)
{
	params->formats[i] = format;
	params->values[i] = data;
	params->lengths[i] = len;
}

static void
put_varlena(EpParams *params, int i, int format, Datum value)
{
	struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

	put_bytes(params, i, format, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static void
put_string(EpParams *params, int i, const char *text)
{
	put_bytes(params, i, 0, text, strlen(text));
}

static void
put_float4(EpParams *params, int i, Scratch *scratch, float4 value)
{
	memcpy(&scratch->u32, &value, sizeof(uint32));
	scratch->u32 = pg_hton32(scratch->u32);
	put_bytes(params, i, 1, scratch, sizeof(uint32));
}

static void
put_float8(EpParams *params, int i, Scratch *scratch, float8 value)
{
	memcpy(&scratch->u64, &value, sizeof(uint64));
	scratch->u64 = pg_hton64(scratch->u64);
	put_bytes(params, i, 1, scratch, sizeof(uint64));
}

static void
put_value(EpParams *params, int i, ParamPlan *plan, Scratch *scratch, Datum value)
{
	switch (plan->kind)
	{
		case SEND_VARLENA_TEXT:
			put_varlena(params, i, 0, value);
			break;
		case SEND_NAME:
			put_string(params, i, NameStr(*DatumGetName(value)));
			break;
		case SEND_CSTRING:
			put_string(params, i, DatumGetCString(value));
			break;
		case SEND_BOOL:
			scratch->u8 = DatumGetBool(value) ? 1 : 0;
			put_bytes(params, i, 1, scratch, 1);
			break;
		case SEND_INT16:
			scratch->u16 = pg_hton16((uint16) DatumGetInt16(value));
			put_bytes(params, i, 1, scratch, sizeof(uint16));
			break;
		case SEND_INT32:
			scratch->u32 = pg_hton32((uint32) DatumGetInt32(value));
			put_bytes(params, i, 1, scratch, sizeof(uint32));
			break;
		case SEND_INT64:
			scratch->u64 = pg_hton64((uint64) DatumGetInt64(value));
			put_bytes(params, i, 1, scratch, sizeof(uint64));
			break;
		case SEND_FLOAT4:
			put_float4(params, i, scratch, DatumGetFloat4(value));
			break;
		case SEND_FLOAT8:
			put_float8(params, i, scratch, DatumGetFloat8(value));
			break;
		case SEND_UUID:
			put_bytes(params, i, 1, DatumGetUUIDP(value)->data, UUID_LEN);
			break;
		case SEND_BYTEA:
			put_varlena(params, i, 1, value);
			break;
		case SEND_OUTPUT:
			put_string(params, i, OutputFunctionCall(&plan->output, value));
			break;
	}
}

static void
put_param(EpParams *params, int i, ParamPlan *plan, Scratch *scratch, bool isnull, Datum value)
{
	params->types[i] = plan->wire_type;
	if (isnull)
		put_bytes(params, i, 0, NULL, -1);
	else
		put_value(params, i, plan, scratch, value);
}

static void
check_count(int n)
{
	if (n > MAX_PARAMS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_ARGUMENTS),
				 errmsg("cannot send %d parameters with one statement", n),
				 errdetail("At most %d are possible.", MAX_PARAMS)));
}

/* The elements of VARIADIC array, of any number of dimensions, in storage order. */
static EpParams *
params_from_array(FunctionCallInfo fcinfo, int arg)
{
	EpCallSite *site = ep_call_site(fcinfo);
	EpParams   *params;
	Scratch    *scratch;
	ArrayType  *array;
	ParamPlan  *plan;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			nest_level = 0;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("array of parameters must not be null"),
				 errhint("For a statement without parameters leave it out, or pass an empty array.")));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (n == 0)
		return &no_params;
	check_count(n);
	plan = plan_elements(fcinfo, site, ARR_ELEMTYPE(array));
	deconstruct_array(array, plan->type, plan->typlen, plan->typbyval, plan->typalign,
					  &values, &nulls, &n);
	params = make_params(n, &scratch);
	if (site->any_output)
		nest_level = ep_text_modes_begin(site->any_names);
	for (int i = 0; i < n; i++)
		put_param(params, i, plan, &scratch[i], nulls[i], values[i]);
	ep_text_modes_end(nest_level);
	return params;
}

/*
 * The parameters of a remote statement: the arguments from number first
 * (counted from 0) to the last, or the elements of the array that is passed
 * as VARIADIC.  The result and what it points to live in the current memory
 * context or are the arguments themselves, so it is good for this call alone.
 * With no parameters at all the result has n = 0.
 *
 * Raises 22004 for a null array, 54023 for too many, 42P18 for an argument of
 * unknown type, and what an output function raises.
 */
EpParams *
ep_params_from_call(FunctionCallInfo fcinfo, int first)
{
	int			n = PG_NARGS() - first;
	EpCallSite *site;
	EpParams   *params;
	Scratch    *scratch;
	int			nest_level = 0;

	if (n <= 0)
		return &no_params;
	if (elements_are_params(fcinfo, first))
		return params_from_array(fcinfo, first);
	check_count(n);
	site = ep_call_site(fcinfo);
	plan_arguments(fcinfo, site, first, n);
	params = make_params(n, &scratch);
	if (site->any_output)
		nest_level = ep_text_modes_begin(site->any_names);
	for (int i = 0; i < n; i++)
		put_param(params, i, &site->plans[i], &scratch[i],
				  PG_ARGISNULL(first + i), PG_GETARG_DATUM(first + i));
	ep_text_modes_end(nest_level);
	return params;
}

/*
 * The elements of an array of texts, of any number of dimensions, in storage
 * order, as untyped parameters.  NULL: none.  The result lives in the current
 * memory context and points into the array.  Raises 54023 for too many.
 */
EpParams *
ep_params_from_texts(ArrayType * array)
{
	EpParams   *params;
	Scratch    *scratch;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (array == NULL)
		return &no_params;
	n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (n == 0)
		return &no_params;
	check_count(n);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	params = make_params(n, &scratch);
	for (int i = 0; i < n; i++)
	{
		params->types[i] = InvalidOid;
		if (nulls[i])
			put_bytes(params, i, 0, NULL, -1);
		else
			put_varlena(params, i, 0, values[i]);
	}
	return params;
}

/* The text of a value, as the remote reads it. */
static Datum
text_of(Datum value, Oid type)
{
	Oid			output;
	bool		varlena;
	char	   *string;

	if (type == TEXTOID)
		return value;
	getTypeOutputInfo(type, &output, &varlena);
	string = OidOutputFunctionCall(output, value);
	return PointerGetDatum(cstring_to_text(string));
}

/*
 * The same parameters as ep_params_from_call's, as an array of their texts in
 * the current memory context, or NULL if there are none.  Raises what that one
 * does.
 */
ArrayType *
ep_params_as_texts(FunctionCallInfo fcinfo, int first)
{
	int			n = PG_NARGS() - first;
	bool		spread = n > 0 && elements_are_params(fcinfo, first);
	Oid			type = InvalidOid;
	Datum	   *values;
	bool	   *nulls;
	int			lower = 1;
	int			nest_level;

	if (n <= 0)
		return NULL;
	if (spread)
	{
		ArrayType  *array;
		int16		typlen;
		bool		typbyval;
		char		typalign;

		if (PG_ARGISNULL(first))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("array of parameters must not be null"),
					 errhint("For a statement without parameters leave it out, or pass an empty array.")));
		array = PG_GETARG_ARRAYTYPE_P(first);
		type = ARR_ELEMTYPE(array);
		get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
		deconstruct_array(array, type, typlen, typbyval, typalign, &values, &nulls, &n);
		if (n == 0)
			return NULL;
	}
	else
	{
		values = palloc(n * sizeof(Datum));
		nulls = palloc(n * sizeof(bool));
		for (int i = 0; i < n; i++)
		{
			nulls[i] = PG_ARGISNULL(first + i);
			values[i] = PG_GETARG_DATUM(first + i);
		}
	}
	check_count(n);
	nest_level = ep_text_modes_begin(true);
	for (int i = 0; i < n; i++)
	{
		if (!spread)
			type = ep_call_argtype(fcinfo, first + i);
		if (!OidIsValid(type) || type == ANYOID)
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine data type of parameter %d", i + 1)));
		if (!nulls[i])
			values[i] = text_of(values[i], type);
	}
	ep_text_modes_end(nest_level);
	return construct_md_array(values, nulls, 1, &n, &lower, TEXTOID, -1, false, TYPALIGN_INT);
}
