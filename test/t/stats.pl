# Histograms, percentiles and the last hour of a pool: many sessions, statements
# that are interrupted, the clock's tens of seconds, the line in the log, statistics
# switched off, what is left after a pool was closed and after a crash.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => 'log_min_messages = debug1');

sub ask { return $local->safe_psql('postgres', $_[0]) }

# metrics_are(pool, what, expected, name): of pool_metrics, as soon as it is so.
sub metrics_are
{
	my ($pool, $what, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sql = "SELECT $what FROM enhanced_pool.pool_metrics WHERE pool = '$pool'";

	$local->poll_query_until('postgres', $sql, $expected);
	is(ask($sql), $expected, $name);
	return;
}

# What the histogram has of a kind: how many, and how long together.
sub kind
{
	my ($pool, $kind) = @_;

	return "(SELECT coalesce(sum(count), 0) FROM enhanced_pool.latency_histogram h WHERE h.pool = '$pool' AND h.kind = '$kind')";
}

sub time_of
{
	my ($pool, $kind) = @_;

	return "(SELECT coalesce(sum(sum), 0) FROM enhanced_pool.latency_histogram h WHERE h.pool = '$pool' AND h.kind = '$kind')";
}

# ------------------------------------------------------------ the last hour begins

# It goes on in the background from here on: rows come each 10 s.
my %keep = (max_size => 2, initial_size => 2, min_size => 2, health_check_interval => 0);
define_pool($local, $remote, 'h1', %keep);
define_pool($local, $remote, 'h2', %keep);
define_pool($local, $remote, 'off', %keep, stats_enabled => 'off');
ask("SELECT enhanced_pool.exec('$_', 'SELECT 1')") foreach 'h1', 'h2', 'off';
my $holder = start_session($local);
my $lease = $holder->query_safe("SELECT enhanced_pool.acquire('h1', hold => true)");

# ---------------------------------------------------------------- many sessions

define_pool($local, $remote, 'busy', max_size => 2, initial_size => 2, min_size => 2, health_check_interval => 0, validation_interval => 0);
my $script = PostgreSQL::Test::Utils::tempdir() . '/script';
append_to_file($script, "SELECT enhanced_pool.exec('busy', 'SELECT pg_sleep(0.001)');\n");
my @pgbench = ('pgbench', '-n', '-c', 8, '-j', 2, '-t', 100, '-f', $script, '-d', $local->connstr('postgres'));
command_ok([@pgbench], 'eight sessions, a hundred statements each');
metrics_are('busy', 'query_count, query_errors, acquire_count, lease_count, rows_returned, acquire_timeouts, transaction_count', '800|0|800|800|800|0|0', 'each is counted');
is(ask("SELECT (@{[kind('busy', 'acquire')]}, @{[kind('busy', 'query')]}, @{[kind('busy', 'lease')]}) = (800, 800, 800)"), 't', 'and is in the histograms');
metrics_are('busy', "total_created = @{[kind('busy', 'connect')]} AND total_created >= 2 AND @{[time_of('busy', 'connect')]} > 0", 't', 'and so is each connection');
metrics_are('busy', "abs(total_query_time - @{[time_of('busy', 'query')]}) < 0.01 AND abs(total_lease_time - @{[time_of('busy', 'lease')]}) < 0.01",
	't', 'times add up');
# some waits did not end with a connection at once, and went on
metrics_are('busy', "wait_count > 0 AND abs(total_wait_time - @{[time_of('busy', 'acquire')]}) < 0.01", 't', 'and so do waits');
metrics_are('busy', 'p50_query_time BETWEEN 1 AND p95_query_time AND p95_query_time <= p99_query_time AND p99_query_time <= max_query_time',
	't', 'percentiles of statements');
metrics_are('busy', 'p50_wait_time <= p95_wait_time AND p95_wait_time <= p99_wait_time AND p99_wait_time <= max_wait_time AND p99_wait_time > 0',
	't', 'percentiles of waits');
ask("SELECT enhanced_pool.reset_stats('busy')");
metrics_are('busy', 'query_count, p50_query_time IS NULL AND p99_wait_time IS NULL', '0|t', 'reset_stats: nothing any more');

# waits that end without a connection count, too
my $hold = start_session($local);
$hold->query_safe("SELECT enhanced_pool.acquire('busy', hold => true), enhanced_pool.acquire('busy', hold => true)");
fails_with($local, "SELECT enhanced_pool.acquire('busy', timeout => '200ms')", qr/53300/, 'no connection in time');
metrics_are('busy', 'acquire_timeouts, wait_count, p50_wait_time >= 200 * 15 / 16.0 AND p50_wait_time <= max_wait_time', '1|1|t', 'that wait is known');
is(ask("SELECT @{[kind('busy', 'acquire')]}"), 2, 'acquires are those that got a connection');
$hold->query_safe('SELECT enhanced_pool.release_all()');

# ------------------------------------------------------- what ends in the middle

ask("SELECT enhanced_pool.reset_stats('busy')");
my $counted = 'query_count, query_errors';

# A statement that sleeps on the remote, once it does; returns its local process.
my $background;

sub in_background
{
	my ($sql) = @_;

	$background = start([ 'psql', '-X', '-q', '-A', '-t', '-d', $local->connstr('postgres'), '-c', $sql ], '<', \undef, '>', \my $out, '2>', \my $err);
	$local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE pool = 'busy' AND state = 'active'");
	$remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active' AND query ~ 'sleep'");
	return ask("SELECT pid FROM enhanced_pool.leases WHERE pool = 'busy'");
}

my $pid = in_background("SELECT enhanced_pool.exec('busy', 'SELECT pg_sleep(600)')");
ask("SELECT pg_cancel_backend($pid)");
finish($background);
metrics_are('busy', $counted, '1|1', 'one that is cancelled counts');
$pid = in_background("SELECT enhanced_pool.exec('busy', 'SELECT pg_sleep(600)')");
ask("SELECT pg_terminate_backend($pid)");
finish($background);
metrics_are('busy', $counted, '2|2', 'one whose session is ended counts');
in_background("SELECT enhanced_pool.exec('busy', 'SELECT pg_sleep(600)')");
$remote->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active' AND query ~ 'sleep'");
finish($background);
metrics_are('busy', $counted, '3|3', 'one whose connection is ended counts');
$pid = in_background("SELECT enhanced_pool.run_parallel('busy', ARRAY['SELECT 1', 'SELECT pg_sleep(600)'])");
ask("SELECT pg_cancel_backend($pid)");
finish($background);
metrics_are('busy', $counted, '5|4', 'operations of a group that is cancelled count');
$pid = in_background("SELECT enhanced_pool.run_in_transaction('busy', ARRAY['SELECT 1', 'SELECT pg_sleep(600)', 'SELECT 2'])");
ask("SELECT pg_cancel_backend($pid)");
finish($background);
# the answers come together, so of those that have ended nothing is known yet
metrics_are('busy', $counted, '6|5', 'and the first of a transaction that has no answer');
is(ask("SELECT @{[kind('busy', 'query')]}"), 6, 'all of them in the histogram');

# a transaction's operations are seen while it goes on, where the remote is asked for each
ask("SELECT enhanced_pool.reset_stats('busy')");
$pid = in_background("SET enhanced_pool.query_timeout = '1h'; SELECT enhanced_pool.run_in_transaction('busy', array_fill('SELECT pg_sleep(0.3)'::text, ARRAY[1000]))");
ok($local->poll_query_until('postgres', "SELECT query_count > 0 FROM enhanced_pool.pool_metrics WHERE pool = 'busy'"), 'operations that have ended are counted meanwhile');
ask("SELECT pg_cancel_backend($pid)");
finish($background);
metrics_are('busy', 'query_errors', '1', 'and in the end the one that was cut short');

# ------------------------------------------------------------- the line in the log

my $from = -s $local->logfile;
ask("ALTER SERVER busy OPTIONS (ADD stats_emit_interval '500ms')");
ask("SELECT enhanced_pool.exec('busy', 'SELECT 1')");
my $number = qr/\d+\.\d+/;
my $line = qr/DEBUG:  pool "busy", role "[^"]+", database "postgres": size 2, active \d, idle \d, waiting 0; $number acquires\/s, $number waits\/s, $number queries\/s, $number errors\/s; average wait $number ms, lease $number ms, query $number ms; \d+ time-outs, \d+ connection errors/;
$local->wait_for_log(qr/$line.*$line/s, $from);
pass('a line about the pool, again and again');
unlike(slurp_file($local->logfile, $from), qr/DEBUG:  pool "off", role/, 'none of a pool without statistics');
ask("ALTER SERVER busy OPTIONS (SET stats_emit_interval '0')");
ask("SELECT enhanced_pool.exec('busy', 'SELECT 1')");
ask("ALTER SERVER h1 OPTIONS (ADD stats_emit_interval '500ms')");
$from = -s $local->logfile;
ask("SELECT enhanced_pool.exec('h1', 'SELECT 1')");
my $other = qr/DEBUG:  pool "h1", role/;
$local->wait_for_log(qr/$other.*$other/s, $from);
unlike(slurp_file($local->logfile, $from), qr/DEBUG:  pool "busy", role/, 'none with an interval of 0');

