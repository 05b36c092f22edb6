# pg_stat_activity: what workers do, and what sessions wait for.
#
# Wait events have names from PostgreSQL 17 on; before, all are "Extension", and
# each wait is known by what the test has brought about.  Sockets have to go on
# while the worker is stopped, so with TLS=1 this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => 'enhanced_pool.max_pools = 4', tls => 0);
my $named = $local->safe_psql('postgres', "SELECT current_setting('server_version_num')::int >= 170000") eq 't';
my $worker = worker_pid($local);
my ($out, $err);

sub activity
{
	my ($pid, $what) = @_;

	return $local->safe_psql('postgres', "SELECT $what FROM pg_stat_activity WHERE pid = $pid");
}

sub comes_to
{
	my ($pid, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT $condition FROM pg_stat_activity WHERE pid = $pid"), $name)
	  or diag(activity($pid, "concat_ws(' ', state, wait_event_type, wait_event, query)"));
	return;
}

# It sleeps with the wait event of that name.
sub waits_as
{
	my ($pid, $event, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $wanted = $named ? $event : 'Extension';

	comes_to($pid, "wait_event_type = 'Extension' AND wait_event = '$wanted'", "$event: $name");
	return;
}

# ------------------------------------------------------------------- the worker

is(activity($worker, 'backend_type, application_name, datname IS NULL'), 'enhanced_pool worker|enhanced_pool worker 0|t', 'the worker has a name');
waits_as($worker, 'EnhancedPoolWorkerMain', 'it has nothing to do');
comes_to($worker, "state = 'idle' AND query = 'pools: 0, connections: 0'", 'and says so');

my $role = $local->safe_psql('postgres', 'SELECT current_user');
define_pool($local, $remote, 'p', max_size => 3, initial_size => 3, min_size => 3);
my $session = start_session($local);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
comes_to($worker, "state = 'idle' AND query = 'pools: 1, connections: 3, 1 leased, 2 idle; postgres.p:$role'", 'pools and connections');

# one that accepts connections and says nothing
my $hole = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "no socket: $!";
$local->safe_psql('postgres', "CREATE SERVER hole FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host '127.0.0.1', port '"
	  . $hole->sockport . "', connect_timeout '1h', acquire_timeout '0', initial_size '1', min_size '0', health_check_interval '0'); CREATE USER MAPPING FOR CURRENT_USER SERVER hole OPTIONS (user 'x', password 'x')");
my $waiter = start_session($local);
begin_query($waiter, "SELECT enhanced_pool.exec('hole', 'SELECT 1')");
comes_to($worker, "state = 'active' AND query LIKE 'pools: 2, connections: 4, 1 leased, 2 idle, 1 connecting, 1 waited for; %postgres.hole:$role%'", 'what it is doing');
ok($local->safe_psql('postgres', "SELECT query_start > backend_start AND state_change >= query_start FROM pg_stat_activity WHERE pid = $worker") eq 't', 'and since when');
$local->safe_psql('postgres', 'CREATE ROLE nobody LOGIN');
is($local->safe_psql('postgres', "SET ROLE nobody; SELECT backend_type, query, state FROM pg_stat_activity WHERE pid = $worker"),
	'|<insufficient privilege>|', 'not for everybody');
is($local->safe_psql('postgres', "GRANT pg_read_all_stats TO nobody; SET ROLE nobody; SELECT query LIKE 'pools: 2%' FROM pg_stat_activity WHERE pid = $worker"),
	't', 'but for who reads all statistics');
drop_pool($local, 'hole');
end_query($waiter);
comes_to($worker, "state = 'idle' AND query = 'pools: 1, connections: 3, 1 leased, 2 idle; postgres.p:$role'", 'all is as before');
close $hole;

# ------------------------------------------------------------------ the sessions

my $keeper = start_session($remote);
$keeper->query_safe('SELECT pg_advisory_lock(7)');
my $blocked = 'SELECT pg_advisory_xact_lock(7)';

sub let_go { $keeper->query_safe('SELECT pg_advisory_unlock(7)'); return }
sub hold { $keeper->query_safe('SELECT pg_advisory_lock(7)'); return }

# a session that runs $sql waits so; $end lets it end
sub check_wait
{
	my ($event, $sql, $end, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	begin_query($session, $sql);
	waits_as($pid, $event, $name);
	$end->();
	($out, $err) = end_query($session);
	is($err, '', 'and goes on') or diag($sql);
	return;
}

check_wait('EnhancedPoolRemote', "SELECT enhanced_pool.exec(:lease, '$blocked')", \&let_go, 'the remote server works');
hold();
$session->query_safe("SELECT enhanced_pool.send(:lease, '$blocked')");
check_wait('EnhancedPoolRemote', 'SELECT enhanced_pool.wait_any(ARRAY[:lease])', \&let_go, 'wait_any');
$session->query_safe('SELECT enhanced_pool.get_count(:lease)');
hold();
check_wait('EnhancedPoolGroup', "SELECT enhanced_pool.run_parallel('p', ARRAY['$blocked', 'SELECT 1'])", \&let_go, 'a group works');
hold();

# the only connection is leased
define_pool($local, $remote, 'narrow', max_size => 1, initial_size => 1);
my $holder = start_session($local);
my $take = "SELECT enhanced_pool.acquire('narrow', hold => true)";
my $release = sub { $holder->query_safe('SELECT enhanced_pool.release_all()'); return };
$holder->query_safe($take);
check_wait('EnhancedPoolAcquire', "SELECT enhanced_pool.exec('narrow', 'SELECT 1')", $release, 'no connection is free');
$holder->query_safe($take);
check_wait('EnhancedPoolAcquire', "SELECT enhanced_pool.run_in_transaction('narrow', ARRAY['SELECT 1'])", $release, 'nor for a transaction');
$holder->query_safe($take);
check_wait('EnhancedPoolTransaction', "SELECT enhanced_pool.run_in_transaction('narrow', ARRAY['SELECT 1'], timeout => '1h')", $release,
	'which has a time limit');
$holder->query_safe($take);
check_wait('EnhancedPoolGroup', "SELECT enhanced_pool.run_parallel('narrow', ARRAY['SELECT 1'])", $release, 'nor for a group');
$holder->query_safe($take);
check_wait('EnhancedPoolAdmin', "SELECT enhanced_pool.pause('narrow', '1h')", $release, 'leases are to come back');
$session->query_safe("SELECT enhanced_pool.resume('narrow')");
$session->query_safe("SELECT enhanced_pool.exec('narrow', 'SELECT 1')");

# -------------------------------------------------------- the worker is stopped

my $go_on = sub { kill 'CONT', $worker; return };

END
{
	my $status = $?;

	kill 'CONT', $worker if $worker;
	$? = $status;
}

# no socket for a session that is new
my $new = start_session($local);
my $new_pid = $new->query_safe('SELECT pg_backend_pid()');
kill 'STOP', $worker;
begin_query($new, "SELECT enhanced_pool.exec('narrow', 'SELECT 1')");
waits_as($new_pid, 'EnhancedPoolDescriptor', 'the worker has to hand over a socket');
$go_on->();
($out, $err) = end_query($new);
is($err, '', 'and goes on');

# a cancel request that may still hit
$session->query_safe("SET statement_timeout = '100ms'");
kill 'STOP', $worker;
$session->query("SELECT enhanced_pool.exec(:lease, '$blocked')");
like($session->{stderr}, qr/57014/, 'a statement was cancelled') and $session->{stderr} = '';
$session->query_safe('RESET statement_timeout');
begin_query($session, "SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
waits_as($pid, 'EnhancedPoolRemote', 'for the end of the answer');
let_go();
waits_as($pid, 'EnhancedPoolCancel', 'until nothing can hit the next statement');
$go_on->();
($out, $err) = end_query($session);
is($err, '', 'and goes on');

# all places are taken, and the one that is to be given up is not free yet
define_pool($local, $remote, $_, max_size => 1, initial_size => 1) foreach 'third', 'fourth', 'fifth';
$session->query_safe("SELECT enhanced_pool.exec('$_', 'SELECT 1')") foreach 'third', 'fourth';
kill 'STOP', $worker;
check_wait('EnhancedPoolRegister', "SELECT enhanced_pool.exec('fifth', 'SELECT 1')", $go_on, 'another pool has to give up its place');

$_->quit foreach $session, $waiter, $holder, $new, $keeper;
check_clean($local, $remote, 8);
done_testing();
