--
-- Operation groups: run_parallel, run_in_transaction, broadcast, op and op_on.
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
SELECT define_pool('group_a', $$max_size '3', initial_size '1'$$);
SELECT define_pool('group_b', $$max_size '2', initial_size '1'$$);
CREATE FUNCTION shown(r enhanced_pool.operation_result) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.operation, r.pool, r.success, r.command, r.row_count, r.rows, r.sqlstate, r.error, r.elapsed >= 0)
$$;
SELECT enhanced_pool.exec('group_a', 'CREATE TABLE IF NOT EXISTS account (id int PRIMARY KEY, balance int CHECK (balance >= 0), owner text)');
SELECT enhanced_pool.exec('group_a', 'TRUNCATE account');

--
-- op, op_on
--
SELECT enhanced_pool.op('SELECT 1');
SELECT enhanced_pool.op('SELECT $1', 1, NULL::int, 'x'::text, true, 1.5, date '2026-01-02', ARRAY[1, 2], '\xff'::bytea, 'items'::name, 'unknown');
SELECT enhanced_pool.op('SELECT $1', VARIADIC ARRAY['a', NULL, 'c']);
SELECT enhanced_pool.op('SELECT $1', VARIADIC ARRAY[1, 2]);
SELECT enhanced_pool.op('SELECT $1', VARIADIC '{}'::text[]);
SELECT enhanced_pool.op_on('group_b', 'SELECT 1');
SELECT enhanced_pool.op_on('group_b', 'SELECT $1', 1, 2);
SELECT enhanced_pool.op_on('group_b', 'SELECT $1', VARIADIC ARRAY['a']);
-- texts do not depend on the session's settings
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = 0;
SELECT enhanced_pool.op('x', date '2026-01-02', interval '1 day 2 hours', 0.1::float8 + 0.2, 'pg_class'::regclass);
RESET datestyle;
RESET intervalstyle;
RESET extra_float_digits;
SELECT error_of($$SELECT enhanced_pool.op(NULL)$$);
SELECT error_of($$SELECT enhanced_pool.op_on(NULL, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.op('SELECT 1', VARIADIC NULL::text[])$$);

--
-- run_parallel
--
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1 AS a, NULL AS b', $$INSERT INTO account VALUES (1, 10, 'x')$$, 'SELECT WHERE false', 'SET LOCAL work_mem = 64', '']) r;
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', ARRAY[enhanced_pool.op('SELECT $1::int + 1 AS n, $2 AS t', 1, 'x'), enhanced_pool.op_on('group_b', 'SELECT $1::text IS NULL AS n', NULL)]) r;
-- results are rows, too
SELECT j.* FROM enhanced_pool.run_parallel('group_a', ARRAY['SELECT id FROM items WHERE id < 3 ORDER BY id', 'SELECT id FROM items WHERE id = 9']) r, jsonb_to_recordset(r.rows) AS j(id int);
-- none
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', '{}'::text[]) r;
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', '{}'::enhanced_pool.operation[]) r;
-- more dimensions than one
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', ARRAY[['SELECT 1 AS a', 'SELECT 2 AS a'], ['SELECT 3 AS a', 'SELECT 4 AS a']]) r;
-- errors: the first is raised, when all have ended
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1', 'INSERT INTO account VALUES (1, 1)', 'SELECT 1/0', $i$INSERT INTO account VALUES (2, 20, 'y')$i$])$$);
SELECT * FROM enhanced_pool.execute('group_a', 'SELECT id FROM account ORDER BY id') AS t(id int);
SELECT pool, sqlstate, message, detail FROM enhanced_pool.last_remote_error();
-- or they are rows
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1 AS a', 'SELECT 1/0', 'SELECT 1 AS a, 2 AS a', 'COPY items TO STDOUT', 'nonsense'], on_error => 'capture') r;
SELECT pool, sqlstate, message FROM enhanced_pool.last_remote_error();
SELECT error_of($$SELECT enhanced_pool.exec('group_a', 'SELECT 1/0')$$);
SELECT count(*) FROM enhanced_pool.run_parallel('group_a', ARRAY['nonsense'], on_error => 'capture');
SELECT pool, sqlstate, message FROM enhanced_pool.last_remote_error();
-- transaction statements
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['DELETE FROM account', 'BEGIN'])$$);
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', ARRAY['SELECT count(*) FROM account', 'COMMIT'], on_error => 'capture') r;
-- what one leaves behind the next does not see
SELECT shown(r) FROM enhanced_pool.run_parallel('group_a', ARRAY['SET work_mem = 99', 'SHOW work_mem'], max_parallel => 1) r;
-- time-outs
SELECT enhanced_pool.prewarm('group_a', 3);
SELECT operation, success, sqlstate, error, elapsed IS NOT NULL AS started FROM enhanced_pool.run_parallel('group_a', array_fill('SELECT pg_sleep(600)'::text, ARRAY[5]), timeout => '2s', on_error => 'capture');
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', array_fill('SELECT pg_sleep(600)'::text, ARRAY[5]), timeout => '2s')$$);
-- of an answer that comes faster than its rows are taken, too
\set fast '$q$SELECT j FROM (SELECT (''{'' || repeat(''"a": 1, '', 2000) || ''"a": 1}'')::json AS j OFFSET 0) x, generate_series(1, 20000)$q$'
SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('group_a', ARRAY[:fast], timeout => '100ms', on_error => 'capture');
SET enhanced_pool.query_timeout = '2s';
SELECT operation, sqlstate, error, sqlstate IS NULL OR elapsed >= 2000 AS waited FROM enhanced_pool.run_parallel('group_a', ARRAY['SELECT pg_sleep(600)', 'SELECT 1'], on_error => 'capture');
RESET enhanced_pool.query_timeout;
-- bad arguments
SELECT error_of($$SELECT enhanced_pool.run_parallel(NULL, ARRAY['SELECT 1'])$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', NULL::text[])$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', NULL::enhanced_pool.operation[])$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1', NULL])$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY[enhanced_pool.op('SELECT 1'), NULL])$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY[ROW(NULL, NULL, NULL)::enhanced_pool.operation])$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1'], max_parallel => 0)$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1'], timeout => '-1s')$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1'], name => repeat('x', 64))$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1'], on_error => 'ignore')$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY['SELECT 1'], on_error => NULL)$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('nowhere', ARRAY['SELECT 1'], on_error => 'capture')$$);
SELECT error_of($$SELECT enhanced_pool.run_parallel('group_a', ARRAY[enhanced_pool.op_on('nowhere', 'SELECT 1')], on_error => 'capture')$$);
SET ROLE regress_ep_app;
SELECT error_of($$SELECT enhanced_pool.run_parallel('app_loop', ARRAY[enhanced_pool.op('SELECT 1'), enhanced_pool.op_on('group_b', 'SELECT 1')])$$);
SELECT shown(r) FROM enhanced_pool.run_parallel('app_loop', ARRAY['SELECT current_user']) r;
RESET ROLE;

