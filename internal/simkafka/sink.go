package simkafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Sink is kafka.Sink on the model. What it appends is sent at a moment of the seed's choice, at the latest by Flush.
type Sink struct {
	p     *Process
	actor string
	as    *producer
	epoch int16

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	inUse  atomic.Bool

	waiting []kafka.Outgoing
	ends    map[kafka.TopicPartition]int64
	epochs  map[kafka.TopicPartition]int32
	added   map[kafka.TopicPartition]bool
	topics  map[string]string // the ids of those that are expected
	group   string
	began   bool  // the coordinator may know of the transaction
	lost    bool  // something may still be under way
	err     error // why only Abort and Close are left
	appends int
	sends   int
}

// NewSink takes a transactional id over, or with an empty one makes a sink without transactions.
func (p *Process) NewSink(ctx context.Context, transactionalID string) (*Sink, error) {
	p.mu.Lock()
	p.sinks++
	actor := "sink " + transactionalID
	if transactionalID == "" {
		actor = fmt.Sprintf("sink %d", p.sinks)
	}
	p.mu.Unlock()
	s := &Sink{p: p, actor: actor, ends: map[kafka.TopicPartition]int64{}, epochs: map[kafka.TopicPartition]int32{}, added: map[kafka.TopicPartition]bool{}, topics: map[string]string{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.init(ctx, transactionalID, -1, 0); err != nil {
		s.cancel()
		return nil, err
	}
	return s, nil
}

// init initialises the producer, as a new one or as itself.
func (s *Sink) init(ctx context.Context, id string, pid int64, epoch int16) error {
	var as *producer
	var gotEpoch int16
	_, err := s.repeat(ctx, OpInit, fmt.Sprintf("pid %d epoch %d", pid, epoch), func() (err error) {
		as, _, gotEpoch, err = s.p.c.initProducer(id, pid, epoch)
		return err
	})
	if err != nil {
		return classify("initialise producer "+id, err)
	}
	s.as, s.epoch, s.lost = as, gotEpoch, false
	return nil
}

// repeat makes a request again for as long as the answer is that the transaction before is not ended everywhere.
func (s *Sink) repeat(ctx context.Context, op Op, what string, effect func() error) (sent bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	for n := 0; ; n++ {
		once, err := s.p.request(ctx, s.actor, op, what, effect)
		sent = sent || once && transportOr(ctx, err)
		if !errors.Is(err, errConcurrent) {
			return sent, err
		}
		if err := s.p.sleep(ctx, time.Duration(1+min(n, 20))*time.Millisecond); err != nil {
			return sent, err
		}
	}
}

// transportOr says that an error leaves the result of the request open.
func transportOr(ctx context.Context, err error) bool {
	return err != nil && (transport(err) || ctx.Err() != nil)
}

// classify gives a broker's answer, or the lack of one, the class that the real wire gives it.
func classify(op string, err error) error {
	class := kafka.Retriable
	var refused *kafka.RefusedError
	switch {
	case err == nil:
		return nil
	case kafka.ClassOf(err) == kafka.Blocked:
		return err
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, errIllegalGen), errors.Is(err, errRebalancing):
		return kafka.ErrStaleGeneration
	case errors.Is(err, errFenced), errors.Is(err, errUnknownMember), errors.Is(err, errFencedInstance):
		class = kafka.Fenced
	case errors.Is(err, errInvalidState), errors.Is(err, errAbortable):
		class = kafka.Abortable
	}
	return &kafka.Error{Class: class, Op: op, Err: err}
}

// use notes calls from two goroutines at a time, and calls that are not allowed after an error.
func (s *Sink) use(call string, afterError bool) func() {
	if !s.inUse.CompareAndSwap(false, true) {
		s.note("%s while another call is under way", call)
		return func() {}
	}
	if s.err != nil && !afterError {
		s.note("%s after an error (%v) without Abort", call, s.err)
	}
	if s.ctx.Err() != nil && !s.p.crashed() {
		s.note("%s after Close", call)
	}
	return func() { s.inUse.Store(false) }
}

func (s *Sink) note(format string, args ...any) {
	s.p.c.mu.Lock()
	defer s.p.c.mu.Unlock()
	s.p.c.violated("%s %s: %s", s.p.name, s.actor, fmt.Sprintf(format, args...))
}

func (s *Sink) fail(err error) error {
	s.err = err
	return err
}

// Append implements processors.Sink. Now and then it finds its buffer full, and sends what is there before.
func (s *Sink) Append(r *kafka.Outgoing) error {
	defer s.use("Append", false)()
	if s.err != nil {
		return s.err
	}
	if refuse := s.p.c.cfg.Refuse; refuse != nil {
		if f := refuse(r); f == TooLargeAtOnce || f == InvalidAtOnce {
			return f.of(r.TopicPartition, r.Origin)
		}
	}
	s.appends++
	s.p.mu.Lock()
	block := s.p.block
	s.p.mu.Unlock()
	if block || s.p.c.seeded(s.p.name, s.actor, "append", s.appends).IntN(16) == 0 {
		if err := s.send(s.ctx); err != nil {
			return err // of what was appended before: r has not been added
		}
	}
	s.waiting = append(s.waiting, copied(r))
	return nil
}

// copied is a record of its own, since the caller goes on with its memory.
func copied(r *kafka.Outgoing) kafka.Outgoing {
	out := *r
	out.Key, out.Value, out.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), slices.Clone(r.Headers)
	for i := range out.Headers {
		out.Headers[i].Value = bytes.Clone(out.Headers[i].Value)
	}
	return out
}

