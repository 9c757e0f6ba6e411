package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/weirstream/weir/internal/backoff"
)

// producerID is what brokers know a producer by.
type producerID struct {
	id    int64
	epoch int16
}

var noProducer = producerID{-1, -1}

// soon is the wait while a coordinator still writes the markers of the transaction before, which takes milliseconds.
func soon(n int) time.Duration {
	return min(20*time.Millisecond, time.Millisecond+time.Millisecond*time.Duration(n/2))
}

// coordinators makes the transactional requests of one sink. It repeats what can be repeated until its context ends.
// One request at a time: a later one must not overtake an earlier one that is still under way.
type coordinators struct {
	links   *links
	id      string // transactional.id, empty without
	timeout time.Duration
	retry   backoff.Backoff
	grace   time.Duration    // for topics that are said not to exist
	at      map[string]*link // coordinators by group and transactional id
	// indefinite says that a request was sent whose answer never came or did not tell whether it took effect. It may still
	// be under way, and take effect even on the next transaction of the same epoch.
	indefinite bool
}

// call makes a request of the coordinator of a group or transactional id, and again until the answer is one that asking
// again would not change.
func (c *coordinators) call(ctx context.Context, kind sarama.CoordinatorType, key string, send func(*sarama.Broker) (sarama.KError, error)) (sarama.KError, error) {
	res, err := request(ctx, c, kind, key, func(b *sarama.Broker) (codedAnswer[struct{}], error) {
		code, err := send(b)
		return codedAnswer[struct{}]{code: code}, err
	})
	return res.code, err
}

// codedAnswer is an answer's code and what else is wanted of it.
type codedAnswer[R any] struct {
	code  sarama.KError
	value R
}

// request is call for answers that hold more than a code. What send has found comes back as its result only: when ctx
// ends first, send is still under way on another goroutine.
func request[R any](ctx context.Context, c *coordinators, kind sarama.CoordinatorType, key string, send func(*sarama.Broker) (codedAnswer[R], error)) (codedAnswer[R], error) {
	var none codedAnswer[R]
	var last error
	since := time.Now()
	for try, quick := 0, 0; ; {
		k, err := c.find(ctx, kind, key)
		wait := c.retry.Spread(try)
		if err == nil {
			var res codedAnswer[R]
			res, err = roundTrip(ctx, c.links, k, send)
			if err == nil {
				switch res.code {
				case sarama.ErrConcurrentTransactions:
					wait = soon(quick)
					quick++
					try--
				case sarama.ErrOffsetsLoadInProgress:
				case sarama.ErrNotCoordinatorForConsumer, sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrRequestTimedOut,
					sarama.ErrBrokerNotAvailable, sarama.ErrNetworkException, sarama.ErrKafkaStorageError:
					// The coordinator may have begun to write to its log and then have lost it.
					c.indefinite = true
					delete(c.at, c.place(kind, key))
				case sarama.ErrUnknownTopicOrPartition:
					// A group coordinator may not know of a new topic yet.
					if time.Since(since) > c.grace {
						return res, nil
					}
				default:
					return res, nil
				}
				err = res.code
			} else {
				c.indefinite = c.indefinite || brokenLink(err)
				delete(c.at, c.place(kind, key))
			}
		}
		if giveUp(err) || errors.Is(err, errClosed) {
			return none, err
		}
		if ctx.Err() == nil {
			last = err
		}
		try++
		select {
		case <-ctx.Done():
			return none, outOfTime(ctx, last)
		case <-time.After(wait):
		}
	}
}

// outOfTime says that ctx ended, and what went wrong before.
func outOfTime(ctx context.Context, last error) error {
	if last == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w; last: %w", context.Cause(ctx), last)
}

// giveUp says that repeating a request cannot help. Codes of the request itself do not come here.
func giveUp(err error) bool {
	var encoding sarama.PacketEncodingError
	return errors.As(err, &encoding) || errors.Is(err, sarama.ErrUnsupportedVersion) ||
		errors.Is(err, sarama.ErrGroupAuthorizationFailed) || errors.Is(err, sarama.ErrTransactionalIDAuthorizationFailed) ||
		errors.Is(err, sarama.ErrClusterAuthorizationFailed) || connectClass(err) == Fatal
}

