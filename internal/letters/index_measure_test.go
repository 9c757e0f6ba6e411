package letters

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/weirstream/weir/embedded"
)

// TestAHundredThousandLetters lists them twice: as they are read first, and from the index, in memory that does not grow with them.
//
// Mutation seen to fail it: a block that is never full.
func TestAHundredThousandLetters(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	measureIndex(newShelf(t, broker.Addrs()[0]), 100_000)
}

// measureIndex lists n letters for the first and the second time, and says how long that took and how much of the heap it had beyond
// what was there before.
func measureIndex(s *shelf, n int) {
	s.t.Helper()
	for left := n; left > 0; left -= 100_000 {
		s.add(min(left, 100_000))
	}
	s.tool.Index = &Index{Dir: s.t.TempDir(), Least: 10}
	var listed [2]string
	for i := range listed {
		peak, calls := uint64(0), 0
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		before := m.HeapAlloc
		s.tool.Progress = func(_, _ int64) {
			if calls++; calls%50_000 == 0 || i == 1 {
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
		began := time.Now()
		l, err := s.tool.List(s.t.Context(), Selection{})
		s.must(err)
		took := time.Since(began)
		text, err := json.Marshal(l)
		s.must(err)
		listed[i] = string(text)
		s.t.Logf("listing %d of %d letters: %s, %d MB of heap", i+1, n, took.Round(time.Millisecond), (max(peak, before)-before)>>20)
		if l.Open != int64(n) {
			s.t.Errorf("%d letters are open, want %d", l.Open, n)
		}
	}
	if listed[0] != listed[1] {
		s.t.Errorf("first\n%s\nand then\n%s", listed[0], listed[1])
	}
	files, err := filepath.Glob(filepath.Join(s.tool.Index.Dir, "*", "*.index"))
	s.must(err)
	file, err := os.Open(files[0])
	s.must(err)
	defer file.Close()
	blocks, size := 0, int64(0)
	for r := bufio.NewReader(file); ; blocks++ {
		b, err := readBlock(r)
		if err != nil {
			break
		}
		if size += int64(len(b)); len(b) > 1<<20 {
			s.t.Errorf("block %d has %d bytes", blocks, len(b))
		}
	}
	if s.t.Logf("the index: %d blocks, %d bytes", blocks, size); blocks < n/blockLetters {
		s.t.Errorf("%d letters in %d blocks", n, blocks)
	}
}
