# On a hot standby every function does what it does on a primary, but for what writes to
# the local database, which PostgreSQL refuses; after a promotion that works, too.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = PostgreSQL::Test::Cluster->new('local');

$local->init(allows_streaming => 1);
$local->append_conf('postgresql.conf', "shared_preload_libraries = 'enhanced_pool'\nmax_connections = 50\nfsync = off");
$local->start;
$local->safe_psql('postgres', <<'SQL');
CREATE EXTENSION enhanced_pool;
CREATE ROLE app LOGIN;
CREATE TABLE here (id int, name text);
INSERT INTO here VALUES (1, 'one'), (2, 'two');
CREATE SEQUENCE numbers;
SQL
define_pool($local, $remote, 'p', initial_size => 1, min_size => 0, max_size => 10);
define_pool($local, $remote, 'joined', initial_size => 1, min_size => 0, autocommit => 'off');
$local->safe_psql('postgres', "CREATE USER MAPPING FOR app SERVER p OPTIONS (user 'ep_user', password 'ep_secret'); GRANT USAGE ON FOREIGN SERVER p TO app; GRANT SELECT ON here TO app");
$remote->safe_psql('postgres', 'CREATE TABLE there (id int, name text); GRANT ALL ON there TO ep_user');
my $standby = start_standby($local, 'standby');

# What a statement returns on the standby, or the SQLSTATE that it fails with.  A list of
# statements runs in one session.
my @everywhere = (
	execute => q{SELECT * FROM enhanced_pool.execute('p', 'SELECT $1 + 1', 1) AS t(n int)}, '2',
	execute_as => q{SELECT * FROM enhanced_pool.execute_as(NULL::here, 'p', 'SELECT $1::text AS name, 7 AS id', 'x')}, '7|x',
	execute_json => q{SELECT enhanced_pool.execute_json('p', 'SELECT 1 AS a')}, '{"a": 1}',
	exec => q{SELECT enhanced_pool.exec('p', 'INSERT INTO there VALUES (1)')}, '1',
	run_script => q{SELECT command FROM enhanced_pool.run_script('p', 'DELETE FROM there; SELECT 1')}, "DELETE\nSELECT",
	describe => q{SELECT name, type FROM enhanced_pool.describe('p', 'SELECT 1 AS a')}, 'a|integer',
	'a remote error' => q{SELECT enhanced_pool.exec('p', 'SELECT 1 / 0')}, '22012',
	'last_remote_error' => [ q{DO $$BEGIN PERFORM enhanced_pool.exec('p', 'SELECT 1 / 0'); EXCEPTION WHEN OTHERS THEN NULL; END$$},
		q{SELECT sqlstate FROM enhanced_pool.last_remote_error()} ], '22012',
	lease => [ q{SELECT enhanced_pool.acquire('p', hold => true) AS l \gset}, q{SELECT enhanced_pool.exec(:l, 'BEGIN')}, q{SELECT enhanced_pool.exec(:l, 'INSERT INTO there VALUES (2)')},
		q{SELECT enhanced_pool.exec(:l, 'COMMIT')}, q{SELECT enhanced_pool.release(:l), enhanced_pool.release_all()} ], "0\n1\n0\nt|0",
	session => [ 'BEGIN', q{SELECT enhanced_pool.session('p') AS s \gset}, q{SELECT enhanced_pool.exec(:s, 'INSERT INTO there VALUES (3)')}, 'SAVEPOINT a',
		q{SELECT enhanced_pool.exec(:s, 'INSERT INTO there VALUES (4)')}, 'ROLLBACK TO a', 'COMMIT' ], "1\n1",
	'autocommit off' => [ 'BEGIN', q{SELECT enhanced_pool.exec('joined', 'INSERT INTO there VALUES (5)')}, 'ROLLBACK' ], '1',
	'what that left' => q{SELECT * FROM enhanced_pool.execute('p', 'SELECT id FROM there ORDER BY 1') AS t(n int)}, "2\n3",
	'a session that reads' => [ 'BEGIN', q{SELECT enhanced_pool.session('p', read_only => true) AS s \gset}, q{SELECT enhanced_pool.exec(:s, 'INSERT INTO there VALUES (3)')}, 'ROLLBACK' ], '25006',
	run_parallel => q{SELECT success, row_count FROM enhanced_pool.run_parallel('p', ARRAY['SELECT 1', 'INSERT INTO there VALUES (6)'])}, "t|1\nt|1",
	run_in_transaction => q{SELECT command FROM enhanced_pool.run_in_transaction('p', ARRAY[enhanced_pool.op('DELETE FROM there WHERE id = $1', 6), enhanced_pool.op_on('p', 'SELECT 1')])}, "DELETE\nSELECT",
	broadcast => q{SELECT pool, success FROM enhanced_pool.broadcast(ARRAY['p', 'joined'], 'SELECT 1')}, "p|t\njoined|t",
	broadcast_as => q{SELECT * FROM enhanced_pool.broadcast_as(NULL::here, ARRAY['p'], 'SELECT 1 AS id, $1 AS name', ARRAY['a'])}, '1|a',
	async => [ 'BEGIN', q{SELECT enhanced_pool.acquire('p') AS l \gset}, q{SELECT enhanced_pool.send(:l, 'SELECT 5')}, q{SELECT enhanced_pool.wait_any(ARRAY[:l]) = :l, enhanced_pool.is_busy(:l)},
		q{SELECT * FROM enhanced_pool.get_result(:l) AS t(n int)}, q{SELECT enhanced_pool.send(:l, 'SELECT 6')}, q{SELECT enhanced_pool.get_count(:l)},
		q{SELECT enhanced_pool.send(:l, 'SELECT 7 AS n')}, q{SELECT enhanced_pool.get_result_json(:l)}, q{SELECT enhanced_pool.send(:l, 'SELECT 8')}, q{SELECT * FROM enhanced_pool.get_result_as(NULL::int, :l)},
		q{SELECT enhanced_pool.send(:l, 'SELECT pg_sleep(600)')}, q{SELECT enhanced_pool.cancel(:l)}, 'COMMIT' ], "t|f\n5\n1\n{\"n\": 7}\n8\nt",
	notifications => [ 'BEGIN', q{SELECT enhanced_pool.acquire('p') AS l \gset}, q{SELECT enhanced_pool.exec(:l, 'LISTEN a')}, q{SELECT enhanced_pool.exec('p', 'NOTIFY a, ''b''')},
		q{SELECT notify_name, extra FROM enhanced_pool.get_notify(:l, '20s')}, 'COMMIT' ], "0\n0\na|b",
	copy_to => q{SELECT enhanced_pool.copy_to('p', 'there', 'SELECT * FROM here')}, '2',
	views => [ map { "SELECT count(*) >= 0 FROM enhanced_pool.$_" } qw(pools config pool_metrics connection_metrics leases waiters events latency_histogram load_history pool_states progress) ], join("\n", ('t') x 11),
	metrics => q{SELECT enhanced_pool.get_metrics() ? 'p', enhanced_pool.get_detailed_metrics('p') ? 'p', length(enhanced_pool.dashboard()) > 1000}, 't|t|t',
	health_check => q{SELECT role, healthy FROM enhanced_pool.health_check('p', 'app')}, 'app|t',
	pause => q{SELECT enhanced_pool.pause('p', role => 'app')}, '0',
	'what that does' => q{SET ROLE app; SET enhanced_pool.acquire_timeout = '50ms'; SELECT enhanced_pool.exec('p', 'SELECT 1')}, '57P03',
	'resume and others' => [ map { "SELECT enhanced_pool.$_" } q{resume('p')}, q{recycle('p')}, q{reset_breaker('p')}, q{reset_stats('p')}, q{close_pool('p')}, q{prewarm('p', 2, 'postgres')} ], undef,
	terminate_connection => q{SELECT enhanced_pool.terminate_connection(min(conn_id)) FROM enhanced_pool.connection_metrics WHERE pool = 'p'}, 't',
	'as a role' => [ 'SET ROLE app', q{SELECT enhanced_pool.exec('p', 'SELECT 1')}, q{SELECT enhanced_pool.exec('joined', 'SELECT 1')} ], '42501');

