/*-------------------------------------------------------------------------
 *
 * test_classify.c
 *		What the text of a statement tells: whether it may leave state behind,
 *		whether it steers a transaction, whether it copies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "client/classify.h"
#include "unit.h"

/* What is expected, one letter each. */
#define D	1					/* dirty */
#define T	2					/* transaction */
#define C	4					/* copy */
#define P	8					/* plannable */
#define S	16					/* several */

typedef struct Case
{
	const char *sql;
	int			expected;
} Case;

static const Case single[] = {
	{"", 0},
	{" \t\n", 0},
	{"-- nothing\n", 0},
	{"/* nothing */", 0},

	/* first words that leave nothing behind */
	{"SELECT 1", P},
	{"select\n1", P},
	{"SeLeCt 1;", P},
	{"INSERT INTO t VALUES (1)", P},
	{"UPDATE t SET a = 1", P},
	{"DELETE FROM t", P},
	{"MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", P},
	{"VALUES (1)", P},
	{"TABLE t", P},
	{"WITH x AS (SELECT 1) SELECT * FROM x", P},
	{"WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM x", P},
	{"SHOW work_mem", 0},
	{"(SELECT 1) UNION (SELECT 2)", P},
	{"((VALUES (1)))", P},
	{"/* lead */ -- in\nSELECT 1", P},

	/* and those that may */
	{"SET work_mem = '1MB'", D},
	{"RESET ALL", D},
	{"DISCARD ALL", D},
	{"CREATE TABLE t (a int)", D},
	{"EXPLAIN SELECT 1", D},
	{"DO $$ BEGIN END $$", D},
	{"CALL p()", D},
	{"DECLARE c CURSOR WITH HOLD FOR SELECT 1", D},
	{"EXECUTE p", D},
	{"DEALLOCATE ALL", D},
	{"LISTEN channel", D},
	{"UNLISTEN *", D},
	{"LOCK t", D},
	{"PREPARE p AS SELECT 1", D},
	{"selecting 1", D},
	{"\"select\" 1", D},
	{"'select' 1", D},

	/* words that are dirty wherever they stand */
	{"SELECT 1 INTO t", P | D},
	{"SELECT * INTO TEMP t FROM s", P | D},
	{"SELECT 1 into\tt", P | D},
	{"WITH x AS (SELECT 1) SELECT * INTO t FROM x", P | D},
	{"INSERT INTO t SELECT 1 INTO u", P | D},
	{"INSERT /* c */ INTO t VALUES (1)", P},
	{"INSERT -- c\nINTO t VALUES (1)", P},
	{"SELECT temp FROM t", P | D},
	{"SELECT TEMPORARY FROM t", P | D},
	{"SELECT temperature, into_x, preparedness FROM t", P},
	{"SELECT set_config('a.b', 'c', false)", P | D},
	{"SELECT pg_catalog.SET_CONFIG('a.b', 'c', false)", P | D},
	{"SELECT \"set_config\"('a.b', 'c', false)", P | D},
	{"SELECT \"set_config\" ('a.b', 'c', false)", P | D},
	{"SELECT \"set_config\" FROM t", P},
	{"SELECT pg_advisory_lock(1)", P | D},
	{"SELECT pg_try_advisory_xact_lock_shared(1)", P | D},
	{"SELECT \"pg_advisory_lock\"(1)", P | D},
	{"SELECT nextval('s')", P | D},
	{"SELECT setval('s', 1)", P | D},
	{"SELECT currval('s')", P},
	{"SELECT nextvalue('s')", P},
	{"UPDATE pg_settings SET setting = 'c' WHERE name = 'a.b'", P | D},
	{"WITH x AS (UPDATE pg_catalog.\"pg_settings\" SET setting = 'c' RETURNING 1) SELECT * FROM x", P | D},
	{"SELECT U&\"set\\005fconfig\"('a.b', 'c', false)", P | D},
	{"SELECT u & \"set_configs\" FROM t", P},
	{"SELECT U&'a\\005fb'", P},

	/* INSERT INTO is a command only where one may begin */
	{"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", P},
	{"WITH x AS (INSERT INTO t VALUES (1) RETURNING a), y AS (INSERT INTO u VALUES (1)) TABLE x", P},
	{"WITH x AS (SELECT 1) MERGE INTO t USING x ON true WHEN MATCHED THEN DELETE", P},
	{"SELECT 1 AS insert INTO pg_temp.t", P | D},
	{"SELECT 1 merge INTO pg_temp.t", P | D},
	{"SELECT (1) insert INTO pg_temp.t", P | D},
	{"WITH x AS (SELECT 1) SELECT (1) insert INTO pg_temp.t", P | D},
	{"WITH x AS (SELECT 1) (SELECT (1) insert INTO pg_temp.t)", P | D},

	/* but not in literals, quoted identifiers and comments */
	{"SELECT 'into temp'", P},
	{"SELECT \"into\" FROM \"temp\"", P},
	{"SELECT 1 -- into temp", P},
	{"SELECT 1 -- c\n into t", P | D},
	{"SELECT 1 -- c\r into t", P | D},
	{"SELECT /* into /* temp */ into */ 1", P},
	{"SELECT /* /* */ into */ 1", P},
	{"SELECT /* */ 1 into t", P | D},
	{"SELECT 'it''s into'", P},
	{"SELECT 'it''s' into t", P | D},
	{"SELECT \"a\"\"into\" FROM t", P},
	{"SELECT \"a\"\"b\" into t", P | D},
	{"SELECT $$ into $$", P},
	{"SELECT $$ $ $$ into t", P | D},
	{"SELECT $a$ into $$ into $b$ into $a$", P},
	{"SELECT $a$ x $a$ into t", P | D},
	{"SELECT $1 into t where $2 = 1", P | D},
	{"SELECT $1, $2", P},
	{"SELECT a$b$ into t", P | D},
	{"SELECT E'a\\' into '", P},
	{"SELECT E'a\\\\' into t", P | D},
	{"SELECT e'\\'' into t", P | D},
	{"SELECT B'01' into t", P | D},
	{"SELECT N'into'", P},
	{"SELECT 'a'\n' into '", P},
	{"SELECT 'a'\n'b' into t", P | D},
	{"SELECT 'a' -- c\n' into '", P},
	{"SELECT E'a'\n'b\\' into '", P},

	/* what depends on standard_conforming_strings is not to be trusted */
	{"SELECT 'a\\' into t --'", P | D},
	{"SELECT 'a\\', ' into '", P | D},
	{"SELECT 'C:\\dir'", P},

	/* statements that steer a transaction */
	{"BEGIN", T | D},
	{"begin isolation level serializable", T | D},
	{"START TRANSACTION", T | D},
	{"COMMIT", T | D},
	{"COMMIT PREPARED 'x'", T | D},
	{"END", T | D},
	{"ROLLBACK", T | D},
	{"ROLLBACK TO SAVEPOINT a", T | D},
	{"ABORT", T | D},
	{"SAVEPOINT a", T | D},
	{"RELEASE SAVEPOINT a", T | D},
	{"PREPARE TRANSACTION 'x'", T | D},
	{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", T | D},
	{"SET /* c */ TRANSACTION READ ONLY", T | D},
	{"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", D},
	{"SET transaction_isolation = 'serializable'", D},
	{"/* c */ COMMIT", T | D},
	{"SELECT 'COMMIT'", P},
	{"SELECT begin, commit FROM t", P},

	/* data over the connection */
	{"COPY t FROM STDIN", C},
	{"copy t (a, b) to stdout (format csv)", C},
	{"COPY (SELECT 1) TO STDOUT", C},
	{"COPY t FROM /* c */ STDIN", C},
	{"COPY t TO '/tmp/stdout'", 0},
	{"COPY t FROM PROGRAM 'stdin'", 0},
	{"COPY (SELECT a FROM stdin) TO '/tmp/x'", 0},
	{"SELECT 'COPY t FROM STDIN'", P},

	/* one statement, whatever semicolons it has */
	{"SELECT 1;", P},
	{"SELECT 1 ; ; -- c\n", P},
	{"; SELECT 1", P},
	{"SELECT ';'; ", P},
	{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", D},
	{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; SELECT 2; END", D},
	{"CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END;", D},

	/* ends in the middle */
	{"SELECT 'into", P},
	{"SELECT \"into", P},
	{"SELECT /* into", P},
	{"SELECT $$ into", P},
	{"SELECT $a$ into $", P},
	{"SELECT E'into\\", P},
	{"SELECT 'a'\n", P},
	{"SELECT $", P},
	{"SELECT -", P},
};

static const struct
{
	const char *sql;
	int			one;			/* as one statement: the first tells */
	int			script;			/* as a script: each counts */
}			several[] = {
	{"SELECT 1; SELECT 2", P | S, P | S},
	{"SELECT 1; SET a.b = 'c'", P | D | S, D | S},
	{"SELECT 1; COMMIT", P | D | S, T | D | S},
	{"COMMIT; SELECT 1", T | D | S, T | P | D | S},
	{"SELECT 1; COPY t FROM STDIN", P | S, C | S},
	{"SELECT ';'; SELECT 2;", P | S, P | S},
	{"SELECT 1;;; SELECT 2", P | S, P | S},
	{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END; SELECT 2", D | S, P | D | S},
};

/* Also looks whether anything beyond the end is read: the text is in a block of its own. */
static int
class_of(const char *sql, bool script)
{
	char	   *copy = strdup(sql);
	EpTextClass class = script ? ep_classify_script(copy) : ep_classify(copy);

	free(copy);
	return (class.dirty ? D : 0) | (class.transaction ? T : 0) | (class.copy ? C : 0) |
		(class.plannable ? P : 0) | (class.several ? S : 0);
}

static void
test_single(void)
{
	for (Size i = 0; i < lengthof(single); i++)
	{
		const char *sql = single[i].sql;
		char		longer[512];

		CHECK_INT(class_of(sql, false), single[i].expected, "%s", sql);
		CHECK_INT(class_of(sql, true) & ~P, single[i].expected & ~P, "as a script: %s", sql);
		snprintf(longer, sizeof(longer), "/* select ; ' \" $$ */%s", sql);
		CHECK_INT(class_of(longer, false), single[i].expected, "after a comment: %s", sql);
	}
}

static void
test_several(void)
{
	for (Size i = 0; i < lengthof(several); i++)
	{
		CHECK_INT(class_of(several[i].sql, false), several[i].one, "%s", several[i].sql);
		CHECK_INT(class_of(several[i].sql, true) & ~P, several[i].script & ~P, "as a script: %s", several[i].sql);
	}
}

/*
 * Whatever stands in a literal, a quoted identifier or a comment changes
 * nothing, and a dirty word after it is seen.
 */
static void
test_inside(void)
{
	static const char *const pieces[] = {
		"into ", "; ", "commit ", "$$", "$1 ", "/* ", "-- ", "\n", "\"\"", "''", "e", "temp", "\xc3\xa9", "$x$"
	};

	for (int round = 0; round < 3000; round++)
	{
		char		inside[256] = "";
		char		sql[512];
		int			n = unit_random(12);

		for (int i = 0; i < n; i++)
			strcat(inside, pieces[unit_random(lengthof(pieces))]);
		snprintf(sql, sizeof(sql), "SELECT '%s'", inside);
		if (strstr(inside, "\"\"") == NULL)
		{
			CHECK_INT(class_of(sql, false), P, "%s", sql);
			strcat(sql, " INTO t");
			CHECK_INT(class_of(sql, false), P | D, "%s", sql);
		}
		if (strstr(inside, "''") == NULL)
		{
			snprintf(sql, sizeof(sql), "SELECT \"%s\"", inside);
			CHECK_INT(class_of(sql, false), P, "%s", sql);
			strcat(sql, " INTO t");
			CHECK_INT(class_of(sql, false), P | D, "%s", sql);
		}
		snprintf(sql, sizeof(sql), "SELECT $tag$%s$tag$ INTO t", inside);
		CHECK_INT(class_of(sql, false), P | D, "%s", sql);
	}
}

/* Nonsense of the characters that mean something: only that it ends, and reads nothing beyond. */
static void
test_nonsense(void)
{
	static const char letters[] = "'\"$-/*\\;()\n eEU&a1INTO\xc3";

	for (int round = 0; round < 20000; round++)
	{
		char		sql[40];
		int			len = unit_random(sizeof(sql));

		for (int i = 0; i < len; i++)
			sql[i] = letters[unit_random(sizeof(letters) - 1)];
		sql[len] = '\0';
		CHECK_INT(class_of(sql, false), class_of(sql, false), "%s", sql);
		(void) class_of(sql, true);
	}
}

static void
test_rowless(void)
{
	static const char *const rowless[] = {
		"INSERT INTO t VALUES (1)", "insert\tinto t select 1", "  \n update t SET a = 1", "DELETE FROM t", "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
		"CREATE TABLE t (i int)", "Alter TABLE t ADD b int", "drop table t", "TRUNCATE t", "GRANT ALL ON t TO u", "REVOKE ALL ON t FROM u", "COMMENT ON TABLE t IS 'x'"
	};
	static const char *const doubtful[] = {
		"", " ", "INSERT", "insert", "INSERTS INTO t", "INSERT INTO t VALUES (1) RETURNING i", "delete from t returning *", "UPDATE t SET a = 'returning'",
		"SELECT 1", "WITH x AS (DELETE FROM t RETURNING *) SELECT 1", "VALUES (1)", "TABLE t", "CALL p()", "EXPLAIN DELETE FROM t", "SHOW work_mem", "EXECUTE x",
		"/* */ INSERT INTO t VALUES (1)", "(SELECT 1)", "FETCH c", "DO $$ BEGIN END $$", "INSERT--x\nINTO t VALUES (1)"
	};

	for (size_t i = 0; i < lengthof(rowless); i++)
		CHECK_INT(ep_surely_rowless(rowless[i]), true, "%s", rowless[i]);
	for (size_t i = 0; i < lengthof(doubtful); i++)
		CHECK_INT(ep_surely_rowless(doubtful[i]), false, "%s", doubtful[i]);
}

void
test_classify(void)
{
	test_rowless();
	test_single();
	test_several();
	test_inside();
	test_nonsense();
}
