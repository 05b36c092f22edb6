# Prints the table of section "truth". Input: reach.tsv, then a line for each round:
# milliseconds of a statement, those measured by pgbench, by the pool with its number of
# statements, and by the remote server with its own.

# One line of those who have measured it, too.
function compare(ms, who, key,    other, off) {
	other = median_of(list[ms SUBSEP key])
	off = 100 * (median_of(list[ms SUBSEP "pool"]) / other - 1)
	printf "  pg_sleep of %2d ms  %-22s %9.3f %+8.1f%%  wanted: within %s %%: %s\n", ms, who, other, off, within, \
		(off <= within + 0 && off >= -within ? "reached" : "not reached")
}

FILENAME ~ /reach\.tsv$/ {
	split($0, f, "\t")
	if (f[1] == "truth")
		within = f[3]
	next
}

{
	split($0, f, "|")
	if (!(f[1] in seen))
		order[++sizes] = f[1]
	seen[f[1]] = 1
	list[f[1], "pgbench"] = list[f[1], "pgbench"] " " f[2]
	list[f[1], "pool"] = list[f[1], "pool"] " " f[3]
	list[f[1], "remote"] = list[f[1], "remote"] " " f[5]
	if (f[4] != statements || f[6] != statements)
		wrong = wrong sprintf("  counted: %d by the pool, %d by the remote server, not %d\n", f[4], f[6], statements)
}

END {
	if (!sizes)
		exit
	printf "\nTimes of the views against those of others, %d statements by 8 clients, ms a statement\n", statements
	printf "  %-18s %-22s %9s %9s\n", "statement", "measured by", "ms", "pool is off by"
	for (i = 1; i <= sizes; i++) {
		printf "  pg_sleep of %2d ms  %-22s %9.3f\n", order[i], "pool_metrics", median_of(list[order[i] SUBSEP "pool"])
		compare(order[i], "pgbench", "pgbench")
		compare(order[i], "pg_stat_statements", "remote")
	}
	printf "%s", wrong
}
