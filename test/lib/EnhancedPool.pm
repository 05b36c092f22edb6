# EnhancedPool.pm: helpers of the TAP tests.
#
#	use FindBin;
#	use lib "$FindBin::RealBin/../lib";
#	use EnhancedPool;
#
#	my ($local, $remote) = start_pair();
#	define_pool($local, $remote, 'p', max_size => 4);
#	my $baseline = worker_surplus($local);
#	...
#	check_clean($local, $remote, 4, $baseline);
#	done_testing();
#
# Wait with poll_query_until, wait_for_log or poll_until, never with a sleep.
#
# With TLS=1 in the environment remotes take nothing from pools but TLS, pools are
# defined so, and check_clean sees to it that it was so.  A file that has TLS, its
# absence or something else than a PostgreSQL server as its subject says
# start_pair(tls => 0) and gets the same remote with and without TLS=1.  So does one
# that sets ssl in the remote's configuration.

package EnhancedPool;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

our @EXPORT = qw(
  start_local start_remote start_standby start_pair remote_options options_of_hosts
  tls_of define_pool pool_sql drop_pool
  check_clean remote_connections worker_pid worker_surplus fd_count poll_until
  start_session begin_query end_query fails_with
);

# The remote role that pools log in as.  The remote server asks for its password.
our $REMOTE_USER = 'ep_user';
our $REMOTE_PASSWORD = 'ep_secret';

# With TLS=1: certificate (its own root, too) and key, and which remotes have them.
my $certificate;
my %tls_of;

my $common_conf = <<'CONF';
max_connections = 300
fsync = off
log_min_messages = info
log_line_prefix = '%m [%p] %b %q%a '
CONF

# A process that is killed leaves no counts of the lines it ran behind, so servers
# that a test leaves running are given the time to stop.
if ($ENV{EP_COVERAGE})
{
	no warnings 'redefine';
	*PostgreSQL::Test::Cluster::teardown_node = sub {
		my ($node) = @_;
		$node->stop('fast', fail_ok => 1) or $node->stop('immediate', fail_ok => 1);
	};
}

# start_local([name => ..., conf => 'lines of postgresql.conf']): a server with
# the library preloaded and the extension created in database postgres.  Pools do
# not grow or shrink by their load, which depends on when things happen, unless
# conf or the pool says dynamic_scaling_enabled.
sub start_local
{
	my %args = (name => 'local', conf => '', @_);
	my $node = PostgreSQL::Test::Cluster->new($args{name});

	$node->init;
	$node->append_conf('postgresql.conf', $common_conf);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'enhanced_pool'");
	$node->append_conf('postgresql.conf', 'enhanced_pool.dynamic_scaling_enabled = off');
	$node->append_conf('postgresql.conf', $args{conf});
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION enhanced_pool');
	return $node;
}

# start_remote([name => ..., conf => ..., tls => 0, streaming => 1]): a plain server with
# the role ep_user, who may create tables in public and must give a password.
# streaming: it can have standbys.
sub start_remote
{
	my %args = (name => 'remote', conf => '', @_);
	my $tls = $args{tls} // ($ENV{TLS} && $args{conf} !~ /^\s*ssl\s*=/m);
	my $node = PostgreSQL::Test::Cluster->new($args{name});

	$node->init(allows_streaming => $args{streaming});
	$node->append_conf('postgresql.conf', $common_conf);
	if ($tls)
	{
		serve_tls($node);
		put_first_in_hba($node, "local all $REMOTE_USER reject", 'hostnossl all all all reject',
			"hostssl all $REMOTE_USER 127.0.0.1/32 scram-sha-256");
	}
	else
	{
		put_first_in_hba($node, "local all $REMOTE_USER scram-sha-256",
			"host all $REMOTE_USER 127.0.0.1/32 scram-sha-256");
	}
	$node->append_conf('postgresql.conf', $args{conf});
	$node->start;
	$node->safe_psql('postgres',
		"CREATE ROLE $REMOTE_USER LOGIN PASSWORD '$REMOTE_PASSWORD';"
		  . "GRANT CREATE ON SCHEMA public TO $REMOTE_USER");
	return $node;
}

