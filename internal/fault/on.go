//go:build weirfault

package fault

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled says whether faults are compiled in.
const Enabled = true

var (
	kill   = passageIn("WEIR_FAULT_AT")
	stop   = passageIn("WEIR_FAULT_STOP_AT")
	broken atomic.Pointer[[]Rule]
)

// WEIR_FAULT_BREAK may name several rules, with commas between: where one rule keeps what another one's break would show.
func init() {
	var rules []Rule
	for name := range strings.SplitSeq(os.Getenv("WEIR_FAULT_BREAK"), ",") {
		rules = append(rules, named("WEIR_FAULT_BREAK", name, Rules))
	}
	broken.Store(&rules)
}

// named ends the program when a variable names what does not exist: a test would go on with an engine that is whole.
func named[T ~string](variable, name string, known []T) T {
	if name != "" && !slices.Contains(known, T(name)) {
		panic(fmt.Sprintf("%s=%q: want one of %q", variable, name, known))
	}
	return T(name)
}

// passage is the n-th time that a point is passed.
type passage struct {
	point  Point
	n      int64
	passed atomic.Int64
}

func passageIn(variable string) *passage {
	s := os.Getenv(variable)
	name, n, ok := strings.Cut(s, ":")
	point := named(variable, name, Points)
	if !ok {
		return &passage{point: point, n: 1}
	}
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil || v < 1 {
		panic(fmt.Sprintf("%s=%q: want point or point:n", variable, s))
	}
	return &passage{point: point, n: v}
}

func (p *passage) is(point Point) bool { return point == p.point && p.passed.Add(1) == p.n }

// At marks that a point is passed.
func At(p Point) {
	if stop.is(p) {
		fmt.Fprintf(os.Stderr, "fault: stopped at %s\n", p)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(10 * time.Millisecond) // this thread may be the last one that stops
	}
	if kill.is(p) {
		fmt.Fprintf(os.Stderr, "fault: killed at %s\n", p)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Broken says whether a rule is switched off.
func Broken(r Rule) bool { return slices.Contains(*broken.Load(), r) }

// Break switches a rule off for the whole process, in the place of those that were, until restore is called.
func Break(r Rule) (restore func()) {
	was := broken.Swap(&[]Rule{r})
	return func() { broken.Store(was) }
}

// DiskFull says why nothing can be written to a state folder: ENOSPC while the file that WEIR_FAULT_DISK_FULL_WHILE names
// is there.
func DiskFull() error {
	if full == "" {
		return nil
	}
	if _, err := os.Stat(full); err != nil {
		return nil
	}
	return syscall.ENOSPC
}

var full = os.Getenv("WEIR_FAULT_DISK_FULL_WHILE")
