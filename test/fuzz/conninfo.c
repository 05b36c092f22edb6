/*-------------------------------------------------------------------------
 *
 * conninfo.c
 *		Fuzz target: a pool's options of libpq, and what is made of them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "fuzz.h"
#include "worker/conninfo.h"

static EpPoolDef def;

static void
put_text(const char *text)
{
	size_t		len = strlen(text) + 1;

	memcpy(def.texts.data + def.texts.used, text, len);
	def.texts.used += len;
}

/* A list of keywords and values, as resolve.c makes it: none of them is empty. */
static void
take_definition(Input *in)
{
	static const char *const keywords[] = {
		"host", "hostaddr", "port", "options", "target_session_attrs", "load_balance_hosts", "sslmode", "gssencmode",
		"connect_timeout", "client_encoding", "dbname", "sslrootcert", "require_auth", "application_name"
	};

	memset(&def, 0, offsetof(EpPoolDef, password));
	def.texts.used = 1;
	def.conninfo = 1;
	def.encoding = PG_UTF8;
	def.password_given = take_byte(in) & 1;
	def.demand_password = take_byte(in) & 1;
	while (left(in) > 0 && def.texts.used < EP_TEXTS_SIZE - 600)
	{
		const char *keyword = keywords[take_byte(in) % lengthof(keywords)];
		char	   *value = take_text(in, 500);

		if (value[0] != '\0')
		{
			put_text(keyword);
			put_text(value);
		}
		free(value);
	}
	def.texts.data[def.texts.used++] = '\0';
}

static void
check_hosts(const EpConnInfo *info)
{
	StringInfoData name;

	INVARIANT(info->nhosts >= 1);
	for (int i = 0; i < info->nhosts; i++)
	{
		const EpHost *host = &info->hosts[i];

		INVARIANT(host->to_resolve == (host->naddresses == 0));
		INVARIANT(!host->to_resolve || (host->name != NULL && strchr(host->name, ',') == NULL));
		initStringInfo(&name);
		ep_conninfo_name_host(&name, host, host->addresses, NULL);
		INVARIANT(strlen(name.data) == (size_t) name.len);
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	Input		in = {data, data + size};
	EpConnInfo	info;

	take_definition(&in);
	if (ep_conninfo_parse(&info, &def))
		check_hosts(&info);
	else
		INVARIANT(info.error != NULL && info.error[0] != '\0' && info.sqlstate != 0);
	for (int i = 0; i < info.nkeywords; i++)
		INVARIANT(info.keywords[i][0] != '\0' && info.values[i] != NULL);
	fuzz_memory_forget();
	return 0;
}
