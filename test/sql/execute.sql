--
-- execute: signatures, parameters, what comes back, what is refused.
--
SET client_min_messages = warning;
\pset null '(null)'

-- Of each function there are six: pool or lease, without parameters, with any and with text[]
SELECT proname, count(*) AS signatures,
    count(*) FILTER (WHERE provariadic = '"any"'::regtype) AS "any", count(*) FILTER (WHERE provariadic = 'text'::regtype) AS text
  FROM pg_proc WHERE pronamespace = 'enhanced_pool'::regnamespace AND proname IN ('execute', 'execute_as', 'execute_json', 'exec')
  GROUP BY proname ORDER BY proname COLLATE "C";
SELECT oid::regprocedure AS not_as_it_should_be FROM pg_proc
  WHERE pronamespace = 'enhanced_pool'::regnamespace AND proname !~ '^(_|enhanced_pool_)'
    AND (proisstrict OR provolatile <> 'v' OR proleakproof OR proparallel = 's');

-- Through a pool's name
SELECT * FROM enhanced_pool.execute('loop', 'SELECT 1, ''one''') AS t(i int, name text);
SELECT * FROM enhanced_pool.execute('loop', 'SELECT $1 + 1, $2::text', 41, 'two') AS t(i int, name text);
SELECT * FROM enhanced_pool.execute('loop', 'SELECT $1::int + 1, $2::text', VARIADIC ARRAY['41', 'two']) AS t(i int, name text);
-- an untyped parameter, as drivers bind it
PREPARE untyped AS SELECT * FROM enhanced_pool.execute('loop', 'SELECT $1::int + 1', $1) AS t(i int);
EXECUTE untyped('41');
DEALLOCATE untyped;

