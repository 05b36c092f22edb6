# Pools opened at start, and pools of a hot standby.
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
$local->safe_psql('postgres', 'CREATE EXTENSION enhanced_pool; CREATE ROLE app LOGIN; CREATE DATABASE "other db"');
$local->safe_psql('other db', 'CREATE EXTENSION enhanced_pool');
define_pool($local, $remote, 'p', initial_size => 3, min_size => 0);
define_pool($local, $remote, 'q', initial_size => 2, min_size => 0);
$local->safe_psql('postgres', "CREATE USER MAPPING FOR app SERVER q OPTIONS (user 'ep_user', password 'ep_secret')");
define_pool($local, $remote, 'a.b', db => 'other db', initial_size => 1, min_size => 0);

sub pools_are
{
	my ($node, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $node->poll_query_until('postgres',
			"SELECT coalesce(string_agg(format('%s.%s.%s:%s', datname, pool, role, idle), ' ' ORDER BY datname, pool, role), '') FROM enhanced_pool.pools WHERE state <> 'closed'",
			$expected),
		$name);
	return;
}

pools_are($local, '', 'no pool is open');
$local->append_conf('postgresql.conf', q{enhanced_pool.prewarm = 'postgres.p, postgres.q:app, "other db"."a.b", nosuchdb.x, postgres.nosuchserver'});
$local->restart;
pools_are($local, 'other db.a.b.postgres:1 postgres.p.postgres:3 postgres.q.app:2', 'pools are opened at start');
$local->wait_for_log(qr/names pool "postgres.nosuchserver", which does not exist/);
$local->wait_for_log(qr/database "nosuchdb" does not exist/);
pass('what does not exist is said');
check_clean($local, $remote, 6);

# ---------------------------------------------------------------------- standby

$local->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($local, 'base', has_streaming => 1);
$standby->start;
pools_are($standby, 'other db.a.b.postgres:1 postgres.p.postgres:3 postgres.q.app:2', 'a standby opens them, too');
is($standby->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('q', 'SELECT 42') AS t(n int)"), '42', 'a pool of a standby');
is($standby->safe_psql('postgres', "BEGIN; SELECT * FROM enhanced_pool.execute(enhanced_pool.acquire('p'), 'SELECT 42') AS t(n int); COMMIT"), '42', 'a lease');

# A definition that is replayed acts, too.
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (ADD application_name 'altered')");
$local->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('p', 'SHOW application_name') AS t(n text)"), 'altered', 'an ALTER that was replayed acts');
$local->safe_psql('postgres', 'DROP SERVER q CASCADE');
$local->wait_for_catchup($standby);
fails_with($standby, "SELECT enhanced_pool.exec('q', 'SELECT 1')", qr/ERROR:  42704/, 'so does a DROP');

$standby->promote;
is($standby->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('p', 'SELECT 42') AS t(n int)"), '42', 'it goes on after a promotion');
check_clean($_, $remote, 20) foreach $local, $standby;
done_testing();
