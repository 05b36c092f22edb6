# Certificates.pm: certificate authorities for a test, made with openssl (3.0 or
# later) in a temporary directory.
#
#	my $ca = Certificates->new('root');
#	my $server = $ca->issue('server', cn => 'localhost', san => 'DNS:localhost,IP:127.0.0.1');
#	my $client = $ca->issue('client', cn => 'ep_user', password => 'secret');
#	$server->{cert}, $server->{key}, $ca->{cert}: paths of PEM files
#	$ca->revoke($server);
#	$ca->crl('revoked'): path of a list of what has been revoked so far
#
# Keys are readable by their owner alone, as libpq and the server want it.

package Certificates;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $config = <<'CONF';
[ca]
default_ca = this
[this]
dir = DIR
database = DIR/index.txt
new_certs_dir = DIR/issued
serial = DIR/serial
certificate = DIR/ca.crt
private_key = DIR/ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
commonName = unused
[authority]
basicConstraints = critical,CA:true
subjectKeyIdentifier = hash
keyUsage = critical,keyCertSign,cRLSign
CONF

my @new_key = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes');

# Certificates->available: is there an openssl to make them with?
sub available
{
	return system('openssl version >/dev/null 2>&1') == 0;
}

# Certificates->new($name): an authority whose own certificate ({cert}) is the
# root; it is called so.
sub new
{
	my ($class, $name) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir($name);
	my $self = bless { name => $name, dir => $dir, cert => "$dir/ca.crt", key => "$dir/ca.key", conf => "$dir/ca.conf" }, $class;

	mkdir "$dir/issued" or die "could not make $dir/issued: $!";
	append_to_file($self->{conf}, $config =~ s/DIR/$dir/gr);
	append_to_file("$dir/index.txt", '');
	append_to_file("$dir/serial", "01\n");
	openssl('req', '-x509', @new_key, '-config', $self->{conf}, '-days', 2, '-subj', "/CN=$name", '-out', $self->{cert}, '-keyout', $self->{key});
	chmod 0600, $self->{key};
	return $self;
}

# $ca->issue($name, cn => ..., ...): a new key and its certificate, as a hash of the
# paths cert and key.  $name is that of the files.  Also taken: san
# (subjectAltName); from and until (YYMMDDHHMMSSZ); password, with which the key is
# encrypted.
sub issue
{
	my ($self, $name, %args) = @_;
	my $base = "$self->{dir}/$name";
	my @times = map { defined $args{ $_->[0] } ? ($_->[1], $args{ $_->[0] }) : () } [ 'from', '-startdate' ], [ 'until', '-enddate' ];

	append_to_file("$base.ext", "basicConstraints = CA:false\n" . ($args{san} ? "subjectAltName = $args{san}\n" : ''));
	openssl('req', '-new', @new_key, '-config', $self->{conf}, '-subj', "/CN=$args{cn}", '-out', "$base.csr", '-keyout', "$base.key");
	openssl('ca', '-batch', '-notext', '-config', $self->{conf}, '-in', "$base.csr", '-out', "$base.crt", '-extfile', "$base.ext", @times);
	encrypt("$base.key", $args{password}) if defined $args{password};
	chmod 0600, "$base.key";
	return { cert => "$base.crt", key => "$base.key" };
}

# $ca->revoke($issued)
sub revoke
{
	my ($self, $issued) = @_;

	openssl('ca', '-config', $self->{conf}, '-revoke', $issued->{cert});
	return;
}

# $ca->crl($name): a list of what is revoked, alone in a directory and under the
# name by which OpenSSL looks for it there.  Returns file and directory.
sub crl
{
	my ($self, $name) = @_;
	my $dir = "$self->{dir}/$name";
	my $crl = "$self->{dir}/$name.crl";

	mkdir $dir or die "could not make $dir: $!";
	openssl('ca', '-config', $self->{conf}, '-gencrl', '-crldays', 2, '-out', $crl);
	my $hash = openssl('crl', '-in', $crl, '-noout', '-hash');
	symlink $crl, "$dir/$hash.r0" or die "could not link $crl: $!";
	return ($crl, $dir);
}

sub encrypt
{
	my ($key, $password) = @_;

	openssl('pkey', '-aes256', '-in', $key, '-out', "$key.encrypted", '-passout', "pass:$password");
	rename "$key.encrypted", $key or die "could not rename $key.encrypted: $!";
	return;
}

# Runs it and returns what it printed, one line.
sub openssl
{
	my @command = ('openssl', @_);
	my ($out, $err);

	IPC::Run::run(\@command, '<', '/dev/null', '>', \$out, '2>', \$err) or BAIL_OUT("@command:\n$err");
	chomp $out;
	return $out;
}

1;