-- On a lease
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 1, ''one''') AS t(i int, name text);
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT $1 + 1, $2::text', 41, 'two') AS t(i int, name text);
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT $1::int + 1, $2::text', VARIADIC ARRAY['41', 'two']) AS t(i int, name text);
COMMIT;

-- A null is an error, whatever the signature
SELECT error_of($$SELECT enhanced_pool.execute(NULL::text, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.execute(NULL::bigint, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', NULL)$$);
SELECT error_of($$SELECT enhanced_pool.execute(NULL::text, 'SELECT $1', 1)$$);
SELECT error_of($$SELECT enhanced_pool.execute(NULL::bigint, 'SELECT $1', VARIADIC ARRAY['1'])$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', NULL, 1)$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', NULL, VARIADIC ARRAY['1'])$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'SELECT $1', VARIADIC NULL::text[])$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'SELECT $1', VARIADIC NULL::int[])$$);

--
-- In a select list no column list is needed: the remote's names and built-in types
--
SELECT enhanced_pool.execute('loop', 'SELECT 1 AS a, ''x'' AS b');
SELECT row_to_json(enhanced_pool.execute('loop',
  $$SELECT 1 AS i, 2.50 AS n, true AS b, 'x'::text AS t, date '2026-02-03' AS d, ARRAY[1, 2] AS a, '{"k": [1]}'::jsonb AS j, NULL AS nothing$$));
-- a type of the remote's own, and one whose text means something there only, come as text
SELECT count(*) FROM enhanced_pool.run_script('loop', $$
  DROP TYPE IF EXISTS mood, pair CASCADE;
  CREATE TYPE mood AS ENUM ('sad', 'happy');
  CREATE TYPE pair AS (a int, b text)$$);
SELECT pg_typeof(r), row_to_json(r) FROM (SELECT enhanced_pool.execute('loop',
  $$SELECT 'happy'::mood AS m, ROW(1, 'x y')::pair AS p, 'items'::regclass AS r, ARRAY['sad']::mood[] AS ms, int4range(1, 3) AS rg$$)) AS s(r);
-- the columns may differ from call to call
SELECT i, row_to_json(enhanced_pool.execute('loop', (ARRAY['SELECT 1 AS a', 'SELECT ''x'' AS b, 2 AS c', 'SELECT', 'SELECT now() IS NULL AS d'])[i]))
  FROM generate_series(1, 4) i;
SELECT i, row_to_json(e) FROM generate_series(1, 3) i,
  LATERAL (SELECT enhanced_pool.execute('loop', 'SELECT ' || repeat('1 AS a, ', i) || ' 2 AS z')) AS l(e);
-- rows of several calls at once, a different number of each
SELECT row_to_json(enhanced_pool.execute('loop', 'SELECT g AS a FROM generate_series(1, 3) g')) AS a,
       row_to_json(enhanced_pool.execute('loop', 'SELECT g AS b FROM generate_series(1, 2) g')) AS b;
-- rows that nobody asks for
SELECT row_to_json(enhanced_pool.execute('loop', 'SELECT g AS a FROM generate_series(1, 100000) g')) LIMIT 2;

-- with a column list, once for each row of something else
SELECT i, t.* FROM generate_series(1, 3) i, LATERAL enhanced_pool.execute('loop', 'SELECT $1 * 2, repeat(''x'', $1)', i) AS t(twice int, xs text);
SELECT i, t.* FROM generate_series(0, 2) i, LATERAL enhanced_pool.execute('loop', 'SELECT g FROM generate_series(1, $1) g', i) AS t(g int);
SELECT * FROM ROWS FROM (enhanced_pool.execute('loop', 'SELECT g FROM generate_series(4, 5) g') AS (g int)) WITH ORDINALITY;
SELECT * FROM ROWS FROM (enhanced_pool.execute('loop', 'SELECT 1') AS (a int), enhanced_pool.execute('loop', 'SELECT 2') AS (b int)) AS t;

-- In PL/pgSQL
DO $$
DECLARE
  r record;
  n int := 0;
BEGIN
  PERFORM enhanced_pool.execute('loop', 'SELECT 1, 2');
  PERFORM enhanced_pool.execute('loop', 'UPDATE items SET name = name WHERE id = 1');
  FOR r IN SELECT * FROM enhanced_pool.execute('loop', 'SELECT id, name FROM items WHERE id <= $1 ORDER BY id', 3) AS t(id int, name text) LOOP
    n := n + r.id;
  END LOOP;
  ASSERT n = 6;
END
$$;

--
-- Parameters.  params(n) is a remote statement that shows type and value of each
--
CREATE FUNCTION params(n int) RETURNS text LANGUAGE sql AS $$
  SELECT 'SELECT * FROM (VALUES ' || string_agg(format('(pg_typeof($%s)::text, $%1$s::text)', i), ', ' ORDER BY i) || ') v'
  FROM generate_series(1, n) i;
$$;
SELECT define_pool('utc', $$max_size '1', initial_size '1', min_size '1', connect_query 'SET TimeZone = ''UTC'''$$);
SELECT * FROM enhanced_pool.execute('utc', params(14), true, 1::int2, -2147483648, 9223372036854775807, 0.1::float4, '-0'::float8,
  'NaN'::numeric, '\x00ff27'::bytea, 'c0ffee00-0000-4000-8000-000000000001'::uuid, 'x'::"char", 7::oid, B'101', '101'::varbit(5), pg_lsn '16/B374D848')
  AS t(type text, value text);
SELECT * FROM enhanced_pool.execute('utc', params(8), '{"a":  [1]}'::json, '{"a":  [1]}'::jsonb, inet '::1/64', cidr '10.0.0.0/8', macaddr '08:00:2b:01:02:03',
  point '(1,2)', to_tsvector('simple', 'it''s'), '$.a'::jsonpath)
  AS t(type text, value text);
