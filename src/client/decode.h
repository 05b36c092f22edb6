/*-------------------------------------------------------------------------
 *
 * decode.h
 *		From the fields of a remote row to values of local types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_DECODE_H
#define EP_DECODE_H

#include "postgres.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "client/exchange.h"

/* How one column is read. */
typedef enum EpDecodeKind
{
	EP_DECODE_INPUT,			/* text through the type's input function */
	EP_DECODE_CONVERT,			/* binary of another type, through its text */
	EP_DECODE_RECEIVE,			/* binary through the type's receive function */
	EP_DECODE_ARRAY,
	EP_DECODE_TEXT,				/* these four from the bytes, the same in both formats */
	EP_DECODE_VARCHAR,
	EP_DECODE_BPCHAR,
	EP_DECODE_NAME,
	EP_DECODE_BOOL,				/* from here on binary of fixed size, or bytea */
	EP_DECODE_CHAR,
	EP_DECODE_INT2,
	EP_DECODE_INT4,
	EP_DECODE_INT8,
	EP_DECODE_OID,
	EP_DECODE_FLOAT4,
	EP_DECODE_FLOAT8,
	EP_DECODE_DATE,
	EP_DECODE_TIMESTAMP,
	EP_DECODE_UUID,
	EP_DECODE_BYTEA
} EpDecodeKind;

typedef struct EpRowDecoder EpRowDecoder;

typedef struct EpDecoder
{
	EpDecodeKind kind;
	int			attno;			/* where the value goes, counted from 0 */
	Oid			type;			/* the target's base type */
	int32		typmod;
	Oid			domain;			/* the target if it is a domain, else InvalidOid */
	void	   *domain_extra;	/* domain_check's cache */
	EpRowDecoder *row;
	const char *name;			/* for the context of errors */

	FmgrInfo	input;			/* INPUT, CONVERT */
	Oid			ioparam;
	PGFunction	receive;		/* RECEIVE */
	FmgrInfo	output;			/* CONVERT: of the type that came */
	struct EpDecoder *inner;	/* CONVERT: of the type that came; ARRAY: of an element */
	int16		elmlen;			/* ARRAY */
	bool		elmbyval;
	char		elmalign;
} EpDecoder;

/* All columns of a row. */
struct EpRowDecoder
{
	MemoryContext context;		/* of this and of what the decoders keep */
	StringInfoData text;		/* NUL-terminated copy of the field being read */
	const char *current;		/* name of the column being read, or NULL */
	bool		uses_text;		/* some column goes through text: see ep_text_modes_begin() */
	int			ncols;
	EpDecoder	cols[FLEXIBLE_ARRAY_MEMBER];
};

extern bool ep_binary_type(Oid type);
extern Oid	ep_decode_base(Oid type, int32 *typmod);
extern EpRowDecoder *ep_row_decoder_create(int ncols, MemoryContext context);
extern void ep_row_decoder_column(EpRowDecoder *row, int col, const EpColumn *column,
								  Oid type, int32 typmod, int attno, const char *name);
extern void ep_decode_row(EpRowDecoder *row, int nfields, const EpField *fields,
						  Datum *values, bool *nulls);
extern void ep_decode_context(void *arg);
extern void ep_raise_field_count(int nfields, int ncols) pg_attribute_noreturn();

#endif							/* EP_DECODE_H */
