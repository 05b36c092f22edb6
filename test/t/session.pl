# Sessions that take two servers, many rows or many subtransactions.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote(name => 'remote', conf => 'log_statement = all');
my $other = start_remote(name => 'other');
my $local = PostgreSQL::Test::Cluster->new('local');

$local->init(allows_streaming => 1);
$local->append_conf('postgresql.conf',
	"shared_preload_libraries = 'enhanced_pool'\nmax_connections = 50\nfsync = off\nenhanced_pool.dynamic_scaling_enabled = off");
$local->start;
$local->safe_psql('postgres', 'CREATE EXTENSION enhanced_pool');
foreach my $node ($remote, $other)
{
	$node->safe_psql('postgres', 'CREATE TABLE book (id int PRIMARY KEY, v text); GRANT ALL ON book TO ep_user');
}
define_pool($local, $remote, 'a', max_size => 2, min_size => 0, initial_size => 1);
define_pool($local, $other, 'b', max_size => 2, min_size => 0, initial_size => 1);
$local->safe_psql('postgres', <<'SQL');
CREATE FUNCTION put(pool text, id int) RETURNS bigint LANGUAGE sql AS
  $$SELECT enhanced_pool.exec(enhanced_pool.session(pool), 'INSERT INTO book VALUES ($1)', id)$$;
SQL
$local->safe_psql('postgres', "SELECT enhanced_pool.exec(p, 'SELECT 1') FROM unnest(ARRAY['a', 'b']) p");
my $baseline = worker_surplus($local);

# ------------------------------------------------------------------ two servers

sub books
{
	return join ' ', map { $_->safe_psql('postgres', 'SELECT coalesce(string_agg(id::text, \',\' ORDER BY id), \'-\') FROM book') } $remote, $other;
}

$local->safe_psql('postgres', "BEGIN; SELECT put('a', 1), put('b', 1); SAVEPOINT s; SELECT put('a', 2), put('b', 2); ROLLBACK TO s; SELECT put('b', 3); COMMIT");
is(books(), '1 1,3', 'two servers, with a savepoint');
$local->safe_psql('postgres', "BEGIN; SELECT put('a', 4), put('b', 4); ROLLBACK");
is(books(), '1 1,3', 'rolled back on both');
$local->psql('postgres', "BEGIN; SELECT put('a', 4), put('b', 4); SELECT 1 / 0; COMMIT");
is(books(), '1 1,3', 'and after an error');

# The connections are used again, without a reset where nothing was left.
$local->safe_psql('postgres', "SELECT enhanced_pool.reset_stats()");
$local->safe_psql('postgres', join ';', map { "BEGIN; SELECT put('a', $_), put('b', $_); COMMIT" } 10 .. 19);
is($local->safe_psql('postgres', "SELECT pool, transaction_count, transaction_rollbacks, reset_count FROM enhanced_pool.pool_metrics ORDER BY pool"),
	"a|10|0|0\nb|10|0|0", 'transactions are counted, and nothing is reset');
$local->safe_psql('postgres', "BEGIN; SELECT put('a', 20); ROLLBACK");
ok( $local->poll_query_until('postgres',
		"SELECT transaction_count = 11 AND transaction_rollbacks = 1 FROM enhanced_pool.pool_metrics WHERE pool = 'a'"),
	'rollbacks, too');
is($local->safe_psql('postgres', "SELECT sum(transaction_count), sum(transaction_rollbacks), bool_and(rollback_rate IS NOT DISTINCT FROM transaction_rollbacks::float / nullif(transaction_count, 0)) FROM enhanced_pool.connection_metrics WHERE pool = 'a'"),
	'14|3|t', 'of each connection, whose numbers are not reset');
# what a lease does by itself
$local->safe_psql('postgres', <<'SQL');
SELECT enhanced_pool.acquire('a', hold => true) AS lease \gset
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'SAVEPOINT s'), enhanced_pool.exec(:lease, 'ROLLBACK TO s');
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.exec(:lease, 'ROLLBACK');
SELECT count(*) FROM enhanced_pool.run_script(:lease, 'BEGIN; SELECT 1; COMMIT; BEGIN; ABORT');
SELECT enhanced_pool.exec(:lease, 'COMMIT');
SELECT enhanced_pool.exec(:lease, 'BEGIN');
SELECT enhanced_pool.release(:lease);
SQL
ok( $local->poll_query_until('postgres',
		"SELECT (transaction_count, transaction_rollbacks) = (16, 4) FROM enhanced_pool.pool_metrics WHERE pool = 'a'"),
	'and those of a lease');

# ------------------------------------------------------------- subtransactions

