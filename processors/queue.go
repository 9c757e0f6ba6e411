package processors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/nodes"
)

// A queue is an input of a task that is none of the group's: the parked records of the keys that are ready, of one input. It has no
// offsets. So that a transaction with nothing but its records is refused like every other when the partition has been given to
// somebody else, the offset of the input that they came from is committed again with it.

// queue is what an input has of this.
type queue struct {
	of     *input // where its records were read
	record kafka.Record
	size   int // of the record, as it is parked
	loaded bool
	ended  []int64 // the offsets of its records that have ended since the last commit: refusals are known by them
}

// next is the first record of a queue, or nil.
func (in *input) nextParked() *kafka.Record {
	p, q := in.task.parking, &in.queue
	if q.loaded || p == nil || len(p.ready) == 0 {
		return q.current()
	}
	at := slices.IndexFunc(p.ready, func(name string) bool { return strings.HasPrefix(name, in.tp.Topic+"\x00") })
	if at < 0 {
		return nil
	}
	q.record, q.size, in.topicID, p.err = kafka.Record{}, 0, "", nil
	q.loaded = true
	k, err := p.key(p.ready[at])
	var value []byte
	if err == nil && k != nil {
		var known bool
		if value, known, err = p.store.Get(recordName(p.ready[at], k.From)); err == nil && !known {
			err = errParked
		}
	} else if err == nil {
		err = errParked
	}
	if err == nil {
		q.size = len(value)
		q.record, in.topicID, err = decodeParked(value)
	}
	p.err = err
	return &q.record
}

func (q *queue) current() *kafka.Record {
	if !q.loaded {
		return nil
	}
	return &q.record
}

// restart takes a queue back to what the store says.
func (in *input) restart() {
	in.queue.loaded, in.queue.ended = false, in.queue.ended[:0]
	in.attempt, in.here, in.letter, in.retryAt = 0, inPlace{}, nil, time.Time{}
	in.line = line{stopped: in.line.stopped}
	if wait := in.waiting.Load(); wait != nil && !wait.blocked {
		in.waiting.Store(nil)
	}
}

// settle forgets what brokers refused of records that have ended, since their transaction is committed.
func (in *input) settle() {
	for _, offset := range in.queue.ended {
		delete(in.refused, offset)
	}
	in.queue.ended = in.queue.ended[:0]
}

const parkedRemedy = "redrive or discard the dead letters that their keys wait for (dlq list shows them), repair what the delayed records fail of, or raise the limit"

// follow parks a record whose key is parked. done is false where its nodes are to run.
func (w *worker) follow(ctx context.Context, c *cause) (end step, done bool) {
	in, p := c.in, c.in.task.parking
	name := c.name()
	k, err := p.key(name)
	switch {
	case err != nil:
		w.failTask(in.task, err)
		return stepAborted, true
	case k == nil || in.redriven: // the head, or a record that failed before it
		return stepDone, false
	}
	why, err := p.full(w.engine.opts.ParkedRecords, w.engine.opts.ParkedBytes)
	if err != nil {
		w.failTask(in.task, err)
		return stepAborted, true
	}
	if why != "" && w.engine.again != nil { // letters are not redriven meanwhile, so nothing would make room
		w.engine.fail(fmt.Errorf("%s offset %d: its key is parked, and there is no room to park it: %s: run the replay with a higher limit, which the instances need too", in.tp, c.record.Offset, why))
		in.stands = atFatal
		return stepStopping, true
	}
	if why != "" {
		return w.holdUp(c, &nodes.Failure{Node: c.node, Name: c.node.Decl.Name, Reason: nodes.Error, Text: why}, ProblemParked, parkedRemedy), true
	}
	if w.blocks.any() && w.held(c, p.changelog) {
		return stepWait, true
	}
	marks := in.task.Mark(nil)
	p.begin()
	if err := p.add(name, k, c.record, in.topicID); err != nil {
		in.task.Undo(marks)
		p.begin()
		if broken := in.task.broken(); broken != nil {
			w.failTask(in.task, broken)
			return stepAborted, true
		}
		return w.deadLetter(ctx, c, &nodes.Failure{Node: c.node, Name: c.node.Decl.Name, Reason: nodes.Limit, Err: err, Text: err.Error()}), true
	}
	if t := w.tx.tallied(c); t != nil {
		t.Take(c.record)
		t.Parked++
	}
	w.aside(c)
	in.line.ended-- // it has not
	return stepDone, true
}

