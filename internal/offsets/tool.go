package offsets

import (
	"context"

	"github.com/weirstream/weir/internal/kafka"
)

// Graph is a sub-graph of a topology: inputs that are processed together, and the stores that their records change.
type Graph struct {
	Inputs []string
	Stores []Store
}

// Store is a store by its name, and its changelog.
type Store struct{ Name, Changelog string }

// Tool looks at and sets the offsets of one topology: Show, then Accept or Plan, then Record.
type Tool struct {
	Client   *kafka.Client
	Topology string
	Group    string // of the topology
	Jobs     string // the topic where resets are recorded: system.Jobs, with the prefix of names
	Graphs   []Graph
	Asides   []string // its redrive and retry topics, which need not exist
	Who      string
}

// Along is what Record writes in the transaction of its changes, as TransactionalID, and what it asks before the end of it. Without any it is no transaction.
type Along struct {
	Records         []*kafka.Outgoing
	TransactionalID string
	Confirm         func(context.Context) error
}
