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

package EnhancedPool;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

our @EXPORT = qw(
  start_local start_remote start_pair define_pool pool_sql drop_pool
  check_clean remote_connections worker_pid worker_surplus fd_count poll_until
  start_session begin_query end_query fails_with
);

# The remote role that pools log in as.  The remote server asks for its password.
our $REMOTE_USER = 'ep_user';
our $REMOTE_PASSWORD = 'ep_secret';

my $common_conf = <<'CONF';
max_connections = 300
fsync = off
log_min_messages = info
log_line_prefix = '%m [%p] %b %q%a '
CONF

# start_local([name => ..., conf => 'lines of postgresql.conf']): a server with
# the library preloaded and the extension created in database postgres.
sub start_local
{
	my %args = (name => 'local', conf => '', @_);
	my $node = PostgreSQL::Test::Cluster->new($args{name});

	$node->init;
	$node->append_conf('postgresql.conf', $common_conf);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'enhanced_pool'");
	$node->append_conf('postgresql.conf', $args{conf});
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION enhanced_pool');
	return $node;
}

# start_remote([name => ..., conf => ...]): a plain server with the role ep_user,
# who may create tables in public and must give a password.
sub start_remote
{
	my %args = (name => 'remote', conf => '', @_);
	my $node = PostgreSQL::Test::Cluster->new($args{name});
	my $hba;

	$node->init;
	$node->append_conf('postgresql.conf', $common_conf);
	$node->append_conf('postgresql.conf', $args{conf});
	$hba = $node->data_dir . '/pg_hba.conf';
	my $rest = slurp_file($hba);
	open my $fh, '>', $hba or die "could not open $hba: $!";
	print $fh "local all $REMOTE_USER scram-sha-256\n"
	  . "host all $REMOTE_USER 127.0.0.1/32 scram-sha-256\n$rest";
	close $fh;
	$node->start;
	$node->safe_psql('postgres',
		"CREATE ROLE $REMOTE_USER LOGIN PASSWORD '$REMOTE_PASSWORD';"
		  . "GRANT CREATE ON SCHEMA public TO $REMOTE_USER");
	return $node;
}

# start_pair([local_conf => ..., remote_conf => ...]): one of each.
sub start_pair
{
	my %args = (local_conf => '', remote_conf => '', @_);
	my $remote = start_remote(conf => $args{remote_conf});
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
		host => $remote->host,
		port => $remote->port,
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

# Sockets of the worker beyond the two it has for each connection: constant as
# long as none is forgotten.
sub worker_surplus
{
	my ($local) = @_;
	my $conns = $local->safe_psql('postgres',
		'SELECT coalesce(sum(size), 0) FROM enhanced_pool.pools');

	return fd_count(worker_pid($local), qr/^socket:/) - 2 * $conns;
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
# before, no forgotten descriptor in the worker.
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
	return;
}

1;
