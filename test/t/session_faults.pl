# Sessions when something fails around their commit: what is committed on which side,
# and which error says so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote(name => 'remote');
my $other = start_remote(name => 'other');
my $local = start_local(conf => "wal_level = replica\nmax_wal_senders = 2");
my $baseline;
my $id = 0;

# A row of table "slow" is not committed before somebody can have its lock: a
# transaction that waits in COMMIT.
foreach my $node ($remote, $other)
{
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE book (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE slow (id int);
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(NEW.id);
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();
GRANT ALL ON ALL TABLES IN SCHEMA public TO ep_user;
SQL
}
define_pool($local, $remote, 'a', max_size => 3, min_size => 0, initial_size => 1);
define_pool($local, $other, 'b', max_size => 3, min_size => 0, initial_size => 1);
$local->safe_psql('postgres', <<'SQL');
CREATE TABLE mine (id int PRIMARY KEY);
CREATE TABLE seen (n int);
INSERT INTO seen VALUES (0);
CREATE FUNCTION put(pool text, id int) RETURNS bigint LANGUAGE sql AS
  $$SELECT enhanced_pool.exec(enhanced_pool.session(pool), 'INSERT INTO book VALUES ($1)', id)$$;
CREATE FUNCTION put_slow(pool text, id int) RETURNS bigint LANGUAGE sql AS
  $$SELECT enhanced_pool.exec(enhanced_pool.session(pool), 'INSERT INTO slow VALUES ($1)', id)$$;
SQL
$local->safe_psql('postgres', "SELECT enhanced_pool.exec(p, 'SELECT 1') FROM unnest(ARRAY['a', 'b']) p");
$baseline = worker_surplus($local);

# committed($id): the sides that have it, of local, a and b
sub committed
{
	my ($id) = @_;

	return join ' ',
	  $local->safe_psql('postgres', "SELECT 'local' FROM mine WHERE id = $id") || (),
	  $remote->safe_psql('postgres', "SELECT 'a' FROM book WHERE id = $id") || (),
	  $other->safe_psql('postgres', "SELECT 'b' FROM book WHERE id = $id") || ();
}

# kill_session($node): the remote's end of the session that has a transaction there
sub kill_session
{
	my ($node) = @_;
	my $open = "FROM pg_stat_activity WHERE usename = 'ep_user' AND xact_start IS NOT NULL";

	$node->poll_query_until('postgres', "SELECT count(*) = 1 $open") or die 'no session';
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 20000) $open");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 $open") or die 'still there';
	return;
}

# run($session, $sql): what it returned and the errors
sub run
{
	my ($session, $sql) = @_;

	my $out = $session->query($sql);
	my $err = $session->{stderr};

	$session->{stderr} = '';
	return ($out, $err);
}

# A session of the local server that has begun, with a row of its own on each side.
sub begin_transaction
{
	my ($session, @pools) = @_;

	$id++;
	$session->query_safe("BEGIN; INSERT INTO mine VALUES ($id)");
	$session->query_safe("SELECT put('$_', $id)") foreach @pools;
	return $id;
}

