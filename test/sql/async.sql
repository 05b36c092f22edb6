--
-- send and the functions that take its result, wait_any, cancel; LISTEN and get_notify.
--
SET client_min_messages = warning;
\pset null '(null)'
CREATE VIEW states AS SELECT state, query FROM enhanced_pool.leases WHERE pid = pg_backend_pid() ORDER BY lease;
CREATE FUNCTION lease_of(which text) RETURNS bigint LANGUAGE sql AS $$
  SELECT enhanced_pool.acquire('loop', name => which)
$$;
-- error_of() without the number of a lease
CREATE FUNCTION refusal(statement text) RETURNS text LANGUAGE sql AS $$
  SELECT regexp_replace(error_of(statement), 'lease \d+', 'lease N', 'g')
$$;
CREATE TYPE int_and_text AS (name text, id int);

-- every way to take a result, once each
BEGIN;
SELECT lease_of('a') AS a, lease_of('b') AS b \gset
SELECT enhanced_pool.send(:a, 'SELECT id, name, price FROM items WHERE id <= 3 ORDER BY id');
SELECT * FROM states;
SELECT * FROM enhanced_pool.get_result(:a) AS t(id int, name text, price numeric);
SELECT * FROM states;
SELECT enhanced_pool.send(:a, 'SELECT id, name FROM items WHERE id <= $1 ORDER BY id', 2);
SELECT enhanced_pool.get_result(:a);
SELECT enhanced_pool.send(:a, 'SELECT id, name FROM items WHERE id <= $1 ORDER BY id', VARIADIC ARRAY['2']);
SELECT * FROM enhanced_pool.get_result_as(NULL::int_and_text, :a);
SELECT enhanced_pool.send(:a, 'SELECT count(*) FROM items');
SELECT enhanced_pool.get_result_as(NULL::bigint, :a);
SELECT enhanced_pool.send(:a, 'SELECT id, price, id > 1 AS more, NULL AS nothing FROM items WHERE id <= 2 ORDER BY id');
SELECT enhanced_pool.get_result_json(:a);
SELECT enhanced_pool.send(:a, 'UPDATE items SET name = name WHERE id <= $1', 7);
SELECT enhanced_pool.get_count(:a);
SELECT enhanced_pool.send(:a, 'SELECT * FROM items');
SELECT enhanced_pool.get_count(:a);
SELECT enhanced_pool.send(:a, 'CREATE TEMP TABLE t (v text)');
SELECT enhanced_pool.get_count(:a);
SELECT enhanced_pool.send(:a, '');
SELECT enhanced_pool.get_count(:a);
-- parameters of every kind, and one that fits no socket
SELECT enhanced_pool.send(:a, 'SELECT $1, $2, $3, $4, $5', 1.5::float8, true, NULL::int, '\x00ff'::bytea, ARRAY[1, NULL]);
SELECT * FROM enhanced_pool.get_result(:a) AS t(f float8, b bool, i int, y bytea, r int[]);
SELECT enhanced_pool.send(:a, 'SELECT length($1)', repeat('x', 20000000));
SELECT * FROM enhanced_pool.get_result(:a) AS t(n int);
-- sent twice, prepared from then on; and changed in between, so that it is prepared anew
SELECT enhanced_pool.exec(:a, 'CREATE TEMP TABLE changing AS SELECT 1 AS one');
SELECT enhanced_pool.send(:a, 'SELECT * FROM changing');
SELECT * FROM enhanced_pool.get_result(:a) AS t(one int);
SELECT enhanced_pool.send(:a, 'SELECT * FROM changing');
SELECT * FROM enhanced_pool.get_result(:a) AS t(one int);
SELECT * FROM enhanced_pool.execute(:a, 'SELECT * FROM changing') AS t(one int);
SELECT enhanced_pool.exec(:a, 'ALTER TABLE changing ADD two text DEFAULT ''2''');
SELECT enhanced_pool.send(:a, 'SELECT * FROM changing WHERE one = $1::int', 1);
SELECT enhanced_pool.get_result(:a);
SELECT enhanced_pool.send(:a, 'SELECT * FROM changing');
SELECT * FROM enhanced_pool.get_result(:a) AS t(one int, two text);
-- a parameter outlives the call that it was given in
SELECT enhanced_pool.send(:a, 'SELECT *, $1::text FROM changing', n) FROM (SELECT 'value ' || g AS n FROM generate_series(1, 1) g) s;
SELECT enhanced_pool.get_result(:a);
SELECT enhanced_pool.exec(:a, 'ALTER TABLE changing DROP two');
SELECT enhanced_pool.send(:a, 'SELECT *, $1::text FROM changing', n) FROM (SELECT 'value ' || g AS n FROM generate_series(2, 2) g) s;
SELECT enhanced_pool.get_result(:a);
COMMIT;

