# The remote restarts, is gone, is the second of two, does not answer.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Two hosts that have one address are told apart by their ports.
my $tcp = "listen_addresses = '127.0.0.1'";
my ($local, $remote) = start_pair(remote_conf => $tcp);
my $second = start_remote(name => 'second', conf => $tcp);
my $ask_port = sub { "SELECT * FROM enhanced_pool.execute('$_[0]', 'SELECT setting FROM pg_settings WHERE name = ''port''') AS t(port text)" };
my ($port, $second_port) = ($remote->port, $second->port);

# A host that takes connections and then says nothing.
my $frozen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 128, Proto => 'tcp')
  or die "could not listen: $!";
my $frozen_port = $frozen->sockport;

define_pool($local, $remote, 'p', host => '127.0.0.1', max_size => 3, initial_size => 3, min_size => 0,
	retry_backoff => '20ms', retry_attempts => 3, circuit_breaker_threshold => 0);
define_pool($local, $remote, 'patient', max_size => 1, initial_size => 1, min_size => 0,
	retry_backoff => '20ms', retry_attempts => 1000, acquire_timeout => '30s', circuit_breaker_threshold => 0);

my $session = start_session($local);
is($session->query_safe($ask_port->($_)), $port, "pool $_ works") foreach 'p', 'patient';
ok($local->poll_query_until('postgres', "SELECT idle = 3 FROM enhanced_pool.pools WHERE pool = 'p'"), 'three connections are idle');
my $baseline = worker_surplus($local);

# -------------------------------------------------------------------- restarted

$session->query_safe("SELECT enhanced_pool.acquire('p', hold => true) AS lease \\gset");
my $created = $local->safe_psql('postgres', "SELECT total_created FROM enhanced_pool.pool_metrics WHERE pool = 'p'");
$remote->restart;
is($session->query_safe($ask_port->('p')), $port, 'the first statement after a restart of the remote works');
$session->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1');");
like($session->{stderr}, qr/ERROR:  (57P01|08006)/, 'a lease of before does not');
$session->{stderr} = '';
is($session->query_safe('SELECT enhanced_pool.release(:lease)'), 't', 'it can be given back');
ok( $local->poll_query_until('postgres',
		"SELECT total_created > $created AND total_closed >= 3 AND size = idle FROM enhanced_pool.pool_metrics WHERE pool = 'p'"),
	'the connections were replaced');

$remote->stop('immediate');
$remote->start;
is($local->safe_psql('postgres', $ask_port->('p')), $port, 'the same after an immediate shutdown');

# A statement runs while it goes down.
begin_query($session, "SELECT enhanced_pool.exec('p', 'SELECT pg_sleep(600)')");
ok($remote->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND usename = 'ep_user'"),
	'a statement runs');
$remote->stop('fast');
my ($out, $err) = end_query($session);
like($err, qr/ERROR:  57P01: terminating connection/, 'it is told why it ended');

# ------------------------------------------------------------------------- gone

ok( $local->poll_query_until('postgres', "SELECT sum(size) = 0 FROM enhanced_pool.pools"),
	'no connection to a remote that is down is counted');
fails_with($local, "SELECT enhanced_pool.exec('p', 'SELECT 1')",
	qr/ERROR:  08001: could not connect to pool "p"\nDETAIL:  host "127.0.0.1", port $port: .*onnection refused/,
	'gone: 08001 with libpq\'s words');
cmp_ok($local->safe_psql('postgres', "SELECT connection_errors FROM enhanced_pool.pool_metrics WHERE pool = 'p'"),
	'>=', 3, 'after retry_attempts');
fails_with($local, "SET enhanced_pool.retry_attempts = 1; SELECT enhanced_pool.exec('p', 'SELECT 1')",
	qr/ERROR:  08001/, 'with one attempt');
# no connection and no time left is no lack of connections
fails_with($local, "SELECT enhanced_pool.acquire('patient', '300ms')",
	qr/ERROR:  08001: .*\nDETAIL:  .*could not|No such file|refused/, 'the wait is over before the attempts are');

