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
