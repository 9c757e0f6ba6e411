package state

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/comparer"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"github.com/weirstream/weir/internal/keyed"
)

// counting counts comparisons of keys: LevelDB makes one at least for each key that a loop passes.
type counting struct {
	comparer.Comparer
	n *atomic.Int64
}

func (c counting) Compare(a, b []byte) int {
	c.n.Add(1)
	return c.Comparer.Compare(a, b)
}

// What was taken from the head of a queue is passed once, and not again for each entry that is taken after it.
//
// Mutations, each seen to fail: a loop begins where it is told to, gap or not; a gap does not take up the one before it; a loop that
// finds nothing learns nothing.
func TestALoopDoesNotPassDeletedKeysTwice(t *testing.T) {
	const taken = 5000
	var compared atomic.Int64
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open,
		tune: func(o *opt.Options) { o.Comparer = counting{comparer.DefaultComparer, &compared} }})
	for i := range taken + 20 {
		if err := s.Set(fmt.Sprintf("q/%05d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	s.Keep()
	if err := commit(s, 1); err != nil {
		t.Fatal(err)
	}
	take := func(n int, want int) {
		t.Helper()
		for key := range s.Prefix("q/", func(err error) { t.Fatal(err) }) {
			if key != fmt.Sprintf("q/%05d", want) {
				t.Fatalf("%s is the first key instead of number %d", key, want)
			}
			if n--; n < 0 {
				return
			}
			if err := s.Delete(key); err != nil {
				t.Fatal(err)
			}
			want++
		}
	}
	take(taken, 0)
	s.Keep()
	if err := commit(s, 2); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		compared.Store(0)
		take(1, taken+i)
		s.Keep()
		if err := commit(s, int64(3+i)); err != nil {
			t.Fatal(err)
		}
		if n := compared.Load(); i == 0 && n < taken {
			t.Fatalf("the first loop compared keys %d times: what this test counts has changed", n)
		} else if i > 0 && n > taken/10 {
			t.Fatalf("loop %d compared keys %d times", i, n)
		}
	}
	take(10, taken+10)
	s.Keep()
	if err := commit(s, 20); err != nil {
		t.Fatal(err)
	}
	for i := range taken { // a queue that is empty, too
		if err := s.Delete(fmt.Sprintf("r/%05d", i)); err != nil {
			t.Fatal(err)
		}
	}
	s.Keep()
	if err := commit(s, 21); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		compared.Store(0)
		for key := range s.Prefix("r/", func(err error) { t.Fatal(err) }) {
			t.Fatalf("there is %s", key)
		}
	}
	if n := compared.Load(); n > taken/10 {
		t.Fatalf("a loop that finds nothing compared keys %d times", n)
	}
}

// A key that is put where a loop found none is found by the next one, however it was put.
//
// Mutations, each seen to fail: put keys fill no gap; a restore forgets no gap.
func TestAKeyInAGapIsFound(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open})
	var checkpoint int64
	put := func(values ...string) {
		t.Helper()
		checkpoint++
		if err := commit(s, checkpoint, values...); err != nil {
			t.Fatal(err)
		}
	}
	look := func(from, to string, want ...string) {
		t.Helper()
		var got []string
		for key := range s.Range(from, to, func(err error) { t.Fatal(err) }) {
			got = append(got, key)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("from %q to %q there is %q, not %q", from, to, got, want)
		}
	}
	put("m", "", "z", "")
	look("b", "e")
	look("e", "", "m", "z")
	look("b", "", "m", "z")
	look("c", "g")
	put("f", "")
	look("b", "", "f", "m", "z")
	look("g", "", "m", "z")
	put("b", "")
	look("a", "", "b", "f", "m", "z")
	look("b", "", "b", "f", "m", "z")
	look("zz", "")
	put("zzz", "")
	look("zz", "", "zzz")
	look("bb", "", "f", "m", "z", "zzz")
	look("mm", "", "z", "zzz")
	if err := s.Restore([]keyed.Entry{{Key: []byte("c"), Value: []byte{}}, {Key: []byte("n"), Value: []byte{}}}, 100); err != nil {
		t.Fatal(err)
	}
	look("bb", "", "c", "f", "m", "n", "z", "zzz")
	look("mm", "", "n", "z", "zzz")
}

// A loop learns nothing of what it does not see: a write that began before the loop and ends after it.
//
// Mutations, each seen to fail: a loop during a write learns; a loop learns although a write came after its beginning.
func TestALoopBesideAWriteLearnsNothing(t *testing.T) {
	for name, order := range map[string]func(g *gaps, loop func() view, found func(view)){
		"within":     func(g *gaps, loop func() view, found func(view)) { g.begin(); found(loop()); g.end() },
		"overlapped": func(g *gaps, loop func() view, found func(view)) { g.begin(); v := loop(); g.end(); found(v) },
		"before":     func(g *gaps, loop func() view, found func(view)) { v := loop(); g.begin(); g.end(); found(v) },
		"around":     func(g *gaps, loop func() view, found func(view)) { v := loop(); g.begin(); found(v); g.end() },
	} {
		t.Run(name, func(t *testing.T) {
			var g gaps
			order(&g, func() view { return g.enter(span("a", "")) }, func(v view) { v.found(span("x", "").Start) })
			if len(g.list) > 0 {
				t.Fatalf("learned %q", g.list)
			}
		})
	}
}

// Gaps take little memory, whatever the loops.
//
// Mutations, each seen to fail: no bound on their number; none on their bytes.
func TestGapsAreBounded(t *testing.T) {
	var g gaps
	sum := func() (n int) {
		for i := range g.list {
			n += g.list[i].size()
		}
		return n
	}
	for _, c := range []struct {
		keys, length int
	}{{3 * mostGaps, 8}, {22, mostGapBytes / 9}} {
		for i := range c.keys {
			from := fmt.Sprintf("%0*d", c.length, 2*i)
			g.enter(span(from, "")).found(span(from+"x", "").Start)
			if len(g.list) > mostGaps || sum() > mostGapBytes || sum() != g.bytes {
				t.Fatalf("%d gaps of %d bytes, counted as %d", len(g.list), sum(), g.bytes)
			}
		}
		if len(g.list) == 0 {
			t.Fatal("there is no gap")
		}
		g.fill(span(fmt.Sprintf("%0*d", c.length, 2*c.keys-2), "").Start)
		g.fill(span(fmt.Sprintf("%0*dw", c.length, 2*c.keys-4), "").Start)
		if sum() != g.bytes {
			t.Fatalf("%d bytes, counted as %d", sum(), g.bytes)
		}
		g.forget()
	}
}
