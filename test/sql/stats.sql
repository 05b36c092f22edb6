--
-- What is counted: each statement once, whichever way it runs and ends.
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on
SELECT define_pool('stats', $$max_size '3', initial_size '1', min_size '1', validation_interval '0', health_check_interval '0'$$);
SELECT enhanced_pool.exec('stats', 'CREATE TABLE IF NOT EXISTS counted (a int PRIMARY KEY)');
SELECT enhanced_pool.exec('stats', 'TRUNCATE counted');
CREATE TABLE counted_here (a int);

-- since(): what was counted since the last call; histogram and totals must agree with it
CREATE FUNCTION since() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  m enhanced_pool.pool_metrics;
  wrong text;
BEGIN
  SELECT * INTO STRICT m FROM enhanced_pool.pool_metrics WHERE pool = 'stats';
  SELECT string_agg(x.kind || ' differs', ', ') INTO wrong
    FROM (VALUES ('acquire', m.acquire_count, NULL), ('query', m.query_count, m.total_query_time), ('lease', m.lease_count, m.total_lease_time)) x(kind, n, total)
    LEFT JOIN LATERAL (SELECT coalesce(sum(count), 0) AS n, coalesce(sum(sum), 0) AS total FROM enhanced_pool.latency_histogram h
                        WHERE h.pool = 'stats' AND h.kind = x.kind) h ON true
    WHERE h.n <> x.n OR abs(h.total - x.total) > 0.001;
  PERFORM enhanced_pool.reset_stats('stats');
  RETURN format('queries %s, errors %s, rows %s, transactions %s, rollbacks %s%s', m.query_count, m.query_errors, m.rows_returned,
    m.transaction_count, m.transaction_rollbacks, '; ' || wrong);
END $$;
SELECT since() IS NOT NULL;
SELECT since();

-- by a pool's name
SELECT enhanced_pool.exec('stats', 'SELECT 1');
SELECT since();
SELECT * FROM enhanced_pool.execute('stats', 'SELECT * FROM generate_series(1, $1)', 7) AS t(a int) LIMIT 1;
SELECT since();
SELECT enhanced_pool.execute('stats', 'SELECT * FROM generate_series(1, 7)') LIMIT 1;
SELECT since();
SELECT count(*) FROM enhanced_pool.execute_json('stats', 'SHOW port');
SELECT since();
SELECT * FROM enhanced_pool.execute_as(NULL::counted_here, 'stats', 'SELECT 1 AS a');
SELECT since();
SELECT enhanced_pool.exec('stats', '');
SELECT since();
-- nothing is run
SELECT name FROM enhanced_pool.describe('stats', 'SELECT 1 AS a');
SELECT since();
-- a script is one, whatever is in it
SELECT command FROM enhanced_pool.run_script('stats', 'SELECT 1; SELECT 2; SELECT 3');
SELECT since();
SELECT enhanced_pool.copy_to('stats', 'counted', 'SELECT generate_series(1, 100)');
SELECT since();
SELECT enhanced_pool.copy_from('stats', 'SELECT a FROM counted', 'counted_here');
SELECT since();

-- what fails
SELECT error_of($$SELECT enhanced_pool.exec('stats', 'SELECT 1/0')$$);
SELECT since();
SELECT error_of($$SELECT enhanced_pool.exec('stats', 'no such thing')$$);
SELECT since();
SELECT error_of($$SELECT * FROM enhanced_pool.execute('stats', 'SELECT generate_series(1, 5)') AS t(a int, b int)$$);
SELECT since();
SELECT error_of($$SELECT * FROM enhanced_pool.execute('stats', $q$SELECT unnest(ARRAY['1', '2', 'x', '4'])$q$) AS t(a int)$$) ~ 'invalid input syntax';
SELECT since();
SELECT error_of($$SET LOCAL enhanced_pool.query_timeout = '50ms'; SELECT enhanced_pool.exec('stats', 'SELECT pg_sleep(60)')$$);
SELECT since();
SET statement_timeout = '1s';
SELECT error_of($$SELECT enhanced_pool.exec('stats', 'SELECT pg_sleep(60)')$$);
RESET statement_timeout;
SELECT since();
SELECT error_of($$SELECT * FROM enhanced_pool.run_script('stats', 'SELECT 1; SELECT 1/0; SELECT 3')$$);
SELECT since();
SELECT error_of($$SELECT enhanced_pool.copy_to('stats', 'counted', 'SELECT generate_series(100, 1000)')$$) ~ '23505 duplicate key';
SELECT since();
SELECT error_of($$SELECT enhanced_pool.copy_to('stats', 'counted', 'SELECT 2000 / (20 - g) FROM generate_series(1, 30) g')$$) ~ '22012';
SELECT since();
-- what is refused was never sent
SELECT error_of($$SELECT enhanced_pool.exec('stats', 'BEGIN')$$) ~ '25001';
SELECT error_of($$SELECT enhanced_pool.exec('stats', 'COPY counted TO STDOUT')$$) ~ '0A000';
SELECT since();

