-- For the section "copy": where rows arrive, and the way there by postgres_fdw.
CREATE TABLE arrived (LIKE reading);
GRANT ALL ON arrived TO bench_local;
CREATE FOREIGN TABLE remote_arrived (id int, label text, at timestamptz, amount float8)
  SERVER bench_fdw OPTIONS (table_name 'arrived', batch_size '1000');
GRANT ALL ON remote_arrived TO bench_local;
