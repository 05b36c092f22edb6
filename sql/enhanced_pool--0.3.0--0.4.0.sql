/* sql/enhanced_pool--0.3.0--0.4.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION enhanced_pool UPDATE TO '0.4.0'" to load this file. \quit

--
-- Histograms of what pools did, and their last hour.
--

CREATE FUNCTION _latency_histogram(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT kind text,
  OUT lower_bound double precision,
  OUT upper_bound double precision,
  OUT count bigint,
  OUT sum double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_latency_histogram'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;

COMMENT ON FUNCTION _latency_histogram() IS
'what the view latency_histogram shows';

CREATE VIEW latency_histogram AS
  SELECT datname, pool, role, kind, lower_bound, upper_bound, count, sum
  FROM _latency_histogram()
  ORDER BY datname, pool, role, kind, lower_bound;

COMMENT ON VIEW latency_histogram IS
'how long acquires, queries, leases and connects have taken, in buckets, since the pool was opened or reset (times in milliseconds)';

CREATE FUNCTION _load_history(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT at timestamptz,
  OUT size int,
  OUT active int,
  OUT waiting int,
  OUT queries bigint,
  OUT avg_query_time double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_load_history'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;

COMMENT ON FUNCTION _load_history() IS
'what the view load_history shows';

CREATE VIEW load_history AS
  SELECT datname, pool, role, at, size, active, waiting, queries, avg_query_time
  FROM _load_history()
  ORDER BY datname, pool, role, at;

COMMENT ON VIEW load_history IS
'the last hour of every pool, a row for each 10 seconds (times in milliseconds)';

CREATE FUNCTION _pool_percentiles(
  OUT datname text,
  OUT pool text,
  OUT p50_wait_time double precision,
  OUT p95_wait_time double precision,
  OUT p99_wait_time double precision,
  OUT p50_query_time double precision,
  OUT p95_query_time double precision,
  OUT p99_query_time double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_pool_percentiles'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _pool_percentiles() IS
'the percentiles of pool_metrics, of all roles of a server together';

GRANT SELECT ON latency_histogram, load_history TO PUBLIC;

--
-- All numbers as one document.
--

CREATE FUNCTION _breakers(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT failure_count int,
  OUT next_try_in double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_breakers'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _breakers() IS
'failures in a row that circuit breakers have counted, and seconds until they are half-open';

CREATE FUNCTION _encryption(
  OUT conn_id bigint,
  OUT tls_version text,
  OUT tls_cipher text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_encryption'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _encryption() IS
'how each encrypted connection is encrypted';

CREATE FUNCTION _unknown_pool(pool text)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_unknown_pool'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION _unknown_pool(text) IS
'raises the error that there is no such pool';

--
-- The numbers of the current database's pools: a row for each role, and one with
-- a null role for all of them together.  Both come from the same sums, so what
-- is an average or a rate is one of the sums; percentiles cannot be had from those
-- of the roles.  Views have milliseconds, documents seconds.  A closed pool has
-- counted nothing.
--
CREATE FUNCTION _numbers()
RETURNS TABLE (pool text, role text, numbers jsonb)
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
  WITH p AS (
    SELECT v.pool, v.role, sum(v.size) AS size, sum(v.active) AS active, sum(v.idle) AS idle, sum(v.connecting) AS connecting,
           sum(v.overflow) AS overflow, sum(v.waiting) AS waiting, max(v.oldest_wait_time) AS oldest_wait_time,
           sum(v.min_size) AS min_size, sum(v.max_size) AS max_size, sum(v.max_total) AS max_total
    FROM enhanced_pool.pools v WHERE v.datname = current_database()
    GROUP BY GROUPING SETS ((v.pool), (v.pool, v.role))
  ), m AS (
    SELECT v.pool, v.role,
           sum(v.total_created) AS total_created, sum(v.total_closed) AS total_closed,
           sum(v.acquire_count) AS acquire_count, sum(v.acquire_timeouts) AS acquire_timeouts,
           sum(v.wait_count) AS wait_count, sum(v.total_wait_time) AS total_wait_time, max(v.max_wait_time) AS max_wait_time,
           max(v.p50_wait_time) AS p50_wait_time, max(v.p95_wait_time) AS p95_wait_time, max(v.p99_wait_time) AS p99_wait_time,
           sum(v.lease_count) AS lease_count, sum(v.total_lease_time) AS total_lease_time, max(v.max_lease_time) AS max_lease_time,
           sum(v.query_count) AS query_count, sum(v.query_errors) AS query_errors,
           sum(v.total_query_time) AS total_query_time, max(v.max_query_time) AS max_query_time,
           max(v.p50_query_time) AS p50_query_time, max(v.p95_query_time) AS p95_query_time, max(v.p99_query_time) AS p99_query_time,
           sum(v.rows_returned) AS rows_returned, sum(v.bytes_sent) AS bytes_sent, sum(v.bytes_received) AS bytes_received,
           sum(v.transaction_count) AS transaction_count, sum(v.transaction_rollbacks) AS transaction_rollbacks,
           sum(v.reset_count) AS reset_count, sum(v.validation_count) AS validation_count,
           sum(v.validation_failures) AS validation_failures, sum(v.connection_errors) AS connection_errors,
           sum(v.health_check_count) AS health_check_count, sum(v.health_check_failures) AS health_check_failures,
           sum(v.circuit_breaker_trips) AS circuit_breaker_trips, sum(v.circuit_breaker_resets) AS circuit_breaker_resets,
           sum(v.scale_ups) AS scale_ups, sum(v.scale_downs) AS scale_downs, max(v.last_scaling_at) AS last_scaling_at,
           -- by sizes, that of a single role as it is
           CASE WHEN count(*) = 1 THEN max(v.current_load)
                ELSE sum(v.current_load * v.size) / nullif(sum(v.size) FILTER (WHERE v.current_load IS NOT NULL), 0) END AS current_load,
           coalesce(CASE WHEN count(*) > 1 THEN sum(v.avg_load_1m * v.size) / nullif(sum(v.size), 0) END, avg(v.avg_load_1m)) AS avg_load_1m,
           coalesce(CASE WHEN count(*) > 1 THEN sum(v.avg_load_5m * v.size) / nullif(sum(v.size), 0) END, avg(v.avg_load_5m)) AS avg_load_5m,
           coalesce(CASE WHEN count(*) > 1 THEN sum(v.avg_load_15m * v.size) / nullif(sum(v.size), 0) END, avg(v.avg_load_15m)) AS avg_load_15m,
           max(v.uptime) AS uptime, min(v.stats_reset) AS stats_reset
    FROM enhanced_pool.pool_metrics v WHERE v.datname = current_database()
    GROUP BY GROUPING SETS ((v.pool), (v.pool, v.role))
  )
  SELECT p.pool, p.role, jsonb_build_object(
    'size', jsonb_build_object(
      'current', p.size, 'active', p.active, 'idle', p.idle, 'connecting', p.connecting, 'overflow', p.overflow,
      'min', p.min_size, 'max', p.max_size, 'max_total', p.max_total,
      'total_created', coalesce(m.total_created, 0), 'total_closed', coalesce(m.total_closed, 0)),
    'health', jsonb_build_object(
      'validation_count', coalesce(m.validation_count, 0), 'validation_failures', coalesce(m.validation_failures, 0),
      'connection_errors', coalesce(m.connection_errors, 0),
      'health_check_count', coalesce(m.health_check_count, 0), 'health_check_failures', coalesce(m.health_check_failures, 0),
      'health_check_failure_rate', (m.health_check_failures / nullif(m.health_check_count, 0))::double precision,
      'circuit_breaker_trips', coalesce(m.circuit_breaker_trips, 0), 'circuit_breaker_resets', coalesce(m.circuit_breaker_resets, 0)),
    'performance', jsonb_build_object(
      'waiting', p.waiting, 'oldest_wait_time', p.oldest_wait_time / 1000,
      'acquire_count', coalesce(m.acquire_count, 0), 'acquire_timeouts', coalesce(m.acquire_timeouts, 0),
      'wait_count', coalesce(m.wait_count, 0), 'total_wait_time', coalesce(m.total_wait_time, 0) / 1000,
      'avg_wait_time', m.total_wait_time / nullif(m.wait_count, 0)::double precision / 1000, 'max_wait_time', coalesce(m.max_wait_time, 0) / 1000,
      'p50_wait_time', CASE WHEN p.role IS NULL THEN t.p50_wait_time ELSE m.p50_wait_time END / 1000, 'p95_wait_time', CASE WHEN p.role IS NULL THEN t.p95_wait_time ELSE m.p95_wait_time END / 1000, 'p99_wait_time', CASE WHEN p.role IS NULL THEN t.p99_wait_time ELSE m.p99_wait_time END / 1000,
      'lease_count', coalesce(m.lease_count, 0), 'total_lease_time', coalesce(m.total_lease_time, 0) / 1000,
      'max_lease_time', coalesce(m.max_lease_time, 0) / 1000,
      'query_count', coalesce(m.query_count, 0), 'query_errors', coalesce(m.query_errors, 0),
      'total_query_time', coalesce(m.total_query_time, 0) / 1000,
      'avg_query_time', m.total_query_time / nullif(m.query_count, 0)::double precision / 1000, 'max_query_time', coalesce(m.max_query_time, 0) / 1000,
      'p50_query_time', CASE WHEN p.role IS NULL THEN t.p50_query_time ELSE m.p50_query_time END / 1000, 'p95_query_time', CASE WHEN p.role IS NULL THEN t.p95_query_time ELSE m.p95_query_time END / 1000, 'p99_query_time', CASE WHEN p.role IS NULL THEN t.p99_query_time ELSE m.p99_query_time END / 1000,
      'rows_returned', coalesce(m.rows_returned, 0), 'bytes_sent', coalesce(m.bytes_sent, 0), 'bytes_received', coalesce(m.bytes_received, 0),
      'transaction_count', coalesce(m.transaction_count, 0), 'transaction_rollbacks', coalesce(m.transaction_rollbacks, 0),
      'reset_count', coalesce(m.reset_count, 0), 'scale_ups', coalesce(m.scale_ups, 0), 'scale_downs', coalesce(m.scale_downs, 0),
      'last_scaling_at', m.last_scaling_at, 'current_load', m.current_load,
      'avg_load_1m', m.avg_load_1m, 'avg_load_5m', m.avg_load_5m, 'avg_load_15m', m.avg_load_15m),
    'uptime', extract(epoch FROM m.uptime),
    'stats_reset', m.stats_reset)
  FROM p LEFT JOIN m ON m.pool = p.pool AND m.role IS NOT DISTINCT FROM p.role
       LEFT JOIN enhanced_pool._pool_percentiles() t ON t.datname = current_database() AND t.pool = p.pool
$$;

COMMENT ON FUNCTION _numbers() IS
'the numbers of the pools of the current database, by role and in all';

CREATE FUNCTION get_metrics()
RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
  WITH n AS MATERIALIZED (
    SELECT * FROM enhanced_pool._numbers()
  ), s AS (
    SELECT v.pool, v.role, coalesce(min(v.state) FILTER (WHERE v.state <> 'closed'), 'closed') AS state
    FROM enhanced_pool.pools v WHERE v.datname = current_database() GROUP BY v.pool, v.role
  ), r AS (
    SELECT n.pool, jsonb_object_agg(n.role, n.numbers || jsonb_build_object('state', s.state)) AS roles
    FROM n LEFT JOIN s USING (pool, role) WHERE n.role IS NOT NULL GROUP BY n.pool
  )
  SELECT coalesce(jsonb_object_agg(n.pool, n.numbers || jsonb_build_object('roles', r.roles)), '{}')
  FROM n JOIN r USING (pool) WHERE n.role IS NULL
$$;

COMMENT ON FUNCTION get_metrics() IS
'the numbers of the pools of the current database as one document (durations in seconds)';

CREATE FUNCTION get_detailed_metrics(pool text)
RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
  WITH n AS MATERIALIZED (
    SELECT * FROM enhanced_pool._numbers() v WHERE v.pool = $1
  ), s AS (
    SELECT v.role, coalesce(min(v.state) FILTER (WHERE v.state <> 'closed'), 'closed') AS state,
           coalesce(max(v.breaker) FILTER (WHERE v.breaker <> 'closed'), 'closed') AS breaker
    FROM enhanced_pool.pools v WHERE v.datname = current_database() AND v.pool = $1 GROUP BY v.role
  ), b AS (
    SELECT v.role, max(v.failure_count) AS failure_count, max(v.next_try_in) AS next_try_in
    FROM enhanced_pool._breakers() v WHERE v.datname = current_database() AND v.pool = $1 GROUP BY v.role
  ), c AS (
    SELECT v.role, jsonb_object_agg(v.conn_id, jsonb_build_object(
             'state', v.state, 'remote_pid', v.remote_pid, 'host', v.host, 'transport', v.transport,
             'tls', v.tls, 'tls_version', e.tls_version, 'tls_cipher', e.tls_cipher,
             'created_at', v.created_at, 'age', extract(epoch FROM v.age), 'last_used_at', v.last_used_at,
             'idle_time', extract(epoch FROM v.idle_time), 'last_validated_at', v.last_validated_at,
             'usage_count', v.usage_count, 'query_count', v.query_count, 'error_count', v.error_count,
             'total_query_time', v.total_query_time / 1000, 'avg_query_time', v.avg_query_time / 1000, 'max_query_time', v.max_query_time / 1000,
             'validation_count', v.validation_count, 'validation_failures', v.validation_failures,
             'validation_failure_rate', v.validation_failure_rate, 'reset_count', v.reset_count,
             'transaction_count', v.transaction_count, 'transaction_rollbacks', v.transaction_rollbacks, 'rollback_rate', v.rollback_rate,
             'prepared_statements', v.prepared_statements)) AS connections
    FROM enhanced_pool.connection_metrics v LEFT JOIN enhanced_pool._encryption() e USING (conn_id)
    WHERE v.datname = current_database() AND v.pool = $1 GROUP BY v.role
  ), k AS (
    SELECT v.role, jsonb_object_agg(v.name, CASE
             WHEN g.vartype IN ('integer', 'real') THEN to_jsonb(v.value::numeric)
             WHEN g.vartype = 'bool' THEN to_jsonb(v.value::boolean)
             ELSE to_jsonb(v.value) END) AS config
    FROM enhanced_pool.config v LEFT JOIN pg_settings g ON g.name = 'enhanced_pool.' || v.name
    WHERE v.datname = current_database() AND v.pool = $1 GROUP BY v.role
  ), r AS (
    SELECT jsonb_object_agg(n.role, n.numbers || jsonb_build_object(
             'state', s.state, 'connections', coalesce(c.connections, '{}'), 'config', coalesce(k.config, '{}'),
             'circuit_breaker', jsonb_build_object('state', coalesce(s.breaker, 'closed'),
               'failure_count', coalesce(b.failure_count, 0), 'next_try_in', b.next_try_in))) AS roles
    FROM n LEFT JOIN s USING (role) LEFT JOIN b USING (role) LEFT JOIN c USING (role) LEFT JOIN k USING (role)
    WHERE n.role IS NOT NULL
  )
  SELECT CASE WHEN r.roles IS NOT NULL
    THEN jsonb_build_object($1, (SELECT n.numbers FROM n WHERE n.role IS NULL) || jsonb_build_object('roles', r.roles))
    ELSE enhanced_pool._unknown_pool($1) END
  FROM r
$$;

COMMENT ON FUNCTION get_detailed_metrics(text) IS
'the numbers of one pool, its connections, settings and circuit breaker as one document (durations in seconds)';

--
-- What is going on at this moment.
--

CREATE FUNCTION _pool_states(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT at timestamptz,
  OUT size int,
  OUT connecting int,
  OUT idle int,
  OUT active int,
  OUT cancelling int,
  OUT resetting int,
  OUT validating int,
  OUT broken int,
  OUT closing int,
  OUT checking int,
  OUT sessions int,
  OUT kept int,
  OUT waiting int,
  OUT agrees boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_pool_states'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION _pool_states() IS
'what the view pool_states shows, and whether the pool counts the same itself';

CREATE VIEW pool_states AS
  SELECT datname, pool, role, at, size, connecting, idle, active, cancelling, resetting,
         validating, broken, closing, checking, sessions, kept, waiting
  FROM _pool_states()
  ORDER BY datname, pool, role;

COMMENT ON VIEW pool_states IS
'how many connections of each pool are in which state, each row of one moment';

CREATE FUNCTION _progress(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT pid int,
  OUT lease bigint,
  OUT kind text,
  OUT command text,
  OUT operations_total int,
  OUT operations_running int,
  OUT operations_done int,
  OUT operations_failed int,
  OUT rows bigint,
  OUT bytes_sent bigint,
  OUT bytes_received bigint,
  OUT started_at timestamptz,
  OUT elapsed double precision)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_progress'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;

COMMENT ON FUNCTION _progress() IS
'what the view progress shows';

CREATE VIEW progress AS
  SELECT datname, pool, role, pid, lease, kind, command, operations_total, operations_running,
         operations_done, operations_failed, rows, bytes_sent, bytes_received, started_at, elapsed
  FROM _progress()
  ORDER BY datname, pool, role, pid, lease;

COMMENT ON VIEW progress IS
'how far operation groups and statements that run at this moment have come';

GRANT SELECT ON pool_states, progress TO PUBLIC;

--
-- A page that shows it.
--

CREATE FUNCTION _dashboard_data()
RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
  WITH h AS (
    SELECT v.datname, v.pool, v.role, jsonb_agg(jsonb_build_array(
             round(extract(epoch FROM v.at)), v.size, v.active, v.waiting, v.queries, v.avg_query_time) ORDER BY v.at) AS history
    FROM enhanced_pool.load_history v GROUP BY v.datname, v.pool, v.role
  ), k AS (
    SELECT v.datname, v.pool, v.role, v.kind, jsonb_agg(jsonb_build_array(v.lower_bound, v.upper_bound, v.count, v.sum) ORDER BY v.lower_bound) AS buckets
    FROM enhanced_pool.latency_histogram v GROUP BY v.datname, v.pool, v.role, v.kind
  ), l AS (
    SELECT k.datname, k.pool, k.role, jsonb_object_agg(k.kind, k.buckets) AS histograms
    FROM k GROUP BY k.datname, k.pool, k.role
  ), c AS (
    SELECT v.datname, v.pool, v.role, count(*) AS n_connections, jsonb_agg(to_jsonb(v) - '{datname,pool,role,number}'::text[] || jsonb_build_object(
             'age', extract(epoch FROM v.age), 'idle_time', extract(epoch FROM v.idle_time), 'tls_version', e.tls_version, 'tls_cipher', e.tls_cipher)
             ORDER BY v.conn_id) FILTER (WHERE v.number <= 100) AS connections
    FROM (SELECT *, row_number() OVER (PARTITION BY datname, pool, role ORDER BY conn_id) AS number FROM enhanced_pool.connection_metrics) v
         LEFT JOIN enhanced_pool._encryption() e USING (conn_id)
    GROUP BY v.datname, v.pool, v.role
  ), s AS (
    SELECT v.datname, v.pool, v.role, jsonb_agg(to_jsonb(v) - '{datname,pool,role}'::text[] ORDER BY v.name COLLATE "C") AS settings
    FROM enhanced_pool.config v WHERE v.source <> 'default' GROUP BY v.datname, v.pool, v.role
  ), p AS (
    SELECT (v.state = 'closed' AND v.size = 0) AS closed, v.datname, v.pool, v.role,
           coalesce(to_jsonb(m), '{}') || to_jsonb(v) || jsonb_build_object(
             'uptime', extract(epoch FROM m.uptime), 'failure_count', b.failure_count, 'next_try_in', b.next_try_in,
             'history', coalesce(h.history, '[]'), 'histograms', coalesce(l.histograms, '{}'),
             'n_connections', coalesce(c.n_connections, 0), 'connections', coalesce(c.connections, '[]'),
             'settings', coalesce(s.settings, '[]')) AS document
    FROM enhanced_pool.pools v LEFT JOIN enhanced_pool.pool_metrics m USING (datname, pool, role)
         LEFT JOIN enhanced_pool._breakers() b USING (datname, pool, role) LEFT JOIN h USING (datname, pool, role)
         LEFT JOIN l USING (datname, pool, role) LEFT JOIN c USING (datname, pool, role) LEFT JOIN s USING (datname, pool, role)
  ), e AS (
    SELECT v.id, to_jsonb(v) AS document FROM enhanced_pool.events v WHERE v.kind NOT IN ('connect', 'close') ORDER BY v.id DESC LIMIT 500
  ), o AS MATERIALIZED (
    SELECT v.held_for, to_jsonb(v) || jsonb_build_object('held_for', extract(epoch FROM v.held_for), 'query', left(v.query, 300)) AS document
    FROM enhanced_pool.leases v
  ), w AS MATERIALIZED (
    SELECT v.waited, to_jsonb(v) || jsonb_build_object('waited', extract(epoch FROM v.waited)) AS document
    FROM enhanced_pool.waiters v
  )
  SELECT jsonb_build_object(
    'made_at', clock_timestamp(),
    'server', jsonb_build_object(
      'name', nullif(current_setting('cluster_name'), ''), 'port', current_setting('port')::int, 'version', current_setting('server_version'),
      'database', current_database(), 'user', current_user, 'started_at', pg_postmaster_start_time(),
      'extension', (SELECT extversion FROM pg_extension WHERE extname = 'enhanced_pool'),
      'stats_enabled', current_setting('enhanced_pool.stats_enabled')::boolean,
      'sees_all', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')),
    'pools', (SELECT coalesce(jsonb_agg(p.document ORDER BY p.closed, p.datname <> current_database(), p.datname, p.pool COLLATE "C", p.role COLLATE "C"), '[]') FROM p),
    'events', (SELECT coalesce(jsonb_agg(e.document ORDER BY e.id DESC), '[]') FROM e),
    'n_leases', (SELECT count(*) FROM o),
    'leases', (SELECT coalesce(jsonb_agg(f.document ORDER BY f.held_for DESC), '[]') FROM (SELECT * FROM o ORDER BY o.held_for DESC LIMIT 20) f),
    'n_waiters', (SELECT count(*) FROM w),
    'waiters', (SELECT coalesce(jsonb_agg(f.document ORDER BY f.waited DESC), '[]') FROM (SELECT * FROM w ORDER BY w.waited DESC LIMIT 20) f))
$$;

COMMENT ON FUNCTION _dashboard_data() IS
'what the page of dashboard() shows';

CREATE FUNCTION _dashboard_page(data jsonb)
RETURNS text
AS 'MODULE_PATHNAME', 'enhanced_pool_dashboard_page'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION _dashboard_page(jsonb) IS
'a page with these data';

CREATE FUNCTION dashboard()
RETURNS text
LANGUAGE sql VOLATILE PARALLEL RESTRICTED
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT enhanced_pool._dashboard_page(enhanced_pool._dashboard_data())
$$;

COMMENT ON FUNCTION dashboard() IS
'one HTML page that shows what the views show, complete in itself';

--
-- The order of rows: the same at each look, so that a view can be watched.
--

CREATE OR REPLACE VIEW pools AS
  SELECT datname, pool, role, remote_user, host, port, dbname, state, breaker,
         strategy, size, active, idle, connecting, overflow, waiting, oldest_wait_time,
         min_size, max_size, max_total
  FROM _pools()
  ORDER BY datname, pool, role;

CREATE OR REPLACE VIEW config AS
  SELECT datname, pool, role, name, value, unit, source
  FROM _config()
  ORDER BY datname, pool, role, name;

CREATE OR REPLACE VIEW pool_metrics AS
  SELECT datname, pool, role, size, active, idle, total_created, total_closed,
         acquire_count, acquire_timeouts, wait_count, total_wait_time, avg_wait_time,
         max_wait_time, p50_wait_time, p95_wait_time, p99_wait_time, lease_count,
         total_lease_time, max_lease_time, query_count, query_errors, total_query_time,
         avg_query_time, max_query_time, p50_query_time, p95_query_time,
         p99_query_time, rows_returned, bytes_sent, bytes_received, transaction_count,
         transaction_rollbacks, reset_count, validation_count, validation_failures,
         connection_errors, health_check_count, health_check_failures,
         health_check_failure_rate, circuit_breaker_trips, circuit_breaker_resets,
         scale_ups, scale_downs, last_scaling_at, current_load, avg_load_1m,
         avg_load_5m, avg_load_15m, uptime, stats_reset
  FROM _pool_metrics()
  ORDER BY datname, pool, role;

CREATE OR REPLACE VIEW connection_metrics AS
  SELECT datname, pool, role, conn_id, state, remote_pid, host, transport, tls,
         created_at, age, last_used_at, idle_time, last_validated_at, usage_count,
         query_count, error_count, total_query_time, avg_query_time, max_query_time,
         validation_count, validation_failures, validation_failure_rate, reset_count,
         transaction_count, transaction_rollbacks, rollback_rate, prepared_statements
  FROM _connection_metrics()
  ORDER BY datname, pool, role, conn_id;

CREATE OR REPLACE VIEW leases AS
  SELECT datname, pool, role, lease, pid, conn_id, remote_pid, kind, name, state,
         acquired_at, held_for, hold, query_start, query
  FROM _leases()
  ORDER BY acquired_at, conn_id;

CREATE OR REPLACE VIEW waiters AS
  SELECT datname, pool, role, pid, since, waited, "position"
  FROM _waiters()
  ORDER BY datname, pool, role, "position";
