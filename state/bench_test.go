//go:build unix

package state

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/keyed"
)

type total struct{ LastSeq, Count, Sum int64 }

// totalCodec writes about 45 bytes of JSON and costs next to nothing, so that the figures are the store's.
type totalCodec struct{}

func (totalCodec) Append(dst []byte, v total) ([]byte, error) {
	dst = strconv.AppendInt(append(dst, `{"last_seq":`...), v.LastSeq, 10)
	dst = strconv.AppendInt(append(dst, `,"count":`...), v.Count, 10)
	dst = strconv.AppendInt(append(dst, `,"sum_cents":`...), v.Sum, 10)
	return append(dst, '}'), nil
}

func (totalCodec) Parse(data []byte) (v total, err error) {
	field := []*int64{&v.LastSeq, &v.Count, &v.Sum}
	in := false
	for _, c := range data {
		digit := '0' <= c && c <= '9'
		if digit {
			*field[0] = *field[0]*10 + int64(c-'0')
		} else if in {
			field = field[1:]
		}
		in = digit
	}
	return v, nil
}

func benchKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("customer-%06d", i)
	}
	return keys
}

func processCPU() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkStore is what a task does with a store, commits of 30,000 records with LevelDB's writes included.
func BenchmarkStore(b *testing.B) {
	for _, cacheMB := range []int64{128, 32, 4} {
		b.Run(fmt.Sprintf("get+set/100k_keys/cache=%dMB", cacheMB), func(b *testing.B) {
			s, err := openStore(Options{Dir: b.TempDir() + "/db", CacheBytes: cacheMB << 20}, totalCodec{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			keys := benchKeys(100_000)
			random := rand.New(rand.NewPCG(1, 2))
			var commits time.Duration
			b.ReportAllocs()
			cpu := processCPU()
			b.ResetTimer()
			for i := range b.N {
				key := keys[random.IntN(len(keys))]
				v, _, err := s.Get(key)
				if err != nil {
					b.Fatal(err)
				}
				v.LastSeq, v.Count, v.Sum = int64(i)+1e6, v.Count+1, v.Sum+1234
				if err := s.Set(key, v); err != nil {
					b.Fatal(err)
				}
				s.Keep()
				if i%30_000 == 29_999 {
					begin := time.Now()
					s.Drain(func(key, value []byte) error { return nil })
					if err := s.Commit(int64(i)); err != nil {
						b.Fatal(err)
					}
					commits += time.Since(begin)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(commits)/float64(b.N), "commit-ns/op")
			b.ReportMetric(float64(processCPU()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkNewKeys is a store that every record adds a key to, and looks whether it is there first: deduplication.
func BenchmarkNewKeys(b *testing.B) {
	s, err := openStore(Options{Dir: b.TempDir() + "/db", CacheBytes: 16 << 20}, totalCodec{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2))
	cpu := processCPU()
	b.ResetTimer()
	for i := range b.N {
		key := strconv.FormatUint(random.Uint64(), 36)
		if _, _, err := s.Get(key); err != nil {
			b.Fatal(err)
		}
		if err := s.Set(key, total{1, 2, 3}); err != nil {
			b.Fatal(err)
		}
		s.Keep()
		if i%30_000 == 29_999 {
			s.Drain(func(key, value []byte) error { return nil })
			if err := s.Commit(int64(i)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(processCPU()-cpu)/float64(b.N), "cpu-ns/op")
}

// BenchmarkHit is the hot path alone: the key is in the cache.
func BenchmarkHit(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		s, err := openStore(Options{Dir: b.TempDir() + "/db", CacheBytes: 64 << 20}, totalCodec{})
		if err != nil {
			b.Fatal(err)
		}
		keys := benchKeys(n)
		for _, k := range keys {
			s.Set(k, total{1e6, 1, 1234})
		}
		s.Keep()
		random := rand.New(rand.NewPCG(1, 2))
		b.Run(fmt.Sprintf("get/%d_keys", n), func(b *testing.B) {
			for range b.N {
				if _, _, err := s.Get(keys[random.IntN(n)]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("set/%d_keys", n), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if err := s.Set(keys[random.IntN(n)], total{1e6, 2, 4321}); err != nil {
					b.Fatal(err)
				}
				s.Keep()
			}
		})
		s.Close()
	}
}

// BenchmarkRestore is entries of a changelog, of 4 million keys in random order, into an empty database.
func BenchmarkRestore(b *testing.B) {
	s, err := openStore(Options{Dir: b.TempDir() + "/db", CacheBytes: 32 << 20}, totalCodec{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2))
	const batch = 20_000
	entries := make([]keyed.Entry, 0, batch)
	b.ResetTimer()
	cpu := processCPU()
	for i := range b.N {
		entries = append(entries, keyed.Entry{
			Key:   fmt.Appendf(nil, "customer-%08d", random.IntN(4_000_000)),
			Value: []byte(`{"last_seq":1000000,"count":17,"sum_cents":12345}`),
		})
		if len(entries) == batch || i == b.N-1 {
			if err := s.Restore(entries, int64(i)); err != nil {
				b.Fatal(err)
			}
			entries = entries[:0]
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(processCPU()-cpu)/float64(b.N), "cpu-ns/op")
}
