package processors

import (
	"cmp"
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

// blocks are those that a worker meets, and the try of one that is under way.
type blocks struct {
	log    *zap.Logger
	tasks  *tasks
	at     map[kafka.TopicPartition]*block // empty as a rule
	probe  *input                          // tries next, alone, or does so in the open transaction
	trying []*block                        // what the open transaction tries
	met    []*block                        // reused
}

// any says whether there are some. Nothing is looked up for a record while there are none.
func (bs *blocks) any() bool { return len(bs.at) > 0 }

// blockWait is how long a block is left alone, and what else an operator has to mend.
var blockWait = backoff.Backoff{First: time.Second, Max: 30 * time.Second}

// everything is where a block stands that concerns all that a worker does.
var everything = kafka.TopicPartition{Partition: -1}

// hold notes a block, or one more try of it that failed. It returns false when the next try was not due yet.
func (bs *blocks) hold(at kafka.TopicPartition, err *kafka.BlockedError) bool {
	now := time.Now()
	b := bs.at[at]
	if b == nil {
		b = &block{at: at, since: now}
		if bs.at == nil {
			bs.at = map[kafka.TopicPartition]*block{}
		}
		bs.at[at] = b
	}
	due := !now.Before(b.until)
	if err.Missing() && bs.tasks.isChangelog(at.Topic) {
		again := *err
		again.Remedy = changelogRemedy(at.Topic)
		err = &again
	}
	b.err = err
	b.tries++
	b.until = now.Add(blockWait.Wait(b.tries - 1))
	if b.tries == 1 {
		bs.log.Error("the cluster refuses what is no record's fault: the input partitions concerned wait, and go on when it is mended",
			zap.Stringer("at", blockName(at)), zap.Error(err), zap.String("remedy", err.Remedy))
	} else if b.tries&(b.tries-1) == 0 {
		bs.log.Warn("the cluster still refuses, input partitions wait", zap.Stringer("at", blockName(at)), zap.Int("tries", b.tries),
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
func (bs *blocks) pass(y *way, at kafka.TopicPartition) {
	for _, key := range [...]kafka.TopicPartition{at, {Topic: at.Topic, Partition: -1}} {
		if b := bs.at[key]; b != nil {
			y.met = append(y.met, b)
			if b.until.After(y.next) {
				y.next = b.until
			}
		}
	}
}

// tried ends a try that was committed: what it met is no longer in the way of anyone.
func (bs *blocks) tried() {
	for _, b := range bs.trying {
		if bs.at[b.at] != b {
			continue
		}
		delete(bs.at, b.at)
		bs.log.Info("the cluster takes it again: the input partitions that waited go on", zap.Stringer("at", blockName(b.at)),
			zap.Duration("after", time.Since(b.since).Round(time.Millisecond)))
	}
	if len(bs.trying) > 0 {
		bs.tasks.letGo()
	}
	bs.untried()
}

// untried forgets a try.
func (bs *blocks) untried() { bs.probe, bs.trying = nil, bs.trying[:0] }

// next is the input that is to try a block now, alone, or nil.
func (bs *blocks) next(now time.Time) *input {
	in := bs.probe
	if in == nil {
		return nil
	}
	if in.task.is(taskRunning) && in.stands != atFatal && in.head() != nil && !now.Before(in.retryAt) {
		return in
	}
	bs.untried()
	return nil
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
