//go:build weirfault

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Enabled says whether faults are compiled in.
const Enabled = true

var (
	kill   = parse("WEIR_FAULT_AT")
	stop   = parse("WEIR_FAULT_STOP_AT")
	broken atomic.Value // of Rule
)

func init() { broken.Store(Rule(os.Getenv("WEIR_FAULT_BREAK"))) }

// passage is the n-th time that a point is passed.
type passage struct {
	point  Point
	n      int64
	passed atomic.Int64
}

func parse(variable string) *passage {
	s := os.Getenv(variable)
	name, n, ok := strings.Cut(s, ":")
	if !ok {
		return &passage{point: Point(name), n: 1}
	}
	v, err := strconv.ParseInt(n, 10, 64)
	if err != nil || v < 1 {
		panic(fmt.Sprintf("%s=%q: want point or point:n", variable, s))
	}
	return &passage{point: Point(name), n: v}
}

func (p *passage) is(point Point) bool { return point == p.point && p.passed.Add(1) == p.n }

// At marks that a point is passed.
func At(p Point) {
	if stop.is(p) {
		fmt.Fprintf(os.Stderr, "fault: stopped at %s\n", p)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	if kill.is(p) {
		fmt.Fprintf(os.Stderr, "fault: killed at %s\n", p)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// Broken says whether a rule is switched off.
func Broken(r Rule) bool { return r == broken.Load() }

// Break switches a rule off for the whole process, in the place of the one that was, until restore is called.
func Break(r Rule) (restore func()) {
	was := broken.Swap(r)
	return func() { broken.Store(was) }
}
