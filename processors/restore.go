package processors

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/kafka"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// opened is what a restorer hands to its worker: stores that hold everything committed, and where the inputs go on.
type opened struct {
	tables []*table
	begins map[kafka.TopicPartition]beginning
}

func (o *opened) close() {
	if o == nil {
		return
	}
	for _, tb := range o.tables {
		_ = tb.Close()
	}
}

// restore opens a task's stores and reads their changelogs to the end.
//
// Order matters. The committed offsets come first: the answer waits until no transaction that touches them is open.
// The ends of the changelogs are asked for after that, and as high watermarks: so the changes that belong to those
// offsets lie below, even when the markers of their transaction have not reached the changelogs yet. Reading
// read-committed up to there waits for these markers.
func (i *Instance) restore(ctx context.Context, t *task) (o *opened, err error) {
	select {
	case i.restores <- struct{}{}:
		defer func() { <-i.restores }()
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
	committed, err := i.opts.Wire.Committed(ctx, i.graph.plan.Topology, inputs)
	t.asking.Store(nil)
	if err != nil {
		return o, err
	}
	if len(t.graph.stores) == 0 {
		o.begins, err = i.beginnings(ctx, t, committed, nil)
		return o, err
	}
	var logs []kafka.TopicPartition
	var names []string
	for _, store := range t.graph.stores {
		name := i.graph.changelogTopic(store)
		names = append(names, name)
		logs = append(logs, kafka.TopicPartition{Topic: name, Partition: t.id.partition})
	}
	infos, err := i.opts.Wire.Topics(ctx, names)
	if err != nil {
		return o, err
	}
	for _, name := range names {
		if info, ok := infos[name]; !ok || info.Partitions <= t.id.partition {
			return o, &RefusedTopologyError{Problems: []string{fmt.Sprintf("changelog %s has no partition %d: "+
				"the state of the topology is there; create it as it was, or with --create-topics to begin with empty state", name, t.id.partition)}}
		}
	}
	starts, err := i.opts.Wire.Starts(ctx, logs)
	if err != nil {
		return o, err
	}
	ends, err := i.opts.Wire.Ends(ctx, logs)
	if err != nil {
		return o, err
	}
	for n, store := range t.graph.stores {
		tb, from, err := i.openTable(ctx, store, logs[n], infos[names[n]], starts[logs[n]], ends[logs[n]])
		if err != nil {
			return o, err
		}
		o.tables = append(o.tables, tb)
		if from < ends[logs[n]] {
			if err := i.catchUp(ctx, t, tb, infos[names[n]].ID, from, ends[logs[n]]); err != nil {
				return o, fmt.Errorf("restore store %s/%d from %d: %w", store.Name, t.id.partition, from, err)
			}
		}
		tb.end = max(from, ends[logs[n]])
	}
	o.begins, err = i.beginnings(ctx, t, committed, o.tables)
	return o, err
}

// openTable opens one store and says from which changelog offset it has to be restored.
func (i *Instance) openTable(ctx context.Context, store *topology.StoreDecl, tp kafka.TopicPartition, info kafka.TopicInfo, start, end int64) (*table, int64, error) {
	dir := state.TableDir(i.opts.StateDir, i.graph.plan.Topology, store.Name, tp.Partition)
	if i.suspect.remove(dir) {
		if _, err := state.SetAside(dir, i.log); err != nil {
			return nil, 0, err
		}
	}
	limit := recordLimit(info)
	options := state.Options{
		Dir: dir, TopicID: info.ID, CacheBytes: i.cacheBytes, MaxRecordBytes: limit, Log: i.log,
	}
	db, err := store.Open(options)
	var changed *state.TopicChangedError
	if errors.As(err, &changed) && i.opts.AcceptEmptyState {
		i.log.Warn("a store belongs to a changelog that was deleted; it is set aside, and the store is what the topic of that name holds now, as accept-empty-state allows",
			zap.String("dir", dir), zap.Stringer("changelog", tp))
		if _, err := state.SetAside(dir, i.log); err != nil {
			return nil, 0, err
		}
		db, err = store.Open(options)
	}
	if err != nil {
		return nil, 0, err
	}
	from, ok := db.Checkpoint()
	note := offsets.ParseNote(db.Note())
	why := ""
	if ok {
		if why, err = i.unfit(ctx, tp, from, note, start, end, db.Written(), info); err != nil {
			_ = db.Close()
			return nil, 0, err
		}
	}
	if why != "" {
		i.log.Error("a store does not fit its changelog; it is set aside and rebuilt from it", zap.String("why", why),
			zap.String("dir", dir), zap.Stringer("changelog", tp), zap.Int64("checkpoint", from), zap.Int64("start", start), zap.Int64("end", end),
			zap.Int32("leader_epoch", note.Epoch), zap.Time("written", db.Written()))
		if err := db.Close(); err != nil {
			return nil, 0, err
		}
		if _, err := state.SetAside(dir, i.log); err != nil {
			return nil, 0, err
		}
		if db, err = store.Open(options); err != nil {
			return nil, 0, err
		}
		ok, note = false, offsets.Note{Epoch: -1}
	}
	if !ok {
		from = start
	}
	return &table{Table: db, decl: store, changelog: tp, dir: dir, epoch: note.Epoch, positions: note.Positions}, from, nil
}

// unfit says why a store is no base to restore on, "" where it is one.
func (i *Instance) unfit(ctx context.Context, tp kafka.TopicPartition, checkpoint int64, note offsets.Note, start, end int64, written time.Time, info kafka.TopicInfo) (string, error) {
	switch {
	case checkpoint > end:
		return "the changelog lost its end, and is shorter than the store's checkpoint", nil
	case checkpoint < start:
		return "the changelog begins after the store's checkpoint", nil
	case checkpoint < end && time.Since(written) > forgets(info):
		return "the store is so old that its changelog may have forgotten deletions since", nil
	case note.Epoch < 0 || checkpoint == 0 || fault.Broken(fault.CheckEpochs):
		return "", nil
	}
	// A changelog that lost its end may have grown past the checkpoint again, with other records.
	ends, err := i.opts.Wire.EpochEnds(ctx, map[kafka.TopicPartition]int32{tp: note.Epoch})
	if err != nil {
		return "", err
	}
	if at := ends[tp]; at.LeaderEpoch < 0 || at.Offset < checkpoint {
		return fmt.Sprintf("the changelog lost its end and has grown again: of what the store holds up to offset %d in leader epoch %d, "+
			"it has what was before offset %d (an unclean leader election does that)", checkpoint, note.Epoch, at.Offset), nil
	}
	return "", nil
}

// restoreBatch is how many bytes of changelog go into one write to LevelDB.
const restoreBatch = 2 << 20

// catchUp reads a changelog from an offset until its position has reached end. It ends by position: the last offsets
// may be transaction markers or records of an aborted transaction, which never arrive as records.
func (i *Instance) catchUp(ctx context.Context, t *task, tb *table, topicID string, from, end int64) error {
	deliveries := newInbox()
	defer func() {
		i.changelogs.Stop(tb.changelog)
		deliveries.close()
	}()
	var queue []kafka.Batch
	i.changelogs.Start(tb.changelog, kafka.Position{Offset: from, LeaderEpoch: tb.epoch, TopicID: topicID}, func(b kafka.Batch) { deliveries.put(func() { queue = append(queue, b) }) })

	began := time.Now()
	stats := &RestoreStats{Store: tb.decl.Name, From: from, To: end, Position: from, changelog: tb.changelog, moved: began}
	t.restored.Store(stats)
	defer t.restored.Store(nil)
	report := time.NewTicker(restoreReport)
	defer report.Stop()

	reported := int64(-1)
	var entries []state.Entry
	position, size := from, 0
	write := func() error {
		if len(entries) == 0 && position < end {
			return nil
		}
		tb.SetNote(tb.note())
		if err := tb.Restore(entries, position); err != nil {
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
			i.log.Info(what, zap.String("store", tb.decl.Name), zap.Stringer("changelog", tb.changelog),
				zap.Int64("position", stats.Position), zap.Int64("end", end),
				zap.Float64("records_per_second", stats.PerSecond), zap.Duration("eta", stats.ETA))
			continue
		case <-deliveries.wake:
			deliveries.drain()
		}
		for _, b := range queue {
			if b.Err != nil {
				return b.Err
			}
			for k := range b.Records {
				rec := &b.Records[k]
				if x := rec.Excess; x != nil { // state must not be restored from what was cut
					return fmt.Errorf("changelog %s offset %d is over the limit %s, %d of at most %d: raise it to restore the store",
						tb.changelog, rec.Offset, x.Limit, x.Size, x.Max)
				}
				entries = append(entries, state.Entry{Key: rec.Key, Value: rec.Value})
				if raw := offsets.Raw(rec.Headers); raw != nil {
					tb.positions = raw
				}
				size += len(rec.Key) + len(rec.Value)
			}
			if fault.Broken(fault.RestoreToPosition) {
				for _, rec := range b.Records {
					position = rec.Offset + 1
				}
			} else {
				position, tb.epoch = b.Position, b.LeaderEpoch
			}
			if size >= restoreBatch || position >= end {
				if err := write(); err != nil {
					return err
				}
			}
			i.changelogs.Release(tb.changelog, b.Bytes)
		}
		queue = queue[:0]
		elapsed := time.Since(began).Seconds()
		next := &RestoreStats{Store: tb.decl.Name, From: from, To: end, Position: position, PerSecond: float64(position-from) / max(elapsed, 1e-3), changelog: tb.changelog, moved: stats.moved}
		if position != stats.Position {
			next.moved = time.Now()
		}
		if next.PerSecond > 0 {
			next.ETA = time.Duration(float64(max(0, end-position)) / next.PerSecond * float64(time.Second))
		}
		stats = next
		t.restored.Store(stats)
	}
	i.log.Info("restored", zap.String("store", tb.decl.Name), zap.Stringer("changelog", tb.changelog),
		zap.Int64("from", from), zap.Int64("to", position), zap.Duration("took", time.Since(began)))
	return nil
}

const restoreReport = 2 * time.Second

// forgets is how old a store may be to be restored on. A tombstone stays in a compacted topic for delete.retention.ms
// after the values before it were removed; half of that leaves room for clocks that differ.
func forgets(info kafka.TopicInfo) time.Duration {
	ms, err := strconv.ParseInt(info.Config["delete.retention.ms"], 10, 64)
	if err != nil {
		ms = (24 * time.Hour).Milliseconds()
	}
	return time.Duration(ms) * time.Millisecond / 2
}

// recordLimit is the largest key and value that a topic takes for sure.
func recordLimit(info kafka.TopicInfo) int {
	n, err := strconv.Atoi(info.Config["max.message.bytes"])
	if err != nil || n <= 0 {
		n = 1 << 20
	}
	const overhead = 128 // of a batch with one record
	return max(n-overhead, 1)
}
