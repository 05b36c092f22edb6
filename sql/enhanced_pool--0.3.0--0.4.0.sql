/* sql/enhanced_pool--0.3.0--0.4.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION enhanced_pool UPDATE TO '0.4.0'" to load this file. \quit

--
-- Histograms of what pools did, and their last hour.
--

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
