# TlsProxy.pm: remotes that are reached by TLS, for the tests of the relay.
#
#	skip_without_tls();
#	my $remote = start_tls_remote();
#	define_pool($local, $remote, 'p', tls_server($remote), max_size => 4);
#	my $proxy = start_proxy($plain_remote, update => 64);
#	define_pool($local, $plain_remote, 'q', tls_server($proxy), max_size => 4);
#
# TLS goes over TCP on 127.0.0.1.

package TlsProxy;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(skip_without_tls start_tls_remote tls_server start_proxy stop_proxy worker_memory lookups_work);

my $dir;
my @proxies;

# skip_without_tls(): ends the test file with a reason if TLS cannot be tested
# here.  Makes a certificate and builds the proxy otherwise.
sub skip_without_tls
{
	my $source = dirname(__FILE__) . '/tlsproxy.c';

	$dir = PostgreSQL::Test::Utils::tempdir();
	plan skip_all => 'no openssl program'
	  unless run_quietly('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
		'-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', "$dir/server.key", '-out', "$dir/server.crt");
	chmod 0600, "$dir/server.key";
	plan skip_all => 'no C compiler, or no headers of OpenSSL'
	  unless run_quietly('cc', '-O2', '-o', "$dir/tlsproxy", $source, '-lssl', '-lcrypto');
	return;
}

sub run_quietly
{
	my @command = @_;

	return eval { IPC::Run::run(\@command, '<', \undef, '>', \my $out, '2>', \my $err) };
}

# start_tls_remote([name => ..., conf => ...]): as start_remote, and reachable by
# TLS as well as through its Unix socket.
sub start_tls_remote
{
	my %args = (conf => '', @_);

	# tls => 0: the certificate is ours, whatever the environment says
	return start_remote(%args,
		tls => 0,
		conf => "listen_addresses = '127.0.0.1'\nssl = on\n"
		  . "ssl_cert_file = '$dir/server.crt'\nssl_key_file = '$dir/server.key'\n$args{conf}");
}

# Options of a foreign server, to reach a remote or a proxy by TLS.
sub tls_server
{
	my ($what) = @_;

	return (
		host => '127.0.0.1',
		port => ref $what eq 'HASH' ? $what->{port} : $what->port,
		sslmode => 'require',
		gssencmode => 'disable');
}

# start_proxy($remote, %options): a TLS proxy in front of a remote; options are
# those of tlsproxy.c.  It ends with the test.
sub start_proxy
{
	my ($remote, %options) = @_;
	my $pid = open my $out, '-|', "$dir/tlsproxy", 'server=' . $remote->host . '/.s.PGSQL.' . $remote->port,
	  "cert=$dir/server.crt", "key=$dir/server.key", map { "$_=$options{$_}" } sort keys %options;
	my $port;

	die "could not start the proxy: $!" unless $pid;
	$port = <$out> // die 'the proxy did not start';
	chomp $port;
	push @proxies, { pid => $pid, port => $port, out => $out };
	return $proxies[-1];
}

# Ends the proxy and all connections through it.
sub stop_proxy
{
	my ($proxy) = @_;

	kill 'TERM', $proxy->{pid};
	close $proxy->{out};
	$proxy->{pid} = 0;
	return;
}

# Also when a test dies.
my $parent = $$;
END
{
	if ($parent && $$ == $parent)
	{
		local $?;
		stop_proxy($_) foreach grep { $_->{pid} } @proxies;
	}
}

# Memory of a process that is its own, in kB.  Not VmRSS: that counts the pages
# of shared memory which it happens to have touched.
# With sanitizers there is nothing to see: they keep what was freed for a while.
sub worker_memory
{
	my ($pid) = @_;

	return 0 if $ENV{EP_SANITIZE};
	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon';
}

# lookups_work($local, $pool, $n, $name): n look-ups in a new session, and n new
# sessions with one, all end in time with the right answers.
sub lookups_work
{
	my ($local, $pool, $n, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $sum = $local->safe_psql('postgres', <<SQL);
SET statement_timeout = '60s';
SELECT sum(t.n) FROM generate_series(1, $n) i, LATERAL enhanced_pool.execute('$pool', 'SELECT \$1', i) AS t(n int)
SQL
	my $ones = 0;

	$ones += $local->safe_psql('postgres',
		"SET statement_timeout = '60s'; SELECT n FROM enhanced_pool.execute('$pool', 'SELECT 1') AS t(n int)") foreach 1 .. 10;
	is("$sum|$ones", $n * ($n + 1) / 2 . '|10', $name);
	return;
}

1;
