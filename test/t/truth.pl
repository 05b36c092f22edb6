# The counters tell the truth: what pgbench has run so and so often, what the remote
# server's pg_stat_statements has counted and what the views say is the same number.
#
# What the pool itself sends is the only exception, and each of it is counted, too:
#	DISCARD ALL				reset_count
#	BEGIN, SAVEPOINT, COMMIT and the like	of sessions and of run_in_transaction
#	SELECT 1				validations and health checks: none here
# pg_stat_statements does not count statements that fail.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(remote_conf => "shared_preload_libraries = 'pg_stat_statements'");

$remote->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements; CREATE TABLE t (n int, s text); GRANT ALL ON t TO ep_user');
define_pool($local, $remote, 'p', max_size => 3, initial_size => 3, min_size => 3, validation_interval => 0, health_check_interval => 0,
	idle_timeout => 0, max_lifetime => 0);
$local->safe_psql('postgres', q{
CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM enhanced_pool.exec('p', 'SELECT 1/0');
EXCEPTION WHEN division_by_zero THEN
END $$;
SELECT enhanced_pool.exec('p', 'SELECT 0')});
ok($local->poll_query_until('postgres', "SELECT size = 3 AND idle = 3 FROM enhanced_pool.pools WHERE pool = 'p'"), 'the pool is full');

my $clients = 4;
my $each = 50;
my $n = $clients * $each;
my $dir = PostgreSQL::Test::Utils::tempdir();
my @counters = qw(query_count query_errors rows_returned acquire_count lease_count reset_count transaction_count transaction_rollbacks);

sub metrics
{
	my %value;

	# what a lease has done is counted when it has come back, and the worker has reset it
	$local->poll_query_until('postgres', "SELECT idle = size AND active = 0 FROM enhanced_pool.pools WHERE pool = 'p'") or die 'the pool does not rest';
	@value{@counters} = split /\|/, $local->safe_psql('postgres', 'SELECT ' . join(', ', @counters) . " FROM enhanced_pool.pool_metrics WHERE pool = 'p'");
	return \%value;
}

# What the remote has counted of ep_user's statements: a hash by text.  What was prepared before the counting began
# has its constants still in it.
sub without_constants { return $_[0] =~ s/\$?\b\d+\b/?/gr }

sub remote_counts
{
	my %count;

	foreach my $line (split /\n/, $remote->safe_psql('postgres',
		"SELECT calls, regexp_replace(query, '\\s+', ' ', 'g') FROM pg_stat_statements WHERE userid = 'ep_user'::regrole"))
	{
		my ($calls, $text) = $line =~ /^(\d+)\|(.*)$/ or die $line;

		$count{ without_constants($text) } += $calls;
	}
	return \%count;
}

