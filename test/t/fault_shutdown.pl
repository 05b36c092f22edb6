# The server ends (fast, immediate, smart) or crashes while leases are in use in every
# way: it does not hang, nothing is left on the remote, and pools come back by themselves.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => "restart_after_crash = on\nenhanced_pool.prewarm = 'postgres.one'");
my $rows = q{$$SELECT i, repeat('x', 1000) FROM generate_series(1, 100000000) i$$};
my $of_pools = "FROM pg_stat_activity WHERE usename = 'ep_user'";

$remote->safe_psql('postgres', 'CREATE TABLE target (i int, x text); GRANT ALL ON target TO ep_user');
$local->safe_psql('postgres', 'CREATE TABLE source (i int, x text)');
define_pool($local, $remote, 'p', max_size => 20, initial_size => 0, min_size => 0, health_check_interval => 0);
define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, min_size => 1, health_check_interval => 0);

# How connections are in use: what a session of the local server has done, and what it is
# doing.  "unread" leaves rows in the socket that nobody reads.
my $lease = "SELECT enhanced_pool.acquire('p') AS lease \\gset";
my %uses = (
	idle => [ "SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset" ],
	exchange => [ '', "SELECT enhanced_pool.exec('p', 'SELECT pg_sleep(600)')" ],
	rows => [ "BEGIN; $lease\nSELECT enhanced_pool.exec(:lease, 'BEGIN')", "SELECT count(*) FROM enhanced_pool.execute(:lease, $rows) AS t(i int, x text)" ],
	unread => [ "BEGIN; $lease\nSELECT enhanced_pool.exec(:lease, 'BEGIN'), enhanced_pool.exec(:lease, 'INSERT INTO target VALUES (1)'), enhanced_pool.send(:lease, $rows)" ],
	session => [ "BEGIN; SELECT enhanced_pool.exec(enhanced_pool.session('p'), 'INSERT INTO target VALUES (2)')" ],
	session_busy => [ "BEGIN; SELECT enhanced_pool.exec(enhanced_pool.session('p'), 'INSERT INTO target VALUES (3)')",
		"SELECT enhanced_pool.exec(enhanced_pool.session('p'), 'SELECT pg_sleep(600)')" ],
	group => [ '', "SELECT * FROM enhanced_pool.run_parallel('p', ARRAY['SELECT pg_sleep(600)', 'SELECT pg_sleep(601)'])" ],
	transaction => [ '', "SELECT * FROM enhanced_pool.run_in_transaction('p', ARRAY['INSERT INTO target VALUES (4)', 'SELECT pg_sleep(600)'])" ],
	cursor => [ "BEGIN; $lease\nSELECT enhanced_pool.exec(:lease, 'BEGIN'), enhanced_pool.exec(:lease, \$\$DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 1000000)\$\$);"
		  . "DECLARE l CURSOR FOR SELECT * FROM enhanced_pool.execute(:lease, 'FETCH 100 FROM c') AS t(i int); FETCH 3 FROM l" ],
	sent => [ "BEGIN; $lease\nSELECT enhanced_pool.send(:lease, 'SELECT pg_sleep(600)')" ],
	copy_to => [ '', "SELECT enhanced_pool.copy_to('p', 'target', $rows)" ],
	copy_from => [ '', "SELECT enhanced_pool.copy_from('p', $rows, 'source')" ],
	waiter => [ '', "SELECT enhanced_pool.exec('one', 'SELECT 1')" ]);
my %sessions;

sub use_connections
{
	my @names = @_;

	foreach my $name ('idle', grep { $_ ne 'idle' } @names)
	{
		my ($first, $then) = @{ $uses{$name} };

		$sessions{$name} = start_session($local);
		$sessions{$name}->query_safe($first) if $first;
		begin_query($sessions{$name}, $then) if $then;
	}
	my $busy = (grep { $_ !~ /^(idle|waiter)$/ } @names) + (grep { $_ eq 'group' } @names);
	$local->poll_query_until('postgres', "SELECT active = $busy FROM enhanced_pool.pools WHERE pool = 'p'") or die 'not in use';
	$local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters') or die 'nobody waits';
	my $sleeping = grep { /^(exchange|session_busy|group|transaction|sent)$/ } @names;
	$sleeping++ if grep { $_ eq 'group' } @names;
	$remote->poll_query_until('postgres', "SELECT count(*) = $sleeping $of_pools AND wait_event = 'PgSleep'") or die 'nobody sleeps';
	return;
}

