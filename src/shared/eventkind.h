/*-------------------------------------------------------------------------
 *
 * eventkind.h
 *		Kinds of events, see events.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_EVENTKIND_H
#define EP_EVENTKIND_H

typedef enum EpEventKind
{
	EP_EVENT_CONNECT = 0,
	EP_EVENT_CONNECT_FAILED,
	EP_EVENT_CLOSE,
	EP_EVENT_SCALE_UP,
	EP_EVENT_SCALE_DOWN,
	EP_EVENT_BREAKER_OPEN,
	EP_EVENT_BREAKER_HALF_OPEN,
	EP_EVENT_BREAKER_CLOSED,
	EP_EVENT_HEALTH_FAILED,
	EP_EVENT_VALIDATION_FAILED,
	EP_EVENT_TIMEOUT,
	EP_EVENT_LEAK,
	EP_EVENT_FAILOVER,
	EP_EVENT_CONFIG_CHANGE,
	EP_EVENT_PAUSE,
	EP_EVENT_RESUME,
	EP_EVENT_RECYCLE,
	EP_EVENT_CLOSE_POOL,
	EP_EVENT_TERMINATE,
	EP_NEVENTS,
	EP_EVENT_NONE = EP_NEVENTS
} EpEventKind;

#endif							/* EP_EVENTKIND_H */
