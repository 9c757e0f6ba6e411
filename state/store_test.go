package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/filelock"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/internal/keyed"
)

var (
	_ keyed.Any            = (*keyed.Store[int])(nil)
	_ keyed.Database       = (*Database)(nil)
	_ codecs.Codec[string] = stringCodec{}
)

func TestMain(m *testing.M) {
	filelock.BetweenTries = func() { time.Sleep(time.Millisecond) }
	// LevelDB's pool lingers up to a second after Close, by itself.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

type stringCodec struct{}

var errUnencodable = errors.New("unencodable")

func (stringCodec) Append(dst []byte, v string) ([]byte, error) {
	if v == "unencodable" {
		return append(dst, "half"...), errUnencodable
	}
	return append(dst, v...), nil
}

func (stringCodec) Parse(data []byte) (string, error) {
	if string(data) == "undecodable" {
		return "", errors.New("undecodable")
	}
	return string(data), nil
}

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(dst []byte, v T) ([]byte, error) {
	data, err := json.Marshal(v)
	return append(dst, data...), err
}

func (jsonCodec[T]) Parse(data []byte) (v T, err error) { return v, json.Unmarshal(data, &v) }

// Seen to fail with: a Store that keeps the decoded value of every type.
func TestChangingAValueThatWasReadDoesNotChangeTheStore(t *testing.T) {
	s, err := openStore(Options{Dir: "db", storage: newDisk().open}, jsonCodec[map[string][]int]{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mine := map[string][]int{"a": {1}}
	if err := s.Set("key", mine); err != nil {
		t.Fatal(err)
	}
	want := map[string][]int{"a": {1}}
	for range 2 {
		mine["a"][0] = 2
		mine["b"] = nil
		if mine, _, err = s.Get("key"); err != nil || !reflect.DeepEqual(mine, want) {
			t.Fatalf("the store now has %v, %v", mine, err)
		}
		s.Keep()
		s.Drain(func(key, value []byte) error { return nil })
		if err := s.Commit(1); err != nil {
			t.Fatal(err)
		}
	}
}

// A field that the codec leaves out is gone at once, and not when the key leaves the cache or the program is restarted: what a node
// reads does not depend on these.
//
// Mutations, each seen to fail: such values are flat; they are plain.
func TestAFieldThatIsNotWrittenIsNotKept(t *testing.T) {
	type total struct {
		Sum  int `json:"sum"`
		Seen int `json:"-"`
		last int
	}
	type named struct {
		Name string `json:"name"`
		last int
	}
	notKept(t, total{Sum: 1, Seen: 2, last: 3}, total{Sum: 1})
	notKept(t, named{Name: "a", last: 3}, named{Name: "a"})
}

func notKept[T comparable](t *testing.T, set, want T) {
	t.Helper()
	s, err := openStore(Options{Dir: "db", storage: newDisk().open, CacheBytes: 32 << 10}, jsonCodec[T]{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for checkpoint := range int64(3) {
		for i := range 300 { // more than the cache holds: some are on its shelf, some in the database
			key := fmt.Sprint(i)
			if got, ok, err := s.Get(key); ok != (checkpoint > 0) || ok && got != want || err != nil {
				t.Fatalf("the store has %+v, %v", got, err)
			}
			if err := s.Set(key, set); err != nil {
				t.Fatal(err)
			}
			if got, _, err := s.Get(key); got != want || err != nil {
				t.Fatalf("the store has %+v, %v", got, err)
			}
			s.Keep()
		}
		if err := s.Drain(func(key, value []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(checkpoint); err != nil {
			t.Fatal(err)
		}
	}
}

// What Drain handed out stays as it is until the transaction is committed. Mutation: drain takes its arena back.
func TestDrainedSlicesStayUntilTheCommit(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open, CacheBytes: 1})
	type pair struct{ key, value []byte }
	var got []pair
	var want []string
	for i := range 3000 {
		key, value := fmt.Sprintf("key%d", i%7), strings.Repeat(fmt.Sprint(i), 1+i%200)
		if err := s.Set(key, value); err != nil {
			t.Fatal(err)
		}
		s.Keep()
		s.Drain(func(key, value []byte) error { got = append(got, pair{key, value}); return nil })
		want = append(want, key+value)
		if i%100 == 99 {
			for j, p := range got {
				if string(p.key)+string(p.value) != want[j] || cap(p.value) != len(p.value) || cap(p.key) != len(p.key) {
					t.Fatalf("change %d is now %s %s", i-99+j, p.key, p.value)
				}
			}
			got, want = got[:0], want[:0]
			if err := s.Commit(int64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// An empty value is a value, in the changelog too. Seen to fail with: a take that returns nil for nothing.
func TestEmptyValueIsNoDeletion(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open})
	s.Set("", "")
	s.Set("gone", "")
	s.Delete("gone")
	s.Keep()
	var got []string
	s.Drain(func(key, value []byte) error {
		got = append(got, fmt.Sprintf("%q %v", key, value != nil))
		return nil
	})
	if want := []string{`"" true`, `"gone" false`}; !slices.Equal(got, want) {
		t.Fatalf("drained %v, want %v", got, want)
	}
	if err := s.Commit(1); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, s); got != "@1 =" {
		t.Fatalf("the database holds %s", got)
	}
}

// Seen to fail with: a Set that changes the entry before it encodes.
func TestFailedSetChangesNothing(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open, MaxRecordBytes: 10})
	if err := s.Set("a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("a", "unencodable"); !errors.Is(err, errUnencodable) {
		t.Fatalf("unencodable: %v", err)
	}
	if err := s.Set("a", "0123456789"); err == nil || !strings.Contains(err.Error(), "max.message.bytes") {
		t.Fatalf("too large: %v", err)
	}
	if v, ok, err := s.Get("a"); v != "1" || !ok || err != nil || s.Pending() != 2 || s.Err() != nil {
		t.Fatalf("the store now has %q %v %v, %d pending, %v", v, ok, err, s.Pending(), s.Err())
	}
}

// Seen to fail with: a Commit without the checks.
func TestDatabaseIsNeverAheadOfTheChangelog(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open})
	s.Set("a", "1")
	if err := s.Drain(func(key, value []byte) error { return nil }); err != keyed.ErrInRecord {
		t.Fatalf("drain within a record: %v", err)
	}
	if err := s.Commit(1); err != keyed.ErrInRecord {
		t.Fatalf("commit within a record: %v", err)
	}
	s.Keep()
	if err := s.Commit(1); err != keyed.ErrUndrained {
		t.Fatalf("commit of what is not in the changelog: %v", err)
	}
	if err := s.Restore(nil, 1); err != keyed.ErrUnfinished {
		t.Fatalf("restore over uncommitted changes: %v", err)
	}
	if got := contents(t, s); got != "@-1" {
		t.Fatalf("the database holds %s", got)
	}
	s.Reset()
	if err := s.Commit(1); err != nil {
		t.Fatal(err)
	}
}

// Seen to fail with: a run that ends without a write, and one that waits for the next commit.
func TestCommittedChangesAreWrittenSoonWithoutAnotherCommit(t *testing.T) {
	d := newDisk()
	synctest.Test(t, func(t *testing.T) {
		s, err := openStore(Options{Dir: "db", storage: d.open}, stringCodec{})
		if err != nil {
			t.Fatal(err)
		}
		// LevelDB's pool ends a second after its database.
		defer time.Sleep(2 * time.Second)
		defer s.Close()
		for i := range 3 {
			if err := commit(s, int64(i), "a", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(writeInterval / 4)
		}
		time.Sleep(writeInterval)
		synctest.Wait()
		if s.behind.filling.any || s.behind.writing != nil || s.behind.running {
			t.Fatalf("after an interval of quiet something is not written")
		}
	})
	after := mustOpen(t, Options{Dir: "db", storage: d.killed().open})
	if got := contents(t, after); got != "@2 a=2" {
		t.Fatalf("the database holds %s", got)
	}
}

// What waits to be written is bounded: a Commit waits for the disk rather than gathering more. Seen to fail with: a
// begin that does not wait, and an end that does not wake the writer.
func TestCommitsWaitForASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := openStore(Options{Dir: "db", storage: newDisk().open, CacheBytes: 1}, stringCodec{})
		if err != nil {
			t.Fatal(err)
		}
		defer time.Sleep(2 * time.Second)
		defer s.Close()
		start := time.Now()
		for i := range 400 {
			if err := commit(s, int64(i), fmt.Sprintf("key%d", i), strings.Repeat("x", 10_000)); err != nil {
				t.Fatal(err)
			}
			s.behind.mu.Lock()
			gathered := s.behind.filling.Bytes()
			if s.behind.writing != nil {
				gathered += s.behind.writing.Bytes()
			}
			s.behind.mu.Unlock()
			if limit := 2 * (s.behind.limit + 10_100); gathered > limit {
				t.Fatalf("%d bytes wait to be written, and %d may", gathered, limit)
			}
		}
		// LevelDB slows a writer down by single milliseconds when its merges are behind.
		if waited := time.Since(start); waited >= writeInterval {
			t.Fatalf("commits waited %v for the interval and not for the disk", waited)
		}
	})
}