// aside ends the try of a record that is out of the way, or is none, and whose changes are to be kept.
func (w *worker) aside(c *cause) {
	c.in.task.keep()
	w.tx.aside++
	w.tx.bytes += c.size()
	w.goesOn(c, false)
	w.setAside(c)
	c.in.advance()
}

// goesOn says that the record in work does not wait any more.
func (w *worker) goesOn(c *cause, passed bool) {
	in := c.in
	w.resumed(c, passed)
	if passed && in.here.delays > 0 {
		in.waited = 0
	}
	if c.attempt > 1 || in.here.delays > 0 || in.source.Delay > 0 || w.blocks.any() && w.blocks.probe != in {
		in.waiting.Store(nil)
	}
}

// released frees the key of a dead letter that was discarded, or sent elsewhere.
func (w *worker) released(c *cause) step {
	in, p := c.in, c.in.task.parking
	if p != nil {
		if w.blocks.any() && w.held(c, p.changelog) {
			return stepWait
		}
		if err := p.passed(c); err != nil {
			w.failTask(in.task, err)
			return stepAborted
		}
	}
	w.aside(c)
	return stepDone
}

// early has a delayed record wait until its time has come.
func (w *worker) early(c *cause) bool {
	in := c.in
	if c.envelope == nil || c.envelope.Due == 0 {
		return false
	}
	due := time.UnixMilli(c.envelope.Due)
	if !time.Now().Before(due) {
		return false
	}
	in.retryAt = due
	in.progress.Store(due.UnixNano()) // it stands still by the clock
	in.waiting.Store(&waiting{offset: c.record.Offset, until: due, delayed: true})
	if !w.tasks.dirty() {
		w.tx.open = false
	}
	return true
}

// exit is where a failed record goes.
type exit struct {
	at    kafka.TopicPartition
	delay time.Duration // 0 for a dead letter
	parks bool          // others of its key wait for it
}

// repeatable are failures that another try may not have: of these records are delayed, and park their keys.
var repeatable = map[nodes.Reason]bool{nodes.Error: true, nodes.Timeout: true, nodes.Panic: true, nodes.Exit: true}

// exitOf says where a failed record goes.
func (w *worker) exitOf(c *cause, f *nodes.Failure) (to exit, err error) {
	in, r := c.in, c.record
	topic := f.Node.DeadLetter(in.source)
	to.at = kafka.TopicPartition{Topic: topic, Partition: w.engine.partitionFor(topic, r.Key, in)}
	if !w.engine.aside || r.Excess != nil || !repeatable[f.Reason] {
		return to, nil
	}
	if p := in.task.parking; p != nil && in.source.Parks && r.Key != nil && c.refusal().letter < last { // which has no key to free
		if to.parks, err = p.heads(c); err != nil {
			return to, err
		}
	}
	if later := f.Node.Decl.Later; !w.engine.again.hasInPlace() && c.delays() < len(later) && c.refusal().letter == whole {
		to.delay = later[c.delays()]
		to.at = kafka.TopicPartition{Topic: in.source.After(to.delay).Topic, Partition: in.tp.Partition}
	}
	return to, nil
}

// delayed counts and tells of a record that waits in a retry topic.
func (w *worker) delayed(c *cause, f *nodes.Failure, delay time.Duration) {
	w.tx.delayed++
	if t := w.tx.tallied(c); t != nil {
		t.Take(c.record)
		t.Delayed++
	}
	if log := w.log.Check(zap.DebugLevel, "record failed, trying again later"); log != nil {
		log.Write(c.fields(zap.Int("delays", c.delays()+1), zap.Duration("in", delay), zap.Error(f))...)
	}
}
