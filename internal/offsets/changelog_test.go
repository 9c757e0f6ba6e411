package offsets

import (
	"fmt"
	"testing"
)

// Every place of a changelog's start and end, what the marks know of it, and what the instance has of it, against the rule in
// words: a store must not miss state unseen.
//
// Mutations seen to fail it: each case of JudgeLog left out; base without Fit, without Start, or without End; Whole or Behind that takes
// the last mark and not the furthest; marks of another topic that count.
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
	} {
		for _, start := range []int64{0, 20, 50} {
			for _, end := range []int64{0, 20, 50, 60} {
				for _, held := range []int64{-1, 0, 20, 50, 60} {
					for _, fit := range []bool{false, true} {
						if end < start || held < 0 && fit {
							continue
						}
						c := Changelog{TopicID: now, Start: start, End: end, Known: known, Held: held, Fit: fit}
						got := JudgeLog(c)

						// The rule. From which offset on the log must hold everything, and up to where it did:
						whole, upTo, other := int64(0), int64(0), false
						for _, log := range known {
							if log.TopicID == gone {
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
						if upTo > 0 && got.Behind.Epoch != 3 {
							t.Errorf("%s: the epoch is %d", name, got.Behind.Epoch)
						}
					}
				}
			}
		}
	}
}
