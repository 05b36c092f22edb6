# A remote that answers whatever it likes: every message where it does not belong,
# answers cut off after every byte, lengths and counts that cannot be, notices without
# end, and answers with random bytes changed.  Each time either the right result or an
# error that says what happened, in time; backend, pool and worker are of use after it,
# and nothing is held or forgotten.
#
# fake.pl looks at single malformed answers and what each raises.  Here there are
# thousands, tried by a function in one session; what answers is test/lib/FakeServer.pm.
# Statements say which case they are.  It speaks no TLS: with TLS=1 this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use FakeServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# Other numbers try other things: EP_HOSTILE_SEED=17 EP_HOSTILE_MUTATIONS=100000.
# Every message in every place is tried with EP_HOSTILE_ALL=1, else a third of that:
# each message in every third place, each place with every third message.
my $seed = $ENV{EP_HOSTILE_SEED} // 4711;
my $mutations = $ENV{EP_HOSTILE_MUTATIONS} // 1000;
my $all = $ENV{EP_HOSTILE_ALL};

# ------------------------------------------------------------------ honest answers

my $ready = ready();
my $row = data_row('honest');
my $described = message('1', '') . row_description('x') . message('2', '');
my $parameter = message('S', "application_name\0x\0");
my $notice = message('N', error_fields(S => 'NOTICE', C => '00000', M => 'hm'));
my $notification = message('A', pack('NZ*Z*', 1, 'news', 'hot'));
my $error = message('E', error_fields(S => 'ERROR', V => 'ERROR', C => '22012', M => 'division by zero', P => '8'));
my $columns = message('1', '') . message('t', pack('n', 0)) . row_description('x') . $ready;
my $bound = message('1', '') . message('2', '');

sub complete { return message('C', "$_[0]\0") }

# What answers to one Sync or Query after the other.
my $rows = $bound . row_description('x') . $row . $notice . $row . complete('SELECT 2') . $ready;
my $copy_begun = message('H', pack('Cnn', 1, 1, 1));
my $copy_header = message('d', "PGCOPY\n\xff\r\n\0" . pack('NN', 0, 0));
my $copy_row = message('d', pack('n N/a*', 1, 'honest'));
my $copy_data = $copy_header . $copy_row x 2 . message('d', pack('n', 65535)) . message('c', '');
my $copy_taken = message('G', pack('Cnn', 0, 1, 0));
my %honest = (
	execute => [$rows],
	json => [$rows],
	sent => [$rows],
	parallel => [$rows],
	failed => [ message('1', '') . $error . $ready ],
	prepared => [ message('1', '') . message('t', pack('n', 0)) . row_description('x') . $ready,
		message('2', '') . $row . $row . complete('SELECT 2') . $ready ],
	script => [ row_description('x') . $row . complete('SELECT 1') . complete('SET') . $ready ],
	copy_from => [ $columns, $copy_begun . $copy_data . complete('COPY 2') . $ready ],
	copy_to => [ $bound . row_description('attname') . data_row('x') . complete('SELECT 1') . $ready, $columns, $copy_taken,
		complete('COPY 1') . $ready ]);

# How each of them is asked for.
my %ways = (failed => 'execute');

# Every type that a server may send, in a form in which it may come, and some that it may not.
my %any = (
	(map { $_ => message($_, '') } qw(1 2 3 I c n s)),
	A => $notification,
	C => complete('SELECT 1'),
	D => $row,
	E => $error,
	G => $copy_taken,
	H => $copy_begun,
	K => message('K', pack('NN', 1, 2)),
	N => $notice,
	R => message('R', pack('N', 0)),
	R_password => message('R', pack('N', 3)),
	R_sasl => message('R', pack('N', 10) . "SCRAM-SHA-256\0\0"),
	S => $parameter,
	T => row_description('x'),
	V => message('V', pack('N', 0xFFFFFFFF)),
	W => message('W', pack('Cn', 0, 0)),
	Z => $ready,
	Z_failed => message('Z', 'E'),
	Z_transaction => message('Z', 'T'),
	d => $copy_row,
	t => message('t', pack('n', 0)),
	v => message('v', pack('NN', 0, 0)),
	q => message('q', ''));

# ----------------------------------------------------------------------- the cases

# Each: way => how it is asked for, answers => what comes; or connect => what comes
# when a connection is opened: before and in the place of what greets.
my @cases;
my %cases_of;

