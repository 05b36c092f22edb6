--
-- get_metrics and get_detailed_metrics: they say what the views say.
--
SET client_min_messages = warning;

-- A closed pool has counted nothing
SELECT define_pool('metrics', $$max_size '2', initial_size '1', min_size '1', validation_interval '0', max_overflow '1', query_timeout '90s'$$);
SELECT key, jsonb_typeof(value) FROM jsonb_each(enhanced_pool.get_metrics() -> 'metrics') ORDER BY key COLLATE "C";
SELECT jsonb_pretty(enhanced_pool.get_metrics() -> 'metrics' -> 'size');
SELECT jsonb_pretty(enhanced_pool.get_metrics() -> 'metrics' -> 'health');
SELECT jsonb_pretty(enhanced_pool.get_metrics() -> 'metrics' -> 'performance');
SELECT jsonb_pretty((enhanced_pool.get_metrics() -> 'metrics' -> 'roles' -> current_user::text) - '{size,health,performance}'::text[]);
SELECT r.key = current_user AS me, r.value - '{size,health,performance,config}'::text[] AS detail
  FROM jsonb_each(enhanced_pool.get_detailed_metrics('metrics') -> 'metrics' -> 'roles') AS r;

-- Every number of the view is there, times in seconds; nothing moves between two looks at an idle pool
SELECT enhanced_pool.exec('metrics', 'SELECT 1/0');
SELECT enhanced_pool.exec('metrics', 'SELECT 1');
SELECT enhanced_pool.acquire('metrics', hold => true) AS lease \gset
SELECT enhanced_pool.exec(:lease, 'SELECT pg_sleep(0.01)');
CREATE VIEW of_view AS
  SELECT key, value FROM enhanced_pool.pool_metrics m, jsonb_each(to_jsonb(m) - '{datname,pool,role,size,active,idle,uptime}'::text[])
  WHERE m.pool = 'metrics';
CREATE VIEW of_document AS
  SELECT key, value FROM enhanced_pool.get_metrics() AS g(document), jsonb_each(document -> 'metrics' -> 'performance') UNION ALL
  SELECT key, value FROM enhanced_pool.get_metrics() AS g(document), jsonb_each(document -> 'metrics' -> 'health') UNION ALL
  SELECT key, value FROM enhanced_pool.get_metrics() AS g(document), jsonb_each(document -> 'metrics' -> 'size') UNION ALL
  SELECT key, value FROM enhanced_pool.get_metrics() AS g(document), jsonb_each(document -> 'metrics') WHERE key = 'stats_reset';
