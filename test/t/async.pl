# Statements that are sent and whose results are taken later, on several leases at
# once; what ends them; and notifications.  Locks of the remote say when a statement
# ends, so that nothing depends on how fast it all is.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my ($out, $err);

define_pool($local, $remote, 'p', max_size => 6, initial_size => 6, min_size => 6);
$local->poll_query_until('postgres', "SELECT count(*) = 0 FROM enhanced_pool.waiters");
$local->safe_psql('postgres', "SELECT enhanced_pool.prewarm('p')");

my $baseline = worker_surplus($local);
my $session = start_session($local);
my $holder = start_session($remote);
my $pid = $session->query_safe('SELECT pg_backend_pid()');

# Statements of pools that run on the remote and match.
sub runs_remotely
{
	my ($n, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $remote->poll_query_until('postgres',
			"SELECT count(*) = $n FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active' AND query LIKE '%$pattern%'"),
		$name);
	return;
}

# What the session's statement raises.
sub raises
{
	my ($sql, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$session->query("$sql;");
	like($session->{stderr}, $pattern, $name);
	$session->{stderr} = '';
	return;
}

# Held leases in psql variables of the session.
sub acquire
{
	my (@names) = @_;

	$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS $_ \\gset") foreach @names;
	return;
}

# The session is in wait_any, or another function of ours.
sub waits
{
	ok( $local->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND state = 'active' AND wait_event_type = 'Extension'"),
		'the session waits');
	return;
}

sub lock_remotely
{
	$holder->query_safe("SELECT pg_advisory_lock($_)") foreach @_;
	return;
}

sub unlock_remotely
{
	$holder->query_safe("SELECT pg_advisory_unlock($_)") foreach @_;
	return;
}

# A statement that ends when the lock is released, and says which it was.
sub locked { return "SELECT $_[0] FROM pg_advisory_xact_lock_shared($_[0])" }

# ------------------------------------------------------- the first that has something

acquire('a', 'b', 'c');
lock_remotely(1, 2, 3);
$session->query_safe("SELECT enhanced_pool.send(:a, '" . locked(1) . "'), enhanced_pool.send(:b, '" . locked(2) . "'), enhanced_pool.send(:c, '" . locked(3) . "')");
runs_remotely(3, 'advisory_xact_lock', 'three statements at the same time');
is($session->query_safe('SELECT enhanced_pool.is_busy(:a), enhanced_pool.is_busy(:b), enhanced_pool.is_busy(:c)'), 't|t|t', 'all are busy');
is($session->query_safe("SELECT count(*) FROM enhanced_pool.leases WHERE state = 'active'"), 3, 'as the view says');
is($session->query_safe("SELECT enhanced_pool.wait_any(ARRAY[:a, :b, :c], '10 ms') IS NULL"), 't', 'none is ready');
foreach my $which ([ b => 2 ], [ c => 3 ], [ a => 1 ])
{
	my ($lease, $lock) = @$which;

	begin_query($session, "SELECT enhanced_pool.wait_any(ARRAY[:a, :b, :c]) = :$lease");
	waits();
	unlock_remotely($lock);
	($out, $err) = end_query($session);
	is($out, 't', "wait_any returns the lease whose statement ends");
	is($session->query_safe("SELECT enhanced_pool.is_busy(:$lease)"), 'f', 'which is not busy any more');
	is($session->query_safe("SELECT n FROM enhanced_pool.get_result(:$lease) AS t(n int)"), $lock, 'with its result');
}
raises('SELECT enhanced_pool.wait_any(ARRAY[:a, :b, :c])', qr/55000: /, 'nothing is left to wait for');

# ------------------------------------------------------------------- interrupts

lock_remotely(1);
$session->query_safe("SELECT enhanced_pool.send(:a, '" . locked(1) . "')");
raises("SET statement_timeout = '50ms'; SELECT enhanced_pool.wait_any(ARRAY[:a])", qr/57014: canceling statement due to statement timeout/, 'wait_any within statement_timeout');
$session->query_safe('SET statement_timeout = 0');
runs_remotely(1, 'advisory_xact_lock', 'what was sent before goes on');
unlock_remotely(1);
is($session->query_safe('SELECT n FROM enhanced_pool.get_result(:a) AS t(n int)'), 1, 'and its result is to be had');

$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)')");
begin_query($session, 'SELECT enhanced_pool.get_result(:a)');
waits();
$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
($out, $err) = end_query($session);
like($err, qr/57014: canceling statement due to user request/, 'get_result is cancelled');
runs_remotely(0, 'pg_sleep', 'and with it the statement');
raises('SELECT enhanced_pool.get_result(:a)', qr/55000: /, 'nothing is pending after that');
is($session->query_safe("SELECT enhanced_pool.exec(:a, 'SELECT 1')"), 1, 'the lease goes on');

