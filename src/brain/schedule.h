/*-------------------------------------------------------------------------
 *
 * schedule.h
 *		When to try again, and when to retire.  Pure.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SCHEDULE_H
#define EP_SCHEDULE_H

#include "postgres.h"

#define EP_BACKOFF_CAP	60.0	/* seconds; a longer retry_backoff is its own cap */

extern double ep_schedule_backoff(double base_s, double last_s);
extern uint64 ep_schedule_delay_us(double backoff_s, double random);
extern uint64 ep_schedule_expiry_us(uint64 created_us, double lifetime_s, double random);

#endif							/* EP_SCHEDULE_H */
