# Operation groups on pools with autocommit off: sessions that all end with the local
# transaction, over several servers, with fewer connections than operations, lost, cut
# off, and waiting for each other.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my $second = start_remote(name => 'second');
my @fixed = (min_size => 0, idle_timeout => 0, validation_interval => 0, health_check_interval => 0, autocommit => 'off');
my $out;
my $err;

define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, @fixed);
define_pool($local, $remote, 'two', max_size => 2, initial_size => 2, @fixed);
define_pool($local, $remote, 'wide', max_size => 12, initial_size => 2, @fixed);
define_pool($local, $remote, 'few', max_size => 12, initial_size => 2, max_sessions => 3, @fixed);
define_pool($local, $second, 'far', max_size => 4, initial_size => 1, @fixed);
my $baseline = worker_surplus($local);

foreach my $node ($remote, $second)
{
	$node->safe_psql('postgres', 'CREATE TABLE t (i int UNIQUE DEFERRABLE INITIALLY DEFERRED, CHECK (i < 1000)); GRANT ALL ON t TO ep_user');
}

sub operations
{
	my ($from, $to, $sql) = @_;

	return "(SELECT array_agg(format(\$f\$$sql\$f\$, i) ORDER BY i) FROM generate_series($from, $to) i)";
}

sub remote_is
{
	my ($node, $condition, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($node->poll_query_until('postgres', "SELECT $condition FROM pg_stat_activity WHERE usename = 'ep_user'"), $name)
	  or diag($node->safe_psql('postgres', "SELECT pid, state, query FROM pg_stat_activity WHERE usename = 'ep_user'"));
	return;
}

# What the tables have, and empty them.
sub have
{
	my ($first, $other, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @found = map { $_->safe_psql('postgres', q{SELECT string_agg(i::text, ',' ORDER BY i) FROM t}) } $remote, $second;

	is("@found", "$first $other", $name);
	$_->safe_psql('postgres', 'DELETE FROM t') foreach $remote, $second;
	return;
}

sub rests
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', 'SELECT bool_and(active = 0 AND waiting = 0 AND size = idle) FROM enhanced_pool.pools'), $name)
	  or diag($local->safe_psql('postgres', 'SELECT pool, size, active, idle, connecting, waiting FROM enhanced_pool.pools'));
	return;
}

my $session = start_session($local);

# --------------------------------------------------------- commit over two servers

$session->query_safe('BEGIN');
is($session->query_safe(q{SELECT count(*) FROM enhanced_pool.run_parallel('wide', ARRAY[enhanced_pool.op('INSERT INTO t VALUES (1)'), enhanced_pool.op_on('far', 'INSERT INTO t VALUES (2)'),
	enhanced_pool.op_on('far', 'INSERT INTO t VALUES (3)')])}), 3, 'a group on two servers');
is($session->query_safe(q{SELECT count(*) FROM enhanced_pool.broadcast(ARRAY['far', 'wide'], 'INSERT INTO t VALUES (4)')}), 2, 'a broadcast');
$session->query_safe('COMMIT');
have('1,4', '2,3,4', 'both have all of it');
rests('the sessions have ended');

$session->query_safe(q{BEGIN; SELECT enhanced_pool.broadcast(ARRAY['far', 'wide'], 'INSERT INTO t VALUES (5)'); ROLLBACK});
have('', '', 'or nothing');

# A deferred constraint of one of them keeps all from being committed.
fails_with($local, q{SELECT enhanced_pool.run_parallel('wide', ARRAY[enhanced_pool.op_on('far', 'INSERT INTO t VALUES (1)'), enhanced_pool.op('INSERT INTO t VALUES (2), (2)')])},
	qr/23505: /, 'a constraint that is checked at the end');
have('', '', 'undoes both');

# ----------------------------------------------- fewer connections than operations

is($local->safe_psql('postgres', q{SELECT count(*), bool_and(success), count(DISTINCT rows->0->>'pid') FROM enhanced_pool.run_parallel('one', }
		  . operations(1, 30, 'INSERT INTO t VALUES (%s) RETURNING pg_backend_pid() AS pid') . ')'),
	'30|t|1', '30 operations on one connection');
have(join(',', 1 .. 30), '', 'all of them committed');
is($local->safe_psql('postgres', q{SELECT count(*), bool_and(success), count(DISTINCT rows->0->>'pid') FROM enhanced_pool.run_parallel('few', }
		  . operations(1, 20, 'INSERT INTO t SELECT %s FROM pg_sleep(0.05) RETURNING pg_backend_pid() AS pid') . ')'),
	'20|t|3', 'no more than max_sessions');
have(join(',', 1 .. 20), '', 'all of them committed');

# As many as the pool can have, if they take their time.
begin_query($session, q{BEGIN; SELECT count(*) FROM enhanced_pool.run_parallel('wide', } . operations(1, 15, 'INSERT INTO t SELECT %s FROM pg_sleep(600)') . q{, name => 'crew')});
remote_is($remote, q{count(*) FILTER (WHERE state = 'active' AND application_name = 'enhanced_pool/wide/crew') = 12}, 'a group of 15 has all 12 sessions');
is($local->safe_psql('postgres', q{SELECT count(*), min(kind), min(name) FROM enhanced_pool.leases WHERE pool = 'wide'}), '12|session|crew', 'which are sessions with its name');
$local->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM (SELECT DISTINCT pid FROM enhanced_pool.leases WHERE pool = 'wide') x});
($out, $err) = end_query($session);
like($err, qr/57014: canceling statement due to user request/, 'canceled');
$session->query('ROLLBACK');
rests('nothing is left');
have('', '', 'nothing was done');

# Nobody else's connection is taken for ever: a second transaction comes to its turn.
$session->query_safe('BEGIN');
is($session->query_safe(q{SELECT count(*) FROM enhanced_pool.run_parallel('two', ARRAY['INSERT INTO t VALUES (1)'])}), 1, 'one session of two');
my $other = start_session($local);
is($other->query_safe(q{BEGIN; SELECT count(*), count(DISTINCT rows->0->>'pid') FROM enhanced_pool.run_parallel('two', }
		  . operations(2, 6, 'INSERT INTO t VALUES (%s) RETURNING pg_backend_pid() AS pid') . ')'),
	'5|1', 'another transaction makes do with the other one');
is($session->query_safe(q{SELECT count(*), count(DISTINCT rows->0->>'pid') FROM enhanced_pool.run_parallel('two', }
		  . operations(7, 9, 'INSERT INTO t VALUES (%s) RETURNING pg_backend_pid() AS pid') . ')'), '3|1', 'as does this one');
$session->query_safe('COMMIT');
$other->query_safe('COMMIT');
have(join(',', 1 .. 9), '', 'both are committed');

# ------------------------------------------------------- waiting for each other

# Each has the one connection of a pool, and wants that of the other's.
define_pool($local, $second, 'far_one', max_size => 1, initial_size => 1, acquire_timeout => 0, @fixed);
$session->query_safe(q{BEGIN; SELECT enhanced_pool.run_parallel('one', ARRAY['SELECT 1'])});
$other->query_safe(q{BEGIN; SELECT enhanced_pool.run_parallel('far_one', ARRAY['SELECT 1'])});
begin_query($session, q{SET enhanced_pool.acquire_timeout = 0; SELECT success, sqlstate FROM enhanced_pool.run_parallel('one', ARRAY[enhanced_pool.op('SELECT 1'), enhanced_pool.op_on('far_one', 'SELECT 1')], on_error => 'capture')});
ok($local->poll_query_until('postgres', q{SELECT waiting = 1 FROM enhanced_pool.pools WHERE pool = 'far_one'}), 'waits for the other');
begin_query($other, q{SET enhanced_pool.acquire_timeout = 0; SELECT success, sqlstate FROM enhanced_pool.run_parallel('one', ARRAY['SELECT 1'], on_error => 'capture')});
($out, $err) = end_query($other);
like($out, qr/f\|40P01/, 'found as a deadlock');
$other->query_safe('ROLLBACK');
($out, $err) = end_query($session);
like($out, qr/^t\|\n?t\|/m, 'the other goes on');
$session->query_safe('COMMIT');
rests('nothing is left');

# A group whose transaction has the only connection itself.
$session->query_safe(q{RESET enhanced_pool.acquire_timeout; BEGIN; SELECT enhanced_pool.exec('one', 'INSERT INTO t VALUES (1)')});
$out = $session->query(q{SELECT success, sqlstate FROM enhanced_pool.run_parallel('one', ARRAY['SELECT 1', 'SELECT 2'], on_error => 'capture')});
is($out, "f|40P01\nf|40P01", 'waits for itself: an error');
$session->query_safe('COMMIT');
have('1', '', 'of the group alone');

# ------------------------------------------------------------------ lost ones

# Only what was on it is lost, if that was nothing but the operation that failed.
$session->query_safe('BEGIN');
begin_query($session, q{SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('wide', ARRAY['INSERT INTO t VALUES (1)', 'INSERT INTO t SELECT 2 FROM pg_sleep(600)'], on_error => 'capture')});
remote_is($remote, q{count(*) FILTER (WHERE wait_event = 'PgSleep') = 1}, 'an operation is under way');
$remote->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user' AND wait_event = 'PgSleep'});
($out, $err) = end_query($session);
is($out, "1|t|\n2|f|57P01", 'killed: the error of one operation');
$session->query_safe('COMMIT');
have('1', '', 'the other is committed');

# If others had succeeded on it nothing can be committed.
$session->query_safe('BEGIN');
begin_query($session, q{SELECT operation, success, sqlstate FROM enhanced_pool.run_parallel('wide', ARRAY[enhanced_pool.op('INSERT INTO t VALUES (1)'), enhanced_pool.op('INSERT INTO t SELECT 2 FROM pg_sleep(600)'),
	enhanced_pool.op_on('far', 'INSERT INTO t VALUES (3)'), enhanced_pool.op('INSERT INTO t VALUES (4)')], max_parallel => 1, on_error => 'capture')});
remote_is($remote, q{count(*) FILTER (WHERE wait_event = 'PgSleep') = 1}, 'an operation is under way');
$remote->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user' AND wait_event = 'PgSleep'});
($out, $err) = end_query($session);
is($out, "1|t|\n2|f|57P01\n3|t|\n4|t|", 'killed: the error of one operation, and the others go on');
begin_query($session, 'COMMIT');
($out, $err) = end_query($session);
like($err, qr/08006: .*lost before its transaction was committed/, 'but the first one has gone with it');
have('', '', 'nothing is committed anywhere');

# Lost while it rests between two groups.
$session->query_safe(q{BEGIN; SELECT enhanced_pool.broadcast(ARRAY['far', 'wide'], 'INSERT INTO t VALUES (1)')});
$remote->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'idle in transaction'});
remote_is($remote, q{count(*) FILTER (WHERE state = 'idle in transaction') = 0}, 'killed between two groups');
$out = $session->query(q{SELECT sqlstate FROM enhanced_pool.broadcast(ARRAY['wide', 'far'], 'INSERT INTO t VALUES (2)', on_error => 'capture')});
is($out, "57P01\n", 'the next operation on it fails');
begin_query($session, 'COMMIT');
($out, $err) = end_query($session);
like($err, qr/08006: .*lost before its transaction was committed/, 'as does COMMIT');
have('', '', 'nothing is committed anywhere');

# A remote process that does not answer, whose session the last operation would have to take over.
$session->query_safe(q{BEGIN; SET LOCAL enhanced_pool.query_timeout = '1s'});
begin_query($session, q{SELECT operation, success, sqlstate, elapsed IS NULL FROM enhanced_pool.run_parallel('one', ARRAY[enhanced_pool.op('INSERT INTO t VALUES (1)'),
	enhanced_pool.op('INSERT INTO t SELECT 2 FROM pg_sleep(600)'), enhanced_pool.op('INSERT INTO t VALUES (3)'), enhanced_pool.op_on('far', 'INSERT INTO t VALUES (4)')], timeout => '3s', on_error => 'capture')});
remote_is($remote, q{count(*) FILTER (WHERE wait_event = 'PgSleep') = 1}, 'an operation is under way');
my $pid = $remote->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE usename = 'ep_user' AND wait_event = 'PgSleep'});
kill 'STOP', $pid or die "could not stop $pid: $!";
($out, $err) = end_query($session);
kill 'CONT', $pid or die "could not continue $pid: $!";
is($out, "1|t||f\n2|f|57014|f\n3|f|57014|t\n4|t||f", 'what cannot be drained holds up nothing but what needs it, until the deadline');
$session->query_safe('COMMIT');
have('1', '4', 'what has succeeded is committed');

