# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# strategies.sh: the sections "strategy" and "dynamic" of the benchmark, which
# compare enhanced_pool with itself. Sourced by bench/run, whose settings it uses.

settle=${BENCH_SETTLE:-40}

# tune NAME VALUE...: options of the pool "tuned"; its connections are there when it returns.
tune()
{
	local options='' name

	while [ $# -gt 0 ]; do
		options+=", SET $1 '$2'"
		shift 2
	done
	sql "$local_port" -c "ALTER SERVER tuned OPTIONS (${options#, })"
	for name in 1 2; do
		run psql -X -q -o /dev/null -h "$T/s" -p "$local_port" -U bench_local -d postgres \
			-c "SELECT enhanced_pool.exec('tuned', 'SELECT 1')"
	done
}

prepare_strategies()
{
	local remote_host=$T/s

	[ "$transport" = unix ] || remote_host=127.0.0.1
	[ ! -e "$T/strategies" ] || return 0
	mkdir "$T/strategies"
	sql "$local_port" -v host="$remote_host" -v port="$remote_port" -f "$bench/sql/strategy.sql"
	sql "$remote_port" -f "$bench/sql/strategy_remote.sql"
	printf '%s\n' "SELECT ask('tuned', 'SELECT name FROM item WHERE id = 7');" >"$T/strategies/ask_short.sql"
	printf '%s\n' "SELECT ask('tuned', 'SELECT pg_sleep(0.005)');" >"$T/strategies/ask_sleep.sql"
	printf '\\set id random(1, %d)\n%s\n' "$item_rows" \
		"SELECT * FROM enhanced_pool.execute('tuned', 'SELECT id, name FROM item WHERE id = \$1', :id::int) AS t(id int, name text);" \
		>"$T/strategies/short.sql"
	printf '%s\n' "SELECT enhanced_pool.exec('tuned', 'SELECT pg_sleep(0.005)');" >"$T/strategies/sleep.sql"
	printf '%s\n' "SELECT enhanced_pool.exec('tuned', 'SELECT heat()');" >"$T/strategies/hot.sql"
}

# drive CLIENTS SECONDS SCRIPT...: pgbench on the local server. Says so when it fails.
drive()
{
	local clients=$1 duration=$2 files=()
	shift 2

	while [ $# -gt 0 ]; do
		files+=(-f "$T/strategies/$1")
		shift
	done
	run timeout $((duration + 120)) pgbench -n -M prepared "${files[@]}" -c "$clients" -j 2 -P 1 -T "$duration" \
		-h "$T/s" -p "$local_port" -U bench_local postgres >"$T/out" 2>"$T/err" && return
	failed=1
	note "${files[*]}: could not be measured"
	grep -v '^progress:' "$T/err" | head -n 5 >&2
	return 1
}

# The waits of one window of one strategy: a line of figures. The last second does not
# count: sessions end in it, which takes the processors from those that go on.
strategy_window()
{
	local strategy=$1 work=$2 clients=$3
	local window="(SELECT max(at) - interval '1 s' AS ending FROM waited) e WHERE at > ending - interval '$seconds s' AND at <= ending"

	tune strategy "$strategy" initial_size "$pool_size" min_size "$pool_size" max_size "$pool_size"
	sql "$local_port" -c 'TRUNCATE waited'
	drive "$clients" $((warmup * 2 + seconds + 1)) "ask_$work.sql" || return
	run psql -X -q -At -F ' ' -h "$T/s" -p "$local_port" -U postgres -d postgres -c "
		SELECT '$strategy', '$work', $clients, (count(*) / $seconds.0)::int,
			(p[1] / 1000)::numeric(9, 3), (p[2] / 1000)::numeric(9, 3), (max(us) / 1000)::numeric(9, 3),
			(max(us) / greatest(p[1], 1))::numeric(12, 1), round(100.0 * count(*) FILTER (WHERE us < 50) / count(*))
		FROM (SELECT us FROM waited, $window) w,
			(SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY us) AS p FROM waited, $window) q
		GROUP BY p" >>"$T/strategies/samples"
}

# Waits of single acquires and throughput, with 4 and 16 times more clients than
# connections: medians over rounds, in each of which every strategy has its turn.
measure_strategy()
{
	local strategy work times round

	prepare_strategies
	: >"$T/strategies/samples"
	for ((round = 1; round <= self_rounds; round++)); do
		for work in ${BENCH_WORK:-short sleep}; do
			for times in 4 16; do
				for strategy in ${BENCH_STRATEGIES:-balanced high_throughput low_latency dynamic}; do
					note "strategy: round $round of $self_rounds, $strategy, $work, $times times"
					strategy_window "$strategy" "$work" $((times * pool_size)) || :
				done
			done
		done
	done
	printf '\nStrategies, %d connections: how long an acquire waits (those that waited for nothing included), ms; medians over %d rounds\n' \
		"$pool_size" "$self_rounds"
	awk -f "$bench/median.awk" -f "$bench/strategies.awk" "$T/strategies/samples"
}

# The mean of the last seconds of a run, calls a second.
last_seconds()
{
	awk -v from="$1" '/^progress:/ && ++n > from { sum += $4; seconds++ }
		END { if (!seconds) exit 1; printf "%.0f", sum / seconds }' "$T/err"
}

# The scripts of a kind of work, with their weights.
scripts_of()
{
	case $1 in
		mixed) echo 'short.sql@4 hot.sql@1' ;;
		*) echo "$1.sql" ;;
	esac
}

# One fixed size, or strategy dynamic from 5 connections on: a line of figures.
dynamic_window()
{
	local work=$1 size=$2 skipped=$((warmup * 2)) scripts found=$2

	read -r -a scripts <<<"$(scripts_of "$work")"
	# Connections of the setting before must not be what this one begins with.
	sql "$local_port" -c "SELECT enhanced_pool.close_pool('tuned')"
	if [ "$size" = dynamic ]; then
		skipped=$settle
		tune strategy dynamic initial_size 5 min_size 1 max_size 64
	else
		tune strategy balanced initial_size "$size" min_size "$size" max_size "$size"
	fi
	drive "$clients" $((skipped + seconds)) "${scripts[@]}" || return
	[ "$size" != dynamic ] || found=$(run psql -X -q -At -h "$T/s" -p "$local_port" -U postgres -d postgres \
		-c "SELECT size FROM enhanced_pool.pools WHERE pool = 'tuned' AND role = 'bench_local'")
	printf '%s %s %s %s\n' "$work" "$size" "$(last_seconds "$skipped")" "$found" >>"$T/strategies/sizes"
}

# Strategy "dynamic" beside fixed sizes, in rounds.
measure_dynamic()
{
	local work size round

	prepare_strategies
	: >"$T/strategies/sizes"
	for ((round = 1; round <= self_rounds; round++)); do
		for work in ${BENCH_WORK:-short sleep mixed}; do
			for size in ${BENCH_SIZES:-1 2 4 8 16 32 64} dynamic; do
				note "dynamic: round $round of $self_rounds, $work, $size"
				dynamic_window "$work" "$size" || :
			done
		done
	done
	printf '\nDynamic beside fixed sizes, %d clients: calls a second, medians over %d rounds\n' "$clients" "$self_rounds"
	awk -f "$bench/median.awk" -f "$bench/strategies.awk" "$T/strategies/sizes"
}
