# Operation groups: larger than their pool, competing with each other, with pools
# that are dead or frozen, cut off in every way, and left clean.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my $out;
my $err;

# A server that takes connections and never says a word.
my $frozen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128, Proto => 'tcp')
  or die "could not listen: $!";
my $frozen_port = $frozen->sockport;
my $dead_port = PostgreSQL::Test::Cluster::get_free_port();

my @fixed = (min_size => 0, idle_timeout => 0, validation_interval => 0, health_check_interval => 0);

define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, @fixed);
define_pool($local, $remote, 'two', max_size => 2, initial_size => 2, @fixed);
define_pool($local, $remote, 'wide', max_size => 20, initial_size => 5, @fixed);
define_pool($local, $remote, 'dead', host => '127.0.0.1', port => $dead_port, retry_attempts => 1, circuit_breaker_threshold => 0, @fixed);
define_pool($local, $remote, 'mute', host => '127.0.0.1', port => $frozen_port, connect_timeout => '60s', @fixed);
my $baseline = worker_surplus($local);

# n operations, the same or with %s for their number, as the argument run_parallel takes.
sub operations
{
	my ($n, $sql) = @_;

	return "(SELECT array_agg(format(\$f\$$sql\$f\$, i) ORDER BY i) FROM generate_series(1, $n) i)";
}

sub remote_is
{
	my ($condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $remote->poll_query_until('postgres', "SELECT $condition FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'"),
		$name)
	  or diag($remote->safe_psql('postgres', "SELECT pid, state, query FROM pg_stat_activity WHERE usename = 'ep_user'"));
	return;
}

# Nobody waits, and nobody has a connection.
sub pool_rests
{
	my ($pool) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $local->poll_query_until('postgres',
			"SELECT active = 0 AND waiting = 0 AND size = idle FROM enhanced_pool.pools WHERE pool = '$pool'"),
		"$pool is at rest")
	  or diag($local->safe_psql('postgres', 'SELECT pool, size, active, idle, connecting, waiting FROM enhanced_pool.pools'));
	return;
}

# -------------------------------------------------- more operations than connections

foreach my $pool ('one', 'two')
{
	is($local->safe_psql('postgres',
			'SELECT string_agg(operation::text, \',\' ORDER BY n), bool_and(success), bool_and(rows->0->>\'i\' = operation::text), count(DISTINCT rows->0->>\'pid\') '
			  . "FROM enhanced_pool.run_parallel('$pool', " . operations(20, 'SELECT %s AS i, pg_backend_pid() AS pid FROM pg_sleep(0.01)')
			  . ') WITH ORDINALITY AS r(operation, pool, success, command, row_count, rows, sqlstate, error, elapsed, n)'),
		join(',', 1 .. 20) . '|t|t|' . ($pool eq 'one' ? 1 : 2), "20 operations on pool $pool, results in order");
	pool_rests($pool);
}