# in the middle of many rows
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT repeat(''x'', 1000) FROM generate_series(1, 10000000)')");
raises("SET statement_timeout = '200ms'; SELECT count(*) FROM enhanced_pool.get_result(:a) AS t(x text)", qr/57014/, 'cut off in the middle of rows');
$session->query_safe('SET statement_timeout = 0');
is($session->query_safe("SELECT enhanced_pool.exec(:a, 'SELECT 1')"), 1, 'the lease goes on');

# cancel
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)')");
is($session->query_safe('SELECT enhanced_pool.cancel(:a), enhanced_pool.cancel(:a), enhanced_pool.cancel(:b)'), 't|t|f', 'cancel says whether there is something');
raises('SELECT enhanced_pool.get_result(:a)', qr/57014: canceling statement due to user request.*remote server "p"/s, 'the remote statement is cancelled');
# one that has ended is not undone, and the next one is not hit
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT 1')");
is($session->query_safe('SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a'), 't', 'a statement that has ended');
$session->query_safe('SELECT enhanced_pool.cancel(:a)');
is($session->query_safe('SELECT n FROM enhanced_pool.get_result(:a) AS t(n int)'), 1, 'has its result though it is cancelled');
is($session->query_safe("SELECT t.n FROM enhanced_pool.execute(:a, 'SELECT 2 FROM pg_sleep(0.2)') AS t(n int)"), 2, 'and the next one is not hit');

# query_timeout counts from send
$session->query_safe("SET enhanced_pool.query_timeout = '200ms'; SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)')");
is($session->query_safe('SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a'), 't', 'query_timeout ends the wait');
raises('SELECT enhanced_pool.get_result(:a)', qr/57014: canceling remote statement due to query_timeout/, 'and get_result raises it');
runs_remotely(0, 'pg_sleep', 'the statement has ended');
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT 3')");
$session->query_safe('SELECT pg_sleep(0.3)');
is($session->query_safe('SELECT n FROM enhanced_pool.get_result(:a) AS t(n int)'), 3, 'what came in time may be taken later');
$session->query_safe('SET enhanced_pool.query_timeout = 0');

# ---------------------------------------------- much that nobody has read yet

sub memory { return $session->query_safe('SELECT sum(total_bytes) FROM pg_backend_memory_contexts') }

my $before = memory();
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT g, repeat(''x'', 100) FROM generate_series(1, 1000000) g')");
is($session->query_safe('SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a'), 't', 'a large answer is ready when it has begun');
ok( $remote->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND query LIKE '%1000000%' AND wait_event = 'ClientWrite'"),
	'the remote waits to be read');
