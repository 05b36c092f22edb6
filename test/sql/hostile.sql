--
-- What somebody would try who wants more than is his, or to leave something
-- behind for the next one.
--
SELECT define_pool('hostile', $$max_size '1', initial_size '1', min_size '1', retry_backoff '0'$$);
SELECT enhanced_pool.exec('hostile', 'SELECT 1');

-- State of the session that no SET shows: it does not reach the next statement.
SELECT enhanced_pool.exec('hostile', $$UPDATE pg_settings SET setting = 'left' WHERE name = 'application_name'$$);
SELECT * FROM enhanced_pool.execute('hostile', $$SELECT current_setting('application_name')$$) AS t(name text);
SELECT enhanced_pool.exec('hostile', $$UPDATE "pg_catalog"."pg_settings" SET setting = 'left' WHERE name = 'application_name'$$);
SELECT * FROM enhanced_pool.execute('hostile', $$SELECT current_setting('application_name')$$) AS t(name text);
SELECT enhanced_pool.exec('hostile', $$SELECT U&"set\005fconfig"('ep.left', 'left', false)$$);
SELECT * FROM enhanced_pool.execute('hostile', $$SELECT nullif(current_setting('ep.left', true), '')$$) AS t(value text);
SELECT enhanced_pool.exec('hostile', 'SELECT 1 AS insert INTO pg_temp.left_behind');
SELECT * FROM enhanced_pool.execute('hostile', $$SELECT to_regclass('pg_temp.left_behind') IS NULL$$) AS t(gone bool);
SELECT enhanced_pool.exec('hostile', 'WITH x AS (SELECT 1) SELECT (1) insert INTO pg_temp.left_behind');
SELECT * FROM enhanced_pool.execute('hostile', $$SELECT to_regclass('pg_temp.left_behind') IS NULL$$) AS t(gone bool);
SELECT sum(reset_count) AS resets FROM enhanced_pool.connection_metrics WHERE pool = 'hostile';

-- Texts that would be misread from then on
BEGIN;
SELECT enhanced_pool.acquire('hostile') AS lease \gset
SELECT enhanced_pool.exec(:lease, $$SET DateStyle = 'ISO, DMY'$$), enhanced_pool.exec(:lease, $$SET IntervalStyle = 'iso_8601'$$);
SELECT * FROM enhanced_pool.execute(:lease, $$SELECT daterange('2026-02-01', '2026-03-05'), - interval '1 day 2 hours'$$)
  AS t(range daterange, span interval);
SAVEPOINT a;
SELECT error_of(format($$SELECT enhanced_pool.exec(%s, 'SET DateStyle = German')$$, :lease));
SELECT error_of(format($$SELECT enhanced_pool.exec(%s, 'SELECT 1')$$, :lease));
COMMIT;
SELECT error_of($$SELECT enhanced_pool.exec('hostile', 'SET IntervalStyle = sql_standard')$$);
SELECT enhanced_pool.exec('hostile', 'SELECT 1');

-- The same in an answer that nobody has read: by who goes on with the lease ...
BEGIN;
SELECT enhanced_pool.acquire('hostile') AS lease \gset
SAVEPOINT a;
SELECT enhanced_pool.send(:lease, 'SET DateStyle = German');
SELECT enhanced_pool.wait_any(ARRAY[:lease]) = :lease AS ended;
ROLLBACK TO a;
SELECT error_of(format($$SELECT * FROM enhanced_pool.execute(%s, 'SELECT $1::date', date '2026-02-01') AS t(d date)$$, :lease));
COMMIT;
-- ... and by the next user of a connection that is not reset, if it was left with a whole answer or in the middle of one
SELECT define_pool('hostile_never', $$max_size '1', initial_size '1', min_size '1', reset 'never'$$);
BEGIN;
SELECT enhanced_pool.acquire('hostile_never') AS lease \gset
SELECT enhanced_pool.send(:lease, 'SET DateStyle = German');
SELECT enhanced_pool.wait_any(ARRAY[:lease]) = :lease AS ended;
COMMIT;
SELECT * FROM enhanced_pool.execute('hostile_never', 'SHOW DateStyle') AS t(style text);
BEGIN;
SELECT enhanced_pool.acquire('hostile_never') AS lease \gset
SET LOCAL statement_timeout = '300ms';
SELECT enhanced_pool.run_script(:lease, 'BEGIN; SET DateStyle = German; COMMIT; SELECT pg_sleep(60)');
COMMIT;
SELECT * FROM enhanced_pool.execute('hostile_never', 'SHOW DateStyle') AS t(style text);
-- What was prepared there is not taken for what still is
SELECT * FROM enhanced_pool.execute('hostile_never', 'SELECT 1') AS t(n int);
BEGIN;
SELECT enhanced_pool.acquire('hostile_never') AS lease \gset
SAVEPOINT a;
SELECT enhanced_pool.send(:lease, 'DEALLOCATE ALL');
SELECT enhanced_pool.wait_any(ARRAY[:lease]) = :lease AS ended;
ROLLBACK TO a;
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 1') AS t(n int);
COMMIT;
DROP SERVER hostile_never CASCADE;

