# Fifty sessions move amounts between the books of two servers, in one local
# transaction each, while one of the servers is restarted.  What is in one book is
# in the other and in the local one, but for transfers that were told that nobody
# knows (08007); these are counted.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 50;
my $each = 2000;	# at most: they end when both restarts are behind them
my $remote = start_remote(name => 'remote');
my $other = start_remote(name => 'other');
my $local = start_local();

foreach my $node ($remote, $other)
{
	$node->safe_psql('postgres', 'CREATE TABLE book (tag int PRIMARY KEY, amount int); GRANT ALL ON book TO ep_user');
}
define_pool($local, $remote, 'a', max_size => 8, min_size => 0);
define_pool($local, $other, 'b', max_size => 8, min_size => 0, circuit_breaker_recovery => '200ms', retry_backoff => '100ms');
$local->safe_psql('postgres', <<'SQL');
CREATE TABLE over ();
CREATE TABLE mine (tag int PRIMARY KEY, amount int);
CREATE FUNCTION transfer(tag int, amount int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  a bigint := enhanced_pool.session('a');
  b bigint := enhanced_pool.session('b');
BEGIN
  INSERT INTO mine VALUES (tag, amount);
  PERFORM enhanced_pool.exec(a, 'INSERT INTO book VALUES ($1, -$2)', tag, amount);
  BEGIN
    PERFORM enhanced_pool.exec(b, 'INSERT INTO book VALUES ($1, 1000000)', tag);
    RAISE division_by_zero;
  EXCEPTION WHEN division_by_zero THEN
    NULL;
  END;
  PERFORM enhanced_pool.exec(b, 'INSERT INTO book VALUES ($1, $2)', tag, amount);
END $$;
SQL

# --------------------------------------------------------------------- transfers

my $dir = PostgreSQL::Test::Utils::tempdir();
my @running;

foreach my $client (0 .. $clients - 1)
{
	my $script = "\\set VERBOSITY sqlstate\n";

	foreach my $n (1 .. $each)
	{
		my $tag = $client * $each + $n;

		$script .= "SELECT EXISTS (SELECT FROM over) AS over \\gset\n\\if :over\n\\q\n\\endif\n\\echo begins $tag\n"
		  . "SELECT transfer($tag, " . (1 + $tag % 97) . ");\n\\echo $tag :SQLSTATE\n"
		  . "\\if :ERROR\nSELECT pg_sleep(0.1);\n\\endif\n";
	}
	append_to_file("$dir/$client.sql", $script);
	push @running, start([ 'psql', '-XAtq', '-d', $local->connstr('postgres'), '-f', "$dir/$client.sql" ], '<', '/dev/null', '>', "$dir/$client.out", '2>', '/dev/null');
}

# Waits until a hundred more have been done.
sub some_more
{
	my $wanted = $local->safe_psql('postgres', 'SELECT count(*) + 100 FROM mine');

	ok($local->poll_query_until('postgres', "SELECT count(*) >= $wanted FROM mine"), 'transfers are made');
	return;
}

# One that is restarted in order, and once like after a crash.
foreach my $mode ('fast', 'immediate')
{
	some_more();
	$other->stop($mode);
	$other->start;
}
some_more();
$local->safe_psql('postgres', 'INSERT INTO over DEFAULT VALUES');
finish($_) foreach @running;

# ------------------------------------------------------------------------- books

my %states;
my %told;
my $begun = 0;
foreach my $client (0 .. $clients - 1)
{
	my $output = slurp_file("$dir/$client.out");

	$begun += () = $output =~ /^begins \d+$/mg;
	while ($output =~ /^(\d+) (\w{5})$/mg)
	{
		$told{$1} = $2;
		$states{$2}++;
	}
}
note(join ', ', map { "$_: $states{$_}" } sort keys %states);
is(scalar(keys %told), $begun, 'every transfer ended');
cmp_ok($states{'00000'}, '>', 200, 'many of them well');
cmp_ok($begun - $states{'00000'}, '>', 0, 'some were hit');
is(join(' ', grep { !/^(00000|08001|08006|08007|57P01|57P03|53300)$/ } keys %states), '', 'with an error that says what it was');

# book($node, $table, $sign): amounts by tag
sub book
{
	my ($node, $table, $sign) = @_;

	return { map { split /\|/ } split /\n/, $node->safe_psql('postgres', "SELECT tag, $sign * amount FROM $table") };
}

my ($here, $there, $elsewhere) = (book($local, 'mine', 1), book($remote, 'book', -1), book($other, 'book', 1));
my (@torn, @wrong);
my $sum = 0;
foreach my $tag (sort { $a <=> $b } keys %told)
{
	my @seen = map { $_->{$tag} // '-' } $here, $there, $elsewhere;
	my $whole = $seen[0] eq $seen[1] && $seen[1] eq $seen[2];

	if ($told{$tag} eq '08007')
	{
		push @torn, "$tag: @seen" unless $whole;
		push @wrong, "$tag told 08007: @seen" if $seen[0] ne '-';
		next;
	}
	push @wrong, "$tag told $told{$tag}: @seen" if !$whole || ($told{$tag} eq '00000') != ($seen[0] ne '-');
	$sum += ($seen[2] eq '-' ? 0 : $seen[2]) - ($seen[1] eq '-' ? 0 : $seen[1]);
}
is(join("\n", @wrong), '', 'the books agree with each other and with what was told');
is($sum, 0, 'and their sum is what it was');
note(($states{'08007'} // 0) . ' transfers of which nobody knew, ' . @torn . ' of them on one side only');

check_clean($local, $remote, 8);
check_clean($local, $other, 8);
done_testing();
