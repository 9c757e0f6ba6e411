package offsets

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/weirstream/weir/kafka"
)

// Change is what is done, or would be, to the offset of a partition.
type Change struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	State     *int64 `json:"state"`
	New       *int64 `json:"new"`

	mark Set
}

func (r *Row) to(next *int64) Change {
	m := r.mark
	m.TopicID, m.State = r.TopicID, 0
	return Change{r.Topic, r.Partition, r.Committed, r.State, next, Set{Mark: m, Read: r.read}}
}

// Kept is a partition that is left as it is, and why.
type Kept struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Why       string `json:"why"`
}

func (r *Row) keep(why string) Kept { return Kept{r.Topic, r.Partition, why} }

// Selection says which input partitions are meant: an empty topic and a negative partition mean all.
type Selection struct {
	Topic     string
	Partition int32
}

func (s Selection) has(r *Row) bool {
	return (s.Topic == "" || s.Topic == r.Topic) && (s.Partition < 0 || s.Partition == r.Partition)
}

func (s Selection) check(rows []Row) error {
	for i := range rows {
		if s.has(&rows[i]) {
			return nil
		}
	}
	if s.Topic == "" {
		return fmt.Errorf("no input of the topology has partition %d", s.Partition)
	}
	return fmt.Errorf("the topology has no input %s, or not that partition", s.Topic)
}

// Accept lists the disagreements, which Record then accepts as they are.
func (t *Tool) Accept(rows []Row, which Selection) (changes []Change, kept []Kept, err error) {
	for _, r := range rows {
		switch {
		case !which.has(&r) || r.Agrees:
		case r.lost:
			kept = append(kept, r.keep(r.Why+": accepting offsets does not help, see the refusal of a start"))
		default:
			changes = append(changes, r.to(r.Committed))
		}
	}
	return changes, kept, which.check(rows)
}

// settled says that Weir itself has read the input to where its state stands, or further: a record that changes no state
// moves the offset only.
func (r *Row) settled() bool {
	return r.Agrees && r.Committed != nil && *r.Committed == r.read && (r.State == nil || r.read >= *r.State)
}

// Plan lists the offsets that a reset sets: to is earliest, latest, state, an offset, or a time as in RFC 3339.
//
// With state it is the offset to which the state has read, or the one that Weir itself had committed last where that is known and
// further: the records between the two have changed no state, but their outputs and dead letters are written. Partitions that are
// there already, or whose state does not say, are kept as they are. A state that does not say is an error where its partition
// was asked for by its number.
func (t *Tool) Plan(ctx context.Context, rows []Row, which Selection, to string) (changes []Change, kept []Kept, err error) {
	if err := which.check(rows); err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if !which.has(&r) {
			continue
		}
		if to == "state" {
			switch why := r.unset(); {
			case why == "":
				changes = append(changes, r.to(new(max(*r.State, r.read))))
			case which.Partition >= 0 && !r.settled():
				return nil, nil, fmt.Errorf("%s/%d: %s", r.Topic, r.Partition, why)
			default:
				kept = append(kept, r.keep(why))
			}
			continue
		}
		next, err := t.place(ctx, &r, to)
		if err != nil {
			return nil, nil, err
		}
		changes = append(changes, r.to(&next))
	}
	return changes, kept, nil
}

// unset says why a reset to the state leaves a partition as it is, "" where it does not.
func (r *Row) unset() string {
	switch {
	case r.lost:
		return r.Why
	case r.State == nil && r.Agrees:
		return "the state does not say how far it has read this input, and nothing disagrees with that"
	case r.settled() && *r.State < r.read:
		return fmt.Sprintf("Weir itself has read up to offset %d, and from offset %d on no record has changed the state", r.read, *r.State)
	case r.settled():
		return "committed offset and state agree"
	case r.State == nil:
		return "the state does not say how far it has read this input: give an offset, accept the offsets, or rebuild the state"
	}
	return ""
}

// place is the offset that a word, a number or a time means in a partition.
func (t *Tool) place(ctx context.Context, r *Row, to string) (int64, error) {
	switch to {
	case "earliest":
		return r.Start, nil
	case "latest":
		return r.End, nil
	}
	if number, err := strconv.ParseInt(to, 10, 64); err == nil {
		if number < r.Start || number > r.End {
			return 0, fmt.Errorf("%s/%d holds offsets %d to %d, not %d", r.Topic, r.Partition, r.Start, r.End, number)
		}
		return number, nil
	}
	at, err := time.Parse(time.RFC3339, to)
	if err != nil {
		return 0, fmt.Errorf("--to %q: give earliest, latest, state, an offset, or a time such as 2026-01-31T08:00:00Z", to)
	}
	tp := kafka.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	found, err := t.Client.OffsetsFor(ctx, []kafka.TopicPartition{tp}, at)
	if err != nil {
		return 0, err
	}
	if found[tp] < 0 {
		return r.End, nil
	}
	return found[tp], nil
}
