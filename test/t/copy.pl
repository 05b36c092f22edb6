# copy_to and copy_from under faults: whatever cuts a copy off, and wherever,
# nothing of it stays on either side, and the connection is used again or ended.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my $err;

define_pool($local, $remote, 'one', max_size => 1, initial_size => 1, min_size => 0);
define_pool($local, $remote, 'two', max_size => 2, initial_size => 1, min_size => 0);
my $baseline = worker_surplus($local);

$remote->safe_psql('postgres', <<'SQL');
CREATE TABLE target (id int, v text);
CREATE TABLE unique_target (id int PRIMARY KEY, v text);
CREATE TABLE slow_target (id int, v text);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON slow_target FOR EACH ROW EXECUTE FUNCTION slow();
GRANT ALL ON target, unique_target, slow_target TO ep_user;
SQL
$local->safe_psql('postgres', <<'SQL');
CREATE TABLE source (id int, v text);
CREATE TABLE slow_source (id int, v text);
CREATE TABLE unique_source (id int PRIMARY KEY, v text);
CREATE TABLE checked_source (id int CHECK (id < 150000), v text);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON slow_source FOR EACH ROW EXECUTE FUNCTION slow();
SQL

# Wide rows fill the socket's buffers soon, so that the sender is blocked.  A
# function in FROM would be run to its end first.
my $endless = q{SELECT g, repeat('x', 1000) FROM (SELECT generate_series(1, 2000000000) AS g) s};

sub remote_pid
{
	return $local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)");
}

# Nothing was copied, nothing runs, and the connection is the same one.
sub left_nothing
{
	my ($pid, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $remote->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'ep_user' AND state <> 'idle'"),
		"$name: nothing runs remotely");
	is(remote_pid(), $pid, "$name: the connection is used again") if defined $pid;
	is($remote->safe_psql('postgres', 'SELECT (SELECT count(*) FROM target) + (SELECT count(*) FROM unique_target) + (SELECT count(*) FROM slow_target)'),
		'0', "$name: nothing was copied there");
	is($local->safe_psql('postgres', 'SELECT (SELECT count(*) FROM source) + (SELECT count(*) FROM slow_source) + (SELECT count(*) FROM unique_source) + (SELECT count(*) FROM checked_source)'),
		'0', "$name: nor here");
	return;
}

# --------------------------------------------------- time-outs and cancel requests

my %copies = (
	'copy_to, blocked by the remote' => "enhanced_pool.copy_to('one', 'slow_target', \$\$$endless\$\$)",
	'copy_to, at full speed' => "enhanced_pool.copy_to('one', 'target', \$\$$endless\$\$)",
	'copy_to, local query without rows' => q{enhanced_pool.copy_to('one', 'target', 'SELECT 1, pg_sleep(600)::text')},
	'copy_from, at full speed' => "enhanced_pool.copy_from('one', \$\$$endless\$\$, 'source')",
	'copy_from, blocked by us' => "enhanced_pool.copy_from('one', \$\$$endless\$\$, 'slow_source')",
	'copy_from, remote query without rows' => q{enhanced_pool.copy_from('one', 'SELECT 1, pg_sleep(600)::text', 'source')});
my $session = start_session($local);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $remote_pid = remote_pid();
foreach my $copy (sort keys %copies)
{
	fails_with($local, "SET statement_timeout = '200ms'; SELECT $copies{$copy}",
		qr/57014: canceling statement due to statement timeout/, "$copy: statement_timeout");
	left_nothing($remote_pid, $copy);

	begin_query($session, "SELECT $copies{$copy}");
	ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE pool = 'one' AND state = 'active' AND query LIKE 'COPY%'"),
		"$copy: it runs");
	$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	(undef, $err) = end_query($session);
	like($err, qr/57014: canceling statement due to user request/, "$copy: pg_cancel_backend");
	left_nothing($remote_pid, $copy);
}
foreach my $copy (grep { !/local query without/ } sort keys %copies)
{
	fails_with($local, "SET enhanced_pool.query_timeout = '200ms'; SELECT $copies{$copy}",
		qr/57014: canceling remote statement due to query_timeout/, "$copy: query_timeout");
	left_nothing($remote_pid, $copy);
}

