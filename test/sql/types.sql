--
-- Types: a value goes to the remote and comes back as it was, in binary where both sides have the
-- type and by its text where they have not.
--
SET client_min_messages = warning;
\pset null '(null)'

-- there_and_back(type, value, ...) tells what comes back different: the value itself (prepared, so
-- in binary where there is a binary form), the same from a connection that prepares nothing (all as
-- text), as the remote sees it, sent as an untyped text, and read from the remote's text.
SELECT define_pool('plain', $$max_size '1', initial_size '1', min_size '1', statement_cache_size '0'$$);
CREATE FUNCTION there_and_back(type text, VARIADIC vals text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  v text;
  there text; back text; plain text; untyped text; from_text text; eq bool;
BEGIN
  FOREACH v IN ARRAY vals LOOP
    EXECUTE format($q$
      SELECT r.there, r.back::text, p.v::text, u.v::text, f.v::text
      FROM (SELECT %L::%s AS v) AS mine,
        LATERAL enhanced_pool.execute('loop', 'SELECT ($1::%s)::text, $1::%s WHERE $2', mine.v, true) AS r(there text, back %s),
        LATERAL enhanced_pool.execute('plain', 'SELECT $1::%s WHERE $2', mine.v, true) AS p(v %s),
        LATERAL enhanced_pool.execute('loop', 'SELECT $1::%s', mine.v::text) AS u(v %s),
        LATERAL enhanced_pool.execute('loop', 'SELECT ($1::%s)::text WHERE $2', mine.v, true) AS f(v %s)$q$,
      v, type, type, type, type, type, type, type, type, type, type) INTO STRICT there, back, plain, untyped, from_text;
    EXECUTE format('SELECT %L::%s::text', v, type) INTO STRICT v;
    IF (v, v, v, v, v) IS DISTINCT FROM (there, back, plain, untyped, from_text) THEN
      RETURN NEXT format('%s %s: there %s, back %s, as text %s, untyped %s, from text %s', type, v, there, back, plain, untyped, from_text);
    END IF;
  END LOOP;
END
$$;
SET jit = off;
-- it can tell: the remote writes intervals in another style
SET IntervalStyle = 'postgres_verbose';
SELECT there_and_back('interval', '1 day');
SET IntervalStyle = 'postgres';
SET extra_float_digits = 3;
SET DateStyle = 'ISO';
SET TimeZone = 'UTC';
SELECT count(*) FROM (SELECT there_and_back('bool', 't', 'f', NULL)) s;
SELECT there_and_back('bool', 't', 'f') UNION ALL
SELECT there_and_back('int2', '0', '-32768', '32767') UNION ALL
SELECT there_and_back('int4', '0', '-2147483648', '2147483647') UNION ALL
SELECT there_and_back('int8', '0', '-9223372036854775808', '9223372036854775807') UNION ALL
SELECT there_and_back('float4', '0', '-0', '0.1', '3.4028235e+38', '1e-45', '-1.1754944e-38', 'NaN', 'Infinity', '-Infinity') UNION ALL
SELECT there_and_back('float8', '0', '-0', '0.1', '0.30000000000000004', '1.7976931348623157e+308', '5e-324', 'NaN', 'Infinity', '-Infinity') UNION ALL
SELECT there_and_back('numeric', '0', '0.00', '-0.5', '1.10', '12345678901234567890.123456789012345678901234567890', '1e500', '1e-500', 'NaN', 'Infinity', '-Infinity', '9999', '10000', '0.0001') UNION ALL
SELECT there_and_back('oid', '0', '4294967295') UNION ALL
SELECT there_and_back('uuid', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'c0ffee00-1234-4567-89ab-0123456789ab') UNION ALL
SELECT there_and_back('bytea', '', '\x00', '\x00ff0a5c27', '\\x5c') UNION ALL
SELECT there_and_back('date', '2026-01-02', '4713-01-01 BC', '5874897-12-31', 'infinity', '-infinity', '0001-12-31 BC', '2000-02-29') UNION ALL
SELECT there_and_back('time', '00:00', '23:59:59.999999', '24:00', '12:34:56.7') UNION ALL
SELECT there_and_back('timetz', '00:00+15:59:59', '23:59:59.999999-15:59', '24:00:00+00', '12:34:56+05:30') UNION ALL
SELECT there_and_back('timestamp', '2026-01-02 03:04:05.678901', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999', 'infinity', '-infinity', '2000-01-01 00:00:00') UNION ALL
SELECT there_and_back('interval', '0', '1 year 2 mons -3 days +04:05:06.7', '-178000000 years', '178000000 years', '00:00:00.000001', '-00:00:01', '1 mon -1 day') UNION ALL
SELECT there_and_back('bit(5)', '10110', '00000') UNION ALL
SELECT there_and_back('bit', '1') UNION ALL
SELECT there_and_back('varbit', '', '1', '101100111', repeat('10', 100)) UNION ALL
SELECT there_and_back('varbit(5)', '', '101') UNION ALL
SELECT there_and_back('inet', '0.0.0.0', '10.1.2.3/8', '255.255.255.255', '::', 'fe80::1/64', '::ffff:1.2.3.4') UNION ALL
SELECT there_and_back('cidr', '10.0.0.0/8', '0.0.0.0/0', '::/0', '2001:db8::/32', '1.2.3.4/32') UNION ALL
SELECT there_and_back('macaddr', '08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff') UNION ALL
SELECT there_and_back('macaddr8', '08:00:2b:01:02:03:04:05') UNION ALL
SELECT there_and_back('pg_lsn', '0/0', '16/B374D848', 'FFFFFFFF/FFFFFFFF') UNION ALL
SELECT there_and_back('"char"', '', 'x') UNION ALL
SELECT there_and_back('text', '', 'x', ' blanks ', E'line\nbreak\ttab', E'\x01\x7f', 'NULL', '"', '\', 'äöü€😀', repeat('long ', 5000)) UNION ALL
SELECT there_and_back('varchar', '', ' x ', 'ä') UNION ALL
SELECT there_and_back('varchar(3)', '', 'äöü', 'a  ') UNION ALL
SELECT there_and_back('name', '', 'x', repeat('n', 63), 'größe') UNION ALL
SELECT there_and_back('json', '{"b": 1,  "a": [null, "ä"], "b": 2}', 'null', '1.0', '"x"') UNION ALL
SELECT there_and_back('jsonb', '{"b": 1, "a": [null, "ä"]}', 'null', '1.0', '[]') UNION ALL
SELECT there_and_back('tsvector', '''fat'':2,4 ''cat'':3A') UNION ALL
SELECT there_and_back('tsquery', '''fat'' & ( ''cat'' | !''rat'' )') UNION ALL
SELECT there_and_back('point', '(1.5,-2)') UNION ALL
SELECT there_and_back('box', '(3,4),(1,2)') UNION ALL
SELECT there_and_back('path', '[(1,2),(3,4)]') UNION ALL
SELECT there_and_back('polygon', '((1,2),(3,4),(5,6))') UNION ALL
SELECT there_and_back('circle', '<(1,2),3>') UNION ALL
SELECT there_and_back('money', '-12.34') UNION ALL
SELECT there_and_back('int4range', 'empty', '[1,5)', '(,)', '[,5)') UNION ALL
SELECT there_and_back('numrange', '[1.10,2)', '(,3]') UNION ALL
SELECT there_and_back('tsrange', '["2026-01-02 00:00:00","2026-01-03 00:00:00")') UNION ALL
SELECT there_and_back('daterange', '[2026-01-02,infinity)') UNION ALL
SELECT there_and_back('int8multirange', '{}', '{[1,2),[5,)}') UNION ALL
SELECT there_and_back('pg_snapshot', '10:20:10,14') UNION ALL
SELECT there_and_back('xid8', '12345678901') UNION ALL
SELECT there_and_back('tid', '(1,2)') UNION ALL
SELECT there_and_back('jsonpath', '$."a"[*]?(@ > 1)') UNION ALL
SELECT there_and_back('regtype', 'integer') UNION ALL
SELECT there_and_back('int2vector', '1 2 3') UNION ALL
SELECT there_and_back('oidvector', '1 2 3');
-- xml is not in every server
DO $$
BEGIN
  IF error_of('SELECT ''<a/>''::xml') = 'no error' THEN
    ASSERT NOT EXISTS (SELECT there_and_back('xml', '<a b="c">ä</a>', 'text only'));
  END IF;
END
$$;
-- bpchar: its text has no trailing blanks, its value has
SELECT a = 'ä' AS equal, octet_length(a), octet_length(b), octet_length(c) FROM enhanced_pool.execute('loop', 'SELECT $1::char(5), $1::char(5), $1::char(5)', 'ä'::char(5)) AS t(a char(5), b bpchar, c text);
-- timestamptz is an instant, whatever the zones
SELECT bool_and(v = back AND v = plain AND v = untyped AND v = in_text) AS same, count(*) FROM (VALUES (timestamptz '2026-01-02 03:04:05.678901+00'), ('4713-01-01 00:00:00+00 BC'), ('294276-12-31 23:59:59.999999+00'),
    ('infinity'), ('-infinity'), ('2026-03-29 01:30:00+00'), ('1900-01-01 00:00:00+00')) AS mine(v),
  LATERAL enhanced_pool.execute('loop', 'SELECT $1, $1::text', v) AS t(back timestamptz, in_text timestamptz),
  LATERAL enhanced_pool.execute('plain', 'SELECT $1', v) AS p(plain timestamptz),
  LATERAL enhanced_pool.execute('loop', 'SELECT $1::timestamptz', v::text) AS u(untyped timestamptz);

-- arrays: empty ones, nulls, several dimensions, lower bounds, of each element type
SELECT there_and_back('int4[]', '{}', '{1}', '{NULL}', '{1,NULL,3}', '{{1,2},{3,NULL}}', '[0:1]={1,2}', '[-3:-2][5:6]={{1,2},{3,4}}', '{{{{{{1}}}}}}') UNION ALL
SELECT there_and_back('bool[]', '{t,NULL,f}') UNION ALL
SELECT there_and_back('int2[]', '{-32768,NULL}') UNION ALL
SELECT there_and_back('int8[]', '{9223372036854775807,NULL}') UNION ALL
SELECT there_and_back('float4[]', '{0.1,NaN,-0,Infinity,NULL}') UNION ALL
SELECT there_and_back('float8[]', '{0.1,NaN,-0,-Infinity,NULL}') UNION ALL
SELECT there_and_back('numeric[]', '{1.10,NaN,-Infinity,NULL}') UNION ALL
SELECT there_and_back('oid[]', '{4294967295,NULL}') UNION ALL
SELECT there_and_back('uuid[]', '{c0ffee00-1234-4567-89ab-0123456789ab,NULL}') UNION ALL
SELECT there_and_back('bytea[]', '{"\\x00ff","\\x",NULL}') UNION ALL
SELECT there_and_back('date[]', '{2026-01-02,infinity,NULL}') UNION ALL
SELECT there_and_back('time[]', '{24:00:00,NULL}') UNION ALL
SELECT there_and_back('timetz[]', '{12:34:56+05:30,NULL}') UNION ALL
SELECT there_and_back('timestamp[]', '{"2026-01-02 03:04:05.678901",-infinity,NULL}') UNION ALL
SELECT there_and_back('interval[]', '{"1 mon -1 days","00:00:01",NULL}') UNION ALL
SELECT there_and_back('bit(3)[]', '{101,NULL}') UNION ALL
SELECT there_and_back('varbit[]', '{101,"",NULL}') UNION ALL
SELECT there_and_back('inet[]', '{10.1.2.3/8,::1,NULL}') UNION ALL
SELECT there_and_back('cidr[]', '{10.0.0.0/8,NULL}') UNION ALL
SELECT there_and_back('macaddr[]', '{08:00:2b:01:02:03,NULL}') UNION ALL
SELECT there_and_back('macaddr8[]', '{08:00:2b:01:02:03:04:05,NULL}') UNION ALL
SELECT there_and_back('pg_lsn[]', '{16/B374D848,NULL}') UNION ALL
SELECT there_and_back('"char"[]', '{x,NULL,y}') UNION ALL
SELECT there_and_back('text[]', '{a,"b c",NULL,"","NULL","\"","\\","{","ä,ö"," "}') UNION ALL
SELECT there_and_back('varchar[]', '{a,NULL}') UNION ALL
SELECT there_and_back('varchar(3)[]', '{äöü,NULL}') UNION ALL
SELECT there_and_back('char(3)[]', '{äöü,"a  ",NULL}') UNION ALL
SELECT there_and_back('name[]', '{größe,NULL}') UNION ALL
SELECT there_and_back('json[]', '{"{\"a\":  1}","null",NULL}') UNION ALL
SELECT there_and_back('jsonb[]', '{"{\"a\": 1}","null",NULL}') UNION ALL
SELECT there_and_back('int4range[]', '{"[1,5)",empty,NULL}') UNION ALL
SELECT there_and_back('point[]', '{"(1,2)",NULL}') UNION ALL
SELECT there_and_back('box[]', '{(3,4),(1,2);(7,8),(5,6)}') UNION ALL
SELECT there_and_back('regtype[]', '{integer,NULL}');
SELECT a = ARRAY[timestamptz '2026-01-02 03:04:05.6+00', NULL, 'infinity'] AS same FROM enhanced_pool.execute('loop', 'SELECT $1', ARRAY[timestamptz '2026-01-02 03:04:05.6+00', NULL, 'infinity']) AS t(a timestamptz[]);
-- large ones
SELECT a = ARRAY(SELECT generate_series(1, 100000)) AS same FROM enhanced_pool.execute('loop', 'SELECT array_agg(g) FROM generate_series(1, $1) g', 100000) AS t(a int[]);
SELECT cardinality(a), md5(a::text) = md5(ARRAY(SELECT repeat('ä', g) FROM generate_series(0, 2000) g)::text) AS same
  FROM enhanced_pool.execute('loop', 'SELECT array_agg(repeat(''ä'', g)) FROM generate_series(0, 2000) g') AS t(a text[]);

-- typmods of the column list hold, whichever way the value came
CREATE FUNCTION limited(pool text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat_ws('|', v, '"' || c::text || '"', octet_length(c), n, n0, t, ts, b, vb, va, na)
  FROM enhanced_pool.execute(pool, $q$SELECT 'abc   '::text, 'ab'::text, 1234.567::numeric, 1.5::float8, time '01:02:03.456789', timestamp '2026-01-02 03:04:05.678901',
      B'10110', B'101', ARRAY['abc ', NULL]::text[], ARRAY[1.25, 2.35]::numeric[]$q$)
    AS t(v varchar(3), c char(4), n numeric(6,1), n0 numeric(1,0), t time(1), ts timestamp(0), b bit(5), vb varbit(4), va varchar(3)[], na numeric(3,1)[])
  UNION ALL
  SELECT concat_ws('|', v, '"' || c::text || '"', octet_length(c), n, t, ts, va, na)
  FROM enhanced_pool.execute(pool, $q$SELECT 'äöü   '::varchar, 'äö'::char(3), 1234.567::numeric(10,3), time '01:02:03.456789', timestamp '2026-01-02 03:04:05.678901',
      ARRAY['abc ', NULL]::varchar[], ARRAY[1.25, 2.35]::numeric[]$q$)
    AS t(v varchar(3), c char(4), n numeric(6,1), t time(1), ts timestamp(0), va varchar(3)[], na numeric(3,1)[])
$$;
SELECT * FROM limited('loop');
SELECT * FROM limited('loop') EXCEPT SELECT * FROM limited('plain');
SELECT column_type, value, error_of(format('SELECT * FROM enhanced_pool.execute(''loop'', %L) AS t(a %s)', 'SELECT ' || value, column_type)) AS loop,
  error_of(format('SELECT * FROM enhanced_pool.execute(''plain'', %L) AS t(a %s)', 'SELECT ' || value, column_type))
    = error_of(format('SELECT * FROM enhanced_pool.execute(''loop'', %L) AS t(a %s)', 'SELECT ' || value, column_type)) AS plain_too
  FROM (VALUES ('varchar(3)', '''abcd''::text'), ('varchar(3)', '''abcd''::varchar'), ('char(2)', '''abc''::char(3)'), ('numeric(3,1)', '100.0'), ('bit(3)', 'B''1011'''), ('varbit(3)', 'B''1011''::varbit'),
    ('varchar(3)[]', 'ARRAY[''abcd'']::varchar[]'), ('numeric(3,1)[]', 'ARRAY[100.0]')) AS v(column_type, value);

-- another type than the remote's: by its text, from either form
SELECT * FROM enhanced_pool.execute('loop', $$SELECT 1::int8, 2::int2, 3, 4.0::float8, 5.50, '6'::text, 't'::varchar, true, 'c0ffee00-1234-4567-89ab-0123456789ab'::uuid,
    ARRAY[1, 2]::int8[], date '2026-01-02', '{"a": 1}'::jsonb, B'101', inet '1.2.3.4', '\x0102'::bytea$$)
  AS t(a int2, b int8, c numeric, d float4, e text, f int, g bool, h text, i varchar, j int[], k timestamp, l text, m text, n text, o text);
-- without a parameter of ours in the way both kinds of rows agree
SELECT * FROM enhanced_pool.execute('loop', 'SELECT id::int8, price::float8, name::varchar(20), added::text FROM items WHERE id = 2') AS t(id int, price numeric, name text, added timestamptz)
EXCEPT SELECT * FROM enhanced_pool.execute('plain', 'SELECT id, price, name, added FROM items WHERE id = 2') AS t(id int, price numeric, name text, added timestamptz);

-- domains over them
CREATE DOMAIN d_int AS int CHECK (VALUE > 0);
CREATE DOMAIN d_short AS varchar(3);
CREATE DOMAIN d_nested AS d_short CHECK (VALUE <> 'bad');
CREATE DOMAIN d_array AS int[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN d_must AS timestamptz NOT NULL;
SELECT *, pg_typeof(c) FROM enhanced_pool.execute('loop', 'SELECT $1, $2::text, $3::text, $4', 1::d_int, 'abc'::d_short, 'xyz'::d_nested, '{1,2}'::d_array) AS t(a d_int, b d_short, c d_nested, d d_array);
SELECT error_of(format('SELECT * FROM enhanced_pool.execute(''loop'', %L) AS t(a %s)', 'SELECT ' || value, type)) FROM (VALUES
  ('d_int', '0'), ('d_int', '0::int8'), ('d_int', '''x'''), ('d_short', '''abcd'''), ('d_nested', '''bad'''), ('d_nested', '''abcd'''), ('d_array', 'ARRAY[1, 2, 3]'), ('d_must', 'NULL::timestamptz')) AS v(type, value);
DROP DOMAIN d_int, d_nested, d_short, d_array, d_must;
DROP FUNCTION there_and_back, limited;
DROP SERVER plain CASCADE;
