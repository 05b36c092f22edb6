/*-------------------------------------------------------------------------
 *
 * gucs.c
 *		The settings as configuration parameters, enhanced_pool.<setting>.
 *
 * A check hook is told where a value comes from, an assign hook is not; the
 * former hands it on in "extra", which the server keeps with the value through
 * SET, RESET and ROLLBACK.  Hooks are not told which parameter they are for
 * either, so each has a pair of its own, made by the macros below.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "shared/settings.h"

/* The variables; each setting uses the array of its type. */
static int	int_values[EP_NSETTINGS];
static double real_values[EP_NSETTINGS];
static bool bool_values[EP_NSETTINGS];
static char *text_values[EP_NSETTINGS];

static EpSource sources[EP_NSETTINGS];

/* Last value that no session set: what the pool has for everybody. */
static double base_values[EP_NSETTINGS];
static EpSource base_sources[EP_NSETTINGS];

static uint64 settings_epoch = 1;

static EpSource
source_of(GucSource source)
{
	if (source <= PGC_S_DYNAMIC_DEFAULT)
		return EP_SOURCE_DEFAULT;
	if (source < PGC_S_GLOBAL)
		return EP_SOURCE_GUC;
	return EP_SOURCE_SESSION;
}

static bool
remember_source(void **extra, GucSource source)
{
	EpSource   *kept = ep_guc_malloc_compat(sizeof(EpSource));

	if (kept == NULL)
		return false;
	*kept = source_of(source);
	*extra = kept;
	return true;
}

static bool
check_number(EpSettingId id, double value, void **extra, GucSource source)
{
	const EpSettingDef *def = &ep_setting_defs[id];

	if (!ep_setting_in_range(def, value))
	{
		char		range[256];

		ep_setting_range(def, range, sizeof(range));
		GUC_check_errdetail("%s", range);
		return false;
	}
	return remember_source(extra, source);
}

static bool
check_text(EpSettingId id, const char *value, void **extra, GucSource source)
{
	const EpSettingDef *def = &ep_setting_defs[id];
	char		complaint[256];

	if (value == NULL)
		value = "";
	if (strlen(value) > EP_TEXTS_SIZE - 2 ||
		(value[0] == '\0' && !ep_setting_text_may_be_empty(def)))
	{
		char		range[256];

		ep_setting_range(def, range, sizeof(range));
		GUC_check_errdetail("%s", range);
		return false;
	}
	if (!ep_setting_text_has_meaning(def, value, complaint, sizeof(complaint)))
	{
		GUC_check_errdetail("%s", complaint);
		return false;
	}
	return remember_source(extra, source);
}

static void
note_assignment(EpSettingId id, double value, const void *extra)
{
	EpSource	source = extra ? *(const EpSource *) extra : EP_SOURCE_DEFAULT;

	sources[id] = source;
	if (source != EP_SOURCE_SESSION)
	{
		base_values[id] = value;
		base_sources[id] = source;
	}
	settings_epoch++;
}

/* ---------------------------------------------------------- pairs of hooks */

#define INT_SETTINGS(X) \
	X(EP_S_INITIAL_SIZE) X(EP_S_MIN_SIZE) X(EP_S_MAX_SIZE) X(EP_S_MAX_OVERFLOW) \
	X(EP_S_TARGET_FREE_CONNECTIONS) X(EP_S_MAX_SERVER_CONNECTIONS) X(EP_S_MAX_WAITING) \
	X(EP_S_RETRY_ATTEMPTS) X(EP_S_CIRCUIT_BREAKER_THRESHOLD) X(EP_S_STATEMENT_CACHE_SIZE) \
	X(EP_S_MIN_SESSIONS) X(EP_S_MAX_SESSIONS) X(EP_S_TARGET_FREE_SESSIONS)
#define ENUM_SETTINGS(X) \
	X(EP_S_STRATEGY) X(EP_S_RESET)