# truth($name, $script, %expected): each counter is as often the number of transactions as expected (0 if it is not
# named); remote => what the remote has seen, each text as often.
my %total;
sub truth
{
	my ($name, $script, %expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $of_remote = delete $expected{remote};
	my %own = %{ delete $expected{own} // {} };
	my ($out, $err) = ('', '');

	append_to_file("$dir/$name.sql", "$script\n");
	$remote->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
	my $before = metrics();
	IPC::Run::run([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $each, '-f', "$dir/$name.sql", $local->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err);
	like($out, qr{number of transactions actually processed: $n/$n\b}, "$name: pgbench has run all") or diag($err);
	my $after = metrics();
	my $seen = remote_counts();
	my %grown = map { $_ => $after->{$_} - $before->{$_} } @counters;

	# what the pool sends itself
	my %wanted = map { without_constants($_) => { %$of_remote, %own }->{$_} } keys %$of_remote, keys %own;
	is_deeply(\%grown, { map { $_ => $n * ($expected{$_} // 0) } @counters }, "$name: the views have counted what pgbench has run");
	is_deeply($seen, { map { $_ => $n * $wanted{$_} } keys %wanted }, "$name: so has the remote server");

	# and both the same
	my ($calls, $theirs) = (0, 0);
	$calls += $_ foreach values %$seen;
	$theirs += $n * $_ foreach values %own;
	is($calls - $theirs, $grown{query_count} - $grown{query_errors}, "$name: all statements but those of the pool's own and those that failed");
	$total{$_} += $grown{$_} foreach @counters;
	return;
}

my %once = (query_count => 1, acquire_count => 1, lease_count => 1);
my %reset = ('DISCARD ALL' => 1);

truth('one', "SELECT enhanced_pool.exec('p', 'SELECT 1');", %once, rows_returned => 1, remote => { 'SELECT $1' => 1 });
truth('rows', "SELECT count(*) FROM enhanced_pool.execute('p', 'SELECT g FROM generate_series(1, 7) g') AS t(g int);", %once, rows_returned => 7,
	remote => { 'SELECT g FROM generate_series($1, $2) g' => 1 });
truth('parameters', "SELECT enhanced_pool.exec('p', 'INSERT INTO t VALUES (\$1, \$2)', 1, 'x'::text);", %once, remote => { 'INSERT INTO t VALUES ($1, $2)' => 1 });
truth('json', "SELECT count(*) FROM enhanced_pool.execute_json('p', 'SELECT 1 AS a, 2 AS b');", %once, rows_returned => 1, remote => { 'SELECT $1 AS a, $2 AS b' => 1 });
truth('error', 'SELECT fail();', %once, query_errors => 1, remote => {});
truth('dirty', "SELECT enhanced_pool.exec('p', 'SELECT pg_advisory_unlock_all()');", %once, rows_returned => 1, reset_count => 1,
	remote => { 'SELECT pg_advisory_unlock_all()' => 1 }, own => \%reset);
truth('lease', "BEGIN;\nSELECT enhanced_pool.acquire('p') AS l \\gset\nSELECT enhanced_pool.exec(:l, 'SELECT 1');\nSELECT enhanced_pool.exec(:l, 'SELECT 1');\nCOMMIT;",
	query_count => 2, acquire_count => 1, lease_count => 1, rows_returned => 2, reset_count => 1, remote => { 'SELECT $1' => 2 }, own => \%reset);
truth('transaction', "BEGIN;\nSELECT enhanced_pool.acquire('p') AS l \\gset\nSELECT enhanced_pool.exec(:l, 'BEGIN');\nSELECT enhanced_pool.exec(:l, 'ROLLBACK');\nCOMMIT;",
	query_count => 2, acquire_count => 1, lease_count => 1, transaction_count => 1, transaction_rollbacks => 1, reset_count => 1,
	remote => { BEGIN => 1, ROLLBACK => 1 }, own => \%reset);
truth('async', "BEGIN;\nSELECT enhanced_pool.acquire('p') AS l \\gset\nSELECT enhanced_pool.send(:l, 'SELECT 1');\nSELECT enhanced_pool.get_count(:l);\nCOMMIT;",
	%once, rows_returned => 1, reset_count => 1, remote => { 'SELECT $1' => 1 }, own => \%reset);
truth('group', "SELECT count(*) FROM enhanced_pool.run_parallel('p', ARRAY['SELECT 1', 'SELECT 2', 'SELECT 3']);",
	query_count => 3, acquire_count => 3, lease_count => 3, rows_returned => 3, remote => { 'SELECT $1' => 3 });

truth('session', "BEGIN;\nSELECT enhanced_pool.exec(enhanced_pool.session('p'), 'SELECT 1');\nSELECT enhanced_pool.exec(enhanced_pool.session('p'), 'SELECT 1');\nCOMMIT;",
	query_count => 2, acquire_count => 1, lease_count => 1, rows_returned => 2, transaction_count => 1,
	remote => { 'SELECT $1' => 2 }, own => { 'BEGIN ISOLATION LEVEL READ COMMITTED' => 1, COMMIT => 1 });
truth('together', "SELECT count(*) FROM enhanced_pool.run_in_transaction('p', ARRAY['SELECT 1', 'SELECT 2', 'SELECT 3']);",
	query_count => 3, acquire_count => 1, lease_count => 1, rows_returned => 3, transaction_count => 1,
	remote => { 'SELECT $1' => 3 }, own => { BEGIN => 1, COMMIT => 1 });

is(join(' ', map { "$_=$total{$_}" } @counters), do {
	my %all = metrics()->%*;
	# the one statement that opened the pool
	$all{$_}-- foreach 'query_count', 'rows_returned', 'acquire_count', 'lease_count';
	join(' ', map { "$_=$all{$_}" } @counters);
}, 'nothing else was counted');

# ------------------------------------------------------------------------- bytes

# What goes over the wire for a statement that is prepared already, message by message.
sub message
{
	my ($type, $format, @values) = @_;

	return 5 + length pack($format, @values);
}

my $session = start_session($local);

sub bytes
{
	return [ split /\|/, $session->query_safe("SELECT bytes_sent, bytes_received FROM enhanced_pool.pool_metrics WHERE pool = 'b'") ];
}

define_pool($local, $remote, 'b', max_size => 1, initial_size => 1, validation_interval => 0, health_check_interval => 0);
foreach my $case (
	[ q{PERFORM enhanced_pool.exec('b', 'SELECT 1')}, [], '1', 'SELECT 1' ],
	[ q{PERFORM FROM enhanced_pool.execute('b', 'SELECT 1') AS t(n int)}, [1], pack('N', 1), 'SELECT 1' ],
	[ q{PERFORM FROM enhanced_pool.execute('b', 'SELECT repeat(''x'', 5000)') AS t(s text)}, [1], 'x' x 5000, 'SELECT 1' ])
{
	my ($call, $formats, $value, $tag) = @$case;

	# at first it is prepared, and then described to a session that does not know it
	$session->query_safe("DO \$\$ BEGIN $call; $call; END \$\$");
	my $before = bytes();
	$session->query_safe("DO \$\$ BEGIN FOR i IN 1 .. 100 LOOP $call; END LOOP; END \$\$");
	my $after = bytes();
	my ($name) = 'ep_1';			# each has one digit
	my $sent = message('B', 'Z* Z* n n n (n)*', '', $name, 0, 0, scalar @$formats, @$formats) + message('E', 'Z* N', '', 0) + message('S', '');
	my $received = message('2', '') + message('D', 'n N/a*', 1, $value) + message('C', 'Z*', $tag) + message('Z', 'a', 'I');

	is($after->[0] - $before->[0], 100 * $sent, "$call: bytes sent");
	is($after->[1] - $before->[1], 100 * $received, "$call: bytes received");
}

$session->quit;
check_clean($local, $remote, 4);
done_testing();