-- on a lease, which is held meanwhile
SELECT enhanced_pool.acquire('stats', hold => true) AS lease \gset
SELECT enhanced_pool.exec(:lease, 'SELECT 1');
SELECT since();
SELECT enhanced_pool.exec(:lease, 'BEGIN'), enhanced_pool.exec(:lease, 'SELECT 1'), enhanced_pool.exec(:lease, 'COMMIT');
SELECT since();
SELECT error_of(format('SET LOCAL enhanced_pool.query_timeout = ''50ms''; SELECT enhanced_pool.exec(%s, ''SELECT pg_sleep(60)'')', :lease));
SELECT enhanced_pool.exec(:lease, 'SELECT 1');
SELECT since();
-- statements that are sent
SELECT enhanced_pool.send(:lease, 'SELECT generate_series(1, 5)');
SELECT enhanced_pool.get_count(:lease);
SELECT since();
SELECT enhanced_pool.send(:lease, 'SELECT 1/0');
SELECT error_of(format('SELECT enhanced_pool.get_count(%s)', :lease)) ~ '22012';
SELECT since();
SELECT enhanced_pool.send(:lease, 'SELECT pg_sleep(60)');
SELECT enhanced_pool.release(:lease);
SELECT since();

-- groups
SELECT count(*) FROM enhanced_pool.run_parallel('stats', ARRAY['SELECT 1', 'SELECT 2', 'SELECT 3', 'SELECT 4', 'SELECT 5']);
SELECT since();
SELECT count(*) FROM enhanced_pool.run_parallel('stats', ARRAY['SELECT 1', 'SELECT 1/0', 'BEGIN'], on_error => 'capture');
SELECT since();
SELECT count(*) FROM enhanced_pool.run_parallel('stats', ARRAY['SELECT 1', 'SELECT pg_sleep(60)'], timeout => '1s', on_error => 'capture');
SELECT since();
SELECT count(*) FROM enhanced_pool.broadcast(ARRAY['stats', 'stats'], 'SELECT 1');
SELECT since();
-- committed with the statements, and after rows were taken
SELECT count(*) FROM enhanced_pool.run_in_transaction('stats', ARRAY['DELETE FROM counted WHERE a = 1', 'DELETE FROM counted WHERE a = 2']);
SELECT since();
SELECT count(*) FROM enhanced_pool.run_in_transaction('stats', ARRAY['SELECT 1', 'DELETE FROM counted WHERE a = 3', 'SELECT 3']);
SELECT since();
SELECT count(*) FROM enhanced_pool.run_in_transaction('stats', array_fill('SELECT 1'::text, ARRAY[100]));
SELECT since();
-- what comes after an error is not run
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('stats', ARRAY['SELECT 1', 'SELECT 1/0', 'SELECT 3'])$$) ~ '22012';
SELECT since();
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('stats', ARRAY['DELETE FROM counted WHERE a = 4', 'no such thing'])$$) ~ '42601';
SELECT since();
SELECT error_of($$SELECT enhanced_pool.run_in_transaction('stats', ARRAY['SELECT 1', 'SELECT pg_sleep(60)', 'SELECT 3'], timeout => '1s')$$) ~ '57014';
SELECT since();
BEGIN;
SELECT enhanced_pool.acquire('stats') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT count(*) FROM enhanced_pool.run_in_transaction(:lease, ARRAY['SELECT 1', 'SELECT 2']);
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
COMMIT;
SELECT since();

-- sessions: what begins and ends them is not counted
BEGIN;
SELECT enhanced_pool.session('stats') AS s \gset
SELECT enhanced_pool.exec(:s, 'SELECT 1');
SAVEPOINT a;
SELECT enhanced_pool.exec(:s, 'SELECT 1');
ROLLBACK TO a;
SELECT count(*) FROM enhanced_pool.run_in_transaction(:s, ARRAY['SELECT 1', 'SELECT 2']);
COMMIT;
SELECT since();
BEGIN;
SELECT enhanced_pool.exec(enhanced_pool.session('stats'), 'SELECT 1');
ROLLBACK;
SELECT since();
-- the first statement is cut short
SET statement_timeout = '1s';
SELECT error_of($$SELECT enhanced_pool.exec(enhanced_pool.session('stats'), 'SELECT pg_sleep(60)')$$);
RESET statement_timeout;
SELECT since();

