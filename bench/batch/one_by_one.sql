SELECT enhanced_pool.exec(lease, 'BEGIN'),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 1),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 2),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 3),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 4),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 5),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 6),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 7),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 8),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 9),
  enhanced_pool.exec(lease, 'UPDATE tally SET n = n + 1 WHERE id = $1', 10),
  enhanced_pool.exec(lease, 'COMMIT')
FROM (SELECT enhanced_pool.acquire('bench', hold => true, name => 'bench') AS lease OFFSET 0) AS l;