// Expect says which topic is to be written to.
func (s *Sink) Expect(topic, id string) {
	if s.topics[topic] == "" {
		s.topics[topic] = id
	}
}

// send writes what waits, a request for each partition. One that fails does not keep the others from being written, in
// whatever order.
func (s *Sink) send(ctx context.Context) error {
	if len(s.waiting) == 0 {
		return nil
	}
	byPartition := map[kafka.TopicPartition][]kafka.Outgoing{}
	for _, r := range s.waiting {
		byPartition[r.TopicPartition] = append(byPartition[r.TopicPartition], r)
	}
	tps := slices.SortedFunc(maps.Keys(byPartition), kafka.TopicPartition.Compare)
	if err := s.addPartitions(ctx, tps); err != nil {
		return s.fail(err)
	}
	s.sends++
	s.p.c.seeded(s.p.name, s.actor, "send", s.sends).Shuffle(len(tps), func(i, j int) { tps[i], tps[j] = tps[j], tps[i] })
	var first error
	for _, tp := range tps {
		if err := s.produce(ctx, tp, byPartition[tp]); err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return s.fail(first)
	}
	s.waiting = s.waiting[:0]
	return nil
}

func (s *Sink) produce(ctx context.Context, tp kafka.TopicPartition, records []kafka.Outgoing) error {
	if was := s.topics[tp.Topic]; was != "" && s.p.c.partition(tp) != nil {
		if is := s.p.c.TopicID(tp.Topic); is != was {
			return &kafka.Error{Class: kafka.Abortable, Op: "write to " + tp.String(), Err: &kafka.OutputRecreatedError{Topic: tp.Topic, Old: was, New: is}}
		}
	}
	as, epoch := s.as, s.epoch
	var end int64
	var leader int32
	sent, err := s.repeat(ctx, OpProduce, fmt.Sprintf("%s %d records", tp, len(records)), func() (err error) {
		end, err = s.p.c.produce(as, epoch, tp, records)
		if log := s.p.c.partition(tp); log != nil {
			leader = log.leaderEpoch()
		}
		return err
	})
	s.lost = s.lost || sent
	if kafka.ClassOf(err) != kafka.Blocked && errors.Is(err, errUnknownTopic) {
		err = &kafka.BlockedError{TopicPartition: tp, Op: "write to " + tp.String(), Err: err, Remedy: "make the topic"}
	}
	if blocked, ok := errors.AsType[*kafka.BlockedError](err); ok {
		blocked.Origin = records[0].Origin
	}
	if err == nil {
		s.ends[tp], s.epochs[tp] = max(s.ends[tp], end), leader
	}
	return classify("write to "+tp.String(), err)
}

func (s *Sink) addPartitions(ctx context.Context, tps []kafka.TopicPartition) error {
	tps = slices.DeleteFunc(slices.Clone(tps), func(tp kafka.TopicPartition) bool { return s.as.id == "" || s.added[tp] })
	if len(tps) == 0 {
		return nil
	}
	as, epoch := s.as, s.epoch
	s.began = true
	sent, err := s.repeat(ctx, OpAddPartitions, fmt.Sprint(tps), func() error {
		if err := as.enter(s.p.c, epoch, true); err != nil {
			return err
		}
		for _, tp := range tps {
			if err := s.p.c.trouble(OpAddPartitions, tp); err != nil {
				return err
			}
		}
		for _, tp := range tps {
			as.partitions[tp] = true
		}
		return nil
	})
	s.lost = s.lost || sent
	if blocked, ok := errors.AsType[*kafka.BlockedError](err); ok {
		for _, r := range s.waiting { // the oldest
			if r.Topic == blocked.Topic && (blocked.Partition < 0 || r.Partition == blocked.Partition) {
				blocked.Origin = r.Origin
				break
			}
		}
	}
	if err != nil {
		return classify("add partitions to the transaction", err)
	}
	for _, tp := range tps {
		s.added[tp] = true
	}
	return nil
}

// Flush implements processors.Sink.
func (s *Sink) Flush(ctx context.Context) error {
	defer s.use("Flush", false)()
	if s.err != nil {
		return s.err
	}
	return s.send(ctx)
}

