# Remote and local databases of different encodings, over every way that a text goes:
# what both have arrives, what one of them has not is an error with the SQLSTATE of that,
# and the connection is used again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair();
my @encodings = ('UTF8', 'LATIN1', 'EUC_JP', 'SQL_ASCII');

# Texts by expressions that are ASCII.
my $eacute = q{convert_from('\xc3a9', 'UTF8')};
my $kanji = q{convert_from('\xe6bca2e5ad97', 'UTF8')};
my $emoji = q{convert_from('\xf09f9880', 'UTF8')};
my $byte = q{chr(233)};

foreach my $encoding (@encodings)
{
	my $db = lc $encoding;

	$_->safe_psql('postgres', "CREATE DATABASE $db ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'") foreach $local, $remote;
	$remote->safe_psql($db, 'CREATE TABLE target (x text); GRANT ALL ON target TO ep_user');
	$local->safe_psql($db, <<'SQL');
CREATE EXTENSION enhanced_pool;
CREATE TABLE here (x text);
CREATE FUNCTION state_of(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE sql;
  RETURN '00000';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
SQL
	define_pool($local, $remote, lc($_), db => $db, dbname => lc($_), max_size => 2, initial_size => 1, min_size => 0, retry_attempts => 1, health_check_interval => 0) foreach @encodings;
}

# A text from here to there (a parameter) and one from there to here (an expression).
my %to = (
	exec => q{SELECT enhanced_pool.exec('%1$s', 'SELECT $1::text', %2$s)},
	'in the statement' => q{SELECT enhanced_pool.exec('%1$s', format('SELECT %%L', %2$s))},
	execute_json => q{SELECT enhanced_pool.execute_json('%1$s', 'SELECT octet_length($1) AS n', %2$s)},
	sent => q{DO $d$ DECLARE l bigint := enhanced_pool.acquire('%1$s'); BEGIN PERFORM enhanced_pool.send(l, 'SELECT $1::text', %2$s); PERFORM enhanced_pool.get_count(l); END $d$},
	session => q{DO $d$ DECLARE l bigint := enhanced_pool.session('%1$s'); BEGIN PERFORM enhanced_pool.exec(l, 'INSERT INTO target VALUES ($1)', %2$s); END $d$},
	run_parallel => q{SELECT enhanced_pool.run_parallel('%1$s', ARRAY[enhanced_pool.op('SELECT $1::text', %2$s)])},
	run_in_transaction => q{SELECT enhanced_pool.run_in_transaction('%1$s', ARRAY[enhanced_pool.op('SELECT 1'), enhanced_pool.op('SELECT $1::text', %2$s)])},
	run_script => q{SELECT enhanced_pool.run_script('%1$s', format('SELECT 1; SELECT %%L', %2$s))},
	copy_to => q{SELECT enhanced_pool.copy_to('%1$s', 'target', $q$SELECT %2$s$q$)});
my %from = (
	execute => q{SELECT * FROM enhanced_pool.execute('%1$s', $q$SELECT %2$s$q$) AS t(x text)},
	'in an array' => q{SELECT * FROM enhanced_pool.execute('%1$s', $q$SELECT ARRAY[%2$s]$q$) AS t(x text[])},
	execute_as => q{SELECT * FROM enhanced_pool.execute_as(NULL::text, '%1$s', $q$SELECT %2$s$q$)},
	execute_json => q{SELECT * FROM enhanced_pool.execute_json('%1$s', $q$SELECT %2$s AS x$q$)},
	sent => q{DO $d$ DECLARE l bigint := enhanced_pool.acquire('%1$s'); BEGIN PERFORM enhanced_pool.send(l, $q$SELECT %2$s AS x$q$); PERFORM enhanced_pool.get_result_json(l); END $d$},
	run_parallel => q{SELECT enhanced_pool.run_parallel('%1$s', ARRAY[$q$SELECT %2$s AS x$q$])},
	run_in_transaction => q{SELECT enhanced_pool.run_in_transaction('%1$s', ARRAY[$q$SELECT %2$s AS x$q$])},
	broadcast_as => q{SELECT enhanced_pool.broadcast_as(NULL::text, ARRAY['%1$s'], $q$SELECT %2$s$q$)},
	'in an error' => q{SELECT enhanced_pool.exec('%1$s', $q$SELECT (%2$s || ' is no number')::int$q$)},
	copy_from => q{SELECT enhanced_pool.copy_from('%1$s', $q$SELECT %2$s$q$, 'here')});

# tried($db, $pool, $ways, $text): the SQLSTATEs of all ways, those that are equal once; and
# whether the connection stayed the same one.
sub tried
{
	my ($db, $pool, $ways, $text) = @_;
	my $pid = "(SELECT pid FROM enhanced_pool.execute('$pool', 'SELECT pg_backend_pid()') AS t(pid int))";
	my $sql = "CREATE TEMP TABLE tried (way text, state text); SET client_min_messages = error; CREATE TEMP TABLE before AS SELECT $pid AS pid;";

	foreach my $way (sort keys %$ways)
	{
		my $try = sprintf($ways->{$way}, $pool, $text);

		$sql .= "INSERT INTO tried VALUES (\$w\$$way\$w\$, state_of(\$s\$$try\$s\$));\n";
	}
	return $local->safe_psql($db, "$sql SELECT string_agg(DISTINCT state, ' '), (SELECT pid FROM before) = $pid FROM tried");
}

# what both have
my @same = ([ utf8 => 'latin1', $eacute ], [ utf8 => 'euc_jp', $kanji ], [ utf8 => 'utf8', $emoji ], [ utf8 => 'sql_ascii', $eacute ], [ euc_jp => 'utf8', $kanji ],
	[ euc_jp => 'euc_jp', $kanji ], [ latin1 => 'utf8', $eacute ], [ latin1 => 'latin1', $eacute ]);
foreach (@same)
{
	my ($db, $pool, $text) = @$_;

	is(tried($db, $pool, \%to, $text), '00000|t', "from $db to $pool: what both have");
	next if $pool eq 'sql_ascii';
	my %good = %from;
	delete $good{'in an error'};
	is(tried($db, $pool, \%good, $text), '00000|t', "from $pool to $db: the same");
	is($local->safe_psql($db, "TRUNCATE here; SELECT enhanced_pool.exec('$pool', 'TRUNCATE target'), enhanced_pool.copy_to('$pool', 'target', \$q\$SELECT $text\$q\$),
			enhanced_pool.copy_from('$pool', 'SELECT x FROM target', 'here'), (SELECT x = $text FROM enhanced_pool.execute('$pool', 'SELECT x FROM target') AS t(x text));
			SELECT x = $text FROM here"), "0|1|1|t\nt", 'and is the same text there and back');
}

# what one has not
is(tried('utf8', $_, \%to, $emoji), '22P05|t', "utf8 to $_: what it has not") foreach 'latin1', 'euc_jp';
is(tried($_, 'utf8', \%from, $emoji), '22P05|t', "utf8 to $_: nor can the remote server send it") foreach 'latin1', 'euc_jp';
# bytes that the remote server does not look at
is(tried($_, 'sql_ascii', \%from, $byte), '22021|t', "sql_ascii to $_: bytes that are none of its characters") foreach 'utf8', 'euc_jp';
is(tried('sql_ascii', 'utf8', \%to, $byte), '22021|t', 'sql_ascii to utf8: bytes that the remote server refuses');
is(tried('sql_ascii', 'latin1', \%to, $byte), '00000|t', 'sql_ascii to latin1: bytes that are a character there');
is($local->safe_psql('sql_ascii', "SELECT octet_length(x) FROM enhanced_pool.execute('utf8', \$q\$SELECT $eacute\$q\$) AS t(x text)"), '2', 'utf8 to sql_ascii: as bytes');
# between these PostgreSQL has no conversion
foreach ([ latin1 => 'euc_jp' ], [ euc_jp => 'latin1' ])
{
	my ($db, $pool) = @$_;
	my ($status, $out, $err) = $local->psql($db, "\\set VERBOSITY verbose\nSELECT enhanced_pool.exec('$pool', 'SELECT 1')", on_error_die => 0);

	like($err, qr/ERROR:  08001: could not connect to pool "$pool"\nDETAIL:  .*conversion between \w+ and \w+ is not supported/, "$db to $pool: no connection");
}

check_clean($local, $remote, 32);
done_testing();
