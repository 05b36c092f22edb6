/*-------------------------------------------------------------------------
 *
 * group.c
 *		Operations that run at the same time, each on a connection of its own,
 *		on one pool or several.
 *
 * One loop over one wait event set: the sockets of the operations that are
 * under way, and the latch, which is set when something happens to one of the
 * waits for connections.  Nothing else is waited for, so no pool and no remote
 * holds up the others.
 *
 * Connections.  For each pool the group stands in its queue as often as it can
 * use another connection: once for each operation that has none, within
 * max_parallel and what the pool can have.  (Each wait is a waiter for the
 * worker, which lets the pool grow.)  Whatever connection comes goes to the first
 * of the pool's operations that has not begun, and when that has ended it goes
 * back, through the queue: to whoever has waited longest, which may be the group
 * itself.  So a group takes no more than its turn, however many operations it
 * has.  A connection that the group has is always busy with an operation that
 * will end by itself; the group never keeps one while it waits for another.
 * Hence groups cannot wait for each other, nor a group for itself.
 *
 * Sessions.  On a pool with autocommit off the operations belong to the local
 * transaction, so their connections are sessions, which stay until its end.
 * That is where the above does not hold.  A group goes on with what it has: when
 * an operation has ended and no further connection is to be had at once, the
 * next one runs on the same session (seats.c), each in a savepoint of its own.
 * So one session is enough, and a group never waits for itself; it may wait for
 * another transaction with all that it holds, which is found as any deadlock
 * over leases.  What refuses more connections refuses nothing while the group
 * has one.
 *
 * A pool's acquire_timeout runs while the group waits for a connection of it
 * and has none.  What refuses one (time-out, breaker, no remote, a deadlock
 * over leases that the session holds besides) fails all of the pool's operations
 * that have not begun, and no others.
 *
 * Errors of one operation are caught (capture.c) and kept with it.  What ends
 * the whole, an interrupt or what the catalogs say, is raised by the loop; the
 * leases of the operations under way then go back in the middle of them, at the
 * end of the (sub)transaction, and the worker has them cancelled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "client/classify.h"
#include "client/fetch.h"
#include "client/group.h"
#include "client/seats.h"
#include "client/session.h"
#include "client/socket_wait.h"
#include "client/turn.h"
#include "compat.h"

/* How often waits are looked at unasked: what acquire.c has no event for. */
#define LOOK_MS		1000

/* Failed operations that an error names. */
#define MOST_NAMED	20

/* One pool of a group. */
typedef struct EpMember
{
	EpPoolRef  *ref;
	EpOperation *first;			/* pending ones in their order */
	EpOperation *last;
	int			npending;
	int			nrunning;
	int			nwaits;
	EpAcquire **waits;			/* room for as many as there are operations */
	bool		held_back;		/* no place in its queue: until something has happened */
	EpLeaseKind kind;			/* what its operations run on */
	EpSeats		seats;			/* sessions that have nothing to do */
	int			inherited;		/* of earlier groups, to be used before others are looked for */
	bool		no_more;		/* it gets no other connections than those it has */
	uint64		deadline_us;	/* until when a first connection is waited for */
} EpMember;

typedef EpMember Member;

typedef struct Loop
{
	EpGroup    *group;
	MemoryContext context;		/* of what outlives an operation */
	Member	   *members;
	int			nmembers;
	int			npending;
	int			nrunning;
	int			nwaits;
	uint64		deadline_us;
	uint64		next_look;
	WaitEventSet *set;
	bool		set_fits;		/* its sockets are those of the operations under way */
} Loop;

/* What is passed through ep_capture. */
typedef struct Step
{
	Loop	   *loop;
	EpOperation *op;
	EpAcquire  *wait;
	Member	   *member;
	EpLease    *lease;
	EpAcquireState state;
	bool		ended;
} Step;

/* ---------------------------------------------------------------- an end */

/* An operation is over; it was not under way, or its lease has gone. */
static void
settle(Loop *loop, EpOperation *op, EpCaught *caught)
{
	op->state = EP_OPERATION_DONE;
	op->caught = caught;
	op->exchange = NULL;
	if (op->context)
		MemoryContextDelete(op->context);
	op->context = NULL;
}

