package processors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/kafka"
)

// block is something that the cluster refuses for a reason that is no record's: a partition, a topic, or everything that
// the worker does. Records that lead to it wait, each at the head of its input, so that order is kept; all others pass.
//
// From time to time one record tries alone, in a transaction of its own: what was open is committed before. So a try that
// fails aborts nothing but itself, however long the backlog, and a try that succeeds shows that the block is gone.
type block struct {
	at    kafka.TopicPartition // as in kafka.BlockedError
	err   *kafka.BlockedError
	since time.Time
	until time.Time // the next try
	tries int
}

// blockWait is how long a block is left alone, and what else an operator has to mend.
var blockWait = backoff.Backoff{First: time.Second, Max: 30 * time.Second}

// everything is where a block stands that concerns all that a worker does.
var everything = kafka.TopicPartition{Partition: -1}

// blocked aborts a transaction that the cluster refuses through no fault of a record, and holds back what led to it.
func (w *worker) blocked(ctx context.Context, err error, refusal *kafka.BlockedError) step {
	early := !w.hold(refusal.TopicPartition, refusal)
	for _, tp := range refusal.Also {
		w.hold(tp, refusal)
	}
	var end step
	if errors.Is(err, errOutside) {
		end = w.abandon(err)
	} else if end = w.redo(ctx); end == stepAborted && early {
		w.sleep(ctx, w.backoff()) // what is held back was tried: do not do so without end
	}
	if w.sink == nil && ctx.Err() == nil {
		// Where too few replicas are in sync, not even the abort can be written (the partition takes no marker), and until
		// it is, the transactional id is of no use: everything of the worker waits.
		w.disconnected(refusal, w.blocks[refusal.TopicPartition].since, w.connect)
	}
	return end
}

// hold notes a block, or one more try of it that failed. It returns false when the next try was not due yet.
func (w *worker) hold(at kafka.TopicPartition, err *kafka.BlockedError) bool {
	now := time.Now()
	b := w.blocks[at]
	if b == nil {
		b = &block{at: at, since: now}
		if w.blocks == nil {
			w.blocks = map[kafka.TopicPartition]*block{}
		}
		w.blocks[at] = b
	}
	due := !now.Before(b.until)
	if err.Missing() && w.isChangelog(at.Topic) {
		again := *err
		again.Remedy = changelogRemedy(at.Topic)
		err = &again
	}
	b.err = err
	b.tries++
	b.until = now.Add(blockWait.Wait(b.tries - 1))
	if b.tries == 1 {
		w.log.Error("the cluster refuses what is no record's fault: the input partitions concerned wait, and go on when it is mended",
			zap.Stringer("at", blockName(at)), zap.Error(err), zap.String("remedy", err.Remedy))
	} else if b.tries&(b.tries-1) == 0 {
		w.log.Warn("the cluster still refuses, input partitions wait", zap.Stringer("at", blockName(at)), zap.Int("tries", b.tries),
			zap.Duration("since", now.Sub(b.since).Round(time.Second)), zap.Error(err), zap.String("remedy", err.Remedy))
	}
	return due
}

// changelogRemedy is what to do about a changelog that is missing. An empty one in its place would have the stores of other
// instances begin empty.
func changelogRemedy(topic string) string {
	return "do not make " + topic + " again while the topology runs: its state would be lost. Stop all instances; then put back a copy " +
		"of it (cleanup.policy=compact, as many partitions as the input), or, to rebuild the state, start once with --accept-empty-state after " +
		"\"offsets reset\" to where the input is to be read again"
}

// blockName says in words where a block stands.
type blockName kafka.TopicPartition

func (n blockName) String() string {
	switch {
	case n.Topic == "":
		return "everything of this worker"
	case n.Partition < 0:
		return "topic " + n.Topic
	}
	return kafka.TopicPartition(n).String()
}

// way collects the blocks that a record meets.
type way struct {
	met  []*block
	next time.Time // when all of them may be tried
}

// pass looks at one thing that the record leads to.
func (w *worker) pass(y *way, at kafka.TopicPartition) {
	for _, key := range [...]kafka.TopicPartition{at, {Topic: at.Topic, Partition: -1}} {
		if b := w.blocks[key]; b != nil {
			y.met = append(y.met, b)
			if b.until.After(y.next) {
				y.next = b.until
			}
		}
	}
}

