# How many sessions there may be, what a pool keeps for them, and how long they may last.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my @sessions = map { start_session($local) } 1 .. 5;
my %plain = (min_size => 0, target_free_connections => 0, validation_interval => 0, health_check_interval => 0);

$remote->safe_psql('postgres', "CREATE TABLE t (a int); GRANT ALL ON t TO $EnhancedPool::REMOTE_USER");
$local->safe_psql('postgres', 'CREATE TABLE here (a int)');

sub size_becomes
{
	my ($pool, $size, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT size = $size AND idle + active = $size FROM enhanced_pool.pools WHERE pool = '$pool'"), $name)
	  or diag($local->safe_psql('postgres', "SELECT size, idle, active FROM enhanced_pool.pools WHERE pool = '$pool'"));
	return;
}

sub wait_for_waiters
{
	my ($n) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT count(*) = $n FROM enhanced_pool.waiters"), "$n wait");
	return;
}

# Open a session in a transaction of its own.
sub open_session
{
	my ($who, $pool) = @_;

	$sessions[$who]->query_safe("BEGIN; SELECT enhanced_pool.session('$pool', timeout => '20s') AS s \\gset");
	return;
}

sub lease
{
	my ($who, $pool) = @_;

	$sessions[$who]->query_safe("SELECT enhanced_pool.acquire('$pool', timeout => '20s', hold => true)");
	return;
}

# What an error says, of a statement in a session that goes on.
sub error_of
{
	my ($who, $sql) = @_;
	my $err;

	$sessions[$who]->query($sql);
	$err = $sessions[$who]->{stderr};
	$sessions[$who]->{stderr} = '';
	return $err;
}

sub end_all
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $session (@sessions)
	{
		$session->query('ROLLBACK; SELECT enhanced_pool.release_all()');
		$session->{stderr} = '';
	}
	ok($local->poll_query_until('postgres', 'SELECT count(*) = 0 FROM enhanced_pool.leases'), 'everything is given back');
	return;
}

sub remote_transactions
{
	return $remote->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = '$EnhancedPool::REMOTE_USER' AND xact_start IS NOT NULL");
}

sub remote_is_at_rest
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok(poll_until { remote_transactions() eq '0' }, $name);
	return;
}

