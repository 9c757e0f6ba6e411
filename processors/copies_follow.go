package processors

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
)

const (
	copyBatch = 256 << 10              // bytes of changelog that go into one write, of each store
	copyWrite = 500 * time.Millisecond // how long what was read may wait for the write
)

// follower keeps one store up to its changelog.
type follower struct {
	replay
	queue   []kafka.Batch
	written int64 // the position that is in the database
	high    int64 // the high watermark
	stable  int64 // what can be read
	goal    int64 // a high watermark that was seen at since
	since   time.Time
	heard   bool      // the brokers have answered
	recent  time.Time // the position has passed a high watermark that was seen then

	end     int64         // the high watermark when it was asked for last
	asked   time.Time     // when that was
	based   bool          // the store has held everything up to such an end
	forgets time.Duration // how old it may become
}

// follow opens the stores and follows their changelogs, read-committed, until the copy ends or something is wrong. The checks are those
// of a restore. The group's offsets are asked for as they are: who runs the task may have a transaction open all the time.
func (s *standby) follow() (err error) {
	ctx, fetcher := s.ctx, s.copies.fetcher
	slot := false
	release := func() {
		if slot {
			slot = false
			<-s.copies.slots
		}
	}
	defer release()
	select {
	case s.copies.slots <- struct{}{}:
		slot = true
	case <-ctx.Done():
		return ctx.Err()
	}
	followers, err := s.open(ctx)
	defer func() {
		if err != nil && err == ctx.Err() && s.handsOver.Load() {
			var stores []*taskStore
			for _, f := range followers {
				stores = append(stores, f.st)
			}
			s.copies.engine.closing.hand(s.id, stores)
			return
		}
		for _, f := range followers {
			if cerr := f.st.Close(); err == nil && ctx.Err() == nil {
				err = cerr
			}
		}
	}()
	if err != nil {
		return err
	}
	deliveries := newInbox()
	defer func() {
		for _, f := range followers {
			fetcher.Stop(f.st.changelog)
		}
		deliveries.close()
	}()
	for _, f := range followers {
		fetcher.Start(f.st.changelog, kafka.Position{Offset: f.position, LeaderEpoch: f.st.epoch, TopicID: f.st.topicID},
			func(b kafka.Batch) { deliveries.put(func() { f.queue = append(f.queue, b) }) })
	}
	tick := time.NewTicker(copyWrite)
	defer tick.Stop()
	for {
		flush := false
		select {
		case <-ctx.Done():
			for _, f := range followers { // it is read again otherwise
				if err := f.flush(); err != nil {
					return err
				}
			}
			return ctx.Err()
		case <-tick.C:
			flush = true
			for _, f := range followers {
				f.ask(ctx)
			}
		case <-deliveries.wake:
			deliveries.drain()
		}
		for _, f := range followers {
			if err := f.drain(fetcher); err != nil {
				return fmt.Errorf("follow changelog %s from %d: %w", f.st.changelog, f.position, err)
			}
			if flush {
				if err := f.flush(); err != nil {
					return err
				}
			}
		}
		if s.measure(followers) {
			release()
		}
	}
}

// open opens the stores.
func (s *standby) open(ctx context.Context) (followers []*follower, err error) {
	e := s.copies.engine
	if err := e.closing.await(ctx, s.id); err != nil {
		return nil, err
	}
	var inputs []kafka.TopicPartition
	for _, src := range s.graph.sources {
		inputs = append(inputs, kafka.TopicPartition{Topic: src.Topic, Partition: s.id.partition})
	}
	committed, err := e.opts.Wire.CommittedNow(ctx, e.graph.plan.Group(), inputs)
	if err != nil {
		return nil, err
	}
	asked := wallClock()
	logs, err := e.changelogsOf(ctx, s.graph, s.id.partition)
	if err != nil {
		return nil, err
	}
	marks := offsets.MarksOf(maps.Values(committed))
	now := time.Now()
	for _, log := range logs {
		st, from, err := e.openStore(ctx, log.store, log.info, log.known(marks), nil)
		if err != nil {
			return followers, err
		}
		f := &follower{replay: replay{engine: e, st: st, position: from, asOf: asked}, written: from, high: log.end, stable: log.end, goal: log.end, since: now,
			end: log.end, asked: asked, forgets: max(forgets(log.info), recentEnough)}
		if _, f.based = st.Checkpoint(); f.based {
			f.asOf = st.AsOf()
		}
		followers = append(followers, f)
	}
	e.log.Info("a copy of state is followed", zap.Stringer("task", s.id), zap.Int64("lag", lagOfAll(followers)))
	return followers, nil
}

// ask finds out where the changelog ends, so that asOf follows the time. The high watermarks of batches do not say from when they are: the
// process, or its machine, may have stood still since the broker answered, and while the brokers are out of reach there are none.
func (f *follower) ask(ctx context.Context) {
	if f.prove(); f.position < f.end || time.Since(f.asked) < f.forgets/8 {
		return
	}
	asked := wallClock()
	ends, err := f.engine.opts.Wire.Ends(ctx, []kafka.TopicPartition{f.st.changelog})
	if end, ok := ends[f.st.changelog]; err == nil && ok { // else it is asked again
		f.end, f.asked = end, asked
		f.prove()
	}
}

// prove moves asOf on when the store has everything that the changelog had then.
func (f *follower) prove() {
	if f.position >= f.end {
		f.asOf, f.based = f.asked, true
	}
}

func (f *follower) drain(fetcher Fetcher) error {
	if len(f.queue) > 0 && f.based && time.Since(f.asOf) > f.forgets {
		return fmt.Errorf("what was written since %v is read only now, and deletions in it may be forgotten", f.asOf)
	}
	for _, b := range f.queue {
		if err := f.take(b); err != nil {
			return err
		}
		f.high, f.stable, f.heard = b.HighWatermark, b.LastStableOffset, true
		if f.size >= copyBatch {
			if err := f.flush(); err != nil {
				return err
			}
		}
		fetcher.Release(f.st.changelog, b.Bytes)
	}
	clear(f.queue)
	f.queue = f.queue[:0]
	return nil
}

// flush writes what was read. Positions move without records too: markers, and what was aborted.
func (f *follower) flush() error {
	if f.position == f.written && len(f.entries) == 0 {
		return nil
	}
	f.prove()
	if err := f.write(); err != nil {
		return err
	}
	f.written = f.position
	return nil
}

// age notes up to when the store has everything.
func (f *follower) age(now time.Time) {
	if f.position >= f.goal {
		f.recent = f.since
		f.goal, f.since = f.high, now
	}
	if f.position >= f.high {
		f.recent = now
	}
}

func lagOfAll(followers []*follower) (lag int64) {
	for _, f := range followers {
		lag += max(0, f.high-f.position)
	}
	return lag
}

// measure notes how far the copy is, and says whether it has what can be read.
func (s *standby) measure(followers []*follower) (caughtUp bool) {
	now := time.Now()
	was := s.warm()
	recent := now
	caughtUp, heard := true, true
	for _, f := range followers {
		f.age(now)
		if f.recent.Before(recent) {
			recent = f.recent
		}
		caughtUp, heard = caughtUp && f.position >= f.stable, heard && f.heard
	}
	s.lag.Store(lagOfAll(followers))
	s.recent.Store(&recent)
	if heard {
		s.failure.Store(nil)
	}
	if is := s.warm(); is && (!was || s.moves.Load()) {
		s.copies.warmed()
	}
	return caughtUp || s.warm()
}
