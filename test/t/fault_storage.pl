# No memory for a result, or no disk: the statement fails with the server's SQLSTATE, the
# session goes on, and the connection is used again as clean as ever.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my $ask_pid = q{SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)};
my ($session, $remote_pid);

define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, min_size => 1);
$remote->safe_psql('postgres', 'CREATE TABLE target (x text); GRANT ALL ON target TO ep_user');

# The statement fails so; then session and connection are as good as before.
sub fails_cleanly
{
	my ($sql, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$session->query($sql);
	my $err = $session->{stderr};
	$session->{stderr} = '';
	like($err, $pattern, $name);
	$session->query('ROLLBACK');
	$session->{stderr} = '';
	is($session->query_safe($ask_pid), $remote_pid, 'the connection is used again');
	is($session->query_safe("SELECT * FROM enhanced_pool.execute('one', \$\$SELECT coalesce(current_setting('a.b', true), ''), count(*) FROM target\$\$) AS t(a text, n int)"),
		'|0', 'and clean');
	return;
}

# What fails for want of memory or disk, by its name; %s is a remote query that returns much.
my %ways = (
	execute => "SELECT count(*) FROM enhanced_pool.execute('one', %s) AS t(x text)",
	execute_json => "SELECT count(*) FROM enhanced_pool.execute_json('one', %s)",
	execute_as => "SELECT count(*) FROM enhanced_pool.execute_as(NULL::text, 'one', %s)",
	get_result => "BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset\n"
	  . "SELECT enhanced_pool.exec(:lease, 'SET a.b = 1'), enhanced_pool.exec(:lease, 'BEGIN'), enhanced_pool.exec(:lease, 'INSERT INTO target VALUES (1)'), enhanced_pool.send(:lease, %s);\n"
	  . 'SELECT count(*) FROM enhanced_pool.get_result(:lease) AS t(x text)',
	session => "BEGIN; SELECT enhanced_pool.session('one') AS lease \\gset\n"
	  . "SELECT enhanced_pool.exec(:lease, 'INSERT INTO target VALUES (1)');\nSELECT count(*) FROM enhanced_pool.execute(:lease, %s) AS t(x text)",
	broadcast_as => "SELECT count(*) FROM enhanced_pool.broadcast_as(NULL::text, ARRAY['one'], %s)");

# ----------------------------------------------------------------------- memory

# Lets a process have so many bytes more than it has now.
sub limit_memory
{
	my ($pid, $more) = @_;
	my ($size) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+) kB/m or die 'no size';

	system_or_bail('prlimit', '--pid', $pid, '--as=' . ($size * 1024 + $more) . ':');
	return;
}

SKIP:
{
	skip 'no prlimit here', 1 if system('prlimit --version >/dev/null 2>&1') != 0;
	skip 'sanitizers want all the address space there is', 1 if slurp_file('/proc/' . $local->{_pid} . '/maps') =~ /libasan/;

	$session = start_session($local);
	$remote_pid = $session->query_safe($ask_pid);
	$session->query_safe('CREATE TEMP TABLE here (x text)');
	limit_memory($session->query_safe('SELECT pg_backend_pid()'), 8 * 1024 * 1024);
	foreach my $name (sort keys %ways)
	{
		fails_cleanly(sprintf($ways{$name}, q{$$SELECT repeat('x', 20000000)$$}) . ';', qr/ERROR:  53200: out of memory/, "$name: no memory for a value");
	}
	fails_cleanly("SELECT enhanced_pool.exec('one', 'INSERT INTO target VALUES (\$1)', repeat('x', 5000000));", qr/ERROR:  53200: out of memory/, 'no memory for a parameter');
	fails_cleanly("SELECT enhanced_pool.copy_from('one', \$\$SELECT repeat('x', 20000000)\$\$, 'here');", qr/ERROR:  53200: out of memory/, 'no memory for a row to copy');
	# what would be too much anywhere is the remote's to refuse
	fails_cleanly("SELECT enhanced_pool.exec('one', \$\$SELECT repeat('x', 1073741823)\$\$);", qr/ERROR:  54000: .*remote server "one"/s, 'a value that is larger than there are');
	$session->quit;

	# a worker without memory may end; then there is another, and nobody waits for ever
	$local->safe_psql('postgres', "ALTER SERVER one OPTIONS (SET max_size '10', SET initial_size '10')");
	limit_memory(worker_pid($local), 0);
	my @crowd = map { start_session($local) } 1 .. 10;
	begin_query($_, "SELECT enhanced_pool.exec('one', 'SELECT repeat(''x'', 1000000) FROM pg_sleep(0.1)')") foreach @crowd;
	my @answers = map { join '|', end_query($_) } @crowd;
	is(scalar(grep { !/^1\|$|ERROR:  (08001|08006|53300|55000|57P03)/ } @answers), 0, 'a worker without memory: each statement works or says why not') or diag(@answers);
	$_->quit foreach @crowd;
	system('prlimit', '--pid', worker_pid($local), '--as=unlimited:');
	ok(poll_until(sub { $local->psql('postgres', "SELECT enhanced_pool.reset_breaker('one'); $ask_pid") == 0 }), 'the pool works afterwards');
	$local->safe_psql('postgres', "ALTER SERVER one OPTIONS (SET max_size '1', SET initial_size '1')");
}

