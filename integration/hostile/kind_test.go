//go:build unix

package hostile

import (
	"slices"
	"testing"
	"time"
)

// Who does it.
type Who string

const (
	Record   Who = "record"   // what a producer writes to the input
	Broker   Who = "broker"   // what brokers, networks, topics and permissions do
	Operator Who = "operator" // what people and machines do to processes, groups and files
)

// Kind is one way to be hostile. Its words are the row in docs/testing.md.
type Kind struct {
	Name string
	Who  Who
	Done string // what is done
	Must string // what must happen
	// Try does it and checks what is particular to it. What must hold after every kind is checked afterwards.
	Try func(*testing.T, *world)
	// Within is how long it may take until everything is worked off, when the kind is over. Default settleBound.
	Within time.Duration
}

const settleBound = 20 * time.Second

// kinds is the whole table, in the order in which the kinds are tried. Those of one Who share one cluster and, as far as
// they allow it, one process.
//
// The compaction comes before records over limits, since Kafka's cleaner holds a record of 1 GiB in memory, and before odd
// timestamps, which keep a log from beginning the segments that the cleaner wants.
func kinds() []Kind {
	return slices.Concat(recordLogKinds, recordKinds, recordLimitKinds, networkKinds, topicKinds, processKinds, groupKinds, fileKinds)
}
