package simkafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// handler writes down what a member is told, and holds the partitions.
type handler struct {
	mu    sync.Mutex
	held  []kafka.TopicPartition
	log   []string
	rival *handler // who must not hold what this one is given
}

func (h *handler) note(what string, tps []kafka.TopicPartition, keep func(kafka.TopicPartition) bool, add []kafka.TopicPartition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, fmt.Sprint(what, " ", len(tps)))
	h.held = append(slices.DeleteFunc(h.held, func(tp kafka.TopicPartition) bool { return !keep(tp) }), add...)
}

func (h *handler) Assigned(tps []kafka.TopicPartition) {
	h.mu.Lock()
	rival := h.rival
	h.mu.Unlock()
	if rival != nil {
		rival.mu.Lock()
		early := slices.ContainsFunc(tps, func(tp kafka.TopicPartition) bool { return slices.Contains(rival.held, tp) })
		rival.mu.Unlock()
		if early {
			h.note("too early:", tps, func(kafka.TopicPartition) bool { return true }, nil)
		}
	}
	h.note("assigned", tps, func(kafka.TopicPartition) bool { return true }, tps)
}
func (h *handler) Revoked(tps []kafka.TopicPartition) {
	time.Sleep(100 * time.Millisecond) // a commit
	h.note("revoked", tps, func(tp kafka.TopicPartition) bool { return !slices.Contains(tps, tp) }, nil)
}
func (h *handler) Lost(tps []kafka.TopicPartition) {
	h.note("lost", tps, func(tp kafka.TopicPartition) bool { return !slices.Contains(tps, tp) }, nil)
}
func (h *handler) Failed(error) {
	h.note("failed", nil, func(kafka.TopicPartition) bool { return false }, nil)
}

func (h *handler) has() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.held)
}

func join(t *testing.T, p *Process, instance string) (*Group, *handler) {
	t.Helper()
	h := &handler{}
	g, err := p.Join(kafka.GroupConfig{Group: "g", InstanceID: instance, Copartitioned: [][]string{{"in", "out"}}}, h)
	if err != nil {
		t.Fatal(err)
	}
	return g, h
}

// pass lets time pass, and everything that happens at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestAGroupSharesCopartitionedSets: a partition of all topics of a set goes to one member, moves by way of its former
// owner's hands, and comes back when a member leaves or dies.
//
// Mutations tried: assign gives a moving unit away at once; session timeouts do nothing; mayCommit without the
// generation.
func TestAGroupSharesCopartitionedSets(t *testing.T) {
	model(t, Config{}, func(t *testing.T, c *Cluster) {
		p := c.Process("a")
		a, ha := join(t, p, "")
		pass(2 * time.Second)
		before, _ := a.Member()
		if ha.has() != 4 {
			t.Fatalf("the only member has %v", ha.held)
		}
		q := c.Process("b")
		b, hb := join(t, q, "")
		hb.mu.Lock()
		hb.rival = ha
		hb.mu.Unlock()
		pass(5 * time.Second)
		if slices.ContainsFunc(hb.log, func(line string) bool { return strings.HasPrefix(line, "too early") }) {
			t.Error("a partition is given to two")
		}
		if ha.has() != 2 || hb.has() != 2 || ha.held[0].Partition != ha.held[1].Partition {
			t.Fatalf("%v and %v", ha.held, hb.held)
		}
		s := sink(t, p, "id")
		if err := s.Offsets(ctx, before, map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 1}}); !errors.Is(err, kafka.ErrStaleGeneration) {
			t.Errorf("an old generation commits: %v", err)
		}
		now, _ := a.Member()
		ok(t, s.Offsets(ctx, now, map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 1}}), s.Commit(ctx))

		q.Crash()
		pass(15 * time.Second)
		if ha.has() != 4 {
			t.Errorf("after the other's death: %v", ha.held)
		}
		p.Pause()
		pass(15 * time.Second)
		_, stillThere := a.Member()
		p.Resume()
		if !stillThere {
			t.Error("a paused process has noticed something")
		}
		err := s.Offsets(ctx, must(a.Member()), map[kafka.TopicPartition]kafka.CommittedOffset{in: {Offset: 2}})
		if c := class(err); c != "fenced" && c != "fatal" {
			t.Errorf("a member that is out commits: %v", err)
		}
		pass(5 * time.Second)
		if ha.has() != 4 || !slices.Contains(ha.log, "lost 4") {
			t.Errorf("after the pause %v, %q", ha.held, ha.log)
		}
		ok(t, a.Leave(ctx))
		if ha.has() != 0 || ha.log[len(ha.log)-1] != "revoked 4" {
			t.Errorf("after it left: %q", ha.log)
		}
		if err := b.Leave(ctx); err == nil {
			t.Error("a dead process leaves")
		}
	})
}

func must(m kafka.Member, _ bool) kafka.Member { return m }

// Mutation tried: join does not look for the static member's old id.
func TestAStaticMemberThatComesBackFindsItsPartitions(t *testing.T) {
	model(t, Config{}, func(t *testing.T, c *Cluster) {
		p := c.Process("a.1")
		_, h1 := join(t, p, "a")
		b, hb := join(t, c.Process("b"), "b")
		pass(5 * time.Second)
		p.Crash()
		again, h2 := join(t, c.Process("a.2"), "a")
		pass(3 * time.Second)
		if !slices.Equal(h1.held, h2.held) || len(hb.log) != 1 {
			t.Errorf("%v, then %v; the other was told %q", h1.held, h2.held, hb.log)
		}
		ok(t, again.Leave(ctx), b.Leave(ctx))
	})
}

// Mutation tried: the leader does not come back to what it withheld.
func TestWhatADeadStaticMemberGaveBackIsGivenAway(t *testing.T) {
	for wait := range 20 { // so that it dies at some moment between giving back and joining again
		model(t, Config{Seed: uint64(wait)}, func(t *testing.T, c *Cluster) {
			p := c.Process("a.1")
			join(t, p, "a")
			pass(2 * time.Second)
			b, hb := join(t, c.Process("b"), "b")
			for hb.has() == 0 && !slices.Contains(c.assignments(), 1) {
				pass(time.Millisecond)
			}
			pass(time.Duration(wait) * 500 * time.Microsecond)
			p.Crash()
			again, h2 := join(t, c.Process("a.2"), "a")
			pass(30 * time.Second)
			if hb.has()+h2.has() != 4 {
				t.Errorf("%v and %v", h2.held, hb.held)
			}
			ok(t, again.Leave(ctx), b.Leave(ctx))
		})
	}
}

// assignments is how many units each member has.
func (c *Cluster) assignments() (n []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.group("g").members {
		n = append(n, len(m.assigned)/2)
	}
	return n
}
