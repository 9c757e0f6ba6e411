package offsets

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Where is to where a reset goes.
type Where struct {
	word   string // earliest, latest or state; "" for an offset or a time
	offset int64
	at     time.Time
}

// ParseWhere reads earliest, latest, state, an offset, or a time as in RFC 3339.
func ParseWhere(text string) (Where, error) {
	switch text {
	case "earliest", "latest", "state":
		return Where{word: text}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return Where{offset: n}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return Where{at: at}, nil
	}
	return Where{}, fmt.Errorf("%q is not allowed: give earliest, latest, state, an offset, or a time such as 2026-01-31T08:00:00Z", text)
}

// place is the offset that is meant in a partition. The state's is not asked for here.
func (t *Tool) place(ctx context.Context, r *Row, to Where) (int64, error) {
	switch {
	case to.word == "earliest":
		return r.Start, nil
	case to.word == "latest":
		return r.End, nil
	case to.at.IsZero() && (to.offset < r.Start || to.offset > r.End):
		return 0, fmt.Errorf("%s/%d holds offsets %d to %d, not %d", r.Topic, r.Partition, r.Start, r.End, to.offset)
	case to.at.IsZero():
		return to.offset, nil
	}
	tp := kafka.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	found, err := t.Client.OffsetsFor(ctx, []kafka.TopicPartition{tp}, to.at)
	if err != nil {
		return 0, err
	}
	if found[tp] < 0 {
		return r.End, nil
	}
	return found[tp], nil
}
