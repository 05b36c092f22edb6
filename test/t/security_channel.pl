# The socket over which backends fetch descriptors: strangers get nothing there and
# keep nobody from his, whatever they do, and descriptors go nowhere else.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TlsProxy;

my $dir = PostgreSQL::Test::Utils::tempdir();

plan skip_all => 'no C compiler'
  unless eval { IPC::Run::run([ 'cc', '-O', '-o', "$dir/pest", "$FindBin::RealBin/../lib/pest.c" ], '<', \undef, '>&', \my $said) };

my $secure = start_remote(name => 'secure', tls => 1);
my ($local, $remote) = start_pair(tls => 0);
my $socket = $local->data_dir . '/pg_stat_tmp/enhanced_pool.0';

define_pool($local, $remote, 'p', max_size => 4, initial_size => 4, min_size => 4, health_check_interval => 0);
define_pool($local, $secure, 's', max_size => 3, initial_size => 3, min_size => 3, health_check_interval => 0);
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('$_', 'SELECT 1')") foreach 'p', 's';
ok($local->poll_query_until('postgres', 'SELECT sum(idle) = 7 FROM enhanced_pool.pools'), 'two pools are open');
my $worker = worker_pid($local);

# begin($program, @what): a pest that has done its deed and stays, and what it said.
sub begin
{
	my ($program, @what) = @_;
	my $pest = { in => '', out => '', err => '' };

	$pest->{harness} = start([ $program, @what ], '<', \$pest->{in}, '>', \$pest->{out}, '2>', \$pest->{err}, IPC::Run::timeout(120));
	$pest->{harness}->pump until $pest->{out} =~ /\n/ || !$pest->{harness}->pumpable;
	chomp $pest->{out};
	return $pest;
}

sub end
{
	my ($pest) = @_;

	finish($pest->{harness});
	return;
}

# A session that has no descriptor yet fetches them.
sub fetching_works
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($local->safe_psql('postgres', "SET statement_timeout = '20s'; SELECT enhanced_pool.exec('p', 'SELECT 1'), enhanced_pool.exec('s', 'SELECT 1')"), '1|1', $name);
	return;
}

# ------------------------------------------------------------------- who may ask

is((stat $socket)[2] & 0777, 0600, 'the socket is its owner\'s alone');
my $pest = begin("$dir/pest", 'ask', $socket);
is($pest->{out}, '0 bytes as the answer', 'a process that has no lease gets nothing');
end($pest);

SKIP:
{
	my $stranger = $ENV{EP_STRANGER} // '';
	my @closed = ($local->data_dir, $local->data_dir . '/pg_stat_tmp', $local->basedir, $socket);
	my %mode = map { $_ => (stat $_)[2] & 07777 } @closed;

	skip 'no program with the rights of another user: root starts the tests with one', 3 unless -u $stranger;
	my $other = begin($stranger, 'ask', $socket);
	like($other->{out}, qr/^no connection: Permission denied$/, 'another user of the machine cannot connect');
	end($other);
	# as if somebody had opened all doors
	chmod $mode{$_} | 0777, $_ foreach @closed;
	$other = begin($stranger, 'ask', $socket);
	is($other->{out}, '0 bytes as the answer', 'nor would it get anything if it could');
	end($other);
	chmod $mode{$_}, $_ foreach @closed;
	fetching_works('others are not hurt');
}

# ------------------------------------------------------------- who only disturbs

my $fds = fd_count($worker);
my $memory = worker_memory($worker);

foreach my $mode ('silent', 'half', 'rubbish', 'descriptors', 'churn')
{
	my $n = $mode eq 'churn' ? 5000 : 900;
	my $clients = begin("$dir/pest", $mode, $socket, $n);

	like($clients->{out}, qr/^\d+ of $n connected$/, "$mode: $clients->{out}");
	fetching_works("$mode: others get theirs");
	# who came later was served, so these have had their turn
	cmp_ok(fd_count($worker), '<=', $fds, "$mode: the worker keeps no descriptor of a stranger");
	end($clients);
}
fetching_works('afterwards');
cmp_ok(fd_count($worker), '<=', $fds, 'the worker has as many descriptors as before');
cmp_ok(worker_memory($worker), '<=', $memory + 1024, 'and the same memory, within a megabyte');
is(worker_pid($local), $worker, 'it is still the same');

# ------------------------------------------------ the kernel has no descriptors left

