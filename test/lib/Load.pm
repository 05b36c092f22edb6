# Load.pm: many sessions that write through a pool again and again, whatever happens,
# and what came of it.
#
#	my $load = start_load($local, 'p', 20);
#	...
#	load_goes_on($load, 'writes go on');
#	stop_load($load);
#	my %errors = load_errors($load);
#
# Each statement that the pool does not carry out is counted by its SQLSTATE, and the
# session goes on after a moment.  What is written goes to the remote's table w.

package Load;

use strict;
use warnings;

use Exporter 'import';
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_load stop_load load_done load_goes_on load_errors tell_errors);

my $functions = <<'SQL';
CREATE UNLOGGED TABLE IF NOT EXISTS load_error (pool text, state text, message text);
CREATE OR REPLACE FUNCTION load_write(pool text, done text, sql text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  state text; message text;
BEGIN
  PERFORM enhanced_pool.exec(pool, sql);
  PERFORM nextval(done::regclass);
EXCEPTION WHEN query_canceled OR OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
  INSERT INTO load_error VALUES (pool, state, message);
  PERFORM pg_sleep(0.05);
END $$;
SQL

# start_load($node, $pool, $clients [, $sql]): begins, and waits until it runs.
sub start_load
{
	my ($node, $pool, $clients, $sql) = @_;
	my %load = (node => $node, pool => $pool, out => '', err => '');
	my $script = PostgreSQL::Test::Utils::tempdir() . "/$pool.sql";

	$sql //= 'INSERT INTO w DEFAULT VALUES';
	$sql =~ s/'/''/g;
	$node->safe_psql('postgres', $functions . "CREATE SEQUENCE IF NOT EXISTS load_done_$pool");
	append_to_file($script, "SELECT load_write('$pool', 'load_done_$pool', '$sql');\n");
	$load{run} = start([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', 600, '-f', $script, $node->connstr('postgres') ],
		'<', \undef, '>', \$load{out}, '2>', \$load{err});
	load_goes_on(\%load, "$clients sessions write through pool $pool");
	return \%load;
}

# How many statements have succeeded.
sub load_done
{
	my ($load) = @_;

	return $load->{node}->safe_psql('postgres', "SELECT last_value FROM load_done_$load->{pool}");
}

# Waits until so many more have.
sub load_goes_on
{
	my ($load, $name, $n) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = load_done($load);

	$n //= 100;
	ok(poll_until(sub { load_done($load) >= $before + $n }), $name)
	  or diag($load->{node}->safe_psql('postgres', 'SELECT * FROM enhanced_pool.pools'), "\n$load->{err}");
	return;
}

# Ends the sessions; none of them must have ended before.
sub stop_load
{
	my ($load) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$load->{run}->pump_nb;
	ok($load->{run}->pumpable, "all sessions of pool $load->{pool} are still there") or diag($load->{err});
	unlike($load->{err}, qr/aborted/, 'with no error that they do not count');
	$load->{run}->kill_kill;
	ok( $load->{node}->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pgbench' AND query LIKE '%''$load->{pool}''%'"),
		'they end');
	return;
}

# How often each SQLSTATE was seen.
sub load_errors
{
	my ($load) = @_;

	return map { split /\|/ } split /\n/,
	  $load->{node}->safe_psql('postgres', "SELECT state, count(*) FROM load_error WHERE pool = '$load->{pool}' GROUP BY 1");
}

# tell_errors($load, $allowed): prints them; all must be among the allowed ones.
sub tell_errors
{
	my ($load, $allowed) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %errors = load_errors($load);

	diag("pool $load->{pool}: " . load_done($load) . ' statements, errors: '
		  . (join(', ', map { "$errors{$_} x $_" } sort keys %errors) || 'none'));
	is(join(' ', grep { !/^(?:$allowed)$/ } sort keys %errors), '', "pool $load->{pool}: no error but $allowed")
	  or diag($load->{node}->safe_psql('postgres', "SELECT DISTINCT state, message FROM load_error WHERE pool = '$load->{pool}'"));
	return;
}

1;
