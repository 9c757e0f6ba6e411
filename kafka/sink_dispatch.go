package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// outPartition is a partition that the sink writes to.
type outPartition struct {
	TopicPartition
	topic  *outTopic
	open   *outBatch // being filled
	order  sequence
	leader int32 // -1 when not known
	joined bool  // in the transaction
	end    int64 // after the last acknowledged record, -1 for none

	tries   int       // failures since the last acknowledgement
	until   time.Time // not to be sent to before
	unknown time.Time // since when the topic is said not to be there
	cause   error     // of the last failure
	stuck   bool      // it was reported as blocked, and nothing was acknowledged since
}

// outBroker is a broker that leads partitions.
type outBroker struct {
	id     int32
	flying int // requests
	queue  chan *outRequest
	next   *outRequest // being put together
}

// outRequest is a produce request: a batch each of several partitions of one leader.
type outRequest struct {
	broker  *outBroker
	wire    *sarama.ProduceRequest
	batches []*outBatch
	size    int
}

// dispatch sends every batch that can be sent now, asks for what is missing, and notes when to look again.
func (s *Sink) dispatch() {
	s.due = time.Time{}
	if s.err != nil {
		return
	}
	now := time.Now()
	for _, p := range s.active {
		b := p.order.oldest()
		if now.After(b.deadline) {
			s.expired(p)
			return
		}
		s.dueAt(b.deadline)
	}
	s.ask(now)
	if s.join() {
		return
	}
	for s.round(now) {
	}
}

// dueAt notes a time to look again.
func (s *Sink) dueAt(t time.Time) {
	if s.due.IsZero() || t.Before(s.due) {
		s.due = t
	}
}

// expired gives the transaction up because a batch could not be delivered in time.
func (s *Sink) expired(p *outPartition) {
	err := fmt.Errorf("not acknowledged within %s (%s)", s.limits.delivery, s.limits.bound)
	if code, ok := errors.AsType[sarama.KError](p.cause); ok {
		s.block(p, fmt.Errorf("%w; last: %w", err, p.cause), code)
	} else {
		s.fail(&Error{Retriable, "write to " + p.TopicPartition.String(), s.because(err)})
	}
	// What has not been answered by now is not waited for any longer.
	s.data.dropAll()
}

// round sends at most one request to each broker, with at most one batch of each partition. It returns whether another
// round may send more.
func (s *Sink) round(now time.Time) (sent bool) {
	n := len(s.active)
	if n == 0 {
		return false
	}
	s.turn = (s.turn + 1) % n // so that every partition is first in a request now and then
	var used []*outBroker
	for i := range n {
		p := s.active[(s.turn+i)%n]
		b := p.order.head()
		if b == nil || p.leader < 0 || !s.may(p) {
			continue
		}
		if now.Before(p.until) {
			s.dueAt(p.until)
			continue
		}
		br := s.broker(p.leader)
		if br.flying >= s.limits.inFlight {
			continue
		}
		if br.next == nil {
			br.next = &outRequest{broker: br}
			used = append(used, br)
		} else if br.next.size+b.size > s.limits.request {
			continue
		}
		br.next.batches = append(br.next.batches, b)
		br.next.size += b.size
	}
	for _, br := range used {
		s.send(br)
	}
	return len(used) > 0
}

func (s *Sink) broker(id int32) *outBroker {
	br := s.brokers[id]
	if br == nil {
		br = &outBroker{id: id, queue: make(chan *outRequest, s.limits.inFlight)}
		s.brokers[id] = br
		s.spawn(func() { s.deliver(br) })
	}
	return br
}

// send hands a broker's next request to the goroutine that delivers it.
func (s *Sink) send(br *outBroker) {
	req := br.next
	br.next = nil
	req.wire = &sarama.ProduceRequest{
		Version:      8,
		RequiredAcks: sarama.WaitForAll,
		Timeout:      int32(s.client.cfg.RequestTimeout / time.Millisecond),
	}
	if s.encoding.transactional {
		req.wire.TransactionalID = &s.coord.id
	}
	for _, b := range req.batches {
		b.part.order.take()
		req.wire.AddBatch(b.part.Topic, b.part.Partition, b.onWire(s.encoding, s.as))
	}
	br.flying++
	s.flying++
	br.queue <- req // there is room for every request that may be in flight
}

