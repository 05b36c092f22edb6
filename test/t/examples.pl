# The SQL examples of README.md and doc/*.md are run, in their order, as a reader
# would: what stands for his own server and certificate (db1.example.com and
# db2.example.com, 5432, '/etc/postgresql/remote-ca.crt') is replaced, nothing else.
#
# Each page has a local database and a remote one of its own; each block is a psql of
# its own.  A comment before a block says what differs from a superuser's psql that
# must not meet an error:
#
#	<!-- run: as ROLE -->			by that role
#	<!-- run: remote -->			on the remote server, before the blocks of every page
#	<!-- run: fails with SQLSTATE -->	and this is the last error (also with "as ROLE, ")
#	<!-- run: no -->				not at all
#
# A block after <!-- output --> is what psql prints for the one before it.  Blocks in
# other languages are not run here; test/drivers/snippets.py runs those of
# doc/drivers.md.
#
# The remote takes nothing but TLS, with and without TLS=1.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my @pages = ('README.md', 'doc/examples.md', 'doc/reference.md', grep { !m{/(examples|reference)\.md$} } map { s{^\Q$top\E/}{}r } sort glob "$top/doc/*.md");

# blocks($page): hashes with line, text, expected output, and what the comment says
sub blocks
{
	my ($page) = @_;
	my (@blocks, $how, $output, $block);
	my $line = 0;

	foreach (split /\n/, slurp_file("$top/$page"))
	{
		$line++;
		if ($block && /^```$/)
		{
			if ($block->{kind} eq 'output') { $blocks[-1]{expected} = $block->{text} }
			else { push @blocks, $block }
			undef $block;
		}
		elsif ($block) { $block->{text} .= "$_\n" }
		elsif (/^<!-- run: (.*) -->$/) { $how = $1 }
		elsif (/^<!-- output -->$/) { $output = 1 }
		elsif (/^```(\w*)/)
		{
			$block = { line => $line, text => '', how => $how // '', kind => $output ? 'output' : $1 };
			die "$page, line $line: output of nothing" if $output && !@blocks;
			die "$page, line $line: only SQL is run" if defined $how && $1 ne 'sql';
			undef $how;
			undef $output;
		}
	}
	die "$page: a comment without a block, or a block without an end" if defined $how || $output || $block;
	@blocks = grep { $_->{kind} eq 'sql' } @blocks;
	foreach my $b (@blocks)
	{
		die "$page, line $b->{line}: \"$b->{how}\" is not understood"
		  unless $b->{how} =~ /^(?:no|remote|(?:as (?<role>\w+))?(?:(?:^|, )fails with (?<fails>\w{5}))?)$/;
		@$b{qw(role fails)} = @+{qw(role fails)};
	}
	return @blocks;
}

my $remote = start_remote(tls => 1);
my $certificate = tls_of($remote)->{cert};
my $local = start_local();

EnhancedPool::put_first_in_hba($remote, 'hostssl all report 127.0.0.1/32 scram-sha-256');
$remote->reload;

# What a reader puts in place of what is the author's.
sub of_reader
{
	my ($sql) = @_;
	my $port = $remote->port;

	return $sql =~ s/\bdb[12]\.example\.com\b/127.0.0.1/gr =~ s/\b5432\b/$port/gr
	  =~ s{'/etc/postgresql/remote-ca\.crt'}{'$certificate'}gr;
}

sub run_block
{
	my ($node, $db, $page, $block) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @as = $block->{role} ? ('-U', $block->{role}) : ();
	my ($out, $err) = ('', '');
	my @psql = ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=sqlstate', '-P', 'pager=off', '-d', $node->connstr($db), @as, '-f', '-');

	IPC::Run::run(\@psql, '<', \of_reader($block->{text}), '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	my ($error) = $err =~ /^psql:.*?: ERROR:  (\w{5})$/m;
	my $where = "$page, line $block->{line}";

	is($error // ($err =~ /error:|FATAL/ ? $err : 'no error'), $block->{fails} // 'no error', $where)
	  or diag("$block->{text}\n$out\n$err");
	is(plain($out), plain($block->{expected}), "$where: what it prints") if defined $block->{expected};
	return;
}

# without blanks at the end of lines, and empty lines at the ends
sub plain { return $_[0] =~ s/[ \t]+$//gmr =~ s/\A\n+//r =~ s/\n+\z/\n/r }

my %blocks = map { $_ => [ blocks($_) ] } @pages;
my @remote = map { my $page = $_; map { [ $page, $_ ] } grep { $_->{how} eq 'remote' } @{ $blocks{$page} } } @pages;

cmp_ok(scalar(@remote), '>', 0, 'the examples say what the remote server has to have');
foreach my $page (@pages)
{
	my @to_run = grep { $_->{how} !~ /^(no|remote)$/ } @{ $blocks{$page} };
	my $db = 'examples_' . ($page =~ s{.*/|\.md$}{}gr =~ s/\W/_/gr);

	next unless @to_run;
	note("$page: " . scalar(@to_run) . ' examples');
	run_block($remote, 'postgres', @$_) foreach @remote;
	$local->safe_psql('postgres', qq{CREATE DATABASE "$db"});
	$local->safe_psql('postgres', 'CREATE ROLE app LOGIN');
	# reference.md does not say how the extension is created
	$local->safe_psql($db, 'CREATE EXTENSION enhanced_pool') unless grep { $_->{text} =~ /^CREATE EXTENSION enhanced_pool;/m } @to_run;
	run_block($local, $db, $page, $_) foreach @to_run;

	# as if nothing had been
	ok($local->poll_query_until('postgres', 'SELECT count(*) = 0 FROM enhanced_pool.leases'), "$page: no lease is left");
	$local->safe_psql('postgres', qq{DROP DATABASE "$db" WITH (FORCE)});
	$local->safe_psql('postgres', 'DROP ROLE app');
	$local->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
	$local->reload;
	$remote->safe_psql('postgres', 'DROP DATABASE analytics WITH (FORCE)');
	$remote->safe_psql('postgres', 'DROP ROLE report');
}
cmp_ok(scalar(map { @$_ } values %blocks), '>', 20, 'there are examples');
done_testing();