-- times mean the same whatever the session's settings
CREATE FUNCTION times() RETURNS TABLE (type text, value text) LANGUAGE sql AS $$
  SELECT * FROM enhanced_pool.execute('utc', params(11), timestamptz '2026-03-04 05:06:07.890123+00', timestamp '2026-03-04 05:06:07', date '2026-03-04',
      time '23:59:59.5', timetz '23:59:59+05:30', interval '-1 year 2 months -3 days 04:05:06.7',
      ARRAY[date '2026-03-04', NULL], tstzrange('2026-03-04 00:00+00', NULL), daterange('2026-03-04', '2026-04-03', '[]'),
      ARRAY[[timestamptz '2026-03-04 05:06:07+00']], interval '-1 day -02:00') AS t(type text, value text);
$$;
SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'ISO, DMY'; SET IntervalStyle = 'postgres';
CREATE TABLE times_then AS SELECT row_number() OVER () AS n, * FROM times();
SELECT type, value FROM times_then ORDER BY n;
SET TimeZone = 'America/New_York'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'; SET extra_float_digits = -5;
SELECT * FROM times() EXCEPT SELECT type, value FROM times_then;
SET DateStyle = 'German, YMD'; SET IntervalStyle = 'iso_8601';
SELECT * FROM times() EXCEPT SELECT type, value FROM times_then;
SET DateStyle = 'Postgres, MDY'; SET IntervalStyle = 'postgres_verbose';
SELECT * FROM times() EXCEPT SELECT type, value FROM times_then;
-- and come back so, by text too: an interval, and a date in a row of the remote's
SELECT i = interval '-1 year 2 months -3 days 04:05:06.7' AS interval, d = '2026-03-04' AS date, r = daterange('2026-03-04', '2026-04-03') AS range, f = 0.1::float8 AS float
  FROM enhanced_pool.execute('utc', 'SELECT $1, $2::text, daterange($2, $3), $4', interval '-1 year 2 months -3 days 04:05:06.7', date '2026-03-04', date '2026-04-03', ARRAY[0.1::float8])
  AS t(i interval, d date, r daterange, fs float8[]), unnest(fs) f;
SHOW DateStyle;
SHOW IntervalStyle;
SHOW extra_float_digits;
RESET TimeZone; RESET DateStyle; RESET IntervalStyle; RESET extra_float_digits;
DROP FUNCTION times();
DROP TABLE times_then;

-- arrays
SELECT * FROM enhanced_pool.execute('utc', params(6), ARRAY[1, NULL, 3], '{}'::int[], '[0:1][2:3]={{1,2},{3,4}}'::int[], ARRAY[true, false],
  ARRAY['\x00'::bytea, '\x22'], ARRAY[1.5, 'NaN']::numeric[]) AS t(type text, value text);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT $1::text[], cardinality($1::text[])', ARRAY['a', 'b c', NULL, '', 'NULL', '"', '\', '{'])
  AS t(a text[], n int);
-- ranges, multiranges and types of the system's
SELECT * FROM enhanced_pool.execute('utc', params(6), int4range(1, 5), numrange(NULL, 5, '[]'), 'empty'::int8range, int4multirange(int4range(1, 2), int4range(5, 6)),
  'pg_class'::regclass, '1234'::xid) AS t(type text, value text);
SELECT p = m AS money FROM enhanced_pool.execute('utc', 'SELECT $1', '12.34'::money) AS t(p money), (SELECT '12.34'::money) AS s(m);

-- text, varchar, char, name and domains over them have no type on their way: the remote infers it
CREATE DOMAIN words AS text CHECK (VALUE <> '');
CREATE DOMAIN count AS int CHECK (VALUE >= 0);
CREATE DOMAIN counts AS int[];
CREATE TYPE mood AS ENUM ('happy', 'sad', 'local');
CREATE TYPE pair AS (b text, a int);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT $1 + 1, $2 + 1, $3 + 1, $4 + 1, $5 + 1, $6 + 1', '1', '2'::text, '3'::varchar, '4'::char(3), '5'::name, '6'::words)
  AS t(a int, b int, c int, d int, e int, f int);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT date ''2026-01-01'' - $1', '2025-12-24'::text) AS t(days int);
