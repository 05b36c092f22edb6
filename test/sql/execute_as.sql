--
-- execute_as: rows of a given type, their columns matched by name.
--
SET client_min_messages = warning;
\pset null '(null)'

CREATE TABLE users (id int, name text, born date);
SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id, ''Ann'' AS name, date ''2000-01-02'' AS born');
-- in any order
SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT date ''2000-01-02'' AS born, ''Ann'' AS name, 1 AS id');
-- prepared by now, and with the columns the other way round
SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT date ''2000-01-02'' AS born, ''Ann'' AS name, 1 AS id');
-- all signatures
SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT $1 AS id, $2::text AS name, $3 AS born', 2, 'Bob', date '2001-01-02');
SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT $1::int AS id, $2::text AS name, $3::date AS born', VARIADIC ARRAY['2', 'Bob', NULL]);
BEGIN;
SELECT enhanced_pool.acquire('loop') AS lease \gset
SELECT * FROM enhanced_pool.execute_as(NULL::users, :lease, 'SELECT 1 AS id, NULL AS name, NULL AS born');
SELECT * FROM enhanced_pool.execute_as(NULL::users, :lease, 'SELECT $1 AS id, $2::text AS name, NULL AS born', 3, 'Cy');
SELECT * FROM enhanced_pool.execute_as(NULL::users, :lease, 'SELECT $1::int AS id, $2::text AS name, NULL AS born', VARIADIC ARRAY['3', 'Cy']);
COMMIT;
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::users, NULL::text, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::users, NULL::bigint, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::users, 'loop', NULL)$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::users, 'loop', NULL, 1)$$);
-- the value of row_type does not matter, its type does
SELECT * FROM enhanced_pool.execute_as(ROW(9, 'x', NULL)::users, 'loop', 'SELECT 1 AS id, ''Ann'' AS name, NULL AS born');

-- in a select list, PL/pgSQL and a lateral join
SELECT enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id, ''Ann'' AS name, NULL AS born');
SELECT (enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id, ''Ann'' AS name, NULL AS born')).name;
SELECT i, u.* FROM generate_series(1, 2) i, LATERAL enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT $1 AS id, ''u'' || $1 AS name, NULL AS born', i) u;
DO $$
DECLARE
  u users;
BEGIN
  SELECT * INTO STRICT u FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT NULL AS born, ''Ann'' AS name, 1 AS id');
  ASSERT u.name = 'Ann' AND u.id = 1 AND u.born IS NULL;
END
$$;
INSERT INTO users SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT id, name, NULL AS born FROM items WHERE id <= $1', 3);
SELECT * FROM users ORDER BY id;

-- a missing, an extra and a doubled column
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id, ''x'' AS name')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id, ''x'' AS name, NULL AS born, 4 AS more')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id, ''x'' AS name, 2 AS id')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id, ''x'' AS name, NULL AS "Born"')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'UPDATE items SET name = ''lost''')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', '')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT ''x'' AS id, ''x'' AS name, NULL AS born')$$);
-- also where no row comes
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::users, 'loop', 'SELECT 1 AS id WHERE false')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL, 'loop', 'SELECT 1')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::record, 'loop', 'SELECT 1 AS a') AS t(a int)$$);

-- names that are no plain identifiers, and one as long as can be
CREATE TYPE odd AS ("Two Words" int, "größe" text, "select" bool, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" int);
SELECT * FROM enhanced_pool.execute_as(NULL::odd, 'loop',
  'SELECT true AS "select", 1 AS "Two Words", ''XL'' AS "größe", 63 AS "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"');

-- other types than the remote's: equal for one column, different for another
CREATE TYPE mixed AS (a int, b bigint, c text, d varchar(3), e numeric(5,1), f timestamp(0), g json);
SELECT * FROM enhanced_pool.execute_as(NULL::mixed, 'loop',
  $$SELECT '{"x": 1}'::jsonb AS g, 1::bigint AS a, 2::int AS b, 3::int AS c, 'abc  '::text AS d, 1234.56::numeric AS e, timestamp '2026-01-01 00:00:00.6' AS f$$);
SELECT * FROM enhanced_pool.execute_as(NULL::mixed, 'loop',
  $$SELECT '{"x": 1}'::jsonb AS g, 1::bigint AS a, 2::int AS b, 3::int AS c, 'abc  '::text AS d, 1234.56::numeric AS e, timestamp '2026-01-01 00:00:00.6' AS f$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::mixed, 'loop',
  'SELECT NULL AS g, NULL AS a, NULL AS b, NULL AS c, ''abcd'' AS d, NULL AS e, NULL AS f')$$);
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::mixed, 'loop',
  'SELECT NULL AS g, NULL AS a, NULL AS b, NULL AS c, NULL AS d, 12345.0 AS e, NULL AS f')$$);