/* An operation that is under way is over, with or without an error. */
static void
end_running(Loop *loop, EpOperation *op, EpCaught *caught)
{
	Member	   *member = op->member;
	EpLease    *lease = op->lease;

	op->elapsed_ms = (ep_now_us() - op->started_us) / 1000.0;
	op->lease = NULL;
	loop->nrunning--;
	loop->set_fits = false;
	if (--member->nrunning == 0)
		member->deadline_us = 0;
	/* in the middle of its answer: the worker has it cancelled and drained */
	if (lease->session == NULL)
		ep_lease_release(lease);
	else if (ep_session_end_operation(lease, caught != NULL))
		ep_seats_add(&member->seats, lease);
	settle(loop, op, caught);
}

/* How many connections of the pool the group has. */
static int
owned(const Member *member)
{
	return member->nrunning + member->seats.n;
}

static void
end_wait(Loop *loop, Member *member, int i)
{
	EpAcquire  *wait = member->waits[i];

	member->waits[i] = member->waits[--member->nwaits];
	loop->nwaits--;
	ep_acquire_end(wait);
}

static void
end_waits(Loop *loop, Member *member)
{
	while (member->nwaits > 0)
		end_wait(loop, member, member->nwaits - 1);
}

static EpOperation *
pop_pending(Loop *loop, Member *member)
{
	EpOperation *op = member->first;

	member->first = op->next;
	if (member->first == NULL)
		member->last = NULL;
	member->npending--;
	loop->npending--;
	return op;
}

/* Nothing that has not begun on that pool ever will. */
static void
refuse_pending(Loop *loop, Member *member, EpCaught *caught)
{
	end_waits(loop, member);
	while (member->first)
		settle(loop, pop_pending(loop, member), caught);
}

/* ------------------------------------------------------------- operations */

static void
do_start(void *arg)
{
	Step	   *step = arg;
	EpOperation *op = step->op;
	MemoryContext caller = MemoryContextSwitchTo(op->context);

	if (op->receiver == NULL)
		op->receiver = step->loop->group->make_receiver(op);
	if (op->lease->kind == EP_KIND_SESSION)
	{
		if (op->lease->session == NULL)
			ep_session_of_group(op->lease);
		ep_session_begin_operation(op->lease);
	}
	op->exchange = ep_exchange_start(op->lease, op->sql, op->params, op->receiver);
	MemoryContextSwitchTo(caller);
}

static void
do_step(void *arg)
{
	Step	   *step = arg;
	EpOperation *op = step->op;
	EpGroup    *group = step->loop->group;

	step->ended = ep_exchange_step(op->exchange);
	if (!step->ended)
		return;
	ep_exchange_finish(op->exchange, &op->outcome);
	if (group->collect)
	{
		MemoryContext caller = MemoryContextSwitchTo(step->loop->context);

		group->collect(op);
		MemoryContextSwitchTo(caller);
	}
}

/* Take what has come of an operation's answer. */
static void
step_operation(Loop *loop, EpOperation *op)
{
	Step		step = {.loop = loop, .op = op};
	EpCaught   *caught = ep_capture(do_step, &step);

	if (caught || step.ended)
		end_running(loop, op, caught);
}

/* The first pending operation of the pool gets that connection. */
static void
start_operation(Loop *loop, Member *member, EpLease *lease)
{
	EpOperation *op = pop_pending(loop, member);
	Step		step = {.loop = loop, .op = op};
	EpCaught   *caught;

	op->state = EP_OPERATION_RUNNING;
	op->lease = lease;
	op->position = -1;
	op->started = true;
	op->started_us = ep_now_us();
	op->context = AllocSetContextCreate(loop->context, "enhanced_pool operation", ALLOCSET_SMALL_SIZES);
	member->nrunning++;
	loop->nrunning++;
	loop->set_fits = false;
	caught = ep_capture(do_start, &step);
	if (caught)
		end_running(loop, op, caught);
	else
		step_operation(loop, op);
}

