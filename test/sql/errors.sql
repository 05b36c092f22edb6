--
-- Errors: those of the remote, whole; those of our own; what follows from them.
--
SET client_min_messages = warning;
\pset null '(null)'
\pset format unaligned
\pset tuples_only on
SELECT define_pool('one', $$max_size '1', initial_size '1', min_size '1'$$);
SELECT count(*) FROM enhanced_pool.run_script('loop', $$
  DROP SCHEMA IF EXISTS wrong CASCADE;
  CREATE SCHEMA wrong;
  CREATE DOMAIN wrong.positive AS int CONSTRAINT is_positive CHECK (VALUE > 0);
  CREATE TABLE wrong.t (id int CONSTRAINT t_key PRIMARY KEY, must int NOT NULL, small int CONSTRAINT is_small CHECK (small < 10), p wrong.positive);
  CREATE TABLE wrong.ref (id int CONSTRAINT ref_fk REFERENCES wrong.t);
  INSERT INTO wrong.t VALUES (1, 1, 1, 1);
  CREATE FUNCTION wrong.raises(state text, message text, detail text, hint text) RETURNS int LANGUAGE plpgsql AS 'BEGIN
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail, HINT = hint, SCHEMA = ''s'', TABLE = ''t'', COLUMN = ''c'', DATATYPE = ''d'', CONSTRAINT = ''k'';
  END';
  CREATE FUNCTION wrong.says(level text, message text) RETURNS int LANGUAGE plpgsql AS 'BEGIN
    CASE level WHEN ''notice'' THEN RAISE NOTICE ''%'', message USING DETAIL = ''a detail'', HINT = ''a hint''; WHEN ''warning'' THEN RAISE WARNING ''%'', message;
      WHEN ''info'' THEN RAISE INFO ''%'', message; WHEN ''debug'' THEN RAISE DEBUG ''%'', message; WHEN ''log'' THEN RAISE LOG ''%'', message; END CASE;
    RETURN 1;
  END';
$$);