is($session->query_safe('SELECT enhanced_pool.is_busy(:a)'), 'f', 'and has not ended');
is($session->query_safe("SELECT sum(t.n) FROM generate_series(1, 10) g, enhanced_pool.execute(:b, 'SELECT \$1', g) AS t(n int)"), 55, 'another lease is used meanwhile');
cmp_ok(memory() - $before, '<', 1024 * 1024, 'little memory is taken');
is($session->query_safe('SELECT count(*), sum(n) FROM enhanced_pool.get_result(:a) AS t(n bigint, x text)'), '1000000|500000500000', 'all of it comes when it is wanted');
# two of them do not hold up each other
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT generate_series(1, 300000)'), enhanced_pool.send(:b, 'SELECT generate_series(1, 300000)')");
is($session->query_safe('SELECT (SELECT count(*) FROM enhanced_pool.get_result(:b) AS t(n int)), (SELECT count(*) FROM enhanced_pool.get_result(:a) AS t(n int))'),
	'300000|300000', 'two large answers, the later one first');
# unread ones are dropped
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT generate_series(1, 100000000)'), enhanced_pool.send(:b, 'SELECT generate_series(1, 100000000)')");
$session->query_safe('SELECT enhanced_pool.wait_any(ARRAY[:a]), enhanced_pool.wait_any(ARRAY[:b])');
is($session->query_safe('SELECT enhanced_pool.release(:a), enhanced_pool.release(:b)'), 't|t', 'released unread');
runs_remotely(0, 'generate_series', 'the remote has stopped');
ok( $local->poll_query_until('postgres', "SELECT count(*) = 6 FROM enhanced_pool.connection_metrics WHERE state = 'idle' OR conn_id IN (SELECT conn_id FROM enhanced_pool.leases)"),
	'the connections are of use again');
acquire('a', 'b');

# a statement that the remote does not read waits to be sent
my $remote_pid = $session->query_safe("SELECT pid FROM enhanced_pool.execute(:a, 'SELECT pg_backend_pid()') AS t(pid int)");
SKIP:
{
	skip 'the relay takes it all', 4 if tls_of($remote);
	kill 'STOP', $remote_pid;
	begin_query($session, "SELECT enhanced_pool.send(:a, 'SELECT length(\$1)', repeat(repeat('x', 10000), 2000))");
	waits();
	$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	($out, $err) = end_query($session);
	like($err, qr/57014/, 'sending can be cancelled');
	kill 'CONT', $remote_pid;
	raises("SELECT enhanced_pool.exec(:a, 'SELECT 1')", qr/08006/, 'a statement of which the remote has only a part ends the connection');
	is($session->query_safe('SELECT enhanced_pool.release(:a)'), 't', 'given back');
	acquire('a');
}

# ------------------------------------------------------------ subtransactions