// Seen to fail with: an Open that ignores the id, and one that stamps the new id.
func TestDatabaseOfAnotherTopicIsRefused(t *testing.T) {
	d := newDisk()
	open := func(id string) (*opened[string], error) {
		return openStore(Options{Dir: "store/0", TopicID: id, storage: d.open}, stringCodec{})
	}
	for _, c := range []struct {
		id, refused string
	}{{"", ""}, {"first", ""}, {"", ""}, {"second", "first"}, {"first", ""}} {
		s, err := open(c.id)
		var changed *TopicChangedError
		if errors.As(err, &changed) {
			if changed.Have != c.refused || changed.Want != c.id || changed.Dir != "store/0" {
				t.Fatalf("%q: %v", c.id, err)
			}
			continue
		}
		if err != nil || c.refused != "" {
			t.Fatalf("%q: %v", c.id, err)
		}
		s.Close()
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open})
	if err := s.db.db.Put(stampKey, stamp{format + 1, "topic"}.encode(), nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := openStore(Options{Dir: "db", storage: d.open}, stringCodec{})
	var newer *FormatError
	if !errors.As(err, &newer) || newer.Have != format+1 {
		t.Fatalf("open says: %v", err)
	}
}

// Seen to fail with: a closed store whose Commit reaches the database.
func TestClosedStoreSaysSo(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open})
	s.Set("a", "1")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := s.Get("a")
	for what, err := range map[string]error{
		"get": err, "set": s.Set("a", "1"), "delete": s.Delete("a"), "commit": s.Commit(1), "restore": s.Restore(nil, 1),
		"drain": s.Drain(nil), "dump": s.Dump(nil),
	} {
		if err != keyed.ErrClosed {
			t.Errorf("%s: %v", what, err)
		}
	}
	s.Reset()
	s.Undo(s.Mark())
}

