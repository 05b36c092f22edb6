--
-- Leases: acquire, release, and when they end by themselves.
--
SET client_min_messages = warning;
\pset null '(null)'
SELECT define_pool('one', $$max_size '1', initial_size '1', min_size '1'$$);
CREATE VIEW my_leases AS
  SELECT pool, kind, name, state, hold FROM enhanced_pool.leases WHERE pid = pg_backend_pid() ORDER BY lease;

-- outside a transaction block a lease ends with the statement
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1'')', :lease)) LIKE '08003 lease % does not exist%' AS gone;
SELECT enhanced_pool.release(:lease);
SELECT * FROM my_leases;

-- and else with the transaction
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT * FROM my_leases;
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 1') AS t(a int);
SELECT enhanced_pool.exec(:lease, 'SELECT 1');
SELECT enhanced_pool.execute_json(:lease, 'SELECT 1 AS a');
COMMIT;
SELECT * FROM my_leases;
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
ROLLBACK;
SELECT * FROM my_leases;

-- release: true once
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT enhanced_pool.release(:lease);
SELECT enhanced_pool.release(:lease);
SELECT error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1'')', :lease)) LIKE '08003%' AS gone;
-- its number is not used again
SELECT enhanced_pool.acquire('one') <> :lease AS another;
COMMIT;
SELECT enhanced_pool.release(0), enhanced_pool.release(-1), enhanced_pool.release(9223372036854775807);
SELECT error_of('SELECT enhanced_pool.release(NULL)');
SELECT error_of('SELECT enhanced_pool.exec(12345678901, ''SELECT 1'')');
SELECT enhanced_pool.release_all();
BEGIN;
SELECT count(enhanced_pool.acquire('loop')) FROM generate_series(1, 3);
SELECT enhanced_pool.acquire('one', hold => true) > 0 AS acquired;
SELECT count(*) FROM my_leases;
SELECT enhanced_pool.release_all();
SELECT enhanced_pool.release_all();
COMMIT;

-- arguments of acquire
SELECT error_of('SELECT enhanced_pool.acquire(NULL)');
SELECT error_of($$SELECT enhanced_pool.acquire('one', '-1 s')$$);
SELECT error_of($$SELECT enhanced_pool.acquire('one', name => repeat('x', 64))$$);
BEGIN;
SELECT enhanced_pool.acquire('one', timeout => NULL, hold => NULL, name => NULL) > 0 AS acquired;
SELECT * FROM my_leases;
-- the only connection is leased: timeout '0' does not wait, others do for their time
SELECT regexp_replace(error_of($$SELECT enhanced_pool.acquire('one', '0')$$), 'lease \d+\.\d+ s', 'lease N s');
SELECT regexp_replace(error_of($$SELECT enhanced_pool.acquire('one', timeout => '20 ms')$$), 'lease \d+\.\d+ s', 'lease N s');
SET LOCAL enhanced_pool.acquire_timeout = '20ms';
SELECT left(error_of($$SELECT enhanced_pool.acquire('one')$$), 5);
SELECT left(error_of($$SELECT enhanced_pool.exec('one', 'SELECT 1')$$), 5);
SELECT count(*) FROM my_leases;
COMMIT;
SELECT enhanced_pool.acquire('one', '0') > 0 AS acquired;

-- names: the same lease again, for the same pool and role
BEGIN;
SELECT enhanced_pool.acquire('loop', name => 'import') AS lease \gset
SELECT enhanced_pool.acquire('loop', name => 'import') = :lease AS same, enhanced_pool.acquire('loop', name => 'export') = :lease AS other_name,
  enhanced_pool.acquire('one', name => 'import') = :lease AS other_pool, enhanced_pool.acquire('loop') = :lease AS nameless;
SELECT * FROM my_leases;
SELECT * FROM enhanced_pool.execute(:lease, 'SHOW application_name') AS t(name text);
SELECT enhanced_pool.release(:lease);
SELECT enhanced_pool.acquire('loop', name => 'import') = :lease AS same;
SELECT enhanced_pool.release_all();
-- a name is told before the first statement, whichever that is, and not kept
SELECT enhanced_pool.acquire('one', name => 'it''s \ "x"') AS lease \gset
SELECT statement, row_count FROM enhanced_pool.run_script(:lease, 'SELECT 1; SELECT 2');
SELECT * FROM enhanced_pool.execute(:lease, 'SHOW application_name') AS t(name text);
COMMIT;
SELECT * FROM enhanced_pool.execute('one', 'SHOW application_name') AS t(name text);

