# Places that several pools share: max_server_connections and
# enhanced_pool.max_connections.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => "enhanced_pool.max_connections = 8\nenhanced_pool.workers = 2");
my @settings = (max_size => 20, initial_size => 0, min_size => 0, idle_timeout => 0, health_check_interval => 0, validation_interval => 0);
my $out;
my $err;

$local->safe_psql('postgres', 'CREATE ROLE greedy LOGIN; CREATE ROLE small LOGIN; CREATE TABLE stop (); GRANT SELECT ON stop TO greedy');

# A server that both roles have a mapping of their own for, which is a pool each.
sub define_for_both
{
	my ($name, %options) = @_;

	define_pool($local, $remote, $name, @settings, for => 'greedy', %options);
	$local->safe_psql('postgres',
		"CREATE USER MAPPING FOR small SERVER $name OPTIONS (user 'ep_user', password 'ep_secret'); GRANT USAGE ON FOREIGN SERVER $name TO greedy, small");
	return;
}

sub pools_are
{
	my ($server, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT $condition FROM enhanced_pool.pools WHERE pool = '$server'"), $name)
	  or diag($local->safe_psql('postgres', 'SELECT pool, role, size, active, idle, connecting, waiting FROM enhanced_pool.pools'));
	return;
}

sub seen_by_remote
{
	return $remote->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'enhanced_pool/$_[0]'");
}

# ----------------------------------------------- the cap, and nobody starves

define_for_both('capped', max_server_connections => 4, acquire_timeout => '20s');
my @greedy = map { start_session($local, 'postgres', 'greedy') } 1 .. 8;
my @small = map { start_session($local, 'postgres', 'small') } 1 .. 2;

begin_query($_, "DO \$\$ BEGIN WHILE NOT EXISTS (SELECT FROM stop) LOOP PERFORM enhanced_pool.exec('capped', 'SELECT pg_sleep(0.03)'); END LOOP; END \$\$")
  foreach @greedy;
pools_are('capped', 'bool_or(size = 4 AND waiting >= 3)', 'one role has all connections that the server may have, and more of it wait');

my $most = 0;

foreach my $i (1 .. 15)
{
	$small[0]->query("SELECT enhanced_pool.exec('capped', 'SELECT $i')");
	my $seen = seen_by_remote('capped');
	$most = $seen if $seen > $most;
}
is($small[0]->{stderr} =~ s/\s*background_psql.*//rs, '', 'the other one is served all the same');
is($most, 4, 'and all together never have more');
pools_are('capped', "bool_or(role = 'small' AND size = 1) AND bool_or(role = 'greedy' AND size = 3 AND waiting > 0)", 'each has what is its due');

# as many wait for each: as many places for each
begin_query($small[1], "DO \$\$ BEGIN FOR i IN 1..40 LOOP PERFORM enhanced_pool.exec('capped', 'SELECT pg_sleep(0.005)'); END LOOP; END \$\$");
begin_query($small[0], "DO \$\$ BEGIN FOR i IN 1..40 LOOP PERFORM enhanced_pool.exec('capped', 'SELECT pg_sleep(0.005)'); END LOOP; END \$\$");
pools_are('capped', "bool_or(role = 'small' AND size = 2) AND bool_or(role = 'greedy' AND size = 2)", 'half for each when two of one role want some');
foreach (@small)
{
	($out, $err) = end_query($_);
	is($err, '', 'no error');
}
$local->safe_psql('postgres', 'INSERT INTO stop DEFAULT VALUES');
is(join('', map { (end_query($_))[1] } @greedy), '', 'nor has the greedy one had any');
cmp_ok(seen_by_remote('capped'), '<=', 4, 'no more than four at any time');
is( $local->safe_psql('postgres', "SELECT string_agg(DISTINCT detail->>'reason', ' ') FROM enhanced_pool.events WHERE pool = 'capped' AND kind = 'close'"),
	'surplus', 'connections that others were due are told of as such');

# -------------------------------------- held for long: a wait, but no deadlock

$local->safe_psql('postgres', "ALTER SERVER capped OPTIONS (ADD target_free_connections '0')");
$greedy[$_]->query_safe("SELECT enhanced_pool.acquire('capped', hold => true) AS lease \\gset") foreach 0 .. 3;
pools_are('capped', "bool_or(role = 'greedy' AND active = 4) AND sum(size) = 4", 'all places are held by one role');
begin_query($small[0], "SELECT enhanced_pool.exec('capped', 'SELECT 1')");
ok($local->poll_query_until('postgres', "SELECT waited > '2 s' FROM enhanced_pool.waiters"), 'the other one waits, and is no victim');
$greedy[3]->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($small[0]);
is("$out|$err", '1|', 'it gets the place of the first that is given back');
$greedy[$_]->query_safe('SELECT enhanced_pool.release(:lease)') foreach 0 .. 2;

# ------------------------------------------- a ring that goes over the used-up cap

# each role holds two of the four places, and wants one more for itself
$greedy[0]->query_safe("SELECT enhanced_pool.acquire('capped', hold => true) AS lease \\gset") foreach 0 .. 1;
$small[0]->query_safe("SELECT enhanced_pool.acquire('capped', hold => true) AS lease \\gset");
$greedy[1]->query_safe("SELECT enhanced_pool.acquire('capped', hold => true) AS lease \\gset");
pools_are('capped', 'sum(active) = 4', 'all places are held');
begin_query($greedy[0], "SELECT enhanced_pool.acquire('capped')");
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.waiters"), 'one waits');
begin_query($small[0], "SELECT enhanced_pool.acquire('capped')");
ok($local->poll_query_until('postgres', "SELECT min(waited) > '2 s' AND count(*) = 2 FROM enhanced_pool.waiters"), 'two wait while the holder of the last place does not');
begin_query($greedy[1], "SELECT enhanced_pool.acquire('capped')");
($out, $err) = end_query($greedy[1]);
like($err, qr/deadlock detected while waiting for a connection/, 'when that one wants one more, too, nobody can be served any more');
$greedy[1]->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($greedy[0]);
is($err, '', 'its place is the first one\'s');
$greedy[0]->quit;
($out, $err) = end_query($small[0]);
is($err, '', 'and then the next one\'s');
$small[0]->query_safe('SELECT enhanced_pool.release(:lease)');
$greedy[0] = start_session($local, 'postgres', 'greedy');

# ----------------------------------------------------------- the cap is lowered

pools_are('capped', 'sum(size) >= 3 AND sum(active) = 0', 'at rest');
$local->safe_psql('postgres', "ALTER SERVER capped OPTIONS (SET max_server_connections '2')");
$small[0]->query_safe("SELECT enhanced_pool.exec('capped', 'SELECT 1')");
pools_are('capped', 'sum(size) = 2', 'what is too much is closed');
drop_pool($local, 'capped');

# ------------------------------------------------------- health checks count, too

define_pool($local, $remote, 'checked', max_size => 1, initial_size => 1, min_size => 1, max_server_connections => 1,
	health_check_interval => '50ms', validation_interval => 0);
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('checked', 'SELECT 1')");
ok($local->poll_query_until('postgres', "SELECT idle_time > '1500 ms' FROM enhanced_pool.connection_metrics WHERE pool = 'checked'"), 'nothing has succeeded for long');
is($local->safe_psql('postgres', "SELECT health_check_count FROM enhanced_pool.pool_metrics WHERE pool = 'checked'"), '0', 'but there is no place for a test connection');
$local->safe_psql('postgres', "ALTER SERVER checked OPTIONS (SET max_server_connections '2')");
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('checked', 'SELECT 1')");
ok($local->poll_query_until('postgres', "SELECT health_check_count > 0 FROM enhanced_pool.pool_metrics WHERE pool = 'checked'"), 'until there is one');
drop_pool($local, 'checked');
ok($local->poll_query_until('postgres', 'SELECT coalesce(sum(size), 0) = 0 FROM enhanced_pool.pools'), 'all places are free');

# ------------------------------------------- enhanced_pool.max_connections is used up

define_pool($local, $remote, 'rich', @settings, initial_size => 8, min_size => 3);
define_pool($local, $remote, 'poor', @settings);
my @sessions = map { start_session($local) } 1 .. 6;
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('rich', 'SELECT 1')");
pools_are('rich', 'idle = 8', 'one pool has all connections, and they are idle');
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('poor', hold => true) AS lease \\gset");
pools_are('rich', 'size = 7', 'one of them made room for who waits in another pool, and no more than that');
$sessions[$_]->query_safe("SELECT enhanced_pool.acquire('poor', hold => true) AS lease \\gset") foreach 1 .. 4;
is($local->safe_psql('postgres', "SELECT string_agg(pool || ' ' || size, ', ' ORDER BY pool) FROM enhanced_pool.pools WHERE size > 0"), 'poor 5, rich 3',
	'down to its min_size');
fails_with($local, "SELECT enhanced_pool.acquire('poor', '700ms')", qr/ERROR:  53300: no connection of pool "poor" within 0.7 s\nDETAIL:  Size 5, active 5, .*\nHINT:  Other pools have what max_server_connections or/, 'which it keeps');
pools_are('rich', 'size = 3 AND idle = 3', 'all the time');
$sessions[5]->query_safe("SELECT enhanced_pool.exec('rich', 'SELECT 1')");
$_->quit foreach @sessions, @greedy, @small;
check_clean($local, $remote, 8);
done_testing();