sub end_sessions
{
	foreach (values %sessions)
	{
		eval { $_->quit };
	}
	%sessions = ();
	return;
}

sub remote_is_clean
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($remote->poll_query_until('postgres', "SELECT count(*) = 0 $of_pools"), "$name: no connection is left on the remote, nor what it was busy with")
	  or diag($remote->safe_psql('postgres', "SELECT state, wait_event, query $of_pools"));
	is($remote->safe_psql('postgres', 'SELECT count(*) FROM target'), '0', 'all transactions were rolled back');
	is($remote->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE relation = 'target'::regclass"), '0', 'no lock is left');
	return;
}

sub pools_work
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT idle = 1 FROM enhanced_pool.pools WHERE pool = 'one'"), "$name: a prewarmed pool is there without anybody's doing");
	is($local->safe_psql('postgres', "SELECT enhanced_pool.exec(p, 'SELECT 1') FROM unnest(ARRAY['p', 'one']) p"), "1\n1", 'pools work');
	check_clean($local, $remote, 21);
	return;
}

# ------------------------------------------------------------------------- fast

# The remote is told to cancel what is running, so it is not for the remote to find out.
use_connections(keys %uses);
$local->stop('fast');
pass('fast: it stopped');
end_sessions();
remote_is_clean('fast');
ok(!glob($local->data_dir . '/pg_stat_tmp/enhanced_pool.*'), 'no socket is left');
$local->start;
pools_work('started');

# ------------------------------------------------------------ immediate, and crashes

# Nobody is there to tell the remote: it finds out when it sends, or by looking.
$remote->append_conf('postgresql.conf', "client_connection_check_interval = '500ms'");
$remote->reload;
use_connections(keys %uses);
$local->stop('immediate');
pass('immediate: it stopped');
end_sessions();
remote_is_clean('immediate');
$local->start;
pools_work('started');

use_connections(keys %uses);
my $offset = -s $local->logfile;
PostgreSQL::Test::Utils::system_log('pg_ctl', 'kill', 'KILL',
	$local->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE query LIKE '%enhanced_pool.copy_to%' AND pid <> pg_backend_pid()"));
$local->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
ok(poll_until(sub { $local->psql('postgres', 'SELECT 1') == 0 }), 'a backend was killed: the server is back');
end_sessions();
ok( $remote->poll_query_until('postgres', "SELECT count(*) <= 1 AND bool_and(state = 'idle') IS NOT false $of_pools"),
	'nothing of before is left on the remote');
is($remote->safe_psql('postgres', 'SELECT count(*) FROM target'), '0', 'all transactions were rolled back');
pools_work('crashed');

# ------------------------------------------------------------------------ smart

# Sessions go on until they end; so long pools serve them.
use_connections('idle', 'unread', 'session', 'cursor', 'waiter');
my $watcher = start_session($local);
my $smart = IPC::Run::start([ 'pg_ctl', 'stop', '-m', 'smart', '-D', $local->data_dir, '-t', 180 ], '<', \undef, '>', \my $said, '2>&1');
ok(poll_until(sub { $local->psql('postgres', 'SELECT 1') != 0 }), 'smart: no new sessions');
is($sessions{idle}->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')"), '1', 'a lease works');
is($sessions{idle}->query_safe('SELECT enhanced_pool.release(:lease)'), 't', 'it is given back');
my ($out, $err) = end_query($sessions{waiter});
is("$out|$err", '1|', 'to the waiter');
is($sessions{cursor}->query_safe('FETCH 1 FROM l'), '4', 'a cursor');
is($sessions{cursor}->query_safe("CLOSE l; SELECT * FROM enhanced_pool.execute(:lease, 'FETCH 1 FROM c') AS t(i int)"), '101', 'and one of the remote');
is($watcher->query_safe("SELECT * FROM enhanced_pool.execute('p', 'SELECT 1') AS t(i int)"), '1', 'even new connections');
$sessions{session}->query_safe('COMMIT');
is($remote->safe_psql('postgres', 'SELECT i FROM target'), '2', 'a session can commit');
$remote->safe_psql('postgres', 'DELETE FROM target');
$watcher->quit;
end_sessions();
ok($smart->finish, 'when they have ended it stops') or diag($said);
remote_is_clean('smart');
$local->_update_pid(0);
$local->start;
pools_work('started');
ok(!$local->log_contains(qr/PANIC|TRAP/), 'nothing bad in the log');

done_testing();
