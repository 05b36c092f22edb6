# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# truth.sh: the section "truth" of the benchmark: do the views' times agree with those
# that pgbench and the remote server's pg_stat_statements have measured? Sourced by
# bench/run, whose settings it uses.

# Statements that take about as long as work does; of so short ones that the way is most
# of it each measures something else.
truth_calls=300
truth_ms='5 20'

# ask PORT STATEMENT: what it returns.
ask() { run psql -X -q -At -h "$T/s" -p "$1" -U postgres -d postgres -c "$2"; }

# truth_once MS: sets $value to the milliseconds per statement by pgbench, by the pool
# and by the remote server, and to the numbers of statements of the latter two.
truth_once()
{
	local of_pool of_remote of_pgbench

	printf "SELECT enhanced_pool.exec('bench', 'SELECT pg_sleep(%s)');\n" "$(awk -v ms="$1" 'BEGIN { print ms / 1000 }')" >"$T/truth.sql"
	# every session has its socket and its plans before it counts
	run timeout 300 pgbench -n -M "$mode" -f "$T/truth.sql" -c 8 -t 5 -h "$T/s" -p "$local_port" -U bench_local postgres >"$T/out" 2>"$T/err" || return 1
	ask "$local_port" "SELECT enhanced_pool.reset_stats('bench')" >/dev/null
	ask "$remote_port" 'SELECT pg_stat_statements_reset()' >/dev/null
	run timeout 300 pgbench -n -M "$mode" -f "$T/truth.sql" -c 8 -t "$truth_calls" -h "$T/s" -p "$local_port" -U bench_local postgres >"$T/out" 2>"$T/err" ||
		return 1
	of_pgbench=$(sed -n 's/^latency average = \([0-9.]*\) ms$/\1/p' "$T/out")
	of_pool=$(ask "$local_port" "SELECT total_query_time / query_count, query_count FROM enhanced_pool.pool_metrics WHERE pool = 'bench'")
	of_remote=$(ask "$remote_port" "SELECT sum(total_exec_time) / sum(calls), sum(calls) FROM pg_stat_statements WHERE query ~ 'pg_sleep'")
	value="$of_pgbench|$of_pool|$of_remote"
	[[ $value =~ ^[0-9.]+\|[0-9.]+\|[0-9]+\|[0-9.]+\|[0-9]+$ ]]
}

measure_truth()
{
	local round ms

	sql "$remote_port" -c 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements'
	: >"$T/truth"
	for ((round = 0; round < rounds; round++)); do
		note "truth: round $((round + 1)) of $rounds"
		for ms in $truth_ms; do
			if truth_once "$ms"; then
				printf '%s|%s\n' "$ms" "$value" >>"$T/truth"
				printf 'truth\t%s ms\t%d\t%s\n' "$ms" "$round" "$value" >>"$T/samples"
			else
				failed=1
				note 'truth: could not be measured'
				head -n 5 "$T/err" >&2
			fi
		done
	done
	awk -v statements=$((8 * truth_calls)) -f "$bench/median.awk" -f "$bench/truth.awk" "$bench/reach.tsv" "$T/truth"
}
