/*-------------------------------------------------------------------------
 *
 * propagate.h
 *		The value of the setting propagate_settings: a list of names.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_PROPAGATE_H
#define EP_PROPAGATE_H

#include "postgres.h"

typedef enum EpNameItem
{
	EP_NAME_END,				/* no more names */
	EP_NAME_FOUND,
	EP_NAME_MALFORMED			/* what follows is no list of names */
} EpNameItem;

extern EpNameItem ep_propagate_next(const char **list, char *name);
extern bool ep_propagate_valid(const char *list, char *complaint, Size size);

#endif							/* EP_PROPAGATE_H */
