/*-------------------------------------------------------------------------
 *
 * propagate.c
 *		The value of the setting propagate_settings: a list of names.
 *
 * Pure: no server state, no memory, no errors.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shared/propagate.h"

/* Why a setting is not to follow the local session's. */
#define OF_THE_USER		"The connections of a pool belong to one remote user, whoever uses them."
#define OF_TRANSACTION	"It belongs to the remote transaction, which has begun when settings are sent."
#define OF_THE_READING	"Values that the remote server sends or receives could be misread."
#define OF_THE_POOL		"It is what the pool's own setting of that name says."

static const struct
{
	const char *name;
	const char *reason;
}			refused[] =

{
	{"role", OF_THE_USER},
	{"session_authorization", OF_THE_USER},
	{"is_superuser", OF_THE_USER},
	{"transaction_isolation", OF_TRANSACTION},
	{"transaction_read_only", OF_TRANSACTION},
	{"transaction_deferrable", OF_TRANSACTION},
	{"default_transaction_isolation", OF_TRANSACTION},
	{"default_transaction_read_only", OF_TRANSACTION},
	{"default_transaction_deferrable", OF_TRANSACTION},
	{"client_encoding", OF_THE_READING},
	{"datestyle", OF_THE_READING},
	{"intervalstyle", OF_THE_READING},
	{"extra_float_digits", OF_THE_READING},
	{"standard_conforming_strings", OF_THE_READING},
	{"application_name", OF_THE_POOL}
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static const char *
skip_spaces(const char *p)
{
	while (is_space(*p))
		p++;
	return p;
}

/* Reads to the closing quote; NULL if there is none or the name is too long. */
static const char *
read_quoted(const char *p, char *name)
{
	int			len = 0;

	for (p++;; p++)
	{
		if (*p == '\0')
			return NULL;
		if (*p == '"' && *++p != '"')
			break;
		if (len >= NAMEDATALEN - 1)
			return NULL;
		name[len++] = *p;
	}
	name[len] = '\0';
	return len > 0 ? p : NULL;
}

static const char *
read_plain(const char *p, char *name)
{
	int			len = 0;

	for (; *p != '\0' && *p != ',' && *p != '"' && !is_space(*p); p++)
	{
		if (len >= NAMEDATALEN - 1)
			return NULL;
		name[len++] = *p;
	}
	name[len] = '\0';
	return len > 0 ? p : NULL;
}

/*
 * Takes the next name from a list and moves *list behind it.  Names are
 * separated by commas, and may be quoted as in search_path; name has room for
 * NAMEDATALEN bytes.
 */
EpNameItem
ep_propagate_next(const char **list, char *name)
{
	const char *p = skip_spaces(*list);

	if (*p == '\0')
		return EP_NAME_END;
	p = *p == '"' ? read_quoted(p, name) : read_plain(p, name);
	if (p == NULL)
		return EP_NAME_MALFORMED;
	p = skip_spaces(p);
	if (*p == ',')
	{
		p = skip_spaces(p + 1);
		if (*p == '\0')
			return EP_NAME_MALFORMED;	/* a comma, and nothing behind it */
	}
	else if (*p != '\0')
		return EP_NAME_MALFORMED;
	*list = p;
	return EP_NAME_FOUND;
}

/*
 * Is that a list of names that may be propagated?  If not, a sentence that says
 * why is written to complaint.
 */
bool
ep_propagate_valid(const char *list, char *complaint, Size size)
{
	char		name[NAMEDATALEN];
	EpNameItem	item;

	while ((item = ep_propagate_next(&list, name)) == EP_NAME_FOUND)
	{
		for (Size i = 0; i < lengthof(refused); i++)
		{
			if (pg_strcasecmp(name, refused[i].name) != 0)
				continue;
			snprintf(complaint, size, "\"%s\" cannot be propagated. %s", name, refused[i].reason);
			return false;
		}
	}
	if (item == EP_NAME_END)
		return true;
	snprintf(complaint, size, "It must be a list of names of settings, of less than %d bytes each, separated by commas.",
			 NAMEDATALEN);
	return false;
}
