package processors

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/offsets"
)

// replay writes what a changelog holds into its store.
type replay struct {
	engine   *engine
	st       *taskStore
	entries  []keyed.Entry // taken and not written yet
	size     int           // their bytes
	position int64         // of the changelog, after everything taken
	asOf     time.Time     // see keyed.Any
}

// take adds a batch of the changelog. It refuses what is no state of this store.
func (r *replay) take(b kafka.Batch) error {
	if b.Err != nil {
		return b.Err
	}
	e, st := r.engine, r.st
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
		r.entries = append(r.entries, keyed.Entry{Key: rec.Key, Value: rec.Value})
		if raw := offsets.Raw(rec.Headers); raw != nil {
			if err := e.ownState(st, raw); err != nil {
				return err
			}
			st.positions = raw
		}
		r.size += len(rec.Key) + len(rec.Value)
	}
	r.position, st.epoch = b.Position, b.LeaderEpoch
	return nil
}

// write brings the store, and its checkpoint, up to what was taken.
func (r *replay) write() error {
	r.st.SetNote(r.st.note())
	r.st.SetAsOf(r.asOf)
	if err := r.st.Restore(r.entries, r.position); err != nil {
		return err
	}
	fault.At(fault.DuringRestore)
	r.entries, r.size = r.entries[:0], 0
	return nil
}

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
