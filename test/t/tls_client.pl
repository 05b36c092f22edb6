# Encrypted remotes that want a certificate of the client's: with plain and with
# encrypted keys, in place of a password or beside one; and who may use a pool that
# has one.
#
# TLS is the subject here: with TLS=1 this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Certificates;
use EnhancedPool;
use POSIX qw(_exit);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'no openssl' unless Certificates->available;

# ------------------------------------------------------- certificates and servers

my $ca = Certificates->new('root');
my $server = $ca->issue('server', cn => 'localhost', san => 'DNS:localhost,IP:127.0.0.1');
my $client = $ca->issue('client', cn => 'certified');
my $secret = $ca->issue('secret', cn => 'certified', password => 'open sesame');
my $ours = $ca->issue('ours', cn => 'ep_user');
my $revoked = $ca->issue('revoked', cn => 'certified');
my $foreign = Certificates->new('another')->issue('client', cn => 'certified');

$ca->revoke($revoked);
my ($crl) = $ca->crl('revoked');

my $hba = PostgreSQL::Test::Utils::tempdir() . '/hba.conf';
append_to_file($hba, <<'HBA');
hostssl all certified 127.0.0.1/32 cert
hostssl all ep_user   127.0.0.1/32 scram-sha-256 clientcert=verify-full
hostssl all asked     127.0.0.1/32 scram-sha-256
hostssl all trusted   127.0.0.1/32 trust
local   all all       trust
HBA

local $ENV{HOME} = PostgreSQL::Test::Utils::tempdir();
my $remote = start_remote(tls => 0, conf => <<CONF);
listen_addresses = '127.0.0.1'
hba_file = '$hba'
ssl = on
ssl_cert_file = '$server->{cert}'
ssl_key_file = '$server->{key}'
ssl_ca_file = '$ca->{cert}'
ssl_crl_file = '$crl'
CONF
my $local = start_local();

$remote->safe_psql('postgres', "CREATE ROLE $_ LOGIN PASSWORD '$EnhancedPool::REMOTE_PASSWORD'") foreach 'certified', 'asked', 'trusted';
$local->safe_psql('postgres', "CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN");

# A pool called p that is made anew each time.  %mapping is what differs from the
# mapping of a role that comes with nothing but a certificate.
sub pool
{
	my ($mapping, %options) = @_;

	$local->safe_psql('postgres', 'DROP SERVER IF EXISTS p CASCADE');
	define_pool($local, $remote, 'p',
		host => 'localhost', hostaddr => '127.0.0.1', sslmode => 'verify-full', sslrootcert => $ca->{cert}, initial_size => 1, min_size => 0, max_size => 2, retry_attempts => 1,
		mapping => { user => 'certified', password => undef, %$mapping }, %options);
	$local->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER p TO app');
	return;
}

my $use = "SELECT enhanced_pool.exec('p', 'SELECT 1')";
my $use_as_app = "SET ROLE app; $use";

# The pool works, and the remote has seen the certificate of that name.
sub works
{
	my ($cn, $name, $role) = @_;
	my $query = 'SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
	my ($status, $out, $err) = $local->psql('postgres',
		($role ? "SET ROLE $role;" : '') . "SELECT * FROM enhanced_pool.execute('p', \$\$$query\$\$) AS t(dn text)");
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($out, $cn ? "/CN=$cn" : '', $name) or diag($err);
	return;
}

sub refused
{
	my ($reason, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	fails_with($local, $use, qr/ERROR:  08001: could not connect to pool "p"\nDETAIL:  host "[^"]*"( \(\S*\))?, port \d+: .*(?:$reason)/, $name);
	return;
}

sub credential
{
	my ($issued) = @_;

	return (sslcert => $issued->{cert}, sslkey => $issued->{key});
}

# ------------------------------------------------------------------ certificates

pool({ credential($client) });
works('certified', 'a certificate on the mapping');
pool({}, credential($client));
works('certified', 'a certificate on the server');
pool({ credential($client) }, credential($ours));
works('certified', "the mapping's certificate goes before the server's");
pool({ user => 'ep_user', password => $EnhancedPool::REMOTE_PASSWORD }, credential($ours));
works('ep_user', 'password and certificate');

pool({});
refused('requires a valid client certificate', 'none');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (ADD sslcert '$client->{cert}', ADD sslkey '$client->{key}')");
works('certified', 'and it is mended');
pool({ credential($ours) });
refused('certificate authentication failed', "another role's");
pool({ user => 'ep_user', password => $EnhancedPool::REMOTE_PASSWORD }, credential($client));
refused('password authentication failed', "another role's beside the right password");
pool({ credential($foreign) });
refused('unknown ca', "another authority's");
pool({ credential($revoked) });
refused('certificate revoked', 'revoked');

pool({ sslcert => $client->{cert}, sslkey => "$client->{key}.none" });
refused('private key file ".*none" does not exist|certificate present, but not private key file', 'no key');
pool({ sslcert => $client->{cert}, sslkey => $ours->{key} });
refused('certificate does not match private key file|could not load private key file', 'the key of another certificate');
pool({ sslcert => $hba, sslkey => $client->{key} });
refused('could not read certificate file', 'not a certificate');

chmod 0644, $client->{key};
pool({ credential($client) });
refused('private key file ".*" has group or world access', 'a key that others may read');
chmod 0600, $client->{key};
works('certified', 'and it is mended without a change of the pool');

# From libpq 16 on it can be said whether the certificate is to be shown.
SKIP:
{
	my ($status) = $local->psql('postgres', "ALTER SERVER p OPTIONS (ADD sslcertmode 'disable')");

	skip 'no sslcertmode in this libpq', 2 if $status != 0;
	refused('requires a valid client certificate', 'sslcertmode disable');
	$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET sslcertmode 'require')");
	works('certified', 'sslcertmode require');
}

