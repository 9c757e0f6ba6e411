package processors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/guard"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// The four ends of a record.
type outcome = nodes.Outcome

const (
	processed    = nodes.Processed
	filtered     = nodes.Filtered
	deduplicated = nodes.Deduplicated
	deadLettered = nodes.DeadLettered
	outcomes     = nodes.Outcomes
)

// try processes one record to one of its ends, or leaves it for later.
func (w *worker) try(ctx context.Context, in *input, r *kafka.Record) step {
	if w.engine.again != nil {
		if s, passed := w.pass(in, r); passed {
			return s
		}
	}
	w.tx.report.begin()
	c := &w.cause
	c.of(in, r)
	if r.Excess != nil {
		return w.deadLetter(ctx, c, excessive(c))
	}
	if in.queued && in.task.parking.err != nil {
		w.failTask(in.task, in.task.parking.err)
		return stepAborted
	}
	if w.stranger(c) {
		w.aside(c)
		return stepDone
	}
	if c.envelope != nil && c.envelope.Releases {
		return w.released(c)
	}
	if in.source.Delay > 0 && w.early(c) {
		return stepWait
	}
	w.engine.checkPartition(c)
	if len(in.refused) > 0 {
		if known := c.refusal(); known.output != nil {
			return w.deadLetter(ctx, c, unwanted(known.emitter, known.output))
		}
	}
	p := in.task.parking
	if p != nil && p.any && !in.queued && r.Key != nil {
		if end, done := w.follow(ctx, c); done {
			return end
		}
	}
	if in.letter != nil { // held back until now; had its key been parked meanwhile, it would wait with the others
		return w.deadLetter(ctx, c, in.letter)
	}
	o, failure := w.call.Run(in.source, in.task, c.describe(), r.Key, r.Value)
	if failure != nil {
		return w.failed(ctx, c, failure)
	}
	if w.call.Dropped() && in.task.leaving() { // as with other errors of a call whose Context ended
		w.call.Undo()
		return stepStopping
	}
	if p != nil {
		if err := p.passed(c); err != nil {
			w.failTask(in.task, err)
			return stepAborted
		}
	}
	effects := w.call.Effects()
	if w.blocks.any() && w.held(c) {
		return stepWait
	}
	silent := w.engine.again.silent(in.tp, r)
	if silent {
		effects = nil
	}
	for i := range effects {
		e := &effects[i]
		w.stage(c, e)
		if err := w.tx.sink.Append(&w.out); err != nil {
			var refused *kafka.RefusedError
			if i == 0 && errors.As(err, &refused) && refused.Origin == w.out.Origin {
				// Nothing of the record is in the transaction yet, so it fails alone. A refusal of another origin was met
				// in the background, and the transaction is gone.
				f := unwanted(e.Node, err)
				w.call.Undo()
				return w.deadLetter(ctx, c, f)
			}
			return w.aborted(ctx, err)
		}
	}
	w.outward(c, silent)
	w.effect(in, r, len(effects))
	in.task.keep()
	w.tx.took(c, o, 1, c.size(), nil)
	w.goesOn(c, true)
	in.advance()
	return stepDone
}

// stage fills the outgoing record for an effect.
func (w *worker) stage(c *cause, e *nodes.Effect) {
	r := c.record
	w.out = kafka.Outgoing{Timestamp: r.Timestamp, Value: e.Value, Origin: c.origin(e.Node)}
	if e.As != nil && !e.As.At.IsZero() {
		w.out.Timestamp = e.As.At.UnixMilli()
	} else if r.Timestamp < 0 {
		w.out.Timestamp = time.Now().UnixMilli()
	}
	if e.Tombstone {
		w.out.Value = nil
	} else if e.Value == nil {
		w.out.Value = []byte{}
	}
	switch {
	case e.Key != w.call.RecordKey():
		w.out.Key = w.call.Bytes(e.Key)
	default:
		w.out.Key = r.Key // nil stays nil
	}
	w.out.TopicPartition = kafka.TopicPartition{Topic: e.Topic, Partition: w.engine.partitionFor(e.Topic, w.out.Key, c.in)}
	if e.As != nil && e.As.Partition >= 0 {
		w.out.Partition = e.As.Partition
	}
	if len(r.Headers) > 0 || e.As != nil {
		w.sent = w.call.Headers(w.sent[:0], e)
		w.out.Headers = w.sent
	}
	if a := w.engine.again; a != nil && a.Causes {
		at := kafka.Header{Key: HeaderCause, Value: fmt.Appendf(nil, "%s/%d", c.in.tp, r.Offset)}
		w.out.Headers = append(slices.Clip(w.out.Headers), at)
	}
}

