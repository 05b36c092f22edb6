/*-------------------------------------------------------------------------
 *
 * detail.h
 *		The numbers behind an event, as a JSON object in a buffer of fixed size.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_DETAIL_H
#define EP_DETAIL_H

#include "postgres.h"

#define EP_DETAIL_SIZE	512		/* bytes, without the NUL */

/* An object that is complete after each call; {0} is one without keys. */
typedef struct EpDetail
{
	int			length;
	char		text[EP_DETAIL_SIZE + 1];	/* empty as long as there is no key */
} EpDetail;

extern void ep_detail_int(EpDetail *detail, const char *key, int64 value);
extern void ep_detail_number(EpDetail *detail, const char *key, double value);
extern void ep_detail_bool(EpDetail *detail, const char *key, bool value);
extern void ep_detail_text(EpDetail *detail, const char *key, const char *value);

#endif							/* EP_DETAIL_H */
