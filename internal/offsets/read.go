package offsets

import (
	"context"
	"sync"

	"github.com/weirstream/weir/internal/kafka"
)

// Reader reads partitions, as a fetcher does.
type Reader interface {
	Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch))
	Stop(tp kafka.TopicPartition)
	Release(tp kafka.TopicPartition, bytes int)
}

// Cluster is what is asked of a cluster.
type Cluster interface {
	Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error)
	Starts(ctx context.Context, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error)
	Ends(ctx context.Context, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error)
}

// read calls each with the committed records from an offset up to the position end. The partition must be read by nobody
// else through this reader.
func read(ctx context.Context, reader Reader, tp kafka.TopicPartition, from, end int64, each func(*kafka.Record)) error {
	var mu sync.Mutex
	var waiting []kafka.Batch
	wake := make(chan struct{}, 1)
	defer reader.Stop(tp)
	reader.Start(tp, kafka.At(from), func(b kafka.Batch) {
		mu.Lock()
		waiting = append(waiting, b)
		mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	for position := from; position < end; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wake:
		}
		mu.Lock()
		batches := waiting
		waiting = nil
		mu.Unlock()
		for _, b := range batches {
			if b.Err != nil {
				return b.Err
			}
			for i := range b.Records {
				each(&b.Records[i])
			}
			position = b.Position
			reader.Release(tp, b.Bytes)
		}
	}
	return nil
}

// Resets reads what was recorded in a topic of jobs, the newest of each partition, by key. Where there is no topic nothing was.
func Resets(ctx context.Context, cluster Cluster, reader Reader, topic string) (map[string]Reset, error) {
	resets := map[string]Reset{}
	infos, err := cluster.Topics(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	info, ok := infos[topic]
	if !ok {
		return resets, nil
	}
	if err := Check(info); err != nil {
		return nil, err
	}
	jobs := jobsOf(topic)
	starts, err := cluster.Starts(ctx, []kafka.TopicPartition{jobs})
	if err != nil {
		return nil, err
	}
	ends, err := cluster.Ends(ctx, []kafka.TopicPartition{jobs})
	if err != nil {
		return nil, err
	}
	err = read(ctx, reader, jobs, starts[jobs], ends[jobs], func(r *kafka.Record) {
		if reset, ok := ParseReset(r.Key, r.Value); ok {
			resets[reset.Key()] = reset
		} else {
			delete(resets, string(r.Key))
		}
	})
	return resets, err
}

// tail is how many offsets are looked through at first for the newest positions.
const tail = 64

// Newest finds the newest positions in a partition of a changelog: nil where it has none. It begins near the end, where
// the last transaction has left them, and goes back in steps that double.
func Newest(ctx context.Context, reader Reader, tp kafka.TopicPartition, start, end int64) (p Positions, err error) {
	for span, until := int64(tail), end; until > start; span *= 2 {
		from := max(start, until-span)
		err := read(ctx, reader, tp, from, until, func(r *kafka.Record) {
			if raw := Raw(r.Headers); raw != nil && r.Offset < end {
				if found, err := ParsePositions(raw); err == nil {
					p = found
				}
			}
		})
		if err != nil || p != nil {
			return p, err
		}
		until = from
	}
	return nil, nil
}
