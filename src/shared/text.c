/*-------------------------------------------------------------------------
 *
 * text.c
 *		Texts in fields of fixed size.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "shared/shared.h"

/* Copy a text into a fixed field of size bytes, cut at a character if it is too long. */
void
ep_copy_text(char *dst, Size size, const char *src)
{
	Size		len = strlen(src);

	if (len >= size)
		len = pg_mbcliplen(src, len, size - 1);
	memcpy(dst, src, len);
	dst[len] = '\0';
}
