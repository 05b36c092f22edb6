# Prints the table of one section: medians over the rounds, and how many times
# faster enhanced_pool is than each peer. Input: reach.tsv, then the samples
# (section, peer, round, milliseconds per call or seconds of the bulk read).

# Fills figure[] and spread[] of a peer; in the section of fresh sessions what
# counts is what a round's call took beyond that round's bare connect.
function evaluate(peer,    r, n, list, base) {
	for (r = 0; r <= last_round; r++) {
		if (!((peer, r) in sample))
			continue
		base = 0
		if (section == "fresh" && peer != "connect") {
			if (!(("connect", r) in sample))
				continue
			base = sample["connect", r]
			whole_list[n + 1] = sample[peer, r]
		}
		list[++n] = sample[peer, r] - base
	}
	if (!n)
		return
	if (section == "fresh" && peer != "connect")
		whole[peer] = median(whole_list, n)
	figure[peer] = median(list, n)
	spread[peer] = figure[peer] > 0 ? sprintf("%.0f %%", 100 * (high - low) / figure[peer]) : "-"
}

# By how many us the median call of this peer takes longer than over TCP, both of them the medians of all rounds.
function added(peer) {
	evaluate(peer ".median")
	evaluate("enhanced_pool_tcp.median")
	return 1000 * (figure[peer ".median"] - figure["enhanced_pool_tcp.median"])
}

BEGIN {
	FS = "\t"
	title["lookup1"] = "Single-row look-up by primary key, 1 client"
	title["lookup64"] = sprintf("Single-row look-up by primary key, %d clients (%d remote connections for enhanced_pool and PgBouncer, %d for the others)", clients, pool, clients)
	title["fresh"] = "Single-row look-up in a fresh local session per call; the local connect is taken off"
	title["group"] = sprintf("16 statements of 100 ms each, a pool with %d open connections, 1 client", pool)
	title["batch"] = "10 single-row updates in one remote transaction, 1 client"
	title["stats1"] = "What statistics cost: single-row look-up, 1 client"
	title["stats64"] = sprintf("What statistics cost: single-row look-up, %d clients", clients)
	title["tls1"] = "Encrypted remote: single-row look-up, 1 client"
	title["tls64"] = sprintf("Encrypted remote: single-row look-up, %d clients", clients)
	title["tlsbulk"] = sprintf("Encrypted remote: %d rows of (int, text, timestamptz, float8), first call of a fresh session", rows)
	title["tlswide"] = sprintf("Encrypted remote: %d rows of 8,000 bytes, first call of a fresh session", wide)
	title["bulk"] = sprintf("%d rows of (int, text, timestamptz, float8), first call of a fresh session", rows)
	title["copy_to"] = sprintf("copy_to: %d rows of (int, text, timestamptz, float8) into a remote table", rows)
	title["copy_from"] = sprintf("copy_from: the same rows from there into a local table")
	label["psql"] = "psql COPY | psql COPY"
	label["psql_binary"] = "psql COPY | psql COPY, binary"
	label["local"] = "local table"
	label["remote"] = "pgbench straight to the remote server"
	label["connect"] = "local connect and SELECT 1"
	label["copy_binary"] = "remote COPY TO '/dev/null', binary"
	label["copy_text"] = "remote COPY TO '/dev/null', text"
	label["dblink_connect"] = "dblink, connect per call"
	label["dblink_pgbouncer"] = "dblink, connect per call to PgBouncer"
	label["dblink_kept_pgbouncer"] = "dblink, kept connection to PgBouncer"
	label["dblink_kept"] = "dblink, kept connection"
	label["dblink_kept_asked"] = "dblink, kept, asked for first (2 statements)"
	label["postgres_fdw"] = "postgres_fdw"
	label["postgres_fdw_tuned"] = "postgres_fdw, fetch_size 10000"
	label["plproxy"] = "PL/Proxy"
	label["enhanced_pool"] = section == "group" ? "run_parallel" : section == "batch" ? "run_in_transaction" : "enhanced_pool"
	label["enhanced_pool_nostats"] = "stats_enabled off"
	if (section ~ /^stats/)
		label["enhanced_pool"] = "stats_enabled on"
	label["one_by_one"] = section == "batch" ? "one by one on a lease that is kept" : "one by one"
	label["enhanced_pool_throughput"] = "enhanced_pool, strategy 'high_throughput'"
	label["enhanced_pool_tcp"] = "enhanced_pool, plain text over TCP"
	label["enhanced_pool_tls"] = "enhanced_pool, TLS through the relay"
	label["enhanced_pool_bare"] = "enhanced_pool, TLS through a bare relay"
	label["dblink_pgbouncer_tls"] = "dblink to PgBouncer, which uses TLS"
	subject = section ~ /^tls/ ? "enhanced_pool_tls" : "enhanced_pool"
	in_seconds = section ~ /bulk$|wide$|^copy/
	split("local remote connect copy_binary copy_text", list, " ")
	for (i in list)
		baseline[list[i]] = 1
}

