--
-- The views: what they show of pools that are closed, open and in use, and to whom.
--
SET client_min_messages = warning;

CREATE SERVER view_shared FOREIGN DATA WRAPPER enhanced_pool
  OPTIONS (host 'a.example.org,b.example.org', port '5433', dbname 'shared', max_size '7', max_overflow '2', min_size '1',
           connect_query 'SET a.b = ''shared''');
CREATE USER MAPPING FOR PUBLIC SERVER view_shared OPTIONS (user 'everybody', password 'x');
CREATE USER MAPPING FOR regress_ep_app SERVER view_shared OPTIONS (user 'app', password 'x', max_size '3');
CREATE SERVER view_plain FOREIGN DATA WRAPPER enhanced_pool OPTIONS (hostaddr '192.0.2.1');
CREATE USER MAPPING FOR regress_ep_other SERVER view_plain OPTIONS (password 'x');
-- only with mappings there are pools
CREATE SERVER view_unmapped FOREIGN DATA WRAPPER enhanced_pool;
-- one that takes everything but its settings from another
CREATE SERVER view_via FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'view_shared', max_size '4');
-- what cannot work is no pool
CREATE SERVER view_broken FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'view_via');
CREATE USER MAPPING FOR PUBLIC SERVER view_broken OPTIONS (max_size '1');

-- Closed pools, as they would be opened
CREATE VIEW closed_pools AS
  SELECT pool, role, remote_user, host, port, dbname, state, breaker, strategy, min_size, max_size, max_total
  FROM enhanced_pool.pools WHERE datname = current_database() AND pool LIKE 'view\_%'
  ORDER BY pool COLLATE "C", role COLLATE "C";
SELECT * FROM closed_pools;
SELECT pool, role, size, active, idle, connecting, overflow, waiting, oldest_wait_time
  FROM enhanced_pool.pools WHERE pool LIKE 'view\_%' AND role = 'public' ORDER BY pool COLLATE "C";
SELECT role, name, value, unit, source FROM enhanced_pool.config
  WHERE datname = current_database() AND pool = 'view_shared' AND name IN ('max_size', 'connect_query', 'idle_timeout')
  ORDER BY role COLLATE "C", name COLLATE "C";
-- a closed pool has no numbers
SELECT count(*) FROM enhanced_pool.pool_metrics WHERE pool LIKE 'view\_%';

-- To whom: who may use neither the server nor the mapping sees no host and no user
CREATE VIEW seen AS
  SELECT p.pool, p.role, p.remote_user, p.host, c.value AS connect_query
  FROM enhanced_pool.pools p LEFT JOIN enhanced_pool.config c
    ON c.datname = p.datname AND c.pool = p.pool AND c.role = p.role AND c.name = 'connect_query'
  WHERE p.datname = current_database() AND p.pool IN ('view_shared', 'view_via')
  ORDER BY p.pool COLLATE "C", p.role COLLATE "C";
GRANT SELECT ON seen TO PUBLIC;
SET ROLE regress_ep_app;
SELECT * FROM seen;
RESET ROLE;
-- USAGE on the server, and the role's own mapping or PUBLIC's
GRANT USAGE ON FOREIGN SERVER view_shared TO regress_ep_app, regress_ep_other;
SET ROLE regress_ep_app;
SELECT * FROM seen;
SET ROLE regress_ep_other;
SELECT * FROM seen;
RESET ROLE;
-- server 'other': both servers are needed
GRANT USAGE ON FOREIGN SERVER view_via TO regress_ep_other;
REVOKE USAGE ON FOREIGN SERVER view_shared FROM regress_ep_other;
SET ROLE regress_ep_other;
SELECT * FROM seen;
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER view_shared TO regress_ep_other;
SET ROLE regress_ep_other;
SELECT * FROM seen;
RESET ROLE;
-- who reads all statistics sees everything
GRANT pg_read_all_stats TO regress_ep_other;
SET ROLE regress_ep_other;
SELECT * FROM seen;
RESET ROLE;
REVOKE pg_read_all_stats FROM regress_ep_other;
DROP VIEW seen;

-- The server's owner sees the settings of all its mappings, since they are his to set
CREATE ROLE regress_ep_owner;
GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO regress_ep_owner;
ALTER SERVER view_shared OWNER TO regress_ep_owner;
SET ROLE regress_ep_owner;
SELECT p.role, p.host, c.value AS connect_query FROM enhanced_pool.pools p JOIN enhanced_pool.config c USING (datname, pool, role)
  WHERE p.datname = current_database() AND pool = 'view_shared' AND c.name = 'connect_query' ORDER BY p.role COLLATE "C";