-- so has every type that is not built in; a domain goes as the type below it
SELECT * FROM enhanced_pool.execute('utc', $$SELECT $1 < 'happy'::mood, ($2::pair).b, $3 = ANY (ARRAY['sad', 'happy']::mood[]), $4::mood[]$$,
  'sad'::mood, ROW('7', 8)::pair, 'happy'::mood, ARRAY['sad', NULL]::mood[]) AS t(a bool, b text, c bool, d text);
SELECT * FROM enhanced_pool.execute('utc', params(2), 5::count, '{1,2}'::counts) AS t(type text, value text);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT ($1::pair).a', ROW(3, 'x')) AS t(a int);
SELECT error_of($$SELECT enhanced_pool.execute('utc', 'SELECT $1::mood', 'local'::mood)$$);
-- trailing blanks of char(n) stay, a name is not padded
SELECT * FROM enhanced_pool.execute('utc', 'SELECT octet_length($1::text), octet_length($2::text), octet_length($3::text)', 'ab'::char(5), 'ab'::name, ''::text)
  AS t(a int, b int, c int);

-- nulls of every kind
SELECT * FROM enhanced_pool.execute('utc', 'SELECT $1 IS NULL, $2::text IS NULL, $3::date IS NULL, $4 IS NULL, $5::mood IS NULL, $6 IS NULL, $7 IS NULL',
  NULL::int, NULL::text, NULL, NULL::int[], NULL::mood, NULL::count, NULL::bytea) AS t(a bool, b bool, c bool, d bool, e bool, f bool, g bool);

-- VARIADIC with any array: its elements are the parameters
SELECT * FROM enhanced_pool.execute('utc', params(3), VARIADIC ARRAY[1, NULL, 3]) AS t(type text, value text);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT $1::text, $2::int + 1, $3::date', VARIADIC ARRAY[NULL, '1', '2026-01-02']) AS t(a text, b int, c date);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT 1', VARIADIC '{}'::text[]) AS t(a int);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT 1', VARIADIC '{}'::int[]) AS t(a int);
SELECT * FROM enhanced_pool.execute('utc', 'SELECT $1::mood, $2::mood', VARIADIC ARRAY['sad', 'happy']::mood[]) AS t(a text, b text);
SELECT * FROM enhanced_pool.execute('utc', params(4), VARIADIC ARRAY[[1, 2], [3, 4]]) AS t(type text, value text);
-- elements of another type at the same call site
DO $$
DECLARE
  n int;
BEGIN
  FOR i IN 1..3 LOOP
    SELECT x INTO STRICT n FROM enhanced_pool.execute('utc', 'SELECT $1::int + $2::int', VARIADIC ARRAY[i, 10]) AS t(x int);
    ASSERT n = i + 10;
    SELECT x INTO STRICT n FROM enhanced_pool.execute('utc', 'SELECT $1::int + $2::int', VARIADIC ARRAY[i::text, '10']) AS t(x int);
    ASSERT n = i + 10;
  END LOOP;
END
$$;
-- many; one more than a message can carry
SELECT * FROM enhanced_pool.execute('utc', (SELECT 'SELECT ' || string_agg(format('$%s', i), ' + ') FROM generate_series(1, 1000) i),
  VARIADIC (SELECT array_agg(i) FROM generate_series(1, 1000) i)) AS t(sum int);
SELECT error_of($$SELECT enhanced_pool.execute('utc', 'SELECT 1', VARIADIC array_fill(1, ARRAY[65536]))$$);
-- a large value there and back
SELECT length(a), md5(a) = md5(repeat('0123456789', 300000)) AS same FROM enhanced_pool.execute('utc', 'SELECT $1 || $2', repeat('0123456789', 299999)::text, '0123456789') AS t(a text);
SELECT length(b) FROM enhanced_pool.execute('utc', 'SELECT $1', decode(repeat('00ff', 1000000), 'hex')) AS t(b bytea);

