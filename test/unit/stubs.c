/*-------------------------------------------------------------------------
 *
 * stubs.c
 *		What the tested files use of the server, over malloc.
 *
 * palloc and pfree come from the client-side libpgcommon and are malloc and
 * free as well; memory contexts have no meaning here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "unit.h"

MemoryContext CurrentMemoryContext = NULL;
MemoryContext TopMemoryContext = NULL;

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
