package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/bench/job"
)

// Prepare makes the topics that a run writes to.
func (c *Cluster) Prepare(ctx context.Context, j job.Job) error {
	topics := []string{j.Output(), j.Changelog()}
	if j.Kind == job.Shuffle {
		topics = append(topics, j.Middle())
	}
	if err := c.create(ctx, j.Partitions, nil, topics...); err != nil {
		return err
	}
	if j.Store() == "" {
		return nil
	}
	compact := "compact"
	// Weir's name and that of Kafka Streams; goka makes its own.
	return c.create(ctx, j.Partitions, map[string]*string{"cleanup.policy": &compact}, j.Group()+"-"+j.Store()+"-changelog")
}

func (c *Cluster) create(ctx context.Context, partitions int, configs map[string]*string, topics ...string) error {
	res, err := c.admin.CreateTopics(ctx, int32(partitions), -1, configs, topics...)
	if err != nil {
		return fmt.Errorf("create %s: %w", strings.Join(topics, ", "), err)
	}
	for _, t := range res.Sorted() {
		if t.Err != nil {
			return fmt.Errorf("create %s: %w", t.Topic, t.Err)
		}
	}
	return nil
}

// Remove deletes what a run left: the disk of a long comparison is bounded by one run's.
func (c *Cluster) Remove(ctx context.Context, j job.Job) error {
	all, err := c.admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	names := all.Names()
	names = slices.DeleteFunc(names, func(name string) bool {
		return name != j.Output() && name != j.Middle() && !strings.HasPrefix(name, j.Group()+"-")
	})
	_, err = c.admin.DeleteTopics(ctx, names...)
	_, _ = c.admin.DeleteGroups(ctx, j.Group())
	return err
}

// Feed makes the input and writes it. progress is called now and then with the records written so far.
func (c *Cluster) Feed(ctx context.Context, j job.Job, d job.Data, progress func(n int)) error {
	appended := "LogAppendTime"
	if err := errors.Join(c.create(ctx, j.Partitions, nil, j.Input),
		c.create(ctx, j.Partitions, map[string]*string{"message.timestamp.type": &appended}, j.Input+".dlq")); err != nil {
		return err
	}
	failed := make(chan error, 1)
	for i := range j.Records {
		key, value := d.Record(i)
		c.client.Produce(ctx, &kgo.Record{Topic: j.Input, Partition: PartitionOf(key, j.Partitions), Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
		if i%50_000 == 0 {
			progress(i)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	err := c.client.Flush(ctx)
	select {
	case first := <-failed:
		err = errors.Join(first, err)
	default:
	}
	return err
}

// RemoveInput deletes what Feed made.
func (c *Cluster) RemoveInput(ctx context.Context, j job.Job) error {
	_, err := c.admin.DeleteTopics(ctx, j.Input, j.Input+".dlq")
	return err
}

// Each engine hashes keys in its own way; inputs follow Java's, so that all read the same partitions.
var murmur = kgo.StickyKeyPartitioner(nil).ForTopic("")

// PartitionOf is the partition of a key in an input.
func PartitionOf(key []byte, n int) int32 {
	return int32(murmur.Partition(&kgo.Record{Key: key}, n))
}

func total(offsets kadm.ListedOffsets) (sum int64) {
	offsets.Each(func(o kadm.ListedOffset) { sum += max(0, o.Offset) })
	return sum
}