func (c *coordinators) find(ctx context.Context, kind sarama.CoordinatorType, key string) (*link, error) {
	if key == "" { // any broker will do
		return c.links.toAny(ctx)
	}
	if k := c.at[c.place(kind, key)]; k != nil {
		return k, nil
	}
	k, err := c.links.coordinator(ctx, kind, key)
	if err == nil {
		c.at[c.place(kind, key)] = k
	}
	return k, err
}

func (c *coordinators) place(kind sarama.CoordinatorType, key string) string {
	return string(rune(kind)) + key
}

// init takes the producer's id over (KIP-360): with noProducer from whoever holds it, ending what transaction that left
// open, or else only from ourselves, raising the epoch.
func (c *coordinators) init(ctx context.Context, as producerID) (producerID, error) {
	req := &sarama.InitProducerIDRequest{
		Version:            4,
		TransactionTimeout: c.timeout,
		ProducerID:         as.id,
		ProducerEpoch:      as.epoch,
	}
	if c.id != "" {
		req.TransactionalID = &c.id
	}
	got, err := request(ctx, c, sarama.CoordinatorTransaction, c.id, func(b *sarama.Broker) (codedAnswer[producerID], error) {
		res, err := b.InitProducerID(req)
		if err != nil {
			return codedAnswer[producerID]{}, err
		}
		return codedAnswer[producerID]{res.Err, producerID{res.ProducerID, res.ProducerEpoch}}, nil
	})
	return got.value, c.verdict("initialise producer", got.code, err)
}

// join adds partitions to the transaction. Those that the cluster refuses come back with the reason.
//
// A topic may be said not to exist for as long as grace allows; absent says that one was, for a moment: it may have been recreated.
func (c *coordinators) join(ctx context.Context, as producerID, partitions []TopicPartition, grace time.Duration) (refused map[TopicPartition]sarama.KError, absent bool, err error) {
	const op = "add partitions to the transaction"
	req := &sarama.AddPartitionsToTxnRequest{
		Version:         3,
		TransactionalID: c.id,
		ProducerID:      as.id,
		ProducerEpoch:   as.epoch,
		TopicPartitions: map[string][]int32{},
	}
	for _, tp := range partitions {
		req.TopicPartitions[tp.Topic] = append(req.TopicPartitions[tp.Topic], tp.Partition)
	}
	since := time.Now()
	for try := 0; ; try++ {
		res, err := request(ctx, c, sarama.CoordinatorTransaction, c.id, func(b *sarama.Broker) (answer codedAnswer[map[TopicPartition]sarama.KError], err error) {
			res, err := b.AddPartitionsToTxn(req)
			if err != nil {
				return answer, err
			}
			answer.value = map[TopicPartition]sarama.KError{}
			for topic, errs := range res.Errors {
				for _, e := range errs {
					switch e.Err {
					case sarama.ErrNoError, sarama.ErrOperationNotAttempted: // not attempted because of another one
					default:
						// A code of the transaction stands at every partition, one of a partition only there.
						_, ofTransaction := coordinatorAnswers[e.Err]
						if v := verdictOf(e.Err); v == resendUnknown || v == blockedTopic || v == blocked && !ofTransaction {
							answer.value[TopicPartition{Topic: topic, Partition: e.Partition}] = e.Err
						} else {
							answer.code = e.Err
						}
					}
				}
			}
			return answer, nil
		})
		if err := c.verdict(op, res.code, err); err != nil {
			return nil, absent, err
		}
		refused = res.value
		unknown := false
		for _, code := range refused {
			unknown = unknown || code == sarama.ErrUnknownTopicOrPartition
			absent = absent || unknown
		}
		// A topic that was made a moment ago is not known everywhere yet.
		if !unknown || time.Since(since) > grace {
			return refused, absent, nil
		}
		select {
		case <-ctx.Done():
			return nil, absent, &Error{Retriable, op, outOfTime(ctx, sarama.ErrUnknownTopicOrPartition)}
		case <-time.After(c.retry.Spread(try)):
		}
	}
}

