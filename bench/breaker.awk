# breaker.awk: figures of outages, one a line: calls refused, ms of each: median,
# p99, longest, per cent of them under 1 ms, ms from the probe to the first success.

function median(column,    i, j, x, v)
{
	for (i = 1; i <= NR; i++) {
		x = sample[i, column]
		for (j = i - 1; j > 0 && v[j] > x; j--)
			v[j + 1] = v[j]
		v[j + 1] = x
	}
	return NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
}

{
	for (i = 1; i <= NF; i++)
		sample[NR, i] = $i + 0
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
		calls, median(2), median(3), longest, median(5), median(3) < 1 ? "yes" : "NO"
	printf "  first success after the probe that found it back: median %.1f ms, latest %.1f ms; wanted <= 200 ms: %s\n",
		median(6), latest, latest <= 200 ? "yes" : "NO"
}
