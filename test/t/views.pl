# The views: pools of other databases, waiters, queries that change while they
# are read, and a server that does not preload the library.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();

# A statement that goes on while the test does: returns what finish takes.
sub in_background
{
	my ($sql) = @_;

	return start([ 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', $local->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \my $out, '2>', \my $err);
}

# ------------------------------------------------------- pools of other databases

$local->safe_psql('postgres', 'CREATE DATABASE other');
$local->safe_psql('postgres',
	"CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
$local->safe_psql('postgres', "CREATE DATABASE utf8 ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0");
$local->safe_psql($_, 'CREATE EXTENSION enhanced_pool') foreach 'other', 'utf8', 'latin';
define_pool($local, $remote, 'used', db => 'other', connect_query => "SET a.b = 'c'", initial_size => 1);
define_pool($local, $remote, 'unused', db => 'other');

is($local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.pools WHERE datname = 'other'"),
	0, 'closed pools of other databases are not listed');
is($local->safe_psql('other', 'SELECT pool, state FROM enhanced_pool.pools ORDER BY pool'),
	"unused|closed\nused|closed", 'those of the current database are');

$local->safe_psql('other', "SELECT enhanced_pool.exec('used', 'SELECT 1')");
my %reached = remote_options($remote);
my $host = $reached{host};
my $options = join(', ', map { "$_ ''$reached{$_}''" } sort keys %reached);
my $seen = q{SELECT pool, remote_user, host, state, size > 0,
  (SELECT value FROM enhanced_pool.config c WHERE c.datname = 'other' AND c.name = 'connect_query'),
  (SELECT count(*) > 10 FROM enhanced_pool.config c WHERE c.datname = 'other'),
  (SELECT count(*) FROM enhanced_pool.pool_metrics m WHERE m.datname = 'other'),
  (SELECT min(m.host) FROM enhanced_pool.connection_metrics m WHERE m.datname = 'other')
  FROM enhanced_pool.pools WHERE datname = 'other'};
is($local->safe_psql('postgres', $seen),
	"used|ep_user|$host|active|t|SET a.b = 'c'|t|1|$host",
	'a superuser sees the open pools of other databases');

# whoever may use it there: here his rights there are not known
$local->safe_psql('postgres', 'CREATE ROLE somebody LOGIN');
$local->safe_psql('other', 'GRANT USAGE ON FOREIGN SERVER used TO somebody');
is($local->safe_psql('postgres', "SET ROLE somebody; $seen"),
	'used|||active|t||t|1|', 'others see neither hosts, users nor queries of them');
$local->safe_psql('postgres', 'GRANT pg_read_all_stats TO somebody');
is($local->safe_psql('postgres', "SET ROLE somebody; $seen"),
	"used|ep_user|$host|active|t|SET a.b = 'c'|t|1|$host",
	'but for who reads all statistics');
$local->safe_psql('postgres', 'REVOKE pg_read_all_stats FROM somebody');

# a name in another encoding
$local->safe_psql('latin', "SET client_encoding = 'UTF8'; DO \$\$ BEGIN EXECUTE format("
	  . "'CREATE SERVER %I FOREIGN DATA WRAPPER enhanced_pool OPTIONS ($options, dbname ''postgres'')',"
	  . "'caf' || chr(233)); EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER"
	  . " SERVER %I OPTIONS (user ''ep_user'', password ''ep_secret'')', 'caf' || chr(233)); END \$\$");
$local->safe_psql('latin', "SELECT enhanced_pool.exec('caf' || chr(233), 'SELECT 1')");
is($local->safe_psql('utf8', "SELECT pool FROM enhanced_pool.pools WHERE datname = 'latin'"),
	'caf?', 'a name of another encoding does not break the view');
is($local->safe_psql('latin', "SELECT pool = 'caf' || chr(233) FROM enhanced_pool.pools WHERE datname = 'latin'"),
	't', 'where it is at home it is shown as it is');

# ------------------------------------------------------------------------ waiters

define_pool($local, $remote, 'narrow', max_size => 1, initial_size => 1, min_size => 0);
$local->safe_psql('postgres', 'CREATE TABLE gate (open bool); INSERT INTO gate VALUES (false)');

# Holds the one connection until the gate is open.
my $holder = in_background(q{DO $$ BEGIN
  PERFORM enhanced_pool.acquire('narrow', name => 'holder');
  WHILE NOT (SELECT open FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
END $$});
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE name = 'holder'"),
	'somebody has the only connection');
my @waiters;
foreach my $n (1 .. 3)
{
	push @waiters, in_background("SELECT enhanced_pool.exec('narrow', 'SELECT $n')");
	ok($local->poll_query_until('postgres', "SELECT count(*) = $n FROM enhanced_pool.waiters"),
		"waiter $n");
}
is( $local->safe_psql(
		'postgres', q{SELECT datname, pool, role = current_user, position,
	  w.pid = (SELECT a.pid FROM pg_stat_activity a WHERE a.query = format('SELECT enhanced_pool.exec(''narrow'', ''SELECT %s'')', w.position)),
	  since BETWEEN clock_timestamp() - interval '10 min' AND clock_timestamp(), waited BETWEEN '0' AND '10min'
	  FROM enhanced_pool.waiters w ORDER BY position}),
	join("\n", map { "postgres|narrow|t|$_|t|t|t" } 1 .. 3),
	'who came first is first');
is( $local->safe_psql(
		'postgres', q{SELECT bool_and(longer) FROM (SELECT waited < lag(waited) OVER (ORDER BY position) AS longer FROM enhanced_pool.waiters) x}),
	't',
	'and has waited longest');
is( $local->safe_psql(
		'postgres', q{SELECT waiting, oldest_wait_time >= extract(epoch FROM (SELECT max(waited) FROM enhanced_pool.waiters)) * 1000 - 1000,
	  oldest_wait_time < 600000, active, size FROM enhanced_pool.pools WHERE pool = 'narrow'}),
	'3|t|t|1|1',
	'the pool counts them');
$local->safe_psql('postgres', 'UPDATE gate SET open = true');
ok(finish($_), 'it ended well') foreach $holder, @waiters;
is( $local->safe_psql(
		'postgres', q{SELECT acquire_count, wait_count >= 3, acquire_timeouts, total_wait_time >= max_wait_time, max_wait_time > 0,
	  avg_wait_time = total_wait_time / wait_count FROM enhanced_pool.pool_metrics WHERE pool = 'narrow'}),
	'4|t|0|t|t|t',
	'what they waited was added up');
is($local->safe_psql('postgres', "SELECT waiting, oldest_wait_time IS NULL FROM enhanced_pool.pools WHERE pool = 'narrow'"),
	'0|t', 'nobody waits');

# ------------------------------------------- a query that changes while it is read

define_pool($local, $remote, 'busy', max_size => 2);
$local->safe_psql('postgres', 'UPDATE gate SET open = false');
my $writer = in_background(q{DO $$
DECLARE lease bigint := enhanced_pool.acquire('busy', name => 'writer');
BEGIN
  WHILE NOT (SELECT open FROM gate) LOOP
    PERFORM enhanced_pool.exec(lease, format('SELECT ''%s''', repeat('a', 900)));
    PERFORM enhanced_pool.exec(lease, format('SELECT ''%s''', repeat('b', 800)));
  END LOOP;
END $$});
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE name = 'writer' AND query <> ''"),
	'a lease that is used');
is( $local->safe_psql(
		'postgres', q{
CREATE TABLE read (query text);
DO $$ BEGIN
  FOR i IN 1 .. 5000 LOOP
    INSERT INTO read SELECT query FROM enhanced_pool.leases WHERE name = 'writer';
  END LOOP;
END $$;
SELECT DISTINCT left(query, 9), length(query), query ~ '^SELECT ''(a*|b*)''$' FROM read WHERE query IS NOT NULL ORDER BY 1}),
	"SELECT 'a|909|t\nSELECT 'b|809|t",
	'each text is one or the other, never a mixture');
$local->safe_psql('postgres', 'UPDATE gate SET open = true');
ok(finish($writer), 'it ended well');

check_clean($local, $remote, 100);
$local->stop;

# ------------------------------------------------------------------- not preloaded

my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init;
$plain->start;
$plain->safe_psql('postgres', 'CREATE EXTENSION enhanced_pool');
define_pool($plain, $remote, 'p', max_size => 7);
is($plain->safe_psql('postgres', 'SELECT pool, remote_user, state, size, max_size FROM enhanced_pool.pools'),
	'p|ep_user|closed|0|7', 'pools are listed without preload');
is($plain->safe_psql('postgres', "SELECT value, source FROM enhanced_pool.config WHERE name = 'max_size'"),
	'7|server', 'and so are their settings');
foreach my $sql (
	'SELECT * FROM enhanced_pool.pool_metrics', 'SELECT * FROM enhanced_pool.connection_metrics',
	'SELECT * FROM enhanced_pool.leases', 'SELECT * FROM enhanced_pool.waiters',
	'SELECT * FROM enhanced_pool.events', 'SELECT * FROM enhanced_pool.latency_histogram', 'SELECT * FROM enhanced_pool.load_history',
	'SELECT * FROM enhanced_pool._pool_percentiles()',
	"SELECT enhanced_pool.exec('p', 'SELECT 1')", "SELECT enhanced_pool.exec(7, 'SELECT 1')",
	'SELECT enhanced_pool.release(7)', 'SELECT enhanced_pool.release_all()',
	(map { "SELECT enhanced_pool.$_('p')" } qw(pause resume recycle close_pool prewarm reset_stats)),
	'SELECT enhanced_pool.reset_stats()', 'SELECT enhanced_pool.terminate_connection(7)')
{
	my ($status, $out, $err) = $plain->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	like($err, qr/55000: .*shared_preload_libraries.*HINT: .*restart/s, "$sql says what to do");
}
$plain->safe_psql('postgres', "SELECT enhanced_pool.configure_pool('p', '{\"max_size\": 8}')");
is($plain->safe_psql('postgres', "SELECT value FROM enhanced_pool.config WHERE name = 'max_size'"), '8', 'configure_pool works without preload');
my ($status, $out, $err) = $plain->psql('postgres', "\\set VERBOSITY verbose\nCREATE SERVER q FOREIGN DATA WRAPPER enhanced_pool OPTIONS (max_sise '1')");
like($err, qr/HV00D: .*HINT: .*max_size/s, 'the validator works without preload');

done_testing();
