/*-------------------------------------------------------------------------
 *
 * dashboard.c
 *		The page of dashboard(): puts style, script and data into it.
 *
 * The page may be opened by somebody who trusts nobody that can name a pool or
 * send a query.  So the data cannot be taken for markup, the script makes text
 * of it and nothing else, and a policy in the page lets a browser run this very
 * script alone and fetch nothing.  All of it is ASCII: it is the same whatever
 * the client's encoding.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "dashboard/page.inc"		/* page_html, page_style, page_script: made by the Makefile */

PG_FUNCTION_INFO_V1(enhanced_pool_dashboard_page);

/*
 * Appends page_html from *at up to a marker, "@name@", and moves *at behind
 * it.  Markers are in the order in which they are asked for.
 */
static void
put_html(StringInfo page, const char **at, const char *marker)
{
	const char *found = strstr(*at, marker);

	if (found == NULL)
		elog(ERROR, "the page has no %s", marker);
	appendBinaryStringInfo(page, *at, (int) (found - *at));
	*at = found + strlen(marker);
}

/* By what a policy knows a style or script that stands in the page: 'sha256-...'. */
static void
put_hash(StringInfo page, const char *element)
{
	Datum		hash = DirectFunctionCall1(sha256_bytea, PointerGetDatum(cstring_to_text(element)));
	Datum		base64 = DirectFunctionCall2(binary_encode, hash, CStringGetTextDatum("base64"));

	appendStringInfo(page, "'sha256-%s'", TextDatumGetCString(base64));
}

static void
put_escape(StringInfo page, pg_wchar c)
{
	if (c >= 0x10000)
	{
		appendStringInfo(page, "\\u%04x", 0xD800 + ((c - 0x10000) >> 10));
		c = 0xDC00 + ((c - 0x10000) & 0x3FF);
	}
	appendStringInfo(page, "\\u%04x", c);
}

/*
 * Appends JSON so that nothing in it ends the element that it stands in or is
 * taken for markup.  What is escaped can only be in strings.  Raises 22P05 for
 * a character that UTF-8 does not have.
 */
static void
put_json(StringInfo page, char *json)
{
	const char *p = json;
	bool		known = true;	/* its encoding */

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		known = pg_verify_mbstr(PG_UTF8, json, strlen(json), true);
	else
		p = pg_server_to_any(json, strlen(json), PG_UTF8);
	while (*p)
	{
		if (IS_HIGHBIT_SET(*p) && known)
		{
			put_escape(page, utf8_to_unicode((const unsigned char *) p));
			p += pg_encoding_mblen(PG_UTF8, p);
			continue;
		}
		if (*p == '<' || *p == '>' || *p == '&')
			put_escape(page, *p);
		else
			appendStringInfoChar(page, IS_HIGHBIT_SET(*p) ? '?' : *p);
		p++;
	}
}

/* dashboard_page(data jsonb): the page that shows it; NULL is nothing. */
Datum
enhanced_pool_dashboard_page(PG_FUNCTION_ARGS)
{
	StringInfoData page;
	const char *at = page_html;
	Jsonb	   *data;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	data = PG_GETARG_JSONB_P(0);
	initStringInfo(&page);
	put_html(&page, &at, "@style-hash@");
	put_hash(&page, page_style);
	put_html(&page, &at, "@script-hash@");
	put_hash(&page, page_script);
	put_html(&page, &at, "@style@");
	appendStringInfoString(&page, page_style);
	put_html(&page, &at, "@data@");
	put_json(&page, JsonbToCString(NULL, &data->root, VARSIZE(data)));
	put_html(&page, &at, "@script@");
	appendStringInfoString(&page, page_script);
	appendStringInfoString(&page, at);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(page.data, page.len));
}
