# Health checks: when they are made and when not, what they find, whom it concerns.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Two workers, each with some of the pools: what one finds out is the other's to know.
my ($local, $remote) = start_pair(remote_conf => "log_connections = on", local_conf => "enhanced_pool.workers = 2\nenhanced_pool.max_connections = 8");

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

# How many connections a pool has made since a place in the remote's log.
sub connects
{
	my ($pool, $mark) = @_;
	my $log = slurp_file($remote->logfile, $mark);

	return scalar(() = $log =~ m{connection authorized: user=ep_user \S+ application_name=enhanced_pool/$pool\b}g);
}

# Uses a pool, and waits until it is at rest.
sub use_pool
{
	my ($pool, $n) = @_;

	$local->safe_psql('postgres', "SELECT enhanced_pool.exec('$pool', 'SELECT 1')");
	pool_is($pool, "idle = $n AND size >= $n", "pool $pool has $n connections");
	return;
}

my @small = (max_size => 1, initial_size => 1, min_size => 1);

# ----------------------------------------------------------- one for each remote

define_pool($local, $remote, 'a', @small, health_check_interval => '200ms');
define_pool($local, $remote, 'b', @small, health_check_interval => '200ms');
define_pool($local, $remote, 'elsewhere', @small, health_check_interval => '300ms', dbname => 'template1');
define_pool($local, $remote, 'unused', max_size => 1, initial_size => 1, min_size => 0, target_free_connections => 0,
	idle_timeout => '100ms', health_check_interval => '100ms', dbname => 'template1');
define_pool($local, $remote, 'calm', @small);
use_pool($_, 1) foreach 'a', 'b', 'elsewhere', 'calm';
use_pool('unused', 0);
my $baseline = worker_surplus($local);

my $mark = -s $remote->logfile;
my $before = of_pool('b', 'health_check_count');
pool_is('elsewhere', 'health_check_count >= 4', 'a pool that nobody uses checks its remote');
pool_is('a', "health_check_count >= $before + 4", 'and so do two of another remote');
cmp_ok(connects('a', $mark), '>=', 3, 'one of them makes the connections');
is(connects('b', $mark), 0, 'the other makes none');
pool_is('b', "health_check_count >= $before + 4", 'and yet is told');
is(of_pool('b', 'health_check_failures, health_check_failure_rate, breaker'), '0|0|closed', 'that all is well');
is(connects('unused', $mark), 0, 'a pool without a connection makes none');
is(connects('calm', $mark), 0, 'nor does one that has not been unused for long enough');
is(of_pool('a', 'total_created, total_closed'), '1|0', 'test connections are none of the pool\'s');
is(of_pool('elsewhere', 'max_total'), '1', 'they come beyond its limit');

# ------------------------------------------------------------ all connections out

my $session = start_session($local);
$session->query_safe("SELECT enhanced_pool.acquire('elsewhere', hold => true) AS lease \\gset");
$before = of_pool('elsewhere', 'health_check_count');
pool_is('elsewhere', "active = 1 AND health_check_count >= $before + 2", 'a pool whose connection is leased checks, too');
fails_with($local, "SELECT enhanced_pool.acquire('elsewhere', '500ms')", qr/ERROR:  53300: .*\nDETAIL:  Size 1, active 1/,
	'but nobody gets the test connection');
# two sessions that wait for each other are still found
fails_with($local, "BEGIN; SELECT enhanced_pool.acquire('a'); SELECT enhanced_pool.acquire('a')", qr/ERROR:  40P01/, 'nor is it counted on');
$session->query_safe('SELECT enhanced_pool.release(:lease)');

# -------------------------------------------------------------------- no place left

