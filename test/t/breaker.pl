# The circuit breaker: opens, tells everybody, tries again, closes by itself.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my ($out, $err);

sub of_pool
{
	my ($pool, $what) = @_;

	return $local->safe_psql('postgres',
		"SELECT $what FROM enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (datname, pool, role, size, active, idle) WHERE pool = '$pool'");
}

sub pool_is
{
	my ($pool, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $local->poll_query_until('postgres',
			"SELECT $condition FROM enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (datname, pool, role, size, active, idle) WHERE pool = '$pool'"),
		$name)
	  or diag($local->safe_psql('postgres', '\x on', 'SELECT * FROM enhanced_pool.pools JOIN enhanced_pool.pool_metrics USING (datname, pool, role)'));
	return;
}

my $ask = "SELECT enhanced_pool.exec('p', 'SELECT 1')";

# ------------------------------------------------------------------------ opens

define_pool($local, $remote, 'p', max_size => 4, initial_size => 1, min_size => 0, retry_backoff => '10ms', retry_attempts => 1000,
	health_check_interval => 0, circuit_breaker_threshold => 4, circuit_breaker_recovery => '1h');
is($local->safe_psql('postgres', $ask), '1', 'the pool works');
pool_is('p', "size = 1 AND idle = 1", 'one connection');
is(of_pool('p', 'breaker, circuit_breaker_trips, circuit_breaker_resets'), 'closed|0|0', 'its breaker is closed');
my $baseline = worker_surplus($local);

$remote->stop('fast');
pool_is('p', 'connection_errors = 1', 'a connection that is lost makes the worker try at once');
is(of_pool('p', 'breaker'), 'closed', 'one failure opens nothing');
my $in_detail = "SELECT b ->> 'state', b -> 'failure_count', (b ->> 'next_try_in')::float8 BETWEEN 1 AND 3600 * 1.5
  FROM jsonb_each(enhanced_pool.get_detailed_metrics('p') #> '{p,roles}') AS r, LATERAL (SELECT r.value -> 'circuit_breaker') AS x(b)";
is($local->safe_psql('postgres', $in_detail), 'closed|1|', 'get_detailed_metrics has counted it');

my @waiters = map { start_session($local) } 1 .. 3;
begin_query($_, $ask) foreach @waiters;
foreach my $waiter (@waiters)
{
	($out, $err) = end_query($waiter);
	like($err, qr/ERROR:  57P03: circuit breaker of pool "p" is open\nDETAIL:  host .*\nHINT:  The next attempt to connect is made in \d+\.\d s, at 2/,
		'who waits is told that it has opened');
	$waiter->quit;
}
is(of_pool('p', 'breaker, connection_errors, circuit_breaker_trips, circuit_breaker_resets, size'), 'open|4|1|0|0',
	'it opened after exactly circuit_breaker_threshold failures');
is($local->safe_psql('postgres', $in_detail), 'open|4|t', 'get_detailed_metrics has counted all of them, and knows when it is tried again');
ok($local->log_contains('pool "p": circuit breaker opened after 4 failures'), 'the log says so');

# ----------------------------------------------------------------------- knocks

my $waits = of_pool('p', 'wait_count');
fails_with($local, $ask, qr/ERROR:  57P03: circuit breaker of pool "p" is open\nDETAIL:  .+\nHINT:  The next attempt/, 'who comes is refused');
$local->safe_psql('postgres', q{
	CREATE FUNCTION knock() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM enhanced_pool.acquire('p');
		RAISE EXCEPTION 'it is open';
	EXCEPTION WHEN cannot_connect_now THEN
	END $$});
my $script = $local->basedir . '/knock.sql';
append_to_file($script, "SELECT knock();\n");
$local->command_ok([ 'pgbench', '-n', '-c', 100, '-t', 5, '-f', $script, '-h', $local->host, '-p', $local->port, 'postgres' ],
	'a hundred sessions knock');
is(of_pool('p', 'breaker, connection_errors, waiting, wait_count, size'), "open|4|0|$waits|0", 'none of them waits, or makes the worker try');

# ------------------------------------------------------------------------ ALTER

$remote->start;
is(of_pool('p', 'breaker'), 'open', 'the remote is back, but its time has not come');
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET circuit_breaker_recovery '200ms', SET min_size '1')");
is($local->safe_psql('postgres', $ask), '1', 'ALTER SERVER closes it');
is(of_pool('p', 'breaker, circuit_breaker_trips, circuit_breaker_resets'), 'closed|1|1', 'which is counted');

# ------------------------------------------------------------------- by itself

# with connections to keep, the attempt is one of them
my $mark = -s $local->logfile;
define_pool($local, $remote, 'r', max_size => 1, initial_size => 1, min_size => 1, retry_backoff => '10ms',
	health_check_interval => 0, circuit_breaker_threshold => 1, circuit_breaker_recovery => '1h');
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('r', 'SELECT 1')");
$remote->stop('fast');
pool_is('p', "circuit_breaker_trips = 2 AND breaker <> 'closed'", 'it opens without anyone who waits');
ok($local->wait_for_log(qr/pool "p": circuit breaker half-open/, $mark), 'it is half-open after circuit_breaker_recovery');
ok($local->wait_for_log(qr/pool "p": circuit breaker stays open, next attempt in 0\.[34]/, $mark), 'the next pause is twice as long');
pool_is('r', "breaker = 'open'", 'another pool would not try for an hour');
$remote->start;
pool_is('p', "breaker = 'closed' AND idle = 1", 'and closes by itself');
pool_is('r', "breaker = 'closed' AND idle = 1", 'so does that of the other pool');
is(of_pool('p', 'circuit_breaker_trips, circuit_breaker_resets'), '2|2', 'both are counted');
ok($local->wait_for_log(qr/pool "p": circuit breaker closed/, $mark), 'and in the log');
is($local->safe_psql('postgres', $ask), '1', 'the pool works');

