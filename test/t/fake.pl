# A remote that is no PostgreSQL server, or a broken or hostile one: always a
# clear error, after which backend, pool and worker are of use, and nothing is
# held or forgotten.
#
# The other end is a small server, test/lib/FakeServer.pm.  The database that a client
# asks for says how it is to behave.  It speaks no TLS: with TLS=1 this file is the same.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use EnhancedPool;
use FakeServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ------------------------------------------------------------------ the answers

my $bound = message('1', '') . message('2', '');
my $described = $bound . row_description('x');
my $row = data_row('fine');
my $complete = message('C', "SELECT 1\0");
my $ready = ready();
my $good = $described . $row . $complete . $ready;
my $malformed = qr/ERROR:  08P01: malformed answer from remote server/;
my $lost = qr/ERROR:  08006: connection to remote server .* was lost/;

# What is sent as the answer to a statement, and the error that it makes.  A
# string that ends with CLOSE: the connection is closed after it.
my %answers = (
	http => [ "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>", $malformed ],
	zeros => [ "\0" x 100, $malformed ],
	unknown_type => [ message('q', 'abc'), $malformed ],
	length_zero => [ "D" . pack('N', 0), $malformed ],
	length_three => [ "${described}D" . pack('N', 3), $malformed ],
	length_negative => [ "${described}D" . pack('N', 0xFFFFFFFF), $malformed ],
	length_2_gb => [ "${described}D" . pack('N', 0x7FFFFFFF) . 'abc', $malformed ],
	length_1_gb => [ "${described}D" . pack('N', 0x3FFFFFFF) . 'abcCLOSE', qr/$lost|$malformed/ ],
	ready_of_1_gb => [ "Z" . pack('N', 0x3FFFFFFF) . 'I', $malformed ],
	nothing => [ 'CLOSE', $lost ],
	half_header => [ "${described}D\0CLOSE", $lost ],
	half_message => [ $described . substr($row, 0, -2) . 'CLOSE', $lost ],
	closed_before_ready => [ $described . $row . $complete . 'CLOSE', $lost ],
	row_first => [ $row . $good, $malformed ],
	row_before_bind => [ message('1', '') . $row, $malformed ],
	row_undescribed => [ $bound . $row, $malformed ],
	row_too_wide => [ $described . data_row('a', 'b') . $complete . $ready, $malformed ],
	row_too_narrow => [ $described . data_row() . $complete . $ready, $malformed ],
	row_empty => [ $described . message('D', ''), $malformed ],
	row_short => [ $described . message('D', pack('nN', 1, 100) . 'abc'), $malformed ],
	row_long => [ $described . message('D', pack('nN', 1, 1) . 'abc'), $malformed ],
	row_huge_field => [ $described . message('D', pack('nN', 1, 0x7FFFFFFF) . 'abc'), $malformed ],
	row_negative_field => [ $described . message('D', pack('nN', 1, 0xFFFFFFFE) . 'abc'), $malformed ],
	row_many_columns => [ $described . message('D', pack('n', 65535) . 'abc'), $malformed ],
	row_after_end => [ $described . $complete . $row . $ready, $malformed ],
	columns_negative => [ $bound . message('T', pack('n', 0xFFFF)), $malformed ],
	columns_cut => [ $bound . message('T', pack('n', 2) . "x\0"), $malformed ],
	columns_open => [ $bound . message('T', pack('n', 1) . "xxxxxxxxxxxxxxxxxxxxxxxxxxxx"), $malformed ],
	columns_format => [ $bound . message('T', pack('nZ*NnNnNn', 1, 'x', 0, 0, 25, 65535, 4294967295, 7)), $malformed ],
	columns_twice => [ $described . row_description('x'), $malformed ],
	end_twice => [ $described . $row . $complete . $complete . $ready, $malformed ],
	end_open => [ $described . $row . message('C', 'SELECT 1') . $ready, $malformed ],
	end_missing => [ $described . $row . $ready, $malformed ],
	ready_only => [ $ready, $malformed ],
	ready_status => [ $described . $row . $complete . message('Z', 'X'), $malformed ],
	ready_long => [ $described . $row . $complete . message('Z', 'II'), $malformed ],
	authentication => [ message('R', pack('N', 0)) . $good, $malformed ],
	key_again => [ message('K', pack('NN', 1, 2)) . $good, $malformed ],
	copy_data => [ $described . message('d', 'abc'), $malformed ],
	copy_out => [ $bound . message('H', pack('Cn', 0, 0)), qr/ERROR:  0A000|08P01/ ],
	error_empty => [ message('E', ''), $malformed ],
	error_open => [ message('E', "SERROR\0C42601\0Mabc"), $malformed ],
	error_no_fields => [ message('E', "\0") . $ready, qr/ERROR:  08000: no message/ ],
	error_sqlstate => [ message('E', error_fields(S => 'ERROR', C => '00000', M => 'no error')) . $ready, qr/ERROR:  (?!00000)/ ],
	error_sqlstate_odd => [ message('E', error_fields(S => 'ERROR', C => "x\x01", M => 'odd')) . $ready, qr/ERROR:  \w{5}: odd/ ],
	error_panic => [ message('E', error_fields(S => 'PANIC', C => 'XX000', M => 'no panic')) . 'CLOSE', qr/ERROR:  XX000: no panic/ ],
	error_format => [ message('E', error_fields(S => 'ERROR', C => '22000', M => '%s%n%m', D => '%s%n', H => '%d')) . $ready, qr/ERROR:  22000: %s%n%m/ ],
	notice_open => [ message('N', 'SNOTICE') . $good, $malformed ],
	parameter_open => [ message('S', "TimeZone\0UTC") . $good, $malformed ],
	notification => [ message('A', pack('NZ*Z*', 1, 'news', 'hot')) . $good, qr/^$/ ],
	notification_empty => [ message('A', '') . $good, $malformed ],
	notification_open => [ message('A', pack('NZ*', 1, 'news') . 'hot') . $good, $malformed ],
	encoding => [ message('S', "client_encoding\0BIG5\0") . $good, qr/ERROR:  0A000: client_encoding/ ],
	# The answer is right, but there is more: nobody after may get it.
	another_answer => [ $good . $good, qr/^$/ ],
	another_row => [ $good . $row, qr/^$/ ],
	another_half => [ $good . 'D', qr/^$/ ],
	good => [ $good, qr/^$/ ]);

