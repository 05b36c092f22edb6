# shellcheck shell=bash
# lib.sh: what demo, test and versions share.  Sourced by bash, not run.
#
# Such a script has two halves.  The first ("outside") may be root: it installs
# packages, copies the source into a new temporary directory T and becomes an
# unprivileged user by exec.  The second ("inside", the same script with
# --inside) copies the PostgreSQL tree to $T, so that `make install` goes there
# and not into the system, builds, starts servers and cleans up, whatever ends
# it.  All that it starts lives under $T, so two runs never meet.
#
# From the environment:
#   PG_MAJOR		major version of the packages to use (default: see ep_pg_major)
#   EP_PG_CONFIG	use the server this pg_config belongs to instead of a package
#   KEEP=1			leave $T in place at the end
#   TLS=1			servers that pools connect to are reached over TLS alone
#   EP_SANITIZE=1	the extension is built with sanitizers, see sanitize_server
#   EP_COVERAGE=1	the extension counts which lines run, see coverage
#   TMPDIR			where $T is made (default /tmp)

set -euo pipefail
unset MAKEFLAGS MAKELEVEL MFLAGS	# of the make that started the script

harness=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$harness/../.." && pwd)

say() { printf '%s\n' "$*"; }
title() { printf '\n=== %s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Is this a run with every remote connection over TLS?
with_tls() { [ -n "${TLS-}" ] && [ "${TLS-}" != 0 ]; }

# Is this a run with sanitizers?
with_sanitizers() { [ -n "${EP_SANITIZE-}" ] && [ "${EP_SANITIZE-}" != 0 ]; }

# Is this a run that measures coverage?
with_coverage() { [ -n "${EP_COVERAGE-}" ] && [ "${EP_COVERAGE-}" != 0 ]; }

# --------------------------------------------------------------- outside

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "need root (or sudo) to run: $*"
	fi
}

apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=600 "$@" </dev/null
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# The newest supported major version that is installed, else the one this
# system's packages have.
ep_pg_major()
{
	local v

	for v in 18 17 15; do
		[ -x "/usr/lib/postgresql/$v/bin/postgres" ] && { echo "$v"; return; }
	done
	for v in 18 17 15; do
		apt-cache show "postgresql-$v" >/dev/null 2>&1 && { echo "$v"; return; }
	done
	echo 15
}

# need_packages NAME...: install those that are missing, and say so first.
need_packages()
{
	local p missing=()

	command -v dpkg-query >/dev/null || {
		say "No dpkg here: taking it for granted that the equivalents of these are installed: $*"
		return
	}
	for p in "$@"; do
		installed "$p" || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	say "Installing these packages with apt (they stay installed afterwards):"
	printf '  %s\n' "${missing[@]}"
	apt_get update
	case " ${missing[*]} " in
		*" postgresql-"* | *" pgbouncer "* | *" patroni "* | *" etcd-server "* | *" prometheus"*) install_without_cluster "${missing[@]}" ;;
		*) apt_get install --no-install-recommends "${missing[@]}" ;;
	esac
}

# A new server package makes a cluster and starts it, unless postgresql-common
# is told not to; a new pgbouncer, patroni, etcd, prometheus or
# exporter starts itself, unless policy-rc.d forbids it.
# Told so for the time of this installation alone.
install_without_cluster()
{
	local conf=/etc/postgresql-common/createcluster.conf
	local line='create_main_cluster = false  # enhanced_pool: while it installs packages'
	local policy=/usr/sbin/policy-rc.d
	local forget=:
	local status=0

	installed postgresql-common || apt_get install --no-install-recommends postgresql-common
	say "No database cluster is created or started by this: $conf says so meanwhile."
	# shellcheck disable=SC2064 # the values of now: the function may be gone then
	[ -e "$policy" ] || {
		# shellcheck disable=SC2016 # for the inner shell
		as_root sh -c 'printf "#!/bin/sh\nexit 101\n" > "$1"; chmod 755 "$1"' sh "$policy"
		forget="as_root rm -f $policy"
	}
	# shellcheck disable=SC2064 # as above
	trap "as_root sed -i '\|$line|d' '$conf'; $forget" EXIT
	# shellcheck disable=SC2016 # for the inner shell
	as_root sh -c 'printf "%s\n" "$1" >> "$2"' sh "$line" "$conf"
	apt_get install --no-install-recommends "$@" || status=$?
	as_root sed -i "\|$line|d" "$conf"
	$forget
	trap - EXIT
	return $status
}

# The mirror that this machine's apt uses.
debian_mirror()
{
	local mirror

	mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1)
	[ -n "$mirror" ] ||
		mirror=$(sed -n 's/^deb \(\[[^]]*\] \)*\([^ ]*\) .*/\2/p' /etc/apt/sources.list 2>/dev/null | head -1)
	mirror=${mirror%% *}
	[ -n "$mirror" ] || die 'no Debian mirror in the apt configuration'
	echo "$mirror"
}

