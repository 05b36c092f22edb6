-- The functions: arguments, defaults, results, and how they may be called.
BEGIN;
SELECT * FROM no_plan();

CREATE TEMP TABLE expected (name text, arguments text, result text);

-- each runs on a pool or a lease, without parameters, with any, with text
INSERT INTO expected
SELECT f.name, f.before || p.target || ', sql text' || v.params, f.result
FROM (VALUES ('execute', '', 'SETOF record'),
             ('execute_as', 'row_type anyelement, ', 'SETOF anyelement'),
             ('execute_json', '', 'SETOF jsonb'),
             ('exec', '', 'bigint')) AS f(name, before, result),
     (VALUES ('pool text'), ('lease bigint')) AS p(target),
     (VALUES (''), (', VARIADIC params "any"'), (', VARIADIC params text[]')) AS v(params);

INSERT INTO expected
SELECT f.name, p.target || ', sql text', f.result
FROM (VALUES ('run_script', 'TABLE(statement integer, command text, row_count bigint)'),
             ('describe', 'TABLE("position" integer, name text, type text)')) AS f(name, result),
     (VALUES ('pool text'), ('lease bigint')) AS p(target);

INSERT INTO expected
SELECT 'send', 'lease bigint, sql text' || v.params, 'void'
FROM (VALUES (''), (', VARIADIC params "any"'), (', VARIADIC params text[]')) AS v(params);

INSERT INTO expected
SELECT f.name, p.target || f.arguments || ', columns text[] DEFAULT NULL::text[]', 'bigint'
FROM (VALUES ('copy_to', ', remote_table text, query text'),
             ('copy_from', ', remote_query text, local_table regclass')) AS f(name, arguments),
     (VALUES ('pool text'), ('lease bigint')) AS p(target);

INSERT INTO expected VALUES
  ('is_busy', 'lease bigint', 'boolean'),
  ('cancel', 'lease bigint', 'boolean'),
  ('get_result', 'lease bigint', 'SETOF record'),
  ('get_result_as', 'row_type anyelement, lease bigint', 'SETOF anyelement'),
  ('get_result_json', 'lease bigint', 'SETOF jsonb'),
  ('get_count', 'lease bigint', 'bigint'),
  ('wait_any', 'leases bigint[], timeout interval DEFAULT NULL::interval', 'bigint'),
  ('get_notify', 'lease bigint, timeout interval DEFAULT ''00:00:00''::interval', 'TABLE(notify_name text, be_pid integer, extra text)');

INSERT INTO expected
SELECT f.name, f.before || 'sql text' || v.params, 'operation'
FROM (VALUES ('op', ''), ('op_on', 'pool text, ')) AS f(name, before),
     (VALUES (''), (', VARIADIC params "any"'), (', VARIADIC params text[]')) AS v(params);

INSERT INTO expected
SELECT f.name, replace(f.arguments, 'OPERATIONS', 'operations ' || o.type), 'SETOF operation_result'
FROM (VALUES ('run_parallel', 'pool text, OPERATIONS, max_parallel integer DEFAULT NULL::integer, timeout interval DEFAULT NULL::interval, name text DEFAULT NULL::text, on_error text DEFAULT ''raise''::text'),
             ('run_in_transaction', 'pool text, OPERATIONS, isolation text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval, name text DEFAULT NULL::text'),
             ('run_in_transaction', 'lease bigint, OPERATIONS, isolation text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval, name text DEFAULT NULL::text')) AS f(name, arguments),
     (VALUES ('text[]'), ('operation[]')) AS o(type);

INSERT INTO expected VALUES
  ('broadcast', 'pools text[], sql text, params text[] DEFAULT NULL::text[], timeout interval DEFAULT NULL::interval, on_error text DEFAULT ''raise''::text', 'SETOF operation_result'),
  ('broadcast_as', 'row_type anyelement, pools text[], sql text, params text[] DEFAULT NULL::text[], timeout interval DEFAULT NULL::interval', 'SETOF anyelement'),
  ('acquire', 'pool text, timeout interval DEFAULT NULL::interval, hold boolean DEFAULT false, name text DEFAULT NULL::text', 'bigint'),
  ('release', 'lease bigint', 'boolean'),
  ('release_all', '', 'integer'),
  ('session', 'pool text, isolation text DEFAULT NULL::text, read_only boolean DEFAULT NULL::boolean, timeout interval DEFAULT NULL::interval, name text DEFAULT NULL::text', 'bigint'),
  ('configure_pool', 'pool text, options jsonb, role name DEFAULT NULL::name', 'void'),
  ('pause', 'pool text, timeout interval DEFAULT ''00:00:00''::interval, role name DEFAULT NULL::name', 'integer'),
  ('resume', 'pool text, role name DEFAULT NULL::name', 'void'),
  ('recycle', 'pool text, role name DEFAULT NULL::name', 'void'),
  ('close_pool', 'pool text, role name DEFAULT NULL::name', 'void'),
  ('prewarm', 'pool text, n integer DEFAULT NULL::integer, role name DEFAULT NULL::name', 'integer'),
  ('terminate_connection', 'conn_id bigint', 'boolean'),
  ('reset_stats', 'pool text DEFAULT NULL::text, role name DEFAULT NULL::name', 'void'),
  ('health_check', 'pool text, role name DEFAULT NULL::name', 'TABLE(role text, healthy boolean, latency double precision, error text)'),
  ('reset_breaker', 'pool text, role name DEFAULT NULL::name', 'void'),
  ('get_metrics', '', 'jsonb'),
  ('get_detailed_metrics', 'pool text', 'jsonb'),
  ('dashboard', '', 'text'),
  ('last_remote_error', '', 'TABLE(pool text, sqlstate text, message text, detail text, hint text, constraint_name text)');

