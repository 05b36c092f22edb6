--
-- exec, run_script and describe.
--
SET client_min_messages = warning;
\pset null '(null)'

SELECT count(*) FROM enhanced_pool.run_script('loop', 'DROP TABLE IF EXISTS counted; CREATE TABLE counted (id int PRIMARY KEY, v text)');

-- exec returns how many rows were affected, or came and were dropped
SELECT enhanced_pool.exec('loop', 'INSERT INTO counted SELECT g, ''x'' FROM generate_series(1, 10) g');
SELECT enhanced_pool.exec('loop', 'INSERT INTO counted VALUES ($1, $2)', 11, 'y');
SELECT enhanced_pool.exec('loop', 'INSERT INTO counted VALUES ($1, $2)', VARIADIC ARRAY['12', NULL]);
SELECT enhanced_pool.exec('loop', 'UPDATE counted SET v = ''z'' WHERE id > $1', 5);
SELECT enhanced_pool.exec('loop', 'UPDATE counted SET v = ''z'' WHERE id > 100');
SELECT enhanced_pool.exec('loop', 'DELETE FROM counted WHERE id > 10 RETURNING *');
SELECT enhanced_pool.exec('loop', 'MERGE INTO counted USING (VALUES (10), (11)) AS s(id) ON counted.id = s.id
  WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)');
