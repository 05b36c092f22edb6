# Every line of the tables in doc/security.md that says what is kept off names tests,
# and every test that is named there exists: file, and the text by which it is found.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $doc = slurp_file("$top/doc/security.md");
my $named = qr/`(test\/[\w.\/]+)`: "([^"]+)"/;
my %text;
my %seen;
my $tables = 0;
my $shown = 0;

foreach my $line (split /\n/, $doc)
{
	# tables that say it in their head have it in the last cell of each row
	if ($line =~ /^\|/)
	{
		my $cell = (split /\|/, $line)[-1] =~ s/^\s+|\s+$//gr;

		if (!$shown) { $shown = $cell eq 'shown by' ? 1 : -1; $tables += $shown == 1; next; }
		next if $shown < 0 || $cell =~ /^-+$/;
		like($cell, qr/^$named(?:; $named)*$/, 'a test: ' . substr $line, 0, 70);
	}
	else { $shown = 0 }

	while ($line =~ /$named/g)
	{
		my ($file, $case) = ($1, $2);

		next if $seen{"$file: $case"}++;
		$text{$file} //= -e "$top/$file" ? slurp_file("$top/$file") : '';
		ok(index($text{$file}, $case) >= 0, "$file: $case");
	}
}
cmp_ok($tables, '>=', 6, 'there are tables');
cmp_ok(scalar(keys %seen), '>=', 60, 'and tests in them');

# what begins with that name is about nothing else
my @own = grep { !/security_doc/ } map { s/^\Q$top\E\///r } glob("$top/test/t/security_*.pl $top/test/sql/security*.sql");
cmp_ok(scalar(@own), '>=', 4, 'there are tests of their own');
is_deeply([ grep { !$text{$_} } @own ], [], 'all of them are named');

done_testing();
