package offsets

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
)

// Change is what is done, or would be, to the offset of a partition.
type Change struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	State     *int64 `json:"state"`
	New       *int64 `json:"new"`
	Mend      Mend   `json:"mend,omitempty"` // what a start needs besides

	mark Set
}

// TopicID is that of the topic.
func (c *Change) TopicID() string { return c.mark.TopicID }

func (r *Row) to(next *int64) Change {
	m := r.mark
	m.TopicID, m.State = r.TopicID, 0
	c := Change{Topic: r.Topic, Partition: r.Partition, Committed: r.Committed, State: r.State, New: next, mark: Set{Mark: m, Read: r.read}}
	if r.lost() {
		c.Mend = r.Mend
	}
	return c
}

// metadata is what the offset is committed with. One that Weir itself had committed last, with the state as it is now, is Weir's
// own again: nothing disagrees in it.
func (c *Change) metadata(who, why string) string {
	if *c.New == c.mark.Read && (c.State == nil || *c.State <= *c.New) {
		own := c.mark.Mark
		own.Set = false
		return own.String()
	}
	set := c.mark
	set.Who, set.Why = who, why
	return set.String()
}

// Kept is a partition that is left as it is, and why.
type Kept struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Why       string `json:"why"`
	Mend      Mend   `json:"mend,omitempty"` // what else helps, where something disagrees in it
}

func (r *Row) keep(why string) Kept { return Kept{r.Topic, r.Partition, why, r.Mend} }

// Selection says which partitions are meant: an empty topic and a negative partition mean all. An input's redrive and retry topics go with it.
type Selection struct {
	Topic     string
	Partition int32
}

func (s Selection) has(r *Row) bool {
	return (s.Topic == "" || s.Topic == r.Topic || s.Topic == r.Of) && (s.Partition < 0 || s.Partition == r.Partition)
}

// along says that a row is meant because its input is.
func (s Selection) along(r *Row) bool { return r.Of != "" && s.Topic != r.Topic }

// Among refuses what can mean no partition that the topology reads.
func (s Selection) Among(graphs []Graph) error {
	if s.Partition < -1 {
		return fmt.Errorf("--partition: %d is not allowed: give the number of a partition", s.Partition)
	}
	if s.Topic == "" {
		return nil
	}
	var known []string
	for _, g := range graphs {
		known = append(known, g.read()...)
	}
	if slices.Contains(known, s.Topic) {
		return nil
	}
	return fmt.Errorf("--topic: %q is no input of the topology, and no redrive or retry topic of one; there is %s", s.Topic, strings.Join(known, ", "))
}

func (s Selection) check(rows []Row) error {
	if slices.ContainsFunc(rows, func(r Row) bool { return s.has(&r) }) {
		return nil
	}
	if s.Topic == "" {
		return fmt.Errorf("no input of the topology has partition %d", s.Partition)
	}
	return fmt.Errorf("%s has no partition %d", s.Topic, s.Partition)
}

// Accept lists the disagreements, which Record then accepts as they are.
func (t *Tool) Accept(rows []Row, which Selection) (changes []Change, kept []Kept, err error) {
	for _, r := range rows {
		switch {
		case !which.has(&r) || r.Agrees:
		case r.lost():
			kept = append(kept, r.keep(r.Why+": accepting offsets does not help"))
		default:
			changes = append(changes, r.to(r.Committed))
		}
	}
	return changes, kept, which.check(rows)
}

// lost says that a changelog does not hold the state: no offset helps.
func (r *Row) lost() bool { return r.Mend == MendState || r.Mend == MendPartitions }

// settled says that Weir itself has read the input to where its state stands, or further: a record that changes no state
// moves the offset only.
func (r *Row) settled() bool {
	return r.Agrees && r.Committed != nil && *r.Committed == r.read && (r.State == nil || r.read >= *r.State)
}

// Plan lists the offsets that a reset sets.
//
// With state it is the offset to which the state has read, or the one that Weir itself had committed last where that is known and
// further: the records between the two have changed no state, but their outputs and dead letters are written. Partitions that are
// there already, or whose state does not say, are kept as they are. A state that does not say is an error where its partition
// was asked for by its number.
//
// Redrive and retry topics go along with their inputs where the group has no offset of them: to what their state has read, or else to their ends when the
// inputs are read from their beginnings, which bring the same records again, or from their ends. By themselves, named with a topic, they are as inputs.
func (t *Tool) Plan(ctx context.Context, rows []Row, which Selection, to Where) (changes []Change, kept []Kept, err error) {
	if err := which.check(rows); err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if !which.has(&r) {
			continue
		}
		if to.word == "state" {
			switch why := r.unset(); {
			case why == "":
				changes = append(changes, r.to(new(max(*r.State, r.read))))
			case which.along(&r) && r.Agrees:
			case which.Partition >= 0 && !r.settled():
				return nil, nil, fmt.Errorf("%s/%d: %s", r.Topic, r.Partition, why)
			default:
				kept = append(kept, r.keep(why))
			}
			continue
		}
		if which.along(&r) {
			if next, ok := r.goesAlong(to); ok {
				changes = append(changes, r.to(&next))
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

// Twice refuses changes that bring records again which wait in a redrive or retry topic, too: both would be processed. reader reads what waits.
func (t *Tool) Twice(ctx context.Context, reader kafka.Reader, rows []Row, changes []Change) error {
	changed := map[kafka.TopicPartition]Change{}
	for _, c := range changes {
		changed[kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}] = c
	}
	for _, r := range rows {
		of, goesBack := changed[kafka.TopicPartition{Topic: r.Of, Partition: r.Partition}]
		goesBack = goesBack && of.New != nil && of.Committed != nil && *of.New < *of.Committed
		tp := kafka.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		if _, set := changed[tp]; set || !goesBack || r.Committed == nil || r.Lag == 0 {
			continue
		}
		waits, err := kafka.Holds(ctx, reader, tp, max(r.Start, *r.Committed), r.End)
		if err != nil {
			return err
		}
		if waits {
			return fmt.Errorf("records of %s wait in %s, and would come a second time with what the reset brings again: run the instances until its lag is 0, "+
				"or give up what waits there with --topic %s --to latest first", r.Of, tp, r.Topic)
		}
	}
	return nil
}

// goesAlong is where a redrive or retry topic is read on when the offsets of its input are set.
func (r *Row) goesAlong(to Where) (next int64, ok bool) {
	switch {
	case r.Agrees && (r.Committed != nil || r.Start >= r.End):
		return 0, false
	case to.word == "earliest" || to.word == "latest":
		return r.End, true
	case r.State != nil:
		return *r.State, true
	}
	return 0, false
}

// unset says why a reset to the state leaves a partition as it is, "" where it does not.
func (r *Row) unset() string {
	switch {
	case r.lost():
		return r.Why + ": no offset helps"
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
