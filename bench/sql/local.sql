-- The peers, each as its manual says, for a role that is not superuser and so
-- must give the remote server a password.
CREATE ROLE bench_local LOGIN;
GRANT SELECT ON item, reading TO bench_local;

CREATE EXTENSION dblink;

CREATE EXTENSION postgres_fdw;
CREATE SERVER bench_fdw FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host :'host', port :'port', dbname 'postgres');
CREATE USER MAPPING FOR bench_local SERVER bench_fdw OPTIONS (user 'bench_user', password 'bench');
CREATE FOREIGN TABLE remote_item (id int, name text)
  SERVER bench_fdw OPTIONS (table_name 'item');
CREATE FOREIGN TABLE remote_reading (id int, label text, at timestamptz, amount float8)
  SERVER bench_fdw OPTIONS (table_name 'reading');
-- The default fetches 100 rows a round trip.
CREATE FOREIGN TABLE remote_reading_tuned (id int, label text, at timestamptz, amount float8)
  SERVER bench_fdw OPTIONS (table_name 'reading', fetch_size '10000');
GRANT SELECT ON remote_item, remote_reading, remote_reading_tuned TO bench_local;

CREATE EXTENSION plproxy;
-- CONNECT takes a literal: the connection string is put in here.
SELECT format($cmd$
  CREATE FUNCTION plproxy_item(i_id int, OUT id int, OUT name text) RETURNS SETOF record
  LANGUAGE plproxy AS %L
$cmd$, format('CONNECT %L; SELECT id, name FROM item WHERE id = i_id;', :'remote')) \gexec
SELECT format($cmd$
  CREATE FUNCTION plproxy_reading(OUT id int, OUT label text, OUT at timestamptz, OUT amount float8)
  RETURNS SETOF record LANGUAGE plproxy AS %L
$cmd$, format('CONNECT %L; SELECT id, label, at, amount FROM reading;', :'remote')) \gexec

CHECKPOINT;