-- Buckets are in order, next to each other or apart, and times are in theirs
SELECT count(enhanced_pool.exec('stats', format('SELECT pg_sleep(%s)', g / 1000.0))) FROM generate_series(0, 20) g;
SELECT bool_and(lower_bound < upper_bound AND upper_bound - lower_bound <= greatest(0.001, lower_bound / 16) + 1e-9
                AND sum BETWEEN count * lower_bound AND count * upper_bound AND count > 0)
  FROM enhanced_pool.latency_histogram WHERE pool = 'stats';
SELECT DISTINCT kind FROM enhanced_pool.latency_histogram WHERE pool = 'stats' ORDER BY 1;
SELECT max(upper_bound) BETWEEN 20 AND 10000 FROM enhanced_pool.latency_histogram WHERE pool = 'stats' AND kind = 'query';
SELECT bool_and(lower_bound >= before) FROM (SELECT lower_bound, lag(upper_bound) OVER (PARTITION BY kind ORDER BY n) AS before
  FROM (SELECT *, row_number() OVER () AS n FROM enhanced_pool.latency_histogram WHERE pool = 'stats') h) b WHERE before IS NOT NULL;
-- the percentiles are in the buckets that they must be in
SELECT bool_and((SELECT min(upper_bound) FROM (SELECT upper_bound, sum(count) OVER (ORDER BY lower_bound) AS n, sum(count) OVER () AS total
                   FROM enhanced_pool.latency_histogram h WHERE h.pool = 'stats' AND kind = 'query') x WHERE n >= ceil(part * total))
                BETWEEN p AND greatest(p * 17 / 16, p + 0.001))
  FROM enhanced_pool.pool_metrics m, LATERAL (VALUES (0.5, p50_query_time), (0.95, p95_query_time), (0.99, p99_query_time)) v(part, p)
  WHERE m.pool = 'stats';
-- of all roles together the same, where there is one
SELECT (p.p50_query_time, p.p95_query_time, p.p99_query_time) = (m.p50_query_time, m.p95_query_time, m.p99_query_time)
  FROM enhanced_pool._pool_percentiles() p JOIN enhanced_pool.pool_metrics m USING (datname, pool) WHERE pool = 'stats';

-- Nothing any more
SELECT enhanced_pool.reset_stats('stats');
SELECT count(*) FROM enhanced_pool.latency_histogram WHERE pool = 'stats';
SELECT p50_wait_time, p99_wait_time, p50_query_time, p99_query_time, avg_wait_time, avg_query_time, max_query_time FROM enhanced_pool.pool_metrics WHERE pool = 'stats';

-- Switched off: what was counted stays, and what happens seldom is still counted
SELECT enhanced_pool.exec('stats', 'SELECT 1');
SELECT conn_id AS conn, query_count AS conn_queries FROM enhanced_pool.connection_metrics WHERE pool = 'stats' AND state = 'idle' ORDER BY last_used_at DESC LIMIT 1 \gset
ALTER SERVER stats OPTIONS (ADD stats_enabled 'off');
SELECT enhanced_pool.exec('stats', 'SELECT 1');
SELECT error_of($$SELECT enhanced_pool.exec('stats', 'SELECT 1/0')$$) ~ '22012';
SELECT enhanced_pool.acquire('stats', hold => true) AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN'), enhanced_pool.exec(:lease, 'ROLLBACK');
SELECT current_load > 0, enhanced_pool.release(:lease) FROM enhanced_pool.pool_metrics WHERE pool = 'stats';
SELECT acquire_count, wait_count, lease_count, query_count, query_errors, rows_returned, transaction_count
  FROM enhanced_pool.pool_metrics WHERE pool = 'stats';
SELECT kind, sum(count) FROM enhanced_pool.latency_histogram WHERE pool = 'stats' GROUP BY kind ORDER BY kind;
SELECT query_count - :conn_queries, usage_count > 1 FROM enhanced_pool.connection_metrics WHERE conn_id = :conn;
-- and on again
ALTER SERVER stats OPTIONS (SET stats_enabled 'on');
SELECT enhanced_pool.exec('stats', 'SELECT 1');
SELECT acquire_count, lease_count, query_count, query_errors FROM enhanced_pool.pool_metrics WHERE pool = 'stats';

DROP FUNCTION since();
DROP TABLE counted_here;
SELECT enhanced_pool.exec('stats', 'DROP TABLE counted');
DROP SERVER stats CASCADE;
