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
  FROM _pool_states();

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
  FROM _progress();

COMMENT ON VIEW progress IS
'how far operation groups and statements that run at this moment have come';

GRANT SELECT ON pool_states, progress TO PUBLIC;
