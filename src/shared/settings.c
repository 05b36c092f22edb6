/*-------------------------------------------------------------------------
 *
 * settings.c
 *		The table of settings, and what is done with it: parsing and checking a
 *		value, formatting it, and the effective values of one pool.
 *
 * A pool's value comes from its user mapping, else from its server, else from
 * the GUC of the same name (gucs.c), else it is the default.  The GUCs that a
 * session may set are laid over the result in that session alone: what stands
 * in shared memory is the same for everybody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "shared/propagate.h"
#include "shared/settings.h"
#include "shared/shared.h"

#define MAX_COUNT		10000
#define MAX_SECONDS		(86400.0 * 30)
#define MIN_SECONDS		0.001

static const struct config_enum_entry strategy_values[] = {
	{"balanced", EP_STRATEGY_BALANCED, false},
	{"high_throughput", EP_STRATEGY_HIGH_THROUGHPUT, false},
	{"low_latency", EP_STRATEGY_LOW_LATENCY, false},
	{"dynamic", EP_STRATEGY_DYNAMIC, false},
	{NULL, 0, false}
};

static const struct config_enum_entry reset_values[] = {
	{"auto", EP_RESET_AUTO, false},
	{"always", EP_RESET_ALWAYS, false},
	{"never", EP_RESET_NEVER, false},
	{NULL, 0, false}
};

/* What each row needs beyond its kind: flags of the macros below. */
#define ZERO		1			/* 0 is allowed */
#define SESSION		2			/* may be set by SET */
#define SERVER_ONLY	4			/* not on a user mapping */

#define ROW(setting, label, kind, dflt, dflt_text, lo, hi, flags, list, measure, about) \
	[setting] = { \
		.id = setting, .name = label, .type = kind, .boot = dflt, .boot_text = dflt_text, \
		.min = lo, .max = hi, .zero_ok = ((flags) & ZERO) != 0, \
		.session = ((flags) & SESSION) != 0, .server_only = ((flags) & SERVER_ONLY) != 0, \
		.values = list, .unit = measure, .description = about \
	}

#define COUNT(id, name, boot, min, max, flags, about) \
	ROW(id, name, EP_TYPE_INT, boot, NULL, min, max, flags, NULL, NULL, about)
#define DURATION(id, name, boot, flags, about) \
	ROW(id, name, EP_TYPE_DURATION, boot, NULL, MIN_SECONDS, MAX_SECONDS, flags, NULL, "s", about)
#define RATIO(id, name, boot, flags, about) \
	ROW(id, name, EP_TYPE_REAL, boot, NULL, 0.01, 1, flags, NULL, NULL, about)
#define SWITCH(id, name, boot, flags, about) \
	ROW(id, name, EP_TYPE_BOOL, boot, NULL, 0, 1, (flags) | ZERO, NULL, NULL, about)
#define CHOICE(id, name, boot, values, flags, about) \
	ROW(id, name, EP_TYPE_ENUM, boot, NULL, 0, 0, (flags) | ZERO, values, NULL, about)
#define TEXT(id, name, boot, flags, about) \
	ROW(id, name, EP_TYPE_STRING, 0, boot, 0, 0, flags, NULL, NULL, about)

