# Administration of pools that are in use: pause and resume, recycle, configure_pool,
# close_pool, prewarm, reset_stats, leak detection, a full registry.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => "enhanced_pool.max_pools = 6");
my ($out, $err);
my $ask = q{SELECT * FROM enhanced_pool.execute('%s', 'SELECT pg_backend_pid()') AS t(pid int)};

sub ask_pid
{
	return sprintf $ask, $_[0];
}

sub state_of
{
	return $local->safe_psql('postgres', "SELECT state FROM enhanced_pool.pools WHERE pool = '$_[0]'");
}

sub pool_is
{
	my ($pool, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT $condition FROM enhanced_pool.pools WHERE pool = '$pool'"), $name);
	return;
}

sub waiters_are
{
	my ($n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT count(*) = $n FROM enhanced_pool.waiters"), $name);
	return;
}

# ------------------------------------------------------------------ under load

define_pool($local, $remote, 'busy', max_size => 4, initial_size => 4);
my $script = PostgreSQL::Test::Utils::tempdir() . '/load.sql';
append_to_file($script, "SELECT enhanced_pool.exec('busy', 'SELECT 1');\n");

# Does something again and again while 20 clients use the pool, in their middle.
# None of them must see an error.
sub under_load
{
	my ($name, $action) = @_;
	my $queries = "SELECT coalesce(sum(query_count), 0) FROM enhanced_pool.pool_metrics WHERE pool = 'busy'";
	my ($stdout, $stderr) = ('', '');
	my $times = 0;
	my $load = start([ 'pgbench', '-n', '-c', 20, '-j', 2, '-t', 200, '-f', $script, $local->connstr('postgres') ],
		'<', \undef, '>', \$stdout, '2>', \$stderr);

	while (1)
	{
		my $before = $local->safe_psql('postgres', $queries);

		$action->($times++);
		poll_until { $load->pump_nb; !$load->pumpable || abs($local->safe_psql('postgres', $queries) - $before) >= 20 };
		last unless $load->pumpable;
	}
	ok($load->finish, "$name: the load comes to its end");
	unlike($stderr, qr/error|abort/i, "$name: no error");
	like($stdout, qr{transactions actually processed: 4000/4000}, "$name: nothing was left out");
	cmp_ok($times, '>', 1, "$name: done $times times meanwhile");
	return;
}

under_load('pause and resume', sub {
	$local->safe_psql('postgres', "SELECT enhanced_pool.pause('busy'" . ($_[0] % 2 ? ", '10s'" : '') . ')');
	$local->safe_psql('postgres', "SELECT enhanced_pool.resume('busy')");
});
pool_is('busy', "state = 'active' AND waiting = 0 AND active = 0", 'at rest again');
my $created = $local->safe_psql('postgres', "SELECT total_created FROM enhanced_pool.pool_metrics WHERE pool = 'busy'");
under_load('recycle', sub { $local->safe_psql('postgres', "SELECT enhanced_pool.recycle('busy')") });
pool_is('busy', "state = 'active' AND waiting = 0 AND active = 0", 'at rest again');
cmp_ok($local->safe_psql('postgres', "SELECT total_created FROM enhanced_pool.pool_metrics WHERE pool = 'busy'"),
	'>=', $created + 4, 'connections were replaced');
under_load('configure_pool', sub {
	my $n = 2 + $_[0] % 3;
	my $name = $_[0] % 5 ? 'null' : '"changed"';

	$local->safe_psql('postgres', "SELECT enhanced_pool.configure_pool('busy', '{\"max_size\": $n, \"application_name\": $name}')");
});
under_load('prewarm and reset_stats', sub {
	$local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('busy', 3)");
	$local->safe_psql('postgres', "SELECT enhanced_pool.reset_stats()") if $_[0] == 0;
});
pool_is('busy', 'waiting = 0 AND active = 0 AND size <= 4', 'at rest again');
drop_pool($local, 'busy');

# ------------------------------------------------------------- pause and resume

define_pool($local, $remote, 'p', max_size => 2, initial_size => 2, min_size => 1);
my @sessions = map { start_session($local) } 1 .. 3;

$sessions[0]->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
pool_is('p', 'size = 2 AND idle = 1', 'one leased, one idle');
is($local->safe_psql('postgres', "SELECT enhanced_pool.pause('p')"), 1, 'pause: one lease is still out');
is(state_of('p'), 'paused', 'the state says so');
pool_is('p', 'size = 1 AND active = 1', 'idle connections are closed');
my $pid = $sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)");
like($pid, qr/^\d+$/, 'a lease goes on');
fails_with($local, "SELECT enhanced_pool.acquire('p', '0')", qr/ERROR:  57P03: pool "p" is paused\n.*HINT:  .*resume/s, 'no new one');
fails_with($local, "SET enhanced_pool.acquire_timeout = '30ms'; SELECT enhanced_pool.exec('p', 'SELECT 1')",
	qr/ERROR:  57P03: pool "p" is paused/, 'nor within acquire_timeout');
begin_query($sessions[1], ask_pid('p'));
waiters_are(1, 'who has time waits');
is($local->safe_psql('postgres', "SELECT enhanced_pool.pause('p', '50ms')"), 1, 'once more, with a time limit');
waiters_are(1, 'who waits goes on waiting');
begin_query($sessions[2], "SELECT enhanced_pool.pause('p', NULL)");
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pause(''p'', NULL)%' AND wait_event_type = 'Extension'"),
	'pause waits for the lease');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($sessions[2]);
