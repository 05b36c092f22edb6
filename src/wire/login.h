/*-------------------------------------------------------------------------
 *
 * login.h
 *		A look at what a remote server says while it lets somebody in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_LOGIN_H
#define EP_LOGIN_H

#include "postgres.h"

/* Most iterations of SCRAM that are computed; servers mostly ask for 4096. */
#define EP_MAX_ITERATIONS	1000000

typedef enum EpLoginVerdict
{
	EP_LOGIN_GOES_ON,			/* libpq may read it */
	EP_LOGIN_INCOMPLETE,		/* not before more has come */
	EP_LOGIN_REFUSED
} EpLoginVerdict;

extern EpLoginVerdict ep_login_look(const char *data, size_t len, bool *challenged, const char **why);

#endif							/* EP_LOGIN_H */
