--
-- execute_json: one JSON object for each row.
--
SET client_min_messages = warning;
\pset format unaligned
\pset tuples_only on

-- all signatures
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT id, name FROM items WHERE id <= 2 ORDER BY id');
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT $1 AS a, $2::text AS b', 1, 'x');
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT $1::int AS a, $2::text AS b', VARIADIC ARRAY['1', 'x']);
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT * FROM enhanced_pool.execute_json(:lease, 'SELECT 1 AS a');
SELECT * FROM enhanced_pool.execute_json(:lease, 'SELECT $1 AS a', 2);
SELECT * FROM enhanced_pool.execute_json(:lease, 'SELECT $1::int AS a', VARIADIC ARRAY['3']);
COMMIT;
SELECT error_of($$SELECT enhanced_pool.execute_json(NULL::text, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json(NULL::bigint, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json('loop', NULL)$$);
-- in a select list too, and for each row of something else
SELECT enhanced_pool.execute_json('loop', 'SELECT g AS a FROM generate_series(1, 2) g');
SELECT i, j FROM generate_series(1, 2) i, LATERAL enhanced_pool.execute_json('loop', 'SELECT $1 AS a', i) j;

-- numbers, exactly as they are
SELECT * FROM enhanced_pool.execute_json('loop', $$SELECT 32767::int2 AS int2, -2147483648 AS int4, 9223372036854775807 AS int8,
  0.1::float4 AS float4, 1e-7::float8 AS float8, 0.30000000000000004::float8 AS exact, 1.50 AS scale,
  12345678901234567890.12345678901234567890 AS long, '-0'::float8 AS minus_zero, 1e20::float8 AS big$$);
-- what JSON has no numbers for
SELECT * FROM enhanced_pool.execute_json('loop', $$SELECT 'NaN'::float8 AS a, 'Infinity'::float8 AS b, '-Infinity'::float4 AS c, 'NaN'::numeric AS d, '-Infinity'::numeric AS e$$);
-- booleans and nulls
SELECT * FROM enhanced_pool.execute_json('loop', $$SELECT true AS t, false AS f, NULL::bool AS b, NULL::int AS i, NULL::text AS s, NULL::jsonb AS j, NULL AS unknown$$);
-- json stays json
SELECT * FROM enhanced_pool.execute_json('loop', $$SELECT '{"a": [1, {"b": null}], "c": "d"}'::json AS json, '[]'::jsonb AS empty, '{}'::json AS nothing,
  '"text"'::jsonb AS text, '1.0'::json AS number, 'null'::json AS null, 'true'::jsonb AS "true", '[1, [2, [3]]]'::jsonb AS deep$$);
SELECT jsonb_typeof(j -> 'json'), jsonb_typeof(j -> 'null'), jsonb_typeof(j -> 'text'), j #>> '{json,0,k}'
  FROM enhanced_pool.execute_json('loop', $$SELECT '[{"k": "v"}]'::json AS json, 'null'::json AS "null", '{"a": 1}'::text AS text$$) j;
-- all else is the text that the remote sends
SELECT * FROM enhanced_pool.execute_json('loop', $$SELECT date '2026-01-02' AS d, timestamp '2026-01-02 03:04:05.6' AS ts, time '03:04' AS t, interval '1 mon -2 days 03:00' AS i,
  ARRAY[1, NULL, 3] AS ints, '{{a,"b c"}}'::text[] AS texts, '\x00ff'::bytea AS b, inet '10.0.0.1' AS ip, int4range(1, 3) AS r, ROW(1, 'x', NULL) AS row,
  'c0ffee00-0000-4000-8000-000000000001'::uuid AS u, 'x'::char(3) AS c, B'101' AS bits, '{1,2}'::int[] AS a, 'a=>1'::text AS t2, 5::oid AS oid$$);
-- whatever the local settings
SET DateStyle = 'German, DMY'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = -10;
SELECT * FROM enhanced_pool.execute_json('loop', $$SELECT date '2026-01-02' AS d, interval '1 mon -2 days' AS i, 0.1::float8 + 0.2 AS f, ARRAY[date '2026-01-02'] AS a$$);
RESET DateStyle; RESET IntervalStyle; RESET extra_float_digits;
-- any characters, in values and in names
SELECT * FROM enhanced_pool.execute_json('loop', $$SELECT E'quote " backslash \\ newline \n tab \t bell \x07 slash /' AS a, 'äöü € 漢字 😀' AS "größe 😀", E'\u2028' = U&'\2028' AS b, '' AS "Empty Value", 1 AS "a""b"$$);
SELECT j -> 'a' = to_jsonb(repeat('ä', 100000)) AS long FROM enhanced_pool.execute_json('loop', $$SELECT repeat('ä', 100000) AS a$$) j;
SELECT jsonb_array_length(j -> 'a') FROM enhanced_pool.execute_json('loop', $$SELECT jsonb_agg(g) AS a FROM generate_series(1, 20000) g$$) j;
-- members are sorted, as jsonb sorts them
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT 1 AS bb, 2 AS a, 3 AS ccc');
-- json that jsonb cannot hold
SELECT left(error_of($$SELECT enhanced_pool.execute_json('loop', 'SELECT ''"\u0000"''::json AS a')$$), 5);

-- duplicate names
SELECT error_of($$SELECT enhanced_pool.execute_json('loop', 'SELECT 1 AS a, 2 AS b, 3 AS a')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json('loop', 'SELECT 1, 2')$$);
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT 1 AS a, 2 AS "A", 3');
-- the connection is as good as before
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT 1 AS a');

-- no columns, no rows, nothing that returns rows
SELECT * FROM enhanced_pool.execute_json('loop', 'SELECT FROM generate_series(1, 2)');
SELECT count(*) FROM enhanced_pool.execute_json('loop', 'SELECT 1 AS a WHERE false');
SELECT count(*) FROM enhanced_pool.execute_json('loop', 'UPDATE items SET name = name WHERE id = 1');
SELECT count(*) FROM enhanced_pool.execute_json('loop', '');
SELECT * FROM enhanced_pool.execute_json('loop', 'UPDATE items SET name = name WHERE id = 1 RETURNING id, price');
SELECT * FROM enhanced_pool.execute_json('loop', 'SHOW server_encoding');
-- many columns
SELECT (SELECT count(*) FROM jsonb_object_keys(j)), j -> 'c1600'
  FROM enhanced_pool.execute_json('loop', (SELECT 'SELECT ' || string_agg(format('%s AS c%1$s', i), ', ') FROM generate_series(1, 1600) i)) j;
-- errors of the remote, before and among the rows
SELECT error_of($$SELECT enhanced_pool.execute_json('loop', 'SELECT 1 / 0 AS a')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json('loop', 'SELECT 1 / (100 - g) AS a FROM generate_series(1, 200) g')$$);
SELECT error_of($$SELECT enhanced_pool.execute_json('loop', 'SELECT 1; SELECT 2')$$);
