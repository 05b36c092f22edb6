/*-------------------------------------------------------------------------
 *
 * classify.c
 *		What the text of a statement alone tells about it.
 *
 * A scanner that knows SQL's literals, quoted identifiers and comments, and
 * nothing of its grammar.  Where it cannot be sure it calls a statement dirty:
 * that costs a reset, the contrary would hand one caller's state to the next.
 *
 * Pure: no server state, no memory, no errors.  Every server encoding is safe
 * to be read byte by byte, since no multibyte character contains ASCII bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/classify.h"

/* ------------------------------------------------------------------ words */

#define CLEAN	0x01			/* as first word: leaves nothing behind by itself */
#define PLAN	0x02			/* as first word: goes through the planner */
#define TRANS	0x04			/* as first word: steers a transaction */
#define DIRTY	0x08			/* anywhere: may leave something behind */
#define CALLED	0x10			/* a function that does so, even if its name is quoted */
#define NAMED	0x20			/* a relation that does so, even if its name is quoted */

typedef enum WordId
{
	W_OTHER = 0,				/* any word that is not in the table */
	W_SELECT, W_INSERT, W_UPDATE, W_DELETE, W_MERGE, W_VALUES, W_TABLE, W_WITH, W_SHOW, W_COPY,
	W_BEGIN, W_START, W_COMMIT, W_END, W_ROLLBACK, W_ABORT, W_SAVEPOINT, W_RELEASE,
	W_TEMP, W_TEMPORARY, W_PREPARE, W_LISTEN, W_SET_CONFIG, W_NEXTVAL, W_SETVAL,
	W_INTO, W_SET, W_LOCAL, W_SESSION, W_TRANSACTION, W_FROM, W_TO, W_STDIN, W_STDOUT,
	W_CREATE, W_FUNCTION, W_PROCEDURE, W_CASE,
	W_PG_SETTINGS,				/* UPDATE pg_settings is set_config() */
	W_ADVISORY,					/* any word that contains this one */
	W_NONE						/* not a word at all */
} WordId;

static const struct
{
	const char *text;
	int			flags;
}			words[] =

{
	[W_SELECT] = {"select", CLEAN | PLAN},
	[W_INSERT] = {"insert", CLEAN | PLAN},
	[W_UPDATE] = {"update", CLEAN | PLAN},
	[W_DELETE] = {"delete", CLEAN | PLAN},
	[W_MERGE] = {"merge", CLEAN | PLAN},
	[W_VALUES] = {"values", CLEAN | PLAN},
	[W_TABLE] = {"table", CLEAN | PLAN},
	[W_WITH] = {"with", CLEAN | PLAN},
	[W_SHOW] = {"show", CLEAN},
	[W_COPY] = {"copy", CLEAN},
	[W_BEGIN] = {"begin", TRANS},
	[W_START] = {"start", TRANS},
	[W_COMMIT] = {"commit", TRANS},
	[W_END] = {"end", TRANS},
	[W_ROLLBACK] = {"rollback", TRANS},
	[W_ABORT] = {"abort", TRANS},
	[W_SAVEPOINT] = {"savepoint", TRANS},
	[W_RELEASE] = {"release", TRANS},
	[W_TEMP] = {"temp", DIRTY},
	[W_TEMPORARY] = {"temporary", DIRTY},
	[W_PREPARE] = {"prepare", DIRTY},
	[W_LISTEN] = {"listen", DIRTY},
	[W_SET_CONFIG] = {"set_config", DIRTY | CALLED},
	[W_NEXTVAL] = {"nextval", DIRTY | CALLED},
	[W_SETVAL] = {"setval", DIRTY | CALLED},
	[W_INTO] = {"into", 0},
	[W_SET] = {"set", 0},
	[W_LOCAL] = {"local", 0},
	[W_SESSION] = {"session", 0},
	[W_TRANSACTION] = {"transaction", 0},
	[W_FROM] = {"from", 0},
	[W_TO] = {"to", 0},
	[W_STDIN] = {"stdin", 0},
	[W_STDOUT] = {"stdout", 0},
	[W_CREATE] = {"create", 0},
	[W_FUNCTION] = {"function", 0},
	[W_PROCEDURE] = {"procedure", 0},
	[W_CASE] = {"case", 0},
	[W_PG_SETTINGS] = {"pg_settings", DIRTY | NAMED},
	[W_ADVISORY] = {"advisory", DIRTY | CALLED},
	[W_NONE] = {"", 0}
};

