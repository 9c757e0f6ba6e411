package state

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/opt"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/keyed"
)

// moment is what was committed with a checkpoint.
type moment struct {
	checkpoint int64
	values     map[string]string
}

// model is a store in the simplest form that can be right: whole maps.
type model struct {
	history []moment          // every commit since the last start, and the state at the start in front
	flushed int               // how many of them are in the database for sure
	now     map[string]string // with everything uncommitted
	marks   []mark
	touched []string        // by the transaction since the last drain, in order
	dirty   map[string]bool // of the transaction
}

type mark struct {
	mark    int
	values  map[string]string
	touched []string
	dirty   map[string]bool
}

func (m *model) committed() moment { return m.history[len(m.history)-1] }

func (m *model) begin() {
	m.now = maps.Clone(m.committed().values)
	m.marks, m.touched, m.dirty = nil, nil, map[string]bool{}
}

func (m *model) touch(key string) {
	if !slices.Contains(m.touched, key) {
		m.touched = append(m.touched, key)
	}
	m.dirty[key] = true
}

// harness runs the same operations on a store and on the model.
type harness[T any] struct {
	t     *rapid.T
	store *opened[T]
	disk  *disk
	cache int64
	codec interface {
		Append([]byte, T) ([]byte, error)
		Parse([]byte) (T, error)
	}
	of   func(string) T
	text func(T) string
	model
	next int64
}

func (h *harness[T]) open() {
	var err error
	h.store, err = openStore(Options{
		Dir: "db", TopicID: "topic", CacheBytes: h.cache, storage: h.disk.open,
		// Journals are full and SSTables are merged after a few commits.
		tune: func(o *opt.Options) {
			o.WriteBuffer, o.CompactionTableSize, o.CompactionTotalSize = 600, 500, 2000
			o.DisableCompactionBackoff = true
		},
	}, h.codec)
	if err != nil {
		h.t.Fatalf("open: %v", err)
	}
}

// reopened checks that the database is at one of the moments that it may be at.
func (h *harness[T]) reopened(earliest int) {
	h.open()
	checkpoint, ok := h.store.Checkpoint()
	if !ok {
		checkpoint = -1
	}
	at := slices.IndexFunc(h.history, func(m moment) bool { return m.checkpoint == checkpoint })
	if at < earliest {
		h.t.Fatalf("the checkpoint is %d (%v), which is not one of %d or later", checkpoint, ok, h.history[earliest].checkpoint)
	}
	h.history = h.history[at : at+1]
	h.flushed = 0
	got := map[string]string{}
	if err := h.store.Dump(func(key, value []byte) bool { got[string(key)] = string(value); return true }); err != nil {
		h.t.Fatal(err)
	}
	if !maps.Equal(got, h.committed().values) {
		h.t.Fatalf("at checkpoint %d the database holds %v, and %v was committed", checkpoint, got, h.committed().values)
	}
	h.begin()
}

func (h *harness[T]) key() string {
	return rapid.SampledFrom(modelKeys).Draw(h.t, "key")
}

var modelKeys = []string{"", "a", "aa", "ab", "b", "b\x00", "ba", "c", "\xff", "\xff\xff", "d", "e", "f"}

