--
-- Runs last: whatever the other tests did, nothing was left behind.
--
SELECT count(*) AS leases FROM enhanced_pool.leases;
SELECT count(*) AS waiters FROM enhanced_pool.waiters;

-- No pool has more connections than it may and a health check's, and each one it counts is there.
SELECT pool, role, size, max_total FROM enhanced_pool.pools WHERE size > max_total + 1;
SELECT p.pool, p.role, p.size, count(c.conn_id)
  FROM enhanced_pool.pools p
  LEFT JOIN enhanced_pool.connection_metrics c USING (datname, pool, role)
  GROUP BY p.pool, p.role, p.size
  HAVING p.size <> count(c.conn_id);

-- Nor did any go another way than it was to go.
SELECT pool, role, transport, tls FROM enhanced_pool.connection_metrics
  WHERE transport <> CASE WHEN over_tls() THEN 'relay' ELSE 'direct' END OR tls <> over_tls();
