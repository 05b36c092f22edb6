# The worker or a session has no file descriptor left: who needs one waits or is told so,
# what needs none goes on, no remote server is blamed for it, and nothing is left behind.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'no prlimit here' if system('prlimit --version >/dev/null 2>&1') != 0;

my ($local, $remote) = start_pair(local_conf => 'max_files_per_process = 64');
my @settings = (min_size => 0, circuit_breaker_threshold => 1, circuit_breaker_recovery => '1h', retry_attempts => 2, retry_backoff => '50ms', health_check_interval => 0);

define_pool($local, $remote, 'warm', @settings, max_size => 3, initial_size => 3);
define_pool($local, $remote, 'cold', @settings, max_size => 2, initial_size => 1);
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('warm', 'SELECT 1')");
ok($local->poll_query_until('postgres', "SELECT idle = 3 FROM enhanced_pool.pools WHERE pool = 'warm'"), 'three connections');
my $baseline = worker_surplus($local);

# leave_descriptors($pid, $n): the process can open so many more; undef: as many as before.
sub leave_descriptors
{
	my ($pid, $n) = @_;
	my $limit = 0;

	if (defined $n)
	{
		for ($n++; $n > 0; $limit++)
		{
			$n-- unless -l "/proc/$pid/fd/$limit";
		}
		$limit--;
	}
	else
	{
		$limit = 1000;
	}
	system_or_bail('prlimit', '--pid', $pid, "--nofile=$limit:");
	return;
}

sub breakers
{
	return $local->safe_psql('postgres', "SELECT string_agg(DISTINCT breaker, ' ') FROM enhanced_pool.pools");
}

# ----------------------------------------------------------- what is registered

# Sockets that a process has told the kernel to watch.
sub watched
{
	my ($pid) = @_;
	my $count = 0;

	foreach my $file (glob "/proc/$pid/fdinfo/*")
	{
		open my $info, '<', $file or next;
		while (<$info>)
		{
			$count++ if /^tfd:\s*(\d+)/ && (readlink("/proc/$pid/fd/$1") // '') =~ /^socket:/;
		}
		close $info;
	}
	return $count;
}

# What happens to a socket is told to everybody who has it registered: that must be no
# session that has used the connection.
my $many = start_session($local);
my $many_pid = $many->query_safe('SELECT pg_backend_pid()');
$many->query_safe("SELECT enhanced_pool.exec('warm', 'SELECT pg_sleep(0.01)')");
my $idle = watched($many_pid);
$many->query_safe(q{SELECT enhanced_pool.acquire('warm', hold => true) AS a, enhanced_pool.acquire('warm', hold => true) AS b, enhanced_pool.acquire('warm', hold => true) AS c \gset});
foreach my $lease (qw(a b c a))
{
	$many->query_safe("SELECT enhanced_pool.exec(:$lease, 'SELECT pg_sleep(0.01)')");
	is(watched($many_pid), $idle, "a session that has waited for connection $lease does not watch it any more");
}
$many->quit;

# ------------------------------------------------------------------- the worker

my $worker = worker_pid($local);
my $user = start_session($local);
my $stranger = start_session($local);
$user->query_safe("SELECT enhanced_pool.exec('warm', 'SELECT 1')");

leave_descriptors($worker, 0);
is($user->query_safe("SELECT enhanced_pool.exec('warm', 'SELECT 1')"), '1', 'none for the worker: who has used the pool goes on');
begin_query($stranger, "SELECT enhanced_pool.exec('warm', 'SELECT 1')");
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'EnhancedPoolDescriptor' OR (wait_event_type = 'Extension' AND query LIKE '%exec(''warm''%' AND pid <> pg_backend_pid())"),
	'who has not waits for the worker');
leave_descriptors($worker);
my ($out, $err) = end_query($stranger);
is("$out|$err", '1|', 'and is served when there are some');

# Enough to be asked, not enough to connect.
foreach my $n (1, 2, 3)
{
	leave_descriptors($worker, $n);
	fails_with($local, "SELECT enhanced_pool.exec('cold', 'SELECT 1')",
		qr/ERROR:  08001: could not connect to pool "cold"\nDETAIL:  .*the enhanced_pool worker has no descriptor for a connection: Too many open files/,
		"$n for the worker: a pool without connections says why");
	is(breakers(), 'closed', 'the remote server is not blamed');
	leave_descriptors($worker);
	ok(poll_until(sub { $local->psql('postgres', "SELECT enhanced_pool.exec('cold', 'SELECT 1')") == 0 }), 'and works as soon as there are some');
	$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('cold')");
	$local->poll_query_until('postgres', "SELECT size = 0 FROM enhanced_pool.pools WHERE pool = 'cold'") or die 'not closed';
}
is(worker_pid($local), $worker, 'all that time it was one worker');

# ------------------------------------------------------------------ the session

# It has sockets open for what it used; with fewer and fewer descriptors each statement
# either works or says what is missing, and the session has as many as before.
$stranger->quit;
$local->safe_psql('postgres', "ALTER SERVER warm OPTIONS (ADD acquire_timeout '1s')");
foreach my $n (0 .. 5)
{
	my $session = start_session($local);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	# catalogs and what else the server opens by itself is there
	$session->query("SELECT enhanced_pool.exec('nosuch', '');");
	$session->{stderr} = '';
	leave_descriptors($pid, $n);
	$out = $session->query("SELECT enhanced_pool.exec('warm', 'SELECT 1');");
	# the wait for the worker's answer is the server's own, with words of its own
	like($out . $session->{stderr} =~ s/background_psql.*//rs,
		{ 0 => qr/ERROR:  53000: out of file descriptors for leased connections\nDETAIL:  The operating system .*\nHINT:  Raise the limit of open files/,
			1 => qr/ERROR:  (53000: out of file descriptors|XX000: epoll_create1 failed: Too many open files)/ }->{$n}
		  // qr/^1$|ERROR:  (53000: out of file descriptors|XX000: epoll_create1 failed: Too many open files)/m,
		"$n for a session: it works or says what is missing");
	$session->{stderr} = '';
	leave_descriptors($pid);
	is($session->query_safe("SELECT enhanced_pool.exec('warm', 'SELECT 1')"), '1', 'it works with more');
	cmp_ok(fd_count($pid, qr/^socket:/), '<=', 5, 'and has not kept what it does not need');
	$session->quit;
}
is(breakers(), 'closed', 'no remote server is blamed');

# max_files_per_process: leases of one session take what it may have.
define_pool($local, $remote, 'many', @settings, max_size => 40, initial_size => 0);
my @leases;
while (@leases < 40)
{
	my $lease = $user->query("SELECT enhanced_pool.acquire('many', hold => true);");

	last if $user->{stderr} =~ /ERROR/;
	$user->{stderr} = '';
	push @leases, $lease;
}
like($user->{stderr}, qr/ERROR:  53000: out of file descriptors for leased connections\nDETAIL:  .*\nHINT:  Release leases, or raise max_files_per_process/, scalar(@leases) . ' leases, and no descriptor for another');
$user->{stderr} = '';
cmp_ok(scalar(@leases), '>=', 5, 'some could be had');
is($user->query_safe("SELECT sum(enhanced_pool.exec(l, 'SELECT 1')) FROM unnest(ARRAY[" . join(',', @leases) . "]) l"), scalar(@leases), 'all of them work');
is($user->query_safe("SELECT enhanced_pool.release($leases[0]), enhanced_pool.acquire('many', hold => true) > 0"), 't|t', 'one that is given back makes room for another');
$user->quit;

check_clean($local, $remote, 45, $baseline);
done_testing();
