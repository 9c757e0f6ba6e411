//go:build !weirfault

package fault

// Enabled says whether faults are compiled in.
const Enabled = false

// At marks that a point is passed.
func At(Point) {}

// Broken says whether a rule is switched off.
func Broken(Rule) bool { return false }

// DiskFull says why nothing can be written to a state folder.
func DiskFull() error { return nil }
