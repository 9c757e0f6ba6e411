//go:build unix

package state

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/keyed"
)

var large = struct{ keys, partitions, cacheMB, commit, updates, batch *int }{
	flag.Int("large.keys", 10_000, "BenchmarkLarge: distinct keys"),
	flag.Int("large.partitions", 8, "BenchmarkLarge: stores"),
	flag.Int("large.cache", 128, "BenchmarkLarge: MiB for all stores together"),
	flag.Int("large.commit", 30_000, "BenchmarkLarge: records a commit of all stores"),
	flag.Int("large.updates", -1, "BenchmarkLarge: records over existing keys, -1 for as many as keys"),
	flag.Int("large.batch", 120_000, "BenchmarkLarge: records of a changelog that are written at once"),
}

var largeOrder = flag.String("large.order", "random", "BenchmarkLarge: how existing keys come: random; cycle, in the same order again and again; "+
	"zipf, some much more often than others; drift, at random from a quarter of them that moves on, each four times")

// BenchmarkLarge is the work of the reference job on stores that do not fit into memory, without Kafka: each key for the first
// time, then existing keys in the order that is asked for; then a start, and some keys again. It reports for each part CPU
// and bytes written a record, the longest call, and the most memory of the process so far.
//
//	go test ./state -run '^$' -bench 'Large$' -benchtime 1x -large.keys 3000000
func BenchmarkLarge(b *testing.B) {
	for range b.N {
		l := &largeRun{b: b, dir: b.TempDir(), n: uint64(*large.keys)}
		l.open()
		l.measure("new", *large.keys, func(i int) uint64 { return uint64(i) })
		updates := *large.updates
		if updates < 0 {
			updates = *large.keys
		}
		l.measure(*largeOrder, updates, l.order(*largeOrder))
		begin := time.Now()
		l.close()
		b.ReportMetric(time.Since(begin).Seconds(), "close-s")
		begin = time.Now()
		l.open()
		b.ReportMetric(time.Since(begin).Seconds(), "open-s")
		l.measure("again", updates/10, func(i int) uint64 { return uint64(i) })
		l.close()
	}
}

// BenchmarkLargeRestore gives stores that are empty what their changelogs hold, one store after the other, with flags of BenchmarkLarge.
//
//	go test ./state -run '^$' -bench LargeRestore -benchtime 1x -large.keys 3000000
func BenchmarkLargeRestore(b *testing.B) {
	for range b.N {
		l := &largeRun{b: b, dir: b.TempDir(), n: uint64(*large.keys)}
		l.open()
		l.restore()
		begin := time.Now()
		l.close()
		b.ReportMetric(time.Since(begin).Seconds(), "close-s")
	}
}

// order picks one of the existing keys for each record.
func (l *largeRun) order(name string) func(i int) uint64 {
	random := rand.New(rand.NewPCG(1, 2))
	switch name {
	case "random":
		return func(int) uint64 { return random.Uint64N(l.n) }
	case "cycle":
		return func(i int) uint64 { return uint64(i) % l.n }
	case "zipf":
		zipf := rand.NewZipf(random, 1.01, 1, l.n-1)
		return func(int) uint64 { return zipf.Uint64() * 40_503 % l.n } // spread over the keys' order
	case "drift":
		return func(i int) uint64 { return (uint64(i)/4 + random.Uint64N(l.n/4)) % l.n }
	}
	l.b.Fatalf("-large.order %q: want random, cycle, zipf or drift", name)
	return nil
}

type largeRun struct {
	b      *testing.B
	dir    string
	n      uint64
	stores []*opened[total]
}

func (l *largeRun) open() {
	l.stores = nil
	for p := range *large.partitions {
		s, err := openStore(Options{
			Dir: filepath.Join(l.dir, strconv.Itoa(p)), CacheBytes: int64(*large.cacheMB) << 20 / int64(*large.partitions),
		}, totalCodec{})
		if err != nil {
			l.b.Fatal(err)
		}
		l.stores = append(l.stores, s)
	}
}

func (l *largeRun) close() {
	for _, s := range l.stores {
		if err := s.Close(); err != nil {
			l.b.Fatal(err)
		}
	}
}

// key is the i-th key in an order that is none of the keys'.
func (l *largeRun) key(i uint64) string {
	var text [24]byte
	copy(text[:], "customer-")
	x := i * 2_654_435_761 % l.n // a permutation: the factor is a prime, and no divisor of the counts used
	for at := 17; at > 8; at-- {
		text[at] = byte('0' + x%10)
		x /= 10
	}
	return string(text[:18])
}

func (l *largeRun) measure(what string, records int, pick func(int) uint64) {
	var longest, longestCommit time.Duration
	cpu, begin, wrote := processCPU(), time.Now(), diskWrites()
	last := begin
	for i := range records {
		n := pick(i)
		key := l.key(n)
		s := l.stores[n%uint64(len(l.stores))]
		v, _, err := s.Get(key)
		if err != nil {
			l.b.Fatal(err)
		}
		v.LastSeq, v.Count, v.Sum = int64(i)+1e6, v.Count+1, v.Sum+1234
		if err := s.Set(key, v); err != nil {
			l.b.Fatal(err)
		}
		s.Keep()
		if i%64 == 0 {
			now := time.Now()
			longest = max(longest, now.Sub(last))
			last = now
		}
		if (i+1)%*large.commit == 0 {
			for _, s := range l.stores {
				s.Drain(func(key, value []byte) error { return nil })
				if err := s.Commit(int64(i)); err != nil {
					l.b.Fatal(err)
				}
			}
			now := time.Now()
			longestCommit = max(longestCommit, now.Sub(last))
			last = now
		}
	}
	l.report(what, records, cpu, begin, wrote)
	fmt.Printf("%-8s longest 64 records %v, longest commit %v\n", what, longest.Round(time.Millisecond), longestCommit.Round(time.Millisecond))
}

func (l *largeRun) report(what string, records int, cpu time.Duration, begin time.Time, wrote int64) {
	took := time.Since(begin)
	fmt.Printf("%-8s %6.0f k/s  %5.2f us CPU a record  %4.0f B written a record  peak %4d MB\n", what, float64(records)/took.Seconds()/1e3,
		float64(processCPU()-cpu)/1e3/float64(records), float64(diskWrites()-wrote)/float64(records), peakMB())
}

// restore gives each store the keys as its changelog has them.
func (l *largeRun) restore() {
	cpu, begin, wrote := processCPU(), time.Now(), diskWrites()
	batch := *large.batch
	for p, s := range l.stores {
		entries := make([]keyed.Entry, 0, batch)
		for i := uint64(p); i < l.n; i += uint64(len(l.stores)) {
			entries = append(entries, keyed.Entry{Key: []byte(l.key(i)), Value: []byte(`{"last_seq":1000000,"count":17,"sum_cents":12345}`)})
			if len(entries) == batch {
				if err := s.Restore(entries, int64(i)); err != nil {
					l.b.Fatal(err)
				}
				entries = entries[:0]
			}
		}
		if err := s.Restore(entries, int64(l.n)); err != nil {
			l.b.Fatal(err)
		}
	}
	l.report("restore", int(l.n), cpu, begin, wrote)
}

func peakMB() int64 { return field("/proc/self/status", "VmHWM:") >> 10 }

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
