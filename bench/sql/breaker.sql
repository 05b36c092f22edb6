-- For the section "breaker": sessions that knock again and again, how long each
-- took, and what came of it.
CREATE UNLOGGED TABLE knocked (state text, us float8, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION knock() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  asked timestamptz := clock_timestamp();
  state text := '00000';
BEGIN
  BEGIN
    PERFORM enhanced_pool.exec('knocked', 'SELECT 1');
  EXCEPTION WHEN OTHERS THEN
    state := SQLSTATE;
  END;
  INSERT INTO knocked VALUES (state, extract(epoch FROM clock_timestamp() - asked) * 1000000);
END $$;
GRANT INSERT ON knocked TO bench_local;
CREATE SERVER knocked FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host :'host', port :'port', dbname 'postgres', circuit_breaker_threshold '3', circuit_breaker_recovery '500ms',
           retry_backoff '20ms', connect_timeout '2s');
CREATE USER MAPPING FOR bench_local SERVER knocked OPTIONS (user 'bench_user', password 'bench');
GRANT USAGE ON FOREIGN SERVER knocked TO bench_local;
