//go:build unix && !race

// The race detector takes these for racing: LevelDB closes a channel a second after a database was closed, and has sent to it when it wrote
// its last table, with nothing between the two that says which came first. The send is made for the channel to be closed.

package dedup

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/state"
)

// What is too old is deleted, all of it, with tombstones, some with each record, and nothing else is: a store of ids has a bound.
//
// Mutations, each seen to fail: a sweep that gives up a slice after its first turn; without Delete.
func TestIDsThatAreTooOldAreDeleted(t *testing.T) {
	const window, perSlice = 4 * time.Hour, 20_000
	d := open(t, t.TempDir(), window)
	defer d.Close()
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	var set, deleted, turn int
	for n := range 12 * perSlice {
		at := start.Add(time.Duration(n) * time.Hour / perSlice)
		if err := d.Remember(IDOf(fmt.Sprint(n)), at, start.Add(12*time.Hour), Place{"in", int64(n)}); err != nil {
			t.Fatal(err)
		}
		d.Keep()
		if n%1000 == 999 {
			s, del := commit(t, d, int64(n))
			set, deleted, turn = set+s, deleted+del, max(turn, del)
		}
	}
	kept := 0
	if err := d.Dump(func(key, _ []byte) bool {
		if string(key) != clockKey {
			kept++
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if live := 5 * perSlice; kept < live || kept > live+perSlice {
		t.Errorf("%d ids are kept, want those of the %d slices that are known, and of one to be deleted at most", kept, 5)
	}
	if deleted != 12*perSlice-kept {
		t.Errorf("%d tombstones, want one for each of the %d ids that are gone", deleted, 12*perSlice-kept)
	}
	if turn > sweepKeys {
		t.Errorf("a transaction has deleted %d ids, want %d at most", turn, sweepKeys)
	}
}

var large = struct{ ids, cacheMB, commit *int }{
	flag.Int("large.ids", 10_000, "BenchmarkLargeIDs: ids within a window"),
	flag.Int("large.cache", 128, "BenchmarkLargeIDs: MiB that the store may keep in memory"),
	flag.Int("large.commit", 30_000, "BenchmarkLargeIDs: records a commit"),
}

const largeWindow = 24 * time.Hour

// BenchmarkLargeIDs is deduplication on one partition without Kafka: each id for the first time, spread over a window, then ids at random, all
// of which are known; then a start, and some known ids again. It reports for each part the rate, CPU and bytes written a record, the size on
// disk, and the most memory of the process so far.
//
//	go test ./internal/dedup -run '^$' -bench 'LargeIDs$' -benchtime 1x -large.ids 10000000
func BenchmarkLargeIDs(b *testing.B) {
	for range b.N {
		l := &largeIDs{b: b, dir: b.TempDir(), n: *large.ids}
		l.open()
		l.measure("new", l.n, func(i int) int { return i }, false)
		seed := uint64(1)
		random := func(int) int {
			seed = seed*6364136223846793005 + 1442695040888963407
			return int((seed >> 33) * uint64(l.n) >> 31)
		}
		l.measure("known", l.n/10, random, true)
		begin := time.Now()
		l.close()
		fmt.Printf("closed in %v, %d MB on disk\n", time.Since(begin).Round(time.Millisecond), l.disk())
		begin = time.Now()
		l.open()
		fmt.Printf("opened in %v\n", time.Since(begin).Round(time.Millisecond))
		l.measure("again", l.n/10, random, true)
		l.close()
	}
}

// BenchmarkLargeIDsRestore gives an empty store what a changelog of so many ids holds, with flags of BenchmarkLargeIDs.
//
//	go test ./internal/dedup -run '^$' -bench LargeIDsRestore -benchtime 1x -large.ids 10000000
func BenchmarkLargeIDsRestore(b *testing.B) {
	const batch = 120_000
	for range b.N {
		l := &largeIDs{b: b, dir: b.TempDir(), n: *large.ids}
		l.open()
		cpu, begin, wrote := processCPU(), time.Now(), diskWrites()
		entries := make([]keyed.Entry, 0, batch)
		write := func(at int) {
			if err := l.db.Restore(entries, int64(at), nil, time.Now()); err != nil {
				b.Fatal(err)
			}
			entries = entries[:0]
		}
		keys := &Ids{slice: largeWindow.Milliseconds() / quarters}
		for i := range l.n {
			at := l.at(i).UnixMilli()
			keys.place(at-at%keys.slice, idOf(i))
			entries = append(entries, keyed.Entry{Key: bytes.Clone(keys.key), Value: []byte(Place{"order.placed.v1", int64(i)}.encode())})
			if len(entries) == batch {
				write(i)
			}
		}
		write(l.n)
		l.report("restore", l.n, cpu, begin, wrote)
		l.close()
		fmt.Printf("%d MB on disk\n", l.disk())
	}
}

type largeIDs struct {
	b   *testing.B
	dir string
	n   int
	db  keyed.Database
	ids *Ids
}

func (l *largeIDs) open() {
	db, err := state.Open(state.Options{Dir: l.dir, CacheBytes: int64(*large.cacheMB) << 20})
	if err != nil {
		l.b.Fatal(err)
	}
	l.db, l.ids = db, Over(db, largeWindow)
}

func (l *largeIDs) close() {
	if err := l.ids.Close(); err != nil {
		l.b.Fatal(err)
	}
}

// at is the time of a record: they are spread over a window.
func (l *largeIDs) at(i int) time.Time {
	return time.UnixMilli(1_900_000_000_000).Add(largeWindow / time.Duration(l.n) * time.Duration(i))
}

func idOf(i int) ID { return IDOf("0b7d3a52-5f6e-4c1c-9d1e-" + strconv.Itoa(i)) }

func (l *largeIDs) measure(what string, records int, pick func(int) int, known bool) {
	cpu, begin, wrote := processCPU(), time.Now(), diskWrites()
	for i := range records {
		n := pick(i)
		id := idOf(n)
		_, seen, err := l.ids.Seen(id)
		if err != nil || seen != known {
			l.b.Fatalf("id %d is known: %v, %v", n, seen, err)
		}
		if !seen {
			if err := l.ids.Remember(id, l.at(n), l.at(n), Place{"order.placed.v1", int64(n)}); err != nil {
				l.b.Fatal(err)
			}
			l.ids.Keep()
		}
		if (i+1)%*large.commit == 0 || i+1 == records {
			if err := l.ids.Drain(func(_, _ []byte) error { return nil }); err != nil {
				l.b.Fatal(err)
			}
			if err := l.ids.Commit(int64(i)); err != nil {
				l.b.Fatal(err)
			}
		}
	}
	l.report(what, records, cpu, begin, wrote)
}

func (l *largeIDs) report(what string, records int, cpu time.Duration, begin time.Time, wrote int64) {
	took := time.Since(begin)
	fmt.Printf("%-8s %6.0f k/s in %v  %5.2f us CPU a record  %4.0f B written a record  peak %4d MB\n", what, float64(records)/took.Seconds()/1e3,
		took.Round(time.Millisecond), float64(processCPU()-cpu)/1e3/float64(records), float64(diskWrites()-wrote)/float64(records), field("/proc/self/status", "VmHWM:")>>10)
}

// disk is how large the database is, in MB.
func (l *largeIDs) disk() (size int64) {
	_ = filepath.WalkDir(l.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && !d.IsDir() {
			size += info.Size()
		}
		return nil
	})
	return size >> 20
}

func processCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func diskWrites() int64 { return field("/proc/self/io", "wchar:") }

func field(file, name string) int64 {
	data, _ := os.ReadFile(file)
	_, rest, _ := bytes.Cut(data, []byte(name))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n
}
