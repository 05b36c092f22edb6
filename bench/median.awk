# median.awk: what the scripts that print tables share.

# The median of list[1..n]; sets low and high to its bounds.
function median(list, n,    i, j, t, s) {
	for (i = 1; i <= n; i++)
		s[i] = list[i] + 0
	for (i = 2; i <= n; i++) {
		t = s[i]
		for (j = i - 1; j >= 1 && s[j] > t; j--)
			s[j + 1] = s[j]
		s[j + 1] = t
	}
	low = s[1]
	high = s[n]
	return n % 2 ? s[(n + 1) / 2] : (s[n / 2] + s[n / 2 + 1]) / 2
}

# The same of numbers in a text, with blanks between them.
function median_of(text,    s, n) {
	n = split(text, s, " ")
	return median(s, n)
}