/* ----------------------------------------------------------- connections */

/* How many connections the pool can have at most. */
static int
possible_size(const Member *member)
{
	EpPool	   *pool = &ep_pools[member->ref->pool];
	int			most;

	LWLockAcquire(&pool->lock, LW_SHARED);
	most = ep_pool_most(pool);
	if (member->kind == EP_KIND_SESSION)
		most = Min(most, ep_sessions_limit(pool));
	LWLockRelease(&pool->lock);
	return Max(most, 1);
}

static void
do_acquire(void *arg)
{
	Step	   *step = arg;
	Member	   *member = step->member;
	bool		alone = owned(member) == 0 && member->nwaits <= 1;

	if (owned(member) > 0)
		member->deadline_us = PG_UINT64_MAX;
	else if (member->deadline_us == 0 || member->deadline_us == PG_UINT64_MAX)
	{
		double		timeout = ep_ref_acquire_timeout(member->ref);

		member->deadline_us = timeout < 0 ? PG_UINT64_MAX : ep_now_us() + (uint64) (timeout * 1e6);
	}
	step->state = ep_acquire_step(step->wait, member->deadline_us, !alone, &step->lease);
}

/*
 * Look at one wait of the pool.  Returns whether it goes on; if not, an
 * operation was begun, or all that are pending were refused.
 */
static bool
step_wait(Loop *loop, Member *member, int i)
{
	Step		step = {.loop = loop, .member = member, .wait = member->waits[i]};
	EpCaught   *caught;

	for (;;)
	{
		caught = ep_capture(do_acquire, &step);
		if (caught || step.state != EP_ACQUIRE_OUTDATED)
			break;
		CHECK_FOR_INTERRUPTS();
		ep_acquire_renew(step.wait);
	}
	if (!caught && step.state == EP_ACQUIRE_QUEUED)
		return true;
	if (caught)
	{
		SetLatch(MyLatch);		/* it may have been reset */
		if (member->kind == EP_KIND_SESSION && owned(member) > 0)
		{
			member->no_more = true;
			end_waits(loop, member);
		}
		else
			refuse_pending(loop, member, caught);
		return false;
	}
	end_wait(loop, member, i);
	if (step.state == EP_ACQUIRE_GOT)
		start_operation(loop, member, step.lease);
	else
		member->held_back = true;
	return false;
}

/* Can the pool's pending operations use one more wait?  Sessions that are not busy are connections, too. */
static bool
wants_wait(const Loop *loop, const Member *member, int most)
{
	return !member->held_back && member->nwaits < member->npending &&
		(!member->no_more || owned(member) == 0) &&
		member->nwaits + owned(member) < Min(most, loop->group->max_parallel) &&
		loop->nwaits + loop->nrunning < loop->group->max_parallel;
}

/* Begin one more wait, which may have its end at once.  */
static void
begin_wait(Loop *loop, Member *member)
{
	member->waits[member->nwaits++] = ep_acquire_begin(member->ref, member->kind, loop->group->name);
	loop->nwaits++;
	(void) step_wait(loop, member, member->nwaits - 1);
}

/*
 * Begin an operation on a session that the group has, if there is one.  It takes
 * the place of a wait, where one too many would be left.
 */
static bool
use_seat(Loop *loop, Member *member)
{
	EpLease    *lease;

	if (member->nwaits == 0 && loop->nwaits + loop->nrunning >= loop->group->max_parallel)
		return false;
	lease = ep_seats_take(&member->seats);
	if (lease == NULL)
		return false;
	if (member->nwaits == member->npending || loop->nwaits + loop->nrunning >= loop->group->max_parallel)
		end_wait(loop, member, member->nwaits - 1);
	start_operation(loop, member, lease);
	return true;
}

/* Begin one operation of the pool, or one more wait for a connection.  Returns false if neither can be. */
static bool
begin_one(Loop *loop, Member *member)
{
	if (member->npending == 0)
		return false;
	CHECK_FOR_INTERRUPTS();
	if (member->inherited > 0 && use_seat(loop, member))
	{
		member->inherited--;
		return true;
	}
	if (wants_wait(loop, member, possible_size(member)))
	{
		begin_wait(loop, member);
		return true;
	}
	return use_seat(loop, member);
}