is("$out|$err", '0|', 'which has come back');
pool_is('p', 'size = 0 AND waiting = 1', 'it was closed, and nobody else got it');

# The pause outlives the worker.
my $worker = worker_pid($local);
$local->safe_psql('postgres', "SELECT pg_terminate_backend($worker)");
ok(poll_until(sub { worker_pid($local) != $worker }), 'another worker');
is(state_of('p'), 'paused', 'still paused');
waiters_are(1, 'and still waited for');
is($local->safe_psql('postgres', "SELECT size FROM enhanced_pool.pools WHERE pool = 'p'"), 0, 'nothing was opened');

# A change of the definition, too.
$local->safe_psql('postgres', "SELECT enhanced_pool.configure_pool('p', '{\"acquire_timeout\": \"1min\"}')");
is(state_of('p'), 'paused', 'paused after a change of the definition');
$local->safe_psql('postgres', "SELECT enhanced_pool.resume('p')");
($out, $err) = end_query($sessions[1]);
like("$out|$err", qr/^\d+\|$/, 'who waited is served when it is resumed');
isnt($out, $pid, 'by a new connection');
pool_is('p', "state = 'active' AND size = 2", 'the pool is filled again');

# A pool that nobody has used yet; ROLLBACK has no part in it.
define_pool($local, $remote, 'asleep', initial_size => 1, min_size => 0);
is($local->safe_psql('postgres', "BEGIN; SELECT enhanced_pool.pause('asleep'); ROLLBACK"), 0, 'a pool that is not open');
is(state_of('asleep'), 'paused', 'is paused all the same');
fails_with($local, "SELECT enhanced_pool.acquire('asleep', '0')", qr/ERROR:  57P03/, 'and gives no lease');
fails_with($local, "SELECT enhanced_pool.prewarm('asleep')", qr/ERROR:  57P03/, 'nor is it filled');
is($local->safe_psql('postgres', "SELECT total_created FROM enhanced_pool.pool_metrics WHERE pool = 'asleep'"), 0, 'nothing was connected');

# One that is closed while it is paused stays so.
begin_query($sessions[0], ask_pid('asleep'));
waiters_are(1, 'somebody waits');
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('asleep')");
($out, $err) = end_query($sessions[0]);
like($err, qr/ERROR:  57P03: pool "asleep" was closed/, 'close_pool refuses who waits');
pool_is('asleep', "state = 'paused'", 'but the pause lasts');
$local->safe_psql('postgres', "SELECT enhanced_pool.resume('asleep')");
like($local->safe_psql('postgres', ask_pid('asleep')), qr/^\d+$/, 'until it is resumed');

# Roles have pools of their own.
$local->safe_psql('postgres', 'CREATE ROLE app');
$local->safe_psql('postgres', "CREATE USER MAPPING FOR $_ SERVER p OPTIONS (user 'ep_user', password 'ep_secret'); GRANT USAGE ON FOREIGN SERVER p TO PUBLIC") foreach 'app', 'PUBLIC';
my $states = "SELECT string_agg(state, ',' ORDER BY role = 'app' DESC, role = 'public' DESC) FROM enhanced_pool.pools WHERE pool = 'p'";
is($local->safe_psql('postgres', "SELECT enhanced_pool.pause('p', role => 'app')"), 0, 'one role');
is($local->safe_psql('postgres', $states), 'paused,closed,active', 'the others are not touched');
is($local->safe_psql('postgres', "SELECT enhanced_pool.pause('p', role => 'public')"), 0, 'PUBLIC');
is($local->safe_psql('postgres', $states), 'paused,paused,active', 'has its own pool');
$local->safe_psql('postgres', "SELECT enhanced_pool.resume('p', 'app')");
is($local->safe_psql('postgres', $states), 'active,paused,active', 'resumed alone');
$local->safe_psql('postgres', "SELECT enhanced_pool.pause('p')");
is($local->safe_psql('postgres', $states), 'paused,paused,paused', 'without a role all of them');
$local->safe_psql('postgres', "SELECT enhanced_pool.resume('p'); DROP USER MAPPING FOR PUBLIC SERVER p; DROP USER MAPPING FOR app SERVER p");

