# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# strategies.sh: the sections "strategy" and "dynamic" of the benchmark, which
# compare enhanced_pool with itself. Sourced by bench/run, whose settings it uses.

settle=${BENCH_SETTLE:-20}

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

# Waits of single acquires and throughput, with 4 and 16 times more clients than connections.
measure_strategy()
{
	local strategy work times spent

	prepare_strategies
	printf '\nStrategies, %d connections: how long an acquire waits (those that waited for nothing included), ms\n' "$pool_size"
	printf '  %-17s %-6s %7s %9s %9s %9s %9s %12s %9s\n' '' work clients 'calls/s' median p99 longest 'longest/median' passing
	for work in ${BENCH_WORK:-short sleep}; do
		for times in 4 16; do
			for strategy in ${BENCH_STRATEGIES:-balanced high_throughput low_latency dynamic}; do
				note "strategy: $strategy, $work, $times times"
				tune strategy "$strategy" initial_size "$pool_size" min_size "$pool_size" max_size "$pool_size"
				spent=$((warmup * 2 + seconds))
				sql "$local_port" -c 'TRUNCATE waited'
				drive $((times * pool_size)) "$spent" "ask_$work.sql" || continue
				run psql -X -q -At -F ' ' -h "$T/s" -p "$local_port" -U postgres -d postgres -c "
					SELECT '$strategy', '$work', $((times * pool_size)), (count(*) / $seconds.0)::int,
						(p[1] / 1000)::numeric(9, 3), (p[2] / 1000)::numeric(9, 3), (max(us) / 1000)::numeric(9, 3),
						(max(us) / greatest(p[1], 1))::numeric(12, 1),
						round(100.0 * count(*) FILTER (WHERE us < 50) / count(*)) || '%'
					FROM (SELECT us FROM waited WHERE at > (SELECT max(at) FROM waited) - interval '$seconds s') w,
						(SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY us) AS p FROM waited
							WHERE at > (SELECT max(at) FROM waited) - interval '$seconds s') q
					GROUP BY p" | awk '{ printf "  %-17s %-6s %7s %9s %9s %9s %9s %14s %9s\n", $1, $2, $3, $4, $5, $6, $7, $8, $9 }'
			done
		done
	done
}

# The mean of the last seconds of a run, calls a second.
last_seconds()
{
	awk -v from="$1" '/^progress:/ && ++n > from { sum += $4; seconds++ }
		END { if (!seconds) exit 1; printf "%.0f", sum / seconds }' "$T/err"
}

# Strategy "dynamic" beside fixed sizes.
measure_dynamic()
{
	local work size spent scripts value best best_size found

	prepare_strategies
	printf '\nDynamic beside fixed sizes, %d clients: calls a second\n' "$clients"
	for work in ${BENCH_WORK:-short sleep mixed}; do
		case $work in
			mixed) scripts='short.sql@4 hot.sql@1' ;;
			*) scripts=$work.sql ;;
		esac
		best=0
		printf '  %-6s' "$work"
		for size in ${BENCH_SIZES:-1 2 4 8 16 32 64}; do
			note "dynamic: $work, fixed size $size"
			tune strategy balanced initial_size "$size" min_size "$size" max_size "$size"
			# shellcheck disable=SC2086 # a list of names
			drive "$clients" $((warmup * 2 + seconds)) $scripts || continue
			value=$(last_seconds $((warmup * 2)))
			printf '  %d: %s' "$size" "$value"
			[ "$value" -le "$best" ] || best=$value best_size=$size
		done
		note "dynamic: $work"
		tune strategy dynamic initial_size 5 min_size 1 max_size 64
		spent=$((settle + seconds))
		# shellcheck disable=SC2086 # a list of names
		drive "$clients" "$spent" $scripts || continue
		value=$(last_seconds "$settle")
		found=$(run psql -X -q -At -h "$T/s" -p "$local_port" -U postgres -d postgres \
			-c "SELECT size FROM enhanced_pool.pools WHERE pool = 'tuned' AND role = 'bench_local'")
		printf '\n         dynamic: %s with %s connections, %s %% of the best fixed size (%s); wanted: >= 95\n' "$value" "$found" \
			"$((100 * value / (best > 0 ? best : 1)))" "$best_size"
	done
}