# ------------------------------------------------------------------------- disk

# temp_file_limit is a disk that is full for one session.
$session = start_session($local);
$remote_pid = $session->query_safe($ask_pid);
$session->query_safe("SET work_mem = '64kB'; SET temp_file_limit = '1MB'");
my $many = q{$$SELECT repeat('x', 1000) FROM generate_series(1, 100000)$$};
fails_cleanly(sprintf($ways{$_}, $many) . ';', qr/ERROR:  53400: temporary file size exceeds "?temp_file_limit"?/, "$_: temp_file_limit") foreach sort keys %ways;
$session->quit;

# A server whose temporary files go to a file system of 2 MB.  Who is not root may mount
# one in a name space of his own, mostly.
my $small = $local->basedir . '/small';
my $ids = "--map-user=$< --map-group=" . ($( + 0);
mkdir $small;

SKIP:
{
	skip 'no small file system can be mounted here', 1
	  if system("unshare --user --map-root-user --mount sh -c 'mount -t tmpfs -o size=2m tmpfs \"$small\" && unshare --user $ids true' >/dev/null 2>&1") != 0;

	$local->stop;
	system_or_bail('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
		"mount -t tmpfs -o size=2m tmpfs '$small' && exec unshare --user $ids pg_ctl -w -D '" . $local->data_dir . "' -l '" . $local->logfile . "' start");
	$local->_update_pid(1);
	$local->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$small'");
	$session = start_session($local);
	$remote_pid = $session->query_safe($ask_pid);
	$session->query_safe("SET work_mem = '64kB'; SET temp_tablespaces = 'small'");
	fails_cleanly(sprintf($ways{$_}, $many) . ';', qr/ERROR:  53100: could not write to file .*No space left on device/, "$_: the disk is full") foreach sort keys %ways;

	# the rows before are in the result's place, the transaction goes on
	$session->query_safe("BEGIN; SELECT enhanced_pool.session('one') AS lease \\gset");
	$session->query_safe("SELECT enhanced_pool.exec(:lease, 'INSERT INTO target VALUES (1)'); SAVEPOINT s");
	$session->query("SELECT count(*) FROM enhanced_pool.execute(:lease, $many) AS t(x text);");
	like($session->{stderr}, qr/ERROR:  53100/, 'in a subtransaction');
	$session->{stderr} = '';
	$session->query_safe('ROLLBACK TO s; COMMIT');
	is($remote->safe_psql('postgres', 'DELETE FROM target RETURNING x'), '1', 'what was before it is committed');

	# a table that cannot grow, and a remote one
	$session->query_safe('CREATE UNLOGGED TABLE here (x text) TABLESPACE small');
	fails_cleanly("SELECT enhanced_pool.copy_from('one', $many, 'here');", qr/ERROR:  53100: could not extend file .*No space left on device/, 'copy_from into a full disk');
	is($session->query_safe('SELECT count(*) FROM here'), '0', 'no row is there');
	is($session->query_safe("SELECT enhanced_pool.copy_from('one', 'SELECT 1::text', 'here')"), '1', 'the next one works');
	$session->quit;
}
check_clean($local, $remote, 1);
$local->stop;
done_testing();
