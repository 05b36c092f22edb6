# Memory.pm: what stands in the memory of the servers of a test.
#
#	skip_without_memory($node);
#	my @where = in_shared_memory($node, 'word');	# names as in pg_shmem_allocations
#	my @found = in_private_memory($pid, 'word');	# what follows each of them
#
# A process may read the memory of others of its user unless the kernel forbids
# it (kernel.yama.ptrace_scope, containers without ptrace).

package Memory;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(skip_without_memory in_shared_memory in_private_memory);

# So many bytes are looked at in one go, and so many after what was found.
my $piece = 4 * 1024 * 1024;
my $behind = 128;

sub postmaster_pid
{
	my ($node) = @_;

	return (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
}

# skip_without_memory($node): ends the test file with a reason if nothing can be read.
sub skip_without_memory
{
	my ($node) = @_;
	my $pid = postmaster_pid($node);
	my ($first) = map { hex((split /-/)[0]) } grep { / r/ } split /\n/, slurp_file("/proc/$pid/maps");
	my $memory;
	my $byte;

	return if open($memory, '<:raw', "/proc/$pid/mem") && sysseek($memory, $first, 0) && sysread($memory, $byte, 1);
	plan skip_all => "the memory of other processes cannot be read here: $!";
	return;
}

# regions($pid, $shared): [begin, end] of the readable and writable memory that the
# process shares with others, or that is its own.
sub regions
{
	my ($pid, $shared) = @_;
	my @regions;

	foreach my $line (split /\n/, slurp_file("/proc/$pid/maps"))
	{
		my ($begin, $end, $kind) = $line =~ /^(\w+)-(\w+) rw.(.)/ or next;

		push @regions, [ hex $begin, hex $end ] if ($kind eq 's') == $shared;
	}
	return @regions;
}

# Calls found(address, what follows) for each word in a region.  What cannot be read
# (a page that has no memory behind it) is left out.
sub look_through
{
	my ($pid, $region, $word, $found) = @_;
	my ($begin, $end) = @$region;

	open my $memory, '<:raw', "/proc/$pid/mem" or die "could not read memory of $pid: $!";
	for (my $at = $begin; $at < $end; $at += $piece)
	{
		my $size = $end - $at;
		my $data = '';

		# a word may lie across the border
		$size = $piece + length($word) + $behind if $size > $piece + length($word) + $behind;
		sysseek($memory, $at, 0) or last;
		while (length $data < $size)
		{
			last unless sysread $memory, $data, $size - length $data, length $data;
		}
		for (my $i = index $data, $word; $i >= 0 && $i < $piece; $i = index $data, $word, $i + 1)
		{
			$found->($at + $i, substr $data, $i + length $word, $behind);
		}
	}
	close $memory;
	return;
}

# in_shared_memory($node, $word): the names of the allocations in which it stands, once each.
sub in_shared_memory
{
	my ($node, $word) = @_;
	my $pid = postmaster_pid($node);
	my %places = map { my ($name, $from, $size) = split /\|/; ($name => [ $from, $from + $size ]) }
	  split /\n/, $node->safe_psql('postgres', "SELECT coalesce(name, '(free)'), off, allocated_size FROM pg_shmem_allocations WHERE off IS NOT NULL");
	# the segment that has all of them is the largest
	my ($segment) = sort { $b->[1] - $b->[0] <=> $a->[1] - $a->[0] } regions($pid, 1);
	my %seen;

	foreach my $region (regions($pid, 1))
	{
		look_through($pid, $region, $word, sub {
			my $offset = $_[0] - $segment->[0];
			my ($name) = grep { $region->[0] == $segment->[0] && $offset >= $places{$_}[0] && $offset < $places{$_}[1] } keys %places;

			$seen{ $name // '(no name)' } = 1;
		});
	}
	return sort keys %seen;
}

# in_private_memory($pid, $word): what follows each of them.
sub in_private_memory
{
	my ($pid, $word) = @_;
	my @found;

	look_through($pid, $_, $word, sub { push @found, $_[1] }) foreach regions($pid, 0);
	return @found;
}

1;
