/* sql/enhanced_pool--0.1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION enhanced_pool" to load this file. \quit

/*
 * The schema enhanced_pool exists when this script runs: the control file
 * names it.  Functions that run remote statements are VOLATILE, PARALLEL
 * RESTRICTED (a lease belongs to one backend) and never STRICT: a NULL pool,
 * lease or statement is an error (22004), not a NULL result.
 */
GRANT USAGE ON SCHEMA @extschema@ TO PUBLIC;

--
-- The foreign-data wrapper: its servers and user mappings are the pools
--

CREATE FUNCTION enhanced_pool_fdw_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C PARALLEL SAFE;

COMMENT ON FUNCTION enhanced_pool_fdw_validator(text[], oid) IS
'checks the options of servers and user mappings that define pools';

CREATE FOREIGN DATA WRAPPER enhanced_pool
  VALIDATOR enhanced_pool_fdw_validator;

COMMENT ON FOREIGN DATA WRAPPER enhanced_pool IS
'servers whose user mappings are pools of connections';

--
-- Running statements.  Each function exists for a pool's name and for a lease,
-- and each of these in three forms: without parameters, with parameters of
-- any type, and with an array of text.  The last is what drivers that bind
-- untyped strings resolve to.
--

-- execute: the rows, columns by position

CREATE FUNCTION execute(pool text, sql text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_execute'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute(text, text) IS
'runs a remote statement and returns its rows, through a pool';

CREATE FUNCTION execute(pool text, sql text, VARIADIC params "any")
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_execute'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute(text, text, VARIADIC "any") IS
'runs a remote statement and returns its rows, through a pool, with parameters';

CREATE FUNCTION execute(pool text, sql text, VARIADIC params text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_execute'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute(text, text, VARIADIC text[]) IS
'runs a remote statement and returns its rows, through a pool, with parameters given as text';

CREATE FUNCTION execute(lease bigint, sql text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_execute'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute(bigint, text) IS
'runs a remote statement and returns its rows, on a lease';

CREATE FUNCTION execute(lease bigint, sql text, VARIADIC params "any")
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_execute'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute(bigint, text, VARIADIC "any") IS
'runs a remote statement and returns its rows, on a lease, with parameters';

CREATE FUNCTION execute(lease bigint, sql text, VARIADIC params text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_execute'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute(bigint, text, VARIADIC text[]) IS
'runs a remote statement and returns its rows, on a lease, with parameters given as text';

-- execute_as: the rows as a given row type, columns by name

CREATE FUNCTION execute_as(row_type anyelement, pool text, sql text)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_as(anyelement, text, text) IS
'runs a remote statement and returns its rows as the given type, through a pool';

CREATE FUNCTION execute_as(row_type anyelement, pool text, sql text, VARIADIC params "any")
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_as(anyelement, text, text, VARIADIC "any") IS
'runs a remote statement and returns its rows as the given type, through a pool, with parameters';

CREATE FUNCTION execute_as(row_type anyelement, pool text, sql text, VARIADIC params text[])
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_as(anyelement, text, text, VARIADIC text[]) IS
'runs a remote statement and returns its rows as the given type, through a pool, with parameters given as text';

CREATE FUNCTION execute_as(row_type anyelement, lease bigint, sql text)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_as(anyelement, bigint, text) IS
'runs a remote statement and returns its rows as the given type, on a lease';

CREATE FUNCTION execute_as(row_type anyelement, lease bigint, sql text, VARIADIC params "any")
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_as(anyelement, bigint, text, VARIADIC "any") IS
'runs a remote statement and returns its rows as the given type, on a lease, with parameters';

CREATE FUNCTION execute_as(row_type anyelement, lease bigint, sql text, VARIADIC params text[])
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_as(anyelement, bigint, text, VARIADIC text[]) IS
'runs a remote statement and returns its rows as the given type, on a lease, with parameters given as text';

-- execute_json: one object a row

CREATE FUNCTION execute_json(pool text, sql text)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_json(text, text) IS
'runs a remote statement and returns each row as a JSON object, through a pool';

CREATE FUNCTION execute_json(pool text, sql text, VARIADIC params "any")
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_json(text, text, VARIADIC "any") IS
'runs a remote statement and returns each row as a JSON object, through a pool, with parameters';

CREATE FUNCTION execute_json(pool text, sql text, VARIADIC params text[])
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_json(text, text, VARIADIC text[]) IS
'runs a remote statement and returns each row as a JSON object, through a pool, with parameters given as text';

CREATE FUNCTION execute_json(lease bigint, sql text)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_json(bigint, text) IS
'runs a remote statement and returns each row as a JSON object, on a lease';

CREATE FUNCTION execute_json(lease bigint, sql text, VARIADIC params "any")
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_json(bigint, text, VARIADIC "any") IS
'runs a remote statement and returns each row as a JSON object, on a lease, with parameters';

CREATE FUNCTION execute_json(lease bigint, sql text, VARIADIC params text[])
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_execute_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION execute_json(bigint, text, VARIADIC text[]) IS
'runs a remote statement and returns each row as a JSON object, on a lease, with parameters given as text';

-- exec: the number of rows affected

CREATE FUNCTION exec(pool text, sql text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_exec'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION exec(text, text) IS
'runs a remote statement and returns the number of rows affected, through a pool';

CREATE FUNCTION exec(pool text, sql text, VARIADIC params "any")
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_exec'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION exec(text, text, VARIADIC "any") IS
'runs a remote statement and returns the number of rows affected, through a pool, with parameters';

CREATE FUNCTION exec(pool text, sql text, VARIADIC params text[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_exec'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION exec(text, text, VARIADIC text[]) IS
'runs a remote statement and returns the number of rows affected, through a pool, with parameters given as text';

CREATE FUNCTION exec(lease bigint, sql text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_exec'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION exec(bigint, text) IS
'runs a remote statement and returns the number of rows affected, on a lease';

CREATE FUNCTION exec(lease bigint, sql text, VARIADIC params "any")
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_exec'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION exec(bigint, text, VARIADIC "any") IS
'runs a remote statement and returns the number of rows affected, on a lease, with parameters';

CREATE FUNCTION exec(lease bigint, sql text, VARIADIC params text[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_exec'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION exec(bigint, text, VARIADIC text[]) IS
'runs a remote statement and returns the number of rows affected, on a lease, with parameters given as text';

-- run_script: several statements by the simple protocol

CREATE FUNCTION run_script(pool text, sql text)
RETURNS TABLE (statement int, command text, row_count bigint)
AS 'MODULE_PATHNAME', 'enhanced_pool_run_script'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_script(text, text) IS
'runs several remote statements, through a pool; one row for each';

CREATE FUNCTION run_script(lease bigint, sql text)
RETURNS TABLE (statement int, command text, row_count bigint)
AS 'MODULE_PATHNAME', 'enhanced_pool_run_script'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_script(bigint, text) IS
'runs several remote statements, on a lease; one row for each';

-- describe: the columns a statement would return

CREATE FUNCTION describe(pool text, sql text)
RETURNS TABLE ("position" int, name text, type text)
AS 'MODULE_PATHNAME', 'enhanced_pool_describe'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION describe(text, text) IS
'names and types of the columns that a remote statement would return, through a pool';

CREATE FUNCTION describe(lease bigint, sql text)
RETURNS TABLE ("position" int, name text, type text)
AS 'MODULE_PATHNAME', 'enhanced_pool_describe'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION describe(bigint, text) IS
'names and types of the columns that a remote statement would return, on a lease';

CREATE FUNCTION last_remote_error()
RETURNS TABLE (pool text, sqlstate text, message text, detail text, hint text, constraint_name text)
AS 'MODULE_PATHNAME', 'enhanced_pool_last_remote_error'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION last_remote_error() IS
'the remote error that aborted this backend''s last aborted transaction or subtransaction';

--
-- Leases: a connection kept over several statements
--

CREATE FUNCTION acquire(pool text, timeout interval DEFAULT NULL, hold boolean DEFAULT false,
  name text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_acquire'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION acquire(text, interval, boolean, text) IS
'takes a connection of a pool until release() or, unless hold, the end of the transaction';

CREATE FUNCTION release(lease bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'enhanced_pool_release'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION release(bigint) IS
'gives a lease back; false if the caller has no such lease';

CREATE FUNCTION release_all()
RETURNS int
AS 'MODULE_PATHNAME', 'enhanced_pool_release_all'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION release_all() IS
'gives all leases of this backend back and returns how many they were';

--
-- Views.  Each reads one function, which shows what the caller may see; the
-- views run with the caller's rights, so the functions stay executable by all.
--

CREATE FUNCTION _pools(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT remote_user text,
  OUT host text,
  OUT port text,
  OUT dbname text,
  OUT state text,
  OUT breaker text,
  OUT strategy text,
  OUT size int,
  OUT active int,
  OUT idle int,
  OUT connecting int,
  OUT overflow int,
  OUT waiting int,
  OUT oldest_wait_time double precision,
  OUT min_size int,
  OUT max_size int,
  OUT max_total int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_pools'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _pools() IS
'what the view pools shows';

CREATE VIEW pools AS
  SELECT datname, pool, role, remote_user, host, port, dbname, state, breaker,
         strategy, size, active, idle, connecting, overflow, waiting, oldest_wait_time,
         min_size, max_size, max_total
  FROM _pools();

COMMENT ON VIEW pools IS
'the pools of the current database, and the open ones of others';

CREATE FUNCTION _config(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT name text,
  OUT value text,
  OUT unit text,
  OUT source text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_config'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _config() IS
'what the view config shows';

CREATE VIEW config AS
  SELECT datname, pool, role, name, value, unit, source
  FROM _config();

COMMENT ON VIEW config IS
'effective settings of every pool, and where each comes from';

CREATE FUNCTION _pool_metrics(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT size int,
  OUT active int,
  OUT idle int,
  OUT total_created bigint,
  OUT total_closed bigint,
  OUT acquire_count bigint,
  OUT acquire_timeouts bigint,
  OUT wait_count bigint,
  OUT total_wait_time double precision,
  OUT avg_wait_time double precision,
  OUT max_wait_time double precision,
  OUT p50_wait_time double precision,
  OUT p95_wait_time double precision,
  OUT p99_wait_time double precision,
  OUT lease_count bigint,
  OUT total_lease_time double precision,
  OUT max_lease_time double precision,
  OUT query_count bigint,
  OUT query_errors bigint,
  OUT total_query_time double precision,
  OUT avg_query_time double precision,
  OUT max_query_time double precision,
  OUT p50_query_time double precision,
  OUT p95_query_time double precision,
  OUT p99_query_time double precision,
  OUT rows_returned bigint,
  OUT bytes_sent bigint,
  OUT bytes_received bigint,
  OUT transaction_count bigint,
  OUT transaction_rollbacks bigint,
  OUT reset_count bigint,
  OUT validation_count bigint,
  OUT validation_failures bigint,
  OUT connection_errors bigint,
  OUT health_check_count bigint,
  OUT health_check_failures bigint,
  OUT health_check_failure_rate double precision,
  OUT circuit_breaker_trips bigint,
  OUT circuit_breaker_resets bigint,
  OUT scale_ups bigint,
  OUT scale_downs bigint,
  OUT last_scaling_at timestamptz,
  OUT current_load double precision,
  OUT avg_load_1m double precision,
  OUT avg_load_5m double precision,
  OUT avg_load_15m double precision,
  OUT uptime interval,
  OUT stats_reset timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_pool_metrics'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _pool_metrics() IS
'what the view pool_metrics shows';

CREATE VIEW pool_metrics AS
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
  FROM _pool_metrics();

COMMENT ON VIEW pool_metrics IS
'counters and timings of every pool since it was opened or reset (times in milliseconds)';

CREATE FUNCTION _connection_metrics(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT conn_id bigint,
  OUT state text,
  OUT remote_pid int,
  OUT host text,
  OUT transport text,
  OUT tls boolean,
  OUT created_at timestamptz,
  OUT age interval,
  OUT last_used_at timestamptz,
  OUT idle_time interval,
  OUT last_validated_at timestamptz,
  OUT usage_count bigint,
  OUT query_count bigint,
  OUT error_count bigint,
  OUT total_query_time double precision,
  OUT avg_query_time double precision,
  OUT max_query_time double precision,
  OUT validation_count bigint,
  OUT validation_failures bigint,
  OUT validation_failure_rate double precision,
  OUT reset_count bigint,
  OUT transaction_count bigint,
  OUT transaction_rollbacks bigint,
  OUT rollback_rate double precision,
  OUT prepared_statements int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_connection_metrics'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _connection_metrics() IS
'what the view connection_metrics shows';

CREATE VIEW connection_metrics AS
  SELECT datname, pool, role, conn_id, state, remote_pid, host, transport, tls,
         created_at, age, last_used_at, idle_time, last_validated_at, usage_count,
         query_count, error_count, total_query_time, avg_query_time, max_query_time,
         validation_count, validation_failures, validation_failure_rate, reset_count,
         transaction_count, transaction_rollbacks, rollback_rate, prepared_statements
  FROM _connection_metrics();

COMMENT ON VIEW connection_metrics IS
'every connection of every pool, with its counters (times in milliseconds)';

CREATE FUNCTION _leases(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT lease bigint,
  OUT pid int,
  OUT conn_id bigint,
  OUT remote_pid int,
  OUT kind text,
  OUT name text,
  OUT state text,
  OUT acquired_at timestamptz,
  OUT held_for interval,
  OUT hold boolean,
  OUT query_start timestamptz,
  OUT query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_leases'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _leases() IS
'what the view leases shows';

CREATE VIEW leases AS
  SELECT datname, pool, role, lease, pid, conn_id, remote_pid, kind, name, state,
         acquired_at, held_for, hold, query_start, query
  FROM _leases();

COMMENT ON VIEW leases IS
'connections that a backend holds at this moment';

CREATE FUNCTION _waiters(
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT pid int,
  OUT since timestamptz,
  OUT waited interval,
  OUT "position" int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_waiters'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;

COMMENT ON FUNCTION _waiters() IS
'what the view waiters shows';

CREATE VIEW waiters AS
  SELECT datname, pool, role, pid, since, waited, "position"
  FROM _waiters();

COMMENT ON VIEW waiters IS
'backends that wait for a connection at this moment';

GRANT SELECT ON pools, config, pool_metrics, connection_metrics, leases, waiters TO PUBLIC;
