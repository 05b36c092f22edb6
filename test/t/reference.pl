# doc/reference.md says what the catalogs say: every setting, parameter, function,
# view and column stands there, and nothing that does not exist.
#
# What is compared is read from the tables of the page: settings from the one that
# begins with "setting", parameters with "parameter", functions from every row that
# begins with `name(arguments)`, views from the headings under "Views".
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Utils;
use Test::More;

my $doc = "$FindBin::RealBin/../../doc";
my $reference = slurp_file("$doc/reference.md");
my $local = start_local();

# ask($sql): its rows as arrays of columns, NULL as undef
sub ask
{
	my ($sql) = @_;
	my $out = $local->safe_psql('postgres', "\\pset null '<null>'\n$sql");

	return map { [ map { $_ eq '<null>' ? undef : $_ } split /\|/, $_, -1 ] } split /\n/, $out;
}

# The rows of a table line: its cells, trimmed, or nothing.
sub cells
{
	my ($line) = @_;

	return unless $line =~ /^\|(.*)\|\s*$/;
	return map { s/^\s+|\s+$//gr } split /\|/, $1, -1;
}

# rows_under($head, $text): the rows of the tables whose first cell that is
sub rows_under
{
	my ($head, $text) = @_;
	my $table = '';
	my @rows;

	foreach my $line (split /\n/, $text)
	{
		my @cells = cells($line);

		if (!@cells) { $table = '' }
		elsif ($table eq '') { $table = $cells[0] }
		elsif ($table eq $head && $cells[0] !~ /^-+$/) { push @rows, \@cells }
	}
	return @rows;
}

sub unquoted { return $_[0] =~ s/^`(.*)`$/$1/r }

# ---------------------------------------------------------------- settings

# What the validator says to one option of a server or a user mapping.
$local->safe_psql('postgres', <<'SQL');
CREATE FUNCTION verdict(name text, value text, catalog regclass) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM enhanced_pool.enhanced_pool_fdw_validator(ARRAY[name || '=' || value], catalog);
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  RETURN sqlstate;
END $$;
CREATE SERVER p FOREIGN DATA WRAPPER enhanced_pool OPTIONS (host '127.0.0.1');
CREATE USER MAPPING FOR CURRENT_USER SERVER p;
SQL

my $session = start_session($local);

sub verdict
{
	my ($name, $value, $catalog) = @_;

	return $session->query_safe(
		"SELECT verdict('$name', \$_\$$value\$_\$, '" . ($catalog // 'pg_foreign_server') . q{')});
}

# Nobody may be shown a range that is not the real one: what is inside is accepted,
# what is outside is an invalid value.
sub range_is
{
	my ($name, $inside, $outside) = @_;
	my @wrong;

	foreach my $value (@$inside)
	{
		my $verdict = verdict($name, $value);

		push @wrong, "$value: $verdict" unless $verdict eq 'accepted';
	}
	foreach my $value (@$outside)
	{
		my $verdict = verdict($name, $value);

		push @wrong, "$value: $verdict" unless $verdict eq '22023';
	}
	is_deeply(\@wrong, [], "$name: range");
	return;
}

my %guc = map { $_->[0] => $_ } ask(<<'SQL');
SELECT substr(name, 15), vartype, unit, context, boot_val, min_val, max_val, array_to_string(enumvals, ', ')
FROM pg_settings WHERE name LIKE 'enhanced\_pool.%'
SQL
my %unit_in_config = map { $_->[0] => $_->[1] } ask('SELECT DISTINCT name, unit FROM enhanced_pool.config');
my @settings = rows_under('setting', $reference);
my @parameters = rows_under('parameter', $reference);

cmp_ok(scalar(@settings), '>', 30, 'the page has a table of settings');
is_deeply(
	[ sort map { unquoted($_->[0]) } @settings ],
	[ sort grep { $guc{$_}[3] ne 'postmaster' } keys %guc ],
	'the settings are those that exist');
is_deeply(
	[ sort map { unquoted($_->[0]) =~ s/^enhanced_pool\.//r } @parameters ],
	[ sort grep { $guc{$_}[3] eq 'postmaster' } keys %guc ],
	'and so are the parameters of the server');

my %vartype = (integer => 'integer', duration => 'real', real => 'real', boolean => 'bool', enum => 'enum', text => 'string');

# "30", "0 (off)", "`SELECT 1`", "(empty)" as the server writes them
sub default_of { return unquoted($_[0] =~ s/^\(empty\)$//r =~ s/ \(.*\)$//r) }

foreach my $row (@settings)
{
	my ($quoted, $type, $default, $range, $meaning) = @$row;
	my $name = unquoted($quoted);
	my $guc = $guc{$name} or next;		# reported above
	my (undef, $vartype, $unit, $context, $boot, $min, $max, $values) = @$guc;

	is($vartype, $vartype{$type}, "$name: type");
	is($unit, $type eq 'duration' ? 's' : undef, "$name: unit");
	is(default_of($default), $boot, "$name: default");
	ok(exists $unit_in_config{$name}, "$name is in the view config");
	is($unit_in_config{$name}, $unit, "$name: unit there");
	is($context, $meaning =~ /\b[Aa]lso by `SET`/ ? 'user' : 'sighup', "$name: whether SET may set it");
	is(verdict($name, $boot, 'pg_foreign_server'), 'accepted', "$name: option of a server");
	is(verdict($name, $boot, 'pg_user_mapping'), $meaning =~ /on a mapping HV00D/ ? 'HV00D' : 'accepted', "$name: option of a mapping");

	if ($type eq 'enum') { is($range, $values, "$name: values") }
	elsif ($type eq 'boolean') { is($range, '', "$name: no range") }
	elsif ($type eq 'text')
	{
		like($range, qr/^(not empty)?$/, "$name: range is that of texts");
		range_is($name, [ 'anything', $range ? () : '' ], $range ? [''] : []);
	}
	elsif ($type eq 'duration')
	{
		like($range, qr/^(0 = .+)?$/, "$name: range is that of durations");
		range_is($name, [ '1ms', '30d', $range ? 0 : () ], [ '0.0001', '31d', -1, $range ? () : 0 ]);
	}
	elsif ($range =~ /^([\d.]+) to ([\d.]+)(, or 0(?: = .+)?)?$/)
	{
		my ($from, $to, $zero) = ($1, $2, $3);
		my $step = $type eq 'integer' ? 1 : 0.001;

		range_is($name, [ $from, $to, $zero ? 0 : () ],
			[ $to + $step, -1, $from == 0 ? () : ($zero ? () : 0), $from > $step ? $from - $step : () ]);
	}
	else { fail("$name: \"$range\" is not a range that this test understands") }
}

foreach my $row (@parameters)
{
	my ($quoted, $default, $range) = @$row;
	my $name = unquoted($quoted) =~ s/^enhanced_pool\.//r;
	my $guc = $guc{$name} or next;
	my (undef, $vartype, undef, undef, $boot, $min, $max) = @$guc;

	is(default_of($default), $boot, "$name: default");
	is($range, $vartype eq 'string' ? '' : "$min to $max", "$name: range");
}

$session->quit;

# ---------------------------------------------------------------- functions

# Functions with the signatures of the page, so that the server compares what it has
# read itself.  P is a pool or a lease; "..." stands for no parameters, any, an array.
sub signatures
{
	my ($name, $arguments) = @_;
	my @all = ($arguments);

	@all = map { my $all = $_; map { $all =~ s/\bP\b/$_/r } 'pool text', 'lease bigint' } @all if $arguments =~ /\bP\b/;
	@all = map { my $all = $_; map { $all =~ s/, \.\.\.$/$_/r } '', ', VARIADIC params "any"', ', VARIADIC params text[]' } @all
	  if $arguments =~ /, \.\.\.$/;
	return map { "$name($_)" } @all;
}

my @wanted;
foreach my $row (map { [ cells($_) ] } grep { /^\| `\w+\(/ } split /\n/, $reference)
{
	my ($name, $arguments) = $row->[0] =~ /^`(\w+)\((.*)\)`$/
	  or fail("\"$row->[0]\" is a function"), next;
	my ($result) = $row->[1] =~ /^`([^`]+)`/ or fail("$name: \"$row->[1]\" begins with a type"), next;

	# names like "position" are words of SQL
	$result =~ s/^TABLE ?\((.*)\)$/'TABLE (' . join(', ', map { s{^(\w+) }{"$1" }r } split(m{, }, $1)) . ')'/e;
	push @wanted, map { "CREATE FUNCTION documented.$_ RETURNS $result LANGUAGE internal AS 'now'" } signatures($name, $arguments);
}
cmp_ok(scalar(@wanted), '>', 30, 'the page has tables of functions');
$local->safe_psql('postgres', join(";\n", 'SET search_path = enhanced_pool, public', 'CREATE SCHEMA documented', @wanted));

my $functions = <<'SQL';
SET search_path = pg_catalog;
SELECT format('%s(%s) %s', proname, pg_get_function_arguments(oid), pg_get_function_result(oid))
FROM pg_proc WHERE pronamespace = '%s'::regnamespace AND proname !~ '^_|_validator$'
SQL
is_deeply(
	[ sort map { $_->[0] } ask($functions =~ s/'%s'::regnamespace/'documented'::regnamespace/r) ],
	[ sort map { $_->[0] } ask($functions =~ s/'%s'::regnamespace/'enhanced_pool'::regnamespace/r) ],
	'the functions are those that exist: names, arguments, defaults, results');

# ---------------------------------------------------------------- views

my ($views) = $reference =~ /^## Views\n(.*?)(?=^## |\z)/ms;
my %documented;

foreach my $section (split /^(?=### )/m, $views)
{
	my ($view, $text) = $section =~ /^### ([a-z_]+)\n(.*)/s or next;

	foreach my $row (rows_under('column', $text))
	{
		my @names = $row->[0] =~ /`(\w+)`/g;
		my @types = split /, /, $row->[1];

		@types = (@types) x @names if @types == 1;
		is(scalar(@types), scalar(@names), "$view: as many types as columns: $row->[0]");
		push @{ $documented{$view} }, map { "$names[$_] " . ($types[$_] // '') } 0 .. $#names;
	}
}

my %columns;
my %in_all = map { $_ => 1 } 'datname text', 'pool text', 'role text';
push @{ $columns{ $_->[0] } }, "$_->[1] " . ($_->[2] =~ s/timestamp with time zone/timestamptz/r) foreach ask(<<'SQL');
SELECT relname, attname, format_type(atttypid, atttypmod)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0
WHERE relnamespace = 'enhanced_pool'::regnamespace AND relkind IN ('v', 'm', 'r') ORDER BY relname, attnum
SQL
is_deeply([ sort keys %documented ], [ sort keys %columns ], 'the views are those that exist');
foreach my $view (sort keys %columns)
{
	next unless $documented{$view};
	# which is said once for all views that begin so
	unshift @{ $documented{$view} }, 'datname text', 'pool text', 'role text'
	  unless grep { $in_all{$_} } @{ $documented{$view} };
	is_deeply($documented{$view}, $columns{$view}, "view $view: columns and types");
}

# ---------------------------------------------------------------- everything that is named

my %exists = map { $_->[0] => 1 } ask(<<'SQL');
SELECT proname FROM pg_proc WHERE pronamespace = 'enhanced_pool'::regnamespace
UNION SELECT relname FROM pg_class WHERE relnamespace = 'enhanced_pool'::regnamespace
UNION SELECT typname FROM pg_type WHERE typnamespace = 'enhanced_pool'::regnamespace
UNION SELECT substr(name, 15) FROM pg_settings WHERE name LIKE 'enhanced\_pool.%'
SQL
# names of files: enhanced_pool.control
my %file = map { $_ => 1 } qw(control so c);

foreach my $page ("$doc/../README.md", glob "$doc/*.md")
{
	my %named = map { $_ => 1 } slurp_file($page) =~ /\benhanced_pool\.([a-z]\w*)/g;

	is_deeply([ grep { !$exists{$_} && !$file{$_} } sort keys %named ], [], ($page =~ s{.*/}{}r) . ' names nothing that does not exist');
}

done_testing();