-- which are missing
SELECT v.key FROM of_view v LEFT JOIN of_document d USING (key) WHERE d.key IS NULL ORDER BY v.key COLLATE "C";
-- which are others: loads go on, health checks come when they want
SELECT v.key, v.value, d.value FROM of_view v JOIN of_document d USING (key)
  WHERE v.key !~ '_load|^health' AND CASE WHEN jsonb_typeof(v.value) = 'number' AND v.key ~ '_time$'
    THEN abs((v.value #>> '{}')::float8 / 1000 - (d.value #>> '{}')::float8) > 1e-9
    ELSE v.value IS DISTINCT FROM d.value END;
SELECT count(*) > 40 AS many FROM of_view JOIN of_document USING (key);
DROP VIEW of_view, of_document;
SELECT g -> 'size' -> 'current' = to_jsonb(p.size) AS size, g -> 'size' -> 'active' AS active, g -> 'size' -> 'max_total' AS max_total,
       (g -> 'performance' -> 'max_query_time')::float8 BETWEEN 0.01 AND 600 AS seconds, (g -> 'uptime')::float8 BETWEEN 0 AND 600 AS uptime,
       g - 'roles' - 'uptime' #- '{performance,avg_load_1m}' #- '{performance,avg_load_5m}' #- '{performance,avg_load_15m}' =
       (g -> 'roles' -> p.role) - 'state' - 'uptime' #- '{performance,avg_load_1m}' #- '{performance,avg_load_5m}' #- '{performance,avg_load_15m}' AS same_as_its_role
  FROM enhanced_pool.pools p, LATERAL (SELECT enhanced_pool.get_metrics() -> 'metrics') AS m(g) WHERE pool = 'metrics';

-- The details
CREATE VIEW details AS
  SELECT enhanced_pool.get_detailed_metrics('metrics') -> 'metrics' -> 'roles' -> current_user::text AS d;
SELECT c.conn_id::text = k.key AS same_connection, (k.value -> 'query_count')::bigint = c.query_count AS queries, k.value -> 'error_count' AS errors,
       (k.value -> 'age')::float8 BETWEEN 0 AND 600 AS age, k.value -> 'idle_time' AS idle_time, k.value ->> 'state' AS state,
       abs((k.value -> 'max_query_time')::float8 * 1000 - c.max_query_time) < 1e-6 AS longest, k.value ->> 'host' = remote_host() AS host,
       (k.value ->> 'tls_version') ~ '^TLSv1' IS NOT DISTINCT FROM nullif(over_tls(), false) AS version,
       (k.value ->> 'tls_cipher') ~ '^[-A-Z0-9_]{8,}$' IS NOT DISTINCT FROM nullif(over_tls(), false) AS cipher
  FROM enhanced_pool.connection_metrics c, details, jsonb_each(d -> 'connections') AS k WHERE c.pool = 'metrics';
SELECT d -> 'circuit_breaker' AS breaker FROM details;
SELECT d -> 'config' -> 'max_size' AS number, d -> 'config' -> 'query_timeout' AS duration, d -> 'config' -> 'idle_timeout' AS default_duration,
       d -> 'config' -> 'autocommit' AS switch, d -> 'config' -> 'strategy' AS word, d -> 'config' -> 'validation_query' AS text,
       (SELECT count(*) FROM jsonb_object_keys(d -> 'config')) = (SELECT count(*) FROM enhanced_pool.config WHERE pool = 'metrics') AS all_there
  FROM details;
DROP VIEW details;
SELECT array_agg(k) AS pools FROM jsonb_object_keys(enhanced_pool.get_detailed_metrics('metrics')) AS k;

-- Who may not use the pool does not see hosts, nor texts of settings; the numbers are there
SET ROLE regress_ep_app;
SELECT r.value -> 'config' -> 'max_size' AS max_size, r.value -> 'config' -> 'validation_query' AS text, k.value -> 'host' AS host,
       (r.value -> 'performance' -> 'query_count')::int AS queries
  FROM jsonb_each(enhanced_pool.get_detailed_metrics('metrics') -> 'metrics' -> 'roles') AS r, jsonb_each(r.value -> 'connections') AS k;
RESET ROLE;
SELECT enhanced_pool.release(:lease);

-- Several roles: sums of counts, the most of what is longest
CREATE USER MAPPING FOR regress_ep_app SERVER metrics OPTIONS (user 'regress_ep_remote', password 'secret', password_required 'false', max_size '1');
GRANT USAGE ON FOREIGN SERVER metrics TO regress_ep_app;
SELECT (g -> 'size' -> 'max')::int AS max, (SELECT count(*) FROM jsonb_object_keys(g -> 'roles')) AS roles, g -> 'roles' -> 'regress_ep_app' -> 'state' AS state
  FROM (SELECT enhanced_pool.get_metrics() -> 'metrics') AS m(g);
SET ROLE regress_ep_app;
SELECT enhanced_pool.exec('metrics', 'SELECT pg_sleep(0.03)');
RESET ROLE;
SELECT (g -> 'size' -> 'current')::int = sum((r.value -> 'size' -> 'current')::int) AS size,
       (g -> 'performance' -> 'query_count')::int AS queries, sum((r.value -> 'performance' -> 'query_count')::int) AS sum_of_queries,
       g -> 'performance' -> 'max_query_time' = to_jsonb(max((r.value -> 'performance' -> 'max_query_time')::numeric)) AS longest,
       abs((g -> 'performance' -> 'avg_query_time')::float8 - (g -> 'performance' -> 'total_query_time')::float8 / (g -> 'performance' -> 'query_count')::int) < 1e-9 AS average,
       (g -> 'performance' -> 'current_load')::float8 AS load
  FROM (SELECT enhanced_pool.get_metrics() -> 'metrics') AS m(g), jsonb_each(g -> 'roles') AS r GROUP BY g;

-- What there is not
SELECT error_of($$SELECT enhanced_pool.get_detailed_metrics('no such pool')$$);
SELECT error_of($$SELECT enhanced_pool.get_detailed_metrics('17')$$);
SELECT error_of($$SELECT enhanced_pool.get_detailed_metrics(NULL)$$);
SELECT error_of($$SELECT enhanced_pool.get_detailed_metrics(repeat('x', 100))$$);
CREATE SERVER metrics_none FOREIGN DATA WRAPPER enhanced_pool;
SELECT error_of($$SELECT enhanced_pool.get_detailed_metrics('metrics_none')$$);
SELECT enhanced_pool.get_metrics() ? 'metrics_none' AS listed;
DROP SERVER metrics_none;
-- whatever objects the caller has put first
CREATE SCHEMA trap;
CREATE FUNCTION trap.jsonb_build_object(VARIADIC "any") RETURNS jsonb LANGUAGE internal AS 'now';
CREATE VIEW trap.pg_settings AS SELECT 'trapped' AS name, 'integer' AS vartype;
SET search_path = trap, pg_catalog, public;
SELECT enhanced_pool.get_detailed_metrics('metrics') -> 'metrics' -> 'size' -> 'max' AS max;
RESET search_path;
DROP SCHEMA trap CASCADE;
DROP SERVER metrics CASCADE;