# A backend that is killed leaves nothing.
my $victim = start_session($local);
begin_query($victim, q{SELECT enhanced_pool.run_parallel('wide', } . operations(1, 6, 'INSERT INTO t SELECT %s FROM pg_sleep(600)') . ')');
remote_is($remote, q{count(*) FILTER (WHERE wait_event = 'PgSleep') = 6}, 'operations are under way');
$local->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT pid FROM enhanced_pool.leases WHERE pool = 'wide') x});
remote_is($remote, q{count(*) FILTER (WHERE state <> 'idle') = 0}, 'killed: the remote statements have ended');
eval { $victim->quit };
rests('nothing is left');
have('', '', 'nothing was done');

# ----------------------------------------- many groups, many errors, one session

$session->query_safe(<<'SQL');
CREATE PROCEDURE stir(pool text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 30 LOOP
    BEGIN
      PERFORM enhanced_pool.run_parallel(pool, ARRAY[format('INSERT INTO t VALUES (%s)', i), 'INSERT INTO t VALUES (1000)', format('INSERT INTO t VALUES (%s)', 100 + i)], on_error => 'capture');
      IF i % 3 = 0 THEN
        PERFORM enhanced_pool.run_parallel(pool, ARRAY['SELECT 1', 'SELECT 1 / 0', 'SELECT 2']);
      ELSIF i % 3 = 1 THEN
        PERFORM enhanced_pool.run_parallel(pool, array_fill('SELECT pg_sleep(600)'::text, ARRAY[3]), timeout => '10ms');
      END IF;
    EXCEPTION WHEN division_by_zero OR query_canceled THEN NULL;
    END;
  END LOOP;
END $$;
SQL
foreach my $pool ('one', 'two', 'wide')
{
	$session->query_safe("CALL stir('$pool')");
	have(join(',', grep { ($_ % 100) % 3 == 2 } 1 .. 30, 101 .. 130), '', "blocks that failed are undone, the others are not ($pool)");
	rests('nothing is left');
}

$_->quit foreach $session, $other;
drop_pool($local, 'far_one');
drop_pool($local, 'far');
check_clean($local, $remote, 27, $baseline);
done_testing();
