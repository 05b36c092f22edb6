--
-- Sessions: a remote transaction that begins, commits and rolls back with the
-- local one.
--
SET client_min_messages = warning;
\pset null '(null)'
CREATE VIEW my_leases AS
  SELECT pool, kind, name, state, hold FROM enhanced_pool.leases WHERE pid = pg_backend_pid() ORDER BY lease;
SELECT count(*) FROM enhanced_pool.run_script('loop', 'DROP TABLE IF EXISTS kept; CREATE TABLE kept (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text)');
-- what is committed on the remote
CREATE FUNCTION kept() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(id::text, ' ' ORDER BY id) FROM enhanced_pool.execute('loop', 'SELECT id FROM kept') AS t(id int)
$$;
CREATE FUNCTION put(session bigint, id int) RETURNS bigint LANGUAGE sql AS $$
  SELECT enhanced_pool.exec(session, 'INSERT INTO kept VALUES ($1)', id)
$$;

-- commit and rollback
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT * FROM my_leases;
SELECT put(:s, 1);
SELECT * FROM my_leases;
SELECT kept();
COMMIT;
SELECT * FROM my_leases;
SELECT kept();
BEGIN;
SELECT put(enhanced_pool.session('loop'), 2);
ROLLBACK;
SELECT kept();
BEGIN;
SELECT put(enhanced_pool.session('loop'), 2);
SELECT 1 / 0;
COMMIT;
SELECT kept();
-- a statement by itself is a transaction
SELECT put(enhanced_pool.session('loop'), 2);
SELECT kept();
SELECT error_of($$SELECT put(enhanced_pool.session('loop'), 3), 1 / (SELECT 0)$$);
SELECT kept();

-- one that runs nothing begins nothing
SELECT query_count FROM enhanced_pool.pool_metrics WHERE pool = 'loop' \gset
BEGIN;
SELECT enhanced_pool.session('loop') > 0 AS opened;
COMMIT;
SELECT query_count - :query_count AS queries FROM enhanced_pool.pool_metrics WHERE pool = 'loop';

-- what it runs is all in one transaction, whatever runs it
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT * FROM enhanced_pool.describe(:s, 'SELECT * FROM kept');
SELECT statement, command, row_count FROM enhanced_pool.run_script(:s, 'INSERT INTO kept VALUES (3); CREATE TABLE made (a int)');
SELECT * FROM enhanced_pool.execute(:s, 'SELECT count(*) FROM made, kept') AS t(n int);
SELECT enhanced_pool.execute_json(:s, 'SELECT max(id) FROM kept');
SELECT * FROM enhanced_pool.execute_as(NULL::int, :s, 'SELECT count(DISTINCT pg_current_xact_id()) FROM kept');
ROLLBACK;
SELECT kept(), (SELECT m FROM enhanced_pool.execute('loop', 'SELECT to_regclass(''made'')') AS t(m text)) AS made;
-- as the first of its statements, too
BEGIN;
SELECT statement, command, row_count FROM enhanced_pool.run_script(enhanced_pool.session('loop'), 'INSERT INTO kept VALUES (3); INSERT INTO kept VALUES (4)');
ROLLBACK;
SELECT kept();

-- isolation and modes
CREATE FUNCTION modes(session bigint) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(', ', i, 'read only ' || r, 'deferrable ' || d) FROM enhanced_pool.execute(session,
    $q$SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), current_setting('transaction_deferrable')$q$) AS t(i text, r text, d text)
