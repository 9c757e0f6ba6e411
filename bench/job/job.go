// Package job has what engines are compared by: jobs, their input, and the truth about their output, computed without any
// engine.
package job

import (
	"fmt"
	"time"
)

// Kinds of jobs.
const (
	Totals  = "totals"  // the reference job: orders in, each customer's total out
	Copy    = "copy"    // stateless
	Dedup   = "dedup"   // the first record of each event id
	Shuffle = "shuffle" // ShuffleBench's pipeline
)

// Job is what one process of an engine is asked to do.
type Job struct {
	Kind       string
	Brokers    []string
	Suffix     string // tells this run's topics and group from others
	Input      string // a topic that all engines of a case read
	Partitions int
	Records    int           // in the input
	Keys       int           // customers, event ids or consumers
	Size       int           // bytes of a value, where the kind lets one choose
	Interval   time.Duration // between commits
	Workers    int           // or threads
	Caching    bool          // of engines that let one choose
	Static     bool          // static membership: one instance that is killed and comes back
	Copies     int           // of each task's state, on other instances
	StateDir   string
	Profile    string            // where an engine in Go writes its CPU profile
	Memory     string            // where it writes a heap profile at its most memory
	Set        map[string]string // settings of the engine's own
}

// Output, Middle and Group are the names of a run.
func (j Job) Output() string { return "customer.total" + j.Suffix + ".v1" }
func (j Job) Middle() string { return "consumer.matched" + j.Suffix + ".v1" }
func (j Job) Group() string  { return "bench" + j.Suffix }

// Changelog is the topic of a floor that stands for an engine's.
func (j Job) Changelog() string { return j.Group() + "-floor-changelog" }

// Store is the name of the job's store, empty when it has none.
func (j Job) Store() string {
	return map[string]string{Totals: "totals", Dedup: "seen", Shuffle: "consumers"}[j.Kind]
}

// Data is the input of a job and the truth about its output. Everything follows from a record's number.
type Data interface {
	// Record is the record with a number. The slices are the caller's.
	Record(i int) (key, value []byte)
	// Check begins a comparison of an output with the truth.
	Check() Check
}

// Check compares an output with the truth, record by record in each partition's order.
type Check interface {
	Add(key, value []byte) error
	// Done says what is wrong. Where exactly, no output may be there twice either.
	Done(exactly bool) error
}

// DataOf makes the input of a job.
func DataOf(j Job) (Data, error) {
	if j.Records < 1 || j.Keys < 1 {
		return nil, fmt.Errorf("a job of %d records and %d keys: want 1 or more of each", j.Records, j.Keys)
	}
	switch j.Kind {
	case Totals:
		return newOrders(j.Records, j.Keys)
	case Copy:
		return copies{j.Records, max(j.Size, 64)}, nil
	case Dedup:
		return events{j.Records, j.Keys}, nil
	case Shuffle:
		return shuffled{j.Records, j.Keys, max(j.Size, 64)}, nil
	}
	return nil, fmt.Errorf("unknown job %q", j.Kind)
}
