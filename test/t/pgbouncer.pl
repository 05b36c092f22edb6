# A remote behind PgBouncer, where transactions share its connections.  With TLS=1
# both ways, to PgBouncer and on from there, are encrypted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($program) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/bin';
plan skip_all => 'PgBouncer is not installed' unless $program;

my ($local, $remote) = start_pair(remote_conf => "listen_addresses = '127.0.0.1'");
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $dir = $remote->basedir;
my $tls = tls_of($remote);

append_to_file("$dir/users", "\"ep_user\" \"ep_secret\"\n");
append_to_file("$dir/pgbouncer.ini", <<"INI");
[databases]
* = host=127.0.0.1 port=@{[ $remote->port ]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $dir/users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 100
INI
append_to_file("$dir/pgbouncer.ini", <<"INI") if $tls;
client_tls_sslmode = require
client_tls_cert_file = $tls->{cert}
client_tls_key_file = $tls->{key}
client_tls_ca_file = $tls->{cert}
server_tls_sslmode = verify-full
server_tls_ca_file = $tls->{cert}
INI
my $bouncer = start([ $program, "$dir/pgbouncer.ini" ], '<', \undef, '>&', "$dir/pgbouncer.log");
ok(poll_until(sub { -e "$dir/pgbouncer.log" && slurp_file("$dir/pgbouncer.log") =~ /process up/ }), 'PgBouncer runs');

define_pool($local, $remote, 'b', host => '127.0.0.1', port => $port, max_size => 8, initial_size => 2, min_size => 0,
	statement_cache_size => 0, retry_attempts => 2, connect_timeout => '5s');

my $session = start_session($local);
my $baseline = worker_surplus($local);

is($session->query_safe("SELECT * FROM enhanced_pool.execute('b', 'SELECT \$1 + 1', 41) AS t(n int)"), '42', 'a statement with a parameter');
is($session->query_safe("SELECT * FROM enhanced_pool.execute('b', 'SELECT \$1 + 1', 41) AS t(n int)"), '42', 'and again');
is( $session->query_safe(
		"SET DateStyle = 'SQL, DMY'; SELECT * FROM enhanced_pool.execute('b', 'SELECT ''2024-02-01''::date, ''2024-02-01 03:04:05+00''::timestamptz::text') AS t(d date, t text)"),
	'01/02/2024|2024-02-01 03:04:05+00',
	'the format of dates was agreed without startup options');
is($session->query_safe("RESET DateStyle; SELECT count(*), sum(n) FROM enhanced_pool.execute('b', 'SELECT generate_series(1, 100000)') AS t(n int)"),
	'100000|5000050000', 'many rows');
$session->query("SELECT enhanced_pool.exec('b', 'SELECT 1 / 0');");
like($session->{stderr}, qr/ERROR:  22012: division by zero/, 'an error');
$session->{stderr} = '';

# A transaction of a lease stays on one server connection.
$session->query_safe("BEGIN; SELECT enhanced_pool.acquire('b') AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN'); SELECT enhanced_pool.exec(:lease, 'CREATE TEMP TABLE t (n int) ON COMMIT DROP')");
is($session->query_safe("SELECT enhanced_pool.exec(:lease, 'INSERT INTO t VALUES (1), (2)')"), '2', 'a transaction');
$session->query_safe('COMMIT');
ok( $remote->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'ep_user' AND state <> 'idle'"),
	'which is rolled back when its lease ends');

# Cancel requests go through PgBouncer.
fails_with($local, "SET statement_timeout = '100ms'; SELECT enhanced_pool.exec('b', 'SELECT pg_sleep(600)')", qr/57014/, 'statement_timeout');
ok( $remote->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'ep_user' AND state <> 'idle'"),
	'the remote stopped');
$session->query_safe(<<'SQL');
DO $$
DECLARE
  n int;
BEGIN
  FOR i IN 1 .. 40 LOOP
    BEGIN
      PERFORM set_config('enhanced_pool.query_timeout', '8ms', true);
      PERFORM enhanced_pool.exec('b', format('SELECT pg_sleep(%s)', 0.006 + random() * 0.004));
    EXCEPTION WHEN query_canceled THEN NULL;
    END;
    PERFORM set_config('enhanced_pool.query_timeout', '0', true);
    SELECT t.n INTO n FROM enhanced_pool.execute('b', 'SELECT $1 FROM pg_sleep(0.002)', i) AS t(n int);
    ASSERT n = i;
  END LOOP;
END $$
SQL
pass('no other statement was hit');

# Behind it is less than we have: who waits there is served.
$local->pgbench('-n -c 12 -j 2 -t 50', 0, [qr{processed: 600/600}], [qr{^(?!.*(ERROR|aborted))}s], 'many clients',
	{ 'ask' => q{SELECT 1 / (CASE WHEN answer = 'client :client_id' THEN 1 ELSE 0 END) FROM enhanced_pool.execute('b', 'SELECT $1', 'client :client_id') AS t(answer text);} });

# It ends, and comes back.  Newer ones wait for their clients when told to end.
$bouncer->kill_kill(grace => 0);
$bouncer->finish;
fails_with($local, "SELECT enhanced_pool.exec('b', 'SELECT 1')", qr/ERROR:  08001/, 'PgBouncer is gone');
$bouncer = start([ $program, "$dir/pgbouncer.ini" ], '<', \undef, '>&', "$dir/pgbouncer.log");
ok(poll_until(sub { $local->psql('postgres', "SELECT enhanced_pool.exec('b', 'SELECT 1')") == 0 }), 'and back');

$session->quit;
check_clean($local, $remote, 8, $baseline);
$bouncer->kill_kill(grace => 0);
$bouncer->finish;
done_testing();