$$;
BEGIN;
SELECT modes(enhanced_pool.session('loop'));
SELECT modes(enhanced_pool.session('loop', 'Serializable', name => 'b'));
SELECT modes(enhanced_pool.session('loop', 'repeatable read', true, name => 'c'));
SELECT modes(enhanced_pool.session('loop', read_only => false, name => 'd'));
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT modes(enhanced_pool.session('loop'));
SELECT modes(enhanced_pool.session('loop', 'serializable', name => 'b'));
SELECT error_of($$SELECT enhanced_pool.session('loop', 'read committed', name => 'c')$$);
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT modes(enhanced_pool.session('loop'));
SELECT error_of($$SELECT enhanced_pool.session('loop', 'repeatable read', name => 'b')$$);
SELECT error_of($$SELECT enhanced_pool.session('loop', read_only => false, name => 'b')$$);
SELECT error_of(format('SELECT put(%s, 3)', enhanced_pool.session('loop')));
COMMIT;
BEGIN ISOLATION LEVEL READ UNCOMMITTED;
SELECT modes(enhanced_pool.session('loop', 'read uncommitted'));
COMMIT;
-- read-only later, and only in a subtransaction
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT modes(:s);
SAVEPOINT a;
SET TRANSACTION READ ONLY;
SELECT modes(:s);
SAVEPOINT b;
SELECT modes(:s);
RELEASE b;
SELECT modes(:s);
ROLLBACK TO a;
SELECT modes(:s);
RELEASE a;
SELECT put(:s, 3);
SAVEPOINT a;
SET TRANSACTION READ ONLY;
SELECT modes(:s);
RELEASE a;
SELECT modes(:s);
SET TRANSACTION READ ONLY;
SELECT modes(:s);
ROLLBACK;
SELECT error_of($$SELECT enhanced_pool.session('loop', 'snapshot')$$);
SELECT error_of($$SELECT enhanced_pool.session('loop', '')$$);
SELECT error_of($$SELECT enhanced_pool.session('loop', timeout => '-1 s')$$);
SELECT error_of($$SELECT enhanced_pool.session('loop', name => repeat('x', 64))$$);
SELECT error_of('SELECT enhanced_pool.session(NULL)');

-- the same session, and others
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT enhanced_pool.session('loop') = :s AS same, enhanced_pool.session('loop', name => '') = :s AS empty,
  enhanced_pool.session('loop', 'read committed') = :s AS as_it_is, enhanced_pool.session('loop', name => 'other') = :s AS named,
  enhanced_pool.session('loop', name => 'other') = enhanced_pool.session('loop', name => 'other') AS same_named;
SELECT error_of($$SELECT enhanced_pool.session('loop', 'serializable')$$);
SELECT error_of($$SELECT enhanced_pool.session('loop', read_only => true)$$);
-- a lease of that name is another thing
SELECT enhanced_pool.acquire('loop', name => 'other') = enhanced_pool.session('loop', name => 'other') AS same;
SELECT put(:s, 10), put(enhanced_pool.session('loop', name => 'other'), 11);
SELECT * FROM my_leases;
SELECT * FROM enhanced_pool.execute(enhanced_pool.session('loop', name => 'other'), 'SELECT id, current_setting(''application_name'') FROM kept WHERE id > 9') AS t(id int, name text);
SELECT enhanced_pool.release_all();
SELECT * FROM my_leases;
COMMIT;
SELECT kept();
SELECT DISTINCT t.name FROM generate_series(1, 5), enhanced_pool.execute('loop', 'SHOW application_name') AS t(name text);

-- release
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT enhanced_pool.release(:s);
SELECT enhanced_pool.session('loop') = :s AS same;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT put(:s, 12);
SELECT replace(error_of(format('SELECT enhanced_pool.release(%s)', :s)), :'s', 'N');
SELECT enhanced_pool.release_all();
COMMIT;
SELECT enhanced_pool.release(:s);
SELECT kept();

-- what a session refuses
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT what, left(error_of(format('SELECT enhanced_pool.exec(%s, %L)', :s, what)), 5) FROM unnest(ARRAY['BEGIN', 'COMMIT', 'ROLLBACK', '/* a */ SAVEPOINT s', 'RELEASE s', 'ROLLBACK TO s', 'PREPARE TRANSACTION ''x''', 'SET TRANSACTION READ ONLY', 'START TRANSACTION', 'END', 'ABORT']) what;
SELECT left(error_of(format('SELECT count(*) FROM enhanced_pool.run_script(%s, ''SELECT 1; COMMIT'')', :s)), 5);
SELECT put(:s, 13);
COMMIT;
SELECT kept();

