-- The local server of the soak test: five pools.  Everything in them is short, so that
-- much happens in a minute.
CREATE EXTENSION enhanced_pool;
CREATE ROLE soak LOGIN;
CREATE TABLE ledger (client int, seq bigint);
CREATE TABLE copied (tag text, n int);
GRANT SELECT, INSERT, DELETE ON ledger, copied TO soak;

-- a remote write in a subtransaction; the SQLSTATE of its error, if there is one
CREATE FUNCTION attempt(pool text, client int, seq bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM enhanced_pool.exec(enhanced_pool.session(pool), 'INSERT INTO ledger VALUES ($1, $2::int, $3::bigint)', pool, client, seq);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

CREATE PROCEDURE define(pool text, options text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER enhanced_pool OPTIONS (dbname %L, connect_timeout %L, acquire_timeout %L, retry_backoff %L,
		circuit_breaker_recovery %L, health_check_interval %L, scaling_cool_down %L, %s)', pool, 'postgres', '3s', '10s', '200ms', '500ms', '1s', '1s', options);
	EXECUTE format('CREATE USER MAPPING FOR soak SERVER %I OPTIONS (user %L, password_required %L)', pool, 'soak_' || pool, 'false');
	EXECUTE format('GRANT USAGE ON FOREIGN SERVER %I TO soak', pool);
END $$;

-- one that grows, shrinks and renews itself all the time
SELECT format('host %L, port %L', :'one', 5433) AS one, format('host %L, port %L', :'one', :'port') AS two,
	format('host %L, port %L, sslmode %L, sslrootcert %L', '127.0.0.1', :'port', 'verify-full', :'root') AS tls \gset
CALL define('fast', :'one' || $$, max_size '12', max_overflow '4', initial_size '3', idle_timeout '2s', max_lifetime '10s', validation_interval '1s'$$);
-- one for which sessions queue, and whose connections are always reset
CALL define('narrow', :'one' || $$, max_size '4', initial_size '4', strategy 'low_latency', reset 'always'$$);
-- one that follows the local transaction by itself
CALL define('follow', :'one' || $$, max_size '8', autocommit 'off', max_sessions '6', min_sessions '1', session_idle_timeout '1s'$$);
-- one through the relay
CALL define('tls', :'tls' || $$, max_size '10', max_sessions '6', target_free_sessions '1', strategy 'dynamic'$$);
-- one that is dropped and made again
SELECT :'one' AS host, format($f$
CREATE PROCEDURE define_brief() LANGUAGE plpgsql AS $p$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_foreign_server WHERE srvname = 'brief') THEN
		CALL define('brief', %L);
	END IF;
END $p$$f$, :'one' || $$, max_size '4'$$) AS define_brief \gset
:define_brief;
CALL define_brief();
-- one with settings that follow
CALL define('wide', :'two' || $$, max_size '20', strategy 'high_throughput', propagate_settings 'soak.tenant'$$);
