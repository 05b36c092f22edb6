-- What the local server has: psql -d postgres -v host=db2.example.com -v port=5432 -f local.sql,
-- as a superuser.  It must have enhanced_pool in shared_preload_libraries.
\set ON_ERROR_STOP on
CREATE ROLE app LOGIN PASSWORD 'app';
CREATE DATABASE shop OWNER app;
\connect shop
CREATE EXTENSION enhanced_pool;
CREATE SERVER analytics FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'host', port :'port', dbname 'analytics', initial_size '1', max_size '4');
CREATE USER MAPPING FOR app SERVER analytics OPTIONS (user 'report', password 's3cret');
GRANT USAGE ON FOREIGN SERVER analytics TO app;
SET ROLE app;
CREATE SCHEMA app;

-- A remote user as rows of this type have it; execute_as matches columns by name.
CREATE TYPE app.remote_user AS (
  id int, name text, email text, created timestamptz, credit numeric(12, 2), tags text[], profile jsonb);

-- The remote statement is always the same: what a query asks of the view is done by the
-- local server, on all of its rows.
CREATE VIEW app.new_users AS
  SELECT * FROM enhanced_pool.execute_as(NULL::app.remote_user, 'analytics',
    'SELECT id, name, email, created, credit, tags, profile FROM users ORDER BY created DESC, id DESC LIMIT 100');

CREATE TABLE app.orders (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id int NOT NULL,
  item text NOT NULL,
  price numeric(12, 2) NOT NULL CONSTRAINT orders_price CHECK (price > 0));
