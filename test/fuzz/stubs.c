/*-------------------------------------------------------------------------
 *
 * stubs.c
 *		What the tested files use of the server.
 *
 * Memory is the C library's, each piece by itself, so that the sanitizer sees
 * a byte too far; a list of all of it takes the place of memory contexts, and
 * shows what was forgotten.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "client/options.h"
#include "fuzz.h"
#include "shared/shared.h"

/* ----------------------------------------------------------------- memory */

#define MAX_PARTS	4096

static void *parts[MAX_PARTS];
static size_t sizes[MAX_PARTS];
static int	nparts;
static size_t total;

/* Sum of all that was allocated and not freed. */
size_t
fuzz_memory(void)
{
	return total;
}

/* As the end of a memory context does. */
void
fuzz_memory_forget(void)
{
	while (nparts > 0)
		free(parts[--nparts]);
	total = 0;
}

static void *
allocate(Size size, bool zeroed)
{
	/* what is not zeroed is not zero, but large pieces are not touched */
	void	   *result = zeroed || size > 1024 * 1024 ? calloc(1, Max(size, 1)) : malloc(Max(size, 1));

	if (result == NULL || nparts == MAX_PARTS)
		fuzz_fail("there is memory", __FILE__, __LINE__);
	if (!zeroed && size <= 1024 * 1024)
		memset(result, 0x7e, size);
	parts[nparts] = result;
	sizes[nparts++] = size;
	total += size;
	return result;
}

void
pfree(void *pointer)
{
	for (int i = nparts - 1; i >= 0; i--)
	{
		if (parts[i] != pointer)
			continue;
		total -= sizes[i];
		parts[i] = parts[--nparts];
		sizes[i] = sizes[nparts];
		free(pointer);
		return;
	}
	fuzz_fail("what is freed was allocated", __FILE__, __LINE__);
}

void *
repalloc(void *pointer, Size size)
{
	void	   *result = allocate(size, false);

	for (int i = nparts - 2; i >= 0; i--)
	{
		if (parts[i] == pointer)
			memcpy(result, pointer, Min(sizes[i], size));
	}
	pfree(pointer);
	return result;
}

void *
palloc(Size size)
{
	return allocate(size, false);
}

void *
palloc0(Size size)
{
	return allocate(size, true);
}

void *
palloc_extended(Size size, int flags)
{
	return allocate(size, (flags & MCXT_ALLOC_ZERO) != 0);
}

char *
pstrdup(const char *text)
{
	return strcpy(palloc(strlen(text) + 1), text);
}

char *
pnstrdup(const char *text, Size size)
{
	Size		len = strnlen(text, size);
	char	   *copy = palloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

MemoryContext CurrentMemoryContext = NULL;
MemoryContext TopMemoryContext = NULL;

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return allocate(size, false);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return allocate(size, true);
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	return allocate(size, (flags & MCXT_ALLOC_ZERO) != 0);
}

/* The same for what the server's libraries have of their own. */
extern void *pg_malloc(size_t size);
extern void *pg_malloc0(size_t size);
extern void *pg_malloc_extended(size_t size, int flags);
extern void *pg_realloc(void *pointer, size_t size);
extern char *pg_strdup(const char *text);
extern void pg_free(void *pointer);

void *
pg_malloc(size_t size)
{
	return allocate(size, false);
}

void *
pg_malloc0(size_t size)
{
	return allocate(size, true);
}

void *
pg_malloc_extended(size_t size, int flags)
{
	return allocate(size, (flags & MCXT_ALLOC_ZERO) != 0);
}

void *
pg_realloc(void *pointer, size_t size)
{
	return pointer ? repalloc(pointer, size) : palloc(size);
}

char *
pg_strdup(const char *text)
{
	return pstrdup(text);
}

void
pg_free(void *pointer)
{
	if (pointer)
		pfree(pointer);
}

/* ------------------------------------------- encodings: the server has UTF8 */

int
GetDatabaseEncoding(void)
{
	return PG_UTF8;
}

bool
pg_verifymbstr(const char *text, int len, bool noError)
{
	return pg_encoding_verifymbstr(PG_UTF8, text, len) == len;
}

int
pg_mbcliplen(const char *text, int len, int limit)
{
	int			n = 0;

	while (n < len && text[n] != '\0')
	{
		int			l = pg_encoding_mblen(PG_UTF8, text + n);

		if (n + l > limit)
			break;
		n += l;
	}
	return Min(n, limit);
}

/* As options.c has it. */
bool
ep_is_address(const char *value)
{
	unsigned char buffer[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, value, buffer) == 1 || inet_pton(AF_INET6, value, buffer) == 1;
}

/* ------------------------------------- nothing of this is to report anything */

bool
errstart(int elevel, const char *domain)
{
	return true;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return true;
}

int
errcode(int sqlerrcode)
{
	return 0;
}

int
errmsg(const char *fmt,...)
{
	fprintf(stderr, "report: %s\n", fmt);
	return 0;
}

int
errdetail(const char *fmt,...)
{
	return 0;
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	fuzz_fail("no error is raised", filename, lineno);
}

/* Of the file parts.c, which has more in it than is used here. */
int
pg_ulltoa_n(uint64 value, char *a)
{
	return sprintf(a, UINT64_FORMAT, value);
}
