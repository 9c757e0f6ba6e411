package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// sinkTxn is the state of the sink's transaction.
type sinkTxn struct {
	began   bool   // the coordinator may know of it
	group   string // whose offsets have been added
	renew   bool   // the producer must be initialised again before this transaction begins; false once it began
	joining bool   // partitions are being added
	quit    context.CancelFunc
}

// sendable says whether the transaction lets a partition's batches be sent: the partition has been added to it.
func (s *Sink) sendable(p *outPartition) bool {
	if s.txn.renew {
		return false
	}
	return p.joined || !s.encoding.transactional
}

// join sees to it that the producer is fit and that partitions with something to send are in the transaction. It works
// in the background and returns whether nothing can be sent before it is done.
func (s *Sink) join() (wait bool) {
	if s.txn.joining {
		return s.txn.renew
	}
	var add []TopicPartition
	if s.encoding.transactional {
		missing := false
		for _, p := range s.active {
			missing = missing || !p.joined
		}
		if missing {
			// All that are known to be coming: each request costs the coordinator a write to its log.
			for tp, p := range s.parts {
				if !p.joined && (p.coming || p.open != nil || !p.order.idle()) {
					add = append(add, tp)
				}
			}
		}
	}
	renew := s.txn.renew && len(s.active) > 0
	if len(add) == 0 && !renew {
		return s.txn.renew
	}
	s.txn.began = s.txn.began || len(add) > 0
	ctx, cancel := context.WithTimeout(s.ctx, s.limits.delivery)
	s.txn.joining, s.txn.quit = true, cancel
	as, grace := s.as, s.coord.grace
	for _, tp := range add {
		if s.parts[tp].stuck {
			grace = 0 // it has been waited for
		}
	}
	s.spawn(func() {
		defer cancel()
		var refused map[TopicPartition]sarama.KError
		var absent bool
		var err error
		if renew {
			as, err = s.coord.renew(ctx, as)
		}
		if err == nil && len(add) > 0 {
			refused, absent, err = s.coord.join(ctx, as, add, grace)
		}
		s.post(func() {
			if absent {
				for _, tp := range add {
					s.lookAgain(s.parts[tp].topic)
				}
			}
			s.joined(as, add, refused, err)
		})
	})
	return s.txn.renew
}

// renew initialises the producer again. It returns the producer as it was when that fails.
func (c *coordinators) renew(ctx context.Context, as producerID) (producerID, error) {
	old := as
	if c.id == "" {
		old = noProducer // epochs are not raised without a transactional id; a new id it is
	}
	renewed, err := c.init(ctx, old)
	if err != nil {
		return as, err
	}
	c.indefinite = false
	return renewed, nil
}

// renewed makes the sink continue as a fresh producer.
func (s *Sink) renewed(as producerID) {
	if as == s.as {
		return
	}
	s.as = as
	s.txn.renew = false
	for _, p := range s.parts {
		p.order.restart()
	}
}

// lookAgain has the leaders of a topic asked for, and with them its id, before more is written to it: it may have been recreated.
func (s *Sink) lookAgain(t *outTopic) {
	for _, p := range s.parts {
		if p.topic == t {
			p.leader = -1
		}
	}
}

// joined takes the outcome of join.
func (s *Sink) joined(as producerID, added []TopicPartition, refused map[TopicPartition]sarama.KError, err error) {
	s.txn.joining, s.txn.quit = false, nil
	s.renewed(as)
	if err != nil {
		s.fail(err)
		return
	}
	for _, tp := range added {
		switch code, bad := refused[tp]; {
		case bad:
			s.block(s.parts[tp], code, code)
		case len(refused) == 0:
			s.parts[tp].joined = true
		}
	}
}

// Offsets adds input offsets to the transaction in the name of a group member, after flushing. Without a transactional
// id it commits them at once. ErrStaleGeneration asks for another try with a newer Member.
func (s *Sink) Offsets(ctx context.Context, m Member, offsets map[TopicPartition]CommittedOffset) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	if len(offsets) == 0 {
		return nil
	}
	ctx, done := s.bounded(ctx, s.client.cfg.APITimeout)
	defer done()
	err := s.offsets(ctx, m, offsets)
	if err != nil && !errors.Is(err, ErrStaleGeneration) {
		s.fail(err)
	}
	return err
}

func (s *Sink) offsets(ctx context.Context, m Member, offsets map[TopicPartition]CommittedOffset) error {
	if !s.encoding.transactional {
		return s.coord.commitOffsets(ctx, s.as, m, offsets)
	}
	if s.txn.renew {
		as, err := s.coord.renew(ctx, s.as)
		if err != nil {
			return err
		}
		s.renewed(as)
	}
	s.txn.began = true
	if s.txn.group != m.Group {
		if err := s.coord.addOffsets(ctx, s.as, m.Group); err != nil {
			return err
		}
		s.txn.group = m.Group
	}
	return s.coord.commitOffsets(ctx, s.as, m, offsets)
}

