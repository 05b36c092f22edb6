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