-- hold: until release, over commit and rollback
BEGIN;
SELECT enhanced_pool.acquire('one', hold => true, name => 'kept') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'SET work_mem = ''1234kB''');
COMMIT;
SELECT * FROM my_leases;
SELECT * FROM enhanced_pool.execute(:lease, 'SHOW work_mem') AS t(v text);
BEGIN;
SELECT enhanced_pool.acquire('one', name => 'kept') = :lease AS same;
ROLLBACK;
SELECT error_of('SELECT 1 / 0');
SELECT 1 / 0;
SELECT * FROM enhanced_pool.execute(:lease, 'SHOW work_mem') AS t(v text);
SELECT enhanced_pool.release(:lease);
-- acquired in a transaction that fails, it is gone with it
BEGIN;
SELECT enhanced_pool.acquire('one', hold => true) AS lease \gset
ROLLBACK;
SELECT * FROM my_leases;
-- asked for later
BEGIN;
SELECT enhanced_pool.acquire('one', name => 'later') AS lease \gset
SELECT enhanced_pool.acquire('one', name => 'later', hold => true) = :lease AS same;
COMMIT;
SELECT * FROM my_leases;
-- over the transactions of a DO block
SELECT enhanced_pool.release_all();
DO $$
DECLARE
  kept bigint := enhanced_pool.acquire('loop', hold => true);
  mine bigint := enhanced_pool.acquire('loop');
BEGIN
  PERFORM enhanced_pool.exec(mine, 'SELECT 1');
  COMMIT;
  PERFORM enhanced_pool.exec(kept, 'SELECT 1');
  BEGIN
    PERFORM enhanced_pool.exec(mine, 'SELECT 1');
    RAISE 'still there';
  EXCEPTION WHEN connection_does_not_exist THEN
    NULL;
  END;
  ASSERT enhanced_pool.release(kept);
  ASSERT NOT enhanced_pool.release(mine);
END
$$;

-- savepoints
BEGIN;
SELECT enhanced_pool.acquire('loop') AS outer \gset
SAVEPOINT a;
SELECT enhanced_pool.acquire('loop') AS inner \gset
SELECT enhanced_pool.acquire('loop', hold => true) AS held \gset
SELECT enhanced_pool.exec(:outer, 'SELECT 1'), enhanced_pool.exec(:inner, 'SELECT 1');
ROLLBACK TO a;
SELECT enhanced_pool.exec(:outer, 'SELECT 1'), enhanced_pool.release(:inner), enhanced_pool.release(:held);
SAVEPOINT a;
SELECT enhanced_pool.acquire('loop') AS inner \gset
RELEASE a;
SELECT enhanced_pool.exec(:outer, 'SELECT 1'), enhanced_pool.exec(:inner, 'SELECT 1');
SAVEPOINT a;
SAVEPOINT b;
SELECT enhanced_pool.acquire('loop', name => 'b') AS inner \gset
RELEASE b;
ROLLBACK TO a;
SELECT count(*) FROM my_leases;
-- a remote error leaves a lease as good as it was
SELECT error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1 / 0'')', :outer));
SELECT enhanced_pool.exec(:outer, 'SELECT 1');
-- so does an error among the rows, or a statement that is cut off
SELECT error_of(format('SELECT * FROM enhanced_pool.execute(%s, ''SELECT 5 / (100 - g)::int2 FROM generate_series(1, 1000) g'') AS t(a int)', :outer));
SELECT error_of(format('SELECT * FROM enhanced_pool.execute(%s, ''SELECT 50000, pg_sleep(CASE WHEN g > 1000 THEN 60 ELSE 0 END) FROM generate_series(1, 2000) g'') AS t(a int2, b text)', :outer));
SELECT enhanced_pool.exec(:outer, 'SELECT 1');
SELECT enhanced_pool.exec(:outer, 'BEGIN');
SELECT error_of(format('SELECT * FROM enhanced_pool.execute(%s, ''SELECT 50000, pg_sleep(CASE WHEN g > 1000 THEN 60 ELSE 0 END) FROM generate_series(1, 2000) g'') AS t(a int2, b text)', :outer));
SELECT left(error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1'')', :outer)), 5) AS aborted;
SELECT enhanced_pool.exec(:outer, 'ROLLBACK');
SELECT enhanced_pool.exec(:outer, 'SELECT 1');
COMMIT;