-- one at a time, and once each
BEGIN;
SELECT lease_of('a') AS a, lease_of('b') AS b \gset
SELECT refusal(format('SELECT enhanced_pool.get_result(%s)', :a));
SELECT refusal(format('SELECT enhanced_pool.get_count(%s)', :a));
SELECT refusal(format('SELECT enhanced_pool.get_result_json(%s)', :a));
SELECT refusal(format('SELECT enhanced_pool.get_result_as(NULL::int, %s)', :a));
SELECT enhanced_pool.is_busy(:a), enhanced_pool.cancel(:a);
SELECT enhanced_pool.send(:a, 'SELECT 1');
SELECT refusal(format('SELECT enhanced_pool.send(%s, ''SELECT 2'')', :a));
SELECT refusal(format('SELECT enhanced_pool.execute(%s, ''SELECT 2'')', :a));
SELECT refusal(format('SELECT enhanced_pool.run_script(%s, ''SELECT 2'')', :a));
SELECT refusal(format('SELECT enhanced_pool.describe(%s, ''SELECT 2'')', :a));
-- a refusal costs nothing
SELECT * FROM enhanced_pool.get_result(:a) AS t(one int);
SELECT refusal(format('SELECT enhanced_pool.get_result(%s)', :a));
-- is_busy does not take the result
SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(30)');
SELECT enhanced_pool.is_busy(:a), enhanced_pool.is_busy(:a), enhanced_pool.cancel(:a);
SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a AS canceled;
SELECT enhanced_pool.is_busy(:a);
SELECT error_of(format('SELECT enhanced_pool.get_result(%s)', :a));
SELECT enhanced_pool.is_busy(:a), enhanced_pool.cancel(:a);
SELECT enhanced_pool.exec(:a, 'SELECT 1');
COMMIT;

