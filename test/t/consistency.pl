# While everything happens at once, each pool's numbers agree at every moment:
# its size is the sum of what is in each state, its counters are those of what is
# there, its leased connections have holders.
#
# Samplers ask in one statement again and again, and each row that does not agree
# is kept.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => 'enhanced_pool.workers = 2');

# one that is busy and has all kinds of use, one that resets always and is full, one that is hardly used
define_pool($local, $remote, 'mixed', max_size => 6, max_overflow => 2, min_size => 1, initial_size => 3, max_sessions => 3, min_sessions => 1,
	dynamic_scaling_enabled => 'on', scaling_cool_down => '100ms', idle_timeout => '200ms', max_lifetime => '500ms', validation_interval => '20ms');
define_pool($local, $remote, 'narrow', max_size => 2, initial_size => 2, reset => 'always', strategy => 'low_latency');
define_pool($local, $remote, 'checked', max_size => 2, initial_size => 0, min_size => 0, idle_timeout => '100ms', health_check_interval => '50ms', dbname => 'template1');

# ------------------------------------------------------------------- the samplers

$local->safe_psql('postgres', q{
CREATE TABLE done (yes bool);
CREATE TABLE disagreement (pool text, sample jsonb);
CREATE TABLE seen (pool text, samples bigint, connecting int, idle int, active int, cancelling int, resetting int, validating int, closing int,
	checking int, sessions int, kept int, waiting int);
CREATE PROCEDURE sample() LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE s (LIKE seen);
	WHILE NOT EXISTS (SELECT FROM done) LOOP
		FOR i IN 1 .. 500 LOOP
			WITH x AS MATERIALIZED (SELECT * FROM enhanced_pool._pool_states()),
			wrong AS (INSERT INTO disagreement SELECT pool, to_jsonb(x) FROM x
				WHERE NOT agrees OR size <> connecting + idle + active + cancelling + resetting + validating + broken + closing + checking
				OR sessions > active OR kept > size OR least(size, waiting, kept, checking) < 0)
			INSERT INTO s SELECT pool, 1, connecting, idle, active, cancelling, resetting, validating, broken + closing, checking, sessions, kept, waiting FROM x;
		END LOOP;
		INSERT INTO seen SELECT pool, sum(samples), max(connecting), max(idle), max(active), max(cancelling), max(resetting), max(validating), max(closing),
			max(checking), max(sessions), max(kept), max(waiting) FROM s GROUP BY pool;
		TRUNCATE s;
		COMMIT;
	END LOOP;
END $$;});

# ----------------------------------------------------------------------- the load

my %scripts = (
	one => "SELECT enhanced_pool.exec('mixed', 'SELECT 1');",
	full => "SELECT enhanced_pool.exec('narrow', 'SELECT pg_sleep(0.001)');",
	dirty => "SELECT enhanced_pool.exec('mixed', 'SET work_mem = 1024');",
	lease => "BEGIN;\nSELECT enhanced_pool.acquire('mixed') AS lease \\gset\nSELECT enhanced_pool.exec(:lease, 'SELECT 1');\nSELECT enhanced_pool.release(:lease);\nCOMMIT;",
	session => "BEGIN;\nSELECT enhanced_pool.exec(enhanced_pool.session('mixed'), 'SELECT 1');\nCOMMIT;",
	group => "SELECT count(*) FROM enhanced_pool.run_parallel('mixed', ARRAY['SELECT 1', 'SELECT 2', 'SELECT 3'], on_error => 'capture');",
	together => "SELECT count(*) FROM enhanced_pool.run_in_transaction('mixed', ARRAY['SELECT 1', 'SELECT 2']);",
	cancel => "SELECT give_up();",
	error => "SELECT go_wrong();",
	rarely => "SELECT enhanced_pool.exec('checked', 'SELECT 1');",
	terminate => "SELECT count(enhanced_pool.terminate_connection(conn_id)) FROM (SELECT conn_id FROM enhanced_pool.connection_metrics ORDER BY random() LIMIT 1) x;",
	recycle => "SELECT count(*) FROM (SELECT enhanced_pool.recycle('mixed')) x;");
