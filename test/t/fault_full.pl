# The remote server's max_connections are used up (53300): the pool lives on what it has,
# and no breaker opens; without any connection it fails, and comes back by itself.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Three connections for who is not superuser.
my ($local, $remote) = start_pair(remote_conf => "max_connections = 8\nsuperuser_reserved_connections = 5");

define_pool($local, $remote, 'p', max_size => 10, initial_size => 10, min_size => 0, circuit_breaker_threshold => 1,
	circuit_breaker_recovery => '500ms', retry_attempts => 2, retry_backoff => '50ms', health_check_interval => 0);

sub of_pool
{
	my ($what) = @_;

	return $local->safe_psql('postgres', "SELECT $what FROM enhanced_pool.pools JOIN enhanced_pool.pool_metrics USING (datname, pool, role, size, active, idle) WHERE pool = 'p'");
}

sub pool_is
{
	my ($condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok(poll_until(sub { of_pool($condition) eq 't' }), $name)
	  or diag($local->safe_psql('postgres', 'SELECT * FROM enhanced_pool.pools'));
	return;
}

# Ten sessions share three connections.
my @sessions = map { start_session($local) } 1 .. 10;
begin_query($_, "SELECT sum(enhanced_pool.exec('p', 'SELECT pg_sleep(0.02)')) FROM generate_series(1, 10)") foreach @sessions;
my @answers = map { join '|', end_query($_) } @sessions;
is(join(' ', grep { $_ ne '10|' } @answers), '', 'ten sessions are served by as many connections as the remote server takes');
pool_is('size BETWEEN 1 AND 3 AND idle = size', 'up to three');
my $n = of_pool('size');
is(of_pool('breaker, circuit_breaker_trips'), 'closed|0', 'no breaker was opened');

# Who has to wait too long is told why.
$sessions[$_]->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset") foreach 1 .. $n;
fails_with($local, "SELECT enhanced_pool.acquire('p', '100ms')",
	qr/ERROR:  53300: no connection of pool "p" within 0.1 s\nDETAIL:  Size $n, active $n, .*\nHINT:  The remote server takes no more connections/, 'one more than there are');
begin_query($sessions[0], "SELECT enhanced_pool.exec('p', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');
$sessions[1]->query_safe('SELECT enhanced_pool.release(:lease)');
my ($out, $err) = end_query($sessions[0]);
is("$out|$err", '1|', 'and gets what is given back');
is(of_pool('breaker, circuit_breaker_trips'), 'closed|0', 'still no breaker was opened');

# A group of more operations than connections.
$sessions[$_]->query_safe('SELECT enhanced_pool.release(:lease)') foreach 2 .. $n;
is($local->safe_psql('postgres', "SELECT count(*) FILTER (WHERE success) FROM enhanced_pool.run_parallel('p', array_fill('SELECT pg_sleep(0.02)'::text, ARRAY[9]))"), '9', 'a group of nine');

# Others have them all: the pool has none, so this is a failure, which ends by itself.
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('p')");
ok($local->poll_query_until('postgres', 'SELECT sum(size) = 0 FROM enhanced_pool.pools'), 'the pool is closed');
$remote->safe_psql('postgres', 'CREATE ROLE other LOGIN');
my @others = map { start_session($remote, 'postgres', 'other') } 1 .. 3;
fails_with($local, "SELECT enhanced_pool.exec('p', 'SELECT 1')",
	qr/ERROR:  (57P03|08001): .*\nDETAIL:  .*(remaining connection slots are reserved|too many clients)/, 'others have all of them');
pool_is("breaker <> 'closed'", 'the breaker opens');
$_->quit foreach @others;
pool_is("breaker = 'closed'", 'and closes when the remote server has room again');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('p', 'SELECT 1')"), '1', 'the pool works');
$_->quit foreach @sessions;
check_clean($local, $remote, 3);
done_testing();