# ---------------------------------------------------------------- the last hour

ok($local->poll_query_until('postgres', "SELECT count(*) >= 2 FROM enhanced_pool.load_history WHERE pool = 'h1'"), 'rows come');
is( ask(q{SELECT bool_and(extract(epoch FROM at)::bigint % 10 = 0 AND extract(epoch FROM at) = extract(epoch FROM at)::bigint),
		bool_and(size = 2 AND active = 1 AND waiting = 0) FILTER (WHERE at > (SELECT min(at) FROM enhanced_pool.load_history WHERE pool = 'h1')), bool_and(at BETWEEN clock_timestamp() - interval '1 hour' AND clock_timestamp())
		FROM enhanced_pool.load_history WHERE pool = 'h1'}),
	't|t|t', 'at tens of seconds, with the numbers of the pool');
is(ask(q{SELECT count(*) FROM (SELECT at - lag(at) OVER (ORDER BY at) AS distance FROM enhanced_pool.load_history WHERE pool = 'h1') x WHERE distance <> '10s'}),
	0, 'one after the other');
is(ask(q{SELECT count(*) FROM enhanced_pool.load_history a JOIN enhanced_pool.load_history b USING (at) WHERE a.pool = 'h1' AND b.pool = 'h2'}) >= 2, 1, 'those of several pools line up');
is(ask(q{SELECT array_agg(at) = array_agg(at ORDER BY at) FROM enhanced_pool.load_history WHERE pool = 'h1'}), 't', 'the oldest first');
# h2: one statement so far, and it was in the first row
is(ask(q{SELECT sum(queries), count(*) FILTER (WHERE queries > 0), count(*) FILTER (WHERE (avg_query_time IS NULL) <> (queries = 0)) FROM enhanced_pool.load_history WHERE pool = 'h2'}),
	'1|1|0', 'statements are counted in the 10 s that they end in');
