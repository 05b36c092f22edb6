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
  FROM _latency_histogram();

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
  FROM _load_history();

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

--
-- A page that shows them.
--

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

CREATE OR REPLACE VIEW latency_histogram AS
  SELECT datname, pool, role, kind, lower_bound, upper_bound, count, sum
  FROM _latency_histogram()
  ORDER BY datname, pool, role, kind, lower_bound;

CREATE OR REPLACE VIEW load_history AS
  SELECT datname, pool, role, at, size, active, waiting, queries, avg_query_time
  FROM _load_history()
  ORDER BY datname, pool, role, at;