const EpSettingDef ep_setting_defs[EP_NSETTINGS] = {
	COUNT(EP_S_INITIAL_SIZE, "initial_size", 5, 0, MAX_COUNT, ZERO,
		  "Connections opened when a pool is first used."),
	COUNT(EP_S_MIN_SIZE, "min_size", 2, 0, MAX_COUNT, ZERO,
		  "Connections that idle expiry leaves open."),
	COUNT(EP_S_MAX_SIZE, "max_size", 20, 1, MAX_COUNT, 0,
		  "Most connections of a pool."),
	COUNT(EP_S_MAX_OVERFLOW, "max_overflow", 0, 0, MAX_COUNT, ZERO,
		  "Connections beyond max_size when all are busy, closed when released."),
	COUNT(EP_S_TARGET_FREE_CONNECTIONS, "target_free_connections", 3, 0, MAX_COUNT, ZERO,
		  "Idle connections that scaling keeps ready beside those in use."),
	COUNT(EP_S_MAX_SERVER_CONNECTIONS, "max_server_connections", 0, 0, MAX_COUNT, ZERO | SERVER_ONLY,
		  "Most connections of all pools of one server."),
	DURATION(EP_S_IDLE_TIMEOUT, "idle_timeout", 300, ZERO,
			 "Closes a connection that is idle for longer than this."),
	DURATION(EP_S_MAX_LIFETIME, "max_lifetime", 3600, ZERO,
			 "Closes a connection that is older than this."),
	DURATION(EP_S_CONNECT_TIMEOUT, "connect_timeout", 10, ZERO,
			 "Time allowed for one attempt to connect to one address."),
	DURATION(EP_S_ACQUIRE_TIMEOUT, "acquire_timeout", 30, ZERO | SESSION,
			 "Longest wait for a connection."),
	DURATION(EP_S_QUERY_TIMEOUT, "query_timeout", 0, ZERO | SESSION,
			 "Time allowed for one remote statement."),
	COUNT(EP_S_MAX_WAITING, "max_waiting", 0, 0, 100000, ZERO,
		  "Most backends that wait for one pool at once."),
	COUNT(EP_S_RETRY_ATTEMPTS, "retry_attempts", 3, 1, 1000, SESSION,
		  "Failed attempts to connect after which a waiting backend gives up."),
	DURATION(EP_S_RETRY_BACKOFF, "retry_backoff", 1, ZERO | SESSION,
			 "Pause after a failed attempt to connect; it doubles with each failure."),
	CHOICE(EP_S_STRATEGY, "strategy", EP_STRATEGY_BALANCED, strategy_values, 0,
		   "What a pool is tuned for."),
	SWITCH(EP_S_DYNAMIC_SCALING_ENABLED, "dynamic_scaling_enabled", 1, 0,
		   "Adapts the number of connections to the load."),
	RATIO(EP_S_SCALE_UP_THRESHOLD, "scale_up_threshold", 0.8, ZERO,
		  "Share of leased connections above which a pool grows."),
	RATIO(EP_S_SCALE_DOWN_THRESHOLD, "scale_down_threshold", 0.3, ZERO,
		  "Share of leased connections below which a pool shrinks."),
	DURATION(EP_S_SCALING_COOL_DOWN, "scaling_cool_down", 30, ZERO,
			 "Shortest time between scalings of a pool in opposite directions."),
	DURATION(EP_S_VALIDATION_INTERVAL, "validation_interval", 60, ZERO,
			 "Validates an idle connection that was not used for this long."),
	TEXT(EP_S_VALIDATION_QUERY, "validation_query", "SELECT 1", 0,
		 "Query that validates an idle connection."),
	DURATION(EP_S_HEALTH_CHECK_INTERVAL, "health_check_interval", 10, ZERO,
			 "Makes a test connection when nothing else succeeded for this long."),
	COUNT(EP_S_CIRCUIT_BREAKER_THRESHOLD, "circuit_breaker_threshold", 5, 1, MAX_COUNT, ZERO,
		  "Consecutive failures that open the circuit breaker."),
	DURATION(EP_S_CIRCUIT_BREAKER_RECOVERY, "circuit_breaker_recovery", 30, 0,
			 "Time until an open circuit breaker lets a trial through."),
	SWITCH(EP_S_FAILOVER_ENABLED, "failover_enabled", 1, 0,
		   "Replaces connections to a host that is no longer the wanted one."),
	CHOICE(EP_S_RESET, "reset", EP_RESET_AUTO, reset_values, 0,
		   "When a connection is reset before it is used again."),
	TEXT(EP_S_RESET_QUERY, "reset_query", "DISCARD ALL", 0,
		 "Query that resets a connection."),
	TEXT(EP_S_CONNECT_QUERY, "connect_query", "", 0,
		 "Query that is run on each new connection and after each reset."),
	TEXT(EP_S_PROPAGATE_SETTINGS, "propagate_settings", "", 0,
		 "Local settings that the remote server gets before each statement."),
	SWITCH(EP_S_AUTOCOMMIT, "autocommit", 1, 0,
		   "Commits each statement on the remote server at once."),
	COUNT(EP_S_STATEMENT_CACHE_SIZE, "statement_cache_size", 100, 1, MAX_COUNT, ZERO,
		  "Prepared statements kept on one connection."),
	COUNT(EP_S_MIN_SESSIONS, "min_sessions", 0, 0, MAX_COUNT, ZERO,
		  "Connections kept for sessions."),
	COUNT(EP_S_MAX_SESSIONS, "max_sessions", 0, 0, MAX_COUNT, ZERO,
		  "Most sessions open at once."),
	COUNT(EP_S_TARGET_FREE_SESSIONS, "target_free_sessions", 0, 0, MAX_COUNT, ZERO,
		  "Spare connections kept ready for sessions."),
	DURATION(EP_S_SESSION_IDLE_TIMEOUT, "session_idle_timeout", 60, ZERO,
			 "Gives back a connection kept for sessions that is unused for longer than this."),
	DURATION(EP_S_SESSION_MAX_LIFETIME, "session_max_lifetime", 1800, ZERO,
			 "Gives back a connection kept for sessions that is older than this."),
	DURATION(EP_S_IDLE_IN_SESSION_TIMEOUT, "idle_in_session_timeout", 0, ZERO,
			 "Ends an open session that is idle for longer than this."),
	DURATION(EP_S_SESSION_TIMEOUT, "session_timeout", 0, ZERO,
			 "Ends a session that is open for longer than this."),
	DURATION(EP_S_LEAK_DETECTION_THRESHOLD, "leak_detection_threshold", 0, ZERO,
			 "Reports a lease that is held for longer than this."),
	SWITCH(EP_S_LOG_CONNECTIONS, "log_connections", 0, 0,
		   "Logs each connection that is opened or closed."),
	SWITCH(EP_S_STATS_ENABLED, "stats_enabled", 1, 0,
		   "Counts and times what sessions do."),
	DURATION(EP_S_STATS_EMIT_INTERVAL, "stats_emit_interval", 60, ZERO,
			 "How often a line of statistics is logged."),
	TEXT(EP_S_APPLICATION_NAME, "application_name", "enhanced_pool/%S", 0,
		 "Name of the connections on the remote server."),
};

