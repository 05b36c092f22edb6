# No password is ever shown: not in a log, an error, a view, an event, or the list of
# processes.  Each password here is a word by which it can be told wherever it turns up.
#
# The servers log as much as they can, but no statements: those with which passwords
# are set are in there by nature.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $loud = "log_statement = none\nlog_min_messages = debug2\nlog_error_verbosity = verbose\nlog_min_error_statement = panic\nlog_connections = on\nlog_disconnections = on\n";
my $remote = start_remote(conf => $loud);
my $secure = start_remote(name => 'secure', conf => $loud, tls => 1);
my $local = start_local(conf => "${loud}enhanced_pool.log_connections = on\nenhanced_pool.leak_detection_threshold = '1ms'");
my $said = '';					# by psql
my %used;

# A password of that name; remembered as one that must not be seen.
sub canary
{
	my ($name) = @_;

	$used{$name} = 1;
	return "canary_${name}_sings";
}

# Runs it and keeps what it says, be it an error.
sub try_it
{
	my ($sql, $db) = @_;
	my ($status, $out, $err) = $local->psql($db // 'postgres', "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT always\n$sql");

	$said .= "$out\n$err\n";
	return $err;
}

sub fails_silently
{
	my ($sql, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	like(try_it($sql), $pattern, $name);
	return;
}

# -------------------------------------------------------------------- what works

$remote->safe_psql('postgres', "ALTER ROLE ep_user PASSWORD '" . canary('mapping') . q{'; CREATE TABLE t (n int PRIMARY KEY); GRANT ALL ON t TO ep_user});
define_pool($local, $remote, 'p', max_size => 2, mapping => { password => canary('mapping') });
define_pool($local, $remote, 'via', server => 'p', host => undef, port => undef, dbname => undef, sslmode => undef, sslrootcert => undef,
	mapping => { user => undef, password => undef, max_size => 3 });
foreach my $pool ('p', 'via')
{
	is(try_it("SELECT enhanced_pool.exec('$pool', 'SELECT 1')"), '', "pool $pool works");
	try_it("SELECT enhanced_pool.exec('$pool', 'SELECT 1/0')");
	try_it("SELECT enhanced_pool.exec('$pool', 'nonsense')");
	try_it("SELECT * FROM enhanced_pool.execute('$pool', 'SELECT 1') AS t(a int, b int)");
	try_it("SELECT enhanced_pool.run_parallel('$pool', ARRAY['SELECT 1', 'SELECT 1/0'])");
	try_it("SELECT enhanced_pool.run_in_transaction('$pool', ARRAY['INSERT INTO t VALUES (1)', 'INSERT INTO t VALUES (1)'])");
	try_it("BEGIN; SELECT enhanced_pool.exec(enhanced_pool.session('$pool'), 'SELECT 1'); SELECT enhanced_pool.exec(enhanced_pool.session('$pool'), 'SELECT 1/0'); COMMIT");
	try_it("SET statement_timeout = '50ms'; SELECT enhanced_pool.exec('$pool', 'SELECT pg_sleep(10)')");
	try_it("SELECT * FROM enhanced_pool.health_check('$pool'); SELECT * FROM enhanced_pool.last_remote_error()");
	try_it("SELECT enhanced_pool.recycle('$pool'); SELECT enhanced_pool.prewarm('$pool', 1)");
}
try_it("SELECT enhanced_pool.terminate_connection(conn_id) FROM enhanced_pool.connection_metrics");

# -------------------------------------------------------------------- what fails

define_pool($local, $remote, 'wrong', mapping => { password => canary('wrong') }, retry_attempts => 1);
fails_silently("SELECT enhanced_pool.exec('wrong', 'SELECT 1')", qr/password authentication failed/, 'a wrong password');
define_pool($local, $remote, 'nowhere', host => '127.0.0.1', port => 1, mapping => { password => canary('nowhere') }, retry_attempts => 1,
	circuit_breaker_threshold => 1);
fails_silently("SELECT enhanced_pool.exec('nowhere', 'SELECT 1')", qr/could not connect|breaker/, 'no server');
try_it("SELECT * FROM enhanced_pool.health_check('nowhere')");

# the key of a certificate, with a password of its own
my $dir = PostgreSQL::Test::Utils::tempdir();
system_or_bail('openssl', 'req', '-new', '-x509', '-newkey', 'rsa:2048', '-days', '2', '-subj', '/CN=ep_user', '-passout', 'pass:' . canary('key'),
	'-keyout', "$dir/client.key", '-out', "$dir/client.crt");
chmod 0600, "$dir/client.key";
my %key = (sslcert => "$dir/client.crt", sslkey => "$dir/client.key");
define_pool($local, $secure, 'key', mapping => { %key, sslpassword => canary('key') });
is(try_it("SELECT enhanced_pool.exec('key', 'SELECT 1')"), '', 'a key with a password');
define_pool($local, $secure, 'wrongkey', mapping => { %key, sslpassword => canary('wrongkey') }, retry_attempts => 1);
fails_silently("SELECT enhanced_pool.exec('wrongkey', 'SELECT 1')", qr/could not load private key file/, 'the wrong one');

# --------------------------------------------------------- what is refused, or set

my $mapping = 'ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS';
fails_silently("$mapping (SET password '" . canary('long') . 'x' x 1100 . "')", qr/22023/, 'a password that is too long');
fails_silently("$mapping (ADD passwort '" . canary('misspelt') . "')", qr/HV00D/, 'an option that does not exist');
fails_silently("ALTER SERVER p OPTIONS (ADD password '" . canary('server') . "')", qr/HV00D/, 'an option that is not of a server');
fails_silently("$mapping (ADD password '" . canary('twice') . "')", qr/provided more than once|42710/, 'one that is there');
fails_silently("SELECT enhanced_pool.configure_pool('p', '{\"password\": \"" . canary('configured_server') . "\"}')", qr/HV00D/, 'configure_pool: of a server');
fails_silently("SELECT enhanced_pool.configure_pool('p', '{\"password\": \"" . canary('configured_long') . 'x' x 1100 . "\"}', current_user)", qr/22023/, 'too long');
fails_silently("SELECT enhanced_pool.configure_pool('p', '{\"password\": {\"a\": \"" . canary('configured_object') . "\"}}', current_user)", qr/ERROR/, 'not a text');
is(try_it("SELECT enhanced_pool.configure_pool('p', '{\"password\": \"" . canary('configured') . "\"}', current_user)"), '', 'configure_pool sets one');
fails_silently("SELECT enhanced_pool.exec('p', 'SELECT 1')", qr/password authentication failed/, 'which is wrong');
is(try_it("$mapping (SET password '" . canary('altered') . "')"), '', 'ALTER sets one');
fails_silently("SELECT enhanced_pool.exec('p', 'SELECT 1')", qr/password authentication failed|breaker/, 'which is wrong, too');
$remote->safe_psql('postgres', "ALTER ROLE ep_user PASSWORD '" . canary('altered') . "'");
try_it("SELECT enhanced_pool.reset_breaker('p')");
is(try_it("SELECT enhanced_pool.exec('p', 'SELECT 1')"), '', 'until it is right');

# --------------------------------------------------------------- of other wrappers

$local->safe_psql('postgres', 'CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw');
foreach my $wrapper ('dblink_fdw', 'postgres_fdw')
{
	my %options = (remote_options($remote), dbname => 'postgres');
	my $list = join(', ', map { "$_ '$options{$_}'" } sort keys %options);

	foreach my $right (1, 0)
	{
		my $name = $wrapper . ($right ? '' : '_wrong');
		my $password = $right ? canary('altered') : canary($name);

		$local->safe_psql('postgres', "CREATE SERVER $name FOREIGN DATA WRAPPER $wrapper OPTIONS ($list);"
			  . "CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (user 'ep_user', password '$password')");
		like(try_it("SELECT enhanced_pool.exec('$name', 'SELECT 1')"), $right ? qr/^$/ : qr/password authentication failed/, "a server of $wrapper");
		try_it("SELECT enhanced_pool.configure_pool('$name', '{\"password\": \"" . canary("configured_$name") . "\"}', current_user)");
	}
}

# somebody who may do less sees no more
$local->safe_psql('postgres', "CREATE ROLE app LOGIN; CREATE USER MAPPING FOR app SERVER p OPTIONS (user 'ep_user', password '" . canary('app') . "');"
	  . 'GRANT USAGE ON FOREIGN SERVER p TO app');
fails_silently("SET ROLE app; SELECT enhanced_pool.exec('p', 'SELECT 1')", qr/password authentication failed/, 'a role of its own');
fails_silently("SET ROLE app; ALTER USER MAPPING FOR app SERVER p OPTIONS (SET password '" . canary('app_long') . 'x' x 1100 . "')", qr/22023/, 'which alters it');

# ------------------------------------------------------------ everything that there is

my %everything = ('psql' => $said);

sub look
{
	my ($node, $name, $db) = @_;

	# the statements of this session are not about passwords, and nobody else's is left
	$everything{ $node->name . ": $name" } = $node->safe_psql($db // 'postgres', $name =~ /^SELECT/ ? $name : "SELECT * FROM $name");
	return;
}

# while it is in use
my $session = start_session($local);
$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
$session->query_safe("SELECT enhanced_pool.send(:lease, 'SELECT pg_sleep(0)')");
ok($local->poll_query_until('postgres', "SELECT count(*) > 0 FROM enhanced_pool.events WHERE kind = 'leak'"), 'there is a leak');
my @views = split /\n/, $local->safe_psql('postgres',
	q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'enhanced_pool'::regnamespace AND relkind = 'v' ORDER BY 1});
cmp_ok(scalar(@views), '>=', 9, 'there are views');
look($local, $_) foreach @views;
# functions that tell something, those that are still to come, too
look($local, "SELECT $_") foreach split /\n/, $local->safe_psql('postgres', q{
	SELECT format('%s(%s)', oid::regproc, CASE WHEN pronargs - pronargdefaults > 0 THEN quote_literal('p') END) FROM pg_proc
	WHERE pronamespace = 'enhanced_pool'::regnamespace AND (proname ~ '^get_(detailed_)?metrics$' OR proname = 'dashboard')});
foreach my $node ($local, $remote, $secure)
{
	look($node, $_) foreach 'pg_stat_activity', 'pg_settings', 'pg_foreign_server', 'pg_prepared_statements', 'pg_stat_database', 'pg_shmem_allocations';
	$everything{ $node->name . ': log' } = slurp_file($node->logfile);
}
$everything{'arguments and environment of processes'} = join "\n",
  map { my $pid = $_; map { -r "/proc/$pid/$_" ? slurp_file("/proc/$pid/$_") : () } 'cmdline', 'environ' }
  split /\n/, $local->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity');
$everything{'last error'} = $session->query('SELECT * FROM enhanced_pool.last_remote_error()');
$session->quit;

cmp_ok(length $everything{'local: log'}, '>', 10000, 'the server was talkative');
like($everything{'local: log'}, qr/DEBUG:/, 'at all levels');
like($everything{'local: enhanced_pool.events'}, qr/connect_failed/, 'there were events');
like($everything{psql}, qr/DETAIL:.*password authentication failed/, 'and errors');
cmp_ok(scalar(keys %used), '>=', 15, 'there are passwords');
like($local->safe_psql('postgres', 'SELECT umoptions FROM pg_user_mappings'), qr/canary_\w+_sings/, 'which are found where they are');
foreach my $what (sort keys %everything)
{
	my @found = $everything{$what} =~ /(.{0,60}canary_\w+_sing.{0,20})/g;

	is_deeply(\@found, [], "none in: $what");
}

done_testing();
