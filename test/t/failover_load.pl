# Failover while many sessions write through a pool of two hosts: writes resume by
# themselves, after a promotion beside a demoted primary that still answers, and after
# one in place of a primary that is gone.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use Load;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $first = start_remote(name => 'first', streaming => 1);
my $second = start_standby($first, 'second');
my $local = start_local();
my @settings = (max_size => 8, target_session_attrs => 'read-write', retry_backoff => '50ms', circuit_breaker_recovery => '200ms', connect_timeout => '5s');

sub pools_connections
{
	my ($node, $pool) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'enhanced_pool/$pool'");
}

# What may happen to a statement meanwhile: no connection can be made (08001), the breaker
# is open (57P03), the connection is lost or ended (08006, 57P01, 57P02), nothing can be
# written there (25006).
my $allowed = '08001|08006|25006|57P01|57P02|57P03';

# ------------------------------------------------------- a demoted primary that still answers

$first->safe_psql('postgres', 'CREATE TABLE w (id bigserial); GRANT ALL ON w, w_id_seq TO ep_user');
$first->wait_for_catchup($second);
define_pool($local, $first, 'demoted', @settings, options_of_hosts($first, $second));
my $load = start_load($local, 'demoted', 30);
$first->safe_psql('postgres', 'ALTER SYSTEM SET default_transaction_read_only = on');
$first->reload;
ok(poll_until(sub { my %errors = load_errors($load); $errors{25006} }), 'the primary is demoted: who writes sees it');
ok(poll_until(sub { pools_connections($first, 'demoted') == 0 }), 'all leave it, although it answers');
$second->promote;
load_goes_on($load, 'writes resume on the other host', 500);
is($second->safe_psql('postgres', 'SELECT count(*) > 0 FROM w'), 't', 'where they are found');
is(pools_connections($first, 'demoted'), 0, 'nothing leads to the old one');
is($local->safe_psql('postgres', "SELECT breaker FROM enhanced_pool.pools WHERE pool = 'demoted'"), 'closed', 'the breaker is closed');
stop_load($load);
tell_errors($load, $allowed);
check_clean($local, $_, 8) foreach $first, $second;

# ------------------------------------------------------------------ a primary that is gone

my $third = start_standby($second, 'third');
define_pool($local, $second, 'gone', @settings, options_of_hosts($second, $third));
$load = start_load($local, 'gone', 30);
$second->stop('immediate');
ok(poll_until(sub { my %errors = load_errors($load); keys %errors > 0 }), 'the primary is gone: who writes sees it');
$third->promote;
load_goes_on($load, 'writes resume on the standby that was promoted', 500);
stop_load($load);
tell_errors($load, $allowed);
cmp_ok(pools_connections($third, 'gone'), '>', 0, 'connections lead there');
check_clean($local, $third, 16);
done_testing();
