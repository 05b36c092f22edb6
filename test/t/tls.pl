# Encrypted remotes: each sslmode against servers that offer, demand or refuse TLS;
# what makes a server's certificate good enough; versions, channel binding, and the
# other options that libpq has for it.
#
# Plaintext is one of the subjects here: with TLS=1 this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Certificates;
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'no openssl' unless Certificates->available;

# ------------------------------------------------------- certificates and servers

my $ca = Certificates->new('root authority');
my $stranger = Certificates->new('another authority');
my $certificate = $ca->issue('server', cn => 'localhost', san => 'DNS:localhost,IP:127.0.0.1');
my $expired = $ca->issue('expired', cn => 'localhost', san => 'DNS:localhost', from => '200101000000Z', until => '200102000000Z');
my ($crl, $crl_dir) = $ca->crl('none');

$ca->revoke($certificate);
my ($crl_revoked, $crl_revoked_dir) = $ca->crl('revoked');

# Who may come how is said by the role.
my $hba = PostgreSQL::Test::Utils::tempdir() . '/hba.conf';
append_to_file($hba, <<'HBA');
hostnossl all tls_only   127.0.0.1/32 reject
hostssl   all plain_only 127.0.0.1/32 reject
host      all all        127.0.0.1/32 scram-sha-256
local     all all        trust
HBA

sub start_tcp_remote
{
	my ($name, $certificate) = @_;
	my $conf = "listen_addresses = '127.0.0.1'\nhba_file = '$hba'\n";

	$conf .= "ssl = on\nssl_cert_file = '$certificate->{cert}'\nssl_key_file = '$certificate->{key}'\n" if $certificate;
	my $node = start_remote(name => $name, tls => 0, conf => $conf);
	$node->safe_psql('postgres', "CREATE ROLE $_ LOGIN PASSWORD '$EnhancedPool::REMOTE_PASSWORD'") foreach 'tls_only', 'plain_only';
	return $node;
}

# Nobody's files in ~/.postgresql, and authorities of the system of our own.
my $home = PostgreSQL::Test::Utils::tempdir();
local $ENV{HOME} = $home;
local $ENV{SSL_CERT_FILE} = $ca->{cert};
local $ENV{SSL_CERT_DIR} = $home;

my $local = start_local();
my $remote = start_tcp_remote('remote', $certificate);
my $plain = start_tcp_remote('plain');
my $late = start_tcp_remote('late', $expired);

define_pool($local, $remote, 'other', host => 'localhost', sslmode => 'verify-full', sslrootcert => $ca->{cert}, initial_size => 1, min_size => 1, max_size => 1);

# ------------------------------------------------------------------------ helpers

# A pool called p that is made anew each time.
sub pool
{
	my ($node, %options) = @_;

	$local->safe_psql('postgres', 'DROP SERVER IF EXISTS p CASCADE');
	define_pool($local, $node, 'p',
		host => '127.0.0.1', initial_size => 1, min_size => 0, max_size => 2, retry_attempts => 1, %options);
	return;
}

# The TLS version as the remote sees it, or "plain".
my $version = q{SELECT coalesce(version, 'plain') FROM pg_stat_ssl WHERE pid = pg_backend_pid()};

# The pool works, and views and remote agree on how it reaches the remote.
sub reaches
{
	my ($version_wanted, $name, $pool) = @_;
	my $view_wanted = $version_wanted eq 'plain' ? 'direct|f' : 'relay|t';
	my ($status, $out, $err);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$pool //= 'p';
	($status, $out, $err) = $local->psql('postgres', "SELECT * FROM enhanced_pool.execute('$pool', \$\$$version\$\$) AS t(version text);"
		  . "SELECT DISTINCT transport, tls FROM enhanced_pool.connection_metrics WHERE pool = '$pool' AND transport IS NOT NULL");
	like($out, qr/^$version_wanted\n\Q$view_wanted\E$/, $name) or diag($err);
	is(seen_there($pool, 'DISTINCT concat(version, cipher)'), seen_here($pool), 'and on how it is encrypted') or diag($name);
	return;
}