/*
 * The setting of that name, or NULL.  Names are compared as option names are:
 * exactly.
 */
const EpSettingDef *
ep_setting_find(const char *name)
{
	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		if (strcmp(ep_setting_defs[i].name, name) == 0)
			return &ep_setting_defs[i];
	}
	return NULL;
}

/*
 * Writes one sentence about the permitted values of a setting into buf.
 * Allocates nothing: check hooks of GUCs use it too.
 */
void
ep_setting_range(const EpSettingDef *def, char *buf, Size size)
{
	const char *or_zero = def->zero_ok && def->min > 0 ? ", or 0" : "";

	switch (def->type)
	{
		case EP_TYPE_INT:
			snprintf(buf, size, "Valid values are whole numbers between %d and %d%s.",
					 (int) def->min, (int) def->max, or_zero);
			break;
		case EP_TYPE_DURATION:
			snprintf(buf, size, "Valid values are between 1 ms and %d days%s; a number without a unit is in seconds.",
					 (int) (def->max / 86400), or_zero);
			break;
		case EP_TYPE_REAL:
			snprintf(buf, size, "Valid values are between %g and %g%s.", def->min, def->max, or_zero);
			break;
		case EP_TYPE_BOOL:
			snprintf(buf, size, "Valid values are on and off.");
			break;
		case EP_TYPE_ENUM:
			{
				Size		used = strlcpy(buf, "Valid values are ", size);

				for (const struct config_enum_entry *e = def->values; e->name && used < size; e++)
					used += snprintf(buf + used, size - used, "%s%s", e->name, e[1].name ? ", " : ".");
				break;
			}
		case EP_TYPE_STRING:
			snprintf(buf, size, "Valid values are texts of up to %d bytes%s.", EP_TEXTS_SIZE - 2,
					 ep_setting_text_may_be_empty(def) ? "" : ", but not the empty one");
			break;
	}
}

