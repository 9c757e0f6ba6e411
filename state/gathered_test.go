package state

import (
	"fmt"
	"testing"
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
	d.behind.end(1, nil)
}
