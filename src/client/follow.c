/*-------------------------------------------------------------------------
 *
 * follow.c
 *		Settings that follow the local session's: propagate_settings.
 *
 * Before a statement runs, the remote session gets the present local values of
 * the settings that the pool names; one that is unset or empty here is reset
 * there.  What matters is that no statement ever runs with another's values:
 *
 *	- What is sent goes in front of the statement under the same Sync, where an
 *	  error in it skips the statement; or, for a statement that may not run in
 *	  a transaction block, which such a group is, by itself and awaited.
 *	- A statement through a pool's name gets them for its own transaction
 *	  alone, set_config(..., true).  Nothing stays for the next user.
 *	- Who holds the connection for longer gets them for the session, or in a
 *	  transaction for that transaction, and is not sent them again while they
 *	  are the same.  What the remote has is known from what this lease has sent
 *	  (EpLease.followed): nothing is taken over from another lease, and all is
 *	  forgotten when a statement may have changed something, which the class of
 *	  its text tells, or when a savepoint may have been rolled back to.  That is
 *	  at worst sent once more.
 *	- It counts as sent only after ReadyForQuery without an error: until then
 *	  the remote may have taken it back.
 *	- A turn of whatever kind that sends something without having said how the
 *	  settings go with it fails (ep_turn_check_settings).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/guc.h"

#include "client/turn.h"

/* ---------------------------------------------------------- the local values */

/*
 * The value of a local setting, NULL if there is none or it is empty.  What
 * only superusers may see stays here, whoever asks: who owns the server chose
 * the name, and has the remote.
 */
static const char *
local_value(const char *name)
{
	const char *value;

	if (GetConfigOptionFlags(name, true) & GUC_SUPERUSER_ONLY)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to propagate setting \"%s\"", name),
				 errdetail("Only superusers may see it, so that it is not sent to a remote server.")));
	value = GetConfigOptionByName(name, NULL, true);
	return value && value[0] != '\0' ? value : NULL;
}

static void
raise_too_long(const char *name, const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("no room to propagate setting \"%s\"", name),
			 errdetail("Its value has %zu bytes; names and values of all propagated settings may have %d bytes together.",
					   strlen(value), EP_FOLLOWED_SIZE)));
}

/*
 * The names of the pool's list and their local values, as name\0value\0 ..., an
 * unset one with an empty value.  Raises 22023 if that is too long, 42501 for a
 * setting that must not be sent.
 */
static StringInfo
collect(const EpPoolRef *ref)
{
	StringInfo	settings = makeStringInfo();

	for (const char *name = ref->follow; *name != '\0'; name += strlen(name) + 1)
	{
		const char *value = local_value(name);

		if (value == NULL)
			value = "";
		if (settings->len + strlen(name) + strlen(value) + 2 > EP_FOLLOWED_SIZE)
			raise_too_long(name, value);
		appendBinaryStringInfo(settings, name, strlen(name) + 1);
		appendBinaryStringInfo(settings, value, strlen(value) + 1);
	}
	return settings;
}

/*
 * The statement that sets them.  set_config takes a list such as search_path
 * as it is shown, and NULL for the default.
 */
static char *
statement_for(const StringInfoData *settings, bool local)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (const char *name = settings->data; name < settings->data + settings->len;)
	{
		const char *value = name + strlen(name) + 1;

		appendStringInfo(&sql, "%s pg_catalog.set_config(%s, %s, %s)",
						 sql.len == 0 ? "SELECT" : ",", quote_literal_cstr(name),
						 *value ? quote_literal_cstr(value) : "NULL", local ? "true" : "false");
		name = value + strlen(value) + 1;
	}
	return sql.data;
}

/* ------------------------------------------------------ what the remote has */

/* What the remote has is not known any more.  Raises nothing. */
void
ep_lease_forget_settings(EpLease *lease)
{
	lease->followed.len = 0;
}

/* The statement may have changed them: neither what was sent before nor what goes with it counts. */
void
ep_turn_forget_settings(EpTurn *turn)
{
	ep_lease_forget_settings(turn->lease);
	turn->settings = NULL;
}

