package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/plan"
)

// A rebuild answers letters before it has read their records. Where retention, or compaction, takes one of these meanwhile, its letter is all there is of it. So the progress
// of a rebuild says which of them it has passed without having seen them, and their letters are open again in the transaction that ends the run.

// missed are records of answered letters that a rebuild has passed without having seen them, as ranges of offsets, both included. No record of such a letter that was seen
// is in one.
type missed [][2]int64

func (m missed) has(offset int64) bool {
	return slices.ContainsFunc(m, func(s [2]int64) bool { return s[0] <= offset && offset <= s[1] })
}

// maxMissed bounds the size of a progress.
const maxMissed = 10_000

// watched are the records of a partition that have answered letters, while they are processed again.
type watched struct {
	mu      sync.Mutex
	offsets []int64 // of the records that no commit has passed, in order
	missed  missed  // of the others
	goesOn  bool    // the last of these was missed
	seen    map[int64]bool
}

// begins is called when the partition is read from a position on: what was missed before it is known, and what lies between, somebody else has read.
func (w *watched) begins(position int64, before missed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.missed, w.goesOn = before, false
	n, _ := slices.BinarySearch(w.offsets, position)
	w.offsets = w.offsets[n:]
	clear(w.seen)
}

// saw notes that a record is processed.
func (w *watched) saw(offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := slices.BinarySearch(w.offsets, offset); ok {
		w.seen[offset] = true
	}
}

// upTo is what is missed before a position.
func (w *watched) upTo(position int64) (missed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, _, _ := w.judge(position)
	if len(all) > maxMissed {
		return nil, fmt.Errorf("records that have dead letters are missing in more than %d places", maxMissed)
	}
	return all, nil
}

// passed is called when everything before a position is committed.
func (w *watched) passed(position int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var n int
	w.missed, w.goesOn, n = w.judge(position)
	for _, at := range w.offsets[:n] {
		delete(w.seen, at)
	}
	w.offsets = w.offsets[n:]
}

func (w *watched) judge(position int64) (all missed, goesOn bool, n int) {
	all, goesOn = slices.Clone(w.missed), w.goesOn
	for ; n < len(w.offsets) && w.offsets[n] < position; n++ {
		switch at := w.offsets[n]; {
		case w.seen[at]:
			goesOn = false
		case goesOn:
			all[len(all)-1][1] = at
		default:
			all, goesOn = append(all, [2]int64{at, at}), true
		}
	}
	return all, goesOn, n
}

// watch has the records of answered letters watched.
func watch(answered map[int32][]int64) map[int32]*watched {
	all := map[int32]*watched{}
	for partition, offsets := range answered {
		slices.Sort(offsets)
		all[partition] = &watched{offsets: slices.Compact(offsets), seen: map[int64]bool{}}
	}
	return all
}

// answered says whether the job has answered a letter.
func (r *running) answered(f *letters.Found) bool {
	return r.AnswersID != "" && strings.HasPrefix(f.Answered, r.AnswersID+".")
}

// reopen adds to the sink's transaction that letters are open again whose records the job has missed, and says how many. The claim is to be confirmed when that
// is flushed, and to be closed.
func (r *running) reopen(ctx context.Context, at map[int32]progress) (n int64, claim *letters.Claim, err error) {
	none := true
	for _, p := range at {
		none = none && len(p.Missed) == 0
	}
	if none || r.AnswersID == "" {
		return 0, nil, nil
	}
	p, err := r.tool.Topology(r.File.Topology, r.tool.Names)
	if err != nil {
		return 0, nil, err
	}
	dlq := r.tool.dlq()
	if claim, err = dlq.Claim(ctx, p); err != nil {
		return 0, nil, err
	}
	all, err := r.lostLetters(ctx, p, func(partition int32, offset int64) bool { return at[partition].Missed.has(offset) })
	if err == nil && len(all) > 0 {
		var marks []*kafka.Outgoing
		if marks, err = dlq.Reopen(r.AnswersID+"."+r.Holder, "replay "+r.Job, all); err == nil {
			for _, out := range marks {
				if err = r.sink.Append(out); err != nil {
					break
				}
			}
		}
		if err == nil {
			err = r.sink.Flush(ctx)
		}
		if err == nil {
			err = claim.Confirm(ctx, "replay "+r.Job)
		}
	}
	return int64(len(all)), claim, err
}

// lostLetters are the letters that the job has answered, of certain records of its ranges.
func (r *running) lostLetters(ctx context.Context, p *plan.Plan, has func(partition int32, offset int64) bool) (all []letters.Standing, err error) {
	err = r.tool.dlq().Find(ctx, within(p, r.File.From.Topic, r.TopicID, r.Ranges), func(f *letters.Found) error {
		if r.answered(f) && has(f.First.Partition, f.First.Offset) {
			all = append(all, f.At)
		}
		return nil
	})
	return all, err
}

// openAgain says how many letters are open again.
func openAgain(n int64) string {
	return fmt.Sprintf("%d dead letters that the replay had answered are open again: their records were removed from the topic before it had read them, so they come with a redrive", n)
}
