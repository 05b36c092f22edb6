/* sql/enhanced_pool--0.2.0--0.3.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION enhanced_pool UPDATE TO '0.3.0'" to load this file. \quit

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