#define REAL_SETTINGS(X) \
	X(EP_S_IDLE_TIMEOUT) X(EP_S_MAX_LIFETIME) X(EP_S_CONNECT_TIMEOUT) X(EP_S_ACQUIRE_TIMEOUT) \
	X(EP_S_QUERY_TIMEOUT) X(EP_S_RETRY_BACKOFF) X(EP_S_SCALE_UP_THRESHOLD) \
	X(EP_S_SCALE_DOWN_THRESHOLD) X(EP_S_SCALING_COOL_DOWN) X(EP_S_VALIDATION_INTERVAL) \
	X(EP_S_HEALTH_CHECK_INTERVAL) X(EP_S_CIRCUIT_BREAKER_RECOVERY) \
	X(EP_S_SESSION_IDLE_TIMEOUT) X(EP_S_SESSION_MAX_LIFETIME) X(EP_S_IDLE_IN_SESSION_TIMEOUT) \
	X(EP_S_SESSION_TIMEOUT) X(EP_S_LEAK_DETECTION_THRESHOLD) X(EP_S_STATS_EMIT_INTERVAL)
#define BOOL_SETTINGS(X) \
	X(EP_S_DYNAMIC_SCALING_ENABLED) X(EP_S_FAILOVER_ENABLED) X(EP_S_AUTOCOMMIT) \
	X(EP_S_LOG_CONNECTIONS) X(EP_S_STATS_ENABLED)
#define TEXT_SETTINGS(X) \
	X(EP_S_VALIDATION_QUERY) X(EP_S_RESET_QUERY) X(EP_S_CONNECT_QUERY) \
	X(EP_S_PROPAGATE_SETTINGS) X(EP_S_APPLICATION_NAME)

#define NUMBER_HOOKS(id, ctype) \
	static bool \
	check_##id(ctype *newval, void **extra, GucSource source) \
	{ \
		return check_number(id, *newval, extra, source); \
	} \
	static void \
	assign_##id(ctype newval, void *extra) \
	{ \
		note_assignment(id, newval, extra); \
	}
#define TEXT_HOOKS(id) \
	static bool \
	check_##id(char **newval, void **extra, GucSource source) \
	{ \
		return check_text(id, *newval, extra, source); \
	} \
	static void \
	assign_##id(const char *newval pg_attribute_unused(), void *extra) \
	{ \
		note_assignment(id, 0, extra); \
	}
#define INT_HOOKS(id) NUMBER_HOOKS(id, int)
#define REAL_HOOKS(id) NUMBER_HOOKS(id, double)
#define BOOL_HOOKS(id) NUMBER_HOOKS(id, bool)

/* *INDENT-OFF* */
INT_SETTINGS(INT_HOOKS)
ENUM_SETTINGS(INT_HOOKS)
REAL_SETTINGS(REAL_HOOKS)
BOOL_SETTINGS(BOOL_HOOKS)
TEXT_SETTINGS(TEXT_HOOKS)
/* *INDENT-ON* */

typedef union GucHooks
{
	struct
	{
		GucIntCheckHook check;
		GucIntAssignHook assign;
	}			i;
	struct
	{
		GucEnumCheckHook check;
		GucEnumAssignHook assign;
	}			e;
	struct
	{
		GucRealCheckHook check;
		GucRealAssignHook assign;
	}			r;
	struct
	{
		GucBoolCheckHook check;
		GucBoolAssignHook assign;
	}			b;
	struct
	{
		GucStringCheckHook check;
		GucStringAssignHook assign;
	}			t;
} GucHooks;

#define INT_ENTRY(id)	[id] = {.i = {check_##id, assign_##id}},
#define ENUM_ENTRY(id)	[id] = {.e = {check_##id, assign_##id}},
#define REAL_ENTRY(id)	[id] = {.r = {check_##id, assign_##id}},
#define BOOL_ENTRY(id)	[id] = {.b = {check_##id, assign_##id}},
#define TEXT_ENTRY(id)	[id] = {.t = {check_##id, assign_##id}},

