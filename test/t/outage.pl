# A remote that is stopped and started, and one that is frozen, while many sessions use
# it: each statement that cannot be carried out fails as documented, nobody waits while
# the breaker is open, and all resumes by itself.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use Load;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();

$remote->safe_psql('postgres', 'CREATE TABLE w (id bigserial); GRANT ALL ON w, w_id_seq TO ep_user');

sub of_pool
{
	my ($what) = @_;

	return $local->safe_psql('postgres',
		"SELECT $what FROM enhanced_pool.pool_metrics JOIN enhanced_pool.pools USING (datname, pool, role, size, active, idle) WHERE pool = 'p'");
}

sub pool_is
{
	my ($condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok(poll_until(sub { of_pool($condition) eq 't' }), $name)
	  or diag($local->safe_psql('postgres', 'SELECT * FROM enhanced_pool.pools'));
	return;
}

# Process ids of a server and of all that it has started.
sub processes_of
{
	my ($node) = @_;
	my $postmaster = slurp_file($node->data_dir . '/postmaster.pid');

	$postmaster =~ s/\n.*//s;
	return ($postmaster, split ' ', `ps -o pid= --ppid $postmaster`);
}

define_pool($local, $remote, 'p', max_size => 6, initial_size => 6, connect_timeout => '300ms', query_timeout => '2s', retry_backoff => '20ms',
	circuit_breaker_threshold => 3, circuit_breaker_recovery => '500ms');
my $load = start_load($local, 'p', 60);
my $baseline = worker_surplus($local);

# ------------------------------------------------------------------- stopped and started

$remote->stop('fast');
pool_is("breaker <> 'closed' AND circuit_breaker_trips = 1", 'the remote is stopped: the breaker opens');
pool_is("waiting = 0", 'nobody waits any more');
my %before = load_errors($load);
my $waits = of_pool('wait_count');
ok(poll_until(sub { my %errors = load_errors($load); $errors{'57P03'} >= ($before{'57P03'} // 0) + 300 }),
	'sixty sessions knock, and each is refused');
is(of_pool("waiting, wait_count - $waits"), '0|0', 'none of them waits');
is(of_pool('active + idle'), 0, 'no connection is there');
$remote->start;
load_goes_on($load, 'the remote is started: writes resume by themselves', 500);
# on a slow machine a server that has just started may well have it open once more
pool_is("breaker = 'closed' AND circuit_breaker_trips >= 1 AND circuit_breaker_trips = circuit_breaker_resets", 'the breaker is closed');
my %errors = load_errors($load);
# 57P01 and 08006: what was in the middle; 08001, if the breaker was not open yet
tell_errors($load, '08001|08006|57P01|57P03');

# ------------------------------------------------------------------------------- frozen

my @processes = processes_of($remote);
cmp_ok(scalar(@processes), '>', 6, 'the remote and its processes');
kill 'STOP', @processes;
pool_is("breaker <> 'closed'", 'the remote is frozen: the breaker opens');
pool_is("waiting = 0", 'nobody waits any more');
%before = load_errors($load);
ok(poll_until(sub { my %errors = load_errors($load); $errors{'57P03'} >= $before{'57P03'} + 300 }), 'each is refused');
kill 'CONT', @processes;
load_goes_on($load, 'it goes on: writes resume by themselves', 500);
pool_is("breaker = 'closed' AND active + idle > 0", 'the breaker is closed');
stop_load($load);
# 57014: query_timeout
tell_errors($load, '08001|08006|57P01|57P03|57014');
%errors = load_errors($load);
cmp_ok($errors{57014}, '>', 0, 'statements that were under way timed out');

pool_is('size <= 6 AND active = 0 AND waiting = 0', 'the pool is at rest');
check_clean($local, $remote, 6, $baseline);
done_testing();
