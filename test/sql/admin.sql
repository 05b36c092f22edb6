--
-- Administration: who may, what is refused, and what configure_pool makes of its
-- options.  What happens to pools that are in use is tested elsewhere.
--
SET client_min_messages = warning;

CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text; result text;
BEGIN
  EXECUTE statement INTO result;
  RETURN coalesce(nullif(result, ''), 'ok');
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
    detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN state || ' ' || message || coalesce(E'\n  ' || nullif(detail, ''), '') || coalesce(E'\n  ' || nullif(hint, ''), '');
END
$$;

-- a remote that is not there: nothing here connects to it
CREATE ROLE regress_ep_adm_owner;
CREATE ROLE regress_ep_adm_grantee;
CREATE ROLE regress_ep_adm_user;
GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO regress_ep_adm_owner;
SET ROLE regress_ep_adm_owner;
CREATE SERVER adm FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host '127.0.0.1', port '1', min_size '0', initial_size '0');
GRANT USAGE ON FOREIGN SERVER adm TO regress_ep_adm_user;
GRANT USAGE ON FOREIGN SERVER adm TO regress_ep_adm_grantee WITH GRANT OPTION;
CREATE USER MAPPING FOR regress_ep_adm_user SERVER adm OPTIONS (user 'u', password 'p');
CREATE USER MAPPING FOR PUBLIC SERVER adm OPTIONS (user 'u', password 'p');
RESET ROLE;

\pset tuples_only on
\pset format unaligned

CREATE VIEW calls AS SELECT * FROM (VALUES
  ('configure_pool(%s, ''{}'')'), ('pause(%s)'), ('resume(%s)'), ('recycle(%s)'),
  ('close_pool(%s)'), ('prewarm(%s)'), ('reset_stats(%s)'), ('reset_breaker(%s)')) AS v(call);
GRANT SELECT ON calls TO PUBLIC;

-- NULL as pool is an error, but for reset_stats, which means all then
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, 'NULL')) FROM calls WHERE call !~ 'reset_stats';
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', NULL)$$);
SELECT outcome($$SELECT enhanced_pool.terminate_connection(NULL)$$);
SELECT outcome($$SELECT enhanced_pool.reset_stats(NULL, 'public')$$);

-- what is not there
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, '''adm_gone''')) FROM calls;
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, '''adm'', role => ''regress_ep_adm_gone''')) FROM calls;
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, '''adm'', role => ''regress_ep_adm_owner''')) FROM calls WHERE call !~ 'configure';
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{}', 'regress_ep_adm_owner')$$);
SELECT outcome($$SELECT enhanced_pool.pause('adm', '-1s')$$);
SELECT outcome($$SELECT enhanced_pool.prewarm('adm', -1)$$);
SELECT outcome($$SELECT enhanced_pool.pause(repeat('x', 100))$$);

-- Who may: superusers, the owner, and who has USAGE with grant option
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, '''adm''')) FROM calls WHERE call ~ 'configure|resume|recycle|close|reset';
SET ROLE regress_ep_adm_owner;
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, '''adm''')) FROM calls;
SELECT outcome($$SELECT enhanced_pool.resume('adm')$$);
SELECT outcome($$SELECT enhanced_pool.reset_stats()$$);
SET ROLE regress_ep_adm_grantee;
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, '''adm''')) FROM calls;
SELECT outcome($$SELECT enhanced_pool.resume('adm')$$);
SELECT outcome($$SELECT enhanced_pool.reset_stats()$$);
-- but ALTER asks for more
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": 5}')$$);
SET ROLE regress_ep_adm_user;
SELECT call || ': ' || outcome('SELECT enhanced_pool.' || format(call, '''adm''')) FROM calls;
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"password": "x"}', 'regress_ep_adm_user')$$);
SELECT outcome($$SELECT enhanced_pool.reset_stats()$$);
RESET ROLE;

