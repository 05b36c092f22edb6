/*-------------------------------------------------------------------------
 *
 * statement.c
 *		What is known of statements: by this backend of their texts, by all of
 *		what is prepared on a connection, and by this backend of the rows that
 *		those return.
 *
 * The list of prepared statements of a connection lies in shared memory, so
 * that one backend profits from what another one prepared.  Only the holder of
 * the lease touches it (and the worker, when it resets the connection), hence
 * it needs no lock.  It has no index either: each backend remembers where it
 * found a statement the last time and looks there first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/hashfn.h"
#include "common/sha2.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "client/statement.h"

/* ------------------------------------------------------ texts of statements */

/*
 * Texts seen lately, in sets of WAYS places; a new one takes the place of the
 * set's least recently used.  Long texts are not kept: to hash one anew costs
 * little beside sending it.
 */
#define SETS		128
#define WAYS		4
#define LONGEST_KEPT 8192

typedef struct KeptText
{
	uint32		quick;			/* quick hash of the key; finds it, does not identify it */
	uint32		used;			/* uses_clock of the last use */
	size_t		key_len;
	char	   *key;			/* types, then the text without its NUL; NULL: place unused */
	EpStatement stmt;
} KeptText;

static KeptText *kept = NULL;	/* SETS * WAYS, in TopMemoryContext */
static uint32 uses_clock = 0;

/*
 * The hash that stands for a text and its parameter types in shared memory.
 * It must be one that nobody can aim at: two statements with the same hash
 * would run as one.
 */