/* Is this number within the range of that setting? */
bool
ep_setting_in_range(const EpSettingDef *def, double value)
{
	if (def->type == EP_TYPE_BOOL || def->type == EP_TYPE_ENUM)
		return true;			/* checked by name */
	if (value == 0)
		return def->zero_ok;
	return value >= def->min && value <= def->max;
}

/*
 * A query that does nothing would quietly switch off what it is for; there are
 * settings that do so openly.
 */
bool
ep_setting_text_may_be_empty(const EpSettingDef *def)
{
	return def->id != EP_S_VALIDATION_QUERY && def->id != EP_S_RESET_QUERY;
}

static void
raise_invalid(const EpSettingDef *def, const char *value)
{
	char		range[256];

	ep_setting_range(def, range, sizeof(range));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for setting \"%s\": \"%s\"", def->name,
					strlen(value) > 200 ? "(too long)" : value),
			 errdetail("%s", range)));
}

static bool
parse_number(const EpSettingDef *def, const char *value, double *result)
{
	int			number;
	bool		on;

	switch (def->type)
	{
		case EP_TYPE_INT:
			if (!parse_int(value, &number, 0, NULL))
				return false;
			*result = number;
			return true;
		case EP_TYPE_DURATION:
			return parse_real(value, result, GUC_UNIT_S, NULL);
		case EP_TYPE_REAL:
			return parse_real(value, result, 0, NULL);
		case EP_TYPE_BOOL:
			if (!parse_bool(value, &on))
				return false;
			*result = on;
			return true;
		case EP_TYPE_ENUM:
			for (const struct config_enum_entry *e = def->values; e->name; e++)
			{
				if (pg_strcasecmp(e->name, value) == 0)
				{
					*result = e->val;
					return true;
				}
			}
			return false;
		case EP_TYPE_STRING:
			break;
	}
	return false;
}

/*
 * Has a text, which is not too long and not empty where it must not be, a
 * meaning for that setting?  If not, a sentence that says why is written to
 * complaint.  Allocates nothing: check hooks of GUCs use it too.
 */
bool
ep_setting_text_has_meaning(const EpSettingDef *def, const char *value, char *complaint, Size size)
{
	return def->id != EP_S_PROPAGATE_SETTINGS || ep_propagate_valid(value, complaint, size);
}

/*
 * Would ep_setting_parse() or ep_setting_check_text() accept that value?  For
 * those who cannot have an error about what stands in the catalogs.
 */
bool
ep_setting_valid(const EpSettingDef *def, const char *value)
{
	double		result = 0;

	if (def->type == EP_TYPE_STRING)
	{
		char		complaint[256];

		return strlen(value) <= EP_TEXTS_SIZE - 2 &&
			(value[0] != '\0' || ep_setting_text_may_be_empty(def)) &&
			ep_setting_text_has_meaning(def, value, complaint, sizeof(complaint));
	}
	return parse_number(def, value, &result) && ep_setting_in_range(def, result);
}

/*
 * The value of a setting that is no text: durations in seconds, booleans 0/1,
 * enums their index.  Raises 22023 for a value that is malformed or out of
 * range.
 */
