/*-------------------------------------------------------------------------
 *
 * login.c
 *		A look at what a remote server says while it lets somebody in.
 *
 * SCRAM lets the server say how often the client is to compute a hash, and
 * libpq computes it in one go, two thousand million times if asked to: hours
 * in which a worker does nothing else.  So what has come is looked at before
 * libpq reads it.
 *
 * libpq must never have a part of a message in its buffer of which the rest
 * was not seen, so it reads whole messages only.  The number cannot come
 * before libpq has answered the challenge, as its nonce is in the same
 * message; what comes after the challenge and does not begin like a message
 * is therefore the rest of one that slipped by, and refused.  Nor may one that
 * libpq answers or skips come before the one with the number, or it would be
 * looked at alone, and the other slip by right behind it: who has asked for
 * proof in one way is not to ask in another.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "wire/login.h"

/* Codes of authentication requests. */
#define CODE_OK				0
#define CODE_GSS_CONTINUE	8
#define CODE_SASL_CONTINUE	11
#define CODE_SASL_FINAL		12

/* libpq takes no longer requests, and no longer errors. */
#define LONGEST_REQUEST		2000
#define LONGEST_ERROR		30000

static uint32
number_at(const char *p)
{
	uint32		n;

	memcpy(&n, p, sizeof(n));
	return pg_ntoh32(n);
}

/* Does "r=...,s=...,i=n" ask for too much?  libpq reads n by strtol(). */
static bool
asks_too_much(const char *body, size_t len)
{
	const char *end = body + len;

	for (const char *p = body; p + 3 <= end; p++)
	{
		int64		n = 0;

		if (memcmp(p, ",i=", 3) != 0)
			continue;
		for (p += 3; p < end && (*p == ' ' || (*p >= '\t' && *p <= '\r') || *p == '+' || *p == '-'); p++)
			;
		for (; p < end && *p >= '0' && *p <= '9' && n <= EP_MAX_ITERATIONS; p++)
			n = n * 10 + (*p - '0');
		if (n > EP_MAX_ITERATIONS)
			return true;
		p--;
	}
	return false;
}

/* Does a request belong to the exchange that an earlier one has begun? */
static bool
goes_on_with_it(uint32 code)
{
	return code == CODE_GSS_CONTINUE || code == CODE_SASL_CONTINUE || code == CODE_SASL_FINAL;
}

/*
 * Looks at bytes that are there to be read, before libpq gets them, while it
 * waits for the server to let it in.  They begin with a message.  *challenged,
 * false at first, is kept by the caller for the connection.  If they are refused
 * *why says so.
 */
EpLoginVerdict
ep_login_look(const char *data, size_t len, bool *challenged, const char **why)
{
	while (len > 0)
	{
		bool		request = data[0] == 'R' || data[0] == 'v';
		uint32		length;
		uint32		code;

		/* an error may be one of a server that cannot speak to us, in another form */
		if (!request && !*challenged)
			return EP_LOGIN_GOES_ON;
		if (len < 5)
			return EP_LOGIN_INCOMPLETE;
		length = number_at(data + 1);
		if (length < (data[0] == 'R' ? 8 : 4) || length > (request ? LONGEST_REQUEST : LONGEST_ERROR))
		{
			/* of the first one libpq says itself what it is */
			if (!*challenged)
				return EP_LOGIN_GOES_ON;
			*why = "malformed message from the server while it was to let us in";
			return EP_LOGIN_REFUSED;
		}
		if (data[0] == 'R' && len >= 9 && number_at(data + 5) == CODE_OK)
			return EP_LOGIN_GOES_ON;
		if (len < (size_t) length + 1)
			return EP_LOGIN_INCOMPLETE;
		if (!request)
			return EP_LOGIN_GOES_ON;	/* which is the end for libpq */
		code = data[0] == 'R' ? number_at(data + 5) : CODE_OK;
		if (*challenged && !goes_on_with_it(code))
		{
			*why = "the server asks for proof in two ways";
			return EP_LOGIN_REFUSED;
		}
		/* libpq takes the last word for the first one if that has not come */
		if ((code == CODE_SASL_CONTINUE || code == CODE_SASL_FINAL) && asks_too_much(data + 9, length - 8))
		{
			*why = "the server asks for too many iterations of SCRAM";
			return EP_LOGIN_REFUSED;
		}
		*challenged |= data[0] == 'R';
		data += length + 1;
		len -= length + 1;
	}
	return EP_LOGIN_GOES_ON;
}
