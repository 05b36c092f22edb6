--
-- autocommit off: what is run through the pool's name belongs to the local transaction.
--
SET client_min_messages = warning;
\pset null '(null)'
SELECT define_pool('tx', $$max_size '2', autocommit 'off'$$);
SELECT define_pool('tx_other', $$max_size '2'$$);
SELECT enhanced_pool.exec('tx', 'CREATE TABLE moved (a int CHECK (a < 100))');
CREATE FUNCTION there() RETURNS SETOF int LANGUAGE sql AS $$
  SELECT * FROM enhanced_pool.execute('tx_other', 'SELECT a FROM moved ORDER BY a') AS t(a int)
$$;

-- outside a transaction block a statement is a transaction of its own
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES ($1)', 1);
SELECT there();

-- COMMIT and ROLLBACK, and all ways to run something
BEGIN;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (2)');
SELECT * FROM enhanced_pool.execute('tx', 'INSERT INTO moved VALUES (3) RETURNING a') AS t(a int);
SELECT enhanced_pool.execute_json('tx', 'INSERT INTO moved VALUES (4) RETURNING a');
SELECT * FROM enhanced_pool.run_script('tx', 'INSERT INTO moved VALUES (5); INSERT INTO moved VALUES (6)');
SELECT * FROM enhanced_pool.describe('tx', 'SELECT a FROM moved');
SELECT count(*) FROM enhanced_pool.execute('tx', 'SELECT a FROM moved') AS t(a int);
SELECT there();
SELECT kind, count(*) FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid() GROUP BY kind;
-- the session that the transaction has is the one that session() gives
SELECT * FROM enhanced_pool.execute(enhanced_pool.session('tx'), 'SELECT max(a) FROM moved') AS t(a int);
ROLLBACK;
SELECT there();
BEGIN;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (2)');
SELECT there();
COMMIT;
SELECT there();

-- savepoints and exceptions
BEGIN;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (3)');
SAVEPOINT s;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (4)');
ROLLBACK TO s;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (5)');
COMMIT;
SELECT there();
DO $$
BEGIN
  PERFORM enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (6)');
  BEGIN
    PERFORM enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (7)');
    PERFORM enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (100)');
  EXCEPTION WHEN check_violation THEN
    PERFORM enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (8)');
  END;
END $$;
SELECT there();
-- an error of the local side takes it all back
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (9)') / 0;
SELECT there();

-- transaction statements, and what may not run in a transaction
SELECT error_of($$SELECT enhanced_pool.exec('tx', 'COMMIT')$$);
SELECT error_of($$SELECT enhanced_pool.run_script('tx', 'SELECT 1; ROLLBACK')$$);
SELECT error_of($$SELECT enhanced_pool.exec('tx', 'VACUUM moved')$$);

-- promises of the local transaction are kept
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT * FROM enhanced_pool.execute('tx', 'SELECT current_setting(''transaction_isolation''), current_setting(''transaction_read_only'')') AS t(a text, b text);
ROLLBACK;

-- groups and copies
BEGIN;
SELECT operation, row_count FROM enhanced_pool.run_in_transaction('tx', ARRAY['INSERT INTO moved VALUES (20)', 'INSERT INTO moved VALUES (21)']);
SAVEPOINT s;
SELECT count(*) FROM enhanced_pool.run_in_transaction('tx', ARRAY['INSERT INTO moved VALUES (22)', 'INSERT INTO moved VALUES (100)']);
ROLLBACK TO s;
SELECT count(*) FROM enhanced_pool.run_in_transaction('tx', ARRAY['SELECT 1'], isolation => 'serializable');
ROLLBACK TO s;
SELECT enhanced_pool.copy_to('tx', 'moved', 'SELECT i FROM generate_series(23, 24) i');
SELECT kind, name FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid();
CREATE TEMP TABLE back (a int);
SELECT enhanced_pool.copy_from('tx', 'SELECT a FROM moved WHERE a >= 20', 'back');
SELECT a FROM back ORDER BY a;
ROLLBACK;
SELECT there();

-- meet(1, 2) and meet(2, 1) wait for each other, so they run at the same time
SELECT enhanced_pool.exec('tx_other', $$CREATE FUNCTION meet(me int, other int) RETURNS void LANGUAGE plpgsql AS '
  BEGIN
    PERFORM pg_advisory_xact_lock(7777, me);
    WHILE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = ''advisory'' AND classid = 7777 AND objid = other) LOOP
      PERFORM pg_sleep(0.01);
    END LOOP;
  END'$$);
