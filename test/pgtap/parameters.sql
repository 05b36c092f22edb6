-- The configuration parameters: names, types, defaults, units, and where they may be set.
BEGIN;
SELECT * FROM no_plan();

CREATE TEMP TABLE expected (name text, type text, boot text, unit text, context text);
INSERT INTO expected VALUES
  ('initial_size', 'integer', '5', NULL, 'sighup'),
  ('min_size', 'integer', '2', NULL, 'sighup'),
  ('max_size', 'integer', '20', NULL, 'sighup'),
  ('max_overflow', 'integer', '0', NULL, 'sighup'),
  ('target_free_connections', 'integer', '3', NULL, 'sighup'),
  ('max_server_connections', 'integer', '0', NULL, 'sighup'),
  ('idle_timeout', 'real', '300', 's', 'sighup'),
  ('max_lifetime', 'real', '3600', 's', 'sighup'),
  ('connect_timeout', 'real', '10', 's', 'sighup'),
  ('acquire_timeout', 'real', '30', 's', 'user'),
  ('query_timeout', 'real', '0', 's', 'user'),
  ('max_waiting', 'integer', '0', NULL, 'sighup'),
  ('retry_attempts', 'integer', '3', NULL, 'user'),
  ('retry_backoff', 'real', '1', 's', 'user'),
  ('strategy', 'enum', 'balanced', NULL, 'sighup'),
  ('dynamic_scaling_enabled', 'bool', 'on', NULL, 'sighup'),
  ('scale_up_threshold', 'real', '0.8', NULL, 'sighup'),
  ('scale_down_threshold', 'real', '0.3', NULL, 'sighup'),
  ('scaling_cool_down', 'real', '30', 's', 'sighup'),
  ('validation_interval', 'real', '60', 's', 'sighup'),
  ('validation_query', 'string', 'SELECT 1', NULL, 'sighup'),
  ('health_check_interval', 'real', '10', 's', 'sighup'),
  ('circuit_breaker_threshold', 'integer', '5', NULL, 'sighup'),
  ('circuit_breaker_recovery', 'real', '30', 's', 'sighup'),
  ('failover_enabled', 'bool', 'on', NULL, 'sighup'),
  ('reset', 'enum', 'auto', NULL, 'sighup'),
  ('reset_query', 'string', 'DISCARD ALL', NULL, 'sighup'),
  ('connect_query', 'string', '', NULL, 'sighup'),
  ('propagate_settings', 'string', '', NULL, 'sighup'),
  ('autocommit', 'bool', 'on', NULL, 'sighup'),
  ('statement_cache_size', 'integer', '100', NULL, 'sighup'),
  ('min_sessions', 'integer', '0', NULL, 'sighup'),
  ('max_sessions', 'integer', '0', NULL, 'sighup'),
  ('target_free_sessions', 'integer', '0', NULL, 'sighup'),
  ('session_idle_timeout', 'real', '60', 's', 'sighup'),
  ('session_max_lifetime', 'real', '1800', 's', 'sighup'),
  ('idle_in_session_timeout', 'real', '0', 's', 'sighup'),
  ('session_timeout', 'real', '0', 's', 'sighup'),
  ('leak_detection_threshold', 'real', '0', 's', 'sighup'),
  ('log_connections', 'bool', 'off', NULL, 'sighup'),
  ('stats_enabled', 'bool', 'on', NULL, 'sighup'),
  ('stats_emit_interval', 'real', '60', 's', 'sighup'),
  ('application_name', 'string', 'enhanced_pool/%S', NULL, 'sighup'),
  ('max_pools', 'integer', '256', NULL, 'postmaster'),
  ('max_connections', 'integer', '256', NULL, 'postmaster'),
  ('max_statements', 'integer', '256', NULL, 'postmaster'),
  ('workers', 'integer', '1', NULL, 'postmaster'),
  ('event_log_size', 'integer', '1024', NULL, 'postmaster');

SELECT is((s.vartype, s.boot_val, s.unit, s.context)::text, (e.type, e.boot, e.unit, e.context)::text,
  'enhanced_pool.' || e.name)
FROM expected e LEFT JOIN pg_settings s ON s.name = 'enhanced_pool.' || e.name
ORDER BY e.name COLLATE "C";
SELECT is(s.enumvals::text, v.words, v.name) FROM (VALUES
  ('enhanced_pool.strategy', '{balanced,high_throughput,low_latency,dynamic}'),
  ('enhanced_pool.reset', '{auto,always,never}')) AS v(name, words)
LEFT JOIN pg_settings s USING (name);
SELECT is_empty($$SELECT name FROM pg_settings WHERE name LIKE 'enhanced\_pool.%' AND short_desc = ''$$,
  'all are described');

-- suffixes, 0, and less than a millisecond
SELECT lives_ok($$SET enhanced_pool.acquire_timeout = '200ms'$$);
SELECT is(current_setting('enhanced_pool.acquire_timeout'), '200ms', 'fractions of a second');
SELECT lives_ok($$SET enhanced_pool.acquire_timeout = 0$$, '0 switches it off');
SELECT lives_ok($$SET enhanced_pool.acquire_timeout = '1ms'$$, 'the least');
SELECT throws_ok($$SET enhanced_pool.acquire_timeout = '0.9ms'$$, '22023', NULL, 'less than that');
SELECT throws_ok($$SET enhanced_pool.acquire_timeout = -1$$, '22023', NULL, 'negative');
SELECT throws_ok($$SET enhanced_pool.acquire_timeout = '31d'$$, '22023', NULL, 'too long');
SELECT throws_ok($$SET enhanced_pool.retry_attempts = 0$$, '22023', NULL, 'no attempt at all');
SELECT lives_ok($$SET enhanced_pool.retry_attempts = 1$$, 'one attempt');

-- what a session cannot set
SELECT throws_ok($$SET enhanced_pool.max_size = 5$$, '55P02', NULL, 'a setting of all sessions');
SELECT throws_ok($$SET enhanced_pool.max_pools = 5$$, '55P02', NULL, 'a setting of the server''s start');
SELECT throws_ok($$SET enhanced_pool.no_such_setting = 5$$, '42602', NULL, 'an unknown one: the prefix is reserved');

SELECT * FROM finish();
ROLLBACK;
