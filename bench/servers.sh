# shellcheck shell=bash disable=SC2154 # bench/run sets what is used here
# servers.sh: the two servers and the PgBouncer of the benchmark. Sourced by
# bench/run, whose settings it uses; needs test/harness/lib.sh.

# server_port NAME: sets the variable NAME to a port of 127.0.0.1 that nothing
# listens on. Over Unix sockets, which lie in a folder of this run's own, any
# port is free.
server_port()
{
	local port

	while port=$((20000 + RANDOM % 12000)); do
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	printf -v "$1" %s "$port"
}

# new_server NAME PORT [CONF-LINE...]: both servers have the same settings but
# for the lines given. Nothing is written while it is measured, and nothing else
# is to run meanwhile.
new_server()
{
	local name=$1 port=$2
	shift 2

	start_server "$name" "$port" "listen_addresses = '$listen'" 'shared_buffers = 256MB' "work_mem = '$work_mem'" \
		'autovacuum = off' 'checkpoint_timeout = 1h' 'jit = off' 'max_parallel_workers_per_gather = 0' "$@"
}

# sql PORT ARGUMENT...: psql as superuser that stops at the first error.
sql()
{
	local port=$1
	shift

	run env PGOPTIONS='-c client_min_messages=warning' psql -X -q -o /dev/null -v ON_ERROR_STOP=1 \
		-h "$T/s" -p "$port" -U postgres -d postgres "$@"
}

# PgBouncer in transaction mode with as many remote connections as enhanced_pool
# has. Its clients come in with a plain password: the cheapest way that dblink
# leaves to a role that is not superuser (a password must have been asked for),
# so that no SCRAM exchange is held against PgBouncer. It runs from a copy in $T
# as all else does: the harness ends what runs from there.
#
# start_pgbouncer NAME PORT HOST POOLER [CONF-LINE...]: HOST is the remote
# server's, POOLER the connection string with which it must answer.
start_pgbouncer()
{
	local dir=$T/$1 port=$2 host=$3 pooler=$4 tries=100
	shift 4

	mkdir "$dir"
	cp "$(command -v pgbouncer || echo /usr/sbin/pgbouncer)" "$dir/pgbouncer"
	echo '"bench_user" "bench"' >"$dir/users.txt"
	cat >"$dir/pgbouncer.ini" <<-CONF
		[databases]
		bench = host=$host port=$remote_port dbname=postgres
		[pgbouncer]
		listen_addr = $listen
		unix_socket_dir = $T/s
		listen_port = $port
		auth_type = plain
		auth_file = $dir/users.txt
		pool_mode = transaction
		default_pool_size = $pool_size
		max_client_conn = 500
		log_connections = 0
		log_disconnections = 0
		log_stats = 0
		logfile = $dir/log
		pidfile = $dir/pid
		$(printf '%s\n' "$@")
	CONF
	run "$dir/pgbouncer" -q -d "$dir/pgbouncer.ini" || { cat "$dir/log" >&2; die 'PgBouncer does not start'; }
	until run psql -X -At -o /dev/null -c 'SELECT 1' "$pooler" 2>"$dir/answer"; do
		[ $((tries--)) -gt 0 ] || { cat "$dir/answer" "$dir/log" >&2; die 'PgBouncer does not answer'; }
		sleep 0.05
	done
}

# Keeps the cores from falling asleep, by a loop on each that runs only when
# nothing else would: on an idle or virtual machine waking a core can cost more
# than the work that it is woken for. The loops end with this script.
keep_awake()
{
	local i

	for ((i = 0; i < $(nproc); i++)); do
		# shellcheck disable=SC2016 # for the inner shell
		chrt --idle 0 bash -c 'while kill -0 "$1" 2>/dev/null; do for ((i = 0; i < 100000; i++)); do :; done; done' \
			_ $$ </dev/null &
		awake+=("$!")
		disown "$!"				# or their end would be announced
	done
}