CREATE TEMP VIEW actual AS
SELECT p.oid, p.proname::text AS name,
       replace(replace(pg_get_function_arguments(p.oid), '"timeout"', 'timeout'), 'enhanced_pool.', '') AS arguments,
       replace(pg_get_function_result(p.oid), 'enhanced_pool.', '') AS result,
       p.proname = ANY ('{configure_pool,pause,resume,recycle,close_pool,prewarm,terminate_connection,reset_stats,health_check,reset_breaker}') AS administers,
       p.proname = 'copy_from' AS writes,
       p.provolatile, p.proparallel, p.proisstrict, p.proleakproof, p.prosecdef
FROM pg_proc p
WHERE p.pronamespace = 'enhanced_pool'::regnamespace AND p.proname !~ '^_|_validator$';

SELECT is((SELECT count(*) FROM expected), 75::bigint, 'the list of expected functions');
SELECT is(a.result, e.result, format('%s(%s)', e.name, e.arguments))
FROM expected e LEFT JOIN actual a USING (name, arguments)
ORDER BY e.name COLLATE "C", e.arguments COLLATE "C";

-- what comes first in the arguments is never skipped: NULL is an error (22004), so none is strict
SELECT is(format('%s%s%s%s%s', provolatile, proparallel, proisstrict, proleakproof, prosecdef),
  CASE WHEN administers OR writes THEN 'vufff' ELSE 'vrfff' END,
  format('%s is volatile, parallel %s, not strict, not leakproof, with the caller''s rights', oid::regprocedure,
         CASE WHEN administers OR writes THEN 'unsafe' ELSE 'restricted' END))
FROM actual ORDER BY name COLLATE "C", arguments COLLATE "C";
-- everybody may call them; those that administer ask for themselves who may
SELECT ok(has_function_privilege('public', oid, 'EXECUTE'), format('everybody may call %s', oid::regprocedure))
FROM actual ORDER BY name COLLATE "C", arguments COLLATE "C";

-- drivers that bind strings without a type must find exactly one of the three forms
PREPARE untyped AS SELECT enhanced_pool.exec($1::text, $2::text, $3, $4);
SELECT is((SELECT parameter_types::text FROM pg_prepared_statements WHERE name = 'untyped'), '{text,text,text,text}',
  'parameters of unknown type are text');
SELECT throws_ok(format('SELECT * FROM enhanced_pool.%s(NULL::text, ''SELECT 1'')%s', f, d), '22004', NULL, f || ': the pool is NULL')
FROM (VALUES ('execute', ' AS t(a int)'), ('execute_json', ''), ('exec', ''), ('run_script', ''), ('describe', '')) AS v(f, d);
SELECT throws_ok(format('SELECT * FROM enhanced_pool.%s(NULL::bigint, ''SELECT 1'')%s', f, d), '22004', NULL, f || ': the lease is NULL')
FROM (VALUES ('execute', ' AS t(a int)'), ('execute_json', ''), ('exec', ''), ('run_script', ''), ('describe', '')) AS v(f, d);
SELECT throws_ok($$SELECT enhanced_pool.acquire(NULL)$$, '22004', NULL, 'acquire: the pool is NULL');
SELECT throws_ok($$SELECT enhanced_pool.session(NULL)$$, '22004', NULL, 'session: the pool is NULL');
SELECT throws_ok($$SELECT enhanced_pool.session('p', 'snapshot')$$, '22023', NULL, 'session: unknown isolation');
SELECT throws_ok($$SELECT enhanced_pool.session('no such pool')$$, '42704', NULL, 'session: unknown pool');
SELECT throws_ok(format('SELECT enhanced_pool.%s(NULL%s)', f, a), '22004', NULL, f || ': NULL')
FROM (VALUES ('configure_pool', ', ''{}'''), ('pause', ''), ('resume', ''), ('recycle', ''), ('close_pool', ''),
             ('prewarm', ''), ('terminate_connection', ''), ('health_check', ''), ('reset_breaker', ''), ('get_detailed_metrics', '')) AS v(f, a);