-- operations at the same time: each on a session, all committed with the local transaction
BEGIN;
SELECT operation, pool, success, command, rows FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved SELECT 30 FROM meet(1, 2)', 'INSERT INTO moved SELECT 31 FROM meet(2, 1) RETURNING a']);
SELECT there();
SELECT kind, count(*), count(DISTINCT conn_id) FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid() GROUP BY kind;
ROLLBACK;
SELECT there();
BEGIN;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved SELECT 30 FROM meet(1, 2)', 'INSERT INTO moved SELECT 31 FROM meet(2, 1)'], name => 'crew');
SELECT kind, name, count(*) FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid() GROUP BY kind, name;
SELECT there();
COMMIT;
SELECT there();
SELECT count(*) FROM enhanced_pool.leases WHERE pool = 'tx';
-- no name stands for the sessions of groups
BEGIN;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (32)']);
SELECT lease FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid() \gset
SELECT enhanced_pool.session('tx') = :lease AS same;
ROLLBACK;
BEGIN;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (32)'], name => 'crew');
SELECT lease FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid() \gset
SELECT enhanced_pool.session('tx', name => 'crew') = :lease AS same;
ROLLBACK;
-- outside a transaction block, and more operations than the pool can have connections
SELECT count(*), bool_and(success), count(DISTINCT rows->0->>'pid') FROM enhanced_pool.run_parallel('tx',
  (SELECT array_agg(format('INSERT INTO moved SELECT %s %s RETURNING pg_backend_pid() AS pid', i, CASE i WHEN 40 THEN 'FROM meet(1, 2)' WHEN 41 THEN 'FROM meet(2, 1)' END)) FROM generate_series(40, 49) i));
SELECT count(*) FROM there() a WHERE a BETWEEN 40 AND 49;
-- a loop of groups needs no more sessions than one group; what max_parallel says, too
DO $$
BEGIN
  FOR i IN 50 .. 59 LOOP
    PERFORM enhanced_pool.run_parallel('tx', ARRAY[format('INSERT INTO moved VALUES (%s)', i)]);
  END LOOP;
  PERFORM enhanced_pool.run_parallel('tx', ARRAY['SELECT 1', 'SELECT 2', 'SELECT 3'], max_parallel => 1);
  RAISE INFO '% session', (SELECT count(*) FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid());
END $$;
SELECT count(*) FROM there() a WHERE a BETWEEN 50 AND 59;
-- savepoints; the session of the pool's name is another one, and a group goes without its connection
BEGIN;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (60)');
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (61)', 'INSERT INTO moved VALUES (62)']);
SAVEPOINT s;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (63)', 'INSERT INTO moved VALUES (64)']);
SAVEPOINT t;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['DELETE FROM moved WHERE a < 63 OR a = 100', 'INSERT INTO moved VALUES (100)'], on_error => 'capture');
ROLLBACK TO t;
RELEASE s;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (65)']);
SAVEPOINT s;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (66)', 'INSERT INTO moved VALUES (67)']);
ROLLBACK TO s;
SELECT kind, count(*), count(DISTINCT conn_id) FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid() GROUP BY kind;
COMMIT;
SELECT a FROM there() a WHERE a >= 60;
-- a session of a group that began in the savepoint ends with it
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (70)', 'INSERT INTO moved VALUES (71)']);
ROLLBACK TO s;
SELECT count(*) FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid();
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (72)']);
COMMIT;
SELECT a FROM there() a WHERE a >= 70;
-- errors that are captured undo their operation alone, before and after others on the same session
BEGIN;
SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (80)', 'INSERT INTO moved VALUES (81), (100)', 'INSERT INTO moved VALUES (82)',
  'INSERT INTO moved VALUES (83) RETURNING 1 AS a, 2 AS a', 'INSERT INTO moved VALUES (84)', 'nonsense'], max_parallel => 1, on_error => 'capture');
