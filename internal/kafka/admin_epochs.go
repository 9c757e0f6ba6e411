package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// EpochEnd is where a partition's log left a leader epoch.
type EpochEnd struct {
	// LeaderEpoch is the epoch asked for, or the last before it that the log knows. It is -1 when the log knows none, or
	// none as late as the one asked for: the leader is of an older line then (unclean election), or the topic recreated.
	LeaderEpoch int32
	// Offset is the one after its last record, -1 when LeaderEpoch is.
	Offset int64
}

// EpochEnds asks the leaders where their logs leave a leader epoch of each partition (OffsetForLeaderEpoch, KIP-101). A
// reader that has read up to an offset within an epoch has read what the log still holds when Offset is not smaller; else
// the log was truncated, and may have grown again with other records.
func (c *Client) EpochEnds(ctx context.Context, epochs map[TopicPartition]int32) (map[TopicPartition]EpochEnd, error) {
	partitions := make([]TopicPartition, 0, len(epochs))
	for tp := range epochs {
		partitions = append(partitions, tp)
	}
	return askLeaders(ctx, c, "find the ends of the leader epochs of "+count(partitions), partitions,
		func(ctx context.Context, id int32, tps []TopicPartition) (map[TopicPartition]EpochEnd, error) {
			return c.epochEndsFrom(ctx, id, tps, epochs)
		})
}

func (c *Client) epochEndsFrom(ctx context.Context, id int32, tps []TopicPartition, epochs map[TopicPartition]int32) (map[TopicPartition]EpochEnd, error) {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -2 // a consumer that may not be allowed to act as a broker
	topics := map[string]int{}
	for _, tp := range tps {
		i, ok := topics[tp.Topic]
		if !ok {
			i = len(req.Topics)
			topics[tp.Topic] = i
			t := kmsg.NewOffsetForLeaderEpochRequestTopic()
			t.Topic = tp.Topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = tp.Partition, -1, epochs[tp]
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	answer, err := c.admin.requestBroker(ctx, id, req, 4)
	if err != nil {
		return nil, fmt.Errorf("broker %d: %w", id, err)
	}
	found := make(map[TopicPartition]EpochEnd, len(tps))
	var errs []error
	for _, t := range answer.(*kmsg.OffsetForLeaderEpochResponse).Topics {
		for _, p := range t.Partitions {
			tp := TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if err := codeError(p.ErrorCode); err != nil {
				errs = append(errs, ofPartition(tp, err))
				continue
			}
			found[tp] = EpochEnd{LeaderEpoch: p.LeaderEpoch, Offset: p.EndOffset}
		}
	}
	if len(errs) == 0 && len(found) < len(tps) {
		errs = append(errs, sarama.ErrIncompleteResponse)
	}
	return found, errors.Join(errs...)
}
