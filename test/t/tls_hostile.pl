# A remote that promises TLS and then speaks nonsense, falls silent or goes away:
# always a clear error, and nobody else waits for it.
#
# The other end is a small server in this file, which has a port for each way to
# behave.  It is about TLS, so with TLS=1 this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IO::Select;
use IO::Socket::INET;
use POSIX qw(_exit);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ------------------------------------------------------------------- the behaviours

# Code of SSLRequest.
my $ssl_request = 80877103;

# A record with the alert "handshake_failure", and the beginning of a ServerHello.
my $alert = pack('CnnCC', 21, 0x0303, 2, 2, 40);
my $half_hello = pack('CnnCCn', 22, 0x0303, 122, 2, 0, 118);
my $error = 'E' . pack('N', 4 + length "SFATAL\0C3D000\0Mspoken in the open\0\0") . "SFATAL\0C3D000\0Mspoken in the open\0\0";

# What is sent as the answer to SSLRequest; what after the client's first words in
# TLS; and the reason that libpq or we give.  undef: nothing.  CLOSE at the end: the
# connection is closed after it.  TRICKLE: zeros forever, one at a time.
my $late = 'the server was not ready within 2 s';
my %behaviours = (
	silent => [ undef, undef, $late ],
	close => [ 'CLOSE', undef, 'closed the connection|SSL' ],
	unknown => [ 'x', undef, 'invalid response to SSL negotiation' ],
	no_tls => [ 'N', undef, 'server does not support SSL' ],
	error => [ "${error}CLOSE", undef, '\w' ],
	# noticed at the end of the handshake by some versions of libpq: there is none
	more_than_s => [ 'Sand more', undef, "received unencrypted data after SSL response|SSL error|$late" ],
	hang => [ 'S', undef, $late ],
	hang_in_hello => [ 'S', $half_hello, $late ],
	trickle => [ 'S', pack('Cnn', 22, 0x0303, 16384) . 'TRICKLE', $late ],
	garbage => [ 'S', "HTTP/1.1 400 Bad Request\r\n\r\n", 'SSL error' ],
	zeros => [ 'S', "\0" x 1000, 'SSL error' ],
	alert => [ 'S', $alert, 'SSL error: .*handshake' ],
	close_in_handshake => [ 'S', 'CLOSE', 'SSL|closed|lost' ],
	close_in_hello => [ 'S', "${half_hello}CLOSE", 'SSL|closed|lost' ]);

# ----------------------------------------------------------------------- the server

# Sends; returns whether the connection goes on.
sub answer
{
	my ($socket, $data) = @_;
	my $close = $data =~ s/CLOSE$//s;
	my $trickle = $data =~ s/TRICKLE$//s;

	syswrite $socket, $data;
	while ($trickle)
	{
		select undef, undef, undef, 0.1;
		syswrite $socket, "\0" or return 0;
	}
	return !$close;
}

