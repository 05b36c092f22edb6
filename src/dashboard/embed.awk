# embed.awk: a text file as a C string.  Run with -v name=NAME of the array; the
# file has no NUL, and no character that is not ASCII.
BEGIN {
	printf "static const char %s[] =\n", name
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	printf "\t\"%s\\n\"\n", $0
}
END {
	print "\t\"\";\n"
}
