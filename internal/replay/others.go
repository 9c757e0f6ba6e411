package replay

import (
	"context"
	"fmt"
	"strconv"

	"github.com/weirstream/weir/internal/kafka"
)

// A job into the topology that is stopped lets the instances go on, which write to the same outputs and stores. What they have written until the job is
// resumed is in the comparison at its end too, so the receipt says where that was.

// leave notes where the outputs and stores of a job end while it does not run. Where they cannot be asked for, nothing is said later.
func (t *Tool) leave(ctx context.Context, s *standing) {
	left := map[string]map[string]int64{}
	for _, before := range s.Before {
		ends, err := t.endsOf(ctx, before)
		if err != nil {
			return
		}
		left[before.Topic] = ends
	}
	s.Left = left
}

// noteOthers adds what others have written since.
func (t *Tool) noteOthers(ctx context.Context, s *standing) error {
	for _, before := range s.Before {
		left, ok := s.Left[before.Topic]
		if !ok {
			continue
		}
		ends, err := t.endsOf(ctx, before)
		if err != nil {
			return err
		}
		for partition, end := range ends {
			if n := end - left[partition]; n > 0 {
				if s.Others == nil {
					s.Others = map[string]int64{}
				}
				s.Others[before.Topic] += n
			}
		}
	}
	s.Left = nil
	return nil
}

// endsOf are the ends of a topic's partitions, by their numbers.
func (t *Tool) endsOf(ctx context.Context, c Content) (map[string]int64, error) {
	var tps []kafka.TopicPartition
	for name := range c.Ends {
		n, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return nil, err
		}
		tps = append(tps, kafka.TopicPartition{Topic: c.Topic, Partition: int32(n)})
	}
	ends, err := t.Client.Ends(ctx, tps)
	at := map[string]int64{}
	for tp, end := range ends {
		at[strconv.Itoa(int(tp.Partition))] = end
	}
	return at, err
}

// byOthers says where changes may be those of others.
func (r *running) byOthers(all []Downstream) (notes []string) {
	for _, d := range all {
		if n := r.Others[d.Before.Topic]; n > 0 && !d.Unchanged {
			notes = append(notes, fmt.Sprintf("topic %s: others, such as instances that ran meanwhile, wrote %d offsets to it while the replay was stopped: the keys that have another last value may be theirs", d.Before.Topic, n))
		}
	}
	return notes
}