// held says whether a record that was processed has to wait for a block, and takes back what it did. The letter's topic is
// given for a record that becomes a dead letter, whose effects are taken back already.
//
// It is not called while there are no blocks.
func (w *worker) held(c *cause, letter *kafka.TopicPartition) bool {
	in := c.in
	y := way{met: w.way[:0]}
	if b := w.blocks[everything]; b != nil {
		y.met, y.next = append(y.met, b), b.until
	}
	w.pass(&y, in.tp) // its offset cannot be committed
	if letter != nil {
		w.pass(&y, *letter)
	} else {
		effects := w.call.Effects()
		for i := range effects {
			w.stage(c, &effects[i])
			w.pass(&y, w.out.TopicPartition)
		}
		for i, st := range in.task.stores {
			if st.Mark() != w.call.Marks()[i] {
				w.pass(&y, st.changelog)
			}
		}
	}
	w.way = y.met
	if len(y.met) == 0 {
		return false
	}
	if !time.Now().Before(y.next) && w.probe == in {
		w.trying = append(w.trying[:0], y.met...)
		return false
	}
	if letter == nil {
		w.call.Undo()
		in.attempt = 0 // it is done again from the beginning
	}
	if !time.Now().Before(y.next) {
		if w.probe == nil {
			w.probe = in // what is open is committed first: see due
		}
	} else {
		in.retryAt = y.next
	}
	b := y.met[0]
	in.waiting.Store(&waiting{attempt: b.tries, offset: c.record.Offset, until: y.next, err: b.err, blocked: true, remedy: b.err.Remedy, since: b.since})
	if !w.dirty() {
		w.open = false
	}
	return true
}

// tried ends a try that was committed: what it met is no longer in the way of anyone.
func (w *worker) tried() {
	for _, b := range w.trying {
		if w.blocks[b.at] != b {
			continue
		}
		delete(w.blocks, b.at)
		w.log.Info("the cluster takes it again: the input partitions that waited go on", zap.Stringer("at", blockName(b.at)),
			zap.Duration("after", time.Since(b.since).Round(time.Millisecond)))
	}
	if len(w.trying) > 0 {
		w.letGo()
	}
	w.untried()
}

// letGo has every input that waits for a block look again.
func (w *worker) letGo() {
	for _, t := range w.tasks {
		for _, in := range t.inputs {
			if wait := in.waiting.Load(); wait != nil && wait.blocked && in.stands == atNothing {
				in.waiting.Store(nil)
				in.retryAt = time.Time{}
			}
		}
	}
}

// untried forgets a try.
func (w *worker) untried() { w.probe, w.trying = nil, w.trying[:0] }

// mayTry says whether an input is to try a block now, alone.
func (w *worker) mayTry(now time.Time) bool {
	in := w.probe
	if in.task.is(taskRunning) && in.stands != atFatal && in.head() != nil && !now.Before(in.retryAt) {
		return true
	}
	w.untried()
	return false
}

// disconnected notes why a worker cannot get a sink, for all its inputs.
func (w *worker) disconnected(err *kafka.BlockedError, since, until time.Time) {
	for _, t := range w.tasks {
		for _, in := range t.inputs {
			in.waiting.Store(&waiting{attempt: w.failures, offset: in.next.Load(), until: until, err: err, blocked: true, remedy: err.Remedy, since: since})
		}
	}
}

// unwritable is the error for a dead letter that its topic takes in no form.
func unwritable(tp kafka.TopicPartition, offset int64, err *kafka.RefusedError) *kafka.BlockedError {
	remedy := "make " + err.Topic + " take it"
	if len(err.Limits) > 0 {
		remedy = "raise " + settings(err.Limits, err.Topic)
	}
	return &kafka.BlockedError{
		TopicPartition: err.TopicPartition, Origin: err.Origin,
		Op: fmt.Sprintf("write the dead letter of %s offset %d to %s", tp, offset, err.Topic), Err: err, Remedy: remedy,
	}
}

// unstored is the error for a state change that its changelog does not take, after its record was tried alone.
func unstored(err *kafka.RefusedError) *kafka.BlockedError {
	remedy := cmp.Or(settings(err.Limits, err.Topic), "the settings of "+err.Topic)
	if len(err.Limits) > 0 {
		remedy = "raise " + remedy + ", or keep less under one key"
	} else {
		remedy = "look at " + remedy
	}
	return &kafka.BlockedError{TopicPartition: err.TopicPartition, Origin: err.Origin, Op: "write a state change to " + err.TopicPartition.String(), Err: err, Remedy: remedy}
}
