# health_check() and reset_breaker(): what they tell and do, whatever the breaker says.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => "enhanced_pool.workers = 2\nenhanced_pool.max_connections = 6\nenhanced_pool.max_pools = 6");
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
	  or diag($local->safe_psql('postgres', 'SELECT * FROM enhanced_pool.pools'));
	return;
}

# What it says of a pool; a latency as a yes or no.
sub check
{
	my ($pool) = @_;

	return "SELECT role, healthy, latency > 0 AND latency < 60000, error FROM enhanced_pool.health_check('$pool')";
}

sub checked
{
	return $local->safe_psql('postgres', check(@_));
}

my @calm = (max_size => 2, min_size => 0, initial_size => 1, health_check_interval => 0, retry_backoff => '10ms', retry_attempts => 1000);
my $ask = "SELECT enhanced_pool.exec('%s', 'SELECT 1')";

# ------------------------------------------------------------------ a remote that is well

define_pool($local, $remote, 'p', @calm, circuit_breaker_threshold => 3, circuit_breaker_recovery => '1h');
is(checked('p'), 'postgres|t|t|', 'a pool that is not open is tested');
ok( $local->poll_query_until('postgres', "SELECT state = 'closed' FROM enhanced_pool.pools WHERE pool = 'p'"),
	'and is not opened by that');
is(remote_connections($remote), 0, 'no connection is left of it');

# whatever the strategy keeps ready in a pool that is used
foreach my $strategy ('low_latency', 'dynamic')
{
	define_pool($local, $remote, "for_$strategy", max_size => 3, min_size => 0, initial_size => 2, strategy => $strategy,
		dynamic_scaling_enabled => 'on');
	is(checked("for_$strategy"), 'postgres|t|t|', "$strategy: a pool that is not open is tested");
	ok( $local->poll_query_until('postgres', "SELECT state = 'closed' FROM enhanced_pool.pools WHERE pool = 'for_$strategy'"),
		'and is not opened by that');
}

is($local->safe_psql('postgres', sprintf $ask, 'p'), 1, 'the pool is opened by its use');
pool_is('p', 'size = 1 AND idle = 1', 'as ever');
is(checked('p'), 'postgres|t|t|', 'a pool that is open');
is(checked('p'), 'postgres|t|t|', 'is tested each time');
pool_is('p', 'size = 1 AND idle = 1', 'it has the connection that it had');
is(of_pool('p', 'health_check_count, health_check_failures, total_created'), '2|0|1', 'both were counted');

# The pools of all roles; each is a test of its own.
$local->safe_psql('postgres', q{
	CREATE ROLE app; CREATE ROLE watch; GRANT pg_monitor TO watch;
	CREATE USER MAPPING FOR app SERVER p OPTIONS (user 'ep_user', password 'wrong')});
is($local->safe_psql('postgres', "SELECT role, healthy, latency > 0, error ~ 'password authentication failed' FROM enhanced_pool.health_check('p') ORDER BY role"),
	"app|f||t\npostgres|t|t|", 'each role has a row, and what is wrong is said');
is($local->safe_psql('postgres', "SELECT role, healthy FROM enhanced_pool.health_check('p', 'app')"), 'app|f', 'or one role alone');
is($local->safe_psql('postgres', "SET ROLE watch; SELECT healthy, error IS NOT NULL FROM enhanced_pool.health_check('p', 'app')"), 'f|t',
	'pg_monitor may ask');
$local->safe_psql('postgres', "CREATE ROLE boss; GRANT USAGE ON FOREIGN SERVER p TO boss WITH GRANT OPTION");
is($local->safe_psql('postgres', "SET ROLE boss; SELECT healthy, error FROM enhanced_pool.health_check('p', 'app')"), 'f|',
	'an administrator who may not use the pool does not see the error');
is(of_pool('p', 'breaker, health_check_failures'), 'closed|0', 'what one role was refused is not held against the other');
$local->safe_psql('postgres', "DROP USER MAPPING FOR app SERVER p");

