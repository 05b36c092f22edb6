/*-------------------------------------------------------------------------
 *
 * views_events.c
 *		The function behind the view events.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "functions/view.h"
#include "shared/events.h"

PG_FUNCTION_INFO_V1(enhanced_pool_events);

/* How many are copied at a time: whoever has something to note waits for that. */
#define BATCH	16

static void
put_event(EpView *view, const EpEvent *event)
{
	ep_put_bigint(view, (int64) event->id);
	ep_put_time(view, event->at);
	ep_put_ident(view, &event->ident);
	ep_put_text(view, ep_event_kind_name(event->kind));
	if (event->conn_id != 0)
		ep_put_bigint(view, (int64) event->conn_id);
	else
		ep_put_null(view);
	/* hosts and errors are for those who may use the pool */
	ep_put_text(view, ep_may_use_pool(&event->ident) ? event->message : NULL);
	ep_put_jsonb(view, event->detail[0] != '\0' ? event->detail : NULL);
	ep_view_end_row(view);
}

/*
 * events(): what is in the log, the newest first, of pools of every database.
 * Messages are NULL for those who may not use the pool.
 */
Datum
enhanced_pool_events(PG_FUNCTION_ARGS)
{
	EpView		view;
	EpEvent    *batch;
	uint64		below = PG_UINT64_MAX;
	int			n;

	ep_require_preload();
	ep_view_begin(&view, fcinfo);
	batch = palloc(sizeof(EpEvent) * BATCH);
	while ((n = ep_events_read(below, batch, BATCH)) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = n - 1; i >= 0; i--)
			put_event(&view, &batch[i]);
		below = batch[0].id;
	}
	ep_view_end(&view);
	pfree(batch);
	return (Datum) 0;
}
