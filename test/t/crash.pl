# The worker ends, or everything crashes: pools come back by themselves, and
# nothing of what was before is counted or held any more.  With TLS the worker is
# on the way of all bytes: what is in use when it ends is lost with it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => "restart_after_crash = on\nenhanced_pool.log_connections = on");
my $tls = tls_of($remote);

define_pool($local, $remote, 'p', max_size => 2, initial_size => 2, min_size => 0);
define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, min_size => 0);

sub new_worker
{
	my ($old) = @_;

	ok( $local->poll_query_until(
			'postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'enhanced_pool worker%' AND pid <> $old"),
		'another worker runs');
	return worker_pid($local);
}

# ------------------------------------------------------ the worker ends by SIGTERM

my $holder = start_session($local);
my $waiter = start_session($local);
my $worker = worker_pid($local);

$holder->query_safe("BEGIN; SELECT enhanced_pool.acquire('one', name => 'held') AS lease \\gset");
my $remote_pid = $holder->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)");
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('p', 'SELECT 1')");
begin_query($waiter, "SELECT * FROM enhanced_pool.execute('one', 'SELECT 42') AS t(n int)");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');

is($local->safe_psql('postgres', "SELECT pg_terminate_backend($worker)"), 't', 'the worker is told to end');
$worker = new_worker($worker);
is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.waiters'), '1', 'who waited still waits');
if ($tls)
{
	$holder->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
	like($holder->{stderr}, qr/ERROR:  08006/, 'a lease is of no use any more');
	$holder->{stderr} = '';
	$holder->query_safe('ROLLBACK');
}
else
{
	is($holder->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)"),
		$remote_pid, 'a lease outlives the worker');
	$holder->query_safe("SELECT enhanced_pool.release(:lease); COMMIT");
}
my ($out, $err) = end_query($waiter);
is("$out|$err", '42|', 'and gets a connection');
isnt($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)"),
	$remote_pid, 'what the former worker opened is not used again');
ok( $remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $remote_pid"),
	'but ended');

# Again and again, while statements run.  A waiter must never be told that there
# is no worker, and no statement may fail, but with TLS one for each end.
my $busy = start_session($local);
my $may_be_lost = $tls ? 'EXCEPTION WHEN connection_failure THEN lost := lost + 1;' : '';
begin_query($busy, qq{DO \$\$ DECLARE n int; lost int := 0; BEGIN
  FOR i IN 1 .. 1000000 LOOP
    BEGIN
      SELECT t.n INTO n FROM enhanced_pool.execute('one', 'SELECT \$1', i) AS t(n int);
      ASSERT n = i;
      $may_be_lost
    END;
    EXIT WHEN EXISTS (SELECT FROM pg_class WHERE relname = 'stop');
  END LOOP;
  ASSERT lost <= 3, format('%s lost', lost);
END \$\$; SELECT 'done'});
foreach my $round (1 .. 3)
{
	$local->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
	$worker = new_worker($worker);
	ok( $local->poll_query_until('postgres',
			"SELECT count(*) > 0 FROM enhanced_pool.connection_metrics WHERE pool = 'one' AND query_count > 0"),
		'statements run on a new connection');
}
$local->safe_psql('postgres', 'CREATE TABLE stop ()');
($out, $err) = end_query($busy);
is("$out|$err", 'done|', 'statements never failed');

# In the middle of a statement.
begin_query($busy, "SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_sleep(60)::text') AS t(n text)");
ok($remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"),
	'a statement runs');
$local->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
$worker = new_worker($worker);
$local->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM enhanced_pool.leases WHERE pool = 'one'");
($out, $err) = end_query($busy);
like($err, $tls ? qr/08006/ : qr/57014/, $tls ? 'it fails' : 'it can be cancelled without the worker that opened its connection');
# The key to cancel it on the remote went with that worker.
$remote->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()");
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(n int)"), '1', 'the pool is usable');
$_->quit foreach $holder, $waiter, $busy;
check_clean($local, $remote, 3);

# ---------------------------------------------------------------------- crashes

foreach my $victim ('worker', 'a backend with a lease', 'a waiting backend')
{
	my $lease = start_session($local);
	my $other = start_session($local);

	$lease->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
	$lease->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN')");
	my $pid = $lease->query_safe('SELECT pg_backend_pid()');
	begin_query($other, "SELECT enhanced_pool.exec('one', 'SELECT 1')");
	ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');
	$pid = worker_pid($local) if $victim eq 'worker';
	$pid = $local->safe_psql('postgres', 'SELECT pid FROM enhanced_pool.waiters') if $victim eq 'a waiting backend';

	my $offset = -s $local->logfile;
	PostgreSQL::Test::Utils::system_log('pg_ctl', 'kill', 'KILL', $pid);
	$local->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	ok( poll_until(sub { $local->psql('postgres', 'SELECT 1') == 0 }), "$victim killed: PostgreSQL is back");
	foreach ($lease, $other)
	{
		eval { $_->quit };
	}
	is( $local->safe_psql('postgres',
			"SELECT sum(size), sum(active), sum(waiting), count(*) FILTER (WHERE state <> 'closed') FROM enhanced_pool.pools"),
		'0|0|0|0', 'all numbers are clean');
	is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(n int)"),
		'1', 'pools work');
	ok( $remote->poll_query_until('postgres',
			"SELECT count(*) <= 1 FROM pg_stat_activity WHERE usename = 'ep_user'"),
		'the remote has no connection of before');
	check_clean($local, $remote, 1);
}

# --------------------------------------------------------------------- shutdown

# A connection that stays with its holder until the end of the server.
foreach my $mode ('fast', 'immediate')
{
	my $lease = start_session($local);
	my $running = start_session($local);
	my $waiting = start_session($local);

	$lease->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
	begin_query($running, "SELECT enhanced_pool.exec('p', 'SELECT pg_sleep(600)')");
	begin_query($waiting, "SELECT enhanced_pool.exec('one', 'SELECT 1')");
	ok( $local->poll_query_until('postgres', "SELECT sum(active) = 2 AND sum(waiting) = 1 FROM enhanced_pool.pools"),
		"$mode shutdown with leases open");
	$local->stop($mode);
	pass('it stopped');
	foreach ($lease, $running, $waiting)
	{
		eval { $_->quit };
	}
	ok( $remote->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'ep_user' AND query NOT LIKE '%pg_sleep%'"),
		'no connection is left on the remote');
	$remote->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user'");
	ok(!glob($local->data_dir . '/pg_stat_tmp/enhanced_pool.*'), 'no socket is left') if $mode eq 'fast';
	$local->start;
	is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(n int)"),
		'1', 'pools work after the start');
	check_clean($local, $remote, 3);
}
ok(!$local->log_contains(qr/PANIC|TRAP/), 'nothing bad in the log');

done_testing();
