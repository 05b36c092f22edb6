/*-------------------------------------------------------------------------
 *
 * complaint.h
 *		What libpq and remote servers say about a failed connection, made
 *		fit to be shown.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_COMPLAINT_H
#define EP_COMPLAINT_H

#include "postgres.h"

extern char *ep_complaint_from_libpq(const char *message, char *sqlstate);
extern void ep_complaint_make_valid(char *text, int encoding);

#endif							/* EP_COMPLAINT_H */