-- The remote's errors: code, message, detail, hint, object, context
SELECT error_of($$SELECT enhanced_pool.exec('one', 'INSERT INTO wrong.t VALUES (1, 1)')$$);
SELECT error_of($$SELECT enhanced_pool.exec('one', 'INSERT INTO wrong.t VALUES (2, NULL)')$$);
SELECT error_of($$SELECT enhanced_pool.exec('one', 'INSERT INTO wrong.t VALUES ($1, 1, $2)', 2, 11)$$);
SELECT error_of($$SELECT enhanced_pool.exec('one', 'INSERT INTO wrong.t VALUES (2, 1, 1, -1)')$$);
SELECT error_of($$SELECT enhanced_pool.exec('one', 'INSERT INTO wrong.ref VALUES (7)')$$);
SELECT error_of($$SELECT enhanced_pool.exec('one', 'SELECT wrong.raises(''22012'', ''a message'', ''a detail'', ''a hint'')')$$);
SELECT error_of($$SELECT enhanced_pool.exec('one', 'SELECT wrong.raises(''ZZ123'', ''100% %s %m'', '''', ''%'')')$$);
SELECT error_of($$SELECT enhanced_pool.run_script('one', 'SELECT 1; SELECT wrong.raises(''P0001'', ''in a script'', '''', '''')')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json('one', 'SELECT nothing')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json('one', 'SELECT * FROM no.where')$$);
SELECT error_of($$SELECT enhanced_pool.exec('one', 'SELECT 1 / $1', 0)$$);
-- the position of an error is one in the remote statement
SELECT enhanced_pool.exec('one', 'SELECT 1, nothing, 2');
-- of a long statement the beginning is shown
SELECT length(error_of(format('SELECT enhanced_pool.exec(''one'', %L)', 'SELECT 1 / 0 AS ' || repeat('x', 60) || ', ' || repeat('1, ', 10000) || '1'))) BETWEEN 1000 AND 1200;
-- the connection is at rest after each
SELECT * FROM enhanced_pool.execute('one', 'SELECT count(*) FROM wrong.t') AS t(n int);
SELECT query_errors > 0 FROM enhanced_pool.pool_metrics WHERE pool = 'one';

-- What it remarks passes through
SET client_min_messages = notice;
SELECT enhanced_pool.exec('one', 'SELECT wrong.says(''notice'', ''a notice'')');
SELECT enhanced_pool.exec('one', 'SELECT wrong.says(''warning'', ''100% a warning'')');
SELECT enhanced_pool.exec('one', 'SELECT wrong.says(''info'', ''for information'')');
SELECT enhanced_pool.exec('one', 'SELECT wrong.says(''debug'', ''not asked for'')');
SELECT enhanced_pool.exec('one', 'CREATE TABLE IF NOT EXISTS wrong.t (a int)');
SELECT * FROM enhanced_pool.run_script('one', 'SELECT 1; SELECT wrong.says(''notice'', ''in a script'')');
SELECT enhanced_pool.exec('one', 'SELECT count(wrong.says(''notice'', ''number '' || g)) FROM generate_series(1, 2) g');
SET client_min_messages = warning;
SELECT enhanced_pool.exec('one', 'SELECT wrong.says(''notice'', ''not wanted'')');

-- last_remote_error: of what aborted the last aborted (sub)transaction
\c -
SET client_min_messages = warning;
\pset null '(null)'
SELECT count(*) FROM enhanced_pool.last_remote_error();
SELECT enhanced_pool.exec('one', 'INSERT INTO wrong.t VALUES (1, 1)');
SELECT * FROM enhanced_pool.last_remote_error();
-- it stays until the next abort, a commit does not matter
SELECT enhanced_pool.exec('one', 'SELECT 1');
SELECT sqlstate FROM enhanced_pool.last_remote_error();
SELECT enhanced_pool.exec('loop', 'SELECT wrong.raises(''ZZ123'', ''a message'', ''a detail'', ''a hint'')');
SELECT * FROM enhanced_pool.last_remote_error();
-- a local error
SELECT 1 / 0;
SELECT count(*) FROM enhanced_pool.last_remote_error();
-- an error of ours that no remote raised
SELECT enhanced_pool.exec('one', 'BEGIN');
SELECT count(*) FROM enhanced_pool.last_remote_error();
-- in a handler
DO $$
DECLARE
  e record;
BEGIN
  BEGIN
    PERFORM enhanced_pool.exec('one', 'INSERT INTO wrong.t VALUES (1, 1)');
  EXCEPTION WHEN unique_violation THEN
    SELECT * INTO e FROM enhanced_pool.last_remote_error();
    RAISE WARNING '% % % %', e.pool, e.sqlstate, e.detail, e.constraint_name;
  END;
  BEGIN
    RAISE EXCEPTION 'of our own';
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING '%', (SELECT count(*) FROM enhanced_pool.last_remote_error());
  END;
  BEGIN
    PERFORM enhanced_pool.exec('one', 'SELECT 1 / 0');
  EXCEPTION WHEN division_by_zero THEN
    BEGIN
      RAISE EXCEPTION 'in the handler';
    EXCEPTION WHEN raise_exception THEN
      RAISE WARNING '%', (SELECT count(*) FROM enhanced_pool.last_remote_error());
    END;
  END;
END
$$;
-- raised again it is still the same
DO $$
BEGIN
  PERFORM enhanced_pool.exec('one', 'SELECT 1 / 0');
EXCEPTION WHEN division_by_zero THEN
  RAISE;
END
$$;
SELECT pool, sqlstate, message FROM enhanced_pool.last_remote_error();
-- the end of a transaction by ROLLBACK is an abort without an error
BEGIN;
ROLLBACK;
SELECT count(*) FROM enhanced_pool.last_remote_error();
BEGIN;
SAVEPOINT a;
SELECT enhanced_pool.exec('one', 'SELECT 1 / 0');
ROLLBACK TO a;
SELECT sqlstate FROM enhanced_pool.last_remote_error();
COMMIT;
SELECT sqlstate FROM enhanced_pool.last_remote_error();

-- Time-outs: 57014, and the connection is as good as before
SET enhanced_pool.query_timeout = '100ms';
SELECT error_of($$SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(60)')$$);
RESET enhanced_pool.query_timeout;
SELECT enhanced_pool.exec('one', 'SELECT 1');
-- on a lease the value of the moment counts
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SET LOCAL enhanced_pool.query_timeout = '200ms';
SELECT split_part(error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT pg_sleep(60)'')', :lease)), E'\n', 1);
SELECT split_part(error_of(format('SELECT enhanced_pool.run_script(%s, ''SELECT 1; SELECT pg_sleep(60)'')', :lease)), E'\n', 1);
SET LOCAL enhanced_pool.query_timeout = 0;
SELECT enhanced_pool.exec(:lease, 'SELECT 1 FROM pg_sleep(0.3)');
COMMIT;
SET statement_timeout = '100ms';
SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(60)');
RESET statement_timeout;
SELECT enhanced_pool.exec('one', 'SELECT 1');
-- one of the remote's own
SELECT error_of($$SELECT enhanced_pool.run_script('one', 'SET statement_timeout = ''20ms''; SELECT pg_sleep(60)')$$);
SELECT define_pool('quick', $$max_size '1', query_timeout '100ms'$$);
SELECT split_part(error_of($$SELECT enhanced_pool.exec('quick', 'SELECT pg_sleep(60)')$$), E'\n', 1);

-- Connections that end
SELECT error_of($$SELECT enhanced_pool.exec('one', 'SELECT pg_terminate_backend(pg_backend_pid())')$$);
SELECT enhanced_pool.exec('one', 'SELECT 1');
BEGIN;
SELECT enhanced_pool.acquire('one') AS lease \gset
SELECT left(error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT pg_terminate_backend(pg_backend_pid())'')', :lease)), 5);
SELECT left(error_of(format('SELECT enhanced_pool.exec(%s, ''SELECT 1'')', :lease)), 5);
SELECT enhanced_pool.release(:lease);
COMMIT;
SELECT enhanced_pool.exec('one', 'SELECT 1');
-- one that ends while it is idle is noticed before the next statement
SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int) \gset
SELECT pg_terminate_backend(:pid, 60000);
SELECT enhanced_pool.exec('one', 'SELECT 1');
-- what may not be changed
SELECT error_of($$SELECT enhanced_pool.exec('one', 'SET client_encoding = ''LATIN1''')$$);
SELECT enhanced_pool.exec('one', 'SELECT 1');