// held says whether a record that was processed has to wait for a block, and takes back what it did. What it leads to is given for one
// whose nodes did not run, or whose effects are taken back already, since it becomes a dead letter.
//
// It is not called while there are no blocks.
func (w *worker) held(c *cause, leads ...kafka.TopicPartition) bool {
	in := c.in
	y := w.blocks.wayOf(in) // its offset cannot be committed
	for _, tp := range leads {
		w.blocks.pass(&y, tp)
	}
	if len(leads) == 0 {
		effects := w.call.Effects()
		for i := range effects {
			w.stage(c, &effects[i])
			w.blocks.pass(&y, w.out.TopicPartition)
		}
		for i, st := range in.task.stores {
			if st.Mark() != w.call.Marks()[i] {
				w.blocks.pass(&y, st.changelog)
			}
		}
	}
	w.blocks.met = y.met
	if len(y.met) == 0 {
		return false
	}
	if !time.Now().Before(y.next) && w.blocks.probe == in {
		w.blocks.trying = append(w.blocks.trying[:0], y.met...)
		return false
	}
	if len(leads) == 0 {
		w.call.Undo()
		in.attempt = 0 // it is done again from the beginning
	}
	if !time.Now().Before(y.next) {
		if w.blocks.probe == nil {
			w.blocks.probe = in // what is open is committed first: see due
		}
	} else {
		in.retryAt = y.next
	}
	b := y.met[0]
	in.waiting.Store(&waiting{attempt: b.tries, offset: c.record.Offset, until: y.next, err: b.err, blocked: true, remedy: b.err.Remedy, since: b.since})
	if !w.tasks.dirty() {
		w.tx.open = false
	}
	return true
}

// ofTheCall are failures that may be those of a call whose Context ended, whatever the record is like.
var ofTheCall = map[nodes.Reason]bool{nodes.Error: true, nodes.Timeout: true, nodes.Rejected: true, nodes.Panic: true, nodes.Exit: true, nodes.World: true}

// failed is the policy for a cause whose node failed: retry, dead-letter, or stop.
func (w *worker) failed(ctx context.Context, c *cause, f *nodes.Failure) step {
	in := c.in
	if err := in.task.broken(); err != nil {
		w.failTask(in.task, err)
		return stepAborted
	}
	if in.task.leaving() && ofTheCall[f.Reason] {
		return stepStopping // its Context ended: whoever has the task next processes the record
	}
	w.engine.metrics.nodeFailed(f.Name)
	switch f.Reason {
	case nodes.Fatal:
		w.engine.fail(&FatalError{Node: f.Name, Input: in.tp, Offset: c.record.Offset, Err: f.Err})
		in.stands = atFatal
		return stepStopping
	case nodes.Rejected, nodes.Undecodable, nodes.Late:
		return w.deadLetter(ctx, c, f)
	case nodes.World:
		return w.holdUp(c, f, ProblemBlocked, worldRemedy)
	}
	now := time.Now()
	if in.attempt == 0 {
		in.failedAt = now
	}
	retry := f.Node.Decl.Retry
	delay := pause(retry, c.attempt)
	if c.attempt >= retry.Attempts || retry.Within > 0 && now.Add(delay).Sub(in.failedAt) > retry.Within || in.outage.kind == ProblemLine {
		return w.exhausted(ctx, c, f)
	}
	in.attempt = c.attempt
	in.retryAt = now.Add(delay)
	in.waiting.Store(&waiting{attempt: in.attempt, offset: c.record.Offset, until: in.retryAt, err: f})
	w.tx.retries++
	w.tx.report.retried(c, f, delay)
	if log := w.log.Check(zap.DebugLevel, "record failed, trying again"); log != nil {
		log.Write(c.fields(zap.Int("attempt", c.attempt), zap.Duration("in", delay), zap.Error(f))...)
	}
	return stepWait
}

// exhausted is the end of a record whose tries are used up.
func (w *worker) exhausted(ctx context.Context, c *cause, f *nodes.Failure) step {
	if w.later(c, f) {
		return stepWait
	}
	if !w.engine.again.unlettered(c.in.tp, c.record) && c.in.line.stops(f, w.engine.opts.StopLineAfter, w.engine.opts.StopLineWindow, time.Now()) {
		return w.holdUp(c, f, ProblemLine, lineRemedy)
	}
	return w.deadLetter(ctx, c, f)
}

// unwanted is the failure of a record whose output is not taken.
func unwanted(emitter *nodes.Node, err error) *nodes.Failure {
	f := &nodes.Failure{Node: emitter, Name: emitter.Decl.Name, Reason: nodes.Refused, Err: err, Text: err.Error()}
	if broken, ok := errors.AsType[*guard.BrokenError](err); ok { // what the node wants done outside is part of it
		f.Reason, f.Stack = nodes.Panic, broken.Stack
		if broken.Exit {
			f.Reason = nodes.Exit
		}
	}
	return f
}

// excessive is the failure of a record that is over a limit: no node has seen it, so the first that would have counts.
func excessive(c *cause) *nodes.Failure {
	r := c.record
	if r.Excess.Limit == kafka.OnCorruptBatch {
		return damaged(c)
	}
	err := &LimitError{TopicPartition: c.in.tp, Offset: r.Offset, Excess: *r.Excess, Key: len(r.Key), Value: len(r.Value), Headers: len(r.Headers)}
	return &nodes.Failure{Node: c.node, Name: c.node.Decl.Name, Reason: nodes.Limit, Err: err, Text: err.Error()}
}