# What writes to the local database: refused before, done after.
my @refused = (
	copy_from => q{SELECT enhanced_pool.copy_from('p', 'SELECT 3, $$three$$', 'here')}, '1',
	configure_pool => q{SELECT enhanced_pool.configure_pool('p', '{"max_size": 7}')}, '',
	'ALTER SERVER' => q{ALTER SERVER p OPTIONS (SET max_size '8')}, '',
	'CREATE SERVER' => q{CREATE SERVER q FOREIGN DATA WRAPPER enhanced_pool}, '',
	'a local INSERT of remote rows' => q{INSERT INTO here SELECT * FROM enhanced_pool.execute('p', 'SELECT 4, $$four$$') AS t(id int, name text)}, '');

# does($what, $statements, $expected): on the server that was the standby
sub does
{
	my ($name, $statements, $expected, $when) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $out, $err) = $standby->psql('postgres', join("\n", "\\set VERBOSITY verbose", map { /\\gset$/ ? $_ : "$_;" } ref $statements ? @$statements : $statements), on_error_die => 0);
	my ($state) = $err =~ /ERROR:  (\w{5}):/;

	# what returns void, or nothing
	$out = join "\n", grep { $_ ne '' } split /\n/, $out;
	if (!defined $expected)
	{
		is($state // '', '', "$name, $when") or diag($err);
		return;
	}
	is($state // $out, $expected, "$name, $when") or diag("$out\n$err");
	return $err;
}

sub all_do
{
	my ($when, @list) = @_;

	while (my ($name, $statements, $expected) = splice @list, 0, 3)
	{
		does($name, $statements, $expected, $when);
	}
	return;
}

all_do('on a standby', @everywhere);
for (my $i = 0; $i < @refused; $i += 3)
{
	like(does($refused[$i], $refused[ $i + 1 ], '25006', 'on a standby'), qr/cannot execute [A-Z ()_a-z]+ in a read-only transaction/, 'and says so');
}
is($standby->safe_psql('postgres', "SELECT enhanced_pool.exec('p', 'TRUNCATE there')"), '0', 'the pools are as good as before');

# A session that was there before goes on, lease included.
my $session = start_session($standby);
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
$standby->promote;
is($session->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')"), '1', 'a lease outlives the promotion');
is($session->query_safe("SELECT enhanced_pool.copy_from(:lease, 'SELECT 9, \$\$nine\$\$', 'here')"), '1', 'and can write then');
$session->quit;
$standby->safe_psql('postgres', 'DELETE FROM here WHERE id > 2');
all_do('promoted', @everywhere);
all_do('promoted', @refused);
is($standby->safe_psql('postgres', 'SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM here'), '1 2 3 4', 'the rows are there');
check_clean($standby, $remote, 30);
done_testing();
