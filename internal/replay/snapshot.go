package replay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/golden"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/letters"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/state"
)

// Snapshot is a snapshot in its folder.
type Snapshot struct {
	*golden.Manifest
	dir string
}

// Snapshot writes the stores of a topology, as they are at the committed offsets, into a new folder. Instances may run meanwhile. When it ends
// early, by an error or by ctx, there is no folder.
func (t *Tool) Snapshot(ctx context.Context, p *plan.Plan, dir string) (m *golden.Manifest, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("a snapshot needs a folder that is not there yet: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	m = &golden.Manifest{Version: 1, Topology: p.Topology, Taken: time.Now().UTC(), Inputs: []golden.Input{}, Stores: []golden.Store{}}
	if m.Cluster, err = t.Client.ClusterID(ctx); err != nil {
		return nil, err
	}
	members, err := t.Client.Members(ctx, p.Group())
	if err != nil {
		return nil, err
	}
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	if m.Aside, err = t.asides(ctx, reader, p); err != nil { // first: what is delayed or redriven from here on shows when it is restored
		return nil, err
	}
	for _, g := range p.Subgraphs {
		if err := t.snapshotOf(ctx, reader, p, g, members > 0, dir, m); err != nil {
			return nil, err
		}
	}
	return m, m.Write(dir)
}

// snapshotOf adds a sub-graph. Committed offsets come first: what belongs to them is in the changelogs then.
func (t *Tool) snapshotOf(ctx context.Context, reader kafka.Reader, p *plan.Plan, g *plan.Subgraph, live bool, dir string, m *golden.Manifest) error {
	upTo := map[int32]map[string]int64{}
	ahead := map[kafka.TopicPartition]int64{}
	for _, in := range g.Inputs {
		topic := p.Topic(in)
		infos, err := t.Client.Topics(ctx, []string{topic})
		if err != nil {
			return err
		}
		info, ok := infos[topic]
		if !ok {
			return fmt.Errorf("input topic %s does not exist: give --topic.prefix as the runs of the topology have it", topic)
		}
		tps, _, _, err := t.partitions(ctx, topic)
		if err != nil {
			return err
		}
		committed, err := t.Client.Committed(ctx, p.Group(), tps)
		if err != nil {
			return err
		}
		for _, tp := range tps {
			at := golden.Input{Stream: in.Name, Topic: topic, TopicID: info.ID, Partition: tp.Partition, Partitions: info.Partitions, Offset: -1}
			if c, ok := committed[tp]; ok {
				at.Offset = c.Offset
			}
			m.Inputs = append(m.Inputs, at)
			if upTo[tp.Partition] == nil {
				upTo[tp.Partition] = map[string]int64{}
			}
			upTo[tp.Partition][topic] = at.Offset
			if mark, ok := offsets.ParseMark(committed[tp].Metadata); ok && mark.State > at.Offset { // the state is ahead of a group that was set back
				upTo[tp.Partition][topic] = mark.State
				ahead[tp] = at.Offset
			}
		}
	}
	for _, s := range g.Stores {
		tps, starts, ends, err := t.partitions(ctx, p.Changelog(s))
		if err != nil {
			return err
		}
		for _, tp := range tps {
			limit := upTo[tp.Partition]
			if !live {
				limit = nil // nobody writes: all of it belongs to the offsets
			}
			f, err := snapshotStore(ctx, reader, tp, starts[tp], ends[tp], limit, dir, fmt.Sprintf("%s-%d.jsonl", s.Name, tp.Partition))
			if err != nil {
				return fmt.Errorf("changelog %s: %w", tp, err)
			}
			m.Stores = append(m.Stores, golden.Store{Store: s.Name, Partition: tp.Partition, File: f})
		}
	}
	if !live || len(ahead) == 0 {
		return nil
	}
	// Until the group is where the state is, no transaction says to which of its offsets it belongs.
	now, err := t.Client.Committed(ctx, p.Group(), slices.Collect(maps.Keys(ahead)))
	if err != nil {
		return err
	}
	for tp, at := range ahead {
		if now[tp].Offset != at {
			return fmt.Errorf("%s: the instances process records again, up to where the state is, and went on meanwhile: stop them, or take the snapshot when they are there", tp)
		}
	}
	return nil
}

var errPast = errors.New("what follows belongs to later offsets")

// entriesBytes is how much of a changelog is gathered before it is written.
const entriesBytes = 2 << 20

// belongs is where the last transaction of a changelog ends that belongs to offsets that are not after these: the last record of a
// transaction says to which it does. Transactions before it may belong to later ones, where the offsets went back meanwhile.
func belongs(ctx context.Context, reader kafka.Reader, tp kafka.TopicPartition, start, end int64, limit map[string]int64) (upTo int64, err error) {
	upTo = start
	return upTo, kafka.Scan(ctx, reader, tp, start, end, func(r *kafka.Record) error {
		raw := offsets.Raw(r.Headers)
		if r.Offset >= end || raw == nil {
			return nil
		}
		at, err := offsets.ParsePositions(raw)
		if err != nil {
			return err
		}
		for topic, p := range at {
			if most, ok := limit[topic]; ok && p.Offset > most {
				return nil
			}
		}
		upTo = r.Offset + 1
		return nil
	})
}

// snapshotStore writes what a changelog holds of each key, with limit as it belongs to these offsets.
func snapshotStore(ctx context.Context, reader kafka.Reader, tp kafka.TopicPartition, start, end int64, limit map[string]int64, dir, name string) (f golden.File, err error) {
	scratch := filepath.Join(dir, name+".db")
	db, err := state.Open(state.Options{Dir: scratch})
	if err != nil {
		return f, err
	}
	defer func() {
		err = errors.Join(err, db.Close(), os.RemoveAll(scratch))
	}()
	upTo := end
	if limit != nil {
		if upTo, err = belongs(ctx, reader, tp, start, end, limit); err != nil {
			return f, err
		}
	}
	var pending []keyed.Entry
	size := 0
	flush := func(at int64) error {
		err := db.Restore(pending, at, nil, time.Now())
		pending, size = nil, 0
		return err
	}
	err = kafka.Scan(ctx, reader, tp, start, upTo, func(r *kafka.Record) error {
		if r.Offset >= upTo {
			return nil
		}
		var value []byte
		if r.Value != nil {
			value = append([]byte{}, r.Value...)
		}
		pending = append(pending, keyed.Entry{Key: append([]byte{}, r.Key...), Value: value})
		if size += len(r.Key) + len(value); size > entriesBytes {
			return flush(r.Offset + 1)
		}
		return nil
	})
	if err != nil {
		return f, err
	}
	if err := flush(upTo); err != nil {
		return f, err
	}
	return golden.Create(dir, name, func(put func(any) error) error {
		var failure error
		err := db.Dump(func(key, value []byte) bool {
			failure = put(golden.Entry{Key: key, Value: value})
			return failure == nil
		})
		return errors.Join(err, failure)
	})
}

// Capture adds the records after a snapshot to its folder, most of each partition at most, so that a test can do what follows.
func (t *Tool) Capture(ctx context.Context, p *plan.Plan, dir string, most int) (*golden.Manifest, error) {
	m, err := golden.Of(dir, p.Topology)
	if err != nil {
		return nil, err
	}
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	var all []golden.Record
	for _, in := range m.Inputs {
		tp := kafka.TopicPartition{Topic: in.Topic, Partition: in.Partition}
		_, starts, ends, err := t.partitions(ctx, in.Topic)
		if err != nil {
			return nil, err
		}
		if in.Offset >= 0 && in.Offset < starts[tp] {
			return nil, fmt.Errorf("%s: retention has removed records after the snapshot, up to offset %d", tp, starts[tp])
		}
		n := 0
		err = kafka.Scan(ctx, reader, tp, max(in.Offset, starts[tp]), ends[tp], func(r *kafka.Record) error {
			if r.Offset >= ends[tp] || n >= most {
				return errPast
			}
			n++
			one := golden.Record{Stream: in.Stream, Partition: in.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)}
			for _, h := range r.Headers {
				one.Headers = append(one.Headers, golden.Header{Key: h.Key, Value: slices.Clone(h.Value)})
			}
			all = append(all, one)
			return nil
		})
		if err != nil && !errors.Is(err, errPast) {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b golden.Record) int { return int(min(1, max(-1, a.Timestamp-b.Timestamp))) })
	f, err := golden.Create(dir, "records.jsonl", func(put func(any) error) error {
		for i := range all {
			if err := put(&all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m.Records = &f
	return m, m.Write(dir)
}

// RestoreOptions are what a command line says about a restore.
type RestoreOptions struct {
	Why     string
	Execute bool // else it only checks
	Copies  bool // also where records after the snapshot have copies in their input: see letters.CopiedError
}

// Restore gives the stores of a topology the content of a snapshot, and its group the offsets.
func (t *Tool) Restore(ctx context.Context, p *plan.Plan, dir string, o RestoreOptions) (*golden.Manifest, error) {
	m, err := golden.Of(dir, p.Topology)
	if err != nil {
		return nil, err
	}
	for _, s := range m.Stores {
		if err := s.Check(dir); err != nil {
			return nil, err
		}
	}
	at := map[kafka.TopicPartition]int64{}
	for _, in := range m.Inputs {
		_, starts, ends, err := t.partitions(ctx, in.Topic)
		if err != nil {
			return nil, err
		}
		infos, err := t.Client.Topics(ctx, []string{in.Topic})
		if err != nil {
			return nil, err
		}
		tp := kafka.TopicPartition{Topic: in.Topic, Partition: in.Partition}
		switch next := max(in.Offset, 0); {
		case infos[in.Topic].ID != in.TopicID:
			return nil, fmt.Errorf("topic %s was deleted and made again since the snapshot, or is that of another cluster: its offsets say nothing there", in.Topic)
		case infos[in.Topic].Partitions != in.Partitions:
			return nil, fmt.Errorf("topic %s had %d partitions, and has %d: keys are in other stores now", in.Topic, in.Partitions, infos[in.Topic].Partitions)
		case next < starts[tp]:
			return nil, fmt.Errorf("%s: retention has removed records after the snapshot: it goes on at offset %d, and the first one is %d", tp, next, starts[tp])
		case next > ends[tp]:
			return nil, fmt.Errorf("%s ends at offset %d, and the snapshot goes on at %d", tp, ends[tp], next)
		default:
			at[tp] = next
		}
	}
	for _, in := range inputsOf(p) {
		tps, _, _, err := t.partitions(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, tp := range tps {
			if _, ok := at[tp]; !ok {
				return nil, fmt.Errorf("the snapshot does not say up to where %s was read: it is of a topology without that input", tp)
			}
		}
	}
	if err := t.sameAside(ctx, p, m); err != nil {
		return nil, err
	}
	if err := t.uncopied(ctx, p, at); err != nil && !o.Copies {
		return nil, err
	}
	if err := t.alone(ctx, p, false); err != nil || !o.Execute {
		return m, err
	}
	if err := t.sameAside(ctx, p, m); err != nil { // as it was left by whoever was in the group
		return nil, err
	}
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	sink, err := t.Client.NewSink(ctx, t.Names.Prefix+"weir-restore-"+p.Topology)
	if err != nil {
		return nil, err
	}
	defer sink.Leave()
	for _, g := range p.Subgraphs {
		b := &rebuild{tool: t, sink: sink, plan: p, sub: g, at: map[kafka.TopicPartition]int64{}, why: o.Why, by: "state restore", id: rand.Text(), fill: func(store *plan.Store, partition int32, put func(key, value []byte) error) error {
			return fillFrom(m, dir, store.Name, partition, put)
		}}
		for _, in := range g.Inputs {
			for tp, next := range at {
				if tp.Topic == p.Topic(in) {
					b.at[tp] = next
				}
			}
		}
		if err := b.run(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrHalf, err)
		}
	}
	return m, t.tell(ctx, sink, "state restore", map[string]any{"topology": p.Topology, "snapshot": m.Taken, "inputs": m.Inputs, "why": o.Why})
}

// uncopied refuses a restore after which records would be processed twice, as they stand and as copies.
func (t *Tool) uncopied(ctx context.Context, p *plan.Plan, at map[kafka.TopicPartition]int64) error {
	infos, err := t.Client.Topics(ctx, inputsOf(p))
	if err != nil {
		return err
	}
	again, err := t.dlq().Again(ctx, letters.From(p, infos, at, nil))
	if err == nil && again.Copied.Records > 0 {
		err = &letters.CopiedError{Copied: again.Copied}
	}
	return err
}

// ErrHalf is why a restore has ended in the middle.
var ErrHalf = errors.New("the topology is not to be started before the command is run again, and is done")

// fillFrom gives put what a snapshot has of a store at a partition.
func fillFrom(m *golden.Manifest, dir, store string, partition int32, put func(key, value []byte) error) error {
	for _, s := range m.Stores {
		if s.Store != store || s.Partition != partition {
			continue
		}
		return golden.Lines(dir, s.File, func(e *golden.Entry) error { return put(e.Key, e.Value) })
	}
	return nil
}

// newestSnapshot finds the newest snapshot of a topology, in a folder or in one below it, that is not after given starts; nil where there
// is none.
func newestSnapshot(dir, topology string, topic string, starts map[int32]int64) (*Snapshot, error) {
	dirs := []string{dir}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	var best *Snapshot
	for _, one := range dirs {
		m, err := golden.Read(one)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m.Topology != topology {
			continue
		}
		fits := map[int32]bool{}
		for _, in := range m.Inputs {
			if start, ok := starts[in.Partition]; ok && in.Topic == topic && max(in.Offset, 0) <= start {
				fits[in.Partition] = true
			}
		}
		if len(fits) == len(starts) && (best == nil || m.Taken.After(best.Taken)) {
			best = &Snapshot{m, one}
		}
	}
	return best, nil
}

// fill writes a snapshot into the changelogs of a shadow that hold nothing yet, and returns where its inputs go on.
func (r *running) fill(ctx context.Context, p *plan.Plan, s *Snapshot) (map[int32]int64, error) {
	from := map[int32]int64{}
	for _, in := range s.Inputs {
		if in.Topic == r.File.From.Topic {
			from[in.Partition] = max(in.Offset, 0)
		}
	}
	before, _, err := r.tool.resumed(ctx, r.standing)
	if err != nil || len(before) > 0 {
		return from, err // it has begun
	}
	parked := inputOf(p, r.File.From.Topic).Parked
	for _, one := range s.Stores {
		if parked != nil && one.Store == parked.Name {
			continue // the records that its keys wait for do not come here
		}
		log := kafka.TopicPartition{Topic: p.Changelog(&plan.Store{Name: one.Store}), Partition: one.Partition}
		n := 0
		err := golden.Lines(s.dir, one.File, func(e *golden.Entry) error {
			if err := r.sink.Append(stateRecord(log, e.Key, e.Value, nil)); err != nil {
				return err
			}
			if n++; n%batchRecords == 0 {
				return r.sink.Commit(ctx)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return from, r.sink.Commit(ctx)
}
