/*-------------------------------------------------------------------------
 *
 * resolver.h
 *		Looking up the addresses of a name without waiting for it.
 *
 * c-ares asks /etc/hosts and the name servers of /etc/resolv.conf; other
 * sources of nsswitch.conf (NIS, LDAP, mDNS, resolved's own) are not asked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_RESOLVER_H
#define EP_RESOLVER_H

#include "postgres.h"

/* Most addresses of one name that are tried. */
#define EP_MAX_ADDRESSES	32

/* Long enough for an IPv6 address with the name of its interface. */
#define EP_ADDRESS_SIZE		64

typedef struct EpResolver EpResolver;

/* Called from the loop when a look-up that was under way has ended. */
typedef void (*EpResolved) (void *arg);

extern bool ep_resolver_init(void);
extern EpResolver *ep_resolver_start(const char *name, EpResolved resolved, void *arg);
extern void ep_resolver_tick(EpResolver *resolver);
extern bool ep_resolver_done(const EpResolver *resolver);
extern const char *ep_resolver_error(const EpResolver *resolver);
extern int	ep_resolver_addresses(const EpResolver *resolver, char (*addresses)[EP_ADDRESS_SIZE]);
extern void ep_resolver_free(EpResolver *resolver);

#endif							/* EP_RESOLVER_H */
