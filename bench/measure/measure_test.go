package measure

import (
	"reflect"
	"testing"
	"time"
)

// Mutations: the larger of the two in the middle; the values unsorted.
func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{7}, Spread{7, 7, 7, 1}},
		{[]float64{3, 1, 2}, Spread{2, 1, 3, 3}},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4, 4}},
	} {
		if got := SpreadOf(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

// Mutation: a missing round is taken for 0, or divided by the round before.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	got := Ratios(map[int]float64{1: 10, 2: 30, 3: 5, 4: 1}, map[int]float64{1: 2, 3: 5, 4: 0, 9: 1})
	if want := []float64{1, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestOrderRotates has every engine once in each place. Mutation: the round is left out.
func TestOrderRotates(t *testing.T) {
	seen := map[[2]int]bool{}
	for round := range 4 {
		for place, engine := range Order(4, round) {
			seen[[2]int{place, engine}] = true
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d pairs of place and engine, want 16", len(seen))
	}
}

// TestProcIsRead has a name with a bracket in it. Mutations: the first bracket ends the name; user time alone; KiB for bytes;
// idle time counts as busy.
func TestProcIsRead(t *testing.T) {
	stat := "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 250 50 7 7 20 0 9 0 100 1000 200"
	if got := cpuOf([]byte(stat)); got != 3*time.Second {
		t.Errorf("%v of processor time, want 3s", got)
	}
	if got := peakOf("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n"); got != 2<<20 {
		t.Errorf("%d bytes, want %d", got, 2<<20)
	}
	if got := busyOf("cpu  100 200 300 9999 8888 400 500 77 0 0\ncpu0 1"); got != 15*time.Second {
		t.Errorf("busy for %v, want 15s", got)
	}
	if cpuOf(nil) != 0 || peakOf("") != 0 || busyOf("") != 0 {
		t.Error("what is not there is not 0")
	}
}

// TestLatencyHasQuantilesInMilliseconds adds 1 to 1000 ms, and one that is beyond what is counted. Mutations: microseconds; p99.9 is
// p99; what is beyond is left out.
func TestLatencyHasQuantilesInMilliseconds(t *testing.T) {
	l := NewLatency()
	for i := range 1000 {
		l.Add(time.Duration(i+1) * time.Millisecond)
	}
	values := l.Values()
	for name, want := range map[string]float64{"p50_ms": 500, "p90_ms": 900, "p99_ms": 990, "p999_ms": 999, "max_ms": 1000} {
		if got := values[name]; got < want*0.999 || got > want*1.001 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	l.Add(-time.Second)
	l.Add(time.Hour)
	if got := l.Values()["max_ms"]; l.Count() != 1002 || got < 299_000 {
		t.Errorf("%d delays, at most %v ms, want 1002 and 300000", l.Count(), got)
	}
}
