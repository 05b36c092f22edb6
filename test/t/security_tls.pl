# A remote that asks for hours of computing, by way of SCRAM, over TLS: there, too, what
# it says is looked at before libpq reads it.  Behind a proxy that speaks TLS is a small
# server in this file.  It is about TLS, so with TLS=1 this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use FakeServer qw(message read_exactly);
use IO::Socket::UNIX;
use MIME::Base64;
use POSIX qw(_exit);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use TlsProxy;

# A place where a server listens, as start_proxy wants it.
package Place
{
	sub new { my ($class, %self) = @_; return bless {%self}, $class }
	sub host { return $_[0]{host} }
	sub port { return $_[0]{port} }
}

skip_without_tls();

my $dir = PostgreSQL::Test::Utils::tempdir_short();
my %iterations = (1 => ['i=2147483647'], 2 => [ 'i=214', '7483647' ], 3 => ['i=2147483647']);
my @pids;

sub challenge
{
	my ($socket, @parts) = @_;

	read_exactly($socket, unpack('N', read_exactly($socket, 4)) - 4);
	syswrite $socket, message('R', pack('N', 10) . "SCRAM-SHA-256\0\0");
	my $answer = read_exactly($socket, unpack('N', substr read_exactly($socket, 5), 1) - 4);
	my ($nonce) = $answer =~ /r=([^,]+)/;
	my $message = message('R', pack('N', 11) . "r=${nonce}x,s=" . encode_base64('salt', '') . ',' . join '', @parts);
	my $last = @parts > 1 ? length $parts[1] : 0;

	syswrite $socket, substr $message, 0, length($message) - $last;
	append_to_file("$dir/asked", "asked\n");
	usleep(50_000);
	syswrite $socket, $parts[1] if $last;
	append_to_file("$dir/asked", 'the answer: ' . read_exactly($socket, 5) . "\n");
	return;
}

foreach my $port (keys %iterations)
{
	my $listener = IO::Socket::UNIX->new(Local => "$dir/.s.PGSQL.$port", Listen => 50) or die "could not listen: $!";
	my $pid = fork // die "could not fork: $!";

	if ($pid)
	{
		push @pids, $pid;
		next;
	}
	local $SIG{CHLD} = 'IGNORE';
	while (1)
	{
		my $socket = $listener->accept or next;

		next if fork;
		eval { challenge($socket, @{ $iterations{$port} }) };
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
		kill 'TERM', @pids;
		waitpid $_, 0 foreach @pids;
	}
}

my $local = start_local();
my $secure = start_tls_remote();
my %fixed = (initial_size => 1, min_size => 0, max_size => 1, retry_attempts => 1, connect_timeout => '60s');

define_pool($local, $secure, 'right', tls_server($secure), %fixed);
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('right', 'SELECT 1')"), '1', 'a server that asks for what is usual');
define_pool($local, $secure, 'tiny', tls_server(start_proxy($secure, record => 1)), %fixed);
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('tiny', 'SELECT 1')"), '1', 'the same in records of one byte');
foreach my $case ([ 1, qr/the server asks for too many iterations of SCRAM/, 'in one record' ],
	[ 2, qr/the server asks for too many iterations of SCRAM/, 'in two records' ],
	[ 3, qr/the server asks for too many iterations of SCRAM/, 'right behind a key update', each => 1 ])
{
	my ($port, $error, $name, %options) = @$case;
	my $proxy = start_proxy(Place->new(host => $dir, port => $port), %options);

	define_pool($local, $secure, "hostile$port", tls_server($proxy), %fixed);
	fails_with($local, "SELECT enhanced_pool.exec('hostile$port', 'SELECT 1')", qr/ERROR:  08001: .*\n.*$error/, "far too many iterations over TLS, $name");
	is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('right', 'SELECT 1')"), '1', 'others go on');
}
like(slurp_file("$dir/asked"), qr/^asked/, 'they were asked for');
unlike(slurp_file("$dir/asked"), qr/the answer/, 'and nobody answered');
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal/), 'nobody crashed');
done_testing();