define_pool($local, $remote, 'big', max_size => 10, initial_size => 4, min_size => 0, health_check_interval => 0, dbname => 'template1');
$session->query_safe("SELECT enhanced_pool.acquire('big', hold => true)") foreach 1 .. 4;
my $waiter = start_session($local);
begin_query($waiter, "SELECT enhanced_pool.exec('big', 'SELECT 1')");
pool_is('big', 'active = 4 AND waiting = 1 AND (SELECT sum(size) FROM enhanced_pool.pools) = 8', 'all of enhanced_pool.max_connections are used');
$before = of_pool('a', 'health_check_count');
pool_is('big', 'oldest_wait_time > 1500', 'time passes');
is(of_pool('a', "health_check_count - $before, health_check_failures, breaker"), '0|0|closed', 'there is no check, and nothing is wrong');
$session->query_safe('SELECT enhanced_pool.release_all()');
($out, $err) = end_query($waiter);
is("$out|$err", '1|', 'who waits is served');
$waiter->quit;
drop_pool($local, 'big');
pool_is('a', "health_check_count >= $before + 2", 'and checks go on');

# ------------------------------------------------------------------------ frozen

$local->safe_psql('postgres', "ALTER SERVER $_ OPTIONS (ADD connect_timeout '300ms', ADD circuit_breaker_threshold '3', ADD circuit_breaker_recovery '300ms')")
  foreach 'a', 'b';
use_pool($_, 1) foreach 'a', 'b';
$session->query_safe("SELECT enhanced_pool.acquire('b', hold => true) AS lease \\gset");
my $postmaster = slurp_file($remote->data_dir . '/postmaster.pid');
$postmaster =~ s/\n.*//s;
kill 'STOP', $postmaster or die "could not stop the remote: $!";
pool_is($_, "breaker <> 'closed' AND active + idle = 1", "the remote of $_ says nothing any more: its breaker opens") foreach 'a', 'b';
fails_with($local, "SELECT enhanced_pool.exec('$_', 'SELECT 1')",
	qr/ERROR:  57P03: circuit breaker of pool "$_" is open\nDETAIL:  host .*not ready within 0.3 s/, 'and nobody is given a connection of it')
  foreach 'a', 'b';
is(of_pool($_, 'circuit_breaker_trips, health_check_failures >= 3, connection_errors'), '1|t|0', "checks alone have told $_")
  foreach 'a', 'b';
is($session->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')"), '1', 'a lease that is out can still be used');
is(of_pool('b', "breaker <> 'closed'"), 't', 'which does not close the breaker');
$session->query_safe('SELECT enhanced_pool.release(:lease)');
kill 'CONT', $postmaster or die "could not let the remote go on: $!";
pool_is($_, "breaker = 'closed'", "the breaker of $_ closes when it goes on") foreach 'a', 'b';
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('$_', 'SELECT 1')"), '1', "$_ works") foreach 'a', 'b';
is(of_pool($_, 'circuit_breaker_trips, circuit_breaker_resets, total_created'), '1|1|1', "with the connection that it had") foreach 'a', 'b';
$session->quit;

# ---------------------------------------------------------------- off, and denied

$local->safe_psql('postgres', "ALTER SERVER $_ OPTIONS (SET health_check_interval '0')") foreach 'a', 'b';
use_pool($_, 1) foreach 'a', 'b';
pool_is('a', "breaker = 'closed' AND size = 1", 'no check is under way');
$mark = -s $remote->logfile;
$before = of_pool('elsewhere', 'health_check_count');
pool_is('elsewhere', "health_check_count >= $before + 3", 'others go on');
is(connects('a', $mark) + connects('b', $mark), 0, '0: no checks');

# What one mapping's password is worth is not the remote's fault.
define_pool($local, $remote, 'wrong', @small, health_check_interval => 0, mapping => { password => 'wrong' },
	retry_backoff => 0, retry_attempts => 1000, circuit_breaker_threshold => 2, circuit_breaker_recovery => '100ms');
fails_with($local, "SELECT enhanced_pool.exec('wrong', 'SELECT 1')", qr/ERROR:  57P03: .*\nDETAIL:  .*password authentication failed/,
	'a wrong password opens a breaker');
pool_is('wrong', 'connection_errors > 2', 'it has been half-open');
is(of_pool('b', 'breaker, circuit_breaker_trips'), 'closed|1', 'but not that of another pool of that remote');

drop_pool($local, $_) foreach 'a', 'b', 'elsewhere', 'unused', 'calm', 'wrong';
check_clean($local, $remote, 0, $baseline);
done_testing();
