--
-- copy_to and copy_from.
--
SET client_min_messages = warning;
\pset null '(null)'
CREATE SCHEMA copying;
GRANT USAGE ON SCHEMA copying TO regress_ep_app;
SET search_path = copying, public;

SELECT define_pool('one_copy', $$max_size '1', initial_size '1', min_size '1'$$);
SELECT count(*) FROM enhanced_pool.run_script('one_copy', $$
  CREATE SCHEMA "Bulk";
  CREATE TABLE "Bulk"."Ta ble" (id int PRIMARY KEY, "Na me" text, made int GENERATED ALWAYS AS (id * 2) STORED, extra text DEFAULT 'default');
  CREATE TABLE bulk_plain (id int, v text);
$$);

-- What the remote has
CREATE FUNCTION remote_rows(sql text) RETURNS SETOF jsonb LANGUAGE sql AS $$
  SELECT enhanced_pool.execute_json('one_copy', sql)
$$;

--
-- copy_to
--
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT g, ''row '' || g FROM generate_series(1, 5) g');
SELECT remote_rows('SELECT * FROM bulk_plain ORDER BY id');
-- a generated column is not filled, a default is where columns are named
SELECT enhanced_pool.copy_to('one_copy', '"Bulk"."Ta ble"', 'VALUES (1, ''a'', ''x''), (2, NULL, NULL)');
SELECT enhanced_pool.copy_to('one_copy', ' "Bulk" . "Ta ble" ', 'SELECT ''b''::varchar, 3', ARRAY['Na me', 'id']);
SELECT remote_rows('SELECT * FROM "Bulk"."Ta ble" ORDER BY id');
-- names are folded as in SQL
SELECT enhanced_pool.copy_to('one_copy', 'PUBLIC.Bulk_Plain', 'SELECT 6 WHERE false', ARRAY['id']);
-- other types go as text, whatever the session's settings, which hold for the query
SELECT enhanced_pool.exec('one_copy', 'TRUNCATE bulk_plain');
SET DateStyle = 'German';
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', $$SELECT 1::bigint, date '2026-01-02' UNION ALL SELECT 2, '2026-01-03'$$);
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', $$SELECT 3::bigint, (date '2026-01-02')::text$$);
RESET DateStyle;
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', $$SELECT 4::bigint, '1 day -02:00'::interval$$);
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', $$SELECT 5::smallint, 'enhanced_pool.pools'::regclass$$);
-- what has to be escaped
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', $$VALUES (6::smallint, E'tab\tnew\nret\rback\\slash \b\f\x0b'), (7, '\N'), (8, NULL), (9, ''), (10, '\.'), (11, 'ä€')$$);
SELECT remote_rows('SELECT * FROM bulk_plain ORDER BY id');
-- so does the binary format carry it
SELECT enhanced_pool.exec('one_copy', 'TRUNCATE bulk_plain');
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', $$VALUES (6, E'tab\tnew\nret\rback\\slash \b\f\x0b'), (7, '\N'), (8, NULL), (9, ''), (10, '\.'), (11, 'ä€')$$);
SELECT remote_rows('SELECT * FROM bulk_plain ORDER BY id');
-- no row, no column
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1, ''a'' WHERE false');
SELECT enhanced_pool.exec('one_copy', 'CREATE TABLE hollow ()');
SELECT enhanced_pool.copy_to('one_copy', 'hollow', 'SELECT FROM generate_series(1, 3)');
SELECT remote_rows('SELECT count(*) FROM hollow');
-- every kind of query that returns rows
CREATE TABLE source (id int, v text);
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'INSERT INTO source VALUES (1, ''one''), (2, ''two'') RETURNING *');
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'WITH gone AS (DELETE FROM source WHERE id = 1 RETURNING *) SELECT * FROM gone');
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'TABLE source');
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SHOW server_version', ARRAY['v']);
-- on a lease, in its own transaction
BEGIN;
SELECT enhanced_pool.acquire('one_copy') AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'TRUNCATE bulk_plain');
SELECT enhanced_pool.copy_to(:lease, 'bulk_plain', 'SELECT g, ''x'' FROM generate_series(1, 1000) g');
SELECT enhanced_pool.copy_from(:lease, 'SELECT * FROM bulk_plain', 'source');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT count(*) FROM bulk_plain') AS t(n bigint);
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT count(*) < 1000 FROM bulk_plain') AS t(rolled_back bool);
-- not while its rows are being copied
SELECT error_of(format($$SELECT enhanced_pool.copy_to(%s, 'bulk_plain', 'SELECT * FROM enhanced_pool.execute(%1$s, ''SELECT 1'') AS t(i int)', ARRAY['id'])$$, :lease)) LIKE '55006 lease % is in use%' AS in_use;
SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 1') AS t(usable int);
COMMIT;

