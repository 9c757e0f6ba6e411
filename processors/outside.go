package processors

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
	"github.com/weirstream/weir/internal/plan"
)

// What nodes write besides Kafka (plan.Outside) is written once for all tasks of a worker, between the offsets and the end of the
// transaction. Before the offsets it would be too early: only when the group has taken them, in this member's generation, it is known that
// the records are still this instance's. After the end it would be too late: what is lost between the two would never be written. So a
// transaction may be lost after it was written outside, and its records are done again, here or elsewhere. Therefore each task keeps
// account, with the system outside, of the records that were written for, by where they were read first.
//
// Offsets in order are not enough for that account: a record may be delayed, parked or dead, and come back when later ones have passed. So
// it is a set of offsets. The engine says of each record either that it has ended, in whatever way, or that it was set aside.

// outsideTask is the task's account with an Outside.
func (t *task) outsideTask(o *plan.Outside, owner plan.Owner) plan.OutsideTask {
	i := slices.Index(t.graph.plan.Outsides, o)
	if t.outsides == nil {
		t.outsides = make([]plan.OutsideTask, len(t.graph.plan.Outsides))
	}
	if t.outsides[i] == nil {
		t.outsides[i] = o.Open(owner)
	}
	return t.outsides[i]
}

// outsideOwner says for whom a worker writes.
func (e *engine) outsideOwner() plan.Owner {
	return plan.Owner{Group: e.graph.plan.Group(), Instance: e.id}
}

// outside makes a task ready to write somewhere for the record in work.
func (w *worker) outside(ctx context.Context, o *plan.Outside, first nodes.First) error {
	if w.engine.inside {
		return nil
	}
	return w.cause.in.task.outsideTask(o, w.engine.outsideOwner()).Ready(ctx, originOf(first))
}

func originOf(f nodes.First) plan.Origin {
	return plan.Origin{Topic: f.Topic, TopicID: f.TopicID, Partition: f.Partition}
}

// outward stages what a record that has passed wants written. It is to be called before its input advances.
func (w *worker) outward(c *cause, silent bool) {
	t := c.in.task
	if w.engine.inside || len(t.graph.plan.Outsides) == 0 {
		return
	}
	if silent {
		w.setAside(c)
		return
	}
	first := c.original()
	done := w.call.Outward()
	for _, o := range t.graph.plan.Outsides {
		w.asked = w.asked[:0]
		var node *nodes.Node
		for i := range done {
			if done[i].Outside == o {
				w.asked, node = append(w.asked, done[i].Work), done[i].Node
			}
		}
		if node == nil && !c.elsewhere() {
			continue
		}
		account := t.outsideTask(o, w.engine.outsideOwner())
		if node != nil {
			account.Stage(originOf(first), first.Offset, c.origin(node), w.asked)
		}
		if c.elsewhere() {
			account.Cover(originOf(first), first.Offset, first.Offset+1)
		}
	}
	clear(w.asked)
}

// elsewhere says that the record is not read where it was read first, so that its offset there has no place in the order.
func (c *cause) elsewhere() bool { return c.in.redriven || c.in.queued || c.copied != nil }

// setAside says that a record has not ended, or that nothing of it was written: it may come back. It is to be called before its input
// advances.
func (w *worker) setAside(c *cause) {
	if w.engine.inside || c.elsewhere() || len(c.in.task.graph.plan.Outsides) == 0 {
		return
	}
	w.coverTo(c.in, c.record.Offset)
	c.in.seen = max(c.in.seen, c.record.Next())
}

// coverTo says that everything of an input up to an offset has ended that was not set aside.
func (w *worker) coverTo(in *input, to int64) { in.cover(to, w.engine.outsideOwner()) }

func (in *input) cover(to int64, owner plan.Owner) {
	if in.seen >= to {
		return
	}
	from := plan.Origin{Topic: in.tp.Topic, TopicID: in.topicID, Partition: in.tp.Partition}
	for _, o := range in.task.graph.plan.Outsides {
		in.task.outsideTask(o, owner).Cover(from, in.seen, to)
	}
	in.seen = to
}

// writeOutside writes what the tasks have staged.
func (tx *transaction) writeOutside(ctx context.Context) error {
	var all []*plan.Outside
	tasks := map[*plan.Outside][]plan.OutsideTask{}
	for t := range tx.env.tasks.running() {
		if len(t.graph.plan.Outsides) == 0 || tx.env.inside {
			continue
		}
		for _, in := range t.inputs {
			if !in.redriven {
				in.cover(in.position, tx.env.outsider())
			}
		}
		for i, account := range t.outsides {
			o := t.graph.plan.Outsides[i]
			if account == nil {
				continue
			}
			if tasks[o] == nil {
				all = append(all, o)
			}
			tasks[o] = append(tasks[o], account)
		}
	}
	if len(all) == 0 {
		return nil
	}
	fault.At(fault.BeforeOutside)
	for _, o := range all {
		if err := o.Commit(ctx, tasks[o]); err != nil {
			return outsideError(o, err)
		}
	}
	return nil
}

// outsideError has an error of an Outside say what follows for the transaction.
func outsideError(o *plan.Outside, err error) error {
	var refusal *plan.OutsideRefusal
	switch op := fmt.Sprintf("write to %s %s", o.Kind, o.Name); {
	case errors.As(err, &refusal):
		return fmt.Errorf("%s: %w", op, err)
	case errors.Is(err, plan.ErrOutsideFenced):
		return &kafka.Error{Class: kafka.Fenced, Op: op, Err: err}
	default:
		return &kafka.Error{Class: kafka.Retriable, Op: op, Err: &outsideFailed{o, err}}
	}
}

// outsideFailed is an error of an Outside, which says nothing of brokers.
type outsideFailed struct {
	outside *plan.Outside
	error
}

func (e *outsideFailed) Unwrap() error { return e.error }

// refusedOutside does the transaction again, without the records of which an Outside takes nothing: they become dead letters. Of a key whose
// state is kept it is the first one only. The state that the others have seen has that one in it, so without it they may ask for something else, or be
// parked.
func (w *worker) refusedOutside(ctx context.Context, refusal *plan.OutsideRefusal) step {
	type line struct {
		task *task
		key  string
	}
	refused := map[line]bool{}
	for _, r := range refusal.Records {
		o, ok := w.tasks.findOrigin(r.Cause)
		if !ok {
			continue
		}
		if t := o.in.task; len(t.stores) > 0 || t.parking != nil {
			at := line{t, o.in.keyAt(o.offset)}
			if refused[at] {
				continue
			}
			refused[at] = true
		}
		o.in.refuseOutput(o.offset, o.node, fmt.Errorf("%s: %w", refusal.Outside, r.Err))
	}
	return w.redo(ctx)
}

// keepOutside and forgetOutside say whether the transaction was committed in Kafka.
func (t *task) keepOutside() {
	for _, account := range t.outsides {
		if account != nil {
			account.Keep()
		}
	}
	for _, in := range t.inputs {
		in.seenBefore = in.seen
	}
}

func (t *task) forgetOutside() {
	for _, account := range t.outsides {
		if account != nil {
			account.Forget()
		}
	}
	for _, in := range t.inputs {
		in.seen = in.seenBefore
	}
}