# As many savepoints on the remote as subtransactions are open, whatever was before.
$remote->safe_psql('postgres', 'TRUNCATE book');
my $log = -s $remote->logfile;
$local->safe_psql('postgres', <<'SQL');
DO $$
DECLARE
  s bigint := enhanced_pool.session('a');
BEGIN
  FOR i IN 1..20000 LOOP
    BEGIN
      IF i % 10 < 3 THEN
        PERFORM enhanced_pool.exec(s, 'INSERT INTO book VALUES ($1)', i);
      END IF;
      IF i % 10 = 2 OR i % 3 = 0 THEN
        RAISE division_by_zero;
      END IF;
    EXCEPTION WHEN division_by_zero THEN
      NULL;
    END;
  END LOOP;
END $$;
SQL
is($remote->safe_psql('postgres', 'SELECT count(*), min(id), max(id) FROM book'),
	$local->safe_psql('postgres', 'SELECT count(*), min(i), max(i) FROM generate_series(1, 20000) i WHERE i % 10 < 2 AND i % 3 <> 0'),
	'20,000 subtransactions');
my $text = slurp_file($remote->logfile, $log);
my ($open, $most) = (0, 0);
while ($text =~ /execute <unnamed>: (SAVEPOINT|RELEASE|ROLLBACK TO SAVEPOINT) /g)
{
	$open += $1 eq 'SAVEPOINT' ? 1 : $1 eq 'RELEASE' ? -1 : 0;
	$most = $open if $open > $most;
}
is($most, 1, 'never more than one savepoint on the remote');
my $statements = () = $text =~ /execute <unnamed>: (SAVEPOINT|RELEASE|ROLLBACK)/g;
cmp_ok($statements, '<=', 12000, 'and none for those without a statement');

# --------------------------------------------------------------------- rows

# memory($session): kB that the local process has of its own
sub memory
{
	my ($session) = @_;
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my ($kb) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;

	return $kb;
}

# sanitizers keep what was freed for a while, 32 MB of it
my $quarantine = $ENV{EP_SANITIZE} ? 34000 : 0;

foreach my $kind ('session', 'acquire')
{
	my $session = start_session($local);

	$session->query_safe("BEGIN; SELECT enhanced_pool.$kind('b') AS s \\gset");
	$session->query_safe("SELECT enhanced_pool.exec(:s, 'BEGIN')") if $kind eq 'acquire';
	$session->query_safe("SELECT enhanced_pool.exec(:s, 'DECLARE c CURSOR FOR SELECT g, repeat(''x'', 100) FROM generate_series(1, 1000000) g')");
	$session->query_safe("SELECT count(*) FROM enhanced_pool.execute(:s, 'FETCH 1000 FROM c') AS t(g int, x text)");
	my $before = memory($session);
	$session->query_safe("SET work_mem = '1MB'; SELECT set_config('a.s', :'s', false)");
	is( $session->query_safe(<<'SQL'), '1000000', "a million rows through a cursor, by $kind");
CREATE OR REPLACE FUNCTION fetch_all() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  s bigint := current_setting('a.s')::bigint;
  total bigint := 1000;
  n bigint;
BEGIN
  LOOP
    SELECT count(*) INTO n FROM enhanced_pool.execute(s, 'FETCH 1000 FROM c') AS t(g int, x text);
    EXIT WHEN n = 0;
    total := total + n;
  END LOOP;
  RETURN total;
END $$;
SELECT fetch_all();
SQL
	cmp_ok(memory($session) - $before, '<', 4000 + $quarantine, 'in constant memory');
	is($session->query_safe("SELECT count(*), sum(length(x)) FROM enhanced_pool.execute(:s, 'SELECT g, repeat(''x'', 100) FROM generate_series(1, 1000000) g') AS t(g int, x text)"),
		'1000000|100000000', 'and at once');
	cmp_ok(memory($session) - $before, '<', 8000 + $quarantine, 'in work_mem');
	$session->query_safe('COMMIT');
	$session->quit;
}

# ------------------------------------------------------------------- a standby

$local->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($local, 'base', has_streaming => 1);
$standby->start;
my $modes = "SELECT * FROM enhanced_pool.execute(enhanced_pool.session('a'%s), 'SHOW transaction_read_only') AS t(v text)";
is($standby->safe_psql('postgres', sprintf $modes, ''), 'off', 'on a standby the remote transaction may write');
is($standby->safe_psql('postgres', sprintf $modes, ', read_only => true'), 'on', 'unless it is not to');
is($standby->safe_psql('postgres', sprintf $modes, ', read_only => false'), 'off', 'or is to');
$standby->safe_psql('postgres', "SELECT put('a', -1)");
is($remote->safe_psql('postgres', 'SELECT min(id) FROM book'), '-1', 'it writes');
$standby->stop;

check_clean($local, $remote, 2);
check_clean($local, $other, 2, $baseline);
done_testing();
