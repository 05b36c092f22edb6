# GSS encryption, which has no relay: not wanted unless it is asked for, set aside
# where it is only preferred, refused where it is required.  And GSS authentication,
# which is something else.
#
# Most of it takes a key distribution center (Debian: krb5-kdc, krb5-admin-server,
# krb5-user); without one only what happens without a ticket is tested.  With TLS=1
# this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Certificates;
use EnhancedPool;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'the server has no GSSAPI' unless check_pg_config('#define ENABLE_GSS 1');

my $realm = 'POOL.TEST';
my $dir = PostgreSQL::Test::Utils::tempdir();
my $kdc_port = PostgreSQL::Test::Cluster::get_free_port();
my @programs = ('krb5kdc', 'kdb5_util', 'kadmin.local', 'kinit');

local $ENV{PATH} = "$ENV{PATH}:/usr/sbin:/usr/local/sbin";
my $have_kdc = !grep { system("command -v $_ >/dev/null 2>&1") } @programs;

# ------------------------------------------------------- Kerberos of our own

append_to_file("$dir/krb5.conf", <<CONF);
[logging]
default = FILE:$dir/krb5.log
kdc = FILE:$dir/kdc.log
[libdefaults]
default_realm = $realm
dns_lookup_realm = false
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
$realm = {
	kdc = 127.0.0.1:$kdc_port
}
CONF
append_to_file("$dir/kdc.conf", <<CONF);
[kdcdefaults]
kdc_listen = 127.0.0.1:$kdc_port
kdc_tcp_listen = 127.0.0.1:$kdc_port
[realms]
$realm = {
	database_name = $dir/principal
	key_stash_file = $dir/stash
}
CONF
local $ENV{KRB5_CONFIG} = "$dir/krb5.conf";
local $ENV{KRB5_KDC_PROFILE} = "$dir/kdc.conf";
local $ENV{KRB5CCNAME} = "FILE:$dir/tickets";
local $ENV{HOME} = $dir;

my $kdc_pid;
END
{
	if ($kdc_pid)
	{
		local $?;
		kill 'TERM', $kdc_pid;
	}
}

sub run_or_die
{
	my ($input, @command) = @_;
	my ($out, $err);

	IPC::Run::run(\@command, '<', \$input, '>', \$out, '2>', \$err) or die "@command:\n$out$err";
	return;
}

# A center with the remote server's principal, whose key goes to a file, and a
# user's; the user gets no ticket yet.
sub start_kdc
{
	run_or_die('', 'kdb5_util', 'create', '-s', '-r', $realm, '-P', 'master');
	run_or_die('', 'kadmin.local', '-q', 'addprinc -randkey postgres/localhost');
	run_or_die('', 'kadmin.local', '-q', "ktadd -k $dir/keytab postgres/localhost");
	run_or_die('', 'kadmin.local', '-q', 'addprinc -pw secret kerberized');
	run_or_die('', 'krb5kdc', '-P', "$dir/kdc.pid");
	poll_until(sub { -s "$dir/kdc.pid" }) or die 'no center';
	chomp($kdc_pid = slurp_file("$dir/kdc.pid"));
	return;
}

start_kdc() if $have_kdc;

# ------------------------------------------------------------------------ servers

my $hba = "$dir/hba.conf";
append_to_file($hba, <<HBA);
host  all kerberized 127.0.0.1/32 gss include_realm=0
host  all all        127.0.0.1/32 scram-sha-256
local all all        trust
HBA
my $conf = "listen_addresses = '127.0.0.1'\nhba_file = '$hba'\nlog_connections = on\n";
$conf .= "krb_server_keyfile = '$dir/keytab'\n" if $have_kdc;
my $certificate = Certificates->available ? Certificates->new('root')->issue('server', cn => 'localhost') : undef;
$conf .= "ssl = on\nssl_cert_file = '$certificate->{cert}'\nssl_key_file = '$certificate->{key}'\n" if $certificate;

