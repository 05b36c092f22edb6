/*-------------------------------------------------------------------------
 *
 * tlspair.c
 *		Both ends of an encrypted connection in one process.
 *
 * The certificate is made in memory, once.  The client's end has a BIO of ours,
 * as libpq has one of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tlspair.h"
#include "unit.h"

static SSL_CTX *server_ctx = NULL;
static SSL_CTX *client_ctx = NULL;
static BIO_METHOD *bio_method = NULL;

/* Without this there is nothing to test. */
static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	printf("FAILED %s: %m\n", what);
	ERR_print_errors_fp(stdout);
	abort();
}

/* ------------------------------------------------------- the client's BIO */

static int
bio_read(BIO *bio, char *buf, int len)
{
	TlsPair    *pair = BIO_get_data(bio);
	ssize_t		n = recv(pair->client_fd, buf, len, 0);

	BIO_clear_retry_flags(bio);
	if (n == 0)
		pair->client_eof = true;
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	return (int) n;
}

static int
bio_write(BIO *bio, const char *buf, int len)
{
	TlsPair    *pair = BIO_get_data(bio);
	ssize_t		n = send(pair->client_fd, buf, len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	return (int) n;
}

static long
bio_ctrl(BIO *bio, int command, long num, void *ptr)
{
	TlsPair    *pair = BIO_get_data(bio);

	if (command == BIO_CTRL_EOF)
		return pair->client_eof && !(pair->flags & PAIR_OLD_BIO);
	return command == BIO_CTRL_FLUSH;
}

static BIO *
make_bio(TlsPair *pair)
{
	BIO		   *bio;

	if (bio_method == NULL)
	{
		bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "test");
		BIO_meth_set_read(bio_method, bio_read);
		BIO_meth_set_write(bio_method, bio_write);
		BIO_meth_set_ctrl(bio_method, bio_ctrl);
	}
	bio = BIO_new(bio_method);
	need(bio != NULL, "BIO_new");
	BIO_set_data(bio, pair);
	BIO_set_init(bio, 1);
	return bio;
}

/* ------------------------------------------------------------- the server */

static EVP_PKEY *
make_key(void)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
	EVP_PKEY   *key = NULL;

	need(EVP_PKEY_keygen_init(ctx) > 0 &&
		 EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) > 0 &&
		 EVP_PKEY_keygen(ctx, &key) > 0, "key");
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void
make_contexts(void)
{
	EVP_PKEY   *key;
	X509	   *cert;

	if (server_ctx)
		return;
	/* as every process of a server has it */
	signal(SIGPIPE, SIG_IGN);
	key = make_key();
	cert = X509_new();
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
							   (const unsigned char *) "remote", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509_set_pubkey(cert, key);
	need(X509_sign(cert, key, EVP_sha256()) > 0, "certificate");

	server_ctx = SSL_CTX_new(TLS_server_method());
	client_ctx = SSL_CTX_new(TLS_client_method());
	need(SSL_CTX_use_certificate(server_ctx, cert) == 1 && SSL_CTX_use_PrivateKey(server_ctx, key) == 1,
		 "server's context");
	SSL_CTX_set_mode(server_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* --------------------------------------------------------------- the pair */

static void
tcp_pair(int fd[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t	len = sizeof(address);
	int			listener = socket(AF_INET, SOCK_STREAM, 0);
	int			on = 1;

	need(bind(listener, (struct sockaddr *) &address, len) == 0 && listen(listener, 1) == 0 &&
		 getsockname(listener, (struct sockaddr *) &address, &len) == 0, "listen");
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	need(connect(fd[0], (struct sockaddr *) &address, len) == 0, "connect");
	fd[1] = accept(listener, NULL, NULL);
	need(fd[1] >= 0, "accept");
	close(listener);
	for (int i = 0; i < 2; i++)
		setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void
shake_hands(TlsPair *pair)
{
	int			client = 0;
	int			server = 0;

	for (int i = 0; i < 100000 && (client != 1 || server != 1); i++)
	{
		ERR_clear_error();
		client = SSL_do_handshake(pair->client);
		need(client == 1 || SSL_want_read(pair->client) || SSL_want_write(pair->client), "client's handshake");
		ERR_clear_error();
		server = SSL_do_handshake(pair->server);
		need(server == 1 || SSL_want_read(pair->server) || SSL_want_write(pair->server), "server's handshake");
	}
	need(client == 1 && server == 1, "handshake");
}

/* Make a pair that stands after its handshake; both sockets do not block. */
void
tls_pair_open(TlsPair *pair, int flags)
{
	int			version = flags & PAIR_TLS12 ? TLS1_2_VERSION : TLS1_3_VERSION;
	int			fd[2];
	BIO		   *bio;

	make_contexts();
	memset(pair, 0, sizeof(TlsPair));
	pair->flags = flags;
	if (flags & PAIR_TCP)
		tcp_pair(fd);
	else
		need(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
	for (int i = 0; i < 2; i++)
		fcntl(fd[i], F_SETFL, fcntl(fd[i], F_GETFL) | O_NONBLOCK);
	pair->client_fd = fd[0];
	pair->server_fd = fd[1];

	pair->client = SSL_new(client_ctx);
	bio = make_bio(pair);
	SSL_set_bio(pair->client, bio, bio);
	SSL_set_min_proto_version(pair->client, version);
	SSL_set_max_proto_version(pair->client, version);
	SSL_set_connect_state(pair->client);
	pair->server = SSL_new(server_ctx);
	SSL_set_fd(pair->server, pair->server_fd);
	SSL_set_accept_state(pair->server);
	shake_hands(pair);
}

/* Close the server's socket, whatever it has not read. */
void
tls_pair_close_server(TlsPair *pair)
{
	if (pair->server == NULL)
		return;
	SSL_free(pair->server);
	close(pair->server_fd);
	pair->server = NULL;
}

void
tls_pair_close(TlsPair *pair)
{
	tls_pair_close_server(pair);
	SSL_free(pair->client);
	close(pair->client_fd);
}

void
tls_dirty(void)
{
	(void) SSL_CTX_use_PrivateKey(client_ctx, NULL);
	errno = EDOM;
}

/* --------------------------------------------------------------- the bytes */

static char
byte_at(uint64 at)
{
	return (char) (at * 131 + (at >> 8) * 29 + (at >> 16) * 7);
}

void
stream_fill(char *to, uint64 at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(at + i);
}

bool
stream_matches(const char *bytes, uint64 at, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (bytes[i] != byte_at(at + i))
			return false;
	}
	return true;
}