# Answers to run_in_transaction with one INSERT: once the COMMIT was answered nothing
# takes it back, and before that only an answer says what became of it.
my $begun = $bound . message('C', "BEGIN\0");
my $inserted = $begun . $bound . message('n', '') . message('C', "INSERT 0 1\0");
my $committed = $inserted . $bound . message('C', "COMMIT\0");
my $killed = message('E', error_fields(S => 'FATAL', C => '57P01', M => 'told to go')) . 'CLOSE';
my %commits = (
	commit_then_killed => [ $committed . $killed, qr/^$/ ],
	commit_then_closed => [ $committed . 'CLOSE', qr/^$/ ],
	commit_then_fine => [ $committed . $ready, qr/^$/ ],
	commit_odd_tag => [ $inserted . $bound . message('C', "ROLLFORWARD\0") . $ready, qr/ERROR:  08007: .*\nDETAIL:  .*malformed/ ],
	commit_nothing => [ $inserted . $bound . message('I', '') . $ready, qr/ERROR:  08007: .*\nDETAIL:  .*malformed/ ],
	commit_killed => [ $inserted . $killed, qr/ERROR:  08007: .*\nDETAIL:  .*told to go/ ],
	commit_closed => [ $inserted . 'CLOSE', qr/ERROR:  08007/ ],
	insert_closed => [ $begun . 'CLOSE', qr/ERROR:  08007/ ],
	insert_killed => [ $begun . $killed, qr/ERROR:  57P01: told to go\nDETAIL:  .*ll (?:operations )?were rolled back/ ],
	release_then_killed => [ $bound . message('C', "SAVEPOINT\0") . $bound . message('n', '') . message('C', "INSERT 0 1\0")
		  . $bound . message('C', "RELEASE\0") . $killed, qr/ERROR:  57P01: told to go\nDETAIL:  .*ll (?:operations )?were rolled back/ ]);

