/*-------------------------------------------------------------------------
 *
 * capture.h
 *		Catching the error of one remote operation, so that others go on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_CAPTURE_H
#define EP_CAPTURE_H

#include "postgres.h"

typedef struct EpCaught
{
	ErrorData  *error;
	bool		remote;			/* a remote raised it */
} EpCaught;

typedef void (*EpCapturedAction) (void *arg);

extern EpCaught *ep_capture(EpCapturedAction action, void *arg);
extern void ep_raise_caught(const EpCaught *caught, const char *pool, const char *detail) pg_attribute_noreturn();

#endif							/* EP_CAPTURE_H */
