--
-- What the other tests use.  The remote server is this very server, database
-- ep_remote, reached over its Unix socket, or if ep_test.tls_root names a root
-- certificate, over TLS.
--
SELECT current_setting('shared_preload_libraries') ~ '\menhanced_pool\M' AS preloaded \gset
\if :preloaded
\else
\warn enhanced_pool is not in shared_preload_libraries: no test can pass
\quit
\endif

SET client_min_messages = warning;

-- Roles outlive the databases of an earlier run, in which they may have mappings.
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['regress_ep_app', 'regress_ep_other', 'regress_ep_remote'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
      EXECUTE format('CREATE ROLE %I LOGIN PASSWORD ''secret''', role);
    END IF;
  END LOOP;
END
$$;

-- The remote side
DROP DATABASE IF EXISTS ep_remote WITH (FORCE);
CREATE DATABASE ep_remote TEMPLATE template0 ENCODING 'UTF8';
SELECT current_database() AS local_db \gset
\c ep_remote
SET client_min_messages = warning;
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(8,2), added timestamptz);
INSERT INTO items
  SELECT i, 'item ' || i, i * 1.5, timestamptz '2026-01-01 00:00:00+00' + i * interval '1 day'
  FROM generate_series(1, 100) i;
GRANT ALL ON items TO regress_ep_remote;
GRANT CREATE ON SCHEMA public TO regress_ep_remote;
\c :local_db
SET client_min_messages = warning;

-- The local side
CREATE EXTENSION enhanced_pool;

CREATE FUNCTION over_tls() RETURNS bool LANGUAGE sql AS $$
  SELECT coalesce(current_setting('ep_test.tls_root', true), '') <> ''
$$;
CREATE FUNCTION remote_host() RETURNS text LANGUAGE sql AS $$
  SELECT CASE WHEN over_tls() THEN '127.0.0.1'
    ELSE coalesce(nullif(trim(split_part(current_setting('unix_socket_directories'), ',', 1)), ''), 'localhost') END
$$;
-- How the remote server is reached, as options of a foreign server
CREATE FUNCTION remote_options() RETURNS text LANGUAGE sql AS $$
  SELECT format('host %L, port %L', remote_host(), current_setting('port')) ||
    CASE WHEN over_tls() THEN format(', sslmode ''verify-full'', sslrootcert %L', current_setting('ep_test.tls_root')) ELSE '' END
$$;

--
-- define_pool('p', $$max_size '4'$$) makes a pool of connections to ep_remote for
-- the current user, who is the same on the remote.  For another role the remote
-- user is regress_ep_remote, who needs no password here.  The number of
-- connections follows from what a test does alone, and not from when.
--
CREATE FUNCTION define_pool(pool text, options text DEFAULT '', role text DEFAULT current_user)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER enhanced_pool OPTIONS (%s, dbname ''ep_remote'', dynamic_scaling_enabled ''off''%s)',
    pool, remote_options(), CASE WHEN options = '' THEN '' ELSE ', ' || options END);
  IF role = current_user THEN
    EXECUTE format('CREATE USER MAPPING FOR %I SERVER %I OPTIONS (user %L)', role, pool, role);
  ELSE
    EXECUTE format('CREATE USER MAPPING FOR %I SERVER %I OPTIONS (user ''regress_ep_remote'', password ''secret'', password_required ''false'')',
      role, pool);
    EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO %I', pool, role);
  END IF;
END
$$;

--
-- error_of('statement'): the error that it ends with, all that a program gets of it, but of the
-- context only what we or a remote added.  Without an error the statement's effects stay.
--
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text; context text;
  schema_of text; table_of text; column_of text; type_of text; constraint_of text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS OR query_canceled THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
    detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT,
    schema_of = SCHEMA_NAME, table_of = TABLE_NAME, column_of = COLUMN_NAME,
    type_of = PG_DATATYPE_NAME, constraint_of = CONSTRAINT_NAME;
  RETURN concat_ws(E'\n  ', state || ' ' || message, 'detail: ' || nullif(detail, ''), 'hint: ' || nullif(hint, ''),
    'schema ' || nullif(schema_of, ''), 'table ' || nullif(table_of, ''), 'column ' || nullif(column_of, ''),
    'type ' || nullif(type_of, ''), 'constraint ' || nullif(constraint_of, ''),
    'context: ' || nullif(trim(E'\n' FROM split_part(context, 'SQL statement "', 1)), ''));
END
$$;

SELECT define_pool('loop', $$max_size '4', initial_size '1', min_size '1'$$);
SELECT define_pool('app_loop', $$max_size '4'$$, 'regress_ep_app');

-- Does it work at all?
SELECT * FROM enhanced_pool.execute('loop', 'SELECT id, name, price FROM items WHERE id <= $1 ORDER BY id', 3)
  AS t(id int, name text, price numeric);
SELECT enhanced_pool.exec('loop', 'UPDATE items SET price = price WHERE id <= $1', 10);
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT id, name FROM items WHERE id = 7');
SET ROLE regress_ep_app;
SELECT * FROM enhanced_pool.execute('app_loop', 'SELECT current_user::text') AS t(who text);
RESET ROLE;
SELECT pool, state, size >= 1 AS open, active FROM enhanced_pool.pools WHERE pool = 'loop';
SELECT bool_and(transport = CASE WHEN over_tls() THEN 'relay' ELSE 'direct' END) AS right_transport, bool_and(tls = over_tls()) AS right_tls
  FROM enhanced_pool.connection_metrics WHERE pool = 'loop';
SELECT * FROM enhanced_pool.execute('loop', 'SELECT ssl = $1 FROM pg_stat_ssl WHERE pid = pg_backend_pid()', over_tls()) AS t(as_the_remote_says bool);