is(ask(q{SELECT abs(avg_query_time - (SELECT avg_query_time FROM enhanced_pool.pool_metrics WHERE pool = 'h2')) < 0.001 FROM enhanced_pool.load_history WHERE pool = 'h2' AND queries > 0}),
	't', 'with their time');
is(ask(q{SELECT count(*) FROM enhanced_pool.load_history WHERE pool = 'off'}), 0, 'none of a pool without statistics');

# reset_stats leaves it; switched off by a parameter there are no more
ask('SELECT enhanced_pool.reset_stats()');
cmp_ok(ask("SELECT count(*) FROM enhanced_pool.load_history WHERE pool = 'h2'"), '>=', 2, 'reset_stats leaves the history');
ask("ALTER SERVER h2 OPTIONS (ADD stats_enabled 'on')");
ask("SELECT enhanced_pool.exec('h2', 'SELECT 1')");
$local->append_conf('postgresql.conf', 'enhanced_pool.stats_enabled = off');
$local->reload;
ok($local->poll_query_until('postgres', "SELECT value = 'off' FROM enhanced_pool.config WHERE pool = 'h1' AND name = 'stats_enabled'"), 'statistics are off by a parameter');
my $last = ask("SELECT max(at) FROM enhanced_pool.load_history WHERE pool = 'h1'");
ok($local->poll_query_until('postgres', "SELECT count(*) > 0 FROM enhanced_pool.load_history WHERE pool = 'h2' AND at > '$last'::timestamptz + interval '10 s'"), 'one pool goes on');
is(ask("SELECT count(*) FROM enhanced_pool.load_history WHERE pool = 'h1' AND at > '$last'::timestamptz + interval '5 s'"), 0, 'the other does not');
my $before = ask("SELECT query_count, acquire_count FROM enhanced_pool.pool_metrics WHERE pool = 'h1'");
ask("SELECT enhanced_pool.exec('h1', 'SELECT 1')");
is(ask("SELECT query_count, acquire_count FROM enhanced_pool.pool_metrics WHERE pool = 'h1'"), $before, 'nor counts');
$local->append_conf('postgresql.conf', 'enhanced_pool.stats_enabled = on');
$local->reload;
$holder->query_safe("SELECT enhanced_pool.release($lease)");

# closed, and opened again
ask("SELECT enhanced_pool.close_pool('h2')");
ok($local->poll_query_until('postgres', "SELECT count(*) = 0 FROM enhanced_pool.pool_metrics WHERE pool = 'h2'"), 'a pool is closed');
ask("SELECT enhanced_pool.exec('h2', 'SELECT 1')");
is(ask("SELECT (SELECT count(*) FROM enhanced_pool.load_history WHERE pool = 'h2' AND queries > 1), @{[kind('h2', 'query')]}"), '0|1', 'and begins anew');

check_clean($local, $remote, 100);

# a crash: all begins anew
$local->append_conf('postgresql.conf', 'restart_after_crash = on');
$local->reload;
my $victim = start_session($local);
kill 'KILL', $victim->query_safe('SELECT pg_backend_pid()');
ok($local->poll_query_until('postgres', "SELECT pg_postmaster_start_time() IS NOT NULL AND count(*) = 0 FROM enhanced_pool.load_history"), 'a crash restart: no history');
ask("SELECT enhanced_pool.exec('h1', 'SELECT 1')");
is(ask("SELECT query_count, @{[kind('h1', 'query')]}, @{[kind('h1', 'acquire')]} FROM enhanced_pool.pool_metrics WHERE pool = 'h1'"), '1|1|1', 'counting begins at zero');
eval { $victim->quit };
eval { $holder->quit };
eval { $hold->quit };

$local->stop;
$remote->stop;
done_testing();