-- errors of the remote come with the result
BEGIN;
SELECT lease_of('a') AS a, lease_of('b') AS b \gset
SELECT enhanced_pool.send(:a, 'INSERT INTO items VALUES (1, ''again'')');
SELECT error_of(format('SELECT enhanced_pool.get_count(%s)', :a));
SELECT enhanced_pool.send(:a, 'SELECT 1; SELECT 2');
SELECT error_of(format('SELECT enhanced_pool.get_count(%s)', :a));
SELECT error_of(format('SELECT enhanced_pool.send(%s, ''COPY items TO STDOUT'')', :a));
SELECT enhanced_pool.send(:a, 'SELECT 1 / (3 - g) FROM generate_series(1, 5) g');
SELECT error_of(format('SELECT enhanced_pool.get_result(%s)', :a));
SELECT enhanced_pool.exec(:a, 'SELECT 1');
-- columns that do not fit
SELECT enhanced_pool.send(:a, 'SELECT 1, 2');
SELECT error_of(format('SELECT * FROM enhanced_pool.get_result(%s) AS t(a int)', :a));
SELECT enhanced_pool.send(:a, 'SELECT ''x''');
SELECT left(error_of(format('SELECT * FROM enhanced_pool.get_result(%s) AS t(a int)', :a)), 5);
-- a statement without rows has run, although rows were wanted
SELECT enhanced_pool.exec(:a, 'CREATE TEMP TABLE written (n int)');
SELECT enhanced_pool.send(:a, 'INSERT INTO written VALUES (1)');
SELECT error_of(format('SELECT * FROM enhanced_pool.get_result(%s) AS t(a int)', :a));
SELECT enhanced_pool.send(:a, 'INSERT INTO written VALUES (1)');
SELECT left(error_of(format('SELECT * FROM enhanced_pool.get_result(%s) AS t(a int)', :a)), 5);
SELECT * FROM enhanced_pool.execute(:a, 'SELECT count(*) FROM written') AS t(n int);
-- transactions of the lease's own
SELECT enhanced_pool.send(:a, 'BEGIN');
SELECT enhanced_pool.get_count(:a);
SELECT enhanced_pool.send(:a, 'DELETE FROM items');
SELECT state FROM enhanced_pool.leases WHERE lease = :a;
SELECT enhanced_pool.get_count(:a);
SELECT state FROM enhanced_pool.leases WHERE lease = :a;
SELECT enhanced_pool.send(:a, 'ROLLBACK');
SELECT enhanced_pool.get_count(:a);
COMMIT;

-- arguments
SELECT error_of('SELECT enhanced_pool.send(NULL, ''SELECT 1'')');
SELECT error_of('SELECT enhanced_pool.send(1, NULL)');
SELECT error_of('SELECT enhanced_pool.send(1, ''SELECT $1'', VARIADIC NULL::text[])');
SELECT error_of('SELECT enhanced_pool.send(123456789012, ''SELECT 1'')');
SELECT left(error_of(format('SELECT enhanced_pool.%s(NULL)', f)), 5) FROM unnest('{is_busy,cancel,get_result,get_result_json,get_count,get_notify,wait_any}'::text[]) f;
SELECT left(error_of(format('SELECT enhanced_pool.%s(123456789012)', f)), 5) FROM unnest('{is_busy,cancel,get_result,get_result_json,get_count,get_notify}'::text[]) f;
SELECT error_of('SELECT enhanced_pool.wait_any(ARRAY[1, NULL])');
SELECT left(error_of('SELECT enhanced_pool.wait_any(ARRAY[123456789012])'), 5);
BEGIN;
SELECT lease_of('a') AS a, lease_of('b') AS b \gset
SELECT error_of('SELECT enhanced_pool.wait_any(''{}'')');
SELECT error_of(format('SELECT enhanced_pool.wait_any(ARRAY[%s, %s])', :a, :b));
SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(30)');
SELECT error_of(format('SELECT enhanced_pool.wait_any(ARRAY[%s], ''-1 s'')', :a));
SELECT error_of(format('SELECT enhanced_pool.wait_any(ARRAY[%s, NULL])', :a));
-- '0' looks once; what has nothing does no harm, nor does saying it twice
SELECT enhanced_pool.wait_any(ARRAY[:b, :a, :a], '0'), enhanced_pool.wait_any(ARRAY[[:a], [:b]], '1 ms');
COMMIT;

-- another role's lease is not touched
GRANT USAGE ON FOREIGN SERVER loop TO regress_ep_app;
BEGIN;
SELECT lease_of('a') AS a \gset
SELECT enhanced_pool.send(:a, 'SELECT 1');
SET ROLE regress_ep_app;
SELECT left(error_of(format('SELECT enhanced_pool.%s(%s)', f, :a)), 5) FROM unnest('{is_busy,cancel,get_result,get_result_json,get_count,get_notify}'::text[]) f;
SELECT left(error_of(format('SELECT enhanced_pool.wait_any(ARRAY[%s])', :a)), 5), left(error_of(format('SELECT enhanced_pool.send(%s, ''SELECT 1'')', :a)), 5);
RESET ROLE;
SELECT enhanced_pool.get_result(:a);
COMMIT;
REVOKE USAGE ON FOREIGN SERVER loop FROM regress_ep_app;