# The same on a lease in a savepoint: it goes on, on the same connection, and its
# remote transaction has failed, for the COPY was a part of it.
foreach my $copy (sort keys %copies)
{
	my $call = $copies{$copy} =~ s/'one'/:lease/r;

	$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
	$session->query_safe("SAVEPOINT s; SET LOCAL statement_timeout = '200ms'");
	$session->query("SELECT $call");
	like($session->{stderr}, qr/57014: canceling statement due to statement timeout/, "$copy, on a lease");
	$session->{stderr} = '';
	$session->query_safe('ROLLBACK TO s; SET LOCAL statement_timeout = 0');
	is($session->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)"),
		$remote_pid, "$copy: the lease is usable");
	is($session->query_safe("SELECT enhanced_pool.copy_to(:lease, 'target', 'SELECT 1, ''a''')"), '1', "$copy: for another copy, too");
	$session->query_safe("SELECT enhanced_pool.exec(:lease, 'DELETE FROM target')");
	$session->query_safe('COMMIT');
	left_nothing($remote_pid, $copy);
}
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN'); SELECT enhanced_pool.copy_to(:lease, 'target', 'SELECT 1, ''a''')");
$session->query_safe("SAVEPOINT s; SET LOCAL statement_timeout = '200ms'");
$session->query("SELECT enhanced_pool.copy_to(:lease, 'slow_target', \$\$$endless\$\$)");
like($session->{stderr}, qr/57014/, 'a lease in a transaction');
$session->{stderr} = '';
$session->query_safe('ROLLBACK TO s; SET LOCAL statement_timeout = 0');
$session->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
like($session->{stderr}, qr/25P02/, 'its transaction has failed');
$session->{stderr} = '';
$session->query_safe('ROLLBACK');
left_nothing(undef, 'a lease in a transaction');

# Many cuts at any moment: no other statement of the lease is hit, no copy is half done.
$session->query_safe(<<'SQL');
CREATE FUNCTION strike(rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  lease bigint := enhanced_pool.acquire('one');
  cut int := 0;
  done bigint := 0;
  n bigint;
BEGIN
  FOR i IN 1 .. rounds LOOP
    BEGIN
      PERFORM set_config('enhanced_pool.query_timeout', (1 + i % 40) || 'ms', true);
      IF i % 2 = 0 THEN
        n := enhanced_pool.copy_to(lease, 'target', 'SELECT g, repeat(''x'', 500) FROM generate_series(1, 3000) g');
        done := done + n;
      ELSE
        PERFORM enhanced_pool.copy_from(lease, 'SELECT g, repeat(''x'', 500) FROM generate_series(1, 3000) g', 'source');
      END IF;
    EXCEPTION WHEN query_canceled THEN
      cut := cut + 1;
    END;
    PERFORM set_config('enhanced_pool.query_timeout', '0', true);
    SELECT t.n INTO n FROM enhanced_pool.execute(lease, 'SELECT $1 FROM pg_sleep(0.005)', i) AS t(n int);
    ASSERT n = i;
    SELECT t.n INTO n FROM enhanced_pool.execute(lease, 'SELECT count(*) % 3000 FROM target') AS t(n bigint);
    ASSERT n = 0, 'a part of a copy';
  END LOOP;
  SELECT count(*) INTO n FROM source;
  ASSERT n % 3000 = 0, 'a part of a copy is here';
  DELETE FROM source;
  PERFORM enhanced_pool.exec(lease, 'TRUNCATE target');
  RETURN cut;
END $$
SQL
$remote->safe_psql('postgres', 'ALTER TABLE target OWNER TO ep_user');
my $cut = $session->query('SELECT strike(160)');
is($session->{stderr}, '', 'no other statement was hit');
$session->{stderr} = '';
cmp_ok($cut, '>', 0, 'copies were cut off');
cmp_ok($cut, '<', 160, 'and others were not');
left_nothing(undef, 'many cuts');

# ------------------------------------------------------- errors in the middle

$remote_pid = remote_pid();
my %errors = (
	'the local query' => [ q{enhanced_pool.copy_to('one', 'target', 'SELECT g, repeat((1 / (200000 - g))::text, 100) FROM (SELECT generate_series(1, 300000) AS g) s')}, qr/22012/ ],
	'the remote query' => [ q{enhanced_pool.copy_from('one', 'SELECT g, (1 / (200000 - g))::text FROM (SELECT generate_series(1, 300000) AS g) s', 'source')}, qr/22012.*CONTEXT:.*remote server "one"/s ],
	'a local constraint' => [ q{enhanced_pool.copy_from('one', 'SELECT g, repeat(''x'', 100) FROM (SELECT generate_series(1, 1000000000) AS g) s', 'checked_source')}, qr/23514/ ],
	'a local index' => [ q{enhanced_pool.copy_from('one', 'SELECT g % 150000, repeat(''x'', 100) FROM (SELECT generate_series(1, 1000000000) AS g) s', 'unique_source')}, qr/23505/ ],
	'a remote index, at once' => [ "enhanced_pool.copy_to('one', 'unique_target', \$\$SELECT id % 100, v FROM ($endless) AS t(id, v)\$\$)", qr/23505.*CONTEXT:.*remote server "one"/s ]);
foreach my $what (sort keys %errors)
{
	fails_with($local, "SELECT $errors{$what}[0]", $errors{$what}[1], "$what fails");
	left_nothing($remote_pid, $what);
}
# The two errors of the remote's are followed at once by the end of the answer: the
# next statement of the same lease finds it so.
foreach my $what (sort keys %errors)
{
	my $call = $errors{$what}[0] =~ s/'one'/:lease/r;

	$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('one') AS lease \\gset");
	$session->query_safe('SAVEPOINT s');
	$session->query("SELECT $call");
	isnt($session->{stderr}, '', "$what fails, on a lease");
	$session->{stderr} = '';
	$session->query_safe('ROLLBACK TO s');
	is($session->query_safe("SELECT * FROM enhanced_pool.execute(:lease, 'SELECT pg_backend_pid()') AS t(pid int)"), $remote_pid, 'the lease is usable');
	$session->query_safe('COMMIT');
	left_nothing($remote_pid, $what);
}

# ----------------------------------------------------------- somebody dies

foreach my $copy (sort keys %copies)
{
	begin_query($session, "SELECT $copies{$copy}");
	ok( $remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE usename = 'ep_user' AND state = 'active' AND query LIKE 'COPY%'"),
		"$copy: it runs");
	$remote->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ep_user'");
	# what waits for its own rows alone sees the end when it comes to them
	if ($copy =~ /local query without/)
	{
		$local->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
		(undef, $err) = end_query($session);
		like($err, qr/57014/, "$copy: the remote was terminated");
	}
	else
	{
		(undef, $err) = end_query($session);
		like($err, qr/57P01: terminating connection due to administrator command|08006: connection to remote server "one" was lost/,
			"$copy: the remote was terminated");
	}
	left_nothing(undef, $copy);
	like(remote_pid(), qr/^\d+$/, "$copy: the pool has a new connection");
}
foreach my $copy (sort keys %copies)
{
	my $victim = start_session($local);
	my $victim_pid = $victim->query_safe('SELECT pg_backend_pid()');

	$remote_pid = remote_pid();
	begin_query($victim, "SELECT $copies{$copy}");
	ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE pid = $victim_pid AND state = 'active' AND query LIKE 'COPY%'"),
		"$copy: it runs");
	$local->safe_psql('postgres', "SELECT pg_terminate_backend($victim_pid)");
	eval { end_query($victim); };
	eval { $victim->quit; };
	left_nothing($remote_pid, "$copy, by a backend that is terminated");
}

# The remote has answered before the rest of what was half sent could leave, and
# somebody waits: the rest leaves before anything that is run next.
foreach my $round (1 .. 10)
{
	my $victim = start_session($local);
	my $victim_pid = $victim->query_safe('SELECT pg_backend_pid()');

	begin_query($victim, "SELECT $copies{'copy_to, blocked by the remote'}");
	$local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.leases WHERE pid = $victim_pid AND state = 'active' AND query LIKE 'COPY%'");
	begin_query($session, "SELECT * FROM enhanced_pool.execute('one', 'SELECT pg_backend_pid()') AS t(pid int)");
	$local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.waiters WHERE pool = 'one'");
	$local->safe_psql('postgres', "SELECT pg_terminate_backend($victim_pid)");
	eval { end_query($victim); };
	eval { $victim->quit; };
	is((end_query($session))[0], $remote_pid, "copy_to is cut off, and somebody waits: the same connection ($round)");
}

# --------------------------------------------------- few connections, many copies

# The local query takes a connection of the same pool: there are two.
is($local->safe_psql('postgres', q{SELECT enhanced_pool.copy_to('two', 'target', $$SELECT * FROM enhanced_pool.execute('two', 'SELECT g, ''v'' FROM generate_series(1, 1000) g') AS t(id int, v text)$$)}),
	'1000', 'the local query uses the same pool');
# With one it would wait for itself, which is noticed.
fails_with($local, q{SET enhanced_pool.acquire_timeout = '300ms'; SELECT enhanced_pool.copy_to('one', 'target', $$SELECT * FROM enhanced_pool.execute('one', 'SELECT g, ''v'' FROM generate_series(1, 1000) g') AS t(id int, v text)$$)},
	qr/40P01|53300/, 'the local query wants the only connection');
$remote->safe_psql('postgres', 'TRUNCATE target');
left_nothing(undef, 'the only connection');
$local->pgbench('-n -c 8 -t 20', 0, [qr/processed: 160\/160/], [qr/^$/], 'eight clients copy through two connections',
	{ copies => q{SELECT enhanced_pool.copy_to('two', 'target', 'SELECT g, ''v'' FROM generate_series(1, 100) g');
		SELECT enhanced_pool.copy_from('two', 'SELECT 1, ''v'' FROM generate_series(1, 100) g', 'source');
	} });
is($remote->safe_psql('postgres', 'SELECT count(*) FROM target'), '16000', 'all rows arrived there');
is($local->safe_psql('postgres', 'SELECT count(*) FROM source'), '16000', 'and here');
$remote->safe_psql('postgres', 'TRUNCATE target');
$local->safe_psql('postgres', 'TRUNCATE source');

# A parallel local query.
$local->safe_psql('postgres', 'CREATE TABLE big AS SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 200000) g; ANALYZE big');
is($local->safe_psql('postgres', q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET datestyle = 'German';
	SELECT enhanced_pool.copy_to('one', 'target', 'SELECT id::bigint, v FROM big')}),
	'200000', 'of a parallel query');
is($remote->safe_psql('postgres', 'SELECT count(DISTINCT id), count(DISTINCT v) FROM target'), '200000|200000', 'each row once');
$remote->safe_psql('postgres', 'TRUNCATE target');

# ----------------------------------------------------------- constant memory

sub peak_memory
{
	my $text = slurp_file("/proc/$pid/status");

	return $text =~ /^VmHWM:\s+(\d+) kB/m ? $1 : die 'no VmHWM';
}

# A hundred times more rows take no more memory; a buffer of them would be 500 MB.
$session->query_safe("SELECT enhanced_pool.copy_to('one', 'target', 'SELECT g, g::text FROM generate_series(1, 100000) g')");
$session->query_safe("SELECT enhanced_pool.copy_from('one', 'SELECT g, g::text FROM generate_series(1, 100000) g', 'source')");
my $peak = peak_memory();
is($session->query_safe("SELECT enhanced_pool.copy_to('one', 'target', 'SELECT g, g::text FROM generate_series(1, 10000000) g')"),
	'10000000', 'ten million rows there');
cmp_ok(peak_memory() - $peak, '<', 20000, 'in the same memory');
# buffers of tables count in VmHWM as they are touched: leave them out
$peak = peak_memory();
is($session->query_safe("SELECT enhanced_pool.copy_from('one', 'SELECT id, v FROM target', 'source')"), '10100000', 'and here');
my $shared = $local->safe_psql('postgres', "SELECT pg_size_bytes(current_setting('shared_buffers')) / 1024");
cmp_ok(peak_memory() - $peak, '<', 20000 + $shared, 'in the same memory');
$remote->safe_psql('postgres', 'TRUNCATE target');
$local->safe_psql('postgres', 'TRUNCATE source');

$session->quit;
check_clean($local, $remote, 3, $baseline);
done_testing();