double
ep_setting_parse(const EpSettingDef *def, const char *value)
{
	double		result = 0;

	Assert(def->type != EP_TYPE_STRING);
	if (!parse_number(def, value, &result) || !ep_setting_in_range(def, result))
		raise_invalid(def, value);
	return result;
}

/* The same for a setting of type text; the value stays the caller's. */
void
ep_setting_check_text(const EpSettingDef *def, const char *value)
{
	char		complaint[256];

	Assert(def->type == EP_TYPE_STRING);
	if (strlen(value) > EP_TEXTS_SIZE - 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value of setting \"%s\" is too long", def->name),
				 errdetail("It has %zu bytes; at most %d are possible.",
						   strlen(value), EP_TEXTS_SIZE - 2)));
	if (value[0] == '\0' && !ep_setting_text_may_be_empty(def))
		raise_invalid(def, value);
	if (!ep_setting_text_has_meaning(def, value, complaint, sizeof(complaint)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for setting \"%s\": \"%s\"", def->name,
						strlen(value) > 200 ? "(too long)" : value),
				 errdetail("%s", complaint)));
}

/* One value as text, palloc'd, in the form in which it can be set again. */
char *
ep_setting_format(const EpSettingDef *def, const EpSettings *set, const EpTexts *texts)
{
	double		value = set->v[def->id].num;

	switch (def->type)
	{
		case EP_TYPE_INT:
			return psprintf("%d", (int) value);
		case EP_TYPE_DURATION:
		case EP_TYPE_REAL:
			return psprintf("%.15g", value);
		case EP_TYPE_BOOL:
			return pstrdup(value != 0 ? "on" : "off");
		case EP_TYPE_ENUM:
			return pstrdup(def->values[(int) value].name);
		case EP_TYPE_STRING:
			return pstrdup(EP_STR(set, texts, def->id));
	}
	return NULL;				/* keep compiler quiet */
}

/*
 * Adds size bytes to a text area, which may be all zeros at first.  Returns
 * false and leaves it alone when there is no room.
 */
bool
ep_texts_add_bytes(EpTexts *texts, const char *bytes, Size size, uint32 *offset)
{
	if (texts->used == 0)
	{
		texts->data[0] = '\0';
		texts->used = 1;
	}
	if (texts->used > EP_TEXTS_SIZE || size > EP_TEXTS_SIZE - texts->used)
		return false;
	memcpy(texts->data + texts->used, bytes, size);
	*offset = texts->used;
	texts->used += size;
	return true;
}

/* The same for a string; the empty one takes no room and has offset 0. */
bool
ep_texts_add(EpTexts *texts, const char *text, uint32 *offset)
{
	uint32		unused;

	if (text[0] == '\0')
	{
		*offset = 0;
		return ep_texts_add_bytes(texts, "", 0, &unused);
	}
	return ep_texts_add_bytes(texts, text, strlen(text) + 1, offset);
}

/*
 * Takes one setting from its GUC as this process sees it without what the
 * session set.  Returns false when the text area has no room for it.
 */
bool
ep_setting_from_guc(EpSettings *set, EpTexts *texts, EpSettingId id)
{
	EpSource	source;

	if (ep_setting_defs[id].type == EP_TYPE_STRING)
	{
		const char *text = ep_guc_text(id, &source);
		uint32		offset = 0;

		if (!ep_texts_add(texts, text, &offset))
			return false;
		set->v[id].num = 0;		/* all bytes of the union have a defined value */
		set->v[id].text = offset;
	}
	else
		set->v[id].num = ep_guc_num(id, false, &source);
	set->source[id] = source;
	return true;
}

/*
 * Reads again what came from a GUC or is a default, after a reload; the
 * worker calls it on its pools.  Not looked at are application_name, which is
 * stored expanded, connect_query and propagate_settings: a change of these
 * replaces connections, and the next backend that uses the pool sees to it.  A text that has no room
 * stays as it is until then, too.  Allocates nothing and raises nothing; the
 * caller holds the lock under which set lives.  Returns whether a value
 * changed.
 */
