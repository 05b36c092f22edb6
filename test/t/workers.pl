# Workers that end while many sessions use their pools: only statements that needed the
# worker at that moment fail, and the pools of another worker are not disturbed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use Load;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => 'enhanced_pool.workers = 2');
my $tls = tls_of($remote);

$remote->safe_psql('postgres', 'CREATE TABLE w (id bigserial); GRANT ALL ON w, w_id_seq TO ep_user');

sub worker_of
{
	my ($number) = @_;
	my $found;

	poll_until(sub {
		foreach my $pid (split /\n/, $local->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'enhanced_pool worker'"))
		{
			open my $fh, '<', "/proc/$pid/cmdline" or next;
			local $/;
			$found = $pid if <$fh> =~ /enhanced_pool worker $number/;
		}
		return defined $found;
	});
	return $found;
}

sub ids_of
{
	return $local->safe_psql('postgres', "SELECT string_agg(conn_id::text, ',' ORDER BY conn_id) FROM enhanced_pool.connection_metrics WHERE pool = '$_[0]'");
}

# Pools are given to workers in turn.
my @settings = (max_size => 4, initial_size => 4, min_size => 4, health_check_interval => 0, validation_interval => 0);
define_pool($local, $remote, $_, @settings) foreach 'a', 'b';
my @loads = map { start_load($local, $_, 15) } 'a', 'b';
ok($local->poll_query_until('postgres', "SELECT bool_and(size = 4 AND active + idle = 4) FROM enhanced_pool.pools"), 'two pools in use');

my $ids = ids_of('b');
foreach my $round (1 .. 3)
{
	my $of_a = ids_of('a');
	my $pid = worker_of(0);

	is($local->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)"), 't', "round $round: the worker of pool a ends");
	load_goes_on($loads[1], 'pool b goes on meanwhile');
	load_goes_on($loads[0], 'so does pool a');
	ok(poll_until(sub { worker_of(0) != $pid && ids_of('a') ne $of_a }), 'with another worker, and connections of that one');
}
is(ids_of('b'), $ids, 'pool b has the connections that it had');
stop_load($_) foreach @loads;
# what the worker relays is lost with it
tell_errors($loads[0], '08006');
tell_errors($loads[1], 'none');
ok($local->poll_query_until('postgres', "SELECT bool_and(size = 4 AND idle = 4 AND waiting = 0) FROM enhanced_pool.pools"), 'both are at rest');

# The other way round.
$ids = ids_of('a');
my $pid = worker_of(1);
is($local->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)"), 't', 'the worker of pool b ends');
ok(poll_until(sub { worker_of(1) != $pid && $local->psql('postgres', "SELECT enhanced_pool.exec('b', 'SELECT 1')") == 0 }), 'and comes again');
is(ids_of('a'), $ids, 'pool a has the connections that it had');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('a', 'SELECT 1')"), 1, 'and works');

check_clean($local, $remote, 8);
done_testing();
