// Package sandbox runs the nodes of a topology over records one by one, on stores of its own, and writes nothing to Kafka.
//
// The code that runs the nodes is the engine's (internal/nodes), and so are its rules: what a node did that then dropped or failed the
// record is taken back. What is around the nodes in an engine is missing: a record is tried once, and its outputs go nowhere, so no
// broker refuses them. What a node does outside of Kafka it does here too, unless Env.Unserved forbids calls of services; but what it has
// a sink write there is written only where Outward does so.
package sandbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/state"
)

// Sandbox belongs to one goroutine.
type Sandbox struct {
	Graph *nodes.Graph
	// Outward, if not nil, writes what the nodes of a record that has passed want written outside of Kafka. An error fails the record.
	Outward func(g *plan.Subgraph, r nodes.Record) error

	plan   *plan.Plan
	call   *nodes.Call
	stores map[place]keyed.Any
}

// place is a store at a partition.
type place struct {
	store     *plan.Store
	partition int32
}

// New makes a sandbox without stores.
func New(p *plan.Plan, env nodes.Env) *Sandbox {
	g := nodes.NewGraph(p)
	return &Sandbox{Graph: g, plan: p, call: nodes.NewCall(g, env), stores: map[place]keyed.Any{}}
}

// Open opens a store in a folder of its own. Before anything else uses the database fill, if not nil, gives it the entries that it begins with;
// put may be called several times.
func (s *Sandbox) Open(store *plan.Store, partition int32, dir string, fill func(put func([]keyed.Entry) error) error) error {
	db, err := state.Open(state.Options{Dir: dir})
	if err != nil {
		return fmt.Errorf("open store %s: %w", store.Name, err)
	}
	if fill != nil {
		err := fill(func(entries []keyed.Entry) error { return db.Restore(entries, 0, nil, time.Now()) })
		if err != nil {
			return errors.Join(fmt.Errorf("fill store %s: %w", store.Name, err), db.Close())
		}
	}
	s.stores[place{store, partition}] = store.Over(db)
	return nil
}

// Store is a store at a partition, nil where it is not open.
func (s *Sandbox) Store(store *plan.Store, partition int32) keyed.Any {
	return s.stores[place{store, partition}]
}

// Call is what runs the nodes. Effects and headers are to be asked of it between Run and the next Run.
func (s *Sandbox) Call() *nodes.Call { return s.call }

// Run has the nodes of a sub-graph process a record, on the stores at the record's partition, which must be open. Their changes are kept where
// nothing failed. A node that ends its goroutine is a failure of the record. err is of the stores, after which the sandbox is of no use.
func (s *Sandbox) Run(subgraph int, in *nodes.Source, r nodes.Record, key, value []byte) (o nodes.Outcome, failure *nodes.Failure, err error) {
	g := s.plan.Subgraphs[subgraph]
	done := make(chan struct{})
	go func() {
		defer close(done)
		o, failure = s.call.Run(in, stores{s, g, r.Partition}, r, key, value)
	}()
	<-done
	if exit := s.call.Exited(); exit != nil {
		failure = exit
	}
	if failure == nil && s.Outward != nil {
		if err := s.Outward(g, r); err != nil {
			s.call.Undo()
			failure = &nodes.Failure{Node: in.First(), Name: in.First().Decl.Name, Reason: nodes.Refused, Err: err, Text: err.Error()}
		}
	}
	if failure != nil {
		return o, failure, nil
	}
	return o, nil, s.commit(g, r)
}

// commit makes a record's changes permanent, as if its transaction had ended.
func (s *Sandbox) commit(g *plan.Subgraph, r nodes.Record) error {
	for _, decl := range g.Stores {
		store := s.stores[place{decl, r.Partition}]
		store.Keep()
		if err := store.Drain(func(_, _ []byte) error { return nil }); err != nil {
			return fmt.Errorf("drain store %s: %w", decl.Name, err)
		}
		if err := store.Commit(r.Offset + 1); err != nil {
			return fmt.Errorf("commit store %s: %w", decl.Name, err)
		}
	}
	return nil
}

// Close closes the stores. Their folders are the caller's.
func (s *Sandbox) Close() error {
	var errs []error
	for at, st := range s.stores {
		if err := st.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close store %s: %w", at.store.Name, err))
		}
	}
	s.stores = map[place]keyed.Any{}
	return errors.Join(errs...)
}

// stores are the stores of a sub-graph at a partition.
type stores struct {
	*Sandbox
	graph     *plan.Subgraph
	partition int32
}

func (t stores) Mark(into []int) []int {
	for i := range t.graph.Stores {
		into = append(into, t.Store(i).Mark())
	}
	return into
}

func (t stores) Undo(marks []int) {
	for i := range t.graph.Stores {
		t.Store(i).Undo(marks[i])
	}
}

func (t stores) Store(i int) keyed.Any { return t.stores[place{t.graph.Stores[i], t.partition}] }
