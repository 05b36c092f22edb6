/* sql/enhanced_pool--0.2.0--0.3.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION enhanced_pool UPDATE TO '0.3.0'" to load this file. \quit

--
-- Asynchronous use: statements that are sent on a lease, and whose results are
-- taken later; and notifications.
--

CREATE FUNCTION send(lease bigint, sql text)
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_send'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION send(bigint, text) IS
'sends a statement on a lease and does not wait for its result';

CREATE FUNCTION send(lease bigint, sql text, VARIADIC params "any")
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_send'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION send(bigint, text, VARIADIC "any") IS
'sends a statement on a lease and does not wait for its result';

CREATE FUNCTION send(lease bigint, sql text, VARIADIC params text[])
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_send'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION send(bigint, text, VARIADIC text[]) IS
'sends a statement on a lease and does not wait for its result';

CREATE FUNCTION is_busy(lease bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'enhanced_pool_is_busy'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION is_busy(bigint) IS
'whether the result of what was sent would have to be waited for';

CREATE FUNCTION cancel(lease bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'enhanced_pool_cancel'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION cancel(bigint) IS
'asks for what was sent to be canceled; false if there is nothing';

CREATE FUNCTION get_result(lease bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_get_result'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION get_result(bigint) IS
'rows of what was sent, columns by position';

CREATE FUNCTION get_result_as(row_type anyelement, lease bigint)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_get_result_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION get_result_as(anyelement, bigint) IS
'rows of what was sent, columns by name';

CREATE FUNCTION get_result_json(lease bigint)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'enhanced_pool_get_result_json'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION get_result_json(bigint) IS
'rows of what was sent, one object each';

CREATE FUNCTION get_count(lease bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_get_count'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION get_count(bigint) IS
'number of rows that what was sent has affected';

CREATE FUNCTION wait_any(leases bigint[], timeout interval DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_wait_any'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION wait_any(bigint[], interval) IS
'waits for a lease that has a result or a notification; null at the timeout';

CREATE FUNCTION get_notify(lease bigint, timeout interval DEFAULT '0')
RETURNS TABLE(notify_name text, be_pid int, extra text)
AS 'MODULE_PATHNAME', 'enhanced_pool_get_notify'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION get_notify(bigint, interval) IS
'notifications that came over a lease; waits for one up to the timeout';

--
-- Sessions: connections whose transaction follows the local one.
--

CREATE FUNCTION session(pool text, isolation text DEFAULT NULL, read_only boolean DEFAULT NULL,
  timeout interval DEFAULT NULL, name text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_session'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION session(text, text, boolean, interval, text) IS
'takes a connection of a pool whose transaction begins, commits and rolls back with the local one';

--
-- Bulk: many rows at once, by COPY, in memory that does not grow with them.
-- copy_from writes a local table, which no parallel query may do.
--

CREATE FUNCTION copy_to(pool text, remote_table text, query text, columns text[] DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_copy_to'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION copy_to(text, text, text, text[]) IS
'copies the rows of a local query into a remote table, through a pool; returns how many';

CREATE FUNCTION copy_to(lease bigint, remote_table text, query text, columns text[] DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_copy_to'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION copy_to(bigint, text, text, text[]) IS
'copies the rows of a local query into a remote table, on a lease; returns how many';

CREATE FUNCTION copy_from(pool text, remote_query text, local_table regclass, columns text[] DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_copy_from'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION copy_from(text, text, regclass, text[]) IS
'copies the rows of a remote query into a local table, through a pool; returns how many';

CREATE FUNCTION copy_from(lease bigint, remote_query text, local_table regclass, columns text[] DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'enhanced_pool_copy_from'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION copy_from(bigint, text, regclass, text[]) IS
'copies the rows of a remote query into a local table, on a lease; returns how many';

--
-- Operation groups: statements that run at the same time on connections of
-- their own, or one after the other in one remote transaction
--

CREATE TYPE operation AS (
  sql text,
  params text[],
  pool text
);

COMMENT ON TYPE operation IS
'a remote statement, its parameters as text, and the pool it is for, NULL: the one that the group is run on';

CREATE TYPE operation_result AS (
  operation int,
  pool text,
  success boolean,
  command text,
  row_count bigint,
  rows jsonb,
  sqlstate text,
  error text,
  elapsed double precision
);

COMMENT ON TYPE operation_result IS
'what came of one operation of a group; elapsed is in milliseconds, NULL if it was never started';

-- op, op_on: an operation from a statement and its parameters

CREATE FUNCTION op(sql text)
RETURNS operation
AS 'MODULE_PATHNAME', 'enhanced_pool_op'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION op(text) IS
'makes an operation of a group';

CREATE FUNCTION op(sql text, VARIADIC params "any")
RETURNS operation
AS 'MODULE_PATHNAME', 'enhanced_pool_op'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION op(text, VARIADIC "any") IS
'makes an operation of a group, with parameters';

CREATE FUNCTION op(sql text, VARIADIC params text[])
RETURNS operation
AS 'MODULE_PATHNAME', 'enhanced_pool_op'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION op(text, VARIADIC text[]) IS
'makes an operation of a group, with parameters given as text';

CREATE FUNCTION op_on(pool text, sql text)
RETURNS operation
AS 'MODULE_PATHNAME', 'enhanced_pool_op_on'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION op_on(text, text) IS
'makes an operation of a group for a given pool';

CREATE FUNCTION op_on(pool text, sql text, VARIADIC params "any")
RETURNS operation
AS 'MODULE_PATHNAME', 'enhanced_pool_op_on'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION op_on(text, text, VARIADIC "any") IS
'makes an operation of a group for a given pool, with parameters';

CREATE FUNCTION op_on(pool text, sql text, VARIADIC params text[])
RETURNS operation
AS 'MODULE_PATHNAME', 'enhanced_pool_op_on'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION op_on(text, text, VARIADIC text[]) IS
'makes an operation of a group for a given pool, with parameters given as text';

-- run_parallel: each operation on a connection of its own

CREATE FUNCTION run_parallel(pool text, operations text[], max_parallel int DEFAULT NULL,
  timeout interval DEFAULT NULL, name text DEFAULT NULL, on_error text DEFAULT 'raise')
RETURNS SETOF operation_result
AS 'MODULE_PATHNAME', 'enhanced_pool_run_parallel'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_parallel(text, text[], int, interval, text, text) IS
'runs statements at the same time, each on a connection of its own';

CREATE FUNCTION run_parallel(pool text, operations operation[], max_parallel int DEFAULT NULL,
  timeout interval DEFAULT NULL, name text DEFAULT NULL, on_error text DEFAULT 'raise')
RETURNS SETOF operation_result
AS 'MODULE_PATHNAME', 'enhanced_pool_run_parallel'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_parallel(text, operation[], int, interval, text, text) IS
'runs operations at the same time, each on a connection of its own';

-- run_in_transaction: all or nothing, in order, on one connection

CREATE FUNCTION run_in_transaction(pool text, operations text[], isolation text DEFAULT NULL,
  timeout interval DEFAULT NULL, name text DEFAULT NULL)
RETURNS SETOF operation_result
AS 'MODULE_PATHNAME', 'enhanced_pool_run_in_transaction'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_in_transaction(text, text[], text, interval, text) IS
'runs statements in one remote transaction, all or nothing, through a pool';

CREATE FUNCTION run_in_transaction(pool text, operations operation[], isolation text DEFAULT NULL,
  timeout interval DEFAULT NULL, name text DEFAULT NULL)
RETURNS SETOF operation_result
AS 'MODULE_PATHNAME', 'enhanced_pool_run_in_transaction'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_in_transaction(text, operation[], text, interval, text) IS
'runs operations in one remote transaction, all or nothing, through a pool';

CREATE FUNCTION run_in_transaction(lease bigint, operations text[], isolation text DEFAULT NULL,
  timeout interval DEFAULT NULL, name text DEFAULT NULL)
RETURNS SETOF operation_result
AS 'MODULE_PATHNAME', 'enhanced_pool_run_in_transaction'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_in_transaction(bigint, text[], text, interval, text) IS
'runs statements in one remote transaction, all or nothing, on a lease';

CREATE FUNCTION run_in_transaction(lease bigint, operations operation[], isolation text DEFAULT NULL,
  timeout interval DEFAULT NULL, name text DEFAULT NULL)
RETURNS SETOF operation_result
AS 'MODULE_PATHNAME', 'enhanced_pool_run_in_transaction'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION run_in_transaction(bigint, operation[], text, interval, text) IS
'runs operations in one remote transaction, all or nothing, on a lease';

-- broadcast, broadcast_as: one statement on many pools

CREATE FUNCTION broadcast(pools text[], sql text, params text[] DEFAULT NULL,
  timeout interval DEFAULT NULL, on_error text DEFAULT 'raise')
RETURNS SETOF operation_result
AS 'MODULE_PATHNAME', 'enhanced_pool_broadcast'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION broadcast(text[], text, text[], interval, text) IS
'runs one statement on many pools at the same time';

CREATE FUNCTION broadcast_as(row_type anyelement, pools text[], sql text, params text[] DEFAULT NULL,
  timeout interval DEFAULT NULL)
RETURNS SETOF anyelement
AS 'MODULE_PATHNAME', 'enhanced_pool_broadcast_as'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;

COMMENT ON FUNCTION broadcast_as(anyelement, text[], text, text[], interval) IS
'runs one statement on many pools at the same time and returns the rows of all as the given type';
