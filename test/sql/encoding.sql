--
-- Encodings: the remote is told the local server's, and the local client's does not matter.
--
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
\pset null '(null)'

SELECT count(*) FROM enhanced_pool.run_script('loop', $$
  DROP TABLE IF EXISTS words;
  CREATE TABLE words ("größe" text CONSTRAINT "schlüssel" PRIMARY KEY);
  CREATE OR REPLACE FUNCTION complain(what text) RETURNS int LANGUAGE plpgsql AS 'BEGIN
    RAISE EXCEPTION USING MESSAGE = what || '' in message'', DETAIL = what || '' in detail'', HINT = what || '' in hint'', TABLE = what;
  END';
  CREATE OR REPLACE FUNCTION remark(what text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE WARNING ''% remarked'', what; RETURN 1; END'$$);

-- compared(text) tells where a text came through unchanged: as parameter and result of each kind,
-- within arrays, in the statement itself, in names and in errors
CREATE TYPE worded AS (id int, word text);
CREATE FUNCTION compared(w text, pool text DEFAULT 'loop') RETURNS TABLE (what text, same bool) LANGUAGE plpgsql AS $$
DECLARE
  r record;
  e text;
BEGIN
  SELECT * INTO STRICT r FROM enhanced_pool.execute(pool, 'SELECT $1::text, $2::varchar(20), $3::char(20), $4::name, $5::json, $6::text[], $7::varchar[], $8::char(20)[], $9::name[], $10::text, char_length($1::text)',
      w, w::varchar, w::char(20), w::name, json_build_object(w, w), ARRAY[w, NULL, w], ARRAY[w]::varchar[], ARRAY[w]::char(20)[], ARRAY[w]::name[], ROW(1, w)::worded)
    AS t(a text, b varchar(20), c char(20), d name, e json, f text[], g varchar[], h char(20)[], i name[], j worded, n int);
  RETURN QUERY VALUES ('text', r.a = w), ('varchar', r.b = w), ('char', r.c = w::char(20)), ('name', r.d = w), ('json', r.e ->> w = w),
    ('text[]', r.f = ARRAY[w, NULL, w]), ('varchar[]', r.g = ARRAY[w]::varchar[]), ('char[]', r.h = ARRAY[w]::char(20)[]), ('name[]', r.i = ARRAY[w]::name[]), ('row', (r.j).word = w), ('length', r.n = char_length(w));
  RETURN QUERY SELECT 'text[] params'::text, a = w AND b = w FROM enhanced_pool.execute(pool, 'SELECT $1::text, $2::text', VARIADIC ARRAY[w, w]) AS t(a text, b text);
  RETURN QUERY SELECT 'statement'::text, a = w FROM enhanced_pool.execute(pool, format('SELECT %L::text', w)) AS t(a text);
  RETURN QUERY SELECT 'not prepared'::text, a = w FROM enhanced_pool.execute(pool, format('/* %s */ SHOW application_name', w)) AS t(n text), (SELECT w) AS x(a);
  RETURN QUERY SELECT 'jsonb'::text, j -> w = to_jsonb(w) AND j ->> 'b' = w AND j -> 'c' ->> w = w
    FROM enhanced_pool.execute_json(pool, format('SELECT $1::text AS %I, $1::varchar AS b, $2::jsonb AS c', w), w, json_build_object(w, w)) j;
  RETURN QUERY SELECT 'names'::text, row_to_json(j) ->> w = '1' FROM (SELECT enhanced_pool.execute(pool, format('SELECT 1 AS %I', w))) AS t(j);
  RETURN QUERY SELECT 'describe'::text, d.name = w FROM enhanced_pool.describe(pool, format('SELECT 1 AS %I', w)) d;
  RETURN QUERY SELECT 'script'::text, row_count = 1 FROM enhanced_pool.run_script(pool, format('SELECT %L = chr(0 + %s)', left(w, 1), ascii(w)));
  IF pool = 'loop' THEN
    e := error_of(format('SELECT enhanced_pool.exec(''loop'', ''SELECT complain($1)'', %L)', w));
    RETURN QUERY VALUES ('error', starts_with(e, format(E'P0001 %s in message\n  detail: %1$s in detail\n  hint: %1$s in hint\n  table %1$s', w)));
    RETURN QUERY SELECT 'last error'::text, message = w || ' in message' AND hint = w || ' in hint' FROM enhanced_pool.last_remote_error();
  END IF;
END
$$;
SELECT * FROM compared('plain');
SELECT * FROM compared('größe');
SELECT * FROM compared('漢字 😀') WHERE NOT same;
SELECT count(*) FROM compared('x"y''z\') WHERE same;
-- errors and remarks to a client that understands them
SELECT error_of($$SELECT enhanced_pool.exec('loop', 'INSERT INTO words VALUES (''漢''), (''漢'')')$$);
SELECT enhanced_pool.exec('loop', 'SELECT remark(''漢'')');
SELECT enhanced_pool.exec('loop', 'SELECT 漢');
-- a long statement is cut at a character
SELECT error_of(format('SELECT enhanced_pool.exec(''loop'', %L)', 'SELECT 1 / 0 AS "' || repeat('漢', 20) || '" /* ' || repeat('漢', 1000) || ' */')) LIKE '%漢...' AS cut;
-- so is a name
SELECT convert_from(convert_to(name, 'UTF8'), 'UTF8') = left(name, 100) AS valid, octet_length(name)
  FROM (SELECT json_object_keys(row_to_json(enhanced_pool.execute('loop', 'SELECT 1 AS "' || repeat('漢', 30) || '"')))) AS t(name);

-- clients with other encodings; 4-byte characters and such that they cannot show matter only when shown
SET client_encoding = 'LATIN1';
SELECT * FROM compared(U&'gr\00f6\00dfe') WHERE NOT same;
SELECT count(*) FROM compared(U&'\6f22\5b57 \+01f600') WHERE same;
SELECT octet_length(a), ascii(a) FROM enhanced_pool.execute('loop', U&'SELECT ''\6f22''::text') AS t(a text);
SET client_encoding = 'SJIS';
SELECT * FROM compared(U&'\6f22\5b57') WHERE NOT same;
SELECT * FROM compared(U&'\30bd\8868\5341') WHERE NOT same;
SELECT count(*) FROM compared(U&'gr\00f6\00dfe') WHERE same;
SET client_encoding = 'UTF8';
SELECT * FROM enhanced_pool.execute('loop', 'SELECT ''größe 漢字''') AS t(a text);

-- a pool whose name is no ASCII
SELECT define_pool('größe', $$max_size '1'$$);
SELECT * FROM enhanced_pool.execute('größe', 'SELECT 1') AS t(a int);
SELECT pool, state FROM enhanced_pool.pools WHERE pool LIKE 'gr%';
SELECT error_of($$SELECT enhanced_pool.exec('größe', 'SELECT 1 / 0')$$);
SELECT error_of($$SELECT enhanced_pool.exec('größer', 'SELECT 1')$$);
DROP SERVER "größe" CASCADE;

-- Databases of other encodings: as remote
DROP DATABASE IF EXISTS ep_latin1 WITH (FORCE);
DROP DATABASE IF EXISTS ep_ascii WITH (FORCE);
CREATE DATABASE ep_latin1 ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE ep_ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
SELECT define_pool('latin1', $$max_size '1'$$), define_pool('ascii', $$max_size '1'$$);
ALTER SERVER latin1 OPTIONS (SET dbname 'ep_latin1');
ALTER SERVER ascii OPTIONS (SET dbname 'ep_ascii');
SELECT * FROM enhanced_pool.execute('latin1', 'SELECT current_setting(''server_encoding''), current_setting(''client_encoding'')') AS t(server text, client text);
SELECT * FROM compared('größe', 'latin1') WHERE NOT same;
SELECT * FROM enhanced_pool.execute('latin1', 'SELECT octet_length($1::text), chr(233)', 'ä') AS t(n int, c text);
-- what the remote's encoding does not have, it says so, and goes on
SELECT error_of($$SELECT enhanced_pool.exec('latin1', 'SELECT $1::text', '漢')$$);
SELECT error_of($$SELECT enhanced_pool.exec('latin1', 'SELECT ''漢''')$$);
SELECT error_of($$SELECT enhanced_pool.run_script('latin1', 'SELECT ''漢''')$$);
SELECT * FROM enhanced_pool.execute('latin1', 'SELECT $1::text', 'ä') AS t(c text);
-- bytes that are no UTF8
SELECT error_of($$SELECT * FROM enhanced_pool.execute('ascii', 'SELECT chr(233)') AS t(c text)$$);
SELECT * FROM enhanced_pool.execute('ascii', 'SELECT octet_length($1::text), $1::text', 'ä') AS t(n int, c text);

-- as the local side
SELECT pg_get_functiondef('error_of'::regproc) AS error_of, pg_get_functiondef('define_pool'::regproc) AS define_pool,
  pg_get_functiondef('compared'::regproc) AS compared, pg_get_functiondef('over_tls'::regproc) AS over_tls,
  pg_get_functiondef('remote_host'::regproc) AS remote_host, pg_get_functiondef('remote_options'::regproc) AS remote_options,
  current_database() AS local_db \gset
DROP SERVER latin1, ascii CASCADE;
\c ep_latin1
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION enhanced_pool;
CREATE TYPE worded AS (id int, word text);
:error_of;
:over_tls;
:remote_host;
:remote_options;
:define_pool;
:compared;
SELECT define_pool('loop', $$max_size '1'$$);
SELECT * FROM enhanced_pool.execute('loop', 'SELECT current_setting(''server_encoding''), current_setting(''client_encoding'')') AS t(server text, client text);
SELECT * FROM compared('größe') WHERE NOT same;
SELECT a, octet_length(a), n FROM enhanced_pool.execute('loop', 'SELECT $1::text, octet_length($1::text)', 'ä') AS t(a text, n int);
SELECT enhanced_pool.exec('loop', 'SELECT remark(''ä'')');
-- what the local encoding does not have, the remote cannot send; the connection is as good as before
SELECT left(error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT chr(28450)') AS t(a text)$$), 5);
SELECT left(error_of($$SELECT enhanced_pool.execute_json('loop', 'SELECT 1 AS a, chr(28450) AS b')$$), 5);
SELECT left(error_of($$SELECT * FROM enhanced_pool.execute('loop', 'SELECT ARRAY[chr(28450)]') AS t(a text[])$$), 5);
SELECT left(error_of($$SELECT enhanced_pool.exec('loop', 'SELECT complain(chr(28450))')$$), 5);
SELECT * FROM enhanced_pool.execute('loop', 'SELECT chr(233)') AS t(a text);
DROP EXTENSION enhanced_pool CASCADE;
\c :local_db
SET client_min_messages = warning;
DROP DATABASE ep_latin1 WITH (FORCE);
DROP DATABASE ep_ascii WITH (FORCE);
SELECT enhanced_pool.exec('loop', 'DROP TABLE words'), enhanced_pool.exec('loop', 'DROP FUNCTION complain(text)'), enhanced_pool.exec('loop', 'DROP FUNCTION remark(text)');
DROP FUNCTION compared;
DROP TYPE worded;
