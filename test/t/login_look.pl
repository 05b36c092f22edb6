# A remote server that wants the worker to compute for hours, or to wait, by other ways
# than the plain one of security_login: another kind of message, one request behind
# another, an end in the middle of a message.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use FakeServer;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();

# A request for authentication.
sub request { return message('R', pack('N', $_[0]) . ($_[1] // '')) }

sub begin_scram
{
	my ($client) = @_;

	answer($client, request(10, "SCRAM-SHA-256\0\0"));
	my (undef, $body) = read_message($client);
	my ($nonce) = $body =~ /r=([^,]+)/;

	return "r=${nonce}x,s=" . encode_base64('salt', '') . ',i=';
}

# Says in a file what came back.
sub note_answer
{
	my ($client, $name) = @_;

	append_to_file("$dir/$name", "asked\n");
	append_to_file("$dir/$name", 'the answer: ' . (read_message($client))[1] . "\n");
	return;
}

my %hostile = (
	# libpq computes for a last word as it does for a first one
	last_word => sub {
		my ($client) = @_;

		answer($client, request(12, begin_scram($client) . '2147483647'));
		note_answer($client, 'last_word');
	},
	# something that is read at once, with what must be looked at close behind
	behind => sub {
		my ($client) = @_;
		my $challenge = begin_scram($client);

		answer($client, request(3) . request(11, $challenge . '4096'));
		note_answer($client, 'behind');
	},
	second => sub {
		my ($client) = @_;

		answer($client, request(3));
		read_message($client);
		answer($client, request(10, "SCRAM-SHA-256\0\0"));
		note_answer($client, 'second');
	},
	# a part, and then nothing more
	part => sub { answer($_[0], substr(request(10, "SCRAM-SHA-256\0\0"), 0, 12) . 'CLOSE') },
	part_of_error => sub {
		my ($client) = @_;

		begin_scram($client);
		answer($client, "E\0\0\1\0SFATAL\0CLOSE");
	});

my $local = start_local();
my $remote = start_remote(tls => 0);
my %port;

foreach my $name (keys %hostile)
{
	$port{$name} = start_fake_server(sub { read_startup($_[0]); $hostile{$name}->(@_) });
}

append_to_file("$dir/$_", '') foreach keys %hostile;
foreach my $case (
	[ behind => qr/the server asks for proof in two ways/ ],
	[ second => qr/the server asks for proof in two ways/ ],
	[ part => qr/the server closed the connection in the middle of a message/ ],
	[ part_of_error => qr/the server closed the connection in the middle of a message/ ],
	[ last_word => qr/the server asks for too many iterations of SCRAM/ ])
{
	my ($name, $error) = @$case;

	define_pool($local, $remote, $name, host => '127.0.0.1', port => $port{$name}, sslmode => 'disable', gssencmode => 'disable',
		initial_size => 1, min_size => 0, max_size => 1, retry_attempts => 1, connect_timeout => '0', circuit_breaker_threshold => 0);
	fails_with($local, "SET enhanced_pool.acquire_timeout = '20s'; SELECT enhanced_pool.exec('$name', 'SELECT 1')", qr/ERROR:  08001: .*\n.*$error/, $name);
	unlike(slurp_file("$dir/$name"), qr/the answer/, 'and gets no answer');
}

ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal/), 'nobody crashed');
done_testing();
