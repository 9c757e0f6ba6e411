package topologytest

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// sinkAt is a sink at an input partition.
type sinkAt struct {
	sink *plan.Outside
	from plan.Origin
}

// outside makes ready to write somewhere for a record.
func (d *Driver) outside(ctx context.Context, o *plan.Outside, first nodes.First) error {
	at := sinkAt{o, plan.Origin{Topic: first.Topic, TopicID: d.id, Partition: first.Partition}}
	if d.sinks[at] == nil {
		d.sinks[at] = o.Open(plan.Owner{Group: d.plan.Group(), Instance: "topologytest"})
	}
	return d.sinks[at].Ready(ctx, at.from)
}

// outward writes what a record wants written.
func (d *Driver) outward(g *plan.Subgraph, r nodes.Record) error {
	for _, o := range g.Outsides {
		at := sinkAt{o, plan.Origin{Topic: r.Topic, TopicID: d.id, Partition: r.Partition}}
		account := d.sinks[at]
		if account == nil {
			continue
		}
		var work []any
		for _, w := range d.box.Call().Outward() {
			if w.Outside == o {
				work = append(work, w.Work)
			}
		}
		if len(work) > 0 {
			account.Stage(at.from, r.Offset, 0, work)
		}
		err := o.Commit(d.t.Context(), []plan.OutsideTask{account})
		if err == nil {
			account.Keep()
			continue
		}
		account.Forget()
		var refusal *plan.OutsideRefusal
		if errors.As(err, &refusal) {
			return topology.Reject(err)
		}
		return topology.World(fmt.Errorf("write to %s %s: %w", o.Kind, o.Name, err))
	}
	return nil
}