# What it takes to build; add packages of tests with build_packages + others.
build_packages()
{
	local v=$1

	echo gcc make libpq-dev libc-ares-dev libssl-dev
	[ -n "${EP_PG_CONFIG-}" ] || echo "postgresql-$v" "postgresql-server-dev-$v"
}

# make_stranger T: T/stranger, by which the tests can connect as another user of the
# machine to what is not his.  Without it they leave that out.
make_stranger()
{
	local source=$1/src/test/lib/pest.c

	[ -e "$source" ] || return 0
	cc -O -o "$1/stranger" "$source" 2>/dev/null || return 0
	if ! { chown nobody "$1/stranger" && chmod 4711 "$1/stranger"; }; then rm -f "$1/stranger"; fi
}

# What it takes beside to build the targets of test/fuzz.
fuzz_packages() { echo clang-14 libclang-rt-14-dev; }

# go_inside SCRIPT ARG...: copy the source to a new directory and start SCRIPT
# --inside there as a user who may run servers.  Does not return.
go_inside()
{
	local script=$1 T drop=() pg_config
	shift

	pg_config=${EP_PG_CONFIG:-/usr/lib/postgresql/$PG_MAJOR/bin/pg_config}
	[ -x "$pg_config" ] || die "no $pg_config"
	T=$(mktemp -d "${TMPDIR:-/tmp}/enhanced_pool.XXXXXX")
	[ ${#T} -le 60 ] || { rmdir "$T"; die "TMPDIR is too long for Unix sockets, use a shorter one"; }
	trap 'rm -rf "$T"' EXIT
	chmod 755 "$T"
	mkdir "$T/src" "$T/tmp"
	tar -C "$top" -cf - --exclude=./.git --exclude='*.o' --exclude='*.d' --exclude='*.so' \
		--exclude=./results --exclude=./tmp_check --exclude=./output_iso --exclude=./test/unit/build --exclude=./test/simulation/build --exclude=./test/fuzz/build . |
		tar -C "$T/src" --no-same-owner -xf -
	if [ "$(id -u)" = 0 ]; then
		id postgres >/dev/null 2>&1 || die "there is no user postgres to run the servers as"
		chown -R postgres: "$T"
		make_stranger "$T"
		drop=(setpriv --reuid=postgres --regid=postgres --init-groups)
	fi
	trap - EXIT
	cd "$T"
	exec "${drop[@]}" env -i PATH="$PATH" HOME="$T" TMPDIR="$T/tmp" TERM="${TERM-dumb}" LC_ALL=C.UTF-8 \
		CI="${CI-}" KEEP="${KEEP-}" WERROR="${WERROR--Werror}" EP_T="$T" EP_PG_CONFIG="$pg_config" \
		EP_STRANGER="$T/stranger" EP_TESTS="${EP_TESTS-}" TLS="${TLS-}" EP_SANITIZE="${EP_SANITIZE-}" EP_COVERAGE="${EP_COVERAGE-}" EP_JOBS="${EP_JOBS-$(nproc)}" \
		bash "$T/src/test/harness/$script" --inside "$@"
}

# ---------------------------------------------------------------- inside

# Called first by the inside half.
begin_inside()
{
	T=$EP_T
	child=
	set -m						# each job gets a process group: see run
	trap finish EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	cd "$T/src"
}

# run COMMAND...: in a process group of its own and waited for, so that a signal
# to this script is acted on at once, and reaches all that COMMAND started.
run()
{
	local status=0

	"$@" </dev/null &
	child=$!
	wait "$child" || status=$?
	child=
	return $status
}

# The end of the inside half, whatever brought it about: ends what this run
# started, known by living in $T, and removes $T.
finish()
{
	local status=$?

	trap '' HUP INT TERM
	set +e
	[ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null
	end_strays QUIT 100
	end_strays KILL 50
	if [ -n "${KEEP-}" ]; then
		say "Kept: $T"
	else
		cd / && rm -rf "$T"
	fi
	trap - EXIT
	exit "$status"
}

# Postmasters of $T get SIGNAL (their children follow them), then everything else
# that runs a program from $T; waits up to TRIES tenths of a second for their end.
end_strays()
{
	local signal=$1 tries=$2 pid f pids

	while read -r f; do
		{ read -r pid < "$f"; } 2>/dev/null || continue
		case $(readlink "/proc/$pid/cwd" 2>/dev/null) in
			"$T"/*) kill -"$signal" "$pid" 2>/dev/null ;;
		esac
	done < <(find "$T" -name postmaster.pid 2>/dev/null)
	while :; do
		pids=$(strays)
		[ -n "$pids" ] || return 0
		[ $((tries--)) -gt 0 ] || break
		sleep 0.1
	done
	# shellcheck disable=SC2086 # a list of process ids
	kill -"$signal" $pids 2>/dev/null
}

strays()
{
	local p

	for p in /proc/[0-9]*; do
		case $(readlink "$p/exe" 2>/dev/null) in
			"$T"/*) echo "${p#/proc/}" ;;
		esac
	done
}

# Copy the tree of EP_PG_CONFIG's server to $T.  bin, lib, share and include keep
# their relative places, from which PostgreSQL's programs find each other, and
# pg_config of the copy tells PGXS to build for and install into the copy.
copy_tree()
{
	local pg_config=$EP_PG_CONFIG dir libdir copied=' '

	libdir=$("$pg_config" --libdir)
	for dir in "$("$pg_config" --bindir)" "$libdir" "$("$pg_config" --pkglibdir)" "$("$pg_config" --sharedir)" \
		"$("$pg_config" --includedir)" "$("$pg_config" --pkgincludedir)" "$("$pg_config" --includedir-server)"
	do
		case $copied in *" $T$dir "*) continue ;; esac
		copied="$copied$T$dir "
		[ ! -L "$T$dir" ] || continue	# by an earlier call
		mkdir -p "$T$dir"
		case $dir in
			/usr/include | /usr/lib | /usr/lib/*-linux-gnu*) rmdir "$T$dir"; ln -s "$dir" "$T$dir" ;;
			*) run copy_dir "$dir" "$T$dir" ;;
		esac
	done
	PG_CONFIG=$T$pg_config
	bindir=$("$PG_CONFIG" --bindir)
	case $bindir in "$T"/*) ;; *) die "$PG_CONFIG does not find its own tree" ;; esac
	PATH=$bindir:$PATH
	export PG_CONFIG PATH
	copy_pgtap
}

copy_dir()
{
	tar -C "$1" --exclude=./bitcode --exclude=./man --exclude=./locale -cf - . | tar -C "$2" -xf -
}

# A server built from source has no pgTAP; it is SQL alone, so a package's will do.
copy_pgtap()
{
	local to f

	to=$("$PG_CONFIG" --sharedir)/extension
	[ ! -e "$to/pgtap.control" ] || return 0
	for f in /usr/share/postgresql/*/extension/pgtap.control; do
		[ -e "$f" ] || return 0
		cp "${f%.control}"* "$to"
		return
	done
}

build()
{
	title "Building and installing into the copy ($("$PG_CONFIG" --version)$(! with_sanitizers || echo ', sanitizers'))"
	! with_sanitizers || export COPT="$sanitizers"
	! with_coverage || export COPT="$coverage"
	if ! run make -s -j"$EP_JOBS" PG_CONFIG="$PG_CONFIG" WERROR="$WERROR" all >"$T/build.log" 2>&1; then
		cat "$T/build.log"
		die "the build failed"
	fi
	cat "$T/build.log"
	run make -s PG_CONFIG="$PG_CONFIG" WERROR="$WERROR" install >"$T/install.log" 2>&1 ||
		{ cat "$T/install.log"; die "the installation failed"; }
	[ -e "$("$PG_CONFIG" --pkglibdir)/enhanced_pool.so" ] || die "nothing was installed in $T"
	! with_sanitizers || sanitize_server
}

# PGXS takes them as COPT.  -fwrapv, with which servers are built, would make
# signed overflow fine.
sanitizers='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-wrapv -fno-omit-frame-pointer -O1'

# Without optimization, so that each line keeps code of its own; which the
# server's -D_FORTIFY_SOURCE warns about.  Each process adds its counts to files
# beside the objects when it exits.
coverage='--coverage -O0 -Wno-cpp'

# The sanitizers look at the extension alone; the server itself is built without
# them.  Their libraries have to be loaded before anything else, so a script that
# takes the server's name loads them and runs it.  They abort the process, after a
# report to $T/sanitizer/address.PID or, the second, to the server's log.  What a
# server keeps for its whole life is not a leak, and each process has a quarantine.
sanitize_server()
{
	local cc so options

	so=$("$PG_CONFIG" --pkglibdir)/enhanced_pool.so
	{ grep -q __asan_report "$so" && grep -q __ubsan_handle "$so"; } || die "$so was built without sanitizers"
	read -ra cc < <("$PG_CONFIG" --cc)
	mkdir "$T/sanitizer"
	options=abort_on_error=1:handle_abort=0
	# This one looks for its options when it has something to report, and the
	# title of the process has long been written over the environment then.
	"${cc[@]}" -shared -fPIC -x c -o "$T/ubsan_options.so" - <<-C
		const char *__ubsan_default_options(void) { return "$options:print_stacktrace=1"; }
	C
	mv "$bindir/postgres" "$bindir/postgres.plain"
	cat >"$bindir/postgres" <<-SCRIPT
		#!/bin/bash
		export LD_PRELOAD='$("${cc[@]}" -print-file-name=libasan.so) $T/ubsan_options.so $("${cc[@]}" -print-file-name=libubsan.so)'
		export ASAN_OPTIONS='$options:log_path=$T/sanitizer/address:detect_leaks=0:detect_stack_use_after_return=0:quarantine_size_mb=32'
		exec -a "\$0" '$bindir/postgres.plain' "\$@"
	SCRIPT
	chmod 755 "$bindir/postgres"
}

# start_server NAME PORT [CONF-LINE...]: a cluster $T/NAME, on a socket in $T/s
# alone, superuser postgres, trusting whoever can reach the socket.
start_server()
{
	init_server "$@"
	restart_server "$1" start
}

# start_remote NAME PORT [CONF-LINE...]: the same for a server that pools connect
# to.  With TLS=1 it also listens on 127.0.0.1, where it takes nothing but TLS,
# logs connections, and says in ep_test.tls_root where the root certificate is;
# PORT should come from remote_port.
start_remote()
{
	init_server "$@"
	! with_tls || serve_tls "$1"
	restart_server "$1" start
}

# remote_port PORT: PORT, but with TLS=1 one that is free on 127.0.0.1 (others may
# run this script, too; the TAP tests take theirs from 10200 up).
remote_port()
{
	local port=$1

	while with_tls; do
		port=$((6000 + RANDOM % 4000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

# remote_options PORT: how a pool reaches a server of start_remote, as options of
# a foreign server.  What decides it in SQL and Perl: remote_options() in
# test/sql/setup.sql and test/specs/isolation_setup.spec, remote_options in
# test/lib/EnhancedPool.pm.
remote_options()
{
	if with_tls; then
		echo "host '127.0.0.1', port '$1', sslmode 'verify-full', sslrootcert '$T/tls/server.crt'"
	else
		echo "host '$T/s', port '$1'"
	fi
}

init_server()
{
	local name=$1 port=$2
	shift 2

	mkdir -p "$T/s"
	chmod 700 "$T/s"
	run initdb -D "$T/$name" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$T/$name.initdb.log" 2>&1 ||
		{ cat "$T/$name.initdb.log"; die "initdb failed"; }
	cat >>"$T/$name/postgresql.conf" <<-CONF
		listen_addresses = ''
		unix_socket_directories = '$T/s'
		port = $port
		cluster_name = '$name'
		max_connections = 300
		fsync = off
		synchronous_commit = off
		full_page_writes = off
		log_line_prefix = '%m [%p] %b %q%a '
	CONF
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$T/$name/postgresql.conf"
}

# Certificate and key of all servers of this run; the certificate is its own root.
make_certificate()
{
	[ ! -e "$T/tls/server.crt" ] || return 0
	mkdir "$T/tls"
	(umask 077 && openssl req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
		-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
		-keyout "$T/tls/server.key" -out "$T/tls/server.crt") >"$T/tls/log" 2>&1 ||
		{ cat "$T/tls/log"; die 'openssl made no certificate'; }
}

serve_tls()
{
	make_certificate
	printf '%s\n' "listen_addresses = '127.0.0.1'" 'ssl = on' "ssl_cert_file = '$T/tls/server.crt'" \
		"ssl_key_file = '$T/tls/server.key'" 'log_connections = on' \
		"ep_test.tls_root = '$T/tls/server.crt'" >>"$T/$1/postgresql.conf"
	printf '%s\n' 'local all all trust' 'hostssl all all 127.0.0.1/32 trust' >"$T/$1/pg_hba.conf"
}

# Counts the connections of pools in a server log on standard input; ep_user is
# the TAP tests' remote user.  Succeeds if there are some, all of them over TLS.
tls_seen()
{
	# a line may be as long as a statement, which awk would search slowly
	grep -aF 'connection authorized: ' | awk '
		/connection authorized: (user=ep_user |.* application_name=enhanced_pool)/ { if (/ SSL enabled /) tls++; else plain++ }
		END { printf "%d connections over TLS, %d without\n", tls, plain; exit !tls || plain }'
}

# restart_server NAME [start|restart]
restart_server()
{
	run pg_ctl -s -w -t 60 -D "$T/$1" -l "$T/$1.log" "${2-restart}" ||
		{ tail -50 "$T/$1.log"; die "server $1 did not start"; }
}

stop_server()
{
	run pg_ctl -s -w -t 60 -D "$T/$1" -m fast stop
}
