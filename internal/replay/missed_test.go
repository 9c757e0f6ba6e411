package replay

import (
	"fmt"
	"testing"
)

// What is missed are records of answered letters that a commit has passed and nobody has seen: neither the job, in what is committed, nor whoever has gone on in its place.
//
// Mutations, each seen to fail it: judge that goes on after one that was seen; begins that keeps what was seen, or what others have read, or that forgets what was missed before;
// passed that does nothing.
func TestWhatARebuildMisses(t *testing.T) {
	w := watch(map[int32][]int64{0: {9, 1, 5, 5, 12, 13, 20}})[0]
	is := func(position int64, want string) {
		t.Helper()
		if m, err := w.upTo(position); err != nil || fmt.Sprint(m) != want {
			t.Errorf("up to %d: %v, %v, want %s", position, m, err, want)
		}
	}
	w.begins(0, nil)
	w.saw(1)
	w.saw(2)
	is(1, "[]")
	is(6, "[[5 5]]")
	is(10, "[[5 9]]")
	w.begins(0, nil) // the transaction was aborted, and its records are gone
	is(2, "[[1 1]]")
	w.saw(5)
	is(10, "[[1 1] [9 9]]")
	w.passed(6)
	w.saw(5)
	is(6, "[[1 1]]")
	w.begins(13, missed{{1, 1}}) // others have read up to there
	is(14, "[[1 1] [13 13]]")
	w.saw(20)
	w.passed(30)
	is(30, "[[1 1] [13 13]]")
	if m := (missed{{1, 1}, {9, 13}}); m.has(5) || !m.has(9) || !m.has(13) || m.has(14) {
		t.Error(m)
	}
}