// Commit ends the transaction; nil means that it is committed. What was not flushed is flushed first.
func (s *Sink) Commit(ctx context.Context) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	if !s.txn.began {
		return nil
	}
	ctx, done := s.bounded(ctx, s.client.cfg.APITimeout)
	defer done()
	before := s.coord.indefinite
	s.coord.indefinite = false
	code, err := s.coord.end(ctx, s.as, true)
	doubtful := s.coord.indefinite
	s.coord.indefinite = before || doubtful
	if err := s.committed(code, err, doubtful); err != nil {
		s.fail(err)
		return err
	}
	s.ended()
	return nil
}

// committed judges the answer to a request to commit. doubtful says that an earlier try of it may have taken effect.
func (s *Sink) committed(code sarama.KError, err error, doubtful bool) error {
	const op = "commit the transaction"
	final := s.coord.verdict(op, code, err)
	switch {
	case final == nil:
		return nil
	case doubtful || code == sarama.ErrUnknown:
		// Whether it was committed before somebody else took over, or before time was up, can no longer be known.
		cause := errors.Unwrap(final)
		if cause == nil {
			cause = final
		}
		return &Error{Indefinite, op, cause}
	}
	return final
}

// renewIfLost has the producer initialised again when a request of the transaction that has ended may still be under
// way: it could take effect on the next one. Not earlier: to initialise a producer is to abort what it has open. A lost
// commit of offsets without a transaction only makes records be read again.
func (s *Sink) renewIfLost() {
	s.txn.renew = s.txn.renew || s.coord.indefinite && s.encoding.transactional
}

// ended makes the sink ready for the next transaction.
func (s *Sink) ended() {
	s.renewIfLost()
	s.txn = sinkTxn{renew: s.txn.renew}
	for _, p := range s.parts {
		p.joined, p.coming = false, false
	}
}

// Coming says that records for a partition will follow after a Flush of others in this transaction, so that it is added to the transaction with
// theirs: each time that partitions are added costs a round trip, and the coordinator a write to its log. It says nothing of a partition to which
// nothing was written yet.
func (s *Sink) Coming(tp TopicPartition) {
	if p := s.parts[tp]; p != nil {
		p.coming = true
	}
}

// Abort drops everything since the last Commit or Abort, and ends the transaction so that nothing of it becomes
// visible. When it fails with Retriable it may be called again.
func (s *Sink) Abort(ctx context.Context) error {
	if s.ctx.Err() != nil {
		return &Error{Retriable, "abort the transaction", errSinkClosed}
	}
	ctx, done := s.bounded(ctx, s.client.cfg.APITimeout)
	defer done()
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.drop()
	if s.txn.began {
		code, err := s.coord.end(ctx, s.as, false)
		err = s.coord.verdict("abort the transaction", code, err)
		// INVALID_TXN_STATE: there is no such transaction. The request that would have begun it never came, or one that
		// ended it did. What may still come is stopped by the new epoch.
		if err != nil && code != sarama.ErrInvalidTxnState {
			return s.abortFailed(err)
		}
		// After a failure nothing is known for certain about what else may be under way.
		s.txn.renew = s.txn.renew || err != nil || !errors.Is(s.err, errAborted)
		s.txn.began = false
	}
	s.renewIfLost()
	if s.txn.renew {
		as, err := s.coord.renew(ctx, s.as)
		if err != nil {
			return s.abortFailed(err)
		}
		s.renewed(as)
	}
	s.ended()
	s.err = nil
	return nil
}

// abortFailed notes that the sink is not fit yet, or never will be.
func (s *Sink) abortFailed(err error) error {
	s.renewIfLost()
	if class := ClassOf(err); class == Fenced || class == Fatal {
		s.err = err
	}
	return err
}

// settle waits until nothing is under way. What is under way when a transaction ends could otherwise be written after
// its marker, where it would begin another one that nobody ends.
func (s *Sink) settle(ctx context.Context) error {
	if s.txn.quit != nil {
		s.txn.quit()
	}
	s.fail(&Error{Abortable, "abort the transaction", errAborted}) // nothing more is sent
	for {
		s.work()
		if s.flying == 0 && !s.txn.joining {
			return nil
		}
		if !s.pause(ctx) {
			return &Error{Retriable, "abort the transaction", context.Cause(ctx)}
		}
	}
}

var errAborted = errors.New("it was aborted")

// drop forgets every batch.
func (s *Sink) drop() {
	for _, p := range s.parts {
		if p.open != nil {
			s.recycle(p.open)
			p.open = nil
		}
		for _, b := range p.order.drop() {
			if b.seq >= 0 {
				s.txn.renew = true // its numbers are used up, though it may not have been written
			}
			s.recycle(b)
		}
		p.tries, p.until, p.unknown, p.cause = 0, time.Time{}, time.Time{}, nil
	}
	clear(s.active)
	s.active = s.active[:0]
	s.buffered = 0
}
