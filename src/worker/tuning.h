/*-------------------------------------------------------------------------
 *
 * tuning.h
 *		The worker's part of the setting "strategy".
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_TUNING_H
#define EP_TUNING_H

#include "brain/sizing.h"
#include "shared/shared.h"

extern void ep_tuning_tick(EpPool *pool, uint64 now_us);
extern void ep_tuning_apply(const EpPool *pool, EpSizingInput *in);
extern double ep_tuning_idle_timeout(const EpPool *pool);
extern bool ep_tuning_validation_due(const EpPool *pool, const EpConn *conn);

#endif							/* EP_TUNING_H */