-- several at once: those that are ready each have their turn
BEGIN;
SELECT lease_of('a') AS a, lease_of('b') AS b, lease_of('c') AS c \gset
SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(30)'), enhanced_pool.send(:b, 'SELECT 2'), enhanced_pool.send(:c, 'SELECT 3');
SELECT enhanced_pool.wait_any(ARRAY[:b]) = :b AS b, enhanced_pool.wait_any(ARRAY[:c]) = :c AS c;
SELECT enhanced_pool.wait_any(ARRAY[:a, :b, :c]) = CASE g % 2 WHEN 1 THEN :b ELSE :c END AS turn FROM generate_series(1, 4) g;
SELECT enhanced_pool.get_count(:b), enhanced_pool.get_count(:c), enhanced_pool.wait_any(ARRAY[:a, :b, :c], '0');
-- given back with a statement that is under way
SELECT enhanced_pool.release(:a), enhanced_pool.release(:b);
SELECT enhanced_pool.send(:c, 'SELECT pg_sleep(30)');
SELECT enhanced_pool.release_all();
COMMIT;
SELECT enhanced_pool.exec('loop', 'SELECT 1');

-- subtransactions: what one sent ends with its abort, what an outer one sent does not
BEGIN;
SELECT lease_of('a') AS a, lease_of('b') AS b \gset
SELECT enhanced_pool.send(:a, 'SELECT 1');
SAVEPOINT s;
SELECT enhanced_pool.send(:b, 'SELECT pg_sleep(30)');
ROLLBACK TO s;
SELECT * FROM enhanced_pool.get_result(:a) AS t(n int);
SELECT refusal(format('SELECT enhanced_pool.get_result(%s)', :b));
SELECT enhanced_pool.exec(:b, 'SELECT 1');
-- looked at in an inner one that aborts
SELECT enhanced_pool.send(:a, 'SELECT 2');
SAVEPOINT s;
SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a AS ready, enhanced_pool.is_busy(:a);
ROLLBACK TO s;
SELECT * FROM enhanced_pool.get_result(:a) AS t(n int);
-- taken in an inner one that aborts: taken
SELECT enhanced_pool.send(:a, 'SELECT 3');
SAVEPOINT s;
SELECT * FROM enhanced_pool.get_result(:a) AS t(n int);
ROLLBACK TO s;
SELECT refusal(format('SELECT enhanced_pool.get_result(%s)', :a));
-- an error while it is taken in an inner one
SELECT enhanced_pool.send(:a, 'SELECT g FROM generate_series(1, 100000) g');
SELECT left(error_of(format('SELECT * FROM enhanced_pool.get_result(%s) AS t(a int, b int)', :a)), 5);
SELECT refusal(format('SELECT enhanced_pool.get_result(%s)', :a));
-- sent in an inner one that is released, and whose parent aborts
SAVEPOINT s;
SAVEPOINT t;
SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(30)');
RELEASE t;
SELECT enhanced_pool.is_busy(:a);
ROLLBACK TO s;
SELECT refusal(format('SELECT enhanced_pool.get_result(%s)', :a));
SAVEPOINT t;
SELECT enhanced_pool.send(:a, 'SELECT 4');
RELEASE t;
RELEASE s;
SELECT * FROM enhanced_pool.get_result(:a) AS t(n int);
COMMIT;