# What each of three levels does with a lease of the outermost, all combinations: s
# sends, t takes, l looks, - nothing; those inside abort or not.  Whatever happens,
# the lease is of use, and a result is there exactly if one was sent by who lives and
# nobody took it.
$session->query_safe(<<'SQL');
CREATE FUNCTION act(what text, lease bigint, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF what = 's' THEN
    PERFORM enhanced_pool.send(lease, 'SELECT $1', n);
  ELSIF what = 't' THEN
    PERFORM enhanced_pool.get_result(lease);
  ELSIF what = 'l' THEN
    PERFORM enhanced_pool.is_busy(lease), enhanced_pool.cancel(lease) AND false;
  END IF;
END $$;
CREATE FUNCTION nest(lease bigint, acts text, aborts text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  n int;
BEGIN
  PERFORM act(substr(acts, 1, 1), lease, 1);
  BEGIN
    PERFORM act(substr(acts, 2, 1), lease, 2);
    BEGIN
      PERFORM act(substr(acts, 3, 1), lease, 3);
      IF substr(aborts, 2, 1) = 'a' THEN RAISE 'inner'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    IF substr(aborts, 1, 1) = 'a' THEN RAISE 'outer'; END IF;
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
  BEGIN
    SELECT t.n INTO n FROM enhanced_pool.get_result(lease) AS t(n int);
  EXCEPTION
    WHEN object_not_in_prerequisite_state THEN n := 0;
    WHEN query_canceled THEN n := -1;
  END;
  ASSERT enhanced_pool.exec(lease, 'SELECT 1') = 1;
  RETURN n;
END $$;
SQL
my @wrong;
foreach my $acts ('s--', '-s-', '--s', 'st-', 's-t', '-st', 'sts')
{
	foreach my $aborts ('cc', 'ca', 'ac', 'aa')
	{
		my $expected = 0;
		my @lives = (1, substr($aborts, 0, 1) eq 'c', substr($aborts, 0, 1) eq 'c' && substr($aborts, 1, 1) eq 'c');

		foreach my $level (0 .. 2)
		{
			my $what = substr($acts, $level, 1);

			# an inner level that takes what an outer one sent has taken it, whatever becomes of it
			$expected = $lives[$level] ? $level + 1 : 0 if $what eq 's';
			$expected = 0 if $what eq 't';
		}
		$out = $session->query_safe("SELECT nest(:a, '$acts', '$aborts')");
		push @wrong, "$acts $aborts: $out, not $expected" if $out ne $expected;
	}
}
is("@wrong", '', 'what was sent ends with the subtransaction that sent it, and with no other');
# looked at and cancelled from within
is($session->query_safe("SELECT nest(:a, 's-l', 'ca') IN ('1', '-1'), nest(:a, 'sl-', 'aa') IN ('1', '-1')"), 't|t', 'looking and cancelling in one that aborts');

# ------------------------------------------------------------- ends of all kinds

# the local session ends
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)'), enhanced_pool.send(:b, 'SELECT pg_sleep(600)'), enhanced_pool.send(:c, 'SELECT generate_series(1, 100000000)')");
runs_remotely(2, 'pg_sleep', 'statements run');
$session->quit;
runs_remotely(0, 'pg_sleep', 'the end of the session ends them');
runs_remotely(0, 'generate_series', 'and the one whose rows nobody reads');
ok($local->poll_query_until('postgres', 'SELECT count(*) = 0 FROM enhanced_pool.leases'), 'no lease is left');

$session = start_session($local);
$pid = $session->query_safe('SELECT pg_backend_pid()');
acquire('a', 'b');
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)')");
begin_query($session, 'SELECT enhanced_pool.wait_any(ARRAY[:a])');
waits();
$local->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
runs_remotely(0, 'pg_sleep', 'a session that is terminated while it waits');
ok($local->poll_query_until('postgres', 'SELECT count(*) = 0 FROM enhanced_pool.leases'), 'no lease is left');
eval { $session->quit };

# transactions end
$session = start_session($local);
$pid = $session->query_safe('SELECT pg_backend_pid()');
foreach my $end ('COMMIT', 'ROLLBACK')
{
	$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('p') AS a \\gset");
	$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)')");
	$session->query_safe($end);
	runs_remotely(0, 'pg_sleep', "$end ends what was sent on a lease of the transaction");
}

# the remote session is ended
acquire('a', 'b');
$remote_pid = $session->query_safe("SELECT pid FROM enhanced_pool.execute(:a, 'SELECT pg_backend_pid()') AS t(pid int)");
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)')");
begin_query($session, 'SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a');
waits();
$remote->safe_psql('postgres', "SELECT pg_terminate_backend($remote_pid)");
($out, $err) = end_query($session);
is($out, 't', 'a remote session that is terminated is ready');
is($session->query_safe('SELECT enhanced_pool.is_busy(:a)'), 'f', 'and not busy');
raises('SELECT enhanced_pool.get_result(:a)', qr/57P01: terminating connection due to administrator command/, 'its result is the error');
raises('SELECT enhanced_pool.get_result(:a)', qr/55000: /, 'which comes once');
raises("SELECT enhanced_pool.send(:a, 'SELECT 1')", qr/08006: /, 'the lease is of no use any more');
$session->query_safe('SELECT enhanced_pool.release(:a)');

