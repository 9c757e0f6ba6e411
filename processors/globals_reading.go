package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/guard"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// globalReading is one reading of the topic from its beginning on.
type globalReading struct {
	*globalCopy
	copy     plan.View
	deliver  func(kafka.Batch)
	topicID  string
	at       map[kafka.TopicPartition]*globalPlace
	complete bool
	began    time.Time
}

// globalPlace is how far a partition is read.
type globalPlace struct {
	next, end int64 // end is where the log ended when the reading began
	start     int64 // where it began then
	seen      int64 // next, when it was last compared with the log's end
	stands    bool  // it did not move between two comparisons, and is not at the end
	epoch     int32
	again     time.Time // when it is started again, zero while it is read
	begun     time.Time // when it was started last
	tries     int       // failures in a row
}

// globalLook is how often a topic is looked at for partitions that were added, and for partitions to start again; every third time
// it is compared with what is read.
const (
	globalLook    = 5 * time.Second
	globalCompare = 3
)

// follow reads the topic until ctx ends, or until a new reading has to begin.
func (r *globalReading) follow(ctx context.Context) error {
	r.began = time.Now()
	inbox := newInbox()
	var queue []kafka.Batch
	r.deliver = func(b kafka.Batch) { inbox.put(func() { queue = append(queue, b) }) }
	defer func() {
		for tp := range r.at {
			r.engine.changelogs.Stop(tp)
		}
		inbox.close()
	}()
	if err := r.look(ctx); err != nil {
		return err
	}
	look, report := time.NewTicker(globalLook), time.NewTicker(restoreReport)
	defer look.Stop()
	defer report.Stop()
	for looks := 1; ; {
		r.finish()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			err := r.look(ctx)
			if looks++; err == nil && looks%globalCompare == 0 {
				err = r.compare(ctx)
			}
			var recreated *kafka.TopicRecreatedError
			if errors.As(err, &recreated) || errors.Is(err, errShortened) {
				return err
			}
			if err != nil {
				r.fail(err, "") // the cluster does not answer: it is asked again, and what is read goes on
			}
			continue
		case <-report.C:
			if !r.complete {
				r.engine.log.Info("reading a global", zap.String("global", r.topic), zap.Int64("read", r.read.Load()), zap.Int64("of", r.toRead.Load()))
			}
			continue
		case <-inbox.wake:
			inbox.drain()
		}
		for _, b := range queue {
			if err := r.take(b); err != nil {
				return err
			}
		}
		queue = queue[:0]
	}
}

// look starts the partitions that are not read: all at first, later those that were added, and those whose reading failed.
func (r *globalReading) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patrolTimeout)
	defer cancel()
	infos, err := r.engine.opts.Wire.Topics(ctx, []string{r.topic})
	if err != nil {
		return err
	}
	info, ok := infos[r.topic]
	switch {
	case !ok:
		return fmt.Errorf("topic %s does not exist", r.topic)
	case r.topicID != "" && info.ID != "" && info.ID != r.topicID:
		return &kafka.TopicRecreatedError{TopicPartition: kafka.TopicPartition{Topic: r.topic}, Was: r.topicID, Is: info.ID}
	}
	r.topicID = info.ID
	var fresh []kafka.TopicPartition
	waits, now := false, time.Now()
	for _, tp := range partitionsOf(info) {
		switch p := r.at[tp]; {
		case p == nil:
			fresh = append(fresh, tp)
		case p.again.IsZero():
			if now.Sub(p.begun) > globalLook { // a partition that nobody writes to says nothing when it can be read again
				p.tries = 0
			}
			waits = waits || p.tries > 0 || p.stands
		case now.Before(p.again):
			waits = true
		default:
			p.again, p.begun, waits = time.Time{}, now, true
			r.engine.changelogs.Start(tp, kafka.Position{Offset: p.next, LeaderEpoch: p.epoch, TopicID: r.topicID}, r.deliver)
		}
	}
	if !waits {
		r.trouble.Store(nil)
	}
	if len(fresh) == 0 {
		return nil
	}
	starts, err := r.engine.opts.Wire.Starts(ctx, fresh)
	if err != nil {
		return err
	}
	ends, err := r.engine.opts.Wire.Ends(ctx, fresh)
	if err != nil {
		return err
	}
	for _, tp := range fresh {
		r.at[tp] = &globalPlace{next: starts[tp], seen: starts[tp], start: starts[tp], end: ends[tp], epoch: -1, begun: now}
		r.engine.changelogs.Start(tp, kafka.Position{Offset: starts[tp], LeaderEpoch: -1, TopicID: r.topicID}, r.deliver)
	}
	return nil
}

// errShortened says that records were deleted from a topic that were in it when the reading began.
var errShortened = errors.New("records were deleted from the topic")

