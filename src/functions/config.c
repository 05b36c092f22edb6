/*-------------------------------------------------------------------------
 *
 * config.c
 *		The function behind the view config.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "client/catalog.h"
#include "compat.h"
#include "shared/settings.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_config);

#define CONFIG_COLUMNS	7

/*
 * May the current user read queries that belong to this pool?  The server
 * hides the options of other roles' user mappings, and so does the view.
 */
static bool
may_see_texts(const EpPoolDef *def)
{
	Oid			user = GetUserId();

	if (superuser() || has_privs_of_role(user, ROLE_PG_READ_ALL_STATS) ||
		ep_server_ownercheck_compat(def->key.server, user))
		return true;
	if (OidIsValid(def->mapping_role) && !has_privs_of_role(user, def->mapping_role))
		return false;
	return ep_server_aclcheck_compat(def->key.server, user, ACL_USAGE) == ACLCHECK_OK;
}

static void
put_pool(ReturnSetInfo *rsinfo, const EpPoolDef *def)
{
	EpSettings	effective = def->set;
	bool		texts_visible = may_see_texts(def);

	ep_settings_apply_session(&effective);
	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		const EpSettingDef *setting = &ep_setting_defs[i];
		Datum		values[CONFIG_COLUMNS] = {0};
		bool		nulls[CONFIG_COLUMNS] = {0};

		if (!setting->acts)
			continue;
		values[0] = CStringGetTextDatum(def->datname);
		values[1] = CStringGetTextDatum(def->name);
		values[2] = CStringGetTextDatum(def->role);
		values[3] = CStringGetTextDatum(setting->name);
		if (setting->type == EP_TYPE_STRING && !texts_visible)
			nulls[4] = true;
		else
			values[4] = CStringGetTextDatum(ep_setting_format(setting, &effective, &def->texts));
		if (setting->unit)
			values[5] = CStringGetTextDatum(setting->unit);
		else
			nulls[5] = true;
		values[6] = CStringGetTextDatum(ep_source_name(effective.source[i]));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * config(): the effective settings of every pool that the current database
 * defines, one row each, as they hold for this session.
 */
Datum
enhanced_pool_config(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	EpPoolDef  *def = palloc0(sizeof(EpPoolDef));
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, ep_list_pools())
	{
		const EpPoolOids *oids = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (ep_resolve_mapping(oids->server, oids->mapping, def, true))
			put_pool(rsinfo, def);
		explicit_bzero(def, sizeof(EpPoolDef));
	}
	pfree(def);
	return (Datum) 0;
}
