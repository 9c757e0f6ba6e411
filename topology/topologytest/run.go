package topologytest

import (
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// run processes a record as the engine does, with a commit after it.
func (d *Driver) run(g *plan.Subgraph, in *nodes.Source, r plan.Record, key, value []byte) Result {
	d.t.Helper()
	var outcome nodes.Outcome
	var failure *nodes.Failure
	done := make(chan struct{})
	go func() {
		defer close(done)
		outcome, failure = d.call.Run(in, stores{d, g, r.Partition}, nodes.Record{Record: r}, key, value)
	}()
	<-done
	if exit := d.call.Exited(); exit != nil {
		failure = exit
	}
	if failure != nil {
		if len(failure.Stack) > 0 {
			d.t.Logf("%v\n%s", failure, failure.Stack)
		}
		return Result{Err: failure.Err}
	}
	var result Result
	switch outcome {
	case nodes.Filtered:
		result.Err = topology.Context{}.Drop(topology.Filtered)
	case nodes.Deduplicated:
		result.Err = topology.Context{}.Drop(topology.Duplicate)
	default:
		for _, e := range d.call.Effects() {
			emitted := Emitted{Topic: e.Stream.Name, Key: e.Key, Value: e.Value, Headers: d.call.Headers(nil, &e), Time: r.Timestamp, Partition: -1}
			if e.Tombstone {
				emitted.Value = nil
			}
			if e.As != nil {
				emitted.Partition = e.As.Partition
				if !e.As.At.IsZero() {
					emitted.Time = e.As.At
				}
			}
			result.Emitted = append(result.Emitted, emitted)
		}
	}
	d.commit(g, r)
	return result
}

// stores are the stores of a sub-graph at a partition.
type stores struct {
	*Driver
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
