package state

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/keyed"
)

// A key that was added is never absent, however many there are, and a key that was not is hardly ever taken for one.
//
// Mutations, each seen to fail: grow that forgets the layers before; layers that are never full; has that looks at the last layer only;
// places in the words that are those which choose the block; add that adds a key again.
func TestAKeyThatWasAddedIsNeverAbsent(t *testing.T) {
	const keys = 100_000
	p := newPresent(0)
	key := func(kind string, i int) string { return fmt.Sprintf("%s-%d", kind, i) }
	if p.absent("none") {
		t.Error("a key is absent before the database was read")
	}
	p.complete.Store(true)
	if !p.absent("none") {
		t.Error("a key may be in an empty database")
	}
	add := hashes{to: p}
	for i := range keys {
		add.add(keyed.Hash(key("in", i)))
	}
	add.end()
	mistaken := 0
	for i := range keys {
		if p.absent(key("in", i)) {
			t.Fatalf("%s is absent", key("in", i))
		}
		if !p.absent(key("out", i)) {
			mistaken++
		}
	}
	if mistaken > keys*3/100 {
		t.Errorf("%d of %d keys that are not there may be there", mistaken, keys)
	}
	layers := len(*p.layers.Load())
	for i := range keys {
		add.add(keyed.HashBytes([]byte(key("in", i))))
	}
	add.end()
	if again := len(*p.layers.Load()); again != layers || layers < 3 {
		t.Errorf("%d layers, and %d when the same keys were added again", layers, again)
	}
}

// A database that was there is read to know its keys; one of which a part cannot be read has no absent keys.
//
// Mutations, each seen to fail: complete after an error; a survey without its last add; complete at opening.
func TestADatabaseThatCannotBeReadHasNoAbsentKeys(t *testing.T) {
	d := newDisk()
	small := func(o *opt.Options) { o.WriteBuffer, o.CompactionTableSize = 2_000, 2_000 }
	s := mustOpen(t, Options{Dir: "db", storage: d.open, tune: small})
	for i := range 50 {
		if err := commit(s, int64(i+1), fmt.Sprint("key", i), strings.Repeat("x", 200)); err != nil {
			t.Fatal(err)
		}
		if err := s.behind.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if v, ok, err := s.Get("none"); ok || err != nil {
		t.Fatal(v, ok, err)
	}
	s.Close()
	db, err := Open(Options{Dir: "db", storage: d.open, tune: small})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.survey.end()
	for _, broken := range []bool{true, false} {
		db.present = newPresent(0)
		reads := 0
		if broken {
			d.failWith(func(op string, fd storage.FileDesc) error {
				if op == "read" && fd.Type == storage.TypeTable {
					if reads++; reads > 3 {
						return syscall.EIO
					}
				}
				return nil
			})
		}
		db.survey.begin(db, db.present)
		db.survey.done.Wait()
		d.failWith(nil)
		if got := db.present.absent("none"); got == broken {
			t.Errorf("with a read that fails %v, a key that is not there is absent: %v", broken, got)
		}
		for i := range 50 {
			if _, ok, err := db.Get(fmt.Sprint("key", i)); !ok || err != nil {
				t.Fatalf("with a read that fails %v, key %d: %v %v", broken, i, ok, err)
			}
		}
		db.survey.end()
	}
}

// Databases of before have compressed blocks and no filters in their SSTables.
//
// Mutation seen to fail: complete at opening.
func TestADatabaseOfAnEarlierVersionIsRead(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open, tune: func(o *opt.Options) {
		*o = opt.Options{WriteBuffer: 2_000, Strict: strictness, NoWriteMerge: true, DisableLargeBatchTransaction: true}
	}})
	for i := range 50 {
		if err := commit(s, int64(i+1), "a", fmt.Sprint(i), fmt.Sprint("key", i), strings.Repeat("x", 200)); err != nil {
			t.Fatal(err)
		}
		if err := s.behind.flush(); err != nil {
			t.Fatal(err)
		}
	}
	want := contents(t, s)
	s.Close()
	for range 2 {
		s := mustOpen(t, Options{Dir: "db", storage: d.open})
		if got := contents(t, s); got != want {
			t.Fatalf("the database holds %.200s", got)
		}
		for i := range 50 {
			if _, ok, err := s.Get(fmt.Sprint("key", i)); !ok || err != nil {
				t.Fatalf("key %d: %v %v", i, ok, err)
			}
		}
		if v, ok, err := s.Get("none"); ok || err != nil {
			t.Fatal(v, ok, err)
		}
		s.Close()
	}
}

// Mutation seen to fail: a Get that does not ask.
func TestAnAbsentKeyCostsNoAllocation(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open})
	if err := commit(s, 1, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.behind.flush(); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { s.db.Get("none") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAFilterForgetsKeysThatAreDeleted: a store whose keys come and go keeps a filter of the keys that it has, not of all that it ever had,
// and none of those that it has is missing in it while it is replaced.
//
// Mutations, each seen to fail: without renew; without the fresh keys of the meantime.
func TestAFilterForgetsKeysThatAreDeleted(t *testing.T) {
	db, err := Open(Options{Dir: t.TempDir(), CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := keyed.Over(db, codecs.String())
	defer s.Close()
	const turn, live, turns = 4_000, 3, 50
	key := func(turn, n int) string { return fmt.Sprintf("%d-%d", turn, n) }
	renewed, was := 0, db.present
	for i := range turns {
		for n := range turn {
			if err := s.Set(key(i, n), "x"); err != nil {
				t.Fatal(err)
			}
			if i >= live {
				if err := s.Delete(key(i-live, n)); err != nil {
					t.Fatal(err)
				}
			}
			if n%100 == 99 {
				s.Keep()
				if err := errors.Join(s.Drain(func(_, _ []byte) error { return nil }), s.Commit(int64(i*turn+n))); err != nil {
					t.Fatal(err)
				}
				if db.present != was {
					renewed, was = renewed+1, db.present
				}
				for _, at := range []int{0, n / 2, n} {
					if db.present.absent(key(i, at)) {
						t.Fatalf("turn %d: key %d is there, and absent by the filter", i, at)
					}
				}
			}
		}
		if i%5 == 4 {
			for back := range live {
				for n := 0; n < turn; n += 7 {
					if db.present.absent(key(i-back, n)) {
						t.Fatalf("turn %d: key %d of turn %d is there, and absent by the filter", i, n, i-back)
					}
				}
			}
		}
	}
	if renewed < 2 {
		t.Errorf("the filter was replaced %d times", renewed)
	}
	if n := db.present.keys.Load(); n > turns*turn/2 {
		t.Errorf("the filter knows %d keys, of %d that are there", n, live*turn)
	}
}
