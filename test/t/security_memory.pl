# Where passwords stand in memory, and when they are gone: in shared memory no longer
# than the pool needs them, in the worker nowhere but in libpq's own structures.
#
# Memory is read through /proc/PID/mem.  The server itself has the text of a mapping
# in its buffers, in the log that it writes ahead, and in what it shows of a session.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use Memory;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local(conf => "shared_buffers = 1MB\nenhanced_pool.max_connections = 32\nmax_connections = 40");

skip_without_memory($local);

my %server_has = map { $_ => 1 } 'Buffer Blocks', 'Backend Activity Buffer', 'XLOG Ctl', '(free)', '<anonymous>';

# where($word): the allocations of shared memory that have it and are not the server's own
sub where
{
	return join ' ', grep { !$server_has{$_} } in_shared_memory($local, $_[0]);
}

sub is_gone
{
	my ($word, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is(where($word), '', $name);
	return;
}

my @names = qw(closed dropped unmapped altered lost paused other worker);
my $users = join ',', map { "user_$_" } @names;

EnhancedPool::put_first_in_hba($remote, "local all $users scram-sha-256", "host all $users 127.0.0.1/32 scram-sha-256");
$remote->reload;
$remote->safe_psql('postgres', "CREATE ROLE user_$_ LOGIN PASSWORD 'canary_of_${_}_sings'") foreach @names;

# A pool of that name with a session that has a lease on it; returns both words that are secret, and the session.
sub define
{
	my ($name, %options) = @_;
	my @words = ("canary_of_${name}_sings", "key_of_${name}_opens");
	my $session = start_session($local);

	define_pool($local, $remote, $name, max_size => 2, initial_size => 1, min_size => 1, retry_attempts => 1, %options,
		mapping => { user => "user_$name", password => $words[0], sslpassword => $words[1] });
	$session->query_safe("SELECT enhanced_pool.acquire('$name', hold => true) AS lease \\gset");
	$session->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
	like(where($_), qr/enhanced_pool/, "$name: it is there while the pool is open") foreach @words;
	return (@words, $session);
}

sub both_are_gone
{
	my ($name, @words) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is(where($_), '', $name) foreach @words[ 0, 1 ];
	return;
}

# --------------------------------------------------- the pool ends, in whatever way

my @of = define('closed');
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('closed')");
both_are_gone('close_pool: gone, though a lease is out', @of);
is($of[2]->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')"), '1', 'which is of use to its end');
$of[2]->query_safe('SELECT enhanced_pool.release(:lease)');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('closed', 'SELECT 1')"), '1', 'the pool can be opened anew');
$of[2]->quit;

@of = define('dropped');
$local->safe_psql('postgres', 'DROP SERVER dropped CASCADE');
both_are_gone('DROP SERVER: gone, though a lease is out', @of);
$of[2]->quit;

@of = define('unmapped');
$local->safe_psql('postgres', 'DROP USER MAPPING FOR CURRENT_USER SERVER unmapped');
both_are_gone('DROP USER MAPPING: gone', @of);
$of[2]->quit;

# ------------------------------------------------------------- the mapping changes

sub remote_pid
{
	return $local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('$_[0]', 'SELECT pg_backend_pid()') AS t(pid int)");
}

@of = define('altered');
$of[2]->query_safe('SELECT enhanced_pool.release_all()');
my $pid = remote_pid('altered');
$local->safe_psql('postgres', "BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER altered OPTIONS (SET password 'canary_rolled_back'); ROLLBACK");
like(where($of[0]), qr/enhanced_pool/, 'ALTER USER MAPPING that is rolled back: nothing happens');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER altered OPTIONS (ADD max_size '3')");
is(remote_pid('altered'), $pid, 'a setting alone was changed: the connection is still good');
like(where($of[0]), qr/enhanced_pool/, 'and the password there again');
$remote->safe_psql('postgres', "ALTER ROLE user_altered PASSWORD 'canary_of_another_sings'");
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER altered OPTIONS (SET password 'canary_of_another_sings', DROP sslpassword)");
both_are_gone('a new password: the old one is gone at once', @of);
isnt(remote_pid('altered'), $pid, 'the next one to use the pool gets a new connection');
both_are_gone('and the old one does not come back', @of);
like(where('canary_of_another_sings'), qr/enhanced_pool/, 'unlike the new one');
$of[2]->quit;

# Between the two nothing is tried without a password: a connection that is lost then
# is replaced when there is a definition again, which the pool sees to by itself.
@of = define('lost', circuit_breaker_threshold => 1, health_check_interval => '100ms', validation_interval => '100ms');
$of[2]->query_safe('SELECT enhanced_pool.release_all()');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER lost OPTIONS (ADD max_size '3')");
$remote->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'user_lost'");
ok($local->poll_query_until('postgres', "SELECT size = 1 AND idle = 1 FROM enhanced_pool.pools WHERE pool = 'lost'")
	&& $remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'user_lost'"),
	'a connection that was lost meanwhile is replaced, without anybody using the pool');
is($local->safe_psql('postgres', "SELECT connection_errors, circuit_breaker_trips FROM enhanced_pool.pool_metrics WHERE pool = 'lost'"), '0|0',
	'and nothing was tried that could not succeed');
$of[2]->quit;

# One that is paused stays, but needs its password no more before it is resumed.
@of = define('paused', initial_size => 2);
$of[2]->query_safe('SELECT enhanced_pool.release_all()');
$local->safe_psql('postgres', "SELECT enhanced_pool.pause('paused'); SELECT enhanced_pool.close_pool('paused')");
both_are_gone('a pool that is paused and closed: gone', @of);
$local->safe_psql('postgres', "SELECT enhanced_pool.resume('paused')");
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('paused', 'SELECT 1')"), '1', 'it can be resumed');
ok($local->poll_query_until('postgres', "SELECT idle = 2 FROM enhanced_pool.pools WHERE pool = 'paused'"), 'and is filled');
is($local->safe_psql('postgres', "SELECT connection_errors FROM enhanced_pool.pool_metrics WHERE pool = 'paused'"), '0', 'without any error');
$of[2]->quit;

# ------------------------------------------------------------------ another database

$local->safe_psql('postgres', 'CREATE DATABASE other');
$local->safe_psql('other', 'CREATE EXTENSION enhanced_pool');
define_pool($local, $remote, 'other', db => 'other', mapping => { user => 'user_other', password => 'canary_of_other_sings' });
is($local->safe_psql('other', "SELECT enhanced_pool.exec('other', 'SELECT 1')"), '1', 'a pool of another database');
like(where('canary_of_other_sings'), qr/enhanced_pool/, 'its password is there');
$local->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)');
is(where('canary_of_other_sings'), '', 'DROP DATABASE: gone');

# ------------------------------------------------------------- the worker's own memory

# What has a password is libpq's: a PGconn as long as there is the connection, and a
# few pieces of memory that it gives back unwiped.  In a definition a password is
# followed by the rest of its field, and the key's by the name of the next keyword.
my $ours = qr/^(?:\0{100}|\0user\0user_)/;
my $worker = worker_pid($local);
@of = define('worker', max_size => 8, initial_size => 8, min_size => 8);
my $backend = $of[2]->query_safe('SELECT pg_backend_pid()');

sub are_libpqs
{
	my ($most, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $word (@of[ 0, 1 ])
	{
		my @found = in_private_memory($worker, $word);

		is(scalar(grep { $_ =~ $ours } @found), 0, "$name: no copy of a definition is left in the worker");
		cmp_ok(scalar(@found), '<=', $most, "$name: and no more than libpq has");
	}
	return;
}

ok($local->poll_query_until('postgres', "SELECT size = 8 AND connecting = 0 FROM enhanced_pool.pools WHERE pool = 'worker'"), 'eight connections');
cmp_ok(scalar(in_private_memory($worker, $of[0])), '>=', 8, 'the worker has the password, as libpq needs it');
are_libpqs(8 * 3, 'connected');
$of[2]->query_safe('SELECT enhanced_pool.release_all()');
$local->safe_psql('postgres', "SELECT enhanced_pool.recycle('worker')");
ok($local->poll_query_until('postgres', "SELECT size = 8 AND idle = 8 AND state = 'active' FROM enhanced_pool.pools WHERE pool = 'worker'"), 'eight others');
are_libpqs(8 * 3, 'connected again');
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('worker')");
ok($local->poll_query_until('postgres', "SELECT size = 0 FROM enhanced_pool.pools WHERE pool = 'worker'"), 'none any more');
are_libpqs(2, 'closed');

# A backend has what the server keeps in its caches of the catalogs, and nothing else.
foreach my $word (@of[ 0, 1 ])
{
	my @found = in_private_memory($backend, $word);

	is(scalar(grep { $_ =~ $ours } @found), 0, 'no copy of a definition is left in a backend');
	cmp_ok(scalar(@found), '<=', 2, 'only the rows of two catalog caches');
}
$of[2]->quit;
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal/), 'nobody crashed');
done_testing();