let_sleep()
{
	[ ${#awake[@]} -eq 0 ] || kill "${awake[@]}" 2>/dev/null
	awake=()
}

# PgBouncer does not heed SIGQUIT, by which the harness ends things, and would be
# waited for in vain: the end of the run, called with its status in $?.
finish_bench()
{
	local status=$? pid dir

	set +e
	trap '' HUP INT TERM
	let_sleep
	[ -z "${bare_relay-}" ] || kill "$bare_relay" 2>/dev/null
	for dir in "$T/pgbouncer" "$T/pgbouncer_tls"; do
		if read -r pid 2>/dev/null <"$dir/pid" && [ "/proc/$pid/exe" -ef "$dir/pgbouncer" ]; then
			kill -TERM "$pid"
		fi
	done
	(exit "$status")
	finish
}

# The remote server's certificate; nobody checks it here.
make_certificate()
{
	run openssl req -new -x509 -days 2 -nodes -subj /CN=localhost -out "$T/server.crt" -keyout "$T/server.key" \
		2>"$T/openssl.log" || { cat "$T/openssl.log" >&2; die 'no certificate could be made'; }
	chmod 600 "$T/server.key"
}

# Something to compare the relay with: bare_relay.c says what it is.
start_bare_relay()
{
	local socket=$T/bare/.s.PGSQL.$remote_port tries=100

	mkdir -p "$T/bare"
	gcc -O2 -o "$T/bare_relay" "$bench/bare_relay.c" -lssl -lcrypto
	"$T/bare_relay" "$socket" "$remote_port" </dev/null &
	bare_relay=$!
	disown "$bare_relay"
	until [ -S "$socket" ]; do
		[ $((tries--)) -gt 0 ] || die 'the bare relay does not start'
		sleep 0.05
	done
}

# Starts everything and sets $remote, $pooler and $pooler_tls, the connection strings.
start_all()
{
	local preload=dblink,postgres_fdw,plproxy remote_host=$T/s listen='' pooler_tls_port port vars

	[ "$transport" = unix ] || remote_host=127.0.0.1 listen=127.0.0.1
	server_port local_port
	server_port remote_port
	server_port pooler_port
	server_port pooler_tls_port
	remote="host=$remote_host port=$remote_port dbname=postgres user=bench_user password=bench"
	pooler="host=$remote_host port=$pooler_port dbname=bench user=bench_user password=bench"

	pooler_tls="host=$remote_host port=$pooler_tls_port dbname=bench user=bench_user password=bench"

	# All peers' libraries are loaded at the start, as enhanced_pool's must be.
	! ours_wanted || preload=$preload,enhanced_pool
	make_certificate
	# TLS exists over TCP alone, so the remote server always listens there, too.
	new_server remote "$remote_port" "listen_addresses = '127.0.0.1'" 'ssl = on' \
		"ssl_cert_file = '$T/server.crt'" "ssl_key_file = '$T/server.key'" \
		"$([[ " $sections " != *" truth "* ]] || echo "shared_preload_libraries = 'pg_stat_statements'")"
	new_server local "$local_port" "shared_preload_libraries = '$preload'"

	note 'filling the tables'
	for port in "$remote_port" "$local_port"; do
		sql "$port" -v item_rows="$item_rows" -v bulk_rows="$bulk_rows" -f "$bench/sql/data.sql"
	done
	sql "$remote_port" -f "$bench/sql/remote.sql"
	# The remote asks bench_user for its password, as a server elsewhere would.
	# The bare relay cannot do what SCRAM asks for on an encrypted connection.
	sed -i -e '1i hostssl all bench_bare 127.0.0.1/32 password' -e '1i local all bench_user scram-sha-256' -e '1i host all bench_user 127.0.0.1/32 scram-sha-256' \
		"$T/remote/pg_hba.conf"
	sql "$remote_port" -c 'SELECT pg_reload_conf()'

	vars=(-v host="$remote_host" -v port="$remote_port" -v remote="$remote" -v pool_size="$pool_size" -v bare="$T/bare")
	sql "$local_port" "${vars[@]}" -f "$bench/sql/local.sql"
	! ours_wanted || sql "$local_port" "${vars[@]}" -f "$bench/sql/enhanced_pool.sql"
	! wanted enhanced_pool_bare || start_bare_relay
	start_pgbouncer pgbouncer "$pooler_port" "$remote_host" "$pooler"
	start_pgbouncer pgbouncer_tls "$pooler_tls_port" 127.0.0.1 "$pooler_tls" 'server_tls_sslmode = require'
}