/* Begin what can be begun: one of each pool after the other, so that max_parallel is shared. */
static void
begin_all(Loop *loop)
{
	bool		begun = true;

	for (int i = 0; i < loop->nmembers; i++)
		loop->members[i].held_back = false;
	while (begun && loop->npending > 0)
	{
		begun = false;
		for (int i = 0; i < loop->nmembers; i++)
			begun |= begin_one(loop, &loop->members[i]);
	}
}

/* Look at all waits. */
static void
look(Loop *loop)
{
	for (int i = 0; i < loop->nmembers; i++)
	{
		Member	   *member = &loop->members[i];

		/*
		 * from the last: one that ends has its place taken by one that was
		 * looked at
		 */
		for (int j = member->nwaits - 1; j >= 0 && j < member->nwaits; j--)
			(void) step_wait(loop, member, j);
	}
}

/* ----------------------------------------------------------------- deadline */

static void
do_raise_deadline(void *arg)
{
	EpOperation *op = ((Step *) arg)->op;
	EpPool	   *pool;
	char		reason[EP_ERROR_SIZE] = "";

	if (op->started)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling remote statement due to timeout"),
				 errcontext("remote server \"%s\"", op->ref->name)));
	pool = &ep_pools[op->ref->pool];
	LWLockAcquire(&pool->lock, LW_SHARED);
	if (pool->in_use && pool->generation == op->ref->generation &&
		(pool->failing || pool->breaker.state != EP_BREAKER_CLOSED))
		strlcpy(reason, pool->last_error, sizeof(reason));
	LWLockRelease(&pool->lock);
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 reason[0] != '\0' ?
			 errmsg("no connection of pool \"%s\" before the timeout: %s", op->ref->name, reason) :
			 errmsg("no connection of pool \"%s\" before the timeout", op->ref->name)));
}

/* The time of the whole is over. */
static void
expire(Loop *loop)
{
	for (int i = 0; i < loop->group->n; i++)
	{
		EpOperation *op = &loop->group->ops[i];
		Step		step = {.op = op};

		if (op->state == EP_OPERATION_RUNNING)
			end_running(loop, op, ep_capture(do_raise_deadline, &step));
	}
	for (int i = 0; i < loop->nmembers; i++)
	{
		Member	   *member = &loop->members[i];
		Step		step = {.op = member->first};

		if (member->first)
			refuse_pending(loop, member, ep_capture(do_raise_deadline, &step));
	}
}

/* ------------------------------------------------------------- the waiting */

/* The next moment at which there is something to do without an event. */
static uint64
next_moment(const Loop *loop)
{
	uint64		next = loop->deadline_us;

	if (loop->npending > 0)
		next = Min(next, loop->next_look);
	for (int i = 0; i < loop->nmembers; i++)
	{
		const Member *member = &loop->members[i];

		if (member->nwaits > 0 && member->deadline_us != 0)
			next = Min(next, member->deadline_us);
	}
	for (int i = 0; i < loop->group->n; i++)
	{
		const EpOperation *op = &loop->group->ops[i];

		if (op->state == EP_OPERATION_RUNNING && ep_exchange_turn(op->exchange)->deadline_us != 0)
			next = Min(next, ep_exchange_turn(op->exchange)->deadline_us);
	}
	return next;
}

static void
free_set(Loop *loop)
{
	if (loop->set)
		FreeWaitEventSet(loop->set);
	loop->set = NULL;
}

static int
count_draining(const Loop *loop)
{
	int			n = 0;

	for (int i = 0; i < loop->nmembers; i++)
		n += loop->members[i].seats.ndraining;
	return n;
}

