/*-------------------------------------------------------------------------
 *
 * assert.c
 *		A failed assertion ends the tests.
 *
 * Server versions differ in the arguments that follow the first, so this file
 * does not include the header that declares the function.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

extern void ExceptionalCondition(const char *condition);

void
ExceptionalCondition(const char *condition)
{
	printf("FAILED assertion: %s\n", condition);
	abort();
}
