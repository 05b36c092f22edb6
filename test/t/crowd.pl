# Many backends on few connections: no answer is lost, none reaches somebody
# else, whatever is cancelled or times out in between.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Crowd;
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $max_size = 10;
my $overflow = 2;
my ($local, $remote) = start_pair();

$local->safe_psql('postgres', "CREATE ROLE $_ LOGIN") foreach 'ann', 'bob';
# initial_size: all connections are there when the worker's descriptors are counted.
foreach my $reset ('auto', 'always')
{
	define_pool($local, $remote, $reset,
		for => 'PUBLIC', max_size => $max_size, max_overflow => $overflow, reset => $reset,
		initial_size => $max_size, min_size => $max_size);
	$local->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER $reset TO PUBLIC");
}

$local->safe_psql('postgres', $crowd_functions);

$local->safe_psql('postgres', "SELECT ask('$_', 3)") foreach 'auto', 'always';
ok( $local->poll_query_until(
		'postgres', "SELECT count(*) = 2 FROM enhanced_pool.pools WHERE idle >= $max_size"),
	'the pools are filled');
my $baseline = worker_surplus($local);

my %scripts = (
	ask => q{SELECT ask(:pool, :n)},
	lease => q{BEGIN; SELECT ask_lease(:pool); COMMIT},
	clean => q{SELECT ask_clean(:pool)},
	break => q{\set how random(1, 4)
BEGIN; SELECT break_off(:pool, :how); COMMIT});
foreach my $name (keys %scripts)
{
	foreach my $pool ('auto', 'always')
	{
		(my $text = $scripts{$name}) =~ s/:pool/'$pool'/g;
		append_to_file($local->basedir . "/$name.$pool", "\\set n random(1, 50)\n" . join(";\n", split /;/, $text) . ";\n");
	}
}

# Statements that are cut off at any moment: their errors are expected, so
# that psql runs them.
my $cut = '';
foreach my $n (1 .. 150)
{
	my $pool = $n % 2 ? 'auto' : 'always';
	my $ms = 1 + $n % 7;

	$cut .= "SET statement_timeout = $ms;\n"
	  . "SELECT count(*) FROM enhanced_pool.execute('$pool', 'SELECT \$1 FROM generate_series(1, 20000)', '$n') AS t(n text);\n"
	  . "SET statement_timeout = 0; SELECT ask('$pool', 2);\n";
}
my @cutters = map {
	my $run = { in => "\\set VERBOSITY verbose\n$cut", out => '', err => '' };
	$run->{harness} = start([ 'psql', '-XAtq', '-d', $local->connstr('postgres'), '-U', $_ ], '<', \$run->{in}, '>', \$run->{out}, '2>', \$run->{err});
	$run;
} ('ann', 'bob', 'ann');

# Somebody cancels what runs, at random.
my $canceller = start([ 'psql', '-XAtq', '-d', $local->connstr('postgres'), '-c',
		q{DO $$ BEGIN
  FOR i IN 1 .. 400 LOOP
    PERFORM pg_cancel_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'psql' AND usename IN ('ann', 'bob') AND state = 'active' AND random() < 0.3;
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_sleep(0.005);
  END LOOP;
END $$} ], '<', \undef, '>', \my $canceller_out, '2>', \my $canceller_err);

my %crowd;
foreach my $role ('ann', 'bob')
{
	my $run = { out => '' };
	$run->{harness} = start([ 'pgbench', '-n', '-h', $local->host, '-p', $local->port, '-U', $role,
			'-c', 97, '-j', 2, '-t', 60,
			(map { ('-f', $local->basedir . "/$_") } map { ("ask.$_\@6", "lease.$_\@3", "clean.$_\@2", "break.$_\@1") } 'auto', 'always'),
			'postgres' ],
		'<', \undef, '>&', \$run->{out});
	$crowd{$role} = $run;
}
# The most connections that the remote ever saw; it looks itself, again and again.
my $most = 0;
my $bound = 2 * ($max_size + $overflow) + 2;
while (grep { $_->{harness}->pumpable && ($_->{harness}->pump_nb || 1) } values %crowd)
{
	my $n = remote_connections($remote);
	$most = $n if $n > $most;
}
foreach my $role (sort keys %crowd)
{
	ok(finish($crowd{$role}{harness}), "no answer of $role was lost or crossed")
	  or diag($crowd{$role}{out});
	like($crowd{$role}{out}, qr{actually processed: 5820/5820}, "$role got all of them");
}
foreach my $run (@cutters)
{
	ok(finish($run->{harness}), 'statements that were cut off went on');
	unlike($run->{err}, qr/ERROR:  (?!57014)/, 'and nothing but cancels was reported');
	like($run->{err}, qr/57014/, 'some of them');
}
finish($canceller);
cmp_ok($most, '<=', $bound, 'the remote never saw more connections than allowed');
is( $local->safe_psql(
		'postgres', 'SELECT count(*) FROM enhanced_pool.pool_metrics WHERE active <> 0 OR acquire_count < 5000 OR wait_count = 0'),
	'0', 'they shared connections, waited, and gave all back');
$local->safe_psql('postgres', "SELECT ask('$_', 3)") foreach 'auto', 'always';

check_clean($local, $remote, 2 * ($max_size + $overflow), $baseline);
ok(!$local->log_contains(qr/PANIC|FATAL:  (?!canceling|terminating)|TRAP/), 'nothing bad in the log');

done_testing();
