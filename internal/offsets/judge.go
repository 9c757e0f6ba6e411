package offsets

import (
	"fmt"

	"github.com/weirstream/weir/internal/kafka"
)

// Question is what is known of an input partition when a task begins.
type Question struct {
	kafka.TopicPartition
	TopicID   string // of the topic that there is now
	Was       string // of the topic that this instance has read before, "" for none
	Committed kafka.CommittedOffset
	State     []Position // what the stores of the task say of this input, one for each store that says something
	// Known says that the group or the state knows other inputs of the task: this one is then new, and nothing was lost.
	Known bool
	// Filled says that a store holds something, though no store says how far any input was read.
	Filled bool
	Reset  *Reset // the last one that was recorded for the partition, if any
}

// Kind says where an input begins.
type Kind int

// The kinds.
const (
	Continue  Kind = iota // at the committed offset
	Begin                 // where auto.offset.reset says: nothing was ever read of it
	Recreated             // where auto.offset.reset says: what was read is of a topic that is gone
	Refused               // nowhere: state and offsets disagree
)

// Answer is the verdict of Judge.
type Answer struct {
	Kind
	// Was is the id of the topic that was read, of Recreated.
	Was string
	// State is how far the state has read the input, where that is further than the offset at which it is read on; else 0.
	State int64
	// Marked says that the committed offset carries the right mark; else one must be committed before the first record.
	Marked bool
	// Partitions is how many partitions the topic had when the input was begun, of Marked; 0 where that is not known.
	Partitions int32
	// Foreign says that the offset was committed by somebody else, an older Weir or one of Kafka's tools, and that no state says
	// how far the input was read.
	Foreign bool
	// Accepted says that a recorded reset is why there is no disagreement. The state must take up its name, in the transaction
	// that commits the first offset: it is used up then.
	Accepted bool
	// Why is what is wrong, of Refused: the subject is the partition.
	Why string
}

// Top is how far the state has read the topic that there is now; -1 when it does not say.
func (q *Question) Top() int64 {
	top := int64(-1)
	for _, s := range q.State {
		if q.is(s.TopicID) {
			top = max(top, s.Offset)
		}
	}
	return top
}

// is says whether an id may be that of the topic: a cluster without ids has none.
func (q *Question) is(id string) bool { return id == "" || q.TopicID == "" || id == q.TopicID }

// Judge says where an input begins, or why it must not.
func Judge(q Question) Answer {
	mark, known := ParseMark(q.Committed.Metadata)
	marked := known && !mark.Set
	c, top := q.Committed.Offset, q.Top()
	switch {
	case c >= 0 && known && !q.is(mark.TopicID):
		return Answer{Kind: Recreated, Was: mark.TopicID}
	case q.Was != "" && !q.is(q.Was) && !(c >= 0 && known) && top < 0:
		return Answer{Kind: Recreated, Was: q.Was}
	case top < 0 && len(q.State) > 0 && !(c >= 0 && known):
		// The state has read a topic of this name that is gone, and with a topic Kafka deletes its committed offsets.
		return Answer{Kind: Recreated, Was: q.State[0].TopicID}
	case c < 0 && top >= 0:
		return q.unless(fmt.Sprintf("the group has no committed offset, but its state has read this input up to offset %d: "+
			"the group was idle for longer than the brokers' offsets.retention.minutes, or its offsets were deleted; reading the input again would count its records twice", top))
	case c < 0 && q.Filled && !q.Known:
		return q.unless("the group has no committed offset, but its stores hold state: " +
			"the group was idle for longer than the brokers' offsets.retention.minutes, or its offsets were deleted; reading the input again would count its records twice")
	case c < 0:
		return Answer{Kind: Begin}
	case marked:
		for _, s := range q.State {
			if q.is(s.TopicID) && s.Offset > max(c, mark.State) && s.From > c {
				return q.unless(fmt.Sprintf("the committed offset is %d, but the state has read this input up to offset %d: "+
					"the group's offsets went back, as a restored or mirrored copy of them does; reading on would count records twice", c, s.Offset))
			}
		}
		a := Answer{Kind: Continue, Marked: true, Partitions: mark.Partitions}
		if top > c {
			a.State = top
		}
		return a
	case top >= 0 && (top != c || !known):
		// With the positions of the state Weir has committed a mark: what has none was committed by somebody since.
		by := "not one of Weir's: somebody set it (kafka-consumer-groups --reset-offsets?)"
		if mark.Set {
			by = "one that an operator has set, with another state in mind,"
		}
		what := "reading on would leave records out"
		switch {
		case c < top:
			what = "reading on would count records twice"
		case c == top:
			what = "outputs and dead letters of records after the last change of the state may be written again"
		}
		return q.unless(fmt.Sprintf("the committed offset is %d, and %s while the state has read this input up to offset %d; %s", c, by, top, what))
	}
	return Answer{Kind: Continue, Foreign: !known}
}

// Used is the name of the reset that the state last followed, "" for none.
func (q *Question) Used() string {
	name, top := "", int64(-1)
	for _, s := range q.State {
		if s.Reset != "" && s.Offset > top {
			name, top = s.Reset, s.Offset
		}
	}
	return name
}

// unless is a refusal, unless a reset was recorded that says just that, and was not used before.
func (q *Question) unless(why string) Answer {
	if !q.Reset.covers(q) {
		return Answer{Kind: Refused, Why: why}
	}
	a := Answer{Kind: Continue, Accepted: true}
	if q.Committed.Offset < 0 {
		a.Kind = Begin
	}
	if top := q.Top(); top > q.Committed.Offset {
		a.State = top
	}
	return a
}