--
-- broadcast
--
SELECT shown(r) FROM enhanced_pool.broadcast(ARRAY['group_a', 'group_b', 'loop'], 'SELECT $1::int * 2 AS n', ARRAY['21']) r;
SELECT shown(r) FROM enhanced_pool.broadcast(ARRAY['group_a', 'group_a'], 'SELECT count(*) FROM items') r;
SELECT shown(r) FROM enhanced_pool.broadcast('{}', 'SELECT 1') r;
SELECT shown(r) FROM enhanced_pool.broadcast(ARRAY['group_a', 'group_b'], 'SELECT 1/0', on_error => 'capture') r;
SELECT error_of($$SELECT enhanced_pool.broadcast(ARRAY['group_a', 'group_b'], 'SELECT 1/0')$$);
SELECT error_of($$SELECT enhanced_pool.broadcast(NULL, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.broadcast(ARRAY['group_a', NULL], 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.broadcast(ARRAY['group_a'], NULL)$$);
SELECT error_of($$SELECT enhanced_pool.broadcast(ARRAY['group_a'], 'SELECT 1', timeout => '-1s')$$);
SELECT error_of($$SELECT enhanced_pool.broadcast(ARRAY['group_a'], 'SELECT 1', on_error => 'x')$$);
CREATE TYPE regress_item AS (name text, id int);
SELECT * FROM enhanced_pool.broadcast_as(NULL::regress_item, ARRAY['group_a', 'group_b'], 'SELECT id, name FROM items WHERE id <= $1::int ORDER BY id', ARRAY['2']);
SELECT * FROM enhanced_pool.broadcast_as(NULL::int, ARRAY['group_a', 'group_b'], 'SELECT id FROM items WHERE id = 7') AS id;
-- the rows of all, whether memory holds them or not
SET work_mem = '64kB';
SELECT count(*), sum(length(t)) FROM enhanced_pool.broadcast_as(NULL::text, ARRAY['group_a', 'group_b'], $$SELECT repeat('x', 1000) FROM generate_series(1, 500)$$) AS t;
RESET work_mem;
SELECT error_of($$SELECT * FROM enhanced_pool.broadcast_as(NULL::regress_item, ARRAY['group_a'], 'SELECT id FROM items')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.broadcast_as(NULL::int, ARRAY['group_a', 'group_b'], 'SELECT 1/0')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.broadcast_as(NULL::int, ARRAY['group_a'], $q$SELECT 'x'$q$)$$);
-- users' code in types runs when nothing is under way
CREATE FUNCTION regress_even(int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    PERFORM 1 / 0;
  EXCEPTION WHEN division_by_zero THEN NULL;
  END;
  RETURN $1 % 2 = 0 AND (SELECT n FROM enhanced_pool.execute('group_a', 'SELECT 1') AS t(n int)) = 1;
END $$;
CREATE DOMAIN regress_even_int AS int CHECK (regress_even(VALUE));
SELECT * FROM enhanced_pool.broadcast_as(NULL::regress_even_int, ARRAY['group_a', 'group_b'], 'SELECT 2') AS n;
SELECT error_of($$SELECT * FROM enhanced_pool.broadcast_as(NULL::regress_even_int, ARRAY['group_a', 'group_b'], 'SELECT 3') AS n$$);

--
-- run_in_transaction
--
SELECT enhanced_pool.exec('group_a', $$INSERT INTO account VALUES (3, 30, 'z')$$);
SELECT shown(r) FROM enhanced_pool.run_in_transaction('group_a', ARRAY['UPDATE account SET balance = balance - 5 WHERE id = 3', 'UPDATE account SET balance = balance + 5 WHERE id = 1']) r;
SELECT shown(r) FROM enhanced_pool.run_in_transaction('group_a', ARRAY[enhanced_pool.op('INSERT INTO account VALUES ($1, $2) RETURNING id, balance', 4, 40), enhanced_pool.op('INSERT INTO account VALUES ($1, $2) RETURNING id, balance', 5, 50),
  enhanced_pool.op('SELECT sum(balance) AS sum FROM account')]) r;
-- each sees what those before it did
SELECT shown(r) FROM enhanced_pool.run_in_transaction('group_a', ARRAY['CREATE TABLE made (i int)', 'INSERT INTO made VALUES (1)', 'SELECT * FROM made', 'DROP TABLE made']) r;
SELECT shown(r) FROM enhanced_pool.run_in_transaction('group_a', ARRAY['SHOW transaction_isolation', 'SHOW transaction_read_only'], 'Repeatable Read') r;
-- each is one transaction, committed or not
SELECT transaction_count AS n, transaction_rollbacks AS m FROM enhanced_pool.pool_metrics WHERE pool = 'group_b' \gset
SELECT count(*) FROM enhanced_pool.run_in_transaction('group_b', ARRAY['UPDATE items SET price = price WHERE id = 1']);
SELECT count(*) FROM enhanced_pool.run_in_transaction('group_b', ARRAY['SELECT 1 AS a']);
SELECT transaction_count - :n AS ended, transaction_rollbacks - :m AS rolled_back FROM enhanced_pool.pool_metrics WHERE pool = 'group_b';
SELECT left(error_of($$SELECT enhanced_pool.run_in_transaction('group_b', ARRAY['SELECT 1/0'])$$), 5);
SELECT transaction_count - :n AS ended, transaction_rollbacks - :m AS rolled_back FROM enhanced_pool.pool_metrics WHERE pool = 'group_b';
-- all or nothing
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['UPDATE account SET balance = balance + 100 WHERE id = 1', 'UPDATE account SET balance = balance - 100 WHERE id = 3', 'DELETE FROM account'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['DELETE FROM account', 'SELECT 1 AS a, 2 AS a', 'SELECT 1'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['DELETE FROM account', 'VACUUM'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['CREATE TABLE deferred (i int UNIQUE DEFERRABLE INITIALLY DEFERRED)', 'INSERT INTO deferred VALUES (1)', 'INSERT INTO deferred VALUES (1)'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['DELETE FROM account', 'SELECT pg_sleep(600)'], timeout => '1s')$$);
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['DELETE FROM account', %L], timeout => '100ms')$$, :fast));
SELECT * FROM enhanced_pool.execute('group_a', 'SELECT id, balance FROM account ORDER BY id') AS t(id int, balance int);
-- refused
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['DELETE FROM account', 'COMMIT'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['COPY account FROM STDIN'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY[enhanced_pool.op_on('group_b', 'SELECT 1')])$$);
SELECT shown(r) FROM enhanced_pool.run_in_transaction('group_a', ARRAY[enhanced_pool.op_on('group_a', 'SELECT 1 AS a')]) r;
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['SELECT 1'], 'chaos')$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['SELECT 1'], timeout => '-1s')$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction(NULL::text, ARRAY['SELECT 1'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction(NULL::bigint, ARRAY['SELECT 1'])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', NULL::text[])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('group_a', ARRAY['SELECT 1', NULL])$$);
SELECT error_of($$SELECT enhanced_pool.run_in_transaction(0, ARRAY['SELECT 1'])$$);
SELECT shown(r) FROM enhanced_pool.run_in_transaction('group_a', '{}'::text[]) r;
-- on a lease
BEGIN;
SELECT enhanced_pool.acquire('group_a') AS lease \gset
SELECT shown(r) FROM enhanced_pool.run_in_transaction(:lease, ARRAY['UPDATE account SET balance = 1 WHERE id = 5', 'SHOW transaction_isolation'], 'serializable') r;
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['UPDATE account SET balance = 2 WHERE id = 5', 'nonsense'])$$, :lease));
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['UPDATE account SET balance = 2 WHERE id = 5', 'SELECT pg_sleep(600)'], timeout => '1s')$$, :lease));
SELECT state FROM enhanced_pool.leases WHERE lease = :lease;
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['SELECT 1'], name => 'x')$$, :lease));
-- in a transaction of its own: a savepoint
SELECT enhanced_pool.exec(:lease, 'BEGIN'), enhanced_pool.exec(:lease, 'UPDATE account SET balance = 3 WHERE id = 5');
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['UPDATE account SET balance = 4 WHERE id = 5', 'SELECT 1/0'])$$, :lease));
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['UPDATE account SET balance = 4 WHERE id = 5', 'SELECT pg_sleep(600)'], timeout => '1s')$$, :lease));
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['SELECT 1'], 'serializable')$$, :lease));
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['ROLLBACK'])$$, :lease));
SELECT shown(r) FROM enhanced_pool.run_in_transaction(:lease, ARRAY['SELECT balance FROM account WHERE id = 5', 'UPDATE account SET balance = 5 WHERE id = 4']) r;
SELECT state FROM enhanced_pool.leases WHERE lease = :lease;
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT id, balance FROM account ORDER BY id') AS t(id int, balance int);
-- also in one that was begun by a statement whose result nobody took
CREATE FUNCTION begin_and_give_up(lease bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM enhanced_pool.send(lease, 'BEGIN'), enhanced_pool.wait_any(ARRAY[lease]);
  RAISE EXCEPTION 'given up';
EXCEPTION WHEN raise_exception THEN NULL;
END $$;
SELECT begin_and_give_up(:lease);
SELECT shown(r) FROM enhanced_pool.run_in_transaction(:lease, ARRAY['UPDATE account SET balance = 6 WHERE id = 5']) r;
SELECT state FROM enhanced_pool.leases WHERE lease = :lease;
SELECT enhanced_pool.exec(:lease, 'ROLLBACK'), begin_and_give_up(:lease);
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['SELECT 1'], 'serializable')$$, :lease));
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT balance FROM account WHERE id = 5') AS t(balance int);
COMMIT;
DROP FUNCTION begin_and_give_up;

