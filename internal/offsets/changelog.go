package offsets

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
)

// Changelog is what is known of a partition of a changelog when its store is opened.
type Changelog struct {
	kafka.TopicPartition
	TopicID    string // of the topic that there is now
	Start, End int64  // of the log that there is now
	Known      Known  // what the committed offsets know of it
	// Held is up to where this instance has a store of it, -1 where it has none. Fit says that what the store holds is of this
	// log, and new enough to restore on it.
	Held int64
	Fit  bool
}

// Known is what the marks of committed offsets say of a changelog.
type Known struct {
	Logs []Log // for each input that says something of it
	// Stranger says that they tell of other changelogs and not of this one: it is not part of the state that they belong to.
	Stranger bool
}

// Marks are those of the committed offsets of a task's inputs.
type Marks []Mark

// MarksOf parses the marks of offsets. Offsets that were committed by others say nothing.
func MarksOf(committed iter.Seq[kafka.CommittedOffset]) (marks Marks) {
	for o := range committed {
		if m, ok := ParseMark(o.Metadata); ok && o.Offset >= 0 {
			marks = append(marks, m)
		}
	}
	return marks
}

// Of is what they say of the changelog of a store.
func (marks Marks) Of(store string) (k Known) {
	for _, m := range marks {
		if log, ok := m.of(store); ok {
			k.Logs = append(k.Logs, log)
		}
		k.Stranger = k.Stranger || len(m.Logs) > 0
	}
	k.Stranger = k.Stranger && len(k.Logs) == 0 && !slices.ContainsFunc(marks, func(m Mark) bool { return m.Cut })
	return k
}

// LogAnswer is the verdict of JudgeLog.
type LogAnswer struct {
	// Why is what is wrong, where a store would miss state: the subject is the changelog.
	Why string
	// Lost is what is gone, where the store can be opened all the same: because it needs nothing of that, or because only an
	// end is gone, as an unclean leader election does it. The subject is the changelog.
	Lost string
	// Whole is from which offset on the log holds the whole state, for the next marks.
	Whole int64
	// Behind is the place up to which the log held something when an offset was committed last.
	Behind Log
	// Marked says that the marks know the changelog as it is.
	Marked bool
	// Base says that the store of this instance needs nothing of what is gone, and can be restored on.
	Base bool
}

// JudgeLog says whether a changelog is the one that the committed offsets belong to. They carry its topic id and its offsets,
// since a log alone cannot tell that it was replaced by another one, emptied, or cut: nothing but an operator deletes from the
// beginning of a compacted topic.
func JudgeLog(c Changelog) (a LogAnswer) {
	a.Behind = Log{Epoch: -1}
	was := ""
	for _, log := range c.Known.Logs {
		if !log.is(c.TopicID) {
			was = log.TopicID
			continue
		}
		a.Marked = true
		a.Whole = max(a.Whole, log.Start)
		if log.End > a.Behind.End {
			a.Behind = log
		}
	}
	// What the marks do not know was never part of a committed state.
	a.Base = c.Fit && c.Held <= c.End && (c.Held >= c.Start || a.Marked && c.Held >= a.Behind.End)
	switch {
	case c.Known.Stranger && (c.End > c.Start || c.Held > 0):
		a.Why = "the committed offsets belong to a state without this store: it was taken out of the topology, or had another name, for a while, and misses what was processed since"
	case c.Known.Stranger:
		a.Why = "the committed offsets belong to a state without this store: it would begin empty, and miss what was processed so far"
	case !a.Marked && strings.HasPrefix(was, shortPrefix):
		a.Why = fmt.Sprintf("the committed offsets belong to the state in another topic of this name than the one with id %s that there is now: it was deleted and created again", c.TopicID)
	case !a.Marked && was != "":
		a.Why = fmt.Sprintf("the committed offsets belong to the state in a topic of this name with id %s, and its id is %s now: it was deleted and created again", was, c.TopicID)
	case a.Base && c.Start > a.Whole:
		a.Lost = fmt.Sprintf("its records before offset %d were deleted; the store of this instance has them, a store on another one could not be restored", c.Start)
	case a.Base:
	case c.End <= c.Start && max(c.Held, a.Behind.End) > a.Whole:
		a.Why = fmt.Sprintf("it is empty, and held state up to offset %d: its records were deleted", max(c.Held, a.Behind.End))
	case c.Start > a.Whole:
		a.Why = fmt.Sprintf("its records before offset %d were deleted, so it does not hold the whole state", c.Start)
	case a.Behind.End > c.End:
		a.Lost = fmt.Sprintf("it held state up to offset %d and ends at %d: it lost its end (an unclean leader election does that), and the store misses what was there", a.Behind.End, c.End)
	}
	return a
}
