/* sql/enhanced_pool--0.2.0--0.3.0.sql */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION enhanced_pool UPDATE TO '0.3.0'" to load this file. \quit

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