my $remote = start_remote(tls => 0, conf => $conf);
my $local = start_local();

$remote->safe_psql('postgres', 'CREATE ROLE kerberized LOGIN');
$local->safe_psql('postgres', 'CREATE ROLE app LOGIN');

sub pool
{
	my (%options) = @_;

	$local->safe_psql('postgres', 'DROP SERVER IF EXISTS p CASCADE');
	define_pool($local, $remote, 'p',
		host => 'localhost', hostaddr => '127.0.0.1', initial_size => 1, min_size => 0, max_size => 2, retry_attempts => 1, %options);
	$local->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER p TO app');
	return;
}

# The pool works, without GSS encryption.
sub works
{
	my ($transport, $name) = @_;
	my $query = 'SELECT encrypted FROM pg_stat_gssapi WHERE pid = pg_backend_pid()';
	my ($status, $out, $err) = $local->psql('postgres', "SELECT * FROM enhanced_pool.execute('p', '$query') AS t(encrypted bool);"
		  . "SELECT DISTINCT transport FROM enhanced_pool.connection_metrics WHERE pool = 'p' AND transport IS NOT NULL");
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($out, "f\n$transport", $name) or diag($err);
	return;
}

# How many connections with GSS encryption have got through the authentication so far.
sub seen_encrypted
{
	my $log = slurp_file($remote->logfile);

	return scalar(() = $log =~ /connection authorized: .* GSS \(.*encrypted=yes/g);
}

# ----------------------------------------------------------------- without a ticket

my $use = "SET statement_timeout = '60s'; SELECT enhanced_pool.exec('p', 'SELECT 1')";

pool(sslmode => 'disable', gssencmode => 'require');
fails_with($local, $use, qr/ERROR:  08001: could not connect to pool "p"\nDETAIL:  .*GSS/, 'required, but there is no ticket');
$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET gssencmode 'prefer')");
works('direct', 'preferred');

# -------------------------------------------------------------------- with a ticket

SKIP:
{
	skip 'no krb5-kdc, krb5-admin-server, krb5-user', 1 unless $have_kdc;
	run_or_die("secret\n", 'kinit', 'kerberized');

	pool(sslmode => 'disable');
	works('direct', 'by default GSS encryption is not asked for');
	is(seen_encrypted(), 0, 'nor was it there before');

	pool(sslmode => 'disable', gssencmode => 'prefer');
	works('direct', 'preferred: the second best without TLS is plaintext');
	cmp_ok(seen_encrypted(), '>', 0, 'after the remote had let it in encrypted');
  SKIP:
	{
		skip 'no openssl', 1 unless $certificate;
		pool(sslmode => 'require', gssencmode => 'prefer');
		works('relay', 'preferred: the second best is TLS');
	}

	pool(sslmode => 'disable', gssencmode => 'require');
	fails_with($local, $use,
		qr/ERROR:  0A000: .*\nDETAIL:  host "localhost" \(127.0.0.1\), port \d+: connections with GSS encryption are not supported\nHINT:  Set option gssencmode to 'disable'/,
		'required: refused, with a hint');
	$local->safe_psql('postgres', "ALTER SERVER p OPTIONS (SET gssencmode 'disable')");
	works('direct', 'and it is mended');
	ok( $remote->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_gssapi WHERE encrypted'),
		'no encrypted connection is left on the remote');

	pool(sslmode => 'disable', mapping => { user => 'kerberized', password => undef });
	works('direct', 'a ticket instead of a password, by a superuser');
	pool(sslmode => 'disable', for => 'app', mapping => { user => 'kerberized' });
	fails_with($local, "SET ROLE app; $use", qr/ERROR:  2F003: /, "the server's ticket is nobody else's");
}

drop_pool($local, 'p');
check_clean($local, $remote, 0);
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal|exited with exit code [^01]/), 'nobody crashed');
done_testing();