--
-- copy_from
--
TRUNCATE source;
SELECT enhanced_pool.exec('one_copy', 'TRUNCATE bulk_plain');
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', $$VALUES (1, E'tab\tnew\nret\rback\\slash \b\f\x0b'), (7, '\N'), (8, NULL), (9, ''), (10, '\.'), (11, 'ä€')$$);
SELECT enhanced_pool.copy_from('one_copy', 'SELECT * FROM bulk_plain ORDER BY id', 'source');
SELECT to_jsonb(source) FROM source;
TRUNCATE source;
-- and as text
SELECT enhanced_pool.copy_from('one_copy', 'SELECT id::bigint, v FROM bulk_plain ORDER BY id', 'source');
SELECT to_jsonb(source) FROM source;
TRUNCATE source;
SET client_encoding = 'LATIN1';
SELECT enhanced_pool.copy_from('one_copy', 'SELECT id, v FROM bulk_plain WHERE id IN (9, 11) -- some', 'source');
RESET client_encoding;
SELECT to_jsonb(source) FROM source;
-- defaults, generated columns, identity, checks, foreign keys, triggers, indexes
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent VALUES (1), (2), (3);
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE TABLE child (no int GENERATED ALWAYS AS IDENTITY, id small PRIMARY KEY REFERENCES parent, v varchar(10) DEFAULT 'none' CHECK (v <> 'bad'),
  twice int GENERATED ALWAYS AS (id * 2) STORED, seen text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.seen := 'seen ' || NEW.id;
  RETURN NEW;
END $$;
CREATE TRIGGER see BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION see();
SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1 UNION ALL SELECT 2', 'child', ARRAY['id']);
SELECT enhanced_pool.copy_from('one_copy', 'SELECT ''three''::text, 3', 'child', ARRAY['v', 'id']);
SELECT * FROM child ORDER BY no;
DELETE FROM child;
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT g FROM generate_series(1, 10) g', 'child', '{id}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1 UNION ALL SELECT 1', 'child', '{id}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1, ''bad''', 'child', '{id, v}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1000', 'child', '{id}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1, ''longer than ten''', 'child', '{id, v}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT ''no number''', 'child', '{id}')$$);
SELECT count(*) FROM child;
-- partitions, and a table that is partly filled in a transaction that goes on
CREATE TABLE parts (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (200);
SELECT enhanced_pool.copy_from('one_copy', 'SELECT g, ''p'' FROM generate_series(50, 149) g', 'parts');
SELECT tableoid::regclass, count(*) FROM parts GROUP BY 1 ORDER BY 1;
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT g, ''p'' FROM generate_series(100, 200) g', 'parts')$$);
SELECT count(*) FROM parts;
-- other remote queries
SELECT enhanced_pool.copy_from('one_copy', 'VALUES (150, ''v'');', 'parts');
SELECT enhanced_pool.copy_from('one_copy', 'DELETE FROM bulk_plain RETURNING 151, v', 'parts');
SELECT enhanced_pool.copy_from('one_copy', 'TABLE bulk_plain', 'parts');
-- what the caller did before is seen, and what was copied afterwards
CREATE FUNCTION in_order(OUT before int, OUT copied int, OUT after int) LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE child;
  INSERT INTO parent VALUES (50);
  SELECT count(*) INTO before FROM child;
  copied := enhanced_pool.copy_from('one_copy', 'SELECT 50', 'child', '{id}');
  SELECT count(*) INTO after FROM child;
END $$;
SELECT * FROM in_order();
-- a trigger may copy, too
CREATE FUNCTION copy_more() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.v := enhanced_pool.copy_from('loop', format('SELECT %s, ''deep''', NEW.id), 'source');
  RETURN NEW;
END $$;
CREATE TRIGGER copy_more BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION copy_more();
TRUNCATE source, parts;
SELECT enhanced_pool.copy_from('one_copy', 'SELECT g, '''' FROM generate_series(1, 100) g', 'parts');
SELECT count(*), sum(v::int) FROM parts;
SELECT count(*), min(v) FROM source;
DROP TRIGGER copy_more ON parts;
TRUNCATE source, parts;

--
-- Every type there and back, in both formats.
--
CREATE TYPE copy_mood AS ENUM ('good', 'bad');
CREATE TABLE every (b bool, c "char", n name, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, nu numeric(20, 4), d date, t time, tz timetz,
  ts timestamp, tstz timestamptz, u uuid, by bytea, tx text, vc varchar(20), bc char(10), js json, bi bit(5), vb varbit, ip inet, ci cidr,
  m macaddr, m8 macaddr8, l pg_lsn, ia int[], ta text[], na numeric[]);
CREATE TABLE others (i interval, jb jsonb, p point, r int4range, x xid, tv tsvector, mo money, tid tid, ib interval[], reg regtype);
INSERT INTO every VALUES
  (true, 'x', 'name', -1, -2, -3, 4000000000, 1.5, 'NaN', 12345.6789, '2026-01-02', '12:34:56.789', '12:34:56+02', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05+00',
   'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff0a', E'te\\xt\n', 'varchar', 'char', '{"a": 1 }', B'10101', B'1', '10.0.0.1/8', '10.0.0.0/8',
   '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '16/B374D848', '{{1,2},{3,NULL}}', '[2:3]={"a,b",NULL}', '{1.5,NaN}'),
  (false, '', '', 32767, 2147483647, 9223372036854775807, 0, '-Infinity', 1e-300, NULL, 'infinity', '24:00', '00:00+15', '-infinity', '0044-03-15 00:00:00+00 BC',
   '00000000-0000-0000-0000-000000000000', '', '', '', '', 'null', B'00000', B'', '::1', '::/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', '0/0', '{}', '{}', '{}');
INSERT INTO every (b) VALUES (NULL);
INSERT INTO others VALUES ('1 mon -2 days +03:04:05', '{"a": [1, null]}', '(1,2)', '[1,10)', '42', 'a:1 b', '12.34', '(1,2)', '{1 day,NULL}', 'pg_catalog.int4');
INSERT INTO others (i) VALUES (NULL);
SELECT enhanced_pool.run_script('one_copy', format('CREATE TABLE %I (%s)', t, columns)) IS NOT NULL AS made FROM (
  SELECT attrelid::regclass::text AS t, string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ',' ORDER BY attnum) AS columns
  FROM pg_attribute WHERE attrelid IN ('every'::regclass, 'others'::regclass) AND attnum > 0 GROUP BY 1 ORDER BY 1) s;
CREATE TABLE every_back (LIKE every);
CREATE TABLE others_back (LIKE others);
BEGIN;
SELECT enhanced_pool.acquire('one_copy') AS lease \gset
SELECT enhanced_pool.copy_to(:lease, 'every', 'TABLE every');
SELECT substring(query, 'FORMAT .*') FROM enhanced_pool.leases WHERE lease = :lease;
SELECT enhanced_pool.copy_from(:lease, 'TABLE every', 'every_back');
SELECT substring(query, 'FORMAT .*') FROM enhanced_pool.leases WHERE lease = :lease;
COMMIT;
SELECT count(*) AS same FROM (SELECT every::text FROM every INTERSECT ALL SELECT every_back::text FROM every_back) s;
TRUNCATE every_back;
SET client_encoding = 'LATIN1';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET bytea_output = 'escape';
SET extra_float_digits = 0;
SELECT enhanced_pool.copy_from('one_copy', 'TABLE every', 'every_back');
SELECT enhanced_pool.copy_to('one_copy', 'others', 'TABLE others');
SELECT enhanced_pool.copy_from('one_copy', 'TABLE others', 'others_back');
RESET client_encoding;
RESET DateStyle;
RESET IntervalStyle;
RESET bytea_output;
RESET extra_float_digits;
SELECT count(*) AS same FROM (SELECT every::text FROM every INTERSECT ALL SELECT every_back::text FROM every_back) s;
SELECT count(*) AS same FROM (SELECT others::text FROM others INTERSECT ALL SELECT others_back::text FROM others_back) s;
-- a type of our own: as text, into another's type of the same name or into text
SELECT enhanced_pool.run_script('one_copy', 'CREATE TYPE copy_mood AS ENUM (''bad'', ''good''); CREATE TABLE copy_moods (m copy_mood, ms copy_mood[], t text)') IS NOT NULL AS made;
SELECT enhanced_pool.copy_to('one_copy', 'copy_moods', $$SELECT 'good'::copy_mood, ARRAY['bad', 'good']::copy_mood[], 'good'::copy_mood$$);
SELECT remote_rows('TABLE copy_moods');

--
-- Errors.  After each the one connection is usable.
--
SELECT error_of($$SELECT enhanced_pool.copy_to(NULL::text, 'bulk_plain', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to(NULL::bigint, 'bulk_plain', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', NULL, 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', NULL)$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1', ARRAY['id', NULL])$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1', '{}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from(NULL::text, 'SELECT 1', 'source')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from(NULL::bigint, 'SELECT 1', 'source')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', NULL, 'source')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1', NULL)$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1', 'source', ARRAY[NULL])$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1', 0)$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('nowhere', 'bulk_plain', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to(99999999999, 'bulk_plain', 'SELECT 1')$$);
-- names
SELECT error_of(format($$SELECT enhanced_pool.copy_to('one_copy', %L, 'SELECT 1')$$, name))
  FROM unnest(ARRAY['', 'a b', 'bulk_plain (id)', 'bulk_plain; DROP TABLE bulk_plain', 'a..b', '"a', 'a.b.c.d', '(SELECT 1)', 'bulk_plain --']) AS name;
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'nowhere', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'no.where', 'SELECT 1', '{id}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1', '{ID}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1, 2', '{id,id}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', '"Bulk"."Ta ble"', 'SELECT 1', '{made}')$$);
-- queries
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1, 2, 3', '{id,v}')$$);
SELECT error_of(format($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', %L)$$, query))
  FROM unnest(ARRAY['', '-- nothing', 'SELECT 1; SELECT 2', 'DELETE FROM source', 'CREATE TABLE t (i int)', 'BEGIN', 'COPY source TO STDOUT', 'SELECT 1 INTO t']) AS query;
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELEC 1')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1 FROM nowhere')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT ''x''::text, ''v''')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 4000000000, ''v''')$$);
SELECT error_of(format($$SELECT enhanced_pool.copy_from('one_copy', %L, 'source')$$, query))
  FROM unnest(ARRAY['', 'DELETE FROM bulk_plain', 'CREATE TABLE t (i int)', 'BEGIN', 'SELECT 1, 2; SELECT 1, 2', 'SELECT 1) TO STDOUT; DROP TABLE bulk_plain; COPY (SELECT 2',
    'COPY bulk_plain TO STDOUT', 'SELECT 1, 2 FROM nowhere', 'SELECT $1, 2', 'SELECT 1', 'EXPLAIN SELECT 1', 'SHOW server_version']) AS query;
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1', 'source', '{nowhere}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1, 2', 'source', '{id,id}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1', 'child', '{twice}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1', 'parent_pkey')$$) LIKE '42809%' AS no_table;
CREATE VIEW source_view AS SELECT * FROM source;
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1, 2', 'source_view')$$);
BEGIN READ ONLY;
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1, 2', 'source')$$);
COMMIT;
-- in the middle
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', '"Bulk"."Ta ble"', 'SELECT g, ''x'' FROM generate_series(1000, 1, -1) g', '{id,"Na me"}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT g, (1 / (100000 - g))::text FROM generate_series(1, 200000) g')$$);
SELECT regexp_replace(error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT g, (1 / (100000 - g))::text FROM generate_series(1, 200000) g', 'source')$$), 'line \d+(, column \w+)?', 'line N');
SELECT remote_rows('SELECT count(*) FROM bulk_plain');
SELECT count(*) FROM source;
-- the same with a lease, which goes on
BEGIN;
SELECT enhanced_pool.acquire('one_copy') AS lease \gset
SELECT remote_pid FROM enhanced_pool.leases l JOIN enhanced_pool.connection_metrics c USING (conn_id, remote_pid) WHERE l.pool = 'one_copy' \gset
SELECT error_of(format($$SELECT enhanced_pool.copy_to(%s, '"Bulk"."Ta ble"', 'SELECT g, ''x'' FROM generate_series(1000, 1, -1) g', '{id,"Na me"}')$$, :lease)) LIKE '23505%' AS refused;
SELECT error_of(format($$SELECT enhanced_pool.copy_to(%s, 'bulk_plain', 'SELECT g, (1 / (100000 - g))::text FROM generate_series(1, 200000) g')$$, :lease)) LIKE '22012%' AS cut;
SELECT error_of(format($$SELECT enhanced_pool.copy_from(%s, 'SELECT g, (1 / (100000 - g))::text FROM generate_series(1, 200000) g', 'source')$$, :lease)) LIKE '22012%' AS refused;
SELECT error_of(format($$SELECT enhanced_pool.copy_from(%s, 'SELECT g FROM generate_series(1, 200000) g', 'child', '{id}')$$, :lease)) LIKE '23505%' AS cut;
SELECT * FROM enhanced_pool.execute(:lease, format('SELECT count(*), pg_backend_pid() = %s FROM bulk_plain', :remote_pid)) AS t(n bigint, same bool);
COMMIT;
SELECT enhanced_pool.copy_to('one_copy', 'bulk_plain', 'SELECT 1, ''usable''');
SELECT remote_rows('SELECT * FROM bulk_plain');

