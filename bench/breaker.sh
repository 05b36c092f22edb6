# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# breaker.sh: the section "breaker" of the benchmark: what sessions wait for while
# the remote server is away, and when it is back. Sourced by bench/run, whose
# settings it uses.

knockers=${BENCH_KNOCKERS:-100}

ask_local() { run psql -X -q -At -F ' ' -h "$T/s" -p "$local_port" -U postgres -d postgres -c "$1"; }

# until_true STATEMENT: asks again and again; gives up after a minute.
until_true()
{
	local tries=1200

	until [ "$(ask_local "$1")" = t ]; do
		[ $((tries--)) -gt 0 ] || { note "breaker: in vain: $1"; return 1; }
		sleep 0.05
	done
}

# One outage of as many seconds as a measurement takes: a line of figures.
outage()
{
	local since

	since=$(ask_local 'SELECT clock_timestamp()')
	stop_server remote
	until_true "SELECT breaker <> 'closed' AND waiting = 0 FROM enhanced_pool.pools WHERE pool = 'knocked' AND role = 'bench_local'" || return
	sleep "$seconds"
	restart_server remote start
	until_true "SELECT count(*) > 100 FROM knocked WHERE state = '00000' AND at >
		(SELECT max(at) FROM knocked WHERE state <> '00000') AND at > '$since'" || return
	ask_local "
		WITH refused AS (SELECT us / 1000 AS ms FROM knocked WHERE state = '57P03' AND at > '$since'),
			back AS (SELECT min(at) AS at FROM knocked WHERE state = '00000'
				AND at > (SELECT max(at) FROM knocked WHERE state = '57P03'))
		SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY ms), max(ms),
			round(100.0 * count(*) FILTER (WHERE ms < 1) / count(*), 2),
			(SELECT extract(epoch FROM back.at - (SELECT max(e.at) FROM enhanced_pool.events e
				WHERE e.kind = 'breaker_half_open' AND e.pool = 'knocked' AND e.at <= back.at)) * 1000 FROM back)
		FROM refused" >>"$T/outages"
}

measure_breaker()
{
	local remote_host=$T/s round pgbench

	[ "$transport" = unix ] || remote_host=127.0.0.1
	sql "$local_port" -v host="$remote_host" -v port="$remote_port" -f "$bench/sql/breaker.sql"
	printf 'SELECT knock();\n\\sleep 50 ms\n' >"$T/knock.sql"
	: >"$T/outages"
	pgbench -n -M prepared -f "$T/knock.sql" -c "$knockers" -j 2 -T 3600 -h "$T/s" -p "$local_port" -U bench_local \
		postgres >"$T/out" 2>"$T/err" &
	pgbench=$!
	until_true 'SELECT count(*) > 1000 FROM knocked' || failed=1
	for ((round = 1; round <= rounds; round++)); do
		note "breaker: round $round of $rounds"
		outage || failed=1
	done
	kill "$pgbench"
	wait "$pgbench" 2>/dev/null || :
	printf '\nCircuit breaker, %d sessions that each knock 20 times a second: the remote server is stopped for %d s and started, %d times\n' \
		"$knockers" "$seconds" "$rounds"
	awk -f "$bench/median.awk" -f "$bench/breaker.awk" "$T/outages"
}