SELECT enhanced_pool.exec('loop', 'SELECT * FROM counted');
SELECT enhanced_pool.exec('loop', 'CREATE TABLE counted_too AS SELECT * FROM counted LIMIT 3');
SELECT enhanced_pool.exec('loop', 'DROP TABLE counted_too');
SELECT enhanced_pool.exec('loop', 'ANALYZE counted');
SELECT enhanced_pool.exec('loop', '');
SELECT enhanced_pool.exec('loop', '-- nothing');
SELECT pg_typeof(enhanced_pool.exec('loop', 'SELECT'));
SELECT enhanced_pool.exec('loop', 'SELECT FROM generate_series(1, 100000)');
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'UPDATE counted SET v = ''a'' WHERE id = 1');
SELECT enhanced_pool.exec(:lease, 'UPDATE counted SET v = $2 WHERE id <= $1', 2, 'a');
SELECT enhanced_pool.exec(:lease, 'UPDATE counted SET v = $2 WHERE id <= $1::int', VARIADIC ARRAY['3', 'a']);
COMMIT;
-- it commits at once: nothing comes back by a local rollback
BEGIN;
SELECT enhanced_pool.exec('loop', 'DELETE FROM counted WHERE id = 1');
ROLLBACK;
SELECT enhanced_pool.exec('loop', 'SELECT FROM counted WHERE id = 1');
SELECT error_of($$SELECT enhanced_pool.exec(NULL::text, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.exec(NULL::bigint, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.exec('loop', NULL)$$);
SELECT error_of($$SELECT enhanced_pool.exec('loop', NULL, 1)$$);
SELECT error_of($$SELECT enhanced_pool.exec('loop', 'SELECT 1; SELECT 2')$$);
SELECT error_of($$SELECT enhanced_pool.exec('loop', 'BEGIN')$$);
SELECT error_of($$SELECT enhanced_pool.exec('loop', 'COPY counted FROM STDIN')$$);
-- COPY to a file moves nothing over the connection
SELECT enhanced_pool.exec('loop', 'COPY counted TO ''/dev/null''') > 0;

--
-- run_script
--
SELECT * FROM enhanced_pool.run_script('loop', $$
  CREATE TABLE scripted (id int, v text);
  INSERT INTO scripted SELECT g, 'a;b' FROM generate_series(1, 5) g; -- a comment; with a semicolon
  UPDATE scripted SET v = 'c' WHERE id < 3;
  SELECT * FROM scripted;
  CREATE FUNCTION scripted_f() RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT 2;';
  DO 'BEGIN PERFORM 1; END';
  SET LOCAL work_mem = '1MB';
  DELETE FROM scripted;
  DROP FUNCTION scripted_f();
  DROP TABLE scripted;
$$);
SELECT pg_typeof(statement), pg_typeof(command), pg_typeof(row_count) FROM enhanced_pool.run_script('loop', 'SELECT 1');
SELECT * FROM enhanced_pool.run_script('loop', 'SELECT 1');
SELECT * FROM enhanced_pool.run_script('loop', '');
SELECT * FROM enhanced_pool.run_script('loop', ';; SELECT FROM generate_series(1, 3);;');
SELECT enhanced_pool.run_script('loop', 'SELECT 1; SELECT 2');
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT * FROM enhanced_pool.run_script(:lease, 'CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2)');
SELECT * FROM enhanced_pool.run_script(:lease, 'SELECT * FROM t; DROP TABLE t');
COMMIT;
-- an error in the middle: it is raised, and what came before is undone
SELECT error_of($$SELECT enhanced_pool.run_script('loop', 'INSERT INTO counted VALUES (100); SELECT 1 / 0; INSERT INTO counted VALUES (101)')$$);
SELECT enhanced_pool.exec('loop', 'SELECT FROM counted WHERE id >= 100');
SELECT error_of($$SELECT enhanced_pool.run_script('loop', 'INSERT INTO counted VALUES (100); SELCT')$$);
-- a statement of one that fails is not reported either
SELECT * FROM enhanced_pool.run_script('loop', 'SELECT 1; SELECT 1 / 0');
SELECT error_of($$SELECT enhanced_pool.run_script(NULL::text, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.run_script(NULL::bigint, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.run_script('loop', NULL)$$);
-- each statement's first words count
SELECT script, left(error_of(format('SELECT enhanced_pool.run_script(''loop'', %L)', script)), 5) FROM unnest(ARRAY[
  'BEGIN', 'SELECT 1; COMMIT', 'SELECT 1; SELECT 2; /* x */ rollback', 'SELECT 1; SAVEPOINT a', 'SELECT 1; SET TRANSACTION READ ONLY', 'SELECT 1; PREPARE TRANSACTION ''x''',
  'SELECT 1; START TRANSACTION; SELECT 2', 'SELECT ''; COMMIT''', 'SELECT $$; COMMIT; $$; SELECT 1 /* ; COMMIT */', 'PREPARE x AS SELECT 1; EXECUTE x; DEALLOCATE x']) AS script;
SELECT error_of($$SELECT enhanced_pool.run_script('loop', 'SELECT 1; BEGIN')$$);
SELECT error_of($$SELECT enhanced_pool.run_script('loop', 'SELECT 1; COPY counted TO STDOUT')$$);
SELECT error_of($$SELECT enhanced_pool.run_script('loop', 'COPY counted FROM STDIN; SELECT 1')$$);
SELECT * FROM enhanced_pool.run_script('loop', 'SELECT 1; COPY counted TO ''/dev/null''') WHERE statement = 1;
-- on a lease they are allowed
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT * FROM enhanced_pool.run_script(:lease, 'BEGIN; INSERT INTO counted VALUES (102); SAVEPOINT a; INSERT INTO counted VALUES (103); ROLLBACK TO a; COMMIT');
SELECT * FROM enhanced_pool.run_script(:lease, 'BEGIN; INSERT INTO counted VALUES (104)');
COMMIT;
-- what was left open is rolled back
SELECT * FROM enhanced_pool.execute('loop', 'SELECT id FROM counted WHERE id >= 100') AS t(id int);
-- as an autocommit statement must be: alone
SELECT * FROM enhanced_pool.run_script('loop', 'VACUUM counted');
SELECT left(error_of($$SELECT enhanced_pool.run_script('loop', 'SELECT 1; VACUUM counted')$$), 5);

--
-- describe
--
SELECT * FROM enhanced_pool.describe('loop', 'SELECT id, name, price, added FROM items');
SELECT * FROM enhanced_pool.describe('loop', $$SELECT 1::int2, 'x'::varchar(7) AS v, 'x'::char(3) AS c, 1.5::numeric(10,2) AS n, B'1'::bit(4) AS b, B'1'::varbit(6) AS vb,
  now()::timestamptz(3) AS t, now()::timestamp(0)::time(2) AS tm, '1 day'::interval day AS i, '1.5 s'::interval second(2) AS i2, ARRAY['x'::varchar(5)] AS a, ARRAY[1] AS ints,
  NULL AS "No Type", 'x'::"char" AS ch, 'x'::name AS nm, '{}'::json AS j, int4range(1, 2) AS r, 'items'::regclass AS rc$$);
SELECT position, name, regexp_replace(type, '\d+', 'N') AS type FROM enhanced_pool.describe('loop', 'SELECT i FROM items i');
-- nothing of it runs, parameters need no values
SELECT * FROM enhanced_pool.describe('loop', 'INSERT INTO counted VALUES (999, $1) RETURNING *');
SELECT * FROM enhanced_pool.describe('loop', 'SELECT $1::int + $2 AS sum, $3::text');
SELECT enhanced_pool.exec('loop', 'SELECT FROM counted WHERE id = 999');
SELECT * FROM enhanced_pool.describe('loop', 'DELETE FROM counted');
SELECT * FROM enhanced_pool.describe('loop', '');
SELECT * FROM enhanced_pool.describe('loop', 'SELECT');
SELECT * FROM enhanced_pool.describe('loop', 'SHOW TimeZone');
SELECT name FROM enhanced_pool.describe('loop', 'SELECT 1 AS a, 2 AS a');
SELECT count(*) FROM enhanced_pool.describe('loop', (SELECT 'SELECT ' || string_agg(i::text, ', ') FROM generate_series(1, 1000) i));
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'CREATE TEMP TABLE mine (a int, b date)');
SELECT * FROM enhanced_pool.describe(:lease, 'TABLE mine');
COMMIT;
SELECT error_of($$SELECT enhanced_pool.describe(NULL::text, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.describe(NULL::bigint, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.describe('loop', NULL)$$);
SELECT error_of($$SELECT enhanced_pool.describe('loop', 'SELECT nothing')$$);
SELECT error_of($$SELECT enhanced_pool.describe('loop', 'SELECT 1; SELECT 2')$$);
SELECT error_of($$SELECT enhanced_pool.describe('loop', 'SELECT $1')$$);
SELECT error_of($$SELECT enhanced_pool.describe('loop', 'SELECT pg_typeof($1)')$$);
SELECT enhanced_pool.exec('loop', 'DROP TABLE counted');