// addOffsets adds the group's offsets to the transaction.
func (c *coordinators) addOffsets(ctx context.Context, as producerID, group string) error {
	req := &sarama.AddOffsetsToTxnRequest{
		Version:         3,
		TransactionalID: c.id,
		ProducerID:      as.id,
		ProducerEpoch:   as.epoch,
		GroupID:         group,
	}
	code, err := c.call(ctx, sarama.CoordinatorTransaction, c.id, func(b *sarama.Broker) (sarama.KError, error) {
		res, err := b.AddOffsetsToTxn(req)
		if err != nil {
			return 0, err
		}
		return res.Err, nil
	})
	return c.verdict("add offsets of "+group+" to the transaction", code, err)
}

// commitOffsets hands offsets to the group's coordinator, as part of the transaction when there is one.
func (c *coordinators) commitOffsets(ctx context.Context, as producerID, m Member, offsets map[TopicPartition]CommittedOffset) error {
	send := c.txnOffsets(as, m, offsets)
	if c.id == "" {
		send = plainOffsets(m, offsets)
	}
	const op = "commit offsets of "
	res, err := request(ctx, c, sarama.CoordinatorGroup, m.Group, send)
	err = c.verdict(op+m.Group, res.code, err)
	if b, ok := errors.AsType[*BlockedError](err); ok && (res.code == sarama.ErrTopicAuthorizationFailed || res.code == sarama.ErrUnknownTopicOrPartition) {
		b.TopicPartition = res.value
		b.Op += " for " + res.value.String()
		b.Remedy = "allow this principal to READ topic " + res.value.Topic
		if res.code == sarama.ErrUnknownTopicOrPartition {
			b.Remedy = "the input was deleted: make topic " + res.value.Topic + " again, with at least as many partitions as before"
		}
	}
	return err
}

// offsetsAnswer is the worst code of an answer to offsets, and the partition that has it.
type offsetsAnswer = codedAnswer[TopicPartition]

func (c *coordinators) txnOffsets(as producerID, m Member, offsets map[TopicPartition]CommittedOffset) func(*sarama.Broker) (offsetsAnswer, error) {
	req := &sarama.TxnOffsetCommitRequest{
		Version:         3,
		TransactionalID: c.id,
		GroupID:         m.Group,
		ProducerID:      as.id,
		ProducerEpoch:   as.epoch,
		GenerationID:    m.Generation,
		MemberID:        m.ID,
		GroupInstanceID: orNil(m.InstanceID),
		Topics:          map[string][]*sarama.PartitionOffsetMetadata{},
	}
	for tp, o := range offsets {
		req.Topics[tp.Topic] = append(req.Topics[tp.Topic],
			&sarama.PartitionOffsetMetadata{Partition: tp.Partition, Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: &o.Metadata})
	}
	return func(b *sarama.Broker) (answer offsetsAnswer, err error) {
		res, err := b.TxnOffsetCommit(req)
		if err != nil {
			return answer, err
		}
		for topic, errs := range res.Topics {
			for _, e := range errs {
				if e.Err != sarama.ErrNoError {
					return offsetsAnswer{e.Err, TopicPartition{Topic: topic, Partition: e.Partition}}, nil
				}
			}
		}
		return answer, nil
	}
}

