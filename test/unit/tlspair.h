/*-------------------------------------------------------------------------
 *
 * tlspair.h
 *		Both ends of an encrypted connection in one process, and bytes whose
 *		order can be told.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_TLSPAIR_H
#define EP_TLSPAIR_H

#include "postgres.h"

#include <openssl/ssl.h>

/* In which ways one pair differs from another; 0: TLS 1.3 over a socketpair. */
#define PAIR_TLS12		0x01
#define PAIR_TCP		0x02	/* over the loopback interface */
#define PAIR_OLD_BIO	0x04	/* the client's BIO does not tell OpenSSL of an end of file, as old libpq's */
#define PAIR_KINDS		8

typedef struct TlsPair
{
	SSL		   *client;			/* stands for libpq's */
	int			client_fd;
	bool		client_eof;		/* its socket was read to the end */
	int			flags;
	SSL		   *server;			/* stands for the remote's */
	int			server_fd;
} TlsPair;

extern void tls_pair_open(TlsPair *pair, int flags);
extern void tls_pair_close(TlsPair *pair);
extern void tls_pair_close_server(TlsPair *pair);

/* Leave an error in OpenSSL's queue and in errno, as somebody else may. */
extern void tls_dirty(void);

/* The stream of bytes from position at on. */
extern void stream_fill(char *to, uint64 at, size_t len);
extern bool stream_matches(const char *bytes, uint64 at, size_t len);

#endif							/* EP_TLSPAIR_H */
