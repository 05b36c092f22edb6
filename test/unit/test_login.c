/*-------------------------------------------------------------------------
 *
 * test_login.c
 *		What a remote server says while it lets somebody in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "wire/login.h"
#include "unit.h"

/* Messages: type and length, then what is told by it. */
#define SASL		"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
#define OK			"R\0\0\0\x08\0\0\0\0"
#define CLEARTEXT	"R\0\0\0\x08\0\0\0\3"
#define GSS_CONTINUE	"R\0\0\0\x0d\0\0\0\10token"
#define NEGOTIATE	"v\0\0\0\x0c\0\3\0\0\0\0\0\0"
#define ERROR_		"E\0\0\0\x08SX\0\0"

typedef struct Case
{
	const char *data;
	size_t		len;
	bool		challenged;
	EpLoginVerdict verdict;
	const char *name;
} Case;

#define CASE(text, ...)		{text, sizeof(text) - 1, __VA_ARGS__}

static void
test_messages(void)
{
	static const Case cases[] = {
		CASE("", false, EP_LOGIN_GOES_ON, "nothing"),
		CASE(OK, false, EP_LOGIN_GOES_ON, "let in"),
		CASE(OK "S\0\0", false, EP_LOGIN_GOES_ON, "what follows that is not looked at"),
		CASE(CLEARTEXT, false, EP_LOGIN_GOES_ON, "a password"),
		CASE(CLEARTEXT "R\0", false, EP_LOGIN_INCOMPLETE, "and the beginning of something"),
		CASE(SASL, false, EP_LOGIN_GOES_ON, "a challenge"),
		CASE(SASL "R\0\0\0\x1a\0\0\0\x0br=", false, EP_LOGIN_INCOMPLETE, "a challenge and a part of what should come after the answer"),
		CASE(NEGOTIATE SASL, false, EP_LOGIN_GOES_ON, "another version and a challenge"),
		CASE(NEGOTIATE "R", false, EP_LOGIN_INCOMPLETE, "another version and a part"),
		CASE("R", false, EP_LOGIN_INCOMPLETE, "one byte"),
		CASE("R\0\0\0\x17\0\0", false, EP_LOGIN_INCOMPLETE, "a header"),
		CASE("R\0\0\0\3", false, EP_LOGIN_GOES_ON, "a wrong length is for libpq to refuse"),
		CASE("R\xff\xff\xff\xff", false, EP_LOGIN_GOES_ON, "a huge one, too"),
		CASE("Esorry, too many clients already\n", false, EP_LOGIN_GOES_ON, "an error of protocol 2"),
		CASE("HTTP/1.1", false, EP_LOGIN_GOES_ON, "another protocol"),
		CASE(ERROR_, true, EP_LOGIN_GOES_ON, "an error after the challenge"),
		CASE("E\0\0\0", true, EP_LOGIN_INCOMPLETE, "a part of one"),
		CASE(SASL, true, EP_LOGIN_REFUSED, "a second challenge"),
		CASE(CLEARTEXT SASL, false, EP_LOGIN_REFUSED, "a challenge after a password was asked for"),
		CASE(SASL CLEARTEXT, false, EP_LOGIN_REFUSED, "and the other way round"),
		CASE(NEGOTIATE, true, EP_LOGIN_REFUSED, "another version when it is too late"),
		CASE(OK, true, EP_LOGIN_GOES_ON, "let in after the challenge"),
		CASE(GSS_CONTINUE, true, EP_LOGIN_GOES_ON, "the next step of GSS"),
		CASE("Ecdef,s=c2FsdA==,i=999999999", true, EP_LOGIN_REFUSED, "the rest of a message that begins like an error"),
		CASE("Rcdef,s=c2FsdA==,i=999999999", true, EP_LOGIN_REFUSED, "or like a request"),
		CASE("xyz,s=c2FsdA==,i=999999999", true, EP_LOGIN_REFUSED, "or like nothing"),
	};

	for (Size i = 0; i < lengthof(cases); i++)
	{
		bool		challenged = cases[i].challenged;
		const char *why = NULL;

		CHECK_INT(ep_login_look(cases[i].data, cases[i].len, &challenged, &why), cases[i].verdict, "%s", cases[i].name);
		CHECK((why != NULL) == (cases[i].verdict == EP_LOGIN_REFUSED), "%s: why", cases[i].name);
		CHECK(challenged >= cases[i].challenged, "%s: challenged", cases[i].name);
	}
}

/* What is made of "r=abcd,s=salt,i=" and a number, whole and cut at each byte, as a first word and as a last one. */
static void
test_iterations(void)
{
	static const struct
	{
		const char *attributes;
		EpLoginVerdict verdict;
	}			cases[] = {
		{"r=abcd,s=c2FsdA==,i=4096", EP_LOGIN_GOES_ON},
		{"r=abcd,s=c2FsdA==,i=1000000", EP_LOGIN_GOES_ON},
		{"r=abcd,s=c2FsdA==,i=1000001", EP_LOGIN_REFUSED},
		{"r=abcd,s=c2FsdA==,i=2147483647", EP_LOGIN_REFUSED},
		{"r=abcd,s=c2FsdA==,i=4294967297", EP_LOGIN_REFUSED},
		{"r=abcd,s=c2FsdA==,i=99999999999999999999999999999999999", EP_LOGIN_REFUSED},
		{"r=abcd,s=c2FsdA==,i=  +0002147483647", EP_LOGIN_REFUSED},
		{"r=abcd,s=c2FsdA==,i=", EP_LOGIN_GOES_ON},
		{"r=abcd,s=c2FsdA==,i=x", EP_LOGIN_GOES_ON},
		{"r=abcd,s=c2FsdA==,i=1,i=2147483647", EP_LOGIN_REFUSED},
		{"r=a,i=1,s=c2FsdA==,i=2147483647", EP_LOGIN_REFUSED},
	};

	for (Size i = 0; i < 2 * lengthof(cases); i++)
	{
		char		message[128] = {'R', 0, 0, 0, 0, 0, 0, 0, 11 + i % 2};
		size_t		len = strlen(cases[i / 2].attributes);
		const char *why;

		message[4] = (char) (len + 8);
		memcpy(message + 9, cases[i / 2].attributes, len);
		for (size_t cut = 0; cut <= len + 9; cut++)
		{
			bool		challenged = true;
			char	   *copy = malloc(cut + 1);	/* so that reads beyond the end are seen */

			memcpy(copy, message, cut);
			CHECK_INT(ep_login_look(copy, cut, &challenged, &why),
					  cut == 0 ? EP_LOGIN_GOES_ON : cut < len + 9 ? EP_LOGIN_INCOMPLETE : cases[i / 2].verdict,
					  "\"%s\", %zu bytes", cases[i / 2].attributes, cut);
			free(copy);
		}
	}
}

void
test_login(void)
{
	test_messages();
	test_iterations();
}
