# What bounds the number, the age and the use of connections.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my $out;
my $err;

sub of_pool
{
	my ($pool, $what) = @_;

	return $local->safe_psql('postgres', "SELECT $what FROM enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (pool, size, active, idle) WHERE pool = '$pool'");
}

sub pool_is
{
	my ($pool, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $local->poll_query_until('postgres',
			"SELECT $condition FROM enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (pool, size, active, idle) WHERE pool = '$pool'"),
		$name);
	return;
}

# -------------------------------------------------------------------- overflow

define_pool($local, $remote, 'over', max_size => 1, max_overflow => 2, initial_size => 1, min_size => 0);
my @sessions = map { start_session($local) } 1 .. 4;
$_->query_safe("SELECT enhanced_pool.acquire('over', hold => true) AS lease \\gset") foreach @sessions[ 0 .. 2 ];
is(of_pool('over', 'size, active, overflow'), '3|3|2', 'three leases where max_size is one');
fails_with($local, "SELECT enhanced_pool.acquire('over', '50ms')",
	qr/ERROR:  53300: no connection of pool "over" within 0.05 s\nDETAIL:  Size 3, active 3, waiting \d, longest lease/,
	'no fourth within acquire_timeout');
fails_with($local, "SELECT enhanced_pool.acquire('over', '0')", qr/ERROR:  53300: no connection of pool "over" is free/, 'nor at once');
begin_query($sessions[3], "SELECT enhanced_pool.exec('over', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits for a fourth');
$sessions[2]->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($sessions[3]);
is("$out|$err", '1|', 'and gets one that is given back');
is($sessions[1]->query_safe('SELECT enhanced_pool.release(:lease)'), 't', 'given back');
is($sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)'), 't', 'given back');
pool_is('over', 'size = 1 AND idle = 1 AND overflow = 0', 'what is beyond max_size is closed');

# ----------------------------------------------------------------- max_waiting

define_pool($local, $remote, 'crowded', max_size => 1, max_waiting => 1, initial_size => 1, min_size => 0);
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('crowded', hold => true) AS lease \\gset");
begin_query($sessions[1], "SELECT enhanced_pool.exec('crowded', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'one waits');
fails_with($local, "SELECT enhanced_pool.exec('crowded', 'SELECT 1')",
	qr/ERROR:  53300: too many sessions wait .*\nDETAIL:  Size 1, active 1, waiting 1, longest lease .*\nHINT:  .*max_waiting/,
	'a second must not');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($sessions[1]);
is("$out|$err", '1|', 'the first is served');

# acquire_timeout from each place that may set it
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('crowded', hold => true) AS lease \\gset");
fails_with($local, "SET enhanced_pool.acquire_timeout = '30ms'; SELECT enhanced_pool.exec('crowded', 'SELECT 1')",
	qr/ERROR:  53300: no connection of pool "crowded" within 0.03 s/, 'acquire_timeout of the session');
$local->safe_psql('postgres', "ALTER SERVER crowded OPTIONS (ADD acquire_timeout '40ms')");
fails_with($local, "SELECT enhanced_pool.exec('crowded', 'SELECT 1')",
	qr/ERROR:  53300: no connection of pool "crowded" within 0.04 s/, 'acquire_timeout of the server');
is(of_pool('crowded', 'acquire_timeouts'), '2', 'they were counted');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');

# -------------------------------------------------------------------- deadlock

define_pool($local, $remote, $_, max_size => 1, initial_size => 1, min_size => 0) foreach 'left', 'right';
$sessions[0]->query_safe("BEGIN; SELECT enhanced_pool.acquire('left')");
$sessions[1]->query_safe("BEGIN; SELECT enhanced_pool.acquire('right')");
begin_query($sessions[0], "SELECT enhanced_pool.exec('right', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'one waits for the other');
$sessions[1]->query("SELECT enhanced_pool.exec('left', 'SELECT 1');");
like($sessions[1]->{stderr}, qr/ERROR:  40P01: deadlock detected while waiting for a connection of pool "left"/,
	'the other waits for it: a deadlock, which the younger waiter is told of');
$sessions[1]->{stderr} = '';
$sessions[1]->query_safe('ROLLBACK');
($out, $err) = end_query($sessions[0]);
is("$out|$err", '1|', 'the older one goes on');
$sessions[0]->query_safe('COMMIT');

# One session alone, with a pool of one connection.
fails_with($local, "BEGIN; SELECT enhanced_pool.acquire('left'); SELECT enhanced_pool.exec('left', 'SELECT 1')",
	qr/ERROR:  40P01/, 'a session that waits for itself');
# not if somebody else is going to give one back
$sessions[0]->query_safe("BEGIN; SELECT enhanced_pool.acquire('left')");
$sessions[1]->query_safe("BEGIN; SELECT enhanced_pool.acquire('right')");
begin_query($sessions[1], "SELECT enhanced_pool.exec('left', 'SELECT 1')");
begin_query($sessions[2], "SELECT enhanced_pool.exec('right', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 2 FROM enhanced_pool.waiters'), 'a chain of waiters');
$sessions[0]->query_safe('COMMIT');
($out, $err) = end_query($sessions[1]);
is($err, '', 'is no deadlock');
$sessions[1]->query_safe('COMMIT');
($out, $err) = end_query($sessions[2]);
is("$out|$err", '1|', 'and comes to its end');

# ------------------------------------------------------------------- expiry

define_pool($local, $remote, 'idle', max_size => 5, initial_size => 5, min_size => 2, target_free_connections => 1, idle_timeout => '300ms');
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('idle', 'SELECT 1')");
pool_is('idle', 'size = 2 AND idle = 2 AND total_created = 5', 'idle_timeout closes down to min_size');
# An active one counts: spare ones stay beside it.
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('idle', hold => true) AS lease \\gset");
pool_is('idle', 'active = 1', 'one is active');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');

define_pool($local, $remote, 'old', max_size => 2, initial_size => 1, min_size => 1, max_lifetime => '1s');
my $pid = $local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('old', 'SELECT pg_backend_pid()') AS t(pid int)");
ok( $remote->poll_query_until('postgres',
		"SELECT count(*) FILTER (WHERE pid = $pid) = 0 AND count(*) = 1 FROM pg_stat_activity WHERE application_name = 'enhanced_pool/old'"),
	'max_lifetime replaces a connection');
# never one that is in use
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('old', hold => true) AS lease \\gset");
$pid = $sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)");
ok($local->poll_query_until('postgres', "SELECT age > '1.5s' FROM enhanced_pool.connection_metrics WHERE remote_pid = $pid"), 'a leased one lives on');
is($sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)"), $pid, 'and is of use');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
ok($remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'it ends when it is given back');

# --------------------------------------------------------------- validation

define_pool($local, $remote, 'valid', max_size => 2, initial_size => 2, min_size => 2, validation_interval => '100ms', validation_query => 'SELECT 1');
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('valid', 'SELECT 1')");
pool_is('valid', 'validation_count >= 4 AND validation_failures = 0 AND total_created = 2', 'idle connections are validated');
ok( $local->poll_query_until('postgres',
		"SELECT bool_and(validation_count > 0 AND last_validated_at > created_at) FROM enhanced_pool.connection_metrics WHERE pool = 'valid'"),
	'each of them');
$remote->safe_psql('postgres', "CREATE FUNCTION health() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION health() TO ep_user");
$local->safe_psql('postgres', "ALTER SERVER valid OPTIONS (SET validation_query 'SELECT health()')");
pool_is('valid', 'validation_count >= 8 AND validation_failures = 0', 'by the query that is asked for');
$remote->safe_psql('postgres', 'DROP FUNCTION health()');
pool_is('valid', 'validation_failures > 0 AND total_closed > 0', 'one that fails it is closed');
$remote->safe_psql('postgres', "CREATE FUNCTION health() RETURNS int LANGUAGE sql AS 'SELECT 1'");
pool_is('valid', 'size = 2 AND idle >= 1', 'and replaced');

$_->quit foreach @sessions;
check_clean($local, $remote, 20);
done_testing();
