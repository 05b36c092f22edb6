# Who may use a connection: the password rule.  With certificates: tls_client.pl.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();

$local->safe_psql('postgres', "CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN");
# Whoever is "trusted" is let in without a password, as by peer or a certificate.
$remote->safe_psql('postgres', 'CREATE ROLE trusted LOGIN');

my $use = sub { "SET ROLE app; SELECT enhanced_pool.exec('$_[0]', 'SELECT 1')" };

sub define
{
	my ($name, %options) = @_;

	define_pool($local, $remote, $name, initial_size => 1, min_size => 0, max_size => 2, retry_attempts => 1, %options);
	$local->safe_psql('postgres', "GRANT USAGE ON FOREIGN SERVER $name TO app");
	return;
}

# ------------------------------------------------------------- the password rule

define('asked', for => 'app');
is($local->safe_psql('postgres', $use->('asked')), '1', 'the remote asked for the password: allowed');

define('unasked', for => 'app', mapping => { user => 'trusted', password => 'x' });
fails_with($local, $use->('unasked'), qr/ERROR:  2F003: (password is required|could not connect)/, 'the remote did not ask for it');

# What no retry can mend is said at once: whoever waited a second for it would not come to the end of this.
is( $local->safe_psql('postgres', q{
	SET statement_timeout = '30s';
	SET ROLE app;
	CREATE TEMP TABLE refused (sqlstate text);
	DO $$
	BEGIN
	  FOR i IN 1..60 LOOP
		BEGIN
		  PERFORM enhanced_pool.exec('unasked', 'SELECT 1');
		EXCEPTION WHEN OTHERS THEN
		  INSERT INTO refused VALUES (SQLSTATE);
		END;
	  END LOOP;
	END $$;
	SELECT count(*) FROM refused WHERE sqlstate = '2F003'}),
	'60', 'and says so at once as long as it is not tried again');

define('nopassword', for => 'app', mapping => { password => undef });
fails_with($local, $use->('nopassword'), qr/ERROR:  (2F003|08001)/, 'none in the mapping');

define('optional', for => 'app', mapping => { user => 'trusted', password => undef, password_required => 'false' });
is($local->safe_psql('postgres', $use->('optional')), '1', 'a superuser has allowed it');

# What a superuser opened through PUBLIC's mapping must not serve others.
define('public', for => 'PUBLIC', mapping => { user => 'trusted', password => undef });
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('public', 'SELECT 1')"), '1', 'a superuser may use it');
fails_with($local, $use->('public'), qr/ERROR:  2F003/, 'others not, though a connection is open');
is($local->safe_psql('postgres', "SELECT active, idle FROM enhanced_pool.pools WHERE pool = 'public'"), '0|1', 'it is given back');
fails_with($local, "SET ROLE app; SELECT enhanced_pool.acquire('public')", qr/ERROR:  2F003/, 'nor through a lease');

define('shared', for => 'PUBLIC');
is($local->safe_psql('postgres', $use->('shared')), '1', 'with a password PUBLIC\'s mapping serves all');
fails_with($local, "SET ROLE stranger; SELECT enhanced_pool.exec('shared', 'SELECT 1')", qr/ERROR:  42501/, 'who has USAGE');

# What the owner of a server wants to be run on each connection is not run where no
# password was asked for, whoever uses the pool: it would run as whom this server is
# taken for.
$local->safe_psql('postgres', 'GRANT USAGE ON FOREIGN DATA WRAPPER enhanced_pool TO app');
$remote->safe_psql('postgres', 'GRANT CREATE ON SCHEMA public TO trusted');
my @require_auth = $local->pg_version >= 16 ? (require_auth => 'none') : ();

foreach my $case (
	[ 'own_password', 'app', { password => 'x' }, 'app' ],
	[ 'own_method', 'app', { password => 'x' }, 'app', @require_auth ],
	[ 'for_superuser', 'postgres', { password => 'x' }, 'postgres' ],
	[ 'for_all', 'PUBLIC', { password => undef }, 'postgres' ])
{
	my ($name, $for, $mapping, $user, @options) = @$case;

	$local->safe_psql('postgres', 'SET ROLE app;' . pool_sql($remote, $name, for => $for, initial_size => 1, min_size => 0,
			mapping => { user => 'trusted', %$mapping }, retry_attempts => 1, connect_query => "CREATE TABLE mark_$name ()", @options));
	fails_with($local, "SET ROLE $user; SELECT enhanced_pool.exec('$name', 'SELECT 1')", qr/ERROR:  2F003/, "$name: refused");
	is($remote->safe_psql('postgres', "SELECT to_regclass('mark_$name') IS NULL"), 't', 'and nothing was run');
	$local->safe_psql('postgres', "DROP SERVER $name CASCADE");
}

# It begins with the option: what was opened before does not serve afterwards.
$local->safe_psql('postgres', 'SET ROLE app;' . pool_sql($remote, 'later', for => 'PUBLIC', initial_size => 1, min_size => 0,
		mapping => { user => 'trusted', password => undef }, retry_attempts => 1));
is($local->safe_psql('postgres', "SELECT enhanced_pool.exec('later', 'SELECT 1')"), '1', 'a superuser may use a pool that runs nothing');
$local->safe_psql('postgres', "SET ROLE app; ALTER SERVER later OPTIONS (validation_query 'CREATE TABLE mark_later ()', validation_interval '1ms')");
fails_with($local, "SELECT enhanced_pool.exec('later', 'SELECT 1')", qr/ERROR:  2F003/, 'not once it does');
is($remote->safe_psql('postgres', "SELECT to_regclass('mark_later') IS NULL"), 't', 'and nothing was run');
$local->safe_psql('postgres', "DROP SERVER later CASCADE; REVOKE USAGE ON FOREIGN DATA WRAPPER enhanced_pool FROM app");

# An engine is a library that would be loaded into the worker.
fails_with($local, "ALTER SERVER asked OPTIONS (ADD sslkey 'some:key'); ALTER SERVER asked OWNER TO app; SET ROLE app; SELECT enhanced_pool.exec('asked', 'SELECT 1')",
	qr/ERROR:  42501: permission denied to use an SSL engine/, 'no engine for others than superusers');
$local->safe_psql('postgres', 'ALTER SERVER asked OWNER TO postgres; ALTER SERVER asked OPTIONS (DROP sslkey)');

# The environment of the server is not the mapping.
{
	local $ENV{PGPASSWORD} = $EnhancedPool::REMOTE_PASSWORD;
	local $ENV{PGUSER} = $EnhancedPool::REMOTE_USER;
	local $ENV{PGAPPNAME} = 'from the environment';
	$local->restart;
}
fails_with($local, $use->('nopassword'), qr/ERROR:  (2F003|08001)/, 'PGPASSWORD of the server lends nobody its password');
fails_with($local, "CREATE USER MAPPING FOR postgres SERVER nopassword OPTIONS (user 'ep_user'); SELECT enhanced_pool.exec('nopassword', 'SELECT 1')",
	qr/ERROR:  08001: .*(password|supplied)/s, 'not even to a superuser');

# Nobody reads a password in the views or the log.
is( $local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.config c, enhanced_pool.pools p WHERE c::text || p::text LIKE '%ep_secret%'"),
	'0', 'no view shows a password');
ok(!$local->log_contains(qr/enhanced_pool worker.*ep_secret/), 'nor does the worker log one');

check_clean($local, $remote, 20);
done_testing();