my @waiters = map { start_session($local) } 1 .. 3;
foreach my $n (1 .. 3)
{
	begin_query($waiters[ $n - 1 ], $ask_port->('patient'));
	ok($local->poll_query_until('postgres', "SELECT count(*) = $n FROM enhanced_pool.waiters"), 'somebody waits for the remote');
}
$remote->start;
foreach my $waiter (@waiters)
{
	($out, $err) = end_query($waiter);
	is("$out|$err", "$port|", 'and is served when it is back');
	$waiter->quit;
}
is($local->safe_psql('postgres', $ask_port->('p')), $port, 'so is who comes new');

# -------------------------------------------------------------------- two hosts

define_pool($local, $remote, 'two', host => '127.0.0.1,127.0.0.1', port => "$port,$second_port",
	max_size => 2, initial_size => 1, min_size => 0, retry_backoff => '20ms');
is($local->safe_psql('postgres', $ask_port->('two')), $port, 'the first of two hosts is taken');
$remote->stop('fast');
is($local->safe_psql('postgres', $ask_port->('two')), $second_port, 'the second when the first is down');
$second->stop('fast');
fails_with($local, "SELECT enhanced_pool.exec('two', 'SELECT 1')",
	qr/ERROR:  08001: .*\nDETAIL:  host "127.0.0.1", port $port: .*host "127.0.0.1", port $second_port: /s,
	'both down: the error says so of each');
$_->start foreach $remote, $second;

# Refusals by a living server.
define_pool($local, $remote, 'wrong', mapping => { password => 'wrong' }, retry_attempts => 1);
fails_with($local, "SELECT enhanced_pool.exec('wrong', 'SELECT 1')",
	qr/ERROR:  08001: could not connect to pool "wrong"\nDETAIL:  .*password authentication failed/, 'a wrong password');
define_pool($local, $remote, 'nodb', dbname => 'nosuchdb', retry_attempts => 1);
fails_with($local, "SELECT enhanced_pool.exec('nodb', 'SELECT 1')",
	qr/ERROR:  08001: could not connect to pool "nodb"\nDETAIL:  .*database "nosuchdb" does not exist/, 'a database that does not exist');
drop_pool($local, $_) foreach 'wrong', 'nodb';

# ----------------------------------------------------------------------- frozen

define_pool($local, $remote, 'ice', host => '127.0.0.1,127.0.0.1', port => "$frozen_port,$port",
	max_size => 2, initial_size => 1, min_size => 0, connect_timeout => '200ms');
is($local->safe_psql('postgres', $ask_port->('ice')), $port, 'a host that says nothing is left after connect_timeout');
define_pool($local, $remote, 'glacier', host => '127.0.0.1', port => $frozen_port,
	max_size => 2, initial_size => 1, min_size => 0, connect_timeout => '100ms', retry_backoff => '10ms', retry_attempts => 2);
fails_with($local, "SELECT enhanced_pool.exec('glacier', 'SELECT 1')",
	qr/ERROR:  08001: .*\nDETAIL:  host "127.0.0.1", port $frozen_port: .*(not ready within|timeout)/, 'it alone: an error');

# While it is waited for, the worker serves others.
define_pool($local, $remote, 'arctic', host => '127.0.0.1', port => $frozen_port, connect_timeout => '60s');
begin_query($session, "SELECT enhanced_pool.exec('arctic', 'SELECT 1')");
ok($local->poll_query_until('postgres', "SELECT connecting > 0 FROM enhanced_pool.pools WHERE pool = 'arctic'"), 'a connect that lasts');
define_pool($local, $remote, 'other', max_size => 1);
is($local->safe_psql('postgres', $ask_port->('other')), $port, 'holds up nobody else');
$local->safe_psql('postgres', 'SELECT pg_cancel_backend(pid) FROM enhanced_pool.waiters');
($out, $err) = end_query($session);
like($err, qr/57014/, 'and can be cancelled');
drop_pool($local, $_) foreach 'arctic', 'glacier', 'ice', 'two', 'other';
$session->quit;

# A dropped pool lets go of everything, of connects under way too.
ok($local->poll_query_until('postgres', "SELECT count(*) = 2 FROM enhanced_pool.pools"), 'only two pools are left');
check_clean($local, $remote, 4, $baseline);
$frozen->close;
done_testing();
