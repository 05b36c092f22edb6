--
-- Options of servers and user mappings, and the parameters: what is accepted,
-- who may set it, and which value holds in the end.
--
SET client_min_messages = warning;

-- What a statement ends with; nothing it did stays.
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  EXECUTE statement;
  RAISE EXCEPTION USING ERRCODE = 'OK000';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
    detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  IF state = 'OK000' THEN
    RETURN 'ok';
  END IF;
  RETURN state || ' ' || message || coalesce(E'\n  ' || nullif(detail, ''), '') || coalesce(E'\n  ' || nullif(hint, ''), '');
END
$$;
CREATE FUNCTION on_server(options text) RETURNS text LANGUAGE sql AS $$
  SELECT outcome(format('CREATE SERVER opt_new FOREIGN DATA WRAPPER enhanced_pool OPTIONS (%s)', options));
$$;
CREATE SERVER opt FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host 'db.example.org', dbname 'x');
CREATE FUNCTION on_mapping(options text) RETURNS text LANGUAGE sql AS $$
  SELECT outcome(format('CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (%s)', options));
$$;

\pset tuples_only on
\pset format unaligned

-- Names: a typing error gets a hint, and so does an option in the wrong place
SELECT on_server($$max_sise '5'$$);
SELECT on_server($$hots 'x'$$);
SELECT on_server($$nothing_of_the_kind 'x'$$);
SELECT on_server($$service 'x'$$);
SELECT on_server($$use_scram_passthrough 'true'$$);
SELECT on_server($$password 'x'$$);
SELECT on_server($$password_required 'false'$$);
SELECT on_mapping($$passwort 'x'$$);
SELECT on_mapping($$host 'x'$$);
SELECT on_mapping($$max_server_connections '5'$$);
SELECT on_mapping($$server 'x'$$);
SELECT outcome($$ALTER FOREIGN DATA WRAPPER enhanced_pool OPTIONS (ADD max_size '5')$$);

-- Values
SELECT on_server($$port '70000'$$);
SELECT on_server($$host 'a,b,c', port '1,2'$$);
SELECT on_server($$hostaddr 'localhost'$$);
SELECT on_server($$sslmode 'maybe'$$);
SELECT on_server($$target_session_attrs 'anywhere'$$);
SELECT on_server($$keepalives_idle '-1'$$);
SELECT on_mapping($$password_required 'perhaps'$$);
SELECT on_mapping(format('password %L', repeat('x', 1025)));
SELECT on_server(format('options %L', repeat('x', 9000)));

