# FakeServer.pm: what calls itself a PostgreSQL server, and answers as a test wants.
#
#	use FakeServer;
#
#	my $port = start_fake_server(sub {
#		my ($client) = @_;
#		my $startup = read_startup($client);		# a hash: user, database, ...
#		answer($client, hello() . ready());
#		while (my ($type, $body) = read_message($client)) { ... }
#	});
#
# It listens on 127.0.0.1 and speaks no TLS.  The function runs in a process of its
# own for each connection, which ends when it returns or dies: all that a test has
# defined before is known there, and nothing comes back.

package FakeServer;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use POSIX qw(_exit);

our @EXPORT_OK = qw(read_exactly);
our @EXPORT = qw(
  message row_description data_row error_fields ready hello
  start_fake_server read_startup read_message answer
);

# ------------------------------------------------------------------ the messages

sub message
{
	my ($type, $body) = @_;

	return $type . pack('N', 4 + length $body) . $body;
}

# Columns of type text.
sub row_description
{
	return message('T', pack('n', scalar @_) . join('', map { pack('Z*NnNnNn', $_, 0, 0, 25, 65535, 4294967295, 0) } @_));
}

sub data_row
{
	return message('D', pack('n', scalar @_) . join('', map { pack('N/a*', $_) } @_));
}

sub error_fields
{
	my %fields = @_;

	return join('', map { $_ . $fields{$_} . "\0" } sort keys %fields) . "\0";
}

sub ready
{
	return message('Z', 'I');
}

# What comes before the first ReadyForQuery.
sub hello
{
	return message('R', pack('N', 0)) . message('S', "server_version\x0015.0\0")
	  . message('S', "client_encoding\0SQL_ASCII\0") . message('K', pack('NN', 4711, 42));
}

# ------------------------------------------------------------------ the server

sub read_exactly
{
	my ($socket, $n) = @_;
	my $data = '';

	while (length $data < $n)
	{
		my $got = sysread $socket, $data, $n - length $data, length $data;

		die "closed\n" unless $got;
	}
	return $data;
}

# The parameters that a client starts with.  Dies if it wants to cancel something.
sub read_startup
{
	my ($socket) = @_;

	while (1)
	{
		my $startup = read_exactly($socket, unpack('N', read_exactly($socket, 4)) - 4);
		my $code = unpack('N', $startup);

		return { split /\0/, substr($startup, 4) } if $code == 196608;
		die "a cancel request\n" if $code == 80877102;
		answer($socket, 'N');
	}
}

# Type and body of the next message; nothing after Terminate.
sub read_message
{
	my ($socket) = @_;
	my ($type, $length) = unpack('aN', read_exactly($socket, 5));
	my $body = read_exactly($socket, $length - 4);

	return $type eq 'X' ? () : ($type, $body);
}

# Sends; dies if the connection does not go on after it: that is what CLOSE at the
# end of the data says.
sub answer
{
	my ($socket, $data) = @_;
	my $close = $data =~ s/CLOSE$//s;
	my $sent = 0;

	while ($sent < length $data)
	{
		$sent += syswrite($socket, $data, length($data) - $sent, $sent) // die "closed\n";
	}
	die "closing\n" if $close;
	return;
}

my @servers;
my $parent = $$;

# Returns the port.
sub start_fake_server
{
	my ($serve) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 50, Proto => 'tcp')
	  or die "could not listen: $!";
	my $port = $listener->sockport;
	my $server = fork // die "could not fork: $!";

	if ($server == 0)
	{
		local $SIG{CHLD} = 'IGNORE';
		local $SIG{PIPE} = 'IGNORE';
		while (1)
		{
			my $socket = $listener->accept or next;
			my $pid = fork;

			if (defined $pid && $pid == 0)
			{
				close $listener;
				eval { $serve->($socket) };
				# A plain exit would run what Test::More leaves for the end.
				_exit(0);
			}
			close $socket;
		}
	}
	close $listener;
	push @servers, $server;
	return $port;
}

# Also when a test dies: whoever waits for our output waits for the child's, too.
END
{
	if ($$ == $parent)
	{
		local $?;
		kill 'TERM', @servers;
		waitpid $_, 0 foreach @servers;
	}
}

1;