static void
compute_hash(const char *sql, size_t sql_len, int nparams, const Oid *types, uint8 *hash)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *ctx = pg_cryptohash_create(PG_SHA256);

	if (ctx == NULL ||
		pg_cryptohash_init(ctx) < 0 ||
		pg_cryptohash_update(ctx, (const uint8 *) sql, sql_len + 1) < 0 ||
		(nparams > 0 && pg_cryptohash_update(ctx, (const uint8 *) types, sizeof(Oid) * nparams) < 0) ||
		pg_cryptohash_final(ctx, digest, sizeof(digest)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the hash of a statement: %s", pg_cryptohash_error(ctx))));
	pg_cryptohash_free(ctx);
	memcpy(hash, digest, sizeof(((EpStatement *) NULL)->hash));
}

static bool
same_key(const KeptText *text, const char *sql, size_t sql_len, const Oid *types, size_t types_len)
{
	return text->key_len == types_len + sql_len &&
		(types_len == 0 || memcmp(text->key, types, types_len) == 0) &&
		memcmp(text->key + types_len, sql, sql_len) == 0;
}

static void
fill_statement(EpStatement *stmt, const char *sql, size_t sql_len, int nparams, const Oid *types)
{
	compute_hash(sql, sql_len, nparams, types, stmt->hash);
	stmt->class = ep_classify(sql);
}

static void
keep_text(KeptText *text, uint32 quick, const char *sql, size_t sql_len, const Oid *types, size_t types_len)
{
	if (text->key)
		pfree(text->key);
	text->key = NULL;
	text->key = MemoryContextAlloc(TopMemoryContext, types_len + sql_len + 1);
	if (types_len > 0)
		memcpy(text->key, types, types_len);
	memcpy(text->key + types_len, sql, sql_len);
	text->key_len = types_len + sql_len;
	text->quick = quick;
}

/*
 * Hash and class of a statement, by its exact text and the types of its
 * nparams parameters (0: the remote infers).  The result is valid until the
 * next call.
 */
const EpStatement *
ep_statement_of(const char *sql, int nparams, const Oid *types)
{
	static EpStatement unkept;
	size_t		sql_len = strlen(sql);
	size_t		types_len = sizeof(Oid) * nparams;
	uint32		quick;
	KeptText   *set;
	KeptText   *oldest;

	if (types_len + sql_len > LONGEST_KEPT)
	{
		fill_statement(&unkept, sql, sql_len, nparams, types);
		return &unkept;
	}
	if (kept == NULL)
		kept = MemoryContextAllocZero(TopMemoryContext, sizeof(KeptText) * SETS * WAYS);

	quick = hash_bytes((const unsigned char *) sql, (int) sql_len);
	if (nparams > 0)
		quick = hash_combine(quick, hash_bytes((const unsigned char *) types, (int) types_len));
	set = &kept[(quick % SETS) * WAYS];
	oldest = set;
	uses_clock++;
	for (int i = 0; i < WAYS; i++)
	{
		KeptText   *text = &set[i];

		if (text->key == NULL)
		{
			oldest = text;
			break;				/* places are filled in order */
		}
		if (text->quick == quick && same_key(text, sql, sql_len, types, types_len))
		{
			text->used = uses_clock;
			return &text->stmt;
		}
		if ((int32) (text->used - oldest->used) < 0)
			oldest = text;
	}

	fill_statement(&unkept, sql, sql_len, nparams, types);
	keep_text(oldest, quick, sql, sql_len, types, types_len);
	oldest->stmt = unkept;
	oldest->used = uses_clock;
	return &oldest->stmt;
}

/* ---------------------------------------- statements prepared on a connection */

/* What this backend remembers about one place of the list. */
typedef struct Memory
{
	uint64		number;			/* of the statement that it is about; 0: nothing */
	EpRowDesc  *rows;			/* chunk of its own in TopMemoryContext */
	bool		no_data;		/* it returns no rows */
} Memory;

/* The same for a whole connection; hangs on the descriptor. */
struct EpStmtMemory
{
	uint32		mask;			/* of hints[] */
	int		   *hints;			/* from bits of the hash to the place where it was last found */
	Memory		places[FLEXIBLE_ARRAY_MEMBER];	/* max_statements */
};

static struct EpStmtMemory *
memory_of(EpDescriptor *desc)
{
	struct EpStmtMemory *memory = desc->statements;
	int			n = ep_control->max_statements;
	uint32		nhints;
	Size		size;

	if (likely(memory != NULL))
		return memory;
	nhints = pg_nextpower2_32((uint32) Max(n, 1)) * 2;
	size = MAXALIGN(offsetof(struct EpStmtMemory, places) + sizeof(Memory) * n);
	memory = MemoryContextAllocZero(TopMemoryContext, size + sizeof(int) * nhints);
	memory->hints = (int *) ((char *) memory + size);
	memory->mask = nhints - 1;
	desc->statements = memory;
	return memory;
}

static uint32
hint_of(const struct EpStmtMemory *memory, const uint8 *hash)
{
	uint32		bits;

	memcpy(&bits, hash, sizeof(bits));
	return bits & memory->mask;
}

static bool
stands_for(const EpStmtSlot *slot, const uint8 *hash)
{
	return slot->number != 0 && memcmp(slot->hash, hash, sizeof(slot->hash)) == 0;
}

/*
 * Find a statement among the first limit places of the connection's list.
 * Returns its place, or -1.
 */
int
ep_stmt_find(EpDescriptor *desc, int limit, const uint8 *hash)
{
	struct EpStmtMemory *memory = memory_of(desc);
	const EpStmtSlot *slots = ep_conn_stmts(&ep_conns[desc->slot]);
	int		   *hint = &memory->hints[hint_of(memory, hash)];

	if (*hint < limit && stands_for(&slots[*hint], hash))
		return *hint;
	for (int i = 0; i < limit; i++)
	{
		if (stands_for(&slots[i], hash))
		{
			*hint = i;
			return i;
		}
	}
	return -1;
}

/*
 * A place among the first limit ones for a statement that will be prepared.  If
 * another one stood there it is removed, and *victim is its number: the caller
 * closes it on the remote.  Else *victim is 0.
 */
int
ep_stmt_make_room(EpDescriptor *desc, int limit, uint64 *victim)
{
	EpStmtSlot *slots = ep_conn_stmts(&ep_conns[desc->slot]);
	int			oldest = 0;

	*victim = 0;
	for (int i = 0; i < limit; i++)
	{
		if (slots[i].number == 0)
			return i;
		if (slots[i].last_used < slots[oldest].last_used)
			oldest = i;
	}
	*victim = slots[oldest].number;
	slots[oldest].number = 0;
	return oldest;
}

/* The remote has prepared a statement as ep_<number>: enter it. */
void
ep_stmt_add(EpDescriptor *desc, int place, uint64 number, const EpStatement *stmt)
{
	struct EpStmtMemory *memory = memory_of(desc);
	EpConn	   *conn = &ep_conns[desc->slot];
	EpStmtSlot *slot = &ep_conn_stmts(conn)[place];

	memcpy(slot->hash, stmt->hash, sizeof(slot->hash));
	slot->last_used = ++conn->stmt_clock;
	slot->described = false;
	slot->ncols = 0;
	slot->number = number;
	memory->hints[hint_of(memory, stmt->hash)] = place;
}

/*
 * The statement at that place does not fit its text any more, and cannot be
 * closed now: nobody finds it again, and its place is the first to be used.
 */
void
ep_stmt_outdate(EpDescriptor *desc, int place)
{
	EpStmtSlot *slot = &ep_conn_stmts(&ep_conns[desc->slot])[place];

	memset(slot->hash, 0, sizeof(slot->hash));
	slot->last_used = 0;
}

/* Mark the statement as just used, and return it. */
EpStmtSlot *
ep_stmt_use(EpDescriptor *desc, int place)
{
	EpConn	   *conn = &ep_conns[desc->slot];
	EpStmtSlot *slot = &ep_conn_stmts(conn)[place];

	slot->last_used = ++conn->stmt_clock;
	return slot;
}

/* The types of the statement's columns, for all backends; wider ones each backend keeps for itself. */
void
ep_stmt_describe(EpDescriptor *desc, int place, const EpRowDesc *rows)
{
	EpStmtSlot *slot = &ep_conn_stmts(&ep_conns[desc->slot])[place];

	slot->described = rows->ncols <= EP_STMT_MAX_COLS;
	if (!slot->described)
		return;
	for (int i = 0; i < rows->ncols; i++)
		slot->cols[i] = rows->cols[i].type;
	slot->ncols = (uint8) rows->ncols;
}

/*
 * The description of a statement's rows, if this backend remembers it and it
 * agrees with the list; else NULL.  It is this backend's and may be written to
 * (formats); it stays valid while the lease is held and the statement is not
 * prepared anew.
 */
EpRowDesc *
ep_stmt_recall(EpDescriptor *desc, int place, bool *no_data)
{
	const Memory *m = &memory_of(desc)->places[place];
	const EpStmtSlot *slot = &ep_conn_stmts(&ep_conns[desc->slot])[place];

	if (m->number != slot->number || m->number == 0 || m->rows == NULL ||
		(slot->described && slot->ncols != m->rows->ncols))
		return NULL;
	*no_data = m->no_data;
	return m->rows;
}

/* Remember a description, a chunk of its own in TopMemoryContext that now belongs to the memory. */
void
ep_stmt_remember(EpDescriptor *desc, int place, EpRowDesc *rows, bool no_data)
{
	Memory	   *m = &memory_of(desc)->places[place];

	if (m->rows && m->rows != rows)
		pfree(m->rows);
	m->rows = rows;
	m->no_data = no_data;
	m->number = ep_conn_stmts(&ep_conns[desc->slot])[place].number;
}

/*
 * Free what is remembered about a connection; the owner of the descriptor
 * calls this before it frees it.  Raises nothing.
 */
void
ep_stmt_forget_all(EpDescriptor *desc)
{
	struct EpStmtMemory *memory = desc->statements;

	if (memory == NULL)
		return;
	desc->statements = NULL;
	for (int i = 0; i < ep_control->max_statements; i++)
	{
		if (memory->places[i].rows)
			pfree(memory->places[i].rows);
	}
	pfree(memory);
}
