--
-- What doc/security.md says of SQL: objects that somebody has planted, names and
-- values that look like SQL, whose rights count, and what one role leaves for the next.
--
SET client_min_messages = warning;
\pset null '(null)'

-- What lies in wait: everything that could be found instead of the real thing.
-- Each of them says so by a sequence, which no ROLLBACK undoes.
SELECT $$
CREATE SCHEMA trap;
CREATE SEQUENCE trap.sprung;
CREATE FUNCTION trap.spring() RETURNS bool LANGUAGE sql AS 'SELECT pg_catalog.nextval(''trap.sprung'') > 0';
CREATE FUNCTION trap.set_config(text, text, bool) RETURNS text LANGUAGE sql AS 'SELECT $2 FROM trap.spring()';
CREATE FUNCTION trap.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT ''x'' FROM trap.spring()';
CREATE FUNCTION trap.current_database() RETURNS name LANGUAGE sql AS 'SELECT ''x''::name FROM trap.spring()';
CREATE FUNCTION trap.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT trap.spring()';
CREATE FUNCTION trap.generate_series(int, int) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1 FROM trap.spring()';
CREATE FUNCTION trap.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT NULL::regclass FROM trap.spring()';
CREATE FUNCTION trap.to_jsonb(pg_attribute) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb FROM trap.spring()';
CREATE FUNCTION trap.jsonb_build_object(VARIADIC "any") RETURNS jsonb LANGUAGE internal AS 'jsonb_build_object';
CREATE FUNCTION trap.round(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT 0.0 FROM trap.spring()';
CREATE FUNCTION trap.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz FROM trap.spring()';
CREATE FUNCTION trap.same(text, text) RETURNS bool LANGUAGE sql AS 'SELECT trap.spring()';
CREATE FUNCTION trap.same(name, name) RETURNS bool LANGUAGE sql AS 'SELECT trap.spring()';
CREATE FUNCTION trap.same(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT trap.spring()';
CREATE FUNCTION trap.plus(int, int) RETURNS int LANGUAGE sql AS 'SELECT 0 FROM trap.spring()';
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.same);
CREATE OPERATOR trap.= (LEFTARG = name, RIGHTARG = name, FUNCTION = trap.same);
CREATE OPERATOR trap.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = trap.same);
CREATE OPERATOR trap.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = trap.plus);
CREATE DOMAIN trap.text AS pg_catalog.text CHECK (trap.spring());
CREATE DOMAIN trap.jsonb AS pg_catalog.jsonb CHECK (trap.spring());
CREATE DOMAIN trap.bool AS pg_catalog.bool CHECK (trap.spring());
CREATE VIEW trap.pg_attribute AS SELECT attrelid, attname, attnum, attisdropped FROM pg_catalog.pg_attribute WHERE trap.spring();
CREATE VIEW trap.pg_foreign_server AS SELECT * FROM pg_catalog.pg_foreign_server WHERE trap.spring();
CREATE VIEW trap.pg_user_mapping AS SELECT * FROM pg_catalog.pg_user_mapping WHERE trap.spring();
GRANT ALL ON SCHEMA trap TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA trap TO PUBLIC; GRANT ALL ON SEQUENCE trap.sprung TO PUBLIC;
$$ AS traps \gset

--
-- Locally: in front of pg_catalog in the search_path of whoever calls
--
:traps
SELECT define_pool('safe', $$max_size '2', initial_size '1', min_size '1', target_session_attrs 'any', propagate_settings 'app.tenant'$$);
SELECT enhanced_pool.exec('safe', 'CREATE TABLE safe (id int, name text)');
SET search_path = trap, public, pg_catalog;
DO $$
DECLARE
  it record;
BEGIN
  FOR it IN SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) 'enhanced_pool'::regnamespace::pg_catalog.oid AND c.relkind OPERATOR(pg_catalog.=) 'v' LOOP
    EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM enhanced_pool.%I', it.relname);
  END LOOP;
