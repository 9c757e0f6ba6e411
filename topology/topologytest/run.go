package topologytest

import (
	"slices"

	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// run processes a record as the engine does, with a commit after it.
func (d *Driver) run(subgraph int, in *nodes.Source, r plan.Record, key, value []byte) Result {
	d.t.Helper()
	outcome, failure, err := d.box.Run(subgraph, in, nodes.Record{Record: r}, key, value)
	if err != nil {
		d.t.Fatal(err)
	}
	if d.failure = failure; failure != nil {
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
		call := d.box.Call()
		for _, e := range call.Effects() {
			emitted := Emitted{Topic: e.Stream.Name, Key: e.Key, Value: slices.Clone(e.Value), Headers: call.Headers(nil, &e), Time: r.Timestamp, Partition: -1}
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
	return result
}
