package state

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/weirstream/weir/internal/keyed"
)

// A process may be killed at any moment of a background write, with commits made meanwhile that wait for the next one. What
// it leaves is exactly what one of the commits made, values and checkpoint together, and never an earlier one than was there
// before.
//
// Mutations: write takes the checkpoint that is the newest at its end; it clears what was gathered meanwhile; end writes into
// what is under way; two writes at once.
func TestAKillDuringABackgroundWriteLeavesOneOfTheCommits(t *testing.T) {
	for meanwhile := range 4 {
		t.Run(fmt.Sprint(meanwhile, " commits meanwhile"), func(t *testing.T) {
			d := newDisk()
			s := mustOpen(t, Options{Dir: "db", storage: d.open, CacheBytes: 1})
			var held bool
			var reached, proceed chan struct{}
			d.failWith(func(op string, fd storage.FileDesc) error {
				if op == "write" && fd.Type == storage.TypeJournal && held {
					held = false
					d.mu.Unlock()
					close(reached)
					<-proceed
					d.mu.Lock()
				}
				return nil
			})
			// The model: what each checkpoint holds. Keys come, change and go.
			model := map[string]string{}
			states := []string{"@-1"}
			n := 0
			next := func() {
				t.Helper()
				n++
				shared, own := fmt.Sprint("v", n), fmt.Sprint("k", n%3)
				if err := commit(s, int64(n), "shared", shared, own, shared); err != nil {
					t.Fatal(err)
				}
				model["shared"], model[own] = shared, shared
				states = append(states, stateText(int64(n), model))
			}
			latest := 0 // the newest commit that a kill has left so far
			killed := func(when string) {
				t.Helper()
				after := d.killed()
				again := mustOpen(t, Options{Dir: "db", storage: after.open})
				got := contents(t, again)
				for i, state := range states {
					if got == state {
						if i < latest {
							t.Errorf("%s: commit %d, after %d was there", when, i, latest)
						}
						latest = i
						return
					}
				}
				t.Errorf("%s: %s, which is none of the commits %s", when, got, strings.Join(states, "; "))
			}
			for round := range 5 {
				next()
				reached, proceed = make(chan struct{}), make(chan struct{})
				d.mu.Lock()
				held = true
				d.mu.Unlock()
				written := make(chan error, 1)
				go func() { written <- s.behind.flush() }()
				<-reached
				for range meanwhile {
					next()
				}
				killed(fmt.Sprint("round ", round, ", under way"))
				close(proceed)
				if err := <-written; err != nil {
					t.Fatal(err)
				}
				killed(fmt.Sprint("round ", round, ", written"))
				if err := s.behind.flush(); err != nil {
					t.Fatal(err)
				}
				killed(fmt.Sprint("round ", round, ", flushed"))
				if latest != n {
					t.Errorf("round %d: commit %d after a flush, want %d", round, latest, n)
				}
			}
		})
	}
}

func stateText(checkpoint int64, values map[string]string) string {
	text := fmt.Sprint("@", checkpoint)
	for _, key := range []string{"k0", "k1", "k2", "shared"} {
		if v, ok := values[key]; ok {
			text += fmt.Sprintf(" %s=%s", key, v)
		}
	}
	return text
}

// Whoever waits to commit because too much is gathered goes on as soon as a write has taken that over, and not only when the
// write has ended.
//
// Mutation: write does not wake those who wait when it begins.
func TestACommitGoesOnWhenAWriteBegins(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open, CacheBytes: 1})
	holds, proceed := make(chan struct{}, 100), make(chan struct{})
	var goOn sync.Once
	finish := func() { goOn.Do(func() { close(proceed) }) }
	t.Cleanup(finish) // before the store is closed
	var last *gathered
	d.failWith(func(op string, fd storage.FileDesc) error {
		if op != "write" || fd.Type != storage.TypeJournal {
			return nil
		}
		d.mu.Unlock()
		defer d.mu.Lock()
		s.behind.mu.Lock()
		writing := s.behind.writing
		s.behind.mu.Unlock()
		if writing != nil && writing != last { // the first piece of a write
			last = writing
			holds <- struct{}{}
			<-proceed
		}
		return nil
	})
	large := strings.Repeat("x", s.behind.limit+1)
	committed := make(chan int, 10)
	failed := make(chan error, 1)
	go func() {
		for i := 1; i <= 4; i++ {
			if err := commit(s, int64(i), fmt.Sprint("key", i), large); err != nil {
				failed <- err
				return
			}
			committed <- i
		}
		close(committed)
	}()
	next := func(want int) {
		t.Helper()
		select {
		case err := <-failed:
			t.Fatal(err)
		case got := <-committed:
			if got != want {
				t.Fatalf("commit %d, want %d", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("commit %d waits although a write has begun", want)
		}
	}
	next(1)
	<-holds // the first write has begun and does not end
	next(2) // what is gathered is full now, and the third waits
	proceed <- struct{}{}
	<-holds // the second write has begun
	next(3)
	finish()
	next(4)
}

// What a restore brings counts, whatever was read or written before it; and a restore that fails moves nothing.
//
// Mutations: Restore leaves what is cached; it moves the checkpoint before the write.
func TestARestoreReplacesWhatIsCached(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open, CacheBytes: 1 << 20})
	if err := commit(s, 1, "changed", "old", "deleted", "old", "kept", "old"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"changed", "deleted", "kept"} {
		if _, _, err := s.Get(key); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Restore([]keyed.Entry{{Key: []byte("changed"), Value: []byte("new")}, {Key: []byte("deleted")}}, 7); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"changed": "new", "deleted": "", "kept": "old"} {
		if v, ok, err := s.Get(key); v != want || ok != (want != "") || err != nil {
			t.Errorf("%s is %q %v %v, want %q", key, v, ok, err, want)
		}
	}
	d.failWith(full(storage.TypeAll, errors.New("no space")))
	if err := s.Restore([]keyed.Entry{{Key: []byte("changed"), Value: []byte("newer")}}, 9); err == nil {
		t.Fatal("a restore onto a full disk succeeds")
	}
	if at, _ := s.Checkpoint(); at != 7 {
		t.Errorf("the checkpoint is %d after a restore that failed, want 7", at)
	}
}
