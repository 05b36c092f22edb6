# Prints the tables of the sections "strategy" and "dynamic": medians over the
# rounds. Input: a line for each window, either strategy, work, clients and six
# figures, or work, size (or "dynamic"), calls a second, and connections at the end.

{
	label = NF == 9 ? $1 " " $2 " " $3 : $1 " " $2
	if (!(label in seen)) {
		seen[label] = NF
		order[++rows] = label
	}
	for (i = NF == 9 ? 4 : 3; i <= NF; i++)
		list[label, i] = list[label, i] " " $i
}

# A row of waits.
function strategy(label,    part, ratio, wanted) {
	split(label, part, " ")
	ratio = median_of(list[label SUBSEP 8])
	wanted = part[1] == "balanced" || part[1] == "low_latency" ? sprintf("wanted: < 3: %s", ratio < 3 ? "reached" : "not reached") : ""
	printf "  %-17s %-6s %7s %9.0f %9.3f %9.3f %9.3f %8.0f%% %14.1f  %s\n", part[1], part[2], part[3], median_of(list[label SUBSEP 4]), \
		median_of(list[label SUBSEP 5]), median_of(list[label SUBSEP 6]), median_of(list[label SUBSEP 7]), median_of(list[label SUBSEP 9]), ratio, wanted
}

# A size, or the end of the line of a kind of work.
function size(label,    part, value) {
	split(label, part, " ")
	value = median_of(list[label SUBSEP 3])
	if (part[1] != work)
		printf "  %-6s", part[1]
	if (part[1] != work)
		best = 0
	work = part[1]
	if (part[2] != "dynamic") {
		printf "  %d: %.0f", part[2], value
		if (value > best) {
			best = value
			best_size = part[2]
		}
		return
	}
	printf "\n         dynamic: %.0f with %.0f connections", value, median_of(list[label SUBSEP 4])
	if (best > 0)
		printf ", %.0f %% of the best fixed size (%s); wanted: >= 95: %s", 100 * value / best, best_size, (value >= 0.95 * best ? "reached" : "not reached")
	printf "\n"
}

END {
	for (i = 1; i <= rows; i++) {
		if (seen[order[i]] != 9) {
			size(order[i])
			continue
		}
		if (i == 1)
			printf "  %-17s %-6s %7s %9s %9s %9s %9s %9s %14s\n", "", "work", "clients", "calls/s", "median", "p99", "longest", "passing", "longest/median"
		strategy(order[i])
	}
}
