# The view progress: how far groups, long results and copies have come while they run.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();

define_pool($local, $remote, 'p', max_size => 4, initial_size => 4);
define_pool($local, $remote, 'q', max_size => 2, query_timeout => '1h');
$remote->safe_psql('postgres', 'CREATE TABLE filled (n int, t text); GRANT ALL ON filled TO ep_user');
$local->safe_psql('postgres', 'CREATE TABLE filled (n int, t text)');

# What waits for these goes on when the test says so.
my %gate = (remote => start_session($remote), local => start_session($local));
my $session = start_session($local);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $role = $local->safe_psql('postgres', 'SELECT current_user');
my $blocked = 'SELECT pg_advisory_xact_lock(7)';

# A thousand rows of a thousand characters, and then one more, for which somebody has to wait.
my $long = q{SELECT g, CASE WHEN g > 1000 THEN (SELECT 'x' FROM pg_advisory_xact_lock(7)) ELSE repeat('x', 1000) END FROM generate_series(1, 1001) g};

# progress_is($gate, $sql, $condition, $columns, $expected, $name): while $sql waits at the gate the view comes to
# $condition, and its columns are those; then the statement ends.
sub progress_is
{
	my ($gate, $sql, $condition, $columns, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$gate{$gate}->query_safe('SELECT pg_advisory_lock(7)');
	begin_query($session, $sql);
	ok($local->poll_query_until('postgres', "SELECT count(*) > 0 FROM enhanced_pool.progress WHERE pid = $pid AND $condition"),
		"$name: it runs")
	  or diag($local->safe_psql('postgres', 'SELECT * FROM enhanced_pool.progress'));
	is( $local->safe_psql('postgres', "SELECT $columns FROM enhanced_pool.progress WHERE pid = $pid ORDER BY kind, command, bytes_received DESC"),
		$expected, $name);
	$gate{$gate}->query_safe('SELECT pg_advisory_unlock(7)');
	my ($out, $err) = end_query($session);
	is($err, '', "$name: it ends");
	is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.progress'), '0', 'and is not shown any more');
	return;
}

my $operations = 'operations_total, operations_running, operations_done, operations_failed';
my $when = "started_at BETWEEN now() - interval '1h' AND clock_timestamp(), elapsed BETWEEN 0 AND 3600000";

# ------------------------------------------------------------------------ groups

my $whole = "kind, pool, role = '$role', lease IS NULL, command, $operations, rows IS NULL AND bytes_sent IS NULL AND bytes_received IS NULL, $when";
progress_is('remote',
	"SELECT * FROM enhanced_pool.run_parallel('p', ARRAY['SELECT 1', 'SELECT 1/0', '$blocked', '$blocked', 'SELECT 2'], max_parallel => 2, on_error => 'capture')",
	"kind = 'group' AND operations_running = 2 AND operations_done + operations_failed = 2", $whole,
	"group|p|t|t|run_parallel|5|2|1|1|t|t|t\n" . join("\n", ("statement|p|t|f|statement|||||f|t|t") x 2),
	'a group and its operations');
progress_is('remote',
	"SELECT * FROM enhanced_pool.broadcast(ARRAY['p', 'q'], '$blocked')",
	"kind = 'group' AND operations_running = 2", "kind, coalesce(pool, '(several)') IN ('(several)', 'p', 'q'), pool IS NULL, role IS NULL, datname, command, $operations",
	"group|t|t|t|postgres|broadcast|2|2|0|0\n" . join("\n", ("statement|t|f|f|postgres|statement||||") x 2), 'a group on several pools');
progress_is('remote', "SELECT * FROM enhanced_pool.run_in_transaction('q', ARRAY['SELECT 1', 'SELECT 2', '$blocked', 'SELECT 3'])",
	"command = 'run_in_transaction' AND operations_done = 2", "kind, pool, lease > 0, $operations, $when", "statement|q|t|4|1|2||t|t", 'a transaction');
progress_is('remote', "SELECT * FROM enhanced_pool.run_script('p', 'SELECT repeat(''x'', 100000); SELECT 1; $blocked')",
	"command = 'run_script' AND bytes_received > 50000", "kind, operations_total IS NULL, operations_running IS NULL, operations_done BETWEEN 0 AND 2, operations_failed IS NULL",
	"statement|t|t|t|t", 'a script');

# ----------------------------------------------------------------- long results

my $quoted = $long =~ s/'/''/gr;
# what the remote has not sent yet is less than a buffer of 8 kB
my $most = 'rows BETWEEN 980 AND 1000';
progress_is('remote', "SELECT count(*) FROM enhanced_pool.execute('p', '$quoted') AS t(g int, t text)", $most,
	"kind, command, lease > 0, bytes_received BETWEEN rows * 1000 AND rows * 1000 + 100000, bytes_sent BETWEEN 100 AND 1000, $when",
	'statement|statement|t|t|t|t|t', 'a long result');
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('p') AS lease \\gset");
progress_is('remote', "SELECT count(*) FROM enhanced_pool.execute(:lease, '$quoted') AS t(g int, t text)", $most,
	"kind, lease = (SELECT l.lease FROM enhanced_pool.leases l WHERE l.pid = $pid)", 'lease|t', 'the same on a lease');
$session->query_safe('COMMIT');

# ----------------------------------------------------------------------- copies

progress_is('local', "SELECT enhanced_pool.copy_to('p', 'filled', '$quoted')", 'rows >= 900',
	"command, rows BETWEEN 900 AND 1000, bytes_sent BETWEEN 800 * 1000 AND 1100 * 1000, $operations", 'copy_to|t|t||||', 'copy_to');
is($remote->safe_psql('postgres', 'SELECT count(*) FROM filled'), '1001', 'it has sent all');
progress_is('remote', "SELECT enhanced_pool.copy_from('p', '$quoted', 'filled')", 'rows >= 900',
	"command, rows BETWEEN 900 AND 1000, bytes_received BETWEEN 900 * 1000 AND 1100 * 1000, $operations", 'copy_from|t|t||||', 'copy_from');
is($local->safe_psql('postgres', 'SELECT count(*) FROM filled'), '1001', 'it has received all');
is($local->safe_psql('postgres', "SELECT sum(rows_returned) >= 1001 * 3 FROM enhanced_pool.pool_metrics WHERE pool = 'p'"), 't', 'and the rows count once');

# ------------------------------------------------------- what ends with an error

$gate{remote}->query_safe('SELECT pg_advisory_lock(7)');
foreach my $end ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $victim = start_session($local);
	my $victim_pid = $victim->query_safe('SELECT pg_backend_pid()');

	begin_query($victim, "SELECT * FROM enhanced_pool.run_parallel('p', ARRAY['$blocked', 'SELECT 1'])");
	ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.progress WHERE pid = $victim_pid AND kind = 'group' AND operations_done = 1"),
		'a group runs');
	$local->safe_psql('postgres', "SELECT $end($victim_pid)");
	ok($local->poll_query_until('postgres', "SELECT count(*) = 0 FROM enhanced_pool.progress WHERE pid = $victim_pid"), "after $end it is not shown any more");
	eval { $victim->quit };
}
$gate{remote}->query_safe('SELECT pg_advisory_unlock(7)');

$_->quit foreach $session, values %gate;
check_clean($local, $remote, 6);
done_testing();
