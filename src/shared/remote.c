/*-------------------------------------------------------------------------
 *
 * remote.c
 *		Where a definition leads: which pools have the same remote, and what it
 *		is to be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "shared/shared.h"

/*
 * A hash of what says where a pool's connections go: host, port, dbname and
 * user, with libpq's defaults filled in.  def is resolved but for its hashes.
 */
uint64
ep_remote_hash(const EpPoolDef *def)
{
	enum
	{
		HOST, HOSTADDR, PORT, DBNAME, USER, NKEYS
	};
	static const char *const keys[NKEYS] = {"host", "hostaddr", "port", "dbname", "user"};
	const char *values[NKEYS] = {"", "", DEF_PGPORT_STR, NULL, ""};
	uint64		hash = 0;

	for (const char *p = def->texts.data + def->conninfo; *p; p += strlen(p) + 1)
	{
		const char *key = p;

		p += strlen(p) + 1;
		for (int i = 0; i < NKEYS; i++)
		{
			if (strcmp(key, keys[i]) == 0)
				values[i] = p;
		}
	}
	if (values[DBNAME] == NULL)
		values[DBNAME] = values[USER];
	for (int i = 0; i < NKEYS; i++)
		hash = hash_bytes_extended((const unsigned char *) values[i], (int) strlen(values[i]) + 1, hash);
	return hash;
}

/* What target_session_attrs asks for.  def is resolved but for its hashes. */
EpSessionAttrs
ep_remote_session_attrs(const EpPoolDef *def)
{
	for (const char *p = def->texts.data + def->conninfo; *p; p += strlen(p) + 1)
	{
		bool		found = strcmp(p, "target_session_attrs") == 0;

		p += strlen(p) + 1;
		if (found)
			return ep_failover_attrs(p);
	}
	return EP_ATTRS_ANY;
}