sub add_case
{
	my ($group, %case) = @_;

	push @cases, { %case, name => $case{name} // $group };
	push @{ $cases_of{$group} }, $#cases;
	return;
}

sub messages_of
{
	my ($data) = @_;
	my @messages;

	while (length $data)
	{
		push @messages, substr($data, 0, 1 + unpack('xN', $data), '');
	}
	return @messages;
}

# The answers with one of them changed.
sub changed
{
	my ($answers, $which, $to) = @_;
	my @copy = @$answers;

	$copy[$which] = $to;
	return \@copy;
}

add_case('honest', way => $ways{$_} // $_, answers => $honest{$_}, name => $_) foreach sort keys %honest;
add_case('close', way => 'execute', answers => ['CLOSE']);

# Each message in each place: in front of, and instead of, each one of an honest answer.
my $pair = 0;

# Is the next message tried in this place?
sub is_tried
{
	my ($place) = @_;

	return $all || ($pair++ + $place) % 3 == 0;
}

foreach my $kind (qw(execute script prepared copy_from copy_to))
{
	foreach my $which (0 .. $#{ $honest{$kind} })
	{
		my @messages = messages_of($honest{$kind}[$which]);

		foreach my $place (0 .. $#messages)
		{
			$pair = 0;
			foreach my $type (sort keys %any)
			{
				my @other = @messages;

				next unless is_tried($place);
				splice @other, $place, 0, $any{$type};
				add_case('order', way => $kind, answers => changed($honest{$kind}, $which, join('', @other)),
					name => "$type in front of message $place of $kind, $which");
				next if $which < $#{ $honest{$kind} };
				@other = @messages;
				$other[$place] = $any{$type};
				# whoever still waits then is told that there will be nothing
				add_case('order', way => $kind, answers => changed($honest{$kind}, $which, join('', @other) . 'CLOSE'),
					name => "$type instead of message $place of $kind, $which");
			}
		}
	}
}

# What comes between two statements, and in answer to a reset.
foreach my $type (sort keys %any)
{
	add_case('idle', way => 'execute', answers => [ $rows . $any{$type} ], name => "$type after the end");
	add_case('idle', way => 'execute', answers => [$rows], idle => $any{$type}, name => "$type later");
	foreach my $how ('', 'instead')
	{
		add_case('reset', way => 'dirty', answers => [ $bound . message('n', '') . complete('SET') . $ready ],
			reset => $any{$type} . ($how ? 'CLOSE' : complete('RESET') . $ready), name => "$type in a reset $how");
	}
}

# Cut off after every byte.
foreach my $kind (qw(execute failed prepared copy_from copy_to sent))
{
	foreach my $which (0 .. $#{ $honest{$kind} })
	{
		foreach my $bytes (0 .. length($honest{$kind}[$which]) - 1)
		{
			add_case('cut', way => $ways{$kind} // $kind, name => "$kind, $which, cut after $bytes bytes",
				answers => changed($honest{$kind}, $which, substr($honest{$kind}[$which], 0, $bytes) . 'CLOSE'));
		}
	}
}

# Numbers that cannot be, as the length of a message, of a field, and of what follows.
foreach my $number (-1, 0, 1, 3, 2**31 - 1, 2**31 - 2, -2**31, 2**30, 65536)
{
	my $word = pack('N', $number & 0xFFFFFFFF);

	foreach my $type (qw(1 2 C D E G H K N R S T Z c d n t))
	{
		add_case('length', way => 'execute', answers => [ $bound . row_description('x') . "$type${word}abcCLOSE" ], name => "$type of length $number");
		add_case('length', way => 'copy_from', answers => [ $columns, "$copy_begun$type${word}abcCLOSE" ], name => "$type of length $number in a COPY");
	}
	add_case('length', way => 'execute', answers => [ $bound . row_description('x') . message('D', pack('n', 1) . $word . 'abc') . 'CLOSE' ],
		name => "field of length $number");
}
foreach my $count (0, 2, 1600, 1664, 1665, 32767, 32768, 65535)
{
	my $n = pack('n', $count);

	add_case('count', way => 'execute', answers => [ $bound . row_description('x') . message('D', $n . pack('N/a*', 'x')) . 'CLOSE' ], name => "row of $count fields");
	add_case('count', way => 'execute', answers => [ $bound . message('T', $n . 'abc') . 'CLOSE' ], name => "description of $count columns");
	add_case('count', way => 'copy_from', answers => [ $columns, message('H', pack('C', 0) . $n) . 'CLOSE' ], name => "COPY of $count columns");
}
foreach my $n (1, 1600, 1664, 1665, 5000)
{
	my @names = map { "c$_" } 1 .. $n;
	my $wide = $bound . row_description(@names) . data_row((1) x $n) . complete('SELECT 1') . $ready;

	add_case('count', way => $_, answers => [$wide], name => "$n columns, $_") foreach ('execute', 'json', 'record', 'parallel');
}
# A number of columns that changes between rows, and between executions.
add_case('count', way => 'execute', answers => [ $bound . row_description('x') . $row . data_row('a', 'b') . $row . complete('SELECT 3') . $ready ], name => 'a row with two fields');
add_case('count', way => 'execute', answers => [ $bound . row_description('x') . $row . data_row() . $row . complete('SELECT 3') . $ready ], name => 'a row with none');
add_case('count', way => 'record', answers => [ $bound . row_description('x') . $row . row_description('x', 'y') . data_row('a', 'b') . complete('SELECT 2') . $ready ],
	name => 'another description between rows');
add_case('count', way => 'prepared', answers => [ $honest{prepared}[0], message('2', '') . data_row('a', 'b') . complete('SELECT 1') . $ready ], name => 'rows are not those that were described');
# An error inside a COPY, with and without more data behind it.
foreach my $after ('', $copy_row, message('c', ''), complete('COPY 1'))
{
	add_case('copy', way => 'copy_from', answers => [ $columns, $copy_begun . $copy_header . $copy_row . $error . $after . $ready ], name => 'error in COPY FROM');
	add_case('copy', way => 'copy_to', answers => [ @{ $honest{copy_to} }[ 0, 1 ], $copy_taken . $error . $after . $ready, '' ], name => 'error in COPY TO');
	add_case('copy', way => 'copy_to', answers => [ @{ $honest{copy_to} }[ 0 .. 2 ], $error . $after . $ready ], name => 'error at the end of COPY TO');
}

# The same when a connection is opened: cut off, in disorder, and keys for cancelling
# of any length, 256 bytes being the longest that there is in protocol 3.2.
my $hello = hello() . $ready;
my @greeting = messages_of($hello);
add_case('connect', connect => substr($hello, 0, $_) . 'CLOSE', name => "start cut after $_ bytes") foreach 0 .. length($hello) - 1;
foreach my $type (sort keys %any)
{
	foreach my $place (0 .. $#greeting)
	{
		my @other = @greeting;

		splice @other, $place, 0, $any{$type};
		add_case('connect', connect => join('', @other), name => "$type in front of message $place of the start");
	}
	add_case('connect', connect => "$hello$any{$type}", name => "$type after the start");
	add_case('connect', connect => $hello, greet => "$any{$type}CLOSE", name => "$type instead of a greeting");
	add_case('connect', connect => $hello, greet => "$any{$type}$ready", name => "$type in front of a greeting");
}
foreach my $length (0, 4, 5, 8, 12, 32, 256, 257, 4096)
{
	my @other = @greeting;

	$other[3] = message('K', pack('N', 4711) . 'k' x $length);
	add_case('connect', connect => join('', @other), name => "key of $length bytes");
}

# ------------------------------------------------------------------ random mutations

srand($seed);

sub mutate
{
	my ($data) = @_;

	foreach (0 .. rand 4)
	{
		my $at = int rand(length($data) + 1);
		my $some = 1 + int rand 8;
		my $what = int rand 7;
		my @numbers = (-1, 0, 4, 5, 2**31 - 1, 255, 256, 65535);

		if ($what == 0 && $at < length $data) { substr($data, $at, 1) = chr int rand 256 }
		elsif ($what == 1 && $at < length $data) { substr($data, $at, 1) ^= chr(1 << int rand 8) }
		elsif ($what == 2) { substr($data, $at, $some) = '' if $at + $some <= length $data }
		elsif ($what == 3) { substr($data, $at, 0) = join '', map { chr int rand 256 } 1 .. $some }
		elsif ($what == 4 && $at + 4 <= length $data) { substr($data, $at, 4) = pack 'N', $numbers[ rand @numbers ] & 0xFFFFFFFF }
		elsif ($what == 5) { substr($data, $at, 0) = $any{ (sort keys %any)[ rand keys %any ] } }
		elsif ($at + $some <= length $data) { substr($data, $at, 0) = substr($data, $at, $some) }
	}
	return $data;
}

# Does it end with a message that says that this is all?
sub is_whole
{
	my ($data) = @_;
	my $last = '';

	while (length $data >= 5)
	{
		my ($type, $length) = unpack 'aN', $data;

		return 0 if $length < 4 || $length > 100_000 || length $data < $length + 1;
		$last = substr($data, 0, $length + 1, '');
	}
	return $data eq '' && ($last eq $ready || substr($last, 0, 1) eq 'G');
}

foreach my $n (1 .. $mutations)
{
	my $kind = (sort keys %honest)[ rand keys %honest ];
	my $which = int rand @{ $honest{$kind} };
	my $to = mutate($honest{$kind}[$which]);

	add_case('mutated', way => $ways{$kind} // $kind, name => "mutation $n (seed $seed) of $kind, $which",
		answers => changed($honest{$kind}, $which, $to . (is_whole($to) ? '' : 'CLOSE')));
}

# Waits that must end by themselves.
foreach my $kind ('execute', 'copy_from')
{
	my $last = $#{ $honest{$kind} };

	foreach my $bytes (0, 1, 5, 20, 70)
	{
		add_case('stall', way => $kind, name => "$kind stalls after $bytes bytes",
			answers => changed($honest{$kind}, $last, substr($honest{$kind}[$last], 0, $bytes)));
	}
}
add_case('stall', way => 'execute', answers => [ substr($rows, 0, -1) ], name => 'the last byte never comes');
add_case('stall', way => 'execute', answers => [ $bound . 'ENDLESS' ], name => 'notices without end');
add_case('stall', way => 'execute', answers => [ $rows . 'ENDLESS' ], name => 'notices without end behind the answer');
add_case('stall', way => 'dirty', answers => [ $bound . message('n', '') . complete('SET') . $ready ], reset => 'ENDLESS',
	name => 'notices without end instead of a reset');
add_case('stall', connect => substr($hello, 0, $_), name => "start stalls after $_ bytes") foreach 0, 3, 30, length($hello) - 1;
add_case('stall', connect => substr($hello, 0, -6) . 'ENDLESS', name => 'notices without end in the start');
add_case('greet', connect => $hello, greet => 'ENDLESS', name => 'notices without end instead of a greeting');

# ------------------------------------------------------------------ the server

my $connect_file = PostgreSQL::Test::Utils::tempdir() . '/connect';

sub slurp_number
{
	my ($text) = @_;

	return $text =~ /(\d+)/ ? $1 : undef;
}

# The case that a connection is to be answered by; which ones there were is noted.
sub connect_case
{
	my ($database) = @_;
	my $number = slurp_number($database);

	if (!defined $number && -e $connect_file)
	{
		$number = slurp_number(slurp_file($connect_file));
		append_to_file("$connect_file.seen", "$number\n") if defined $number;
	}
	return defined $number ? $cases[$number] : {};
}

# Sends what a case says.
sub play
{
	my ($client, $data) = @_;
	my $endless = $data =~ s/ENDLESS$//;

	answer($client, $data);
	while ($endless)
	{
		# for ever, but leaving some of the machine to others
		answer($client, $notice x 1000);
		select undef, undef, undef, 0.01;
	}
	return;
}

sub serve
{
	my ($client) = @_;
	my $connect = connect_case(read_startup($client)->{database});
	my ($case, $step, $wanted, $greeted) = ($connect, 0, '', 0);

	play($client, $connect->{connect} // $hello);
	while (my ($type, $body) = read_message($client))
	{
		if ($type =~ /[PBQ]/ && $body =~ /good (\d+)/)
		{
			$case = { answers => [ $bound . row_description('x') . data_row("fine $1") . complete('SELECT 1') . $ready ] };
			$step = 0;
		}
		elsif ($type =~ /[PBQ]/ && $body =~ /case[ _](\d+)/ && $wanted ne $1)
		{
			$wanted = $1;
			$case = $cases[$1];
			$step = 0;
		}
		next unless $type =~ /[SQcf]/;
		if ($type eq 'S' && !$greeted++)
		{
			play($client, $connect->{greet} // $ready);
		}
		elsif ($type eq 'Q' && $body !~ /case|good/)
		{
			play($client, $case->{reset} // complete('RESET') . $ready);
		}
		else
		{
			play($client, $case->{answers}[ $step++ ] // $ready);
			if ($case->{idle})
			{
				select undef, undef, undef, 0.005;
				answer($client, $case->{idle});
			}
		}
	}
	return;
}

my $port = start_fake_server(\&serve);

# -------------------------------------------------------------------- the tests

my ($local, $remote) = start_pair(
	local_conf => "client_min_messages = warning\nenhanced_pool.circuit_breaker_threshold = 0\nenhanced_pool.retry_backoff = 0\nenhanced_pool.retry_attempts = 1",
	tls => 0);
my %common = (
	host => '127.0.0.1', port => $port, dbname => 'x', max_size => 1, initial_size => 1, min_size => 0,
	connect_timeout => '30s', mapping => { password_required => 'false' });

define_pool($local, $remote, 'hostile', %common, statement_cache_size => 0);
define_pool($local, $remote, 'preparing', %common, statement_cache_size => 10);
define_pool($local, $remote, 'real', max_size => 1, initial_size => 1, min_size => 0);

# Tries a case, and says how it ended; then asks for something that says which
# statement it answers.  A connection may be found to be lost by then, but an answer
# to another statement would be wrong.
$local->safe_psql('postgres', <<'SQL');
CREATE TABLE target (x text);
CREATE FUNCTION attempt(pool text, way text, number text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sql text := CASE WHEN way IN ('prepared') THEN 'SELECT ' WHEN way = 'dirty' THEN 'SET x = ' ELSE '' END || 'case ' || number;
  lease bigint;
  n bigint;
  detail text;
BEGIN
  CASE way
    WHEN 'execute', 'prepared', 'dirty' THEN
      IF way = 'dirty' THEN
        n := enhanced_pool.exec(pool, sql);
      ELSE
        SELECT count(*) INTO n FROM enhanced_pool.execute(pool, sql) AS t(x text);
      END IF;
    WHEN 'record' THEN SELECT count(*) INTO n FROM (SELECT enhanced_pool.execute(pool, sql) OFFSET 0) AS t;
    WHEN 'json' THEN SELECT count(*) INTO n FROM enhanced_pool.execute_json(pool, sql);
    WHEN 'script' THEN SELECT count(*) INTO n FROM enhanced_pool.run_script(pool, sql || '; x');
    WHEN 'parallel' THEN SELECT count(*) INTO n FROM enhanced_pool.run_parallel(pool, ARRAY[sql]);
    WHEN 'copy_from' THEN n := enhanced_pool.copy_from(pool, sql, 'target');
    WHEN 'copy_to' THEN n := enhanced_pool.copy_to(pool, 'case_' || number, 'SELECT ''honest''::text');
    WHEN 'sent' THEN
      lease := enhanced_pool.acquire(pool);
      PERFORM enhanced_pool.send(lease, sql);
      PERFORM enhanced_pool.is_busy(lease);
      n := enhanced_pool.get_count(lease);
      PERFORM enhanced_pool.release(lease);
  END CASE;
  RETURN 'ok ' || n;
EXCEPTION WHEN query_canceled OR OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN SQLSTATE || ' ' || SQLERRM || CASE WHEN SQLSTATE = '08001' THEN ': ' || detail ELSE '' END;
END $$;

CREATE FUNCTION sane(pool text, number text, OUT tries int, OUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 5 LOOP
    tries := i;
    BEGIN
      SELECT x INTO answer FROM enhanced_pool.execute(pool, 'good ' || number) AS t(x text);
      RETURN;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
      answer := SQLSTATE || ' ' || SQLERRM;
    END;
  END LOOP;
END $$;

CREATE TABLE results (number int, result text, tries int, answer text, seconds float8);
CREATE FUNCTION try_all(pool text, ways text[], numbers int[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  began timestamptz;
  result text;
  after record;
BEGIN
  FOR i IN 1 .. array_length(numbers, 1) LOOP
    began := clock_timestamp();
    result := attempt(pool, ways[i], numbers[i]::text);
    SELECT * INTO after FROM sane(pool, numbers[i]::text);
    INSERT INTO results VALUES (numbers[i], result, after.tries, after.answer, extract(epoch FROM clock_timestamp() - began));
  END LOOP;
END $$;

-- Opens a connection that is answered by a case, uses it if it is one, and ends it.  The
-- one before is ended first; should there be another one then, all is done again.
CREATE FUNCTION try_connects(pool text, file text, numbers int[], closing int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  began timestamptz;
  result text;
  after record;
BEGIN
  FOR i IN 1 .. array_length(numbers, 1) LOOP
    began := clock_timestamp();
    FOR j IN 1 .. 5 LOOP
      EXECUTE format('COPY (SELECT %s) TO %L', numbers[i], file);
      PERFORM attempt(pool, 'execute', closing::text);
      result := attempt(pool, 'execute', closing::text);
      EXECUTE format('COPY (SELECT %L) TO %L', '', file);
      EXIT WHEN numbers[i]::text = ANY (string_to_array(pg_read_file(file || '.seen', 0, 1000000, true), E'\n'));
    END LOOP;
    SELECT * INTO after FROM sane(pool, numbers[i]::text);
    INSERT INTO results VALUES (numbers[i], result, after.tries, after.answer, extract(epoch FROM clock_timestamp() - began));
  END LOOP;
END $$;
SQL

# Each query has the whole time.
sub start_patient
{
	my $patient = start_session($_[0]);

	$patient->set_query_timer_restart;
	return $patient;
}

my $session = start_patient($local);
my $backend = $session->query_safe('SELECT pg_backend_pid()');

# Nothing but these may come of it.  22P02 and others are of what was read as a value.
my $error_alone = qr/^(08P01 malformed |08P01 remote server sent |08006 connection to remote server |0A000 |42804 |42601 remote |42701 column |54011 |22012 division|2202\w |22P0\w |57014 canceling remote)/;
my $clear = qr/$error_alone|^ok /;

# A message is right in the place of another only if it can come at any time, if rows or
# data may be there, or if it says how a statement or an answer ends.
sub is_legal
{
	my ($name, $result) = @_;
	my ($type, $where, $place, $kind) = $name =~ /^(\w+) (in front|instead) of message (\d) of (\w+), \d/ or return 1;

	return 1 if $result =~ $error_alone;
	# these come at any time, and change nothing
	return $result eq 'ok ' . ($kind eq 'copy_to' ? 1 : 2) if $where eq 'in front' && $type =~ /^[ANS]$/;
	return $kind eq 'copy_from' && ($type eq 'd' ? $place < 5 : $place == 5 && $where eq 'instead') if $type =~ /^[cd]$/;
	return $type =~ /^(?:[ANSCIDT12]|Z.*)$/;
}

sub check_results
{
	my ($group, $allowed) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my (@unclear, @insane, $slowest);

	foreach my $line (split /\n/, $session->query_safe("SELECT number, tries, seconds, regexp_replace(result, E'[\\n\\r]', ' ', 'g') || '~' || answer FROM results; TRUNCATE results"))
	{
		my ($number, $tries, $seconds, $rest) = split /\|/, $line, 4;
		my ($result, $answer) = $rest =~ /^(.*)~(.*)$/ ? ($1, $2) : ($rest, '');
		my $name = $cases[$number]{name};

		push @unclear, "$name: $result" unless $result =~ $allowed && is_legal($name, $result);
		push @insane, "$name: $result; then $answer" unless $answer eq "fine $number";
		$slowest = [ $seconds, $name ] if !$slowest || $seconds > $slowest->[0];
	}
	is(join("\n", @unclear[ 0 .. ($#unclear > 20 ? 20 : $#unclear) ]), '', "$group: clear errors");
	is(join("\n", @insane[ 0 .. ($#insane > 20 ? 20 : $#insane) ]), '', "$group: right answers afterwards");
	note("slowest of $group: $slowest->[1], $slowest->[0] s");
	return;
}

sub try_group
{
	my ($group, $allowed) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $began = time;

	foreach my $pool ('hostile', 'preparing')
	{
		my @numbers = grep { ($cases[$_]{way} eq 'prepared') == ($pool eq 'preparing') } @{ $cases_of{$group} };

		while (my @some = splice @numbers, 0, 25)
		{
			$session->query_safe("SELECT try_all('$pool', ARRAY['" . join("','", map { $cases[$_]{way} } @some) . "'], ARRAY["
				  . join(',', @some) . '])');
		}
	}
	check_results($group, $allowed);
	note(sprintf '%s: %d cases, %.1f s', $group, scalar @{ $cases_of{$group} }, time - $began);
	return;
}

# ------------------------------------------------------------------------ each of them

define_pool($local, $remote, "stalling_$_", %common, dbname => defined $cases[$_]{connect} ? "case_$_" : 'x', connect_timeout => '1s', statement_cache_size => 0)
  foreach @{ $cases_of{stall} }, @{ $cases_of{greet} };

is($session->query_safe("SELECT * FROM enhanced_pool.execute('real', 'SELECT 1') AS t(n int)"), '1', 'a real server answers');
try_group('honest', qr/^ok [12]$|^22012 division by zero$/);
my $baseline = worker_surplus($local);
my $sockets = fd_count($backend, qr/^socket:/);

# Those that stall have their time while others are tried.  A worker gives a connection
# half a minute to become ready.
my $greeted = start_patient($local);
begin_query($greeted, "SELECT attempt('stalling_$_', 'execute', '$_')") foreach @{ $cases_of{greet} };
my $stalled = start_patient($local);
$stalled->query_safe("SET enhanced_pool.query_timeout = '300ms'");
begin_query($stalled, join ' UNION ALL ', map { sprintf "SELECT %d, attempt('stalling_%d', '%s', '%d')", $_, $_, $cases[$_]{way} // 'execute', $_ } @{ $cases_of{stall} });
$session->query_safe("SET enhanced_pool.query_timeout = '20s'");

try_group($_, $clear) foreach qw(order idle reset count);
try_group($_, $error_alone) foreach qw(cut length copy);
is($session->query_safe("SELECT count(*) FROM enhanced_pool.leases"), '0', 'nothing is leased');
try_group('mutated', qr/^(?!XX|57P0[123]|57014 canceling statement)/);

my @connects = @{ $cases_of{connect} };
while (my @some = splice @connects, 0, 25)
{
	$session->query_safe("SELECT try_connects('hostile', '$connect_file', ARRAY[" . join(',', @some) . "], $cases_of{close}[0])");
}
check_results('connect', qr/^(08001 could not connect to pool [^:]*: host [^:]*: (?!.*timeout).|08006 connection to remote server )/);
my %seen = map { $_ => 1 } split /\n/, slurp_file("$connect_file.seen");
is(join(',', grep { !$seen{$_} } @{ $cases_of{connect} }), '', 'each of them was tried');

# What does not end by itself is ended.
my ($out) = end_query($greeted);
like($out, qr/^(08001 could not connect|53300 no connection)/m, 'notices without end instead of a greeting');
$greeted->quit;
($out) = end_query($stalled);
foreach my $number (@{ $cases_of{stall} })
{
	my $case = $cases[$number];

	like($out, defined $case->{connect} ? qr/^$number\|08001 could not connect/m :
		  $case->{reset} || $case->{name} =~ /behind/ ? qr/^$number\|ok /m : qr/^$number\|57014 canceling remote statement due to query_timeout/m,
		$case->{name});
	next if defined $case->{connect};
	is($stalled->query_safe("SELECT answer FROM sane('stalling_$number', '$number')"), "fine $number", "usable after: $case->{name}");
}
$stalled->quit;

# ----------------------------------------------------------------------------- the end

is($session->query_safe("SELECT * FROM enhanced_pool.execute('real', 'SELECT 1') AS t(n int)"), '1', 'others were not hurt');
is($session->query_safe('SELECT pg_backend_pid()'), $backend, 'the backend is the same');
unlike($session->query_safe("SELECT string_agg(e::text, '') FROM enhanced_pool.events e"), qr/[^[:print:]\s]/, 'what is told of it is readable');
$session->query_safe(join "\n", map { "DROP SERVER $_ CASCADE;" } 'hostile', 'preparing', map { "stalling_$_" } @{ $cases_of{stall} }, @{ $cases_of{greet} });
ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 AND sum(size) = 1 FROM enhanced_pool.pools WHERE state <> 'closed' OR size > 0"),
	'nothing is left of the others');
$session->query_safe("SELECT * FROM enhanced_pool.execute('real', 'SELECT 1') AS t(n int)");
cmp_ok(fd_count($backend, qr/^socket:/), '<=', $sockets, 'the backend has no forgotten descriptor');
$session->quit;
check_clean($local, $remote, 1, $baseline);
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal|exited with exit code [^01]/), 'nobody crashed');

done_testing();