static void
make_set(Loop *loop)
{
	int			first;

	free_set(loop);
	loop->set = ep_wait_set_create(loop->nrunning + count_draining(loop), &first);
	for (int i = 0; i < loop->group->n; i++)
		loop->group->ops[i].position = -1;
	for (int i = 0; i < loop->nmembers; i++)
		ep_seats_leave_set(&loop->members[i].seats);
	loop->set_fits = true;
}

/* Make the set what the operations under way wait for. */
static void
fit_set(Loop *loop)
{
	if (!loop->set_fits)
		make_set(loop);
	for (int i = 0; i < loop->group->n; i++)
	{
		EpOperation *op = &loop->group->ops[i];
		uint32		events;

		if (op->state != EP_OPERATION_RUNNING)
			continue;
		events = ep_exchange_turn(op->exchange)->events;
		if (op->position < 0)
			op->position = AddWaitEventToSet(loop->set, events, op->lease->desc->fd, NULL, op);
		else if (op->events != events)
			ModifyWaitEvent(loop->set, op->position, events, NULL);
		op->events = events;
	}
	for (int i = 0; i < loop->nmembers; i++)
		ep_seats_fit_set(&loop->members[i].seats, loop->set);
}

/* An operation whose connection is to be ended, or whose time is up, is told so by its next step. */
static void
step_the_troubled(Loop *loop)
{
	uint64		now = ep_now_us();

	for (int i = 0; i < loop->group->n; i++)
	{
		EpOperation *op = &loop->group->ops[i];
		uint64		deadline;

		if (op->state != EP_OPERATION_RUNNING)
			continue;
		deadline = ep_exchange_turn(op->exchange)->deadline_us;
		if (ep_conns[op->lease->slot].terminated || (deadline != 0 && now >= deadline))
			step_operation(loop, op);
	}
}

/* Sleep until something happens, and do what is to be done then. */
static void
wait_and_act(Loop *loop)
{
	static uint32 wait_event = 0;
	WaitEvent	happened[16];
	uint64		next = next_moment(loop);
	uint64		now = ep_now_us();
	long		ms = -1;
	bool		latch = false;
	int			n;

	if (wait_event == 0)
		wait_event = ep_wait_event_compat("EnhancedPoolGroup");
	if (next != PG_UINT64_MAX)
		ms = next > now ? (long) Min((next - now + 999) / 1000, (uint64) INT_MAX) : 0;
	fit_set(loop);
	ep_acquire_under_way(loop->nrunning + count_draining(loop));
	ep_progress_show(loop->group);
	n = WaitEventSetWait(loop->set, ms, happened, lengthof(happened), wait_event);
	for (int i = 0; i < n; i++)
		latch = latch || (happened[i].events & WL_LATCH_SET) != 0;
	if (latch)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	for (int i = 0; i < n; i++)
	{
		EpOperation *op = happened[i].user_data;

		if (op && op->state == EP_OPERATION_RUNNING)
			step_operation(loop, op);
	}
	step_the_troubled(loop);
	for (int i = 0; i < loop->nmembers; i++)
	{
		if (ep_seats_drain(&loop->members[i].seats))
			loop->set_fits = false;
	}
	if (latch || ep_now_us() >= next)
	{
		loop->next_look = ep_now_us() + LOOK_MS * 1000;
		look(loop);
	}
}

static void
run(Loop *loop)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (ep_now_us() >= loop->deadline_us)
			expire(loop);
		begin_all(loop);
		if (loop->npending == 0 && loop->nrunning == 0)
			return;
		wait_and_act(loop);
	}
}

/* ------------------------------------------------------------------ the group */

static Member *
member_of(Loop *loop, EpPoolRef *ref)
{
	for (int i = 0; i < loop->nmembers; i++)
	{
		if (loop->members[i].ref == ref)
			return &loop->members[i];
	}
	loop->members[loop->nmembers].ref = ref;
	return &loop->members[loop->nmembers++];
}

