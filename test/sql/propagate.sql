--
-- propagate_settings: local settings that the remote gets before each statement.
--
SET client_min_messages = warning;
\pset null '(null)'
SELECT define_pool('follow', $$max_size '1', propagate_settings 'app.tenant, "app.other", TimeZone, statement_timeout'$$);
SELECT define_pool('no_reset', $$max_size '1', reset 'never', propagate_settings 'app.tenant'$$);
CREATE FUNCTION seen(pool text) RETURNS text LANGUAGE sql AS $$
  SELECT * FROM enhanced_pool.execute(pool, 'SELECT concat_ws('' '', ''['' || current_setting(''app.tenant'', true) || '']'', ''['' || current_setting(''app.other'', true) || '']'', CASE current_setting(''TimeZone'') WHEN ''Asia/Tokyo'' THEN ''Tokyo'' ELSE ''default'' END, current_setting(''statement_timeout''))') AS t(a text)
$$;
CREATE FUNCTION seen(lease bigint) RETURNS text LANGUAGE sql AS $$
  SELECT * FROM enhanced_pool.execute(lease, 'SELECT concat_ws('' '', ''['' || current_setting(''app.tenant'', true) || '']'', ''['' || current_setting(''app.other'', true) || '']'', CASE current_setting(''TimeZone'') WHEN ''Asia/Tokyo'' THEN ''Tokyo'' ELSE ''default'' END, current_setting(''statement_timeout''))') AS t(a text)