# The kernel allows a user as many descriptors on their way as a process may have open,
# whoever of that user has sent them (ETOOMANYREFS); and a worker that has none left
# cannot even listen (EMFILE).  Both are waited for.
SKIP:
{
	my $have = '';
	my ($soft) = slurp_file("/proc/$worker/limits") =~ /^Max open files\s+(\d+)/m;
	my $free = 0;

	$free++ while -l "/proc/$worker/fd/$free";
	skip 'no program prlimit', 5 unless eval { IPC::Run::run([ 'prlimit', '--version' ], '<', \undef, '>&', \$have) };
	foreach my $lack ('ETOOMANYREFS', 'EMFILE')
	{
		my $limit = $lack eq 'EMFILE' ? $free : $free + 8;
		my $n = 32 * int(2 * $limit / 32 + 2);
		my $others = $lack eq 'EMFILE' ? undef : begin("$dir/pest", 'inflight', $n);
		my $session = start_session($local);
		my $pid = $session->query_safe('SELECT pg_backend_pid()');

		is($others->{out}, "$n are on their way", 'somebody of the same user has descriptors on their way') if $others;
		system_or_bail('prlimit', "--nofile=$limit:", '--pid', $worker);
		begin_query($session, "SELECT enhanced_pool.exec('p', 'SELECT 1')");
		ok( $local->poll_query_until('postgres',
				"SELECT state = 'active' AND wait_event_type = 'Extension' AND clock_timestamp() - query_start > '1 s' FROM pg_stat_activity WHERE pid = $pid"),
			"$lack: who needs a descriptor waits");
		end($others) if $others;
		system_or_bail('prlimit', "--nofile=$soft:", '--pid', $worker) if $lack eq 'EMFILE';
		is(join('|', end_query($session)), '1|', 'and gets it, without an error');
		system_or_bail('prlimit', "--nofile=$soft:", '--pid', $worker);
		$session->quit;
	}
}

# ------------------------------------------------------ programs that are started

my $session = start_session($local);
$session->query_safe("SELECT enhanced_pool.acquire('$_', hold => true) AS lease \\gset") foreach 'p', 's';
my $backend = $session->query_safe('SELECT pg_backend_pid()');

# The sockets of a process, by number of their inode.
sub sockets_of
{
	my ($pid) = @_;
	my %sockets;

	opendir my $fds, "/proc/$pid/fd" or die "could not look at $pid: $!";
	foreach my $fd (grep { /^\d+$/ } readdir $fds)
	{
		my ($inode) = (readlink("/proc/$pid/fd/$fd") // '') =~ /^socket:\[(\d+)\]$/ or next;

		$sockets{$inode} = 1;
	}
	return \%sockets;
}

$session->query_safe('CREATE TEMP TABLE seen (line text)');
my $of_worker = sockets_of($worker);
my $of_backend = sockets_of($backend);
# the other end of a pair is closed in the worker or not, its own it has
my @shared = grep { $of_worker->{$_} } keys %$of_backend;
cmp_ok(scalar(@shared), '>=', 7, 'the backend has the sockets of all connections, leased and not');
foreach my $program ('ls -l /proc/self/fd')
{
	$session->query_safe("COPY seen FROM PROGRAM '$program'");
	my $listed = $session->query_safe("SELECT string_agg(line, ' ') FROM seen");

	like($listed, qr{/proc/}, 'a program sees its descriptors');
	is_deeply([ grep { $listed =~ /socket:\[$_\]/ } @shared ], [], 'COPY FROM PROGRAM: none of them is a connection');
}
$session->query_safe("COPY (SELECT 1) TO PROGRAM 'ls -l /proc/self/fd > $dir/to_program'");
my $listed = slurp_file("$dir/to_program");
is_deeply([ grep { $listed =~ /socket:\[$_\]/ } @shared ], [], 'COPY TO PROGRAM: neither');
# every one of the worker's, too, would be closed if it started anything
my @inherited;
opendir my $info, "/proc/$worker/fdinfo" or die "could not look at the worker: $!";
foreach my $fd (grep { /^\d+$/ } readdir $info)
{
	next unless (readlink("/proc/$worker/fd/$fd") // '') =~ /^socket:\[(\d+)\]$/ && !sockets_of((split /\n/, slurp_file($local->data_dir . '/postmaster.pid'))[0])->{$1};
	my ($flags) = slurp_file("/proc/$worker/fdinfo/$fd") =~ /^flags:\s+(\d+)$/m;

	push @inherited, $fd unless oct($flags) & oct('2000000');
}
is_deeply(\@inherited, [], 'all sockets of the worker are closed on exec');
$session->quit;
check_clean($local, $remote, 4);
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal/), 'nobody crashed');
done_testing();