-- a lease with hold keeps what was sent over the commit, not over the abort of who sent it
SELECT enhanced_pool.acquire('loop', hold => true) AS held \gset
SELECT enhanced_pool.send(:held, 'SELECT 1');
SELECT * FROM enhanced_pool.get_result(:held) AS t(n int);
SELECT enhanced_pool.send(:held, 'SELECT 2');
BEGIN;
SELECT enhanced_pool.is_busy(:held) IS NOT NULL AS looked;
SAVEPOINT s;
ROLLBACK TO s;
ROLLBACK;
SELECT * FROM enhanced_pool.get_result(:held) AS t(n int);
BEGIN;
SELECT enhanced_pool.send(:held, 'SELECT pg_sleep(30)');
ROLLBACK;
SELECT refusal(format('SELECT enhanced_pool.get_result(%s)', :held));
SELECT enhanced_pool.exec(:held, 'SELECT 1');
BEGIN;
SELECT enhanced_pool.acquire('loop') AS plain \gset
SELECT enhanced_pool.send(:plain, 'SELECT pg_sleep(30)'), enhanced_pool.send(:held, 'SELECT 3');
COMMIT;
SELECT * FROM enhanced_pool.get_result(:held) AS t(n int);
SELECT count(*) FROM states;

-- LISTEN over a lease
SELECT refusal(format('SELECT enhanced_pool.wait_any(ARRAY[%s], ''0'')', :held));
SELECT * FROM enhanced_pool.get_notify(:held);
SELECT enhanced_pool.exec(:held, 'LISTEN ep_async');
SELECT * FROM enhanced_pool.get_notify(:held);
SELECT enhanced_pool.wait_any(ARRAY[:held], '0');
SELECT enhanced_pool.exec('loop', 'NOTIFY ep_async, ''one''');
SELECT enhanced_pool.wait_any(ARRAY[:held]) = :held AS notified;
SELECT notify_name, be_pid > 0 AS pid, extra FROM enhanced_pool.get_notify(:held);
SELECT enhanced_pool.exec('loop', 'SELECT pg_notify(''ep_async'', ''two '' || g) FROM generate_series(1, 3) g');
SELECT notify_name, extra FROM enhanced_pool.get_notify(:held, '1 min');
-- in the answers to statements of its own, and while one is pending
SELECT enhanced_pool.exec(:held, 'NOTIFY ep_async');
SELECT enhanced_pool.exec(:held, 'SELECT 1');
SELECT notify_name, extra FROM enhanced_pool.get_notify(:held, NULL);
SELECT enhanced_pool.exec(:held, 'NOTIFY ep_async, ''kept''');
SELECT enhanced_pool.send(:held, 'SELECT pg_sleep(30)');
SELECT enhanced_pool.wait_any(ARRAY[:held]) = :held AS kept;
SELECT extra FROM enhanced_pool.get_notify(:held, '1 min');
SELECT extra FROM enhanced_pool.get_notify(:held, '1 min');
SELECT enhanced_pool.wait_any(ARRAY[:held], '0'), enhanced_pool.cancel(:held);
SELECT left(error_of(format('SELECT enhanced_pool.get_count(%s)', :held)), 5);
SELECT error_of(format('SELECT enhanced_pool.get_notify(%s, ''-1 s'')', :held));
SELECT enhanced_pool.exec(:held, 'DISCARD ALL');
SELECT left(error_of(format('SELECT enhanced_pool.wait_any(ARRAY[%s], ''0'')', :held)), 5);
-- those that a lease did not ask for are not the next one's
SELECT enhanced_pool.run_script(:held, 'LISTEN ep_async; NOTIFY ep_async, ''left behind''');
SELECT enhanced_pool.release(:held);
BEGIN;
SELECT count(enhanced_pool.acquire('loop', name => 'n' || g)) FROM generate_series(1, 4) g;
SELECT enhanced_pool.exec(enhanced_pool.acquire('loop', name => 'n1'), 'NOTIFY ep_async, ''to nobody''');
SELECT n.* FROM generate_series(1, 4) g, enhanced_pool.get_notify(enhanced_pool.acquire('loop', name => 'n' || g)) n;
COMMIT;

DROP FUNCTION refusal(text), lease_of(text);
DROP TYPE int_and_text;
DROP VIEW states;
SELECT pid FROM enhanced_pool.leases WHERE pid = pg_backend_pid();
