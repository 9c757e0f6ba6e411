package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OpenTransaction is a transaction that keeps readers of committed records waiting: they read up to its first offset.
type OpenTransaction struct {
	TopicPartition
	StartOffset      int64 // of its first record in the partition
	ProducerID       int64
	ProducerEpoch    int32
	CoordinatorEpoch int32
	Last             time.Time // when its last record was written, by the record's timestamp; zero when not known

	// As the transaction's coordinator knows it, where it does.
	TransactionalID string
	State           string
	Began           time.Time
	Timeout         time.Duration
	// Hanging says that no coordinator knows of a transaction of this producer in the partition: it will never end by
	// itself (KIP-664).
	Hanging bool
}

// AbortCommand is the line with which an operator ends the transaction, on a cluster that is reached by the config.
func (t OpenTransaction) AbortCommand(c Config) string {
	return fmt.Sprintf("%s abort --topic %s --partition %d --start-offset %d", c.Tool("kafka-transactions.sh"), t.Topic, t.Partition, t.StartOffset)
}

func (t OpenTransaction) String() string {
	s := fmt.Sprintf("of producer id %d (epoch %d) in %s since offset %d", t.ProducerID, t.ProducerEpoch, t.TopicPartition, t.StartOffset)
	switch {
	case t.Hanging:
		return "a hanging transaction, which no coordinator knows of and which never ends by itself, " + s
	case t.TransactionalID != "":
		return fmt.Sprintf("an open transaction of %q, in state %s since %s with a timeout of %v, %s", t.TransactionalID, t.State, t.Began.UTC().Format(time.RFC3339), t.Timeout, s)
	}
	return "an open transaction " + s
}

// OpenTransactions returns, for each partition in which a transaction is open, the one whose first record is the oldest:
// readers of committed records wait for that one.
func (c *Client) OpenTransactions(ctx context.Context, partitions []TopicPartition) (map[TopicPartition]OpenTransaction, error) {
	found, err := askLeaders(ctx, c, "find open transactions in "+count(partitions), partitions, c.oldestTransactions)
	if err != nil {
		return nil, err
	}
	for tp, t := range found {
		if t.StartOffset < 0 {
			delete(found, tp)
			continue
		}
		found[tp] = c.explain(ctx, t)
	}
	return found, nil
}

// oldestTransactions asks a leader. StartOffset is -1 where nothing is open.
func (c *Client) oldestTransactions(ctx context.Context, id int32, tps []TopicPartition) (map[TopicPartition]OpenTransaction, error) {
	req := kmsg.NewPtrDescribeProducersRequest()
	for _, tp := range tps {
		n := slices.IndexFunc(req.Topics, func(t kmsg.DescribeProducersRequestTopic) bool { return t.Topic == tp.Topic })
		if n < 0 {
			n = len(req.Topics)
			t := kmsg.NewDescribeProducersRequestTopic()
			t.Topic = tp.Topic
			req.Topics = append(req.Topics, t)
		}
		req.Topics[n].Partitions = append(req.Topics[n].Partitions, tp.Partition)
	}
	answer, err := c.admin.requestBroker(ctx, id, req, 0)
	if err != nil {
		return nil, err
	}
	found := map[TopicPartition]OpenTransaction{}
	var errs []error
	for _, topic := range answer.(*kmsg.DescribeProducersResponse).Topics {
		for _, p := range topic.Partitions {
			tp := TopicPartition{Topic: topic.Topic, Partition: p.Partition}
			if err := codeError(p.ErrorCode); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", tp, err))
				continue
			}
			oldest := OpenTransaction{TopicPartition: tp, StartOffset: -1}
			for _, a := range p.ActiveProducers {
				if a.CurrentTxnStartOffset < 0 || oldest.StartOffset >= 0 && oldest.StartOffset <= a.CurrentTxnStartOffset {
					continue
				}
				oldest.StartOffset, oldest.ProducerID = a.CurrentTxnStartOffset, a.ProducerID
				oldest.ProducerEpoch, oldest.CoordinatorEpoch = a.ProducerEpoch, a.CoordinatorEpoch
				if a.LastTimestamp >= 0 {
					oldest.Last = time.UnixMilli(a.LastTimestamp)
				}
			}
			found[tp] = oldest
		}
	}
	return found, errors.Join(errs...)
}

// explain adds what the transaction's coordinator knows. Which broker that is does not follow from a producer id, so all
// are asked; while one does not answer, nothing is said about hanging.
func (c *Client) explain(ctx context.Context, t OpenTransaction) OpenTransaction {
	list := kmsg.NewPtrListTransactionsRequest()
	list.ProducerIDFilters = []int64{t.ProducerID}
	complete := true
	for _, id := range c.admin.ids() {
		answer, err := c.admin.requestBroker(ctx, id, list, 1)
		if err != nil || answer.(*kmsg.ListTransactionsResponse).ErrorCode != 0 {
			complete = false
			continue
		}
		for _, s := range answer.(*kmsg.ListTransactionsResponse).TransactionStates {
			if s.ProducerID != t.ProducerID {
				continue
			}
			describe := kmsg.NewPtrDescribeTransactionsRequest()
			describe.TransactionalIDs = []string{s.TransactionalID}
			answer, err := c.admin.requestBroker(ctx, id, describe, 0)
			if err != nil {
				complete = false
				continue
			}
			for _, d := range answer.(*kmsg.DescribeTransactionsResponse).TransactionStates {
				if d.ErrorCode != 0 {
					complete = false
				} else if touches(d, t.TopicPartition) {
					t.TransactionalID, t.State, t.Timeout = d.TransactionalID, d.State, time.Duration(d.TimeoutMillis)*time.Millisecond
					t.Began = time.UnixMilli(d.StartTimestamp)
					return t
				}
			}
		}
	}
	t.Hanging = complete
	return t
}

func touches(d kmsg.DescribeTransactionsResponseTransactionState, tp TopicPartition) bool {
	for _, t := range d.Topics {
		if t.Topic == tp.Topic && slices.Contains(t.Partitions, tp.Partition) {
			return true
		}
	}
	return false
}
