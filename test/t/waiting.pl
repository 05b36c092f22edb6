# A session that waits for a remote server's answer hears of everything else that
# happens to it: whoever tells it does not count on its latch.  The worker stands still
# meanwhile, so that nothing it does for the connection can end the wait in its place.
# And each session is a new one: who has been idle gets signals of a timer of
# PostgreSQL's, and looks at everything once more.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# No timer of PostgreSQL's is to wake it up either.
my ($local, $remote) = start_pair(local_conf => 'authentication_timeout = 600');
my $waits = q{query LIKE '%pg_sleep(600)%' AND state = 'active' AND wait_event_type = 'Extension' AND pid <> pg_backend_pid()};
my @settings = (max_size => 1, initial_size => 1, min_size => 0, validation_interval => 0, health_check_interval => 0);
my ($session, $pid, $worker, @stopped, $out, $err);

define_pool($local, $remote, 'p', @settings);
define_pool($local, $remote, 'short', @settings, session_timeout => '3s');
my $baseline = worker_surplus($local);

# Nothing else could wake them up if one of these tests fails.
END { go_on() }

sub stand_still
{
	my (@pids) = @_;

	push @stopped, @pids;
	kill('STOP', @pids) == @pids or die "could not stop @pids: $!";
	return;
}

sub go_on
{
	kill 'CONT', splice @stopped;
	return;
}

# begin($sql): it runs on the remote server, and its session, a new one, sleeps until it ends.
sub begin
{
	my ($sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$worker = worker_pid($local);
	$session = start_session($local);
	begin_query($session, $sql);
	ok($remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = '$EnhancedPool::REMOTE_USER' AND wait_event = 'PgSleep'"), 'a statement runs');
	ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $waits"), 'its session waits');
	$pid = $local->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $waits");
	return;
}

# The statement has failed like that; what comes next works.
sub told
{
	my ($pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	($out, $err) = end_query($session);
	like($err, $pattern, $name);
	go_on();
	$session->query('ROLLBACK');
	$session->{stderr} = '';
	is($session->query_safe("SELECT enhanced_pool.exec('p', 'SELECT 1')"), '1', 'and goes on with another');
	$session->quit;
	return;
}

my $sleep = "SELECT enhanced_pool.exec('p', 'SELECT pg_sleep(600)')";

begin($sleep);
stand_still($worker);
is($local->safe_psql('postgres', "SELECT enhanced_pool.terminate_connection(conn_id) FROM enhanced_pool.connection_metrics WHERE pool = 'p'"), 't', 'the connection is terminated');
told(qr/ERROR:  57P01: connection to remote server "p" was terminated by an administrator/, 'its user is told');

begin($sleep);
stand_still($worker);
is($local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'a cancel request');
told(qr/ERROR:  57014: canceling statement due to user request/, 'is heard');

begin("SET statement_timeout = '2s'; $sleep");
stand_still($worker);
told(qr/ERROR:  57014: canceling statement due to statement timeout/, 'statement_timeout');

# What the worker itself has to say: it stands still as soon as it has said it.  The remote
# does, too: the worker has its statement cancelled, and that would end the wait.
begin("BEGIN; SELECT enhanced_pool.exec(enhanced_pool.session('short'), 'SELECT pg_sleep(600)')");
stand_still($local->safe_psql('postgres', "SELECT remote_pid FROM enhanced_pool.connection_metrics WHERE pool = 'short'"));
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.events WHERE kind = 'timeout' AND pool = 'short'"), 'the time of a session is over');
stand_still($worker);
told(qr/ERROR:  25P04: session on pool "short" was ended due to session_timeout/, 'its user is told');

# The same while the result of what was sent is awaited.
begin("BEGIN; SELECT enhanced_pool.session('short') AS s \\gset\nSELECT enhanced_pool.send(:s, 'SELECT pg_sleep(600)');\n"
	  . 'SELECT enhanced_pool.wait_any(ARRAY[:s]) = :s AS told /* pg_sleep(600) */; SELECT enhanced_pool.get_count(:s)');
stand_still($local->safe_psql('postgres', "SELECT remote_pid FROM enhanced_pool.connection_metrics WHERE pool = 'short' AND state = 'leased'"));
ok($local->poll_query_until('postgres', "SELECT count(*) = 2 FROM enhanced_pool.events WHERE kind = 'timeout' AND pool = 'short'"), 'the time of a session is over');
stand_still($worker);
told(qr/ERROR:  25P04: session on pool "short" was ended due to session_timeout/, 'who waits for its result is told');

begin($sleep);
stand_still($worker);
is($local->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)"), 't', 'a session that is terminated ends');
go_on();
eval { $session->quit };
check_clean($local, $remote, 2, $baseline);

# Nobody would ever end them, if they did not end by themselves: one that waits, and one
# that is busy at that moment and waits afterwards.
begin($sleep);
my $busy = start_session($local);
begin_query($busy, q{DO $$
DECLARE
  lease bigint := enhanced_pool.acquire('short');
  done timestamptz := clock_timestamp() + interval '5 s';
BEGIN
  WHILE clock_timestamp() < done LOOP
  END LOOP;
  PERFORM enhanced_pool.exec(lease, 'SELECT pg_sleep(600)');
END $$});
ok($local->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active' AND wait_event IS NULL"), 'another one computes');
my $busy_pid = $local->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'");
$local->kill9;
ok(poll_until { kill(0, $pid) == 0 }, 'a session whose postmaster has died ends');
ok(poll_until { kill(0, $busy_pid) == 0 }, 'so does the one that computed');
ok(poll_until { kill(0, $worker) == 0 }, 'so does the worker');

done_testing();
