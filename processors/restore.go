package processors

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
)

// opened is what a restorer hands to its worker: stores that hold everything committed, and where the inputs go on.
type opened struct {
	stores []*taskStore
	begins map[kafka.TopicPartition]beginning
	touch  bool // a recorded reset was accepted: the state takes up its name with the first commit
}

func (o *opened) close() error {
	if o == nil {
		return nil
	}
	return closeStores(o.stores)
}

// restore opens a task's stores, or takes those over that a copy has left open, and reads their changelogs to the end.
//
// Order matters. The committed offsets come first: the answer waits until no transaction that touches them is open.
// The ends of the changelogs are asked for after that, and as high watermarks: so the changes that belong to those
// offsets lie below, even when the markers of their transaction have not reached the changelogs yet. Reading
// read-committed up to there waits for these markers.
func (e *engine) restore(ctx context.Context, t *task) (o *opened, err error) {
	handed, err := e.closing.take(ctx, t.id)
	if err != nil {
		return nil, err
	}
	defer func() { e.closing.drop(t.id, e.log, handed) }()
	select {
	case e.restores <- struct{}{}:
		defer func() { <-e.restores }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	o = &opened{}
	defer func() {
		if err != nil {
			_ = o.close()
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
	asked := wallClock()
	logs, err := e.changelogsOf(ctx, t.graph, t.id.partition)
	if err != nil {
		return o, err
	}
	marks := offsets.MarksOf(maps.Values(committed))
	for _, log := range logs {
		st, from, err := e.openStore(ctx, log.store, log.info, log.known(marks), handed.take(log))
		if err != nil {
			return o, err
		}
		o.stores = append(o.stores, st)
		if from < log.end {
			if err := e.catchUp(ctx, t, st, from, log.end, asked); err != nil {
				return o, fmt.Errorf("restore store %s/%d from %d: %w", log.store.Name, t.id.partition, from, err)
			}
		}
		st.end = max(from, log.end)
	}
	return o, e.source.begin(ctx, t, committed, o)
}

// changelog is the changelog of a store at one partition, as the cluster has it.
type changelog struct {
	kafka.TopicPartition
	store      *plan.Store
	info       kafka.TopicInfo
	start, end int64 // the log start, and the high watermark
}

// known is the changelog with what the committed offsets say of it.
func (c *changelog) known(marks offsets.Marks) offsets.Changelog {
	return offsets.Changelog{TopicPartition: c.TopicPartition, TopicID: c.info.ID, Start: c.start, End: c.end, Known: marks.Of(c.store.Name), Held: -1}
}

// changelogsOf asks for the changelogs of a sub-graph's stores at a partition.
func (e *engine) changelogsOf(ctx context.Context, g *subgraph, partition int32) ([]changelog, error) {
	var logs []changelog
	var names []string
	var tps []kafka.TopicPartition
	for _, store := range g.stores {
		tp := kafka.TopicPartition{Topic: e.graph.changelogTopic(store), Partition: partition}
		logs = append(logs, changelog{TopicPartition: tp, store: store})
		names = append(names, tp.Topic)
		tps = append(tps, tp)
	}
	infos, err := e.opts.Wire.Topics(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if info, ok := infos[name]; !ok || info.Partitions <= partition {
			return nil, &RefusedTopologyError{Problems: []string{fmt.Sprintf("changelog %s has no partition %d: "+
				"the state of the topology is there; create it as it was, or with --create-topics to begin with empty state", name, partition)}}
		}
	}
	starts, err := e.opts.Wire.Starts(ctx, tps)
	if err != nil {
		return nil, err
	}
	ends, err := e.opts.Wire.Ends(ctx, tps)
	if err != nil {
		return nil, err
	}
	for n := range logs {
		c := &logs[n]
		c.info, c.start, c.end = infos[c.Topic], starts[c.TopicPartition], ends[c.TopicPartition]
	}
	return logs, nil
}

// restoreBatch is how many bytes of changelog go into one write to LevelDB.
const restoreBatch = 2 << 20

// catchUp reads a changelog from an offset until its position has reached end. It ends by position: the last offsets
// may be transaction markers or records of an aborted transaction, which never arrive as records. asked is when the end was asked for.
func (e *engine) catchUp(ctx context.Context, t *task, st *taskStore, from, end int64, asked time.Time) error {
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
	still := e.again.still()
	defer still.Stop()

	reported := int64(-1)
	r := &replay{engine: e, st: st, position: from, asOf: asked}
	if _, ok := st.Checkpoint(); ok {
		r.asOf = st.AsOf()
	}
	for r.position < end {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-report.C:
			what := "restoring"
			if stats.Position == reported {
				what = "restoring: no progress, likely because of another producer's open transaction, or of a quota of this client"
			}
			reported = stats.Position
			eta := zap.Skip()
			if stats.PerSecond > 0 {
				eta = zap.Duration("eta", stats.ETA)
			}
			e.log.Info(what, zap.String("store", st.decl.Name), zap.Stringer("changelog", st.changelog),
				zap.Int64("position", stats.Position), zap.Int64("end", end), zap.Float64("records_per_second", stats.PerSecond), eta)
			e.hooks.tellRestore(st, from, stats.Position, end, began, false)
			continue
		case <-still.C:
			if w, ok := e.opts.Wire.(waiter); ok {
				w.StandsStill(ctx, st.changelog, r.position, end)
			}
			still.Reset(kafka.StillAgain)
			continue
		case <-deliveries.wake:
			deliveries.drain()
			if e.again != nil {
				still.Reset(kafka.StillFirst)
			}
		}
		for _, b := range queue {
			if err := r.take(b); err != nil {
				return err
			}
			if r.position >= end {
				r.asOf = asked
			}
			if r.size >= restoreBatch || r.position >= end {
				if err := r.write(); err != nil {
					return err
				}
			}
			e.changelogs.Release(st.changelog, b.Bytes)
		}
		queue = queue[:0]
		elapsed := time.Since(began).Seconds()
		next := &RestoreStats{Store: st.decl.Name, From: from, To: end, Position: r.position, PerSecond: float64(r.position-from) / max(elapsed, 1e-3), changelog: st.changelog, moved: stats.moved}
		if r.position != stats.Position {
			next.moved = time.Now()
		}
		if next.PerSecond > 0 {
			next.ETA = time.Duration(float64(max(0, end-r.position)) / next.PerSecond * float64(time.Second))
		}
		stats = next
		t.restored.Store(stats)
	}
	e.hooks.tellRestore(st, from, r.position, end, began, true)
	e.log.Info("restored", zap.String("store", st.decl.Name), zap.Stringer("changelog", st.changelog),
		zap.Int64("from", from), zap.Int64("to", r.position), zap.Duration("took", time.Since(began)))
	return nil
}

const restoreReport = 2 * time.Second
