--
-- copy_to where a column's type differs from the remote's, so that rows go as text:
-- what has to be escaped, and the remote's errors about what a function runs.
--
SET client_min_messages = warning;
\pset null '(null)'
CREATE SCHEMA copying_text;
SET search_path = copying_text, public;
SELECT define_pool('text_copy', $$max_size '1', initial_size '1', min_size '1'$$);
SELECT count(*) FROM enhanced_pool.run_script('text_copy', 'CREATE TABLE text_copied (id int, v text, n numeric[])');
CREATE FUNCTION copied() RETURNS SETOF jsonb LANGUAGE sql AS $$
  SELECT enhanced_pool.execute_json('text_copy', 'SELECT * FROM text_copied ORDER BY id')
$$;

-- smallint into integer
SELECT enhanced_pool.copy_to('text_copy', 'text_copied', $$
  SELECT id::smallint, v, ARRAY[id, NULL]
  FROM (VALUES (1, E'tab\tnew\nret\rback\\slash \b\f\x0b'), (2, '\N'), (3, NULL), (4, ''), (5, '\.'), (6, 'ä€'), (7, E'\t'), (8, E'\\')) AS t(id, v)$$);
SELECT copied();
SELECT enhanced_pool.execute_json('text_copy', $$
  SELECT count(*), bool_and(v = E'tab\tnew\nret\rback\\slash \b\f\x0b') AS the_same FROM text_copied WHERE id = 1$$);
-- what the output function of a type writes is escaped, too
SELECT enhanced_pool.exec('text_copy', 'TRUNCATE text_copied');
SELECT enhanced_pool.copy_to('text_copy', 'text_copied',
  $$SELECT 1::smallint, jsonb_build_object('tab', E'\t', 'back', '\', 'quote', '"'), NULL UNION ALL SELECT 2, to_jsonb(E'\n'::text), '{}'$$);
SELECT copied();

SELECT enhanced_pool.exec('text_copy', 'DROP TABLE text_copied');

-- an error in what a remote function runs comes with that statement and the place in it
SELECT enhanced_pool.exec('text_copy', 'DO ''BEGIN EXECUTE $sql$SELECT 1 FROM nowhere$sql$; END''');
DROP SCHEMA copying_text CASCADE;
DROP SERVER text_copy CASCADE;
