/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *		What the fuzz targets share: taking the input apart, a remote that sends
 *		and takes bytes in the pieces that the input says, and memory that is
 *		looked after.
 *
 *-------------------------------------------------------------------------
 */
#ifndef EP_FUZZ_H
#define EP_FUZZ_H

#include "postgres.h"

#include "wire/wire.h"

/* What every target has; called by libFuzzer. */
extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

/* The condition must hold, whatever the input is. */
#define INVARIANT(condition) \
	do { \
		if (!(condition)) \
			fuzz_fail(#condition, __FILE__, __LINE__); \
	} while (0)

extern void fuzz_fail(const char *condition, const char *file, int line) pg_attribute_noreturn();

/* ------------------------------------------------------------------ input */

typedef struct Input
{
	const uint8 *at;
	const uint8 *end;
} Input;

/* These give zeros after the end. */
extern uint8 take_byte(Input *in);
extern uint16 take_uint16(Input *in);
extern uint32 take_uint32(Input *in);
extern size_t take_bytes(Input *in, void *to, size_t max);
extern char *take_text(Input *in, size_t max);
extern size_t left(const Input *in);

/* ----------------------------------------------------------------- remote */

#define MAX_PIECES	64

/* What read says once all bytes are read. */
typedef enum End
{
	END_NOTHING,				/* that it would block */
	END_EOF,
	END_ERROR
} End;

/*
 * What a remote sends, and how.  Piece by piece, 0 standing for "would block",
 * 1 to 127 for so many bytes, and what is beyond for 64 times as many; when there is none left, everything.
 */
typedef struct Remote
{
	const uint8 *bytes;
	size_t		len;
	size_t		at;
	uint8		pieces[MAX_PIECES];
	int			npieces;
	int			piece;
	End			end;
	void		(*at_end) (void);	/* called when it is read from and has nothing more; NULL: nothing */

	/* what it takes of each write, likewise */
	uint8		rooms[MAX_PIECES];
	int			nrooms;
	int			room;
	bool		write_fails;	/* once there is no room left */
	size_t		written;
	char	   *written_to;		/* NULL: nobody wants to know */
	size_t		max_written;	/* what there is room for */
} Remote;

extern void take_pieces(Input *in, uint8 *pieces, int *npieces);
extern void remote_begin(Remote *remote, const uint8 *bytes, size_t len, End end);
extern void remote_attach(EpTransport *transport, Remote *remote);
extern void remote_wire(EpWire *wire, Remote *remote);

/* ----------------------------------------------------------------- memory */

extern size_t fuzz_memory(void);
extern void fuzz_memory_forget(void);

/* A copy that has not a byte to spare, so that reads beyond its end are seen. */
extern char *exact_copy(const void *bytes, size_t len);

extern uint64 hash_more(uint64 hash, const void *bytes, size_t len);

#endif							/* EP_FUZZ_H */
