# Whose identity a connection has: that of the mapping and of nobody else, whatever the
# environment of the server says, the files of its operating system's user hold, and a
# remote server does while it lets somebody in.
#
# Hostile servers are small ones in this file, which speak no TLS.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use FakeServer qw(message read_exactly);
use IO::Socket::INET;
use MIME::Base64;
use POSIX qw(_exit);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $dir = PostgreSQL::Test::Utils::tempdir();

# --------------------------------------------------------------- hostile servers

sub read_message { my $head = read_exactly($_[0], 5); return read_exactly($_[0], unpack('N', substr $head, 1) - 4) }

# Asks for proof; the last of what it says may come in parts.
sub challenge
{
	my ($socket, $file, @parts) = @_;

	syswrite $socket, message('R', pack('N', 10) . "SCRAM-SHA-256\0\0");
	my ($nonce) = read_message($socket) =~ /r=([^,]+)/;
	my $message = message('R', pack('N', 11) . "r=${nonce}x,s=" . encode_base64('salt', '') . ',' . join '', @parts);
	my $rest = length(join '', @parts) - length $parts[0];

	syswrite $socket, substr $message, 0, length($message) - $rest;
	append_to_file($file, "asked\n");
	foreach my $part (@parts[ 1 .. $#parts ])
	{
		usleep(50_000);
		syswrite $socket, $part;
	}
	append_to_file($file, 'the answer: ' . read_message($socket) . "\n");
	return;
}

# Each gets the socket after the startup message, and the name of a file for what it was told.
my %hostile = (
	# asks for the password and goes away
	taker => sub {
		my ($socket, $file) = @_;

		syswrite $socket, message('R', pack('N', 3));
		append_to_file($file, read_message($socket) . "\n");
	},
	# makes the client compute for some seconds
	counter => sub { challenge(@_, 'i=1000000') },
	# or for hours, in one message, in parts, and with a part that is sent ahead
	endless => sub { challenge(@_, 'i=2147483647') },
	split => sub { challenge(@_, 'i=21', '474', '83647') },
	ahead => sub {
		my ($socket, $file) = @_;

		syswrite $socket, message('R', pack('N', 10) . "SCRAM-SHA-256\0\0") . 'R' . pack('NN', 100, 11) . 'r=';
		append_to_file($file, "asked\n");
		read_message($socket);
	},
	# does what is right, but slowly
	slowly => sub { challenge(@_, 'i', '=', '4096') });
my %port;
my %pid;

foreach my $name (keys %hostile)
{
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50, Proto => 'tcp') or die "could not listen: $!";

	append_to_file("$dir/$name", '');
	$port{$name} = $listener->sockport;
	$pid{$name} = fork // die "could not fork: $!";
	next if $pid{$name};
	local $SIG{CHLD} = 'IGNORE';
	while (1)
	{
		my $socket = $listener->accept or next;

		next if fork;
		eval {
			read_exactly($socket, unpack('N', read_exactly($socket, 4)) - 4);
			$hostile{$name}->($socket, "$dir/$name");
		};
		_exit(0);
	}
}

# Also when a test dies.
my $parent = $$;
END
{
	if ($parent && $$ == $parent)
	{
		local $?;
		kill 'TERM', values %pid;
		waitpid $_, 0 foreach values %pid;
	}
}

# ------------------------------------------------------------------- the servers

my $remote = start_remote(tls => 0);
my $local;

$remote->safe_psql('postgres', 'CREATE ROLE trusted LOGIN; CREATE ROLE of_environment LOGIN');

# What libpq would take from the environment and the home directory of the server: an
# identity, a place, and what is to be run there.
mkdir "$dir/home" or die $!;
append_to_file("$dir/home/.pgpass", "*:*:*:*:$EnhancedPool::REMOTE_PASSWORD\n");
chmod 0600, "$dir/home/.pgpass";
append_to_file("$dir/service.conf", "[leak]\nhost=" . $remote->host . "\nport=" . $remote->port . "\nuser=of_environment\ndbname=postgres\n");
{
	local %ENV = (%ENV,
		HOME => "$dir/home",
		PGHOST => $remote->host, PGHOSTADDR => '127.0.0.1', PGPORT => $remote->port, PGDATABASE => 'template1', PGUSER => 'of_environment',
		PGPASSWORD => $EnhancedPool::REMOTE_PASSWORD, PGPASSFILE => "$dir/home/.pgpass", PGSERVICE => 'leak', PGSERVICEFILE => "$dir/service.conf",
		PGSYSCONFDIR => $dir, PGOPTIONS => '-c leaked.setting=1 -c role=of_environment', PGAPPNAME => 'of_environment', PGTZ => 'Asia/Tokyo',
		PGDATESTYLE => 'German', PGTARGETSESSIONATTRS => 'read-only', PGSSLMODE => 'require', PGREQUIREPEER => 'nobody',
		PGCLIENTENCODING => 'LATIN1', PGCONNECT_TIMEOUT => '1', PGCHANNELBINDING => 'require', PGGSSENCMODE => 'require');
	$local = PostgreSQL::Test::Cluster->new('local');
	$local->init;
	$local->append_conf('postgresql.conf', "shared_preload_libraries = 'enhanced_pool'\nlog_line_prefix = '%m [%p] %b %q%a '\nenhanced_pool.dynamic_scaling_enabled = off");
	$local->start;
}
$local->safe_psql('postgres', 'CREATE EXTENSION enhanced_pool; CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN');

my $use = sub { "SET ROLE app; SELECT enhanced_pool.exec('$_[0]', 'SELECT 1')" };

sub define
{
	my ($name, %options) = @_;

	define_pool($local, $remote, $name, initial_size => 1, min_size => 0, max_size => 2, retry_attempts => 1, circuit_breaker_threshold => 0, %options);
	$local->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER $name TO app");
	return;
}

# --------------------------------------------- the environment of the server

like($local->safe_psql('postgres', "CREATE TEMP TABLE e (line text); COPY e FROM PROGRAM 'env'; SELECT string_agg(line, ' ') FROM e"), qr/PGSERVICE=leak/,
	'the server was started in an environment that says a lot');
define('clean', for => 'app');
is( $local->safe_psql('postgres', q{SET ROLE app; SELECT * FROM enhanced_pool.execute('clean', $$SELECT concat_ws(' ', current_user, session_user, current_database(),
		current_setting('application_name'), coalesce(current_setting('leaked.setting', true), '-'), current_setting('client_encoding') <> 'LATIN1', current_setting('DateStyle') ~ '^ISO', current_setting('TimeZone') <> 'Asia/Tokyo')$$) AS t(a text)}),
	'ep_user ep_user postgres enhanced_pool/clean - t t t', 'of which a connection has nothing');
define('homeless', for => 'app', host => undef, port => undef);
my $err = fails_with($local, $use->('homeless'), qr/ERROR:  08001/, 'a pool without a host does not go to PGHOST');
unlike($err, qr/\Q$ENV{PGHOST}\E|127\.0\.0\.1/, 'nor to PGHOSTADDR') if $ENV{PGHOST};
is($local->safe_psql('postgres', "SELECT port FROM enhanced_pool.pools WHERE pool = 'homeless' AND role = 'app'"), '5432', 'and to no other port than libpq\'s default');
define('nameless', dbname => undef, mapping => { user => 'trusted', password => undef });
fails_with($local, "SELECT enhanced_pool.exec('nameless', 'SELECT 1')", qr/database "trusted" does not exist/, 'one without dbname does not go to PGDATABASE');

# ------------------------------------- files in the home directory: .pgpass

# A superuser may live by it, as in psql; nobody else, by no detour.
define('file', for => 'PUBLIC', mapping => { password => undef });
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('file', 'SELECT 1')"), '1', '.pgpass lets a superuser in');
fails_with($local, $use->('file'), qr/ERROR:  2F003/, 'but what he opened serves nobody else');
fails_with($local, "SET ROLE app; SELECT * FROM enhanced_pool.run_parallel('file', ARRAY['SELECT 1'])", qr/ERROR:  2F003/, 'in a group');
fails_with($local, "BEGIN; SET ROLE app; SELECT enhanced_pool.session('file')", qr/ERROR:  2F003/, 'or a session');
define('file_of_app', for => 'app', mapping => { password => undef });
fails_with($local, $use->('file_of_app'), qr/ERROR:  2F003: password is required/, 'nor does it help a mapping without a password');
define('file_empty', for => 'app', mapping => { password => '' });
fails_with($local, $use->('file_empty'), qr/ERROR:  2F003: password is required/, 'or with an empty one');
define('file_wrong', for => 'app', mapping => { password => 'wrong' });
fails_with($local, $use->('file_wrong'), qr/ERROR:  08001: .*\n.*password authentication failed/, 'or with a wrong one');
define('file_named', for => 'app', passfile => "$dir/home/.pgpass", mapping => { password => 'wrong' });
fails_with($local, $use->('file_named'), qr/ERROR:  08001: .*\n.*password authentication failed/, 'named by the server\'s owner or not');

# ------------------------------------------------ back to this very server

# The operating system's user is let in as superuser by his own server, as by peer.
my %self = (host => $local->host, port => $local->port);
foreach my $case ([ 'without a password', undef ], [ 'with a password that nobody asks for', 'x' ])
{
	my ($what, $password) = @$case;

	define('loop', for => 'app', %self, mapping => { user => 'postgres', password => $password });
	fails_with($local, $use->('loop'), qr/ERROR:  2F003/, "loopback to the local superuser, $what");
	fails_with($local, "SET ROLE app; SELECT * FROM enhanced_pool.describe('loop', 'SELECT 1')", qr/ERROR:  2F003/, 'nor is anything described');
	is($local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.connection_metrics WHERE pool = 'loop' AND state = 'leased'"), '0', 'nobody got it');
	drop_pool($local, 'loop');
}
# a server that belongs to the role itself, with whatever it may set
$local->safe_psql('postgres', 'GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO app');
$local->safe_psql('postgres', "SET ROLE app; CREATE SERVER mine FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host '$self{host}', port '$self{port}', dbname 'postgres')");
foreach my $option ("password_required 'false'", "sslcert '/x'", "sslkey '/x'")
{
	fails_with($local, "SET ROLE app; CREATE USER MAPPING FOR app SERVER mine OPTIONS (user 'postgres', password 'x', $option)", qr/ERROR:  42501/,
		"not the owner's to set on a mapping: $option");
}
foreach my $option ("service 'leak'", "password 'x'", "user 'postgres'", "password_required 'false'")
{
	fails_with($local, "SET ROLE app; CREATE SERVER another FOREIGN DATA WRAPPER enhanced_pool OPTIONS ($option)", qr/ERROR:  HV00D/, "not of a server: $option");
}

# ------------------------------------------- several hosts, one of them hostile

# The first asks for the password, the second lets in whoever comes: that the first has
# got it says nothing of the second.
define('two', sslmode => 'disable', for => 'app', host => '127.0.0.1,' . $remote->host, port => "$port{taker}," . $remote->port,
	mapping => { user => 'trusted', password => 'canary' });
fails_with($local, $use->('two'), qr/ERROR:  (?:08001|2F003).*: (?:the remote server did not ask for a password|authentication method requirement)/s, 'a password for one host opens no other');
SKIP:
{
	skip 'libpq says at once that this one wants no password', 1 if $local->pg_version >= 16;
	like(slurp_file("$dir/taker"), qr/^canary\0$/m, 'though the first one was given it');
}

# ---------------------------------------------- a server that makes us compute

# Processor time of a process.
sub cpu_seconds
{
	my ($pid) = @_;
	my @stat = split / /, slurp_file("/proc/$pid/stat") =~ s/^.*\) //sr;

	return ($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK);
}

define('counter', sslmode => 'disable', for => 'app', host => '127.0.0.1', port => $port{counter}, retry_backoff => '10s', connect_timeout => '60s');
my $worker = worker_pid($local);
my $cpu = cpu_seconds($worker);
fails_with($local, "SET enhanced_pool.acquire_timeout = '60s';" . $use->('counter'), qr/ERROR:  08001/, 'a hostile number of iterations');
$cpu = cpu_seconds($worker) - $cpu;
like(slurp_file("$dir/counter"), qr/asked/, 'that we were asked for');
SKIP:
{
	skip "they take $cpu s here", 2 if $cpu < 1.2;
	ok($local->log_contains(qr/WARNING:  connecting for pool "counter" kept the worker busy for [\d.]+ s\n.*DETAIL:  Remote: host "127\.0\.0\.1", port $port{counter}/),
		'is in the log, with the name of the remote');
	cmp_ok($local->safe_psql('postgres', "SELECT detail->>'next_try_in' FROM enhanced_pool.events WHERE pool = 'counter' AND kind = 'connect_failed'"), '>', 12,
		'and is tried again after twice the time');
}
is($local->safe_psql('postgres', $use->('clean')), '1', 'others go on');
foreach my $name ('endless', 'split')
{
	define($name, sslmode => 'disable', for => 'app', host => '127.0.0.1', port => $port{$name}, connect_timeout => '60s');
	fails_with($local, $use->($name), qr/ERROR:  08001: .*\n.*the server asks for too many iterations of SCRAM/, "$name: far too many of them");
	like(slurp_file("$dir/$name"), qr/^asked/, 'which it has asked for');
	unlike(slurp_file("$dir/$name"), qr/the answer/, 'and got no answer');
}
define('ahead', sslmode => 'disable', for => 'app', host => '127.0.0.1', port => $port{ahead}, connect_timeout => '500ms');
fails_with($local, $use->('ahead'), qr/ERROR:  08001: .*\n.*the server was not ready within 0.5 s/, 'ahead: a part that libpq must not see alone');
define('slowly', sslmode => 'disable', for => 'app', host => '127.0.0.1', port => $port{slowly}, connect_timeout => '60s');
fails_with($local, $use->('slowly'), qr/ERROR:  08001/, 'slowly: in parts, but not too many');
like(slurp_file("$dir/slowly"), qr/the answer: c=/, 'is answered');

ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal/), 'nobody crashed');
done_testing();
