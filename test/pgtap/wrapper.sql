-- The foreign-data wrapper and its validator: what it accepts, what it refuses, with which hint.
BEGIN;
SELECT * FROM no_plan();

SELECT is((SELECT (fdwhandler, fdwvalidator::regproc, fdwoptions)::text FROM pg_foreign_data_wrapper WHERE fdwname = 'enhanced_pool'),
  '(0,enhanced_pool.enhanced_pool_fdw_validator,)', 'the wrapper has a validator and no handler');
SELECT has_function('enhanced_pool', 'enhanced_pool_fdw_validator', ARRAY['text[]', 'oid']);
SELECT function_returns('enhanced_pool', 'enhanced_pool_fdw_validator', ARRAY['text[]', 'oid'], 'void');

-- What a statement ends with: its SQLSTATE, message and hint; nothing it did stays.
CREATE FUNCTION pg_temp.outcome(statement text, OUT state text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RAISE EXCEPTION USING ERRCODE = 'OK000';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, hint = PG_EXCEPTION_HINT;
END $$;
CREATE FUNCTION pg_temp.on_server(options text, OUT state text, OUT hint text) LANGUAGE sql AS $$
  SELECT * FROM pg_temp.outcome(format('CREATE SERVER s FOREIGN DATA WRAPPER enhanced_pool OPTIONS (%s)', options));
$$;
CREATE FUNCTION pg_temp.on_mapping(options text, OUT state text, OUT hint text) LANGUAGE sql AS $$
  SELECT * FROM pg_temp.outcome(format('CREATE USER MAPPING FOR CURRENT_USER SERVER mapped OPTIONS (%s)', options));
$$;
CREATE SERVER mapped FOREIGN DATA WRAPPER enhanced_pool;

-- keywords of a server and of a user mapping
SELECT is(state, 'OK000', 'server option ' || options) FROM (VALUES
  ($$host 'db.example.org'$$), ($$host 'a,b', port '5432,5433'$$), ($$host '/run/postgresql', port '5432'$$),
  ($$hostaddr '127.0.0.1'$$), ($$hostaddr '::1,10.0.0.1'$$), ($$hostaddr 'fe80::1%eth0'$$), ($$dbname 'x'$$), ($$options '-c search_path=x'$$),
  ($$sslmode 'verify-full', sslrootcert '/x'$$), ($$target_session_attrs 'prefer-standby'$$),
  ($$load_balance_hosts 'random'$$), ($$keepalives '1'$$), ($$tcp_user_timeout '1000'$$), ($$channel_binding 'require'$$),
  ($$max_size '50', strategy 'balanced'$$), ($$idle_timeout '5min'$$), ($$server 'another'$$), ($$server 'another', max_size '5'$$)
) AS v(options), pg_temp.on_server(options);
SELECT is(state, 'OK000', 'mapping option ' || options) FROM (VALUES
  ($$user 'app', password 'secret'$$), ($$password_required 'false'$$), ($$sslcert '/x', sslkey '/y'$$), ($$sslpassword 'x'$$),
  ($$max_size '10'$$)
) AS v(options), pg_temp.on_mapping(options);

-- names that are not known, or not there
SELECT is(state, 'HV00D', 'server option ' || options) FROM (VALUES
  ($$max_sise '5'$$), ($$nonsense '5'$$), ($$service 'x'$$), ($$user 'x'$$), ($$password 'x'$$), ($$password_required 'true'$$),
  ($$replication 'true'$$), ($$client_encoding 'UTF8'$$), ($$fallback_application_name 'x'$$), ($$"Host" 'x'$$)
) AS v(options), pg_temp.on_server(options);
SELECT is(state, 'HV00D', 'mapping option ' || options) FROM (VALUES
  ($$max_sise '5'$$), ($$host 'x'$$), ($$port '5432'$$), ($$dbname 'x'$$), ($$sslmode 'require'$$), ($$service 'x'$$),
  ($$server 'x'$$), ($$max_server_connections '5'$$)
) AS v(options), pg_temp.on_mapping(options);
SELECT is(state, 'HV00D', 'wrapper option')
FROM pg_temp.outcome($$ALTER FOREIGN DATA WRAPPER enhanced_pool OPTIONS (ADD host 'x')$$);

-- hints
SELECT matches(hint, '"' || closest || '"', 'hint at ' || closest) FROM (VALUES
  ($$max_sise '5'$$, 'max_size'), ($$hots 'x'$$, 'host'), ($$idle_timout '5'$$, 'idle_timeout'), ($$ssl_mode 'x'$$, 'sslmode'),
  ($$retry_attempt '1'$$, 'retry_attempts')
) AS v(options, closest), pg_temp.on_server(options);
SELECT is(hint, '', 'no hint when nothing is close') FROM pg_temp.on_server($$entirely_different_thing 'x'$$);
SELECT matches(hint, 'host, port and dbname', 'service has a hint') FROM pg_temp.on_server($$service 'x'$$);
SELECT matches(hint, 'user mapping', 'a misplaced option has a hint') FROM pg_temp.on_server($$password 'x'$$);
SELECT matches(hint, 'option of the server', 'a misplaced option has a hint') FROM pg_temp.on_mapping($$host 'x'$$);
SELECT is(state, '0A000', 'use_scram_passthrough is refused') FROM pg_temp.on_server($$use_scram_passthrough 'true'$$);
SELECT isnt(hint, '', 'use_scram_passthrough has a hint') FROM pg_temp.on_server($$use_scram_passthrough 'true'$$);

-- values
SELECT is(state, '22023', 'server option ' || options) FROM (VALUES
  ($$port '0'$$), ($$port '65536'$$), ($$port 'x'$$), ($$port '5432x'$$), ($$port '1,2'$$), ($$host 'a,b', port '1,2,3'$$), ($$hostaddr 'localhost'$$),
  ($$sslmode 'maybe'$$), ($$target_session_attrs 'anywhere'$$), ($$keepalives '-1'$$), ($$load_balance_hosts 'yes'$$),
  ($$max_size '0'$$), ($$max_size '-1'$$), ($$max_size 'many'$$), ($$max_size '5min'$$), ($$max_size ''$$),
  ($$retry_attempts '0'$$), ($$circuit_breaker_recovery '0'$$), ($$idle_timeout '0.5ms'$$), ($$idle_timeout '-1'$$), ($$idle_timeout '5 parsecs'$$),
  ($$acquire_timeout '31d'$$), ($$strategy 'fastest'$$), ($$reset 'sometimes'$$), ($$validation_query ''$$), ($$log_connections 'perhaps'$$),
  ($$server ''$$), ($$server 'other', host 'x'$$), ($$server 'other', dbname 'x'$$)
) AS v(options), pg_temp.on_server(options);
SELECT is(state, '22023', 'mapping option ' || left(options, 40)) FROM (VALUES
  ($$password_required 'perhaps'$$), (format('password %L', repeat('x', 1025))), ($$max_size '0'$$)
) AS v(options), pg_temp.on_mapping(options);
SELECT is(state, 'OK000', 'the longest password') FROM pg_temp.on_mapping(format('password %L', repeat('x', 1024)));

-- names of servers
SELECT is(state, '42602', 'a name of digits only')
FROM pg_temp.outcome('CREATE SERVER "123" FOREIGN DATA WRAPPER enhanced_pool');
SELECT is(state, '42602', 'renamed to digits only') FROM pg_temp.outcome('ALTER SERVER mapped RENAME TO "123"');
SELECT is(state, 'OK000', 'digits and a letter')
FROM pg_temp.outcome('CREATE SERVER "123a" FOREIGN DATA WRAPPER enhanced_pool');

SELECT * FROM finish();
ROLLBACK;