# -------------------------------------------------------------------- recycle

define_pool($local, $remote, 'r', max_size => 3, initial_size => 3, min_size => 0);
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('r', hold => true) AS lease \\gset");
pool_is('r', 'size = 3 AND idle = 2', 'two idle, one leased');
my $old = "SELECT string_agg(conn_id::text, ',') FROM enhanced_pool.connection_metrics WHERE pool = 'r'";
my $ids = $local->safe_psql('postgres', $old);
$pid = $sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)");
$local->safe_psql('postgres', "SELECT enhanced_pool.recycle('r')");
is(state_of('r'), 'recycling', 'the state says so as long as a lease is out');
ok( $local->poll_query_until('postgres',
		"SELECT count(*) FILTER (WHERE conn_id IN ($ids)) = 1 AND count(*) FILTER (WHERE state = 'idle') = 2 FROM enhanced_pool.connection_metrics WHERE pool = 'r'"),
	'idle connections are replaced, as many as there were');
is($sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)"), $pid, 'the lease goes on');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
ok( $local->poll_query_until('postgres',
		"SELECT count(*) FILTER (WHERE conn_id IN ($ids)) = 0 AND count(*) FILTER (WHERE state = 'idle') = 3 FROM enhanced_pool.connection_metrics WHERE pool = 'r'"),
	'its connection is replaced when it comes back');
is(state_of('r'), 'active', 'and that is all');
# the size to which it was filled is not held for ever
$local->safe_psql('postgres', "ALTER SERVER r OPTIONS (ADD idle_timeout '100ms', ADD target_free_connections '0')");
pool_is('r', 'size = 0', 'afterwards connections expire as ever');

# ----------------------------------------------------------------- close_pool

define_pool($local, $remote, 'c', max_size => 1, initial_size => 1, min_size => 0);
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('c', hold => true) AS lease \\gset");
$pid = $sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)");
foreach my $n (1 .. 2)
{
	begin_query($sessions[$n], ask_pid('c'));
	waiters_are($n, "$n wait");
}
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('c')");
foreach my $n (1 .. 2)
{
	($out, $err) = end_query($sessions[$n]);
	like($err, qr/ERROR:  57P03: pool "c" was closed while this session waited/, 'close_pool: a waiter is refused');
}
is(state_of('c'), 'closed', 'closed');
is($sessions[0]->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)"), $pid, 'the lease goes on');
begin_query($sessions[1], ask_pid('c'));
waiters_are(1, 'the next acquire opens the pool anew');
isnt(state_of('c'), 'closed', 'open');
$sessions[0]->query_safe('SELECT enhanced_pool.release(:lease)');
($out, $err) = end_query($sessions[1]);
like("$out|$err", qr/^\d+\|$/, 'and gets a connection');
isnt($out, $pid, 'but none of those from before');
$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('c')");
ok($local->poll_query_until('postgres', "SELECT count(*) = 0 FROM enhanced_pool.pool_metrics WHERE pool = 'c'"), 'closed: it gives up its place');
$local->safe_psql('postgres', ask_pid('c'));
is($local->safe_psql('postgres', "SELECT query_count, acquire_count FROM enhanced_pool.pool_metrics WHERE pool = 'c'"), '1|1', 'its counters begin at zero');

# -------------------------------------------------------------------- prewarm