# without any, it is a test connection
define_pool($local, $remote, 'q', max_size => 2, initial_size => 1, min_size => 0, retry_backoff => 0, retry_attempts => 1000,
	health_check_interval => 0, circuit_breaker_threshold => 2, circuit_breaker_recovery => '100ms', dbname => 'template1');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('q', 'SELECT 1')"), '1', 'another pool works');
$remote->stop('fast');
fails_with($local, "SELECT enhanced_pool.exec('q', 'SELECT 1')", qr/ERROR:  57P03: circuit breaker/, 'until the remote has gone');
pool_is('q', 'health_check_failures >= 2', 'nobody uses it: it makes test connections');
$remote->start;
pool_is('q', "breaker = 'closed' AND size = 0", 'and closes by itself');
is(of_pool('q', 'health_check_count > health_check_failures, circuit_breaker_trips, circuit_breaker_resets, total_created'), 't|1|1|1',
	'a test connection is none of its own');
drop_pool($local, $_) foreach 'p', 'q', 'r';

# ------------------------------------------------------------------ no breaker

define_pool($local, $remote, 'bare', max_size => 2, initial_size => 1, min_size => 0, retry_backoff => 0, retry_attempts => 20,
	health_check_interval => 0, circuit_breaker_threshold => 0);
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('bare', 'SELECT 1')"), '1', 'a pool without a breaker works');
define_pool($local, $remote, 'late', max_size => 2, initial_size => 1, min_size => 0, retry_backoff => 0, retry_attempts => 1000,
	health_check_interval => 0, circuit_breaker_threshold => 3, circuit_breaker_recovery => '1h');
$remote->stop('fast');
fails_with($local, "SELECT enhanced_pool.exec('bare', 'SELECT 1')", qr/ERROR:  08001/, 'without a breaker: after retry_attempts');
is(of_pool('bare', 'breaker, connection_errors >= 20, circuit_breaker_trips'), 'closed|t|0', 'it has none, however often that was');
fails_with($local, "SELECT enhanced_pool.exec('late', 'SELECT 1')", qr/ERROR:  57P03/, 'one that has never had a connection has one, too');
# parameters hold for pools that do not say anything
$local->safe_psql('postgres', "ALTER SERVER late OPTIONS (DROP circuit_breaker_threshold); ALTER SYSTEM SET enhanced_pool.circuit_breaker_threshold = 3");
$local->reload;
$local->poll_query_until('postgres', "SHOW enhanced_pool.circuit_breaker_threshold", '3');
fails_with($local, "SELECT enhanced_pool.exec('late', 'SELECT 1')", qr/ERROR:  57P03/, 'by the parameter');
is(of_pool('late', 'breaker'), 'open', 'it is open');
$local->safe_psql('postgres', "ALTER SYSTEM SET enhanced_pool.circuit_breaker_threshold = 0");
$local->reload;
pool_is('late', "breaker = 'closed'", 'and closed when there is to be none');
$local->safe_psql('postgres', "ALTER SYSTEM RESET enhanced_pool.circuit_breaker_threshold");
$local->reload;
$remote->start;
drop_pool($local, $_) foreach 'bare', 'late';

# ----------------------------------------------------------------- fast restart

define_pool($local, $remote, 'many', initial_size => 20);
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('many', 'SELECT 1')");
pool_is('many', 'idle = 20', 'twenty idle connections');
$remote->restart;
pool_is('many', 'total_closed = 20 AND idle >= 2', 'all are lost, and the pool has new ones');
is(of_pool('many', 'breaker, circuit_breaker_trips'), 'closed|0', 'a fast restart opens no breaker');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('many', 'SELECT 1')"), '1', 'and the pool works');
drop_pool($local, 'many');

# -------------------------------------------------------------- full, not broken

$remote->safe_psql('postgres', "CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT 2");
my @few = (mapping => { user => 'few', password => 'few' }, max_size => 5, min_size => 0, retry_backoff => 0, health_check_interval => 0);
define_pool($local, $remote, 'scarce', @few, initial_size => 2, circuit_breaker_threshold => 1, circuit_breaker_recovery => '1h');
my $session = start_session($local);
$session->query_safe("SELECT enhanced_pool.acquire('scarce', hold => true)") foreach 1, 2;
fails_with($local, "SELECT enhanced_pool.acquire('scarce', '2s')",
	qr/ERROR:  53300: no connection of pool "scarce" within 2 s\nDETAIL:  Size 2, active 2, .*\nHINT:  The remote server takes no more connections/,
	'a role that may have no more connections');
is(of_pool('scarce', 'breaker, connection_errors, circuit_breaker_trips'), 'closed|1|0', 'is no failure, and not asked again');
$remote->safe_psql('postgres', 'ALTER ROLE few CONNECTION LIMIT 3');
$local->safe_psql('postgres', "ALTER SERVER scarce OPTIONS (ADD idle_timeout '200s')");
is($session->query_safe("SELECT count(enhanced_pool.acquire('scarce'))"), '1', 'but after ALTER SERVER it is');
# who has no connection cannot work
define_pool($local, $remote, 'none', @few, initial_size => 1, circuit_breaker_threshold => 1, circuit_breaker_recovery => '1h',
	retry_attempts => 2);
fails_with($local, "SELECT enhanced_pool.acquire('none')", qr/ERROR:  57P03: .*\nDETAIL:  .*too many connections for role "few"/,
	'for a pool that has no connection it is one');
$session->query_safe('SELECT enhanced_pool.release_all()');
drop_pool($local, $_) foreach 'scarce', 'none';
$session->quit;

check_clean($local, $remote, 0, $baseline);
done_testing();