// compare looks whether all that is read is still in the topic, and whether all that is in the topic is read. Committed records stand
// still behind a transaction that is open.
func (r *globalReading) compare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patrolTimeout)
	defer cancel()
	tps := slices.Collect(maps.Keys(r.at))
	starts, err := r.engine.opts.Wire.Starts(ctx, tps)
	if err != nil {
		return err
	}
	ends, err := r.engine.opts.Wire.Ends(ctx, tps)
	if err != nil {
		return err
	}
	var stand []kafka.TopicPartition
	for tp, p := range r.at {
		if starts[tp] > p.start {
			return errShortened
		}
		p.stands = p.again.IsZero() && p.next == p.seen && p.next < ends[tp]
		p.seen = p.next
		if p.stands {
			stand = append(stand, tp)
		}
	}
	if len(stand) == 0 {
		return nil
	}
	tp := slices.MinFunc(stand, kafka.TopicPartition.Compare)
	why, remedy := "its leader does not send the rest", "look at the leader of the partition"
	if wire, ok := r.engine.opts.Wire.(inspector); ok {
		open, err := wire.OpenTransactions(ctx, stand)
		if err != nil {
			return err
		}
		for _, t := range open {
			tp = t.TopicPartition
			why, remedy = r.engine.awaited(t)
		}
	}
	if r.trouble.Load() == nil {
		r.engine.log.Warn("a global is not read to its end; look-ups answer without the rest", zap.Stringer("partition", tp),
			zap.Int64("offset", r.at[tp].next), zap.Int64("end", ends[tp]), zap.String("why", why))
	}
	r.fail(fmt.Errorf("%s stands at offset %d of %d: %s", tp, r.at[tp].next, ends[tp], why), remedy)
	return nil
}

// take puts what was read into the copy. Its error says that the topic has to be read again from its beginning.
func (r *globalReading) take(b kafka.Batch) error {
	p := r.at[b.TopicPartition]
	if b.Err != nil {
		var gone *kafka.OffsetOutOfRangeError
		var recreated *kafka.TopicRecreatedError
		var truncated *kafka.TruncatedError
		if errors.As(b.Err, &gone) || errors.As(b.Err, &recreated) || errors.As(b.Err, &truncated) {
			return b.Err
		}
		remedy := ""
		if damaged, ok := errors.AsType[*kafka.CorruptBatchError](b.Err); ok {
			if r.engine.opts.CorruptBatch == CorruptSkip {
				r.bad.Add(1)
				r.engine.log.Error("a batch of a global is damaged and was passed over, as on.corrupt.batch=skip wants it: its keys keep the values that they had",
					zap.Stringer("partition", b.TopicPartition), zap.Int64("offset", damaged.Offset), zap.Int64("next", damaged.Next), zap.Error(damaged))
				p.next, p.epoch = damaged.Next, -1
				r.engine.changelogs.Start(b.TopicPartition, kafka.Position{Offset: p.next, LeaderEpoch: -1, TopicID: r.topicID}, r.deliver)
				return nil
			}
			remedy = fmt.Sprintf("start with on.corrupt.batch=skip to read on after the batch, or delete the records of %s before offset %d (kafka-delete-records.sh)",
				b.TopicPartition, damaged.Next)
		}
		r.fail(fmt.Errorf("partition %d: %w", b.Partition, b.Err), remedy)
		p.again = time.Now().Add(globalWait.Wait(p.tries))
		p.tries++
		r.engine.log.Warn("a partition of a global is not read for a while; look-ups answer as before",
			zap.Stringer("partition", b.TopicPartition), zap.Int64("offset", p.next), zap.Error(b.Err))
		return nil
	}
	p.tries = 0
	for k := 0; k < len(b.Records); {
		if err := guard.Call(func() error { // codecs may do anything that a node may
			for k < len(b.Records) {
				k++
				r.put(b.TopicPartition, &b.Records[k-1])
			}
			return nil
		}); err != nil {
			r.undecodable(b.TopicPartition, &b.Records[k-1], err.Error())
		}
	}
	p.next, p.epoch = b.Position, b.LeaderEpoch
	r.engine.changelogs.Release(b.TopicPartition, b.Bytes)
	return nil
}

// put takes one record. What cannot be taken is reported, and leaves others alone.
func (r *globalReading) put(tp kafka.TopicPartition, rec *kafka.Record) {
	at := func(more ...zap.Field) []zap.Field {
		return append([]zap.Field{zap.Stringer("partition", tp), zap.Int64("offset", rec.Offset)}, more...)
	}
	switch {
	case rec.Excess != nil:
		r.bad.Add(1)
		r.engine.log.Error("a record of a global is over a limit, or damaged, and was passed over: its key keeps the value that it had",
			at(zap.String("limit", rec.Excess.Limit))...)
		return
	case rec.Key == nil:
		if !r.keyless {
			r.keyless = true
			r.engine.log.Warn("a record of a global has no key, and cannot be looked up", at()...)
		}
		return
	}
	if err := r.copy.Put(string(rec.Key), rec.Value); err != nil {
		r.undecodable(tp, rec, err.Error())
	}
}

// undecodable reports a record that the global's codec does not take.
func (r *globalReading) undecodable(tp kafka.TopicPartition, rec *kafka.Record, text string) {
	if n := r.bad.Add(1); n == 1 || r.complete {
		r.engine.log.Error("a record of a global cannot be decoded: look-ups of its key fail until it is written again",
			zap.Stringer("partition", tp), zap.Int64("offset", rec.Offset), zap.String("error", text))
	}
}

// finish makes the copy that which is looked things up in, once it is complete.
func (r *globalReading) finish() {
	if r.complete {
		return
	}
	read, all, whole := int64(0), int64(0), true
	for _, p := range r.at {
		read, all = read+p.next, all+p.end
		whole = whole && p.next >= p.end
	}
	r.read.Store(min(read, all))
	r.toRead.Store(all)
	if !whole {
		return
	}
	r.complete = true
	first := r.view.Swap(&r.copy) == nil
	r.engine.log.Info("a global is complete", zap.String("global", r.topic), zap.Int("keys", r.copy.Len()),
		zap.Int64("bytes", r.copy.Bytes()), zap.Duration("took", time.Since(r.began)))
	if first {
		close(r.loaded)
	}
}
