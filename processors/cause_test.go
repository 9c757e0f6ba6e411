package processors

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/topology"
)

// taskOfTwo is a task of two inputs that runs, with what a worker needs to look at its records.
func taskOfTwo(t interface {
	Context() context.Context
	Fatal(...any)
}) *task {
	a, b := topology.Stream("a.x.v1", codecs.String()), topology.Stream("b.x.v1", codecs.String())
	pass := func(topology.Context, string, string) error { return nil }
	plan, err := topology.Define("t", topology.Node("one", topology.On(a, pass), topology.On(b, pass)), topology.Node("two", topology.On(b, pass))).Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	task := newTask(t.Context(), taskID{}, newGraph(plan).subgraphs[0], nil)
	task.state.Store(int32(taskRunning))
	for n, in := range task.inputs {
		in.slot = n
	}
	return task
}

// TestAnOriginNamesItsCause: what a broker refuses is traced back to its record and to the node that emitted it, wherever
// the input stands.
//
// Mutation tried: the node's number not part of the origin; offsets not counted from the committed one; those of a queue neither.
func TestAnOriginNamesItsCause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := taskOfTwo(t)
		w := workerOf(one)
		in := rapid.SampledFrom(one.inputs).Draw(t, "input")
		node := rapid.SampledFrom(one.graph.nodes.Nodes).Draw(t, "node")
		in.committed = rapid.Int64Range(0, 1<<50).Draw(t, "committed")
		offset := in.committed + rapid.Int64Range(0, 1<<originOffsets-1).Draw(t, "ahead")
		letter := rapid.Bool().Draw(t, "letter")

		var c cause
		c.of(in, &kafka.Record{Offset: offset})
		o := c.origin(node)
		if letter {
			o |= originDLQ
		}
		if found, ok := w.tasks.findOrigin(o); !ok || found != (originated{in, offset, node, letter}) {
			t.Fatalf("found %v, %v", found, ok)
		}
		q := &input{task: one, source: in.source, queued: true, tp: in.tp, slot: len(one.inputs), queue: queue{of: in}}
		one.queues = append(one.queues, q)
		in.position = in.committed + rapid.Int64Range(1, 1000).Draw(t, "consumed")
		offset = max(0, in.position-rapid.Int64Range(1, 1<<originOffsets-1).Draw(t, "parked"))
		c.of(q, &kafka.Record{Offset: offset})
		if found, ok := w.tasks.findOrigin(c.origin(node)); !ok || found != (originated{q, offset, node, false}) {
			t.Fatalf("found %v for %d, %v", found, offset, ok)
		}
		if _, ok := w.tasks.findOrigin(changelogOrigin); ok {
			t.Fatal("a state change was traced to a record")
		}
	})
}

// Nodes see of a record what it is, and which try it is; a dead letter says the same number.
//
// Mutation tried: attempt without the one that is in work; the zero time for every timestamp.
func TestACauseDescribesItsRecord(t *testing.T) {
	task := taskOfTwo(t)
	in := task.inputs[1]
	in.attempt = 2
	for _, millis := range []int64{noTimestamp, 0, 1700000000123} {
		var c cause
		c.of(in, &kafka.Record{Offset: 7, Timestamp: millis, Headers: []kafka.Header{{Key: "h", Value: []byte("1")}}})
		d := c.describe()
		want := time.Time{}
		if millis >= 0 {
			want = time.UnixMilli(millis)
		}
		if d.Topic != "b.x.v1" || d.Offset != 7 || d.Attempt != 3 || c.attempt != 3 || !d.Timestamp.Equal(want) || d.Timestamp.IsZero() != (millis < 0) {
			t.Errorf("described as %+v", d)
		}
		if c.node != in.source.First() || len(d.Headers) != 1 || d.Headers[0].Key != "h" {
			t.Errorf("node %v, headers %v", c.node, d.Headers)
		}
	}
}

// TestAfterAFatalRecordNothingOfItsInputIsBegun: the instance is about to end, and meanwhile the record is not tried again,
// also where its transaction is done again; the task's other inputs go on.
//
// Mutation tried: standsStill without atFatal; mayTry without it; rewind that forgets it.
func TestAfterAFatalRecordNothingOfItsInputIsBegun(t *testing.T) {
	one := taskOfTwo(t)
	w := workerOf(one)
	now := time.Now()
	for n, in := range one.inputs {
		in.begin(kafka.Position{Offset: 5}, now)
		in.push(kafka.Batch{Position: 6, Records: []kafka.Record{{Offset: 5, Timestamp: int64(n)}}})
	}
	fatal, other := one.inputs[0], one.inputs[1]
	if w.next(now) != fatal {
		t.Fatal("it was not first")
	}
	fatal.stands = atFatal
	for name, change := range map[string]func(){"at once": func() {}, "after an abort": fatal.rewind, "to try a block": func() { w.blocks.probe = fatal }} {
		change()
		if later := now.Add(2 * time.Hour); w.next(later) != other {
			t.Errorf("%s: it was begun again", name)
		}
	}
	fatal.begin(kafka.Position{Offset: 5}, now) // in another life
	if fatal.stands != atNothing {
		t.Error("it is not begun in another life either")
	}
}

// workerOf is a worker that has these tasks, and nothing else.
func workerOf(list ...*task) *worker {
	ts := &tasks{list: list}
	return &worker{tasks: ts, blocks: &blocks{tasks: ts}}
}
