/*-------------------------------------------------------------------------
 *
 * config.c
 *		The function behind the view config.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "client/catalog.h"
#include "compat.h"
#include "functions/view.h"
#include "shared/settings.h"
#include "shared/shared.h"

PG_FUNCTION_INFO_V1(enhanced_pool_config);

/*
 * May the current user read queries that belong to this pool?  The server
 * hides the options of other roles' user mappings, and so does the view; but
 * settings on a mapping are the server owner's.
 */
static bool
may_see_texts(const EpPoolIdent *ident)
{
	return ep_may_use_pool(ident) ||
		(ident->database == MyDatabaseId &&
		 ep_server_ownercheck_compat(ident->server, GetUserId()));
}

static void
put_pool(EpView *view, const EpPoolIdent *ident, const EpSettings *set, const EpTexts *texts)
{
	bool		texts_visible = may_see_texts(ident);

	for (int i = 0; i < EP_NSETTINGS; i++)
	{
		const EpSettingDef *setting = &ep_setting_defs[i];

		ep_put_ident(view, ident);
		ep_put_text(view, setting->name);
		if (setting->type == EP_TYPE_STRING && !texts_visible)
			ep_put_null(view);
		else
			ep_put_text(view, ep_setting_format(setting, set, texts));
		ep_put_text(view, setting->unit);
		ep_put_text(view, ep_source_name(set->source[i]));
		ep_view_end_row(view);
	}
}

/* Pools that the current database defines, with the values that hold for this session. */
static void
put_own_pools(EpView *view)
{
	EpPoolDef  *def = palloc0(sizeof(EpPoolDef));
	ListCell   *lc;

	foreach(lc, ep_list_pools())
	{
		const EpPoolOids *oids = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (ep_resolve_mapping(oids->server, oids->mapping, def, true))
		{
			EpPoolIdent ident;

			explicit_bzero(def->password, sizeof(def->password));
			ep_pool_ident(def, &ident);
			ep_settings_apply_session(&def->set);
			put_pool(view, &ident, &def->set, &def->texts);
		}
		explicit_bzero(def, sizeof(EpPoolDef));
	}
	pfree(def);
}

/* Open pools of other databases, with the values that hold there for everybody. */
static void
put_other_pools(EpView *view)
{
	EpSettings *set = palloc(sizeof(EpSettings));
	EpTexts    *texts = palloc(sizeof(EpTexts));
	int			nplaces;
	EpPlace    *places = ep_open_places(&nplaces);

	for (int i = 0; i < nplaces; i++)
	{
		EpPool	   *pool = ep_lock_place(&places[i]);
		EpPoolIdent ident;

		if (pool == NULL)
			continue;
		ep_pool_ident(&pool->def, &ident);
		*set = pool->def.set;
		memcpy(texts, &pool->def.texts, sizeof(EpTexts));
		LWLockRelease(&pool->lock);
		if (ident.database != MyDatabaseId)
			put_pool(view, &ident, set, texts);
		explicit_bzero(texts, sizeof(EpTexts)); /* sslpassword is one of them */
	}
	pfree(texts);
	pfree(set);
}

/* config(): the effective settings of every pool, one row each. */
Datum
enhanced_pool_config(PG_FUNCTION_ARGS)
{
	EpView		view;

	ep_view_begin(&view, fcinfo);
	put_own_pools(&view);
	if (ep_control != NULL)
		put_other_pools(&view);
	ep_view_end(&view);
	return (Datum) 0;
}
