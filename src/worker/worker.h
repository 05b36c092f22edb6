/*-------------------------------------------------------------------------
 *
 * worker.h
 *		The background worker that owns the connections of its pools.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_WORKER_H
#define EP_WORKER_H

#include "postgres.h"

extern void ep_worker_register(void);
extern PGDLLEXPORT void enhanced_pool_worker_main(Datum arg);

#endif							/* EP_WORKER_H */
