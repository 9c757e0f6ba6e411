package processors

import (
	"sync"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/topology"
)

// simTries counts how often the simulated node was called with a record, whatever the engine says: in all lives together,
// which decides when a record stops failing, and in one life, which is held against the engine's number.
type simTries struct {
	all  *simCalls
	last map[simPlace]int    // the attempt that the engine named last in this life
	exit map[string]simTotal // what a call had made of a customer when it ended its goroutine, with the defect keepsExit
	w    *simWorld
	name string
	sink *simSink // into the database of the world, nil for none
}

// enter writes a line into the database.
func (s *simTries) enter(ctx topology.Context, key, line string) {
	if s.sink != nil {
		s.sink.Exec(ctx, "INSERT INTO lines (customer, total) VALUES (?, ?)", key, line)
	}
}

// simCalls counts calls over all lives.
type simCalls struct {
	mu sync.Mutex
	of map[simPlace]int
}

type simPlace struct {
	tp     kafka.TopicPartition
	offset int64
}

func newSimCalls() *simCalls { return &simCalls{of: map[simPlace]int{}} }

// tries is the count of a life that begins.
func (w *simWorld) tries(name string) *simTries {
	return &simTries{all: w.calls, last: map[simPlace]int{}, exit: map[string]simTotal{}, w: w, name: name}
}

// call returns which call of the record this is, over all lives.
func (s *simTries) call(r *topology.Record) int {
	place := simPlace{kafka.TopicPartition{Topic: r.Topic, Partition: r.Partition}, r.Offset}
	if s.w.later { // it is the same record wherever it waits
		place = simPlace{kafka.TopicPartition{Topic: numberOf(r)}, 0}
	}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.all.of[place]++
	if s.w.later {
		if r.Attempt > simLaterTries {
			s.w.problem("%s: attempt %d of record %s, with %d allowed", s.name, r.Attempt, place.tp, simLaterTries)
		}
		return s.all.of[place]
	}
	// A transaction that is done again begins with the first attempt again; otherwise they follow one another.
	if r.Attempt != 1 && r.Attempt != s.last[place]+1 || r.Attempt > simAttempts {
		s.w.problem("%s: attempt %d of %s offset %d after attempt %d, with %d allowed", s.name, r.Attempt, place.tp, place.offset, s.last[place], simAttempts)
	}
	s.last[place] = r.Attempt
	return s.all.of[place]
}

// keep has later calls go on with what this one has made of a customer, although it does not return.
func (s *simTries) keep(key string, t simTotal) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.exit[key] = t
}

// kept is what is newer: what the store holds, or what was kept.
func (s *simTries) kept(key string, t simTotal) simTotal {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if k := s.exit[key]; k.LastSeq > t.LastSeq {
		return k
	}
	return t
}