# Instead of a connection.
my $hello = hello();
my %connects = (
	connect_close => ['CLOSE'],
	connect_http => [ "HTTP/1.1 400 Bad Request\r\n\r\nCLOSE" ],
	connect_zeros => [ "\0" x 100 . 'CLOSE' ],
	connect_method => [ message('R', pack('N', 77)) ],
	connect_huge => [ 'R' . pack('N', 0x7FFFFFFF) . 'abcCLOSE' ],
	connect_error => [ message('E', error_fields(S => 'FATAL', C => '3D000', M => 'there is no such thing')) . 'CLOSE', qr/there is no such thing/ ],
	connect_half => [ substr($hello, 0, -3) . 'CLOSE' ],
	connect_no_key => [ message('R', pack('N', 0)) . 'CLOSE' ],
	connect_silent => [''],
	greet_close => [ $hello . $ready, 'CLOSE' ],
	greet_row => [ $hello . $ready, $row ],
	greet_in_transaction => [ $hello . $ready, message('Z', 'T') ],
	greet_error => [ $hello . $ready, message('E', error_fields(S => 'ERROR', C => 'XX000', M => 'no')) . $ready ],
	greet_twice => [ $hello . $ready, "$ready$ready$row" ]);

# ------------------------------------------------------------------ the server

