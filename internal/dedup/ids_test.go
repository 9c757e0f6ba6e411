package dedup

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/state"
)

func TestMain(m *testing.M) {
	// LevelDB drains its buffer pool for a second after it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

type fataler interface{ Fatal(...any) }

func open(t fataler, dir string, window time.Duration) *Ids {
	db, err := state.Open(state.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return Over(db, window)
}

// commit ends a transaction, and returns how many keys it has set and deleted.
func commit(t fataler, d *Ids, at int64) (set, deleted int) {
	d.Keep()
	if err := d.Drain(func(_, value []byte) error {
		if value == nil {
			deleted++
		} else {
			set++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(at); err != nil {
		t.Fatal(err)
	}
	return set, deleted
}

// TestIDsAreKnownForTheWindow holds ids against what their contract says, over records of any order of times, that fail, that are in
// transactions which are given up, and over restarts: an id is known until the clock has moved on by the window, and not known any more
// when it has by a quarter more. What is known says where it came from.
//
// Mutation seen to fail: load that keeps the clock which a record has taken back.
func TestIDsAreKnownForTheWindow(t *testing.T) {
	type known struct{ from, offset int64 } // the clock when it was processed, and the record
	rapid.Check(t, func(t *rapid.T) {
		windows := []time.Duration{time.Millisecond, 7 * time.Millisecond, 40 * time.Millisecond, 200 * time.Millisecond}
		window := rapid.SampledFrom(windows).Draw(t, "window")
		dir := tempDir(t)
		d := open(t, dir, window)
		defer func() { d.Close() }()
		var clock int64
		ids, least := map[string]known{}, window.Milliseconds()
		most := least + max(1, least/quarters)
		committed, committedClock := maps.Clone(ids), clock
		for offset := range int64(rapid.IntRange(20, 120).Draw(t, "records")) {
			id := fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "id"))
			at, now := clock+int64(rapid.IntRange(-10, 25).Draw(t, "later")), clock+30
			if rapid.IntRange(0, 20).Draw(t, "clock is wrong") == 0 {
				at = now + 1_000_000
			}
			first, ok, err := d.Seen(IDOf(id))
			if err != nil {
				t.Fatal(err)
			}
			k, was := ids[id]
			switch age := clock - k.from; {
			case ok && (!was || age > most):
				t.Fatalf("record %d: id %s is known %d ms after it was processed (%v), with a window of %d", offset, id, age, was, least)
			case !ok && was && age < least:
				t.Fatalf("record %d: id %s is not known %d ms after it was processed, with a window of %d", offset, id, age, least)
			case ok && first != (Place{"in", k.offset}):
				t.Fatalf("record %d: id %s is that of %+v, want %d", offset, id, first, k.offset)
			}
			if !ok {
				mark := d.Mark()
				if err := d.Remember(IDOf(id), time.UnixMilli(at), time.UnixMilli(now), Place{"in", offset}); err != nil {
					t.Fatal(err)
				}
				if rapid.IntRange(0, 4).Draw(t, "fails") == 0 {
					d.Undo(mark)
				} else {
					clock = max(clock, min(at, now))
					ids[id] = known{clock, offset}
				}
			}
			switch rapid.IntRange(0, 9).Draw(t, "then") {
			case 0, 1, 2:
				commit(t, d, offset)
				committed, committedClock = maps.Clone(ids), clock
			case 3:
				d.Reset()
				ids, clock = maps.Clone(committed), committedClock
			case 4:
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = open(t, dir, window)
				ids, clock = maps.Clone(committed), committedClock
			default:
				d.Keep()
			}
		}
	})
}

// tempDir is in memory where the system offers that: a database that is opened is synced a few times.
func tempDir(t *rapid.T) string {
	for _, base := range []string{"/dev/shm", ""} {
		if dir, err := os.MkdirTemp(base, "weir-ids-"); err == nil {
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			return dir
		}
	}
	t.Fatal("no folder for temporary files")
	return ""
}

// Where few records come, what is too old is deleted all the same.
//
// Mutation seen to fail: without sweepPause.
func TestFewRecordsDeleteWhatIsTooOld(t *testing.T) {
	d := open(t, t.TempDir(), time.Minute)
	defer d.Close()
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for n := range 100 {
		if err := d.Remember(IDOf(fmt.Sprint(n)), at, at, Place{"in", int64(n)}); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, d, 100)
	at = at.Add(time.Hour)
	if err := d.Remember(IDOf("later"), at, at, Place{"in", 100}); err != nil {
		t.Fatal(err)
	}
	if _, deleted := commit(t, d, 101); deleted != 100 {
		t.Errorf("%d of 100 ids are deleted", deleted)
	}
}

// A clock of another program, or of a damaged one, is no reason to call everything new.
//
// Mutation seen to fail: load without its error.
func TestAClockThatCannotBeReadIsAnError(t *testing.T) {
	d := open(t, t.TempDir(), time.Minute)
	defer d.Close()
	if err := d.Set(clockKey, "half past"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.Seen(IDOf("a")); err == nil {
		t.Error("no error")
	}
}

func TestPlacesAreReadAsTheyAreWritten(t *testing.T) {
	for _, p := range slices.Collect(func(yield func(Place) bool) {
		for _, topic := range []string{"", "a", "order.placed.v1"} {
			for _, offset := range []int64{0, 1, 63, 64, 1 << 40, 1<<63 - 1} {
				if !yield(Place{topic, offset}) {
					return
				}
			}
		}
	}) {
		if got := placeOf(p.encode()); got != p {
			t.Errorf("%+v is read as %+v", p, got)
		}
	}
}