-- what is wrong with parameters, the remote says
SELECT left(error_of($$SELECT enhanced_pool.execute('utc', 'SELECT $1::int, $2::int', 1)$$), 5) AS too_few;
SELECT left(error_of($$SELECT enhanced_pool.execute('utc', 'SELECT $1::int')$$), 5) AS none;
SELECT error_of($$SELECT enhanced_pool.execute('utc', 'SELECT $1::int', '1', 'one more')$$);
SELECT error_of($$SELECT enhanced_pool.execute('utc', 'SELECT pg_typeof($1)', 'x')$$);
SELECT error_of($$SELECT enhanced_pool.execute('utc', 'SELECT $1::int', 'x')$$);
SELECT error_of($$SELECT enhanced_pool.execute('utc', 'SELECT $1 || 1', date '2026-01-01')$$);

--
-- Results
--
-- the number of columns must fit, and so must the values
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT 1, 2') AS t(a int)$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT 1') AS t(a int, b int)$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT ''abc''::text') AS t(a int)$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT 1, 70000') AS t(a int, b int2)$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT -1') AS t(a count)$$);
-- a statement that returns none is told before it runs
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'UPDATE items SET name = ''lost'' WHERE id = 1') AS t(a int)$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'DELETE FROM items') AS t(a int, b int)$$);
SELECT * FROM enhanced_pool.execute('loop', 'SELECT count(*), min(name) FROM items') AS t(n bigint, name text);
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', '') AS t(a int)$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', '/* nothing */ -- at all') AS t(a int)$$);
-- in a select list it returns no rows
SELECT enhanced_pool.execute('loop', 'UPDATE items SET name = name WHERE id = 1');
SELECT enhanced_pool.execute('loop', '');
SELECT enhanced_pool.execute('loop', '/* nothing */ -- at all');
SELECT enhanced_pool.execute('loop', ' ; ');

-- column types other than the remote's, by text
SELECT * FROM enhanced_pool.execute('loop', $$SELECT 1, '2', 3.0, '{4}', date '2026-05-05', '{"a": 6}'::jsonb, true$$)
  AS t(a text, b int, c float4, d int[], e text, f json, g text);
SELECT * FROM enhanced_pool.execute('loop', $$SELECT 'happy'::mood, ROW(1, 'x')::pair$$) AS t(a mood, b text);

-- many columns, and none
SELECT c1, c20 FROM enhanced_pool.execute('loop', (SELECT 'SELECT ' || string_agg(i::text, ', ') FROM generate_series(1, 20) i))
  AS t(c1 int, c2 int, c3 int, c4 int, c5 int, c6 int, c7 int, c8 int, c9 int, c10 int, c11 int, c12 int, c13 int, c14 int, c15 int, c16 int, c17 int, c18 int, c19 int, c20 int);
SELECT n, (SELECT count(*) FROM json_object_keys(j)) AS columns, j ->> ('c' || n) AS last
  FROM (VALUES (16), (17), (32), (33), (64), (65), (100), (1600)) AS v(n),
  LATERAL (SELECT row_to_json(enhanced_pool.execute('loop', (SELECT 'SELECT ' || string_agg(format('%s AS c%1$s', i), ', ') FROM generate_series(1, n) i))) AS j) AS l;
-- again, now that they are prepared
SELECT n, (SELECT sum(value::int) FROM json_each_text(j)) AS sum
  FROM (VALUES (16), (17), (32), (33), (64), (65), (100), (1600)) AS v(n),
  LATERAL (SELECT row_to_json(enhanced_pool.execute('loop', (SELECT 'SELECT ' || string_agg(format('%s AS c%1$s', i), ', ') FROM generate_series(1, n) i))) AS j) AS l;
SELECT enhanced_pool.execute('loop', 'SELECT FROM generate_series(1, 2)');
SELECT error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT') AS t(a int)$$);
-- names that are no identifiers stay
SELECT row_to_json(enhanced_pool.execute('loop', 'SELECT 1 AS "a b", 2 AS "C", 3'));

