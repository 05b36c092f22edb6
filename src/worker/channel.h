/*-------------------------------------------------------------------------
 *
 * channel.h
 *		The worker's end of the channel over which backends fetch descriptors.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_CHANNEL_H
#define EP_CHANNEL_H

#include "postgres.h"

#define EP_CHANNEL_MAGIC	0x45504348	/* "EPCH" */
#define EP_CHANNEL_BATCH	32		/* most descriptors in one message */

/* What a backend asks for: the descriptor of the connection it has leased, and others of the pool. */
typedef struct EpChannelRequest
{
	uint32		magic;
	int			pool;			/* place in ep_pools */
	uint32		pool_generation;
	int			slot;
	uint64		conn_id;
	uint64		epoch;			/* of the worker that opened it */
	int			max_extra;		/* how many others it can take */
} EpChannelRequest;

typedef struct EpChannelEntry
{
	int			slot;
	uint64		conn_id;
} EpChannelEntry;

/* The answer; as many descriptors come with it as it has entries. */
typedef struct EpChannelAnswer
{
	uint32		magic;
	int			n;				/* 0: the connection asked for is gone */
	EpChannelEntry entries[EP_CHANNEL_BATCH];
} EpChannelAnswer;

/* Writes the path of a worker's socket, relative to the data directory. */
extern void ep_channel_path(int worker, char *path, Size size);
extern void ep_channel_open(int worker);
extern void ep_channel_tick(uint64 now_us);
extern void ep_channel_close(void);

#endif							/* EP_CHANNEL_H */
