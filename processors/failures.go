package processors

import (
	"fmt"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
)

// FatalError ends an instance because a node returned topology.Fatal. The record has had no effect; it is the next one
// when an instance starts again.
type FatalError struct {
	Node   string
	Input  kafka.TopicPartition
	Offset int64
	Err    error
}

func (e *FatalError) Error() string {
	return fmt.Sprintf("node %s stopped the instance at %s offset %d: %v", e.Node, e.Input, e.Offset, e.Err)
}
func (e *FatalError) Unwrap() error { return e.Err }

// RefusedTopologyError says that a topology cannot run on the topics or the state that are there, with every reason at
// once. What topics and groups tell is checked before anything is read or created. Whether state and offsets belong together is known when
// a partition is opened: nothing of that partition was read or written then, while others may have been worked on.
type RefusedTopologyError struct {
	Topology string
	Problems []string
}

func (e *RefusedTopologyError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%d problems:\n  - %s", len(e.Problems), strings.Join(e.Problems, "\n  - "))
}

// DamagedError says that a batch of an input is damaged in the log, and was passed over as a dead letter.
type DamagedError struct{ text string }

func (e *DamagedError) Error() string { return e.text }

// LimitError says that a record of an input, or a batch that could not be taken apart, is over a limit. It was not read
// whole, and became a dead letter.
type LimitError struct {
	kafka.TopicPartition
	Offset int64
	kafka.Excess
	Key, Value, Headers int // what was kept: bytes of the key and of the value, and how many headers
}

func (e *LimitError) Error() string {
	what := fmt.Sprintf("the record at %s offset %d", e.TopicPartition, e.Offset)
	if e.Last > e.Offset || e.Records > 1 {
		what = fmt.Sprintf("the batch of %d records at %s offsets %d to %d", e.Records, e.TopicPartition, e.Offset, e.Last)
	}
	kept := "nothing of it was kept"
	if e.Key > 0 || e.Value > 0 || e.Headers > 0 {
		kept = fmt.Sprintf("kept of it: %d bytes of the key, %d bytes of the value, %d headers", e.Key, e.Value, e.Headers)
	}
	return fmt.Sprintf("%s is over the limit %s: %d, of at most %d; %s", what, e.Limit, e.Size, e.Max, kept)
}
