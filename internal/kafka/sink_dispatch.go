package kafka

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// outPartition is a partition that the sink writes to.
type outPartition struct {
	TopicPartition
	topic  *outTopic
	open   *outBatch // being filled
	order  sequence
	leader int32 // -1 when not known
	epoch  int32 // of that leader, -1 when not known
	joined bool  // in the transaction
	coming bool  // to be added to it with others
	end    int64 // after the last acknowledged record, -1 for none
	// endEpoch is that of the leader which acknowledged that record, -1 when it is not known.
	endEpoch int32

	tries   int       // failures since the last acknowledgement
	until   time.Time // not to be sent to before
	unknown time.Time // since when the topic is said not to be there
	cause   error     // of the last failure
	stuck   bool      // it was reported as blocked, and nothing was acknowledged since
}

// outBroker is a broker that leads partitions.
type outBroker struct {
	id     int32
	flying int       // requests
	until  time.Time // it is not sent to before, because it throttles us
	calm   time.Time // until when requests are sent one by one, after it did
	queue  chan *outRequest
	next   *outRequest // being put together
}

// outRequest is a produce request: a batch each of several partitions of one leader.
type outRequest struct {
	broker  *outBroker
	wire    *kmsg.ProduceRequest
	batches []*outBatch
	as      producerID
	halves  atomic.Int32 // see sendOne
	res     *kmsg.ProduceResponse
	err     error
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
	s.refreshMetadata(now)
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
		if b == nil || p.leader < 0 || !s.sendable(p) {
			continue
		}
		if now.Before(p.until) {
			s.dueAt(p.until)
			continue
		}
		br := s.broker(p.leader)
		if now.Before(br.until) {
			s.dueAt(br.until)
			continue
		}
		if br.flying >= s.limits.inFlight || br.flying > 0 && now.Before(br.calm) {
			continue
		}
		if br.next == nil {
			br.next = &outRequest{broker: br}
			used = append(used, br)
		} else if br.next.size+b.size() > s.limits.request {
			continue
		}
		br.next.batches = append(br.next.batches, b)
		br.next.size += b.size()
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
	req.wire, req.as = kmsg.NewPtrProduceRequest(), s.as
	req.wire.Acks = -1
	req.wire.TimeoutMillis = int32(s.client.cfg.RequestTimeout / time.Millisecond)
	if s.encoding.transactional {
		req.wire.TransactionID = &s.coord.id
	}
	for _, b := range req.batches {
		b.part.order.take()
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
	if err := s.sendOne(req); err != nil {
		s.post(func() { s.requestAnswered(req, nil, err) })
	}
}

// produceVersion is the last version in which a partition is not added to a transaction by being written to: with that, a
// request that is late could begin a transaction that nobody ends (KIP-890's second transaction version, which needs EndTxn v5,
// is not used).
const produceVersion = 11

func (s *Sink) sendOne(req *outRequest) error {
	if err := req.encode(s.encoding); err != nil {
		return err
	}
	for {
		c, err := s.connection(req.broker.id)
		if err == nil {
			err = c.pick(req.wire, produceVersion)
		}
		if err != nil {
			return err
		}
		err = c.send(req.wire, time.Now().Add(s.client.cfg.RequestTimeout), func(res kmsg.Response, err error) {
			req.res, _ = res.(*kmsg.ProduceResponse)
			req.err = err
			s.half(req)
		})
		if err == nil {
			s.half(req)
		}
		if !errors.Is(err, errRetired) {
			return err
		}
	}
}

// half reports the answer when it is there and the request is not being written any more: a connection that fails in between
// gives the answer while the batches are still read.
func (s *Sink) half(req *outRequest) {
	if req.halves.Add(1) == 2 {
		s.post(func() { s.requestAnswered(req, req.res, req.err) })
	}
}

// encode puts the batches into the request.
func (req *outRequest) encode(e encoding) error {
	for _, b := range req.batches {
		records, err := b.onWire(e, req.as)
		if err != nil {
			return sarama.PacketEncodingError{Info: err.Error()}
		}
		at := slices.IndexFunc(req.wire.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.Topic == b.part.Topic })
		if at < 0 {
			at = len(req.wire.Topics)
			t := kmsg.NewProduceRequestTopic()
			t.Topic = b.part.Topic
			req.wire.Topics = append(req.wire.Topics, t)
		}
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = b.part.Partition, records
		req.wire.Topics[at].Partitions = append(req.wire.Topics[at].Partitions, p)
	}
	return nil
}

func (s *Sink) connection(id int32) (*rawConn, error) {
	addr, ok := s.ctl.addr(id) // as of the answer that named the leader
	if !ok {
		return nil, sarama.ErrBrokerNotFound
	}
	return s.data.raw(s.ctx, addr)
}

// blockOf finds the answer to a batch.
func blockOf(res *kmsg.ProduceResponse, b *outBatch) *kmsg.ProduceResponseTopicPartition {
	for i := range res.Topics {
		t := &res.Topics[i]
		if t.Topic != b.part.Topic {
			continue
		}
		for j := range t.Partitions {
			if t.Partitions[j].Partition == b.part.Partition {
				return &t.Partitions[j]
			}
		}
	}
	return nil
}

// requestAnswered acts on the answer to a request, or on what went wrong with it.
func (s *Sink) requestAnswered(req *outRequest, res *kmsg.ProduceResponse, err error) {
	req.broker.flying--
	s.flying--
	if res != nil && res.ThrottleMillis > 0 {
		s.throttled(req.broker, time.Duration(res.ThrottleMillis)*time.Millisecond)
	}
	if err != nil {
		s.requestFailed("write to "+req.batches[0].part.TopicPartition.String(), err)
	}
	for _, b := range req.batches {
		if err != nil {
			s.requeue(b, err, true)
			continue
		}
		block := blockOf(res, b)
		if block == nil {
			s.requeue(b, sarama.ErrIncompleteResponse, true)
			continue
		}
		s.batchAnswered(b, block)
	}
}

// throttled notes that a broker has said not to be sent to for a while (KIP-219): it answers at once, and reads nothing from us
// until then. So we wait ourselves, which Close can end.
func (s *Sink) throttled(br *outBroker, d time.Duration) {
	now := time.Now()
	if until := now.Add(d); until.After(br.until) {
		from := now
		if br.until.After(now) {
			from = br.until
		}
		s.throttle += until.Sub(from)
		br.until, br.calm = until, until.Add(calmAfterThrottle)
	}
}

// calmAfterThrottle is how long a broker that throttled us gets one request at a time: each that is under way when it is over
// its quota makes it wait longer.
const calmAfterThrottle = 10 * time.Second

// Throttled is how long brokers have made this sink wait so far, because of a quota.
func (s *Sink) Throttled() time.Duration { return s.throttle }

// requestFailed ends the transaction when a request failed in a way that will not pass soon.
func (s *Sink) requestFailed(op string, err error) {
	switch {
	case errors.Is(err, errClosed):
		s.fail(&Error{Retriable, op, errSinkClosed})
	case giveUp(err):
		s.fail(s.coord.verdict(op, sarama.ErrNoError, err))
	}
}
