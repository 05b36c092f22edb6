/*-------------------------------------------------------------------------
 *
 * greeting.c
 *		What a remote server says before it lets us in is looked at before libpq
 *		reads it: see wire/login.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "wire/wire.h"
#include "worker/greeting.h"

static const char *const too_much = "the server sends too much before it lets us in";

/* A server that has said nothing yet. */
void
ep_greeting_begin(EpGreeting *greeting)
{
	greeting->nsaid = 0;
	greeting->challenged = false;
}

/*
 * Over TLS the next record is all that can be seen, and all that libpq reads.  So
 * it may have a message in parts: what came before is remembered, and looked at
 * together with the rest.
 */
static EpLoginVerdict
look_at_record(EpGreeting *greeting, struct ssl_st *ssl, uint32 *events, const char **why)
{
	const char *error = NULL;
	bool		challenged = false;
	size_t		room = sizeof(greeting->said) - greeting->nsaid;
	ssize_t		n;
	EpLoginVerdict verdict;

	if (room == 0)
	{
		*why = too_much;
		return EP_LOGIN_REFUSED;
	}
	n = ep_tls_peek(ssl, greeting->said + greeting->nsaid, room, &error);
	if (error)
	{
		*why = psprintf("SSL error: %s", error);
		return EP_LOGIN_REFUSED;
	}
	if (n == 0)
		return EP_LOGIN_GOES_ON;
	if (n < 0)
	{
		*events = n == EP_PEEK_WRITE ? EPOLLOUT : EPOLLIN;
		return EP_LOGIN_INCOMPLETE;
	}
	greeting->nsaid += n;
	verdict = ep_login_look(greeting->said, greeting->nsaid, &challenged, why);
	if (verdict != EP_LOGIN_INCOMPLETE)
		return verdict;
	if (greeting->nsaid < sizeof(greeting->said))
		return EP_LOGIN_GOES_ON;
	*why = too_much;
	return EP_LOGIN_REFUSED;
}

/*
 * May libpq read what has come?  If it is incomplete *events is what to wait for
 * (EPOLLIN, EPOLLOUT), 0 if the socket would say so at once; if it is refused
 * *why says so, in the present memory context or for ever.
 */
EpLoginVerdict
ep_greeting_look(EpGreeting *greeting, PGconn *conn, uint32 *events, const char **why)
{
	struct ssl_st *ssl = PQsslStruct(conn, "OpenSSL");
	struct pollfd pfd = {.fd = PQsocket(conn), .events = POLLRDHUP};
	EpLoginVerdict verdict;
	bool		challenged;
	bool		ended;
	ssize_t		n;

	*events = 0;
	if (PQstatus(conn) != CONNECTION_AWAITING_RESPONSE)
	{
		/* libpq may try once more, without TLS */
		ep_greeting_begin(greeting);
		return EP_LOGIN_GOES_ON;
	}
	if (ssl)
		return look_at_record(greeting, ssl, events, why);

	/* asked first: what came before the end is seen then */
	ended = poll(&pfd, 1, 0) > 0;
	n = recv(pfd.fd, greeting->said, sizeof(greeting->said), MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
	{
		*events = EPOLLIN;
		return EP_LOGIN_INCOMPLETE;
	}
	if (n <= 0)
		return EP_LOGIN_GOES_ON;
	challenged = greeting->challenged;
	verdict = ep_login_look(greeting->said, n, &challenged, why);
	if (verdict != EP_LOGIN_INCOMPLETE)
	{
		greeting->challenged = challenged;
		return verdict;
	}
	/* the same bytes are looked at again, with more behind them */
	if ((size_t) n < sizeof(greeting->said) && !ended)
		return EP_LOGIN_INCOMPLETE;
	*why = ended ? "the server closed the connection in the middle of a message" : too_much;
	return EP_LOGIN_REFUSED;
}