# ---------------------------------------------------------------- encrypted keys

pool({ credential($secret), sslpassword => 'open sesame' });
works('certified', 'an encrypted key and its password');
pool({ credential($secret), sslpassword => 'open barley' });
refused('could not load private key file', 'a wrong password');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (SET sslpassword 'open sesame')");
works('certified', 'and it is mended');
pool({ credential($secret), sslpassword => '' });
refused('could not load private key file', 'an empty password');
pool({ credential($secret) });
refused('could not load private key file', 'no password');
is( $local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.config c, enhanced_pool.pools p WHERE c::text || p::text LIKE '%open %'"),
	'0', 'no view shows one');

# OpenSSL would ask for the password where there is somebody to ask: on the standard
# input of a server that was started by hand, for instance.  Nobody answers there.
$local->stop;
pipe my $silence, my $silent or die "could not make a pipe: $!";
my $by_hand = fork // die "could not fork: $!";
if ($by_hand == 0)
{
	open STDIN, '<&', $silence or _exit(1);
	open STDOUT, '>>', $local->logfile or _exit(1);
	open STDERR, '>&', \*STDOUT or _exit(1);
	close $silent;
	exec 'postgres', '-D', $local->data_dir or _exit(1);
}

# Also when a test dies.
my $parent = $$;
END
{
	if ($by_hand && $$ == $parent)
	{
		local $?;
		close $silent;
		kill 'QUIT', $by_hand;
		waitpid $by_hand, 0;
	}
}
ok(poll_until(sub { ($local->psql('postgres', 'SELECT 1'))[0] == 0 }), 'a server that has a standard input');
fails_with($local, "SET statement_timeout = '30s'; $use", qr/ERROR:  08001: .*could not load private key file/s, 'no password there');
$local->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER p OPTIONS (ADD sslpassword 'open sesame')");
works('certified', 'the right password there');

# ------------------------------------------------------------- the password rule

my %password = (password => $EnhancedPool::REMOTE_PASSWORD);

pool({ user => 'asked', %password }, for => 'app');
works('', 'the remote asked for the password: allowed', 'app');
pool({ user => 'ep_user', %password }, for => 'app', credential($ours));
works('ep_user', 'for password and certificate: allowed', 'app');
pool({ user => 'trusted', %password }, for => 'app');
fails_with($local, $use_as_app, qr/ERROR:  2F003: (password is required|could not connect)/, 'for nothing');
pool({ %password, credential($client) }, for => 'app');
fails_with($local, $use_as_app, qr/ERROR:  2F003: (password is required|could not connect)/, 'for a certificate alone, though there is a password');
pool({ credential($client) }, for => 'app');
fails_with($local, $use_as_app, qr/ERROR:  2F003: password is required/, 'a certificate alone');
pool({}, for => 'app', credential($client));
fails_with($local, $use_as_app, qr/ERROR:  2F003: password is required/, "nor the server's");
pool({ credential($client), password_required => 'false' }, for => 'app');
works('certified', 'a superuser has allowed it', 'app');

# What a superuser opened through PUBLIC's mapping must not serve others.
pool({ credential($client) }, for => 'PUBLIC');
works('certified', 'a superuser may use it');
fails_with($local, $use_as_app, qr/ERROR:  2F003/, 'others not, though a connection is open');

# ------------------------------------------------------------ who may set options

pool({ user => 'asked', %password }, for => 'app');
foreach my $option ('sslcert', 'sslkey')
{
	fails_with($local, "SET ROLE app; ALTER USER MAPPING FOR app SERVER p OPTIONS (ADD $option '$client->{cert}')",
		qr/ERROR:  42501: /, "$option on a mapping is a superuser's to add");
	$local->safe_psql('postgres', "ALTER USER MAPPING FOR app SERVER p OPTIONS (ADD $option '/nowhere')");
	fails_with($local, "SET ROLE app; ALTER USER MAPPING FOR app SERVER p OPTIONS (SET $option '$client->{cert}')",
		qr/ERROR:  42501: /, 'and to change');
	$local->safe_psql('postgres', "ALTER USER MAPPING FOR app SERVER p OPTIONS (DROP $option)");
}
works('', 'nothing has changed', 'app');
drop_pool($local, 'p');

$local->safe_psql('postgres', "CREATE SERVER p FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host 'localhost'); GRANT USAGE ON FOREIGN SERVER p TO stranger");
fails_with($local, "SET ROLE stranger; CREATE USER MAPPING FOR stranger SERVER p OPTIONS (user 'certified', sslcert '$client->{cert}', sslkey '$client->{key}')",
	qr/ERROR:  42501: /, 'nor may they come with a new mapping');
drop_pool($local, 'p');

check_clean($local, $remote, 0);
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal|exited with exit code [^01]/), 'nobody crashed');
ok(!$local->log_contains(qr/enhanced_pool worker.*open (sesame|barley)/), 'nor did the worker log the password of a key');
done_testing();
