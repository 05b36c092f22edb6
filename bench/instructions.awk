# Prints the table of section "instructions". Input: reach.tsv, then lines of a peer and
# its instructions a call.

FILENAME ~ /reach\.tsv$/ {
	split($0, f, "\t")
	if (f[1] == "instructions")
		within = f[3]
	next
}

{
	if (!($1 in list))
		order[++peers] = $1
	list[$1] = list[$1] " " $2
}

END {
	if (!peers)
		exit
	printf "\nInstructions of the local backend for a look-up, the kernel's left out, 1 client\n"
	for (i = 1; i <= peers; i++)
		printf "  %-36s %9d\n", order[i], median_of(list[order[i]])
	off = median_of(list["enhanced_pool_nostats"])
	if (off) {
		more = 100 * (median_of(list["enhanced_pool"]) / off - 1)
		printf "  statistics add %.1f %% to them (wanted: < %s): %s\n", more, within, (more < within ? "reached" : "not reached")
	}
}