func plainOffsets(m Member, offsets map[TopicPartition]CommittedOffset) func(*sarama.Broker) (offsetsAnswer, error) {
	req := &sarama.OffsetCommitRequest{
		Version:                 8,
		ConsumerGroup:           m.Group,
		ConsumerGroupGeneration: m.Generation,
		ConsumerID:              m.ID,
		GroupInstanceId:         orNil(m.InstanceID),
	}
	for tp, o := range offsets {
		req.AddBlockWithLeaderEpoch(tp.Topic, tp.Partition, o.Offset, o.LeaderEpoch, 0, o.Metadata)
	}
	return func(b *sarama.Broker) (answer offsetsAnswer, err error) {
		res, err := b.CommitOffset(req)
		if err != nil {
			return answer, err
		}
		for topic, errs := range res.Errors {
			for partition, code := range errs {
				if code != sarama.ErrNoError {
					return offsetsAnswer{code, TopicPartition{Topic: topic, Partition: partition}}, nil
				}
			}
		}
		return answer, nil
	}
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// end ends the transaction and returns the coordinator's answer.
func (c *coordinators) end(ctx context.Context, as producerID, commit bool) (sarama.KError, error) {
	req := &sarama.EndTxnRequest{
		Version:           3,
		TransactionalID:   c.id,
		ProducerID:        as.id,
		ProducerEpoch:     as.epoch,
		TransactionResult: commit,
	}
	return c.call(ctx, sarama.CoordinatorTransaction, c.id, func(b *sarama.Broker) (sarama.KError, error) {
		res, err := b.EndTxn(req)
		if err != nil {
			return 0, err
		}
		return res.Err, nil
	})
}

// verdict turns a final answer, or the lack of one, into an error with a class.
func (c *coordinators) verdict(op string, code sarama.KError, err error) error {
	if err != nil {
		denied, ok := errors.AsType[sarama.KError](err)
		switch {
		case connectClass(err) == Fatal:
			return &BlockedError{TopicPartition: TopicPartition{Partition: -1}, Op: op, Err: err,
				Remedy: remedyCredentials}
		case ok && coordinatorAnswers[denied].class == Blocked && giveUp(err):
			return c.blocked(op, denied)
		case giveUp(err):
			return &Error{Fatal, op, err}
		}
		return &Error{Retriable, op, err}
	}
	if code == sarama.ErrNoError {
		return nil
	}
	a, known := coordinatorAnswers[code]
	switch {
	case a.stale:
		return ErrStaleGeneration
	case !known || a.class == Blocked:
		return c.blocked(op, code)
	}
	return &Error{a.class, op, named(code)}
}

// blocked is the error for a code that has nothing to do with what is written.
func (c *coordinators) blocked(op string, code sarama.KError) error {
	remedy := coordinatorAnswers[code].remedy
	if remedy == "" {
		remedy = "see the log of the coordinator's broker"
	}
	return &BlockedError{
		TopicPartition: TopicPartition{Partition: -1}, Op: op, Err: named(code),
		Remedy: strings.ReplaceAll(remedy, "{id}", c.id),
	}
}

// Codes for which sarama has no names (KIP-848, KIP-890).
const (
	errFencedMemberEpoch    = sarama.KError(110)
	errStaleMemberEpoch     = sarama.KError(113)
	errTransactionAbortable = sarama.KError(120)
)

// wordedError says in words of ours what sarama says wrongly, or not at all.
type wordedError struct {
	text string
	code sarama.KError
}

func (e *wordedError) Error() string { return e.text }
func (e *wordedError) Unwrap() error { return e.code }

// named words a code for which sarama has no text, or a wrong one.
func named(code sarama.KError) error {
	switch code {
	case sarama.ErrProducerFenced:
		return &wordedError{"PRODUCER_FENCED: another producer has the transactional id, or the transaction took too long", code}
	case sarama.ErrInvalidTransactionTimeout:
		return &wordedError{"INVALID_TRANSACTION_TIMEOUT: transaction.timeout.ms, or twice commit-interval where it is not set, is over what " +
			"the brokers allow: lower it, or raise the brokers' transaction.max.timeout.ms (15 minutes unless they were set otherwise)", code}
	}
	if name := answerFor(code).name; name != "" && strings.HasPrefix(code.Error(), saramaHasNoText) {
		return &wordedError{name, code}
	}
	return code
}

// saramaHasNoText is how sarama words a code that it does not know.
const saramaHasNoText = "Unknown error, how did this happen?"
