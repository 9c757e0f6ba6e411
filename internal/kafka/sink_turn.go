package kafka

import "context"

// OnAcknowledged has f called for every batch that all in-sync replicas have, on the sink's own goroutine: base is the offset of its
// first record, or -1 where the broker repeats an acknowledgement without it, and origins are the Origins of its records, which
// f must not keep.
func (s *Sink) OnAcknowledged(f func(tp TopicPartition, base int64, origins []int64)) { s.told = f }

// Turn is how a sink is used that never flushes: it sends what was appended, to each broker as soon as nothing is under way to it, so that
// what comes meanwhile goes together (as Nagle's algorithm does, RFC 896), and then waits for an answer, for Poke, or for the end of ctx, which is no error. Any error
// leaves the sink as one of Flush does.
func (s *Sink) Turn(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	s.work()
	for _, p := range s.parts {
		if p.open != nil && p.order.idle() && s.quiet(p.leader) {
			s.seal(p)
		}
	}
	s.dispatch()
	if s.err != nil {
		return s.err
	}
	s.pause(ctx)
	s.work()
	return s.err
}

// quiet says whether no request to a broker is under way. A broker works on one request of a connection at a time, so a second one would
// only wait there, and carry less.
func (s *Sink) quiet(broker int32) bool {
	br := s.brokers[broker]
	return br == nil || br.flying == 0
}

// Poke ends a Turn that waits, or the next one. It may be called from any goroutine.
func (s *Sink) Poke() { wake(s.wake) }
