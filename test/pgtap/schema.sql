-- The extension itself: its schema, what is in it, and who may use it.
BEGIN;
SELECT * FROM no_plan();

SELECT has_extension('enhanced_pool');
SELECT is((SELECT (e.extnamespace::regnamespace, e.extrelocatable)::text FROM pg_extension e WHERE e.extname = 'enhanced_pool'),
  '(enhanced_pool,f)', 'the extension is in schema enhanced_pool and cannot be moved');
SELECT is((SELECT default_version FROM pg_available_extensions WHERE name = 'enhanced_pool'),
  (SELECT extversion FROM pg_extension WHERE extname = 'enhanced_pool'),
  'the version that is installed by default');
SELECT results_eq(
  $$SELECT superuser, trusted FROM pg_available_extension_versions WHERE name = 'enhanced_pool' AND installed$$,
  $$VALUES (true, false)$$,
  'only a superuser may create the extension');

-- privileges: PUBLIC may use everything; the functions look for themselves
CREATE ROLE regress_ep_nobody;
SELECT ok(has_schema_privilege('regress_ep_nobody', 'enhanced_pool', 'USAGE'), 'PUBLIC may use the schema');
SELECT ok(NOT has_schema_privilege('regress_ep_nobody', 'enhanced_pool', 'CREATE'), 'PUBLIC may not create in the schema');
SELECT ok(has_function_privilege('regress_ep_nobody', p.oid, 'EXECUTE'), format('PUBLIC may execute %s', p.oid::regprocedure))
FROM pg_proc p WHERE p.pronamespace = 'enhanced_pool'::regnamespace
ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT ok(has_table_privilege('regress_ep_nobody', c.oid, 'SELECT'), format('PUBLIC may read %s', c.relname))
FROM pg_class c WHERE c.relnamespace = 'enhanced_pool'::regnamespace AND c.relkind = 'v'
ORDER BY c.relname COLLATE "C";
SELECT ok(NOT has_table_privilege('regress_ep_nobody', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'),
  format('PUBLIC may only read %s', c.relname))
FROM pg_class c WHERE c.relnamespace = 'enhanced_pool'::regnamespace AND c.relkind = 'v'
ORDER BY c.relname COLLATE "C";
SELECT ok(NOT has_foreign_data_wrapper_privilege('regress_ep_nobody', 'enhanced_pool', 'USAGE'),
  'the wrapper is not PUBLIC''s to use');

-- everything belongs to the extension, and says what it is
SELECT is_empty(
  $$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'enhanced_pool'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')$$,
  'all functions are members of the extension');
SELECT is_empty(
  $$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'enhanced_pool'::regnamespace
    AND obj_description(p.oid, 'pg_proc') IS NULL$$,
  'all functions have a comment');
SELECT is_empty(
  $$SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'enhanced_pool'::regnamespace AND c.relkind = 'v'
    AND obj_description(c.oid, 'pg_class') IS NULL$$,
  'all views have a comment');

SELECT * FROM finish();
ROLLBACK;
