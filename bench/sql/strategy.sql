-- For the sections "strategy" and "dynamic": how long each acquire waited, and
-- what the remote server is to do. reset 'never': a lease costs no reset.
CREATE UNLOGGED TABLE waited (us float8, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION ask(pool text, statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  asked timestamptz := clock_timestamp();
  lease bigint := enhanced_pool.acquire(pool);
  us float8 := extract(epoch FROM clock_timestamp() - asked) * 1000000;
BEGIN
  PERFORM enhanced_pool.exec(lease, statement);
  PERFORM enhanced_pool.release(lease);
  INSERT INTO waited VALUES (us);
END $$;
GRANT INSERT ON waited TO bench_local;
CREATE SERVER tuned FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'host', port :'port', dbname 'postgres', reset 'never',
           strategy 'balanced', initial_size '5', min_size '1', max_size '5');
CREATE USER MAPPING FOR bench_local SERVER tuned OPTIONS (user 'bench_user', password 'bench');
GRANT USAGE ON FOREIGN SERVER tuned TO bench_local;
