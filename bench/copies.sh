# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# copies.sh: the section "copy" of the benchmark: many rows into a table of the
# other server, by each way there is. Sourced by bench/run, whose settings it uses.

copy_ways='psql psql_binary postgres_fdw enhanced_pool'

prepare_copy()
{
	sql "$remote_port" -f "$bench/sql/copy_remote.sql"
	sql "$local_port" -f "$bench/sql/copy.sql"
}

# as_local STATEMENT: in a psql on the local server.
as_local()
{
	run timeout 300 psql -X -q -v ON_ERROR_STOP=1 -h "$T/s" -p "$local_port" -U bench_local -d postgres -c "$1"
}

# piped FORMAT FROM-PORT FROM-ROLE TO-PORT TO-ROLE: a psql for each server, one writes to the other.
piped()
{
	# shellcheck disable=SC2016 # for the inner shell
	run env PGPASSWORD=bench timeout 300 bash -c '
		set -o pipefail
		psql="psql -X -q -v ON_ERROR_STOP=1 -h $6 -d postgres"
		$psql -p "$2" -U "$3" -c "COPY reading TO STDOUT (FORMAT $1)" |
			$psql -p "$4" -U "$5" -c "COPY arrived FROM STDIN (FORMAT $1)"' _ "$@" "$T/s"
}

# copy_rows DIRECTION WAY: the rows of table reading into the empty table arrived of the other server.
copy_rows()
{
	case $1_$2 in
		to_psql) piped text "$local_port" bench_local "$remote_port" bench_user ;;
		to_psql_binary) piped binary "$local_port" bench_local "$remote_port" bench_user ;;
		from_psql) piped text "$remote_port" bench_user "$local_port" bench_local ;;
		from_psql_binary) piped binary "$remote_port" bench_user "$local_port" bench_local ;;
		to_postgres_fdw) as_local 'INSERT INTO remote_arrived SELECT * FROM reading' ;;
		from_postgres_fdw) as_local 'INSERT INTO arrived SELECT * FROM remote_reading_tuned' ;;
		to_enhanced_pool) as_local "SELECT enhanced_pool.copy_to('bench', 'arrived', 'TABLE reading')" ;;
		from_enhanced_pool) as_local "SELECT enhanced_pool.copy_from('bench', 'TABLE reading', 'arrived')" ;;
	esac
}

# time_copy DIRECTION WAY: sets $value to the seconds that it takes.
time_copy()
{
	local port=$remote_port began

	[ "$1" = to ] || port=$local_port
	sql "$port" -c 'TRUNCATE arrived' -c 'CHECKPOINT'
	began=$(date +%s%N)
	copy_rows "$1" "$2" >"$T/out" 2>"$T/err" || return 1
	value=$(awk -v began="$began" -v ended="$(date +%s%N)" 'BEGIN { printf "%.3f", (ended - began) / 1e9 }')
	[ "$(run psql -X -q -At -h "$T/s" -p "$port" -U postgres -d postgres -c 'SELECT count(*) FROM arrived')" = "$bulk_rows" ]
}

measure_copy()
{
	local round direction way ways i

	prepare_copy
	read -r -d '' -a ways <<<"$copy_ways" || :
	for ((round = 0; round < rounds; round++)); do
		note "copy: round $((round + 1)) of $rounds"
		for ((i = 0; i < ${#ways[@]}; i++)); do
			way=${ways[(i + round) % ${#ways[@]}]}
			for direction in to from; do
				if time_copy "$direction" "$way"; then
					printf 'copy_%s\t%s\t%d\t%s\n' "$direction" "$way" "$round" "$value" >>"$T/samples"
				else
					failed=1
					note "copy: $direction, $way could not be measured"
					head -n 5 "$T/err" >&2
				fi
			done
		done
	done
	for direction in to from; do
		awk -v section="copy_$direction" -v members="$copy_ways" -v rows="$bulk_rows" -f "$bench/median.awk" -f "$bench/report.awk" \
			"$bench/reach.tsv" "$T/samples"
	done
}
