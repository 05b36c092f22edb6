# Settings and definitions change while pools are open.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => 'client_min_messages = warning');
my $ask_pid = q{SELECT * FROM enhanced_pool.execute('p', 'SELECT pg_backend_pid()') AS t(pid int)};
my $out;
my $err;

define_pool($local, $remote, 'p', initial_size => 3, min_size => 0);
my @sessions = map { start_session($local) } 1 .. 3;
my $baseline = worker_surplus($local);

sub config
{
	return $local->safe_psql('postgres', "SELECT value, source FROM enhanced_pool.config WHERE pool = 'p' AND name = '$_[0]'");
}

sub remote_is
{
	my ($n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($remote->poll_query_until('postgres', "SELECT count(*) = $n FROM pg_stat_activity WHERE usename = 'ep_user'"), $name);
	return;
}

# Changes something that is in force when the next statement runs.
sub alter_system
{
	$local->safe_psql('postgres', "ALTER SYSTEM $_[0]");
	$local->reload;
	return;
}

# ----------------------------------------------------------------- parameters

is(config('max_size'), '20|default', 'a default');
$local->safe_psql('postgres', $ask_pid);
remote_is(3, 'three connections');
alter_system("SET enhanced_pool.max_size = 2");
remote_is(2, 'max_size is lowered: what is too much is closed');
is(config('max_size'), '2|guc', 'and comes from the parameter');
$sessions[$_]->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset") foreach 0, 1;
fails_with($local, "SELECT enhanced_pool.acquire('p', '0')", qr/ERROR:  53300/, 'two are all');
begin_query($sessions[2], $ask_pid);
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');
alter_system('SET enhanced_pool.max_size = 3');
($out, $err) = end_query($sessions[2]);
like("$out|$err", qr/^\d+\|$/, 'who waits gets one when max_size is raised');
alter_system('RESET enhanced_pool.max_size');
ok($local->poll_query_until('postgres', "SELECT max_size = 20 FROM enhanced_pool.pools WHERE pool = 'p'"), 'the default again');
$sessions[$_]->query_safe('SELECT enhanced_pool.release(:lease)') foreach 0, 1;
alter_system("SET enhanced_pool.idle_timeout = '100ms'");
remote_is(3, 'three again');
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (ADD target_free_connections '1')");
alter_system("RESET enhanced_pool.idle_timeout");

# a bad value is refused, and the old one stays
fails_with($local, "ALTER SYSTEM SET enhanced_pool.max_size = 'many'", qr/ERROR:  22023/, 'a bad value');

# ------------------------------------------------------------------ definition

my $pid = $local->safe_psql('postgres', $ask_pid);
my $ids = $local->safe_psql('postgres', "SELECT string_agg(conn_id::text, ',') FROM enhanced_pool.connection_metrics WHERE pool = 'p'");
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (ADD max_size '4')");
is(config('max_size'), '4|server', 'a setting of the server');
is($local->safe_psql('postgres', $ask_pid), $pid, 'a setting that connections are not made from replaces none');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (ADD max_size '5')");
is(config('max_size'), '5|role', 'a setting of the mapping');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (DROP max_size)");

# another host name for the same server
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
my $leased = $sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)");
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (ADD application_name 'another')");
isnt($local->safe_psql('postgres', $ask_pid), $pid, 'what connections are made from: the next statement has a new one');
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('p', 'SHOW application_name') AS t(n text)"), 'another', 'made from the new definition');
is($sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)"),
	$leased, 'one in use stays with its holder');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
ok( $local->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM enhanced_pool.connection_metrics WHERE pool = 'p' AND conn_id IN ($ids)"),
	'the old ones are all closed');
ok($remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $leased"), 'that one too');

$remote->safe_psql('postgres', "CREATE ROLE other_user LOGIN PASSWORD 'other'");
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (SET user 'other_user', SET password 'other')");
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('p', 'SELECT current_user::text') AS t(u text)"), 'other_user', 'another user');
remote_is(0, 'no connection of the former user is left');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (SET user 'ep_user', SET password 'ep_secret')");
$local->safe_psql('postgres', $ask_pid);

# A waiter is not forgotten.
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET max_size '1')");
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
begin_query($sessions[1], "SELECT * FROM enhanced_pool.execute('p', 'SHOW application_name') AS t(n text)");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET application_name 'third')");
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($sessions[1]);
is("$out|$err", 'third|', 'while the pool was altered: served by what it is now');

# ---------------------------------------------------------------- uncommitted

foreach my $alter ("ALTER SERVER p OPTIONS (SET application_name 'stolen')",
	"ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (SET password 'x')")
{
	fails_with($local, "BEGIN; $alter; SELECT enhanced_pool.exec('p', 'SELECT 1')",
		qr/ERROR:  55000: .*(commit|transaction)/si, 'uncommitted: refused in its transaction');
}
$sessions[0]->query_safe("BEGIN; ALTER SERVER p OPTIONS (SET application_name 'stolen')");
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('p', 'SHOW application_name') AS t(n text)"), 'third', 'and nobody else sees it');
$sessions[0]->query_safe('ROLLBACK');
is($sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute('p', 'SHOW application_name') AS t(n text)"), 'third', 'nor does anybody after a rollback');

# -------------------------------------------------------------------- dropped

$sessions[0]->query_safe("BEGIN; DROP SERVER p CASCADE");
remote_is(1, 'a DROP that is not committed closes nothing');
$sessions[0]->query_safe('ROLLBACK');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('p', 'SELECT 1')"), '1', 'nor one that is rolled back');

$sessions[0]->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
begin_query($sessions[1], $ask_pid);
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');
$local->safe_psql('postgres', 'DROP SERVER p CASCADE');
($out, $err) = end_query($sessions[1]);
like($err, qr/ERROR:  (57P03|42704)/, 'a waiter is told that the server was dropped');
is($sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 1') AS t(n int)"), 1, 'a lease lives on');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
remote_is(0, 'DROP SERVER: no connection is left');
is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.pools'), '0', 'and no pool');

define_pool($local, $remote, 'p', initial_size => 2, min_size => 2);
$local->safe_psql('postgres', $ask_pid);
remote_is(2, 'a server of the same name');
$local->safe_psql('postgres', 'DROP USER MAPPING FOR CURRENT_USER SERVER p');
remote_is(0, 'DROP USER MAPPING: no connection is left');
fails_with($local, $ask_pid, qr/ERROR:  42704/, 'nobody is mapped');
$local->safe_psql('postgres', 'DROP SERVER p');

$local->safe_psql('postgres', 'CREATE DATABASE gone');
$local->safe_psql('gone', 'CREATE EXTENSION enhanced_pool');
define_pool($local, $remote, 'p', db => 'gone', initial_size => 2, min_size => 2);
$local->safe_psql('gone', $ask_pid);
remote_is(2, 'a pool of another database');
$local->safe_psql('postgres', 'DROP DATABASE gone');
remote_is(0, 'DROP DATABASE: no connection is left');

define_pool($local, $remote, 'p', initial_size => 2, min_size => 2);
$local->safe_psql('postgres', $ask_pid);
remote_is(2, 'a pool of this database');
$local->safe_psql('postgres', 'DROP EXTENSION enhanced_pool CASCADE');
remote_is(0, 'DROP EXTENSION: no connection is left');
$local->safe_psql('postgres', 'CREATE EXTENSION enhanced_pool');
is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.pools'), '0', 'no pool is open');

$_->quit foreach @sessions;
check_clean($local, $remote, 0, $baseline);
done_testing();
