# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# instructions.sh: the section "instructions" of the benchmark: how many instructions
# of its own (not the kernel's) the local backend needs for a look-up, counted by
# Valgrind's Callgrind. What else the machine does has no part in it, so it shows
# differences of a per cent that are lost in the noise of times. Sourced by bench/run,
# whose settings it uses.

# Two sessions differ in so many calls: what a session costs but its calls drops out.
instructions_calls=1000

# The statement of a peer, as one line of psql; id is its parameter.
statement_of()
{
	local id="\$1" call="enhanced_pool.execute('%s', 'SELECT id, name FROM item WHERE id = \$1', \$1) AS t(id int, name text)"

	case $1 in
		local) echo "SELECT id, name FROM item WHERE id = $id" ;;
		dblink_kept) echo "SELECT * FROM dblink('kept', 'SELECT id, name FROM item WHERE id = ' || $id) AS t(id int, name text)" ;;
		postgres_fdw) echo "SELECT id, name FROM remote_item WHERE id = $id" ;;
		enhanced_pool_nostats) echo "SELECT * FROM ${call/\%s/bench_nostats}" ;;
		enhanced_pool) echo "SELECT * FROM ${call/\%s/bench}" ;;
	esac
}

# session_instructions PEER CALLS: sets $value to the instructions of a session that makes that many.
session_instructions()
{
	local peer=$1 calls=$2 pid

	{
		echo 'SELECT pg_backend_pid();'
		echo '\o /dev/null'
		[ "$peer" != dblink_kept ] || echo "SELECT dblink_connect('kept', '$remote');"
		echo "PREPARE look_up(int) AS $(statement_of "$peer");"
		awk -v n="$calls" 'BEGIN { while (n--) print "EXECUTE look_up(" 1 + n % 100 ");" }'
	} >"$T/instructions.sql"
	run timeout 300 psql -X -q -At -v ON_ERROR_STOP=1 -h "$T/s" -p "$local_port" -U bench_local -d postgres \
		-f "$T/instructions.sql" >"$T/out" 2>"$T/err" || return 1
	pid=$(head -n 1 "$T/out")
	# the backend writes its sum as it ends, which psql does not wait for
	for ((i = 0; i < 200; i++)); do
		value=$(sed -n 's/^totals: //p' "$T/callgrind/$pid" 2>/dev/null) || :
		[ -z "$value" ] || return 0
		sleep 0.1
	done
	echo "no instructions were counted of process $pid" >"$T/err"
	return 1
}

# The local server starts anew, counted. Its worker is counted, too, and slow: its pools are waited for.
count_local_server()
{
	local i

	stop_server local
	run mkdir -p "$T/callgrind"
	run valgrind -q --tool=callgrind --callgrind-out-file="$T/callgrind/%p" "$(command -v postgres)" -D "$T/local" \
		>"$T/callgrind.log" 2>&1 &
	disown "$!"
	for ((i = 0; i < 600; i++)); do
		run psql -X -At -o /dev/null -h "$T/s" -p "$local_port" -U bench_local -d postgres \
			-c "SELECT enhanced_pool.exec('bench', 'SELECT 1'), enhanced_pool.exec('bench_nostats', 'SELECT 1')" 2>/dev/null && return
		sleep 0.1
	done
	tail -n 20 "$T/callgrind.log" >&2
	die 'the local server does not start under Valgrind'
}

measure_instructions()
{
	local round peer one

	note 'instructions: the local server starts under Valgrind'
	count_local_server
	: >"$T/instructions"
	for ((round = 0; round < self_rounds; round++)); do
		note "instructions: round $((round + 1)) of $self_rounds"
		for peer in ${members[instructions]}; do
			wanted "$peer" || continue
			if session_instructions "$peer" "$instructions_calls" && one=$value &&
				session_instructions "$peer" $((2 * instructions_calls)); then
				echo "$peer $(((value - one) / instructions_calls))" >>"$T/instructions"
			else
				failed=1
				note "instructions: $peer could not be measured"
				head -n 5 "$T/err" >&2
			fi
		done
	done
	awk -f "$bench/median.awk" -f "$bench/instructions.awk" "$bench/reach.tsv" "$T/instructions"
}
