package offsets

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// Record writes changes into the topic of jobs, and then, with commit, commits their offsets. It refuses while the group has
// members: they would go on as they are, and commit over it.
func (t *Tool) Record(ctx context.Context, changes []Change, why string, commit bool, along Along) error {
	switch n, err := t.Client.Members(ctx, t.Group); {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("group %s has %d members: stop all instances first, or give --pause (a static member stays listed until its session times out)", t.Group, n)
	}
	if err := system.Jobs.Ensure(ctx, t.Client, t.Jobs); err != nil {
		return err
	}
	sink, err := t.Client.NewSink(ctx, along.TransactionalID)
	if err != nil {
		return err
	}
	defer sink.Leave()
	set := map[kafka.TopicPartition]kafka.CommittedOffset{}
	for _, c := range changes {
		r := Reset{
			Version: 1, Topology: t.Topology, Topic: c.Topic, TopicID: c.mark.TopicID, Partition: c.Partition,
			Committed: c.Committed, Old: c.State, New: c.New, Who: t.Who, Why: why, At: time.Now().UTC(),
		}
		err := sink.Append(&kafka.Outgoing{TopicPartition: system.Of(t.Jobs), Timestamp: r.At.UnixMilli(), Key: []byte(r.Key()), Value: r.Value()})
		if err != nil {
			return err
		}
		if c.New != nil {
			set[kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}] = kafka.CommittedOffset{Offset: *c.New, LeaderEpoch: -1, Metadata: c.metadata(t.Who, why)}
		}
	}
	for _, out := range along.Records {
		if err := sink.Append(out); err != nil {
			return err
		}
	}
	if err := sink.Flush(ctx); err != nil {
		return fmt.Errorf("record the reset: %w", err)
	}
	if along.Confirm != nil {
		if err := along.Confirm(ctx); err != nil {
			return err
		}
	}
	if commit {
		if err := t.commit(ctx, sink, set); err != nil {
			return err
		}
	}
	if along.TransactionalID == "" {
		return nil
	}
	return sink.Commit(ctx)
}

func (t *Tool) commit(ctx context.Context, sink *kafka.Sink, set map[kafka.TopicPartition]kafka.CommittedOffset) error {
	if err := sink.Offsets(ctx, kafka.Member{Group: t.Group, Generation: -1}, set); err != nil {
		return fmt.Errorf("the reset is recorded, but its offsets could not be committed; run the command again: %w", err)
	}
	return nil
}