COMMIT;
SELECT a FROM there() a WHERE a >= 80;
SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (100)'], on_error => 'capture');
-- one that is raised is an error of the subtransaction
BEGIN;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (90)']);
SELECT error_of($$SELECT enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (91)', 'INSERT INTO moved VALUES (100)', 'INSERT INTO moved VALUES (92)'])$$);
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (93)']);
COMMIT;
SELECT a FROM there() a WHERE a >= 90;
-- time-outs: what was cancelled is undone, and the session goes on
BEGIN;
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (94)']);
SET LOCAL enhanced_pool.query_timeout = '2s';
SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (95)', 'INSERT INTO moved SELECT 96 FROM pg_sleep(600)', 'INSERT INTO moved VALUES (97)'], max_parallel => 1, on_error => 'capture');
SET LOCAL enhanced_pool.query_timeout = 0;
SELECT operation, success, sqlstate, elapsed IS NULL AS never FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (98)', 'INSERT INTO moved SELECT 99 FROM pg_sleep(600)', 'INSERT INTO moved VALUES (-99)'], max_parallel => 1, timeout => '2s', on_error => 'capture');
SELECT count(*) FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (-98)']);
COMMIT;
SELECT a FROM there() a WHERE a >= 94 OR a < 0;
BEGIN;
SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('tx', array_fill('INSERT INTO moved SELECT -97 FROM pg_sleep(600)'::text, ARRAY[2]), timeout => '100ms', on_error => 'capture');
COMMIT;
-- what was run on such a session by its number is not lost with a group that has done nothing on it
BEGIN;
SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved VALUES (100)'], on_error => 'capture');
SELECT lease FROM enhanced_pool.leases WHERE pool = 'tx' AND pid = pg_backend_pid() \gset
SELECT enhanced_pool.exec(:lease, 'INSERT INTO moved VALUES (-94)');
SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('tx', ARRAY['INSERT INTO moved SELECT -93 FROM pg_sleep(600)'], timeout => '100ms', on_error => 'capture');
COMMIT;
SELECT a FROM there() a WHERE a IN (-94, -93);
SELECT enhanced_pool.exec('tx_other', 'DELETE FROM moved WHERE a = -94');
-- transaction statements, and promises
SELECT error_of($$SELECT enhanced_pool.run_parallel('tx', ARRAY['COMMIT'])$$);
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT rows FROM enhanced_pool.run_parallel('tx', ARRAY['SELECT current_setting(''transaction_isolation'') AS a, current_setting(''transaction_read_only'') AS b']);
ROLLBACK;
-- pools of both kinds in one group
BEGIN;
SELECT operation, pool, success FROM enhanced_pool.broadcast(ARRAY['tx_other', 'tx'], 'INSERT INTO moved VALUES (-96)');
ROLLBACK;
SELECT count(*) FROM there() a WHERE a = -96;
SELECT * FROM enhanced_pool.broadcast_as(NULL::int, ARRAY['tx', 'tx_other', 'tx'], 'INSERT INTO moved VALUES (-95) RETURNING a') a;
SELECT count(*) FROM there() a WHERE a = -95;
SELECT enhanced_pool.exec('tx', 'DELETE FROM moved WHERE a < 0 OR a >= 20');

-- acquire is what it was
BEGIN;
SELECT enhanced_pool.acquire('tx') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'INSERT INTO moved VALUES (10)');
ROLLBACK;
SELECT there();
-- a session with other options is another one
BEGIN;
SELECT enhanced_pool.session('tx', read_only => true) IS NOT NULL AS open;
SAVEPOINT s;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (11)');
ROLLBACK TO s;
SELECT enhanced_pool.exec(enhanced_pool.session('tx', name => 'writer'), 'INSERT INTO moved VALUES (11)');
COMMIT;
SELECT there();

-- mapping over server; ALTER acts with the next statement
ALTER USER MAPPING FOR CURRENT_USER SERVER tx OPTIONS (ADD autocommit 'on');
BEGIN;
SELECT enhanced_pool.exec('tx', 'INSERT INTO moved VALUES (12)');
ROLLBACK;
SELECT max(there) FROM there();
SELECT value, source FROM enhanced_pool.config WHERE pool = 'tx' AND name = 'autocommit';

SELECT enhanced_pool.exec('tx', 'DROP TABLE moved');
SELECT enhanced_pool.exec('tx', 'DROP FUNCTION meet');
DROP FUNCTION there;
DROP SERVER tx, tx_other CASCADE;