# start_standby($primary, $name): a hot standby, up to date.
sub start_standby
{
	my ($primary, $name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$primary->backup("for_$name");
	$node->init_from_backup($primary, "for_$name", has_streaming => 1);
	$node->start;
	$primary->wait_for_catchup($node);
	$tls_of{$name} = $tls_of{ $primary->name };
	return $node;
}

sub put_first_in_hba
{
	my ($node, @lines) = @_;
	my $hba = $node->data_dir . '/pg_hba.conf';
	my $rest = slurp_file($hba);

	open my $fh, '>', $hba or die "could not open $hba: $!";
	print $fh map { "$_\n" } @lines;
	print $fh $rest;
	close $fh;
	return;
}

sub serve_tls
{
	my ($node) = @_;
	my $tls = $certificate //= make_certificate();

	$node->append_conf('postgresql.conf',
		"listen_addresses = '127.0.0.1'\nssl = on\nssl_cert_file = '$tls->{cert}'\nssl_key_file = '$tls->{key}'\nlog_connections = on");
	$tls_of{ $node->name } = $tls;
	return;
}

sub make_certificate
{
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my %tls = (cert => "$dir/server.crt", key => "$dir/server.key");

	system_or_bail('openssl', 'req', '-new', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
		'-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
		'-keyout', $tls{key}, '-out', $tls{cert});
	chmod 0600, $tls{key};
	return \%tls;
}

# tls_of($remote): if pools reach it over TLS, a hash with the paths of its
# certificate (cert), which is its own root, and key (key); else undef.
sub tls_of
{
	my ($remote) = @_;

	return $tls_of{ $remote->name };
}

# remote_options($remote): how pools reach it, as a hash of options of a server.
sub remote_options
{
	my ($remote) = @_;
	my $tls = tls_of($remote);

	return (host => $remote->host, port => $remote->port) unless $tls;
	return (host => '127.0.0.1', port => $remote->port, sslmode => 'verify-full', sslrootcert => $tls->{cert});
}

# options_of_hosts(@remotes): the same for a list of hosts, of which the others are
# standbys of the first, or were.
sub options_of_hosts
{
	my @hosts = map { { remote_options($_) } } @_;
	my %options = %{ $hosts[0] };

	foreach my $key ('host', 'port')
	{
		$options{$key} = join(',', map { $_->{$key} } @hosts);
	}
	return %options;
}

# start_pair([local_conf => ..., remote_conf => ..., tls => 0]): one of each.
sub start_pair
{
	my %args = (local_conf => '', remote_conf => '', @_);
	my $remote = start_remote(conf => $args{remote_conf}, tls => $args{tls});
	my $local = start_local(conf => $args{local_conf});

	return ($local, $remote);
}

# define_pool($local, $remote, $name, %options): a server and a user mapping.
# Options are the server's, but for
#	db		local database (postgres)
#	for		role of the mapping (CURRENT_USER)
#	mapping	hash of options of the mapping, over ep_user and its password;
#			undef as a value leaves an option out
sub define_pool
{
	my ($local, $remote, $name, %options) = @_;
	my $db = delete $options{db} // 'postgres';

	$local->safe_psql($db, pool_sql($remote, $name, %options));
	return;
}

# The statements that define_pool runs.
sub pool_sql
{
	my ($remote, $name, %options) = @_;
	my $for = delete $options{for} // 'CURRENT_USER';
	my %mapping = (
		user => $REMOTE_USER,
		password => $REMOTE_PASSWORD,
		%{ delete $options{mapping} // {} });
	my %server = (
		remote_options($remote),
		dbname => 'postgres',
		%options);

	return
	    "CREATE SERVER \"$name\" FOREIGN DATA WRAPPER enhanced_pool"
	  . option_list(%server)
	  . ";CREATE USER MAPPING FOR $for SERVER \"$name\""
	  . option_list(%mapping) . ';';
}

sub option_list
{
	my %options = @_;
	my @parts;

	foreach my $key (sort keys %options)
	{
		my $value = $options{$key};

		next unless defined $value;
		$value =~ s/'/''/g;
		push @parts, "$key '$value'";
	}
	return @parts ? ' OPTIONS (' . join(', ', @parts) . ')' : '';
}

# drop_pool($local, $name [, $db])
sub drop_pool
{
	my ($local, $name, $db) = @_;

	$local->safe_psql($db // 'postgres', "DROP SERVER \"$name\" CASCADE");
	return;
}

# How many connections of pools the remote sees.
sub remote_connections
{
	my ($remote) = @_;

	return $remote->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE usename = '$REMOTE_USER'");
}

# Process id of the (first) worker; waits until there is one.
sub worker_pid
{
	my ($local) = @_;
	my $from = "FROM pg_stat_activity WHERE backend_type LIKE 'enhanced_pool%'";

	$local->poll_query_until('postgres', "SELECT count(*) > 0 $from")
	  or die 'no worker';
	return $local->safe_psql('postgres', "SELECT min(pid) $from");
}

# Open descriptors of a process, or those whose target matches a pattern.
sub fd_count
{
	my ($pid, $pattern) = @_;
	my $count = 0;

	opendir my $dh, "/proc/$pid/fd" or return 0;
	foreach my $fd (grep { /^\d+$/ } readdir $dh)
	{
		my $target = readlink "/proc/$pid/fd/$fd" // '';

		$count++ if !defined $pattern || $target =~ $pattern;
	}
	closedir $dh;
	return $count;
}

# Sockets of the workers beyond those that they have for each connection (two, or if
# relayed libpq's and both ends of a pair): constant as long as none is forgotten.
sub worker_surplus
{
	my ($local) = @_;
	my $sockets = $local->safe_psql('postgres',
		q{SELECT (SELECT coalesce(2 * sum(size), 0) FROM enhanced_pool.pools)
		  + (SELECT count(*) FROM enhanced_pool.connection_metrics WHERE transport = 'relay')});

	my $n = -$sockets;

	worker_pid($local);
	$n += fd_count($_, qr/^socket:/)
	  foreach split /\n/, $local->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'enhanced_pool worker'");
	return $n;
}

# poll_until { CONDITION } [seconds]: true as soon as the condition is.
sub poll_until(&;$)
{
	my ($condition, $timeout) = @_;
	my $end = time() + ($timeout // $PostgreSQL::Test::Utils::timeout_default);

	while (1)
	{
		return 1 if $condition->();
		return 0 if time() > $end;
		usleep(50_000);
	}
}

# start_session($node [, $db [, user]]): a psql that stays, goes on after errors
# and reports their SQLSTATE.
sub start_session
{
	my ($node, $db, $user) = @_;
	my $session = $node->background_psql($db // 'postgres', on_error_stop => 0,
		defined $user ? (extra_params => [ '-U', $user ]) : ());

	$session->query_safe('\\set VERBOSITY verbose');
	return $session;
}

# begin_query($session, $sql): send it and do not wait for its end.
sub begin_query
{
	my ($session, $sql) = @_;

	$session->query_until(qr/begun/, "\\echo begun\n$sql;\n");
	return;
}

# end_query($session): wait for the end of what begin_query sent; what it
# returned and the errors that it raised.
sub end_query
{
	my ($session) = @_;
	my $out = $session->query('');
	my $err = $session->{stderr};

	$session->{stderr} = '';
	$out =~ s/^\s+//;
	return ($out, $err);
}

# fails_with($node, $sql, $pattern, $name): it raises an error, which verbosely
# ("ERROR:  08001: ...") matches.
sub fails_with
{
	my ($node, $sql, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", on_error_die => 0);

	like($err, $pattern, $name);
	return $err;
}

# check_clean($local, $remote, $max [, $baseline]): nothing was left behind.  No
# lease, no waiter; at most $max (max_size + max_overflow, over all pools) and a
# health check's connections on the remote; with what worker_surplus returned
# before, no forgotten descriptor in the worker.  With TLS=1 pools have reached the
# remote, and over TLS alone.
sub check_clean
{
	my ($local, $remote, $max, $baseline) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok( $local->poll_query_until(
			'postgres', 'SELECT count(*) = 0 FROM enhanced_pool.leases'),
		'no lease is left');
	is($local->safe_psql('postgres', 'SELECT count(*) FROM enhanced_pool.waiters'),
		'0', 'no waiter is left');
	ok( $remote->poll_query_until(
			'postgres',
			'SELECT count(*) <= ' . ($max + 1)
			  . " FROM pg_stat_activity WHERE usename = '$REMOTE_USER'"),
		"the remote has at most $max and one connections");
	ok(poll_until(sub { worker_surplus($local) <= $baseline }),
		'the worker has no forgotten descriptor')
	  if defined $baseline;
	check_tls($remote) if tls_of($remote);
	return;
}

sub check_tls
{
	my ($remote) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @seen = slurp_file($remote->logfile) =~ /connection authorized: user=$REMOTE_USER (.*)/g;

	cmp_ok(scalar(grep { / SSL enabled / } @seen), '>', 0, 'pools reached the remote over TLS');
	is(scalar(grep { !/ SSL enabled / } @seen), 0, 'and in no other way');
	return;
}

1;
