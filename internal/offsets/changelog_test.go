package offsets

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// Every place of a changelog's start and end, what the marks know of it, and what the instance has of it, against the rule in
// words: a store must not miss state unseen.
//
// Mutations seen to fail it: each case of JudgeLog left out; base without Fit, without Start, or without End; Whole or Behind that takes
// the last mark and not the furthest; marks of another topic that count; an id that is not compared in its short
// form, or said as it is.
func TestJudgeLog(t *testing.T) {
	const now, gone = "now", "gone"
	for _, known := range [][]Log{
		nil,
		{{TopicID: now, End: 50, Epoch: 3}},
		{{TopicID: now, Start: 20, End: 50, Epoch: 3}, {TopicID: now, End: 20, Epoch: 1}},
		{{TopicID: now, Start: 50, End: 50, Epoch: 3}},
		{{TopicID: "", End: 50, Epoch: 3}},
		{{TopicID: now, End: 50, Epoch: 3}, {TopicID: gone, Start: 40, End: 90}},
		{{TopicID: gone, End: 50, Epoch: 3}},
		{{TopicID: short(now), End: 50, Epoch: 3}, {TopicID: short(gone), Start: 40, End: 90}},
		{{TopicID: short(gone), End: 50, Epoch: 3}},
	} {
		for _, start := range []int64{0, 20, 50} {
			for _, end := range []int64{0, 20, 50, 60} {
				for _, held := range []int64{-1, 0, 20, 50, 60} {
					for _, fit := range []bool{false, true} {
						if end < start || held < 0 && fit {
							continue
						}
						c := Changelog{TopicID: now, Start: start, End: end, Known: Known{Logs: known}, Held: held, Fit: fit}
						got := JudgeLog(c)

						// The rule. From which offset on the log must hold everything, and up to where it did:
						whole, upTo, other := int64(0), int64(0), false
						for _, log := range known {
							if log.TopicID == gone || log.TopicID == short(gone) {
								other = true
								continue
							}
							whole, upTo = max(whole, log.Start), max(upTo, log.End)
						}
						replaced := other && len(known) == 1
						marked := len(known) > 0 && !replaced
						// Then nothing is needed but what follows the store, or nothing at all:
						usable := fit && held <= end && (held >= start || marked && held >= upTo)
						cut := start > whole
						emptied := start == end && max(upTo, held) > whole
						refused := replaced || !usable && (cut || emptied)
						lost := !refused && (usable && cut || !usable && upTo > end)

						name := fmt.Sprintf("%+v", c)
						if (got.Why != "") != refused || (got.Lost != "") != lost {
							t.Errorf("%s: refused %q, lost %q; want %v, %v", name, got.Why, got.Lost, refused, lost)
						}
						if got.Marked != marked || got.Base != usable || got.Whole != whole || got.Behind.End != upTo {
							t.Errorf("%s: %+v", name, got)
						}
						if strings.Contains(got.Why, shortPrefix) || replaced && !strings.Contains(got.Why, "created again") {
							t.Errorf("%s: refused with %q", name, got.Why)
						}
						if upTo > 0 && got.Behind.Epoch != 3 {
							t.Errorf("%s: the epoch is %d", name, got.Behind.Epoch)
						}
					}
				}
			}
		}
	}
}

// A changelog that the marks do not know although they know others belongs to another state, whatever it holds.
//
// Mutations seen to fail it: JudgeLog without Stranger; Of that takes the word of a mark that was cut, of one that says nothing, or
// of one of several.
func TestAChangelogOfAnotherStateIsAStranger(t *testing.T) {
	marks := func(list ...Mark) Marks {
		return MarksOf(func(yield func(kafka.CommittedOffset) bool) {
			for _, m := range list {
				if !yield(kafka.CommittedOffset{Offset: 1, Metadata: m.String()}) {
					return
				}
			}
		})
	}
	with := func(stores ...string) Mark {
		m := Mark{TopicID: "in", Logs: map[string]Log{}}
		for _, s := range stores {
			m.Logs[s] = Log{TopicID: "now", End: 5, Epoch: 1}
		}
		return m
	}
	cut := with("other")
	cut.Cut = true
	for _, c := range []struct {
		name     string
		marks    Marks
		stranger bool
		logs     int
	}{
		{"no marks", nil, false, 0},
		{"marks of before", marks(Mark{TopicID: "in"}), false, 0},
		{"known", marks(with("a", "other")), false, 1},
		{"known to one", marks(with("other"), with("a", "other")), false, 1},
		{"unknown", marks(with("other"), Mark{TopicID: "in"}), true, 0},
		{"unknown to a mark that was cut", marks(cut), false, 0},
	} {
		k := c.marks.Of("a")
		if k.Stranger != c.stranger || len(k.Logs) != c.logs {
			t.Errorf("%s: %+v", c.name, k)
		}
		for _, end := range []int64{0, 5} {
			for _, fit := range []bool{false, true} {
				if end < 5 && k.Logs != nil {
					continue // it is empty then, and was not
				}
				log := Changelog{TopicID: "now", End: end, Known: k, Held: -1}
				if fit {
					log.Held, log.Fit = end, true
				}
				if a := JudgeLog(log); (a.Why != "") != c.stranger {
					t.Errorf("%s, end %d, store %v: %q", c.name, end, fit, a.Why)
				}
			}
		}
	}
}
