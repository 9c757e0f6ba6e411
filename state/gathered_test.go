package state

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The keys that a store of the reference job has in use, 25,000 of 100,000 on four partitions with the default cache, are gathered for the
// whole interval. With less room each is written every few commits, and most of what a store costs is that.
//
// Mutation seen to fail it: gatheredBytes of half a write buffer.
func TestTheKeysInUseAreGatheredForAWholeInterval(t *testing.T) {
	d, err := Open(Options{Dir: t.TempDir(), CacheBytes: 128 << 20 / 4})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	value := []byte(`{"last_seq":123456,"count":123456,"sum_cents":12345678}`)
	g, err := d.behind.begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 25_000 {
		g.Put(fmt.Sprintf("customer-%08d", i), value)
	}
	if g.Bytes() >= d.behind.limit {
		t.Errorf("they take %d bytes, and with %d a write no longer waits", g.Bytes(), d.behind.limit)
	}
	d.behind.end(1, nil, time.Now())
}

// What a restore has to read after a crash is bounded in changes too, however few keys they are of.
//
// Mutation seen to fail it: an end that looks at the bytes alone.
func TestManyChangesOfOneKeyDoNotWaitForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Options{Dir: "db", storage: newDisk().open})
		if err != nil {
			t.Fatal(err)
		}
		defer time.Sleep(2 * time.Second) // LevelDB's pool ends a second after its database
		defer d.Close()
		change := func(times int) {
			g, err := d.behind.begin()
			if err != nil {
				t.Fatal(err)
			}
			for range times {
				g.Put("key", []byte("value"))
			}
			d.behind.end(1, nil, time.Now())
			synctest.Wait()
		}
		waits := func() bool {
			d.behind.mu.Lock()
			defer d.behind.mu.Unlock()
			return d.behind.filling.any
		}
		if change(mostChanges - 1); !waits() {
			t.Error("few changes are written at once")
		}
		if change(1); waits() {
			t.Errorf("%d changes wait for the interval", mostChanges)
		}
	})
}
