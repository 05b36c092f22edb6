# Connections leave a host that is no longer what target_session_attrs asks for: a
# primary that was demoted and still answers, a standby that was promoted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $first = start_remote(name => 'first', streaming => 1);
my $second = start_standby($first, 'second');
my $local = start_local();
my @hosts = options_of_hosts($first, $second);
my ($out, $err);

# Nothing but what is tested here looks at connections.
my @calm = (@hosts, max_size => 4, min_size => 0, initial_size => 3, validation_interval => 0, health_check_interval => 0,
	circuit_breaker_threshold => 0, retry_backoff => '20ms', retry_attempts => 1000, acquire_timeout => '2min');
my $write = "SELECT enhanced_pool.exec('%s', 'INSERT INTO w DEFAULT VALUES')";

# Where the connections of a pool lead: how many to each host, and which they are.
sub led_to
{
	my ($node, $pool) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'enhanced_pool/$pool'");
}

sub ids_of
{
	return $local->safe_psql('postgres', "SELECT string_agg(conn_id::text, ',' ORDER BY conn_id) FROM enhanced_pool.connection_metrics WHERE pool = '$_[0]'");
}

sub pool_is
{
	my ($pool, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $local->poll_query_until('postgres',
			"SELECT $condition FROM enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (datname, pool, role, size, active, idle) WHERE pool = '$pool'"),
		$name)
	  or diag($local->safe_psql('postgres', 'SELECT * FROM enhanced_pool.connection_metrics'));
	return;
}

sub writes
{
	return $local->safe_psql('postgres', sprintf $write, $_[0]);
}

sub remote_is
{
	my ($node, $pool, $n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok(poll_until(sub { led_to($node, $pool) == $n }), $name) or diag("there are " . led_to($node, $pool));
	return;
}

$first->safe_psql('postgres', 'CREATE TABLE w (id bigserial); GRANT ALL ON w, w_id_seq TO ep_user');
$first->wait_for_catchup($second);
define_pool($local, $first, $_, @calm, target_session_attrs => 'read-write') foreach 'on', 'quiet', 'alarm';
define_pool($local, $first, 'off', @calm, target_session_attrs => 'read-write', failover_enabled => 'off');
define_pool($local, $first, 'reader', @calm, initial_size => 1, max_size => 1, target_session_attrs => 'prefer-standby');
define_pool($local, $first, 'any', @calm);
is(writes($_), 1, "$_ writes") foreach 'on', 'quiet', 'alarm', 'off', 'any';
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('reader', 'SELECT 1')"), 1, 'reader reads');
pool_is($_, 'idle = 3 AND size = 3', "$_ has three connections") foreach 'on', 'quiet', 'alarm', 'off', 'any';
is(led_to($first, $_), 3, "$_: to the primary") foreach 'on', 'quiet', 'alarm', 'off', 'any';
is(led_to($second, 'reader'), 1, 'reader: to the standby');

# ------------------------------------------------------------------------- false alarms

my $before = ids_of('alarm');
my $holder = start_session($local);
my $began = time();
$holder->query_safe("SELECT enhanced_pool.acquire('alarm', hold => true) AS lease \\gset");
$holder->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN READ ONLY')");
foreach (1 .. 30)
{
	$holder->query_safe("SELECT enhanced_pool.exec(:lease, 'SAVEPOINT s')");
	$holder->query("SELECT enhanced_pool.exec(:lease, 'INSERT INTO w DEFAULT VALUES')");
	like($holder->{stderr}, qr/ERROR:  25006/, 'a transaction that may not write') if $_ == 1;
	$holder->{stderr} = '';
	$holder->query_safe("SELECT enhanced_pool.exec(:lease, 'ROLLBACK TO s')");
}
ok( $local->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE validation_count > 0) = 2 FROM enhanced_pool.connection_metrics WHERE pool = 'alarm' AND state = 'idle'"),
	'connections that are idle are looked at');
my $rounds = $local->safe_psql('postgres', "SELECT max(validation_count) FROM enhanced_pool.connection_metrics WHERE pool = 'alarm'");
cmp_ok($rounds, '<=', time() - $began + 2, 'but not for each error');
$holder->query_safe('SELECT enhanced_pool.release(:lease)');
pool_is('alarm', 'idle = 3', 'and all stay');
is(ids_of('alarm'), $before, 'as they are: their host is the right one');
ok( $local->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE validation_count > 0) = 3 FROM enhanced_pool.connection_metrics WHERE pool = 'alarm'"),
	'the one that was leased was looked at, too');
# what a session sets is not what the host is
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('alarm', 'SET default_transaction_read_only = on')") foreach 1 .. 4;
is(writes('alarm'), 1, 'a session that set itself read-only');
pool_is('alarm', 'idle = 3', 'leaves connections');
is(ids_of('alarm'), $before, 'as they were');
# the next round may be a second away: what follows is about pools that have seen nothing yet
foreach my $pool ('off', 'any')
{
	$local->psql('postgres', "BEGIN; SELECT enhanced_pool.acquire('$pool') AS lease \\gset\nSELECT enhanced_pool.exec(:lease, 'BEGIN READ ONLY'); SELECT enhanced_pool.exec(:lease, 'INSERT INTO w DEFAULT VALUES')");
}
is($local->safe_psql('postgres', "SELECT sum(validation_count) FROM enhanced_pool.pool_metrics WHERE pool IN ('off', 'any')"), 0,
	'without failover_enabled or target_session_attrs nothing is looked at');