# One that was closed, but for a lease that is out.
my $session = start_session($local);
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('p')");
is(checked('p'), 'postgres|t|t|', 'a pool that was closed while a lease is out');
is($local->safe_psql('postgres', "SELECT state FROM enhanced_pool.pools WHERE pool = 'p'"), 'closed', 'is closed again');
is($session->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')"), 1, 'the lease goes on');
# somebody who comes meanwhile opens it for good
my $asker = start_session($local);
my $worker_pids = $local->safe_psql('postgres', "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'enhanced_pool worker'");
kill 'STOP', split ' ', $worker_pids;
begin_query($asker, check('p'));
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%health_check(''p'')%' AND wait_event_type = 'Extension'"), 'a test is asked for');
begin_query($session, "SELECT enhanced_pool.release(:lease) \\gset\n" . sprintf($ask, 'p'));
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.waiters"), 'and a connection');
kill 'CONT', split ' ', $worker_pids;
($out, $err) = end_query($session);
is("$out|$err", '1|', 'who wants a connection gets one');
($out, $err) = end_query($asker);
is("$out|$err", 'postgres|t|t||', 'and who asked an answer');
pool_is('p', "state = 'active' AND size = 1 AND idle = 1", 'the pool stays open');
$asker->quit;

# --------------------------------------------------------------------- no test was made

define_pool($local, $remote, 'big', @calm, max_size => 5, dbname => 'template1');
$session->query_safe("SELECT enhanced_pool.acquire('big', hold => true)") foreach 1 .. 5;
pool_is('big', 'active = 5', 'all of enhanced_pool.max_connections are used');
is(checked('big'), 'postgres|||not tested: enhanced_pool.max_connections or max_server_connections leave no place', 'a test needs a place');
is(checked('p'), 'postgres|||not tested: enhanced_pool.max_connections or max_server_connections leave no place', 'whatever pool it is for');
is(of_pool('big', 'breaker, health_check_count'), 'closed|0', 'nothing was found out');
$session->query_safe('SELECT enhanced_pool.release_all()');
drop_pool($local, 'big');
$local->safe_psql('postgres', "SELECT enhanced_pool.pause('p')");
is(checked('p'), 'postgres|||not tested: the pool is paused', 'nothing is connected for a pool that is paused');
$local->safe_psql('postgres', "SELECT enhanced_pool.resume('p')");

# one that is paused and closed while a lease is out: it works when it is resumed
pool_is('p', 'idle = 1', 'the pool is filled');
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true)");
is($local->safe_psql('postgres', "SELECT enhanced_pool.pause('p')"), 1, 'paused');
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('p')");
is(checked('p'), 'postgres|||not tested: the pool is paused', 'and closed');
$session->query_safe('SELECT enhanced_pool.release_all()');
$local->safe_psql('postgres', "SELECT enhanced_pool.resume('p')");
pool_is('p', 'idle = 1', 'a pool that was checked while it was paused is filled when it is resumed');

# -------------------------------------------------------------- the breaker, by its tests

# a pool of that remote that another worker has
define_pool($local, $remote, 'q', @calm, circuit_breaker_threshold => 4, circuit_breaker_recovery => '1h');
define_pool($local, $remote, 'r', @calm, circuit_breaker_threshold => 0);
$local->safe_psql('postgres', sprintf $ask, $_) foreach 'p', 'q', 'r';
pool_is($_, 'idle = 1', "pool $_ is at rest") foreach 'p', 'q', 'r';
$remote->stop('fast');
pool_is($_, 'size = 0 AND connection_errors > 0', "pool $_ knows that the remote has gone") foreach 'p', 'q', 'r';
is($local->safe_psql('postgres', "SELECT healthy, latency, error ~ '^host .*port' FROM enhanced_pool.health_check('p')"), 'f||t', 'unhealthy, and why');
checked('p') foreach 1 .. 3;
is(of_pool('p', 'breaker, health_check_failures >= 4'), 'open|t', 'tests that fail open the breaker');
is(of_pool('q', 'breaker, health_check_failures >= 4'), 'open|t', 'and that of another pool of that remote');
fails_with($local, sprintf($ask, $_), qr/ERROR:  57P03/, "pool $_ is refused") foreach 'p', 'q';
is($local->safe_psql('postgres', "SELECT healthy FROM enhanced_pool.health_check('p')"), 'f', 'it is tested although the breaker is open');
is(of_pool('p', 'breaker'), 'open', 'which stays so');
$remote->start;
fails_with($local, sprintf($ask, $_), qr/ERROR:  57P03/, "$_: the remote is back, but nobody knows") foreach 'p', 'q';
is(checked('p'), 'postgres|t|t|', 'until it is tested');
is(of_pool('p', 'breaker, circuit_breaker_resets'), 'closed|1', 'that closes the breaker');
pool_is('q', "breaker = 'closed' AND circuit_breaker_resets = 1", 'and that of the other pool');
is($local->safe_psql('postgres', sprintf $ask, $_), 1, "pool $_ works") foreach 'p', 'q';

