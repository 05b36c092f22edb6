# Who sees what, view by view and column by column: what is there for a superuser and
# NULL for another role is exactly what is to be hidden from it, and all see all rows.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(local_conf => 'enhanced_pool.connect_query = \'SELECT 1\'');

# owner: of the servers; app: may use them; member: is in app, heir: but does not inherit; usage: has USAGE
# but no mapping; monitor, reader: of all statistics; plain: nothing at all
$local->safe_psql('postgres', q{
CREATE ROLE owner LOGIN; CREATE ROLE app LOGIN; CREATE ROLE member LOGIN IN ROLE app; CREATE ROLE heir LOGIN NOINHERIT;
CREATE ROLE usage LOGIN; CREATE ROLE monitor LOGIN IN ROLE pg_monitor; CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats; CREATE ROLE plain LOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO owner;});
# from 16 on a grant says it by itself, and a role that does not inherit is not enough
$local->safe_psql('postgres', $local->safe_psql('postgres', "SELECT current_setting('server_version_num')::int >= 160000") eq 't'
	? 'GRANT app TO heir WITH INHERIT FALSE' : 'GRANT app TO heir');
my @roles = qw(owner app member heir usage monitor reader plain);

# one with mappings of roles, one with PUBLIC's
define_pool($local, $remote, 'own', max_size => 2);
define_pool($local, $remote, 'all', max_size => 2, acquire_timeout => 0, for => 'PUBLIC');
$local->safe_psql('postgres', q{
CREATE USER MAPPING FOR app SERVER own OPTIONS (user 'ep_user', password 'ep_secret', application_name 'of_app');
ALTER SERVER own OWNER TO owner; ALTER SERVER "all" OWNER TO owner;
GRANT USAGE ON FOREIGN SERVER own TO app, usage; GRANT USAGE ON FOREIGN SERVER "all" TO app;});

# something to see of each: leases with a statement, one under way; who waits; events with hosts, and a failure
my $super = $local->safe_psql('postgres', 'SELECT current_user');
my %session = map { $_ => start_session($local, 'postgres', $_) } $super, 'app';
foreach my $session (values %session)
{
	foreach my $pool ('own', 'all')
	{
		$session->query_safe("SELECT enhanced_pool.acquire('$pool', hold => true, name => 'kept') AS lease \\gset");
		$session->query_safe("SELECT enhanced_pool.exec(:lease, 'SELECT 1')");
	}
	$session->query_safe("SELECT enhanced_pool.send(:lease, 'SELECT 2')");
}
my $waiter = start_session($local, 'postgres', 'app');
begin_query($waiter, "SELECT enhanced_pool.exec('all', 'SELECT 1')");
ok($local->poll_query_until('postgres', 'SELECT count(*) = 1 FROM enhanced_pool.waiters'), 'somebody waits');
is($local->safe_psql('postgres', 'SELECT count(*), count(query) FROM enhanced_pool.leases'), '4|4', 'there are leases');

# What tells the rows of a view apart.
my %key = (
	pools => [], config => ['name'], pool_metrics => [], connection_metrics => ['conn_id'], leases => ['conn_id'], waiters => ['pid'], events => ['id'],
	pool_states => [], progress => [ 'pid', 'lease' ], latency_histogram => [ 'kind', 'lower_bound' ], load_history => ['at']);
# What some may not see.
my %secret = (
	pools => 'dbname host port remote_user', config => 'value', connection_metrics => 'host', leases => 'query', events => 'message');
my @own = map { "own/$_" } $super, 'app';
my %sees = (
	monitor => [ @own, 'all/public' ],
	reader => [ @own, 'all/public' ],
	app => [ 'own/app', 'all/public' ],
	member => [ 'own/app', 'all/public' ],
	owner => [ 'all/public' ],
	map { $_ => [] } 'heir', 'usage', 'plain');