RESET ROLE;

-- ALTER shows at once, also in the transaction that does it
BEGIN;
ALTER SERVER view_shared OPTIONS (SET max_size '9');
SELECT max_size, max_total FROM closed_pools WHERE pool = 'view_shared' AND role = 'public';
ROLLBACK;
SELECT max_size, max_total FROM closed_pools WHERE pool = 'view_shared' AND role = 'public';
DROP VIEW closed_pools;
DROP SERVER view_shared, view_plain, view_unmapped, view_via, view_broken CASCADE;
REVOKE ALL ON FOREIGN DATA WRAPPER enhanced_pool FROM regress_ep_owner;
DROP ROLE regress_ep_owner;

-- An open pool
SELECT define_pool('view_open', $$max_size '1', initial_size '1', min_size '1', max_overflow '2', validation_interval '0'$$);
SELECT enhanced_pool.exec('view_open', 'SELECT 1');
SELECT enhanced_pool.acquire('view_open', name => 'mine', hold => true) AS lease \gset
SELECT state, size, active, idle, connecting, overflow, waiting, oldest_wait_time, min_size, max_size, max_total
  FROM enhanced_pool.pools WHERE pool = 'view_open';
SELECT state, transport = CASE WHEN over_tls() THEN 'relay' ELSE 'direct' END AS right_transport, tls = over_tls() AS right_tls,
       remote_pid > 0 AS has_pid, host = remote_host() AS right_host,
       created_at <= now() AS created, age >= '0' AS aged, last_used_at IS NOT NULL AS used, idle_time,
       validation_count, validation_failure_rate
  FROM enhanced_pool.connection_metrics WHERE pool = 'view_open';

-- A lease, before its first statement and after it
SELECT lease = :lease AS my_lease, pid = pg_backend_pid() AS my_pid, kind, name, state, hold,
       acquired_at <= clock_timestamp() AS acquired, held_for BETWEEN '0' AND '1min' AS held, query_start, query
  FROM enhanced_pool.leases WHERE pool = 'view_open';
SELECT v FROM enhanced_pool.execute(:lease, $$SELECT pg_backend_pid() AS v$$) AS t(v int) \gset
SELECT l.remote_pid = :v AS right_remote_pid, l.conn_id = c.conn_id AND l.remote_pid = c.remote_pid AS same_connection, l.state,
       query_start >= acquired_at AS started, query
  FROM enhanced_pool.leases l JOIN enhanced_pool.connection_metrics c USING (datname, pool, role) WHERE pool = 'view_open';
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT state, query FROM enhanced_pool.leases WHERE pool = 'view_open';
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT state, query FROM enhanced_pool.leases WHERE pool = 'view_open';

-- Whose query it is decides who reads it
GRANT USAGE ON FOREIGN SERVER view_open TO regress_ep_app;
SET ROLE regress_ep_app;
SELECT name, state, query_start IS NOT NULL AS started, query FROM enhanced_pool.leases WHERE pool = 'view_open';
SELECT remote_pid > 0 AS has_pid, host FROM enhanced_pool.connection_metrics WHERE pool = 'view_open';
RESET ROLE;
GRANT pg_read_all_stats TO regress_ep_app;
SET ROLE regress_ep_app;
SELECT name, state, query FROM enhanced_pool.leases WHERE pool = 'view_open';
SELECT host IS NOT NULL AS host FROM enhanced_pool.connection_metrics WHERE pool = 'view_open';
RESET ROLE;
REVOKE pg_read_all_stats FROM regress_ep_app;

