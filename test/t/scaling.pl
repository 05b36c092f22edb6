# How pools follow their load.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => 'enhanced_pool.dynamic_scaling_enabled = on');
my @sessions = map { start_session($local) } 1 .. 8;
my $both = 'enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (datname, pool, role, size, active, idle)';

sub of_pool
{
	my ($pool, $what) = @_;

	return $local->safe_psql('postgres', "SELECT $what FROM $both WHERE pool = '$pool'");
}

sub pool_is
{
	my ($pool, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT $condition FROM $both WHERE pool = '$pool'"), $name)
	  or diag(of_pool($pool, 'size, active, idle, connecting, waiting, scale_ups, scale_downs, current_load, avg_load_5m'));
	return;
}

sub lease
{
	my ($pool, @which) = @_;

	$sessions[$_]->query_safe("SELECT enhanced_pool.acquire('$pool', hold => true) AS lease \\gset") foreach @which;
	return;
}

sub release
{
	$sessions[$_]->query_safe('SELECT enhanced_pool.release(:lease)') foreach @_;
	return;
}

# The scalings of a pool that its log tells of: [up or down, number, reason, detail] each.
sub scalings
{
	my ($pool) = @_;
	my $log = slurp_file($local->logfile);
	my @found;

	push @found, [ $1, $2, $3, $4 ]
	  while $log =~ /pool "$pool": scaling (up|down), (\d+) (?:more|fewer): (.*)\n.*DETAIL:  (.*)\n/g;
	return @found;
}

my %plain = (max_size => 20, log_connections => 'on', idle_timeout => 0, max_lifetime => 0, validation_interval => 0, health_check_interval => 0);

# ------------------------------------------------------------ ahead of demand

define_pool($local, $remote, 'up', %plain, initial_size => 2, min_size => 0, target_free_connections => 3, scaling_cool_down => '1h');
lease('up', 0);
pool_is('up', 'size = 2 AND idle = 1 AND scale_ups = 0', 'a load of one half: no scaling, and the first fill is none');
lease('up', 1);
pool_is('up', 'size = 6 AND idle = 4 AND scale_ups >= 1', 'all are leased: ceil(2 / 0.8) + 3 connections before anybody waits');
is(of_pool('up', "wait_count <= 1, waiting, last_scaling_at BETWEEN now() - interval '1 hour' AND now()"), 't|0|t', 'nobody but the first has waited');
my ($first) = scalings('up');
is($first->[0], 'up', 'the log says up');
is($first->[2], 'the load is above scale_up_threshold', 'and why');
like($first->[3], qr/^Size 2, active 2, idle 0, connecting 0, waiting 0; load 1\.00, of 1 minute 0\.\d+, of 5 minutes 0\.\d+; size wanted 6\.$/,
	'with the numbers behind it');
lease('up', 2, 3);
is(of_pool('up', 'size, idle'), '6|2', 'four of six leased: no more yet');
lease('up', 4);
pool_is('up', 'size = 10 AND idle = 5', 'five of six: ceil(5 / 0.8) + 3');
release(0 .. 4);
pool_is('up', 'active = 0 AND size = 10', 'they stay: the cool-down is long');

# reset_stats() begins to count anew
$local->safe_psql('postgres', "SELECT enhanced_pool.reset_stats('up')");
is(of_pool('up', 'scale_ups, scale_downs, last_scaling_at IS NULL'), '0|0|t', 'counted anew');

# ------------------------------------------------- switched off, or threshold 0

define_pool($local, $remote, 'off', %plain, dynamic_scaling_enabled => 'off', initial_size => 2, min_size => 0, scaling_cool_down => '1ms');
define_pool($local, $remote, 'zero', %plain, scale_up_threshold => 0, scale_down_threshold => 0, initial_size => 2, min_size => 0, scaling_cool_down => '1ms');
foreach my $pool ('off', 'zero')
{
	lease($pool, 0, 1);
	lease($pool, 2);
	is(of_pool($pool, 'size, active, scale_downs'), '3|3|0', "$pool: one for the third, who waits, and none ahead");
	release(0 .. 2);
}
is(of_pool('off', 'scale_ups, last_scaling_at IS NULL'), '0|t', 'which is no scaling when it is switched off');
is(of_pool('zero', 'scale_ups'), '1', 'but one else');

# ---------------------------------------------------- down by halves, cool-down

# 12 idle ones, floor 2: 12, 7, 5, 4, 3, and at last 2
define_pool($local, $remote, 'down', %plain, initial_size => 12, min_size => 2, target_free_connections => 2, scaling_cool_down => '300ms');
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('down', 'SELECT 1')");
pool_is('down', 'size = 2 AND scale_downs >= 4', 'an idle pool shrinks to the floor');
is_deeply([ map { "$_->[0] $_->[1]" } scalings('down') ], [ 'down 5', 'down 3', 'down 1', 'down 1' ], 'by half of what is above it each time');
is((scalings('down'))[0]->[2], 'the 5-minute load is below scale_down_threshold', 'for low load');
my @at = map { s/\.//r } slurp_file($local->logfile) =~ /:(\d\d\.\d{3}) .*pool "down": scaling down/g;
is(scalar(grep { ($at[$_] - $at[ $_ - 1 ]) % 60000 < 295 } 1 .. $#at), 0, 'a cool-down apart');
is(of_pool('down', 'scale_ups, scale_downs, size, idle'), '0|4|2|2', 'the floor holds');

# the first fill begins a cool-down, too
define_pool($local, $remote, 'fresh', %plain, initial_size => 6, min_size => 0, target_free_connections => 1, scaling_cool_down => '1h');
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('fresh', 'SELECT 1')");
pool_is('fresh', "uptime > '2 s' AND avg_load_5m < 0.3", 'a new pool that nobody uses');
is(of_pool('fresh', 'size, scale_downs'), '6|0', 'has its connections still');

# those unused for longest go first
define_pool($local, $remote, 'oldest', %plain, initial_size => 4, min_size => 2, target_free_connections => 0, scaling_cool_down => '1h');
lease('oldest', 0 .. 3);
release(0 .. 3);
my $used_last = $local->safe_psql('postgres',
	"SELECT string_agg(conn_id::text, ',' ORDER BY conn_id) FROM (SELECT conn_id FROM enhanced_pool.connection_metrics WHERE pool = 'oldest' ORDER BY last_used_at DESC LIMIT 2) c");
# the load of its short life was high
$local->safe_psql('postgres', "ALTER SERVER oldest OPTIONS (SET scaling_cool_down '1ms', ADD scale_down_threshold '1')");
$local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.config WHERE pool = 'oldest'");
$sessions[3]->query_safe("SELECT enhanced_pool.exec('oldest', 'SELECT 1')");
pool_is('oldest', 'size = 2', 'shrunk');
is($local->safe_psql('postgres', "SELECT string_agg(conn_id::text, ',' ORDER BY conn_id) FROM enhanced_pool.connection_metrics WHERE pool = 'oldest'"),
	$used_last, 'those used last are left');

# after a scaling down none up, but for who waits
define_pool($local, $remote, 'cool', %plain, initial_size => 4, min_size => 0, target_free_connections => 1, scaling_cool_down => '400ms');
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('cool', 'SELECT 1')");
pool_is('cool', 'size = 1 AND scale_downs >= 2', 'shrunk');
$local->safe_psql('postgres', "ALTER SERVER cool OPTIONS (SET scaling_cool_down '1h')");
lease('cool', 0);
is(of_pool('cool', 'size, scale_ups'), '1|0', 'no connection ahead in the cool-down');
lease('cool', 1);
is(of_pool('cool', 'size >= 2, scale_ups'), 't|1', 'but one for a waiter');
is((grep { $_->[0] eq 'up' } scalings('cool'))[0]->[2], 'backends are waiting', 'which is why');
release(0, 1);
pool_is('cool', 'active = 0 AND size = 2', 'and none is ended in the cool-down after that');

# --------------------------------------------------------------------- the herd

# connections take a while: the first fill is made at once, what comes then two at a time
sub watch
{
	my ($until) = @_;
	my $most = 0;

	ok(poll_until {
			my ($connecting, $there) = split /\|/, of_pool('herd', "connecting, ($until)::text");

			$most = $connecting if $connecting > $most;
			return $there eq 'true';
		}, $until);
	return $most;
}

define_pool($local, $remote, 'herd', %plain, initial_size => 8, min_size => 0, target_free_connections => 2, scaling_cool_down => '1h',
	connect_query => 'SELECT pg_sleep(0.3)');
begin_query($sessions[0], "SELECT enhanced_pool.exec('herd', 'SELECT 1')");
is(watch('idle = 8'), 8, 'the first fill makes eight at once');
is((end_query($sessions[0]))[0], '1', 'and serves who asked');
lease('herd', 0 .. 7);
cmp_ok(watch('size = 12 AND idle = 4'), '<=', 2, 'growing makes no more at a time than free ones are wanted');
release(0 .. 7);

$_->quit foreach @sessions;
check_clean($local, $remote, 60);
done_testing();
