-- What the remote server has: psql -d postgres -f remote.sql, as a superuser there.
-- Its pg_hba.conf must ask role "report" for the password (scram-sha-256).
\set ON_ERROR_STOP on
CREATE ROLE report LOGIN PASSWORD 's3cret';
CREATE DATABASE analytics OWNER report;
\connect analytics
SET ROLE report;
CREATE TABLE users (
  id int PRIMARY KEY,
  name text NOT NULL,
  email text UNIQUE NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  credit numeric(12, 2) NOT NULL CONSTRAINT users_credit_left CHECK (credit >= 0),
  tags text[] NOT NULL DEFAULT '{}',
  profile jsonb NOT NULL DEFAULT '{}');
INSERT INTO users (id, name, email, credit, tags, profile)
  SELECT i, 'user ' || i, 'u' || i || '@example.com', 100, ARRAY['group ' || i % 3], jsonb_build_object('level', i % 10)
  FROM generate_series(1, 1000) AS i;