-- Each setting that acts: just within its range, and just beyond it
SELECT name || ' ' || value || ': ' || on_server(format('%I %L', name, value)) FROM (VALUES
  ('initial_size', '0'), ('initial_size', '10000'), ('initial_size', '-1'), ('initial_size', '10001'),
  ('min_size', '0'), ('min_size', '10001'),
  ('max_size', '1'), ('max_size', '0'),
  ('max_overflow', '0'), ('max_overflow', '-1'),
  ('target_free_connections', '0'), ('target_free_connections', 'x'),
  ('max_server_connections', '0'), ('max_server_connections', '10000'), ('max_server_connections', '10001'), ('max_server_connections', '-1'),
  ('idle_timeout', '0'), ('idle_timeout', '1ms'), ('idle_timeout', '0.5ms'), ('idle_timeout', '30d'), ('idle_timeout', '31d'),
  ('max_lifetime', '0'), ('max_lifetime', '1h'), ('max_lifetime', '-1'),
  ('connect_timeout', '0'), ('connect_timeout', '200ms'), ('connect_timeout', 'soon'),
  ('acquire_timeout', '0'), ('acquire_timeout', '2.5'), ('acquire_timeout', '1 parsec'),
  ('query_timeout', '0'), ('query_timeout', '5min'), ('query_timeout', '0.0001'),
  ('max_waiting', '0'), ('max_waiting', '100000'), ('max_waiting', '100001'),
  ('retry_attempts', '1'), ('retry_attempts', '0'),
  ('retry_backoff', '0'), ('retry_backoff', '0.1ms'),
  ('validation_interval', '0'), ('validation_interval', '-5s'),
  ('validation_query', 'SELECT 2'), ('validation_query', ''),
  ('health_check_interval', '0'), ('health_check_interval', '500ms'), ('health_check_interval', '-1'),
  ('circuit_breaker_threshold', '0'), ('circuit_breaker_threshold', '10000'), ('circuit_breaker_threshold', '10001'),
  ('circuit_breaker_recovery', '1ms'), ('circuit_breaker_recovery', '0'),
  ('dynamic_scaling_enabled', 'off'), ('dynamic_scaling_enabled', 'sometimes'),
  ('scale_up_threshold', '0'), ('scale_up_threshold', '0.01'), ('scale_up_threshold', '1'), ('scale_up_threshold', '0.009'), ('scale_up_threshold', '1.1'),
  ('scale_down_threshold', '0'), ('scale_down_threshold', '0.2'), ('scale_down_threshold', '-0.1'),
  ('scaling_cool_down', '0'), ('scaling_cool_down', '30d'), ('scaling_cool_down', '0.5ms'),
  ('reset', 'NEVER'), ('reset', 'sometimes'),
  ('failover_enabled', 'off'), ('failover_enabled', 'perhaps'),
  ('reset_query', 'RESET ALL'), ('reset_query', ''),
  ('connect_query', 'SET a.b = 1'), ('connect_query', ''),
  ('propagate_settings', 'TimeZone, "app.tenant_id"'), ('propagate_settings', ''), ('propagate_settings', 'a b'),
  ('propagate_settings', 'TimeZone, role'), ('propagate_settings', 'session_authorization'), ('propagate_settings', 'Client_Encoding'),
  ('propagate_settings', 'transaction_read_only'), ('propagate_settings', 'DateStyle'), ('propagate_settings', 'application_name'),
  ('autocommit', 'off'), ('autocommit', 'perhaps'),
  ('statement_cache_size', '0'), ('statement_cache_size', '-1'),
  ('strategy', 'balanced'), ('strategy', 'dynamic'), ('strategy', 'fastest'),
  ('leak_detection_threshold', '0'), ('leak_detection_threshold', '1min'), ('leak_detection_threshold', '0.5ms'),
  ('min_sessions', '0'), ('min_sessions', '10000'), ('min_sessions', '-1'),
  ('max_sessions', '0'), ('max_sessions', '5'), ('max_sessions', '10001'),
  ('target_free_sessions', '2'), ('target_free_sessions', 'two'),
  ('session_idle_timeout', '0'), ('session_idle_timeout', '0.5ms'), ('session_max_lifetime', '1h'), ('session_max_lifetime', '31d'),
  ('idle_in_session_timeout', '200ms'), ('idle_in_session_timeout', '-1'), ('session_timeout', '5min'), ('session_timeout', 'never'),
  ('log_connections', 'yes'), ('log_connections', 'perhaps'),
  ('application_name', '%S of %u'), ('application_name', ''),
  ('stats_enabled', 'off'), ('stats_enabled', 'perhaps'),
  ('stats_emit_interval', '1'), ('stats_emit_interval', '0'), ('stats_emit_interval', '0.5ms'), ('stats_emit_interval', '31d')
) AS v(name, value);

-- server 'other' takes settings beside it, and nothing of a connection
SELECT on_server($$server 'opt'$$);
SELECT on_server($$server 'opt', max_size '5', reset 'always'$$);
SELECT on_server($$server ''$$);
SELECT on_server($$server 'opt', host 'x'$$);
SELECT on_server($$dbname 'x', server 'opt'$$);
CREATE USER MAPPING FOR CURRENT_USER SERVER opt OPTIONS (user 'x');
CREATE SERVER opt_one FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'opt');
CREATE SERVER opt_two FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'opt_one');
CREATE SERVER opt_none FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'opt_gone');
SELECT outcome($$SELECT enhanced_pool.acquire('opt_two')$$);
SELECT outcome($$SELECT enhanced_pool.acquire('opt_none')$$);
DROP SERVER opt_one, opt_two, opt_none;
DROP USER MAPPING FOR CURRENT_USER SERVER opt;

