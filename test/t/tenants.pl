# Row-level security on the remote, keyed on a setting that follows the local
# session's: fifty tenants at once on five connections never see each other's rows,
# whatever fails or is cancelled in between, also where nothing is ever reset.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $max_size = 5;
my $cutters = 4;
my $clients = 46;
my $transactions = 40;
my ($local, $remote) = start_pair();

$remote->safe_psql('postgres', q{
CREATE TABLE docs (tenant text NOT NULL DEFAULT current_setting('app.tenant_id'), n int);
CREATE TABLE changing (tenant text, n int, a text);
INSERT INTO docs SELECT 't' || t, n FROM generate_series(0, 60) t, generate_series(1, 10) n;
INSERT INTO changing SELECT 't' || t, n FROM generate_series(0, 60) t, generate_series(1, 10) n;
ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
ALTER TABLE changing ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON docs USING (tenant = current_setting('app.tenant_id', true));
CREATE POLICY own ON changing USING (tenant = current_setting('app.tenant_id', true));
GRANT ALL ON docs, changing TO ep_user;
-- a statement that cannot run in a transaction block sees the tenant throughout
CREATE PROCEDURE check_tenant(expected text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 2 LOOP
    IF current_setting('app.tenant_id', true) IS DISTINCT FROM expected THEN
      RAISE 'crossed: % called, but it is %', expected, current_setting('app.tenant_id', true) USING ERRCODE = 'XX001';
    END IF;
    COMMIT;
  END LOOP;
END $$});

# Each function is called with some tenant set, and finds out whether a remote row of another is seen.
$local->safe_psql('postgres', q{
CREATE FUNCTION tenant() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('app.tenant_id', true) $$;
CREATE FUNCTION complain(what text, n bigint, others bigint, expected bigint DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF others <> 0 OR n < coalesce(expected, 10) OR n > expected THEN
    RAISE 'crossed: tenant % saw % rows and % of others (%)', tenant(), n, others, what USING ERRCODE = 'XX001';
  END IF;
END $$;
CREATE FUNCTION read_once(pool text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  SELECT count(*) AS n, count(*) FILTER (WHERE t <> tenant()) AS others INTO r
    FROM enhanced_pool.execute(pool, 'SELECT tenant FROM docs') AS d(t text);
  PERFORM complain('execute', r.n, r.others);
  BEGIN
    SELECT count(*) AS n, count(*) FILTER (WHERE t <> tenant()) AS others INTO r
      FROM enhanced_pool.execute(pool, 'SELECT * FROM changing') AS d(t text, n int, a text);
    PERFORM complain('changing', r.n, r.others, 10);
  EXCEPTION WHEN feature_not_supported THEN
    NULL; -- it has changed once more between being prepared anew and being run
  END;
  SELECT count(*) AS n, count(*) FILTER (WHERE d->>'tenant' <> tenant()) AS others INTO r
    FROM enhanced_pool.execute_json(pool, 'SELECT tenant FROM docs WHERE n <= $1', 10) AS d;
  PERFORM complain('execute_json', r.n, r.others);
END $$;
CREATE FUNCTION read_lease(lease bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  SELECT count(*) AS n, count(*) FILTER (WHERE t <> tenant()) AS others INTO r
    FROM enhanced_pool.execute(lease, 'SELECT tenant FROM docs') AS d(t text);
  PERFORM complain('lease', r.n, r.others);
END $$;
CREATE FUNCTION write_once(pool text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  SELECT count(*) AS n, count(*) FILTER (WHERE t <> tenant()) AS others INTO r
    FROM enhanced_pool.execute(pool, 'INSERT INTO docs (n) VALUES ($1) RETURNING tenant', 11) AS d(t text);
  PERFORM complain('insert', r.n, r.others, 1);
  PERFORM enhanced_pool.exec(pool, 'DELETE FROM docs WHERE n > 10');
  PERFORM enhanced_pool.exec(pool, 'CALL check_tenant(' || quote_literal(tenant()) || ')');
  PERFORM enhanced_pool.run_script(pool, format('CALL check_tenant(%L)', tenant()));
END $$;
CREATE FUNCTION nobody(pool text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r record;
  mine text := tenant();
BEGIN
  PERFORM set_config('app.tenant_id', '', false);
  SELECT count(*) AS n, count(*) AS others INTO r FROM enhanced_pool.execute(pool, 'SELECT tenant FROM docs') AS d(t text);
  PERFORM complain('nobody', r.n, r.others, 0);
  PERFORM enhanced_pool.exec(pool, 'CALL check_tenant('''')');
  SELECT count(*) AS n, count(*) AS others INTO r
    FROM enhanced_pool.execute(enhanced_pool.acquire(pool), 'SELECT tenant FROM docs') AS d(t text);
  PERFORM complain('nobody, lease', r.n, r.others, 0);
  PERFORM set_config('app.tenant_id', mine, false);
END $$;
-- several tenants in one session, on one lease, in and out of its own transactions
CREATE FUNCTION change(pool text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lease bigint := enhanced_pool.acquire(pool);
  mine text := tenant();
BEGIN
  PERFORM read_lease(lease);
  PERFORM set_config('app.tenant_id', 't51', false);
  PERFORM read_lease(lease);
  PERFORM enhanced_pool.exec(lease, 'BEGIN');
  PERFORM read_lease(lease);
  PERFORM enhanced_pool.exec(lease, 'SAVEPOINT s');
  PERFORM set_config('app.tenant_id', 't52', false);
  PERFORM read_lease(lease);
  BEGIN
    PERFORM set_config('app.tenant_id', 't53', false);
    PERFORM enhanced_pool.exec(lease, 'SELECT 1 / (random() * 0)::int');
  EXCEPTION WHEN division_by_zero THEN
    NULL;
  END;
  PERFORM enhanced_pool.exec(lease, 'ROLLBACK TO s');
  PERFORM read_lease(lease);
  PERFORM enhanced_pool.exec(lease, 'ROLLBACK');
  PERFORM read_lease(lease);
  PERFORM enhanced_pool.exec(lease, 'SET app.tenant_id = ''t54''');
  PERFORM read_lease(lease);
  PERFORM enhanced_pool.exec(lease, 'SELECT set_config(''app.tenant_id'', ''t54'', false)');
  PERFORM read_lease(lease);
  PERFORM enhanced_pool.exec(lease, 'DO ''BEGIN PERFORM set_config($x$app.tenant_id$x$, $x$t54$x$, false); END''');
  PERFORM read_lease(lease);
  IF pool <> 'never' THEN -- nobody would ever notice
    PERFORM enhanced_pool.exec(lease, 'DO ''BEGIN EXECUTE $x$DEALLOCATE ALL$x$; END''');
  END IF;
  PERFORM read_lease(lease);
  PERFORM set_config('app.tenant_id', mine, false);
  PERFORM read_lease(lease);
  PERFORM enhanced_pool.exec(lease, 'CALL check_tenant(' || quote_literal(tenant()) || ')');
END $$;
-- and in a session, with savepoints that are released and rolled back to
CREATE FUNCTION follow(pool text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lease bigint := enhanced_pool.session(pool);
  mine text := tenant();
BEGIN
  PERFORM read_lease(lease);
  BEGIN
    PERFORM set_config('app.tenant_id', 't55', false);
    PERFORM read_lease(lease);
    BEGIN
      PERFORM set_config('app.tenant_id', 't56', false);
      PERFORM read_lease(lease);
      PERFORM enhanced_pool.exec(lease, 'SELECT 1 / (random() * 0)::int');
    EXCEPTION WHEN division_by_zero THEN
      PERFORM read_lease(lease);
      PERFORM set_config('app.tenant_id', 't56', false);
      PERFORM read_lease(lease);
    END;
    PERFORM read_lease(lease);
    PERFORM enhanced_pool.run_script(lease, format('INSERT INTO docs (n) VALUES (11); UPDATE docs SET tenant = %L WHERE n = 11', tenant()));
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN
    NULL;
  END;
  PERFORM read_lease(lease);
  PERFORM set_config('app.tenant_id', mine, false);
  PERFORM read_lease(lease);
END $$;
CREATE FUNCTION fail(pool text, how int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  CASE how
    WHEN 1 THEN
      PERFORM enhanced_pool.exec(pool, 'SELECT 1 / (random() * 0)::int');
    WHEN 2 THEN
      PERFORM * FROM enhanced_pool.execute(pool, 'SELECT repeat(''x'', 100) FROM generate_series(1, 1000)') AS t(n int);
    WHEN 3 THEN
      PERFORM set_config('enhanced_pool.query_timeout', '2ms', true);
      PERFORM enhanced_pool.exec(pool, 'SELECT pg_sleep(60)');
    WHEN 4 THEN
      PERFORM enhanced_pool.exec(enhanced_pool.acquire(pool), 'BEGIN');
      RAISE division_by_zero;
    WHEN 5 THEN
      PERFORM set_config('app.tenant_id', repeat('x', 2000), true);
      PERFORM enhanced_pool.exec(pool, 'SELECT 1');
  END CASE;
EXCEPTION WHEN division_by_zero OR invalid_text_representation OR query_canceled OR datatype_mismatch OR invalid_parameter_value THEN
  PERFORM set_config('enhanced_pool.query_timeout', '0', true);
  PERFORM read_once(pool);
END $$});

my %scripts = (
	read => [ 6, q{SELECT read_once(:pool);} ],
	write => [ 3, q{SELECT write_once(:pool);} ],
	nobody => [ 2, q{SELECT nobody(:pool);} ],
	change => [ 3, q{SELECT change(:pool);} ],
	follow => [ 3, q{SELECT follow(:pool);} ],
	fail => [ 2, q{SELECT fail(:pool, :how);} ]);

# begin_crowd($pool): pgbench with a tenant for each client, as a harness and its output.
sub begin_crowd
{
	my ($pool) = @_;
	my $run = { out => '' };
	my @files;

	foreach my $name (sort keys %scripts)
	{
		my ($weight, $text) = @{ $scripts{$name} };
		my $file = $local->basedir . "/$name.$pool";

		$text =~ s/:pool/'$pool'/g;
		append_to_file($file, "\\set how random(1, 5)\nSELECT set_config('app.tenant_id', 't' || :client_id, false);\n$text\n");
		push @files, '-f', "$file\@$weight";
	}
	$run->{harness} = start([ 'pgbench', '-n', '-h', $local->host, '-p', $local->port,
			'-c', $clients, '-j', 2, '-t', $transactions, @files, 'postgres' ], '<', \undef, '>&', \$run->{out});
	return $run;
}

# Statements that are cut off at any moment by tenants of their own; their errors are expected.
sub begin_cutter
{
	my ($pool, $tenant) = @_;
	my $run = { in => "\\set VERBOSITY verbose\nSET app.tenant_id = '$tenant';\n", out => '', err => '' };

	foreach my $n (1 .. 60)
	{
		my $ms = 1 + $n % 7;

		$run->{in} .= "SET statement_timeout = $ms;\n"
		  . ($n % 2 ? "SELECT count(*) FROM enhanced_pool.execute('$pool', 'SELECT tenant FROM docs, generate_series(1, 2000)') AS t(a text);\n"
			: 'SELECT ' . ($n % 4 ? 'change' : 'follow') . "('$pool');\n")
		  . "SET statement_timeout = 0; SET app.tenant_id = '$tenant'; SELECT read_once('$pool');\n";
	}
	$run->{harness} = start([ 'psql', '-XAtq', '-d', $local->connstr('postgres') ],
		'<', \$run->{in}, '>', \$run->{out}, '2>', \$run->{err});
	return $run;
}

foreach my $reset ('auto', 'never')
{
	define_pool($local, $remote, $reset,
		for => 'PUBLIC', max_size => $max_size, initial_size => $max_size, min_size => $max_size, reset => $reset,
		propagate_settings => 'app.tenant_id, TimeZone');
	my $crowd = begin_crowd($reset);
	my @cut = map { begin_cutter($reset, 't' . ($clients + $_)) } 0 .. $cutters - 1;
	my $type = 0;

	# meanwhile prepared statements go stale: the type of their result changes
	while ($crowd->{harness}->pumpable)
	{
		$crowd->{harness}->pump_nb;
		$remote->safe_psql('postgres', 'ALTER TABLE changing ALTER a TYPE ' . ($type++ % 2 ? 'text' : 'varchar(99)'));
	}
	ok(finish($crowd->{harness}), "reset $reset: nobody saw another tenant's rows") or diag($crowd->{out});
	my $all = $clients * $transactions;
	like($crowd->{out}, qr{actually processed: $all/$all}, 'and everybody saw their own');
	cmp_ok($type, '>', 2, 'prepared statements went stale');
	foreach my $run (@cut)
	{
		ok(finish($run->{harness}), 'who was cut off went on');
		unlike($run->{err}, qr/ERROR:  (?!57014)/, 'and nothing but cancels was reported') or diag($run->{err});
		like($run->{err}, qr/57014/, 'some of them');
	}
	is( $local->safe_psql('postgres', "SELECT size <= $max_size, active FROM enhanced_pool.pools WHERE pool = '$reset'"),
		't|0', 'few connections were enough, and all are back');
	is( $local->safe_psql('postgres', "SELECT count(*) FROM enhanced_pool.execute('$reset', 'SELECT tenant FROM docs') AS t(a text)"),
		'0', 'who is no tenant sees nothing');
}
is($remote->safe_psql('postgres', 'SELECT count(*) FROM docs WHERE n > 11'), '0', 'no row of an unknown tenant');
my @bad = grep { /PANIC|FATAL:  (?!canceling|terminating)|TRAP|ERROR:  crossed/ } split /\n/, slurp_file($local->logfile);
is("@bad", '', 'nothing bad in the log');

done_testing();
