# A dump keeps pools: servers, mappings, rights, settings of roles and databases, and what
# is made of the extension's types and views; it is restored into a server that loads the
# library later.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my $dump = PostgreSQL::Test::Utils::tempdir() . '/all.sql';

$local->safe_psql('postgres', <<'SQL');
CREATE ROLE app LOGIN;
CREATE ROLE owner;
CREATE DATABASE pools;
CREATE DATABASE "old one";
ALTER ROLE app SET enhanced_pool.acquire_timeout = '7s';
ALTER ROLE app IN DATABASE pools SET enhanced_pool.query_timeout = '8s';
ALTER DATABASE pools SET enhanced_pool.retry_attempts = 9;
SQL
$local->safe_psql('pools', <<'SQL');
CREATE EXTENSION enhanced_pool;
CREATE SCHEMA jobs;
CREATE TABLE jobs.todo (id int, what enhanced_pool.operation);
INSERT INTO jobs.todo VALUES (1, enhanced_pool.op('SELECT $1::int + 1', 41));
CREATE VIEW jobs.busy AS SELECT pool, role, active FROM enhanced_pool.pools;
CREATE FUNCTION jobs.ask(pool text, n int) RETURNS int LANGUAGE sql AS $$SELECT t.n FROM enhanced_pool.execute(pool, 'SELECT $1', n) AS t(n int)$$;
SQL
define_pool($local, $remote, 'p', db => 'pools', max_size => 6, idle_timeout => '90s', application_name => "it's %S", reset_query => 'DISCARD ALL');
define_pool($local, $remote, 'a.b ""c""', db => 'pools', max_size => 3, min_size => 0, initial_size => 0);
# what was dumped with an older version is restored with the newest
$local->safe_psql('old one', "CREATE EXTENSION enhanced_pool VERSION '0.1.0'");
define_pool($local, $remote, 'o', db => 'old one', max_size => 2);
$local->safe_psql('pools', <<'SQL');
CREATE SERVER other FOREIGN DATA WRAPPER enhanced_pool OPTIONS (server 'p', max_size '4');
CREATE USER MAPPING FOR app SERVER p OPTIONS (user 'ep_user', password 'ep_secret', max_size '5', strategy 'low_latency');
CREATE USER MAPPING FOR PUBLIC SERVER p OPTIONS (user 'ep_user', password 'ep_secret');
CREATE USER MAPPING FOR app SERVER other OPTIONS (max_size '2');
GRANT USAGE ON FOREIGN SERVER p TO app WITH GRANT OPTION;
GRANT USAGE ON FOREIGN SERVER other TO app;
GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO owner;
ALTER SERVER other OWNER TO owner;
GRANT USAGE ON FOREIGN SERVER p TO owner;
COMMENT ON SERVER p IS 'the remote one';
SQL

my $config = "SELECT pool, role, name, value, unit, source FROM enhanced_pool.config WHERE datname = current_database() ORDER BY 1, 2, 3";
my $definitions = <<'SQL';
SELECT srvname, srvowner::regrole, (SELECT array_agg(o ORDER BY o) FROM unnest(srvoptions) o), srvacl, obj_description(oid, 'pg_foreign_server') FROM pg_foreign_server ORDER BY 1;
SELECT srvname, usename, (SELECT array_agg(o ORDER BY o) FROM unnest(umoptions) o) FROM pg_user_mappings ORDER BY 1, 2;
SELECT (SELECT datname FROM pg_database WHERE oid = setdatabase), setrole::regrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2;
SQL
my $expected = $local->safe_psql('pools', $definitions);
my $expected_config = $local->safe_psql('pools', $config);

like($expected, qr/the remote one/, 'there is something to dump');
$local->command_ok([ 'pg_dumpall', '--no-sync', '-f', $dump, '-d', $local->connstr('postgres') ], 'pg_dumpall');
unlike(slurp_file($dump), qr/CREATE (FUNCTION|VIEW) enhanced_pool\./, 'what is the extension\'s own is not in it');

# Into a server that knows nothing of the library.
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init;
$copy->append_conf('postgresql.conf', "fsync = off\nlog_line_prefix = '%m [%p] %b %q%a '");
$copy->start;
my ($status, $out, $err) = $copy->psql('postgres', undef, extra_params => [ '-f', $dump ], on_error_stop => 0);
is(join("\n", grep { /ERROR/ && !/role "\w+" already exists/ } split /\n/, $err), '', 'restored without the library');
is($copy->safe_psql('pools', $definitions), $expected, 'definitions, rights, comments and settings are the same');
($status, $out, $err) = $copy->psql('pools', "\\set VERBOSITY verbose\nSELECT jobs.ask('p', 1)", on_error_die => 0);
like($err, qr/ERROR:  55000: .*shared_preload_libraries/, 'pools need the library');

$copy->append_conf('postgresql.conf', "shared_preload_libraries = 'enhanced_pool'\nenhanced_pool.dynamic_scaling_enabled = off");
$copy->restart;
is($copy->safe_psql('pools', $config), $expected_config, 'with it all settings are the same');
is($copy->safe_psql('pools', $config, connstr => $copy->connstr('pools') . ' user=app'),
	$local->safe_psql('pools', $config, connstr => $local->connstr('pools') . ' user=app'), 'those of a role, too');
is($copy->safe_psql('pools', "SELECT DISTINCT name, value, source FROM enhanced_pool.config WHERE pool = 'p' AND role = 'app' AND source IN ('session', 'role') ORDER BY 1",
		connstr => $copy->connstr('pools') . ' user=app'),
	"acquire_timeout|7|session\nmax_size|5|role\nquery_timeout|8|session\nretry_attempts|9|session\nstrategy|low_latency|role", 'for example');
is($copy->safe_psql('pools', "SELECT jobs.ask(p, 42) FROM unnest(ARRAY['p', 'a.b \"c\"']) p"), "42\n42", 'the pools work');
is($copy->safe_psql('pools', "SELECT enhanced_pool.exec('other', 'SELECT 1')", connstr => $copy->connstr('pools') . ' user=app'), '1', 'so do those of a role');
is($copy->safe_psql('pools', "SELECT rows FROM jobs.todo, enhanced_pool.run_parallel('p', ARRAY[what])"), '[{"?column?": 42}]', 'values of its types are kept');
is($copy->safe_psql('pools', "SELECT count(*) > 0 FROM jobs.busy"), 't', 'and views on its views');
my $newest = $copy->safe_psql('postgres', "SELECT default_version FROM pg_available_extensions WHERE name = 'enhanced_pool'");
is($copy->safe_psql('old one', "SELECT extversion FROM pg_extension WHERE extname = 'enhanced_pool'; SELECT enhanced_pool.exec('o', 'SELECT 1'); SELECT count(*) > 0 FROM enhanced_pool.load_history WHERE false"),
	"$newest\n1\nf", 'what had an older version has the newest');

# One database, once more, within the server that loads the library.
$copy->safe_psql('postgres', 'CREATE DATABASE again');
$copy->command_ok([ 'sh', '-c', "pg_dump -d '" . $copy->connstr('pools') . "' | psql -X -q -v ON_ERROR_STOP=1 -d '" . $copy->connstr('again') . "'" ], 'pg_dump | psql');
is($copy->safe_psql('again', "SELECT jobs.ask('p', 7)"), '7', 'its pools work, and are others');
is($copy->safe_psql('again', "SELECT string_agg(DISTINCT datname, ' ' ORDER BY datname) FROM enhanced_pool.pools WHERE pool = 'p' AND size > 0"), 'again pools', 'than those of the first');
check_clean($copy, $remote, 40);
done_testing();