-- Names of servers: a number would look like a lease
SELECT outcome($$CREATE SERVER "42" FOREIGN DATA WRAPPER enhanced_pool$$);
SELECT outcome($$ALTER SERVER opt RENAME TO "42"$$);
SELECT outcome($$ALTER SERVER opt RENAME TO "42nd"$$);

-- Who may set what: the server's owner, the mapped role, somebody else
CREATE ROLE regress_ep_owner;
CREATE ROLE regress_ep_mapped;
GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO regress_ep_owner;
SET ROLE regress_ep_owner;
CREATE SERVER owned FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host 'db.example.org', max_size '5', query_timeout '10');
GRANT USAGE ON FOREIGN SERVER owned TO regress_ep_mapped;
SELECT outcome($$ALTER SERVER owned OPTIONS (SET max_size '6')$$);
CREATE USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (user 'a', password 'b', max_size '3');
SELECT outcome($$ALTER USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (SET max_size '4')$$);
SELECT outcome($$DROP USER MAPPING FOR regress_ep_mapped SERVER owned$$);
SELECT outcome($$ALTER USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (ADD password_required 'true')$$);
SELECT outcome($$ALTER USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (ADD password_required 'false')$$);
SELECT outcome($$ALTER USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (ADD sslcert '/x')$$);
SELECT outcome($$ALTER USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (ADD sslkey '/x')$$);
SET ROLE regress_ep_mapped;
SELECT outcome($$ALTER USER MAPPING FOR CURRENT_USER SERVER owned OPTIONS (SET user 'c', SET password 'd')$$);
SELECT outcome($$ALTER USER MAPPING FOR CURRENT_USER SERVER owned OPTIONS (ADD sslpassword 'x')$$);
SELECT outcome($$ALTER USER MAPPING FOR CURRENT_USER SERVER owned OPTIONS (SET max_size '4')$$);
SELECT outcome($$ALTER USER MAPPING FOR CURRENT_USER SERVER owned OPTIONS (DROP max_size)$$);
SELECT outcome($$ALTER USER MAPPING FOR CURRENT_USER SERVER owned OPTIONS (ADD min_size '0')$$);
SELECT outcome($$DROP USER MAPPING FOR CURRENT_USER SERVER owned$$);
SELECT outcome($$ALTER SERVER owned OPTIONS (SET max_size '6')$$);
RESET ROLE;
SELECT outcome($$ALTER USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (ADD sslcert '/x', ADD password_required 'false')$$);

-- a mapping without settings is the mapped role's own
ALTER USER MAPPING FOR regress_ep_mapped SERVER owned OPTIONS (DROP max_size);
SET ROLE regress_ep_mapped;
SELECT outcome($$DROP USER MAPPING FOR CURRENT_USER SERVER owned$$);
RESET ROLE;

-- reset 'never' where roles share a mapping is a superuser's to set
SET ROLE regress_ep_owner;
SELECT outcome($$ALTER SERVER owned OPTIONS (ADD reset 'never')$$);
CREATE USER MAPPING FOR PUBLIC SERVER owned OPTIONS (user 'shared', password 'x');
SELECT outcome($$ALTER SERVER owned OPTIONS (ADD reset 'never')$$);
SELECT outcome($$ALTER SERVER owned OPTIONS (ADD reset 'always')$$);
SELECT outcome($$ALTER USER MAPPING FOR PUBLIC SERVER owned OPTIONS (ADD reset 'never')$$);
RESET ROLE;
SELECT outcome($$ALTER SERVER owned OPTIONS (ADD reset 'never')$$);

-- and the mapping may come later, to a server to which another refers
SET ROLE regress_ep_owner;
CREATE SERVER later FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host 'db.example.org', dbname 'x');
CREATE SERVER refers FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'later', reset 'never');
CREATE USER MAPPING FOR PUBLIC SERVER later OPTIONS (user 'shared', password 'x');
SELECT outcome($$SELECT enhanced_pool.acquire('refers')$$);
RESET ROLE;
DROP SERVER later, refers CASCADE;

