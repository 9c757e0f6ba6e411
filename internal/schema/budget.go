package schema

// budget bounds the steps of one comparison. Unions of unions are compared each with each, at every level: a small schema can be
// made to take for ever.
type budget struct{ left int }

func newBudget() *budget { return &budget{100_000} }

// step says whether there is still a step left.
func (b *budget) step() bool {
	b.left--
	return b.left >= 0
}

// judge is what was found, or that nobody knows.
func (b *budget) judge(found []Difference) []Difference {
	if b.left < 0 {
		return []Difference{{"TOO_COMPLEX", "/", "the schemas have too many alternatives within alternatives to be compared"}}
	}
	return found
}
