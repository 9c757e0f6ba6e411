package evolution

import (
	"context"

	"github.com/weirstream/weir/internal/kafka"
)

// newest reads the newest records of partitions. Offsets do not say how many records there are: compaction leaves gaps, and transactions
// leave markers and what was aborted. So it reads backwards, in larger and larger pieces, until there are enough.
type newest struct {
	reader kafka.Reader
	judge  func(context.Context, kafka.TopicPartition, *kafka.Record) (judged, error)
	count  func(judged)
	parts  []*part
}

// part is a partition, of which all records from the offset low on are counted.
type part struct {
	tp         kafka.TopicPartition
	start, low int64
}

// read counts the newest records, as many of each partition. What one does not have is taken from others.
func (n *newest) read(ctx context.Context, last int) error {
	for {
		var open []*part
		for _, p := range n.parts {
			if p.low > p.start {
				open = append(open, p)
			}
		}
		if last <= 0 || len(open) == 0 {
			return nil
		}
		share := (last + len(open) - 1) / len(open)
		for _, p := range open {
			got, err := n.take(ctx, p, min(share, last))
			if err != nil {
				return err
			}
			last -= got
		}
	}
}

// take counts some records of a partition before those that are counted already, as many as there are.
func (n *newest) take(ctx context.Context, p *part, want int) (got int, err error) {
	for piece := int64(want); got < want && p.low > p.start; piece *= 4 {
		from := max(p.start, p.low-piece)
		var ring []judged // of the piece's records the newest, of which the oldest is at first
		first := 0
		err := kafka.Scan(ctx, n.reader, p.tp, from, p.low, func(r *kafka.Record) error {
			if r.Offset < from || r.Offset >= p.low {
				return nil
			}
			j, err := n.judge(ctx, p.tp, r)
			switch {
			case err != nil:
				return err
			case len(ring) < want-got:
				ring = append(ring, j)
			default:
				ring[first] = j
				first = (first + 1) % len(ring)
			}
			return nil
		})
		if err != nil {
			return got, err
		}
		for i := len(ring) - 1; i >= 0; i-- {
			n.count(ring[(first+i)%len(ring)])
		}
		got += len(ring)
		if p.low = from; got == want {
			p.low = ring[first].offset
		}
	}
	return got, nil
}
