package processors

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/offsets"
)

// opened is what a restorer hands to its worker: stores that hold everything committed, and where the inputs go on.
type opened struct {
	stores []*taskStore
	begins map[kafka.TopicPartition]beginning
	touch  bool // a recorded reset was accepted: the state takes up its name with the first commit
}

func (o *opened) close() {
	if o == nil {
		return
	}
	for _, st := range o.stores {
		_ = st.Close()
	}
}

// restore opens a task's stores and reads their changelogs to the end.
//
// Order matters. The committed offsets come first: the answer waits until no transaction that touches them is open.
// The ends of the changelogs are asked for after that, and as high watermarks: so the changes that belong to those
// offsets lie below, even when the markers of their transaction have not reached the changelogs yet. Reading
// read-committed up to there waits for these markers.
func (e *engine) restore(ctx context.Context, t *task) (o *opened, err error) {
	select {
	case e.restores <- struct{}{}:
		defer func() { <-e.restores }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o = &opened{}
	defer func() {
		if err != nil {
			o.close()
			o = nil
		}
	}()
	var inputs []kafka.TopicPartition
	for _, in := range t.inputs {
		inputs = append(inputs, in.tp)
	}
	t.asking.Store(new(time.Now()))
	committed, err := e.source.committed(ctx, inputs)
	t.asking.Store(nil)
	if err != nil {
		return o, err
	}
	if len(t.graph.stores) == 0 {
		return o, e.source.begin(ctx, t, committed, o)
	}
	var logs []kafka.TopicPartition
	var names []string
	for _, store := range t.graph.stores {
		name := e.graph.changelogTopic(store)
		names = append(names, name)
		logs = append(logs, kafka.TopicPartition{Topic: name, Partition: t.id.partition})
	}
	infos, err := e.opts.Wire.Topics(ctx, names)
	if err != nil {
		return o, err
	}
	for _, name := range names {
		if info, ok := infos[name]; !ok || info.Partitions <= t.id.partition {
			return o, &RefusedTopologyError{Problems: []string{fmt.Sprintf("changelog %s has no partition %d: "+
				"the state of the topology is there; create it as it was, or with --create-topics to begin with empty state", name, t.id.partition)}}
		}
	}
	starts, err := e.opts.Wire.Starts(ctx, logs)
	if err != nil {
		return o, err
	}
	ends, err := e.opts.Wire.Ends(ctx, logs)
	if err != nil {
		return o, err
	}
	marks := offsets.MarksOf(maps.Values(committed))
	for n, store := range t.graph.stores {
		st, from, err := e.openStore(ctx, store, infos[names[n]], offsets.Changelog{
			TopicPartition: logs[n], TopicID: infos[names[n]].ID, Start: starts[logs[n]], End: ends[logs[n]], Known: marks.Of(store.Name), Held: -1,
		})
		if err != nil {
			return o, err
		}
		o.stores = append(o.stores, st)
		if from < ends[logs[n]] {
			if err := e.catchUp(ctx, t, st, from, ends[logs[n]]); err != nil {
				return o, fmt.Errorf("restore store %s/%d from %d: %w", store.Name, t.id.partition, from, err)
			}
		}
		st.end = max(from, ends[logs[n]])
	}
	return o, e.source.begin(ctx, t, committed, o)
}

// restoreBatch is how many bytes of changelog go into one write to LevelDB.
const restoreBatch = 2 << 20

// catchUp reads a changelog from an offset until its position has reached end. It ends by position: the last offsets
// may be transaction markers or records of an aborted transaction, which never arrive as records.
func (e *engine) catchUp(ctx context.Context, t *task, st *taskStore, from, end int64) error {
	deliveries := newInbox()
	defer func() {
		e.changelogs.Stop(st.changelog)
		deliveries.close()
	}()
	var queue []kafka.Batch
	e.changelogs.Start(st.changelog, kafka.Position{Offset: from, LeaderEpoch: st.epoch, TopicID: st.topicID}, func(b kafka.Batch) { deliveries.put(func() { queue = append(queue, b) }) })

	began := time.Now()
	stats := &RestoreStats{Store: st.decl.Name, From: from, To: end, Position: from, changelog: st.changelog, moved: began}
	t.restored.Store(stats)
	defer t.restored.Store(nil)
	e.hooks.tellRestore(st, from, from, end, began, false)
	report := time.NewTicker(restoreReport)
	defer report.Stop()

	reported := int64(-1)
	var entries []keyed.Entry
	position, size := from, 0
	write := func() error {
		if len(entries) == 0 && position < end {
			return nil
		}
		st.SetNote(st.note())
		if err := st.Restore(entries, position); err != nil {
			return err
		}
		fault.At(fault.DuringRestore)
		entries, size = entries[:0], 0
		return nil
	}
	for position < end {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-report.C:
			what := "restoring"
			if stats.Position == reported {
				what = "restoring: waiting, likely for another producer's open transaction to end"
			}
			reported = stats.Position
			e.log.Info(what, zap.String("store", st.decl.Name), zap.Stringer("changelog", st.changelog),
				zap.Int64("position", stats.Position), zap.Int64("end", end),
				zap.Float64("records_per_second", stats.PerSecond), zap.Duration("eta", stats.ETA))
			e.hooks.tellRestore(st, from, stats.Position, end, began, false)
			continue
		case <-deliveries.wake:
			deliveries.drain()
		}
		for _, b := range queue {
			if b.Err != nil {
				return b.Err
			}
			if at := b.Position - 1; b.Vanished && at < st.behind {
				why := fmt.Sprintf("the brokers have no batch of it from offset %d on, and it held state up to offset %d: its log is damaged there, or was cut", at, st.behind)
				if !e.accepts.Load() {
					return fmt.Errorf("changelog %s: %s; repair its log on the brokers, or go on with what it holds: start once with --accept-empty-state", st.changelog, why)
				}
				e.log.Warn("a changelog does not hold the state that it held; the store is what it holds now, as accept-empty-state allows",
					zap.Stringer("changelog", st.changelog), zap.String("why", why))
				st.behind = at // said once
			}
			for k := range b.Records {
				rec := &b.Records[k]
				if x := rec.Excess; x != nil { // state must not be restored from what was cut
					return fmt.Errorf("changelog %s offset %d is over the limit %s, %d of at most %d: raise it to restore the store",
						st.changelog, rec.Offset, x.Limit, x.Size, x.Max)
				}
				entries = append(entries, keyed.Entry{Key: rec.Key, Value: rec.Value})
				if raw := offsets.Raw(rec.Headers); raw != nil {
					if err := e.ownState(st, raw); err != nil {
						return err
					}
					st.positions = raw
				}
				size += len(rec.Key) + len(rec.Value)
			}
			position, st.epoch = b.Position, b.LeaderEpoch
			if size >= restoreBatch || position >= end {
				if err := write(); err != nil {
					return err
				}
			}
			e.changelogs.Release(st.changelog, b.Bytes)
		}
		queue = queue[:0]
		elapsed := time.Since(began).Seconds()
		next := &RestoreStats{Store: st.decl.Name, From: from, To: end, Position: position, PerSecond: float64(position-from) / max(elapsed, 1e-3), changelog: st.changelog, moved: stats.moved}
		if position != stats.Position {
			next.moved = time.Now()
		}
		if next.PerSecond > 0 {
			next.ETA = time.Duration(float64(max(0, end-position)) / next.PerSecond * float64(time.Second))
		}
		stats = next
		t.restored.Store(stats)
	}
	e.hooks.tellRestore(st, from, position, end, began, true)
	e.log.Info("restored", zap.String("store", st.decl.Name), zap.Stringer("changelog", st.changelog),
		zap.Int64("from", from), zap.Int64("to", position), zap.Duration("took", time.Since(began)))
	return nil
}

const restoreReport = 2 * time.Second

// ownState refuses a changelog that holds state of another topology. Names are put together with hyphens and a prefix, so that those of
// two stores can be one.
func (e *engine) ownState(st *taskStore, positions []byte) error {
	other, found := offsets.Stranger(positions, e.graph.owner())
	if !found || e.accepts.Load() {
		return nil
	}
	return e.refuse([]string{fmt.Sprintf("changelog %s of store %s holds state of %v, which has given one of its stores the same changelog: give the store, or the topology, another name, "+
		"and delete the folder %s; or go on with what the changelog holds, of both: start once with --accept-empty-state", st.changelog.Topic, st.decl.Name, other, st.dir)})
}
