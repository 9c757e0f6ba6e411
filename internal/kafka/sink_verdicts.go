package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// How a batch ends that was answered: see answers in sink_answers.go for the meaning of each code.

// batchAnswered acts on the answer to a batch.
func (s *Sink) batchAnswered(b *outBatch, block *kmsg.ProduceResponseTopicPartition) {
	p, code := b.part, sarama.KError(block.ErrorCode)
	switch verdictOf(code) {
	case acknowledged:
		s.acknowledged(b, block.BaseOffset)
		return
	case resend:
		s.requeue(b, code, false)
		return
	case resendMoved:
		s.requeue(b, code, true)
		return
	case resendUnknown:
		s.requeue(b, code, true)
		s.unknownTopic(p)
		return
	case outOfOrder:
		if p.order.first(b) {
			s.fail(&Error{Abortable, "write to " + p.TopicPartition.String(), code})
		}
		s.requeue(b, code, false)
		return
	case tooLarge:
		p.topic.known, s.curious = false, true
		s.refusal(b, block)
		return
	case refused:
		s.refusal(b, block)
		return
	case recreated:
		s.requeue(b, code, true) // metadata tells the new id
		return
	case broken:
		s.fail(&Error{Abortable, "write to " + p.TopicPartition.String(), withReason(block)})
	case fenced:
		s.fail(&Error{Fenced, "write to " + p.TopicPartition.String(), named(code)})
	default:
		s.block(p, withReason(block), code)
	}
	s.requeue(b, code, false)
}

func withReason(block *kmsg.ProduceResponseTopicPartition) error {
	code := sarama.KError(block.ErrorCode)
	if block.ErrorMessage != nil && *block.ErrorMessage != "" {
		return fmt.Errorf("%w (%s)", code, *block.ErrorMessage)
	}
	return code
}

// refusal finds the record for which the broker refuses a batch: the answer may name it (KIP-467); else the batch is
// halved until the record stands alone.
func (s *Sink) refusal(b *outBatch, block *kmsg.ProduceResponseTopicPartition) {
	p, code := b.part, sarama.KError(block.ErrorCode)
	at, reason := -1, withReason(block)
	for _, e := range block.ErrorRecords {
		if i := int(e.RelativeOffset); i >= 0 && i < b.count() && (at < 0 || i < at) {
			at = i
			if e.ErrorMessage != nil && *e.ErrorMessage != "" {
				reason = fmt.Errorf("%w (%s)", code, *e.ErrorMessage)
			}
		}
	}
	if at < 0 && b.count() == 1 {
		at = 0
	}
	if at >= 0 {
		s.fail(&RefusedError{p.TopicPartition, b.origins[at], reason, limitOf(code)})
		s.requeue(b, code, false)
		return
	}
	parts := b.split()
	for _, part := range parts {
		s.buffered += part.cost()
	}
	s.buffered -= b.cost()
	p.order.split(b, parts)
	p.cause = code
	s.recycle(b)
}

// acknowledged takes a batch as written.
func (s *Sink) acknowledged(b *outBatch, offset int64) {
	p := b.part
	if offset >= 0 {
		p.end, p.endEpoch = max(p.end, offset+int64(b.count())), p.epoch
	}
	p.tries, p.until, p.unknown, p.cause, p.stuck = 0, time.Time{}, time.Time{}, nil, false
	p.order.ack(b)
	if p.order.idle() {
		s.active = slices.DeleteFunc(s.active, func(a *outPartition) bool { return a == p })
	}
	s.buffered -= b.cost()
	if s.told != nil {
		s.told(p.TopicPartition, offset, b.origins)
	}
	s.recycle(b)
}

// requeue has a batch sent again after a wait; moved, once the partition's leader has been looked up again.
func (s *Sink) requeue(b *outBatch, err error, moved bool) {
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
	wait := s.limits.retry.Spread(p.tries)
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
//
// Whatever it was, the topic may be another one when it takes records again. So its leaders are asked for, and with them its
// id, before anything more is written to it: a changelog that was recreated must not be taken for the former one.
func (s *Sink) block(p *outPartition, err error, code sarama.KError) {
	p.stuck = true
	s.lookAgain(p.topic)
	e := &BlockedError{TopicPartition: p.TopicPartition, Op: "write to " + p.TopicPartition.String(), Err: err, Remedy: remedyFor(code, p.TopicPartition)}
	switch verdictOf(code) {
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
