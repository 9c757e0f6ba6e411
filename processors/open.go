package processors

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/state"
)

// openStore opens one store, where it is not open, and says from which changelog offset it has to be restored.
func (e *engine) openStore(ctx context.Context, store *plan.Store, info kafka.TopicInfo, log offsets.Changelog, opened keyed.Any) (*taskStore, int64, error) {
	dir := state.StoreDir(e.opts.StateDir, e.graph.plan.Group(), store.Name, log.Partition)
	if opened == nil && e.suspect.remove(dir) {
		if _, err := state.SetAside(dir, state.Damaged, e.log); err != nil {
			return nil, 0, err
		}
	}
	options := state.Options{
		Dir: dir, TopicID: info.ID, CacheBytes: e.cacheBytes, MaxRecordBytes: recordLimit(info), Log: e.log, Missed: e.metrics.missed(store.Name),
	}
	open := func() (keyed.Any, error) {
		db, err := state.Open(options)
		if err != nil {
			return nil, err
		}
		return store.Over(db), nil
	}
	var err error
	if opened == nil {
		opened, err = open()
	}
	var changed *state.TopicChangedError
	if errors.As(err, &changed) {
		if !e.accepts.Load() {
			return nil, 0, e.refuse([]string{e.lostState(log.TopicPartition, store.Name, err.Error())})
		}
		e.log.Warn("a store belongs to a changelog that was deleted; it is set aside, and the store is what the topic of that name holds now, as accept-empty-state allows",
			zap.String("dir", dir), zap.Stringer("changelog", log.TopicPartition))
		if _, err := state.SetAside(dir, state.Recreated, e.log); err != nil {
			return nil, 0, err
		}
		opened, err = open()
	}
	if err != nil {
		return nil, 0, err
	}
	st := &taskStore{Any: opened, decl: store, changelog: log.TopicPartition, topicID: info.ID, dir: dir, epoch: -1}
	from, why, err := e.onTop(ctx, st, info, log)
	if err == nil && why == "" {
		return st, from, nil
	}
	if cerr := st.Close(); err != nil || cerr != nil {
		return nil, 0, errors.Join(err, cerr)
	}
	e.log.Error("a store does not fit its changelog; it is set aside and rebuilt from it", zap.String("why", why),
		zap.String("dir", dir), zap.Stringer("changelog", log.TopicPartition), zap.Int64("checkpoint", from), zap.Int64("start", log.Start), zap.Int64("end", log.End),
		zap.Time("as_of", opened.AsOf()))
	if _, err := state.SetAside(dir, state.Unfit, e.log); err != nil {
		return nil, 0, err
	}
	if st.Any, err = open(); err != nil {
		return nil, 0, err
	}
	return st, log.Start, nil
}

// onTop says from where a store is restored, or why it is no base to restore on. It refuses a changelog that does not hold the
// state.
func (e *engine) onTop(ctx context.Context, st *taskStore, info kafka.TopicInfo, log offsets.Changelog) (from int64, why string, err error) {
	from, ok := st.Checkpoint()
	var note offsets.Note
	if ok {
		note = offsets.ParseNote(st.Note())
		if why, err = e.unfit(ctx, log, from, note.Epoch, st.AsOf(), info); err != nil {
			return 0, "", err
		}
		log.Held, log.Fit = from, why == ""
	}
	base, err := e.judgeLog(ctx, st, log)
	switch {
	case err != nil || !ok:
		return log.Start, "", err
	case base:
		st.epoch, st.positions = note.Epoch, note.Positions
		return max(from, log.Start), "", nil
	case why == "":
		why = "the changelog begins after the store's checkpoint"
	}
	return from, why, nil
}

// judgeLog refuses a changelog that was replaced, emptied or cut, so that the store would miss state, and reports one that
// lost its end. base says whether the store of this instance is to be restored on.
func (e *engine) judgeLog(ctx context.Context, st *taskStore, log offsets.Changelog) (base bool, err error) {
	a := offsets.JudgeLog(log)
	st.whole, st.marked, st.behind = a.Whole, a.Marked, a.Behind.End
	if a.Why != "" {
		if !e.accepts.Load() {
			return false, e.refuse([]string{e.lostState(log.TopicPartition, st.decl.Name, a.Why)})
		}
		e.log.Warn("a changelog does not hold the state that it held; the store is what it holds now, as accept-empty-state allows",
			zap.Stringer("changelog", log.TopicPartition), zap.String("why", a.Why))
		st.whole, st.marked = log.Start, false
		return false, nil
	}
	if a.Lost == "" && !a.Base && a.Behind.Epoch >= 0 {
		lost, err := e.regrown(ctx, log.TopicPartition, a.Behind.End, a.Behind.Epoch)
		if err != nil {
			return false, err
		}
		a.Lost = lost
	}
	if a.Lost != "" {
		e.log.Error("a changelog lost records", zap.Stringer("changelog", log.TopicPartition), zap.String("why", a.Lost))
	}
	return a.Base, nil
}

// lostState is the refusal of a store that would miss what its changelog does not hold, with the ways out as lines to run.
func (e *engine) lostState(tp kafka.TopicPartition, store, why string) string {
	return fmt.Sprintf("changelog %s of store %s: %s. Nothing of its inputs was read on this partition. Stop all instances of the group, and choose: (1) %s;"+
		" (2) to go on with what the topic holds (fill it from a copy first, where there is one): start each instance once with --accept-empty-state",
		tp, store, why, e.rebuild())
}

// unfit says why a store is no base to restore on, "" where it is one.
func (e *engine) unfit(ctx context.Context, log offsets.Changelog, checkpoint int64, epoch int32, asOf time.Time, info kafka.TopicInfo) (string, error) {
	switch {
	case checkpoint > log.End:
		return "the changelog lost its end, and is shorter than the store's checkpoint", nil
	case checkpoint < log.End && time.Since(asOf) > forgets(info):
		return "the store is so old that its changelog may have forgotten deletions since", nil
	case epoch < 0 || checkpoint == 0:
		return "", nil
	}
	return e.regrown(ctx, log.TopicPartition, checkpoint, epoch)
}

// regrown says whether a changelog that lost its end has grown past an offset again, with other records: "" where it has not.
// epoch is the leader epoch of the record before the offset.
func (e *engine) regrown(ctx context.Context, tp kafka.TopicPartition, offset int64, epoch int32) (string, error) {
	ends, err := e.opts.Wire.EpochEnds(ctx, map[kafka.TopicPartition]int32{tp: epoch})
	if err != nil {
		return "", err
	}
	if at := ends[tp]; at.LeaderEpoch < 0 || at.Offset < offset {
		return fmt.Sprintf("the changelog lost its end and has grown again: of what it held up to offset %d in leader epoch %d, "+
			"it has what was before offset %d (an unclean leader election does that; so it seems, and nothing is lost, where a leader was out of reach for a moment and stayed the leader)", offset, epoch, at.Offset), nil
	}
	return "", nil
}

// wallClock is the time of day alone: the clock that measures spans stands still while a machine is suspended.
func wallClock() time.Time { return time.Now().Round(0) }

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