# an administrator ends the connection
acquire('a');
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_sleep(600)')");
begin_query($session, 'SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a');
waits();
$local->safe_psql('postgres', "SELECT enhanced_pool.terminate_connection(conn_id) FROM enhanced_pool.leases WHERE query LIKE '%pg_sleep%'");
($out, $err) = end_query($session);
is($out, 't', 'terminate_connection ends the wait');
raises('SELECT enhanced_pool.get_result(:a)', qr/57P01: connection to remote server "p" was terminated by an administrator/, 'and get_result raises it');
runs_remotely(0, 'pg_sleep', 'the remote has stopped');
$session->query_safe('SELECT enhanced_pool.release(:a)');

# ------------------------------------------------------------- notifications

acquire('a');
$session->query_safe("SELECT enhanced_pool.exec(:a, 'LISTEN news')");
foreach my $way ("SELECT extra FROM enhanced_pool.get_notify(:a, '10 min')", 'SELECT enhanced_pool.wait_any(ARRAY[:a, :b]) = :a')
{
	begin_query($session, $way);
	waits();
	$remote->safe_psql('postgres', "NOTIFY news, 'hot'");
	($out, $err) = end_query($session);
	is($out, $way =~ /extra/ ? 'hot' : 't', 'a notification ends the wait');
}
is($session->query_safe('SELECT notify_name, be_pid > 0, extra FROM enhanced_pool.get_notify(:a)'), 'news|t|hot', 'and is there');
is($session->query_safe("SELECT count(*) FROM enhanced_pool.get_notify(:a, '10 ms')"), 0, 'once');
begin_query($session, "SELECT extra FROM enhanced_pool.get_notify(:a, NULL)");
waits();
$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
($out, $err) = end_query($session);
like($err, qr/57014/, 'the wait can be cancelled');
is($session->query_safe("SELECT state FROM enhanced_pool.leases WHERE lease = :a"), 'idle', 'a lease that listens is idle');

# in the answers of other statements, in order, and no more than are kept
$session->query("SELECT enhanced_pool.exec(:a, 'SELECT pg_notify(''news'', g::text) FROM generate_series(1, 10050) g');");
is(scalar(() = $session->{stderr} =~ /WARNING: .*notifications of lease \d+ were dropped/g), 1, 'one warning when some were dropped');
$session->{stderr} = '';
is($session->query_safe('SELECT count(*), min(extra::int), max(extra::int), array_agg(extra::int) = array_agg(extra::int ORDER BY extra::int) FROM enhanced_pool.get_notify(:a)'),
	'10000|51|10050|t', 'the newest are kept, in their order');
$session->query_safe("SELECT enhanced_pool.send(:a, 'SELECT pg_notify(''news'', repeat(''x'', 7000) || g) FROM generate_series(1, 100) g')");
is($session->query_safe('SELECT enhanced_pool.get_count(:a)'), 100, 'notifications in the answer of a statement that was sent');
is($session->query_safe('SELECT count(*) FROM enhanced_pool.get_notify(:a)'), 100, 'are kept');
# in what is read of a statement that was given up
$session->query_safe("SELECT enhanced_pool.exec(:a, 'BEGIN'), enhanced_pool.exec(:a, 'NOTIFY news, ''given up''')");
$session->query_safe("BEGIN; SAVEPOINT s; SELECT enhanced_pool.send(:a, 'COMMIT')");
$session->query_safe("SELECT enhanced_pool.wait_any(ARRAY[:a]); ROLLBACK TO s; COMMIT");
is($session->query_safe("SELECT extra FROM enhanced_pool.get_notify(:a, '1 min')"), 'given up', 'nor is one lost with an answer that nobody takes');