--
-- Rights
--
CREATE TABLE granted (id int, v text);
CREATE TABLE guarded (id int, v text);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
GRANT INSERT (id) ON granted TO regress_ep_app;
GRANT ALL ON guarded TO regress_ep_app;
SET ROLE regress_ep_app;
SELECT enhanced_pool.copy_from('app_loop', 'SELECT 1', 'granted', '{id}');
SELECT error_of($$SELECT enhanced_pool.copy_from('app_loop', 'SELECT 1, ''a''', 'granted')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('app_loop', 'SELECT ''a''', 'granted', '{v}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('app_loop', 'SELECT 1, ''a''', 'guarded')$$);
SELECT error_of($$SELECT enhanced_pool.copy_to('app_loop', 'items', 'SELECT id, v FROM granted', '{id,name}')$$);
SELECT error_of($$SELECT enhanced_pool.copy_from('one_copy', 'SELECT 1', 'granted', '{id}')$$);
RESET ROLE;
TABLE granted;

-- Many copies: no reset, and the numbers
SELECT reset_count, query_count, rows_returned, bytes_sent, bytes_received FROM enhanced_pool.pool_metrics WHERE pool = 'one_copy' \gset
SELECT sum(enhanced_pool.copy_to('one_copy', 'bulk_plain', format('SELECT %s, repeat(''x'', 1000)', g))) FROM generate_series(1, 100) g;
SELECT sum(enhanced_pool.copy_from('one_copy', 'SELECT * FROM bulk_plain WHERE id = ' || g, 'source')) FROM generate_series(2, 51) g;
SELECT reset_count - :reset_count AS resets, query_count - :query_count AS queries, rows_returned - :rows_returned AS returned,
    bytes_sent - :bytes_sent > 100000 AS sent, bytes_received - :bytes_received > 50000 AS received
  FROM enhanced_pool.pool_metrics WHERE pool = 'one_copy';

DROP SCHEMA copying CASCADE;
DROP SERVER one_copy CASCADE;