-- transactions of the remote's on a lease
SELECT count(*) FROM enhanced_pool.run_script('loop', 'DROP TABLE IF EXISTS leased; CREATE TABLE leased (id int PRIMARY KEY)');
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'INSERT INTO leased VALUES (1)');
SELECT state FROM my_leases;
SELECT enhanced_pool.exec('loop', 'SELECT FROM leased') AS seen_by_others;
SELECT enhanced_pool.exec(:lease, 'SAVEPOINT s');
SELECT left(error_of(format('SELECT enhanced_pool.exec(%s, ''INSERT INTO leased VALUES (1)'')', :lease)), 5);
SELECT left(error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1'')', :lease)), 5);
SELECT enhanced_pool.exec(:lease, 'ROLLBACK TO s');
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT state FROM my_leases;
-- what is left open is rolled back when the lease ends
SELECT enhanced_pool.exec(:lease, 'BEGIN ISOLATION LEVEL SERIALIZABLE');
SELECT enhanced_pool.exec(:lease, 'INSERT INTO leased VALUES (2)');
COMMIT;
SELECT * FROM enhanced_pool.execute('loop', 'TABLE leased') AS t(id int);
SELECT enhanced_pool.exec('loop', 'DROP TABLE leased');

-- cursors
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'DECLARE c CURSOR FOR SELECT g, ''row '' || g FROM generate_series(1, 5) g');
SELECT * FROM enhanced_pool.execute(:lease, 'FETCH 2 FROM c') AS t(g int, row text);
SELECT * FROM enhanced_pool.execute(:lease, 'FETCH 2 FROM c') AS t(g int, row text);
SELECT enhanced_pool.exec(:lease, 'MOVE 1 FROM c');
SELECT * FROM enhanced_pool.execute(:lease, 'FETCH 2 FROM c') AS t(g int, row text);
SELECT enhanced_pool.exec(:lease, 'CLOSE c');
SELECT enhanced_pool.exec(:lease, 'DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT g FROM generate_series(1, 3) g');
SELECT * FROM enhanced_pool.execute(:lease, 'FETCH c') AS t(g int);
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT enhanced_pool.execute_json(:lease, 'FETCH LAST FROM c');
COMMIT;
-- a cursor of our own over remote rows, in and after subtransactions
SET work_mem = '64kB';
BEGIN;
DECLARE mine CURSOR FOR SELECT enhanced_pool.execute('one', 'SELECT g, repeat(''x'', 3) FROM generate_series(1, 20000) g');
FETCH 2 FROM mine;
SAVEPOINT a;
FETCH 1 FROM mine;
ROLLBACK TO a;
FETCH 1 FROM mine;
CLOSE mine;
DECLARE mine CURSOR FOR SELECT * FROM enhanced_pool.execute('one', 'SELECT g, repeat(''x'', 3) FROM generate_series(1, 20000) g') AS t(g int, x text);
FETCH 2 FROM mine;
SAVEPOINT a;
MOVE 19990 FROM mine;
ROLLBACK TO a;
FETCH 2 FROM mine;
COMMIT;
RESET work_mem;

