/*-------------------------------------------------------------------------
 *
 * exchange.h
 *		One statement on a leased connection: send, read, deliver, raise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_EXCHANGE_H
#define EP_EXCHANGE_H

#include "postgres.h"
#include "client/lease.h"
#include "compat.h"
#include "wire/wire.h"

/* One field of a DataRow; data points into the receive buffer and is not NUL-terminated. */
typedef struct EpField
{
	const char *data;
	int			len;			/* -1: NULL */
} EpField;

typedef struct EpColumn
{
	const char *name;			/* in the description's memory */
	Oid			type;			/* remote type */
	int32		typmod;
	int16		format;			/* 0 text, 1 binary: how the rows of this statement come */
} EpColumn;

typedef struct EpRowDesc
{
	int			ncols;
	EpColumn	cols[FLEXIBLE_ARRAY_MEMBER];
} EpRowDesc;

/*
 * Parameters, ready to send.  Built by params.c in the caller's memory; the
 * text of types and values is what goes on the wire.
 */
typedef struct EpParams
{
	int			n;
	Oid		   *types;			/* 0: the remote infers */
	int16	   *formats;		/* 0 text, 1 binary */
	const char **values;		/* NULL: SQL NULL */
	int		   *lengths;
} EpParams;

/*
 * Who gets the rows.  All callbacks run in the caller's memory context and
 * may raise errors: the connection is then cancelled and drained by others.
 */
typedef struct EpReceiver EpReceiver;
struct EpReceiver
{
	/*
	 * Choose the format of each column (formats[i] = 0 or 1) from the remote
	 * types alone; called before Bind, at most once per execution.  NULL: all
	 * text.
	 */
	void		(*choose_formats) (EpReceiver *self, int ncols, const Oid *types, int16 *formats);

	/*
	 * The description of the rows that follow, formats included; may be
	 * called again if the statement had to be prepared anew.  Called also for
	 * statements without rows with desc->ncols = 0 and no_data = true.
	 */
	void		(*describe) (EpReceiver *self, const EpRowDesc *desc, bool no_data);
	void		(*row) (EpReceiver *self, int nfields, const EpField *fields);
};

/* How a statement ended. */
typedef struct EpOutcome
{
	char		tag[64];		/* command tag, empty for an empty query */
	int64		rows;			/* affected or returned, from the tag; 0 if the tag has none */
} EpOutcome;

extern void ep_exchange_execute(EpLease *lease, const char *sql, const EpParams *params,
								EpReceiver *receiver, EpOutcome *outcome);
extern void ep_exchange_look_up(EpLease *lease, const char *sql, const EpParams *params,
								EpReceiver *receiver, EpOutcome *outcome);
extern EpRowDesc *ep_exchange_describe(EpLease *lease, const char *sql);

/* The same in steps that wait for nothing. */
typedef struct EpExchange EpExchange;
struct EpTurn;
extern EpExchange *ep_exchange_start(EpLease *lease, const char *sql, const EpParams *params,
									 EpReceiver *receiver);
extern bool ep_exchange_step(EpExchange *x);
extern void ep_exchange_await(EpExchange *x);
extern void ep_exchange_attach(EpExchange *x, EpReceiver *receiver);
extern void ep_exchange_note_end(EpExchange *x);
extern const struct EpTurn *ep_exchange_turn(const EpExchange *x);
extern void ep_exchange_finish(EpExchange *x, EpOutcome *outcome);

/* One callback for each statement of a script (simple protocol). */
typedef void (*EpScriptCallback) (void *arg, int statement, const EpOutcome *outcome);
extern void ep_exchange_script(EpLease *lease, const char *sql, EpScriptCallback callback, void *arg);

/* May text of that class run on a lease of that kind?  For acquire to ask before it takes a connection. */
struct EpTextClass;
extern void ep_exchange_check(const char *pool, EpLeaseKind kind, const struct EpTextClass *class);

/* error.c: raising what the remote said, and passing on what it remarked */
extern void ep_raise_remote(EpLease *lease, const EpErrorFields *fields,
							const char *sql) pg_attribute_noreturn();
extern void ep_forward_notice(EpLease *lease, const EpErrorFields *fields);
extern void ep_check_terminated(const EpLease *lease);
extern void ep_raise_lost(EpLease *lease, const char *why) pg_attribute_noreturn();
extern void ep_raise_malformed(EpLease *lease, const char *what) pg_attribute_noreturn();
extern const char *ep_clean_text(const char *text);

/* lasterror.c: what last_remote_error() returns */
typedef struct EpRemoteError
{
	bool		valid;
	char		pool[NAMEDATALEN];
	char	   *sqlstate;
	char	   *message;
	char	   *detail;
	char	   *hint;
	char	   *constraint_name;
} EpRemoteError;

extern void ep_remember_error(const char *pool, const char *sqlstate, const char *message, const char *detail,
							  const char *hint, const char *constraint_name);
extern const EpRemoteError *ep_last_remote_error(void);
extern bool ep_errors_captured(bool on);

#endif							/* EP_EXCHANGE_H */
