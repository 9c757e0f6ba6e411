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

// settleBound is ample: what is worked off takes a second or two on a machine that does nothing else.
const settleBound = time.Minute

// worlds are the kinds that share one cluster and, as far as they allow it, one process, in the order in which they are tried.
//
// The compaction comes before records over limits, since Kafka's cleaner holds a record of 1 GiB in memory, and before odd
// timestamps, which keep a log from beginning the segments that the cleaner wants.
func worlds() []kindsOfWorld {
	return []kindsOfWorld{
		{"record", slices.Concat(recordLogKinds, recordKinds, recordLimitKinds)},
		{"network", networkKinds},
		{"topic", topicKinds},
		{"operator", slices.Concat(processKinds, groupKinds, fileKinds)},
	}
}

type kindsOfWorld struct {
	name  string
	kinds []Kind
}

// kinds is the whole table.
func kinds() (all []Kind) {
	for _, w := range worlds() {
		all = append(all, w.kinds...)
	}
	return all
}
