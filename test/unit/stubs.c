/*-------------------------------------------------------------------------
 *
 * stubs.c
 *		What the tested files use of the server.
 *
 * palloc and pfree come from the client-side libpgcommon and are malloc and
 * free as well; memory contexts have no meaning here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "shared/shared.h"
#include "unit.h"

MemoryContext CurrentMemoryContext = NULL;
MemoryContext TopMemoryContext = NULL;

static Latch latch;
Latch	   *MyLatch = &latch;

static void *
allocate(Size size)
{
	void	   *result = malloc(size);

	if (result == NULL)
		abort();
	/* what is not zeroed is not zero */
	memset(result, 0x7e, size);
	return result;
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return allocate(size);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return memset(allocate(size), 0, size);
}

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	return allocate(size);
}

/* Where text.c cuts at a character. */
void
ep_copy_text(char *dst, Size size, const char *src)
{
	strlcpy(dst, src, size);
}

/* ----------------------------------------------------- latch, clock, log */

void
SetLatch(Latch *which)
{
	which->is_set = true;
}

void
ResetLatch(Latch *which)
{
	which->is_set = false;
}

bool
unit_latch_is_set(void)
{
	return latch.is_set;
}

uint64
ep_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void
ReserveExternalFD(void)
{
}

void
ReleaseExternalFD(void)
{
}

/* Nothing that the tests do is to be reported to anybody. */
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
	printf("FAILED report: %s\n", fmt);
	return 0;
}

void
errfinish(const char *filename, int lineno, const char *funcname)
{
	printf("by %s:%d\n", filename, lineno);
	abort();
}