sub serve
{
	my ($socket) = @_;
	my $database = read_startup($socket)->{database};
	my $connect = $connects{$database} // [ $hello . $ready, $ready ];
	answer($socket, $connect->[0]);
	my $statement = 0;
	my $opens = 0;
	while (my ($type, $body) = read_message($socket))
	{
		$statement ||= $type eq 'B';
		$opens ||= $type eq 'P' && $database =~ /^release/ && $body =~ /BEGIN/;
		next unless $type eq 'S' || $type eq 'Q';
		if ($opens)
		{
			answer($socket, $bound . message('n', '') . message('C', "BEGIN\0") . message('Z', 'T'));
		}
		elsif ($statement)
		{
			answer($socket, ($answers{$database} // $commits{$database})->[0]);
		}
		elsif ($type eq 'Q')
		{
			answer($socket, message('C', "RESET\0") . $ready);
		}
		else
		{
			answer($socket, ref $connect->[1] ? $ready : $connect->[1]);
		}
		$statement = $opens = 0;
	}
}

my $port = start_fake_server(\&serve);

# -------------------------------------------------------------------- the tests

my ($local, $remote) = start_pair(local_conf => 'client_min_messages = warning', tls => 0);
my $session = start_session($local);

$session->query_safe(join "\n", map {
		pool_sql($remote, $_,
			host => '127.0.0.1', port => $port, dbname => $_, max_size => 1, initial_size => 1,
			min_size => 0, statement_cache_size => 0, retry_attempts => 1, connect_timeout => '1s',
			mapping => { password_required => 'false' })
	} keys %answers, keys %commits, keys %connects);

define_pool($local, $remote, 'real', max_size => 1, initial_size => 1, min_size => 0);
$local->safe_psql('postgres', "SELECT enhanced_pool.exec('real', 'SELECT 1')");
is($session->query_safe("SELECT * FROM enhanced_pool.execute('good', 'SELECT 1') AS t(x text)"), 'fine', 'the fake server does what it should');
my $baseline = worker_surplus($local);

foreach my $name (sort grep { $_ ne 'good' } keys %answers)
{
	my $select = "SELECT * FROM enhanced_pool.execute('$name', 'SELECT 1') AS t(x text);";
	my ($bytes, $error) = @{ $answers{$name} };
	# twice: the second time is no different
	foreach my $round (1, 2)
	{
		$session->query("SET statement_timeout = '20s'; $select");
		like($session->{stderr}, $error, "$name, $round");
		unlike($session->{stderr}, qr/57014/, "$name did not last");
		$session->{stderr} = '';
	}
	is($session->query_safe("SELECT total_created FROM enhanced_pool.pool_metrics WHERE pool = '$name'"),
		'2', 'a connection that says too much is not used again') if $name =~ /^another/;

	# through a lease, which can be given back after it
	$session->query_safe("SELECT enhanced_pool.acquire('$name', hold => true) AS lease \\gset");
	$session->query("SELECT enhanced_pool.exec(:lease, 'SELECT 1');");
	like($session->{stderr}, $error, "$name, with a lease");
	$session->{stderr} = '';
	if ($name =~ /^another_(answer|row)/)
	{
		$session->query('SELECT * FROM enhanced_pool.get_notify(:lease);');
		like($session->{stderr}, $malformed, "$name, asked for notifications");
		$session->{stderr} = '';
	}
	is($session->query_safe('SELECT enhanced_pool.release(:lease)'), 't', 'which is given back');

	# taken later
	$session->query_safe("SELECT enhanced_pool.acquire('$name', hold => true) AS lease \\gset");
	$session->query_safe("SELECT enhanced_pool.send(:lease, 'SELECT 1')");
	$session->query("SELECT enhanced_pool.is_busy(:lease); SELECT enhanced_pool.get_count(:lease);");
	like($session->{stderr}, $error, "$name, sent");
	$session->{stderr} = '';
	$session->query_safe('SELECT enhanced_pool.release(:lease)');
	# or not at all, where the worker need not wait long for the end
	if ($bytes =~ /\Q$ready\E$|^[H\0q]/)
	{
		$session->query_safe("SELECT enhanced_pool.acquire('$name', hold => true) AS lease \\gset");
		$session->query_safe("SELECT enhanced_pool.send(:lease, 'SELECT 1'); SELECT enhanced_pool.is_busy(:lease)");
		is($session->query_safe('SELECT enhanced_pool.release(:lease)'), 't', "$name, given back unread");
	}
	is($session->query_safe("SELECT * FROM enhanced_pool.execute('real', 'SELECT 1') AS t(n int)"), '1', 'others are not hurt')
	  or last;
}

foreach my $name (sort keys %commits)
{
	my $error = $commits{$name}[1];
	my $on = $name =~ /^release/ ? ':lease' : "'$name'";

	$session->query_safe("SELECT enhanced_pool.acquire('$name', hold => true) AS lease \\gset");
	if ($name =~ /^release/)
	{
		$session->query_safe("SELECT enhanced_pool.exec(:lease, 'BEGIN')");
	}
	else
	{
		$session->query_safe('SELECT enhanced_pool.release(:lease)');
	}
	is($session->query("SELECT success FROM enhanced_pool.run_in_transaction($on, ARRAY['INSERT INTO t VALUES (1)']);"),
		$error eq qr/^$/ ? 't' : '', "$name: success");
	like($session->{stderr}, $error, $name);
	$session->{stderr} = '';
	$session->query_safe('SELECT enhanced_pool.release_all()');
	$session->query_safe("SELECT enhanced_pool.acquire('$name', hold => true)");
	is($session->query_safe("SELECT total_created FROM enhanced_pool.pool_metrics WHERE pool = '$name'"),
		$name eq 'commit_then_fine' ? 1 : 2, 'a connection that was lost is not used again');
	$session->query_safe('SELECT enhanced_pool.release_all()');
	is($session->query_safe("SELECT transaction_count, transaction_rollbacks FROM enhanced_pool.pool_metrics WHERE pool = '$name'"),
		'1|0', 'one transaction, and none rolled back')
	  if $name =~ /^commit_then/;
}

foreach my $name (sort keys %connects)
{
	$session->query("SELECT enhanced_pool.exec('$name', 'SELECT 1');");
	like($session->{stderr}, qr/ERROR:  08001: could not connect to pool "$name"\nDETAIL:  host "127.0.0.1", port $port: ./, $name);
	like($session->{stderr}, $connects{$name}[1], 'with its reason') if ref $connects{$name}[1];
	$session->{stderr} = '';
	is($session->query_safe("SELECT * FROM enhanced_pool.execute('real', 'SELECT 1') AS t(n int)"), '1', 'others are not hurt');
}

is($session->query_safe("SELECT * FROM enhanced_pool.execute('good', 'SELECT 1') AS t(x text)"), 'fine', 'the good one still works');
$session->query_safe(join "\n", map { "DROP SERVER $_ CASCADE;" } keys %answers, keys %commits, keys %connects);
ok( $local->poll_query_until('postgres', "SELECT count(*) = 1 AND sum(size) = 1 FROM enhanced_pool.pools WHERE state <> 'closed' OR size > 0"),
	'nothing is left of the others');
$session->quit;
check_clean($local, $remote, 1, $baseline);
ok(!$local->log_contains(qr/PANIC|TRAP|terminated by signal|exited with exit code [^01]/), 'nobody crashed');

done_testing();
