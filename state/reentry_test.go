package state

import (
	"fmt"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/storage"
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
