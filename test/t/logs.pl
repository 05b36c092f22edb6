# The server's log while a remote server is down: what repeats is limited, however
# many sessions knock, and each message has its SQLSTATE and what it is about.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# two workers: what one has logged the other does not log again
my ($local, $remote) = start_pair(local_conf => "log_line_prefix = '%m [%p] %b %e '\nenhanced_pool.log_connections = on\nenhanced_pool.workers = 2");

# What a worker said of a pool since a place in the log; messages without time and process.
sub lines
{
	my ($pool, $from) = @_;

	return grep { /pool "$pool"/ } map { s/^.*? \[\d+\] //r } grep { /\] enhanced_pool worker / } split /\n/, slurp_file($local->logfile, $from);
}

# -------------------------------------------------------------- of one connection

define_pool($local, $remote, 'p', max_size => 2, initial_size => 1, min_size => 0, target_free_connections => 0, idle_timeout => '1ms');
my $mark = -s $local->logfile;
my $remote_pid = $local->safe_psql('postgres', "SELECT pid FROM enhanced_pool.execute('p', 'SELECT pg_backend_pid()') AS t(pid int)");
$local->wait_for_log(qr/pool "p": connection \d+ \(remote process $remote_pid\) closed/, $mark);
my @opened = grep { /process $remote_pid/ } lines('p', $mark);
like($opened[0], qr/^enhanced_pool worker 00000 LOG:  pool "p": connection (\d+) opened to host ".+", port \d+ \(remote process $remote_pid\)$/, 'one is opened');
my ($conn_id) = $opened[0] =~ /connection (\d+)/;
is(scalar(@opened), 2, 'which is two lines');
like($opened[1], qr/^enhanced_pool worker 00000 LOG:  pool "p": connection $conn_id \(remote process $remote_pid\) closed$/, 'and closed');
my $debug = $local->safe_psql('postgres', "ALTER SYSTEM SET log_min_messages = debug1; SELECT pg_reload_conf()");
ok($local->poll_query_until('postgres', "SELECT current_setting('log_min_messages') = 'debug1'"), 'debug messages');
ok(poll_until(sub {
	$local->safe_psql('postgres', "SELECT enhanced_pool.exec('p', 'SELECT 1')");
	$local->log_contains(qr/DEBUG:  pool "p": connection \d+ \(remote process \d+\), which is idle, is ended: /, $mark);
}), 'why an idle one is ended');
$local->safe_psql('postgres', "ALTER SYSTEM RESET log_min_messages; SELECT pg_reload_conf()");
ok($local->poll_query_until('postgres', "SELECT current_setting('log_min_messages') = 'info'"), 'no more of them');
drop_pool($local, 'p');

# ------------------------------------------------------------------- it goes down

# the default breaker; none, and no pause; one that tries all the time, and of the other worker's; and one that checks its remote all the time
my %hasty = (max_size => 4, min_size => 1, initial_size => 1, retry_backoff => '1ms', retry_attempts => 2);
define_pool($local, $remote, 'plain', max_size => 4);
define_pool($local, $remote, 'nobreaker', %hasty, retry_backoff => 0, circuit_breaker_threshold => 0, health_check_interval => 0);
define_pool($local, $remote, 'tries', %hasty, circuit_breaker_threshold => 2, circuit_breaker_recovery => '5ms', health_check_interval => 0);
define_pool($local, $remote, 'checks', %hasty, min_size => 0, circuit_breaker_threshold => 2, circuit_breaker_recovery => '5ms', health_check_interval => '5ms', dbname => 'template1');
my @pools = ('plain', 'nobreaker', 'tries', 'checks');
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('$_', 'SELECT 1')") foreach @pools;
$local->safe_psql('postgres', q{
	CREATE FUNCTION knock(pool text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM enhanced_pool.exec(pool, 'SELECT 1');
	EXCEPTION WHEN OTHERS THEN
	END $$});
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/$_.sql", "SELECT knock('$_');\n") foreach @pools;

my $began = time();
$mark = -s $local->logfile;
$remote->stop('immediate');
my ($out, $err);
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', 50, '-j', 2, '-T', 600, (map { ('-f', "$dir/$_.sql") } @pools), $local->connstr('postgres') ],
	'<', \undef, '>', \$out, '2>', \$err);
ok( $local->poll_query_until('postgres', q{
	SELECT bool_and(CASE pool WHEN 'plain' THEN circuit_breaker_trips = 1 WHEN 'nobreaker' THEN connection_errors > 200
		ELSE circuit_breaker_trips > 0 AND (SELECT count(*) > 10 FROM enhanced_pool.events e WHERE e.pool = m.pool AND kind = 'breaker_open') END)
	FROM enhanced_pool.pool_metrics m}), 'fifty sessions knock, and hundreds of attempts fail')
  or diag($local->safe_psql('postgres', 'SELECT * FROM enhanced_pool.pool_metrics'));
$load->kill_kill;
my $minutes = 1 + int((time() - $began) / 60);

my %most = (plain => 5, nobreaker => 2, tries => 5, checks => 5);
foreach my $pool (@pools)
{
	# connections that were there when it happened
	my @lines = grep { !/connection \d+ \(remote process \d+\)/ } lines($pool, $mark);

	cmp_ok(scalar(@lines), '>=', 1, "pool $pool: the log says that something is wrong");
	cmp_ok(scalar(@lines), '<=', $most{$pool} * $minutes, 'and does not say it again and again') or diag(join("\n", @lines));
}
my @said = map { lines($_, $mark) } @pools;
is(scalar(grep { /could not connect/ } lines('nobreaker', $mark)), $minutes, 'hundreds of failures are one line a minute') if $minutes == 1;
like(join("\n", @said), qr/^enhanced_pool worker 08001 LOG:  pool "nobreaker": could not connect$/m, 'with the SQLSTATE of a failure');
like(join("\n", @said), qr/^enhanced_pool worker 57P03 LOG:  pool "tries": circuit breaker opened after \d failures, next attempt in \d+\.\d s$/m, 'and of the breaker');
ok($local->log_contains(qr/LOG:  pool "nobreaker": could not connect\n.*DETAIL:  host "[^\n]*: /, $mark), 'and why');
my %closed = map { $_ => scalar(grep { / closed$/ } lines($_, $mark)) } @pools;
cmp_ok($closed{nobreaker}, '<=', 4, 'what never was open is not closed');

# the others' lines: sessions have logged nothing at all
my @others = grep { /(?:LOG|WARNING):  pool "/ && !/\] enhanced_pool worker / } split /\n/, slurp_file($local->logfile, $mark);
is_deeply(\@others, [], 'sessions log nothing');

# --------------------------------------------------------------------- and is back

$mark = -s $local->logfile;
$remote->start;
ok(poll_until(sub { $local->psql('postgres', "SELECT enhanced_pool.exec('tries', 'SELECT 1')") == 0 }), 'it works again');
ok($local->wait_for_log(qr/pool "tries": circuit breaker closed/, $mark), 'which is said at once');

# a login that is refused
define_pool($local, $remote, 'refused', mapping => { password => 'wrong' });
$mark = -s $local->logfile;
fails_with($local, "SELECT enhanced_pool.exec('refused', 'SELECT 1')", qr/password authentication failed/, 'a wrong password');
fails_with($local, "SELECT enhanced_pool.exec('refused', 'SELECT 1')", qr/password authentication failed/, 'again');
is(scalar(grep { /could not connect/ } lines('refused', $mark)), 1, 'is logged once');

done_testing();
