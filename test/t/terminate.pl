# pg_terminate_backend on either side.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(remote_conf => 'restart_after_crash = on');
my $ask_pid = q{SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)};

my ($out, $err);

define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, min_size => 0);

my $remote_pid = $local->safe_psql('postgres', $ask_pid);
my $baseline = worker_surplus($local);

sub terminate
{
	my ($session) = @_;
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	return sub {
		is($local->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 20000)"), 't', 'terminated');
		eval { $session->quit };
	};
}

# -------------------------------------------------------------- the local backend

my $session = start_session($local);
my $end = terminate($session);
$session->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:lease, 'SET a.b = ''dirty'''); SELECT enhanced_pool.exec(:lease, 'BEGIN')");
$end->();
is($local->safe_psql('postgres', $ask_pid), $remote_pid, 'with a lease: its connection is used again');
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT coalesce(current_setting(''a.b'', true), '''')') AS t(x text)"),
	'', 'and carries nothing of it');

$session = start_session($local);
$end = terminate($session);
begin_query($session, "SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(600)')");
ok($remote->poll_query_until('postgres', "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $remote_pid"), 'a statement runs');
$end->();
ok($remote->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $remote_pid"),
	'in a statement: the remote stopped it');
is($local->safe_psql('postgres', $ask_pid), $remote_pid, 'the connection is used again');

$session = start_session($local);
$end = terminate($session);
begin_query($session, "SELECT * FROM enhanced_pool.execute('one', 'SELECT repeat(''x'', 1000) FROM generate_series(1, 10000000)') AS t(x text)");
ok($remote->poll_query_until('postgres', "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $remote_pid"), 'rows are coming');
$end->();
is($local->safe_psql('postgres', $ask_pid), $remote_pid, 'in the middle of rows: the connection is used again');

my $holder = start_session($local);
$holder->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
my @waiters = map { start_session($local) } 1 .. 2;
my @ends = map { terminate($_) } @waiters;
foreach my $n (1 .. 2)
{
	begin_query($waiters[ $n - 1 ], $ask_pid);
	ok($local->poll_query_until('postgres', "SELECT count(*) = $n FROM enhanced_pool.waiters"), 'somebody waits');
}
$ends[0]->();
is($local->safe_psql('postgres', 'SELECT count(*), min(position) FROM enhanced_pool.waiters'), '1|1', 'waiting: it left the queue');
$holder->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($waiters[1]);
is("$out|$err", "$remote_pid|", 'who stood behind is next');
$waiters[1]->quit;

# ------------------------------------------------------------- the remote's backend

sub kill_remote
{
	is($remote->safe_psql('postgres', "SELECT pg_terminate_backend($remote_pid, 20000)"), 't', 'terminated');
}

# Over TLS a backend knows of it only after the worker.
sub kill_idle_remote
{
	kill_remote();
	return unless tls_of($remote);
	ok($local->poll_query_until('postgres', "SELECT count(*) = 0 FROM enhanced_pool.connection_metrics WHERE remote_pid = $remote_pid"),
		'the worker knows');
	return;
}

kill_idle_remote();
my $new_pid = $local->safe_psql('postgres', $ask_pid);
isnt($new_pid, $remote_pid, 'idle: replaced without a word');
$remote_pid = $new_pid;

# one that the backend has a descriptor of
is($holder->query_safe($ask_pid), $remote_pid, 'used');
kill_idle_remote();
$new_pid = $holder->query_safe($ask_pid);
isnt($new_pid, $remote_pid, 'idle and used by this backend: replaced without a word');
$remote_pid = $new_pid;

# one of whose end the worker knows nothing yet
unless (tls_of($remote))
{
	my $worker = worker_pid($local);
	kill 'STOP', $worker;
	kill_remote();
	begin_query($holder, $ask_pid);
	ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'the backend sees it by itself');
	kill 'CONT', $worker;
	($out, $err) = end_query($holder);
	like("$out|$err", qr/^\d+\|$/, 'and waits for another');
	$remote_pid = $out;
}

begin_query($holder, "SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(600)')");
ok($remote->poll_query_until('postgres', "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $remote_pid"), 'a statement runs');
kill_remote();
($out, $err) = end_query($holder);
like($err, qr/ERROR:  57P01: terminating connection due to administrator command\n.*remote server "one"/s,
	'in a statement: the remote\'s own words');
$remote_pid = $holder->query_safe($ask_pid);

$holder->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
$holder->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN'); SAVEPOINT s");
kill_remote();
$holder->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
like($holder->{stderr}, qr/ERROR:  57P01: terminating connection/, 'in a transaction: the next statement says it');
$holder->{stderr} = '';
$holder->query("ROLLBACK TO s; SELECT enhanced_pool.exec(:lease, 'SELECT 1');");
like($holder->{stderr}, qr/ERROR:  08006/, 'the lease is of no use any more');
$holder->{stderr} = '';
is($holder->query_safe('ROLLBACK TO s; SELECT enhanced_pool.release(:lease)'), 't', 'but can be released');
$holder->query_safe('COMMIT');
$remote_pid = $holder->query_safe($ask_pid);

# A lease of that name is acquired anew.
$holder->query_safe("SELECT enhanced_pool.acquire('one', hold => true, name => 'n') AS lease \\gset");
kill_remote();
$holder->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1');");
like($holder->{stderr}, qr/ERROR:  (57P01|08006)/, 'a lease with hold');
$holder->{stderr} = '';
$holder->query_safe('SELECT enhanced_pool.release(:lease)');

# Killed in an instant: its end of file is all that comes.
$remote_pid = $holder->query_safe($ask_pid);
begin_query($holder, "SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(600)')");
ok($remote->poll_query_until('postgres', "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $remote_pid"), 'a statement runs');
PostgreSQL::Test::Utils::system_log('pg_ctl', 'kill', 'KILL', $remote_pid);
($out, $err) = end_query($holder);
like($err, qr/ERROR:  08006/, 'the connection was lost');
ok(poll_until(sub { $remote->psql('postgres', 'SELECT 1') == 0 }), 'the remote is back');
ok(poll_until(sub { $local->psql('postgres', $ask_pid) == 0 }), 'and so is the pool');

$holder->quit;
check_clean($local, $remote, 1, $baseline);
done_testing();
