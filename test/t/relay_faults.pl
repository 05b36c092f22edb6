# Encrypted remotes in trouble: connections that end at any moment, on either
# side of the relay and in the middle of it; cancels and time-outs.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TlsProxy;

skip_without_tls();

my $remote = start_tls_remote(conf => 'restart_after_crash = on');
my $local = start_local(conf => 'restart_after_crash = on');
my $tmp = PostgreSQL::Test::Utils::tempdir();
my $ask_pid = q{SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)};
my $rows = q{SELECT repeat('x', 1000) FROM generate_series(1, 10000000)};
(my $quoted_rows = $rows) =~ s/'/''/g;
my $out;
my $err;

sub pool
{
	my ($name, $what, %options) = @_;

	define_pool($local, $remote, $name, tls_server($what), initial_size => 1, min_size => 0, max_size => 1, %options);
	return;
}

# The statement of a session fails like that.
sub raises
{
	my ($session, $sql, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$session->query("$sql;");
	like($session->{stderr}, $pattern, $name);
	$session->{stderr} = '';
	return;
}

sub remote_state
{
	my ($pid, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($remote->poll_query_until('postgres', "SELECT state = '$state' FROM pg_stat_activity WHERE pid = $pid"), $name);
	return;
}

# A session must not last longer than the time that a single answer may take.
my $session;
my $pid;

sub fresh_session
{
	$session->quit if $session;
	$session = start_session($local);
	$pid = $session->query_safe('SELECT pg_backend_pid()');
	return;
}

pool('one', $remote);
pool('three', $remote, initial_size => 3, max_size => 3);
my $remote_pid = $local->safe_psql('postgres', $ask_pid);
fresh_session();
$session->query_safe("SELECT enhanced_pool.exec('three', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT sum(idle) = 4 FROM enhanced_pool.pools'), 'all connections are there');
is( $local->safe_psql('postgres', 'SELECT bool_and(tls), min(transport), max(transport) FROM enhanced_pool.connection_metrics'),
	't|relay|relay', 'and relayed');
my $baseline = worker_surplus($local);

# -------------------------------------------- TLS ends in the middle of something

foreach my $how ('rst', 'fin', 'notify', 'half')
{
	foreach my $version ('1.2', '1.3')
	{
		my $name = "TLS $version, $how";
		my $down = start_proxy($remote, how => $how, tls => $version, cut => 300_000, record => 1000);
		my $up = start_proxy($remote, how => $how, tls => $version, cutup => 300_000);

		fresh_session();
		pool('down', $down);
		pool('up', $up);
		raises($session, "SELECT count(*) FROM enhanced_pool.execute('down', '$quoted_rows') AS t(x text)",
			qr/ERROR:  08006: connection to remote server "down" was lost/, "$name: in the middle of a row");
		raises($session, "SELECT enhanced_pool.exec('up', 'SELECT length(\$1)', repeat('x', 10000000))",
			qr/ERROR:  08006: connection to remote server "up" was lost/, "$name: in the middle of a parameter");
		$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('down') AS lease \\gset");
		$session->query_safe('SAVEPOINT s');
		raises($session, "SELECT enhanced_pool.exec(:lease, '$quoted_rows')", qr/ERROR:  08006/, "$name: with a lease");
		$session->query_safe('ROLLBACK TO s');
		raises($session, "SELECT enhanced_pool.exec(:lease, 'SELECT 1')", qr/ERROR:  08006/, 'which is of no use any more');
		$session->query_safe('ROLLBACK');
		foreach my $pool ('down', 'up')
		{
			is($session->query_safe("SELECT n FROM enhanced_pool.execute('$pool', 'SELECT 1') AS t(n int)"), '1', 'the pool is of use');
			drop_pool($local, $pool);
		}
		stop_proxy($_) foreach $down, $up;
	}
}

# A remote that neither reads nor sends cannot hold up the end of its connection.
my $noread = "$tmp/noread";
fresh_session();
pool('stuck', start_proxy($remote, noread => $noread, nowrite => $noread));
is($session->query_safe("SELECT enhanced_pool.exec('stuck', 'SELECT 1')"), '1', 'one that will stand still');
append_to_file($noread, '');
raises($session, "SET statement_timeout = '100ms'; SELECT enhanced_pool.exec('stuck', 'SELECT length(\$1)', repeat('x', 20000000))",
	qr/57014/, 'a remote that stands still while it is sent something');
$session->query_safe('SET statement_timeout = 0');
ok( $local->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM enhanced_pool.connection_metrics WHERE pool = 'stuck' AND state IN ('broken', 'closing', 'cancelling')"),
	'the connection is ended');
unlink $noread;
is($session->query_safe("SELECT enhanced_pool.exec('stuck', 'SELECT 1')"), '1', 'the pool is of use afterwards');
drop_pool($local, 'stuck');

# ------------------------------------------------------- the remote is restarted

foreach my $mode ('fast', 'immediate')
{
	fresh_session();
	$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
	$session->query_safe("SELECT enhanced_pool.exec('three', 'SELECT 1'); SAVEPOINT s");
	$remote->stop($mode);
	$remote->start;
	raises($session, "SELECT enhanced_pool.exec(:lease, 'SELECT 1')", qr/ERROR:  (57P0[12]|08006)/, "remote restarted, $mode: a lease is lost");
	$session->query_safe('ROLLBACK TO s');
	raises($session, "SELECT enhanced_pool.exec(:lease, 'SELECT 1')", qr/ERROR:  08006/, 'for good');
	$session->query_safe('ROLLBACK');
	is($session->query_safe("SELECT enhanced_pool.exec('three', 'SELECT 1')"), '1', 'idle connections are replaced');
	is($session->query_safe("SELECT enhanced_pool.exec('one', 'SELECT 1')"), '1', 'and the lost one is');
}

# --------------------------------------------------- cancelled, in time or late

$remote_pid = $local->safe_psql('postgres', $ask_pid);
foreach my $setting ('statement_timeout', 'enhanced_pool.query_timeout')
{
	foreach my $sql ('SELECT pg_sleep(600)', $rows)
	{
		(my $quoted = $sql) =~ s/'/''/g;

		fails_with($local, "SET $setting = '100ms'; SELECT enhanced_pool.exec('one', '$quoted')", qr/ERROR:  57014/, "$setting: $sql");
		remote_state($remote_pid, 'idle', 'the remote stopped');
		is($local->safe_psql('postgres', $ask_pid), $remote_pid, 'the connection is used again');
	}
}
fresh_session();
foreach my $sql ('SELECT pg_sleep(600)', $rows)
{
	(my $quoted = $sql) =~ s/'/''/g;

	begin_query($session, "SELECT enhanced_pool.exec('one', '$quoted')");
	remote_state($remote_pid, 'active', 'a statement runs');
	$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	($out, $err) = end_query($session);
	like($err, qr/57014/, "cancelled: $sql");
	remote_state($remote_pid, 'idle', 'the remote stopped');
	is($local->safe_psql('postgres', $ask_pid), $remote_pid, 'the connection is used again');
}

# Time-outs strike at about the end of a statement, and in the middle of rows;
# the statement after that lasts long enough to be hit by a request that is late.
fresh_session();
$session->query_safe(<<'SQL');
CREATE FUNCTION strike(pool text, rounds int, many int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  cut int := 0;
  n int;
BEGIN
  FOR i IN 1 .. rounds LOOP
    BEGIN
      PERFORM set_config('enhanced_pool.query_timeout', '5ms', true);
      PERFORM enhanced_pool.exec(pool, format('SELECT repeat(''x'', 1000), pg_sleep(%s) FROM generate_series(1, %s)',
        0.004 + random() * 0.002, many));
    EXCEPTION WHEN query_canceled THEN
      cut := cut + 1;
    END;
    PERFORM set_config('enhanced_pool.query_timeout', '0', true);
    SELECT t.n INTO n FROM enhanced_pool.execute(pool, 'SELECT $1 FROM pg_sleep(0.005)', i) AS t(n int);
    ASSERT n = i;
  END LOOP;
  RETURN cut;
END $$;
CREATE FUNCTION cut_rows(pool text, rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  cut int := 0;
  n int;
BEGIN
  FOR i IN 1 .. rounds LOOP
    BEGIN
      PERFORM set_config('enhanced_pool.query_timeout', 1 + i % 20 || 'ms', true);
      PERFORM enhanced_pool.exec(pool, 'SELECT repeat(''x'', 10000) FROM generate_series(1, 1000000)');
    EXCEPTION WHEN query_canceled THEN
      cut := cut + 1;
    END;
    PERFORM set_config('enhanced_pool.query_timeout', '0', true);
    SELECT t.n INTO n FROM enhanced_pool.execute(pool, 'SELECT $1 FROM pg_sleep(0.005)', i) AS t(n int);
    ASSERT n = i;
  END LOOP;
  RETURN cut;
END $$;
SQL
cmp_ok($session->query_safe("SELECT strike('one', 50, 1)"), '>', 0, 'time-outs struck, and no other statement was hit');
is($session->query_safe("SELECT cut_rows('one', 50)"), '50', 'nor after a result that was cut off');
is($session->query_safe($ask_pid), $remote_pid, 'all on one connection');

# ---------------------------------------------------------- given back, half read

fresh_session();
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:lease, 'SET a.b = ''dirty'''); SELECT enhanced_pool.exec(:lease, 'BEGIN')");
raises($session, "SELECT count(*) FROM enhanced_pool.execute(:lease, 'SELECT CASE WHEN i < 90000 THEN i::text ELSE ''no'' END FROM generate_series(1, 100000) i') AS t(n int)",
	qr/ERROR:  (22P02|42804)/, 'rows that are not taken');
$session->query_safe('ROLLBACK');
is($session->query_safe($ask_pid), $remote_pid, 'the rest is read and the connection used again');
is($session->query_safe("SELECT * FROM enhanced_pool.execute('one', 'SELECT coalesce(current_setting(''a.b'', true), '''')') AS t(x text)"),
	'', 'after a reset');
foreach my $end ('SELECT enhanced_pool.release(:lease)', 'ROLLBACK')
{
	$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
	$session->query_safe('SAVEPOINT s');
	raises($session, "SET LOCAL enhanced_pool.query_timeout = '50ms'; SELECT enhanced_pool.exec(:lease, '$quoted_rows')", qr/57014/, 'a lease is cut off in the middle of rows');
	$session->query_safe('ROLLBACK TO s');
	$session->query_safe($end);
	$session->query_safe('ROLLBACK') unless $end eq 'ROLLBACK';
	is($session->query_safe($ask_pid), $remote_pid, "$end: the connection is used again");
}

# -------------------------------------------------------- validated, and replaced

fresh_session();
my $metric = "SELECT %s FROM enhanced_pool.pool_metrics WHERE pool = '%s'";
pool('valid', $remote, validation_interval => '100ms');
pool('invalid', $remote, validation_interval => '100ms', validation_query => 'SELECT 1 / 0');
pool('mortal', $remote, max_lifetime => '200ms', min_size => 1);
$session->query_safe("SELECT enhanced_pool.exec('$_', 'SELECT 1')") foreach 'valid', 'invalid', 'mortal';
ok($local->poll_query_until('postgres', sprintf $metric, 'validation_count > 1 AND validation_failures = 0 AND total_created = 1', 'valid'),
	'an idle connection is validated');
ok($local->poll_query_until('postgres', sprintf $metric, 'validation_failures > 0', 'invalid'), 'or not');
is($session->query_safe("SELECT enhanced_pool.exec('invalid', 'SELECT 1')"), '1', 'and is replaced then');
ok($local->poll_query_until('postgres', sprintf $metric, 'total_created > 2', 'mortal'), 'an old one is replaced');
drop_pool($local, $_) foreach 'valid', 'invalid', 'mortal';
ok( $local->poll_query_until('postgres', q{SELECT count(*) = 0 FROM enhanced_pool.connection_metrics WHERE pool NOT IN ('one', 'three')}),
	'nothing is left of these pools');

# ------------------------------------------------------- pg_terminate_backend

sub terminate_local
{
	my ($session, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($local->safe_psql('postgres', "SELECT pg_terminate_backend($session->{pid}, 20000)"), 't', "terminated $name");
	eval { $session->quit };
	is($local->safe_psql('postgres', $ask_pid), $remote_pid, 'the connection is used again');
	return;
}

sub new_session
{
	my $new = start_session($local);

	$new->{pid} = $new->query_safe('SELECT pg_backend_pid()');
	return $new;
}

my $victim = new_session();
$victim->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
$victim->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN')");
terminate_local($victim, 'with a lease');
foreach my $sql ('SELECT pg_sleep(600)', $quoted_rows)
{
	$victim = new_session();
	begin_query($victim, "SELECT enhanced_pool.exec('one', '$sql')");
	remote_state($remote_pid, 'active', 'a statement runs');
	terminate_local($victim, "in $sql");
}

sub terminate_remote
{
	is($remote->safe_psql('postgres', "SELECT pg_terminate_backend($remote_pid, 20000)"), 't', 'terminated on the remote');
	return;
}

fresh_session();
is($session->query_safe($ask_pid), $remote_pid, 'used');
terminate_remote();
my $new_pid = $session->query_safe($ask_pid);
isnt($new_pid, $remote_pid, 'idle: replaced without a word');
$remote_pid = $new_pid;
begin_query($session, "SELECT enhanced_pool.exec('one', 'SELECT pg_sleep(600)')");
remote_state($remote_pid, 'active', 'a statement runs');
terminate_remote();
($out, $err) = end_query($session);
like($err, qr/ERROR:  57P01: terminating connection due to administrator command/, 'in a statement: the remote\'s own words');
$remote_pid = $session->query_safe($ask_pid);
$session->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
terminate_remote();
raises($session, "SELECT enhanced_pool.exec(:lease, 'SELECT 1')", qr/ERROR:  (57P01|08006)/, 'with a lease');
$session->query_safe('SELECT enhanced_pool.release(:lease)');
$remote_pid = $session->query_safe($ask_pid);

check_clean($local, $remote, 4, $baseline);

# ------------------------------------------------------------- the worker ends

sub end_worker
{
	my $old = worker_pid($local);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$local->safe_psql('postgres', "SELECT pg_terminate_backend($old)");
	ok( $local->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'enhanced_pool worker%' AND pid <> $old"),
		'another worker runs');
	return;
}

sub remote_has_at_most
{
	my ($n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($remote->poll_query_until('postgres', "SELECT count(*) <= $n FROM pg_stat_activity WHERE usename = 'ep_user'"), $name);
	return;
}

fresh_session();
my $waiter = new_session();
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1'); SAVEPOINT s");
begin_query($waiter, "SELECT n FROM enhanced_pool.execute('one', 'SELECT 42') AS t(n int)");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');
end_worker();
ok( $remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $remote_pid"),
	'a lease ends with the worker that relayed for it');
is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.waiters'), '1', 'who waits still waits');
raises($session, "SELECT enhanced_pool.exec(:lease, 'SELECT 1')", qr/ERROR:  08006/, 'its holder is told');
$session->query_safe('ROLLBACK TO s; SELECT enhanced_pool.release(:lease); COMMIT');
($out, $err) = end_query($waiter);
is("$out|$err", '42|', 'who waits gets another');
is($session->query_safe("SELECT enhanced_pool.exec('three', 'SELECT 1')"), '1', 'other pools are back');
remote_has_at_most(4, 'the remote has no more connections than it may have');

# In the middle of rows, some of which are in the relay.
begin_query($waiter, "SELECT enhanced_pool.exec('one', '$quoted_rows')");
ok( $remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active' AND query LIKE '%repeat%'"),
	'rows are coming');
kill 'STOP', $waiter->{pid};
ok( $remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND wait_event = 'ClientWrite'"),
	'and wait');
end_worker();
kill 'CONT', $waiter->{pid};
($out, $err) = end_query($waiter);
like($err, qr/ERROR:  08006/, 'the worker ended in the middle of rows');
is($waiter->query_safe("SELECT enhanced_pool.exec('one', 'SELECT 1')"), '1', 'the pool is back');
remote_has_at_most(4, 'the remote has no more connections than it may have');

# Again and again, while statements run: no answer is wrong.
$waiter->quit;
$waiter = new_session();
begin_query($waiter, q{DO $$ DECLARE n int; lost int := 0; BEGIN
  FOR i IN 1 .. 1000000 LOOP
    BEGIN
      SELECT t.n INTO n FROM enhanced_pool.execute('three', 'SELECT $1', i) AS t(n int);
      ASSERT n = i;
    EXCEPTION WHEN connection_failure THEN lost := lost + 1;
    END;
    EXIT WHEN EXISTS (SELECT FROM pg_class WHERE relname = 'stop');
  END LOOP;
  ASSERT lost <= 3;
END $$; SELECT 'done'});
foreach my $round (1 .. 3)
{
	end_worker();
	ok( $local->poll_query_until('postgres',
			"SELECT count(*) > 0 FROM enhanced_pool.connection_metrics WHERE pool = 'three' AND query_count > 10"),
		'statements run on a new connection');
}
$local->safe_psql('postgres', 'CREATE TABLE stop ()');
($out, $err) = end_query($waiter);
is("$out|$err", 'done|', 'at most one statement was lost each time');
$_->quit foreach $session, $waiter;
check_clean($local, $remote, 4);

# ------------------------------------------------------------ a crash, a shutdown

foreach my $who ('a backend', 'the worker')
{
	my $lease = new_session();
	my $running = new_session();

	$lease->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
	begin_query($running, "SELECT enhanced_pool.exec('three', '$quoted_rows')");
	ok($local->poll_query_until('postgres', 'SELECT sum(active) = 2 FROM enhanced_pool.pools'), 'leases are open');

	my $offset = -s $local->logfile;
	PostgreSQL::Test::Utils::system_log('pg_ctl', 'kill', 'KILL', $who eq 'a backend' ? $lease->{pid} : worker_pid($local));
	$local->wait_for_log(qr/all server processes terminated; reinitializing/, $offset);
	ok(poll_until(sub { $local->psql('postgres', 'SELECT 1') == 0 }), "$who is killed: PostgreSQL is back");
	foreach ($lease, $running)
	{
		eval { $_->quit };
	}
	remote_has_at_most(0, 'the remote has no connection of before');
	is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(n int)"), '1', 'pools work');
	check_clean($local, $remote, 4);
}

my $lease = new_session();
my $running = new_session();
my $waiting = new_session();
$lease->query_safe("SELECT enhanced_pool.acquire('one', hold => true) AS lease \\gset");
begin_query($running, "SELECT enhanced_pool.exec('three', '$quoted_rows')");
begin_query($waiting, "SELECT enhanced_pool.exec('one', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT sum(active) = 2 AND sum(waiting) = 1 FROM enhanced_pool.pools'), 'leases are open');
$local->stop('fast');
pass('fast shutdown');
foreach ($lease, $running, $waiting)
{
	eval { $_->quit };
}
remote_has_at_most(0, 'no connection is left on the remote');
$local->start;
is($local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT 1') AS t(n int)"), '1', 'pools work after the start');
check_clean($local, $remote, 4);
ok(!$local->log_contains(qr/PANIC|TRAP|could not watch/), 'nothing bad in the log');

done_testing();
