/*-------------------------------------------------------------------------
 *
 * guard.h
 *		Watches CREATE, ALTER and DROP of servers and user mappings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_GUARD_H
#define EP_GUARD_H

extern void ep_guard_install(void);

#endif							/* EP_GUARD_H */