$$;
-- Bytes that a statement on a lease takes tell whether settings went with it
CREATE FUNCTION sent(lease bigint, sql text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  before bigint;
BEGIN
  SELECT sum(bytes_sent) INTO before FROM enhanced_pool.pool_metrics WHERE pool = 'follow';
  PERFORM enhanced_pool.exec(lease, sql);
  RETURN (SELECT sum(bytes_sent) FROM enhanced_pool.pool_metrics WHERE pool = 'follow') - before;
END $$;

-- through the pool's name: the values of the moment, and nothing stays
SET timezone = 'Asia/Tokyo';
SET app.tenant = 'red';
SET app.other = $$a'b\c "d"$$;
SET statement_timeout = '7s';
SELECT seen('follow');
SET app.tenant = 'blue';
SELECT seen('follow');
RESET app.tenant;
RESET app.other;
SELECT seen('follow');
SET app.tenant = '';
SELECT seen('follow');
BEGIN;
SET LOCAL app.tenant = 'green';
SELECT seen('follow');
SAVEPOINT s;
SET LOCAL app.tenant = 'grey';
SELECT seen('follow');
ROLLBACK TO s;
SELECT seen('follow');
COMMIT;
SELECT seen('follow');

-- every way to run a statement
SET app.tenant = 'red';
SELECT * FROM enhanced_pool.execute('follow', 'SHOW app.tenant') AS t(a text);
SELECT enhanced_pool.exec('follow', 'CREATE TABLE IF NOT EXISTS followed (a text DEFAULT current_setting(''app.tenant'', true))');
SELECT enhanced_pool.exec('follow', 'INSERT INTO followed DEFAULT VALUES');
SELECT enhanced_pool.exec('follow', 'VACUUM followed');
SELECT enhanced_pool.exec('follow', 'CREATE INDEX CONCURRENTLY followed_a ON followed (a)');
SELECT * FROM enhanced_pool.run_script('follow', 'INSERT INTO followed DEFAULT VALUES; INSERT INTO followed DEFAULT VALUES');
SELECT enhanced_pool.exec('follow', $$CREATE PROCEDURE twice() LANGUAGE plpgsql AS
  'BEGIN INSERT INTO followed DEFAULT VALUES; COMMIT; INSERT INTO followed DEFAULT VALUES; END'$$);
SET app.tenant = 'blue';
SELECT enhanced_pool.exec('follow', 'CALL twice()');
SELECT enhanced_pool.exec('follow', $$DO 'BEGIN INSERT INTO followed DEFAULT VALUES; COMMIT; INSERT INTO followed DEFAULT VALUES; END'$$);
RESET app.tenant;
SELECT enhanced_pool.exec('follow', 'INSERT INTO followed DEFAULT VALUES');
SELECT a, n FROM enhanced_pool.execute('follow', 'SELECT a, count(*) FROM followed GROUP BY a ORDER BY a') AS t(a text, n bigint);
-- what a statement left for its session is reset before the next
SELECT seen('follow');

-- what the parser needs: search_path, also for a statement that was prepared with another
SELECT define_pool('paths', $$max_size '1', propagate_settings 'search_path'$$);
SELECT enhanced_pool.exec('paths', 'CREATE SCHEMA one');
SELECT enhanced_pool.exec('paths', 'CREATE SCHEMA two');
SELECT enhanced_pool.exec('paths', 'CREATE TABLE one.t AS SELECT 1 AS a');
SELECT enhanced_pool.exec('paths', 'CREATE TABLE two.t AS SELECT ''two''::text AS a');
SET search_path = "$user", public, one;
SELECT * FROM enhanced_pool.execute('paths', 'SELECT a FROM t') AS t(a text);
SELECT * FROM enhanced_pool.describe('paths', 'SELECT a FROM t');
SET search_path = public, two;
SELECT * FROM enhanced_pool.execute('paths', 'SELECT a FROM t') AS t(a text);
SELECT enhanced_pool.execute_json('paths', 'SELECT a FROM t');
SELECT * FROM enhanced_pool.describe('paths', 'SELECT a FROM t');
SET search_path = public;
SELECT error_of($$SELECT enhanced_pool.exec('paths', 'SELECT a FROM t')$$);
RESET search_path;

-- A statement that must be prepared anew, because the remote has lost it, or its type has changed
SET app.tenant = 'red';
BEGIN;
SELECT enhanced_pool.acquire('follow', hold => true) AS lease \gset
COMMIT;
SELECT seen(:lease);
SELECT enhanced_pool.exec(:lease, $$DO 'BEGIN EXECUTE ''DEALLOCATE ALL''; END'$$);
SET app.tenant = 'blue';
SELECT seen(:lease);
SELECT enhanced_pool.release(:lease);
SELECT enhanced_pool.exec('follow', 'CREATE TABLE follow_type (a text)');
SELECT enhanced_pool.exec('follow', 'INSERT INTO follow_type VALUES (''x'')');
SELECT * FROM enhanced_pool.execute('follow', 'SELECT c.*, current_setting(''app.tenant'') FROM follow_type c') AS t(a text, b text);
SELECT enhanced_pool.exec('follow', 'ALTER TABLE follow_type ALTER a TYPE name');
SET app.tenant = 'green';
SELECT * FROM enhanced_pool.execute('follow', 'SELECT c.*, current_setting(''app.tenant'') FROM follow_type c') AS t(a text, b text);

-- on a lease: once, and again when something differs or may differ
SET app.tenant = 'red';
BEGIN;
SELECT enhanced_pool.acquire('follow') AS lease \gset
SELECT sent(:lease, 'SELECT 1') > 100 AS first, sent(:lease, 'SELECT 1') < 100 AS again, sent(:lease, 'SELECT 1') < 100 AS and_again;
SELECT seen(:lease);
SET LOCAL app.tenant = 'blue';
SELECT seen(:lease);
SAVEPOINT s;
SET LOCAL app.tenant = 'grey';
SELECT seen(:lease);
ROLLBACK TO s;
SELECT seen(:lease);
-- what the user of the lease sets is overwritten
SELECT enhanced_pool.exec(:lease, 'SET app.tenant = ''own''');
SELECT seen(:lease);
SELECT enhanced_pool.exec(:lease, 'SELECT set_config(''app.tenant'', ''own'', false)');
SELECT seen(:lease);
SELECT enhanced_pool.exec(:lease, 'DISCARD ALL');
SELECT seen(:lease);
-- a failure takes back what went with it
SET LOCAL app.tenant = 'green';
SAVEPOINT s;
SELECT enhanced_pool.exec(:lease, 'SELECT 1/0');
ROLLBACK TO s;
SELECT seen(:lease);
COMMIT;

-- in the lease's own transaction
BEGIN;
SELECT enhanced_pool.acquire('follow') AS lease \gset
SELECT seen(:lease);
SELECT enhanced_pool.exec(:lease, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
SELECT enhanced_pool.exec(:lease, 'SET TRANSACTION READ ONLY');
SET LOCAL app.tenant = 'one';
SELECT seen(:lease);
SELECT enhanced_pool.exec(:lease, 'SAVEPOINT a');
SET LOCAL app.tenant = 'two';
SELECT seen(:lease);
SET LOCAL app.tenant = 'one';
SELECT enhanced_pool.exec(:lease, 'ROLLBACK TO a');
SELECT seen(:lease);
SET LOCAL app.tenant = 'two';
SAVEPOINT s;
SELECT enhanced_pool.exec(:lease, 'SELECT 1/0');
ROLLBACK TO s;
SAVEPOINT s;
SELECT seen(:lease);
ROLLBACK TO s;
SELECT enhanced_pool.exec(:lease, 'ROLLBACK TO a');
SELECT seen(:lease);
SELECT * FROM enhanced_pool.run_script(:lease, 'SELECT 1; SELECT 2');
SAVEPOINT s;
SELECT * FROM enhanced_pool.run_script(:lease, 'COMMIT; SELECT 2');
ROLLBACK TO s;
SELECT * FROM enhanced_pool.run_script(:lease, 'COMMIT');
SELECT seen(:lease);
SELECT * FROM enhanced_pool.run_script(:lease, 'BEGIN; SELECT 1; ROLLBACK; BEGIN');
SET LOCAL app.tenant = 'three';
SELECT seen(:lease);
SELECT enhanced_pool.exec(:lease, 'COMMIT AND CHAIN');
SELECT seen(:lease);
SELECT enhanced_pool.exec(:lease, 'DECLARE c CURSOR FOR SELECT current_setting(''app.tenant'') FROM generate_series(1, 2)');
SELECT * FROM enhanced_pool.execute(:lease, 'FETCH c') AS t(a text);
SET LOCAL app.tenant = 'four';
SELECT * FROM enhanced_pool.execute(:lease, 'FETCH c') AS t(a text);
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT seen(:lease);
COMMIT;
SELECT seen('follow');

-- in a session: for its transaction, and right after savepoints that are rolled back
BEGIN;
SELECT enhanced_pool.session('follow') AS lease \gset
SELECT seen(:lease);
SET LOCAL app.tenant = 'one';
SELECT seen(:lease);
SAVEPOINT s;
SELECT seen(:lease);
SET LOCAL app.tenant = 'two';
SELECT seen(:lease);
ROLLBACK TO s;
SET LOCAL app.tenant = 'two';
SELECT seen(:lease);
SET LOCAL app.tenant = 'three';
DO $$
DECLARE
  lease bigint := enhanced_pool.session('follow');
BEGIN
  BEGIN
    PERFORM set_config('app.tenant', 'four', true);
    RAISE NOTICE 'inside %', seen(lease);
    PERFORM enhanced_pool.exec(lease, 'SELECT 1/0');
  EXCEPTION WHEN division_by_zero THEN
    RAISE WARNING 'after the error %', seen(lease);
    PERFORM set_config('app.tenant', 'five', true);
  END;
  RAISE WARNING 'after the block %', seen(lease);
END $$;
SELECT seen(:lease);
SELECT * FROM enhanced_pool.run_script(:lease, 'SELECT 1; SELECT 2');
SELECT * FROM enhanced_pool.execute(:lease, 'SHOW app.tenant') AS t(a text);
COMMIT;
SELECT seen('follow');
BEGIN;
SELECT enhanced_pool.session('follow', name => 'job') AS lease \gset
SELECT * FROM enhanced_pool.run_script(:lease, 'DO ''BEGIN PERFORM set_config($x$app.tenant$x$, $x$own$x$, false); END''');
SELECT seen(:lease);
COMMIT;
SELECT seen('follow');

-- a name with settings of its own
BEGIN;
SELECT enhanced_pool.acquire('follow', name => 'job') AS lease \gset
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT current_setting(''application_name''), current_setting(''app.tenant'')') AS t(a text, b text);
COMMIT;

-- operation groups, copies, and statements that are not waited for
SET app.tenant = 'red';
SELECT operation, rows FROM enhanced_pool.run_parallel('follow', ARRAY['SELECT current_setting(''app.tenant'') AS a', 'SHOW app.tenant', 'EXPLAIN (COSTS OFF) SELECT 1']);
SELECT rows FROM enhanced_pool.broadcast(ARRAY['follow', 'no_reset'], 'SELECT current_setting(''app.tenant'') AS a');
SET app.tenant = 'blue';
SELECT operation, rows FROM enhanced_pool.run_in_transaction('follow', ARRAY['INSERT INTO followed DEFAULT VALUES RETURNING a', 'SELECT current_setting(''app.tenant'') AS a'], isolation => 'serializable');
SELECT operation, row_count FROM enhanced_pool.run_in_transaction('follow', ARRAY['UPDATE followed SET a = a', 'DELETE FROM followed WHERE a <> current_setting(''app.tenant'')']);
SELECT count(*) AS others FROM enhanced_pool.execute('follow', 'SELECT 1 FROM followed WHERE a <> ''blue''') AS t(a int);
BEGIN;
SELECT enhanced_pool.session('follow') AS lease \gset
SELECT operation, rows FROM enhanced_pool.run_in_transaction(:lease, ARRAY['SELECT current_setting(''app.tenant'') AS a']);
SET LOCAL app.tenant = 'green';
SELECT operation, rows FROM enhanced_pool.run_in_transaction(:lease, ARRAY['SELECT current_setting(''app.tenant'') AS a']);
SELECT seen(:lease);
SELECT enhanced_pool.send(:lease, 'SELECT current_setting(''app.tenant'')');
SELECT * FROM enhanced_pool.get_result(:lease) AS t(a text);
COMMIT;
BEGIN;
SELECT enhanced_pool.acquire('follow') AS lease \gset
SELECT enhanced_pool.send(:lease, 'SHOW app.tenant');
SELECT * FROM enhanced_pool.get_result(:lease) AS t(a text);
SET LOCAL app.tenant = 'green';
SELECT enhanced_pool.send(:lease, 'EXPLAIN (COSTS OFF) SELECT 1');
SELECT * FROM enhanced_pool.get_result(:lease) AS t(a text);
SELECT seen(:lease);
-- one that gets them in a round trip of its own before is under way all the same
SET LOCAL app.tenant = 'olive';
SELECT enhanced_pool.send(:lease, 'CREATE TABLE follow_sent AS SELECT current_setting(''app.tenant'') AS a');
SELECT enhanced_pool.wait_any(ARRAY[:lease]) = :lease AS ended;
SELECT * FROM enhanced_pool.execute('loop', 'SELECT a FROM follow_sent') AS t(a text);
SELECT enhanced_pool.get_count(:lease);
SELECT enhanced_pool.exec(:lease, 'DROP TABLE follow_sent');
COMMIT;
SELECT enhanced_pool.exec('follow', 'CREATE TABLE follow_copy (n int, a text DEFAULT current_setting(''app.tenant''))');
SELECT enhanced_pool.copy_to('follow', 'follow_copy', 'SELECT 1', '{n}');
SET app.tenant = 'red';
SELECT enhanced_pool.copy_to('follow', 'follow_copy', 'SELECT 2', '{n}');
CREATE TEMP TABLE copied (a text);
SELECT enhanced_pool.copy_from('follow', 'SELECT a || '' as '' || current_setting(''app.tenant'') FROM follow_copy ORDER BY n', 'copied');
SELECT * FROM copied;
SELECT seen('follow');

-- nothing is reset, and still nobody has another's
SET app.tenant = 'red';
BEGIN;
SELECT seen(enhanced_pool.acquire('no_reset'));
COMMIT;
RESET app.tenant;
SELECT seen('no_reset');
SELECT enhanced_pool.exec('no_reset', 'VACUUM followed');
SELECT * FROM enhanced_pool.execute('no_reset', 'SHOW app.tenant') AS t(a text);
BEGIN;
SELECT seen(enhanced_pool.acquire('no_reset'));
COMMIT;

-- a remote statement_timeout acts at once
SET statement_timeout = 0;
BEGIN;
SELECT set_config('statement_timeout', '60s', true);
SELECT seen('follow');
COMMIT;
SELECT define_pool('impatient', $$propagate_settings 'statement_timeout'$$);
CREATE FUNCTION be_impatient(pool text) RETURNS void LANGUAGE plpgsql SET statement_timeout = '20ms' AS $$
BEGIN
  PERFORM enhanced_pool.exec(pool, 'SELECT pg_sleep(60)');
END $$;
SELECT error_of($$SELECT be_impatient('impatient')$$);
SELECT enhanced_pool.exec('impatient', 'SELECT pg_sleep(0.03)');

-- a value that the remote refuses fails the statement, whichever way it goes
SELECT define_pool('odd', $$max_size '1', propagate_settings 'server_version'$$);
SELECT error_of($$SELECT enhanced_pool.exec('odd', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.exec('odd', 'VACUUM items')$$);
SELECT error_of($$SELECT enhanced_pool.run_script('odd', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.describe('odd', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json('odd', 'SELECT 1')$$);
BEGIN;
SELECT enhanced_pool.acquire('odd') AS lease \gset
SELECT error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1'')', :lease));
SELECT error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1'')', :lease));
SELECT enhanced_pool.send(:lease, 'VACUUM items');
SELECT enhanced_pool.is_busy(:lease);
SELECT error_of(format('SELECT enhanced_pool.get_count(%s)', :lease));
COMMIT;

-- too long, and not to be seen
SELECT set_config('app.tenant', repeat('x', 2000), false) IS NOT NULL;
SELECT error_of($$SELECT enhanced_pool.exec('follow', 'SELECT 1')$$);
SELECT set_config('app.tenant', repeat('x', 900), false) IS NOT NULL;
SELECT length(seen('follow'));
SET app.tenant = 'red';
SELECT define_pool('secret', $$max_size '1', propagate_settings 'data_directory'$$);
SELECT error_of($$SELECT enhanced_pool.exec('secret', 'SELECT 1')$$);

-- ALTER SERVER acts at once, on connections that are open as well
SELECT seen('follow');
ALTER SERVER follow OPTIONS (SET propagate_settings 'app.other');
SELECT seen('follow');
SET app.other = 'x';
SELECT seen('follow');
-- a statement that was sent before, and must be prepared anew when its result is taken
SELECT enhanced_pool.acquire('follow', hold => true) AS lease \gset
SELECT enhanced_pool.exec(:lease, 'CREATE TEMP TABLE changing AS SELECT 1 AS a');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT * FROM changing') AS t(a int);
SELECT enhanced_pool.exec(:lease, 'ALTER TABLE changing ALTER a TYPE bigint');
SELECT enhanced_pool.send(:lease, 'SELECT * FROM changing');
ALTER SERVER follow OPTIONS (SET max_size '2', DROP propagate_settings);
SELECT seen('follow');
SELECT * FROM enhanced_pool.get_result(:lease) AS t(a int);
SELECT enhanced_pool.release(:lease);
-- from the user mapping
ALTER USER MAPPING FOR CURRENT_USER SERVER follow OPTIONS (ADD propagate_settings 'app.tenant');
SELECT seen('follow');
SELECT value, source FROM enhanced_pool.config WHERE pool = 'follow' AND name = 'propagate_settings';

SELECT enhanced_pool.exec('loop', 'DROP TABLE followed, follow_type, follow_copy, one.t, two.t');
SELECT enhanced_pool.exec('loop', 'DROP PROCEDURE twice');
SELECT enhanced_pool.exec('loop', 'DROP SCHEMA one, two');
DROP SERVER follow, no_reset, paths, impatient, odd, secret CASCADE;
DROP FUNCTION seen(text), seen(bigint), sent, be_impatient;