# rows_of($view, $role): what the role sees, by what tells rows apart; NULL is left out
sub rows_of
{
	my ($view, $role) = @_;
	my %rows;

	foreach my $line (split /\n/, $local->safe_psql('postgres', "SET ROLE \"$role\"; SELECT jsonb_strip_nulls(to_jsonb(v)) FROM enhanced_pool.$view v"))
	{
		my $row = decode_json($line);

		$rows{ join('/', map { $row->{$_} // '' } 'pool', 'role', @{ $key{$view} }) } = $row;
	}
	return \%rows;
}

# What of a view's rows the role does not see: pool and role, columns, and of settings their names.
sub hidden_from
{
	my ($view, $role, $all) = @_;
	my $seen = rows_of($view, $role);
	my %hidden;

	# what comes and goes meanwhile is no matter
	my @missing = grep { !$seen->{$_} } keys %$all;
	@missing = grep { rows_of($view, $super)->{$_} } @missing if @missing;
	is_deeply(\@missing, [], "$view: $role sees all rows");
	foreach my $id (grep { $seen->{$_} } keys %$all)
	{
		my $row = $all->{$id};
		my $whose = $view eq 'leases' ? holder_of($row) : "$row->{pool}/$row->{role}";

		$hidden{$whose}{$_} = 1 foreach grep { !exists $seen->{$id}{$_} } keys %$row;
	}
	return { map { $_ => join(' ', sort keys %{ $hidden{$_} }) } keys %hidden };
}

my %backend = map { split /\|/ } split /\n/, $local->safe_psql('postgres', 'SELECT pid, usename FROM pg_stat_activity WHERE usename IS NOT NULL');
sub holder_of { return $backend{ $_[0]{pid} } }

my @views = split /\n/, $local->safe_psql('postgres',
	q{SELECT relname FROM pg_class WHERE relnamespace = 'enhanced_pool'::regnamespace AND relkind = 'v' ORDER BY 1});
is_deeply([ grep { !$key{$_} } @views ], [], 'all views are known here');
foreach my $view (@views)
{
	my $all = rows_of($view, $super);

	cmp_ok(scalar(keys %$all), '>', 0, "$view: there is something to see") unless $view eq 'load_history';
	foreach my $role (@roles)
	{
		my %expected;

		if ($view eq 'leases')
		{
			my %may = map { $_ => 1 } { monitor => 1, reader => 1 }->{$role} ? ($super, 'app') : { app => 1, member => 1 }->{$role} ? 'app' : ();

			%expected = map { $_ => $secret{$view} } grep { !$may{$_} } $super, 'app';
		}
		elsif ($secret{$view})
		{
			my %may = map { $_ => 1 } @{ $sees{$role} };

			# settings are the owner's to set
			%may = map { $_ => 1 } @own, 'all/public' if $view eq 'config' && $role eq 'owner';
			%expected = map { $_ => $secret{$view} } grep { !$may{$_} } @own, 'all/public';
		}
		is_deeply(hidden_from($view, $role, $all), \%expected, "$view: what is hidden from $role");
	}
}

# of the settings none but texts are hidden
is( $local->safe_psql('postgres', q{
	CREATE TEMP TABLE c AS SELECT * FROM enhanced_pool.config; GRANT ALL ON c TO PUBLIC; SET ROLE plain;
	SELECT string_agg(DISTINCT c.name, ' ' ORDER BY c.name) FROM c JOIN enhanced_pool.config p USING (datname, pool, role, name)
	WHERE p.value IS DISTINCT FROM c.value}),
	'application_name connect_query propagate_settings reset_query validation_query', 'settings whose values are hidden');

# --------------------------------------------------------------- what may be done

my ($status, $out, $err) = $local->psql('postgres', "SET ROLE monitor; SELECT role, healthy, error FROM enhanced_pool.health_check('own')");
is($status, 0, 'a monitor may check the health') or diag($err);
like($out, qr/^app\|t\|/m, 'of every role\'s pool');
fails_with($local, "SET ROLE monitor; SELECT enhanced_pool.$_", qr/ERROR:  42501/, "a monitor may not: $_")
  foreach "pause('own')", "close_pool('own')", "recycle('own')", "reset_stats('own')", 'reset_stats()', 'terminate_connection(1)',
  "reset_breaker('own')", "prewarm('own')", "exec('own', 'SELECT 1')", "configure_pool('own', '{\"max_size\": 3}')";
fails_with($local, "SET ROLE plain; SELECT * FROM enhanced_pool.health_check('own')", qr/ERROR:  42501/, 'others may not check it');

$session{app}->query_safe('SELECT enhanced_pool.release_all()');
end_query($waiter);
$_->quit foreach values %session, $waiter;
done_testing();