-- in use: rows of the lease call a function that uses it
CREATE FUNCTION use_lease(what text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  CASE what
    WHEN 'execute' THEN PERFORM enhanced_pool.execute(current_setting('regress.lease')::bigint, 'SELECT 1');
    WHEN 'script' THEN PERFORM enhanced_pool.run_script(current_setting('regress.lease')::bigint, 'SELECT 1');
    WHEN 'describe' THEN PERFORM enhanced_pool.describe(current_setting('regress.lease')::bigint, 'SELECT 1');
    WHEN 'release' THEN PERFORM enhanced_pool.release(current_setting('regress.lease')::bigint);
    WHEN 'release_all' THEN ASSERT enhanced_pool.release_all() = 0;
    WHEN 'other' THEN PERFORM enhanced_pool.exec('loop', 'SELECT 1');
    WHEN 'caught' THEN
      BEGIN
        PERFORM enhanced_pool.exec(current_setting('regress.lease')::bigint, 'SELECT 1');
      EXCEPTION WHEN object_in_use THEN
        NULL;
      END;
    ELSE NULL;
  END CASE;
  RETURN true;
END
$$;
CREATE DOMAIN using_lease AS text CHECK (use_lease(VALUE));
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SET LOCAL regress.lease = :lease;
SELECT what, regexp_replace(split_part(error_of(format('SELECT * FROM enhanced_pool.execute(%s, $q$SELECT %L$q$) AS t(a using_lease)', :lease, what)), E'\n', 1), '\d+ is', 'N is') AS outcome
  FROM unnest(ARRAY['execute', 'script', 'describe', 'release', 'release_all', 'other', 'caught']) what;
-- it is there as before
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT ''nothing''') AS t(a using_lease);
-- rows that have been read are no use of it
SELECT a, enhanced_pool.exec(:lease, 'SELECT FROM generate_series(1, $1)', a) FROM enhanced_pool.execute(:lease, 'SELECT g FROM generate_series(1, 3) g') AS t(a int);
SELECT i, t.* FROM generate_series(1, 2) i, LATERAL enhanced_pool.execute(:lease, 'SELECT $1 * 10', i) AS t(a int);
SELECT row_to_json(enhanced_pool.execute(:lease, 'SELECT g AS a FROM generate_series(1, 2) g')), row_to_json(enhanced_pool.execute(:lease, 'SELECT g AS b FROM generate_series(1, 2) g'));
-- nor is one among the parameters of the other
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT $1 + 1', enhanced_pool.exec(:lease, 'SELECT 1')) AS t(a bigint);
COMMIT;
DROP DOMAIN using_lease;
DROP FUNCTION use_lease;

-- a lease belongs to a role
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SET LOCAL regress.lease = :lease;
CREATE FUNCTION lease_error(call text, lease text DEFAULT current_setting('regress.lease')) RETURNS text LANGUAGE sql AS $$
  SELECT replace(error_of(replace(call, 'LEASE', lease)), lease, 'N');
$$;
GRANT EXECUTE ON FUNCTION error_of, lease_error TO regress_ep_app;
SET LOCAL ROLE regress_ep_app;
SELECT lease_error('SELECT enhanced_pool.exec(LEASE, ''SELECT 1'')');
SELECT left(lease_error('SELECT enhanced_pool.release(LEASE)'), 5);
SELECT enhanced_pool.release_all();
SELECT enhanced_pool.acquire('app_loop') AS app_lease \gset
SELECT enhanced_pool.exec(:app_lease, 'SELECT 1');
RESET ROLE;
-- a superuser may use others'
SELECT * FROM enhanced_pool.execute(:app_lease, 'SELECT current_user::text') AS t(who text);
SELECT enhanced_pool.release(:app_lease);
SELECT enhanced_pool.exec(:lease, 'SELECT 1');
COMMIT;
-- a SECURITY DEFINER function may use its own, and its number is of no use to the caller
CREATE FUNCTION definer(l bigint DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF l IS NULL THEN
    RETURN enhanced_pool.acquire('one');
  END IF;
  RETURN enhanced_pool.exec(l, 'SELECT FROM generate_series(1, 7)');
END
$$;
BEGIN;
SET LOCAL ROLE regress_ep_app;
SELECT definer() AS lease \gset
SELECT definer(:lease);
SELECT left(lease_error('SELECT enhanced_pool.exec(LEASE, ''SELECT 1'')', :'lease'), 5);
SELECT enhanced_pool.release_all();
COMMIT;
DROP FUNCTION definer, lease_error;
-- the same name under another role is another lease, in the same pool too
SELECT define_pool('shared', $$max_size '2', initial_size '1', min_size '1'$$, 'regress_ep_app');
DROP USER MAPPING FOR regress_ep_app SERVER shared;
CREATE USER MAPPING FOR PUBLIC SERVER shared OPTIONS (user 'regress_ep_remote', password 'secret', password_required 'false');
GRANT USAGE ON FOREIGN SERVER shared TO regress_ep_app, regress_ep_other;
BEGIN;
SET LOCAL ROLE regress_ep_app;
SELECT enhanced_pool.acquire('shared', name => 'mine') AS lease \gset
SET LOCAL ROLE regress_ep_other;
SELECT enhanced_pool.acquire('shared', name => 'mine') <> :lease AS another;
COMMIT;

-- names of pools
SELECT error_of($$SELECT enhanced_pool.acquire('nothing')$$);
SELECT error_of($$SELECT enhanced_pool.acquire('42')$$);
SELECT error_of($$SELECT enhanced_pool.exec('42', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.exec('-42', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.acquire('')$$);
SELECT split_part(error_of(format('SELECT enhanced_pool.acquire(%L)', repeat('x', 200))), ' ', 1);
-- one of digits that is there, as it cannot be by CREATE or RENAME
SELECT error_of('CREATE SERVER "42" FOREIGN DATA WRAPPER enhanced_pool');
UPDATE pg_foreign_server SET srvname = '42' WHERE srvname = 'one';
SELECT error_of($$SELECT enhanced_pool.acquire('42')$$);
SELECT error_of($$SELECT enhanced_pool.exec('42', 'SELECT 1')$$);
UPDATE pg_foreign_server SET srvname = 'one' WHERE srvname = '42';
SELECT enhanced_pool.exec('one', 'SELECT 1');

-- DISCARD ALL releases all
SELECT enhanced_pool.acquire('one', hold => true) AS lease \gset
SELECT * FROM my_leases;
DISCARD ALL;
SET client_min_messages = warning;
SELECT * FROM my_leases;
-- other kinds of DISCARD do not
SELECT enhanced_pool.acquire('one', hold => true, name => 'kept') AS lease \gset
DISCARD PLANS;
DISCARD TEMP;
SELECT * FROM my_leases;
-- so does the end of the session
\c -
SET client_min_messages = warning;
\pset null '(null)'
SELECT enhanced_pool.exec('one', 'SELECT 1');

-- what a lease did to its session is gone when the connection is used again
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'SET work_mem = ''1234kB''');
SELECT enhanced_pool.exec(:lease, 'CREATE TEMP TABLE mine AS SELECT 1');
SELECT enhanced_pool.exec(:lease, 'PREPARE p AS SELECT 1');
SELECT enhanced_pool.exec(:lease, 'SELECT pg_advisory_lock(4711)');
SELECT enhanced_pool.exec(:lease, 'SET ROLE regress_ep_remote');
SELECT enhanced_pool.exec(:lease, 'LISTEN something');
SELECT * FROM enhanced_pool.execute(:lease, $$SELECT current_setting('work_mem'), to_regclass('pg_temp.mine') IS NOT NULL,
  (SELECT count(*) FROM pg_prepared_statements WHERE name = 'p'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
  current_user::text, (SELECT count(*) FROM pg_listening_channels())$$) AS t(work_mem text, temp bool, prepared int, locks int, who text, listening int);
COMMIT;
SELECT * FROM enhanced_pool.execute('one', $$SELECT current_setting('work_mem') <> '1234kB', to_regclass('pg_temp.mine') IS NULL,
  (SELECT count(*) FROM pg_prepared_statements WHERE name = 'p'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
  current_user = session_user, (SELECT count(*) FROM pg_listening_channels())$$) AS t(work_mem bool, temp bool, prepared int, locks int, who bool, listening int);
-- so is what dirty statements did through the pool's name
SELECT statement, t.* FROM unnest(ARRAY['SET work_mem = ''1234kB''', 'SELECT set_config(''work_mem'', ''1234kB'', false)', 'SELECT pg_catalog."set_config"(''work_mem'', ''1234kB'', false)',
    'CREATE TEMPORARY TABLE mine (a int)', 'SELECT 1 AS a INTO TEMP mine', 'DO $$BEGIN SET work_mem = ''1234kB''; END$$', 'SELECT pg_advisory_lock(4711)', 'LISTEN something',
    'PREPARE p AS SELECT 1', 'EXPLAIN ANALYZE SELECT set_config(''work_mem'', ''1234kB'', false)', 'WITH s AS (SELECT set_config(''work_mem'', ''1234kB'', false)) SELECT * FROM s']) statement,
  LATERAL enhanced_pool.exec('one', statement) AS done,
  LATERAL enhanced_pool.execute('one', $$SELECT current_setting('work_mem') = '1234kB', to_regclass('pg_temp.mine') IS NOT NULL,
    (SELECT count(*) FROM pg_prepared_statements WHERE name = 'p'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_listening_channels()) WHERE $1 >= 0$$, done) AS t(work_mem bool, temp bool, prepared int, locks int, listening int);
-- a lease that was not used leaves nothing to reset; plain statements never do
SELECT enhanced_pool.exec('one', 'CREATE TABLE plain (id int PRIMARY KEY, v text)');
-- the same connection again, after its reset
SELECT enhanced_pool.exec('one', 'SELECT 1');
SELECT reset_count FROM enhanced_pool.pool_metrics WHERE pool = 'one' \gset
SELECT sum(enhanced_pool.exec('one', 'INSERT INTO plain VALUES ($1, ''into temp set_config'')', i)) FROM generate_series(1, 100) i;
SELECT sum(enhanced_pool.exec('one', 'SELECT /* INTO */ "v" FROM plain WHERE v <> ''LISTEN'' AND id = $1', i)) FROM generate_series(1, 100) i;
SELECT count(*) FROM generate_series(1, 3), LATERAL enhanced_pool.execute('one', 'SHOW work_mem') AS t(v text);
SELECT enhanced_pool.acquire('one') > 0 AS acquired;
SELECT enhanced_pool.exec('one', 'SELECT 1');
SELECT reset_count - :reset_count AS resets FROM enhanced_pool.pool_metrics WHERE pool = 'one';
SELECT enhanced_pool.exec('one', 'DROP TABLE plain');
SELECT enhanced_pool.exec('one', 'SELECT 1');
SELECT reset_count - :reset_count AS resets FROM enhanced_pool.pool_metrics WHERE pool = 'one';

DROP VIEW my_leases;
DROP SERVER one, shared CASCADE;
