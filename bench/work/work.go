// Package work has what engines are made to do: which cases there are, how a run of each is measured, and the rounds.
package work

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/report"
)

// Settings are what the flags say.
type Settings struct {
	Form       string   // quick, full or long
	Engines    []string // nil: those of the work
	Rounds     int
	Records    int // 0: those of the work
	Keys       int
	Partitions int
	Workers    int
	Interval   time.Duration
	Profile    string
	Memory     string // a file
}

// pick returns the value for the form of the run.
func pick[T any](s Settings, quick, full, long T) T {
	switch s.Form {
	case "quick":
		return quick
	case "long":
		return long
	}
	return full
}

// Work is one row of the list of works.
type Work struct {
	report.Work
	engines []string
	cases   func(Settings) []Case
	// prepare makes what all engines of a case share, such as its input, and returns how to remove it.
	prepare func(ctx context.Context, b *Bench, c *Case) (remove func(), err error)
	run     func(ctx context.Context, b *Bench, c Case, engine string, round int) (map[string]float64, error)
}

// Case is one point on a work's axis.
type Case struct {
	Name      string
	X         float64
	Job       job.Job
	Warm      float64 // the part of the input after which an engine counts as warm
	Instances int
	Rate      int // records/s, of works that are open-loop
	Engines   []string
	data      job.Data
}

// All are the works, in the order in which they run.
func All() []Work {
	return []Work{totals, copies, shuffle, dedup, interval, scale, growth, latency, restore, crash, takeover, idle}
}

// Find returns a work by its name.
func Find(name string) (Work, error) {
	var names []string
	for _, w := range All() {
		if w.Name == name {
			return w, nil
		}
		names = append(names, w.Name)
	}
	return Work{}, fmt.Errorf("unknown work %q: want some of %v", name, names)
}
