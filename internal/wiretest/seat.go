package wiretest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// seat is a member of the question's group, and writes down what it is told.
type seat struct {
	processors.Group
	a *asker

	mu   sync.Mutex
	held []kafka.TopicPartition
	told []string
	hold chan struct{} // when set, Revoked returns once it is closed
}

// join enters the group. The topics' partitions belong together.
func (a *asker) join(w processors.Wire, instance string, topics ...string) *seat {
	a.t.Helper()
	s := &seat{a: a}
	g, err := w.Join(kafka.GroupConfig{Group: a.group(), InstanceID: instance, Copartitioned: [][]string{topics}}, s)
	a.ok(err)
	s.Group = g
	a.t.Cleanup(func() { // also of processes that are dead by then, and cannot
		ctx, cancel := context.WithTimeout(context.Background(), a.settings.CallTimeout)
		defer cancel()
		_ = g.Leave(ctx)
	})
	return s
}

func (s *seat) note(what string, tps []kafka.TopicPartition) {
	if len(tps) > 0 {
		s.told = append(s.told, fmt.Sprint(what, " ", len(tps)))
	}
}

func (s *seat) Assigned(added []kafka.TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("assigned", added)
	s.held = append(s.held, added...)
}

func (s *seat) Revoked(removed []kafka.TopicPartition) {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	s.drop("revoked", removed)
}

func (s *seat) Lost(lost []kafka.TopicPartition) { s.drop("lost", lost) }

func (s *seat) Failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, "failed: "+verdict(err))
}

func (s *seat) drop(what string, tps []kafka.TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(what, tps)
	s.held = slices.DeleteFunc(s.held, func(tp kafka.TopicPartition) bool { return slices.Contains(tps, tp) })
}

// has waits until the member holds n partitions.
func (s *seat) has(n int) {
	s.a.t.Helper()
	s.a.until(fmt.Sprintf("%d partitions", n), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.held) == n
	})
}

// events says what the member has been told so far.
func (s *seat) events(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.a.say("%s was told: %s", who, strings.Join(s.told, ", "))
}

func (s *seat) holds() []kafka.TopicPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := slices.Clone(s.held)
	slices.SortFunc(held, func(a, b kafka.TopicPartition) int {
		return strings.Compare(a.String(), b.String())
	})
	return held
}

// now is the member as it is at present.
func (s *seat) now() kafka.Member {
	s.a.t.Helper()
	var m kafka.Member
	s.a.until("a membership", func() (ok bool) { m, ok = s.Member(); return ok })
	return m
}

// newer waits for a generation after m's.
func (s *seat) newer(m kafka.Member) kafka.Member {
	s.a.t.Helper()
	var now kafka.Member
	s.a.until("a newer generation", func() (ok bool) {
		now, ok = s.Member()
		return ok && now.Generation > m.Generation
	})
	return now
}
