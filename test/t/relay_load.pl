# Encrypted remotes under load: what comes through the relay is what was sent,
# nobody is held up by somebody else's slow connection, and the worker's memory
# stays what it is.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Crowd;
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TlsProxy;

skip_without_tls();

my $remote = start_tls_remote(conf => 'max_connections = 100');
my $local = start_local();
my $tmp = PostgreSQL::Test::Utils::tempdir();
my $out;
my $err;

# Of pools tls, updating, plain, stalling and other.
my $max_connections = 10 + 5 + 3 * 4;

# More than this a worker does not take for a single connection, kB.
my $memory_bound = 4 * 1024;

$local->safe_psql('postgres', $crowd_functions);
# What is sent, and compared with what comes back: rows of 32 kB, a parameter in
# parts of 3200 bytes.
$local->safe_psql('postgres', <<'SQL');
CREATE FUNCTION download(pool text, n int) RETURNS text LANGUAGE sql AS $$
  SELECT count(*) || '|' || count(*) FILTER (WHERE x <> repeat(md5(i::text), 1000))
    FROM enhanced_pool.execute(pool, 'SELECT i, repeat(md5(i::text), 1000) FROM generate_series(1, $1) i', n) AS t(i int, x text)
$$;
CREATE FUNCTION upload(pool text, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sent text := (SELECT string_agg(repeat(md5(i::text), 100), '') FROM generate_series(1, n) i);
  hash text;
  back text;
BEGIN
  SELECT t.hash, t.back INTO hash, back
    FROM enhanced_pool.execute(pool, 'SELECT md5($1), $1', sent) AS t(hash text, back text);
  RETURN length(sent) || '|' || (hash = md5(sent)) || '|' || (back = sent);
END $$;
SQL

sub pool
{
	my ($name, $what, %options) = @_;

	define_pool($local, $remote, $name, tls_server($what), initial_size => 1, min_size => 0, max_size => 4, %options);
	return;
}

# ------------------------------------------------------------- bytes, unharmed

my %proxies = (
	tls13 => start_proxy($remote, tls => '1.3', update => 64, log => "$tmp/tls13"),
	tls12 => start_proxy($remote, tls => '1.2'),
	tiny13 => start_proxy($remote, tls => '1.3', record => 1, update => 1, log => "$tmp/tiny13"),
	tiny12 => start_proxy($remote, tls => '1.2', record => 1),
	odd => start_proxy($remote, tls => '1.3', record => 8191));
# the file tells of the last connection that ended: no other than the pool's own
pool($_, $proxies{$_}, health_check_interval => 0) foreach sort keys %proxies;
pool('tls', $remote, max_size => 10, initial_size => 10, min_size => 10);

foreach my $name ('tls', 'tls12', 'tls13', 'odd')
{
	my $rows = $name =~ /^tls(13)?$/ ? 6400 : 1000;
	my $parts = $name =~ /^tls(13)?$/ ? 16384 : 2000;

	is($local->safe_psql('postgres', "SELECT download('$name', $rows)"), "$rows|0", "$name: a large result");
	is($local->safe_psql('postgres', "SELECT upload('$name', $parts)"), 3200 * $parts . '|true|true', "$name: a large parameter, and back");
}
foreach my $name ('tiny12', 'tiny13')
{
	is($local->safe_psql('postgres', "SELECT download('$name', 5)"), '5|0', "$name: a result in records of one byte");
	is($local->safe_psql('postgres', "SELECT upload('$name', 20)"), '64000|true|true', "$name: a parameter, and back");
}
is( $local->safe_psql('postgres',
		"SELECT string_agg(DISTINCT transport || ' ' || tls, ',') FROM enhanced_pool.connection_metrics"),
	'relay true', 'all of that was relayed');

foreach my $name ('tls13', 'tiny13')
{
	drop_pool($local, $name);
	ok(poll_until(sub { -s "$tmp/$name" }), "$name: the connection is closed");
	my ($sent, $received) = slurp_file("$tmp/$name") =~ /sent (\d+) received (\d+)/;
	cmp_ok($sent, '>', $name eq 'tls13' ? 2000 : 50, "$name: keys were updated");
	cmp_ok($received, '>', 0, "$name: by us, too");
}
drop_pool($local, $_) foreach 'tls12', 'tiny12', 'odd';

# --------------------------------------------------- slow readers, slow remotes

my $noread = "$tmp/noread";
my $nowrite = "$tmp/nowrite";
my $stalling = start_proxy($remote, noread => $noread, nowrite => $nowrite);
pool('stalling', $stalling);
pool('other', $remote);
define_pool($local, $remote, 'plain', sslmode => 'disable', initial_size => 1, min_size => 0, max_size => 4);
lookups_work($local, $_, 10, "$_ works") foreach 'stalling', 'other', 'tls', 'plain';
my $baseline = worker_surplus($local);
my $worker = worker_pid($local);
my $memory = worker_memory($worker);
my $most = 0;

sub watch_memory
{
	my $now = worker_memory($worker);

	$most = $now if $now > $most;
	return;
}

sub memory_is_bounded
{
	my ($name, $bound) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	watch_memory();
	cmp_ok($most - $memory, '<', $bound // $memory_bound, $name);
	$most = 0;
	return;
}

# Nothing that the stalled connection needs is needed by others, be they of the
# same pool.
sub others_go_on
{
	my ($name, @pools) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	foreach my $pool (@pools)
	{
		lookups_work($local, $pool, 100, "$name: $pool goes on");
		watch_memory();
	}
	memory_is_bounded("$name: the worker needs no memory for it");
	return;
}

sub waits_remotely
{
	my ($pid, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok($local->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid"), $name);
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

my $large = "SELECT enhanced_pool.exec('tls', 'SELECT repeat(''x'', 100000) FROM generate_series(1, 10000)')";
my $remote_waits = q{SELECT count(*) = 1 FROM pg_stat_activity
  WHERE usename = 'ep_user' AND wait_event = 'ClientWrite' AND query LIKE '%repeat%'};

# A process that reads nothing any more.
fresh_session();
begin_query($session, $large);
ok($remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active'"), 'rows are coming');
kill 'STOP', $pid;
ok($remote->poll_query_until('postgres', $remote_waits), 'a backend is stopped while it reads, and the remote has to wait');
others_go_on('a stopped reader', 'tls', 'other', 'plain');
kill 'CONT', $pid;
($out, $err) = end_query($session);
is("$out|$err", '10000|', 'it goes on and has all rows');

# A lease that is not read from.
fresh_session();
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('stalling') AS lease \\gset");
$session->query_safe('SAVEPOINT s');
append_to_file($nowrite, '');
$session->query("SET LOCAL enhanced_pool.query_timeout = '300ms'; SELECT enhanced_pool.exec(:lease, 'SELECT repeat(''x'', 100000) FROM generate_series(1, 1000)');");
like($session->{stderr}, qr/57014/, 'a lease is cut off in the middle of rows');
$session->{stderr} = '';
$session->query_safe('ROLLBACK TO s');
others_go_on('a lease with unread rows', 'stalling', 'other', 'tls', 'plain');
unlink $nowrite;
is($session->query_safe("SELECT n FROM enhanced_pool.execute(:lease, 'SELECT 17') AS t(n int)"), '17', 'it is used again after that');
$session->query_safe('COMMIT');

# A remote that sends nothing.
fresh_session();
append_to_file($nowrite, '');
begin_query($session, "SELECT download('stalling', 1000)");
waits_remotely($pid, 'a remote that stops sending is waited for');
others_go_on('a remote that sends nothing', 'stalling', 'other', 'tls', 'plain');
unlink $nowrite;
($out, $err) = end_query($session);
is("$out|$err", '1000|0|', 'it goes on');

# A remote that reads nothing, while much is sent to it.
fresh_session();
append_to_file($noread, '');
begin_query($session, "SELECT upload('stalling', 32768)");
ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE pool = 'stalling' AND state = 'active'"),
	'100 MB are sent to a remote that does not read');
waits_remotely($pid, 'the backend waits');
others_go_on('a remote that reads nothing', 'stalling', 'other', 'tls', 'plain');
is($local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)"), 't', 'it is cancelled');
($out, $err) = end_query($session);
like($err, qr/57014/, 'which ends it at once');
others_go_on('afterwards', 'stalling', 'other', 'tls', 'plain');
unlink $noread;
lookups_work($local, 'stalling', 10, 'and the pool can be used');

# The same for a moment only.
fresh_session();
append_to_file($noread, '');
begin_query($session, "SELECT upload('stalling', 32768)");
ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE pool = 'stalling' AND state = 'active'"),
	'and once more');
waits_remotely($pid, 'the backend waits');
unlink $noread;
($out, $err) = end_query($session);
is("$out|$err", '104857600|true|true|', 'it goes on when the remote does');

# --------------------------------------------------- much for one, little for many

fresh_session();
begin_query($session, $large);
append_to_file("$tmp/lookups", "SELECT ask('tls', 1);\n");
my $bench = start([ 'pgbench', '-n', '-h', $local->host, '-p', $local->port, '-c', 50, '-j', 1, '-t', 40, '-f', "$tmp/lookups", 'postgres' ],
	'<', \undef, '>&', \$out);
while ($bench->pumpable)
{
	$bench->pump_nb;
	watch_memory();
	select undef, undef, undef, 0.01;
}
ok(finish($bench), 'look-ups of 50 sessions beside a result of 1 GB') or diag($out);
like($out, qr{actually processed: 2000/2000}, 'all of them were answered');
($out, $err) = end_query($session);
is("$out|$err", '10000|', 'the result is complete');
memory_is_bounded('the worker needs no memory for it');

# ------------------------------------------------------------------- the crowd

# 200 sessions on 10 encrypted connections, some plain ones and some whose keys
# change all the time.
my $updating = start_proxy($remote, update => 1);
pool('updating', $updating, max_size => 5, initial_size => 5, min_size => 5);
$local->safe_psql('postgres', q{CREATE FUNCTION pool_of(i int) RETURNS text LANGUAGE sql AS
$$ SELECT (ARRAY['tls', 'tls', 'tls', 'plain', 'updating'])[i] $$});
lookups_work($local, 'updating', 10, 'a pool with updates works');

my %scripts = (
	ask => [ 6, 'SELECT ask(pool_of(:i), :n);' ],
	lease => [ 3, "BEGIN;\nSELECT ask_lease(pool_of(:i));\nCOMMIT;" ],
	clean => [ 2, 'SELECT ask_clean(pool_of(:i));' ],
	break => [ 2, "\\set how random(1, 4)\nBEGIN;\nSELECT break_off(pool_of(:i), :how);\nCOMMIT;" ]);
foreach my $name (sort keys %scripts)
{
	append_to_file("$tmp/$name", "\\set i random(1, 5)\n\\set n random(1, 50)\n$scripts{$name}[1]\n");
}

# Statements that are cut off at any moment, by a time-out or by somebody.
my $cut = join '', map {
	my $pool = ('tls', 'updating')[ $_ % 2 ];
	my $ms = 1 + $_ % 7;
	"SET statement_timeout = $ms;\n"
	  . "SELECT count(*) FROM enhanced_pool.execute('$pool', 'SELECT \$1 FROM generate_series(1, 20000)', '$_') AS t(n text);\n"
	  . "SET statement_timeout = 0; SELECT ask('$pool', 2);\n";
} 1 .. 60;

sub crowd
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $output = '';
	my @cutters = map {
		my $run = { in => "SET application_name = 'cutter';\n\\set VERBOSITY verbose\n$cut", out => '', err => '' };
		$run->{harness} = start([ 'psql', '-XAtq', '-d', $local->connstr('postgres') ], '<', \$run->{in}, '>', \$run->{out}, '2>', \$run->{err});
		$run;
	} 1 .. 2;
	my $canceller = start([ 'psql', '-XAtq', '-d', $local->connstr('postgres'), '-c',
			q{DO $$ BEGIN
  FOR i IN 1 .. 200 LOOP
    PERFORM pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'cutter' AND state = 'active' AND random() < 0.3;
    PERFORM pg_stat_clear_snapshot();
    PERFORM pg_sleep(0.005);
  END LOOP;
END $$} ], '<', \undef, '>', \my $canceller_out, '2>', \my $canceller_err);
	my $run = start([ 'pgbench', '-n', '-h', $local->host, '-p', $local->port, '-c', 200, '-j', 2, '-t', 20,
			(map { ('-f', "$tmp/$_\@$scripts{$_}[0]") } sort keys %scripts), 'postgres' ],
		'<', \undef, '>&', \$output);
	my $most_connections = 0;

	while ($run->pumpable)
	{
		my $n = remote_connections($remote);

		$most_connections = $n if $n > $most_connections;
		$run->pump_nb;
	}
	ok(finish($run), "$name: no answer was lost or crossed") or diag($output);
	like($output, qr{actually processed: 4000/4000}, "$name: all were answered");
	foreach my $cutter (@cutters)
	{
		ok(finish($cutter->{harness}), "$name: statements that were cut off went on");
		unlike($cutter->{err}, qr/ERROR:  (?!57014)/, "$name: and nothing but cancels was reported");
		like($cutter->{err}, qr/57014/, "$name: some of them");
	}
	finish($canceller);
	cmp_ok($most_connections, '<=', $max_connections, "$name: the remote never saw more connections than allowed");
	return;
}

crowd('one worker');
# more connections are open by now
memory_is_bounded('the worker needs little memory for it', 2 * $memory_bound);
$session->quit;
check_clean($local, $remote, $max_connections, $baseline);

$local->append_conf('postgresql.conf', 'enhanced_pool.workers = 2');
$local->restart;
crowd('two workers');
is( $local->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'enhanced_pool%worker%'"),
	'2', 'there were two');
check_clean($local, $remote, $max_connections);
ok(!$local->log_contains(qr/PANIC|FATAL:  (?!canceling|terminating)|TRAP|could not watch/), 'nothing bad in the log');

done_testing();
