# The log of events: every kind with its reason and numbers, who sees what, a ring
# that is full, many writers, a restart.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();

# events_are(pool, kind, what, expected, name): what, over all events of that kind.
# A list of rows in their order, once there are as many as expected.
sub events_are
{
	my ($pool, $kind, $what, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $from = "FROM enhanced_pool.events WHERE pool = '$pool' AND kind = '$kind'";
	my $n = split /\n/, $expected;

	$local->poll_query_until('postgres', "SELECT count(*) >= $n $from");
	is($local->safe_psql('postgres', "SELECT $what $from ORDER BY id"), $expected, $name);
	return;
}

# The same for the first event of that kind: more may follow at any time.
sub first_is
{
	my ($pool, $kind, $what, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $from = "FROM enhanced_pool.events WHERE pool = '$pool' AND kind = '$kind'";

	$local->poll_query_until('postgres', "SELECT count(*) > 0 $from");
	is($local->safe_psql('postgres', "SELECT $what $from ORDER BY id LIMIT 1"), $expected, $name);
	return;
}

# The same for closed connections, of which nobody knows which ends first.
sub closes_are
{
	my ($pool, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sql = "SELECT string_agg(reason || ' ' || n, ', ' ORDER BY reason) FROM (SELECT detail->>'reason' AS reason, count(*) AS n"
	  . " FROM enhanced_pool.events WHERE pool = '$pool' AND kind = 'close' GROUP BY 1) x";

	ok($local->poll_query_until('postgres', $sql, $expected), $name)
	  or diag($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.events WHERE pool = '$pool' ORDER BY id"));
	return;
}

sub pool_is
{
	my ($pool, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT $condition FROM enhanced_pool.pools WHERE pool = '$pool'"), $name);
	return;
}

sub ask
{
	my ($pool) = @_;

	return $local->safe_psql('postgres', "SELECT enhanced_pool.exec('$pool', 'SELECT 1')");
}

my $no_gap = 'count(*) = max(id) - min(id) + 1';

is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.events'), 0, 'nothing has happened yet');

# ------------------------------------------------------- connect, administration

define_pool($local, $remote, 'p', max_size => 3, initial_size => 2, min_size => 2, health_check_interval => 0);
ask('p');
pool_is('p', 'idle = 2', 'two connections');
events_are('p', 'connect', q{detail->>'elapsed' IS NOT NULL AND at BETWEEN now() - interval '1 hour' AND now(), datname, role = current_user,
	message ~ '^connection opened to host ".*", port \d+$'}, "t|postgres|t|t\nt|postgres|t|t", 'connect: one for each');
is( $local->safe_psql('postgres', q{SELECT count(*) FROM enhanced_pool.events e JOIN enhanced_pool.connection_metrics c USING (conn_id)
	  WHERE kind = 'connect' AND (detail->>'remote_pid')::int = c.remote_pid AND (detail->>'tls')::bool = c.tls}),
	2, 'connect: with the numbers of the connection');
is($local->safe_psql('postgres', 'SELECT min(id), max(id), count(*) FROM enhanced_pool.events'), '1|2|2', 'ids begin at 1');
is($local->safe_psql('postgres', 'SELECT id FROM enhanced_pool.events'), "2\n1", 'the newest first');

my $admin = start_session($local);
my $pid = $admin->query_safe('SELECT pg_backend_pid()');
my $numbers = "detail->>'size', detail->>'active', detail->>'pid'";
$admin->query_safe("SELECT enhanced_pool.pause('p')");
events_are('p', 'pause', "detail ? 'size', detail->>'active', detail->>'pid', message", "t|0|$pid|paused by an administrator", 'pause');
closes_are('p', 'pause 2', 'its connections are closed');
is( $local->safe_psql('postgres', q{SELECT count(*) FROM enhanced_pool.events o JOIN enhanced_pool.events c USING (conn_id)
	  WHERE o.kind = 'connect' AND c.kind = 'close' AND o.id < c.id AND c.detail->>'remote_pid' = o.detail->>'remote_pid'
	  AND (c.detail->>'age')::float8 > 0 AND c.message ~ '^connection to host ".*", port \d+ closed: the pool was paused$'}),
	2, 'close: with the numbers of the connection');
$admin->query_safe("SELECT enhanced_pool.resume('p')");
$admin->query_safe("SELECT enhanced_pool.resume('p')");
events_are('p', 'resume', "detail->>'active', detail->>'pid', message", "0|$pid|resumed by an administrator", 'resume, once');
pool_is('p', 'idle = 2', 'two connections again');
$admin->query_safe("SELECT enhanced_pool.recycle('p')");
events_are('p', 'recycle', "$numbers, message", "2|0|$pid|recycled by an administrator", 'recycle');
closes_are('p', 'pause 2, recycle 2', 'its connections are replaced');
pool_is('p', 'idle = 2 AND size = 2', 'by new ones');

$admin->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
my $conn = $admin->query_safe("SELECT conn_id FROM enhanced_pool.leases WHERE lease = :lease");
is($admin->query_safe("SELECT enhanced_pool.terminate_connection($conn)"), 't', 'an administrator ends a connection');
events_are('p', 'terminate', "conn_id, detail->>'leased', detail->>'pid', message", "$conn|true|$pid|connection terminated by an administrator", 'terminate');
$admin->query_safe('SELECT enhanced_pool.release(:lease)');
closes_are('p', 'pause 2, recycle 2, terminated 1', 'it is closed');
$admin->query_safe("SELECT enhanced_pool.close_pool('p')");
events_are('p', 'close_pool', "detail->>'pid', message", "$pid|closed by an administrator", 'close_pool');
pool_is('p', "state = 'closed' AND size = 0", 'and it is');
drop_pool($local, 'p');

# ------------------------------------------------------------------ definitions

define_pool($local, $remote, 'c', max_size => 4, initial_size => 1, min_size => 1, health_check_interval => 0);
ask('c');
pool_is('c', 'idle = 1', 'one connection');
is($local->safe_psql('postgres', q{SELECT count(*) FROM enhanced_pool.events WHERE pool = 'c' AND kind = 'config_change'}), 0, 'nothing was changed yet');
$local->safe_psql('postgres', "ALTER SERVER c OPTIONS (SET max_size '5', ADD idle_timeout '77s')");
ask('c');
events_are('c', 'config_change', "message, detail->>'replaced'", 'definition changed: max_size, idle_timeout|0', 'a changed setting is named');
$local->safe_psql('postgres', "ALTER SERVER c OPTIONS (SET max_size '5')");
ask('c');
$local->safe_psql('postgres', "ALTER SERVER c OPTIONS (ADD keepalives_idle '77')");
ask('c');
closes_are('c', 'config_change 1', 'a connection of the old definition is closed');
events_are('c', 'config_change', "message, detail->>'replaced'",
	"definition changed: max_size, idle_timeout|0\ndefinition changed: how it connects|1", 'what is not a setting is not named, what is the same is no change');
$local->safe_psql('postgres', "ALTER SYSTEM SET enhanced_pool.max_waiting = 1000");
$local->reload;
events_are('c', 'config_change', "message, detail->>'pid'" , join("\n",
	$local->safe_psql('postgres', "SELECT message, detail->>'pid' FROM enhanced_pool.events WHERE pool = 'c' AND kind = 'config_change' AND message !~ 'parameters' ORDER BY id"),
	'parameters of the server changed|' . worker_pid($local)), 'parameters were reloaded');
ask('c');
is($local->safe_psql('postgres', q{SELECT count(*) FROM enhanced_pool.events WHERE pool = 'c' AND kind = 'config_change'}), 3, 'which is told once');
$local->safe_psql('postgres', "ALTER SYSTEM RESET enhanced_pool.max_waiting");
$local->reload;
drop_pool($local, 'c');
events_are('c', 'close_pool', "detail->>'reason', message", 'dropped|closed, as server, user mapping or database was dropped', 'it is dropped');
closes_are('c', 'close_pool 1, config_change 1', 'and its connection closed');

# ----------------------------------------------------- why connections are closed

define_pool($local, $remote, 'i', max_size => 1, max_overflow => 1, initial_size => 1, min_size => 0, target_free_connections => 0,
	health_check_interval => 0, idle_timeout => '300ms');
my @held = map { start_session($local) } 1 .. 2;
$_->query_safe("SELECT enhanced_pool.acquire('i', hold => true)") foreach @held;
$_->quit foreach @held;
closes_are('i', 'idle_timeout 1, overflow 1', 'overflow, idle_timeout');
drop_pool($local, 'i');

define_pool($local, $remote, 'm', max_size => 1, initial_size => 1, min_size => 1, health_check_interval => 0, max_lifetime => '1s');
ask('m');
first_is('m', 'close', "detail->>'reason', (detail->>'age')::float8 BETWEEN 0.5 AND 1000", 'max_lifetime|t', 'max_lifetime');
drop_pool($local, 'm');

define_pool($local, $remote, 'r', max_size => 1, initial_size => 1, min_size => 0, health_check_interval => 0, reset => 'always', reset_query => 'SELECT 1/0');
ask('r');
events_are('r', 'close', "detail->>'reason', message LIKE '%closed: %division by zero%'", 'reset_failed|t', 'reset_failed, with the error');
drop_pool($local, 'r');

define_pool($local, $remote, 'v', max_size => 1, initial_size => 1, min_size => 0, health_check_interval => 0,
	validation_query => 'SELECT 1/0', validation_interval => '50ms');
ask('v');
first_is('v', 'validation_failed', "conn_id IS NOT NULL, message ~ '^host \".*\", port \\d+: validation failed: .*division by zero'", 't|t', 'validation_failed');
first_is('v', 'close', "detail->>'reason', message LIKE '%closed: validation failed: %division by zero%'", 'validation_failed|t', 'and it is closed');
drop_pool($local, 'v');

define_pool($local, $remote, 'w', max_size => 1, initial_size => 1, min_size => 1, health_check_interval => 0);
ask('w');
$local->safe_psql('postgres', 'SELECT pg_terminate_backend(' . worker_pid($local) . ')');
events_are('w', 'close', "detail->>'reason'", 'worker_exit', 'the worker ends');
ask('w');
closes_are('w', 'worker_exit 1', 'once');
drop_pool($local, 'w');

# --------------------------------------------------------------- leak, time-outs

define_pool($local, $remote, 't', max_size => 1, initial_size => 1, health_check_interval => 0, leak_detection_threshold => '50ms');
$admin->query_safe("SELECT enhanced_pool.acquire('t', hold => true, name => 'forgotten') AS lease \\gset");
my $lease = $admin->query_safe('SELECT :lease');
events_are('t', 'leak', "conn_id = (SELECT conn_id FROM enhanced_pool.leases WHERE lease = $lease), detail->>'lease', detail->>'pid',
	(detail->>'held_for')::float8 >= 0.05, message ~ '^lease $lease has been held for .* s by process $pid as \"forgotten\"\$'", "t|$lease|$pid|t|t", 'leak');
$local->safe_psql('postgres', q{DO $$ BEGIN
  FOR i IN 1 .. 200 LOOP
    BEGIN
      PERFORM enhanced_pool.acquire('t', '0');
    EXCEPTION WHEN too_many_connections THEN
    END;
  END LOOP;
END $$});
my $sums = q{SELECT sum((detail->>'count')::int), count(*) < 100 FROM enhanced_pool.events WHERE pool = 't' AND kind = 'timeout' AND detail->>'reason' = };
ok($local->poll_query_until('postgres', "$sums 'acquire_timeout'", '200|t'), 'timeout: every one is counted, few events tell of them');
is($local->safe_psql('postgres', "SELECT acquire_timeouts FROM enhanced_pool.pool_metrics WHERE pool = 't'"), 200, 'as many as in pool_metrics');
is($local->safe_psql('postgres', q{SELECT detail - 'pid' - 'longest_lease', (detail->>'longest_lease')::float8 > 0, message ~ '^process \d+ got no connection within 0 s$'
	FROM enhanced_pool.events WHERE pool = 't' AND kind = 'timeout' ORDER BY id LIMIT 1}),
	'{"size": 1, "count": 1, "active": 1, "reason": "acquire_timeout", "timeout": 0, "waiting": 0}|t|t', 'timeout: the numbers of the pool');
$admin->query_safe('SELECT enhanced_pool.release(:lease)');
$local->safe_psql('postgres', q{SET enhanced_pool.query_timeout = '10ms'; DO $$ BEGIN
  FOR i IN 1 .. 5 LOOP
    BEGIN
      PERFORM enhanced_pool.exec('t', 'SELECT pg_sleep(600)');
    EXCEPTION WHEN query_canceled THEN
    END;
  END LOOP;
END $$});
ok($local->poll_query_until('postgres', "$sums 'query_timeout'", '5|t'), 'timeout: of statements, too');
is($local->safe_psql('postgres', q{SELECT conn_id IS NOT NULL, detail->>'timeout', (detail->>'elapsed')::float8 >= 0.01, message ~ 'process \d+ due to query_timeout$'
	FROM enhanced_pool.events WHERE pool = 't' AND kind = 'timeout' AND detail->>'reason' = 'query_timeout' ORDER BY id LIMIT 1}),
	't|0.01|t|t', 'timeout: the numbers of the statement');
drop_pool($local, 't');

# ----------------------------------------------- failures, health and the breaker

define_pool($local, $remote, 'b', max_size => 2, initial_size => 1, min_size => 1, retry_backoff => '10ms',
	health_check_interval => 0, circuit_breaker_threshold => 3, circuit_breaker_recovery => '200ms');
ask('b');
pool_is('b', 'idle = 1', 'one connection');
$remote->stop('fast');
ok($local->poll_query_until('postgres', q{SELECT count(*) > 1 FROM enhanced_pool.events WHERE pool = 'b' AND kind = 'breaker_half_open'}), 'the breaker opens');
events_are('b', 'close', "detail->>'reason'", 'lost', 'the connection was lost');
$remote->start;
pool_is('b', "breaker = 'closed' AND idle = 1", 'and closes');
$local->poll_query_until('postgres', q{SELECT sum((detail->>'count')::int) = (SELECT connection_errors FROM enhanced_pool.pool_metrics WHERE pool = 'b')
	FROM enhanced_pool.events WHERE pool = 'b' AND kind = 'connect_failed'});
is( $local->safe_psql('postgres', q{SELECT sum((detail->>'count')::int) = (SELECT connection_errors FROM enhanced_pool.pool_metrics WHERE pool = 'b'),
	  bool_and(detail->>'sqlstate' = '08001' AND message LIKE 'host "%", port %: %'
	    OR message LIKE 'could not connect, % time%, at last: host "%", port %: %') FROM enhanced_pool.events
	  WHERE pool = 'b' AND kind = 'connect_failed'}),
	't|t', 'connect_failed: as many as in pool_metrics')
  or diag($local->safe_psql('postgres', q{SELECT * FROM enhanced_pool.events WHERE pool = 'b' ORDER BY id}));
define_pool($local, $remote, 'nowhere', dbname => 'nowhere', health_check_interval => 0, retry_attempts => 1);
isnt(scalar($local->psql('postgres', q{SELECT enhanced_pool.exec('nowhere', 'SELECT 1')})), 0, 'a database that is not there');
is($local->safe_psql('postgres', q{SELECT DISTINCT detail->>'sqlstate', detail->>'remote_sqlstate' FROM enhanced_pool.events
	WHERE pool = 'nowhere' AND kind = 'connect_failed' AND detail ? 'sqlstate'}), '08001|3D000', 'what the remote said is there');
drop_pool($local, 'nowhere');
is( $local->safe_psql('postgres', q{SELECT detail->>'reason', detail->>'failures', (detail->>'next_try_in')::float8 BETWEEN 0.1 AND 0.3, message LIKE 'circuit breaker opened: host %'
	FROM enhanced_pool.events WHERE pool = 'b' AND kind = 'breaker_open' ORDER BY id LIMIT 1}),
	'failures|3|t|t', 'breaker_open');
is( $local->safe_psql('postgres', q{SELECT detail->>'reason', message LIKE 'circuit breaker stays open: host %'
	FROM enhanced_pool.events WHERE pool = 'b' AND kind = 'breaker_open' ORDER BY id LIMIT 1 OFFSET 1}),
	'attempt_failed|t', 'breaker_open: again');
is( $local->safe_psql('postgres', q{SELECT string_agg(kind, ' ' ORDER BY id) ~ '^breaker_open (breaker_half_open breaker_open )+breaker_half_open breaker_closed$'
	FROM enhanced_pool.events WHERE pool = 'b' AND kind LIKE 'breaker%'}), 't', 'one after the other');
events_are('b', 'breaker_closed', "detail->>'reason', message", 'success|circuit breaker closed', 'breaker_closed');
$local->safe_psql('postgres', "ALTER SERVER b OPTIONS (SET circuit_breaker_recovery '1h')");
ask('b');
# by those who know better
foreach my $how ([ 'config_change', "ALTER SERVER b OPTIONS (SET circuit_breaker_recovery '1h'); SELECT enhanced_pool.exec('b', 'SELECT 1')" ],
	[ 'resume', "SELECT enhanced_pool.pause('b'); SELECT enhanced_pool.resume('b')" ])
{
	$remote->stop('fast');
	pool_is('b', "breaker = 'open'", 'it opens again');
	$remote->start;
	$local->safe_psql('postgres', $how->[1]);
	is($local->safe_psql('postgres', q{SELECT detail->>'reason' FROM enhanced_pool.events WHERE pool = 'b' AND kind = 'breaker_closed' ORDER BY id DESC LIMIT 1}),
		$how->[0], "breaker_closed: $how->[0]");
	pool_is('b', "breaker = 'closed' AND idle = 1", 'it works');
}
drop_pool($local, 'b');

# who is connected stays so, but may not come again
define_pool($local, $remote, 'h', max_size => 1, initial_size => 1, min_size => 1, health_check_interval => '100ms', circuit_breaker_threshold => 0,
	validation_interval => 0);
ask('h');
$remote->safe_psql('postgres', 'ALTER ROLE ep_user NOLOGIN');
ok($local->poll_query_until('postgres', q{SELECT count(*) > 0 FROM enhanced_pool.events WHERE pool = 'h' AND kind = 'health_failed' AND conn_id IS NULL
	AND message LIKE 'host %not permitted to log in%' AND detail ? 'sqlstate'}), 'health_failed');
$remote->safe_psql('postgres', 'ALTER ROLE ep_user LOGIN');
is($local->safe_psql('postgres', q{SELECT count(*) FROM enhanced_pool.events WHERE pool = 'h' AND kind IN ('connect', 'close', 'connect_failed')}), 1,
	'a test connection is none of the pool');
drop_pool($local, 'h');

is($local->safe_psql('postgres', "SELECT $no_gap, min(id) FROM enhanced_pool.events"), 't|1', 'ids have no gap');
is($local->safe_psql('postgres', q{SELECT count(*) FROM enhanced_pool.events WHERE concat(message, detail) ~ 'ep_secret|pg_sleep'}), 0,
	'no password, no statement');
is( $local->safe_psql('postgres', q{SELECT count(*) FROM (SELECT conn_id FROM enhanced_pool.events WHERE kind IN ('connect', 'close')
	GROUP BY conn_id HAVING count(*) FILTER (WHERE kind = 'connect') <> 1 OR count(*) FILTER (WHERE kind = 'close') > 1) x}),
	0, 'every connection is opened once, and closed once');

# ---------------------------------------------------------------- who sees what

$local->safe_psql('postgres', 'CREATE ROLE somebody LOGIN; CREATE ROLE nobody LOGIN; CREATE ROLE stats LOGIN; GRANT pg_read_all_stats TO stats');
define_pool($local, $remote, 's', initial_size => 1, min_size => 1, health_check_interval => 0, for => 'somebody');
define_pool($local, $remote, 'a', initial_size => 1, min_size => 1, health_check_interval => 0, for => 'PUBLIC');
$local->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER s TO somebody, nobody; GRANT USAGE ON FOREIGN SERVER a TO somebody");
$local->safe_psql('postgres', "SET ROLE somebody; SELECT enhanced_pool.exec('s', 'SELECT 1'); SELECT enhanced_pool.exec('a', 'SELECT 1')");
my $seen = q{SELECT string_agg(pool || ' ' || role || ' ' || (message IS NOT NULL) || ' ' || (detail IS NOT NULL) || ' ' || (conn_id IS NOT NULL), ', ' ORDER BY pool, id)
	FROM enhanced_pool.events WHERE pool IN ('a', 's')};
foreach my $who ([ 'nobody', 'false', 'false' ], [ 'somebody', 'true', 'true' ], [ 'stats', 'true', 'true' ])
{
	is($local->safe_psql('postgres', "SET ROLE $who->[0]; $seen"), "a public $who->[1] true true, s somebody $who->[2] true true", "what $who->[0] sees");
}
$local->safe_psql('postgres', 'REVOKE USAGE ON FOREIGN SERVER s FROM somebody');
is($local->safe_psql('postgres', "SET ROLE somebody; $seen"), 'a public true true true, s somebody false true true', 'without USAGE');
is($local->safe_psql('postgres', 'SET ROLE nobody; SELECT count(message) FROM enhanced_pool.events'), 0, 'nobody sees no message at all');
$local->safe_psql('postgres', 'CREATE DATABASE other');
$local->safe_psql('other', 'CREATE EXTENSION enhanced_pool');
is($local->safe_psql('other', "SET ROLE somebody; SELECT count(message), count(*) > 1 FROM enhanced_pool.events"), '0|t', 'nor anybody those of another database');
is($local->safe_psql('other', "SELECT count(*) FROM enhanced_pool.events WHERE message IS NULL"), '0', 'but a superuser');
drop_pool($local, $_) foreach 's', 'a';

# ------------------------------------------------------------------- encodings

$local->safe_psql('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
$local->safe_psql('postgres', "CREATE DATABASE utf8 ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$local->safe_psql($_, 'CREATE EXTENSION enhanced_pool') foreach 'utf8', 'latin';
foreach my $db ('latin', 'utf8')
{
	# a host that there is not, with a name that does not fit into a message
	$local->safe_psql($db, q{DO $$ BEGIN EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host %L, retry_attempts ''1'')',
		'caf' || chr(233), 'x' || repeat(chr(233), 400));
		EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (user ''a'', password ''b'')', 'caf' || chr(233)); END $$});
	fails_with_in($db, q{SELECT enhanced_pool.exec('caf' || chr(233), 'SELECT 1')}, qr/could not connect/, "$db: no such host");
}

sub fails_with_in
{
	my ($db, $sql, $pattern, $name) = @_;
	my ($status, $out, $err) = $local->psql($db, $sql, on_error_die => 0);

	like($err, $pattern, $name);
	return;
}

my $cut = q{SELECT datname, pool = 'caf' || chr(233), octet_length(convert_to(message, current_setting('server_encoding'))) BETWEEN 250 AND 256, message ~ ('^host "x' || chr(233) || '+$'), message LIKE '%?%', kind
	FROM enhanced_pool.events WHERE datname IN ('latin', 'utf8') AND kind = 'connect_failed' AND conn_id IS NOT NULL};
is($local->safe_psql('utf8', "$cut AND datname = 'utf8' ORDER BY id LIMIT 1"), 'utf8|t|t|t|f|connect_failed', 'a message is cut at a character');
is($local->safe_psql('latin', "$cut AND datname = 'latin' ORDER BY id LIMIT 1"), 'latin|t|t|t|f|connect_failed', 'in an encoding of single bytes, too');
is($local->safe_psql('utf8', "$cut AND datname = 'latin' ORDER BY id LIMIT 1"), 'latin|f|t|f|t|connect_failed', 'what is of another encoding is replaced');
ok($local->safe_psql($_, 'SELECT count(detail) FROM enhanced_pool.events') > 0, "$_: every detail can be read") foreach 'utf8', 'latin', 'postgres';
drop_pool($local, 'café', $_) foreach 'utf8';
$local->safe_psql('latin', q{DO $$ BEGIN EXECUTE format('DROP SERVER %I CASCADE', 'caf' || chr(233)); END $$});
$admin->quit;

# -------------------------------------------------- a full ring, and many writers

$local->append_conf('postgresql.conf', 'enhanced_pool.event_log_size = 50');
$local->restart;
is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.events'), 0, 'a restart begins anew');
define_pool($local, $remote, "q$_", initial_size => 1, min_size => 1, max_size => 1, health_check_interval => 0) foreach 1, 2;
ask("q$_") foreach 1, 2;
is($local->safe_psql('postgres', 'SELECT min(id) FROM enhanced_pool.events'), 1, 'with the first id');
$local->safe_psql('postgres', q{CREATE FUNCTION look() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF (SELECT count(*) <> max(id) - min(id) + 1 OR count(*) NOT BETWEEN 2 AND 50 OR count(DISTINCT id) <> count(*) FROM enhanced_pool.events) THEN
    RAISE 'gap';
  END IF;
END $$});
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/write.sql", "\\set n 1 + :client_id % 2\nSELECT enhanced_pool.recycle('q' || :n);\nSELECT look();\n");
append_to_file("$dir/read.sql", "SELECT look();\n");
my ($out, $err) = ('', '');
my $reader = start([ 'pgbench', '-n', '-c', 1, '-t', 300, '-f', "$dir/read.sql", $local->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err);
$local->command_ok([ 'pgbench', '-n', '-c', 4, '-j', 2, '-t', 100, '-f', "$dir/write.sql", $local->connstr('postgres') ], 'four sessions write and read');
ok(finish($reader), 'while another one reads') or diag($err);
unlike($err, qr/gap|error/i, 'and never sees a gap');
is($local->safe_psql('postgres', "SELECT count(*), $no_gap, max(id) >= 400, bool_and(pool IN ('q1', 'q2')) FROM enhanced_pool.events"), '50|t|t|t', 'the ring keeps the last ones');
ok( $local->safe_psql('postgres', "SELECT bool_and(at >= before) FROM (SELECT at, lag(at) OVER (ORDER BY id) AS before FROM enhanced_pool.events) x WHERE before IS NOT NULL"),
	'in the order of time');

# the smallest log
$local->append_conf('postgresql.conf', 'enhanced_pool.event_log_size = 1');
$local->restart;
ask($_ % 2 ? 'q1' : 'q2'), $local->safe_psql('postgres', "SELECT enhanced_pool.recycle('q1')") foreach 1 .. 3;
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 AND min(id) > 3 FROM enhanced_pool.events'), 'a log of one event has the last one');

drop_pool($local, $_) foreach 'q1', 'q2';
check_clean($local, $remote, 2);
done_testing();