$local->safe_psql('postgres', q{
CREATE FUNCTION give_up() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count(*) FROM enhanced_pool.run_parallel('mixed', ARRAY['SELECT pg_sleep(10)'], timeout => '20ms', on_error => 'capture');
END $$;
CREATE FUNCTION go_wrong() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM enhanced_pool.exec(enhanced_pool.acquire('mixed'), 'BEGIN');
	RAISE 'and the lease goes back';
EXCEPTION WHEN OTHERS THEN
END $$;});
my @files;
my $dir = PostgreSQL::Test::Utils::tempdir();
foreach my $name (sort keys %scripts)
{
	my $weight = { one => 30, full => 20, terminate => 1, recycle => 1 }->{$name} // 5;

	# whatever ends one of them, terminated connections above all, the others go on
	append_to_file("$dir/$name.sql", $scripts{$name} . "\n");
	push @files, '-f', "$dir/$name.sql\@$weight";
}

my @samplers = map {
	start([ 'psql', '-X', '-q', '-d', $local->connstr('postgres'), '-v', 'ON_ERROR_STOP=1', '-c', 'CALL sample()' ], '<', \undef, '>', \my $out, '2>', \my $err)
} 1 .. 2;
ok($local->poll_query_until('postgres', 'SELECT count(*) > 0 OR (SELECT count(*) FROM pg_stat_activity WHERE query LIKE $$CALL sample%$$) = 2 FROM seen'), 'the samplers run');

# a client ends with the first error that it sees, so they are many, and again and again new ones
my $transactions = 0;
foreach my $round (1 .. 3)
{
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'pgbench', '-n', '-c', 12, '-j', 2, '-t', 120, @files, $local->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err);
	$transactions += $1 if $out =~ /number of transactions actually processed: (\d+)/;
	unlike($err, qr/(?:PANIC|server closed the connection|55000)/, "round $round: no session is lost");
}
cmp_ok($transactions, '>', 500, 'there was a load');
$local->safe_psql('postgres', 'INSERT INTO done VALUES (true)');
ok(finish($_), 'a sampler ends well') foreach @samplers;

# --------------------------------------------------------------- what came of it

is($local->safe_psql('postgres', 'SELECT pool, sample FROM disagreement LIMIT 5'), '', 'the numbers have always agreed');
my $seen = $local->safe_psql('postgres', q{
SELECT sum(samples) > 1000, max(connecting) > 0, max(idle) > 0, max(active) > 1, max(cancelling) > 0, max(resetting) > 0, max(closing) > 0,
	max(sessions) > 0, max(kept) > 0, max(waiting) > 0 FROM seen WHERE pool <> 'checked'});
is($seen, join('|', ('t') x 10), 'and everything has been seen')
  or diag($local->safe_psql('postgres', 'SELECT pool, sum(samples), max(connecting), max(idle), max(active), max(cancelling), max(resetting), max(validating), max(closing), max(checking), max(sessions), max(kept), max(waiting) FROM seen GROUP BY pool'));
is($local->safe_psql('postgres', "SELECT max(checking) FROM seen WHERE pool = 'checked'"), '1', 'health checks, too');

# at rest the views say the same, each by itself
ok( $local->poll_query_until('postgres', q{
	SELECT bool_and(p.size = s.size AND p.idle = s.idle AND p.active = s.active AND p.connecting = s.connecting AND p.waiting = s.waiting
		AND m.size = s.size AND m.idle = s.idle AND m.active = s.active AND s.active = 0
		AND s.size = (SELECT count(*) FROM enhanced_pool.connection_metrics c WHERE c.pool = p.pool AND c.role = p.role)
		AND m.total_created - m.total_closed = s.size - s.connecting - s.checking)
	FROM enhanced_pool.pools p JOIN enhanced_pool.pool_states s USING (datname, pool, role) JOIN enhanced_pool.pool_metrics m USING (datname, pool, role)}),
	'so do the other views, when nothing happens')
  or diag($local->safe_psql('postgres', 'SELECT * FROM enhanced_pool.pool_states'));

check_clean($local, $remote, 12);
done_testing();