// End implements processors.Sink.
func (s *Sink) End(tp kafka.TopicPartition) int64 {
	if end, ok := s.ends[tp]; ok {
		return end
	}
	return -1
}

// LeaderEpoch implements processors.Sink.
func (s *Sink) LeaderEpoch(tp kafka.TopicPartition) int32 {
	if epoch, ok := s.epochs[tp]; ok {
		return epoch
	}
	return -1
}

// Offsets implements processors.Sink.
func (s *Sink) Offsets(ctx context.Context, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	defer s.use("Offsets", false)()
	if s.err != nil {
		return s.err
	}
	if len(s.waiting) > 0 {
		s.note("Offsets before Flush")
	}
	op, c, as, epoch := "commit offsets of "+m.Group, s.p.c, s.as, s.epoch
	offsets = maps.Clone(offsets)
	if as.id != "" && s.group != m.Group {
		s.began = true
		sent, err := s.repeat(ctx, OpAddOffsets, m.Group, func() error {
			if err := as.enter(c, epoch, true); err != nil {
				return err
			}
			as.groups[m.Group] = true
			return nil
		})
		s.lost = s.lost || sent
		if err != nil {
			return s.fail(classify(op, err))
		}
		s.group = m.Group
	}
	sent, err := s.repeat(ctx, OpOffsets, fmt.Sprintf("%s generation %d %v", m.ID, m.Generation, offsets), func() error {
		if err := c.troubleOfOffsets(offsets); err != nil {
			return err
		}
		if as.id == "" {
			return c.group(m.Group).commit(m, offsets)
		}
		if err := as.enter(c, epoch, false); err != nil {
			return err
		}
		if !as.groups[m.Group] {
			return errInvalidState
		}
		return c.group(m.Group).commitInTransaction(as.pid, m, offsets)
	})
	s.lost = s.lost || sent
	if err = classify(op, err); err != nil && !errors.Is(err, kafka.ErrStaleGeneration) {
		s.err = err
	}
	return err
}

// Commit implements processors.Sink.
func (s *Sink) Commit(ctx context.Context) error {
	defer s.use("Commit", false)()
	if s.err != nil {
		return s.err
	}
	if len(s.waiting) > 0 {
		s.note("Commit before Flush")
	}
	if !s.began {
		return nil
	}
	const op = "commit the transaction"
	as, epoch, c := s.as, s.epoch, s.p.c
	sent, err := s.repeat(ctx, OpCommit, fmt.Sprintf("epoch %d", epoch), func() error {
		err := as.end(c, epoch, true)
		if err == nil {
			c.indefinite++
		}
		return err
	})
	if err != nil {
		s.lost = s.lost || sent
		if sent {
			return s.fail(&kafka.Error{Class: kafka.Indefinite, Op: op, Err: err})
		}
		return s.fail(classify(op, err))
	}
	c.mu.Lock()
	c.indefinite--
	c.mu.Unlock()
	if s.lost { // what may still be under way must not touch the next transaction
		if err := s.init(ctx, as.id, as.pid, epoch); err != nil {
			s.err = err // of the next call: this transaction is committed
		}
	}
	s.next()
	return nil
}

func (s *Sink) next() {
	s.began, s.group = false, ""
	clear(s.added)
	s.waiting = s.waiting[:0]
}

// Abort implements processors.Sink.
func (s *Sink) Abort(ctx context.Context) error {
	defer s.use("Abort", true)()
	if s.err != nil && kafka.ClassOf(s.err) == kafka.Fenced {
		return s.err
	}
	if s.ctx.Err() != nil {
		return &kafka.Error{Class: kafka.Retriable, Op: "abort", Err: errClosed}
	}
	as, epoch, c := s.as, s.epoch, s.p.c
	s.waiting = s.waiting[:0]
	if s.began {
		sent, err := s.repeat(ctx, OpAbort, fmt.Sprintf("epoch %d", epoch), func() error { return as.end(c, epoch, false) })
		switch {
		case errors.Is(err, errInvalidState): // it never began, or is ended; what may still come is stopped by a new epoch
			s.lost = true
		case err != nil:
			s.lost = s.lost || sent
			err = classify("abort the transaction", err)
			if s.err == nil || kafka.ClassOf(err) == kafka.Fenced {
				s.err = err
			}
			return err
		}
	}
	if s.lost {
		if err := s.init(ctx, as.id, as.pid, epoch); err != nil {
			s.err = err
			return err
		}
	}
	s.next()
	s.err = nil
	return nil
}

// Throttled implements processors.Sink: the model has no quotas.
func (s *Sink) Throttled() time.Duration { return 0 }

// Close implements processors.Sink. It may be called from another goroutine and ends the call under way.
func (s *Sink) Close() error {
	s.cancel()
	return nil
}