-- health_check is also for members of pg_monitor, but what went wrong is for those who may use the pool
CREATE ROLE regress_ep_adm_monitor IN ROLE pg_monitor;
CREATE FUNCTION checked(role text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', c.role, c.healthy, coalesce(c.latency::text, 'no latency'), c.error IS NOT NULL), ', ' ORDER BY c.role)
    FROM enhanced_pool.health_check('adm', role) c $$;
SELECT outcome($$SELECT checked(NULL)$$);
SELECT outcome($$SELECT checked('public')$$);
SET ROLE regress_ep_adm_monitor;
SELECT outcome($$SELECT checked(NULL)$$);
SELECT outcome($$SELECT enhanced_pool.reset_breaker('adm')$$);
SET ROLE regress_ep_adm_owner;
SELECT outcome($$SELECT checked(NULL)$$);
SET ROLE regress_ep_adm_grantee;
SELECT outcome($$SELECT checked('regress_ep_adm_user')$$);
SET ROLE regress_ep_adm_user;
SELECT outcome($$SELECT checked(NULL)$$);
RESET ROLE;
SELECT outcome($$SELECT enhanced_pool.health_check(NULL)$$);
SELECT outcome($$SELECT enhanced_pool.health_check('adm_gone')$$);
SELECT outcome($$SELECT enhanced_pool.health_check('adm', 'regress_ep_adm_owner')$$);
BEGIN;
ALTER SERVER adm OPTIONS (ADD max_size '7');
SELECT outcome($$SELECT enhanced_pool.health_check('adm')$$);
ROLLBACK;
CREATE SERVER adm_bare FOREIGN DATA WRAPPER enhanced_pool;
SELECT outcome($$SELECT enhanced_pool.health_check('adm_bare')$$);
DROP SERVER adm_bare;

-- pools of one role, and of all
SELECT enhanced_pool.pause('adm', role => 'public');
SELECT role, state FROM enhanced_pool.pools WHERE pool = 'adm' ORDER BY role;
SELECT enhanced_pool.pause('adm');
SELECT role, state FROM enhanced_pool.pools WHERE pool = 'adm' ORDER BY role;
SELECT enhanced_pool.resume('adm', 'public');
SELECT role, state FROM enhanced_pool.pools WHERE pool = 'adm' ORDER BY role;
SELECT enhanced_pool.resume('adm');
SELECT role, state FROM enhanced_pool.pools WHERE pool = 'adm' ORDER BY role;

-- not what is not committed
BEGIN;
ALTER SERVER adm OPTIONS (ADD max_size '7');
SELECT outcome($$SELECT enhanced_pool.prewarm('adm')$$);
SELECT outcome($$SELECT enhanced_pool.pause('adm')$$);
ROLLBACK;
SELECT DISTINCT state FROM enhanced_pool.pools WHERE pool = 'adm';

--
-- configure_pool
--
CREATE FUNCTION server_options() RETURNS text LANGUAGE sql AS
  $$ SELECT array_to_string(srvoptions, ' ') FROM pg_foreign_server WHERE srvname = 'adm' $$;
CREATE FUNCTION mapping_options() RETURNS text LANGUAGE sql AS
  $$ SELECT array_to_string(umoptions, ' ') FROM pg_user_mappings WHERE srvname = 'adm' AND usename = 'regress_ep_adm_user' $$;

SELECT enhanced_pool.configure_pool('adm', '{"max_size": 50, "idle_timeout": "5min", "log_connections": true}');
SELECT server_options();
SELECT name, value, source FROM enhanced_pool.config WHERE pool = 'adm' AND role = 'public' AND name IN ('max_size', 'idle_timeout', 'log_connections') ORDER BY 1;
-- what is set is set anew, what is null removed, what is not there and null is nothing
SELECT enhanced_pool.configure_pool('adm', '{"max_size": 40, "idle_timeout": null, "min_size": "0", "max_overflow": null, "retry_backoff": 0.5}');
SELECT server_options();
SELECT enhanced_pool.configure_pool('adm', '{}');
-- numbers and texts as they are
SELECT enhanced_pool.configure_pool('adm', '{"max_lifetime": 1e3, "application_name": "a''b\\c \"d\"", "connect_query": "SELECT ''x''"}');
SELECT server_options();
SELECT enhanced_pool.configure_pool('adm', '{"max_lifetime": null, "application_name": null, "connect_query": null, "retry_backoff": null, "log_connections": null}');
SELECT server_options();
-- in a transaction that is rolled back nothing has changed; several times in one
BEGIN;
SELECT enhanced_pool.configure_pool('adm', '{"max_size": 3}');
SELECT enhanced_pool.configure_pool('adm', '{"max_size": 4, "max_overflow": 1}');
SELECT enhanced_pool.configure_pool('adm', '{"max_overflow": null}');
SELECT server_options();
ROLLBACK;
SELECT server_options();
-- one role's
SELECT enhanced_pool.configure_pool('adm', '{"max_size": 3, "password": "s3cret"}', 'regress_ep_adm_user');
SELECT mapping_options();
SELECT enhanced_pool.configure_pool('adm', '{"max_size": null}', 'regress_ep_adm_user');
SELECT mapping_options();
SELECT enhanced_pool.configure_pool('adm', '{"min_size": 0}', 'public');
SELECT array_to_string(umoptions, ' ') FROM pg_user_mappings WHERE srvname = 'adm' AND umuser = 0;
-- what is refused: names, values, and what is no value
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_sise": 3}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_sise": null}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": 0}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": true}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": [1]}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": {"a": 1}}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '[{"max_size": 1}]')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '5')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"host": "x"}', 'regress_ep_adm_user')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"password": "x"}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"server": "x"}')$$);
SELECT server_options();
-- the owner may not what is a superuser's
SET ROLE regress_ep_adm_owner;
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"password_required": false}', 'regress_ep_adm_user')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"reset": "never"}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": 9}')$$);
RESET ROLE;
SELECT server_options();
-- not in a transaction that must not write
BEGIN READ ONLY;
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": 3}')$$);
ROLLBACK;
-- names that need quotes, and an event trigger that sees it
CREATE SERVER "Adm ""x""" FOREIGN DATA WRAPPER enhanced_pool;
CREATE USER MAPPING FOR regress_ep_adm_user SERVER "Adm ""x""" OPTIONS (user 'u', password 'p');
CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'seen: %', tg_tag; END $$;
CREATE EVENT TRIGGER regress_ep_seen ON ddl_command_start EXECUTE FUNCTION seen();
SELECT enhanced_pool.configure_pool('Adm "x"', '{"max_size": 3}');
SELECT enhanced_pool.configure_pool('Adm "x"', '{"max_size": 3}', 'regress_ep_adm_user');
DROP EVENT TRIGGER regress_ep_seen;
DROP FUNCTION seen;
SELECT role, value, source FROM enhanced_pool.config WHERE pool = 'Adm "x"' AND name = 'max_size';
DROP SERVER "Adm ""x""" CASCADE;