END $$;
SELECT pg_catalog.length(enhanced_pool.get_metrics()::pg_catalog.text) OPERATOR(pg_catalog.>) 0 AS metrics;
SELECT pg_catalog.length(enhanced_pool.get_detailed_metrics('safe')::pg_catalog.text) OPERATOR(pg_catalog.>) 0 AS details;
SELECT pg_catalog.length(enhanced_pool.dashboard()) OPERATOR(pg_catalog.>) 0 AS dashboard;
SELECT enhanced_pool.configure_pool('safe', '{"max_size": 3}'::pg_catalog.jsonb);
SELECT enhanced_pool.exec('safe', 'SELECT 1');
SELECT enhanced_pool.copy_to('safe', 'safe', $$VALUES (1, 'a'), (2, 'b')$$);
SELECT pg_catalog.count(*) FROM enhanced_pool.run_parallel('safe', ARRAY['SELECT 1', 'SELECT 2']::pg_catalog.text[]);
SELECT healthy FROM enhanced_pool.health_check('safe');
RESET search_path;
SELECT is_called AS sprung_locally FROM trap.sprung;
-- they would have sprung
SET search_path = trap, public, pg_catalog;
SELECT current_database();
RESET search_path;
SELECT is_called AS sprung_locally FROM trap.sprung;
DROP SCHEMA trap CASCADE;