# What the remote knows of the connection of a lease on the pool.
sub seen_there
{
	my ($pool, $what) = @_;

	return $local->safe_psql('postgres', "SELECT * FROM enhanced_pool.execute('$pool', 'SELECT $what FROM pg_stat_ssl WHERE pid = pg_backend_pid()') AS t(seen text)");
}

# And what get_detailed_metrics says of its connections.
sub seen_here
{
	my ($pool) = @_;

	return $local->safe_psql('postgres', "SELECT DISTINCT concat(c.value ->> 'tls_version', c.value ->> 'tls_cipher')
	  FROM jsonb_each(enhanced_pool.get_detailed_metrics('$pool') #> '{$pool,roles}') AS r, jsonb_each(r.value -> 'connections') AS c WHERE c.value ->> 'state' <> 'connecting'");
}

# It does not, with libpq's words as the reason (localhost may have an address to which
# nobody listens, too); others are not hurt, and it works as
# soon as the options that are given then are the server's.
sub refused
{
	my ($reason, $name, $node, $remedy, $wanted) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	fails_with($local, "SELECT enhanced_pool.exec('p', 'SELECT 1')",
		qr/ERROR:  08001: could not connect to pool "p"\nDETAIL:  host .*$reason/s, $name);
	is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('other', 'SELECT 1')"), '1', 'another pool goes on')
	  or diag($name);
	return unless $remedy;
	$local->safe_psql('postgres', "ALTER SERVER p OPTIONS ($remedy)");
	reaches($wanted // 'TLSv1.3', 'and so does this one once it is mended');
	return;
}

# Does the libpq of the server know the option?
sub supports
{
	my ($option, $value) = @_;
	my ($status) = $local->psql('postgres', "CREATE SERVER probe FOREIGN DATA WRAPPER enhanced_pool OPTIONS ($option '$value')");

	$local->safe_psql('postgres', 'DROP SERVER IF EXISTS probe');
	return $status == 0;
}

# ------------------------------------------------------------------ every sslmode

my @modes = ('disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full');
my $no_tls = 'server does not support SSL, but SSL was required';
my $rejected = 'pg_hba.conf rejects connection';
my %cases = (
	'a server with TLS' => [ $remote, 'ep_user', 'plain', 'plain', ('TLSv1.3') x 4 ],
	'a server without' => [ $plain, 'ep_user', ('plain') x 3, ($no_tls) x 3 ],
	'a role that must not come without' => [ $remote, 'tls_only', $rejected, ('TLSv1.3') x 5 ],
	'a role that must not come with it' => [ $remote, 'plain_only', ('plain') x 3, ($rejected) x 3 ]);

foreach my $case (sort keys %cases)
{
	my ($node, $user, @wanted) = @{ $cases{$case} };

	foreach my $i (0 .. $#modes)
	{
		my $name = "sslmode $modes[$i], $case";

		pool($node, sslmode => $modes[$i], sslrootcert => $ca->{cert}, mapping => { user => $user });
		if ($wanted[$i] =~ /^(plain|TLSv.*)$/)
		{
			reaches($wanted[$i], $name);
		}
		elsif ($modes[$i] eq 'disable')
		{
			refused($wanted[$i], $name, $node, "SET sslmode 'require'");
		}
		else
		{
			refused($wanted[$i], $name, $node, "SET sslmode 'prefer'", 'plain');
		}
	}
}

# ---------------------------------------------------------- the server's certificate

my $bad = 'certificate verify failed';

pool($remote, sslmode => 'verify-full', host => 'localhost', sslrootcert => $ca->{cert});
reaches('TLSv1.3', 'verify-full by the name, which the extension looks up itself');
pool($remote, sslmode => 'verify-full', host => 'localhost', hostaddr => '127.0.0.1', sslrootcert => $ca->{cert});
reaches('TLSv1.3', 'verify-full by the name, not looked up');
is($local->safe_psql('postgres', "SELECT host FROM enhanced_pool.connection_metrics WHERE pool = 'p'"), 'localhost', 'under that name it is known');
pool($remote, sslmode => 'verify-full', host => undef, hostaddr => '127.0.0.1', sslrootcert => $ca->{cert});
refused('host name must be specified', 'verify-full without a name', $remote, "ADD host 'localhost'");

pool($remote, sslmode => 'verify-full', host => 'other.example', hostaddr => '127.0.0.1', sslrootcert => $ca->{cert});
refused('does not match host name "other.example"', 'verify-full, wrong name', $remote, "SET sslmode 'verify-ca'");
pool($remote, sslmode => 'verify-full', host => 'other.example,localhost', hostaddr => '127.0.0.1,127.0.0.1', sslrootcert => $ca->{cert});
reaches('TLSv1.3', 'a wrong name, and then the right one');

foreach my $mode ('require', 'verify-ca', 'verify-full')
{
	pool($remote, sslmode => $mode, sslrootcert => $stranger->{cert});
	refused($bad, "$mode, wrong authority", $remote, "SET sslrootcert '$ca->{cert}'");
}
# reading it would hold up the worker and with it every pool
system_or_bail('mkfifo', "$home/pipe");
pool($remote, sslmode => 'verify-ca', sslrootcert => "$home/pipe");
fails_with($local, "SELECT enhanced_pool.exec('p', 'SELECT 1')", qr/ERROR:  08001: .*\nDETAIL:  sslrootcert "[^"]*pipe" cannot be used: it is not a plain file/, 'a pipe as a certificate');
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('other', 'SELECT 1')"), '1', 'another pool goes on');
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET sslrootcert '$ca->{cert}')");
reaches('TLSv1.3', 'and so does this one once it is mended');
pool($remote, sslmode => 'verify-ca', sslrootcert => "$home/none.crt");
refused('root certificate file ".*none.crt" does not exist', 'no such file', $remote, "SET sslmode 'require'");
pool($remote, sslmode => 'verify-ca');
refused('root certificate file ".*" does not exist', 'no root certificate', $remote, "ADD sslrootcert '$ca->{cert}'");
pool($remote, sslmode => 'verify-ca', sslrootcert => $hba);
refused('could not read root certificate file', 'not a certificate', $remote, "SET sslrootcert '$ca->{cert}'");

pool($late, sslmode => 'verify-full', host => 'localhost', sslrootcert => $ca->{cert});
refused($bad, 'an expired certificate', $late, "SET sslmode 'require', DROP sslrootcert");

pool($remote, sslmode => 'verify-ca', sslrootcert => $ca->{cert}, sslcrl => $crl_revoked);
refused($bad, 'sslcrl, revoked', $remote, "SET sslcrl '$crl'");
pool($remote, sslmode => 'verify-ca', sslrootcert => $ca->{cert}, sslcrldir => $crl_revoked_dir);
refused($bad, 'sslcrldir, revoked', $remote, "SET sslcrldir '$crl_dir'");

# From libpq 16 on "system" is not the name of a file.
SKIP:
{
	skip 'no sslrootcert=system in this libpq', 5 unless supports('require_auth', 'none');
	pool($remote, host => 'localhost', sslrootcert => 'system');
	reaches('TLSv1.3', "the system's authorities");
	pool($remote, host => 'other.example', hostaddr => '127.0.0.1', sslrootcert => 'system');
	refused('does not match host name', 'which means verify-full');
	pool($remote, host => 'localhost', sslrootcert => 'system', sslmode => 'require');
	refused('weak sslmode', 'and nothing less');
}

# ------------------------------------------------------------------- other options

foreach my $v ('TLSv1.2', 'TLSv1.3')
{
	pool($remote, sslmode => 'require', ssl_min_protocol_version => $v, ssl_max_protocol_version => $v);
	reaches($v, "$v alone");
}
pool($remote, sslmode => 'require', ssl_min_protocol_version => 'TLSv1.3', ssl_max_protocol_version => 'TLSv1.2');
refused('invalid SSL protocol version range', 'an impossible range', $remote, "SET ssl_max_protocol_version 'TLSv1.3'");

pool($remote, sslmode => 'require', channel_binding => 'require');
reaches('TLSv1.3', 'channel_binding');
pool($remote, sslmode => 'disable', channel_binding => 'require');
refused('channel binding required, but SSL not in use', 'channel_binding without TLS', $remote, "SET sslmode 'require'");

pool($remote, host => 'localhost', sslmode => 'verify-full', sslrootcert => $ca->{cert}, sslsni => '0', sslcompression => '1');
reaches('TLSv1.3', 'no SNI; compression, which nobody has any more');

SKIP:
{
	skip 'no sslnegotiation in this libpq', 4 unless supports('sslnegotiation', 'direct');
	pool($remote, host => 'localhost', sslmode => 'verify-full', sslrootcert => $ca->{cert}, sslnegotiation => 'direct');
	reaches('TLSv1.3', 'sslnegotiation direct');
	pool($remote, sslmode => 'prefer', sslnegotiation => 'direct');
	refused('weak sslmode', 'not with a weak sslmode', $remote, "SET sslmode 'require'");
}

# What libpq finds at home is used, as documented.
mkdir "$home/.postgresql" or die "could not make $home/.postgresql: $!";
symlink $stranger->{cert}, "$home/.postgresql/root.crt" or die "could not make a link: $!";
pool($remote, sslmode => 'require');
refused($bad, "a root certificate at home", $remote, "ADD sslrootcert '$ca->{cert}'");
unlink "$home/.postgresql/root.crt";

# ----------------------------------------------------------------- recycling by ALTER

pool($remote, sslmode => 'require', max_size => 1);
reaches('TLSv1.3', 'before');
my $pid = q{SELECT remote_pid FROM enhanced_pool.connection_metrics WHERE pool = 'p'};
my $before = $local->safe_psql('postgres', $pid);
foreach my $change ("ADD ssl_max_protocol_version 'TLSv1.2'", "ADD sslrootcert '$ca->{cert}'", "SET sslmode 'verify-ca'", "DROP ssl_max_protocol_version", "ADD sslcrl '$crl'")
{
	$local->safe_psql('postgres', "ALTER SERVER p OPTIONS ($change)");
	reaches($change =~ /DROP|crl/ ? 'TLSv1.3' : 'TLSv1.2', "$change is in effect at once");
	my $now = $local->safe_psql('postgres', $pid);
	isnt($now, $before, 'in a new connection');
	$before = $now;
}
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET sslmode 'disable')");
reaches('plain', 'without TLS from now on');
ok($remote->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE ssl AND usename = 'ep_user' AND pid <> "
	  . $local->safe_psql('postgres', "SELECT remote_pid FROM enhanced_pool.connection_metrics WHERE pool = 'other'")),
	'the encrypted one has been ended');

# ------------------------------------------------------------------- several at once

my %several = (
	here_tls => [ $remote, sslmode => 'verify-full', host => 'localhost', sslrootcert => $ca->{cert} ],
	here_old => [ $remote, sslmode => 'require', ssl_max_protocol_version => 'TLSv1.2' ],
	here_plain => [ $remote, sslmode => 'disable' ],
	there_plain => [ $plain, sslmode => 'prefer' ],
	late_tls => [ $late, sslmode => 'prefer' ]);
define_pool($local, shift @{ $several{$_} }, $_, host => '127.0.0.1', max_size => 2, initial_size => 1, min_size => 0, @{ $several{$_} })
  foreach sort keys %several;
is( $local->safe_psql('postgres', join(' UNION ALL ', map { "SELECT '$_', version FROM enhanced_pool.execute('$_', \$\$$version\$\$) AS t(version text)" } sort keys %several)),
	"here_old|TLSv1.2\nhere_plain|plain\nhere_tls|TLSv1.3\nlate_tls|TLSv1.3\nthere_plain|plain",
	'several in one statement');
is( $local->safe_psql('postgres', "SELECT pool, transport, tls FROM enhanced_pool.connection_metrics WHERE pool LIKE '%\\_%' GROUP BY 1, 2, 3 ORDER BY 1"),
	"here_old|relay|t\nhere_plain|direct|f\nhere_tls|relay|t\nlate_tls|relay|t\nthere_plain|direct|f",
	'each in its way');

drop_pool($local, $_) foreach 'p', sort keys %several;
$local->poll_query_until('postgres', "SELECT count(*) = 1 FROM enhanced_pool.connection_metrics");
check_clean($local, $remote, 1);
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal|exited with exit code [^01]/), 'nobody crashed');
done_testing();