subtest max_sessions => sub {
	my ($out, $err);

	define_pool($local, $remote, 'one', %plain, max_size => 4, initial_size => 4, max_sessions => 1);
	open_session(0, 'one');
	size_becomes('one', 4, 'filled');

	like(error_of(1, "BEGIN; SELECT enhanced_pool.session('one', timeout => '0');"),
		qr/ERROR:  53300: no session on pool "one" is free\nDETAIL:  1 of 1 sessions \(max_sessions\) are open; size 4, active 1, .*\nHINT:  Raise max_sessions/,
		'a second one has no place');
	$sessions[1]->query_safe('ROLLBACK');
	like(error_of(1, "BEGIN; SELECT enhanced_pool.session('one', timeout => '10ms');"),
		qr/ERROR:  53300: no session on pool "one" within 0\.01 s/, 'nor in time');
	$sessions[1]->query_safe('ROLLBACK; BEGIN');

	begin_query($sessions[1], "SELECT enhanced_pool.session('one') > 0");
	wait_for_waiters(1);
	is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('one', 'SELECT 1')"), '1', 'statements do not wait for that');
	lease(2, 'one') for 1 .. 3;
	begin_query($sessions[3], "SELECT enhanced_pool.exec('one', 'SELECT 1')");
	wait_for_waiters(2);
	$sessions[2]->query_safe("SELECT enhanced_pool.release(max(lease)) FROM enhanced_pool.leases WHERE pid = pg_backend_pid()");
	($out, $err) = end_query($sessions[3]);
	is("$out|$err", '1|', 'who came later and wants no session is served');
	wait_for_waiters(1);
	$sessions[0]->query_safe('COMMIT');
	($out, $err) = end_query($sessions[1]);
	is($err, '', 'and the session when the other one has ended');
	is($local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.leases WHERE kind = 'session'"), '1', 'one is open');

	$sessions[1]->query_safe('COMMIT; BEGIN');
	like(error_of(1, "SELECT enhanced_pool.session('one'); SELECT enhanced_pool.session('one', name => 'other');"),
		qr/ERROR:  40P01: deadlock detected/, 'who waits for itself');
	end_all();

	# The place of a session is free before its connection is.
	define_pool($local, $remote, 'slow', %plain, max_size => 2, initial_size => 2, max_sessions => 1, reset => 'always', reset_query => 'SELECT pg_sleep(20)');
	open_session(0, 'slow');
	$sessions[0]->query_safe("SELECT enhanced_pool.exec(:s, 'SELECT 1')");
	size_becomes('slow', 2, 'filled');
	$sessions[1]->query_safe('BEGIN');
	begin_query($sessions[1], "SELECT enhanced_pool.session('slow') > 0");
	wait_for_waiters(1);
	$sessions[0]->query_safe('COMMIT');
	($out, $err) = end_query($sessions[1]);
	is($err, '', 'the next gets another connection');
	is($local->safe_psql('postgres', "SELECT state FROM enhanced_pool.connection_metrics WHERE pool = 'slow' AND state <> 'leased'"), 'resetting', 'while that one is reset');
	end_all();

	# by default as many as there are connections
	define_pool($local, $remote, 'many', %plain, max_size => 3, initial_size => 0);
	define_pool($local, $remote, 'more', %plain, max_size => 3, max_sessions => 9, min_sessions => 9);
	open_session($_, 'many') for 0 .. 2;
	like(error_of(3, "BEGIN; SELECT enhanced_pool.session('many', timeout => '0');"), qr/53300: .*\nDETAIL:  3 of 3 sessions/, 'no more than max_size');
	is($local->safe_psql('postgres', "SELECT string_agg(value, ' ') FROM enhanced_pool.config WHERE pool = 'more' AND name IN ('max_sessions', 'min_sessions')"),
		'3 3', 'more than max_size counts as max_size');
	end_all();
};

subtest min_sessions => sub {
	define_pool($local, $remote, 'kept', %plain, max_size => 3, initial_size => 3, min_sessions => 2);
	define_pool($local, $remote, 'kept_none', %plain, max_size => 3, initial_size => 3);
	foreach my $pool ('kept', 'kept_none')
	{
		$local->safe_psql('postgres', "SELECT enhanced_pool.exec('$pool', 'SELECT 1')");
		size_becomes($pool, 3, 'filled');
		lease(0, $pool);
	}
	lease(0, 'kept_none') for 1 .. 2;
	like(error_of(1, "SELECT enhanced_pool.acquire('kept', timeout => '0');"),
		qr/ERROR:  53300: no connection .*\nDETAIL:  Size 3, active 1, .*\nHINT:  Connections that are kept for sessions are idle\./, 'two of three are for sessions alone');
	open_session($_, 'kept') for 2, 3;
	is($local->safe_psql('postgres', "SELECT active FROM enhanced_pool.pools WHERE pool = 'kept'"), '3', 'who get them');
	$sessions[2]->query_safe('COMMIT');
	like(error_of(1, "SELECT enhanced_pool.acquire('kept', timeout => '10ms');"), qr/ERROR:  53300/, 'they stay kept');
	end_all();

	# opened, and left alone by idle_timeout
	define_pool($local, $remote, 'opened', %plain, max_size => 5, initial_size => 0, min_sessions => 2, idle_timeout => '200ms');
	$local->safe_psql('postgres', "SELECT enhanced_pool.exec('opened', 'SELECT 1')");
	size_becomes('opened', 2, 'two are opened');
	lease(0, 'opened') for 1 .. 2;
	size_becomes('opened', 4, 'others are opened for leases');
	end_all();
	size_becomes('opened', 2, 'which go when they are idle');
	my $kept = $local->safe_psql('postgres', "SELECT min(conn_id) FROM enhanced_pool.connection_metrics WHERE pool = 'opened'");
	lease(0, 'opened');
	end_all();
	size_becomes('opened', 2, 'one more has gone');
	is($local->safe_psql('postgres', "SELECT min(conn_id) FROM enhanced_pool.connection_metrics WHERE pool = 'opened'"), $kept, 'and no kept one');

	# somebody else must have one
	define_pool($local, $remote, 'all', %plain, max_size => 2, initial_size => 2, min_sessions => 2);
	is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('all', 'SELECT 1')"), '1', 'not all are kept');
	lease(0, 'all');
	like(error_of(1, "SELECT enhanced_pool.acquire('all', timeout => '10ms');"), qr/ERROR:  53300/, 'all but one are');
	open_session(1, 'all');
	end_all();
};

subtest target_free_sessions => sub {
	define_pool($local, $remote, 'spare', %plain, max_size => 6, initial_size => 0, target_free_sessions => 2);
	define_pool($local, $remote, 'spare_none', %plain, max_size => 6, initial_size => 0);
	open_session(0, 'spare');
	size_becomes('spare', 3, 'two spare ones');
	lease(1, 'spare');
	size_becomes('spare', 4, 'which others do not take while the pool can grow');
	open_session(2, 'spare');
	size_becomes('spare', 5, 'a second session, and one more');
	end_all();
	open_session(0, 'spare_none');
	lease(1, 'spare_none');
	size_becomes('spare_none', 2, 'none by default');
	end_all();

	# nobody waits in vain for what is spare
	define_pool($local, $remote, 'full', %plain, max_size => 3, initial_size => 3, target_free_sessions => 2);
	open_session(0, 'full');
	size_becomes('full', 3, 'one session and two spare ones');
	lease(1, 'full') for 1 .. 2;
	is($local->safe_psql('postgres', "SELECT active FROM enhanced_pool.pools WHERE pool = 'full'"), '3', 'they are others\' when the pool is full');
	end_all();
};

subtest session_idle_timeout => sub {
	my %pool = (%plain, max_size => 5, initial_size => 0, target_free_sessions => 2, idle_timeout => '200ms');

	define_pool($local, $remote, 'soon', %pool, session_idle_timeout => '300ms');
	define_pool($local, $remote, 'never', %pool, session_idle_timeout => 0);
	define_pool($local, $remote, 'later', %pool);
	foreach my $pool ('never', 'later', 'soon')
	{
		open_session(0, $pool);
		size_becomes($pool, 3, 'one session and two spare ones');
		$sessions[0]->query_safe('COMMIT');
	}
	size_becomes('soon', 0, 'given back, and closed as others are');
	foreach my $pool ('never', 'later')
	{
		lease(1, $pool);
		end_all();
		size_becomes($pool, 2, "$pool: others are closed, but these are kept");
	}
};

subtest session_max_lifetime => sub {
	my %pool = (%plain, max_size => 3, initial_size => 0, min_sessions => 1, idle_timeout => '200ms');
	my $id = "SELECT min(conn_id) FROM enhanced_pool.connection_metrics WHERE pool";

	define_pool($local, $remote, 'short', %pool, session_max_lifetime => '300ms');
	define_pool($local, $remote, 'long', %pool);
	$local->safe_psql('postgres', "SELECT enhanced_pool.exec('$_', 'SELECT 1')") foreach 'long', 'short';
	size_becomes('long', 1, 'one is kept');
	my $long = $local->safe_psql('postgres', "$id = 'long'");
	ok($local->poll_query_until('postgres', "SELECT min(conn_id) > $long + 4 FROM enhanced_pool.connection_metrics WHERE pool = 'short'"),
		'another one is kept instead, again and again');
	is($local->safe_psql('postgres', "$id = 'long'"), $long, 'the same one by default');
	drop_pool($local, 'short');

	# where there is no room for another, it is kept anew
	define_pool($local, $remote, 'tight', %plain, max_size => 2, initial_size => 2, min_sessions => 1, session_max_lifetime => '1ms');
	$local->safe_psql('postgres', "SELECT enhanced_pool.exec('tight', 'SELECT 1')");
	size_becomes('tight', 2, 'filled');
	lease(0, 'tight');
	like(error_of(1, "SELECT enhanced_pool.acquire('tight', timeout => '0');"), qr/ERROR:  53300/, 'one is kept');
	end_all();
	drop_pool($local, 'tight');
};

subtest idle_in_session_timeout => sub {
	define_pool($local, $remote, 'idle', %plain, max_size => 3, initial_size => 0, idle_in_session_timeout => '300ms');
	define_pool($local, $remote, 'idle_never', %plain, max_size => 3, initial_size => 0);
	open_session(4, 'idle_never');
	$sessions[4]->query_safe(q{SELECT enhanced_pool.exec(:s, 'INSERT INTO t VALUES (1)')});

	open_session(0, 'idle');
	is($sessions[0]->query_safe(q{SELECT enhanced_pool.exec(:s, 'INSERT INTO t SELECT 2 FROM pg_sleep(1)')}), '1', 'who works is not idle');
	$sessions[0]->query_safe('INSERT INTO here VALUES (2)');
	ok(poll_until { remote_transactions() eq '1' }, 'an idle one is rolled back at once');
	is($sessions[0]->query_safe('SELECT 7'), '7', 'the local transaction goes on');
	like(error_of(0, q{SELECT enhanced_pool.exec(:s, 'SELECT 1');}),
		qr/ERROR:  25P03: session on pool "idle" was ended due to idle_in_session_timeout\nDETAIL:  Its remote transaction was rolled back.*\nHINT:  Raise idle_in_session_timeout/, 'until the session is used');
	$sessions[0]->query_safe('ROLLBACK');

	open_session(0, 'idle');
	$sessions[0]->query_safe(q{INSERT INTO here VALUES (3); SELECT enhanced_pool.exec(:s, 'INSERT INTO t VALUES (3)')});
	ok(poll_until { remote_transactions() eq '1' }, 'rolled back');
	like(error_of(0, 'COMMIT;'), qr/ERROR:  25P03/, 'or is to be committed');

	# an error that was caught changes nothing
	open_session(0, 'idle');
	$sessions[0]->query_safe(q{INSERT INTO here VALUES (4); SELECT enhanced_pool.exec(:s, 'INSERT INTO t VALUES (4)')});
	ok(poll_until { remote_transactions() eq '1' }, 'rolled back');
	$sessions[0]->query_safe(
		q{SELECT format('DO $$BEGIN PERFORM enhanced_pool.exec(%s::bigint, ''SELECT 1''); EXCEPTION WHEN OTHERS THEN NULL; END$$', :s) \gexec});
	like(error_of(0, 'COMMIT;'), qr/ERROR:  25P03/, 'and so with an exception block');

	# a statement that was given up has ended
	open_session(0, 'idle');
	$sessions[0]->query_safe(q{SELECT enhanced_pool.exec(:s, 'INSERT INTO t VALUES (5)'); SAVEPOINT a; SET LOCAL statement_timeout = 100});
	like(error_of(0, q{SELECT enhanced_pool.exec(:s, 'SELECT pg_sleep(600)');}), qr/ERROR:  57014/, 'cancelled');
	$sessions[0]->query_safe('ROLLBACK TO a');
	ok(poll_until { remote_transactions() eq '1' }, 'rolled back');
	like(error_of(0, 'COMMIT;'), qr/ERROR:  25P03/, 'that is idle, too');

	# one that has run nothing
	open_session(0, 'idle');
	ok(poll_until { slurp_file($local->logfile) =~ /(?:pool "idle": session \d+ of process \d+ was rolled back: idle for longer than 0\.3 s.*?){5}/s }, 'it is told in the log');
	like(error_of(0, "SAVEPOINT a; SELECT enhanced_pool.release(:s);"), qr/ERROR:  25P03/, 'releasing it is no way out');
	$sessions[0]->query_safe('ROLLBACK TO a');
	like(error_of(0, 'COMMIT;'), qr/ERROR:  25P03/, 'though nothing is lost, it is not committed either');

	is($local->safe_psql('postgres', 'SELECT count(*) FROM here'), '0', 'nothing was committed here');
	is($local->safe_psql('postgres', "SELECT count(*), bool_and(conn_id IS NOT NULL AND (detail->>'lease') IS NOT NULL) FROM enhanced_pool.events WHERE kind = 'timeout' AND pool = 'idle' AND detail->>'reason' = 'idle_in_session_timeout' AND (detail->>'timeout')::float = 0.3"),
		'5|t', 'each is an event');
	is($local->safe_psql('postgres', "SELECT count(*) > 0 FROM enhanced_pool.events WHERE kind = 'close' AND pool = 'idle' AND detail->>'reason' = 'session_timed_out'"), 't', 'and so is the end of its connection');
	$sessions[4]->query_safe('COMMIT');
	is($remote->safe_psql('postgres', 'SELECT string_agg(a::text, $$,$$) FROM t'), '1', 'by default it never strikes');
	$remote->safe_psql('postgres', 'TRUNCATE t');
	end_all();
};

subtest session_timeout => sub {
	my ($out, $err);

	define_pool($local, $remote, 'total', %plain, max_size => 3, initial_size => 0, session_timeout => '600ms');
	open_session(0, 'total');
	$sessions[0]->query_safe(q{SELECT enhanced_pool.exec(:s, 'INSERT INTO t VALUES (1)')});
	remote_is_at_rest('rolled back though it was not idle for long');
	like(error_of(0, 'COMMIT;'), qr/ERROR:  25P04: session on pool "total" was ended due to session_timeout/, 'and cannot be committed');

	open_session(0, 'total');
	like(error_of(0, q{SELECT enhanced_pool.exec(:s, 'SELECT pg_sleep(600)');}), qr/ERROR:  25P04/, 'a statement is no reason to wait');
	remote_is_at_rest('nor is it for the remote');
	$sessions[0]->query_safe('ROLLBACK');

	# in an exception block: the remote need not wait for the end of the local transaction
	open_session(0, 'total');
	$sessions[0]->query_safe(q{SELECT enhanced_pool.exec(:s, 'LOCK TABLE t')});
	$sessions[0]->query_safe(
		q{SELECT format('DO $$BEGIN PERFORM enhanced_pool.exec(%s::bigint, ''SELECT pg_sleep(600)''); EXCEPTION WHEN OTHERS THEN NULL; END$$', :s) \gexec});
	remote_is_at_rest('an error that was caught');
	like(error_of(0, 'SELECT enhanced_pool.exec(:s, \'SELECT 1\');'), qr/ERROR:  25P04/, 'the session is over');
	$sessions[0]->query_safe('ROLLBACK');

	# other leases are none of its business
	$sessions[0]->query_safe("SELECT enhanced_pool.acquire('total', hold => true) AS s \\gset");
	is($sessions[0]->query_safe(q{SELECT enhanced_pool.exec(:s, 'SELECT pg_sleep(1.5)')}), '1', 'leases are not struck');
	is($remote->safe_psql('postgres', 'SELECT count(*) FROM t'), '0', 'nothing was committed');
	is($local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.events WHERE kind = 'timeout' AND pool = 'total' AND detail->>'reason' = 'session_timeout'"), '3', 'three events');
	end_all();
};

$_->quit foreach @sessions;
check_clean($local, $remote, 40);
done_testing();
