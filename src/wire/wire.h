/*-------------------------------------------------------------------------
 *
 * wire.h
 *		Protocol 3 on a non-blocking transport, used by workers and backends.
 *
 * An EpWire is one end of a connection that stands, or stood, at
 * ReadyForQuery.  It builds outgoing messages in memory, sends and receives
 * without ever blocking, and cuts what came in into messages whose lengths
 * have been checked.  Who calls decides how to wait.
 *
 * Message formats: PostgreSQL documentation, "Message Formats".
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_WIRE_H
#define EP_WIRE_H

#include "postgres.h"
#include "lib/stringinfo.h"

/* Largest message body that is accepted; what a palloc'd buffer can hold. */
#define EP_MAX_MESSAGE	((uint32) (MaxAllocSize - 64 * 1024))

/*
 * How bytes move.  read and write return the number of bytes, 0 when it would
 * block, -1 on error with errno set, and read returns -2 at end of file.
 *
 * On a plain socket, who was told that it would block waits until the
 * descriptor is readable or writable, as the case may be.  An encrypted one may
 * want the contrary, and may hold bytes which the descriptor does not announce.
 */
typedef struct EpTransport EpTransport;
struct EpTransport
{
	ssize_t		(*read) (EpTransport *t, void *buf, size_t len);
	ssize_t		(*write) (EpTransport *t, const void *buf, size_t len);
	int			fd;
	struct ssl_st *ssl;			/* NULL: plain */
	bool		more;			/* after read: read again, without waiting */
	bool		read_wants_write;	/* read would go on when the descriptor is writable */
	bool		write_wants_read;	/* write would go on when it is readable */
	size_t		owed;			/* encrypted: taken by write, of which nobody was told yet */
};

extern void ep_transport_socket(EpTransport *t, int fd);
extern bool ep_transport_tls(EpTransport *t, struct ssl_st *ssl, int fd);
extern void ep_tls_read_singly(struct ssl_st *ssl);
extern void ep_tls_clear_errors(void);
/* What ep_tls_peek returns when there is nothing yet. */
#define EP_PEEK_READ	(-1)
#define EP_PEEK_WRITE	(-2)

extern ssize_t ep_tls_peek(struct ssl_st *ssl, char *data, size_t size, const char **error);

typedef enum EpIo
{
	EP_IO_OK,					/* progress was made, or nothing was left to do */
	EP_IO_AGAIN,				/* would block */
	EP_IO_EOF,					/* the peer closed */
	EP_IO_ERROR,				/* wire->saved_errno says why */
	EP_IO_MALFORMED				/* what came is not protocol 3; wire->complaint says what */
} EpIo;

/* One message; data points into the receive buffer and is valid until the next ep_wire_fill. */
typedef struct EpMessage
{
	char		type;
	const char *data;
	uint32		len;			/* of the body, without the length word */
} EpMessage;

typedef struct EpWire
{
	EpTransport transport;
	MemoryContext context;		/* owns the buffers */

	char	   *in;				/* received: [in_start, in_end) is unread */
	size_t		in_start;
	size_t		in_end;
	size_t		in_size;

	StringInfoData out;			/* to be sent from out.cursor on */
	int			out_message;	/* where the message being built begins, -1: none */

	size_t		to_skip;		/* rest of a message that another process began to read */
	int			saved_errno;
	const char *complaint;		/* static text */
	uint64		bytes_in;
	uint64		bytes_out;
} EpWire;

extern void ep_wire_init(EpWire *wire, MemoryContext context, int fd);
extern void ep_wire_reset(EpWire *wire, int fd);
extern void ep_wire_free(EpWire *wire);

/* Building: begin, put, end; nothing is sent before ep_wire_flush. */
extern void ep_wire_begin(EpWire *wire, char type);
extern void ep_wire_put_bytes(EpWire *wire, const void *data, size_t len);
extern void ep_wire_put_string(EpWire *wire, const char *text);
extern void ep_wire_put_int16(EpWire *wire, int value);
extern void ep_wire_put_int32(EpWire *wire, int32 value);
extern void ep_wire_end(EpWire *wire);
extern void ep_wire_put_simple(EpWire *wire, char type);	/* a message without a body */
extern void ep_wire_put_query(EpWire *wire, const char *sql);
extern bool ep_wire_unsent(const EpWire *wire);
extern size_t ep_wire_begun(const EpWire *wire, char *type);
extern void ep_wire_cut(EpWire *wire);
extern void ep_wire_put_padding(EpWire *wire, uint32 len);
extern EpIo ep_wire_flush(EpWire *wire);

/* Receiving. */
extern EpIo ep_wire_fill(EpWire *wire);
extern EpIo ep_wire_next(EpWire *wire, EpMessage *msg);
extern uint32 ep_wire_next_length(const EpWire *wire);

/* What was received and not looked at yet, as far as its messages' headers tell. */
typedef struct EpWireSurvey
{
	int			readies;		/* ReadyForQuery, whole */
	bool		notification;	/* there is a NotificationResponse, whole */
	bool		error;			/* there is an ErrorResponse, whole */
	bool		copy;			/* the remote begins a COPY */
	bool		malformed;
} EpWireSurvey;

extern bool ep_wire_gather(EpWire *wire, size_t limit);
extern void ep_wire_survey(const EpWire *wire, EpWireSurvey *survey);
extern void ep_wire_shrink(EpWire *wire);

/*
 * Reading a message's body with bounds checks.  After a read past the end
 * bad is set and every read returns zero or "": look once at the end.
 */
typedef struct EpReader
{
	const char *p;
	const char *end;
	bool		bad;
} EpReader;

extern void ep_reader_init(EpReader *r, const EpMessage *msg);
extern int	ep_read_int16(EpReader *r);
extern int32 ep_read_int32(EpReader *r);
extern const char *ep_read_bytes(EpReader *r, uint32 len);
extern const char *ep_read_string(EpReader *r);

/* ErrorResponse and NoticeResponse; every pointer is into the message or NULL. */
typedef struct EpErrorFields
{
	const char *severity;		/* untranslated (V) where given */
	const char *sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
	const char *context;
	const char *schema;
	const char *table;
	const char *column;
	const char *datatype;
	const char *constraint;
	int			position;
	int			internal_position;
	const char *internal_query;
} EpErrorFields;

extern bool ep_parse_error(const EpMessage *msg, EpErrorFields *f);
extern bool ep_parse_ready(const EpMessage *msg, char *tx_status);
extern bool ep_parse_parameter(const EpMessage *msg, const char **name, const char **value);
extern bool ep_message_is_async(char type);
extern bool ep_parameter_garbles(const char *name, const char *value);
extern bool ep_message_garbles(const EpMessage *msg);
extern bool ep_tag_drops_statements(const char *tag);

/* What the remote is told of a COPY whose data end before they are complete. */
#define EP_COPY_CUT "the local side of the COPY has ended"

/* Most bytes of a CopyData that a process leaves for another to make up; beyond that the connection is ended. */
#define EP_MAX_PADDING	(1024 * 1024)

/* Walking a stream that somebody else left in the middle (EpConn.unfinished). */
struct EpUnfinished;
extern void ep_wire_leave_unfinished(const EpWire *wire, int syncs, struct EpUnfinished *out);
extern EpIo ep_wire_resume(EpWire *wire, const struct EpUnfinished *unfinished);
extern EpIo ep_wire_drop_rest(EpWire *wire);
extern bool ep_wire_drop_data(EpWire *wire);

#endif							/* EP_WIRE_H */