SELECT throws_ok($$SELECT enhanced_pool.configure_pool('p', NULL)$$, '22004', NULL, 'configure_pool: the options are NULL');
SELECT throws_ok($$SELECT enhanced_pool.release(NULL)$$, '22004', NULL, 'release: the lease is NULL');
SELECT throws_ok(format('SELECT enhanced_pool.%s', c), '22004', NULL, c)
FROM (VALUES ('send(NULL, ''SELECT 1'')'), ('send(1, NULL)'), ('is_busy(NULL)'), ('cancel(NULL)'), ('get_result(NULL)'), ('get_result_as(1, NULL)'),
             ('get_result_json(NULL)'), ('get_count(NULL)'), ('wait_any(NULL)'), ('wait_any(ARRAY[NULL::bigint])'), ('get_notify(NULL)')) AS v(c);

-- errors that need no remote server
SELECT throws_ok($$SELECT enhanced_pool.exec('no such pool', 'SELECT 1')$$, '42704', NULL, 'unknown pool');
SELECT throws_ok($$SELECT enhanced_pool.exec(123456789::bigint, 'SELECT 1')$$, '08003', NULL, 'unknown lease');
SELECT throws_ok(format('SELECT enhanced_pool.%s', c), '08003', NULL, c || ': unknown lease')
FROM (VALUES ('send(123456789, ''SELECT 1'')'), ('is_busy(123456789)'), ('cancel(123456789)'), ('get_result(123456789)'), ('get_result_as(1, 123456789)'),
             ('get_result_json(123456789)'), ('get_count(123456789)'), ('wait_any(ARRAY[123456789])'), ('get_notify(123456789)')) AS v(c);
SELECT throws_ok(format('SELECT enhanced_pool.%s(''no such pool''%s)', f, a), '42704', NULL, f || ': unknown pool')
FROM (VALUES ('configure_pool', ', ''{}'''), ('pause', ''), ('resume', ''), ('recycle', ''), ('close_pool', ''),
             ('prewarm', ''), ('reset_stats', ''), ('health_check', ''), ('reset_breaker', ''), ('get_detailed_metrics', '')) AS v(f, a);

-- documents of a database without pools, and of one with a pool that nobody has opened
SELECT is(enhanced_pool.get_metrics(), '{}', 'no pools, no metrics');
CREATE SERVER documented FOREIGN DATA WRAPPER enhanced_pool OPTIONS (max_size '7');
CREATE USER MAPPING FOR PUBLIC SERVER documented OPTIONS (user 'u', password 'canary');
SELECT is((SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM jsonb_object_keys(enhanced_pool.get_metrics() -> 'documented') AS key),
  'health performance roles size stats_reset uptime', 'what a pool has');
SELECT is((SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM jsonb_object_keys(enhanced_pool.get_detailed_metrics('documented') #> '{documented,roles,public}') AS key),
  'circuit_breaker config connections health performance size state stats_reset uptime', 'what a role has in detail');
SELECT is(enhanced_pool.get_metrics() #>> path::text[], value, format('%s of a closed pool', path))
FROM (VALUES ('{documented,size,current}', '0'), ('{documented,size,active}', '0'), ('{documented,size,idle}', '0'), ('{documented,size,total_created}', '0'),
             ('{documented,size,total_closed}', '0'), ('{documented,size,max}', '7'), ('{documented,health,validation_failures}', '0'),
             ('{documented,health,connection_errors}', '0'), ('{documented,health,health_check_failure_rate}', NULL),
             ('{documented,health,circuit_breaker_trips}', '0'), ('{documented,performance,avg_wait_time}', NULL), ('{documented,performance,query_count}', '0'),
             ('{documented,performance,current_load}', NULL), ('{documented,uptime}', NULL), ('{documented,roles,public,state}', 'closed')) AS v(path, value);
SELECT is(enhanced_pool.get_detailed_metrics('documented') #> '{documented,roles,public,circuit_breaker}',
  '{"state": "closed", "failure_count": 0, "next_try_in": null}', 'its circuit breaker');
SELECT is(enhanced_pool.get_detailed_metrics('documented') #> '{documented,roles,public,config,max_size}', '7', 'its configuration');
SELECT unalike(enhanced_pool.get_metrics()::text || enhanced_pool.get_detailed_metrics('documented') || enhanced_pool.dashboard(), '%canary%', 'no password');
SELECT alike(enhanced_pool.dashboard(), '<!DOCTYPE html>%"documented"%</html>%', 'a page');
SELECT is(enhanced_pool.terminate_connection(9223372036854775807), false, 'terminating what is not there');
SELECT is(enhanced_pool.release(123456789), false, 'releasing what is not mine');
SELECT is(enhanced_pool.release_all(), 0, 'releasing nothing');

SELECT * FROM finish();
ROLLBACK;