static const GucHooks guc_hooks[EP_NSETTINGS] = {
	INT_SETTINGS(INT_ENTRY)
	ENUM_SETTINGS(ENUM_ENTRY)
	REAL_SETTINGS(REAL_ENTRY)
	BOOL_SETTINGS(BOOL_ENTRY)
	TEXT_SETTINGS(TEXT_ENTRY)
};

static void
define_guc(const EpSettingDef *def)
{
	int			id = def->id;
	const GucHooks *hooks = &guc_hooks[id];
	GucContext	context = def->session ? PGC_USERSET : PGC_SIGHUP;
	double		min = def->zero_ok ? 0 : def->min;
	char		name[NAMEDATALEN];
	char	   *kept;

	/* The server keeps the pointer to the name. */
	snprintf(name, sizeof(name), "enhanced_pool.%s", def->name);
	kept = MemoryContextStrdup(TopMemoryContext, name);

	switch (def->type)
	{
		case EP_TYPE_INT:
			DefineCustomIntVariable(kept, def->description, NULL, &int_values[id],
									(int) def->boot, (int) min, (int) def->max, context, 0,
									hooks->i.check, hooks->i.assign, NULL);
			break;
		case EP_TYPE_DURATION:
		case EP_TYPE_REAL:
			DefineCustomRealVariable(kept, def->description, NULL, &real_values[id],
									 def->boot, min, def->max, context,
									 def->type == EP_TYPE_DURATION ? GUC_UNIT_S : 0,
									 hooks->r.check, hooks->r.assign, NULL);
			break;
		case EP_TYPE_BOOL:
			DefineCustomBoolVariable(kept, def->description, NULL, &bool_values[id],
									 def->boot != 0, context, 0,
									 hooks->b.check, hooks->b.assign, NULL);
			break;
		case EP_TYPE_ENUM:
			DefineCustomEnumVariable(kept, def->description, NULL, &int_values[id],
									 (int) def->boot, def->values, context, 0,
									 hooks->e.check, hooks->e.assign, NULL);
			break;
		case EP_TYPE_STRING:
			DefineCustomStringVariable(kept, def->description, NULL, &text_values[id],
									   def->boot_text, context, 0,
									   hooks->t.check, hooks->t.assign, NULL);
			break;
	}
}

/*
 * Defines enhanced_pool.<setting> for every setting; once, from _PG_init.  The
 * prefix is reserved by the caller, after its own parameters.
 */
void
ep_settings_define_gucs(void)
{
	for (int i = 0; i < EP_NSETTINGS; i++)
		define_guc(&ep_setting_defs[i]);
}

/* Changes whenever a parameter of ours is assigned to in this process. */
uint64
ep_settings_epoch(void)
{
	return settings_epoch;
}

/*
 * The value of a number, and where it is from.  Without with_session a value
 * that this session set is passed over for the one that holds for everybody.
 */
double
ep_guc_num(EpSettingId id, bool with_session, EpSource *source)
{
	if (sources[id] == EP_SOURCE_SESSION && !with_session)
	{
		*source = base_sources[id];
		return base_values[id];
	}
	*source = sources[id];
	switch (ep_setting_defs[id].type)
	{
		case EP_TYPE_INT:
		case EP_TYPE_ENUM:
			return int_values[id];
		case EP_TYPE_DURATION:
		case EP_TYPE_REAL:
			return real_values[id];
		case EP_TYPE_BOOL:
			return bool_values[id];
		case EP_TYPE_STRING:
			break;
	}
	return 0;
}

/* The same for a text; it is valid until the parameter changes. */
const char *
ep_guc_text(EpSettingId id, EpSource *source)
{
	*source = sources[id];
	return text_values[id] ? text_values[id] : "";
}
