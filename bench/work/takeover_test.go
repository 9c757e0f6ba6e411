package work

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTheLongestSilenceIsFound is about two partitions, of which one is silent at the end. Mutations: a silence that has not ended is left out; what was
// before the call counts; only the first partition counts.
func TestTheLongestSilenceIsFound(t *testing.T) {
	for _, c := range []struct {
		first, second []time.Duration // seconds after the beginning
		want          time.Duration
	}{
		{[]time.Duration{1, 2, 3, 4, 5}, []time.Duration{1, 2, 3, 4, 5}, 1},
		{[]time.Duration{1, 2, 3, 4, 5}, []time.Duration{1, 4, 5}, 3},
		{[]time.Duration{1, 2, 3, 4, 5}, []time.Duration{1, 2}, 4},
		{[]time.Duration{3, 4, 5}, []time.Duration{1, 2, 3, 4, 5}, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSilence(2)
			time.Sleep(time.Hour)
			for partition, arrivals := range [][]time.Duration{c.first, c.second} {
				for _, after := range arrivals {
					time.AfterFunc(after*time.Second, func() { s.arrived(int32(partition), time.Now()) })
				}
			}
			got, err := s.during(t.Context(), 6*time.Second, func() error { return nil })
			if err != nil || got != c.want*time.Second {
				t.Errorf("%v, want %v s: %v", got, int(c.want), err)
			}
		})
	}
}
