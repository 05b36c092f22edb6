/*-------------------------------------------------------------------------
 *
 * settings.h
 *		Every setting of a pool: its type, range, default and where its value
 *		came from.  One table (settings.c) serves the GUCs, the validator of
 *		CREATE SERVER / USER MAPPING, the effective values of a pool and the
 *		view config.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_SETTINGS_H
#define EP_SETTINGS_H

#include "postgres.h"
#include "utils/guc.h"

#include "brain/strategy.h"

/* Bytes for all texts of one pool: settings of type string and connection keywords. */
#define EP_TEXTS_SIZE		8192

/* Where an effective value came from; the order is the order of precedence. */
typedef enum EpSource
{
	EP_SOURCE_DEFAULT = 0,
	EP_SOURCE_GUC,
	EP_SOURCE_SERVER,
	EP_SOURCE_ROLE,				/* user mapping */
	EP_SOURCE_SESSION			/* SET, ALTER ROLE/DATABASE ... SET, client options */
} EpSource;

typedef enum EpSettingType
{
	EP_TYPE_INT,
	EP_TYPE_DURATION,			/* double, seconds; 0 = off or refused */
	EP_TYPE_REAL,				/* double, a ratio */
	EP_TYPE_BOOL,
	EP_TYPE_ENUM,				/* int, index into the entry's value list */
	EP_TYPE_STRING
} EpSettingType;

typedef enum EpReset
{
	EP_RESET_AUTO = 0,
	EP_RESET_ALWAYS,
	EP_RESET_NEVER
} EpReset;

/* One member per setting, same order as the table in settings.c. */
typedef enum EpSettingId
{
	EP_S_INITIAL_SIZE,
	EP_S_MIN_SIZE,
	EP_S_MAX_SIZE,
	EP_S_MAX_OVERFLOW,
	EP_S_TARGET_FREE_CONNECTIONS,
	EP_S_MAX_SERVER_CONNECTIONS,
	EP_S_IDLE_TIMEOUT,
	EP_S_MAX_LIFETIME,
	EP_S_CONNECT_TIMEOUT,
	EP_S_ACQUIRE_TIMEOUT,
	EP_S_QUERY_TIMEOUT,
	EP_S_MAX_WAITING,
	EP_S_RETRY_ATTEMPTS,
	EP_S_RETRY_BACKOFF,
	EP_S_STRATEGY,
	EP_S_DYNAMIC_SCALING_ENABLED,
	EP_S_SCALE_UP_THRESHOLD,
	EP_S_SCALE_DOWN_THRESHOLD,
	EP_S_SCALING_COOL_DOWN,
	EP_S_VALIDATION_INTERVAL,
	EP_S_VALIDATION_QUERY,
	EP_S_HEALTH_CHECK_INTERVAL,
	EP_S_CIRCUIT_BREAKER_THRESHOLD,
	EP_S_CIRCUIT_BREAKER_RECOVERY,
	EP_S_FAILOVER_ENABLED,
	EP_S_RESET,
	EP_S_RESET_QUERY,
	EP_S_CONNECT_QUERY,
	EP_S_PROPAGATE_SETTINGS,
	EP_S_AUTOCOMMIT,
	EP_S_STATEMENT_CACHE_SIZE,
	EP_S_MIN_SESSIONS,
	EP_S_MAX_SESSIONS,
	EP_S_TARGET_FREE_SESSIONS,
	EP_S_SESSION_IDLE_TIMEOUT,
	EP_S_SESSION_MAX_LIFETIME,
	EP_S_IDLE_IN_SESSION_TIMEOUT,
	EP_S_SESSION_TIMEOUT,
	EP_S_LEAK_DETECTION_THRESHOLD,
	EP_S_LOG_CONNECTIONS,
	EP_S_STATS_ENABLED,
	EP_S_STATS_EMIT_INTERVAL,
	EP_S_APPLICATION_NAME,
	EP_NSETTINGS
} EpSettingId;

/*
 * The effective values of one pool.  Plain data without pointers: it lives in
 * shared memory.  Numbers are in num[] (durations in seconds, booleans 0/1,
 * enums their index); strings are offsets into the owner's text area, 0 for
 * the empty string (byte 0 of every text area is a NUL).
 */
typedef struct EpSettings
{
	union
	{
		double		num;
		uint32		text;		/* offset into EpTexts.data */
	}			v[EP_NSETTINGS];
	uint8		source[EP_NSETTINGS];	/* EpSource */
} EpSettings;

/* A bump allocator for the texts of one pool. */
typedef struct EpTexts
{
	uint32		used;
	char		data[EP_TEXTS_SIZE];
} EpTexts;

#define EP_NUM(set, id)			((set)->v[id].num)
#define EP_INT(set, id)			((int) (set)->v[id].num)
#define EP_BOOL(set, id)		((set)->v[id].num != 0)
#define EP_STR(set, texts, id)	((const char *) (texts)->data + (set)->v[id].text)

typedef struct EpSettingDef
{
	EpSettingId id;				/* equals the index in the table */
	const char *name;
	EpSettingType type;
	double		boot;			/* default (numbers) */
	const char *boot_text;		/* default (strings) */
	double		min;			/* numbers: smallest value other than a permitted 0 */
	double		max;
	bool		zero_ok;		/* 0 is allowed (off, or a plain number) */
	bool		session;		/* may be set by SET as well (PGC_USERSET) */
	bool		server_only;	/* not on a user mapping (HV00D) */
	const struct config_enum_entry *values; /* EP_TYPE_ENUM */
	const char *unit;			/* for the view config: "s" or NULL */
	const char *description;
} EpSettingDef;

extern const EpSettingDef ep_setting_defs[EP_NSETTINGS];

extern void ep_settings_define_gucs(void);
extern const EpSettingDef *ep_setting_find(const char *name);
extern double ep_setting_parse(const EpSettingDef *def, const char *value);
extern void ep_setting_check_text(const EpSettingDef *def, const char *value);
extern char *ep_setting_format(const EpSettingDef *def, const EpSettings *set, const EpTexts *texts);
extern bool ep_settings_refresh_gucs(EpSettings *set, EpTexts *texts);
extern double ep_setting_in_session(EpSettingId id, double value, EpSource *source);
extern void ep_settings_apply_session(EpSettings *set);
extern void ep_settings_finish(EpSettings *set);
extern bool ep_texts_add(EpTexts *texts, const char *text, uint32 *offset);
extern bool ep_texts_add_bytes(EpTexts *texts, const char *bytes, Size size, uint32 *offset);

extern void ep_setting_range(const EpSettingDef *def, char *buf, Size size);
extern bool ep_setting_valid(const EpSettingDef *def, const char *value);
extern bool ep_setting_in_range(const EpSettingDef *def, double value);
extern bool ep_setting_text_may_be_empty(const EpSettingDef *def);
extern bool ep_setting_text_has_meaning(const EpSettingDef *def, const char *value, char *complaint, Size size);
extern bool ep_setting_from_guc(EpSettings *set, EpTexts *texts, EpSettingId id);

/* gucs.c */
extern uint64 ep_settings_epoch(void);
extern double ep_guc_num(EpSettingId id, bool with_session, EpSource *source);
extern const char *ep_guc_text(EpSettingId id, EpSource *source);

extern const char *ep_source_name(EpSource source);

#endif							/* EP_SETTINGS_H */