-- Parameters
SELECT outcome($$SET enhanced_pool.acquire_timeout = '200ms'$$);
SELECT outcome($$SET enhanced_pool.acquire_timeout = '0.5ms'$$);
SELECT outcome($$SET enhanced_pool.retry_attempts = 0$$);
SELECT outcome($$SET enhanced_pool.max_size = 5$$);
SELECT outcome($$SET enhanced_pool.max_sise = 5$$);
ALTER SYSTEM SET enhanced_pool.autocommit = perhaps;
ALTER SYSTEM SET enhanced_pool.stats_enabled = perhaps;
ALTER SYSTEM SET enhanced_pool.validation_query = '';
ALTER SYSTEM SET enhanced_pool.propagate_settings = 'TimeZone, role';

-- Which value holds: user mapping over server over parameter over default
\pset tuples_only off
\pset format aligned
CREATE USER MAPPING FOR CURRENT_USER SERVER owned OPTIONS (user 'x', min_size '1');
ALTER SERVER owned OPTIONS (ADD min_size '0', ADD initial_size '9', ADD idle_timeout '2min');
ALTER SYSTEM SET enhanced_pool.max_lifetime = '30min';
ALTER SYSTEM SET enhanced_pool.idle_timeout = '30min';
SELECT pg_reload_conf();
-- when a remote session has read the file, so has the postmaster, and every new session knows it
DO $$
BEGIN
  WHILE (SELECT v FROM enhanced_pool.execute('loop', $q$SELECT current_setting('enhanced_pool.max_lifetime')$q$) AS t(v text)) <> '30min' LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$;
\c -
SET client_min_messages = warning;
CREATE VIEW owned_config AS
  SELECT CASE role WHEN current_user THEN '(me)' ELSE role END AS role, name, value, unit, source FROM enhanced_pool.config
  WHERE datname = current_database() AND pool = 'owned'
    AND role IN (current_user, 'public')
    AND name IN ('max_size', 'min_size', 'initial_size', 'idle_timeout', 'max_lifetime', 'query_timeout', 'retry_attempts', 'reset')
  ORDER BY enhanced_pool.config.role = current_user DESC, name COLLATE "C";
SELECT * FROM owned_config;
ALTER SYSTEM RESET enhanced_pool.max_lifetime;
ALTER SYSTEM RESET enhanced_pool.idle_timeout;
SELECT pg_reload_conf();

-- A session's value wins; who is no superuser may only tighten a limit that server or mapping set
GRANT SELECT ON owned_config TO regress_ep_mapped;
SET enhanced_pool.query_timeout = '20s';
SET enhanced_pool.retry_attempts = 7;
SELECT name, value, source FROM owned_config WHERE role = 'public' AND name IN ('query_timeout', 'retry_attempts');
SET ROLE regress_ep_mapped;
SELECT name, value, source FROM owned_config WHERE role = 'public' AND name IN ('query_timeout', 'retry_attempts');
SET enhanced_pool.query_timeout = 0;
SELECT name, value, source FROM owned_config WHERE role = 'public' AND name = 'query_timeout';
SET enhanced_pool.query_timeout = '3s';
SELECT name, value, source FROM owned_config WHERE role = 'public' AND name = 'query_timeout';
RESET ROLE;
RESET enhanced_pool.query_timeout;
RESET enhanced_pool.retry_attempts;
SELECT name, value, source FROM owned_config WHERE role = 'public' AND name IN ('query_timeout', 'retry_attempts');

DROP VIEW owned_config;
DROP SERVER opt, owned CASCADE;
DROP FUNCTION on_server, on_mapping, outcome;
REVOKE ALL ON FOREIGN DATA WRAPPER enhanced_pool FROM regress_ep_owner;
DROP ROLE regress_ep_owner, regress_ep_mapped;
