# breaker.awk: figures of outages, one a line: calls refused, ms of each: median,
# p99, longest, per cent of them under 1 ms, ms from the probe to the first success.

{
	for (i = 1; i <= NF; i++)
		list[i] = list[i] " " $i
	calls += $1
	if ($4 > longest)
		longest = $4
	if ($6 > latest)
		latest = $6
}

END {
	if (!NR) {
		print "  nothing was measured"
		exit
	}
	printf "  %d calls refused while it was open: median %.3f ms, p99 %.3f ms, longest %.3f ms, %.2f %% under 1 ms; wanted: p99 < 1 ms: %s\n",
		calls, median_of(list[2]), median_of(list[3]), longest, median_of(list[5]), median_of(list[3]) < 1 ? "yes" : "NO"
	printf "  first success after the probe that found it back: median %.1f ms, latest %.1f ms; wanted <= 200 ms: %s\n",
		median_of(list[6]), latest, latest <= 200 ? "yes" : "NO"
}
