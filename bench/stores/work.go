//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/measure"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/state"
)

// config is the work, the same for all databases.
type config struct {
	Keys       int
	Updates    int
	Stores     int
	CacheBytes int64 // of all stores together
	Commit     int   // records
	Dir        string
}

// figures are what a part of the work has taken.
type figures struct {
	Engine  string  `json:"engine"`
	Round   int     `json:"round"`
	Part    string  `json:"part"`
	Records int     `json:"records"`
	Rate    float64 `json:"records_per_second"`
	CPU     float64 `json:"cpu_us_per_record"`
	Written float64 `json:"bytes_written_per_record"`
	Longest float64 `json:"longest_commit_ms,omitempty"`
	Peak    int64   `json:"peak_bytes"`
	Disk    int64   `json:"disk_bytes"`
	Open    float64 `json:"open_s,omitempty"` // before this part
	Close   float64 `json:"close_s"`          // after it
}

var (
	engines = []string{"leveldb", "pebble", "pebble-filter"}
	parts   = []string{newKeys, atRandom, afterStart, restored}
)

// The parts of the work.
const (
	newKeys    = "new keys"
	atRandom   = "keys at random"
	afterStart = "after a start"
	restored   = "restore"
)

// opener opens a store's database.
func opener(cfg config, engine string) (open func(store int) (keyed.Database, error), done func(), err error) {
	each := cfg.CacheBytes / int64(cfg.Stores)
	dir := func(store int) string { return filepath.Join(cfg.Dir, strconv.Itoa(store)) }
	switch engine {
	case "leveldb":
		return func(store int) (keyed.Database, error) {
			return state.Open(state.Options{Dir: dir(store), CacheBytes: each})
		}, func() {}, nil
	case "pebble", "pebble-filter":
		s := newShared(cfg.CacheBytes / 8)
		return func(store int) (keyed.Database, error) {
			var known *filter
			if engine == "pebble-filter" {
				known = newFilter(cfg.Keys / cfg.Stores)
			}
			return openPebble(dir(store), s, each, known)
		}, s.close, nil
	}
	return nil, nil, fmt.Errorf("no database %q: want some of %v", engine, engines)
}

// run is one database under work.
type run struct {
	config
	engine string
	stores []*keyed.Store[job.Total]
	found  []figures
	opened float64
	done   func()
}

func (r *run) open() error {
	begin := time.Now()
	open, done, err := opener(r.config, r.engine)
	if err != nil {
		return err
	}
	r.stores, r.done = nil, done
	for i := range r.Stores {
		db, err := open(i)
		if err != nil {
			return err
		}
		r.stores = append(r.stores, keyed.Over(db, codecs.JSON[job.Total]()))
	}
	r.opened = time.Since(begin).Seconds()
	return nil
}

func (r *run) close() error {
	var errs []error
	for _, s := range r.stores {
		errs = append(errs, s.Close())
	}
	r.done()
	return errors.Join(errs...)
}

// totals is the work of the reference job: each key for the first time, existing keys at random, a start, and existing keys again.
func (r *run) totals() error {
	seed := uint64(1)
	random := func(int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int((seed >> 33) * uint64(r.Keys) >> 31)
	}
	again := max(r.Updates/10, 1)
	err := errors.Join(r.open(),
		r.part(newKeys, r.Keys, func() (float64, error) { return r.records(0, r.Keys, func(i int) int { return i }) }),
		r.open(),
		r.part(atRandom, r.Updates, func() (float64, error) { return r.records(r.Keys, r.Updates, random) }),
		r.open(),
		r.part(afterStart, again, func() (float64, error) { return r.records(r.Keys+r.Updates, again, random) }))
	if err != nil {
		return err
	}
	return r.verify(int64(r.Keys + r.Updates + again))
}

// restore gives empty databases what their changelogs hold, one after the other, in batches as large as the engine's.
func (r *run) restore() error {
	err := errors.Join(r.open(), r.part(restored, r.Keys, func() (float64, error) {
		const batch = 2 << 20
		for n, s := range r.stores {
			var entries []keyed.Entry
			size := 0
			for i := n; i < r.Keys; i += len(r.stores) {
				e := keyed.Entry{Key: []byte(r.key(i)), Value: []byte(`{"last_seq":1000000,"count":1,"sum_cents":12345}`)}
				entries, size = append(entries, e), size+len(e.Key)+len(e.Value)
				if size < batch && i+len(r.stores) < r.Keys {
					continue
				}
				if err := s.Restore(entries, int64(i)); err != nil {
					return 0, err
				}
				entries, size = entries[:0], 0
			}
		}
		return 0, nil
	}))
	if err != nil {
		return err
	}
	return r.verify(int64(r.Keys))
}

// records takes records through the stores, as a task does.
func (r *run) records(from, n int, pick func(int) int) (longest float64, err error) {
	for i := range n {
		k := pick(i)
		key, s := r.key(k), r.stores[k%len(r.stores)]
		t, _, err := s.Get(key)
		if err != nil {
			return 0, err
		}
		t.LastSeq, t.Count, t.Sum = int64(from+i)+1e6, t.Count+1, t.Sum+1234
		if err := s.Set(key, t); err != nil {
			return 0, err
		}
		s.Keep()
		if (i+1)%r.Commit != 0 && i+1 < n {
			continue
		}
		begin := time.Now()
		for _, s := range r.stores {
			if err := errors.Join(s.Drain(func(key, value []byte) error { return nil }), s.Commit(int64(from+i))); err != nil {
				return 0, err
			}
		}
		longest = max(longest, time.Since(begin).Seconds())
	}
	return longest, nil
}

// key is the i-th key, in an order that is not the keys'. The factor is a prime, so that each has one number.
func (r *run) key(i int) string {
	return fmt.Sprintf("customer-%09d", uint64(i)*2_654_435_761%uint64(r.Keys))
}

// part measures what do does, and the end of it: what is committed is on the disk when it is over, as far as the database writes it there.
func (r *run) part(name string, records int, do func() (longest float64, err error)) error {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak begins here
	pid := os.Getpid()
	before, wrote, begin := measure.UsageOf(pid), measure.Written(), time.Now()
	longest, err := do()
	worked := time.Now()
	if err = errors.Join(err, r.close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	closed, took := time.Now(), time.Since(begin)
	after := measure.UsageOf(pid)
	disk, err := size(r.Dir)
	n := float64(records)
	r.found = append(r.found, figures{Engine: r.engine, Part: name, Records: records, Rate: n / took.Seconds(), CPU: float64((after.CPU - before.CPU).Microseconds()) / n,
		Written: float64(measure.Written()-wrote) / n, Longest: 1e3 * longest, Peak: after.Peak, Disk: disk, Open: r.opened, Close: closed.Sub(worked).Seconds()})
	return err
}

// verify reads everything: each key is there, and together they have counted each record once.
func (r *run) verify(records int64) error {
	if err := r.open(); err != nil {
		return err
	}
	keys, counted := 0, int64(0)
	var errs []error
	for _, s := range r.stores {
		errs = append(errs, s.Dump(func(_, value []byte) bool {
			t, err := job.ParseTotal(value)
			if err != nil {
				errs = append(errs, err)
			}
			keys, counted = keys+1, counted+t.Count
			return err == nil
		}))
	}
	if keys != r.Keys || counted != records {
		errs = append(errs, fmt.Errorf("%d keys have counted %d records, want %d keys and %d records", keys, counted, r.Keys, records))
	}
	return errors.Join(errors.Join(errs...), r.close())
}

func size(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