/* ReadyForQuery: what was sent holds, unless there was an error. */
void
ep_turn_settle_settings(EpTurn *turn)
{
	EpFollowed *followed = &turn->lease->followed;
	StringInfo	settings = turn->settings;

	turn->settings = NULL;
	if (settings == NULL || turn->failed ||
		turn->conn->tx_status != (turn->settings_local ? 'T' : 'I'))
		return;
	memcpy(followed->text, settings->data, settings->len);
	followed->len = settings->len;
	followed->local = turn->settings_local;
}

/* The prelude that sets them has been answered; what counts is how its group ends. */
static void
was_set(EpLease *lease pg_attribute_unused())
{
}

/* Is the error one of the statement that sets them? */
bool
ep_turn_settings_failed(const EpTurn *turn)
{
	return turn->failed && turn->next_step < turn->nsteps && turn->steps[turn->next_step] == was_set;
}

/* Context of that error: which settings they are, without their values. */
void
ep_turn_settings_context(void *arg)
{
	const EpTurn *turn = arg;
	StringInfoData names;

	initStringInfo(&names);
	for (const char *name = turn->lease->ref->follow; name && *name != '\0'; name += strlen(name) + 1)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", name);
	errcontext("propagated settings: %s", names.data);
}

/* ------------------------------------------------------------------ sending */

/* Is the lease in a transaction on the remote, or will it be when the statement runs? */
static bool
in_transaction(const EpTurn *turn)
{
	return turn->lease->kind == EP_KIND_SESSION || turn->conn->tx_status != 'I';
}

/*
 * How the settings go with a statement of that class: apart if it may be one
 * that cannot run in a transaction block; not at all with a transaction
 * statement, before which nothing may have been run, and after an error, when
 * the remote takes no other.
 */
EpSettingsWay
ep_turn_settings_way(const EpTurn *turn, const EpTextClass *class)
{
	if (class->transaction || (turn->lease->kind == EP_KIND_LEASE && turn->conn->tx_status == 'E'))
		return EP_SETTINGS_NOT;
	if (class->plannable || !class->dirty || in_transaction(turn))
		return EP_SETTINGS_TOGETHER;
	return EP_SETTINGS_APART;
}

/*
 * Put what the remote must be told in front of what the caller puts next, at
 * the beginning of each group of messages that ends with a Sync.  With
 * EP_SETTINGS_APART, which holds for the rest of the turn, the caller goes on
 * with ep_turn_await_prelude.  Where the pool has lost its propagate_settings since
 * the turn began nothing is put.  Raises 22023 and 42501, see collect().
 */
void
ep_turn_put_settings(EpTurn *turn, EpSettingsWay way)
{
	EpLease    *lease = turn->lease;
	EpFollowed *followed = &lease->followed;
	bool		open = in_transaction(turn);
	bool		once = lease->kind == EP_KIND_STATEMENT && !open;
	bool		local = open || (once && way == EP_SETTINGS_TOGETHER);
	StringInfo	settings;

	if (!turn->follows)
		return;
	turn->settings_due = false;
	turn->settings_done = way != EP_SETTINGS_TOGETHER;

	/*
	 * A statement whose result is taken later may have to be prepared anew
	 * after the pool's definition has changed: then nothing follows any more.
	 */
	if (way == EP_SETTINGS_NOT || lease->ref->follow == NULL)
	{
		ep_turn_forget_settings(turn);
		return;
	}

	settings = collect(lease->ref);
	if (!once && followed->local == local && (!open || turn->conn->tx_status == 'T') &&
		followed->len == settings->len && memcmp(followed->text, settings->data, settings->len) == 0)
	{
		if (turn->dirty)
			ep_turn_forget_settings(turn);
		return;
	}
	ep_turn_forget_settings(turn);
	if (once && !local)
		turn->conn->dirty = true;
	ep_turn_put_prelude(turn, statement_for(settings, local), was_set);
	if (!once && !turn->dirty)
	{
		turn->settings = settings;
		turn->settings_local = local;
	}
}

/* Something is about to be sent: raises if nobody has said how the settings go with it. */
void
ep_turn_check_settings(EpTurn *turn)
{
	if (turn->settings_due)
		elog(ERROR, "statement would be sent without the settings that pool \"%s\" propagates", turn->lease->ref->name);
	turn->settings_due = turn->follows && !turn->settings_done;
}