-- rows of a statement that changes something
SELECT count(*) FROM enhanced_pool.run_script('loop', 'DROP TABLE IF EXISTS scratch; CREATE TABLE scratch (id serial PRIMARY KEY, v text)');
SELECT * FROM enhanced_pool.execute('loop', 'INSERT INTO scratch (v) VALUES ($1), ($2) RETURNING id, v', 'a', 'b') AS t(id int, v text);
SELECT * FROM enhanced_pool.execute('loop', 'UPDATE scratch SET v = v || ''!'' RETURNING v') AS t(v text);
SELECT * FROM enhanced_pool.execute('loop', 'WITH gone AS (DELETE FROM scratch RETURNING id) SELECT sum(id) FROM gone') AS t(n bigint);
-- what is not planned: utility statements with and without rows
SELECT enhanced_pool.execute('loop', 'CREATE TABLE scratch2 (a int)');
SELECT * FROM enhanced_pool.execute('loop', 'SHOW server_encoding') AS t(v text);
SELECT count(*) > 0 AS plan FROM enhanced_pool.execute('loop', 'EXPLAIN SELECT 1') AS t(line text);
SELECT * FROM enhanced_pool.execute('loop', 'VALUES (1, ''a''), (2, ''b'')') AS t(i int, s text);
SELECT * FROM enhanced_pool.execute('loop', '(TABLE scratch2) UNION ALL SELECT 5') AS t(i int);
SELECT enhanced_pool.execute('loop', 'DROP TABLE scratch2');
SELECT enhanced_pool.execute('loop', 'VACUUM items');

