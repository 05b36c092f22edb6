# Many encrypted connections one after the other: the worker keeps nothing of
# those that are gone.  EP_CHURN says how many (default 10000).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TlsProxy;

skip_without_tls();

my $connects = $ENV{EP_CHURN} || 10000;
my $clients = 8;
my $remote = start_tls_remote(conf => 'log_min_messages = panic');
my $local = start_local(conf => 'log_min_messages = panic');
my $script = PostgreSQL::Test::Utils::tempdir() . '/burn';

# The last ones that are lost are replaced, and go when they are idle.
define_pool($local, $remote, 'p', tls_server($remote), initial_size => 1, min_size => 0, max_size => $clients,
	target_free_connections => 0, idle_timeout => '500ms');
append_to_file($script, "SELECT burn();\n");

# Uses a connection up.
$local->safe_psql('postgres', <<'SQL');
CREATE FUNCTION burn() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM enhanced_pool.exec('p', 'SELECT pg_terminate_backend(pg_backend_pid())');
EXCEPTION WHEN admin_shutdown OR connection_failure THEN NULL;
END $$
SQL

sub burn
{
	my ($n) = @_;
	my $out;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( run([ 'pgbench', '-n', '-h', $local->host, '-p', $local->port, '-c', $clients, '-j', 1, '-t', int($n / $clients), '-f', $script, 'postgres' ],
			'<', \undef, '>&', \$out),
		"$n connections were used up")
	  or diag($out);
	ok($local->poll_query_until('postgres', 'SELECT coalesce(sum(size), 0) = 0 FROM enhanced_pool.pools'), 'none is left');
	return;
}

burn($connects / 10);
my $worker = worker_pid($local);
my $memory = worker_memory($worker);
my $descriptors = fd_count($worker);
burn($connects);

is(worker_pid($local), $worker, 'it is still the same worker');
is(fd_count($worker), $descriptors, 'it has no more descriptors open than before');
# 150 bytes for each of 2000 would be more
cmp_ok(worker_memory($worker) - $memory, '<', 300, 'nor has it taken more memory');
cmp_ok($local->safe_psql('postgres', "SELECT total_created FROM enhanced_pool.pool_metrics WHERE pool = 'p'"),
	'>=', $connects, 'there were that many connections');
check_clean($local, $remote, $clients);
done_testing();