-- savepoints
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SAVEPOINT a;
SELECT put(:s, 20);
ROLLBACK TO a;
SELECT put(:s, 21);
SAVEPOINT b;
SELECT put(:s, 22);
SAVEPOINT c;
SELECT put(:s, 23);
RELEASE c;
SELECT put(:s, 24);
ROLLBACK TO b;
SELECT put(:s, 25);
RELEASE b;
SAVEPOINT d;
SELECT put(:s, 26);
ROLLBACK TO a;
SAVEPOINT e;
SELECT put(:s, 27);
COMMIT;
SELECT kept();
-- many of them, without a statement in most
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT put(:s, 30);
SAVEPOINT a; SAVEPOINT b; SAVEPOINT c; SAVEPOINT d;
SELECT put(:s, 31);
ROLLBACK TO c;
ROLLBACK TO b;
RELEASE b;
SAVEPOINT x; SAVEPOINT y;
RELEASE y;
SELECT put(:s, 32);
ROLLBACK TO a;
COMMIT;
SELECT kept();
-- an error rolls back no more than its own subtransaction
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT put(:s, 40);
SAVEPOINT a;
SELECT put(:s, 41);
SAVEPOINT b;
SELECT enhanced_pool.exec(:s, 'SELECT 1 / 0');
ROLLBACK TO b;
SELECT put(:s, 42);
RELEASE b;
SELECT enhanced_pool.exec(:s, 'no such statement');
ROLLBACK TO a;
SELECT put(:s, 43);
COMMIT;
SELECT kept();
-- the last thing that happens is one
BEGIN;
SELECT put(enhanced_pool.session('loop'), 50);
SAVEPOINT a;
SELECT put(enhanced_pool.session('loop'), 51);
SELECT enhanced_pool.exec(enhanced_pool.session('loop'), 'SELECT 1 / 0');
ROLLBACK TO a;
COMMIT;
BEGIN;
SAVEPOINT a;
SELECT put(enhanced_pool.session('loop'), 52);
RELEASE a;
SAVEPOINT b;
SELECT put(enhanced_pool.session('loop'), 53);
SELECT * FROM no_such_table;
ROLLBACK TO b;
COMMIT;
SELECT kept();
-- of the session that was opened in it
BEGIN;
SAVEPOINT a;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT put(:s, 60);
SAVEPOINT b;
SELECT put(:s, 61);
ROLLBACK TO a;
SELECT left(error_of(format('SELECT put(%s, 62)', :s)), 5);
SELECT put(enhanced_pool.session('loop'), 63);
COMMIT;
SELECT kept();
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT put(:s, 64);
RELEASE b;
SAVEPOINT b;
SELECT put(:s, 65);
ROLLBACK TO b;
SELECT put(:s, 66);
RELEASE b;
RELEASE a;
SELECT put(:s, 67);
COMMIT;
SELECT kept();
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT put(enhanced_pool.session('loop'), 68);
RELEASE b;
ROLLBACK TO a;
COMMIT;
SELECT kept();
-- released in a subtransaction, opened again
BEGIN;
SELECT enhanced_pool.release(enhanced_pool.session('loop'));
SAVEPOINT a;
SELECT enhanced_pool.release(enhanced_pool.session('loop'));
SAVEPOINT b;
SELECT put(enhanced_pool.session('loop'), 70);
RELEASE b;
SAVEPOINT c;
SELECT put(enhanced_pool.session('loop'), 71);
ROLLBACK TO c;
COMMIT;
SELECT kept();

-- exception blocks
DO $$
DECLARE
  s bigint := enhanced_pool.session('loop');
BEGIN
  FOR i IN 100..120 LOOP
    BEGIN
      PERFORM put(s, i);
      IF i % 2 = 0 THEN
        RAISE division_by_zero;
      ELSIF i % 3 = 0 THEN
        PERFORM put(s, i / (i % 3));
      ELSIF i % 5 = 0 THEN
        PERFORM enhanced_pool.exec(s, 'SELECT 1 / 0');
      END IF;
    EXCEPTION WHEN division_by_zero THEN
      NULL;
    END;
  END LOOP;
