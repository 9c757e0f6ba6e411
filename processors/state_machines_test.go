package processors

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/kafka"
)

// Mutation tried: failed -> running added to taskTransitions, and the check taken out of task.to.
func TestATaskTakesOnlyTheWaysOfItsTable(t *testing.T) {
	legal := map[string]bool{
		"created restoring": true, "created closed": true,
		"restoring running": true, "restoring failed": true, "restoring created": true, "restoring closed": true,
		"running failed": true, "running created": true, "running closed": true,
		"failed created": true, "failed closed": true,
	}
	for from := taskCreated; from <= taskClosed; from++ {
		for to := taskCreated; to <= taskClosed; to++ {
			task := newTask(t.Context(), taskID{}, &subgraph{}, nil)
			task.state.Store(int32(from))
			err := task.to(to)
			if way := fmt.Sprint(from, " ", to); legal[way] != (err == nil) {
				t.Errorf("%s: %v, legal is %v", way, err, legal[way])
			}
			if now := taskState(task.state.Load()); err != nil && now != from || err == nil && now != to {
				t.Errorf("%s to %s ends in %s", from, to, now)
			}
		}
	}
}

// Mutation tried: connecting -> processing added to workerTransitions; the state stored before the table is looked at.
func TestAWorkerTakesOnlyTheWaysOfItsTable(t *testing.T) {
	legal := map[string]bool{
		"connecting idle": true, "connecting stopped": true,
		"idle processing": true, "idle committing": true, "idle connecting": true, "idle stopped": true,
		"processing idle": true, "processing committing": true, "processing connecting": true, "processing stopped": true,
		"committing idle": true, "committing connecting": true, "committing stopped": true,
	}
	for from := workerConnecting; from <= workerStopped; from++ {
		for to := workerConnecting; to <= workerStopped; to++ {
			w := &worker{engine: &engine{failed: make(chan error, 1)}}
			w.state.Store(int32(from))
			w.to(to)
			way := fmt.Sprint(from, " ", to)
			if refused := len(w.engine.failed) > 0; refused == (legal[way] || from == to) {
				t.Errorf("%s: refused is %v", way, refused)
			}
			if now := workerState(w.state.Load()); !legal[way] && now != from {
				t.Errorf("%s ends in %s", way, now)
			}
		}
	}
}

// TestAnInputHandsOutEveryRecordInOrder is the law of an input: whatever is pushed, committed and rewound, the records
// come in the order of their offsets, from the last commit on, none left out; the position is behind what was handed
// out and what is no record; and every byte is given back once.
//
// Mutations tried: rewind without in.rec = 0; commit without cutting the batch in work; skipEmpty without the batch's
// position; release without moving passed.
func TestAnInputHandsOutEveryRecordInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		in := &input{}
		in.begin(kafka.At(0), now)
		var all []int64           // offsets of records, in order
		end, bytes := int64(0), 0 // what was pushed
		done := int64(0)          // committed
		next := 0                 // index into all of the next record
		released := 0
		behind := func(i int) int64 { // the position when records below i are done: after what is no record, too
			if i < len(all) {
				return all[i]
			}
			return end
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				b := kafka.Batch{HighWatermark: end + 100, Bytes: rapid.IntRange(0, 9).Draw(t, "bytes")}
				for range rapid.IntRange(0, 4).Draw(t, "records") {
					end += int64(rapid.IntRange(0, 2).Draw(t, "gap"))
					b.Records = append(b.Records, kafka.Record{Offset: end})
					all = append(all, end)
					end++
				}
				end += int64(rapid.IntRange(0, 2).Draw(t, "tail"))
				b.Position = end
				bytes += b.Bytes
				in.push(b)
			},
			"next": func(t *rapid.T) {
				r := in.head()
				if next == len(all) {
					if r != nil {
						t.Fatalf("record %d handed out, there is none", r.Offset)
					}
					return
				}
				if r == nil || r.Offset != all[next] {
					t.Fatalf("handed out %v, want %d", r, all[next])
				}
				in.advance()
				next++
			},
			"release": func(*rapid.T) { released += in.release() },
			"commit": func(t *rapid.T) {
				released += in.release()
				in.commit(now)
				done = in.committed
				if in.dirty() {
					t.Fatal("dirty right after a commit")
				}
			},
			"rewind": func(t *rapid.T) {
				in.rewind()
				next, _ = slices.BinarySearch(all, done)
			},
			"": func(t *rapid.T) {
				if in.position > behind(next) || next > 0 && in.position <= all[next-1] {
					t.Fatalf("position %d with %d of %v done", in.position, next, all)
				}
				if next == len(all) && in.position != end {
					t.Fatalf("position %d when everything up to %d is done", in.position, end)
				}
			},
		})
		for in.head() != nil {
			in.advance()
		}
		if released += in.release(); released != bytes {
			t.Fatalf("%d bytes given back of %d", released, bytes)
		}
	})
}

// Mutation tried: commit forgets every refusal (refused = nil), not only those of committed records. The transaction is
// then aborted for the same record again and again while a record before it waits for its next try.
func TestARefusalIsRememberedUntilItsRecordIsCommitted(t *testing.T) {
	in := &input{}
	in.begin(kafka.At(0), time.Now())
	in.push(kafka.Batch{Records: []kafka.Record{{Offset: 0}, {Offset: 1}, {Offset: 2}}, Position: 3})
	in.refuseLetter(1, &kafka.RefusedError{})
	in.refuseOutput(1, nil, fmt.Errorf("too large"))
	in.advance()
	in.commit(time.Now())
	if r := in.refused[1]; r.output == nil || r.letter != named {
		t.Errorf("after the commit of the record before it the refusal is %+v", r)
	}
	in.advance()
	in.commit(time.Now())
	if len(in.refused) != 0 {
		t.Errorf("still remembered after its own commit: %+v", in.refused)
	}
}