func (h *harness[T]) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"get":    func(*rapid.T) { h.get(h.key()) },
		"change": func(*rapid.T) { h.change() },
		"mark":   func(*rapid.T) { h.mark() },
		"undo": func(t *rapid.T) {
			if len(h.marks) == 0 {
				t.Skip()
			}
			h.undo(rapid.IntRange(0, len(h.marks)-1).Draw(t, "mark"))
		},
		"failed record": func(t *rapid.T) {
			h.mark()
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				h.change()
			}
			h.undo(len(h.marks) - 1)
		},
		"keep":  func(*rapid.T) { h.keep() },
		"known": func(*rapid.T) { h.store.db.survey.done.Wait() }, // which keys are absent
		"drain": func(t *rapid.T) {
			h.keep()
			h.drain(-1)
		},
		"drain and fail": func(t *rapid.T) {
			h.keep()
			h.drain(rapid.IntRange(0, 3).Draw(t, "fail at"))
		},
		"commit": func(*rapid.T) { h.commit() },
		// Whole transactions, each over all keys, bring values from the cache to where it keeps those that are used now and then, and back.
		"transactions": func(t *rapid.T) {
			for range rapid.IntRange(1, 4).Draw(t, "transactions") {
				for range rapid.IntRange(0, 4).Draw(t, "changes") {
					h.change()
				}
				if rapid.IntRange(0, 2).Draw(t, "give up") > 0 {
					h.commit()
				} else {
					h.store.Reset()
					h.begin()
				}
				if rapid.Bool().Draw(t, "get all") {
					for _, key := range modelKeys {
						h.get(key)
					}
				}
			}
		},
		"flush": func(t *rapid.T) {
			if err := h.store.behind.flush(); err != nil {
				t.Fatal(err)
			}
			h.flushed = len(h.history) - 1
		},
		"restore": func(t *rapid.T) {
			h.store.Reset()
			h.begin()
			var entries []keyed.Entry
			for range rapid.IntRange(0, 5).Draw(t, "entries") {
				key := h.key()
				if rapid.Bool().Draw(t, "tombstone") {
					entries = append(entries, keyed.Entry{Key: []byte(key)})
					delete(h.now, key)
				} else {
					entries = append(entries, keyed.Entry{Key: []byte(key), Value: []byte("restored")})
					h.now[key] = "restored"
				}
			}
			h.next++
			if err := h.store.Restore(entries, h.next); err != nil {
				t.Fatal(err)
			}
			h.history = append(h.history, moment{h.next, maps.Clone(h.now)})
			h.flushed = len(h.history) - 1
			for _, e := range entries {
				h.get(string(e.Key))
			}
		},
		"reset": func(*rapid.T) {
			h.store.Reset()
			h.begin()
		},
		"loop": func(t *rapid.T) {
			from, to := h.key(), h.key()
			h.loop(t, fmt.Sprintf("range %q %q", from, to), func(key string) bool { return key >= from && (to == "" || key < to) },
				func(fail func(error)) func(func(string, T) bool) { return h.store.Range(from, to, fail) })
			h.loop(t, fmt.Sprintf("prefix %q", from), func(key string) bool { return strings.HasPrefix(key, from) },
				func(fail func(error)) func(func(string, T) bool) { return h.store.Prefix(from, fail) })
			h.flushed = len(h.history) - 1
		},
		"close and open": func(t *rapid.T) {
			if err := h.store.Close(); err != nil {
				t.Fatal(err)
			}
			h.reopened(len(h.history) - 1)
		},
		"kill": func(*rapid.T) {
			after := h.disk.killed()
			h.store.Close()
			h.disk = after
			h.reopened(h.flushed)
		},
		"unplug": func(t *rapid.T) {
			after := h.disk.unplugged(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
			h.store.Close()
			h.disk = after
			h.reopened(0)
		},
		"": func(t *rapid.T) {
			undrained := 0
			for _, key := range h.touched {
				undrained += len(key) + len(h.now[key])
			}
			pending := 0
			for key := range h.dirty {
				pending += len(key) + len(h.now[key])
			}
			if h.store.Undrained() != undrained || h.store.Pending() != pending {
				t.Fatalf("undrained %d, pending %d, want %d and %d", h.store.Undrained(), h.store.Pending(), undrained, pending)
			}
			if _, err := h.store.Held(); err != nil {
				t.Fatal(err)
			}
		},
	}
}

func (h *harness[T]) get(key string) {
	got, ok, err := h.store.Get(key)
	want, has := h.now[key]
	if err != nil || ok != has || ok && h.text(got) != want {
		h.t.Fatalf("get %q: %v %v %v, want %q %v", key, got, ok, err, want, has)
	}
}

func (h *harness[T]) commit() {
	h.keep()
	h.drain(-1)
	h.next += rapid.Int64Range(1, 5).Draw(h.t, "progress")
	if err := h.store.Commit(h.next); err != nil {
		h.t.Fatal(err)
	}
	h.history = append(h.history, moment{h.next, maps.Clone(h.now)})
	h.begin()
}

func (h *harness[T]) change() {
	key := h.key()
	h.touch(key)
	if rapid.IntRange(0, 3).Draw(h.t, "delete") == 0 {
		if err := h.store.Delete(key); err != nil {
			h.t.Fatal(err)
		}
		delete(h.now, key)
		return
	}
	value := rapid.StringN(0, 40, 60).Draw(h.t, "value")
	if err := h.store.Set(key, h.of(value)); err != nil {
		h.t.Fatal(err)
	}
	h.now[key] = value
}