-- one type for two columns, of which one has another here: its text is the remote's, not that of our settings
CREATE TYPE crossed AS (a date, b text, c float8, d text, e interval, f text);
SET DateStyle = 'German'; SET extra_float_digits = -3; SET IntervalStyle = 'iso_8601';
SELECT a, b, c, d, e, f FROM enhanced_pool.execute_as(NULL::crossed, 'loop',
  $$SELECT date '2026-02-03' AS b, 0.1::float8 + 0.2 AS d, interval '1 day' AS f, date '2026-02-03' AS a, 0.1::float8 + 0.2 AS c, interval '1 day' AS e$$);
RESET DateStyle; RESET extra_float_digits; RESET IntervalStyle;

-- a table with dropped columns
CREATE TABLE shrunk (gone1 int, id int, gone2 text, name text, gone3 date);
ALTER TABLE shrunk DROP gone1, DROP gone2, DROP gone3;
SELECT * FROM enhanced_pool.execute_as(NULL::shrunk, 'loop', 'SELECT ''Ann'' AS name, 1 AS id');
INSERT INTO shrunk SELECT * FROM enhanced_pool.execute_as(NULL::shrunk, 'loop', 'SELECT name, id FROM items WHERE id = 1');
TABLE shrunk;
SELECT error_of($$SELECT * FROM enhanced_pool.execute_as(NULL::shrunk, 'loop', 'SELECT ''Ann'' AS name, 1 AS id, 2 AS "........pg.dropped.1........"')$$);
CREATE FUNCTION shrunk_name() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r shrunk;
BEGIN
  SELECT * INTO STRICT r FROM enhanced_pool.execute_as(NULL::shrunk, 'loop', 'SELECT ''Ann'' AS name, 1 AS id');
  RETURN r.name;
END
$$;
SELECT shrunk_name();
DROP FUNCTION shrunk_name;
DROP TABLE shrunk;
CREATE TABLE shrunk (a int);
ALTER TABLE shrunk DROP a;
SELECT count(*) FROM enhanced_pool.execute_as(NULL::shrunk, 'loop', 'SELECT FROM generate_series(1, 2)');

-- scalars: exactly one column, whatever its name
SELECT * FROM enhanced_pool.execute_as(NULL::int, 'loop', 'SELECT id AS whatever FROM items WHERE id <= 2 ORDER BY id');
SELECT enhanced_pool.execute_as(0, 'loop', 'SELECT id FROM items WHERE id <= 2 ORDER BY id');
SELECT * FROM enhanced_pool.execute_as(NULL::text, 'loop', 'SELECT $1 + 1', 1);
SELECT * FROM enhanced_pool.execute_as(NULL::int[], 'loop', 'SELECT ARRAY[1, NULL]');
SELECT * FROM enhanced_pool.execute_as(NULL::text[], 'loop', 'SELECT ARRAY[1, NULL]');
SELECT error_of($$SELECT enhanced_pool.execute_as(0, 'loop', 'SELECT 1, 2')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(0, 'loop', 'SELECT')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(0, 'loop', 'ANALYZE items')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(0, 'loop', 'SELECT ''x''')$$);

-- domains: over scalars, within rows, over rows
CREATE DOMAIN small AS int CHECK (VALUE < 10);
CREATE DOMAIN required AS text NOT NULL;
CREATE TYPE limits AS (a small, b required);
CREATE DOMAIN adult AS users CHECK ((VALUE).born < '2010-01-01');
SELECT * FROM enhanced_pool.execute_as(NULL::small, 'loop', 'SELECT 9');
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::small, 'loop', 'SELECT 10')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::small, 'loop', 'SELECT ''10''::text')$$);
SELECT * FROM enhanced_pool.execute_as(NULL::limits, 'loop', 'SELECT 1 AS a, ''x'' AS b');
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::limits, 'loop', 'SELECT 1 AS a, NULL AS b')$$);
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::limits, 'loop', 'SELECT 10 AS a, ''x'' AS b')$$);
SELECT * FROM enhanced_pool.execute_as(NULL::adult, 'loop', 'SELECT 1 AS id, ''Ann'' AS name, date ''2000-01-02'' AS born');
SELECT error_of($$SELECT enhanced_pool.execute_as(NULL::adult, 'loop', 'SELECT 1 AS id, ''Ann'' AS name, date ''2020-01-02'' AS born')$$);
-- a column whose type is a row, as the remote writes it
CREATE TYPE nested AS (id int, u users);
SELECT (u).name, id FROM enhanced_pool.execute_as(NULL::nested, 'loop', 'SELECT ROW(1, ''Ann'', NULL) AS u, 2 AS id');

DROP TYPE odd, mixed, crossed, limits, nested;
DROP DOMAIN adult, small, required;
DROP TABLE users, shrunk;