define_pool($local, $remote, 'w', max_size => 5, initial_size => 2, min_size => 0);
is($local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('w')"), 2, 'prewarm: initial_size');
is($local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('w', 4)"), 4, 'or as many as are wanted');
is($local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('w', 100)"), 5, 'max_size at most');
is($local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('w', 0)"), 5, 'and none is taken away');
is($local->safe_psql('postgres', "SELECT size, idle, state FROM enhanced_pool.pools WHERE pool = 'w'"), '5|5|active', 'they are there');
fails_with($local, "ALTER SERVER w OPTIONS (ADD connect_query 'no such thing'); SELECT enhanced_pool.recycle('w'), enhanced_pool.prewarm('w', 2)",
	qr/WARNING:  08001: could not connect to pool "w"\n.*DETAIL:  .*syntax error/s, 'what keeps it from connecting is said');
fails_with($local, "BEGIN; ALTER SERVER w OPTIONS (DROP connect_query); SELECT enhanced_pool.prewarm('w', 2)",
	qr/ERROR:  55000: server of pool "w" was changed in this transaction/, 'not with what is not committed');
fails_with($local, "SELECT enhanced_pool.prewarm('w', -1)", qr/ERROR:  22023/, 'a negative number');
drop_pool($local, 'w');

# ---------------------------------------------------------------- reset_stats

my $counted = "SELECT bool_or(acquire_count + query_count + total_created > 0) FROM enhanced_pool.pool_metrics WHERE pool = '%s'";
my $since = "SELECT stats_reset FROM enhanced_pool.pool_metrics WHERE pool = 'p'";
my $reset = $local->safe_psql('postgres', $since);
is($local->safe_psql('postgres', sprintf $counted, 'p'), 't', 'something was counted');
$local->safe_psql('postgres', "SELECT enhanced_pool.reset_stats('p')");
is($local->safe_psql('postgres', sprintf $counted, 'p'), 'f', 'reset_stats: nothing any more');
is($local->safe_psql('postgres', sprintf $counted, 'c'), 't', 'of that pool alone');
is($local->safe_psql('postgres', "SELECT ($since) > '$reset'"), 't', 'stats_reset tells when');
$local->safe_psql('postgres', "SELECT enhanced_pool.reset_stats()");
is($local->safe_psql('postgres', sprintf $counted, 'c'), 'f', 'of all');

# ------------------------------------------------------------- leak detection

$local->safe_psql('postgres', "ALTER SERVER c OPTIONS (ADD leak_detection_threshold '50ms')");
my $backend = $sessions[0]->query_safe('SELECT pg_backend_pid()');
my $from = -s $local->logfile;
my $lease = $sessions[0]->query_safe("SELECT enhanced_pool.acquire('c', hold => true, name => 'import')");
my $line = qr/pool "c": lease $lease has been held for [\d.]+ s by process $backend\n.*DETAIL:  Role with OID \d+, connection \d+, acquired as "import"\./;
$local->wait_for_log($line, $from);
pass('a lease that is held for too long is in the log');
# two more rounds of the timer, which another lease tells of
$sessions[1]->query_safe("SELECT enhanced_pool.exec('p', 'SELECT 1')");
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (ADD leak_detection_threshold '1s')");
$sessions[1]->query_safe("SELECT enhanced_pool.acquire('p', hold => true)");
$local->wait_for_log(qr/pool "p": lease \d+ has been held for/, $from);
is(scalar(() = slurp_file($local->logfile, $from) =~ /pool "c": lease $lease/g), 1, 'once');
$sessions[1]->query_safe('SELECT enhanced_pool.release_all()');
is($sessions[0]->query_safe('SELECT enhanced_pool.release_all()'), 1, 'it can be given back');
$from = -s $local->logfile;
$lease = $sessions[0]->query_safe("SELECT enhanced_pool.acquire('c', hold => true)");
$local->wait_for_log(qr/pool "c": lease $lease has been held for/, $from);
pass('the next one is told of again');
$sessions[0]->query_safe('SELECT enhanced_pool.release_all()');

# ------------------------------------------------------- when max_pools is full

# p, asleep, r and c are open.  The one that is unused for longest makes room, but not one that
# is paused, or has a lease.
foreach my $pool (qw(asleep r p c))
{
	$local->safe_psql('postgres', ask_pid($pool));
}
$local->safe_psql('postgres', "SELECT enhanced_pool.pause('asleep')");
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('r', hold => true)");
define_pool($local, $remote, "more$_", initial_size => 1, min_size => 0) foreach 1 .. 4;
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('more$_', hold => true)") foreach 1 .. 3;
is( $local->safe_psql('postgres', "SELECT string_agg(pool || ' ' || state, ',' ORDER BY pool) FROM enhanced_pool.pools WHERE pool !~ 'more'"),
	'asleep paused,c active,p closed,r active', 'the pool that was unused for longest was closed');
$sessions[0]->query_safe("SELECT enhanced_pool.acquire('c', hold => true)");
fails_with($local, ask_pid('more4'), qr/ERROR:  53400: all 6 pools are in use/, 'none can be closed');
$sessions[0]->query_safe('SELECT enhanced_pool.release_all()');
like($local->safe_psql('postgres', ask_pid('more4')), qr/^\d+$/, 'until leases come back');

$_->quit foreach @sessions;
check_clean($local, $remote, 40);
done_testing();