/* Sort the operations that have not failed already by pool. */
static void
sort_operations(Loop *loop)
{
	EpGroup    *group = loop->group;

	loop->members = palloc0(group->n * sizeof(Member));
	for (int i = 0; i < group->n; i++)
	{
		EpOperation *op = &group->ops[i];
		Member	   *member;

		if (op->state != EP_OPERATION_PENDING)
			continue;
		member = op->member = member_of(loop, op->ref);
		if (member->last)
			member->last->next = op;
		else
			member->first = op;
		member->last = op;
		member->npending++;
		loop->npending++;
	}
	for (int i = 0; i < loop->nmembers; i++)
	{
		Member	   *member = &loop->members[i];

		member->waits = palloc(member->npending * sizeof(EpAcquire *));
		if (member->ref->autocommit)
			continue;
		member->kind = EP_KIND_SESSION;
		ep_seats_inherit(&member->seats, member->ref, group->max_parallel);
		member->inherited = member->seats.n;
	}
}

static void
do_check(void *arg)
{
	EpOperation *op = ((Step *) arg)->op;
	EpTextClass class = ep_classify(op->sql);

	ep_exchange_check(op->ref->name, op->ref->autocommit ? EP_KIND_STATEMENT : EP_KIND_SESSION, &class);
}

/* Find what cannot be run from its text alone: such operations have failed then, and are not begun. */
void
ep_group_check(EpGroup *group)
{
	for (int i = 0; i < group->n; i++)
	{
		EpOperation *op = &group->ops[i];
		Step		step = {.op = op};

		op->caught = ep_capture(do_check, &step);
		if (op->caught)
			op->state = EP_OPERATION_DONE;
	}
}

/*
 * Run the operations to their end, or to that of the time allowed.  On pools
 * with autocommit off they belong to the local transaction.  What came
 * of each is in it afterwards, errors included; results live in the current
 * memory context.  Called in a transaction with no lock held.  Raises what
 * interrupts raise, what ep_pool_ref_refresh does when a pool was altered
 * meanwhile, 53000 when there is no descriptor to wait with, and 55000 without
 * preload, even if there are no operations.
 */
void
ep_group_run(EpGroup *group)
{
	Loop	   *loop = palloc0(sizeof(Loop));
	EpGroupProgress outer;

	ep_require_preload();		/* a group of none has looked for no pool */
	loop->group = group;
	loop->context = CurrentMemoryContext;
	loop->deadline_us = group->timeout_s < 0 ? PG_UINT64_MAX : ep_now_us() + (uint64) (group->timeout_s * 1e6);
	loop->next_look = ep_now_us() + LOOK_MS * 1000;
	sort_operations(loop);

	/*
	 * the password rule asks for this with errors captured: it is kept from
	 * now on
	 */
	for (int i = 0; i < loop->nmembers; i++)
		(void) superuser_arg(loop->members[i].ref->role);

	ep_progress_begin(group, &outer);
	PG_TRY();
	{
		run(loop);
	}
	PG_FINALLY();
	{
		ep_progress_end(&outer);
		ep_acquire_under_way(0);
		for (int i = 0; i < loop->nmembers; i++)
			end_waits(loop, &loop->members[i]);
		free_set(loop);
	}
	PG_END_TRY();
}

/*
 * Raise the error of the first operation that has failed, if any has, as its
 * own, with DETAIL saying how many and which have.  refused: ep_group_check
 * found it, and nothing was run.
 */
void
ep_group_raise(const EpGroup *group, bool refused)
{
	const EpOperation *first = NULL;
	StringInfoData which;
	int			nfailed = 0;

	initStringInfo(&which);
	for (int i = 0; i < group->n; i++)
	{
		if (group->ops[i].caught == NULL)
			continue;
		if (first == NULL)
			first = &group->ops[i];
		if (++nfailed <= MOST_NAMED)
			appendStringInfo(&which, "%s%d", nfailed > 1 ? ", " : "", i + 1);
		else if (nfailed == MOST_NAMED + 1)
			appendStringInfoString(&which, ", ...");
	}
	if (first == NULL)
		return;
	ep_raise_caught(first->caught, first->ref->name,
					refused ? psprintf("Nothing was run, because of %d of %d operations: %s.", nfailed, group->n, which.data) :
					psprintf("%d of %d operations failed: %s.", nfailed, group->n, which.data));
}
