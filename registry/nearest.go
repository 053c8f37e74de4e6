package registry

// nearest returns the one of words that at most two typing mistakes, and not
// half of it, separate from s; else "".
func nearest(s string, words []string) string {
	best, found := 3, ""
	for _, w := range words {
		if len(s) > len(w)+2 || len(w) > len(s)+2 {
			continue
		}
		if d := EditDistance(s, w); d < best && 2*d < len(w) {
			best, found = d, w
		}
	}
	return found
}

// EditDistance counts the bytes to insert, delete or replace between two words,
// for messages that name what may have been meant. Words are short: it takes
// time in proportion to the product of their lengths.
func EditDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
