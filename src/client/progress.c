/*-------------------------------------------------------------------------
 *
 * progress.c
 *		What others see of a group of operations while it runs.
 *
 * The numbers stand in this process's own entry of ep_backends.  They are
 * written before each sleep, when there is somebody who could look.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "client/group.h"
#include "compat.h"

static EpGroupProgress *
mine(void)
{
	return &ep_backends[ep_my_procno_compat()].group;
}

/* Take over what is to be shown, but for the number of changes. */
static void
write_progress(const EpGroupProgress *from)
{
	EpGroupProgress *to = mine();
	uint32		changes = to->changes + 1;

	to->changes = changes;
	pg_write_barrier();
	memcpy((char *) to + sizeof(to->changes), (const char *) from + sizeof(from->changes),
		   sizeof(EpGroupProgress) - sizeof(from->changes));
	pg_write_barrier();
	to->changes = changes + 1;
}

/*
 * The group begins.  outer gets what is shown so far, for ep_progress_end: a
 * group may be run by a function that another one's rows call.
 */
void
ep_progress_begin(const EpGroup *group, EpGroupProgress *outer)
{
	EpGroupProgress progress = {.command = group->command, .pid = MyProcPid, .total = group->n,
	.started_at = GetCurrentTimestamp()};

	*outer = *mine();
	if (group->n == 0)
		return;
	progress.pool = group->ops[0].ref->pool;
	progress.generation = group->ops[0].ref->generation;
	for (int i = 1; i < group->n; i++)
		progress.several |= group->ops[i].ref != group->ops[0].ref;
	write_progress(&progress);
	ep_progress_show(group);
}

/* How far it is now. */
void
ep_progress_show(const EpGroup *group)
{
	EpGroupProgress progress = *mine();

	progress.running = progress.done = progress.failed = 0;
	for (int i = 0; i < group->n; i++)
	{
		const EpOperation *op = &group->ops[i];

		progress.running += op->state == EP_OPERATION_RUNNING;
		progress.done += op->state == EP_OPERATION_DONE && op->caught == NULL;
		progress.failed += op->state == EP_OPERATION_DONE && op->caught != NULL;
	}
	write_progress(&progress);
}

/* The group is over, whatever ended it.  Raises nothing. */
void
ep_progress_end(const EpGroupProgress *outer)
{
	write_progress(outer);
}
