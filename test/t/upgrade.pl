# An installation that was upgraded step by step is the same as a fresh one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my @versions = split /\n/, $local->safe_psql('postgres',
	"SELECT DISTINCT version FROM pg_available_extension_versions WHERE name = 'enhanced_pool' ORDER BY 1");
my $newest = $local->safe_psql('postgres', "SELECT default_version FROM pg_available_extensions WHERE name = 'enhanced_pool'");
my $oldest = $versions[0];

cmp_ok(scalar(@versions), '>', 1, 'there is something to upgrade from');
is($oldest, '0.1.0', 'the oldest version');
is($versions[-1], $newest, 'the newest one is the default');

# Everything that belongs to the extension: what it is called, how it is defined, who may use it.
my $objects = <<'SQL';
SELECT pg_describe_object(d.classid, d.objid, 0) AS object,
       coalesce(pg_get_functiondef(p.oid), pg_get_viewdef(c.oid)) AS definition,
       coalesce(p.proacl, c.relacl, f.fdwacl)::text AS privileges,
       obj_description(d.objid, d.classid::regclass::name) AS comment
FROM pg_depend d
LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
LEFT JOIN pg_foreign_data_wrapper f ON d.classid = 'pg_foreign_data_wrapper'::regclass AND f.oid = d.objid
WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'enhanced_pool')
ORDER BY 1;
SQL
my $schema = "SELECT nspacl::text FROM pg_namespace WHERE nspname = 'enhanced_pool'";

$local->safe_psql('postgres', 'CREATE DATABASE upgraded');
$local->safe_psql('upgraded', "CREATE EXTENSION enhanced_pool VERSION '$oldest'");
isnt($local->safe_psql('upgraded', $objects), $local->safe_psql('postgres', $objects), 'the versions differ');
# a pool in use goes on
define_pool($local, $remote, 'p', db => 'upgraded', initial_size => 1);
my $session = start_session($local, 'upgraded');
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
foreach my $version (@versions[ 1 .. $#versions ])
{
	$local->safe_psql('upgraded', "ALTER EXTENSION enhanced_pool UPDATE TO '$version'");
	is($local->safe_psql('upgraded', "SELECT extversion FROM pg_extension WHERE extname = 'enhanced_pool'"), $version, "upgraded to $version");
}
is($local->safe_psql('upgraded', $objects), $local->safe_psql('postgres', $objects), 'objects, definitions, privileges and comments are those of a fresh installation');
is($local->safe_psql('upgraded', $schema), $local->safe_psql('postgres', $schema), 'and so are the privileges of the schema');
is($session->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')"), 1, 'a lease outlives it');
$session->query_safe('SELECT enhanced_pool.release(:lease)');
is($session->query_safe("SELECT enhanced_pool.pause('p')"), 0, 'the session has the new functions');

# and what was upgraded can be dropped
$session->query_safe('SET client_min_messages = warning; DROP SERVER p CASCADE; DROP EXTENSION enhanced_pool');
$session->quit;
is($local->safe_psql('upgraded', "SELECT count(*) FROM pg_proc WHERE probin LIKE '%enhanced_pool%'"), 0, 'nothing is left of it');
check_clean($local, $remote, 1);
done_testing();