-- What is written in SQL says itself where to look, and runs with nobody else's rights
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
  WHERE p.pronamespace = 'enhanced_pool'::regnamespace
    AND (p.prosecdef OR l.lanname NOT IN ('c', 'sql') OR (l.lanname = 'sql' AND p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']));
-- and nobody but the owner can put anything there
SELECT acl.grantee::regrole, acl.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) acl
  WHERE n.nspname = 'enhanced_pool' AND acl.grantee <> n.nspowner AND (acl.privilege_type <> 'USAGE' OR acl.is_grantable);

--
-- On the remote: in front of pg_catalog in the search_path of the remote user
--
SELECT current_database() AS local_db \gset
\c ep_remote
SET client_min_messages = warning;
:traps
ALTER ROLE regress_ep_remote IN DATABASE ep_remote SET search_path = trap, public, pg_catalog;
-- and backslashes mean something in literals
ALTER ROLE regress_ep_remote IN DATABASE ep_remote SET standard_conforming_strings = off;
ALTER TABLE safe OWNER TO regress_ep_remote;
\c :local_db
SET client_min_messages = warning;
\pset null '(null)'
SELECT define_pool('trapped', $$max_size '2', initial_size '1', min_size '1', target_session_attrs 'read-write', validation_interval '1ms', propagate_settings 'app.tenant'$$, 'regress_ep_app');
SET ROLE regress_ep_app;
SET app.tenant = 'red';
SELECT enhanced_pool.exec('trapped', 'INSERT INTO safe VALUES (3, ''c'')');
SELECT enhanced_pool.exec('trapped', 'VACUUM safe');
SELECT enhanced_pool.copy_to('trapped', 'safe', $$VALUES (4, 'd')$$);
SELECT enhanced_pool.copy_to('trapped', 'safe', $$VALUES ('e', 5)$$, ARRAY['name', 'id']);
CREATE TEMP TABLE fetched (id int, name text);
SELECT enhanced_pool.copy_from('trapped', 'SELECT id, name FROM safe', 'fetched');
SELECT command, row_count FROM enhanced_pool.run_in_transaction('trapped', ARRAY['SELECT 1', 'SELECT 2']);
BEGIN;
SELECT enhanced_pool.session('trapped', name => 'named') AS session \gset
SELECT enhanced_pool.exec(:session, 'SELECT 1');
SAVEPOINT s;
SELECT enhanced_pool.exec(:session, 'SELECT 1');
ROLLBACK TO s;
SELECT enhanced_pool.exec(:session, 'SELECT 1');
COMMIT;
-- a sign that makes the worker ask what the host is
BEGIN;
SELECT enhanced_pool.acquire('trapped') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN READ ONLY');
SELECT left(error_of(format($$SELECT enhanced_pool.exec(%s, 'INSERT INTO safe VALUES (6)')$$, :lease)), 5);
COMMIT;
SELECT enhanced_pool.exec('trapped', 'SELECT 1');
DO $$
BEGIN
  WHILE (SELECT sum(validation_count) FROM enhanced_pool.pool_metrics WHERE pool = 'trapped') < 3 LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$;
RESET ROLE;
SELECT * FROM enhanced_pool.execute('safe', 'SELECT is_called FROM trap.sprung') AS t(sprung_remotely bool);
SET ROLE regress_ep_app;
SELECT enhanced_pool.exec('trapped', 'SELECT current_database()');
RESET ROLE;
SELECT * FROM enhanced_pool.execute('safe', 'SELECT is_called FROM trap.sprung') AS t(sprung_remotely bool);

--
-- Names and values that look like SQL, to a remote for which a backslash is special
--
CREATE FUNCTION seen_name(lease bigint) RETURNS text LANGUAGE sql AS $$
  SELECT * FROM enhanced_pool.execute(lease, 'SELECT pg_catalog.current_setting($1)', 'application_name') AS t(name text)
$$;
-- as application_name has it; servers from 16 on write control characters as numbers
CREATE FUNCTION as_shown(name text) RETURNS text LANGUAGE sql AS $$
  SELECT replace('enhanced_pool/trapped/' || name, E'\n', CASE WHEN current_setting('server_version_num')::int < 160000 THEN '?' ELSE '\x0a' END)
$$;
CREATE VIEW evil AS SELECT * FROM (VALUES
  (1, $$'; DROP TABLE safe; --$$), (2, $$\'; DROP TABLE safe; --$$), (3, $$"; DROP TABLE safe; --$$), (4, $$\$$), (5, $$%s%n%S%u$$),
  (6, $$x'); DROP TABLE safe; --$$), (7, E'a\nb'), (8, $$\\'; DROP TABLE safe; --$$)) AS v(n, text);
GRANT SELECT ON evil TO PUBLIC;
SET ROLE regress_ep_app;
SELECT error_of(format('SELECT enhanced_pool.exec(%L, ''SELECT 1'')', text)) FROM evil ORDER BY n;
-- leases and sessions, in application_name
BEGIN;
SELECT n, seen_name(enhanced_pool.acquire('trapped', name => text)) = as_shown(text) AS same, enhanced_pool.release_all() FROM evil ORDER BY n;
COMMIT;
DO $$
DECLARE
  it record;
BEGIN
  FOR it IN SELECT * FROM evil ORDER BY n LOOP
    RAISE WARNING '%', seen_name(enhanced_pool.session('trapped', name => it.text)) = as_shown(it.text);
    COMMIT;
  END LOOP;
END $$;
-- groups
SELECT n, (SELECT rows->0->>'application_name' FROM enhanced_pool.run_parallel('trapped', ARRAY['SHOW application_name'], name => text)) = as_shown(text) AS same FROM evil ORDER BY n;
SELECT n, (SELECT rows->0->>'application_name' FROM enhanced_pool.run_in_transaction('trapped', ARRAY['SHOW application_name'], name => text)) = as_shown(text) AS same FROM evil ORDER BY n;
-- settings that follow
DO $$
DECLARE
  it record;
BEGIN
  FOR it IN SELECT * FROM evil ORDER BY n LOOP
    PERFORM set_config('app.tenant', it.text, false);
    RAISE WARNING '%', (SELECT t.v FROM enhanced_pool.execute('trapped', 'SELECT pg_catalog.current_setting($1)', 'app.tenant') AS t(v text)) = it.text;
  END LOOP;
END $$;
RESET app.tenant;
-- tables and columns
SELECT left(error_of(format($$SELECT enhanced_pool.copy_to('trapped', %L, 'SELECT 1')$$, text)), 80) FROM evil ORDER BY n;
SELECT left(error_of(format($$SELECT enhanced_pool.copy_to('trapped', %L, 'SELECT 1')$$, quote_ident(text))), 80) FROM evil ORDER BY n;
SELECT left(error_of(format($$SELECT enhanced_pool.copy_to('trapped', 'safe', 'SELECT 1', ARRAY[%L])$$, text)), 80) FROM evil ORDER BY n;
SELECT left(error_of(format($$SELECT enhanced_pool.copy_from('trapped', 'SELECT 1', 'fetched', ARRAY[%L])$$, text)), 80) FROM evil ORDER BY n;
SELECT left(error_of($$SELECT enhanced_pool.copy_from('trapped', 'SELECT 1) TO PROGRAM ''true'' --', 'fetched')$$), 80);
SELECT left(error_of($$SELECT enhanced_pool.copy_from('trapped', 'SELECT 1; DROP TABLE safe', 'fetched')$$), 80);
SELECT left(error_of($$SELECT * FROM enhanced_pool.execute('trapped', 'SELECT 1; DROP TABLE safe') AS t(n int)$$), 80);
-- one statement is one statement, and a parameter no part of it
SELECT * FROM enhanced_pool.execute('trapped', 'SELECT $1', $$1'; DROP TABLE safe; --$$) AS t(v text);
RESET ROLE;
-- pools, roles, and what their names make of application_name; the pool that was made so is of use
SELECT 'CREATE ROLE ' || quote_ident('regress_ep_' || text) FROM evil WHERE n IN (1, 2, 5) \gexec
SELECT define_pool(text, $$application_name '%S of %u'$$, 'regress_ep_' || text) FROM evil WHERE n IN (1, 2, 5);
DO $$
DECLARE
  it record;
BEGIN
  FOR it IN SELECT * FROM evil WHERE n IN (1, 2, 5) ORDER BY n LOOP
    EXECUTE format('SET LOCAL ROLE %I', 'regress_ep_' || it.text);
    RAISE WARNING '%', (SELECT v FROM enhanced_pool.execute(it.text, 'SHOW application_name') AS t(v text));
    RESET ROLE;
    PERFORM enhanced_pool.configure_pool(it.text, jsonb_build_object('connect_query', 'SELECT 1', 'application_name', it.text));
  END LOOP;
END $$;
SELECT count(*) AS shown, count(*) FILTER (WHERE state = 'closed') AS closed FROM enhanced_pool.pools p JOIN evil ON p.pool = evil.text WHERE p.role = 'regress_ep_' || evil.text;
SELECT n, p.options FROM evil, LATERAL (SELECT srvoptions[array_upper(srvoptions, 1)] AS options FROM pg_foreign_server WHERE srvname = evil.text) p ORDER BY n;
SELECT format('DROP SERVER %I CASCADE', text), format('DROP ROLE %I', 'regress_ep_' || text) FROM evil WHERE n IN (1, 2, 5) \gexec

-- A value of libpq's is a value: it names no other host or user
SELECT regexp_replace(error_of(format('SELECT define_pool(%L, %L, ''regress_ep_app'')', 'dsn' || n, '')), '^no error$', 'defined') FROM generate_series(1, 2) n;
ALTER SERVER dsn1 OPTIONS (SET dbname 'host=/nowhere user=postgres dbname=ep_remote');
ALTER SERVER dsn2 OPTIONS (SET dbname 'postgresql://postgres@/ep_remote?host=/nowhere');
CREATE FUNCTION connect_detail(pool text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  PERFORM enhanced_pool.exec(pool, 'SELECT 1');
  RETURN 'connected';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN sqlstate || ' ' || regexp_replace(detail, '^.*FATAL', 'FATAL');
END $$;
SET ROLE regress_ep_app;
SELECT connect_detail('dsn1');
SELECT connect_detail('dsn2');
RESET ROLE;
DROP SERVER dsn1, dsn2 CASCADE;
DROP FUNCTION connect_detail;

-- Nothing was dropped
SELECT * FROM enhanced_pool.execute('safe', 'SELECT count(*) FROM safe') AS t(n bigint);

--
-- Whose rights
--
-- an object of a superuser's that runs something lends nobody his pools: a view asks as who reads it
CREATE VIEW of_superuser AS SELECT * FROM enhanced_pool.execute('safe', 'SELECT current_user::text') AS t(who text);
CREATE FUNCTION definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT * FROM enhanced_pool.execute('trapped', 'SELECT current_user::text') AS t(who text) $$;
ALTER FUNCTION definer OWNER TO regress_ep_app;
CREATE FUNCTION invoker() RETURNS text LANGUAGE sql AS $$ SELECT * FROM enhanced_pool.execute('trapped', 'SELECT current_user::text') AS t(who text) $$;
GRANT SELECT ON of_superuser TO PUBLIC;
SET ROLE regress_ep_other;
SELECT error_of('SELECT * FROM of_superuser');
-- a SECURITY DEFINER function has its owner's, SET ROLE those of that role, at each call and whatever was looked up before
SELECT definer(), left(error_of('SELECT invoker()'), 50) AS invoker;
SET ROLE regress_ep_app;
SELECT definer(), invoker();
SET ROLE regress_ep_other;
SELECT definer(), left(error_of('SELECT invoker()'), 50) AS invoker;
SET SESSION AUTHORIZATION regress_ep_app;
SELECT invoker();
RESET SESSION AUTHORIZATION;
-- rights that are taken away are gone at the next call
REVOKE USAGE ON FOREIGN SERVER trapped FROM regress_ep_app;
SET ROLE regress_ep_app;
SELECT left(error_of('SELECT invoker()'), 50) AS invoker;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER trapped TO regress_ep_app;
-- a server of one's own that refers to another needs USAGE on that, too
GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO regress_ep_other;
SET ROLE regress_ep_other;
CREATE SERVER borrowed FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'trapped');
SELECT error_of($$SELECT enhanced_pool.exec('borrowed', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.prewarm('borrowed', 1)$$);
DROP SERVER borrowed;
RESET ROLE;
REVOKE USAGE ON FOREIGN DATA WRAPPER enhanced_pool FROM regress_ep_other;
-- a mapping that a superuser freed from the password is not the mapped role's to point elsewhere
SET ROLE regress_ep_app;
SELECT error_of($$ALTER USER MAPPING FOR CURRENT_USER SERVER trapped OPTIONS (SET user 'postgres')$$);
SELECT error_of($$ALTER USER MAPPING FOR CURRENT_USER SERVER trapped OPTIONS (DROP password)$$);
RESET ROLE;
DROP VIEW of_superuser;
DROP FUNCTION definer, invoker;

--
-- What one local role leaves in a remote session, another does not find, even what no statement shows
--
SELECT define_pool('common', $$max_size '1', initial_size '1', min_size '1'$$, 'regress_ep_app');
DROP USER MAPPING FOR regress_ep_app SERVER common;
CREATE USER MAPPING FOR PUBLIC SERVER common OPTIONS (user 'regress_ep_remote', password 'secret', password_required 'false');
GRANT USAGE ON FOREIGN SERVER common TO regress_ep_other;
SELECT enhanced_pool.exec('safe', $remote$
CREATE FUNCTION leave_behind() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CREATE TEMP TABLE left_behind AS SELECT 'secret' AS a;
  CREATE FUNCTION pg_temp.left_behind() RETURNS int LANGUAGE sql AS 'SELECT 1';
  EXECUTE 'PREPARE left_behind AS SELECT ''secret''';
  EXECUTE 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT ''secret''';
  EXECUTE 'LISTEN left_behind';
  PERFORM pg_catalog.pg_advisory_lock(4711), pg_catalog.set_config('left.behind', 'secret', false), pg_catalog.set_config('search_path', 'pg_temp', false),
    pg_catalog.nextval('trap.sprung');
  SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
END $$;
$remote$);
SELECT enhanced_pool.exec('safe', $remote$
CREATE FUNCTION found() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT 'table ' || c.relname FROM pg_catalog.pg_class c WHERE pg_catalog.pg_table_is_visible(c.oid) AND c.relname OPERATOR(pg_catalog.=) 'left_behind';
  RETURN QUERY SELECT 'function ' || p.proname FROM pg_catalog.pg_proc p WHERE p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema();
  RETURN QUERY SELECT 'statement ' || s.name FROM pg_catalog.pg_prepared_statements s WHERE s.name OPERATOR(pg_catalog.=) 'left_behind';
  RETURN QUERY SELECT 'cursor ' || c.name FROM pg_catalog.pg_cursors c WHERE c.name OPERATOR(pg_catalog.=) 'left_behind';
  RETURN QUERY SELECT 'channel ' || c FROM pg_catalog.pg_listening_channels() c;
  RETURN QUERY SELECT 'lock ' || l.objid FROM pg_catalog.pg_locks l WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid();
  RETURN QUERY SELECT 'setting ' || pg_catalog.current_setting('left.behind', true) WHERE pg_catalog.current_setting('left.behind', true) OPERATOR(pg_catalog.<>) '';
  RETURN QUERY SELECT 'read only' WHERE pg_catalog.current_setting('default_transaction_read_only') OPERATOR(pg_catalog.=) 'on';
  BEGIN
    RETURN QUERY SELECT 'sequence' FROM pg_catalog.lastval();
  EXCEPTION WHEN OTHERS THEN NULL;
  END;
END $$;
$remote$);
SELECT enhanced_pool.exec('safe', $$ALTER ROLE regress_ep_remote IN DATABASE ep_remote RESET search_path$$);
SELECT enhanced_pool.close_pool('common');
SET ROLE regress_ep_app;
SELECT enhanced_pool.exec('common', 'SELECT leave_behind()');
SELECT * FROM enhanced_pool.execute('common', 'SELECT public.found()') AS t(found text);
SET ROLE regress_ep_other;
SELECT * FROM enhanced_pool.execute('common', 'SELECT public.found()') AS t(found text);
RESET ROLE;

-- Nor does the same role with its next statement, though the tag of this one says SELECT
SELECT statement, t.* FROM unnest(ARRAY['CREATE TEMP TABLE left_behind AS SELECT 1', 'SELECT set_config(''left.behind'', ''x'', false)', 'EXECUTE left_behind']) statement,
  LATERAL (SELECT left(error_of(format('SELECT enhanced_pool.exec(''common'', %L)', statement)), 8) AS run) AS e,
  LATERAL enhanced_pool.execute('common', $$SELECT to_regclass('pg_temp.left_behind') IS NULL, coalesce(current_setting('left.behind', true), '') = '' WHERE $1 <> ''$$, run) AS t(no_table bool, no_setting bool);

-- A setting that cannot follow keeps the statement from running as whoever was there before
SELECT define_pool('refused', $$max_size '1', propagate_settings 'server_version'$$);
SELECT left(error_of(format('SELECT enhanced_pool.%s', call)), 60) FROM unnest(ARRAY[
  $$exec('refused', 'INSERT INTO safe VALUES (100)')$$, $$run_script('refused', 'INSERT INTO safe VALUES (100)')$$,
  $$run_parallel('refused', ARRAY['INSERT INTO safe VALUES (100)'])$$, $$run_in_transaction('refused', ARRAY['INSERT INTO safe VALUES (100)'])$$,
  $$exec(enhanced_pool.session('refused'), 'INSERT INTO safe VALUES (100)')$$, $$exec(enhanced_pool.acquire('refused'), 'INSERT INTO safe VALUES (100)')$$,
  $$copy_to('refused', 'safe', 'VALUES (100, ''x'')')$$]) AS call;
SELECT * FROM enhanced_pool.execute('safe', 'SELECT count(*) FROM safe WHERE id = 100') AS t(n bigint);

SELECT enhanced_pool.exec('safe', 'DROP FUNCTION leave_behind, found');
SELECT enhanced_pool.exec('safe', 'DROP SCHEMA trap CASCADE');
SELECT enhanced_pool.exec('safe', 'DROP TABLE safe');
SELECT enhanced_pool.exec('safe', 'ALTER ROLE regress_ep_remote IN DATABASE ep_remote RESET ALL');
DROP SERVER safe, trapped, common, refused CASCADE;
DROP VIEW evil;
DROP FUNCTION seen_name, as_shown;