// deliver encodes and writes one broker's requests, which may block while the connection is made and while the broker
// does not read.
func (s *Sink) deliver(br *outBroker) {
	for {
		select {
		case req := <-br.queue:
			s.deliverOne(req)
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Sink) deliverOne(req *outRequest) {
	k, err := s.connection(req.broker.id)
	if err == nil {
		err = k.AsyncProduce(req.wire, func(res *sarama.ProduceResponse, err error) {
			if err != nil {
				s.data.drop(k)
			}
			s.post(func() { s.answered(req, res, err) })
		})
		if err != nil && brokenLink(err) {
			s.data.drop(k)
		}
	}
	if err != nil {
		s.post(func() { s.answered(req, nil, err) })
	}
}

func (s *Sink) connection(id int32) (*link, error) {
	addr, ok := s.ctl.addr(id) // as of the answer that named the leader
	if !ok {
		return nil, sarama.ErrBrokerNotFound
	}
	return s.data.at(s.ctx, addr)
}

// answered takes the answer to a request, or what went wrong with it.
func (s *Sink) answered(req *outRequest, res *sarama.ProduceResponse, err error) {
	req.broker.flying--
	s.flying--
	if err != nil {
		s.lost("write to "+req.batches[0].part.TopicPartition.String(), err)
	}
	for _, b := range req.batches {
		if err != nil {
			s.again(b, err, true)
			continue
		}
		block := res.GetBlock(b.part.Topic, b.part.Partition)
		if block == nil {
			s.again(b, sarama.ErrIncompleteResponse, true)
			continue
		}
		s.judged(b, block)
	}
}

// lost ends the transaction when a request failed in a way that will not pass.
func (s *Sink) lost(op string, err error) {
	switch {
	case errors.Is(err, errClosed):
		s.fail(&Error{Retriable, op, errSinkClosed})
	case giveUp(err):
		s.fail(&Error{Fatal, op, err})
	}
}

// judged takes the answer to a batch.
func (s *Sink) judged(b *outBatch, block *sarama.ProduceResponseBlock) {
	p := b.part
	op := "write to " + p.TopicPartition.String()
	switch judge(block.Err) {
	case acknowledged:
		s.acknowledged(b, block.Offset)
		return
	case resend:
		s.again(b, block.Err, false)
		return
	case resendMoved:
		s.again(b, block.Err, true)
		return
	case resendUnknown:
		s.again(b, block.Err, true)
		s.unknownTopic(p)
		return
	case outOfOrder:
		if p.order.first(b) {
			s.fail(&Error{Abortable, op, block.Err})
		}
		s.again(b, block.Err, false)
		return
	case tooLarge:
		p.topic.known, s.curious = false, true
		s.refusal(b, block)
		return
	case refused:
		s.refusal(b, block)
		return
	case recreated:
		s.again(b, block.Err, true) // metadata tells the new id
		return
	case broken:
		s.fail(&Error{Abortable, op, withReason(block)})
	case fenced:
		s.fail(&Error{Fenced, op, named(block.Err)})
	default:
		s.block(p, withReason(block), block.Err)
	}
	s.again(b, block.Err, false)
}

func withReason(block *sarama.ProduceResponseBlock) error {
	if block.ErrorMessage != nil && *block.ErrorMessage != "" {
		return fmt.Errorf("%w (%s)", block.Err, *block.ErrorMessage)
	}
	return block.Err
}

// refusal finds the record for which the broker refuses a batch: the answer may name it (KIP-467); else the batch is
// halved until the record stands alone.
func (s *Sink) refusal(b *outBatch, block *sarama.ProduceResponseBlock) {
	p := b.part
	at, reason := -1, withReason(block)
	for _, e := range block.RecordErrors {
		if i := int(e.BatchIndex); i >= 0 && i < len(b.recs) && (at < 0 || i < at) {
			at = i
			if e.BatchIndexErrorMessage != nil && *e.BatchIndexErrorMessage != "" {
				reason = fmt.Errorf("%w (%s)", block.Err, *e.BatchIndexErrorMessage)
			}
		}
	}
	if at < 0 && len(b.recs) == 1 {
		at = 0
	}
	if at >= 0 {
		s.fail(&RefusedError{p.TopicPartition, b.origins[at], reason, limitOf(block.Err)})
		s.again(b, block.Err, false)
		return
	}
	parts := b.split()
	for _, part := range parts {
		s.buffered += part.cost()
	}
	s.buffered -= b.cost()
	p.order.split(b, parts)
	p.cause = block.Err
	s.recycle(b)
}

// acknowledged takes a batch as written.
func (s *Sink) acknowledged(b *outBatch, offset int64) {
	p := b.part
	if offset >= 0 {
		p.end = max(p.end, offset+int64(len(b.recs)))
	}
	p.tries, p.until, p.unknown, p.cause, p.stuck = 0, time.Time{}, time.Time{}, nil, false
	p.order.ack(b)
	if p.order.idle() {
		s.active = slices.DeleteFunc(s.active, func(a *outPartition) bool { return a == p })
	}
	s.buffered -= b.cost()
	s.recycle(b)
}

// again has a batch sent again after a while.
func (s *Sink) again(b *outBatch, err error, moved bool) {
	p := b.part
	first := !p.order.failed
	p.order.fail()
	if moved {
		p.leader = -1
	}
	if first { // later ones in flight fail because of the first
		s.postpone(p, err)
	}
}

// postpone waits longer with every failure.
func (s *Sink) postpone(p *outPartition, err error) {
	wait := s.limits.retry.wait(p.tries)
	p.tries++
	p.cause = err
	p.until = time.Now().Add(wait)
	s.log.Debug("write again", zap.Stringer("partition", p.TopicPartition), zap.Duration("after", wait), zap.Error(err))
	if code, ok := errors.AsType[sarama.KError](err); ok && p.stuck && p.tries >= stuckTries {
		s.block(p, err, code)
	}
}

// stuckTries is how often a partition is tried that was reported as blocked: the caller tries again later, and meanwhile
// has other things to write.
const stuckTries = 3

// unknownTopicGrace is how long a topic may be said not to exist: brokers hear of a new topic, or of a new leader of
// its partitions, one after the other.
const unknownTopicGrace = 5 * time.Second

func (s *Sink) unknownTopic(p *outPartition) {
	now := time.Now()
	if p.unknown.IsZero() {
		p.unknown = now
	}
	if now.Sub(p.unknown) >= s.limits.grace {
		s.block(p, sarama.ErrUnknownTopicOrPartition, sarama.ErrUnknownTopicOrPartition)
	}
}

// block ends what the sink can do before Abort because the cluster takes nothing for a partition, or for more than that.
func (s *Sink) block(p *outPartition, err error, code sarama.KError) {
	p.stuck = true
	e := &BlockedError{TopicPartition: p.TopicPartition, Op: "write to " + p.TopicPartition.String(), Err: err, Remedy: remedyFor(code, p.TopicPartition)}
	switch judge(code) {
	case blockedTopic:
		e.TopicPartition.Partition = -1
	case blockedAll:
		e.TopicPartition = TopicPartition{Partition: -1}
	}
	if b := p.order.oldest(); b != nil {
		e.Origin = b.origins[0]
	} else if p.open != nil {
		e.Origin = p.open.origins[0]
	}
	for _, other := range s.active {
		if _, ok := errors.AsType[sarama.KError](other.cause); ok && other != p && other.tries >= stuckTries {
			other.stuck = true
			e.Also = append(e.Also, other.TopicPartition)
		}
	}
	s.fail(e)
}

// dropAll cuts every connection. Calls under way fail; later ones connect again.
func (l *links) dropAll() {
	l.mu.Lock()
	open := make([]*link, 0, len(l.open))
	for _, k := range l.open {
		open = append(open, k)
	}
	l.mu.Unlock()
	for _, k := range open {
		l.drop(k)
	}
}
