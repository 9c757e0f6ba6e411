package offsets

import (
	"context"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// Resets reads what was recorded in a topic of jobs, the newest of each partition, by key. Where there is no topic nothing was.
func Resets(ctx context.Context, source system.Source, reader kafka.Reader, topic string) (map[string]Reset, error) {
	resets := map[string]Reset{}
	err := system.Jobs.Read(ctx, source, reader, topic, func(r *kafka.Record) error {
		if reset, ok := ParseReset(r.Key, r.Value); ok {
			resets[reset.Key()] = reset
		} else {
			delete(resets, string(r.Key))
		}
		return nil
	})
	return resets, err
}

// tail is how many offsets are looked through at first for the newest positions.
const tail = 64

// Newest finds the newest positions in a partition of a changelog: nil where it has none. It begins near the end, where
// the last transaction has left them, and goes back in steps that double.
func Newest(ctx context.Context, reader kafka.Reader, tp kafka.TopicPartition, start, end int64) (p Positions, err error) {
	for span, until := int64(tail), end; until > start; span *= 2 {
		from := max(start, until-span)
		err := kafka.Scan(ctx, reader, tp, from, until, func(r *kafka.Record) error {
			if raw := Raw(r.Headers); raw != nil && r.Offset < end {
				if found, err := ParsePositions(raw); err == nil {
					p = found
				}
			}
			return nil
		})
		if err != nil || p != nil {
			return p, err
		}
		until = from
	}
	return nil, nil
}