# $hello is the path of a file that gets what the client sends first in TLS.
sub serve
{
	my ($socket, $behaviour, $hello) = @_;
	my ($request, $data);

	return unless sysread($socket, $request, 8) == 8 && unpack('x4N', $request) == $ssl_request;
	return unless !defined $behaviour->[0] || answer($socket, $behaviour->[0]);
	if (($behaviour->[0] // '') eq 'S' && sysread $socket, $data, 10000)
	{
		append_to_file($hello, $data);
		return unless !defined $behaviour->[1] || answer($socket, $behaviour->[1]);
	}
	# until the client has had enough
	1 while sysread $socket, $data, 10000;
	return;
}

my $dir = PostgreSQL::Test::Utils::tempdir();
my %listeners;

foreach my $name (keys %behaviours)
{
	$listeners{$name} = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50, Proto => 'tcp') or die "could not listen: $!";
}
my %ports = map { $_ => $listeners{$_}->sockport } keys %listeners;
my $server = fork // die "could not fork: $!";
if ($server == 0)
{
	my $select = IO::Select->new(values %listeners);

	local $SIG{CHLD} = 'IGNORE';
	local $SIG{PIPE} = 'IGNORE';
	while (1)
	{
		foreach my $listener ($select->can_read)
		{
			my ($name) = grep { $listeners{$_} == $listener } keys %listeners;
			my $socket = $listener->accept or next;
			my $pid = fork;

			if (defined $pid && $pid == 0)
			{
				close $_ foreach values %listeners;
				eval { serve($socket, $behaviours{$name}, "$dir/$name") };
				# A plain exit would run what Test::More leaves for the end.
				_exit(0);
			}
			close $socket;
		}
	}
}
close $_ foreach values %listeners;

# Also when a test dies: whoever waits for our output waits for the child's, too.
my $parent = $$;
END
{
	if ($server && $parent && $$ == $parent)
	{
		local $?;
		kill 'TERM', $server;
		waitpid $server, 0;
	}
}

# -------------------------------------------------------------------- the tests

local $ENV{HOME} = $dir;
my ($local, $remote) = start_pair(tls => 0);

sub define
{
	my ($name, $behaviour, %options) = @_;

	define_pool($local, $remote, $name,
		host => 'localhost', hostaddr => '127.0.0.1', port => $ports{$behaviour}, sslmode => 'require', max_size => 1, initial_size => 1, min_size => 0,
		retry_attempts => 1, connect_timeout => '2s', %options);
	return;
}

define_pool($local, $remote, 'real', max_size => 1, initial_size => 1, min_size => 0);
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('real', 'SELECT 1')");
my $baseline = worker_surplus($local);
my $limit = "SET statement_timeout = '60s'";

foreach my $name (sort keys %behaviours)
{
	# the second time is no different
	my @rounds = $behaviours{$name}[2] =~ /$late/ ? 1 : (1, 2);

	define($name, $name);
	foreach my $round (@rounds)
	{
		fails_with($local, "$limit; SELECT enhanced_pool.exec('$name', 'SELECT 1')",
			qr/ERROR:  08001: could not connect to pool "$name"\nDETAIL:  host "localhost" \(127.0.0.1\), port $ports{$name}: .*(?:$behaviours{$name}[2])/, "$name, $round");
	}
	is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('real', 'SELECT 1')"), '1', 'others are not hurt');
	drop_pool($local, $name);
}

# In the first words of TLS stands the name that is asked for, or not.
like(slurp_file("$dir/hang"), qr/localhost/, 'the server is told which host is wanted');
define('no_sni', 'alert', sslsni => '0');
truncate "$dir/alert", 0;
fails_with($local, "SELECT enhanced_pool.exec('no_sni', 'SELECT 1')", qr/ERROR:  08001/, 'a server that gets no name');
ok(-s "$dir/alert", 'there were some');
unlike(slurp_file("$dir/alert"), qr/localhost/, 'with sslsni 0 it is not');
drop_pool($local, 'no_sni');

# While some attempts hang in the handshake and will do so for long, others connect
# and work.  Where the worker waits for one of them this ends by acquire_timeout.
my @hanging = ('silent', 'hang', 'hang_in_hello', 'trickle');
my %sessions;

foreach my $name (@hanging)
{
	define("long_$name", $name, connect_timeout => '600s', acquire_timeout => '600s');
	$sessions{$name} = start_session($local);
	begin_query($sessions{$name}, "SELECT enhanced_pool.exec('long_$name', 'SELECT 1')");
}
my $waiting = "SELECT count(*) = 4 FROM enhanced_pool.waiters WHERE pool LIKE 'long%'";
ok($local->poll_query_until('postgres', $waiting), 'four sessions wait for servers that hang');
ok(poll_until(sub { -s "$dir/hang_in_hello" && -s "$dir/trickle" }), 'which have begun');
define_pool($local, $remote, 'meanwhile', max_size => 2, initial_size => 1, min_size => 0, acquire_timeout => '20s');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('meanwhile', 'SELECT 1')"), '1', 'a new pool connects meanwhile');
is($local->safe_psql('postgres', $waiting =~ s/= 4//r), '4', 'and they still wait');
drop_pool($local, "long_$_") foreach @hanging;
foreach my $name (@hanging)
{
	my ($out, $err) = end_query($sessions{$name});

	like($err, qr/ERROR:  /, "$name: the end of the pool ends the wait");
	$sessions{$name}->quit;
}

drop_pool($local, 'meanwhile');
ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 AND sum(size) = 1 FROM enhanced_pool.pools WHERE state <> 'closed' OR size > 0"),
	'nothing is left of the others');
check_clean($local, $remote, 1, $baseline);
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal|exited with exit code [^01]/), 'nobody crashed');
done_testing();
