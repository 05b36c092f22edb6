/*-------------------------------------------------------------------------
 *
 * prewarmer.h
 *		Short-lived processes that read one database's catalogs on behalf of
 *		the workers, which see none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_PREWARMER_H
#define EP_PREWARMER_H

#include "postgres.h"

extern void ep_prewarmer_define_gucs(void);
extern void ep_prewarmer_start(void);
extern void ep_prewarmer_tick(uint64 now_us);
extern PGDLLEXPORT void enhanced_pool_prewarmer_main(Datum arg);

#endif							/* EP_PREWARMER_H */
