# A server in single-user mode, which has no worker: statements on pools say so, as any
# that get no connection, and what needs none works.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();

define_pool($local, $remote, 'p');
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('p', 'SELECT 1') AS t(n int)"), '1', 'the pool works');
$local->stop;

# What it says, in one piece.
sub single_user
{
	my ($sql) = @_;
	my $said = '';

	IPC::Run::run([ 'postgres', '--single', '-j', '-c', 'enhanced_pool.acquire_timeout=100ms', '-D', $local->data_dir, 'postgres' ], '<', \"$sql\n", '>', \$said, '2>&1',
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return $said;
}

my $none = qr/ERROR:  could not connect to pool "p"/;

foreach my $statement (
	"SELECT * FROM enhanced_pool.execute('p', 'SELECT 1') AS t(n int)",
	"SELECT enhanced_pool.acquire('p')",
	"SELECT * FROM enhanced_pool.run_parallel('p', ARRAY['SELECT 1', 'SELECT 2'])",
	"SELECT * FROM enhanced_pool.run_in_transaction('p', ARRAY['SELECT 1'])")
{
	my $said = single_user($statement);

	like($said, $none, "no connection: $statement");
	unlike($said, qr/epoll|kqueue|poll\(\)|XX000|PANIC|FATAL/, 'and nothing else is wrong');
}
like(single_user('SELECT count(*) FROM enhanced_pool.pools'), qr/count = "1"/, 'views are there');

$local->start;
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('p', 'SELECT 1') AS t(n int)"), '1', 'and the pool works again');
check_clean($local, $remote, 10);
done_testing();
