-- The views: columns, their types and their order.
BEGIN;
SELECT * FROM no_plan();

CREATE TEMP TABLE expected (view text, columns text);
INSERT INTO expected VALUES
('pools', 'datname text, pool text, role text, remote_user text, host text, port text, dbname text, state text,
  breaker text, strategy text, size integer, active integer, idle integer, connecting integer, overflow integer,
  waiting integer, oldest_wait_time double precision, min_size integer, max_size integer, max_total integer'),
('config', 'datname text, pool text, role text, name text, value text, unit text, source text'),
('pool_metrics', 'datname text, pool text, role text, size integer, active integer, idle integer,
  total_created bigint, total_closed bigint, acquire_count bigint, acquire_timeouts bigint, wait_count bigint,
  total_wait_time double precision, avg_wait_time double precision, max_wait_time double precision,
  p50_wait_time double precision, p95_wait_time double precision, p99_wait_time double precision,
  lease_count bigint, total_lease_time double precision, max_lease_time double precision,
  query_count bigint, query_errors bigint, total_query_time double precision, avg_query_time double precision,
  max_query_time double precision, p50_query_time double precision, p95_query_time double precision,
  p99_query_time double precision, rows_returned bigint, bytes_sent bigint, bytes_received bigint,
  transaction_count bigint, transaction_rollbacks bigint, reset_count bigint, validation_count bigint,
  validation_failures bigint, connection_errors bigint, health_check_count bigint, health_check_failures bigint,
  health_check_failure_rate double precision, circuit_breaker_trips bigint, circuit_breaker_resets bigint,
  scale_ups bigint, scale_downs bigint, last_scaling_at timestamp with time zone, current_load double precision,
  avg_load_1m double precision, avg_load_5m double precision, avg_load_15m double precision,
  uptime interval, stats_reset timestamp with time zone'),
('connection_metrics', 'datname text, pool text, role text, conn_id bigint, state text, remote_pid integer, host text,
  transport text, tls boolean, created_at timestamp with time zone, age interval,
  last_used_at timestamp with time zone, idle_time interval, last_validated_at timestamp with time zone,
  usage_count bigint, query_count bigint, error_count bigint, total_query_time double precision,
  avg_query_time double precision, max_query_time double precision, validation_count bigint,
  validation_failures bigint, validation_failure_rate double precision, reset_count bigint,
  transaction_count bigint, transaction_rollbacks bigint, rollback_rate double precision, prepared_statements integer'),
('leases', 'datname text, pool text, role text, lease bigint, pid integer, conn_id bigint, remote_pid integer,
  kind text, name text, state text, acquired_at timestamp with time zone, held_for interval, hold boolean,
  query_start timestamp with time zone, query text'),
('waiters', 'datname text, pool text, role text, pid integer, since timestamp with time zone, waited interval,
  "position" integer'),
('latency_histogram', 'datname text, pool text, role text, kind text, lower_bound double precision, upper_bound double precision,
  count bigint, sum double precision'),
('load_history', 'datname text, pool text, role text, at timestamp with time zone, size integer, active integer, waiting integer,
  queries bigint, avg_query_time double precision'),
('pool_states', 'datname text, pool text, role text, at timestamp with time zone, size integer, connecting integer,
  idle integer, active integer, cancelling integer, resetting integer, validating integer, broken integer,
  closing integer, checking integer, sessions integer, kept integer, waiting integer'),
('progress', 'datname text, pool text, role text, pid integer, lease bigint, kind text, command text,
  operations_total integer, operations_running integer, operations_done integer, operations_failed integer,
  rows bigint, bytes_sent bigint, bytes_received bigint, started_at timestamp with time zone, elapsed double precision'),
('events', 'id bigint, at timestamp with time zone, datname text, pool text, role text, kind text, conn_id bigint,
  message text, detail jsonb');

CREATE TEMP VIEW actual AS
SELECT c.relname::text AS view, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'enhanced_pool'::regnamespace AND c.relkind = 'v'
GROUP BY c.relname;

SELECT is(a.columns, regexp_replace(e.columns, '\s+', ' ', 'g'), format('columns of %s', e.view))
FROM expected e LEFT JOIN actual a USING (view) ORDER BY e.view COLLATE "C";

-- each can be read, whole
SELECT lives_ok(format('SELECT * FROM enhanced_pool.%I', view), format('reading %s', view))
FROM expected ORDER BY view COLLATE "C";
SELECT lives_ok(format('SET LOCAL enable_seqscan = off; SELECT count(*) FROM enhanced_pool.%I a JOIN enhanced_pool.%I b USING (pool)', view, view),
  format('joining %s with itself', view))
FROM expected ORDER BY view COLLATE "C";

-- and by anybody
CREATE ROLE regress_ep_nobody;
SET ROLE regress_ep_nobody;
SELECT lives_ok(format('SELECT * FROM enhanced_pool.%I', view), format('reading %s as nobody in particular', view))
FROM (VALUES ('pools'), ('config'), ('pool_metrics'), ('connection_metrics'), ('leases'), ('waiters'), ('events'), ('latency_histogram'), ('load_history'),
  ('pool_states'), ('progress')) AS v(view);
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
