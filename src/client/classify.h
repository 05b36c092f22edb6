/*-------------------------------------------------------------------------
 *
 * classify.h
 *		What the text of a statement alone tells about it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_CLASSIFY_H
#define EP_CLASSIFY_H

#include "postgres.h"

typedef struct EpTextClass
{
	bool		dirty;			/* running it may leave state in the session */
	bool		transaction;	/* BEGIN, COMMIT, SAVEPOINT and so on */
	bool		copy;			/* COPY that moves its data over the connection */
	bool		plannable;		/* SELECT, INSERT and the like: its result type never changes unnoticed */
	bool		several;		/* more than one statement */
} EpTextClass;

extern EpTextClass ep_classify(const char *sql);
extern EpTextClass ep_classify_script(const char *sql);
extern bool ep_surely_rowless(const char *sql);

#endif							/* EP_CLASSIFY_H */
