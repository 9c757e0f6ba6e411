package processors

import (
	"fmt"
	"strings"

	"github.com/weirstream/weir/kafka"
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
// once. Nothing was read or written.
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
