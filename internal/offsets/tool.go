package offsets

import (
	"context"
	"slices"

	"github.com/weirstream/weir/internal/kafka"
)

// Graph is a sub-graph of a topology: inputs that are processed together, and the stores that their records change.
type Graph struct {
	Inputs []string
	Stores []Store
	Asides []Aside
}

// Aside is a redrive or retry topic, which need not exist, and the input whose records wait in it.
type Aside struct{ Topic, Of string }

// read lists the topics that its tasks read, as far as they exist.
func (g *Graph) read() []string {
	names := slices.Clone(g.Inputs)
	for _, a := range g.Asides {
		names = append(names, a.Topic)
	}
	return names
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
	Who      string
}

// Along is what Record writes in the transaction of its changes, as TransactionalID, and what it asks before the end of it. Without any it is no transaction.
type Along struct {
	Records         []*kafka.Outgoing
	TransactionalID string
	Confirm         func(context.Context) error
}