/^#/ { next }
FILENAME ~ /reach\.tsv$/ { if ($1 == section) reach[$2] = $3; next }
$1 == section {
	sample[$2, $3] = $4
	if ($3 > last_round)
		last_round = $3
}

END {
	n = split(members, order, " ")
	for (i = 1; i <= n; i++)
		evaluate(order[i])

	printf "\n%s\n", title[section]
	printf "  %-48s %10s %13s %7s %8s %8s\n", "", \
		in_seconds ? "seconds" : "ms a call", \
		section == "tlswide" ? "MB/s" : in_seconds ? "rows/s" : section == "fresh" ? "with connect" : "calls/s", "spread", "ratio", "wanted"
	for (i = 1; i <= n; i++) {
		peer = order[i]
		if (!(peer in figure))
			continue
		ms = figure[peer] * (section ~ /64$/ ? clients : 1)
		if (section == "tlswide")
			second = sprintf("%.0f", wide * 8000 / 1e6 / figure[peer])
		else if (in_seconds)
			second = sprintf("%.0f", rows / figure[peer])
		else if (section == "fresh")
			second = peer == "connect" ? "-" : sprintf("%.3f", whole[peer])
		else
			second = sprintf("%.0f", 1000 / figure[peer])
		ratio = wanted = result = ""
		if (peer != subject && (subject in figure)) {
			if (!(section == "fresh" && peer == "connect"))
				ratio = sprintf("%.2f", figure[peer] / figure[subject])
			if (peer in reach) {
				wanted = (reach[peer] == 1 ? "> 1" : ">= " reach[peer])
				result = (figure[peer] / figure[subject] >= reach[peer]) ? "reached" : "not reached"
			}
		}
		printf "  %-48s %10.3f %13s %7s %8s %8s  %s\n", label[peer] (peer in baseline ? " (baseline)" : ""), \
			ms, second, spread[peer], ratio, wanted, result
	}
	if (section == "lookup64" && ("enhanced_pool_throughput" in figure) && ("dblink_kept" in figure)) {
		more = figure["dblink_kept"] / figure["enhanced_pool_throughput"]
		printf "  high_throughput against dblink, kept connection: %.2f (wanted: >= %s): %s\n", more, reach["throughput_kept"], \
			(more >= reach["throughput_kept"] ? "reached" : "not reached")
	}
	if (section == "tls1" && ("enhanced_pool_tcp" in figure) && (subject in figure)) {
		more = added(subject)
		printf "  the relay adds %.0f us to the median call (wanted: <= %d): %s\n", more, reach["relay_us"], \
			(more <= reach["relay_us"] ? "reached" : "not reached")
		if ("enhanced_pool_bare" in figure)
			printf "  a process that does nothing but relay adds %.0f us\n", added("enhanced_pool_bare")
	}
	if (section ~ /^stats/) {
		# what disturbs the machine for a while disturbs both in the same round
		for (r = 0; r <= last_round; r++) {
			if ((subject, r) in sample && ("enhanced_pool_nostats", r) in sample)
				ratios[++pairs] = sample[subject, r] / sample["enhanced_pool_nostats", r]
		}
		if (pairs) {
			more = 100 * (median(ratios, pairs) - 1)
			printf "  statistics add %.1f %% to a call, the median of %d rounds' ratios (wanted: < %s): %s\n", more, pairs, reach["stats_percent"], \
				(more < reach["stats_percent"] ? "reached" : "not reached")
		}
	}
	if (section == "group" && (subject in figure))
		printf "  run_parallel takes %.0f ms (wanted: < %d): %s\n", figure[subject], reach["group_ms"], \
			(figure[subject] < reach["group_ms"] ? "reached" : "not reached")
	if (section == "tlswide" && (subject in figure)) {
		speed = wide * 8000 / 1e6 / figure[subject]
		printf "  through one worker: %.0f MB/s (wanted: >= %d): %s\n", speed, reach["relay_mb"], \
			(speed >= reach["relay_mb"] ? "reached" : "not reached")
	}
}
