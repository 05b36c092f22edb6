/*-------------------------------------------------------------------------
 *
 * talk.h
 *		The worker's own exchanges with a remote server: a few statements whose
 *		rows nobody wants, and the rest of what a backend left unread.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_TALK_H
#define EP_TALK_H

#include "postgres.h"
#include "shared/shared.h"
#include "wire/wire.h"

#define EP_TALK_ERROR_SIZE	256

typedef enum EpTalkState
{
	EP_TALK_BUSY,				/* wait until the socket is readable, or writable if there is unsent data */
	EP_TALK_DONE,				/* every answer came; look at failed and tx_status */
	EP_TALK_LOST				/* the connection cannot be used any more; error says why */
} EpTalkState;

typedef struct EpTalk
{
	int			answers;		/* ReadyForQuery messages still to come */
	bool		failed;			/* an ErrorResponse came; error says which */
	bool		copying;		/* a COPY that gets no data may still begin: its CopyFail was sent */
	bool		strict;			/* nothing but asynchronous messages and ReadyForQuery may come */
	bool		forget;			/* the remote has dropped its prepared statements */
	char		tx_status;		/* of the last ReadyForQuery */
	int			hot_standby;	/* -1: nothing reported, else what was last reported */
	int			read_only;		/* default_transaction_read_only, likewise */
	bool		state_asked;	/* the last answer is ep_talk_ask_state's */
	int			rows;			/* of the last SELECT, -1: none */
	int			encoding;		/* client_encoding, likewise */
	bool		dates_garbled;	/* the same of DateStyle and IntervalStyle, see ep_parameter_garbles */
	bool		intervals_garbled;
	char		sqlstate[6];
	char		error[EP_TALK_ERROR_SIZE];
} EpTalk;

extern void ep_talk_begin(EpTalk *talk);
extern void ep_talk_sync(EpTalk *talk, EpWire *wire);
extern void ep_talk_query(EpTalk *talk, EpWire *wire, const char *sql);
extern void ep_talk_ask_state(EpTalk *talk, EpWire *wire);
extern void ep_talk_read_state(const EpTalk *talk, EpHostState *state);
extern bool ep_talk_resume(EpTalk *talk, EpWire *wire, const EpUnfinished *unfinished);
extern EpTalkState ep_talk_step(EpTalk *talk, EpWire *wire);
extern bool ep_talk_fits(EpTalk *talk, int encoding);

#endif							/* EP_TALK_H */
