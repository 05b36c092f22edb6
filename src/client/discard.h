/*-------------------------------------------------------------------------
 *
 * discard.h
 *		DISCARD ALL gives back this session's leases, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_DISCARD_H
#define EP_DISCARD_H

extern void ep_discard_install(void);

#endif							/* EP_DISCARD_H */
