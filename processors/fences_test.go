package processors

import (
	"testing"
	"time"
)

// One incident fences every worker, some more than once. It is no sign of a second process; a fencing every few seconds is.
//
// Mutation seen to fail this test: note takes every fencing for itself.
func TestOneIncidentIsOneFencing(t *testing.T) {
	start := time.Unix(1000, 0)
	var f fences
	for i := range 8 {
		f.note(start.Add(time.Duration(i) * 100 * time.Millisecond))
	}
	if n := f.count(start.Add(time.Second)); n != 1 {
		t.Errorf("8 fencings within 0.7s count as %d", n)
	}
	for i := 1; i < fenceLimit; i++ {
		f.note(start.Add(time.Duration(i) * 3 * time.Second))
	}
	if n := f.count(start.Add(10 * time.Second)); n != fenceLimit {
		t.Errorf("one every 3s count as %d", n)
	}
	if n := f.count(start.Add(2 * fenceWindow)); n != 0 {
		t.Errorf("%d are left after the window", n)
	}
}
