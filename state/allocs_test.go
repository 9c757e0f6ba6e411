//go:build unix

package state

import (
	"fmt"
	"testing"
	"time"
)

// What a record costs that reads a key in the cache and changes it, with the commit of a transaction of 1,000 of them: no allocation
// but the chunks that encoded values lie in.
//
// Mutation seen to fail: Set that clones the encoded value.
func TestARecordOfAKnownKeyAllocatesNothing(t *testing.T) {
	s, err := openStore(Options{Dir: t.TempDir(), CacheBytes: 8 << 20}, totalCodec{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const keys = 1_000
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("customer-%06d", i)
	}
	emit := func(key, value []byte) error { return nil }
	checkpoint := int64(0)
	transaction := func() {
		for _, key := range names {
			v, _, err := s.Get(key)
			if err != nil {
				t.Fatal(err)
			}
			v.Count++
			if err := s.Set(key, v); err != nil {
				t.Fatal(err)
			}
			s.Keep()
		}
		if err := s.Drain(emit); err != nil {
			t.Fatal(err)
		}
		checkpoint++
		if err := s.Commit(checkpoint); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		transaction()
	}
	if n := testing.AllocsPerRun(20, transaction); n > keys/50 {
		t.Errorf("%v allocations for %d records", n, keys)
	}
}

// A Get of a key in the cache allocates nothing, and one of a key on the shelf little more than its entry.
//
// Mutation seen to fail: shelve that keeps nothing.
func TestAGetOfAKnownKeyAllocatesLittle(t *testing.T) {
	s, err := openStore(Options{Dir: t.TempDir(), CacheBytes: 1 << 20}, totalCodec{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const keys = 3_000 // more than the cache has entries for
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("customer-%06d", i)
		if err := s.Set(names[i], total{Count: int64(i)}); err != nil {
			t.Fatal(err)
		}
		s.Keep()
	}
	if err := s.Drain(func(key, value []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(1); err != nil {
		t.Fatal(err)
	}
	if err := s.behind.flush(); err != nil {
		t.Fatal(err)
	}
	get := func(key string, want int) {
		if v, ok, err := s.Get(key); !ok || err != nil || v.Count != int64(want) {
			t.Fatal(v, ok, err)
		}
	}
	get(names[0], 0)
	if n := testing.AllocsPerRun(100, func() { get(names[0], 0) }); n > 0 {
		t.Errorf("%v allocations for a key in the cache", n)
	}
	all := func() {
		for i, key := range names {
			get(key, i)
		}
	}
	if n := testing.AllocsPerRun(3, all); n > keys*3/2 {
		t.Errorf("%v allocations for %d keys of which few are in the cache", n, keys)
	}
}

// What a Get gave out of what is not written yet stays as it was.
//
// Mutation seen to fail: a Get that does not copy.
func TestWhatWasReadIsNotWrittenOver(t *testing.T) {
	db, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(value string) {
		g, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		g.Put("key", []byte(value))
		db.End(1, nil, time.Now())
	}
	put("before")
	before, ok, err := db.Get("key")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	put("after.")
	if after, _, _ := db.Get("key"); string(before) != "before" || string(after) != "after." {
		t.Errorf("%q, then %q", before, after)
	}
}