-- on a session: a savepoint in the transaction that follows the local one
BEGIN;
SELECT enhanced_pool.session('group_a') AS session \gset
SELECT shown(r) FROM enhanced_pool.run_in_transaction(:session, ARRAY['UPDATE account SET balance = 100 WHERE id = 1', 'SELECT balance FROM account WHERE id = 1']) r;
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['UPDATE account SET balance = 101 WHERE id = 1', 'SELECT 1/0'])$$, :session));
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['UPDATE account SET balance = 101 WHERE id = 1', 'SELECT pg_sleep(600)'], timeout => '1s')$$, :session));
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['COMMIT'])$$, :session));
SELECT error_of(format($$SELECT enhanced_pool.run_in_transaction(%s, ARRAY['SELECT 1'], 'serializable')$$, :session));
SAVEPOINT s;
SELECT shown(r) FROM enhanced_pool.run_in_transaction(:session, ARRAY['UPDATE account SET balance = 102 WHERE id = 1']) r;
ROLLBACK TO SAVEPOINT s;
SELECT shown(r) FROM enhanced_pool.run_in_transaction(:session, ARRAY['SELECT balance FROM account WHERE id = 1', 'UPDATE account SET balance = 103 WHERE id = 3']) r;
-- seen by nobody else yet
SELECT * FROM enhanced_pool.execute('group_a', 'SELECT id, balance FROM account WHERE id IN (1, 3) ORDER BY id') AS t(id int, balance int);
COMMIT;
SELECT * FROM enhanced_pool.execute('group_a', 'SELECT id, balance FROM account WHERE id IN (1, 3) ORDER BY id') AS t(id int, balance int);
BEGIN;
SELECT enhanced_pool.session('group_a') AS session \gset
SELECT shown(r) FROM enhanced_pool.run_in_transaction(:session, ARRAY['DELETE FROM account']) r;
ROLLBACK;
SELECT * FROM enhanced_pool.execute('group_a', 'SELECT count(*) FROM account') AS t(n int);

SELECT enhanced_pool.exec('group_a', 'DROP TABLE account');
DROP SERVER group_a CASCADE;
DROP SERVER group_b CASCADE;
DROP DOMAIN regress_even_int;
DROP FUNCTION regress_even;
DROP TYPE regress_item;
DROP FUNCTION shown;