END
$$;
SELECT kept();
-- to some depth
SELECT count(*) FROM enhanced_pool.run_script('loop', 'TRUNCATE kept');
CREATE FUNCTION nest(s bigint, depth int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF depth % 3 = 0 THEN
    PERFORM put(s, depth);
  END IF;
  IF depth < 60 THEN
    PERFORM nest(s, depth + 1);
  END IF;
  IF depth = 30 THEN
    RAISE 'no deeper';
  END IF;
EXCEPTION WHEN raise_exception THEN
  PERFORM put(s, depth * 1000);
END
$$;
DO $$ BEGIN PERFORM nest(enhanced_pool.session('loop'), 1); END $$;
SELECT kept();

-- procedures
SELECT count(*) FROM enhanced_pool.run_script('loop', 'TRUNCATE kept');
CREATE PROCEDURE in_parts() LANGUAGE plpgsql AS $$
DECLARE
  first bigint;
  s bigint;
BEGIN
  FOR i IN 1..6 LOOP
    s := enhanced_pool.session('loop');
    PERFORM put(s, i);
    IF i = 1 THEN
      first := s;
    ELSIF i > 2 THEN
      ASSERT error_of(format('SELECT put(%s, 0)', first)) LIKE '08003%';
    END IF;
    IF i % 2 = 0 THEN
      COMMIT;
    ELSIF i % 3 = 0 THEN
      ROLLBACK;
    END IF;
  END LOOP;
END
$$;
CALL in_parts();
SELECT kept();

-- an error at the remote's COMMIT is the local transaction's
CREATE TABLE local_side (id int);
BEGIN;
INSERT INTO local_side VALUES (1);
SELECT put(enhanced_pool.session('loop'), 1), put(enhanced_pool.session('loop'), 7);
COMMIT;
SELECT count(*) FROM local_side;
SELECT kept();
-- with several sessions it is found before any is committed
BEGIN;
INSERT INTO local_side VALUES (1);
SELECT put(enhanced_pool.session('loop', name => 'a'), 20), put(enhanced_pool.session('loop', name => 'b'), 1), put(enhanced_pool.session('loop', name => 'c'), 21);
COMMIT;
SELECT count(*) FROM local_side;
SELECT kept();
-- deferred triggers use sessions, and may open them
CREATE FUNCTION forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM put(enhanced_pool.session('loop'), NEW.id);
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER forward AFTER INSERT ON local_side DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION forward();
INSERT INTO local_side VALUES (30), (31);
INSERT INTO local_side VALUES (32), (1);
SELECT kept();
SELECT * FROM local_side ORDER BY id;
DROP TABLE local_side;

-- two-phase commit is not for what has a session
BEGIN;
SELECT put(enhanced_pool.session('loop'), 40);
\set VERBOSITY terse
PREPARE TRANSACTION 'with_session';
\set VERBOSITY default
SELECT kept();

-- only what may leave something behind is reset
SELECT define_pool('solo', $$max_size '1', initial_size '1', min_size '1'$$);
SELECT enhanced_pool.exec('solo', 'SELECT 1');
SELECT reset_count FROM enhanced_pool.pool_metrics WHERE pool = 'solo' \gset
BEGIN;
SELECT put(enhanced_pool.session('solo', name => 'named'), 50);
SAVEPOINT a;
SELECT * FROM enhanced_pool.execute(enhanced_pool.session('solo', name => 'named'), 'SELECT count(*) > 0 FROM kept') AS t(found bool);
RELEASE a;
COMMIT;
SELECT enhanced_pool.exec('solo', 'SELECT 1');
SELECT reset_count - :reset_count AS resets FROM enhanced_pool.pool_metrics WHERE pool = 'solo';
BEGIN;
SELECT enhanced_pool.exec(enhanced_pool.session('solo'), 'SET work_mem = ''1234kB''');
COMMIT;
SELECT DISTINCT t.v = '1234kB' AS left_behind FROM generate_series(1, 5), enhanced_pool.execute('solo', 'SHOW work_mem') AS t(v text);
DROP SERVER solo CASCADE;

-- cursors
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SELECT enhanced_pool.exec(:s, 'DECLARE c CURSOR FOR SELECT g FROM generate_series(1, 5) g');
SELECT * FROM enhanced_pool.execute(:s, 'FETCH 2 FROM c') AS t(g int);
SAVEPOINT a;
SELECT * FROM enhanced_pool.execute(:s, 'FETCH 2 FROM c') AS t(g int);
RELEASE a;
SELECT * FROM enhanced_pool.execute(:s, 'FETCH 2 FROM c') AS t(g int);
COMMIT;

-- rights: another role's number is of no use, and its session another one
BEGIN;
SELECT enhanced_pool.session('loop') AS s \gset
SET LOCAL ROLE regress_ep_app;
SELECT left(error_of(format('SELECT put(%s, 60)', :s)), 5);
ROLLBACK;

SELECT count(*) FROM enhanced_pool.run_script('loop', 'DROP TABLE kept');
DROP PROCEDURE in_parts;
DROP FUNCTION nest, forward, modes, put, kept;
DROP VIEW my_leases;
