# terminate_connection: whatever a connection is doing, it is ended and replaced, and
# who uses it is told.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my ($out, $err);
my $ask = q{SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)};
my $terminated = qr/ERROR:  57P01: connection to remote server "p" was terminated by an administrator/;

define_pool($local, $remote, 'p', max_size => 2, initial_size => 2, min_size => 0);
$local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('p')");
my $baseline = worker_surplus($local);

sub terminate
{
	my ($conn_id) = @_;

	return $local->safe_psql('postgres', "SELECT enhanced_pool.terminate_connection($conn_id)");
}

sub conn_of
{
	my ($condition) = @_;

	return $local->safe_psql('postgres', "SELECT conn_id FROM enhanced_pool.connection_metrics WHERE pool = 'p' AND $condition LIMIT 1");
}

sub gone
{
	my ($conn_id, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE conn_id = $conn_id) = 0 FROM enhanced_pool.connection_metrics"), $name);
	return;
}

sub remote_ended
{
	my ($pid, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), $name);
	return;
}

# ------------------------------------------------------------------ what is not there

is(terminate(0), 'f', 'no such connection');
is(terminate(-5), 'f', 'no such connection');
is(terminate('9223372036854775807'), 'f', 'no such connection');

# ------------------------------------------------------------------------------- idle

my $conn = conn_of("state = 'idle'");
my $pid = $local->safe_psql('postgres', "SELECT remote_pid FROM enhanced_pool.connection_metrics WHERE conn_id = $conn");
is(terminate($conn), 't', 'an idle connection');
gone($conn, 'is ended');
remote_ended($pid, 'on the remote, too');
ok($local->poll_query_until('postgres', "SELECT idle = 2 AND size = 2 FROM enhanced_pool.pools WHERE pool = 'p'"), 'and replaced');
is(terminate($conn), 'f', 'it is there no more');

# ----------------------------------------------------------------------------- leased

my $session = start_session($local);
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
$pid = $session->query_safe($ask);
$conn = conn_of("state = 'leased'");
is(terminate($conn), 't', 'a leased connection');
remote_ended($pid, 'is ended at once');
is(terminate($conn), 'f', 'it is being ended already');
$session->query($ask);
like($session->{stderr}, $terminated, 'its user is told at the next use');
$session->{stderr} = '';
$session->query($ask);
like($session->{stderr}, $terminated, 'and at every use');
$session->{stderr} = '';
is($session->query_safe('SELECT enhanced_pool.release(:lease)'), 't', 'the lease can be given back');
gone($conn, 'it is gone');

# in a transaction, which a SAVEPOINT survives
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('p') AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN'); SAVEPOINT s");
is(terminate(conn_of("state = 'leased'")), 't', 'one with an open transaction');
$session->query($ask);
like($session->{stderr}, $terminated, 'told');
$session->{stderr} = '';
$session->query_safe('ROLLBACK TO s; SELECT enhanced_pool.release(:lease); COMMIT');

# ----------------------------------------------------------------------- in an exchange

foreach my $kind ('p', 'lease')
{
	$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset") if $kind eq 'lease';
	my $target = $kind eq 'lease' ? ':lease' : "'p'";

	begin_query($session, "SELECT enhanced_pool.exec($target, 'SELECT pg_sleep(600)')");
	ok($remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'"), 'a statement runs');
	$conn = conn_of("state = 'leased'");
	$pid = $local->safe_psql('postgres', "SELECT remote_pid FROM enhanced_pool.connection_metrics WHERE conn_id = $conn");
	is(terminate($conn), 't', 'a connection in an exchange');
	($out, $err) = end_query($session);
	like($err, $terminated, 'its user is told at once');
	$session->query_safe('SELECT enhanced_pool.release(:lease)') if $kind eq 'lease';
	remote_ended($pid, 'the statement is cancelled and the connection ended');
	gone($conn, 'it is gone');
}

# with a statement that was sent, while its session does something else
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
$pid = $session->query_safe($ask);
$session->query_safe("SELECT enhanced_pool.send(:lease, 'SELECT pg_sleep(600)')");
ok($remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND state = 'active'"), 'a statement was sent');
$conn = conn_of("state = 'leased'");
is(terminate($conn), 't', 'a connection of which nobody looks for the answer');
ok($remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid AND state = 'active'"), 'the statement is cancelled');
remote_ended($pid, 'and the connection ended');
$session->query('SELECT enhanced_pool.get_result(:lease)');
like($session->{stderr}, $terminated, 'its user is told instead of the result');
$session->{stderr} = '';
$session->query_safe('SELECT enhanced_pool.release(:lease)');
gone($conn, 'it is gone');

# in the middle of rows
begin_query($session, "SELECT count(*) FROM enhanced_pool.execute('p', 'SELECT repeat(''x'', 1000) FROM generate_series(1, 100000000)') AS t(x text)");
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE state = 'active'"), 'rows are coming');
$conn = conn_of("state = 'leased'");
is(terminate($conn), 't', 'in the middle of rows');
($out, $err) = end_query($session);
like($err, $terminated, 'told');
gone($conn, 'it is gone');
ok($remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'"), 'the remote has stopped');

# in a subtransaction that fails by it: the lease survives, and is of no use
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('p') AS lease \\gset");
$session->query_safe('SAVEPOINT s');
begin_query($session, "SELECT enhanced_pool.exec(:lease, 'SELECT pg_sleep(600)')");
ok($remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'"), 'a statement runs');
$conn = conn_of("state = 'leased'");
is(terminate($conn), 't', 'in a subtransaction');
($out, $err) = end_query($session);
like($err, $terminated, 'told');
$session->query("ROLLBACK TO s; $ask;");
like($session->{stderr}, $terminated, 'the lease stays unusable');
$session->{stderr} = '';
$session->query_safe('ROLLBACK');
gone($conn, 'it is gone');

# --------------------------------------------------------------- in the worker's hands

$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (ADD reset_query 'SELECT pg_sleep(600)')");
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
$pid = $session->query_safe($ask);
$session->query_safe('SELECT enhanced_pool.release(:lease)');
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.connection_metrics WHERE state = 'resetting'"), 'a reset that takes long');
$conn = conn_of("state = 'resetting'");
is(terminate($conn), 't', 'is cut short');
gone($conn, 'it is gone');
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (DROP reset_query)");
$remote->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()");

is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('p', 'SELECT 1')"), 1, 'the pool is in good health');
$session->quit;
check_clean($local, $remote, 2, $baseline);
done_testing();
