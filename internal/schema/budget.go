package schema

// budget bounds the work of one comparison. Unions of unions are compared each with each, at every level: a small schema can be
// made to take for ever.
type budget struct{ left int }

const (
	stepCost   = 20 // of two schemas that are compared
	glanceCost = 1  // of two that are told apart without that
)

func newBudget() *budget { return &budget{100_000 * stepCost} }

// step says whether there is still a step left.
func (b *budget) step() bool { return b.spend(stepCost) }

func (b *budget) spend(n int) bool {
	b.left -= n
	return b.left >= 0
}

// judge is what was found, or that nobody knows.
func (b *budget) judge(found []Difference) []Difference {
	if b.left < 0 {
		return []Difference{{"TOO_COMPLEX", "/", "the schemas have too many alternatives within alternatives to be compared"}}
	}
	return found
}
