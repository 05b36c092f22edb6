/*-------------------------------------------------------------------------
 *
 * stub_loop.c
 *		What the worker's loop uses of the server to wait: here there is one
 *		descriptor to wait for, its epoll instance.
 *
 * Server versions differ in where they declare these functions and in types
 * that do not matter here, so this file does not include their headers.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

extern void *CreateWaitEventSet(void *owner, int nevents);
extern int	AddWaitEventToSet(void *set, uint32_t events, int fd, void *latch, void *user_data);
extern int	WaitEventSetWait(void *set, long timeout, void *occurred, int nevents, uint32_t wait_event_info);
extern uint32_t WaitEventExtensionNew(const char *name);
extern bool unit_latch_is_set(void);

static int	waits_for = -1;

void *
CreateWaitEventSet(void *owner, int nevents)
{
	return &waits_for;
}

int
AddWaitEventToSet(void *set, uint32_t events, int fd, void *latch, void *user_data)
{
	if (fd >= 0)
		waits_for = fd;
	return 0;
}

int
WaitEventSetWait(void *set, long timeout, void *occurred, int nevents, uint32_t wait_event_info)
{
	struct pollfd p = {.fd = waits_for,.events = POLLIN};

	/* what has to come, but does not, ends the test instead of stopping it */
	if (timeout < 0)
		timeout = 60 * 1000;
	return poll(&p, 1, unit_latch_is_set() ? 0 : (int) timeout);
}

uint32_t
WaitEventExtensionNew(const char *name)
{
	return 0;
}