static WordId
word_id(const char *text, size_t len)
{
	const size_t advisory = strlen(words[W_ADVISORY].text);

	for (int i = W_OTHER + 1; i < W_ADVISORY; i++)
	{
		if (strlen(words[i].text) == len && pg_strncasecmp(text, words[i].text, len) == 0)
			return (WordId) i;
	}
	for (size_t at = 0; at + advisory <= len; at++)
	{
		if (pg_strncasecmp(text + at, words[W_ADVISORY].text, advisory) == 0)
			return W_ADVISORY;
	}
	return W_OTHER;
}

/* ---------------------------------------------------------------- scanner */

typedef enum TokenKind
{
	TOK_END,
	TOK_WORD,
	TOK_QUOTED,					/* quoted identifier */
	TOK_LITERAL,
	TOK_SEMICOLON,
	TOK_OPEN,
	TOK_CLOSE,
	TOK_OTHER
} TokenKind;

typedef struct Token
{
	TokenKind	kind;
	WordId		word;			/* of words and quoted identifiers */
	bool		ambiguous;		/* a literal that may end elsewhere, a name written in escapes */
} Token;

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || IS_HIGHBIT_SET(c);
}

static const char *
skip_line_comment(const char *p)
{
	while (*p != '\0' && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/* Comments of this form nest. */
static const char *
skip_block_comment(const char *p)
{
	int			depth = 0;

	for (; *p != '\0'; p++)
	{
		if (p[0] == '/' && p[1] == '*')
		{
			depth++;
			p++;
		}
		else if (p[0] == '*' && p[1] == '/')
		{
			p++;
			if (--depth == 0)
				return p + 1;
		}
	}
	return p;
}

static const char *
skip_blanks(const char *p)
{
	for (;;)
	{
		if (is_space(*p))
			p++;
		else if (p[0] == '-' && p[1] == '-')
			p = skip_line_comment(p);
		else if (p[0] == '/' && p[1] == '*')
			p = skip_block_comment(p);
		else
			return p;
	}
}

/*
 * A literal goes on after white space with a line end in it.  Returns where the
 * quote of its next part stands, or NULL.
 */
static const char *
continuation(const char *p)
{
	bool		newline = false;

	for (;;)
	{
		if (*p == '\n' || *p == '\r')
			newline = true;
		if (is_space(*p))
			p++;
		else if (p[0] == '-' && p[1] == '-')
			p = skip_line_comment(p);
		else
			return (newline && *p == '\'') ? p : NULL;
	}
}

/*
 * p stands at the opening quote.  escapes: a backslash quotes the next byte,
 * in this part and in those that continue it.
 */
static const char *
skip_literal(const char *p, bool escapes, bool *ambiguous)
{
	for (;;)
	{
		const char *more;

		for (p++; *p != '\0' && *p != '\''; p++)
		{
			if (*p != '\\' || p[1] == '\0')
				continue;
			if (escapes)
				p++;
			else if (p[1] == '\'')
				*ambiguous = true;
		}
		if (*p == '\0')
			return p;
		p++;
		if (*p == '\'')
			continue;			/* a doubled quote */
		more = continuation(p);
		if (more == NULL)
			return p;
		p = more;
	}
}

static const char *
skip_quoted(const char *p, WordId *word)
{
	const char *start = ++p;

	for (; *p != '\0'; p++)
	{
		if (*p == '"')
		{
			if (p[1] != '"')
				break;
			p++;
		}
	}
	*word = word_id(start, p - start);
	return *p == '\0' ? p : p + 1;
}

/* U&"set\005fconfig" names what its escapes say, which is not looked at. */
static const char *
skip_escaped_name(const char *p, Token *tok)
{
	tok->kind = TOK_QUOTED;
	tok->ambiguous = true;
	return skip_quoted(p + 2, &tok->word);
}

/* p stands at a dollar sign: returns the end of the literal that begins here, or NULL if none does. */
static const char *
skip_dollar_literal(const char *p)
{
	const char *tag = p++;
	size_t		len;

	if (is_word_start(*p))
	{
		while (is_word_start(*p) || is_digit(*p))
			p++;
	}
	if (*p != '$')
		return NULL;
	len = ++p - tag;
	for (; *p != '\0'; p++)
	{
		if (*p == '$' && strncmp(p, tag, len) == 0)
			return p + len;
	}
	return p;
}

/* p stands at the first byte of a word, which may turn out to be the prefix of a literal. */
static const char *
scan_word(const char *p, Token *tok)
{
	const char *start = p;
	size_t		len;

	while (is_word_start(*p) || is_digit(*p) || *p == '$')
		p++;
	len = p - start;
	if (*p == '\'' && len == 1 && strchr("eEbBxXnN", *start) != NULL)
	{
		tok->kind = TOK_LITERAL;
		return skip_literal(p, *start == 'e' || *start == 'E', &tok->ambiguous);
	}
	tok->kind = TOK_WORD;
	tok->word = word_id(start, len);
	return p;
}

/* Reads one token and returns where the next one may begin. */
static const char *
next_token(const char *p, Token *tok)
{
	const char *end;

	tok->word = W_NONE;
	tok->ambiguous = false;
	p = skip_blanks(p);
	if ((p[0] == 'U' || p[0] == 'u') && p[1] == '&' && p[2] == '"')
		return skip_escaped_name(p, tok);
	if (is_word_start(*p))
		return scan_word(p, tok);
	if (*p == '\'')
	{
		tok->kind = TOK_LITERAL;
		return skip_literal(p, false, &tok->ambiguous);
	}
	if (*p == '"')
	{
		tok->kind = TOK_QUOTED;
		return skip_quoted(p, &tok->word);
	}
	if (*p == '$' && (end = skip_dollar_literal(p)) != NULL)
	{
		tok->kind = TOK_LITERAL;
		return end;
	}
	switch (*p)
	{
		case '\0':
			tok->kind = TOK_END;
			return p;
		case ';':
			tok->kind = TOK_SEMICOLON;
			break;
		case '(':
			tok->kind = TOK_OPEN;
			break;
		case ')':
			tok->kind = TOK_CLOSE;
			break;
		default:
			tok->kind = TOK_OTHER;
			break;
	}
	return p + 1;
}

/* ------------------------------------------------------------- statements */

typedef struct Scan
{
	EpTextClass class;
	bool		whole_script;	/* later statements count as the first does */

	/* the statement under way */
	int			nstatements;	/* that have begun */
	int			ntokens;		/* of it, opening parentheses before the first word not counted */
	WordId		first;
	WordId		prev;			/* W_NONE if the token before is no word */
	TokenKind	prev_kind;
	bool		prev_begins;	/* the word before stands where a command begins, be it within WITH */
	bool		main_query;		/* SELECT or its like was there, outside parentheses */
	int			parens;
	bool		routine;		/* CREATE FUNCTION or PROCEDURE: may have a body of statements */
	int			blocks;			/* BEGIN and CASE without their END in such a body */
	bool		danger;			/* the token before is the quoted name of a CALLED function */
} Scan;

/* Does the statement under way count for more than its dirty words? */
static bool
counts(const Scan *s)
{
	return s->whole_script || s->nstatements == 1;
}

static void
first_word(Scan *s, WordId word)
{
	int			flags = words[word].flags;

	s->first = word;
	if ((flags & CLEAN) == 0)
		s->class.dirty = true;
	if (!counts(s))
		return;
	if (flags & TRANS)
		s->class.transaction = true;
	s->class.plannable = (flags & PLAN) != 0;
}

static void
later_word(Scan *s, WordId word)
{
	if (s->first == W_CREATE && s->ntokens <= 4 && (word == W_FUNCTION || word == W_PROCEDURE))
		s->routine = true;
	if (s->routine)
	{
		if (word == W_BEGIN || (word == W_CASE && s->blocks > 0))
			s->blocks++;
		else if (word == W_END && s->blocks > 0)
			s->blocks--;
	}
	if (!counts(s))
		return;
	if (word == W_TRANSACTION &&
		((s->first == W_PREPARE && s->ntokens == 2) ||
		 (s->first == W_SET && (s->ntokens == 2 ||
								(s->ntokens == 3 && (s->prev == W_LOCAL || s->prev == W_SESSION))))))
		s->class.transaction = true;
	if (s->first == W_COPY && s->parens == 0 &&
		(word == W_STDIN || word == W_STDOUT) && (s->prev == W_FROM || s->prev == W_TO))
		s->class.copy = true;
}

/*
 * Does a command begin with this word?  INSERT and MERGE may as well be names:
 * SELECT 1 AS insert INTO t.  When in doubt the answer is no.
 */
static bool
begins_command(const Scan *s)
{
	if (s->ntokens == 1 || s->prev_kind == TOK_OPEN)
		return true;
	return s->first == W_WITH && s->prev_kind == TOK_CLOSE && s->parens == 0 && !s->main_query;
}

static void
take_word(Scan *s, WordId word)
{
	if (words[word].flags & DIRTY)
		s->class.dirty = true;
	if (word == W_INTO && !(s->prev_begins && (s->prev == W_INSERT || s->prev == W_MERGE)))
		s->class.dirty = true;
	s->prev_begins = begins_command(s);
	if (s->parens == 0 && (words[word].flags & PLAN) != 0 && word != W_WITH)
		s->main_query = true;
	if (s->ntokens == 1)
		first_word(s, word);
	else
		later_word(s, word);
}

/* A semicolon ends a statement unless it stands in parentheses (rules) or in a routine's body. */
static bool
take_semicolon(Scan *s)
{
	if (s->parens > 0 || s->blocks > 0)
		return false;
	s->ntokens = 0;
	s->first = s->prev = W_NONE;
	s->prev_kind = TOK_SEMICOLON;
	s->routine = false;
	s->danger = false;
	s->main_query = false;
	return true;
}

static void
take_token(Scan *s, const Token *tok)
{
	if (tok->kind == TOK_SEMICOLON && take_semicolon(s))
		return;
	if (s->ntokens == 0 && tok->kind == TOK_OPEN)
	{
		s->parens++;			/* (SELECT ...) UNION ...: the word inside is the first */
		return;
	}
	if (s->ntokens++ == 0)
	{
		if (++s->nstatements > 1)
			s->class.several = true;
		if (tok->kind != TOK_WORD)
			first_word(s, W_NONE);	/* no statement begins like that */
	}
	if (s->danger && tok->kind == TOK_OPEN)
		s->class.dirty = true;
	if (tok->ambiguous)
		s->class.dirty = true;
	if (tok->kind == TOK_OPEN)
		s->parens++;
	else if (tok->kind == TOK_CLOSE && s->parens > 0)
		s->parens--;
	else if (tok->kind == TOK_WORD)
		take_word(s, tok->word);
	if (tok->kind == TOK_QUOTED && (words[tok->word].flags & NAMED) != 0)
		s->class.dirty = true;
	s->danger = tok->kind == TOK_QUOTED && (words[tok->word].flags & CALLED) != 0;
	s->prev = tok->kind == TOK_WORD ? tok->word : W_NONE;
	s->prev_kind = tok->kind;
}

static EpTextClass
classify(const char *sql, bool whole_script)
{
	Scan		s;
	Token		tok;

	memset(&s, 0, sizeof(s));
	s.whole_script = whole_script;
	s.first = s.prev = W_NONE;
	s.prev_kind = TOK_SEMICOLON;
	for (;;)
	{
		sql = next_token(sql, &tok);
		if (tok.kind == TOK_END)
			return s.class;
		take_token(&s, &tok);
	}
}

/*
 * Classify the text of one statement, in the local server encoding.  If there
 * are several (the remote will refuse them), the first one tells whether it is
 * a transaction statement, a COPY or plannable.  An empty text is none of all.
 */
EpTextClass
ep_classify(const char *sql)
{
	return classify(sql, false);
}

/*
 * Classify a script: it is dirty, a transaction statement or a COPY if any of
 * its statements is.  plannable means nothing here.
 */
EpTextClass
ep_classify_script(const char *sql)
{
	return classify(sql, true);
}

/* -------------------------------------------------------------------- rows */

static bool
contains_word(const char *sql, const char *word)
{
	size_t		len = strlen(word);

	for (; *sql != '\0'; sql++)
	{
		if (pg_strncasecmp(sql, word, len) == 0)
			return true;
	}
	return false;
}

/*
 * Does the text tell for sure that the statement returns no rows?  It begins,
 * without a comment, with a word of which that is known, and RETURNING occurs
 * nowhere in it, not even where it would mean nothing.
 */
bool
ep_surely_rowless(const char *sql)
{
	static const char *const first[] = {
		"insert", "update", "delete", "merge", "create", "alter", "drop", "truncate", "grant", "revoke", "comment"
	};

	sql += strspn(sql, " \t\n\r\f");
	for (size_t i = 0; i < lengthof(first); i++)
	{
		size_t		len = strlen(first[i]);

		if (pg_strncasecmp(sql, first[i], len) == 0 && strchr(" \t\n\r\f", sql[len]) != NULL && sql[len] != '\0')
			return !contains_word(sql, "returning");
	}
	return false;
}