// State that is larger than the cache, and than LevelDB's buffers, costs no more memory. Seen to fail with: a cache that
// never evicts.
func TestCacheStaysBounded(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open, CacheBytes: 64 << 10})
	const keys = 20_000
	for i := range keys {
		if err := s.Set(fmt.Sprintf("key%05d", i), strings.Repeat("x", 100)); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 {
			if err := commit(s, int64(i)); err != nil {
				t.Fatal(err)
			}
			if c, err := s.Held(); err != nil || c.Entries > 400 || c.Clock != c.Entries {
				t.Fatalf("%+v, %v", c, err)
			}
		}
	}
	for i := range keys {
		if v, ok, err := s.Get(fmt.Sprintf("key%05d", i)); len(v) != 100 || !ok || err != nil {
			t.Fatalf("key %d: %q %v %v", i, v, ok, err)
		}
	}
	if _, err := s.Held(); err != nil {
		t.Fatal(err)
	}
}

// Seen to fail with: an evict that does not look at dirty, and an Undo that does not evict.
func TestUncommittedChangesAreNotEvicted(t *testing.T) {
	s := mustOpen(t, Options{Dir: "db", storage: newDisk().open, CacheBytes: 2000})
	for i := range 50 {
		key := fmt.Sprint(i)
		if _, _, err := s.Get(key); err != nil {
			t.Fatal(err)
		}
		if err := s.Set(key, key); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		if _, _, err := s.Get(fmt.Sprint("absent", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		if v, ok, err := s.Get(fmt.Sprint(i)); v != fmt.Sprint(i) || !ok || err != nil {
			t.Fatalf("key %d: %q %v %v", i, v, ok, err)
		}
	}
	s.Undo(0)
	if _, err := s.Held(); err != nil || s.Pending() != 0 {
		t.Fatalf("after Undo: %v, %d pending", err, s.Pending())
	}
}

// A key that was never read and whose Set is undone has the value of the database again. Seen to fail with: a takeBack
// that keeps the entry.
func TestUndoneSetOfAnUnreadKeyLeavesTheDatabasesValue(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open})
	if err := commit(s, 1, "a", "old"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = mustOpen(t, Options{Dir: "db", storage: d.open})
	mark := s.Mark()
	s.Set("a", "new")
	s.Undo(mark)
	if v, ok, err := s.Get("a"); v != "old" || !ok || err != nil {
		t.Fatalf("%q %v %v", v, ok, err)
	}
}

// TestADatabaseIsClosedWithoutAStore: whoever opens one need not put a store over it, and what it closes is free.
//
// Mutations, each seen to fail: Close without closed; Close without d.close.
func TestADatabaseIsClosedWithoutAStore(t *testing.T) {
	dir := t.TempDir() + "/db"
	for range 2 {
		db, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
