package offsets

import (
	"context"
	"errors"

	"github.com/weirstream/weir/internal/kafka"
)

// Beside looks at the partitions of the topology's redrive and retry topics that exist. Records wait in them that the inputs do not show any
// more. State and offset cannot disagree there, since no state says how far they were read.
func (t *Tool) Beside(ctx context.Context) ([]Row, error) {
	infos, err := t.Client.Topics(ctx, t.Asides)
	if err != nil {
		return nil, err
	}
	var tps []kafka.TopicPartition
	for _, topic := range t.Asides {
		tps = append(tps, partitions(infos, topic)...)
	}
	if len(tps) == 0 {
		return nil, nil
	}
	committed, err1 := t.Client.Committed(ctx, t.Group, tps)
	starts, err2 := t.Client.Starts(ctx, tps)
	ends, err3 := t.Client.Ends(ctx, tps)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	var rows []Row
	for _, tp := range tps {
		r := Row{Topic: tp.Topic, Partition: tp.Partition, TopicID: infos[tp.Topic].ID, Start: starts[tp], End: ends[tp], Agrees: true}
		if o, ok := committed[tp]; ok {
			r.Committed = orNull(o.Offset)
		}
		r.Lag = lag(r.Start, r.End, r.Committed)
		rows = append(rows, r)
	}
	return rows, nil
}

// lag is how many offsets are not committed yet.
func lag(start, end int64, committed *int64) int64 {
	if committed != nil {
		start = max(start, *committed)
	}
	return max(0, end-start)
}