-- servers of other wrappers
CREATE EXTENSION postgres_fdw;
CREATE SERVER adm_fdw FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1');
CREATE FOREIGN DATA WRAPPER regress_ep_adm_wrapper;
CREATE SERVER adm_none FOREIGN DATA WRAPPER regress_ep_adm_wrapper;
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm_fdw', '{"max_size": 3}')$$);
SELECT outcome($$SELECT enhanced_pool.recycle('adm_fdw')$$);
SELECT outcome($$SELECT enhanced_pool.prewarm('adm_fdw')$$);
SELECT outcome($$SELECT enhanced_pool.pause('adm_none')$$);
-- one that refers to another: connections to that are for who may use it
GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO regress_ep_adm_owner;
CREATE USER MAPPING FOR regress_ep_adm_user SERVER adm_fdw OPTIONS (user 'u', password 'p');
SET ROLE regress_ep_adm_owner;
CREATE SERVER adm_refers FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'adm_fdw', initial_size '0', min_size '0');
SELECT outcome($$SELECT enhanced_pool.prewarm('adm_refers')$$);
SELECT outcome($$SELECT enhanced_pool.pause('adm_refers', role => 'regress_ep_adm_user')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm_refers', '{"max_size": 3}')$$);
SELECT outcome($$SELECT enhanced_pool.configure_pool('adm_refers', '{"max_size": 3}', 'regress_ep_adm_user')$$);
RESET ROLE;
SELECT role, state, max_size FROM enhanced_pool.pools WHERE pool = 'adm_refers';

-- C functions know no search_path
SET search_path = '';
SELECT public.outcome($$SELECT enhanced_pool.configure_pool('adm', '{"max_size": 8}')$$);
RESET search_path;

DROP SERVER adm, adm_refers, adm_fdw, adm_none CASCADE;
DROP FOREIGN DATA WRAPPER regress_ep_adm_wrapper;
DROP VIEW calls;
DROP FUNCTION outcome, server_options, mapping_options, checked;
DROP EXTENSION postgres_fdw;
REVOKE ALL ON FOREIGN DATA WRAPPER enhanced_pool FROM regress_ep_adm_owner;
DROP ROLE regress_ep_adm_owner, regress_ep_adm_grantee, regress_ep_adm_user, regress_ep_adm_monitor;