-- A long query is cut at a character, and the next holder sees nothing of the last one's
SELECT enhanced_pool.exec(:lease, 'SELECT ''' || repeat('ä', 5000) || '''');
SELECT octet_length(query) BETWEEN setting::int - 2 AND setting::int - 1 AS cut,
       query = 'SELECT ''' || repeat('ä', length(query) - 8) AS at_a_character
  FROM enhanced_pool.leases, pg_settings WHERE pool = 'view_open' AND pg_settings.name = 'track_activity_query_size';
SELECT enhanced_pool.release(:lease);
SELECT enhanced_pool.acquire('view_open', hold => true) AS lease \gset
SELECT name, query_start, query FROM enhanced_pool.leases WHERE pool = 'view_open';
SELECT enhanced_pool.release(:lease);
SELECT count(*) FROM enhanced_pool.leases WHERE pool = 'view_open';

-- The numbers: with this one six statements since the pool was opened, three of them with a row
SELECT enhanced_pool.exec('view_open', 'SELECT 1/0');
SELECT size, active, acquire_count, acquire_timeouts, wait_count > 0 AS waited, total_wait_time >= max_wait_time AS total_wait,
       avg_wait_time = total_wait_time / wait_count AS avg_wait, lease_count, total_lease_time >= max_lease_time AS total_lease
  FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';
SELECT query_count, query_errors, rows_returned, bytes_sent > 10000 AS sent, bytes_received > 10000 AS received,
       total_query_time >= max_query_time AS total, avg_query_time = total_query_time / query_count AS avg,
       validation_count, validation_failures, connection_errors
  FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';
SELECT total_created - total_closed = size AS adds_up, current_load, uptime BETWEEN '0' AND '10min' AS uptime, stats_reset <= clock_timestamp() AS reset
  FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';
-- of the connections all the same, as long as none was closed
SELECT m.query_count = sum(c.query_count) AS queries, m.query_errors = sum(c.error_count) AS errors, m.acquire_count = sum(c.usage_count) AS uses,
       m.max_query_time = max(c.max_query_time) AS longest
  FROM enhanced_pool.pool_metrics m JOIN enhanced_pool.connection_metrics c USING (datname, pool, role)
  WHERE m.pool = 'view_open' GROUP BY m.query_count, m.query_errors, m.acquire_count, m.max_query_time;

-- What is prepared, until a reset forgets it
SELECT enhanced_pool.exec('view_open', 'SELECT 2');
SELECT sum(prepared_statements) > 0 AS prepared FROM enhanced_pool.connection_metrics WHERE pool = 'view_open';
SELECT enhanced_pool.exec('view_open', 'DISCARD ALL');

-- Percentiles of the last minutes are in order, and no more than the longest of all
SELECT p50_wait_time > 0 AND p50_wait_time <= p95_wait_time AND p95_wait_time <= p99_wait_time AND p99_wait_time <= max_wait_time AS waits,
       p50_query_time > 0 AND p50_query_time <= p95_query_time AND p95_query_time <= p99_query_time AND p99_query_time <= max_query_time AS queries
  FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';

-- Transactions, but not those of statements by themselves
SELECT transaction_count, transaction_rollbacks FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';
SELECT max(transaction_count) AS transactions, max(rollback_rate) AS rate FROM enhanced_pool.connection_metrics WHERE pool = 'view_open';
BEGIN;
SELECT enhanced_pool.exec(enhanced_pool.session('view_open'), 'SELECT 1');
COMMIT;
BEGIN;
SELECT enhanced_pool.acquire('view_open') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
COMMIT;
SELECT transaction_count, transaction_rollbacks FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';

-- How busy it is and was: a pool that is younger than a span has the average of its life
SELECT avg_load_1m BETWEEN 0 AND 1 AS last_minute, abs(avg_load_1m - avg_load_15m) < 0.1 AS much_the_same_for_longer
  FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';

-- It was never scaled: that is switched off here
SELECT scale_ups, scale_downs, last_scaling_at FROM enhanced_pool.pool_metrics WHERE pool = 'view_open';

-- Health
SELECT breaker, health_check_failures, circuit_breaker_trips, circuit_breaker_resets
  FROM enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (datname, pool, role) WHERE pool = 'view_open';

-- While a statement runs: the remote session of this one looks at the lease that it serves
SELECT define_pool('view_self', $$max_size '2'$$);
SELECT format('ALTER SERVER view_self OPTIONS (SET dbname %L)', current_database()) \gexec
SELECT * FROM enhanced_pool.execute('view_self',
  $$SELECT kind, lease > 0, pid <> pg_backend_pid(), remote_pid = pg_backend_pid(), name, state, hold, query ~ '^SELECT kind' FROM enhanced_pool.leases$$)
  AS t(kind text, lease bool, other_pid bool, my_pid bool, name text, state text, hold bool, query bool);

-- A pool whose server is dropped is seen as long as a lease is out
SELECT enhanced_pool.acquire('view_open', hold => true) AS lease \gset
DROP SERVER view_open CASCADE;
SELECT state, size, active FROM enhanced_pool.pools WHERE pool = 'view_open';
SET ROLE regress_ep_app;
SELECT state, host FROM enhanced_pool.pools WHERE pool = 'view_open';
RESET ROLE;
SELECT enhanced_pool.release(:lease);
DO $$
BEGIN
  WHILE EXISTS (SELECT FROM enhanced_pool.pools WHERE pool = 'view_open') LOOP
    PERFORM pg_sleep(0.01);
  END LOOP;
END
$$;
DROP SERVER view_self CASCADE;