# ------------------------------------------------------------------------ reset_breaker

$remote->stop('fast');
pool_is($_, 'size = 0', "pool $_ has lost its connection") foreach 'p', 'q';
checked('p') foreach 1 .. 4;
is(of_pool('p', 'breaker'), 'open', 'open again');
is(of_pool('q', 'breaker'), 'open', 'both');
$remote->start;
my $mark = -s $local->logfile;
is($local->safe_psql('postgres', "SELECT enhanced_pool.reset_breaker('p')"), '', 'reset_breaker');
is(of_pool('p', 'breaker, circuit_breaker_resets'), 'closed|2', 'closes the breaker');
is(of_pool('p', 'waiting'), 0, 'nobody waits');
ok($local->log_contains(qr/pool "p": circuit breaker closed\n.*DETAIL:  It was reset by process \d+/, $mark), 'the log says so');
is($local->safe_psql('postgres', sprintf $ask, 'p'), 1, 'the pool works');
pool_is('q', "breaker = 'open' OR circuit_breaker_resets = 2", 'the other is closed by what succeeds, if at all');
$local->safe_psql('postgres', "SELECT enhanced_pool.reset_breaker('q', 'postgres')");
is($local->safe_psql('postgres', sprintf $ask, 'q'), 1, 'or by its own reset');
is($local->safe_psql('postgres', "SELECT enhanced_pool.reset_breaker('p')"), '', 'a breaker that is closed');
is(of_pool('p', 'breaker, circuit_breaker_resets'), 'closed|2', 'is no matter');

# -------------------------------------------------------------------- one that hangs

$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (ADD connect_timeout '5min'); ALTER SERVER q OPTIONS (ADD connect_timeout '300ms')");
my $postmaster = slurp_file($remote->data_dir . '/postmaster.pid');
$postmaster =~ s/\n.*//s;
kill 'STOP', $postmaster or die "could not stop the remote: $!";
my @askers = map { start_session($local) } 1 .. 3;
begin_query($_, check('p')) foreach @askers;
ok( $local->poll_query_until('postgres',
		"SELECT count(*) = 3 FROM pg_stat_activity WHERE query LIKE '%health_check(''p'')%' AND wait_event_type = 'Extension'"),
	'three wait for a remote that does not answer');
like($local->safe_psql('postgres', "SELECT healthy, error FROM enhanced_pool.health_check('q')"), qr/^f\|host .*not ready within 0.3 s/,
	'a short connect_timeout tells sooner');
is($local->safe_psql('postgres', "SELECT count(pg_cancel_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE query LIKE '%health_check(''p'')%' AND wait_event_type = 'Extension' ORDER BY pid LIMIT 1) w"),
	1, 'one of them is cancelled');
ok( $local->poll_query_until('postgres',
		"SELECT count(*) = 2 FROM pg_stat_activity WHERE query LIKE '%health_check(''p'')%' AND wait_event_type = 'Extension'"),
	'and does not wait any more');
kill 'CONT', $postmaster or die "could not let the remote go on: $!";
my @outcomes = sort map { my ($o, $e) = end_query($_); $e =~ /57014/ ? 'cancelled' : "$o$e" } @askers;
is("@outcomes", 'cancelled postgres|t|t| postgres|t|t|', 'the others get an answer when it goes on');
$_->quit foreach @askers;

# A worker that ends in the middle: its successor makes the test.
kill 'STOP', $postmaster or die "could not stop the remote: $!";
begin_query($session, check('p'));
ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.connection_metrics WHERE pool = 'p' AND state = 'connecting'"),
	'a test is under way');
$local->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'enhanced_pool worker'");
kill 'CONT', $postmaster or die "could not let the remote go on: $!";
($out, $err) = end_query($session);
is("$out|$err", 'postgres|t|t||', 'the answer comes from the next worker');
$session->quit;

# -------------------------------------------------------------------- no place left

define_pool($local, $remote, "more$_", @calm, min_size => 0, initial_size => 0) foreach 1 .. 4;
$local->safe_psql('postgres', "SELECT enhanced_pool.pause('more$_')") foreach 1 .. 3;
fails_with($local, check('more4'), qr/ERROR:  53400: all 6 pools are in use/, 'no other pool is closed to test one');
drop_pool($local, $_) foreach 'p', 'q', 'r', map { "more$_" } 1 .. 4;
check_clean($local, $remote, 0);
done_testing();