sub commit_fails
{
	my ($session, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($out, $err) = run($session, 'COMMIT');

	like($err, $pattern, $name);
	return;
}

my $session = start_session($local);
my $second = start_session($local);
my ($out, $err, $n);

# a lock that one holds who waits for nothing
my $lock = start_session($remote);
my $lock_other = start_session($other);

# In the background from here on: an answer that does not come.
my $late = start_session($local);
$lock->query_safe('SELECT pg_advisory_lock(30)');
my $late_id = begin_transaction($late, 'a');
$late->query_safe("SELECT put_slow('a', 30)");
my $late_pid = $remote->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE usename = 'ep_user' AND xact_start IS NOT NULL");
my $late_since = time();
begin_query($late, 'COMMIT');
ok($remote->poll_query_until('postgres', "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = $late_pid"), 'a COMMIT that takes long');

# ------------------------------------------------------------ all is well

$n = begin_transaction($session, 'b');
$session->query_safe('COMMIT');
is(committed($n), 'local b', 'committed on both sides');

# ------------------------------------------------------------ before COMMIT

$n = begin_transaction($session, 'b');
kill_session($other);
commit_fails($session, qr/ERROR:  08006: .*"b" was lost before its transaction was committed/, 'lost before COMMIT');
is(committed($n), '', 'nothing is committed');

$n = begin_transaction($session, 'b');
$session->query_safe('SAVEPOINT s');
kill_session($other);
($out, $err) = run($session, "SELECT put('b', -1)");
like($err, qr/ERROR:  (57P01|08006)/, 'lost, and seen by a statement');
$session->query_safe('ROLLBACK TO s');
($out, $err) = run($session, "SELECT enhanced_pool.release_all()");
is("$out|$err", '0|', 'release_all leaves the session');
commit_fails($session, qr/ERROR:  08006/, 'that somebody caught the error does not help');
is(committed($n), '', 'nothing is committed');

$session->query_safe("BEGIN; INSERT INTO mine VALUES (" . ++$id . "); SELECT enhanced_pool.session('b') AS s \\gset");
$session->query_safe("SAVEPOINT s; SELECT put('b', -1)");
kill_session($other);
($out, $err) = run($session, "SELECT put('b', -1)");
$session->query_safe('ROLLBACK TO s');
commit_fails($session, qr/ERROR:  08006/, 'nor that its statements were all in a subtransaction that aborted');
is(committed($id), '', 'nothing is committed');

# the session was the subtransaction's own
$session->query_safe("BEGIN; INSERT INTO mine VALUES (" . ++$id . "); SAVEPOINT s; SELECT put('b', -1)");
kill_session($other);
($out, $err) = run($session, "SELECT put('b', -1)");
$session->query_safe("ROLLBACK TO s; SELECT put('b', $id); COMMIT");
is(committed($id), 'local b', 'lost with the subtransaction that had opened it, opened again');

# with two, nothing is committed on the one that is there
$n = begin_transaction($session, 'a', 'b');
kill_session($other);
commit_fails($session, qr/ERROR:  08006: .*"b"/, 'one of two lost before COMMIT');
is(committed($n), '', 'nothing is committed on the other');

# an administrator's doing
$n = begin_transaction($session, 'b');
$local->safe_psql('postgres', "SELECT enhanced_pool.terminate_connection(conn_id) FROM enhanced_pool.leases WHERE pool = 'b'");
commit_fails($session, qr/ERROR:  57P01/, 'terminated by terminate_connection');
is(committed($n), '', 'nothing is committed');

# ------------------------------------------------------------ during COMMIT

$lock_other->query_safe('SELECT pg_advisory_lock(1)');

$n = begin_transaction($session, 'b');
$session->query_safe("SELECT put_slow('b', 1)");
begin_query($session, 'COMMIT');
ok($other->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 'it waits in COMMIT');
kill_session($other);
($out, $err) = end_query($session);
like($err, qr/ERROR:  08007: outcome .*"b" is unknown\nDETAIL:  .*terminating connection.*\nHINT:  Look there/, 'killed during COMMIT');
is(committed($n), '', 'nothing is committed');
is($session->query_safe("SELECT enhanced_pool.exec('b', 'SELECT 1')"), '1', 'the pool goes on');

# with two, what takes long is done before any COMMIT
$n = begin_transaction($session, 'b', 'a');
$session->query_safe("SELECT put_slow('b', 1)");
begin_query($session, 'COMMIT');
ok($other->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 'it waits before COMMIT');
kill_session($other);
($out, $err) = end_query($session);
like($err, qr/ERROR:  08006: .*"b" was lost before.*terminating connection/s, 'one of two killed while constraints are checked');
is(committed($n), '', 'nothing is committed');

# so it can be cancelled
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$n = begin_transaction($session, 'b', 'a');
$session->query_safe("SELECT put_slow('b', 1)");
begin_query($session, 'COMMIT');
ok($other->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 'it waits before COMMIT');
is($local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'a cancel request');
($out, $err) = end_query($session);
like($err, qr/ERROR:  57014/, 'reaches it');
is(committed($n), '', 'nothing is committed');

# but not later
$n = begin_transaction($session, 'b');
$session->query_safe("SELECT put_slow('b', 1)");
begin_query($session, 'COMMIT');
ok($other->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 'it waits in COMMIT');
is($local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'a cancel request');
$other->safe_psql('postgres', 'SELECT 1');
is($other->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"), '1', 'does not reach it');
$lock_other->query_safe('SELECT pg_advisory_unlock(1)');
($out, $err) = end_query($session);
is(committed($n), 'local b', 'and both sides are committed');

# the end of the process is not put off
$lock_other->query_safe('SELECT pg_advisory_lock(1)');
my $victim = start_session($local);
$pid = $victim->query_safe('SELECT pg_backend_pid()');
$n = begin_transaction($victim, 'b');
$victim->query_safe("SELECT put_slow('b', 1)");
begin_query($victim, 'COMMIT');
ok($other->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 'it waits in COMMIT');
is($local->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 20000)"), 't', 'terminated during COMMIT');
eval { $victim->quit };
ok($other->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 'the remote has stopped');
is(committed($n), '', 'nothing is committed');
$lock_other->query_safe('SELECT pg_advisory_unlock_all()');

# an error that COMMIT finds
$n = begin_transaction($session, 'b');
$session->query_safe("SELECT put('b', 1) FROM generate_series(1, 2)");
commit_fails($session, qr/ERROR:  23505: .*\nDETAIL:  Key.*\nCONTEXT:  remote server "b", statement: COMMIT/, 'a deferred constraint');
is(committed($n), '', 'nothing is committed');

# serialization on the remote
my $rival = start_session($other);
$n = begin_transaction($session);
$session->query_safe("SELECT enhanced_pool.exec(enhanced_pool.session('b', 'serializable', name => 's'), 'SELECT count(*) FROM book WHERE id < 0')");
$rival->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM book WHERE id < 0');
$session->query_safe("SELECT enhanced_pool.exec(enhanced_pool.session('b', name => 's'), 'INSERT INTO book VALUES (-2)')");
$rival->query_safe('INSERT INTO book VALUES (-3); COMMIT');
commit_fails($session, qr/ERROR:  40001: .*remote server "b"/s, 'a serialization failure of the remote');
is(committed($n), '', 'nothing is committed');
$rival->query_safe('DELETE FROM book WHERE id < 0');
$rival->quit;

# ------------------------------------------------------------- after COMMIT

# The local commit waits for a standby that there is not.
$local->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'");
$local->reload;
$local->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'nobody'") or die 'no reload';
$session->query_safe('SET synchronous_commit = on');
$n = begin_transaction($session, 'b');
begin_query($session, 'COMMIT');
ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
	'the remote has committed, the local side is about to');
$other->safe_psql('postgres', "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE usename = 'ep_user'");
$local->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$local->reload;
($out, $err) = end_query($session);
is($err, '', 'lost after COMMIT: no error');
is(committed($n), 'local b', 'committed on both sides');

# ------------------------------------------------------------- the local side

# write skew: the remote must not commit for the one that fails
$session->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM seen');
$second->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM seen');
$n = ++$id;
$session->query_safe("INSERT INTO seen VALUES (1); INSERT INTO mine VALUES ($n); SELECT put('a', $n), put('b', $n)");
$second->query_safe('INSERT INTO seen VALUES (2); COMMIT');
commit_fails($session, qr/ERROR:  40001: could not serialize/, 'a local serialization failure');
is(committed($n), '', 'no remote has committed');

# the others give way to one whose remotes are committing
$lock_other->query_safe('SELECT pg_advisory_lock(1)');
$session->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM seen');
$second->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM seen');
$n = ++$id;
$session->query_safe("INSERT INTO seen VALUES (1); INSERT INTO mine VALUES ($n); SELECT put('b', $n), put_slow('b', 1)");
begin_query($session, 'COMMIT');
ok($other->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 'it waits in COMMIT');
($out, $err) = run($second, 'INSERT INTO seen VALUES (2); COMMIT');
like($err, qr/ERROR:  40001/, 'the other one fails');
$second->query('ROLLBACK');
$lock_other->query_safe('SELECT pg_advisory_unlock(1)');
($out, $err) = end_query($session);
is($err . committed($n), 'local b', 'and this one does not');

# killed in a session
$victim = start_session($local);
$pid = $victim->query_safe('SELECT pg_backend_pid()');
$n = begin_transaction($victim, 'b');
my $remote_pid = $local->safe_psql('postgres', "SELECT remote_pid FROM enhanced_pool.leases WHERE pool = 'b'");
is($local->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 20000)"), 't', 'terminated in a session');
eval { $victim->quit };
ok($other->poll_query_until('postgres', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $remote_pid"), 'the remote transaction is rolled back');
is(committed($n), '', 'nothing is committed');

# statement_timeout in a subtransaction: what came before it stays
$n = begin_transaction($session, 'b');
$session->query_safe("SAVEPOINT s; SELECT put('b', -5); SET LOCAL statement_timeout = '100ms'");
($out, $err) = run($session, "SELECT enhanced_pool.exec(enhanced_pool.session('b'), 'SELECT pg_sleep(600)')");
like($err, qr/ERROR:  57014/, 'statement_timeout in a subtransaction');
$session->query_safe("ROLLBACK TO s; SELECT put('b', $n + 1000000)");
$session->query_safe('COMMIT');
is(committed($n), 'local b', 'committed on both sides');
is($other->safe_psql('postgres', "SELECT string_agg(id::text, ' ') FROM book WHERE id IN (-5, $n + 1000000)"), $n + 1000000, 'but for what was done in it');

# the very first statement, and in several levels
$n = ++$id;
$session->query_safe("BEGIN; INSERT INTO mine VALUES ($n); SELECT enhanced_pool.session('b') AS s \\gset");
$session->query_safe("SAVEPOINT r; SAVEPOINT s; SET LOCAL statement_timeout = '100ms'");
($out, $err) = run($session, "SELECT enhanced_pool.exec(enhanced_pool.session('b'), 'SELECT pg_sleep(600)')");
like($err, qr/ERROR:  57014/, 'in the first statement');
$session->query_safe('ROLLBACK TO s; SAVEPOINT t');
$session->query_safe("SELECT put('b', $n)");
$session->query_safe('RELEASE t; RELEASE r; COMMIT');
is(committed($n), 'local b', 'committed on both sides');
# with nothing after it
$n = begin_transaction($session, 'b');
$session->query_safe("SAVEPOINT s; SELECT put('b', -5); SET LOCAL statement_timeout = '100ms'");
($out, $err) = run($session, "SELECT enhanced_pool.exec(enhanced_pool.session('b'), 'SELECT pg_sleep(600)')");
$session->query_safe('ROLLBACK TO s; COMMIT');
is(committed($n) . $other->safe_psql('postgres', 'SELECT id FROM book WHERE id = -5'), 'local b', 'with nothing after it');

# The worker comes and goes; sessions stay, but over a relay.
unless (tls_of($other))
{
	$n = begin_transaction($session, 'b');
	my $worker = worker_pid($local);
	$local->safe_psql('postgres', "SELECT pg_terminate_backend($worker, 20000)");
	$session->query_safe("SELECT put('b', $n + 1000000)");
	$session->query_safe('COMMIT');
	is(committed($n), 'local b', 'the worker was away');
}

# ------------------------------------------------------------------- at last

($out, $err) = end_query($late);
like($err, qr/ERROR:  08007: .*"a" is unknown\nDETAIL:  .*no answer within 30 s/, 'an answer that does not come');
cmp_ok(time() - $late_since, '>=', 29, 'in time');
is($local->safe_psql('postgres', "SELECT count(*) FROM mine WHERE id = $late_id"), '0', 'the local transaction is rolled back');
$lock->query_safe('SELECT pg_advisory_unlock_all()');

$_->quit foreach $session, $second, $late, $lock, $lock_other;
check_clean($local, $remote, 3);
check_clean($local, $other, 3, $baseline);
done_testing();
