# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# copies.sh: the section "copy" of the benchmark: many rows into a table of the
# other server, by each way there is. Sourced by bench/run, whose settings it uses.

copy_ways='psql psql_binary postgres_fdw enhanced_pool'

prepare_copy()
{
	sql "$remote_port" -f "$bench/sql/copy_remote.sql"
	sql "$local_port" -f "$bench/sql/copy.sql"
}

# as PORT ROLE COMMAND: psql for one statement.
as()
{
	run env PGPASSWORD=bench timeout 300 psql -X -q -v ON_ERROR_STOP=1 -h "$T/s" -p "$1" -U "$2" -d postgres -c "$3"
}

# copy_rows DIRECTION WAY: the rows of table reading into the empty table arrived of the other server.
copy_rows()
{
	local from=$local_port to=$remote_port from_role=bench_local to_role=bench_user format=text

	if [ "$1" = from ]; then
		from=$remote_port to=$local_port from_role=bench_user to_role=bench_local
	fi
	case $1_$2 in
		*_psql | *_psql_binary)
			[ "$2" = psql ] || format=binary
			as "$from" "$from_role" "COPY reading TO STDOUT (FORMAT $format)" |
				as "$to" "$to_role" "COPY arrived FROM STDIN (FORMAT $format)"
			;;
		to_postgres_fdw) as "$local_port" bench_local 'INSERT INTO remote_arrived SELECT * FROM reading' ;;
		from_postgres_fdw) as "$local_port" bench_local 'INSERT INTO arrived SELECT * FROM remote_reading_tuned' ;;
		to_enhanced_pool) as "$local_port" bench_local "SELECT enhanced_pool.copy_to('bench', 'arrived', 'TABLE reading')" ;;
		from_enhanced_pool) as "$local_port" bench_local "SELECT enhanced_pool.copy_from('bench', 'TABLE reading', 'arrived')" ;;
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
		awk -v section="copy_$direction" -v members="$copy_ways" -v rows="$bulk_rows" -f "$bench/report.awk" \
			"$bench/reach.tsv" "$T/samples"
	done
}
