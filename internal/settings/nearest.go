package settings

import "strings"

// Nearest is the name among candidates that a user most likely meant by name, or "". Case and the sign between words
// do not count: sessionTimeoutMs and session_timeout_ms are session.timeout.ms.
func Nearest(name string, candidates []string) string {
	if len(name) > 100 {
		return "" // nobody types so much by mistake
	}
	plain := plainName(name)
	best, bestDistance := "", 1+max(1, len(plain)/4)
	for _, c := range candidates {
		if d := distance(plain, plainName(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_. ", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
}

// distance counts the letters to insert, delete, change or swap with the next to make b of a.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
