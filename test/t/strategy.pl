# What the setting strategy changes: who may pass the first waiter, and for how
# long; connections validated on their way back, which nobody waits for; the
# size that "dynamic" finds; another strategy while sessions work.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Crowd;
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();

# Without this a strategy changes no numbers of connections.
my @adapts = (dynamic_scaling_enabled => 'on');

sub metric
{
	my ($pool, $what) = @_;

	return $local->safe_psql('postgres', "SELECT $what FROM enhanced_pool.pool_metrics WHERE pool = '$pool'");
}

# A statement that goes on while the test does.
sub in_background
{
	my ($sql) = @_;
	my $run = { out => '', err => '' };

	$run->{harness} = start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $local->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$run->{out}, '2>', \$run->{err});
	return $run;
}

# ------------------------------------------------------------ order of waiters

$local->safe_psql('postgres', <<'SQL');
CREATE TABLE stop (how text);
CREATE FUNCTION go_on(pool text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WHILE NOT EXISTS (SELECT FROM stop) LOOP
    PERFORM enhanced_pool.exec(pool, 'SELECT 1');
  END LOOP;
END $$;
-- Gives the pool's only connection back and wants it again at once, until it
-- passed somebody who waited (given_back: in so many of these rounds; passed:
-- how often), or for so many rounds.  hold: only who has waited for that long
-- counts, and is waited for.
CREATE FUNCTION pass(pool_name text, rounds int, hold interval, until_passed boolean, OUT given_back int, OUT passed int)
LANGUAGE plpgsql AS $$
DECLARE
  lease bigint := enhanced_pool.acquire(pool_name);
  waits boolean;
  before bigint;
  deadline timestamptz := clock_timestamp() + '1min';
BEGIN
  given_back := 0;
  passed := 0;
  WHILE given_back < rounds AND clock_timestamp() < deadline AND NOT (until_passed AND passed > 0) LOOP
    SELECT coalesce(max(waited) >= hold, false) INTO waits FROM enhanced_pool.waiters WHERE pool = pool_name;
    IF NOT waits AND hold > '0' THEN
      PERFORM pg_sleep(0.005);
      CONTINUE;
    END IF;
    SELECT acquire_count INTO before FROM enhanced_pool.pool_metrics WHERE pool = pool_name;
    PERFORM enhanced_pool.release(lease);
    lease := enhanced_pool.acquire(pool_name);
    IF waits THEN
      given_back := given_back + 1;
      -- who waited has had one acquire, this is another one
      passed := passed + (acquire_count < before + 2)::int FROM enhanced_pool.pool_metrics WHERE pool = pool_name;
    END IF;
  END LOOP;
  PERFORM enhanced_pool.release(lease);
END $$;
SQL

# One session waits again and again while another gives back: what that one saw.
sub rivals
{
	my ($pool, $rounds, $hold, $until_passed) = @_;
	my $other = in_background("SELECT go_on('$pool')");
	my $seen = $local->safe_psql('postgres', "SELECT given_back, passed FROM pass('$pool', $rounds, '$hold', $until_passed)");

	$local->safe_psql('postgres', "INSERT INTO stop VALUES ('now')");
	ok(finish($other->{harness}), "$pool: the other one went on") or diag($other->{err});
	$local->safe_psql('postgres', 'DELETE FROM stop');
	return split /\|/, $seen;
}

define_pool($local, $remote, $_, strategy => $_, @adapts, max_size => 1)
  foreach 'low_latency', 'high_throughput', 'balanced', 'dynamic';

my ($rounds, $passed) = rivals('low_latency', 300, '0', 'false');
is($rounds, 300, 'low_latency: somebody waited in each of many rounds');
is($passed, 0, 'and was never passed');

($rounds, $passed) = rivals('high_throughput', 100_000, '0', 'true');
is($passed, 1, 'high_throughput: a session that runs passes one that waits');

# whose bounds are 100, 50 and 0 ms at most
foreach my $pool ('high_throughput', 'balanced', 'dynamic', 'low_latency')
{
	($rounds, $passed) = rivals($pool, 10, '110ms', 'false');
	is("$rounds $passed", '10 0', "$pool: nobody is passed after waiting for that long");
}

# ----------------------------------------------------------------- validation

sub ask_often
{
	my ($pool, $times, $sql) = @_;

	$local->safe_psql('postgres', "DO \$\$ BEGIN FOR i IN 1 .. $times LOOP PERFORM enhanced_pool.exec('$pool', '$sql'); END LOOP; END \$\$");
	return;
}

sub filled
{
	my ($pool, $size) = @_;

	ask_often($pool, 1, 'SELECT 1');
	return $local->poll_query_until('postgres', "SELECT idle = $size FROM enhanced_pool.pools WHERE pool = '$pool'");
}

my %four = (max_size => 10, initial_size => 4, min_size => 4, validation_interval => 0);
define_pool($local, $remote, 'checked', %four, @adapts, strategy => 'low_latency', target_free_connections => 1);
define_pool($local, $remote, 'trusted', %four, strategy => 'balanced', target_free_connections => 1);
ok(filled($_, 4), "pool $_ is filled") foreach 'checked', 'trusted';
my $waited = metric('checked', 'wait_count');
ask_often($_, 300, 'SELECT 1') foreach 'checked', 'trusted';
is(metric('checked', 'wait_count'), $waited, 'nobody waited for a validation');
ok( $local->poll_query_until(
		'postgres', q{SELECT count(*) = 0 AND (SELECT validation_count > 0 FROM enhanced_pool.pool_metrics WHERE pool = 'checked')
			FROM enhanced_pool.connection_metrics WHERE pool = 'checked' AND (last_used_at > last_validated_at OR state <> 'idle')}),
	'low_latency: each connection that was used has been validated since');
is(metric('trusted', 'validation_count'), 0, 'balanced: none was');

# free ones opened ahead are a scaling like any other
define_pool($local, $remote, 'ahead', @adapts, max_size => 10, initial_size => 1, min_size => 0, strategy => 'low_latency', target_free_connections => 1);
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('ahead', 'SELECT 1')");
ok($local->poll_query_until('postgres', "SELECT idle >= 3 FROM enhanced_pool.pools WHERE pool = 'ahead'"), 'low_latency: three free ones where balanced has one');
is( $local->safe_psql('postgres', "SELECT DISTINCT detail->>'reason' FROM enhanced_pool.events WHERE pool = 'ahead' AND kind = 'scale_up'"),
	'the strategy keeps more connections ready', 'which is an event with its reason');
cmp_ok(metric('ahead', 'scale_ups'), '>=', 1, 'and counted');

# what needs a reset gets it, and is validated as well
my $resets = metric('checked', 'reset_count');
my $validations = metric('checked', 'validation_count');
ask_often('checked', 1, 'SET a.b = 1');
ok( $local->poll_query_until(
		'postgres', "SELECT reset_count = $resets + 1 AND validation_count > $validations FROM enhanced_pool.pool_metrics WHERE pool = 'checked'"),
	'one that must be reset is reset and validated');
ask_often('checked', 20, 'SELECT 1');
is(metric('checked', 'validation_failures'), 0, 'no validation failed');

# the last idle connection is left alone: who comes is not to wait for it
my $before = metric('low_latency', 'wait_count');
my $lonely = metric('low_latency', 'validation_count');
ask_often('low_latency', 300, 'SELECT 1');
is(metric('low_latency', 'wait_count'), $before, 'nor does anybody wait for the only connection of a pool');
is(metric('low_latency', 'validation_count'), $lonely, 'which nobody validates');

# ---------------------------------------------------------- free ones, kept ready

my $session = start_session($local);
$session->query_safe('BEGIN');
foreach my $pool ('checked', 'trusted')
{
	$session->query_safe("SELECT enhanced_pool.acquire('$pool')") foreach 1 .. 4;
}
ok($local->poll_query_until('postgres', q{SELECT idle >= 3 FROM enhanced_pool.pools WHERE pool = 'checked'}),
	'low_latency: more than target_free_connections are opened ahead');
$session->query_safe('COMMIT');
$session->quit;

# --------------------------------------------------------------------- dynamic

$local->safe_psql('postgres', $crowd_functions);
define_pool($local, $remote, 'sized', strategy => 'dynamic', @adapts, max_size => 12, initial_size => 1, min_size => 1, idle_timeout => 1);
append_to_file($local->basedir . '/sleep', "SELECT enhanced_pool.exec('sized', 'SELECT pg_sleep(0.02)');\n");
my $out = '';
my $crowd = start([ 'pgbench', '-n', '-h', $local->host, '-p', $local->port, '-c', 10, '-T', 600,
		'-f', $local->basedir . '/sleep', 'postgres' ], '<', \undef, '>&', \$out);
ok($local->poll_query_until('postgres', q{SELECT size >= 8 FROM enhanced_pool.pools WHERE pool = 'sized'}),
	'dynamic: grows where statements do not disturb each other');
$crowd->signal('TERM');
finish($crowd);
ok($local->poll_query_until('postgres', q{SELECT size <= 2 FROM enhanced_pool.pools WHERE pool = 'sized'}),
	'and shrinks when they are over');
$local->safe_psql('postgres', "SELECT ask('sized', 3)");
is($local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('sized', 11)"), 11, 'but opens what is asked for');

# what is on its way when it begins to look is wanted
define_pool($local, $remote, 'slow', strategy => 'dynamic', @adapts, max_size => 4, initial_size => 0, min_size => 0,
	connect_query => 'SELECT pg_sleep(1.5)');
my @first = map { in_background("SELECT enhanced_pool.exec('slow', 'SELECT pg_sleep(0.1)')") } 1 .. 4;
ok(finish($_->{harness}), 'who comes before it has looked is served') or diag($_->{err}) foreach @first;
is(metric('slow', 'total_closed'), 0, 'and no connection was made in vain');

# more are leased than there may be: a health check is made all the same
define_pool($local, $remote, 'shrunk', strategy => 'dynamic', @adapts, max_size => 3, min_size => 0);
$session = start_session($local);
$session->query_safe('BEGIN');
$session->query_safe("SELECT enhanced_pool.acquire('shrunk')") foreach 1 .. 3;
$local->safe_psql('postgres', "ALTER SERVER shrunk OPTIONS (SET max_size '1')");
is( $local->safe_psql('postgres', <<'SQL'), 'DO', 'health checks of a pool that has more connections than it may have');
SET statement_timeout = '30s';
DO $$
DECLARE
  enough timestamptz := clock_timestamp() + '2s';
BEGIN
  WHILE clock_timestamp() < enough LOOP
    ASSERT (SELECT healthy FROM enhanced_pool.health_check('shrunk'));
  END LOOP;
END $$;
\echo DO
SQL
$session->query_safe('COMMIT');
$session->quit;

# ------------------------------------------- another strategy while sessions work

define_pool($local, $remote, 'altered', @adapts, max_size => 4, strategy => 'balanced');
append_to_file($local->basedir . '/ask', "SELECT ask('altered', 3);\n");
$out = '';
$crowd = start([ 'pgbench', '-n', '-h', $local->host, '-p', $local->port, '-c', 12, '-t', 1500,
		'-f', $local->basedir . '/ask', 'postgres' ], '<', \undef, '>&', \$out);
my $changes = 0;
while ($crowd->pumpable && ($crowd->pump_nb || 1))
{
	my $strategy = ('low_latency', 'dynamic', 'high_throughput', 'balanced')[ $changes % 4 ];
	my $acquires = metric('altered', 'acquire_count') || 0;

	$local->safe_psql('postgres', "ALTER SERVER altered OPTIONS (SET strategy '$strategy')");
	$changes++;
	poll_until { !$crowd->pumpable || !$crowd->pump_nb || (metric('altered', 'acquire_count') || 0) > $acquires + 50 };
}
ok(finish($crowd), 'no statement failed') or diag($out);
like($out, qr{actually processed: 18000/18000}, 'and none was lost');
cmp_ok($changes, '>=', 4, 'while the strategy was changed to each of the others');

check_clean($local, $remote, 4 + 20 + 12 + 4);
ok(!$local->log_contains(qr/PANIC|TRAP/), 'nothing bad in the log');

done_testing();
