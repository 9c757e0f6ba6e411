package schema

import (
	"fmt"
	"slices"
	"strings"
)

// Level says which readers a new version of a schema must not break.
type Level string

const (
	None               Level = "NONE"
	Backward           Level = "BACKWARD"            // the new version reads what the last one wrote
	BackwardTransitive Level = "BACKWARD_TRANSITIVE" // what all before it wrote
	Forward            Level = "FORWARD"             // the last version reads what the new one writes
	ForwardTransitive  Level = "FORWARD_TRANSITIVE"  // all before it do
	Full               Level = "FULL"                // both
	FullTransitive     Level = "FULL_TRANSITIVE"
)

// Levels are all levels.
var Levels = []Level{None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive}

// ParseLevel is the level of a name, in upper or lower case.
func ParseLevel(name string) (Level, error) {
	for _, l := range Levels {
		if strings.EqualFold(name, string(l)) {
			return l, nil
		}
	}
	return "", fmt.Errorf("%q is no level of compatibility: give one of %s", name, strings.Trim(fmt.Sprint(Levels), "[]"))
}

// Transitive says whether a level looks at all versions before the new one, and not only at the last.
func (l Level) Transitive() bool { return strings.HasSuffix(string(l), "_TRANSITIVE") }

// Incompatibility is a Difference between a new schema and an old one.
type Incompatibility struct {
	Difference
	// Old is the index of the old schema.
	Old int `json:"old"`
	// Reader is "new" where the new schema cannot read what the old one wrote, "old" for the other way round.
	Reader string `json:"reader"`
}

// Check compares a new schema with those before it, the oldest first, as a level asks. None: it is compatible.
func Check(level Level, old []*Schema, next *Schema) []Incompatibility {
	var found []Incompatibility
	first := 0
	if !level.Transitive() {
		first = max(0, len(old)-1)
	}
	add := func(n int, reader string, differences []Difference) {
		for _, d := range differences {
			found = append(found, Incompatibility{d, n, reader})
		}
	}
	for n, before := range slices.Backward(old) {
		if n < first {
			break
		}
		switch level {
		case Backward, BackwardTransitive, Full, FullTransitive:
			add(n, "new", Read(next, before))
		}
		switch level {
		case Forward, ForwardTransitive, Full, FullTransitive:
			add(n, "old", Read(before, next))
		}
	}
	return found
}

// CountIncompatibilities is a number of incompatibilities in words.
func CountIncompatibilities(n int) string {
	if n == 1 {
		return "1 incompatibility"
	}
	return fmt.Sprintf("%d incompatibilities", n)
}