# As many at once as it says.
is($local->safe_psql('postgres',
		q{SELECT count(DISTINCT rows->0->>'pid') FROM enhanced_pool.run_parallel('wide', }
		  . operations(12, 'SELECT pg_backend_pid() AS pid, %s FROM pg_sleep(0.02)') . ', max_parallel => 3)'),
	3, 'max_parallel');

# ---------------------------------------------------------------- the pool grows

$local->safe_psql('postgres', "SELECT enhanced_pool.close_pool('wide')");
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('wide', 'SELECT 1')"), 1, 'a pool of few connections');
my $session = start_session($local);
begin_query($session, q{SELECT count(*) FROM enhanced_pool.run_parallel('wide', } . operations(16, 'SELECT pg_sleep(600), %s') . q{, name => 'crew')});
remote_is('count(*) = 16', 'a group of 16 has 16 connections');
is($local->safe_psql('postgres', q{SELECT count(*), min(name), min(kind), min(state) FROM enhanced_pool.leases WHERE pool = 'wide'}),
	'16|crew|statement|active', 'leases with its name');
is($remote->safe_psql('postgres', q{SELECT DISTINCT application_name FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'}),
	'enhanced_pool/wide/crew', 'which the remote sees too');

# ------------------------------------------------------------- every way to cut it off

my $pid = $local->safe_psql('postgres', q{SELECT DISTINCT pid FROM enhanced_pool.leases WHERE pool = 'wide'});
$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
($out, $err) = end_query($session);
like($err, qr/57014: canceling statement due to user request/, 'pg_cancel_backend');
remote_is('count(*) = 0', 'every remote statement has ended');
pool_rests('wide');

fails_with($local, q{SET statement_timeout = '200ms'; SELECT enhanced_pool.run_parallel('two', } . operations(9, 'SELECT pg_sleep(600), %s') . ", on_error => 'capture')",
	qr/57014: canceling statement due to statement timeout/, 'statement_timeout, which is no error of an operation');
remote_is('count(*) = 0', 'every remote statement has ended');
pool_rests('two');

# The session goes on after an exception handler, and the pool is whole.
$session->query_safe(<<'SQL');
CREATE FUNCTION cut(pool text, n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  sum bigint;
BEGIN
  BEGIN
    PERFORM set_config('enhanced_pool.query_timeout', '30ms', true);
    PERFORM enhanced_pool.run_parallel(pool, array_fill('SELECT pg_sleep(600)'::text, ARRAY[n]));
    RAISE 'not cut';
  EXCEPTION WHEN query_canceled THEN NULL;
  END;
  PERFORM set_config('enhanced_pool.query_timeout', '0', true);
  SELECT sum((rows -> 0 ->> 'i')::int) INTO sum
    FROM enhanced_pool.run_parallel(pool, (SELECT array_agg('SELECT ' || i || ' AS i') FROM generate_series(1, n) i));
  RETURN sum;
END $$
SQL
is($session->query_safe("SELECT cut('two', 6), cut('two', 6), cut('wide', 6)"), '21|21|21', 'query_timeout in a block, and a group after it');
pool_rests('two');

# Killed in the middle, with operations under way and others waiting.
my $victim = start_session($local);
$pid = $victim->query_safe('SELECT pg_backend_pid()');
begin_query($victim, q{SELECT count(*) FROM enhanced_pool.run_parallel('two', } . operations(30, 'SELECT pg_sleep(600), %s') . ')');
remote_is('count(*) = 2', 'two are under way');
ok($local->poll_query_until('postgres', "SELECT count(*) = 0 FROM enhanced_pool.waiters WHERE pid = $pid"),
	'no more waits than the pool can serve');
$local->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
remote_is('count(*) = 0', 'every remote statement has ended');
pool_rests('two');
eval { $victim->quit };

# While it waits for connections that others have.
$session->query_safe(q{BEGIN; SELECT enhanced_pool.acquire('two', name => 'a'), enhanced_pool.acquire('two', name => 'b')});
$victim = start_session($local);
$pid = $victim->query_safe('SELECT pg_backend_pid()');
begin_query($victim, q{SELECT count(*) FROM enhanced_pool.run_parallel('two', } . operations(30, 'SELECT %s') . ')');
ok($local->poll_query_until('postgres', "SELECT count(*) = 2 AND max(position) = 2 FROM enhanced_pool.waiters WHERE pid = $pid"),
	'it waits as often as the pool can serve it');
is($local->safe_psql('postgres', q{SELECT waiting FROM enhanced_pool.pools WHERE pool = 'two'}), 2, 'each counts');
$local->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 0 FROM enhanced_pool.waiters'), 'killed: no waiter is left');
eval { $victim->quit };

# It takes what is given back, and its time.
$victim = start_session($local);
begin_query($victim, q{SELECT count(*), bool_and(success) FROM enhanced_pool.run_parallel('two', } . operations(30, 'SELECT %s') . ')');
ok($local->poll_query_until('postgres', 'SELECT count(*) = 2 FROM enhanced_pool.waiters'), 'another one waits');
$session->query_safe('COMMIT');
($out, $err) = end_query($victim);
is($out, '30|t', 'and is served when connections come back');
$victim->quit;
pool_rests('two');

# A session waits for connections that it holds itself.
$session->query_safe(q{BEGIN; SELECT enhanced_pool.acquire('one')});
is($session->query(q{SELECT sqlstate, count(*) FROM enhanced_pool.run_parallel('one', ARRAY['SELECT 1', 'SELECT 2'], on_error => 'capture') GROUP BY 1}),
	'40P01|2', 'a group that waits for what its own session holds is a deadlock');
$session->query_safe('COMMIT');
$session->query_safe(q{BEGIN; SELECT enhanced_pool.acquire('one')});
is($session->query(q{SELECT sqlstate, count(*) FROM enhanced_pool.run_parallel('two', ARRAY[enhanced_pool.op('SELECT pg_sleep(2)'), enhanced_pool.op_on('one', 'SELECT 1')], on_error => 'capture') GROUP BY 1 ORDER BY 1}),
	"40P01|1\n|1", 'found when nothing of the group is under way any more');
$session->query_safe('COMMIT');

# ------------------------------------------------------ pools that do not answer

$out = $local->safe_psql('postgres',
	q{SELECT pool, success, sqlstate, elapsed IS NULL FROM enhanced_pool.broadcast(ARRAY['dead', 'one', 'mute', 'two'], 'SELECT 1', timeout => '3s', on_error => 'capture')});
is($out, "dead|f|08001|t\none|t||f\nmute|f|57014|t\ntwo|t||f", 'a dead pool and one that does not answer: their rows say so');
fails_with($local, q{SELECT enhanced_pool.broadcast(ARRAY['two', 'dead'], 'SELECT 1')},
	qr/08001: could not connect to pool "dead"\nDETAIL:  .*\n1 of 2 operations failed: 2\./, 'or it is an error');
fails_with($local, q{SELECT * FROM enhanced_pool.broadcast_as(NULL::int, ARRAY['two', 'dead'], 'SELECT 1')},
	qr/08001: could not connect to pool "dead"/, 'of broadcast_as in any case');

# The others' results are not held up by the one that is slow.
begin_query($session, q{SELECT pool, sqlstate FROM enhanced_pool.run_parallel('mute', ARRAY['SELECT 1', 'SELECT 2'] || '{}'::text[], timeout => '1s', on_error => 'capture')});
($out, $err) = end_query($session);
is($out, "mute|57014\nmute|57014", 'a pool that does not answer, alone');

# One that is closed while it is waited for.
$session->query_safe(q{BEGIN; SELECT enhanced_pool.acquire('one')});
$victim = start_session($local);
begin_query($victim, q{SELECT pool, sqlstate FROM enhanced_pool.broadcast(ARRAY['one', 'two'], 'SELECT 1', on_error => 'capture')});
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'a group waits');
$local->safe_psql('postgres', q{SELECT enhanced_pool.close_pool('one')});
($out, $err) = end_query($victim);
is($out, "one|57P03\ntwo|", 'closed while a group waits for it');
$session->query_safe('COMMIT');

# One whose definition changes while it is waited for.
$session->query_safe(q{BEGIN; SELECT enhanced_pool.acquire('one')});
begin_query($victim, q{SELECT pool, success, sqlstate FROM enhanced_pool.broadcast(ARRAY['one', 'two'], 'SELECT 1', on_error => 'capture')});
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'a group waits');
$local->safe_psql('postgres', q{ALTER SERVER one OPTIONS (ADD leak_detection_threshold '1h')});
$session->query_safe('COMMIT');
($out, $err) = end_query($victim);
is($out, "one|t|\ntwo|t|", 'altered while a group waits for it');

# max_waiting is about others: one place is enough for a group.
$local->safe_psql('postgres', q{ALTER SERVER two OPTIONS (ADD max_waiting '1')});
is($local->safe_psql('postgres', q{SELECT bool_and(success) FROM enhanced_pool.run_parallel('two', } . operations(10, 'SELECT %s FROM pg_sleep(0.01)') . ", on_error => 'capture')"),
	't', 'a queue of one');
$local->safe_psql('postgres', 'ALTER SERVER two OPTIONS (DROP max_waiting)');

# acquire_timeout is for the first connection, not for the operations behind it.
is($local->safe_psql('postgres', q{SET enhanced_pool.acquire_timeout = '500ms'; SELECT bool_and(success), count(*) FROM enhanced_pool.run_parallel('one', } . operations(8, 'SELECT %s FROM pg_sleep(0.15)') . ')'),
	't|8', 'operations that wait for their predecessors are not timed out');
$session->query_safe(q{BEGIN; SELECT enhanced_pool.acquire('one')});
is($local->safe_psql('postgres', q{SET enhanced_pool.acquire_timeout = '200ms'; SELECT sqlstate, count(*) FROM enhanced_pool.run_parallel('one', } . operations(8, 'SELECT %s') . ", on_error => 'capture') GROUP BY 1"),
	'53300|8', 'none within acquire_timeout');
$session->query_safe('COMMIT');

# A connection that an administrator ends, and one whose process is killed.
begin_query($victim, q{SELECT sqlstate, count(*) FROM enhanced_pool.run_parallel('two', ARRAY['SELECT pg_sleep(600)', 'SELECT pg_sleep(600)', 'SELECT 1'], on_error => 'capture') GROUP BY 1 ORDER BY 1});
remote_is('count(*) = 2', 'two are under way');
$local->safe_psql('postgres', q{SELECT enhanced_pool.terminate_connection(min(conn_id)) FROM enhanced_pool.leases WHERE pool = 'two'});
remote_is('count(*) = 1', 'one was ended');
$remote->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'});
($out, $err) = end_query($victim);
is($out, "57P01|2\n|1", 'connections that are ended are errors of their operations alone');
$victim->quit;

# --------------------------------------------------- groups that compete for a pool

$local->safe_psql('postgres', <<'SQL');
CREATE FUNCTION compete(rounds int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  total bigint := 0;
BEGIN
  FOR i IN 1 .. rounds LOOP
    total := total + (SELECT sum((rows -> 0 ->> 'n')::int) FROM enhanced_pool.run_parallel('two',
      ARRAY[enhanced_pool.op('SELECT 1 AS n'), enhanced_pool.op_on('one', 'SELECT 1 AS n'), enhanced_pool.op('SELECT 1 AS n FROM pg_sleep(0.001)'),
            enhanced_pool.op('SELECT 1 AS n'), enhanced_pool.op_on('one', 'SELECT 1 AS n')]));
  END LOOP;
  RETURN total;
END $$
SQL
my @crowd = map { start_session($local) } 1 .. 4;
begin_query($_, 'SELECT compete(100)') foreach @crowd;
is((end_query($_))[0], 500, 'groups that compete for three connections all get through') foreach @crowd;
$_->quit foreach @crowd;
pool_rests('one');
pool_rests('two');

# ------------------------------------------------------ more waits than there are places

# One group that waits for thousands of connections leaves the others one wait at a
# time, which is enough.
define_pool($local, $remote, 'hole', host => '127.0.0.1', port => $frozen_port, connect_timeout => '60s', max_size => 10000, @fixed);
my @hogged;

foreach my $round (1 .. 2)
{
	my $hog = start_session($local);
	my $hog_pid = $hog->query_safe('SELECT pg_backend_pid()');

	begin_query($hog, q{SELECT count(*) FROM enhanced_pool.run_parallel('hole', array_fill('SELECT 1'::text, ARRAY[9000]))});
	ok( $local->poll_query_until('postgres',
			"SELECT count(*) > 2000 AND EXISTS (SELECT FROM pg_stat_activity WHERE pid = $hog_pid AND wait_event_type = 'Extension') FROM enhanced_pool.waiters WHERE pid = $hog_pid"),
		'a group waits as often as it can');
	push @hogged, $local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.waiters WHERE pid = $hog_pid");
	$session->query_safe(q{BEGIN; SELECT enhanced_pool.acquire('one')});
	$victim = start_session($local);
	begin_query($victim, q{SELECT count(*), bool_and(success) FROM enhanced_pool.run_parallel('two', } . operations(20, 'SELECT %s') . q{ || array_fill('SELECT 1'::text, ARRAY[3]))});
	is((end_query($victim))[0], '23|t', 'another one gets through without');
	begin_query($victim, q{SELECT pool, success FROM enhanced_pool.broadcast(ARRAY['one', 'two'], 'SELECT 1')});
	ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.waiters WHERE pid <> $hog_pid"), 'or with one place');
	$session->query_safe('COMMIT');
	is((end_query($victim))[0], "one|t\ntwo|t", 'and is served');
	$local->safe_psql('postgres', "SELECT " . ($round == 1 ? 'pg_cancel_backend' : 'pg_terminate_backend') . "($hog_pid)");
	ok($local->poll_query_until('postgres', 'SELECT count(*) = 0 FROM enhanced_pool.waiters'), 'no waiter is left');
	$victim->quit;
	eval { $hog->quit };
}
is($hogged[1], $hogged[0], 'every place was given back');
drop_pool($local, 'hole');

# ----------------------------------------------------------------- transactions

$local->safe_psql('postgres', q{SELECT enhanced_pool.exec('two', 'CREATE TABLE t (i int)')});

# The remote dies while it commits: nobody knows.
$remote->safe_psql('postgres', <<'SQL');
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$;
CREATE TABLE slow (i int);
CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger();
GRANT ALL ON slow TO ep_user;
SQL
begin_query($session, q{SELECT * FROM enhanced_pool.run_in_transaction('two', ARRAY['INSERT INTO slow VALUES (1)', 'INSERT INTO t VALUES (1)'])});
remote_is(q{count(*) = 1 AND min(wait_event) = 'PgSleep'}, 'a transaction commits');
$local->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM enhanced_pool.leases WHERE pool = 'two'});
($out, $err) = end_query($session);
like($err, qr/57014: canceling statement due to user request/, 'canceled while it commits: the remote says that it did not');
remote_is('count(*) = 0', 'the remote statement has ended');

begin_query($session, q{SELECT * FROM enhanced_pool.run_in_transaction('two', ARRAY['INSERT INTO slow VALUES (1)', 'INSERT INTO t VALUES (1)'])});
remote_is(q{count(*) = 1 AND min(wait_event) = 'PgSleep'}, 'another transaction commits');
$remote->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'});
($out, $err) = end_query($session);
like($err, qr/08007: outcome of the transaction on remote server "two" is unknown/, 'lost while it commits');

begin_query($session, q{SELECT * FROM enhanced_pool.run_in_transaction('two', ARRAY['INSERT INTO t VALUES (1)', 'SELECT pg_sleep(600)'])});
remote_is('count(*) = 1', 'a transaction is under way');
$remote->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'});
($out, $err) = end_query($session);
like($err, qr/57P01: .*\nDETAIL:  (Operation 2 of 2 failed, and a|A)ll (operations )?were rolled back/, 'lost before');
is($local->safe_psql('postgres', q{SELECT * FROM enhanced_pool.execute('two', 'SELECT count(*) FROM t') AS t(n int)}), 0, 'nothing was done');

# A backend that is killed leaves nothing.
$victim = start_session($local);
$pid = $victim->query_safe('SELECT pg_backend_pid()');
begin_query($victim, q{SELECT * FROM enhanced_pool.run_in_transaction('two', ARRAY['INSERT INTO t VALUES (1)', 'SELECT pg_sleep(600)'])});
remote_is('count(*) = 1', 'a transaction is under way');
$local->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
remote_is('count(*) = 0', 'killed: the remote statement has ended');
eval { $victim->quit };
pool_rests('two');
is($local->safe_psql('postgres', q{SELECT * FROM enhanced_pool.execute('two', 'SELECT count(*) FROM t') AS t(n int)}), 0, 'nothing was done');

# query_timeout is for each operation.
is($local->safe_psql('postgres', q{SET enhanced_pool.query_timeout = '900ms'; SELECT count(*) FROM enhanced_pool.run_in_transaction('two', array_fill('INSERT INTO t SELECT 1 FROM pg_sleep(0.4)'::text, ARRAY[4]))}),
	4, 'operations that take less than query_timeout each');
fails_with($local, q{SET enhanced_pool.query_timeout = '200ms'; SELECT enhanced_pool.run_in_transaction('two', ARRAY['INSERT INTO t VALUES (2)', 'INSERT INTO t SELECT 2 FROM pg_sleep(600)'])},
	qr/57014: canceling remote statement due to query_timeout\nDETAIL:  All operations were rolled back\./, 'and one that takes more');
is($local->safe_psql('postgres', q{SELECT * FROM enhanced_pool.execute('two', 'SELECT count(*) FROM t') AS t(n int)}), 4, 'which undoes all');

$session->quit;
$frozen->close;
drop_pool($local, $_) foreach 'dead', 'mute';
check_clean($local, $remote, 23, $baseline);
done_testing();
