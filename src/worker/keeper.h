/*-------------------------------------------------------------------------
 *
 * keeper.h
 *		The life of connections in the worker: opening, validating, resetting,
 *		draining, closing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_KEEPER_H
#define EP_KEEPER_H

#include "postgres.h"

extern void ep_keeper_start(int worker, uint64 epoch);
extern void ep_keeper_tick(uint64 now_us);
extern bool ep_keeper_wind_down(uint64 now_us);
extern void ep_keeper_stop(void);
extern int	ep_keeper_fd(int slot, uint64 conn_id);

#endif							/* EP_KEEPER_H */