# ------------------------------------------------ the primary is demoted, and still answers

$holder->query_safe("SELECT enhanced_pool.acquire('on', hold => true) AS lease \\gset");
$holder->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
my %ids = map { $_ => ids_of($_) } 'off', 'any';
$first->safe_psql('postgres', 'ALTER SYSTEM SET default_transaction_read_only = on');
$first->reload;
ok($first->poll_query_until('postgres', 'SHOW default_transaction_read_only', 'on'), 'the primary takes no writes any more');

# A connection that is lost is reason enough to look at the others.
is(led_to($first, 'quiet'), 3, 'nobody has noticed');
$first->safe_psql('postgres', "SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE application_name = 'enhanced_pool/$_'") foreach 'quiet', 'off';
remote_is($first, 'quiet', 0, 'until one connection is lost: then the others are given up, too');
pool_is('off', 'size = 2 OR total_created > 3', 'with failover_enabled off that one alone is lost');
cmp_ok(led_to($first, 'off'), '>=', 2, 'the others stay');

# So is a write that fails.
my $mark = -s $local->logfile;
fails_with($local, sprintf($write, 'on'), qr/ERROR:  25006/, 'who writes sees an error');
remote_is($first, 'on', 1, 'and idle connections are given up');
is($holder->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')"), 1, 'a lease goes on');
ok($local->log_contains(qr/pool "on": host ".*", port \d+ does not fit target_session_attrs any more/, $mark), 'the log says so');
my @writers = map { start_session($local) } 'on', 'quiet';
begin_query($writers[0], sprintf($write, 'on'));
begin_query($writers[1], sprintf($write, 'quiet'));
ok($local->poll_query_until('postgres', 'SELECT count(*) = 2 FROM enhanced_pool.waiters'), 'there is no host to write to: who comes waits');
$holder->query_safe('SELECT enhanced_pool.release(:lease)');
remote_is($first, 'on', 0, 'a lease that comes back gives up its connection');

$second->promote;
foreach my $writer (@writers)
{
	($out, $err) = end_query($writer);
	is("$out|$err", '1|', 'who waited writes, when there is a primary again');
	$writer->quit;
}
is(writes($_), 1, "$_ writes") foreach ('on', 'quiet') x 3;
is(led_to($first, $_), 0, "$_ has no connection to the old primary") foreach 'on', 'quiet';
cmp_ok(led_to($second, $_), '>=', 1, "$_: but to the new one") foreach 'on', 'quiet';
is($second->safe_psql('postgres', 'SELECT count(*) >= 8 FROM w'), 't', 'what was written is there');

# ---------------------------------------------------------------------------- switched off

foreach my $pool ('off', 'any')
{
	fails_with($local, sprintf($write, $pool), qr/ERROR:  25006/, "$pool stays with the host that it has") foreach 1 .. 3;
}
is(ids_of('any'), $ids{any}, 'and with its connections');
my $kept = ids_of('off');
fails_with($local, sprintf($write, 'off'), qr/ERROR:  25006/, 'that does not change');
is(ids_of('off'), $kept, 'by itself');
my $had = led_to($first, 'off');
$local->safe_psql('postgres', "ALTER SERVER off OPTIONS (SET failover_enabled 'on')");
ok(poll_until(sub { $local->psql('postgres', sprintf $write, 'off') == 0 }), 'switched on, it writes to the new primary');
remote_is($first, 'off', 0, 'and leaves the old one');
ok(poll_until(sub { led_to($second, 'off') >= $had }), 'with as many connections as it had') or diag(led_to($second, 'off') . " of $had");

# ------------------------------------------------------- a standby that was promoted

my $reader = ids_of('reader');
my $read = "SELECT enhanced_pool.exec('reader', 'SELECT 1')";
is($local->safe_psql('postgres', $read), 1, 'who prefers a standby');
ok(poll_until(sub { $local->psql('postgres', $read) == 0 && ids_of('reader') ne $reader }), 'looks for another when the one that it had was promoted');
$reader = ids_of('reader');
$local->safe_psql('postgres', $read) foreach 1 .. 5;
is(ids_of('reader'), $reader, 'and is content with what there is');

# What connect_query makes of a host was never asked for, and is left alone.
define_pool($local, $first, 'own', @calm, target_session_attrs => 'read-write', connect_query => 'SET default_transaction_read_only = on');
fails_with($local, sprintf($write, 'own'), qr/ERROR:  25006/, 'connections that connect_query makes read-only') foreach 1 .. 2;
pool_is('own', 'idle = 3', 'three');
$before = ids_of('own');
$second->safe_psql('postgres', "SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE application_name = 'enhanced_pool/own'");
ok( $local->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE validation_count > 0) = 2 FROM enhanced_pool.connection_metrics WHERE pool = 'own' AND state = 'idle' AND conn_id IN ($before)"),
	'are looked at when one is lost, and stay');

$holder->quit;
check_clean($local, $_, 24) foreach $first, $second;
done_testing();
