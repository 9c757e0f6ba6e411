package protovalue

// FewSteps has messages take fewer steps, until what it returns is called.
func FewSteps() func() {
	before := mostSteps
	mostSteps = 200_000
	return func() { mostSteps = before }
}