-- No connection at all: 08001, or what the remote says
CREATE SERVER nobody FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host '/nonexistent', retry_attempts '1', retry_backoff '10ms');
CREATE USER MAPPING FOR CURRENT_USER SERVER nobody;
SELECT split_part(error_of($$SELECT enhanced_pool.exec('nobody', 'SELECT 1')$$), E'\n', 1);
SELECT error_of($$SELECT enhanced_pool.exec('nobody', 'SELECT 1')$$) ~ 'detail: .*/nonexistent' AS tells_why;
SELECT define_pool('nowhere', $$retry_attempts '1'$$);
ALTER SERVER nowhere OPTIONS (SET dbname 'ep_not_there');
SELECT split_part(error_of($$SELECT enhanced_pool.exec('nowhere', 'SELECT 1')$$), E'\n', 1);
-- a connect_query that fails
SELECT define_pool('refused', $$retry_attempts '1', connect_query 'SELECT 1 / 0'$$);
SELECT error_of($$SELECT enhanced_pool.exec('refused', 'SELECT 1')$$) ~ '^08001 .*division by zero' AS refused;

-- Pools, mappings, rights
SELECT error_of($$SELECT enhanced_pool.exec('nothing', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.exec('17', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.exec('app_loop', 'SELECT 1')$$) LIKE '42704 user mapping not found%' AS no_mapping;
GRANT EXECUTE ON FUNCTION error_of TO regress_ep_app, regress_ep_other;
SET ROLE regress_ep_other;
SELECT error_of($$SELECT enhanced_pool.exec('app_loop', 'SELECT 1')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER app_loop TO regress_ep_other;
SET ROLE regress_ep_other;
SELECT error_of($$SELECT enhanced_pool.exec('app_loop', 'SELECT 1')$$);
RESET ROLE;
CREATE USER MAPPING FOR PUBLIC SERVER app_loop OPTIONS (user 'regress_ep_remote', password 'secret', password_required 'false');
SET ROLE regress_ep_other;
SELECT enhanced_pool.exec('app_loop', 'SELECT 1');
-- the right is looked at each time
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER app_loop FROM regress_ep_other;
SET ROLE regress_ep_other;
SELECT split_part(error_of($$SELECT enhanced_pool.exec('app_loop', 'SELECT 1')$$), E'\n', 1);
RESET ROLE;
-- a role's own mapping wins over PUBLIC's
GRANT USAGE ON FOREIGN SERVER app_loop TO regress_ep_other;
CREATE USER MAPPING FOR regress_ep_other SERVER app_loop OPTIONS (user 'regress_ep_other', password 'secret', password_required 'false');
SET ROLE regress_ep_other;
SELECT * FROM enhanced_pool.execute('app_loop', 'SELECT current_user::text') AS t(who text);
RESET ROLE;
SET ROLE regress_ep_app;
SELECT * FROM enhanced_pool.execute('app_loop', 'SELECT current_user::text') AS t(who text);
RESET ROLE;
-- who is no superuser needs a password, and it must have been asked for
ALTER USER MAPPING FOR regress_ep_other SERVER app_loop OPTIONS (SET password_required 'true');
SET ROLE regress_ep_other;
SELECT left(error_of($$SELECT enhanced_pool.exec('app_loop', 'SELECT 1')$$), 5);
SELECT left(error_of($$SELECT enhanced_pool.exec('app_loop', 'SELECT 1')$$), 5);
RESET ROLE;
ALTER USER MAPPING FOR regress_ep_other SERVER app_loop OPTIONS (DROP password);
SET ROLE regress_ep_other;
SELECT error_of($$SELECT enhanced_pool.exec('app_loop', 'SELECT 1')$$);
RESET ROLE;
DROP USER MAPPING FOR regress_ep_other SERVER app_loop;
DROP USER MAPPING FOR PUBLIC SERVER app_loop;
REVOKE USAGE ON FOREIGN SERVER app_loop FROM regress_ep_other;

-- changed in this very transaction
BEGIN;
SELECT define_pool('new', '');
SELECT error_of($$SELECT enhanced_pool.exec('new', 'SELECT 1')$$);
ALTER SERVER one OPTIONS (ADD query_timeout '10s');
SELECT error_of($$SELECT enhanced_pool.acquire('one')$$);
ROLLBACK;
SELECT enhanced_pool.exec('one', 'SELECT 1');
BEGIN;
ALTER USER MAPPING FOR CURRENT_USER SERVER one OPTIONS (ADD max_size '1');
SELECT split_part(error_of($$SELECT enhanced_pool.exec('one', 'SELECT 1')$$), E'\n', 1);
COMMIT;
SELECT enhanced_pool.exec('one', 'SELECT 1');

-- Servers of other wrappers, directly and by server 'other'
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION dblink;
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['postgres_fdw', 'dblink_fdw'] LOOP
    EXECUTE format('CREATE SERVER by_%I FOREIGN DATA WRAPPER %I OPTIONS (%s, dbname ''ep_remote'')', name, name, remote_options());
    EXECUTE format('CREATE USER MAPPING FOR %I SERVER by_%I OPTIONS (user %L)', current_user, name, current_user);
    EXECUTE format('CREATE USER MAPPING FOR regress_ep_app SERVER by_%I OPTIONS (user ''regress_ep_remote'', password ''secret'')', name);
  END LOOP;
END
$$;
ALTER SERVER by_postgres_fdw OPTIONS (ADD fetch_size '7', ADD use_remote_estimate 'true', ADD extensions 'postgres_fdw');
SELECT * FROM enhanced_pool.execute('by_postgres_fdw', 'SELECT current_database()::text, current_setting(''application_name'')') AS t(db text, name text);
SELECT * FROM enhanced_pool.execute('by_dblink_fdw', 'SELECT current_database()::text, current_setting(''application_name'')') AS t(db text, name text);
SELECT max_size, strategy FROM enhanced_pool.pools WHERE pool = 'by_dblink_fdw' AND role = current_user;
CREATE SERVER via FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'by_postgres_fdw', max_size '2', connect_query 'SET regress.via = ''yes''');
SELECT * FROM enhanced_pool.execute('via', 'SELECT current_setting(''regress.via''), current_user = session_user') AS t(via text, me bool);
-- USAGE on both
GRANT USAGE ON FOREIGN SERVER via TO regress_ep_app;
SET ROLE regress_ep_app;
SELECT error_of($$SELECT enhanced_pool.exec('via', 'SELECT 1')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER by_postgres_fdw TO regress_ep_app;
SET ROLE regress_ep_app;
-- no password was asked for, which here is not allowed
SELECT left(error_of($$SELECT enhanced_pool.exec('via', 'SELECT 1')$$), 5);
RESET ROLE;
ALTER USER MAPPING FOR regress_ep_app SERVER by_postgres_fdw OPTIONS (ADD password_required 'false');
SET ROLE regress_ep_app;
SELECT * FROM enhanced_pool.execute('via', 'SELECT current_user::text') AS t(who text);
RESET ROLE;
-- a mapping of its own carries settings alone
CREATE USER MAPPING FOR regress_ep_app SERVER via OPTIONS (max_size '1');
BEGIN;
SET LOCAL ROLE regress_ep_app;
SELECT enhanced_pool.acquire('via') > 0 AS acquired;
SELECT left(error_of($$SELECT enhanced_pool.acquire('via', '0')$$), 5);
COMMIT;
CREATE SERVER via_via FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'via');
SELECT split_part(error_of($$SELECT enhanced_pool.exec('via_via', 'SELECT 1')$$), E'\n', 1);
CREATE SERVER via_nothing FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'not_there');
SELECT split_part(error_of($$SELECT enhanced_pool.exec('via_nothing', 'SELECT 1')$$), E'\n', 1);
CREATE FOREIGN DATA WRAPPER regress_other;
CREATE SERVER unusable FOREIGN DATA WRAPPER regress_other;
CREATE USER MAPPING FOR CURRENT_USER SERVER unusable;
SELECT error_of($$SELECT enhanced_pool.exec('unusable', 'SELECT 1')$$);
DROP FOREIGN DATA WRAPPER regress_other CASCADE;
DROP SERVER via, via_via, via_nothing CASCADE;
DROP EXTENSION postgres_fdw, dblink CASCADE;

-- reset: auto, always, never; and connect_query before the first use and after each reset
SELECT define_pool('auto', $$max_size '1', min_size '1', initial_size '1', connect_query 'SET regress.state = ''fresh'''$$),
  define_pool('always', $$max_size '1', min_size '1', initial_size '1', reset 'always', connect_query 'SET regress.state = ''fresh'''$$),
  define_pool('never', $$max_size '1', min_size '1', initial_size '1', reset 'never', connect_query 'SET regress.state = ''fresh'''$$),
  define_pool('custom', $$max_size '1', min_size '1', initial_size '1', reset_query 'SET regress.state = ''by the reset query'''$$);
CREATE VIEW states AS
  SELECT pool, state FROM unnest(ARRAY['auto', 'always', 'never', 'custom']) pool, LATERAL enhanced_pool.execute(pool, 'SELECT current_setting(''regress.state'', true)') AS t(state text);
SELECT * FROM states;
-- seen as dirty
SELECT sum(enhanced_pool.exec(pool, 'SET regress.state = ''used''')) FROM unnest(ARRAY['auto', 'always', 'never', 'custom']) pool;
SELECT * FROM states;
-- not seen, within a function: only always is safe from that
SELECT enhanced_pool.exec('loop', 'CREATE FUNCTION wrong.sets() RETURNS text LANGUAGE plpgsql AS ''BEGIN SET regress.state = ''''hidden''''; RETURN NULL; END''');
SELECT sum(enhanced_pool.exec(pool, 'SELECT wrong.sets()')) FROM unnest(ARRAY['auto', 'always', 'never', 'custom']) pool;
SELECT * FROM states;
SELECT pool, reset_count > 0 AS was_reset FROM enhanced_pool.pool_metrics WHERE pool IN ('auto', 'always', 'never', 'custom') ORDER BY pool;
-- auto: before another local role gets the connection
SELECT define_pool('shared', $$max_size '1', initial_size '1', min_size '1'$$, 'regress_ep_app');
DROP USER MAPPING FOR regress_ep_app SERVER shared;
CREATE USER MAPPING FOR PUBLIC SERVER shared OPTIONS (user 'regress_ep_remote', password 'secret', password_required 'false');
GRANT USAGE ON FOREIGN SERVER shared TO regress_ep_other;
CREATE FUNCTION resets(pool text) RETURNS bigint LANGUAGE sql AS 'SELECT reset_count FROM enhanced_pool.pool_metrics m WHERE m.pool = resets.pool AND role = ''public''';
SET ROLE regress_ep_app;
SELECT enhanced_pool.exec('shared', 'SELECT set_config(''regress.state'', ''of app'', true)');
SELECT enhanced_pool.exec('shared', 'SELECT 1'), enhanced_pool.exec('shared', 'SELECT 1');
RESET ROLE;
SELECT resets('shared') AS before \gset
SET ROLE regress_ep_app;
SELECT enhanced_pool.exec('shared', 'SELECT 1');
SET ROLE regress_ep_other;
SELECT enhanced_pool.exec('shared', 'SELECT 1');
SELECT enhanced_pool.exec('shared', 'SELECT 1');
RESET ROLE;
SELECT resets('shared') - :before AS resets;

SELECT enhanced_pool.exec('loop', 'DROP SCHEMA wrong CASCADE');
DROP VIEW states;
DROP FUNCTION resets;
DROP SERVER one, quick, nobody, nowhere, refused, auto, always, never, custom, shared CASCADE;