--
-- What is refused
--
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'SELECT 1; SELECT 2')$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'UPDATE items SET name = ''lost''; SELECT 2', 1)$$);
SELECT * FROM enhanced_pool.execute('loop', 'SELECT 1;;') AS t(a int);
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'SELCT 1')$$);
SELECT statement, left(error_of(format('SELECT enhanced_pool.execute(''loop'', %L)', statement)), 5) FROM unnest(ARRAY[
  'BEGIN', 'begin transaction isolation level serializable', 'START TRANSACTION', 'COMMIT', 'END', 'ROLLBACK', 'ABORT', 'SAVEPOINT a', 'RELEASE a', 'ROLLBACK TO a',
  'PREPARE TRANSACTION ''x''', 'COMMIT PREPARED ''x''', 'ROLLBACK PREPARED ''x''', 'SET TRANSACTION READ ONLY', 'SET LOCAL TRANSACTION READ ONLY',
  'SET SESSION TRANSACTION READ ONLY', ' /* a comment */ -- and
 BEGIN', 'SELECT ''BEGIN''']) AS statement;
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'BEGIN')$$);
SELECT state, active FROM enhanced_pool.pools WHERE pool = 'loop';
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'COPY items TO STDOUT')$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'COPY items (id, name) FROM STDIN WITH (FORMAT csv)')$$);
SELECT error_of($$SELECT enhanced_pool.execute('loop', 'copy (SELECT 1) to stdout')$$);
SELECT left(error_of($$SELECT enhanced_pool.execute('loop', 'COPY items FROM /* x */ stdin')$$), 5);

--
-- Prepared statements.  prepared() tells how many the remote has; it counts as one itself
--
SELECT define_pool('one', $$max_size '1', initial_size '1', min_size '1', statement_cache_size '3'$$);
CREATE FUNCTION prepared(pool text DEFAULT 'one') RETURNS int LANGUAGE sql AS $$
  SELECT n FROM enhanced_pool.execute(pool, 'SELECT count(*)::int FROM pg_prepared_statements') AS t(n int);
$$;
SELECT prepared();
SELECT prepared();
SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(a int);
SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(a int);
SELECT prepared();
-- the same text with parameters of other types is another statement
SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_typeof($1)::text', 1) AS t(a text);
SELECT prepared();
SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_typeof($1)::text', 1::int2) AS t(a text);
-- the one longest unused has gone
SELECT prepared();
SELECT * FROM enhanced_pool.execute('one', 'SELECT statement FROM pg_prepared_statements ORDER BY statement COLLATE "C"') AS t(statement text);
-- by many more than there is room for
SELECT count(*), sum(a) FROM generate_series(1, 50) i, LATERAL enhanced_pool.execute('one', 'SELECT ' || i % 10) AS t(a int);
SELECT prepared(), (SELECT prepared_statements FROM enhanced_pool.connection_metrics WHERE pool = 'one');
-- another session uses what this one prepared
\c -
SET client_min_messages = warning;
SELECT prepared();
SELECT count(*) FROM enhanced_pool.execute('one', 'SELECT 9') AS t(a int);
SELECT prepared();
-- the remote forgets them
SELECT enhanced_pool.exec('one', 'DISCARD ALL');
SELECT prepared();
SELECT enhanced_pool.exec('one', 'DEALLOCATE ALL');
SELECT prepared();
SELECT enhanced_pool.exec('one', 'DEALLOCATE ALL') FROM generate_series(1, 2);
SELECT * FROM enhanced_pool.execute('one', 'SELECT 9') AS t(a int);
-- on a lease too, in the middle of a transaction
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 9') AS t(a int);
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'DEALLOCATE ALL');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 9') AS t(a int);
-- behind our back
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT enhanced_pool.exec(:lease, 'DO $$BEGIN EXECUTE ''DEALLOCATE ALL''; END$$');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 9') AS t(a int);
COMMIT;
-- they survive a rollback of the transaction in which they were prepared
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT ''in a transaction''') AS t(a text);
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT ''in a transaction''') AS t(a text);
COMMIT;

-- the table below a prepared statement changes
SELECT count(*) FROM enhanced_pool.run_script('loop', 'DROP TABLE IF EXISTS changing; CREATE TABLE changing AS SELECT 1 AS a');
SELECT * FROM enhanced_pool.execute('one', 'SELECT * FROM changing') AS t(a int);
SELECT enhanced_pool.exec('loop', 'ALTER TABLE changing ADD b text DEFAULT ''new''');
SELECT * FROM enhanced_pool.execute('one', 'SELECT * FROM changing') AS t(a int, b text);
SELECT enhanced_pool.exec('loop', 'ALTER TABLE changing ALTER a TYPE text');
SELECT * FROM enhanced_pool.execute('one', 'SELECT * FROM changing') AS t(a text, b text);
SELECT enhanced_pool.exec('loop', 'ALTER TABLE changing DROP b');
SELECT enhanced_pool.execute_json('one', 'SELECT * FROM changing');
SELECT enhanced_pool.exec('loop', 'ALTER TABLE changing RENAME a TO z');
SELECT row_to_json(enhanced_pool.execute('one', 'SELECT * FROM changing'));
SELECT enhanced_pool.exec('loop', 'ALTER TABLE changing ADD b int');
SELECT enhanced_pool.exec('one', 'SELECT * FROM changing');
-- in a transaction it cannot be prepared anew: the error is the remote's
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT * FROM changing') AS t(z text, b int);
SELECT enhanced_pool.exec('loop', 'ALTER TABLE changing DROP b');
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT left(error_of(format($$SELECT * FROM enhanced_pool.execute(%s, 'SELECT * FROM changing') AS t(z text)$$, :lease)), 5);
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT * FROM changing') AS t(z text);
COMMIT;

-- none at all are prepared
SELECT define_pool('none', $$max_size '1', initial_size '1', min_size '1', statement_cache_size '0'$$);
SELECT prepared('none'), prepared('none');
SELECT * FROM enhanced_pool.execute('none', 'SELECT $1 + 1, $2::text', 1, 'x') AS t(a int, b text);
SELECT enhanced_pool.execute_json('none', 'SELECT $1 + 1 AS a, $2::text AS b', 1, 'x');
SELECT prepared('none');

DROP FUNCTION params, prepared;
DROP TYPE mood, pair;
DROP DOMAIN words, count, counts;
DROP SERVER utc, one, none CASCADE;