bool
ep_settings_refresh_gucs(EpSettings *set, EpTexts *texts)
{
	bool		changed = false;
	EpSettings	before = *set;

	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		EpSource	source;

		if (set->source[i] > EP_SOURCE_GUC || i == EP_S_APPLICATION_NAME || i == EP_S_CONNECT_QUERY ||
			i == EP_S_PROPAGATE_SETTINGS)
			continue;
		if (ep_setting_defs[i].type == EP_TYPE_STRING)
		{
			if (strcmp(ep_guc_text(i, &source), EP_STR(set, texts, i)) == 0)
				set->source[i] = source;
			else if (ep_setting_from_guc(set, texts, i))
				changed = true;
		}
		else
			ep_setting_from_guc(set, texts, i);
	}
	ep_settings_finish(set);
	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		if (ep_setting_defs[i].type != EP_TYPE_STRING && set->v[i].num != before.v[i].num)
			changed = true;
	}
	return changed;
}

/* Does the session's value forbid at least what the pool's does? */
static bool
is_tighter(EpSettingId id, double session, double pool)
{
	if (id == EP_S_QUERY_TIMEOUT)
	{
		if (pool == 0)
			return true;
		if (session == 0)
			return false;
	}
	return session <= pool;
}

/*
 * The value of one setting in this session, for a pool that has that value
 * from that source.  What a server or mapping says about query_timeout and
 * retry_attempts is a limit: other than superusers may only go below it.
 * *source may become EP_SOURCE_SESSION.
 */
double
ep_setting_in_session(EpSettingId id, double value, EpSource *source)
{
	EpSource	session;
	double		wanted = ep_guc_num(id, true, &session);

	if (!ep_setting_defs[id].session || session != EP_SOURCE_SESSION)
		return value;
	if ((id == EP_S_QUERY_TIMEOUT || id == EP_S_RETRY_ATTEMPTS) &&
		*source >= EP_SOURCE_SERVER && !is_tighter(id, wanted, value) && !superuser())
		return value;
	*source = EP_SOURCE_SESSION;
	return wanted;
}

/*
 * Lays the values that this session set (SET, ALTER ROLE or DATABASE ... SET,
 * client options) over a private copy of a pool's.
 */
void
ep_settings_apply_session(EpSettings *set)
{
	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		EpSource	source = set->source[i];

		if (!ep_setting_defs[i].session)
			continue;
		set->v[i].num = ep_setting_in_session(i, set->v[i].num, &source);
		set->source[i] = source;
	}
}

/* Brings values that depend on each other together; sources stay. */
void
ep_settings_finish(EpSettings *set)
{
	static const EpSettingId capped[] = {
		EP_S_INITIAL_SIZE, EP_S_MIN_SIZE, EP_S_TARGET_FREE_CONNECTIONS,
		EP_S_MIN_SESSIONS, EP_S_MAX_SESSIONS
	};

	for (Size i = 0; i < lengthof(capped); i++)
		set->v[capped[i]].num = Min(set->v[capped[i]].num, set->v[EP_S_MAX_SIZE].num);
	set->v[EP_S_STATEMENT_CACHE_SIZE].num = Min(set->v[EP_S_STATEMENT_CACHE_SIZE].num, ep_max_statements);
}

/* The word for a source in the view config. */
const char *
ep_source_name(EpSource source)
{
	switch (source)
	{
		case EP_SOURCE_DEFAULT:
			return "default";
		case EP_SOURCE_GUC:
			return "guc";
		case EP_SOURCE_SERVER:
			return "server";
		case EP_SOURCE_ROLE:
			return "role";
		case EP_SOURCE_SESSION:
			return "session";
	}
	return "unknown";
}