# the remote ends while the lease rests
$remote_pid = $session->query_safe("SELECT pid FROM enhanced_pool.execute(:a, 'SELECT pg_backend_pid()') AS t(pid int)");
begin_query($session, "SELECT extra FROM enhanced_pool.get_notify(:a, '10 min')");
waits();
$remote->safe_psql('postgres', "SELECT pg_terminate_backend($remote_pid)");
($out, $err) = end_query($session);
like($err, qr/57P01: terminating connection|08006: /, 'get_notify notices that the remote session has ended');
raises('SELECT * FROM enhanced_pool.get_notify(:a)', qr/08006: /, 'and goes on saying so');
is($session->query_safe("SELECT enhanced_pool.wait_any(ARRAY[:a]) = :a"), 't', 'wait_any does not wait for it');
$session->query_safe('SELECT enhanced_pool.release(:a)');
is($session->query_safe("SELECT enhanced_pool.exec('p', 'SELECT 1')"), 1, 'the pool goes on');

# ------------------------------------------------------ a definition that changes

# The result type of a prepared statement changes while it waits, and it is prepared
# anew for a pool that propagates nothing any more.
$remote->safe_psql('postgres', 'CREATE TABLE changing (a int); GRANT ALL ON changing TO ep_user');
define_pool($local, $remote, 'q', max_size => 2, initial_size => 2, min_size => 2, propagate_settings => 'TimeZone');
$session->query_safe("SELECT enhanced_pool.acquire('q', hold => true) AS q \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:q, 'SELECT * FROM changing')");
$holder->query_safe('BEGIN; ALTER TABLE changing ADD b int');
$session->query_safe("SELECT enhanced_pool.send(:q, 'SELECT * FROM changing')");
runs_remotely(1, 'FROM changing', 'a prepared statement waits');
$local->safe_psql('postgres', 'ALTER SERVER q OPTIONS (DROP propagate_settings)');
is($session->query_safe("SELECT enhanced_pool.exec('q', 'SELECT 1')"), 1, 'the session has seen the new definition');
$holder->query_safe('COMMIT');
is($session->query_safe('SELECT enhanced_pool.get_count(:q)'), 0, 'and the statement is prepared anew');
$session->query_safe('SELECT enhanced_pool.release(:q)');
drop_pool($local, 'q');

# --------------------------------------------------- worker and remote server

acquire('a');
lock_remotely(1);
$session->query_safe("SELECT enhanced_pool.send(:a, '" . locked(1) . "')");
runs_remotely(1, 'advisory_xact_lock', 'a statement waits');
my $worker = worker_pid($local);
kill 'TERM', $worker;
ok(poll_until { my $now = worker_pid($local); $now ne $worker }, 'the worker is another one');
unlock_remotely(1);
if (tls_of($remote))
{
	raises('SELECT n FROM enhanced_pool.get_result(:a) AS t(n int)', qr/08006/, 'a relayed connection ends with its worker');
}
else
{
	is($session->query_safe('SELECT n FROM enhanced_pool.get_result(:a) AS t(n int)'), 1, 'a statement outlives the worker');
}
$session->query_safe('SELECT enhanced_pool.release_all()');

acquire('a');
$session->query_safe("SELECT enhanced_pool.exec(:a, 'LISTEN news')");
acquire('b');
$session->query_safe("SELECT enhanced_pool.send(:b, 'SELECT pg_sleep(600)')");
begin_query($session, 'SELECT enhanced_pool.wait_any(ARRAY[:b]) = :b');
waits();
$holder->quit;
$remote->stop('immediate');
($out, $err) = end_query($session);
is($out, 't', 'a crash of the remote ends the wait');
raises('SELECT enhanced_pool.get_result(:b)', qr/08006: |57P0[123]: /, 'its result is an error');
raises("SELECT * FROM enhanced_pool.get_notify(:a, '10 min')", qr/08006: |57P0[123]: /, 'and who listens learns it');
$session->query_safe('SELECT enhanced_pool.release_all()');
$remote->start;
ok(poll_until { ($session->query("SELECT enhanced_pool.exec('p', 'SELECT 1')") // '') eq '1' }, 'the pool comes back');
$session->{stderr} = '';

$session->quit;
check_clean($local, $remote, 6);
done_testing();
