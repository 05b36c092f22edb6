# Cancelling: a statement that is cut off locally ends on the remote at once, and
# a cancel request never hits the statement that comes after.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Nothing but a cancel ends a statement of the remote's.
my ($local, $remote) = start_pair();
my $out;
my $err;

define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, min_size => 0);
define_pool($local, $remote, 'keep', max_size => 1, initial_size => 1, min_size => 0, reset => 'never');

sub runs_remotely
{
	my ($n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $remote->poll_query_until('postgres',
			"SELECT count(*) = $n FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active' AND query LIKE '%pg_sleep%'"),
		$name);
	return;
}

# ------------------------------------------------- every way to cut a statement off

my $remote_pid = $local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)");
foreach my $setting ('statement_timeout', 'enhanced_pool.query_timeout')
{
	fails_with($local, "SET $setting = '50ms'; SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(600)')",
		$setting eq 'statement_timeout'
		? qr/57014: canceling statement due to statement timeout/
		: qr/57014: canceling remote statement due to query_timeout/,
		$setting);
	runs_remotely(0, 'and the remote stopped');
	is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)"),
		$remote_pid, 'the connection is used again');
}

my $session = start_session($local);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
begin_query($session, "SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(600)')");
runs_remotely(1, 'a statement runs');
$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
($out, $err) = end_query($session);
like($err, qr/57014: canceling statement due to user request/, 'pg_cancel_backend');
runs_remotely(0, 'and the remote stopped');

# In the middle of many rows, some of which are in the socket and in the buffer.
$err = fails_with($local,
	"SET statement_timeout = '100ms'; SELECT count(pg_sleep(0.01)) FROM (SELECT * FROM enhanced_pool.execute('one', 'SELECT repeat(''x'', 1000) FROM generate_series(1, 10000000)') AS t(x text) OFFSET 0) t",
	qr/57014/, 'in the middle of rows');
ok( $remote->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'ep_user' AND state <> 'idle'"),
	'and the remote stopped');
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)"),
	$remote_pid, 'the connection is used again');

# One that is not listened to ends with its connection.
$remote->safe_psql('postgres', <<'SQL');
CREATE FUNCTION deaf(seconds float8) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  until timestamptz := clock_timestamp() + seconds * interval '1 s';
BEGIN
  WHILE clock_timestamp() < until LOOP
    BEGIN
      PERFORM pg_sleep(0.2);
    EXCEPTION WHEN query_canceled THEN NULL;
    END;
  END LOOP;
END $$;
SQL
fails_with($local, "SET statement_timeout = '50ms'; SELECT enhanced_pool.exec('one', 'SELECT deaf(1)')",
	qr/57014/, 'a statement that goes on for a while');
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(n int)"),
	'1', 'the next one waits for its end');

# ---------------------------------------------- the next statement is never hit