func (h *harness[T]) mark() {
	h.marks = append(h.marks, mark{h.store.Mark(), maps.Clone(h.now), slices.Clone(h.touched), maps.Clone(h.dirty)})
}

func (h *harness[T]) undo(i int) {
	m := h.marks[i]
	h.store.Undo(m.mark)
	h.now, h.touched, h.dirty, h.marks = m.values, m.touched, m.dirty, h.marks[:i]
}

func (h *harness[T]) keep() {
	h.store.Keep()
	h.marks = nil
}

// drain checks what is handed out, up to where emit fails.
func (h *harness[T]) drain(failAt int) {
	n := 0
	refused := fmt.Errorf("refused")
	err := h.store.Drain(func(key, value []byte) error {
		if n == failAt {
			return refused
		}
		if n >= len(h.touched) || string(key) != h.touched[n] {
			h.t.Fatalf("drained %q as number %d of %q", key, n, h.touched)
		}
		want, has := h.now[h.touched[n]]
		if has != (value != nil) || string(value) != want {
			h.t.Fatalf("drained %q with %q, want %q %v", key, value, want, has)
		}
		n++
		return nil
	})
	if (err != nil) != (failAt >= 0 && failAt < len(h.touched)) || err == nil && n != len(h.touched) {
		h.t.Fatalf("drained %d of %q: %v", n, h.touched, err)
	}
	h.touched = slices.Clone(h.touched[n:])
}

// loop compares a loop, in which the store is changed, with what the model says that it visits.
func (h *harness[T]) loop(t *rapid.T, name string, in func(string) bool, begin func(func(error)) func(func(string, T) bool)) {
	before := slices.Sorted(maps.Keys(h.now))
	born := map[string]bool{}
	var got, want []string
	visit := func(key string) {
		if _, ok := h.now[key]; ok && in(key) && !born[key] {
			want = append(want, key+"="+h.now[key])
		}
	}
	done := 0
	for key, value := range begin(func(err error) { t.Fatalf("%s: %v", name, err) }) {
		for done < len(before) && before[done] <= key {
			visit(before[done])
			done++
		}
		got = append(got, key+"="+h.text(value))
		if rapid.IntRange(0, 2).Draw(t, "change") == 0 {
			other := h.key()
			if _, was := h.now[other]; was && rapid.Bool().Draw(t, "take out") {
				h.store.Delete(other)
				delete(h.now, other)
			} else {
				if !was {
					born[other] = true
				}
				h.store.Set(other, h.of("changed in the loop"))
				h.now[other] = "changed in the loop"
			}
			h.touch(other)
		}
	}
	for ; done < len(before); done++ {
		visit(before[done])
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s visited %q, want %q", name, got, want)
	}
}

func newModel() model {
	m := model{history: []moment{{-1, map[string]string{}}}}
	m.begin()
	return m
}

type bytesCodec struct{}

func (bytesCodec) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (bytesCodec) Parse(data []byte) ([]byte, error)           { return bytes.Clone(data), nil }

// A store answers like a map, whatever happens to it and however small its cache is; and after a crash it is what one of
// the commits left, whole. Seen to fail with: a Reset that keeps the dirty entries, an Undo that forgets the list of
// undrained keys or what an entry counts, a drained entry that stays marked, a checkpoint written in a batch of its own, a
// Get that looks only into the database, a loop that visits keys born in it or reads without a flush, and a shelf that keeps what was
// deleted, restored or taken back.
func TestStoreIsAMapWithCommits(t *testing.T) {
	for _, cache := range []int64{1, 600, 3_000, 1 << 30} { // with 3,000 most keys are on the shelf
		t.Run(fmt.Sprintf("flat/cache=%d", cache), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				h := &harness[string]{t: rt, disk: newDisk(), cache: cache, codec: stringCodec{}, model: newModel(),
					of: func(s string) string { return s }, text: func(s string) string { return s }}
				h.open()
				defer func() { h.store.Close() }()
				rt.Repeat(h.actions())
			})
		})
		t.Run(fmt.Sprintf("references/cache=%d", cache), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				h := &harness[[]byte]{t: rt, disk: newDisk(), cache: cache, codec: bytesCodec{}, model: newModel(),
					of: func(s string) []byte { return []byte(s) }, text: func(b []byte) string { return string(b) }}
				h.open()
				defer func() { h.store.Close() }()
				rt.Repeat(h.actions())
			})
		})
	}
}
