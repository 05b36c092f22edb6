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
SELECT error_of($$SELECT enhanced_pool.run_parallel('tx', ARRAY['SELECT 1'])$$);
SELECT error_of($$SELECT enhanced_pool.broadcast(ARRAY['tx_other', 'tx'], 'SELECT 1')$$);

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
DROP FUNCTION there;
DROP SERVER tx, tx_other CASCADE;