# Time-outs strike at about the end of the statement, so that many requests come
# late; the next one lasts long enough to be hit.
$session->query_safe(<<'SQL');
CREATE FUNCTION strike(pool text, rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  cut int := 0;
  n int;
BEGIN
  FOR i IN 1 .. rounds LOOP
    BEGIN
      PERFORM set_config('enhanced_pool.query_timeout', '5ms', true);
      PERFORM enhanced_pool.exec(pool, format('SELECT pg_sleep(%s)', 0.004 + random() * 0.002));
    EXCEPTION WHEN query_canceled THEN
      cut := cut + 1;
    END;
    PERFORM set_config('enhanced_pool.query_timeout', '0', true);
    SELECT t.n INTO n FROM enhanced_pool.execute(pool, 'SELECT $1 FROM pg_sleep(0.005)', i) AS t(n int);
    ASSERT n = i;
  END LOOP;
  RETURN cut;
END $$
SQL
$out = $session->query_safe("SELECT strike('one', 100)");
cmp_ok($out, '>', 0, 'time-outs struck, and no other statement was hit');
$out = $session->query_safe("SELECT strike('keep', 100)");
cmp_ok($out, '>', 0, 'the same when nothing is reset');

# With a lease that outlives the error: its next use reads what is left.
$session->query_safe(<<'SQL');
CREATE FUNCTION strike_lease(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  lease bigint;
  remote int;
  cut int := 0;
  n int;
BEGIN
  lease := enhanced_pool.acquire('one');
  SELECT pid INTO remote FROM enhanced_pool.execute(lease, 'SELECT pg_backend_pid()') AS t(pid int);
  FOR i IN 1 .. rounds LOOP
    BEGIN
      PERFORM set_config('enhanced_pool.query_timeout', '5ms', true);
      PERFORM * FROM enhanced_pool.execute(lease, format('SELECT generate_series(1, %s), pg_sleep(%s)::text', i, 0.004 + random() * 0.002)) AS t(n int, s text);
    EXCEPTION WHEN query_canceled THEN
      cut := cut + 1;
    END;
    PERFORM set_config('enhanced_pool.query_timeout', '0', true);
    SELECT t.n INTO n FROM enhanced_pool.execute(lease, 'SELECT $1 FROM pg_sleep(0.01)', i) AS t(n int);
    ASSERT n = i;
    SELECT pid INTO n FROM enhanced_pool.execute(lease, 'SELECT pg_backend_pid()') AS t(pid int);
    ASSERT n = remote;
  END LOOP;
  RETURN cut;
END $$
SQL
$out = $session->query('SELECT strike_lease(60)');
is($session->{stderr}, '', 'no other statement of the lease was hit');
$session->{stderr} = '';
cmp_ok($out, '>', 0, 'time-outs struck');

# The remote transaction of a lease survives as an aborted one.
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN'); SAVEPOINT s; SET LOCAL statement_timeout = '50ms'");
$session->query("SELECT enhanced_pool.exec(:lease, 'SELECT pg_sleep(600)')");
like($session->{stderr}, qr/57014/, 'a lease in a transaction, cut off in a savepoint');
runs_remotely(0, 'the remote stopped without being asked again');
$session->{stderr} = '';
$session->query_safe('ROLLBACK TO s');
$session->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
like($session->{stderr}, qr/25P02/, 'the remote transaction is aborted');
$session->{stderr} = '';
$session->query_safe("ROLLBACK TO s; SELECT enhanced_pool.exec(:lease, 'ROLLBACK')");
is($session->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 5') AS t(n int)"), 5, 'and the lease of use after its end');
$session->query_safe('COMMIT');

# A lease with hold of an earlier transaction is cut by the abort of a later one.
$session->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
$session->query("SET statement_timeout = '50ms'; SELECT enhanced_pool.exec(:lease, 'SELECT pg_sleep(600)');");
like($session->{stderr}, qr/57014/, 'a lease with hold');
$session->{stderr} = '';
runs_remotely(0, 'the remote stopped');
is($session->query_safe("SET statement_timeout = 0; SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 6') AS t(n int)"), 6, 'it goes on');
# Waiting for what is left can be cut off, too.
$session->query("SET statement_timeout = '50ms'; SELECT enhanced_pool.exec(:lease, 'SELECT deaf(2)');");
like($session->{stderr}, qr/57014/, 'a statement that goes on');
$session->{stderr} = '';
$session->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1');");
like($session->{stderr}, qr/57014/, 'its rest is waited for within statement_timeout');
$session->{stderr} = '';
is($session->query_safe("SET statement_timeout = 0; SELECT * FROM enhanced_pool.execute(:lease, 'SELECT 7') AS t(n int)"), 7, 'and goes on after that');
is($session->query_safe('SELECT enhanced_pool.release(:lease)'), 't', 'given back');

# --------------------------------------------------------------- a wait cut off

$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
fails_with($local, "SET statement_timeout = '50ms'; SELECT enhanced_pool.exec('one', 'SELECT 1')",
	qr/57014/, 'a wait for a connection');
is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.waiters'), '0', 'nobody waits any more');
$session->query_safe('COMMIT');

$session->quit;
check_clean($local, $remote, 2);
done_testing();
