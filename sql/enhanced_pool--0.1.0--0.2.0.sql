/* sql/enhanced_pool--0.1.0--0.2.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION enhanced_pool UPDATE TO '0.2.0'" to load this file. \quit

--
-- Administration.  EXECUTE stays with everybody: each function asks for itself
-- whether the caller is a superuser, the owner of the server, or has USAGE on
-- it with grant option.  They act on what all sessions share, at once; only
-- configure_pool is a part of the transaction.
--

CREATE FUNCTION configure_pool(pool text, options jsonb, role name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_configure_pool'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION configure_pool(text, jsonb, name) IS
'sets options of a server or of one of its user mappings; null removes one';

CREATE FUNCTION pause(pool text, timeout interval DEFAULT '0', role name DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'enhanced_pool_pause'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION pause(text, interval, name) IS
'gives no new leases until resume; waits for those that are out and returns how many still are';

CREATE FUNCTION resume(pool text, role name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_resume'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION resume(text, name) IS
'ends a pause';

CREATE FUNCTION recycle(pool text, role name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_recycle'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION recycle(text, name) IS
'replaces every connection, leased ones when they come back';

CREATE FUNCTION close_pool(pool text, role name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_close_pool'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION close_pool(text, name) IS
'ends every connection, leased ones when they come back; the next lease opens the pool anew';

CREATE FUNCTION prewarm(pool text, n int DEFAULT NULL, role name DEFAULT NULL)
RETURNS int
AS 'MODULE_PATHNAME', 'enhanced_pool_prewarm'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION prewarm(text, int, name) IS
'opens a pool with n connections (initial_size) and returns how many it has';

CREATE FUNCTION terminate_connection(conn_id bigint)
RETURNS boolean
AS 'MODULE_PATHNAME', 'enhanced_pool_terminate_connection'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION terminate_connection(bigint) IS
'ends a connection and replaces it; who uses it gets an error; false if there is none of that number';

CREATE FUNCTION health_check(pool text, role name DEFAULT NULL)
RETURNS TABLE(role text, healthy boolean, latency double precision, error text)
AS 'MODULE_PATHNAME', 'enhanced_pool_health_check'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION health_check(text, name) IS
'makes a test connection now; healthy is null if none could be made';

CREATE FUNCTION reset_breaker(pool text, role name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_reset_breaker'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION reset_breaker(text, name) IS
'closes the circuit breaker and forgets what failed so far';

CREATE FUNCTION reset_stats(pool text DEFAULT NULL, role name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'enhanced_pool_reset_stats'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION reset_stats(text, name) IS
'sets the counters of a pool, or of all, to zero';

--
-- Views
--

CREATE FUNCTION _events(
  OUT id bigint,
  OUT at timestamptz,
  OUT datname text,
  OUT pool text,
  OUT role text,
  OUT kind text,
  OUT conn_id bigint,
  OUT message text,
  OUT detail jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'enhanced_pool_events'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;

COMMENT ON FUNCTION _events() IS
'what the view events shows';

CREATE VIEW events AS
  SELECT id, at, datname, pool, role, kind, conn_id, message, detail
  FROM _events();

COMMENT ON VIEW events IS
'what has happened to pools and connections lately';

GRANT SELECT ON events TO PUBLIC;