-- The same by connect_query; the host's name is not the same everywhere.
CREATE FUNCTION connect_error() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  PERFORM enhanced_pool.exec('hostile', 'SELECT 1');
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN sqlstate || ' ' || regexp_replace(detail, 'host ".*", port \d+: ', '');
END
$$;
ALTER SERVER hostile OPTIONS (ADD connect_query 'SET client_encoding = LATIN1');
SELECT connect_error();
ALTER SERVER hostile OPTIONS (SET connect_query 'SET DateStyle = German');
SELECT connect_error();
ALTER SERVER hostile OPTIONS (SET connect_query 'SET DateStyle = German; RESET DateStyle');
SELECT connect_error();
ALTER SERVER hostile OPTIONS (DROP connect_query);
SELECT connect_error();

-- An answer that was left unread takes no memory here.
SELECT left(error_of($$SELECT * FROM enhanced_pool.execute('hostile', 'SELECT repeat(''x'', 50000000)') AS t(n int)$$), 5);
SELECT sum(total_bytes) < 10000000 AS freed FROM pg_backend_memory_contexts WHERE name = 'TopMemoryContext';

-- A function in an index runs with the rights of the table's owner in whoever's session: it takes no lease there that stays.
GRANT CREATE ON DATABASE :DBNAME TO regress_ep_app;
SET ROLE regress_ep_app;
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  PERFORM enhanced_pool.acquire('app_loop', NULL, true, 'trap' || $1);
  RETURN $1;
END
$$;
CREATE TABLE hostile.t AS SELECT 1 AS x;
SELECT left(error_of('CREATE INDEX ON hostile.t (hostile.trap(x))'), 100);
SELECT hostile.trap(1);
SELECT enhanced_pool.release_all();
RESET ROLE;
SET client_min_messages = error;
DROP SCHEMA hostile CASCADE;
REVOKE CREATE ON DATABASE :DBNAME FROM regress_ep_app;

-- Limits that stand on the mapping for PUBLIC are not lifted by a mapping of one's own that has none.
SELECT define_pool('hostile_base', '', 'regress_ep_app');
CREATE USER MAPPING FOR PUBLIC SERVER hostile_base OPTIONS (user 'regress_ep_remote', password 'secret', password_required 'false');
CREATE SERVER hostile_limited FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'hostile_base');
CREATE USER MAPPING FOR PUBLIC SERVER hostile_limited OPTIONS (query_timeout '100ms', max_size '2');
GRANT USAGE ON FOREIGN SERVER hostile_limited TO regress_ep_app;
SET ROLE regress_ep_app;
SELECT error_of($$SELECT enhanced_pool.exec('hostile_limited', 'SELECT pg_sleep(10)')$$);
SELECT error_of('CREATE USER MAPPING FOR CURRENT_USER SERVER hostile_limited');
SELECT error_of($$CREATE USER MAPPING FOR CURRENT_USER SERVER hostile_limited OPTIONS (query_timeout '0', max_size '2')$$);
CREATE USER MAPPING FOR CURRENT_USER SERVER hostile_limited OPTIONS (query_timeout '100ms', max_size '2');
SELECT error_of('DROP USER MAPPING FOR CURRENT_USER SERVER hostile_limited');
SELECT error_of('DROP OWNED BY CURRENT_USER');
RESET ROLE;

-- "reset never" comes to a shared mapping in no roundabout way
GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO regress_ep_app;
SET ROLE regress_ep_app;
CREATE SERVER hostile_alone FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host 'localhost');
CREATE SERVER hostile_never FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'hostile_alone', reset 'never');
SELECT error_of($$ALTER SERVER hostile_never OPTIONS (SET server 'hostile_base')$$);
SELECT error_of($$ALTER SERVER hostile_never OPTIONS (SET server 'hostile_base', DROP reset, ADD reset_query 'SELECT 1')$$);
ALTER SERVER hostile_never OPTIONS (SET server 'hostile_base', DROP reset, ADD reset_query 'discard all');
RESET ROLE;
DROP SERVER hostile_never, hostile_alone, hostile_limited, hostile_base, hostile CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER enhanced_pool FROM regress_ep_app;
DROP FUNCTION connect_error();
RESET client_min_messages;

-- An error of the remote is not hidden by ours about columns that it then does not send.
SELECT left(error_of($$SELECT * FROM enhanced_pool.execute('loop', 'FETCH ALL FROM nowhere') AS t(n int)$$), 38);
SELECT left(error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SET work_mem = ''1MB''') AS t(n int)$$), 5);
SELECT enhanced_pool.exec('loop', 'SELECT 1');
